//! `statvfs(3)`.

use std::path::Path;

use super::Room;

pub(super) fn room(folder: &Path) -> Option<Room> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(Room {
        disk: found.f_fsid,
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        // Some kinds of disks make room for files as they come.
        files: (found.f_files > 0).then_some(found.f_favail),
    })
}
