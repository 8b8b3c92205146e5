//! `Mon-Fri 01:00-05:00 Europe/Berlin` and `2026-12-18..2027-01-04`.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Blackout, DAY_MINUTES, OffPeak, weekday};

/// Reads a window: days (all, if left out), a stretch of the day, and a time zone (`here`, if left
/// out).
///
/// # Errors
/// One sentence on what is wrong, with a right example.
pub fn parse_window(
    text: &str,
    zones: &TimeZoneDatabase,
    here: &TimeZone,
) -> Result<OffPeak, String> {
    let wrong = || format!("`{text}` is not a window as in \"Mon-Fri 01:00-05:00 Europe/Berlin\"");
    let mut words = text.split_whitespace().peekable();
    let first = *words.peek().ok_or_else(wrong)?;
    let days = if first.starts_with(|c: char| c.is_ascii_digit()) {
        [true; 7]
    } else {
        words.next();
        days(first).ok_or_else(|| {
            format!("`{first}` names no days as in \"Mon-Fri\", \"Sat,Sun\" or \"Mon,Wed-Fri\"")
        })?
    };
    let (from, until) = words
        .next()
        .and_then(|times| times.split_once('-'))
        .and_then(|(from, until)| Some((minutes(from)?, minutes(until)?)))
        .filter(|(from, _)| *from < DAY_MINUTES)
        .ok_or_else(wrong)?;
    let zone = zone(words.next(), zones, here)?;
    if words.next().is_some() {
        return Err(wrong());
    }
    let minutes = if until > from {
        until - from
    } else {
        until + DAY_MINUTES - from
    };
    Ok(OffPeak {
        days,
        from,
        minutes,
        zone,
        text: text.to_owned(),
    })
}

/// Reads one day or a range of days, both ends included, and a time zone (`here`, if left out).
///
/// # Errors
/// One sentence on what is wrong, with a right example.
pub fn parse_blackout(
    text: &str,
    zones: &TimeZoneDatabase,
    here: &TimeZone,
) -> Result<Blackout, String> {
    let wrong = || format!("`{text}` is not a range of days as in \"2026-12-18..2027-01-04\"");
    let mut words = text.split_whitespace();
    let range = words.next().ok_or_else(wrong)?;
    let (first, last) = range.split_once("..").unwrap_or((range, range));
    let date = |text: &str| text.parse::<Date>().map_err(|_shape| wrong());
    let (first, last) = (date(first)?, date(last)?);
    if last < first {
        return Err(format!("`{range}` ends before it begins"));
    }
    let zone = zone(words.next(), zones, here)?;
    if words.next().is_some() {
        return Err(wrong());
    }
    Ok(Blackout { first, last, zone })
}

fn zone(name: Option<&str>, zones: &TimeZoneDatabase, here: &TimeZone) -> Result<TimeZone, String> {
    match name {
        None => Ok(here.clone()),
        Some(name) => zones.get(name).map_err(|_unknown| {
            format!("no time zone `{name}` is known; names are as in \"Europe/Berlin\" or \"UTC\"")
        }),
    }
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(part)?, weekday(part)?),
        };
        let mut day = first;
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

/// `05:30` in minutes; `24:00` is the end of the day.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let plain = |text: &str| {
        let good = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        good.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (hours, minutes) = (plain(hours)?, plain(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_or_refused_with_an_example() {
        let zones = TimeZoneDatabase::bundled();
        let read = |text| {
            parse_window(text, &zones, &TimeZone::UTC).map(|window| {
                let days: String = window
                    .days
                    .map(|day| if day { 'x' } else { '-' })
                    .iter()
                    .collect();
                (days, window.from, window.minutes)
            })
        };
        let good = |text, days: &str, from, minutes| {
            assert_eq!(read(text), Ok((days.to_owned(), from, minutes)), "{text}");
        };
        good("Mon-Fri 01:00-05:00 Europe/Berlin", "xxxxx--", 60, 240);
        good("01:00-05:00", "xxxxxxx", 60, 240);
        good("Sat-Mon 22:00-04:00 UTC", "x----xx", 1320, 360);
        good("mon,Wed-Fri 00:00-24:00", "x-xxx--", 0, 1440);
        good("Sun 03:00-03:00", "------x", 180, 1440);
        for wrong in [
            "",
            "Mon-Fri",
            "Mon-Fri 5-6",
            "Mon-Fri 01:00",
            "Funday 01:00-02:00",
            "01:60-02:00",
            "25:00-26:00",
            "24:00-01:00",
            "01:00-02:00 Mars/Olympus",
            "01:00-02:00 UTC now",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_are_read_or_refused_with_an_example() {
        let zones = TimeZoneDatabase::bundled();
        let read = |text| {
            parse_blackout(text, &zones, &TimeZone::UTC)
                .map(|range| format!("{} {}", range.first, range.last))
        };
        assert_eq!(
            read("2026-12-18..2027-01-04").as_deref(),
            Ok("2026-12-18 2027-01-04")
        );
        assert_eq!(read("2027-01-01").as_deref(), Ok("2027-01-01 2027-01-01"));
        for wrong in [
            "",
            "2026-13-01",
            "tomorrow",
            "2027-01-04..2026-12-18",
            "2027-01-01 UTC x",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
