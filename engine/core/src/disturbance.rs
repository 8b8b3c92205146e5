//! Trouble that a simulation is to meet: who is out of order, in which way, and when.
//!
//! `CA=2026-12-01..+14d` is how a person writes one; [`random`] draws many.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::name::CaName;
use crate::time::{self, Timestamp, Window};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// What is out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No endpoint of this CA answers as it should.
    Down(CaName),
    /// Orders at this CA are not done in time.
    Slow(CaName),
    /// This CA refuses every name.
    Rejects(CaName),
    /// The API of the DNS provider takes no records.
    Dns,
    /// This machine has no way out.
    Network,
    /// This machine is off.
    Machine,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(ca) => write!(f, "{ca}"),
            Self::Slow(ca) => write!(f, "{ca}:slow"),
            Self::Rejects(ca) => write!(f, "{ca}:rejects"),
            Self::Dns => f.write_str("dns"),
            Self::Network => f.write_str("network"),
            Self::Machine => f.write_str("machine"),
        }
    }
}

/// Trouble and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disturbance {
    /// What is out of order.
    pub trouble: Trouble,
    /// From when to when; the end is not in it any more.
    pub during: Window,
}

/// As it is written for `--outage`.
impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = self.during.end.since(self.during.start);
        let (start, long) = (self.during.start, time::stretch(long));
        write!(f, "{}={start}..+{long}", self.trouble)
    }
}

impl Disturbance {
    /// Reads `CA=2026-12-01..+14d`: a CA, `CA:slow`, `CA:rejects`, `dns`, `network` or
    /// `machine`, then a day or a moment, `..`, and another one or a length. Days are those of UTC,
    /// and the last one counts whole.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not an outage as in CA=2026-12-01..+14d or machine=2026-12-24..2026-12-26"
            )
        };
        let (who, range) = text.split_once('=').ok_or_else(wrong)?;
        let ca = |name: &str| CaName::parse(name).map_err(|error| format!("`{text}`: {error}"));
        let trouble = match who.split_once(':') {
            None => match who {
                "dns" => Trouble::Dns,
                "network" => Trouble::Network,
                "machine" => Trouble::Machine,
                name => Trouble::Down(ca(name)?),
            },
            Some((name, "slow")) => Trouble::Slow(ca(name)?),
            Some((name, "rejects")) => Trouble::Rejects(ca(name)?),
            Some((_, other)) => {
                return Err(format!(
                    "`{text}`: a CA can be `slow` or `rejects`, not `{other}`; without either it is \
                     down"
                ));
            }
        };
        let (from, to) = range.split_once("..").ok_or_else(wrong)?;
        let start = moment(from, false).ok_or_else(wrong)?;
        let end = match to.strip_prefix('+') {
            Some(long) => {
                start + time::parse_stretch(long).map_err(|error| format!("`{text}`: {error}"))?
            }
            None => moment(to, true).ok_or_else(wrong)?,
        };
        if end <= start {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self {
            trouble,
            during: Window { start, end },
        })
    }

    /// True while it lasts.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.during.start <= at && at < self.during.end
    }
}

/// Reads a moment, or a day of UTC, which stands for its beginning.
pub fn beginning(text: &str) -> Option<Timestamp> {
    moment(text, false)
}

/// A moment, or the beginning of a day, or its end.
fn moment(text: &str, end: bool) -> Option<Timestamp> {
    if let Ok(at) = Timestamp::parse(text) {
        return Some(at);
    }
    let day: Date = text.parse().ok()?;
    let day = if end { day.tomorrow().ok()? } else { day };
    let midnight = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    Some(Timestamp::from_unix_ms(midnight.as_millisecond()))
}

/// Whether trouble keeps a machine from getting a certificate at `ca` at that moment.
pub fn blocked(all: &[Disturbance], ca: &CaName, at: Timestamp) -> bool {
    all.iter()
        .any(|one| one.holds(at) && blocks(&one.trouble, ca))
}

fn blocks(trouble: &Trouble, ca: &CaName) -> bool {
    match trouble {
        Trouble::Down(who) | Trouble::Slow(who) | Trouble::Rejects(who) => who == ca,
        Trouble::Dns | Trouble::Network | Trouble::Machine => true,
    }
}

/// The longest stretch in a window during which a machine could have got a certificate at `ca`.
pub fn longest_free(all: &[Disturbance], ca: &CaName, window: Window) -> Duration {
    let mut busy: Vec<Window> = all
        .iter()
        .filter(|one| blocks(&one.trouble, ca))
        .map(|one| one.during)
        .filter(|during| during.end > window.start && during.start < window.end)
        .collect();
    busy.sort_by_key(|during| during.start);
    let mut free = Duration::ZERO;
    let mut at = window.start;
    for during in busy {
        free = free.max(during.start.since(at));
        at = at.max(during.end);
    }
    free.max(window.end.since(at))
}

/// How often trouble comes, and how long it lasts: times a year, shortest and longest in seconds.
struct Weather(u64, u64, u64);

/// Draws trouble for a stretch of time: short outages of each CA a few times a year, now and then one
/// of many days, as the CAs have had them; slow days; and what happens at home.
pub fn random(cas: &[CaName], window: Window, seed: u64) -> Vec<Disturbance> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    let mut draw = |trouble: Trouble, weather: Weather| {
        let Weather(per_year, shortest, longest) = weather;
        let whole = window.end.since(window.start).as_secs();
        // One of each kind at most comes in each slice of the year.
        let slice = YEAR / per_year.max(1);
        let mut from = 0;
        while from < whole {
            let offset = dice.below(slice);
            // Short ones are many more than long ones.
            let part = dice.part();
            let long = shortest + (part * part * part * (longest - shortest) as f64) as u64;
            if dice.below(4) > 0 && from + offset < whole {
                let start = window.start + Duration::from_secs(from + offset);
                all.push(Disturbance {
                    trouble: trouble.clone(),
                    during: Window {
                        start,
                        end: start + Duration::from_secs(long),
                    },
                });
            }
            from += slice;
        }
    };
    for ca in cas {
        draw(
            Trouble::Down(ca.clone()),
            Weather(6, 10 * MINUTE, 12 * HOUR),
        );
        draw(Trouble::Down(ca.clone()), Weather(1, DAY, 21 * DAY));
        draw(Trouble::Slow(ca.clone()), Weather(3, HOUR, 2 * DAY));
    }
    draw(Trouble::Dns, Weather(6, 10 * MINUTE, 12 * HOUR));
    draw(Trouble::Network, Weather(8, 5 * MINUTE, 10 * HOUR));
    draw(Trouble::Machine, Weather(4, HOUR, 3 * DAY));
    all.sort_by_key(|one| (one.during.start, one.during.end));
    all
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number, uniform over all values.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// From 0 to below 1.
    pub fn part(&mut self) -> f64 {
        self.below(1 << 53) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca(name: &str) -> CaName {
        CaName::parse(name).expect("a literal name")
    }

    fn read(text: &str) -> Disturbance {
        Disturbance::parse(text).expect("well written")
    }

    #[test]
    fn outages_are_read_as_people_write_them() {
        let table = [
            ("one=2026-12-01..+14d", "one=2026-12-01T00:00:00Z..+14d"),
            (
                "one:slow=2026-12-01T10:30:00Z..+90m",
                "one:slow=2026-12-01T10:30:00Z..+90m",
            ),
            (
                "two:rejects=2026-12-01..2026-12-02",
                "two:rejects=2026-12-01T00:00:00Z..+2d",
            ),
            (
                "dns=2026-12-01..2026-12-01",
                "dns=2026-12-01T00:00:00Z..+1d",
            ),
            (
                "network=2026-12-01..2026-12-01T06:00:00Z",
                "network=2026-12-01T00:00:00Z..+6h",
            ),
            (
                "machine=2026-12-31..+1h",
                "machine=2026-12-31T00:00:00Z..+1h",
            ),
        ];
        for (text, want) in table {
            assert_eq!(read(text).to_string(), want, "{text}");
        }
        for text in [
            "",
            "one",
            "one=",
            "one=2026-12-01",
            "one=2026-12-01..",
            "one=2026-13-01..+1d",
            "one=2026-12-01..+0d",
            "one=2026-12-01..+1fortnight",
            "one=2026-12-02..2026-12-01",
            "one:broken=2026-12-01..+1d",
            "=2026-12-01..+1d",
            "no name=2026-12-01..+1d",
        ] {
            let error = Disturbance::parse(text).expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn what_is_left_between_outages_is_measured() {
        let all = [
            read("one=2026-12-03..+2d"),
            read("two=2026-12-01..+30d"),
            read("network=2026-12-06..+1d"),
            read("one:slow=2026-12-04..+3h"),
        ];
        let window = Window {
            start: Timestamp::parse("2026-12-01T00:00:00Z").expect("a time"),
            end: Timestamp::parse("2026-12-08T00:00:00Z").expect("a time"),
        };
        let days = |days| Duration::from_secs(days * DAY);
        assert_eq!(longest_free(&all, &ca("one"), window), days(2));
        assert_eq!(longest_free(&all, &ca("two"), window), days(0));
        assert_eq!(longest_free(&all, &ca("three"), window), days(5));
        let at = Timestamp::parse("2026-12-04T12:00:00Z").expect("a time");
        assert!(blocked(&all, &ca("one"), at));
        assert!(!blocked(&all, &ca("three"), at));
    }

    #[test]
    fn the_same_seed_draws_the_same_trouble() {
        let window = Window {
            start: Timestamp::from_unix(1_795_000_000),
            end: Timestamp::from_unix(1_795_000_000) + Duration::from_secs(2 * YEAR),
        };
        let cas = [ca("one"), ca("two")];
        let drawn = random(&cas, window, 7);
        assert_eq!(drawn, random(&cas, window, 7));
        assert_ne!(drawn, random(&cas, window, 8));
        assert!((20..120).contains(&drawn.len()), "{}", drawn.len());
        assert!(drawn.iter().all(|one| one.during.start < one.during.end));
    }
}
