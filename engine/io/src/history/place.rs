//! What lies where the file of the history is to be.

use std::fs;
use std::path::Path;

use waxwing_flow::ports::{StoreError, StoreErrorKind};

/// Refuses a folder, a pipe or a device in the place of the file, which SQLite would not name.
pub(super) fn must_be_a_file(act: &'static str, path: &Path) -> Result<(), StoreError> {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    if found.is_file() {
        return Ok(());
    }
    let cause = if found.is_dir() {
        "it is a folder, and the file of the history must be there"
    } else {
        "it is a pipe, a socket or a device, and the file of the history must be there"
    };
    Err(StoreError {
        kind: StoreErrorKind::Io,
        act,
        path: path.to_owned(),
        causes: vec![cause.to_owned()],
        hint: Some("move it away: the next run begins a new history".to_owned()),
    })
}
