//! Owner, group and mode bits.

#![expect(clippy::disallowed_methods, reason = "this is an adapter of the disk")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Rights;

/// Who may do what with a file; none if it is not there.
pub fn rights(path: &Path) -> Option<Rights> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let (uid, gid) = (found.uid(), found.gid());
    let user = uzers::get_user_by_uid(uid);
    let group = uzers::get_group_by_gid(gid);
    Some(Rights {
        owner: user.map_or_else(|| uid.to_string(), |it| it.name().to_string_lossy().into()),
        group: group.map_or_else(|| gid.to_string(), |it| it.name().to_string_lossy().into()),
        mode: found.mode() & 0o777,
    })
}
