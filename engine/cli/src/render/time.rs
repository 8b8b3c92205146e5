//! Points in time as people say them: on their own clock, with the distance from now.

use std::time::Duration;

use jiff::ZonedDateTime;
use waxwing_core::time::{Timestamp, Window};

use super::page::Context;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Beyond this distance a date without its year could be mistaken.
const YEAR_MATTERS: u64 = 180 * DAY;

impl Context {
    fn local(&self, at: Timestamp) -> ZonedDateTime {
        // Milliseconds outside of what a calendar can say are as good as its end.
        let end = if at.unix_ms() < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        jiff::Timestamp::from_millisecond(at.unix_ms())
            .unwrap_or(end)
            .to_zoned_datetime(self.zone.clone())
    }

    /// The day on this clock.
    pub(crate) fn local_date(&self) -> jiff::civil::Date {
        self.local(self.now).date()
    }

    /// `Sun 21 Feb 2027`
    pub(crate) fn day(&self, at: Timestamp) -> String {
        self.local(at).strftime("%a %-d %b %Y").to_string()
    }

    /// `Sun 21 Feb 2027`, the day of the month in two columns.
    pub(crate) fn day_in_column(&self, at: Timestamp) -> String {
        self.local(at).strftime("%a %e %b %Y").to_string()
    }

    /// `Sun 21 Feb 2027 (89 days)`
    pub(crate) fn until(&self, at: Timestamp) -> String {
        format!("{} ({})", self.day(at), self.left(at))
    }

    /// `Fri 15 Jan 03:51`, with the year where it could be mistaken.
    pub(crate) fn moment(&self, at: Timestamp) -> String {
        let far = self.distance(at).as_secs() > YEAR_MATTERS;
        let form = if far {
            "%a %-d %b %Y %H:%M"
        } else {
            "%a %-d %b %H:%M"
        };
        self.local(at).strftime(form).to_string()
    }

    /// `Mon 23 Nov 2026 22:40 CET`
    pub(crate) fn stamp(&self, at: Timestamp) -> String {
        self.local(at).strftime("%a %-d %b %Y %H:%M %Z").to_string()
    }

    /// `Sun 21 Feb 2027 22:40`, the day of the month in two columns.
    pub(crate) fn minute_in_column(&self, at: Timestamp) -> String {
        self.local(at).strftime("%a %e %b %Y %H:%M").to_string()
    }

    /// `22:41:02`
    pub(crate) fn clock(&self, at: Timestamp) -> String {
        self.local(at).strftime("%H:%M:%S").to_string()
    }

    /// `22:41` today, `20 Nov` before, with the year where it could be mistaken.
    pub(crate) fn ago(&self, at: Timestamp) -> String {
        let (then, now) = (self.local(at), self.local(self.now));
        let far = self.distance(at).as_secs() > YEAR_MATTERS;
        let form = match (then.date() == now.date(), far) {
            (true, _) => "%H:%M",
            (false, false) => "%-d %b",
            (false, true) => "%-d %b %Y",
        };
        then.strftime(form).to_string()
    }

    /// `in 52 days`, `3 h ago`, `just now`
    pub(crate) fn relative(&self, at: Timestamp) -> String {
        let distance = self.distance(at);
        if distance.as_secs() == 0 {
            "just now".to_owned()
        } else if at > self.now {
            format!("in {}", stretch(distance))
        } else {
            format!("{} ago", stretch(distance))
        }
    }

    /// What is left until then: `89 days`, or `expired 2 days ago`.
    pub(crate) fn left(&self, at: Timestamp) -> String {
        if at > self.now {
            stretch(self.distance(at))
        } else {
            format!("expired {} ago", stretch(self.distance(at)))
        }
    }

    /// A text of our own with each exact time in it (`2027-02-24T15:07:38Z`) as people say it.
    pub(crate) fn spoken(&self, text: &str) -> String {
        let word = |word: &str| match Timestamp::parse(word) {
            Ok(at) => self.moment(at),
            Err(_) => word.to_owned(),
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// Beginnings of months, or of every seventh day of a short time, each with its name: at most
    /// some fourteen.
    pub(crate) fn ticks(&self, window: Window) -> Vec<(Timestamp, String)> {
        let first = self.local(window.start).date();
        let days = window.end.since(window.start).as_secs() / DAY;
        let (first, span) = if days <= 70 {
            (first.tomorrow().ok(), jiff::Span::new().days(7))
        } else {
            let months = [1, 2, 3, 6, 12, 24];
            let fits = |months: &&i64| days <= 30 * 13 * months.unsigned_abs();
            let step = months.iter().find(fits).copied().unwrap_or(60);
            let next = first
                .first_of_month()
                .checked_add(jiff::Span::new().months(1));
            (next.ok(), jiff::Span::new().months(step))
        };
        let mut ticks = Vec::new();
        let mut year = None;
        let mut day = first;
        while let Some(date) = day {
            let Ok(midnight) = self.zone.to_timestamp(date.at(0, 0, 0, 0)) else {
                break;
            };
            let at = Timestamp::from_unix_ms(midnight.as_millisecond());
            if at >= window.end {
                break;
            }
            // A year is named where it begins.
            let same = year
                .replace(date.year())
                .is_none_or(|year| year == date.year());
            let form = match (days <= 70, same) {
                (true, _) => "%-d %b",
                (false, false) => "%b %Y",
                (false, true) => "%b",
            };
            ticks.push((at, date.strftime(form).to_string()));
            day = date.checked_add(span).ok();
        }
        ticks
    }

    fn distance(&self, at: Timestamp) -> Duration {
        at.since(self.now).max(self.now.since(at))
    }
}

/// A stretch of time in its largest fitting unit, rounded down: `89 days`, `5 h`, `12 min`, `41 s`.
pub(crate) fn stretch(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 2 * MINUTE {
        format!("{seconds} s")
    } else if seconds < 2 * HOUR {
        format!("{} min", seconds / MINUTE)
    } else if seconds < 2 * DAY {
        format!("{} h", seconds / HOUR)
    } else {
        format!("{} days", seconds / DAY)
    }
}

/// How long something took: `7 ms`, `0.4 s`, `16 s`, then as [`stretch`].
pub(crate) fn took(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 100 {
        format!("{ms} ms")
    } else if ms < 9_950 {
        // Rounded half up to tenths.
        let tenths = (ms + 50) / 100;
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        stretch(Duration::from_secs(
            u64::try_from((ms + 500) / 1000).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::{NOW, context};
    use super::*;

    #[test]
    fn times_are_local_and_carry_their_distance() {
        let context = context(80, false);
        let at = |days: i64| Timestamp::from_unix(NOW + days * 86_400);
        assert_eq!(context.stamp(at(0)), "Mon 23 Nov 2026 22:40 +01");
        assert_eq!(context.until(at(90)), "Sun 21 Feb 2027 (90 days)");
        assert_eq!(
            context.until(at(-3)),
            "Fri 20 Nov 2026 (expired 3 days ago)"
        );
        assert_eq!(context.moment(at(53)), "Fri 15 Jan 22:40");
        assert_eq!(context.moment(at(300)), "Sun 19 Sep 2027 22:40");
        assert_eq!(context.ago(at(0)), "22:40");
        assert_eq!(context.ago(at(-3)), "20 Nov");
        assert_eq!(context.relative(at(52)), "in 52 days");
        assert_eq!(
            context.relative(Timestamp::from_unix(NOW - 7_300)),
            "2 h ago"
        );
        assert_eq!(context.relative(at(0)), "just now");
        assert_eq!(context.day_in_column(at(16)), "Wed  9 Dec 2026");
    }

    #[test]
    fn an_exact_time_in_a_text_is_said_on_this_clock() {
        let context = context(80, false);
        let said = |text: &str| context.spoken(text);
        assert_eq!(
            said("another certificate is served, valid until 2027-02-24T15:07:38Z"),
            "another certificate is served, valid until Wed 24 Feb 16:07"
        );
        for other in [
            "",
            "a  b",
            "version 7, 2027-02-24",
            "2027-02-24T15:07:38Z: refused",
        ] {
            assert_eq!(said(other), other);
        }
    }

    #[test]
    fn an_axis_has_few_ticks_at_beginnings() {
        let context = context(80, false);
        let ticks = |days: i64| {
            context.ticks(Window {
                start: Timestamp::from_unix(NOW),
                end: Timestamp::from_unix(NOW + days * 86_400),
            })
        };
        let names = |days| {
            let ticks = ticks(days);
            let names: Vec<String> = ticks.into_iter().map(|(_, name)| name).collect();
            names.join(" ")
        };
        assert_eq!(names(21), "24 Nov 1 Dec 8 Dec");
        assert_eq!(names(120), "Dec Jan 2027 Feb Mar");
        assert_eq!(
            names(730),
            "Dec Feb 2027 Apr Jun Aug Oct Dec Feb 2028 Apr Jun Aug Oct"
        );
        assert_eq!(ticks(120)[0].0.to_string(), "2026-11-30T23:00:00Z");
        for days in [1, 70, 71, 365, 400, 1_500, 3_650, 7_300] {
            assert!(
                ticks(days).len() <= 14,
                "{days} days: {}",
                ticks(days).len()
            );
        }
    }

    #[test]
    fn no_moment_is_too_far_to_be_said() {
        let context = context(80, false);
        for ms in [i64::MIN, i64::MAX] {
            let at = Timestamp::from_unix_ms(ms);
            assert!(!context.stamp(at).is_empty());
            assert!(!context.until(at).is_empty());
        }
    }

    #[test]
    fn stretches_use_the_largest_unit_that_tells_enough() {
        let table = [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ];
        for (seconds, want) in table {
            assert_eq!(stretch(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn short_times_are_told_apart() {
        let table = [
            (0, "0 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (449, "0.4 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (41_400, "41 s"),
        ];
        for (ms, want) in table {
            assert_eq!(took(Duration::from_millis(ms)), want);
        }
    }
}
