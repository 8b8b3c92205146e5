//! The moment at which something was told last while the database could not be written: the time stamp
//! of an empty file in the state folder.
//!
//! What a newcomer gets wrong: a full disk still takes it. A name in a folder and the time of a file
//! need no new room nearly everywhere, and once the file is there only its time changes. Only a disk that
//! is mounted read-only refuses it.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxwing_core::time::Timestamp;
use waxwing_flow::ports::Reminder;

use crate::permission::open_private;

const FILE: &str = "told-at";

/// The reminder of one state folder.
#[derive(Debug)]
pub struct FileReminder {
    path: PathBuf,
}

impl FileReminder {
    /// The one of this state folder. Nothing is read or made yet.
    pub fn new(state: &Path) -> Self {
        Self {
            path: state.join(FILE),
        }
    }

    fn open(&self) -> io::Result<File> {
        match open_private(&self.path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                File::options().write(true).open(&self.path)
            }
            new => new,
        }
    }
}

impl Reminder for FileReminder {
    fn last(&self) -> Option<Timestamp> {
        let modified = fs::metadata(&self.path).ok()?.modified().ok()?;
        let since = modified.duration_since(UNIX_EPOCH).ok()?;
        let ms = i64::try_from(since.as_millis()).ok()?;
        Some(Timestamp::from_unix_ms(ms))
    }

    fn set(&self, at: Timestamp) -> bool {
        let Some(time) = time(at) else {
            return false;
        };
        let set = self.open().and_then(|file| file.set_modified(time));
        // Some file systems keep whole seconds.
        let kept = || self.last().is_some_and(|last| last.unix() == at.unix());
        set.is_ok() && kept()
    }

    fn clear(&self) {
        let _mostly_not_there = fs::remove_file(&self.path);
    }
}

fn time(at: Timestamp) -> Option<SystemTime> {
    let ms = u64::try_from(at.unix_ms()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_kept_changed_and_forgotten() {
        let state = tempfile::tempdir().expect("a folder");
        let reminder = FileReminder::new(state.path());
        assert_eq!(reminder.last(), None);
        for seconds in [1_795_000_000, 1_795_090_000] {
            let at = Timestamp::from_unix(seconds);
            assert!(reminder.set(at));
            assert_eq!(FileReminder::new(state.path()).last(), Some(at));
        }
        reminder.clear();
        assert_eq!(reminder.last(), None);
        let nowhere = FileReminder::new(&state.path().join("missing"));
        assert!(!nowhere.set(Timestamp::from_unix(1_795_000_000)));
        nowhere.clear();
    }
}
