//! What is in place while another one is wanted. What is stored and cannot be used, or stored under another name,
//! counts as not there, but while it is served its end counts.

use std::time::Duration;

use super::hold::Hold;
use super::{Action, Current, IssueReason, Item, Note, Stored};
use crate::due::{self, Urgency};
use crate::name::Identifier;
use crate::time::{Timestamp, Window};

/// What ended before that is of no use to anybody.
pub const LONG_AGO: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Validity of what serves some of these names: of `left`, others that have left the configuration, as when a
/// certificate is renamed or two of them are joined, that which ends first. What a later one of them has taken the place
/// of does not count.
pub fn inherited<'a>(
    domains: &[Identifier],
    left: impl Iterator<Item = (&'a [Identifier], Window)>,
) -> Option<Window> {
    let shares = |(names, life): (&'a [Identifier], Window)| {
        let some = |one: &Identifier| {
            names
                .iter()
                .any(|name| name.covers(one) || one.covers(name))
        };
        let shared: Vec<&Identifier> = domains.iter().filter(|one| some(one)).collect();
        (!shared.is_empty()).then_some((shared, names, life))
    };
    let same: Vec<_> = left.filter_map(shares).collect();
    let replaced = |(shared, _, life): &(Vec<&Identifier>, &[Identifier], Window)| {
        same.iter().any(|(_, names, other)| {
            let mut shared = shared.iter();
            let all = shared.all(|one| names.iter().any(|name| name.covers(one)));
            all && other.end > life.end
        })
    };
    let counts = same.iter().filter(|one| !replaced(one));
    counts.map(|(_, _, life)| *life).min_by_key(|life| life.end)
}

impl Item {
    /// True if the time is over in which nobody has to do anything about it, or what holds it lasts until its end.
    pub fn is_urgent(&self) -> bool {
        let Action::Renew {
            urgency, not_after, ..
        } = &self.action
        else {
            let late = |note: &Note| matches!(note, Note::Late { .. });
            return self.notes.iter().any(late);
        };
        let held = self.hold.as_ref().and_then(Hold::until);
        *urgency >= Urgency::Emergency || held.is_some_and(|until| until >= *not_after)
    }
}

/// Why a version that is there counts as not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is damaged, and another one is ordered.
    Broken,
    /// It cannot be read. Nothing is ordered as long as it may be whole.
    Unreadable,
}

/// Why one is issued of which there is no current version.
pub(super) fn wanting(stored: Option<&Stored>) -> IssueReason {
    match stored.and_then(|stored| stored.damage) {
        None => IssueReason::Never,
        Some(Damage::Broken) => IssueReason::Damaged,
        Some(Damage::Unreadable) => IssueReason::Unreadable,
    }
}

/// That the one in place ends before long, if another one is wanted whether it is due or not.
pub(super) fn late(action: &Action, stored: Option<&Stored>, now: Timestamp) -> Option<Note> {
    let in_use = matches!(
        action,
        Action::Issue(
            IssueReason::Names { .. }
                | IssueReason::Replaced
                | IssueReason::Damaged
                | IssueReason::Unreadable
                | IssueReason::Never
        )
    );
    let life = stored.filter(|_| in_use)?.life()?;
    let safe_until = life.end - due::safe_floor(life.end.since(life.start));
    (now >= safe_until).then_some(Note::Late { ends: life.end })
}

impl Stored {
    /// Validity of the current version, or of what is in place without one.
    pub fn life(&self) -> Option<Window> {
        let life = |current: &Current| Window {
            start: current.not_before,
            end: current.not_after,
        };
        let current = self.current.as_ref().map(life);
        current.or(self.in_place)
    }

    /// When the current version ends, or what is in place without one.
    pub fn ends(&self) -> Option<Timestamp> {
        self.life().map(|life| life.end)
    }
}
