//! What went wrong on disk, as the port says it.

use std::io;
use std::path::Path;

use waxwing_flow::ports::{StoreError, StoreErrorKind};

use super::format::Unreadable;

/// An error of the operating system.
pub(super) fn io(act: &'static str, path: &Path, cause: &io::Error) -> StoreError {
    let kind = match cause.kind() {
        io::ErrorKind::PermissionDenied => StoreErrorKind::Permission,
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::NoSpace,
        _ => StoreErrorKind::Io,
    };
    let hint = match kind {
        StoreErrorKind::Permission => {
            Some("run as the user that the state folder belongs to".to_owned())
        }
        StoreErrorKind::NoSpace => Some(room(cause.kind(), path)),
        _ => None,
    };
    StoreError {
        kind,
        act,
        path: path.to_owned(),
        causes: vec![cause.to_string()],
        hint,
    }
}

/// What helps where nothing can be written.
pub(super) fn room(kind: io::ErrorKind, path: &Path) -> String {
    let path = path.display();
    match kind {
        io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "the disk of {path} is mounted read-only (look at the log of the machine for why), or the unit that \
                 started this may not write there: a folder has to be named in the unit and to be there when it \
                 starts (`waxwing schedule add`)"
            )
        }
        _ => format!("make room on the disk of {path}"),
    }
}

/// Content that cannot be what was written.
pub(super) fn corrupt(path: &Path, cause: impl ToString) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Corrupt,
        act: "read",
        path: path.to_owned(),
        causes: vec![cause.to_string()],
        hint: Some("put the file back from a backup, or move it away".to_owned()),
    }
}

/// A stored file that is broken, or of a newer version.
pub(super) fn unreadable(path: &Path, cause: Unreadable) -> StoreError {
    match cause {
        Unreadable::Broken(cause) => corrupt(path, cause),
        Unreadable::TooNew(format) => StoreError {
            kind: StoreErrorKind::TooNew,
            act: "read",
            path: path.to_owned(),
            causes: vec![format!(
                "it has format {format}, written by a newer Waxwing"
            )],
            hint: Some("use the newer Waxwing for this state folder".to_owned()),
        },
    }
}

/// Something the operator has to set right.
pub(super) fn permission(act: &'static str, path: &Path, cause: &str, hint: String) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Permission,
        act,
        path: path.to_owned(),
        causes: vec![cause.to_owned()],
        hint: Some(hint),
    }
}
