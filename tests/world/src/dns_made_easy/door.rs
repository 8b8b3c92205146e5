//! Who may ask and what every answer carries.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::Account;
use crate::ca::token;

/// How far a request's date may be from the server's clock.
const SKEW: Duration = Duration::from_secs(30);

/// The most bytes a request may have.
const BODY_LIMIT: usize = 256 * 1024;

/// An answer before the headers every answer has.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) kind: &'static str,
    pub(super) location: Option<String>,
}

impl Reply {
    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        Self {
            status,
            body: value.to_string(),
            kind: "application/json",
            location: None,
        }
    }

    pub(super) fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self::json(status, &json!({ "error": [text.into()] }))
    }

    /// What stands in for "not found".
    pub(super) fn html() -> Self {
        let body = "<html><head><title>DNS Made Easy</title></head><body><h1>A system error has \
                    occurred</h1></body></html>";
        Self {
            status: StatusCode::NOT_FOUND,
            body: body.to_owned(),
            kind: "text/html;charset=ISO-8859-1",
            location: None,
        }
    }
}

pub(super) async fn serve(State(account): State<Arc<Account>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let now = (account.options.clock)();
    let taken = account
        .window
        .with(|window| (window.take(now), window.limit()));
    let (remaining, limit) = (taken.0.unwrap_or(0), taken.1);
    let reply = match to_bytes(body, BODY_LIMIT).await {
        Err(_cut_or_long) => Reply::error(StatusCode::BAD_REQUEST, "Invalid request body"),
        Ok(_body) if taken.0.is_err() => {
            Reply::error(StatusCode::BAD_REQUEST, "Rate limit exceeded")
        }
        Ok(body) => {
            let header = |name: &str| {
                parts
                    .headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            let signed = account.check(
                now,
                header("x-dnsme-apikey"),
                header("x-dnsme-requestdate"),
                header("x-dnsme-hmac"),
            );
            match signed {
                Err(refusal) => refusal,
                Ok(()) => account.route(&parts, &body),
            }
        }
    };
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if !reply.kind.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    }
    let id = token(12);
    for (name, value) in [
        ("x-dnsme-requestid", id),
        ("x-dnsme-requestlimit", limit.to_string()),
        ("x-dnsme-requestsremaining", remaining.to_string()),
        ("date", httpdate::fmt_http_date(now)),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if let Some(location) = reply
        .location
        .and_then(|url| HeaderValue::try_from(url).ok())
    {
        headers.insert(header::LOCATION, location);
    }
    response
}

impl Account {
    fn check(
        &self,
        now: SystemTime,
        key: Option<&str>,
        date: Option<&str>,
        hmac: Option<&str>,
    ) -> Result<(), Reply> {
        if key != Some(self.options.api_key.as_str()) {
            return Err(Reply::error(StatusCode::FORBIDDEN, "API key not found"));
        }
        let date = date.unwrap_or_default();
        let Some(sent) = parse_date(date) else {
            return Err(Reply::error(
                self.options.date_status,
                format!("Invalid request date header: {date}"),
            ));
        };
        let (apart, sign) = match now.duration_since(sent) {
            Ok(late) => (late, ""),
            Err(early) => (early.duration(), "-"),
        };
        if apart > SKEW {
            let header_ms = sent
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO)
                .as_millis();
            return Err(Reply::error(
                self.options.date_status,
                format!(
                    "Request sent with date header too far out of sync.  Difference in times is \
                     {sign}{}, header value is {header_ms}",
                    apart.as_millis()
                ),
            ));
        }
        let key = hmac::Key::new(
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            self.options.secret_key.as_bytes(),
        );
        let tag: String = hmac::sign(&key, date.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        match hmac == Some(tag.as_str()) {
            true => Ok(()),
            false => Err(Reply::error(StatusCode::FORBIDDEN, "Unable to verify HMAC")),
        }
    }
}

/// RFC 1123 in the forms clients send: `GMT`, `UTC` or `+0000`, the day with or without its zero.
pub(super) fn parse_date(text: &str) -> Option<SystemTime> {
    let (date, zone) = text.rsplit_once(' ')?;
    if !["GMT", "UTC", "+0000"].contains(&zone) {
        return None;
    }
    let (weekday, rest) = date.split_once(", ")?;
    let padded = match rest.split_once(' ')?.0.len() {
        1 => format!("{weekday}, 0{rest} GMT"),
        _ => format!("{weekday}, {rest} GMT"),
    };
    httpdate::parse_http_date(&padded).ok()
}
