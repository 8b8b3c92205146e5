//! The trace of a run: that a timer starts something says nothing of what becomes of it, and that a run comes by itself
//! says more than any file in which that may stand.

use std::time::Duration;

use waxwing_core::plan::Asker;
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, lock, read};

/// Two runs that lie so far apart were not started by somebody who tries something.
const APART: Duration = Duration::from_secs(30 * 60);

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
        if asker != Asker::Person {
            let by_daemon = asker == Asker::Daemon;
            let next = self.noted().map_or_else(
                || Noted::first(now, by_daemon),
                |noted| noted.and_then(now, by_daemon),
            );
            atomic::replace(&self.layout.last_by_itself(), next.to_text().as_bytes())?;
        }
        atomic::replace(&self.layout.last_run(), format!("{now}\n").as_bytes())
    }

    /// When a run was here last; none if that is not known.
    pub fn last_run(&self) -> Option<Timestamp> {
        let text = read::text(&self.layout.last_run()).ok().flatten()?;
        Timestamp::parse(text.trim()).ok()
    }

    /// What is known of runs that came by themselves; none if nothing is.
    pub fn by_itself(&self) -> Option<ByItself> {
        let noted = self.noted()?;
        Some(ByItself {
            last: noted.last,
            before: noted.before,
            by_daemon: noted.by_daemon,
            goes_on: !noted.by_daemon || lock::has_a_daemon(self.root()),
        })
    }

    fn noted(&self) -> Option<Noted> {
        let text = read::text(&self.layout.last_by_itself()).ok().flatten()?;
        Noted::parse(&text)
    }
}

/// Runs that came by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByItself {
    /// When the last one was.
    pub last: Timestamp,
    /// When an earlier one was, which nobody can have started together with that.
    pub before: Option<Timestamp>,
    /// True if a daemon wanted it.
    pub by_daemon: bool,
    /// False if a daemon wanted it that has no place any more.
    pub goes_on: bool,
}

/// The same, as it is written: a moment, with the word of a daemon behind it, and on lines of their own the moment before
/// and that since which they have come close to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    last: Timestamp,
    by_daemon: bool,
    before: Option<Timestamp>,
    close_since: Option<Timestamp>,
}

impl Noted {
    const fn first(now: Timestamp, by_daemon: bool) -> Self {
        Self {
            last: now,
            by_daemon,
            before: None,
            close_since: None,
        }
    }

    /// With one more. Who tries a unit starts it again soon, so that only one that lies apart counts as the one before. What
    /// a daemon did proves no timer.
    fn and_then(self, now: Timestamp, by_daemon: bool) -> Self {
        if by_daemon != self.by_daemon {
            return Self::first(now, by_daemon);
        }
        // What lies ahead was noted by another clock.
        let known = |at: &Timestamp| !at.is_ahead_of(now);
        let last = Some(self.last).filter(known);
        let close_since = self.close_since.filter(known);
        let all = [last, close_since, self.before.filter(known)];
        let apart = all.into_iter().flatten();
        let before = apart.filter(|at| now.since(*at) >= APART).max();
        let close = |at: &Timestamp| now.since(*at) < APART;
        Self {
            last: now,
            by_daemon,
            before,
            close_since: close_since.filter(close).or(last.filter(close)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let first = lines.next()?.trim();
        let (at, by_daemon) = match first.split_once(' ') {
            Some((at, who)) => (at, who == BY_DAEMON),
            None => (first, false),
        };
        let mut moment = || Timestamp::parse(lines.next()?.trim()).ok();
        Some(Self {
            last: Timestamp::parse(at).ok()?,
            by_daemon,
            before: moment(),
            close_since: moment(),
        })
    }

    fn to_text(self) -> String {
        let who = if self.by_daemon { BY_DAEMON } else { "" };
        let first = format!("{} {who}", self.last);
        let line = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        format!(
            "{}\n{}\n{}\n",
            first.trim_end(),
            line(self.before),
            line(self.close_since)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_known_if_nobody_can_have_started_both() {
        let start = Timestamp::from_unix(1_795_000_000);
        let minute = Duration::from_secs(60);
        let after = |runs: &[u32]| {
            let mut noted = Noted::first(start, false);
            for minutes in runs {
                noted = noted.and_then(start + minute * *minutes, false);
                assert_eq!(Noted::parse(&noted.to_text()), Some(noted));
            }
            noted.before.map(|at| at.since(start).as_secs() / 60)
        };
        for (runs, before) in [
            (&[5][..], None),
            (&[5, 29], None),
            (&[5, 29, 30], Some(0)),
            (&[60], Some(0)),
            (&[60, 61], Some(0)),
            (&[60, 120, 180], Some(120)),
            // More often than that.
            (&[15, 30], Some(0)),
            (&[15, 30, 45, 60, 75, 90], Some(60)),
        ] {
            assert_eq!(after(runs), before, "{runs:?}");
        }
        let each_minute: Vec<u32> = (1..200).collect();
        assert!(after(&each_minute).is_some_and(|before| before >= 139));
        // A daemon that has ended proves no timer.
        let daemon = Noted::first(start, true).and_then(start + minute * 600, true);
        assert!(daemon.before.is_some());
        assert_eq!(daemon.and_then(start + minute * 700, false).before, None);
        // By a clock that was ahead.
        let ahead = Noted::first(start + minute * 100_000, false);
        assert_eq!(ahead.and_then(start, false).before, None);
        assert_eq!(Noted::parse("yesterday\n"), None);
    }
}
