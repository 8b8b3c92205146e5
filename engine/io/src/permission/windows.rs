//! Access lists are inherited on Windows, and those of `%ProgramData%` let every user read. So the
//! outermost of what is made gets a list of its own, by `icacls`, because the standard library can neither
//! read nor change them: a new state folder, and what lies outside of it.
//!
//! What is made within a state folder has its list, and these functions claim nothing about others.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of the disk, and a program of the system sets its rights"
)]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use waxwing_core::access::{self, Object};
use waxwing_core::held;

use super::{Exposed, Identity, Owner};

/// Files are read by whoever their folder lets read: nothing is to be changed.
///
/// # Errors
/// None.
pub fn let_all_read(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// True for a file: what may be run is told by how its name ends, which whoever names it sees.
pub fn may_be_run(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.is_file())
}

/// None: the answer would need the access lists.
pub fn keys_of_everybody(_folder: &Path, _most: usize) -> Vec<PathBuf> {
    Vec::new()
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

/// None: the answer would need the access list, and whoever only looks makes no file to find out.
pub const fn shut(_directory: &Path) -> Option<io::Error> {
    None
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

/// A new directory with a name of its own, for as long as the answer lives; whoever can enter the one above can enter it.
pub(crate) fn private_tempdir(prefix: &str, within: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(within)
}

/// A directory with the access list of its parent. One that exists is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// A directory, and those above it. The outermost that is new lets everybody look and only its owner
/// write: beside `%ProgramData%` every user could put files into it.
pub(crate) fn create_open_dirs(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|above| !above.exists());
    let outermost = missing.last();
    fs::create_dir_all(path)?;
    outermost.map_or(Ok(()), |new| {
        icacls(new, &access::open_to_look(Object::Folder))
    })
}

/// Lets nobody but the owner, administrators and the system read what was just made here and is empty
/// yet. Call it for what is outside of a state folder, and for the state folder itself.
pub(crate) fn shield(path: &Path, object: Object) -> io::Result<()> {
    icacls(path, &access::private(object))
}

/// Gives a file or a folder another name, in the place of what has it. One that a scanner has open is
/// waited for.
pub(crate) fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    let mut pauses = held::PAUSES.into_iter();
    loop {
        let Err(cause) = fs::rename(from, to) else {
            return Ok(());
        };
        let Some(number) = cause.raw_os_error().filter(|number| held::is_held(*number)) else {
            return Err(cause);
        };
        let Some(pause) = pauses.next() else {
            let told = held::told(number, &cause.to_string());
            return Err(io::Error::new(cause.kind(), told));
        };
        std::thread::sleep(pause);
    }
}

/// Sets an access list.
fn icacls(path: &Path, words: &[String]) -> io::Result<()> {
    let done = Command::new(system_program("icacls.exe"))
        .arg(path)
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    if done.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let told = format!("{told} {}", String::from_utf8_lossy(&done.stderr));
    let message = format!("others can read it: icacls: {}", told.trim());
    Err(io::Error::other(message))
}

/// A program of the system, wherever Windows is: another one of its name may come first in PATH.
pub(crate) fn system_program(name: &str) -> PathBuf {
    let root = std::env::var_os("SystemRoot").unwrap_or_else(|| OsString::from(r"C:\Windows"));
    Path::new(&root).join("System32").join(name)
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

/// What tells a folder from another one that lies in its place: when it was made. None if nothing is there.
pub fn identity(path: &Path) -> Option<Identity> {
    use std::os::windows::fs::MetadataExt as _;
    Some(Identity(fs::metadata(path).ok()?.creation_time(), 0))
}

/// None: administrators share files there.
///
/// # Errors
/// None here.
pub fn owner(_path: &Path) -> io::Result<Option<Owner>> {
    Ok(None)
}

/// None: what a user may do is not in the mode there.
pub fn shut_to(_file: &Path, _user: &str) -> Option<PathBuf> {
    None
}

/// The user of this process, as its environment has it. There are no numbers.
pub fn user() -> (String, Option<u32>) {
    let name = std::env::var_os("USERNAME");
    let name = name.map(|name| name.to_string_lossy().into_owned());
    (name.unwrap_or_else(|| "unknown".to_owned()), None)
}
