//! Opening without following a link, and looking at what was opened and not at the path again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{AppendCause, Missing};

/// Gives a folder that was just made to the owner of another one, if we are root.
pub(super) fn hand_over(folder: &Path, home: &Path) -> io::Result<()> {
    match foreign_owner(home) {
        Some((user, group)) => chown(folder, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// For root: the user and the group of a folder that belongs to somebody else. Nobody else can give
/// files away.
fn foreign_owner(home: &Path) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let found = fs::metadata(home).ok()?;
    (found.uid() != 0).then(|| (found.uid(), found.gid()))
}

pub(super) fn open(
    path: &Path,
    missing: Missing,
    home: Option<&Path>,
) -> Result<File, AppendCause> {
    // A pipe without a reader would be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed());
    let owner = home.and_then(foreign_owner);
    let opened = options.open(path).or_else(|cause| {
        if missing == Missing::Refused || cause.kind() != io::ErrorKind::NotFound {
            return Err(cause);
        }
        match options.clone().create_new(true).open(path) {
            Ok(file) => {
                if let Some((user, group)) = owner {
                    fchown(&file, Some(user), Some(group))?;
                }
                Ok(file)
            }
            // Another process was faster.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => options.open(path),
            Err(cause) => Err(cause),
        }
    });
    let file = opened.map_err(|cause| match cause.raw_os_error() {
        Some(number) if number == Errno::LOOP.raw_os_error() => AppendCause::Link,
        Some(number) if number == Errno::ISDIR.raw_os_error() => AppendCause::NoFile,
        _ => AppendCause::Io(cause),
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(AppendCause::NoFile);
    }
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !ours && owner.is_none_or(|(user, _)| user != found.uid()) {
        let user = uzers::get_user_by_uid(found.uid());
        let name = user.map(|user| user.name().to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| found.uid().to_string());
        return Err(AppendCause::Foreign(name));
    }
    if found.mode() & 0o022 != 0 {
        return Err(AppendCause::Open);
    }
    Ok(file)
}
