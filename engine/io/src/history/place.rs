//! What lies where the file of the history is to be.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use waxwing_flow::ports::{StoreError, StoreErrorKind};

/// Refuses a folder, a pipe or a device in the place of the file, and one that is somebody else's: SQLite would
/// not say that.
pub(super) fn must_be_a_file(act: &'static str, path: &Path) -> Result<(), StoreError> {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    if found.is_file() {
        let opened = OpenOptions::new()
            .read(true)
            .write(act == "open")
            .open(path);
        // Whatever else is wrong, SQLite says it, and knows ways around some of it.
        return match opened {
            Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
                Err(crate::store::io_error(act, path, &cause))
            }
            _ => Ok(()),
        };
    }
    let cause = if found.is_dir() {
        "it is a folder, and the file of the history must be there"
    } else {
        "it is a pipe, a socket or a device, and the file of the history must be there"
    };
    Err(StoreError {
        kind: StoreErrorKind::Corrupt,
        act,
        path: path.to_owned(),
        causes: vec![cause.to_owned()],
        hint: Some("move it away: the next run begins a new history".to_owned()),
    })
}

/// Where SQLite keeps how the file was before a change, until that is whole.
pub(super) fn journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}

/// True for a file that is damaged, or somebody else's.
pub(super) fn is_of_no_use(error: &StoreError) -> bool {
    matches!(
        error.kind,
        StoreErrorKind::Corrupt | StoreErrorKind::Permission
    )
}

/// Moves a damaged file away, under the next free name.
pub(super) fn set_aside(path: &Path) -> Result<(), StoreError> {
    let free = (1..10_000)
        .map(|number| path.with_extension(format!("db.damaged-{number}")))
        .find(|path| !path.exists());
    let Some(to) = free else {
        return fs::remove_file(path).map_err(|cause| failure(path, &cause));
    };
    fs::rename(path, to).map_err(|cause| failure(path, &cause))
}

pub(super) fn failure(path: &Path, cause: &std::io::Error) -> StoreError {
    crate::store::io_error("open", path, cause)
}
