//! Access lists are inherited on Windows: the folder that the installation makes gives them to
//! everything in it, and the standard library can neither read nor change them.
//!
//! So these functions make files plainly and claim nothing about others. Who protects the state
//! folder there is the access list of `%ProgramData%\Waxwing`.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Exposed, Owner};

/// Files are read by whoever their folder lets read: nothing is to be changed.
///
/// # Errors
/// None.
pub fn let_all_read(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// False for every file that is there: the answer would need the access list.
///
/// # Errors
/// When the file is not there.
pub fn others_can_read(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|_there| false)
}

/// False for every file that is there: the answer would need the access list.
///
/// # Errors
/// When the file is not there.
pub fn others_can_write(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|_there| false)
}

/// Nothing for every file that is there: the answer would need the access list.
///
/// # Errors
/// When the file is not there.
pub fn open_to_others(file: &Path) -> io::Result<Option<PathBuf>> {
    fs::metadata(file).map(|_there| None)
}

/// Whether this process may make files in a directory: the answer would need the access list, so
/// one is made and removed.
///
/// # Errors
/// The reason why it may not.
pub fn may_write_within(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".waxwing-probe-{}", std::process::id()));
    drop(open_private(&probe)?);
    fs::remove_file(&probe)
}

/// False for every directory that is there: the answer would need the access list.
///
/// # Errors
/// When the directory is not there or its metadata cannot be read.
pub fn others_can_write_within(directory: &Path) -> io::Result<bool> {
    fs::metadata(directory).map(|_there| false)
}

/// None: the answer would need the access lists.
///
/// # Errors
/// When the folder is not there.
pub fn exposed_within(folder: &Path, _without: &str) -> io::Result<Option<Vec<Exposed>>> {
    fs::metadata(folder).map(|_there| None)
}

/// A new file with the access list of its folder. Fails if it exists.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A directory with the access list of its parent. One that exists is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// A directory, and those above it, with the access list of their parent.
pub(crate) fn create_open_dirs(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Nothing: NTFS journals its directories, and a directory handle cannot be flushed.
pub(crate) fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// False: ownership says little on Windows, where administrators share it.
///
/// # Errors
/// None here.
pub fn belongs_to_others(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

/// True: ownership says little on Windows, where administrators share it.
pub(crate) fn belongs_to_us(_directory: &Path, _probe: &File) -> io::Result<bool> {
    Ok(true)
}

/// None: administrators share files there.
///
/// # Errors
/// None here.
pub fn owner(_path: &Path) -> io::Result<Option<Owner>> {
    Ok(None)
}

/// The user of this process, as its environment has it. There are no numbers.
pub fn user() -> (String, Option<u32>) {
    let name = std::env::var_os("USERNAME");
    let name = name.map(|name| name.to_string_lossy().into_owned());
    (name.unwrap_or_else(|| "unknown".to_owned()), None)
}
