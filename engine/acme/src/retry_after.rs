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
        http_date(text).map(Self::At)
    }

    /// What the reply says, if it says anything that can be understood.
    ///
    /// A date is by the CA's clock. Where the reply tells what that clock showed, the date becomes
    /// a wait, which is right on a machine whose own clock is not.
    pub fn of(response: &Response) -> Option<Self> {
        let retry_after = response
            .headers_named("retry-after")
            .find_map(Self::parse)?;
        match (retry_after, response.header("date").and_then(http_date)) {
            (Self::At(time), Some(answered_at)) => Some(Self::After(time.since(answered_at))),
            _ => Some(retry_after),
        }
    }

    /// The wait that is left at `now`; zero for a date that has passed.
    pub fn wait(self, now: Timestamp) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::At(time) => time.since(now),
        }
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Timestamp::from_unix(i64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::fixture::{self, reply};

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

    #[test]
    fn a_date_is_measured_by_the_clock_of_the_ca() {
        let check = |headers: &[(&str, &str)], want: Option<RetryAfter>| {
            assert_eq!(
                RetryAfter::of(&reply(503, headers, "")),
                want,
                "{headers:?}"
            );
        };
        let later = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        let at = Some(RetryAfter::At(Timestamp::from_unix(DATE)));
        let after = |seconds| Some(RetryAfter::After(Duration::from_secs(seconds)));
        check(&[], None);
        check(&[("date", "Sun, 06 Nov 1994 08:49:00 GMT")], None);
        check(&[later], at);
        check(&[later, ("date", "today")], at);
        check(
            &[later, ("date", "Sun, 06 Nov 1994 08:49:00 GMT")],
            after(37),
        );
        check(
            &[later, ("date", "Sun, 06 Nov 1994 09:49:00 GMT")],
            after(0),
        );
        check(
            &[
                ("retry-after", "5"),
                ("date", "Sun, 06 Nov 1994 08:49:00 GMT"),
            ],
            after(5),
        );
        check(&[("retry-after", "soon"), ("retry-after", "5")], after(5));
    }

    proptest! {
        #![proptest_config(fixture::same_cases_every_time())]

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
