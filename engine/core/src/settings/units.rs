//! Durations, sizes and mode bits as people write them.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The units of the configuration.
const USUAL: [(&str, Duration); 5] = [
    ("ms", Duration::from_millis(1)),
    ("s", SECOND),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
    ("d", DAY),
];

/// Units beyond those of the configuration.
const LONG: [(&str, Duration); 2] = [("w", DAY.saturating_mul(7)), ("y", DAY.saturating_mul(365))];

/// Reads `30s`, `15m`, `12h` or `2d`; also `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time as in 30s, 15m, 12h or 2d");
    read(text, &USUAL).ok_or_else(wrong)
}

/// The same with weeks and years of 365 days.
pub(crate) fn long_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time as in 12h, 90d, 6w or 1y");
    let units: Vec<_> = USUAL.into_iter().chain(LONG).collect();
    read(text, &units).ok_or_else(wrong)
}

fn read(text: &str, units: &[(&str, Duration)]) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok()?;
        let unit_length = rest[digits..]
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let (unit, next) = rest[digits..].split_at(unit_length);
        let (_, unit) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = next;
    }
    Some(total)
}

/// Reads `512KiB`, `32MiB`, `1GiB` or `4096B`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size as in 64KiB or 32MiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let unit = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Reads permission bits as `chmod` takes them: `0640`.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = u32::from_str_radix(text, 8).ok().filter(|_| octal);
    let bits = bits.ok_or_else(|| format!("`{text}` is not a file mode as in 0640"))?;
    if bits & 0o7000 != 0 {
        return Err(format!(
            "`{text}` sets set-user-id, set-group-id or sticky, which no certificate file needs"
        ));
    }
    if bits & 0o002 != 0 {
        return Err(format!("`{text}` lets everybody write the file"));
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_a_unit_and_add_up() {
        let seconds = |text| duration(text).map(|d| d.as_secs()).ok();
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("2d"), Some(172_800));
        for wrong in [
            "",
            "30",
            "s",
            "-5s",
            "5 s",
            "5w",
            "99999999999s",
            "1.5h",
            "5µs",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn long_durations_take_weeks_and_years_too() {
        let days = |text| long_duration(text).map(|d| d.as_secs() / 86_400).ok();
        assert_eq!(days("1y"), Some(365));
        assert_eq!(days("2w3d"), Some(17));
        assert_eq!(days("48h"), Some(2));
        for wrong in ["", "1", "y", "1mo", "99999999999y"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(size("32MiB"), Ok(32 << 20));
        assert_eq!(size("64KiB"), Ok(65_536));
        for wrong in ["32MB", "32", "MiB", "1.5GiB", "99999999999999999999B"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn modes_are_octal_and_plain() {
        assert_eq!(mode("0640"), Ok(0o640));
        assert_eq!(mode("600"), Ok(0o600));
        for wrong in ["640x", "0888", "4755", "00640", "6", "0666", "0642", "0777"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
