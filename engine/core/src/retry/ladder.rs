//! When a later run tries a certificate at a CA again: after 1, 10 and 100 minutes, then daily
//! (the advice of Let's Encrypt's integration guide), and faster again when time runs short.
//!
//! A CA that refuses the name itself, by its own rules or by CAA records, will say the same in a minute:
//! there the ladder begins with 100 minutes. A ladder belongs to one certificate at one CA. It ends with
//! a success, wherever that came from.
//! What a newcomer gets wrong: urgency shortens our own waits and nothing else. What the CA asked
//! for is kept, however late it is.

use std::time::Duration;

use super::spread;
use crate::name::CaName;
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// The rungs; the last one is repeated. With what it is spread by and an hourly timer it stays below a
/// day, so that nobody who could be asked for a day is missed.
const RUNGS: [Duration; 4] = [
    MINUTE,
    Duration::from_secs(10 * 60),
    Duration::from_secs(100 * 60),
    Duration::from_secs(18 * 60 * 60),
];

/// The rung on which it begins if the name itself was refused.
const FIRM: usize = 2;

/// Behind the safe floor the wait is at most this part of the time that is left.
const PART_OF_THE_REST: u32 = 24;

/// However urgent it is: never sooner than this after more than two failures. Five failed
/// validations an hour are what the strictest limit allows.
const SHORTEST: Duration = Duration::from_secs(15 * 60);

/// One attempt that gave no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The CA that was asked.
    pub ca: CaName,
    /// When it ended.
    pub at: Timestamp,
    /// True if the trouble was the CA's, so that another CA may do better.
    pub theirs: bool,
    /// True if the CA looked at a name and refused it, so that the same will happen again unless
    /// something was changed.
    pub rejected: bool,
    /// True if that was the name itself, and not what the CA saw in the DNS: nothing that spreads with
    /// time can change it.
    pub firm: bool,
    /// True if it was this machine: its network, roots or a proxy that cannot be used, a secret that
    /// cannot be read. No CA had a part in it.
    pub local: bool,
    /// True if a limit of the CA was used up: it says nothing against what was asked for.
    pub limited: bool,
    /// Until when somebody asked to be left alone: the CA, or if the trouble was not the CA's, whoever
    /// it was that every CA needs.
    pub until: Option<Timestamp>,
    /// True if a rehearsal for this CA has gone well since.
    pub rehearsed: bool,
}

/// Longest time for which a CA is left alone because it asked for it. Longer is no wait but a mistake,
/// and a certificate must not run out over it.
const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Failed {
    /// The attempt as it counts at `now`. One that seems to lie a little ahead counts as if it were made
    /// now; one that lies further ahead was written by a clock that was wrong, and does not count. Its wait is
    /// taken away by the next run, or it would count once its time has come.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Option<Self> {
        if self.at.is_ahead_of(now) {
            return None;
        }
        let at = self.at.min(now);
        let until = self
            .until
            .map(|until| at + until.since(self.at).min(LONGEST_ASKED));
        Some(Self {
            at,
            until,
            ..self.clone()
        })
    }
}

/// Longer than any wait between two tries, be it for a limit of a week or for a timer that runs once in
/// one: what failed before such a gap was about a need that is gone, such as names that were taken out of
/// the configuration again.
pub const GAP: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// True if what failed then may be about what is needed now. What lies ahead was written by a clock that was
/// wrong.
pub fn is_of_now(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) <= GAP && !at.is_ahead_of(now)
}

/// How many attempts count at `now` for the need of now, whatever other clocks have written.
pub fn count(failed: &[Failed], now: Timestamp) -> u32 {
    let failed: Vec<_> = failed.iter().filter_map(|one| one.as_of(now)).collect();
    u32::try_from(in_a_row(&failed, now).len()).unwrap_or(u32::MAX)
}

/// The attempts, oldest first, that belong to the need of now: those behind the last gap in which nobody
/// had to try. Whoever was asked to wait for longer has not lost the need.
pub fn in_a_row(failed: &[Failed], now: Timestamp) -> &[Failed] {
    let mut next = now;
    let mut from = failed.len();
    for (nth, one) in failed.iter().enumerate().rev() {
        let waited = one.until.map_or(one.at, |until| until.max(one.at));
        if next.since(waited) > GAP {
            break;
        }
        (next, from) = (one.at, nth);
    }
    failed.get(from..).unwrap_or_default()
}

/// Whether the next order at a CA names the certificate that it replaces (RFC 9773 section 5): by turns,
/// beginning with naming it. There are CAs that stumble over a predecessor each time they are told of it,
/// whatever they answer then; and with many certificates only an order that names one is exempt from limits.
pub fn names_predecessor(failed: &[Failed], ca: &CaName, now: Timestamp) -> bool {
    let failed: Vec<_> = failed
        .iter()
        .filter(|one| one.ca == *ca && one.theirs && !one.limited)
        .filter_map(|one| one.as_of(now))
        .collect();
    in_a_row(&failed, now).len().is_multiple_of(2)
}

/// Sums up attempts at one CA, oldest first: all of them, which the ladder counts, and those that
/// were the CA's own, which the policy of fail-over counts. None if there are none.
pub fn troubles<'a>(
    failed: impl IntoIterator<Item = &'a Failed>,
) -> Option<(Trouble, Option<Trouble>)> {
    let mut all: Option<Trouble> = None;
    let mut theirs: Option<Trouble> = None;
    for one in failed {
        add(&mut all, one);
        if one.theirs {
            add(&mut theirs, one);
        }
    }
    all.map(|all| (all, theirs))
}

fn add(sum: &mut Option<Trouble>, one: &Failed) {
    let earlier = sum.as_ref();
    // A network that is down keeps nobody from beginning at the foot once it is back, and what the CA
    // has done before it went away is not forgotten.
    let (theirs, in_a_row) = earlier.map_or((0, 0), |sum| (sum.climbed.0, sum.climbed.1));
    let climbed = if one.local {
        (theirs, in_a_row.saturating_add(1))
    } else {
        (theirs.saturating_add(1), 0)
    };
    *sum = Some(Trouble {
        climbed,
        failures: earlier.map_or(0, |sum| sum.failures).saturating_add(1),
        first: earlier.map_or(one.at, |sum| sum.first.min(one.at)),
        last: earlier.map_or(one.at, |sum| sum.last.max(one.at)),
        until: earlier.and_then(|sum| sum.until).max(one.until),
        local: one.local,
        firm: one.firm,
    });
}

/// Failures of one certificate at one CA since it was last renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// How many; at least 1.
    pub failures: u32,
    /// How many were not this machine's network, and how many that were it came last in a row.
    pub climbed: (u32, u32),
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// Until when somebody asked to be left alone.
    pub until: Option<Timestamp>,
    /// True if the last one was this machine's network: nobody was bothered, so it is looked at
    /// again soon.
    pub local: bool,
    /// True if the last one was a refusal of the name itself.
    pub firm: bool,
}

/// The end of the time in which a certificate has to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The last moment that leaves time for trouble.
    pub safe_until: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// The moment of the next try after `trouble`; `deadline` is that of the certificate in place, if
/// there is one. `chance` is any number that stays the same for this trouble; it spreads the wait.
pub fn next_try(trouble: &Trouble, deadline: Option<Deadline>, chance: u64) -> Timestamp {
    let (others, offline) = trouble.climbed;
    let climbed = if trouble.local { offline } else { others };
    let climbed = usize::try_from(climbed.max(1) - 1).unwrap_or(usize::MAX);
    let failed = if trouble.firm {
        climbed.max(FIRM)
    } else {
        climbed
    };
    let last = if trouble.local {
        RUNGS.len() - 2
    } else {
        RUNGS.len() - 1
    };
    let wait = spread(RUNGS[failed.min(last)], chance);
    let own = match deadline {
        Some(deadline) => hurried(trouble.last, wait, deadline),
        None => trouble.last + wait,
    };
    trouble.until.map_or(own, |until| own.max(until))
}

/// For so long behind the end it is tried as often as just before it.
const DAY_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// From then on so often.
const NEARLY_AN_HOUR: Duration = Duration::from_secs(50 * 60);

/// Shortens a wait that begins or ends behind the safe floor.
fn hurried(last: Timestamp, wait: Duration, deadline: Deadline) -> Timestamp {
    let planned = last + wait;
    if planned <= deadline.safe_until {
        return planned;
    }
    // A wait that crosses the floor ends there; from then on it is a part of what is left.
    let from = last.max(deadline.safe_until);
    let left = deadline.not_after.since(from);
    let most = if left.is_zero() {
        // Each minute of the first day somebody waits for it; and a timer of an hour passes over no run.
        let over = from.since(deadline.not_after);
        if over < DAY_OVER {
            SHORTEST
        } else {
            NEARLY_AN_HOUR
        }
    } else {
        (left / PART_OF_THE_REST).max(SHORTEST)
    };
    if last < deadline.safe_until {
        planned.min(deadline.safe_until)
    } else {
        planned.min(last + most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// Moves nothing.
    const MIDDLE: u64 = 250;

    fn trouble(failures: u32, until: Option<Duration>) -> Trouble {
        Trouble {
            failures,
            climbed: (failures, 0),
            first: START,
            last: START,
            until: until.map(|wait| START + wait),
            local: false,
            firm: false,
        }
    }

    #[test]
    fn what_a_wrong_clock_has_written_holds_nothing_up() {
        let now = Timestamp::from_unix(1_795_000_000);
        let year = Duration::from_secs(365 * 86_400);
        let failed = |at, until| Failed {
            ca: CaName::parse("one").expect("a literal name"),
            at,
            theirs: true,
            rejected: false,
            firm: false,
            local: false,
            until,
            limited: false,
            rehearsed: false,
        };
        let check = |at, until, want_at, want_until| {
            let seen = failed(at, until).as_of(now).expect("it counts");
            assert_eq!((seen.at, seen.until), (want_at, want_until));
        };
        let earlier = now - HOUR;
        check(earlier, None, earlier, None);
        check(earlier, Some(now + HOUR), earlier, Some(now + HOUR));
        // A clock that is a little slower than it was.
        check(
            now + MINUTE,
            Some(now + HOUR),
            now,
            Some(now + HOUR - MINUTE),
        );
        // A clock that was years ahead, or an hour: looked at a second time it would still lie ahead.
        for ahead in [HOUR, year * 9] {
            let future = failed(now + ahead, Some(now + ahead + HOUR));
            assert_eq!(future.as_of(now), None);
            assert_eq!(future.as_of(now + MINUTE), None);
        }
        // A wait that is none.
        check(
            earlier,
            Some(now + year * 70),
            earlier,
            Some(earlier + LONGEST_ASKED),
        );
    }

    #[test]
    fn waits_climb_to_nearly_a_day_and_hurry_at_the_end() {
        // Failures, days of safety and of validity left, asked wait -> wait.
        let check =
            |failures, left: Option<(f64, f64)>, asked: Option<Duration>, want: Duration| {
                let day = |days: f64| match days < 0.0 {
                    true => START - DAY.mul_f64(-days),
                    false => START + DAY.mul_f64(days),
                };
                let deadline = left.map(|(safe, valid)| Deadline {
                    safe_until: day(safe),
                    not_after: day(valid),
                });
                let found = next_try(&trouble(failures, asked), deadline, MIDDLE).since(START);
                assert_eq!(found, want, "{failures} {left:?} {asked:?}");
            };
        let calm = Some((20.0, 35.0));
        check(1, calm, None, MINUTE);
        check(2, calm, None, MINUTE * 10);
        check(3, calm, None, MINUTE * 100);
        check(4, calm, None, HOUR * 18);
        check(400, calm, None, HOUR * 18);
        check(4, None, None, HOUR * 18);
        // A day's wait that would cross the floor ends at the floor.
        check(9, Some((0.5, 15.5)), None, DAY / 2);
        // Behind it the wait is a part of what is left.
        check(9, Some((-3.0, 12.0)), None, HOUR * 12);
        check(9, Some((-13.0, 2.0)), None, HOUR * 2);
        check(9, Some((-15.0, 0.1)), None, SHORTEST);
        check(2, Some((-15.0, 0.1)), None, MINUTE * 10);
        check(9, Some((-16.0, 0.0)), None, SHORTEST);
        check(9, Some((-17.0, -0.9)), None, SHORTEST);
        check(9, Some((-18.0, -1.1)), None, NEARLY_AN_HOUR);
        // What the CA asks for is kept, however urgent it is.
        check(1, calm, Some(HOUR), HOUR);
        check(9, Some((-15.0, 0.1)), Some(DAY), DAY);
        check(4, calm, Some(HOUR), HOUR * 18);
    }

    #[test]
    fn attempts_are_summed_up_by_whose_trouble_they_were() {
        let ca = CaName::parse("one").expect("a literal name");
        let failed = |minutes: u32, theirs, local, until: Option<u32>| Failed {
            ca: ca.clone(),
            at: START + MINUTE * minutes,
            theirs,
            rejected: false,
            firm: false,
            local,
            until: until.map(|minutes| START + MINUTE * minutes),
            limited: false,
            rehearsed: false,
        };
        let list = [
            failed(0, true, false, Some(90)),
            failed(5, false, true, None),
            failed(9, true, false, Some(30)),
        ];
        let (all, theirs) = troubles(&list).expect("three attempts");
        assert_eq!((all.failures, all.first, all.local), (3, START, false));
        assert_eq!(all.last, START + MINUTE * 9);
        assert_eq!(all.until, Some(START + MINUTE * 90));
        assert_eq!(theirs.map(|theirs| theirs.failures), Some(2));
        assert_eq!(troubles(&[]), None);
    }

    #[test]
    fn a_refused_name_is_not_asked_for_again_in_a_minute() {
        let check = |failures, left: Option<(f64, f64)>, want| {
            let deadline = left.map(|(safe, valid)| Deadline {
                safe_until: START + DAY.mul_f64(safe),
                not_after: START + DAY.mul_f64(valid),
            });
            let firm = Trouble {
                firm: true,
                ..trouble(failures, None)
            };
            let found = next_try(&firm, deadline, MIDDLE).since(START);
            assert_eq!(found, want, "{failures} {left:?}");
        };
        let calm = Some((20.0, 35.0));
        check(1, calm, MINUTE * 100);
        check(1, None, MINUTE * 100);
        check(2, calm, MINUTE * 100);
        check(3, calm, MINUTE * 100);
        check(4, calm, HOUR * 18);
        check(9, calm, HOUR * 18);
        // It hurries where there is no time, as every other wait.
        check(1, Some((0.0, 0.5)), MINUTE * 30);
        // Only the last failure says what comes next.
        let ca = CaName::parse("one").expect("a literal name");
        let failed = |minutes: u32, firm| Failed {
            ca: ca.clone(),
            at: START + MINUTE * minutes,
            theirs: true,
            rejected: true,
            firm,
            local: false,
            until: None,
            limited: false,
            rehearsed: false,
        };
        for firm in [false, true] {
            let (all, _) = troubles(&[failed(0, !firm), failed(5, firm)]).expect("two");
            assert_eq!(all.firm, firm);
        }
    }

    #[test]
    fn a_network_that_is_down_is_looked_at_again_soon() {
        let offline = Trouble {
            local: true,
            climbed: (1, 49),
            ..trouble(50, None)
        };
        let wait = next_try(&offline, None, MIDDLE).since(START);
        assert_eq!(wait, MINUTE * 100);
    }

    #[test]
    fn what_failed_for_a_need_that_is_gone_does_not_count() {
        let ca = CaName::parse("one").expect("a literal name");
        let now = START + DAY * 57;
        let at = |hours: u32, until: Option<u32>| Failed {
            ca: ca.clone(),
            at: now - HOUR * hours,
            theirs: true,
            rejected: false,
            firm: false,
            local: false,
            until: until.map(|hours| now - HOUR * hours),
            limited: false,
            rehearsed: false,
        };
        type Case<'a> = (&'a [(u32, Option<u32>)], usize);
        let table: [Case<'_>; 7] = [
            (&[], 0),
            (&[(191, None)], 1),
            (&[(193, None)], 0),
            // Names that were wrong for a day, weeks ago; then the CA is down.
            (&[(1128, None), (1127, None), (2, None)], 1),
            // Each day, for two weeks.
            (&[(88, None), (66, None), (44, None), (22, None)], 4),
            // Each week.
            (&[(505, None), (337, None), (169, None), (1, None)], 4),
            // It was asked to wait for seven days, and the timer runs each week.
            (&[(340, None), (330, Some(162)), (1, None)], 3),
        ];
        for (all, want) in table {
            let all: Vec<_> = all
                .iter()
                .map(|(hours, until)| at(*hours, *until))
                .collect();
            assert_eq!(in_a_row(&all, now).len(), want, "{all:?}");
        }
        // A clock that was ahead has written some.
        let ahead = |days: u32| Failed {
            at: now + DAY * days,
            ..at(0, None)
        };
        let all = [
            ahead(100),
            ahead(101),
            at(3, None),
            at(2, None),
            at(1, None),
        ];
        assert_eq!(count(&all, now), 3);
        assert_eq!(count(&all[..2], now), 0);
        assert!(!is_of_now(now + DAY, now) && is_of_now(now + MINUTE, now));
    }

    #[test]
    fn a_predecessor_is_named_by_turns() {
        let ca = |name: &str| CaName::parse(name).expect("a literal name");
        let failed = |name: &str, theirs| Failed {
            ca: ca(name),
            at: START,
            theirs,
            rejected: false,
            firm: false,
            local: !theirs,
            until: None,
            limited: false,
            rehearsed: false,
        };
        let table: [(&[(&str, bool)], bool); 5] = [
            (&[], true),
            (&[("one", true)], false),
            (&[("one", true), ("one", true)], true),
            // Neither this machine's trouble nor another CA's says anything of it.
            (&[("one", false), ("two", true)], true),
            (&[("two", true), ("one", true), ("one", false)], false),
        ];
        for (all, want) in table {
            let list: Vec<_> = all
                .iter()
                .map(|(name, theirs)| failed(name, *theirs))
                .collect();
            assert_eq!(
                names_predecessor(&list, &ca("one"), START + HOUR),
                want,
                "{all:?}"
            );
        }
        // A limit says nothing against it.
        let limited = Failed {
            limited: true,
            ..failed("one", true)
        };
        assert!(names_predecessor(&[limited], &ca("one"), START + HOUR));
        // What failed for a need that is gone.
        assert!(names_predecessor(
            &[failed("one", true)],
            &ca("one"),
            START + DAY * 9
        ));
    }

    #[test]
    fn a_network_that_was_down_does_not_climb_the_ladder_of_a_ca() {
        let ca = CaName::parse("one").expect("a literal name");
        let failed = |local: bool| Failed {
            ca: ca.clone(),
            at: START,
            theirs: !local,
            rejected: false,
            firm: false,
            local,
            until: None,
            limited: false,
            rehearsed: false,
        };
        let table: [(&[bool], Duration); 6] = [
            (&[false], MINUTE),
            // Offline the whole night, then the CA's first failure.
            (&[true, true, true, true, true, false], MINUTE),
            (&[true, true, true, false, false], MINUTE * 10),
            // Two of the CA's, then the network goes away: looked at soon.
            (&[false, false, true], MINUTE),
            (&[false, false, true, true], MINUTE * 10),
            // It is back, and the CA has failed three times by now.
            (&[false, false, true, true, false], MINUTE * 100),
        ];
        for (all, want) in table {
            let all: Vec<_> = all.iter().map(|local| failed(*local)).collect();
            let (trouble, _) = troubles(&all).expect("some");
            let wait = next_try(&trouble, None, MIDDLE).since(START);
            assert_eq!(wait, want, "{trouble:?}");
        }
    }

    proptest! {
        #[test]
        fn never_sooner_than_asked_and_never_later_than_a_day_and_a_quarter(
            failures in 1_u32..2000,
            safe in -2_000_000_i64..2_000_000,
            rest in 0_i64..2_000_000,
            asked in proptest::option::of(0_u64..1_000_000),
            chance: u64,
        ) {
            let deadline = Deadline {
                safe_until: Timestamp::from_unix(START.unix() + safe),
                not_after: Timestamp::from_unix(START.unix() + safe + rest),
            };
            let asked = asked.map(Duration::from_secs);
            let trouble = trouble(failures, asked);
            let at = next_try(&trouble, Some(deadline), chance);
            prop_assert!(at > START || asked.is_none() && deadline.safe_until <= START);
            prop_assert!(at >= START);
            prop_assert!(asked.is_none_or(|asked| at >= START + asked));
            let most = asked.unwrap_or_default().max(DAY + DAY / 4);
            prop_assert!(at <= START + most);
            // No deadline is ever slower than none.
            prop_assert!(at <= next_try(&trouble, None, chance));
        }
    }
}
