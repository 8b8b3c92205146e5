//! Dates as HTTP writes them (RFC 9110 section 5.6.7): `Tue, 24 Nov 2026 00:05:51 GMT`.
//!
//! The API refuses names of days and months in any language but English.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_A_DAY: u64 = 86_400;
/// A whole cycle of the Gregorian calendar.
const DAYS_IN_400_YEARS: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01. Counting years from March puts the leap day at their end.
const DAYS_TO_1970: u64 = 719_468;

/// Writes a date.
pub(crate) fn format(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, second) = (seconds / SECONDS_A_DAY, seconds % SECONDS_A_DAY);
    let (year, month, day) = calendar(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Reads a date, as milliseconds since 1970. None for anything else, and for dates before that.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (_weekday, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as u64;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    if words.next()? != "GMT"
        || !(1970..=9999).contains(&year)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let days = day_number(year, month, day);
    Some((days * SECONDS_A_DAY + hour * 3600 + minute * 60 + second) * 1000)
}

/// Year, month (0 to 11) and day of the month of a day since 1970.
fn calendar(days: u64) -> (u64, usize, u64) {
    let days = days + DAYS_TO_1970;
    let (cycle, in_cycle) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    (
        cycle * 400 + year + u64::from(month < 2),
        month as usize,
        day,
    )
}

/// The day since 1970 of a year, month (0 to 11) and day of the month.
fn day_number(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month < 2);
    let from_march = (month + 10) % 12;
    let in_cycle = year % 400;
    let in_year = (153 * from_march + 2) / 5 + day - 1;
    year / 400 * DAYS_IN_400_YEARS + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year
        - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_in_english_and_gmt() {
        for (unix_ms, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199_000, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_795_478_751_000, "Tue, 24 Nov 2026 00:05:51 GMT"),
            (4_102_444_800_000, "Fri, 01 Jan 2100 00:00:00 GMT"),
        ] {
            assert_eq!(format(unix_ms), text);
            assert_eq!(parse(text), Some(unix_ms), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_was_written() {
        for day in 0..DAYS_IN_400_YEARS {
            let unix_ms = day * SECONDS_A_DAY * 1000;
            assert_eq!(parse(&format(unix_ms)), Some(unix_ms));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "dim., 28 août 2022 09:24:45 UTC",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
