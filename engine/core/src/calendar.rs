//! Off-peak windows and blackout dates, in the time zone in which the operator thinks of them.
//!
//! A calendar says when work may start. It moves work, it never forbids it: who asks bounds the
//! search, and what is found outside of the bounds does not count. A window belongs to the day on
//! which it begins, so `Fri 22:00-04:00` ends on Saturday. Days on which the clocks change are as
//! long as they are: what would begin or end in the skipped hour does so when the clocks jump, so that a
//! window which lies in it does not come on that day; an hour that comes twice is in a window twice, but
//! for one that begins or ends in it, which goes by the first time.

mod parse;

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::time::{Timestamp, Window};

pub use parse::{parse_blackout, parse_window};

/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

/// No search looks at more days than these, whatever its bounds are.
const MOST_DAYS: u32 = 800;

/// One line of `[renewal] windows`.
#[derive(Debug, Clone, PartialEq)]
pub struct OffPeak {
    /// Days on which it begins, Monday first.
    pub days: [bool; 7],
    /// Its beginning, in minutes after midnight.
    pub from: u32,
    /// Its length in minutes; at most a day.
    pub minutes: u32,
    /// Where the clock hangs.
    pub zone: TimeZone,
    /// As written.
    pub text: String,
}

/// One line of `[renewal] blackout`: whole days on which nothing is started.
#[derive(Debug, Clone, PartialEq)]
pub struct Blackout {
    /// The first day.
    pub first: Date,
    /// The last day, itself included.
    pub last: Date,
    /// Where the days begin and end.
    pub zone: TimeZone,
}

/// When work may start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendar {
    /// Off-peak windows; none: at any time.
    pub windows: Vec<OffPeak>,
    /// Days without work.
    pub blackout: Vec<Blackout>,
}

impl Calendar {
    /// True if work may start at any time.
    pub const fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.blackout.is_empty()
    }

    /// True if work may start at `at`.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.is_empty() || !self.open_between(at, at).is_empty()
    }

    /// True on a day without work.
    pub fn is_blacked_out(&self, at: Timestamp) -> bool {
        let mut days = self.blackout.iter().map(Blackout::stretch);
        days.any(|day| day.start <= at && at < day.end)
    }

    /// Only its days without work.
    #[must_use]
    pub fn without_windows(&self) -> Self {
        Self {
            windows: Vec::new(),
            blackout: self.blackout.clone(),
        }
    }

    /// The stretches between `from` and `until` in which work may start, in order and apart.
    pub fn open_between(&self, from: Timestamp, until: Timestamp) -> Vec<Window> {
        if until < from {
            return Vec::new();
        }
        let bounds = Window {
            start: from,
            end: until,
        };
        let mut open = if self.windows.is_empty() {
            vec![bounds]
        } else {
            let all = self.windows.iter();
            all.flat_map(|window| window.between(from, until)).collect()
        };
        open.sort_by_key(|stretch| stretch.start);
        let mut apart: Vec<Window> = Vec::new();
        for stretch in open.into_iter().filter_map(|one| clip(one, bounds)) {
            match apart.last_mut() {
                Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
                _ => apart.push(stretch),
            }
        }
        for closed in self.blackout.iter().map(Blackout::stretch) {
            apart = apart
                .into_iter()
                .flat_map(|open| without(open, closed))
                .collect();
        }
        apart
    }
}

impl OffPeak {
    /// The occurrences that touch the time from `from` to `until`.
    fn between(&self, from: Timestamp, until: Timestamp) -> Vec<Window> {
        let mut found = Vec::new();
        let Some(mut day) = date_of(from, &self.zone).and_then(|day| day.yesterday().ok()) else {
            return found;
        };
        for _day in 0..MOST_DAYS {
            let weekday = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
            if self.days.get(weekday) == Some(&true) {
                let start = moment(day, self.from, &self.zone);
                let end = moment(day, self.from + self.minutes, &self.zone);
                let (Some(start), Some(end)) = (start, end) else {
                    break;
                };
                if start > until {
                    break;
                }
                // The last millisecond belongs to what comes next.
                let end = end - Duration::from_millis(1);
                if end >= from && end >= start {
                    found.push(Window { start, end });
                }
            } else if moment(day, 0, &self.zone).is_none_or(|midnight| midnight > until) {
                break;
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_end_of_time) => break,
            }
        }
        found
    }
}

impl Blackout {
    fn stretch(&self) -> Window {
        let start = moment(self.first, 0, &self.zone);
        let end = moment(self.last, DAY_MINUTES, &self.zone);
        Window {
            start: start.unwrap_or(Timestamp::from_unix_ms(i64::MIN)),
            end: end.map_or(Timestamp::from_unix_ms(i64::MAX), |end| {
                end - Duration::from_millis(1)
            }),
        }
    }
}

/// The day that the calendar on the wall shows.
fn date_of(at: Timestamp, zone: &TimeZone) -> Option<Date> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.to_zoned_datetime(zone.clone()).date())
}

/// The moment at which the clock shows so many minutes after midnight of `day`, for the first time if it
/// does so twice, or jumps over them; minutes beyond the day are on the next one.
fn moment(day: Date, minutes: u32, zone: &TimeZone) -> Option<Timestamp> {
    let day = if minutes >= DAY_MINUTES {
        day.tomorrow().ok()?
    } else {
        day
    };
    let minutes = minutes % DAY_MINUTES;
    let hour = i8::try_from(minutes / 60).ok()?;
    let minute = i8::try_from(minutes % 60).ok()?;
    let shown = day.at(hour, minute, 0, 0);
    let found = zone.to_ambiguous_timestamp(shown);
    let at = match found.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            let before = after.to_timestamp(shown).ok()?;
            zone.following(before).next()?.timestamp()
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            found.compatible().ok()?
        }
    };
    Some(Timestamp::from_unix_ms(at.as_millisecond()))
}

fn clip(one: Window, bounds: Window) -> Option<Window> {
    let start = one.start.max(bounds.start);
    let end = one.end.min(bounds.end);
    (start <= end).then_some(Window { start, end })
}

/// What is left of `open`.
fn without(open: Window, closed: Window) -> Vec<Window> {
    if closed.end < open.start || closed.start > open.end {
        return vec![open];
    }
    let tick = Duration::from_millis(1);
    let mut left = Vec::new();
    if open.start < closed.start {
        left.push(Window {
            start: open.start,
            end: closed.start - tick,
        });
    }
    if closed.end < open.end {
        left.push(Window {
            start: closed.end + tick,
            end: open.end,
        });
    }
    left
}

/// The place of a day in the week, from Monday; days are written with three letters.
fn weekday(text: &str) -> Option<usize> {
    let short = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    short
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    use super::*;

    fn zones() -> TimeZoneDatabase {
        TimeZoneDatabase::bundled()
    }

    fn calendar(windows: &[&str], blackout: &[&str]) -> Calendar {
        let (zones, utc) = (zones(), TimeZone::UTC);
        Calendar {
            windows: windows
                .iter()
                .map(|text| parse_window(text, &zones, &utc).expect("a good window"))
                .collect(),
            blackout: blackout
                .iter()
                .map(|text| parse_blackout(text, &zones, &utc).expect("a good range"))
                .collect(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a literal time")
    }

    fn open(calendar: &Calendar, from: &str, until: &str) -> Vec<String> {
        let stretches = calendar.open_between(at(from), at(until));
        let shown = |one: &Window| {
            // Shown without the missing millisecond.
            format!("{} {}", one.start, one.end + Duration::from_millis(1))
        };
        stretches.iter().map(shown).collect()
    }

    #[test]
    fn windows_open_where_the_clock_on_the_wall_says_so() {
        let berlin = calendar(&["Mon-Fri 01:00-05:00 Europe/Berlin"], &[]);
        // Friday to Monday in winter, an hour ahead of UTC.
        assert_eq!(
            open(&berlin, "2027-01-15T00:00:00Z", "2027-01-18T12:00:00Z"),
            [
                "2027-01-15T00:00:00Z 2027-01-15T04:00:00Z",
                "2027-01-18T00:00:00Z 2027-01-18T04:00:00Z"
            ]
        );
        // In summer two hours.
        assert!(berlin.is_open(at("2027-06-30T23:00:00Z")));
        assert!(!berlin.is_open(at("2027-06-30T22:59:59Z")));
        assert!(!berlin.is_open(at("2027-07-01T03:00:00Z")));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = calendar(&["Fri 22:00-04:00"], &[]);
        assert_eq!(
            open(&night, "2027-01-15T00:00:00Z", "2027-01-18T00:00:00Z"),
            ["2027-01-15T22:00:00Z 2027-01-16T04:00:00Z"]
        );
        // The search may begin inside of it.
        assert_eq!(
            open(&night, "2027-01-16T03:00:00Z", "2027-01-18T00:00:00Z"),
            ["2027-01-16T03:00:00Z 2027-01-16T04:00:00Z"]
        );
    }

    #[test]
    fn the_days_on_which_clocks_change_have_their_windows() {
        let berlin = calendar(&["02:00-03:00 Europe/Berlin"], &[]);
        // 2027-03-28: 02:00 to 03:00 does not exist; what is left of the window is nothing.
        assert_eq!(
            open(&berlin, "2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z"),
            ["2027-03-29T00:00:00Z 2027-03-29T01:00:00Z"]
        );
        // 2027-10-31: it comes twice, and the window begins with the first.
        assert_eq!(
            open(&berlin, "2027-10-30T12:00:00Z", "2027-10-31T12:00:00Z"),
            ["2027-10-31T00:00:00Z 2027-10-31T02:00:00Z"]
        );
        // Windows that touch the hour, on the day without it (the clocks jump at 01:00 UTC) and on the
        // day with two of it (they are set back at 01:00 UTC).
        let check = |window: &str, spring: &[&str], autumn: &[&str]| {
            let berlin = calendar(&[&format!("{window} Europe/Berlin")], &[]);
            let found = open(&berlin, "2027-03-27T22:00:00Z", "2027-03-28T12:00:00Z");
            assert_eq!(found, spring, "{window} in spring");
            let found = open(&berlin, "2027-10-30T22:00:00Z", "2027-10-31T12:00:00Z");
            assert_eq!(found, autumn, "{window} in autumn");
        };
        check(
            "02:30-04:00",
            &["2027-03-28T01:00:00Z 2027-03-28T02:00:00Z"],
            &["2027-10-31T00:30:00Z 2027-10-31T03:00:00Z"],
        );
        check(
            "01:00-02:30",
            &["2027-03-28T00:00:00Z 2027-03-28T01:00:00Z"],
            &["2027-10-30T23:00:00Z 2027-10-31T00:30:00Z"],
        );
        check(
            "02:10-02:50",
            &[],
            &["2027-10-31T00:10:00Z 2027-10-31T00:50:00Z"],
        );
        check(
            "01:00-05:00",
            &["2027-03-28T00:00:00Z 2027-03-28T03:00:00Z"],
            &["2027-10-30T23:00:00Z 2027-10-31T04:00:00Z"],
        );
    }

    #[test]
    fn blackout_dates_cut_whole_days_out() {
        let without = calendar(&[], &["2026-12-18..2027-01-04"]);
        assert_eq!(
            open(&without, "2026-12-17T00:00:00Z", "2027-01-06T00:00:00Z"),
            [
                "2026-12-17T00:00:00Z 2026-12-18T00:00:00Z",
                "2027-01-05T00:00:00Z 2027-01-06T00:00:00Z"
            ]
        );
        let one = calendar(
            &["Mon-Fri 01:00-05:00", "Sat,Sun 00:00-24:00"],
            &["2027-01-16"],
        );
        assert_eq!(
            open(&one, "2027-01-15T04:00:00Z", "2027-01-18T02:00:00Z"),
            [
                "2027-01-15T04:00:00Z 2027-01-15T05:00:00Z",
                "2027-01-17T00:00:00Z 2027-01-18T00:00:00Z",
                "2027-01-18T01:00:00Z 2027-01-18T02:00:00Z"
            ]
        );
    }

    #[test]
    fn without_windows_it_is_always_open() {
        let always = Calendar::default();
        assert!(always.is_empty() && always.is_open(at("2027-01-15T00:00:00Z")));
        let (from, until) = (at("2027-01-15T00:00:00Z"), at("2027-01-16T00:00:00Z"));
        let whole = Window {
            start: from,
            end: until,
        };
        assert_eq!(always.open_between(from, until), [whole]);
        assert_eq!(always.open_between(until, from), []);
    }

    proptest! {
        #[test]
        fn stretches_are_within_their_bounds_in_order_and_open(
            from in -4_000_000_000_i64..8_000_000_000,
            length in 0_i64..3_000_000,
        ) {
            let calendar = calendar(
                &["Mon-Fri 22:30-02:15 America/New_York", "Sun 00:00-24:00 Asia/Kathmandu"],
                &["2027-03-01..2027-03-20 Europe/Berlin"],
            );
            let (from, until) = (Timestamp::from_unix(from), Timestamp::from_unix(from + length));
            let mut last = None;
            for stretch in calendar.open_between(from, until) {
                prop_assert!(from <= stretch.start && stretch.start <= stretch.end);
                prop_assert!(stretch.end <= until);
                prop_assert!(last.is_none_or(|end| end < stretch.start));
                prop_assert!(calendar.is_open(stretch.start) && calendar.is_open(stretch.end));
                last = Some(stretch.end);
            }
        }
    }
}
