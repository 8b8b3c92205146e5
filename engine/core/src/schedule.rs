//! When a certificate that is due is really renewed.
//!
//! [`due`](crate::due) says from when on a renewal is right; this module picks the moment: inside of
//! an off-peak window if there are any, else a little earlier by chance, so that certificates of one
//! day do not all come back on one day, and never at the top of an hour, when everybody comes. What
//! a newcomer gets wrong: a window may move a renewal back, but never behind the safe floor; where
//! no window is left before it, the window loses.

use std::time::Duration;

use crate::calendar::Calendar;
use crate::due::{Because, Due, Suggestion, Urgency};
use crate::name::CertificateName;
use crate::time::{Timestamp, Window};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: i64 = 60 * 60;

/// Windows are looked for so much earlier first; a week and a day, so that a weekly one is found.
const EARLIER: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// The distance of two runs of a timer.
pub const TIMER: Duration = Duration::from_secs(60 * 60);

/// When a certificate is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// From then on.
    pub at: Timestamp,
    /// How it came to be then.
    pub placed: Placed,
}

/// How the moment of a renewal was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// By chance, shortly before it is due, or where the CA's suggestion was drawn.
    Spread,
    /// In an off-peak window.
    InWindow,
    /// No window is left in time, so none counts.
    WithoutWindow,
}

/// A number that looks random and is the same each time for one version of a certificate.
pub fn chance(name: &CertificateName, version: u32) -> u64 {
    // FNV-1a, then a final mix: near names must not give near numbers.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.as_str().bytes().chain(version.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// Picks the moment for a certificate that was issued at `issued`.
pub fn moment(
    due: &Due,
    issued: Timestamp,
    suggestion: Option<&Suggestion>,
    calendar: &Calendar,
    chance: u64,
) -> Moment {
    let suggested = suggestion.filter(|_| due.because == Because::Suggested);
    // What was drawn from the CA's window is random already.
    let spread = match suggested {
        Some(suggestion) => off_the_hour(due.at, chance, suggestion.window.start.max(issued)),
        None => {
            let most = (due.at.since(issued) / 40).min(DAY);
            off_the_hour(due.at - part(most, chance), chance, issued)
        }
    };
    // Days without work move only what falls on them.
    if calendar.is_empty() || (calendar.windows.is_empty() && calendar.is_open(spread)) {
        return Moment {
            at: spread,
            placed: Placed::Spread,
        };
    }
    let in_window = |open: &Window| Moment {
        at: open.start + part(open.end.since(open.start), chance),
        placed: Placed::InWindow,
    };
    if let Some(suggestion) = suggested {
        // Within the CA's own window the renewal keeps its exemption from rate limits.
        let end = suggestion.window.end.min(due.safe_until);
        let open = calendar.open_between(suggestion.window.start.max(issued), end);
        if let Some(open) = pick(&open, chance) {
            return in_window(open);
        }
    }
    let half = issued + due.at.since(issued) / 2;
    let soon = (due.at - EARLIER).max(half);
    let mut open = calendar.open_between(soon, due.at);
    if open.is_empty() {
        // A blackout may be longer; what is behind it comes with less time for trouble.
        open = calendar.open_between(half, due.at);
    }
    if let Some(open) = open.last() {
        // Where only days without work are named, it is like the usual spread: about as long before as they last.
        let most = match calendar.windows.is_empty() {
            true => due.at.since(open.end).clamp(DAY, EARLIER),
            false => EARLIER,
        };
        let start = open.start.max(open.end - most);
        return in_window(&Window {
            start,
            end: open.end,
        });
    }
    match calendar.open_between(due.at, due.safe_until).first() {
        Some(open) => in_window(open),
        None => Moment {
            at: spread,
            placed: Placed::WithoutWindow,
        },
    }
}

/// Whether the moment lies in a window behind whose end the next run would come, which may be as far off
/// as `next_run`. A timer that has one run in the window would miss it otherwise, and one that has none
/// comes before it: earlier is allowed, and never is not.
pub fn last_run(moment: &Moment, calendar: &Calendar, now: Timestamp, next_run: Duration) -> bool {
    moment.placed == Placed::InWindow
        && moment.at > now
        && ends_before(calendar, now, next_run).is_some_and(|open| moment.at <= open.end)
}

/// The window that is open, or the next one, if it has ended when the next run comes. On a day without
/// work nothing is begun for a window behind it.
fn ends_before(calendar: &Calendar, now: Timestamp, next_run: Duration) -> Option<Window> {
    let next = now + next_run;
    let open = *calendar.open_between(now, next).first()?;
    (open.end < next && !calendar.is_blacked_out(now)).then_some(open)
}

/// Whether a renewal whose moment has come may start at `now`; if not, when.
///
/// A run may miss the moment, because the machine was off; then the next window counts. What is
/// urgent counts more than any window, and so does that the next run, which may be as far off as `next_run`,
/// would come behind the next window. The answer lies in the first hour of the window, and windows begin
/// at full hours: not everybody is to begin there.
pub fn held(
    due: &Due,
    urgency: Urgency,
    calendar: &Calendar,
    (now, next_run): (Timestamp, Duration),
    chance: u64,
) -> Option<Timestamp> {
    if urgency >= Urgency::Emergency || calendar.is_open(now) {
        return None;
    }
    if ends_before(calendar, now, next_run).is_some() {
        return None;
    }
    let next = *calendar.open_between(now, due.safe_until).first()?;
    let length = next.end.since(next.start).min(TIMER);
    // Not at its very end, either.
    let minute = Duration::from_secs(60).min(length / 2);
    Some(next.start + minute.max(part(length, chance.rotate_left(8))))
}

/// One of several windows, each as likely as it is long.
fn pick(open: &[Window], chance: u64) -> Option<&Window> {
    let length = |one: &Window| one.end.since(one.start) + Duration::from_millis(1);
    let all: Duration = open.iter().map(length).sum();
    // Another draw than the one within the window.
    let mut rest = part(all, chance.rotate_left(32));
    for one in open {
        let own = length(one);
        if rest < own {
            return Some(one);
        }
        rest -= own;
    }
    open.last()
}

/// A part of `whole`, by chance.
fn part(whole: Duration, chance: u64) -> Duration {
    whole.mul_f64((chance % 1_000_000) as f64 / 1_000_000.0)
}

/// Moves a moment in the first or the last minute of an hour to somewhere within the hour before.
fn off_the_hour(at: Timestamp, chance: u64, earliest: Timestamp) -> Timestamp {
    let second = at.unix().rem_euclid(HOUR);
    if (60..HOUR - 60).contains(&second) {
        return at;
    }
    let earlier = Duration::from_secs(120 + chance.rotate_left(16) % 3400);
    (at - earlier).max(earliest)
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, TimeZoneDatabase};
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::{parse_blackout, parse_window};
    use crate::due;
    use crate::settings::DaysAfterIssue;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a literal time")
    }

    fn calendar(windows: &[&str], blackout: &[&str]) -> Calendar {
        let zones = TimeZoneDatabase::bundled();
        let window = |text: &&str| parse_window(text, &zones, &TimeZone::UTC).expect("a window");
        let days = |text: &&str| parse_blackout(text, &zones, &TimeZone::UTC).expect("days");
        Calendar {
            windows: windows.iter().map(window).collect(),
            blackout: blackout.iter().map(days).collect(),
        }
    }

    /// A certificate of 90 days whose day 55 is Sunday, 2027-01-17 04:37.
    fn ninety(suggestion: Option<&Suggestion>) -> (Due, Timestamp) {
        let issued = at("2026-11-23T04:37:00Z");
        let days = DaysAfterIssue {
            days: 55,
            written: false,
        };
        let due = due::due(issued, issued + DAY * 90, days, suggestion);
        (due, issued)
    }

    #[test]
    fn windows_move_a_renewal_back_to_the_last_one_before_it_is_due() {
        let (due, issued) = ninety(None);
        let check = |windows: &[&str], blackout: &[&str], from: &str, until: &str, placed| {
            let calendar = calendar(windows, blackout);
            for chance in [0, 1, 499_999, 999_999, u64::MAX] {
                let found = moment(&due, issued, None, &calendar, chance);
                assert_eq!(found.placed, placed, "{windows:?}");
                assert!(
                    at(from) <= found.at && found.at <= at(until),
                    "{windows:?} {blackout:?}: {}",
                    found.at
                );
            }
        };
        let night = ["Mon-Fri 01:00-05:00 Europe/Berlin"];
        let (from, until) = ("2027-01-15T00:00:00Z", "2027-01-15T04:00:00Z");
        check(&night, &[], from, until, Placed::InWindow);
        // A weekly one, the last time before.
        let weekly = ["Mon 02:00-03:00"];
        let (from, until) = ("2027-01-11T02:00:00Z", "2027-01-11T03:00:00Z");
        check(&weekly, &[], from, until, Placed::InWindow);
        // A blackout covers those of the last days: the last one before it.
        let (from, until) = ("2026-12-28T02:00:00Z", "2026-12-28T03:00:00Z");
        check(
            &weekly,
            &["2027-01-01..2027-01-20"],
            from,
            until,
            Placed::InWindow,
        );
        // Without windows in the week before it.
        let (from, until) = ("2026-12-23T23:59:59Z", "2027-01-01T00:00:00Z");
        check(
            &[],
            &["2027-01-01..2027-01-20"],
            from,
            until,
            Placed::InWindow,
        );
        // A short one moves it by a day, and one that is over moves nothing.
        let (from, until) = ("2027-01-14T19:20:00Z", "2027-01-16T00:00:00Z");
        let weekend = ["2027-01-16..2027-01-17"];
        check(&[], &weekend, from, until, Placed::InWindow);
        let (from, until) = ("2027-01-16T03:37:00Z", "2027-01-17T04:37:00Z");
        for other in [
            "2020-12-18..2021-01-04",
            "2027-01-18",
            "2030-12-18..2031-01-04",
        ] {
            check(&[], &[other], from, until, Placed::Spread);
        }
        // It begins when half of the time has not passed: the next one after it.
        let (from, until) = ("2027-01-25T02:00:00Z", "2027-01-25T03:00:00Z");
        check(
            &weekly,
            &["2026-12-20..2027-01-20"],
            from,
            until,
            Placed::InWindow,
        );
        // Nothing is left before the safe floor of 2027-02-06.
        let (from, until) = ("2027-01-16T03:37:00Z", "2027-01-17T04:37:00Z");
        check(
            &night,
            &["2026-12-10..2027-02-10"],
            from,
            until,
            Placed::WithoutWindow,
        );
    }

    #[test]
    fn within_the_window_of_the_ca_if_one_of_ours_is_in_it() {
        let suggestion = Suggestion {
            window: Window {
                start: at("2027-01-21T07:00:00Z"),
                end: at("2027-01-23T02:00:00Z"),
            },
            chosen: at("2027-01-22T12:00:00Z"),
        };
        let (due, issued) = ninety(Some(&suggestion));
        assert_eq!(due.because, Because::Suggested);
        let night = calendar(&["01:00-05:00"], &[]);
        let mut days = std::collections::BTreeSet::new();
        for chance in (0..200).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let found = moment(&due, issued, Some(&suggestion), &night, chance).at;
            assert!(night.is_open(found), "{found}");
            assert!(suggestion.window.start <= found && found <= suggestion.window.end);
            days.insert(found.to_string().chars().take(10).collect::<String>());
        }
        assert_eq!(days.len(), 2, "both nights of the window are used");
        // None of ours is in it: the last one before what was drawn.
        let sunday = calendar(&["Sun 01:00-05:00"], &[]);
        let found = moment(&due, issued, Some(&suggestion), &sunday, 7).at;
        assert_eq!(&found.to_string()[..10], "2027-01-17");
        // Without windows what was drawn stays, but for the top of an hour.
        let none = Calendar::default();
        let found = moment(&due, issued, Some(&suggestion), &none, 7).at;
        let earlier = suggestion.chosen.since(found).as_secs();
        assert!((120..3600).contains(&earlier), "{found}");
        let other = Suggestion {
            chosen: at("2027-01-22T12:34:56Z"),
            ..suggestion
        };
        let (due, issued) = ninety(Some(&other));
        let found = moment(&due, issued, Some(&other), &none, 7).at;
        assert_eq!(found, other.chosen);
    }

    #[test]
    fn many_certificates_of_one_moment_spread_over_a_day() {
        let (due, issued) = ninety(None);
        let none = Calendar::default();
        let mut hours = [0_u32; 25];
        for n in 0..2400 {
            let name = CertificateName::parse(&format!("host-{n}")).expect("a name");
            let found = moment(&due, issued, None, &none, chance(&name, 1)).at;
            let earlier = due.at.since(found);
            assert!(earlier <= DAY + Duration::from_secs(3600), "{earlier:?}");
            let second = found.unix().rem_euclid(HOUR);
            assert!((60..HOUR - 60).contains(&second), "{found}");
            hours[usize::try_from(earlier.as_secs() / 3600).unwrap_or(24)] += 1;
        }
        let fullest = hours.iter().max().copied().unwrap_or_default();
        assert!(fullest < 200, "{hours:?}");
    }

    #[test]
    fn a_missed_moment_waits_for_the_next_window_unless_it_is_urgent() {
        let (due, _) = ninety(None);
        let night = calendar(&["01:00-05:00"], &[]);
        let noon = at("2027-01-18T12:00:00Z");
        let held = |urgency, calendar: &Calendar, now, chance| {
            held(&due, urgency, calendar, (now, Duration::ZERO), chance)
        };
        // Nobody begins at the full hour, and not everybody in the same minute.
        let mut minutes = std::collections::BTreeSet::new();
        for n in 0..200 {
            let name = CertificateName::parse(&format!("host-{n}")).expect("a name");
            let next = held(Urgency::Due, &night, noon, chance(&name, 1)).expect("a night");
            let into = next.since(at("2027-01-19T01:00:00Z")).as_secs();
            assert!((60..3600).contains(&into), "{next}");
            minutes.insert(into / 60);
        }
        assert!(minutes.len() > 50, "{minutes:?}");
        assert_eq!(held(Urgency::Emergency, &night, noon, 7), None);
        let inside = at("2027-01-18T04:00:00Z");
        assert_eq!(held(Urgency::Due, &night, inside, 7), None);
        // A timer that never comes in a short window comes before it, but for a day without work.
        let hourly = |calendar: &Calendar, now| {
            super::held(&due, Urgency::Due, calendar, (at(now), TIMER), 7).is_some()
        };
        let short = calendar(&["01:20-01:40"], &[]);
        assert!(hourly(&short, "2027-01-18T23:50:00Z"));
        assert!(hourly(&short, "2027-01-19T00:30:00Z"));
        assert!(!hourly(&short, "2027-01-19T00:50:00Z"));
        assert!(hourly(&short, "2027-01-19T01:50:00Z"));
        let closed = calendar(&["00:20-00:40"], &["2027-01-18"]);
        assert!(hourly(&closed, "2027-01-18T23:50:00Z"));
        assert!(!hourly(&closed, "2027-01-19T23:50:00Z"));
        // A short one.
        for minutes in ["01:00-01:10", "01:00-01:01"] {
            let short = calendar(&[minutes], &[]);
            for chance in 0..99_u64 {
                let next = held(Urgency::Due, &short, noon, chance << 50).expect("a night");
                assert!(short.is_open(next), "{next}");
            }
        }
        // The next one would come too late.
        let last = at("2027-02-06T03:00:00Z");
        let far = calendar(&["Mon 01:00-05:00"], &[]);
        assert_eq!(held(Urgency::Due, &far, last, 7), None);
    }

    proptest! {
        #[test]
        fn never_behind_the_safe_floor_and_never_before_the_issue(
            life in 3_600_u64..40_000_000,
            days in 1_u32..200,
            chance: u64,
            from in 0_u32..1440,
            minutes in 1_u32..1440,
            weekday in 0_usize..7,
        ) {
            let issued = at("2026-11-23T04:37:00Z");
            let days = DaysAfterIssue { days, written: false };
            let due = due::due(issued, issued + Duration::from_secs(life), days, None);
            let mut one = [false; 7];
            one[weekday] = true;
            let calendar = Calendar {
                windows: vec![crate::calendar::OffPeak {
                    days: one,
                    from,
                    minutes,
                    zone: TimeZone::UTC,
                    text: String::new(),
                }],
                blackout: Vec::new(),
            };
            for calendar in [Calendar::default(), calendar] {
                let found = moment(&due, issued, None, &calendar, chance);
                prop_assert!(found.at <= due.safe_until);
                prop_assert!(found.at >= issued);
                prop_assert!(found.placed != Placed::InWindow || calendar.is_open(found.at));
            }
        }
    }
}
