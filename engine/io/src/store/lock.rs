//! Locks between processes. The system gives a lock back when its process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use waxwing_flow::ports::{Clock as _, LockGuard, StoreError, StoreErrorKind};

use super::layout::Layout;
use super::{FileStore, atomic, failure};
use crate::clock::SystemClock;
use crate::permission::open_private;

/// A lock that is held while this lives.
///
/// The file stays behind: to remove it would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

impl LockGuard for Held {}

impl FileStore {
    /// Takes the place of the one daemon of this state folder, until the guard is dropped.
    ///
    /// # Errors
    /// When another process has it, which is named, or the lock cannot be made.
    pub fn lock_daemon(&self) -> Result<Box<dyn LockGuard>, StoreError> {
        Ok(Box::new(take(&self.layout.lock("daemon", "daemon"))?))
    }
}

/// The process that has the place of the daemon of the state folder at `root`, or had it before it ended.
pub fn daemon_of(root: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(Layout::new(root).lock("daemon", "daemon")).ok()?;
    let (id, _since) = text.strip_prefix("process ")?.split_once(' ')?;
    id.parse().ok()
}

/// True if that can be told of the state folder at `root`: who may not look into it cannot.
pub(crate) fn knows_its_daemon(root: &Path) -> bool {
    let lock = Layout::new(root).lock("daemon", "daemon");
    let refused = |cause: std::io::Error| cause.kind() == std::io::ErrorKind::PermissionDenied;
    !std::fs::read(lock).is_err_and(refused)
}

/// True if a process has the place of the daemon of the state folder at `root` now, be it in a container.
pub(crate) fn has_a_daemon(root: &Path) -> bool {
    let lock = std::fs::File::open(Layout::new(root).lock("daemon", "daemon"));
    // Given back at once.
    lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Takes the lock, or says who has it.
pub(super) fn take(path: &Path) -> Result<Held, StoreError> {
    if let Some(directory) = path.parent() {
        atomic::create_dir(directory)?;
    }
    // Made with owner-only rights if it is new; it may exist, and another process may be first.
    let _exists = open_private(path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|cause| failure::io("lock", path, &cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy(path, &mut file)),
        Err(TryLockError::Error(cause)) => return Err(failure::io("lock", path, &cause)),
    }
    // For the message of whoever comes next; without it the lock holds all the same.
    let _unnamed = name_holder(&mut file);
    Ok(Held { _file: file })
}

fn name_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(
        file,
        "process {} since {}",
        std::process::id(),
        SystemClock.now()
    )
}

fn busy(path: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    // Windows does not let others read a locked file.
    let known = file.take(200).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
    let holder = if known {
        holder.trim()
    } else {
        "another process"
    };
    StoreError {
        kind: StoreErrorKind::Locked,
        act: "lock",
        path: path.to_owned(),
        causes: vec![format!("it is held by {holder}")],
        hint: Some("wait until the other run is done; it tells by this lock".to_owned()),
    }
}
