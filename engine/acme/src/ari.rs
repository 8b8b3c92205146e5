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
            // Nobody was asked: that says nothing about the CA.
            TransportStage::Resolver | TransportStage::Route => Self::Temporary,
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
        |text: &str| Timestamp::parse(text).map_err(|error| exchange.malformed(&error.to_string()));
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::AcmeErrorKind;
    use crate::tests::fixture::{problem, reply, user_agent};

    const URL: &str = "https://ari.example/renewal-info/a.b";

    fn body() -> Value {
        json!({
            "suggestedWindow": { "start": "2026-11-20T00:00:00Z", "end": "2026-11-22T00:00:00Z" },
            "explanationURL": "https://ca.example/why",
        })
    }

    fn read_body(body: &Value, headers: &[(&str, &str)]) -> Result<RenewalInfo, AcmeError> {
        read(URL, &reply(200, headers, &body.to_string()))
    }

    #[test]
    fn the_identifier_is_that_of_rfc_9773() {
        let aki = [
            0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3, 0x7B, 0x84, 0x7B, 0xA0,
            0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4,
        ];
        let serial = [0x00, 0x87, 0x65, 0x43, 0x21];
        assert_eq!(
            certificate_id(&aki, &serial),
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
        );
    }

    #[test]
    fn the_request_is_an_unsigned_get() {
        for base in [
            "https://ari.example/renewal-info",
            "https://ari.example/renewal-info/",
        ] {
            let request = request(base, "a.b", &user_agent());
            assert_eq!((request.method, request.url.as_str()), (Method::Get, URL));
            assert_eq!(request.body, b"");
        }
    }

    #[test]
    fn advice_is_a_window_a_page_and_a_time_to_ask_again() {
        let time = |text| Timestamp::parse(text).expect("a literal time");
        assert_eq!(
            read_body(&body(), &[("retry-after", "21600")]),
            Ok(RenewalInfo {
                window: Window {
                    start: time("2026-11-20T00:00:00Z"),
                    end: time("2026-11-22T00:00:00Z"),
                },
                explanation_url: Some("https://ca.example/why".to_owned()),
                retry_after: Some(RetryAfter::After(Duration::from_secs(21_600))),
            })
        );
        let mut odd = body();
        odd["explanationURL"] = json!("javascript:alert(1)");
        let info = read_body(&odd, &[]).expect("advice");
        assert_eq!(info.explanation_url, None);
    }

    #[test]
    fn a_window_that_does_not_end_after_its_start_is_no_advice() {
        let check = |start: &str, end: &str, want: &str| {
            let body = json!({ "suggestedWindow": { "start": start, "end": end } });
            let kind = read_body(&body, &[]).map_err(|error| error.kind.clone());
            assert_eq!(
                kind,
                Err(AcmeErrorKind::Malformed {
                    cause: want.to_owned()
                })
            );
        };
        let backwards = "the suggested window ends before it begins";
        check("2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z", backwards);
        check("2026-11-20T00:00:00Z", "2026-11-19T00:00:00Z", backwards);
        check(
            "soon",
            "later",
            "`soon` is not a time as in 2026-11-23T22:40:00Z",
        );
    }

    #[test]
    fn the_wait_between_two_requests_stays_within_its_limits() {
        let now = Timestamp::from_unix(784_111_777);
        let check = |header: Option<&str>, want: u64| {
            let headers: Vec<_> = header
                .map(|value| ("retry-after", value))
                .into_iter()
                .collect();
            let info = read_body(&body(), &headers).expect("advice");
            assert_eq!(info.next(now), Duration::from_secs(want), "{header:?}");
        };
        check(Some("0"), 60);
        check(Some("3600"), 3600);
        check(Some("999999"), 86_400);
        check(Some("Sun, 06 Nov 1994 08:59:37 GMT"), 600);
        check(Some("Tue, 06 Nov 1984 08:59:37 GMT"), 60);
        check(Some("soon"), 21_600);
        check(None, 21_600);
    }

    #[test]
    fn errors_are_temporary_or_long_term() {
        let check = |response: &Response, want: Term| {
            let error = read(URL, response).expect_err("no advice");
            assert_eq!(Term::of(&error), want, "{error}");
        };
        check(&reply(503, &[], ""), Term::Temporary);
        check(&problem(503, "rateLimited", "busy"), Term::Temporary);
        check(&problem(404, "malformed", "unknown issuer"), Term::LongTerm);
        check(
            &reply(403, &[], r#"{"message":"Missing Authentication Token"}"#),
            Term::LongTerm,
        );
        check(&reply(200, &[], "{}"), Term::LongTerm);
        let check = |stage: TransportStage, want: Term| {
            let error = TransportError {
                stage,
                method: Method::Get,
                url: URL.to_owned(),
                address: None,
                elapsed: Duration::ZERO,
                causes: vec!["cause".to_owned()],
            };
            assert_eq!(Term::of_transport(&error), want);
        };
        check(TransportStage::Timeout, Term::Temporary);
        check(TransportStage::Exchange, Term::Temporary);
        check(TransportStage::Resolver, Term::Temporary);
        check(TransportStage::Route, Term::Temporary);
        check(TransportStage::Dns, Term::LongTerm);
        check(TransportStage::Connect, Term::LongTerm);
        check(TransportStage::Tls, Term::LongTerm);
    }
}
