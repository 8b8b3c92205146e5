//! `Retry-After` (RFC 9110 section 10.2.3), in both its forms.
//!
//! It stands on far more than refusals: on orders, authorizations, challenge replies, finalize
//! replies and renewal information. Whoever waits decides how long at most; some CAs ask for a day.

use std::time::{Duration, UNIX_EPOCH};

use waxwing_core::http::Response;
use waxwing_core::time::Timestamp;

/// When the CA wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after the reply.
    After(Duration),
    /// At that time, by the CA's clock.
    At(Timestamp),
}

impl RetryAfter {
    /// Parses seconds or an HTTP date in any of the three forms of RFC 9110 section 5.6.7.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // More digits than fit can only mean "for ever".
            return Some(Self::After(Duration::from_secs(
                text.parse().unwrap_or(u64::MAX),
            )));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self::At(Timestamp::from_unix(i64::try_from(seconds).ok()?)))
    }

    /// What the reply says, if it says anything that can be understood.
    pub fn of(response: &Response) -> Option<Self> {
        response.headers_named("retry-after").find_map(Self::parse)
    }

    /// The wait that is left at `now`; zero for a date that has passed.
    pub fn wait(self, now: Timestamp) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::At(time) => time.since(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: i64 = 784_111_777;

    #[test]
    fn seconds_and_all_forms_of_dates_are_understood() {
        let check = |text: &str, want: Option<RetryAfter>| {
            assert_eq!(RetryAfter::parse(text), want, "{text}");
        };
        let date = Some(RetryAfter::At(Timestamp::from_unix(DATE)));
        check("120", Some(RetryAfter::After(Duration::from_secs(120))));
        check(" 0 ", Some(RetryAfter::After(Duration::ZERO)));
        check(
            "99999999999999999999",
            Some(RetryAfter::After(Duration::from_secs(u64::MAX))),
        );
        check("Sun, 06 Nov 1994 08:49:37 GMT", date);
        check("Sunday, 06-Nov-94 08:49:37 GMT", date);
        check("Sun Nov  6 08:49:37 1994", date);
        check("", None);
        check("-1", None);
        check("1.5", None);
        check("soon", None);
        check("Sun, 99 Nov 1994 08:49:37 GMT", None);
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        let at = RetryAfter::At(Timestamp::from_unix(DATE));
        assert_eq!(
            at.wait(Timestamp::from_unix(DATE - 90)),
            Duration::from_secs(90)
        );
        assert_eq!(at.wait(Timestamp::from_unix(DATE + 90)), Duration::ZERO);
        let after = RetryAfter::After(Duration::from_secs(5));
        assert_eq!(
            after.wait(Timestamp::from_unix(DATE)),
            Duration::from_secs(5)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_date_means_the_same_in_its_preferred_form(seconds in 0_u32..) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
            let want = RetryAfter::At(Timestamp::from_unix(seconds.into()));
            prop_assert_eq!(RetryAfter::parse(&httpdate::fmt_http_date(time)), Some(want));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = RetryAfter::parse(&text);
        }
    }
}
