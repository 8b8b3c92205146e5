//! Renewal information: when the CA would like a certificate to be renewed (RFC 9773).
//!
//! The answer is advice. A window that ends too late, an answer that never comes or one that makes
//! no sense changes nothing about the latest safe moment, which is decided elsewhere.

use std::time::Duration;

use serde::Deserialize;
use waxwing_core::http::{Method, Request, Response, TransportError, TransportStage};
use waxwing_core::time::{Timestamp, Window};

use crate::error::AcmeError;
use crate::exchange::Exchange;
use crate::jws::base64url;
use crate::retry_after::RetryAfter;
use crate::session;
use crate::url;
use crate::user_agent::UserAgent;

/// What the CA advises for one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalInfo {
    /// When to renew: a random moment in it.
    pub window: Window,
    /// Why the window is what it is, for people.
    pub explanation_url: Option<String>,
    /// When to ask again; none if the CA sent nothing usable. See [`RenewalInfo::next`].
    pub retry_after: Option<RetryAfter>,
}

impl RenewalInfo {
    /// The shortest wait between two requests, whatever the CA says.
    pub const SOONEST: Duration = Duration::from_secs(60);

    /// The longest wait between two requests, whatever the CA says.
    pub const LATEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// How long to wait before asking again, at the moment of the answer. An answer without a
    /// usable `Retry-After` counts as a long-term error (RFC 9773 section 4.3.3).
    pub fn next(&self, now: Timestamp) -> Duration {
        self.retry_after.map_or(LONG_TERM_WAIT, |retry_after| {
            retry_after.wait(now).clamp(Self::SOONEST, Self::LATEST)
        })
    }
}

/// The wait after a [`Term::LongTerm`] error (RFC 9773 section 4.3.3).
pub const LONG_TERM_WAIT: Duration = Duration::from_secs(6 * 60 * 60);

/// How long an error is likely to last (RFC 9773 section 4.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Term {
    /// Ask again soon, with growing waits.
    Temporary,
    /// Ask again after [`LONG_TERM_WAIT`].
    LongTerm,
}

impl Term {
    /// Of an answer that was no renewal information.
    pub fn of(error: &AcmeError) -> Self {
        if error.status.is_some_and(|status| status >= 500) {
            Self::Temporary
        } else {
            Self::LongTerm
        }
    }

    /// Of a request without an answer. A host that takes no connections counts as long-term even
    /// if it was the connect time-out that ended the attempt.
    pub const fn of_transport(error: &TransportError) -> Self {
        match error.stage {
            TransportStage::Timeout | TransportStage::Exchange => Self::Temporary,
            _ => Self::LongTerm,
        }
    }
}

/// The identifier of a certificate: its authority key identifier and its serial number (RFC 9773
/// section 4.1). Both are the content bytes of the DER; a leading zero of the serial stays.
pub fn certificate_id(aki: &[u8], serial: &[u8]) -> String {
    format!("{}.{}", base64url(aki), base64url(serial))
}

/// The request for advice. It is neither signed nor does it need a nonce.
pub fn request(renewal_info: &str, certificate_id: &str, user_agent: &UserAgent) -> Request {
    Request {
        method: Method::Get,
        url: format!("{}/{certificate_id}", renewal_info.trim_end_matches('/')),
        headers: session::headers(user_agent, session::JSON),
        body: Vec::new(),
    }
}

/// Reads the reply to [`request`]; `url` is where that went.
pub fn read(url: &str, response: &Response) -> Result<RenewalInfo, AcmeError> {
    let exchange = Exchange::new("read the renewal information", Method::Get, url, response);
    let wire: RenewalInfoWire = exchange.object()?;
    let time =
        |text: &str| Timestamp::parse(text).map_err(|error| exchange.malformed(error.to_string()));
    let window = Window {
        start: time(&wire.suggested_window.start)?,
        end: time(&wire.suggested_window.end)?,
    };
    if window.end <= window.start {
        return Err(exchange.malformed("the suggested window ends before it begins"));
    }
    Ok(RenewalInfo {
        window,
        explanation_url: wire
            .explanation_url
            .filter(|page| url::refusal(page).is_none()),
        retry_after: exchange.retry_after(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfoWire {
    suggested_window: WindowWire,
    #[serde(rename = "explanationURL")]
    explanation_url: Option<String>,
}

#[derive(Deserialize)]
struct WindowWire {
    start: String,
    end: String,
}
