//! The trace of a run: that a timer starts something says nothing of what becomes of it, and that a run comes by itself
//! says more than any file in which that may stand.

use waxwing_core::plan::Asker;
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, lock, read};

/// The word behind the moment, where a daemon has come.
const BY_DAEMON: &str = "daemon";

impl FileStore {
    /// The file of it in the state folder.
    pub const LAST_RUN: &str = "last-run";

    /// That of one that came by itself.
    pub const LAST_BY_ITSELF: &str = "last-run-by-itself";

    /// Notes that a run is here, and who wants it. One that nobody has typed is for all certificates.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ran(&self, now: Timestamp, asker: Asker) -> Result<(), StoreError> {
        let by_itself = match asker {
            Asker::Person => None,
            Asker::Timer => Some(format!("{now}\n")),
            Asker::Daemon => Some(format!("{now} {BY_DAEMON}\n")),
        };
        if let Some(text) = by_itself {
            atomic::replace(&self.layout.last_by_itself(), text.as_bytes())?;
        }
        atomic::replace(&self.layout.last_run(), format!("{now}\n").as_bytes())
    }

    /// When a run was here last; none if that is not known.
    pub fn last_run(&self) -> Option<Timestamp> {
        let text = read::text(&self.layout.last_run()).ok().flatten()?;
        Timestamp::parse(text.trim()).ok()
    }

    /// When one was that came by itself, and whether what wanted it is there still: a timer is, as far as this is known, a
    /// daemon only as long as it has its place. None if that is not known.
    pub fn last_by_itself(&self) -> Option<(Timestamp, bool)> {
        let text = read::text(&self.layout.last_by_itself()).ok().flatten()?;
        let (at, by_daemon) = match text.trim().split_once(' ') {
            Some((at, who)) => (at, who == BY_DAEMON),
            None => (text.trim(), false),
        };
        let at = Timestamp::parse(at).ok()?;
        Some((at, !by_daemon || lock::has_a_daemon(self.root())))
    }
}
