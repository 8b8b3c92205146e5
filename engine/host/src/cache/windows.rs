//! Whose files these are, on Windows: the folder's access list decides, as for the rest of the
//! state folder.

use std::fs::File;
use std::io;
use std::path::Path;

pub(super) fn check_folder(dir: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(dir)?.is_dir() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "is not a folder",
        ))
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub(super) fn check_file(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a file"))
    }
}
