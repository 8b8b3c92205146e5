//! What is in place while another one is wanted. What is stored and cannot be used counts as not there, but while it
//! is served its end counts.

use super::hold::Hold;
use super::{Action, Current, IssueReason, Item, Note, Stored};
use crate::due::{self, Urgency};
use crate::time::{Timestamp, Window};

/// Of a current version that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Its validity, if its certificate can be read.
    pub life: Option<Window>,
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

/// That the one in place ends before long, if another one is wanted whether it is due or not.
pub(super) fn late(action: &Action, stored: Option<&Stored>, now: Timestamp) -> Option<Note> {
    let in_use = matches!(
        action,
        Action::Issue(IssueReason::Names { .. } | IssueReason::Replaced | IssueReason::Damaged)
    );
    let life = stored.filter(|_| in_use)?.life()?;
    let safe_until = life.end - due::safe_floor(life.end.since(life.start));
    (now >= safe_until).then_some(Note::Late { ends: life.end })
}

impl Stored {
    /// Validity of the current version, also of one that cannot be used.
    pub fn life(&self) -> Option<Window> {
        let life = |current: &Current| Window {
            start: current.not_before,
            end: current.not_after,
        };
        let current = self.current.as_ref().map(life);
        current.or_else(|| self.damaged?.life)
    }

    /// When the current version ends, also one that cannot be used.
    pub fn ends(&self) -> Option<Timestamp> {
        self.life().map(|life| life.end)
    }
}
