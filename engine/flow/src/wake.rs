//! When a long-lived process has to look again: not before there is something to do, and never so late
//! that something is missed.
//!
//! What a newcomer gets wrong: what could not be done in the last pass is due already, so without a
//! pause of its own it would be tried again at once, for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use waxwing_core::name::CertificateName;
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, Item, Note, Plan};
use waxwing_core::time::Timestamp;

use crate::history::Past;

/// What was not done although nothing holds it is tried again after this, as by an hourly timer.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// Advice of CAs is asked for in one go, so that thousands of certificates do not wake it each by itself.
const GATHER: Duration = Duration::from_secs(60 * 60);

/// It looks at least so often: at what is served, at what somebody else has changed.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that is corrected step by step differs by less.
const SET_BACK: Duration = Duration::from_secs(60);

/// And never sooner.
const SOONEST: Duration = Duration::from_secs(60);

/// When to look again, and what for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// The moment.
    pub at: Timestamp,
    /// What for.
    pub cause: Cause,
}

/// Why something is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A certificate becomes due, or what held it is over.
    Due(CertificateName),
    /// Something was not done that nothing holds back.
    Undone(CertificateName),
    /// A CA is asked for its advice.
    Advice,
    /// A message waits to be delivered.
    Letters,
    /// Nothing special.
    Daily,
    /// A pass was not possible.
    Trouble,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due(name) => write!(f, "{name} is due"),
            Self::Undone(name) => write!(f, "{name} is tried again"),
            Self::Advice => f.write_str("CAs are asked for advice"),
            Self::Letters => f.write_str("a message is delivered"),
            Self::Daily => f.write_str("the daily look"),
            Self::Trouble => f.write_str("to see whether it is possible again"),
        }
    }
}

/// Decides. The plan is the one behind the last pass; `letters` is when the next message is tried.
pub fn next(
    plan: &Plan,
    pasts: &BTreeMap<CertificateName, Past>,
    letters: Option<Timestamp>,
    now: Timestamp,
) -> Wake {
    let mut causes = vec![Wake {
        at: now + DAILY,
        cause: Cause::Daily,
    }];
    for item in &plan.items {
        let due = |at| Wake {
            at,
            cause: Cause::Due(item.name.clone()),
        };
        let undone = Wake {
            at: now + AGAIN,
            cause: Cause::Undone(item.name.clone()),
        };
        causes.extend(match (&item.action, &item.hold) {
            (Action::Gone { .. }, _) => None,
            // What it has replaced waits to be revoked.
            (Action::Keep { .. }, _) if is_to_revoke(item) => Some(undone),
            (Action::Keep { due: it, .. }, _) => {
                Some(due(item.moment.map_or(it.at, |moment| moment.at)))
            }
            (_, Some(hold)) => Hold::until(hold).map(due),
            (_, None) => Some(undone),
        });
        if let Some(advice) = pasts.get(&item.name).and_then(|past| past.advice.as_ref())
            && !matches!(item.action, Action::Gone { .. })
        {
            causes.push(Wake {
                at: advice.next.max(now + GATHER),
                cause: Cause::Advice,
            });
        }
    }
    causes.extend(letters.map(|at| Wake {
        at,
        cause: Cause::Letters,
    }));
    let mut first = causes.into_iter().min().unwrap_or(Wake {
        at: now + DAILY,
        cause: Cause::Daily,
    });
    first.at = first.at.max(now + SOONEST);
    first
}

/// True if the clock was set back while somebody slept: it showed `began` when he lay down, shows `now`, and
/// he slept for `passed`. What he was to be woken for is no moment of this clock any more.
pub fn is_set_back(began: Timestamp, now: Timestamp, passed: Duration) -> bool {
    (began + passed).since(now) > SET_BACK
}

fn is_to_revoke(item: &Item) -> bool {
    let mut notes = item.notes.iter();
    notes.any(|note| matches!(note, Note::ToRevoke { .. }))
}

#[cfg(test)]
mod tests {
    use waxwing_core::due::{Because, Due, Urgency};
    use waxwing_core::name::CaName;
    use waxwing_core::plan::IssueReason;

    use super::*;
    use crate::history::Advice;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let table = [
            // The clock when it began and now, in minutes; minutes that have passed.
            (0, 60, 60, false),
            // Corrected a little, set forward, and a machine that was asleep.
            (1, 60, 60, false),
            (0, 6000, 60, false),
            (0, 600, 1, false),
            (0, 0, 60, true),
            // A month ahead until somebody asked for the time.
            (43_200, 10, 10, true),
        ];
        for (began, now, passed, want) in table {
            let at = |minutes: u32| NOW + HOUR / 60 * minutes;
            let found = is_set_back(at(began), at(now), HOUR / 60 * passed);
            assert_eq!(found, want, "{began} {now} {passed}");
        }
    }

    fn item(name: &str, action: Action, hold: Option<Hold>) -> Item {
        Item {
            name: CertificateName::parse(name).expect("a literal name"),
            action,
            ca: None,
            moment: None,
            hold,
            install: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn keep(hours: u32) -> Action {
        Action::Keep {
            due: due(NOW + HOUR * hours),
            not_after: NOW + HOUR * 999,
        }
    }

    fn due(at: Timestamp) -> Due {
        Due {
            at,
            because: Because::Lifetime,
            safe_until: at,
            warning: None,
        }
    }

    fn renew() -> Action {
        Action::Renew {
            due: due(NOW),
            urgency: Urgency::Due,
            not_after: NOW + HOUR * 999,
        }
    }

    fn ladder(hours: u32) -> Option<Hold> {
        Some(Hold::Ladder {
            ca: CaName::parse("first").expect("a literal name"),
            until: NOW + HOUR * hours,
            failures: 1,
        })
    }

    #[test]
    fn it_wakes_for_what_comes_first_and_never_spins() {
        let gone = Action::Gone { not_after: None };
        let never = || Action::Issue(IssueReason::Never);
        let no_ca = Some(Hold::NoCa {
            passed_over: Vec::new(),
        });
        let table: Vec<(&str, Vec<Item>, u64, &str)> = vec![
            ("nothing", vec![], 86_400, "the daily look"),
            (
                "far",
                vec![item("a", keep(500), None)],
                86_400,
                "the daily look",
            ),
            (
                "the nearest",
                vec![item("a", keep(9), None), item("b", keep(5), None)],
                5 * 3600,
                "b is due",
            ),
            ("passed", vec![item("a", keep(0), None)], 60, "a is due"),
            (
                "a ladder",
                vec![item("a", renew(), ladder(2))],
                2 * 3600,
                "a is due",
            ),
            (
                "undone",
                vec![item("a", renew(), None)],
                3600,
                "a is tried again",
            ),
            (
                "never issued",
                vec![item("a", never(), None)],
                3600,
                "a is tried again",
            ),
            (
                "nobody to ask",
                vec![item("a", never(), no_ca)],
                86_400,
                "the daily look",
            ),
            (
                "something to revoke behind it",
                vec![Item {
                    notes: vec![Note::ToRevoke { version: 1 }],
                    ..item("a", keep(500), None)
                }],
                3600,
                "a is tried again",
            ),
            (
                "gone",
                vec![item("a", gone, None)],
                86_400,
                "the daily look",
            ),
        ];
        for (what, items, seconds, cause) in table {
            let wake = next(&Plan { items }, &BTreeMap::new(), None, NOW);
            assert_eq!(wake.at.since(NOW).as_secs(), seconds, "{what}");
            assert_eq!(wake.cause.to_string(), cause, "{what}");
        }
    }

    #[test]
    fn advice_is_gathered_and_letters_are_not_kept_waiting() {
        let plan = Plan {
            items: vec![item("a", keep(500), None)],
        };
        let advice = |hours: u32| Past {
            advice: Some(Advice {
                about: "a.b".to_owned(),
                suggestion: None,
                explanation: None,
                next: NOW + HOUR * hours,
                failures: 0,
                cause: None,
            }),
            ..Past::default()
        };
        let pasts = |hours| BTreeMap::from([(plan.items[0].name.clone(), advice(hours))]);
        let wake = |hours, letters| next(&plan, &pasts(hours), letters, NOW);
        assert_eq!(wake(0, None).at, NOW + HOUR, "gathered");
        assert_eq!(wake(6, None).at, NOW + HOUR * 6);
        assert_eq!(wake(6, None).cause, Cause::Advice);
        assert_eq!(wake(6, Some(NOW + HOUR)).cause, Cause::Letters);
        assert_eq!(wake(6, Some(NOW)).at, NOW + SOONEST);
    }
}
