//! Files that an operator asks for, outside of the state folder: whole or not at all, and readable
//! by their owner alone.

#![expect(clippy::disallowed_methods, reason = "this is an adapter of the disk")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use waxwing_core::access::Object;
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use crate::permission;
use crate::store::atomic;

/// Looks whether a file could be written there, so that nobody works for one that cannot be.
///
/// # Errors
/// When something else is there, or no folder to put it into.
pub fn check(path: &Path) -> Result<(), StoreError> {
    let refuse = |cause: &str, hint: &str| StoreError {
        kind: StoreErrorKind::Io,
        act: "write",
        path: path.to_owned(),
        causes: vec![cause.to_owned()],
        hint: Some(hint.to_owned()),
    };
    if path.is_dir() {
        return Err(refuse("it is a folder", "name a file in it"));
    }
    if path.exists() && !path.is_file() {
        return Err(refuse("it is no file", "name a file"));
    }
    let folder = path.parent();
    let missing = folder.is_some_and(|it| !it.as_os_str().is_empty() && !it.is_dir());
    if missing || path.file_name().is_none() {
        return Err(refuse("its folder is not there", "make the folder first"));
    }
    Ok(())
}

/// Looks whether a file could be written anew there by this user; nothing is made to find out.
///
/// # Errors
/// As [`check`], and when this user may not write in its folder.
pub fn look(path: &Path) -> Result<(), StoreError> {
    check(path)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    permission::may_write_within(folder.unwrap_or(Path::new(".")))
        .map_err(|cause| named_by_somebody(crate::store::io_error("write", path, &cause)))
}

/// True if there is a file that does not begin like those that are written there.
pub fn holds_something_else(path: &Path, beginning: &str) -> bool {
    match fs::read(path) {
        Ok(bytes) => !bytes.is_empty() && !bytes.starts_with(beginning.as_bytes()),
        Err(cause) => cause.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Writes the file, in the place of one that is there.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    check(path)?;
    atomic::replace_shielded(path, text.as_bytes()).map_err(named_by_somebody)
}

/// The hint of a file that somebody has named.
fn named_by_somebody(error: StoreError) -> StoreError {
    let hint = match error.kind {
        StoreErrorKind::Permission => Some("name a file in a folder of yours".to_owned()),
        _ => error.hint,
    };
    StoreError { hint, ..error }
}

/// Whether a file holds exactly this text; none if nothing is there.
pub fn same(path: &Path, text: &str) -> Option<bool> {
    match fs::read(path) {
        Ok(bytes) => Some(bytes == text.as_bytes()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(_unreadable) => Some(false),
    }
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// When it is there by now, or cannot be written.
pub fn write_new(path: &Path, text: &str) -> Result<(), StoreError> {
    check(path)?;
    let mut file = permission::open_private(path)
        .map_err(|cause| crate::store::io_error("write", path, &cause))?;
    let written = permission::shield(path, Object::File)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    written.map_err(|cause| {
        // Half a secret is none, and a later try must not find it.
        let _gone = fs::remove_file(path);
        crate::store::io_error("write", path, &cause)
    })
}

/// Sets a file aside under the first name that is free: `FILE.1`. Answers where it is; none if there is
/// no such file.
///
/// # Errors
/// When it cannot be moved; it is where it was then.
pub fn set_aside(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (1..).map(|number: u32| path.with_file_name(format!("{name}.{number}")));
    let mut free = free.filter(|aside| fs::symlink_metadata(aside).is_err());
    let Some(aside) = free.next() else {
        return Ok(None);
    };
    fs::rename(path, &aside).map_err(|cause| crate::store::io_error("set aside", path, &cause))?;
    Ok(Some(aside))
}

/// Makes a folder that everybody may look into and only its owner may change, with those above it. True
/// if it was not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> Result<bool, StoreError> {
    if path.is_dir() {
        return Ok(false);
    }
    permission::create_open_dirs(path)
        .map_err(|cause| crate::store::io_error("create", path, &cause))?;
    Ok(true)
}

/// Whether a file can be made there, or in the nearest folder above it that exists. Nothing is made to
/// find out.
///
/// # Errors
/// Why not.
pub fn may_be_made(path: &Path) -> Result<(), StoreError> {
    let mut above = path.ancestors().skip(1);
    let folder = above.find(|folder| folder.is_dir());
    let folder = folder.unwrap_or(Path::new("."));
    permission::may_write_within(folder)
        .map_err(|cause| crate::store::io_error("write", path, &cause))
}

/// Whether nothing that is no folder lies at that path or above it. Nothing is made to find out.
///
/// # Errors
/// What lies there.
pub fn folder_may_be_made(path: &str) -> Result<(), String> {
    let mut above = Path::new(path).ancestors();
    match above.find(|part| fs::symlink_metadata(part).is_ok()) {
        Some(found) if !found.is_dir() => {
            let is = match found.is_file() {
                true => "a file",
                false => "no folder",
            };
            Err(format!("{} is {is}", found.display()))
        }
        _ => Ok(()),
    }
}

/// The same for a file that other programs of this machine read: it holds no secret.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub fn publish(path: &Path, text: &str) -> Result<(), StoreError> {
    check(path)?;
    atomic::replace(path, text.as_bytes()).map_err(named_by_somebody)?;
    permission::let_all_read(path).map_err(|cause| crate::store::io_error("publish", path, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_folder_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("page.html");
        for text in ["one", "two"] {
            write(&file, text).expect("written");
            assert_eq!(std::fs::read_to_string(&file).expect("text"), text);
        }
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 1, "nothing is left beside it");
        assert_eq!(same(&file, "two"), Some(true));
        assert_eq!(same(&file, "one"), Some(false));
        assert!(write_new(&file, "three").is_err(), "never over another one");
        assert_eq!(same(&file, "two"), Some(true));
        let new = folder.path().join("new");
        assert_eq!(same(&new, ""), None);
        write_new(&new, "new").expect("written");
        assert_eq!(same(&new, "new"), Some(true));
        // What is set aside takes the first name that is free.
        for (text, want) in [("one", "new.1"), ("two", "new.2")] {
            write(&new, text).expect("written");
            let aside = set_aside(&new).expect("moved").expect("there was one");
            assert_eq!(aside, folder.path().join(want));
            assert_eq!(same(&aside, text), Some(true));
        }
        assert_eq!(set_aside(&new).expect("nothing to do"), None);
        let deep = folder.path().join("a/b");
        may_be_made(&deep.join("file")).expect("it can");
        assert!(make_folder(&deep).expect("made") && !make_folder(&deep).expect("there"));
        let refused = |path: &Path| write(path, "three").expect_err("refused").to_string();
        assert!(refused(folder.path()).contains("it is a folder"));
        let nowhere = folder.path().join("none/page.html");
        assert!(refused(&nowhere).contains("its folder is not there"));
    }
}
