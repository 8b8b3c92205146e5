//! Opening without following a link, and looking at what was opened and not at the path again.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{AppendCause, Missing};

pub(super) fn open(path: &Path, missing: Missing) -> Result<File, AppendCause> {
    // A pipe without a reader would be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(missing == Missing::Made)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|cause| match cause.raw_os_error() {
        Some(number) if number == Errno::LOOP.raw_os_error() => AppendCause::Link,
        Some(number) if number == Errno::ISDIR.raw_os_error() => AppendCause::NoFile,
        _ => AppendCause::Io(cause),
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(AppendCause::NoFile);
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
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
