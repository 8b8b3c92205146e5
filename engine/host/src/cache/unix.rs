//! Whose files these are, on Unix.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Nobody else may put files into the folder.
pub(super) fn check_folder(dir: &Path) -> io::Result<()> {
    let facts = std::fs::symlink_metadata(dir)?;
    if !facts.is_dir() {
        return Err(doubt("is not a folder"));
    }
    check_owner(&facts)?;
    if facts.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(|_too_high| doubt("cannot be opened"))?;
    File::options().read(true).custom_flags(flags).open(path)
}

pub(super) fn check_file(file: &File) -> io::Result<()> {
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(doubt("is not a file"));
    }
    check_owner(&facts)?;
    if facts.mode() & 0o077 != 0 {
        return Err(doubt("can be reached by others"));
    }
    Ok(())
}

fn check_owner(facts: &Metadata) -> io::Result<()> {
    if facts.uid() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(doubt("belongs to another user"))
    }
}

fn doubt(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}
