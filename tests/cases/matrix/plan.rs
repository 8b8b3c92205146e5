//! What can go wrong where, and for how long.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use waxwing_core::time::Timestamp;
use waxwing_world::fault::{Spoilt, What};
use waxwing_world::traffic::Class;

/// What a CA is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    Authorization,
    Challenge,
    /// Looks at the order until it is ready.
    Order,
    Finalize,
    /// Looks at the order from then on.
    Poll,
    Certificate,
    RenewalInfo,
    Revoke,
}

impl Endpoint {
    pub(super) const ALL: [Self; 12] = [
        Self::Directory,
        Self::NewNonce,
        Self::NewAccount,
        Self::NewOrder,
        Self::Authorization,
        Self::Challenge,
        Self::Order,
        Self::Finalize,
        Self::Poll,
        Self::Certificate,
        Self::RenewalInfo,
        Self::Revoke,
    ];

    pub(super) const fn class(self) -> Class {
        match self {
            Self::Directory => Class::Directory,
            Self::NewNonce => Class::NewNonce,
            Self::NewAccount => Class::NewAccount,
            Self::NewOrder => Class::NewOrder,
            Self::Authorization => Class::Authorization,
            Self::Challenge => Class::Challenge,
            Self::Order | Self::Poll => Class::Order,
            Self::Finalize => Class::Finalize,
            Self::Certificate => Class::Certificate,
            Self::RenewalInfo => Class::RenewalInfo,
            Self::Revoke => Class::Revoke,
        }
    }

    /// The heading of its column.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::NewNonce => "newNonce",
            Self::NewAccount => "newAccount",
            Self::NewOrder => "newOrder",
            Self::Authorization => "authorization",
            Self::Challenge => "challenge",
            Self::Order => "order, before finalize",
            Self::Finalize => "finalize",
            Self::Poll => "order, after finalize",
            Self::Certificate => "certificate",
            Self::RenewalInfo => "renewalInfo",
            Self::Revoke => "revokeCert",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ill {
    Refused,
    ResetBefore,
    ResetAfter,
    HangBefore,
    HangAfter,
    Drip,
    CutOff,
    Page429,
    Problem429Seconds,
    Problem429Date,
    Page503,
    Problem503Seconds,
    Problem503Date,
    Error500After,
    Problem403,
    Page403,
    Problem404,
    Problem405,
    Page200,
    Empty,
    Half,
    Garbage,
    Oversized,
    Kind,
    BadNonces,
    Redirect,
}

/// The wait that a CA asks for which is short enough for one run.
const SHORT: u64 = 5;

/// The wait that a CA asks for which is not.
const LONG: Duration = Duration::from_secs(30 * 60);

/// More than a run reads.
const TOO_MUCH: usize = 2 << 20;

/// How many nonces in a row are refused where that happens once.
const STREAK: usize = 3;

impl Ill {
    pub(super) const ALL: [Self; 26] = [
        Self::Refused,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::HangBefore,
        Self::HangAfter,
        Self::Drip,
        Self::CutOff,
        Self::Page429,
        Self::Problem429Seconds,
        Self::Problem429Date,
        Self::Page503,
        Self::Problem503Seconds,
        Self::Problem503Date,
        Self::Error500After,
        Self::Problem403,
        Self::Page403,
        Self::Problem404,
        Self::Problem405,
        Self::Page200,
        Self::Empty,
        Self::Half,
        Self::Garbage,
        Self::Oversized,
        Self::Kind,
        Self::BadNonces,
        Self::Redirect,
    ];

    /// The heading of its row.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::ResetBefore => "connection closed, nothing done",
            Self::ResetAfter => "connection closed, but done",
            Self::HangBefore => "no answer, nothing done",
            Self::HangAfter => "no answer, but done",
            Self::Drip => "the answer drips, done",
            Self::CutOff => "the answer is cut off, done",
            Self::Page429 => "429, HTML",
            Self::Problem429Seconds => "429, Retry-After in seconds",
            Self::Problem429Date => "429, Retry-After as a date",
            Self::Page503 => "503, HTML",
            Self::Problem503Seconds => "503, Retry-After in seconds",
            Self::Problem503Date => "503, Retry-After as a date",
            Self::Error500After => "500, but done",
            Self::Problem403 => "403",
            Self::Page403 => "403, HTML",
            Self::Problem404 => "404",
            Self::Problem405 => "405",
            Self::Page200 => "200, HTML",
            Self::Empty => "empty body, done",
            Self::Half => "half of the body, done",
            Self::Garbage => "garbage for a body, done",
            Self::Oversized => "2 MiB too much, done",
            Self::Kind => "another content type, done",
            Self::BadNonces => "badNonce",
            Self::Redirect => "redirect",
        }
    }

    /// How the servers of the world do it; none for what the line has to do.
    pub(super) fn what(self, now: Timestamp) -> Option<What> {
        let problem = |kind: &str, status, retry_after| What::Problem {
            kind: kind.to_owned(),
            status,
            detail: "the matrix says no".to_owned(),
            retry_after,
        };
        let date = || Some(http_date(now + LONG));
        let seconds = || Some(SHORT.to_string());
        Some(match self {
            Self::Refused => return None,
            Self::ResetBefore => What::CloseBefore,
            Self::ResetAfter => What::CloseAfter,
            Self::HangBefore => What::Hang,
            Self::HangAfter => What::HangAfter,
            Self::Drip => What::Drip(Duration::from_millis(40)),
            Self::CutOff => What::Spoilt(Spoilt::CutOff),
            Self::Page429 => What::Html(StatusCode::TOO_MANY_REQUESTS),
            Self::Problem429Seconds => {
                problem("rateLimited", StatusCode::TOO_MANY_REQUESTS, seconds())
            }
            Self::Problem429Date => problem("rateLimited", StatusCode::TOO_MANY_REQUESTS, date()),
            Self::Page503 => What::Html(StatusCode::SERVICE_UNAVAILABLE),
            Self::Problem503Seconds => {
                problem("rateLimited", StatusCode::SERVICE_UNAVAILABLE, seconds())
            }
            Self::Problem503Date => problem("rateLimited", StatusCode::SERVICE_UNAVAILABLE, date()),
            Self::Error500After => What::After(
                StatusCode::INTERNAL_SERVER_ERROR,
                "something went wrong".to_owned(),
            ),
            Self::Problem403 => problem("unauthorized", StatusCode::FORBIDDEN, None),
            Self::Page403 => What::Html(StatusCode::FORBIDDEN),
            Self::Problem404 => problem("malformed", StatusCode::NOT_FOUND, None),
            Self::Problem405 => problem("malformed", StatusCode::METHOD_NOT_ALLOWED, None),
            Self::Page200 => What::Html(StatusCode::OK),
            Self::Empty => What::Spoilt(Spoilt::Empty),
            Self::Half => What::Spoilt(Spoilt::Half),
            Self::Garbage => What::Spoilt(Spoilt::Garbage),
            Self::Oversized => What::Spoilt(Spoilt::Padded(TOO_MUCH)),
            Self::Kind => What::Spoilt(Spoilt::Kind("text/html".to_owned())),
            Self::BadNonces => problem("badNonce", StatusCode::BAD_REQUEST, None),
            Self::Redirect => What::Status {
                status: StatusCode::FOUND,
                headers: vec![("location".to_owned(), "https://elsewhere.test/".to_owned())],
                body: String::new(),
            },
        })
    }

    /// True if a client notices it by waiting only.
    pub(super) const fn is_slow(self) -> bool {
        matches!(self, Self::HangBefore | Self::HangAfter | Self::Drip)
    }

    /// True if every request that is on its way over the same connection is struck, too.
    pub(super) const fn closes_the_connection(self) -> bool {
        matches!(self, Self::ResetBefore | Self::ResetAfter | Self::CutOff)
    }

    /// What has to stand in a report of a failure that came of it: one of these.
    pub(super) const fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Refused => &["no connection"],
            Self::ResetBefore | Self::ResetAfter | Self::CutOff => &["the connection broke"],
            Self::HangBefore | Self::HangAfter | Self::Drip => &["no answer in time"],
            Self::Page429 | Self::Problem429Seconds | Self::Problem429Date => &["answered 429"],
            Self::Page503 | Self::Problem503Seconds | Self::Problem503Date => &["answered 503"],
            Self::Error500After => &["answered 500"],
            Self::Problem403 | Self::Page403 => &["answered 403"],
            Self::Problem404 => &["answered 404"],
            Self::Problem405 => &["answered 405"],
            Self::Oversized => &["the answer is too long"],
            Self::Redirect => &["a redirect to https://elsewhere.test/"],
            Self::BadNonces => &["answered 400", "nonces in a row were refused"],
            Self::Page200 | Self::Empty | Self::Half | Self::Garbage | Self::Kind => {
                &["the answer", "answered 20"]
            }
        }
    }
}

/// How long it goes wrong, and who else could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Once,
    ForEver,
    /// For ever at the first of two CAs.
    WithSpare,
}

/// One square of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) endpoint: Endpoint,
    pub(super) ill: Ill,
    pub(super) course: Course,
}

impl Cell {
    /// True if one of two challenges is taken up, and the other one is the reason to end the run and
    /// to remove the records: what the CA is looking for is gone then.
    pub(super) const fn is_left_half_answered(&self) -> bool {
        matches!(
            (self.endpoint, self.ill, self.course),
            (
                Endpoint::Challenge,
                Ill::Problem429Date | Ill::Problem503Date,
                Course::Once
            )
        )
    }

    /// How long the CA takes to look at records. Usually no time; where the records are gone when it
    /// looks, long enough for that.
    pub(super) const fn validation_delay(&self) -> Duration {
        match self.is_left_half_answered() {
            true => Duration::from_millis(300),
            false => Duration::ZERO,
        }
    }

    /// A part of the matrix: Pebble is slower, and what lasts differs by its kind only.
    pub(super) fn is_for_pebble(&self) -> bool {
        match self.course {
            // Pebble looks at once.
            Course::Once if self.is_left_half_answered() => false,
            Course::Once => true,
            Course::ForEver => {
                matches!(self.ill, Ill::ResetAfter | Ill::Problem404 | Ill::BadNonces)
            }
            Course::WithSpare => false,
        }
    }

    /// How many requests in a row it strikes where it happens once.
    pub(super) const fn times(self) -> usize {
        match (self.ill, self.endpoint) {
            // Requests that nobody signs have no nonce.
            (Ill::BadNonces, Endpoint::Directory | Endpoint::NewNonce | Endpoint::RenewalInfo) => 1,
            (Ill::BadNonces, _) => STREAK,
            _ => 1,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let course = match self.course {
            Course::Once => "once",
            Course::ForEver => "for ever",
            Course::WithSpare => "for ever, with another CA",
        };
        write!(
            f,
            "{}: {}, {course}",
            self.endpoint.title(),
            self.ill.title()
        )
    }
}

/// RFC 9110 section 5.6.7.
fn http_date(at: Timestamp) -> String {
    let seconds = u64::try_from(at.unix()).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
}
