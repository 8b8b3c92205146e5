//! Who may write is the access list of the folder there, as with everything of this program.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::{AppendCause, Missing};

/// Nothing: the access list of the folder is that of everything in it.
#[expect(clippy::unnecessary_wraps, reason = "its twin on Unix fails")]
pub(super) const fn hand_over(_folder: &Path, _home: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn open(
    path: &Path,
    missing: Missing,
    _home: Option<&Path>,
) -> Result<File, AppendCause> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => return Err(AppendCause::Link),
        Ok(found) if !found.is_file() => return Err(AppendCause::NoFile),
        _ => {}
    }
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(missing == Missing::Made)
        .open(path);
    Ok(opened?)
}
