//! What is in place while another one is wanted. What is stored and cannot be used, or stored under another name,
//! counts as not there, but while it is served its end counts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hold::Hold;
use super::{Action, Current, IssueReason, Item, Note, Stored};
use crate::due::{self, Urgency};
use crate::name::{CertificateName, Identifier};
use crate::settings::CertificateSettings;
use crate::time::{Timestamp, Window};

/// What ended before that is of no use to anybody.
pub const LONG_AGO: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Validity of what serves the names of certificates that were never issued: that of others for some of these names,
/// which have left the configuration, as when a certificate is renamed or two of them are joined. Of several the one
/// that ends first.
pub fn inherited<'a>(
    never_issued: impl Iterator<Item = &'a CertificateSettings>,
    left: &[(&[Identifier], Window)],
    now: Timestamp,
) -> BTreeMap<CertificateName, Window> {
    let left = left.iter().filter(|(_, life)| life.end + LONG_AGO > now);
    let left: Vec<_> = left.collect();
    let of = |certificate: &CertificateSettings| {
        let same = left
            .iter()
            .filter(|(names, _)| certificate.domains.iter().any(|name| names.contains(name)));
        let first = same.min_by_key(|(_, life)| life.end)?;
        Some((certificate.name.clone(), first.1))
    };
    never_issued.filter_map(of).collect()
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
        Action::Issue(
            IssueReason::Names { .. }
                | IssueReason::Replaced
                | IssueReason::Damaged
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
