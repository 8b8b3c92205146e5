//! How much a CA allows in a time. Stated by the CA, counted by it; data here.

use std::fmt;
use std::time::Duration;

use crate::settings::units;
use crate::time;

/// What a CA counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// newOrder, for the account.
    Orders,
    /// Certificates, for each registered domain.
    Certificates,
    /// Certificates with exactly the same names.
    Duplicates,
    /// Authorizations begun, for the account: one for each name that has none to reuse.
    Authorizations,
    /// Authorizations that failed, for the account and each name.
    FailedAuthorizations,
}

impl LimitKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Orders,
        Self::Certificates,
        Self::Duplicates,
        Self::Authorizations,
        Self::FailedAuthorizations,
    ];

    /// The key below `limits`: `failed-authorizations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Certificates => "certificates",
            Self::Duplicates => "duplicates",
            Self::Authorizations => "authorizations",
            Self::FailedAuthorizations => "failed-authorizations",
        }
    }
}

/// So many in a stretch of time: `300 per 3h`.
///
/// It describes a token bucket, which is how CAs count: `count` may come at once, and one comes back
/// after each [`Limit::refill`]. Neither number is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many: the size of the bucket.
    pub count: u32,
    /// In which time: how long an empty bucket takes to fill.
    pub per: Duration,
}

impl Limit {
    /// Reads `300 per 3h`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a limit as in 300 per 3h");
        let (count, per) = text.split_once(" per ").ok_or_else(wrong)?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && *count > 0);
        let per = units::duration(per)?;
        if per.is_zero() {
            return Err(wrong());
        }
        Ok(Self {
            count: count.ok_or_else(wrong)?,
            per,
        })
    }

    /// The time after which one more is allowed.
    pub fn refill(self) -> Duration {
        self.per / self.count.max(1)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, time::stretch(self.per))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_count_and_a_stretch_and_is_written_as_it_is_read() {
        let hour = Duration::from_secs(3600);
        for (text, count, per) in [
            ("300 per 3h", 300, hour * 3),
            ("5 per 7d", 5, hour * 24 * 7),
            ("1 per 500ms", 1, Duration::from_millis(500)),
        ] {
            assert_eq!(Limit::parse(text), Ok(Limit { count, per }), "{text}");
            assert_eq!(Limit { count, per }.to_string(), text);
        }
        for wrong in [
            "",
            "300",
            "300 per",
            "300 per ",
            "0 per 3h",
            "+5 per 3h",
            "-5 per 3h",
            "5 per 0s",
            "5 per 3w",
            "5/3h",
            "1.5 per 1h",
            "5  per 1h",
            "99999999999 per 1h",
        ] {
            assert!(Limit::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_more_is_allowed_after_its_share_of_the_time() {
        let refill = |text| Limit::parse(text).map(Limit::refill);
        assert_eq!(refill("300 per 3h"), Ok(Duration::from_secs(36)));
        assert_eq!(refill("5 per 1h"), Ok(Duration::from_secs(12 * 60)));
    }
}
