//! In which order certificates are renewed in one run: where what a CA allows is short, those behind
//! have to wait.

use std::time::Duration;

use super::{Action, IssueReason};
use crate::due::{Suggestion, Urgency};
use crate::time::Timestamp;

/// The place of a certificate in a run; the smallest one is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Need, u32, Option<Timestamp>);

/// So many failures are told apart: whoever was not tried yet comes before those that were, or certificates that fail
/// for a reason of their own would use up what a CA allows in every run.
const FAILURES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// What is served now is worth nothing, or will be as soon as its CA has revoked it.
    Revoked,
    /// It has run out, or does so soon.
    Urgent,
    /// There is none in the form that is wanted: nobody has had it yet, so that it may wait for those
    /// that somebody has.
    New,
    /// There is time.
    Due,
}

/// Whoever is refused within so short a time does not wait for others.
const PRESSING: Duration = Duration::from_secs(24 * 60 * 60);

/// True if whoever looks at what ends then refuses it, or will within a day of `now`.
pub fn is_pressing(ends: Timestamp, now: Timestamp) -> bool {
    ends <= now + PRESSING
}

impl Place {
    /// True if the one in place is refused by those who look at it, or will be within a day of `now`.
    pub fn is_pressing(self, now: Timestamp) -> bool {
        let Self(need, _, ends) = self;
        need == Need::Revoked || ends.is_some_and(|ends| is_pressing(ends, now))
    }
}

/// The place of a certificate with which that is done, if the one in place ends at `ends`, its CA has
/// suggested that, and so many tries have failed since it was issued.
pub fn place(
    action: &Action,
    ends: Option<Timestamp>,
    suggestion: Option<&Suggestion>,
    failures: usize,
) -> Place {
    let revoked = suggestion.is_some_and(Suggestion::is_a_revocation);
    let need = match action {
        Action::Issue(IssueReason::Revoked) => Need::Revoked,
        Action::Renew { .. } if revoked => Need::Revoked,
        Action::Issue(_) => Need::New,
        Action::Renew {
            urgency: Urgency::Emergency | Urgency::Expired,
            ..
        } => Need::Urgent,
        Action::Renew { .. }
        | Action::Install { .. }
        | Action::Keep { .. }
        | Action::Gone { .. } => Need::Due,
    };
    let failures = u32::try_from(failures).unwrap_or(FAILURES).min(FAILURES);
    Place(need, failures, ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::due::{Because, Due};

    #[test]
    fn what_somebody_misses_first_comes_first() {
        let day = |days: u32| {
            Timestamp::from_unix(1_795_000_000) + std::time::Duration::from_secs(86_400) * days
        };
        let renew = |urgency, ends: u32| {
            let due = Due {
                at: day(0),
                because: Because::DaysAfterIssue(55),
                safe_until: day(ends),
                warning: None,
            };
            let action = Action::Renew {
                due,
                urgency,
                not_after: day(ends),
            };
            (action, Some(day(ends)))
        };
        let in_order = [
            (Action::Issue(IssueReason::Revoked), Some(day(80))),
            renew(Urgency::Expired, 1),
            renew(Urgency::Emergency, 5),
            renew(Urgency::Emergency, 9),
            (Action::Issue(IssueReason::Never), None),
            (Action::Issue(IssueReason::Damaged), Some(day(4))),
            (Action::Issue(IssueReason::Staging), Some(day(90))),
            renew(Urgency::Due, 30),
            renew(Urgency::None, 60),
        ];
        let places = in_order.map(|(action, ends)| place(&action, ends, None, 0));
        let window = crate::time::Window {
            start: day(0),
            end: day(1),
        };
        let told = |chosen| {
            let (action, ends) = renew(Urgency::Due, 60);
            place(&action, ends, Some(&Suggestion { window, chosen }), 0)
        };
        assert!(told(day(2)) < places[1] && told(day(0)) > places[7]);
        assert!(places.is_sorted(), "{places:?}");
        let pressing = places.map(|place| place.is_pressing(day(4)));
        let first = [true, true, true, false, false, true];
        assert_eq!(pressing[..6], first);
        assert!(!pressing[6..].contains(&true));
        assert!(places.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
