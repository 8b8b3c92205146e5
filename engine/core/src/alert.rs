//! What somebody has to be told about a certificate, and how often: once for each step that it
//! goes further down.
//!
//! What a newcomer gets wrong: an alert is about a state and not about an event. A renewal that fails
//! every day for a month is one message and then one more each time it has become worse, not thirty.

use std::fmt;
use std::time::Duration;

use crate::due::Due;
use crate::time::Timestamp;

/// Failures in a row behind which it is no blip any more.
pub const AGAIN: u32 = 3;

/// Days before the end at which it is told again, for a life of [`LIFE`]; others in proportion.
const DAYS: [u32; 5] = [30, 14, 7, 3, 1];

/// The life that [`DAYS`] are meant for.
const LIFE: u32 = 90;

/// How bad it is. The order is that of the steps: each is told once, and only on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A renewal has failed.
    Failed,
    /// It has failed several times.
    FailedAgain,
    /// It ends soon: the so many-th of five thresholds is passed, from 0.
    EndsSoon(u8),
    /// It is not valid any more.
    Expired,
}

impl Step {
    /// The stable name in JSON, in metrics and in what is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::FailedAgain => "failed-again",
            Self::EndsSoon(_) => "ends-soon",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The certificate that is in place, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPlace<'a> {
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// When it is renewed.
    pub due: &'a Due,
}

/// The step at which a certificate is, if there is anything to tell.
///
/// `failures` are those since it was last renewed. One that is not due is nobody's trouble, however
/// near its end it is: a life of hours has its renewal within hours.
pub fn step(failures: u32, in_place: Option<InPlace<'_>>, now: Timestamp) -> Option<Step> {
    let by_failures = match failures {
        0 => None,
        1..AGAIN => Some(Step::Failed),
        _ => Some(Step::FailedAgain),
    };
    let by_time = in_place.filter(|it| now >= it.due.at).and_then(|it| {
        if now >= it.not_after {
            return Some(Step::Expired);
        }
        let life = it.not_after.since(it.not_before);
        let left = it.not_after.since(now);
        let threshold = |days: u32| life.mul_f64(f64::from(days) / f64::from(LIFE));
        let passed = DAYS.iter().rposition(|days| left <= threshold(*days));
        let nth = u8::try_from(passed.unwrap_or(0)).unwrap_or(0);
        // The first threshold may lie before the floor, and even at the moment at which it is due: until the
        // floor only what keeps failing is told.
        let fails = failures >= AGAIN && passed.is_some();
        (fails || now >= it.due.safe_until).then_some(Step::EndsSoon(nth))
    });
    by_failures.max(by_time)
}

/// Ages at which it is told again that nobody can look: it may be nearer to an end than anybody sees.
const UNSEEN: [Duration; 2] = [
    Duration::from_secs(3 * 24 * 60 * 60),
    Duration::from_secs(7 * 24 * 60 * 60),
];

/// The step of what cannot even be looked at, so that only its age counts: from 1 on, the second after
/// three days, the third after a week, and one more for each week behind that.
pub fn unseen_step(age: Duration) -> u32 {
    let [second, week] = UNSEEN;
    let weeks = age.as_secs() / week.as_secs();
    let later = u32::try_from(weeks).unwrap_or(u32::MAX);
    (1 + u32::from(age >= second)).saturating_add(later)
}

/// What is to be told now, if `told` is the furthest step that was told since the last renewal.
pub fn next(step: Option<Step>, told: Option<Step>) -> Option<Step> {
    step.filter(|step| told.is_none_or(|told| *step > told))
}

/// How long before the end the thresholds of a life lie, longest first; for documentation.
pub fn thresholds(life: Duration) -> [Duration; 5] {
    DAYS.map(|days| life.mul_f64(f64::from(days) / f64::from(LIFE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::due;
    use crate::settings::DaysAfterIssue;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(life_days: u32, day: f64, failures: u32) -> Option<Step> {
        let from = Timestamp::from_unix(1_795_000_000);
        let to = from + DAY * life_days;
        let days = DaysAfterIssue {
            days: 55,
            written: false,
        };
        let due = due::due(from, to, days, None);
        let in_place = InPlace {
            not_before: from,
            not_after: to,
            due: &due,
        };
        step(failures, Some(in_place), from + DAY.mul_f64(day))
    }

    #[test]
    fn what_nobody_can_look_at_is_told_by_its_age() {
        let days = [
            (0.0, 1),
            (2.9, 1),
            (3.0, 2),
            (6.9, 2),
            (7.0, 3),
            (13.9, 3),
            (14.0, 4),
            (91.0, 15),
        ];
        for (age, step) in days {
            assert_eq!(unseen_step(DAY.mul_f64(age)), step, "after {age} days");
        }
        assert_eq!(unseen_step(Duration::MAX), u32::MAX);
    }

    #[test]
    fn each_state_has_its_step() {
        use Step::{EndsSoon, Expired, Failed, FailedAgain};
        let table = [
            // Life, day, failures, step.
            (90, 10.0, 0, None),
            (90, 56.0, 0, None),
            (90, 56.0, 1, Some(Failed)),
            (90, 57.0, 2, Some(Failed)),
            (90, 58.0, 3, Some(FailedAgain)),
            // Thirty days are left, and the floor is at fifteen.
            (90, 59.0, 9, Some(FailedAgain)),
            (90, 61.0, 0, None),
            (90, 61.0, 2, Some(Failed)),
            (90, 61.0, 3, Some(EndsSoon(0))),
            (90, 75.5, 0, Some(EndsSoon(0))),
            (90, 76.5, 20, Some(EndsSoon(1))),
            (90, 83.5, 0, Some(EndsSoon(2))),
            (90, 87.5, 0, Some(EndsSoon(3))),
            (90, 89.5, 0, Some(EndsSoon(4))),
            (90, 90.0, 0, Some(Expired)),
            // Not renewed by anybody's failure: the machine was off.
            (90, 200.0, 0, Some(Expired)),
            (45, 37.9, 0, Some(EndsSoon(0))),
            (6, 3.5, 1, Some(Failed)),
            (6, 4.1, 1, Some(EndsSoon(0))),
        ];
        for (life, day, failures, want) in table {
            let case = format!("{life} days, day {day}, {failures} failures");
            assert_eq!(at(life, day, failures), want, "{case}");
        }
        assert!(Expired > EndsSoon(4) && EndsSoon(0) > FailedAgain);
    }

    #[test]
    fn nothing_is_told_twice_and_nothing_on_the_way_up() {
        let failed = Some(Step::Failed);
        assert_eq!(next(failed, None), failed);
        assert_eq!(next(failed, failed), None);
        assert_eq!(next(failed, Some(Step::EndsSoon(0))), None);
        assert_eq!(next(Some(Step::Expired), failed), Some(Step::Expired));
        assert_eq!(next(None, None), None);
    }
}
