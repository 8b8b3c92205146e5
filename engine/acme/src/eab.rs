//! Credentials from the CA for external account binding, fetched from its web API.
//!
//! The API is described by data ([`EabObtain`]): one request and where to look in its JSON answer.
//! The query of the URL may hold a credential, so no error has it.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use waxwing_core::ca::EabObtain;
use waxwing_core::failure::FailureClass;
use waxwing_core::http::{Method, Request, Response, without_query};
use waxwing_core::secret::Secret;

use crate::account::ExternalAccount;
use crate::excerpt::{EXCERPT, of_body, one_line};
use crate::retry_after::RetryAfter;
use crate::session;
use crate::url;
use crate::user_agent::UserAgent;

/// Credentials that could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EabError {
    /// The URL without its query.
    pub url: String,
    /// The status of the reply; none if nothing was sent.
    pub status: Option<u16>,
    /// When the API wants to be asked again.
    pub retry_after: Option<RetryAfter>,
    /// From sending to the last byte of the reply; zero if nothing was sent.
    pub elapsed: Duration,
    /// What is wrong.
    pub kind: EabErrorKind,
}

/// What is wrong with fetching credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EabErrorKind {
    /// A template needs a value that the configuration does not have.
    Missing(Placeholder),
    /// The profile describes a request that cannot be made.
    Description(String),
    /// The API answered with an error status or without success.
    Refused {
        /// What the API says about it.
        reason: Option<String>,
    },
    /// The answer is not JSON.
    NotJson,
    /// The answer holds no text at that JSON pointer.
    Absent(String),
    /// The MAC key is not base64.
    Key(HmacKeyError),
}

/// A value that fields are filled in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// `{email}`
    Email,
    /// `{api-key}`
    ApiKey,
}

/// A MAC key that is not base64url, nor the base64 that some CAs hand out instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MAC key is not base64url")]
pub struct HmacKeyError;

impl ExternalAccount {
    /// Takes the MAC key as CAs hand it out: base64url with or without padding; standard base64 is
    /// understood too.
    pub fn from_base64(kid: &str, hmac_key: &Secret<String>) -> Result<Self, HmacKeyError> {
        let text: String = hmac_key
            .expose()
            .trim()
            .chars()
            .map(|c| match c {
                '+' => '-',
                '/' => '_',
                other => other,
            })
            .collect();
        let bytes = LENIENT.decode(text).map_err(|_shape| HmacKeyError)?;
        if bytes.is_empty() {
            return Err(HmacKeyError);
        }
        Ok(Self {
            kid: kid.to_owned(),
            hmac_key: Secret::new(bytes),
        })
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The request that fetches credentials. It may hold credentials itself.
pub fn request(
    obtain: &EabObtain,
    email: Option<&str>,
    api_key: Option<&Secret<String>>,
    user_agent: &UserAgent,
) -> Result<Request, EabError> {
    let unsent = |kind| EabError {
        url: without_query(&obtain.url).to_owned(),
        status: None,
        retry_after: None,
        elapsed: Duration::ZERO,
        kind,
    };
    let method = match obtain.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => {
            return Err(unsent(EabErrorKind::Description(format!(
                "the method `{other}`"
            ))));
        }
    };
    if let Some(reason) = url::refusal(&obtain.url) {
        return Err(unsent(EabErrorKind::Description(format!(
            "the URL: {reason}"
        ))));
    }
    let mut fields = Vec::new();
    for (name, template) in &obtain.fields {
        let value = fill(template, email, api_key)
            .map_err(|missing| unsent(EabErrorKind::Missing(missing)))?;
        fields.push(format!("{}={}", form_encoded(name), form_encoded(&value)));
    }
    let fields = fields.join("&");
    let mut request = Request {
        method,
        url: obtain.url.clone(),
        headers: session::headers(user_agent, session::JSON),
        body: Vec::new(),
    };
    if obtain.in_query {
        if !fields.is_empty() {
            request
                .url
                .push(if obtain.url.contains('?') { '&' } else { '?' });
            request.url.push_str(&fields);
        }
    } else {
        let form = "application/x-www-form-urlencoded";
        request
            .headers
            .push(("content-type".to_owned(), form.to_owned()));
        request.body = fields.into_bytes();
    }
    Ok(request)
}

/// Reads the reply to [`request`].
pub fn read(obtain: &EabObtain, response: &Response) -> Result<ExternalAccount, EabError> {
    let failed = |kind| EabError {
        url: without_query(&obtain.url).to_owned(),
        status: Some(response.status),
        retry_after: RetryAfter::of(response),
        elapsed: response.elapsed,
        kind,
    };
    let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
    let reason = |answer: &Value| {
        let reason = answer.pointer(obtain.error.as_deref()?)?;
        let text = reason
            .as_str()
            .map_or_else(|| reason.to_string(), str::to_owned);
        Some(one_line(&text, EXCERPT)).filter(|text| !text.is_empty())
    };
    if !(200..=299).contains(&response.status) {
        // A JSON body may hold credentials even here, so only the place of the error is quoted.
        let reason = match &answer {
            Some(answer) => reason(answer),
            None => of_body(&response.body),
        };
        return Err(failed(EabErrorKind::Refused { reason }));
    }
    let answer = answer.ok_or_else(|| failed(EabErrorKind::NotJson))?;
    if let Some(pointer) = &obtain.success
        && !answer.pointer(pointer).is_some_and(says_yes)
    {
        return Err(failed(EabErrorKind::Refused {
            reason: reason(&answer),
        }));
    }
    let text = |pointer: &str| match answer.pointer(pointer).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(failed(EabErrorKind::Absent(pointer.to_owned()))),
    };
    let kid = text(&obtain.kid)?;
    let hmac_key = Secret::new(text(&obtain.hmac_key)?);
    ExternalAccount::from_base64(&kid, &hmac_key).map_err(|error| failed(EabErrorKind::Key(error)))
}

/// APIs say `true`, `1` or the same in quotes, some of them all of these over the years.
fn says_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn fill(
    template: &str,
    email: Option<&str>,
    api_key: Option<&Secret<String>>,
) -> Result<String, Placeholder> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        if let Some(after) = from.strip_prefix("{email}") {
            filled.push_str(email.ok_or(Placeholder::Email)?);
            rest = after;
        } else if let Some(after) = from.strip_prefix("{api-key}") {
            filled.push_str(api_key.ok_or(Placeholder::ApiKey)?.expose());
            rest = after;
        } else {
            filled.push('{');
            rest = &from[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// `application/x-www-form-urlencoded`, with `%20` for the space so that it serves queries too.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl EabError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match (&self.kind, self.status) {
            (EabErrorKind::Missing(_) | EabErrorKind::Description(_), _) => {
                FailureClass::Misconfigured
            }
            (_, Some(429)) => FailureClass::RateLimited,
            (EabErrorKind::NotJson, _) | (_, Some(408 | 500..)) => FailureClass::Transient,
            (EabErrorKind::Refused { .. }, _) => FailureClass::Misconfigured,
            (EabErrorKind::Absent(_) | EabErrorKind::Key(_), _) => FailureClass::Bug,
        }
    }

    /// What the operator can do, on one line.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            EabErrorKind::Missing(Placeholder::Email) => "set email in [account]",
            EabErrorKind::Missing(Placeholder::ApiKey) => {
                "set eab = { api-key = \"file:…\" } in the CA's section"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl std::error::Error for EabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            EabErrorKind::Key(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for EabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch credentials from the CA: {}", self.url)?;
        if let Some(status) = self.status {
            write!(
                f,
                " answered {status} after {} ms",
                self.elapsed.as_millis()
            )?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl fmt::Display for EabErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(Placeholder::Email) => f.write_str("it needs an e-mail address"),
            Self::Missing(Placeholder::ApiKey) => f.write_str("it needs an API key"),
            Self::Description(what) => write!(f, "the profile cannot be used: {what}"),
            Self::Refused {
                reason: Some(reason),
            } => write!(f, "refused: {reason}"),
            Self::Refused { reason: None } => f.write_str("refused without a reason"),
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::Absent(pointer) => write!(f, "the answer holds no text at `{pointer}`"),
            Self::Key(_) => f.write_str("the MAC key in the answer cannot be used"),
        }
    }
}
