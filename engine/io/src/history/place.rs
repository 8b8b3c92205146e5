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

/// What SQLite keeps beside a file until a change is whole: how it was before, or, where somebody has set it so, what
/// is new.
pub(super) fn companions(path: &Path) -> [PathBuf; 3] {
    ["-journal", "-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

/// A whole copy of the file that is to be put in its place.
pub(super) fn taken(path: &Path) -> PathBuf {
    path.with_extension("db.taken")
}

/// True if this user can write the file, and what SQLite keeps beside it.
pub(super) fn may_be_written(path: &Path) -> bool {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.is_ok() && !is_shut(path)
}

/// True if what SQLite keeps beside the file is there and cannot be written: then nobody can use the file.
pub(super) fn is_shut(path: &Path) -> bool {
    companions(path).iter().any(|file| {
        let opened = OpenOptions::new().read(true).write(true).open(file);
        opened.is_err_and(|cause| cause.kind() == ErrorKind::PermissionDenied)
    })
}

/// True for a file that is damaged, or somebody else's.
pub(super) fn is_of_no_use(error: &StoreError) -> bool {
    matches!(
        error.kind,
        StoreErrorKind::Corrupt | StoreErrorKind::Permission
    )
}

/// Moves a damaged file away, under the next free name, with what belongs to it.
pub(super) fn set_aside(path: &Path) -> Result<(), StoreError> {
    let free = (1..10_000)
        .map(|number| path.with_extension(format!("db.damaged-{number}")))
        .find(|path| !path.exists());
    let Some(to) = free else {
        return fs::remove_file(path).map_err(|cause| failure(path, &cause));
    };
    // Left behind, it would be taken for what belongs to the next one.
    for (from, to) in companions(path).iter().zip(companions(&to)) {
        match fs::rename(from, to) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(failure(from, &cause)),
            _ => {}
        }
    }
    fs::rename(path, to).map_err(|cause| failure(path, &cause))
}

pub(super) fn failure(path: &Path, cause: &std::io::Error) -> StoreError {
    crate::store::io_error("open", path, cause)
}
