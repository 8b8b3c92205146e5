//! How much room a disk has.

use std::path::{Path, PathBuf};

/// Room on the disk that a folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Which disk: alike for folders on the same one.
    pub disk: u64,
    /// Bytes that this user may still write.
    pub bytes: u64,
    /// Files that may still be made; none where nothing but the bytes limits them.
    pub files: Option<u64>,
}

/// The room for a folder, or for the nearest above it that is there. None: the system does not say.
pub fn room(folder: &Path) -> Option<Room> {
    let whole = std::path::absolute(folder).ok()?;
    let there: PathBuf = whole.ancestors().find(|path| path.is_dir())?.to_owned();
    os::room(&there)
}

#[cfg(unix)]
#[path = "disk/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "disk/windows.rs"]
mod os;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let home = tempfile::tempdir().expect("a folder");
        let room_of = |path: &Path| room(path).map(|room| room.disk);
        let here = room_of(home.path()).expect("the system says");
        assert_eq!(room_of(&home.path().join("a/b")), Some(here));
    }
}
