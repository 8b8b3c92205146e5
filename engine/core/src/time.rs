//! Points in time and how they are written.
//!
//! Decisions take `now: Timestamp` as an argument; nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use crate::settings::units;

/// Clocks of one machine differ by less from one run to the next, unless one of them was wrong.
pub const SKEW: Duration = Duration::from_secs(10 * 60);

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time as in 2026-11-23T22:40:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From seconds since 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn unix(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Parses RFC 3339.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_shape| TimestampError(text.to_owned()))
    }

    /// RFC 3339 in UTC with the milliseconds where there are some: the form that loses nothing.
    pub fn exact(self) -> String {
        let seconds = self.to_string();
        match (self.0.rem_euclid(1000), seconds.strip_suffix('Z')) {
            (0, _) | (_, None) => seconds,
            (ms, Some(seconds)) => format!("{seconds}.{ms:03}Z"),
        }
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// True if what was noted then lies so far ahead of `now` that one of the two clocks is wrong (see
    /// [`SKEW`]). Whoever finds such a note goes by the clock of now: a wait that is told anew from each present
    /// would never end, and one that is left alone until its time has come would be kept as if it were new.
    pub fn is_ahead_of(self, now: Self) -> bool {
        self.since(now) > SKEW
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(ms))
    }
}

/// RFC 3339 in UTC with whole seconds, as stored and logged.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.unix()) {
            Ok(time) => write!(f, "{time}"),
            Err(_outside) => write!(f, "@{}", self.unix()),
        }
    }
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub start: Timestamp,
    /// The last moment; not before `start`.
    pub end: Timestamp,
}

/// Reads a stretch of time as in the configuration, and with weeks and years of 365 days: `90d`,
/// `1y`, `2w3d`.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn parse_stretch(text: &str) -> Result<Duration, String> {
    units::long_duration(text)
}

/// A stretch of time as the configuration has it: `90d`, `15m`, `500ms`.
pub fn stretch(time: Duration) -> String {
    let ms = time.as_millis();
    let (seconds, rest) = (ms / 1000, ms % 1000);
    if rest != 0 {
        return format!("{ms}ms");
    }
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let fits = |(length, _): &(u128, &str)| seconds > 0 && seconds.is_multiple_of(*length);
    match units.into_iter().find(fits) {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

/// The same for people, without what is less than about a tenth of it or than a second.
pub fn about(time: Duration) -> String {
    let unit = match time.as_secs() {
        0..6_000 => 1,
        6_000..36_000 => 60,
        36_000..864_000 => 3_600,
        _ => 86_400,
    };
    stretch(Duration::from_secs(time.as_secs() / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_parse_are_inverse() {
        let time = Timestamp::from_unix(1_795_000_000);
        assert_eq!(time.to_string(), "2026-11-18T11:06:40Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        assert!(Timestamp::parse("yesterday").is_err());
        for (ms, text) in [
            (1_795_000_000_000, "2026-11-18T11:06:40Z"),
            (1_795_000_000_007, "2026-11-18T11:06:40.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp::from_unix_ms(ms);
            assert_eq!(time.exact(), text);
            assert_eq!(Timestamp::parse(text), Ok(time));
        }
    }

    #[test]
    fn what_people_read_has_no_more_digits_than_matter() {
        let about = |ms| about(Duration::from_millis(ms));
        assert_eq!(about(900), "0s");
        assert_eq!(about(61_001), "61s");
        assert_eq!(about(43_200_845), "12h");
        assert_eq!(about(259_200_845), "3d");
        assert_eq!(about(51_840_000), "14h");
        assert_eq!(about(400_000_000), "111h");
        assert_eq!(about(900_000_000), "10d");
    }

    #[test]
    fn stretches_can_be_pasted_into_the_configuration() {
        for (ms, want) in [
            (0, "0s"),
            (500, "500ms"),
            (1_500, "1500ms"),
            (2_000, "2s"),
            (90_000, "90s"),
            (900_000, "15m"),
            (7_200_000, "2h"),
            (576_000_000, "160h"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(stretch(Duration::from_millis(ms)), want);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(
            Timestamp::from_unix(5).since(Timestamp::from_unix(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_from_one_that_was_set() {
        let now = Timestamp::from_unix(1_795_000_000);
        for (seconds, want) in [(-86_400, false), (0, false), (600, false), (601, true)] {
            let noted = Timestamp::from_unix(now.unix() + seconds);
            assert_eq!(noted.is_ahead_of(now), want, "{seconds}");
        }
    }
}
