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
