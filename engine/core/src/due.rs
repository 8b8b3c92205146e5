//! When a certificate is renewed.
//!
//! The CA's suggestion decides (RFC 9773) if there is one that leaves time enough; else
//! `days-after-issue`, and two thirds of the life at the latest. All of it is measured on the life
//! that the certificate has, not on the one that its CA used to give. What a newcomer gets wrong:
//! a setting of 55 days is an upper bound, and on a certificate of 45 days it must not count.

use std::time::Duration;

use crate::settings::DaysAfterIssue;
use crate::time::{Timestamp, Window};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Below this life time a certificate is renewed at half of it instead of two thirds: a third of so
/// little is no time to repair anything.
const SHORT_LIFE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// The CA's suggestion, and the moment drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suggestion {
    /// `suggestedWindow`.
    pub window: Window,
    /// A moment drawn uniformly from the window, once, and kept (RFC 9773 section 4.2). For a window
    /// that had passed when it was told: when it was told, which is later than its end.
    pub chosen: Timestamp,
}

impl Suggestion {
    /// True if the window had passed already when the CA told it: so it says that it revokes (RFC 9773
    /// section 4.2). One that has passed since was only missed.
    pub fn is_a_revocation(&self) -> bool {
        self.chosen > self.window.end
    }
}

/// Why a certificate is renewed when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The CA suggested it. A window that has passed means now; so the CA says that it revokes.
    Suggested,
    /// So many days after issue.
    DaysAfterIssue(u32),
    /// Two thirds of its life, or half of a short one.
    Lifetime,
}

/// When a certificate is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// From this moment on; never later than `safe_until`.
    pub at: Timestamp,
    /// Which rule said so.
    pub because: Because,
    /// The last moment that leaves time for trouble: behind it nothing may delay the renewal.
    pub safe_until: Timestamp,
    /// What the operator wrote and what cannot be kept.
    pub warning: Option<String>,
}

/// What each rule says of one certificate, whichever of them decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many days after issue.
    pub days_after_issue: Timestamp,
    /// Two thirds of its life, or half of a short one.
    pub lifetime: Timestamp,
    /// The CA's suggestion, if there is one, and whether it counts: it has to end in time.
    pub suggested: Option<(Suggestion, bool)>,
    /// The last moment that leaves time for trouble.
    pub safe_until: Timestamp,
}

/// How much a renewal matters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not due.
    None,
    /// Due, with time to spare.
    Due,
    /// Behind the safe floor: no window or preference counts any more.
    Emergency,
    /// Not valid any more.
    Expired,
}

impl Due {
    /// How much the renewal matters at `now`, for a certificate that is valid until `not_after`.
    pub fn urgency(&self, now: Timestamp, not_after: Timestamp) -> Urgency {
        if now >= not_after {
            Urgency::Expired
        } else if now >= self.safe_until {
            Urgency::Emergency
        } else if now >= self.at {
            Urgency::Due
        } else {
            Urgency::None
        }
    }
}

/// What each rule says of a certificate with that validity.
pub fn rules(
    not_before: Timestamp,
    not_after: Timestamp,
    days: DaysAfterIssue,
    suggestion: Option<&Suggestion>,
) -> Rules {
    let life = not_after.since(not_before);
    let safe_until = not_before + life.saturating_sub(safe_floor(life));
    let counts = |s: &Suggestion| s.window.start < s.window.end && s.window.end <= safe_until;
    Rules {
        days_after_issue: not_before + DAY.saturating_mul(days.days),
        lifetime: not_before + renewed_after(life),
        suggested: suggestion.map(|suggestion| (*suggestion, counts(suggestion))),
        safe_until,
    }
}

/// Decides when a certificate with that validity is due.
pub fn due(
    not_before: Timestamp,
    not_after: Timestamp,
    days: DaysAfterIssue,
    suggestion: Option<&Suggestion>,
) -> Due {
    let life = not_after.since(not_before);
    let Rules {
        days_after_issue: wanted,
        lifetime,
        suggested,
        safe_until,
    } = rules(not_before, not_after, days, suggestion);
    let suggested = suggested
        .filter(|(_, counts)| *counts)
        .map(|(s, _)| s.chosen.max(s.window.start).min(s.window.end));
    let (at, because) = match suggested {
        Some(at) if days.written && wanted < at => (wanted, Because::DaysAfterIssue(days.days)),
        Some(at) => (at, Because::Suggested),
        None if wanted <= lifetime => (wanted, Because::DaysAfterIssue(days.days)),
        None => (lifetime, Because::Lifetime),
    };
    // What is due before the wish, because the CA asks for it, does not break it.
    let clamped = because == Because::Lifetime;
    let broken = days.written && (clamped || wanted > safe_until);
    Due {
        at,
        because,
        safe_until,
        warning: broken.then(|| {
            format!(
                "days-after-issue = {} cannot be kept: this certificate lives {}, so it is renewed \
                 after {}",
                days.days,
                in_words(life),
                in_words(at.since(not_before)),
            )
        }),
    }
}

/// The time before the end of a life that is kept for trouble: `min(max(7 days, L/6), L/3)`.
pub fn safe_floor(life: Duration) -> Duration {
    (life / 6).max(DAY * 7).min(life / 3)
}

/// True if a life is so short that half of it counts instead of two thirds.
pub fn renewed_at_half(life: Duration) -> bool {
    life < SHORT_LIFE
}

/// The age at which a certificate of that life is renewed, if nothing says that it is earlier.
pub fn renewed_after(life: Duration) -> Duration {
    if renewed_at_half(life) {
        life / 2
    } else {
        life / 3 * 2
    }
}

fn in_words(time: Duration) -> String {
    // A validity ends one second early by convention (RFC 5280 section 4.1.2.5); people round.
    let hours = (time.as_secs() + 60) / 3600;
    if hours >= 48 {
        format!("{} days", hours / 24)
    } else {
        format!("{hours} hours")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_unix(1_790_000_000);

    fn after(days: f64) -> Timestamp {
        if days < 0.0 {
            ISSUED - DAY.mul_f64(-days)
        } else {
            ISSUED + DAY.mul_f64(days)
        }
    }

    const fn days(days: u32, written: bool) -> DaysAfterIssue {
        DaysAfterIssue { days, written }
    }

    #[test]
    fn each_rule_decides_where_it_should() {
        // Life in days, setting, window of the CA in days -> due after days, rule, warned.
        let check = |life: f64, set, window: Option<(f64, f64)>, want: f64, because, warned| {
            let suggestion = window.map(|(start, end)| Suggestion {
                window: Window {
                    start: after(start),
                    end: after(end),
                },
                chosen: after((start + end) / 2.0),
            });
            let found = due(ISSUED, after(life), set, suggestion.as_ref());
            let case = format!("{life} {set:?} {window:?}: {found:?}");
            let distance = found.at.unix_ms().abs_diff(after(want).unix_ms());
            assert!(distance < 10, "{case}");
            assert_eq!(found.because, because, "{case}");
            assert_eq!(found.warning.is_some(), warned, "{case}");
        };
        let (unset, set) = (days(55, false), days(55, true));
        let by_days = Because::DaysAfterIssue;
        check(90.0, unset, None, 55.0, by_days(55), false);
        check(199.0, unset, None, 55.0, by_days(55), false);
        // The CA decides over a default, not over what the operator wrote.
        check(
            90.0,
            unset,
            Some((59.1, 60.9)),
            60.0,
            Because::Suggested,
            false,
        );
        check(90.0, set, Some((59.1, 60.9)), 55.0, by_days(55), false);
        check(
            90.0,
            days(70, true),
            Some((59.1, 60.9)),
            60.0,
            Because::Suggested,
            false,
        );
        // Before the safe floor, and yet later than is sound: it is said, and not done in silence.
        check(90.0, days(60, true), None, 60.0, by_days(60), false);
        check(90.0, days(70, true), None, 60.0, Because::Lifetime, true);
        check(90.0, days(70, false), None, 60.0, Because::Lifetime, false);
        // A life that shrank under the setting.
        check(
            64.0,
            unset,
            None,
            64.0 * 2.0 / 3.0,
            Because::Lifetime,
            false,
        );
        check(64.0, set, None, 64.0 * 2.0 / 3.0, Because::Lifetime, true);
        check(45.0, unset, None, 30.0, Because::Lifetime, false);
        check(45.0, set, None, 30.0, Because::Lifetime, true);
        check(
            45.0,
            set,
            Some((29.6, 30.4)),
            30.0,
            Because::Suggested,
            true,
        );
        check(45.0, days(20, true), None, 20.0, by_days(20), false);
        check(
            160.0 / 24.0,
            unset,
            None,
            80.0 / 24.0,
            Because::Lifetime,
            false,
        );
        // A window that ends behind the safe floor, and one without length, are no help.
        check(90.0, unset, Some((70.0, 80.0)), 55.0, by_days(55), false);
        check(
            45.0,
            unset,
            Some((40.0, 44.0)),
            30.0,
            Because::Lifetime,
            false,
        );
        check(90.0, unset, Some((60.0, 60.0)), 55.0, by_days(55), false);
        // Revoked: the window lies in the past, even before the issue.
        check(
            90.0,
            unset,
            Some((-1.0, -0.5)),
            -0.75,
            Because::Suggested,
            false,
        );
        // A certificate without life is due at once.
        check(0.0, unset, None, 0.0, Because::Lifetime, false);
    }

    #[test]
    fn the_warning_names_both_numbers() {
        let found = due(ISSUED, after(45.0), days(55, true), None);
        assert_eq!(
            found.warning.as_deref(),
            Some(
                "days-after-issue = 55 cannot be kept: this certificate lives 45 days, so it is \
                 renewed after 30 days"
            )
        );
    }

    #[test]
    fn urgency_grows_towards_the_end() {
        let end = after(90.0);
        let found = due(ISSUED, end, days(55, false), None);
        let check = |day, want| assert_eq!(found.urgency(after(day), end), want, "{day}");
        check(54.9, Urgency::None);
        check(55.0, Urgency::Due);
        check(74.9, Urgency::Due);
        check(75.0, Urgency::Emergency);
        check(90.0, Urgency::Expired);
    }

    #[test]
    fn the_floor_is_a_week_a_sixth_or_a_third() {
        let check = |life: u32, want: f64| {
            assert_eq!(safe_floor(DAY * life), DAY.mul_f64(want), "{life}");
        };
        check(90, 15.0);
        check(30, 7.0);
        check(6, 2.0);
        check(199, 199.0 / 6.0);
    }

    proptest! {
        #[test]
        fn never_due_behind_the_safe_floor_and_never_safe_behind_the_end(
            life in 0_u64..40_000_000,
            set in 1_u32..400,
            written: bool,
            start in -100_000_i64..50_000_000,
            length in -1000_i64..10_000_000,
            chosen in -1_000_000_i64..60_000_000,
        ) {
            let at = |seconds: i64| Timestamp::from_unix(ISSUED.unix() + seconds);
            let end = ISSUED + Duration::from_secs(life);
            let suggestion = Suggestion {
                window: Window { start: at(start), end: at(start + length) },
                chosen: at(chosen),
            };
            for suggestion in [None, Some(&suggestion)] {
                let found = due(ISSUED, end, days(set, written), suggestion);
                prop_assert!(found.at <= found.safe_until);
                prop_assert!(found.safe_until <= end);
                prop_assert!(life == 0 || found.safe_until < end);
                if written {
                    prop_assert!(found.at <= ISSUED + DAY * set);
                }
            }
        }
    }
}
