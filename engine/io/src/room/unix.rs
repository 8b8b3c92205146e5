//! The system says it, without a write.

use std::io;
use std::path::Path;

/// The bytes that this user may still write to the disk of a folder; none if the system does not say.
///
/// # Errors
/// When the folder is not there.
pub fn left(folder: &Path) -> io::Result<Option<u64>> {
    let disk = rustix::fs::statvfs(folder)?;
    // What is kept back for root is of no use to others.
    let blocks = if rustix::process::geteuid().is_root() {
        disk.f_bfree
    } else {
        disk.f_bavail
    };
    Ok(Some(blocks.saturating_mul(disk.f_frsize)))
}
