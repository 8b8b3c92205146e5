//! Credentials from the CA for external account binding, fetched from its web API.
//!
//! The API is described by data ([`EabObtain`]): one request and where to look in its JSON answer.
//! The query of the URL may hold a credential, so no error has it.

mod error;

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use waxwing_core::ca::EabObtain;
use waxwing_core::http::{Method, Request, Response, without_query};
use waxwing_core::secret::Secret;

pub use self::error::{EabError, EabErrorKind, Placeholder};
use crate::account::ExternalAccount;
use crate::excerpt::{EXCERPT, of_body, one_line};
use crate::retry_after::RetryAfter;
use crate::session;
use crate::url;
use crate::user_agent::UserAgent;

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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use waxwing_core::failure::FailureClass;

    use super::*;
    use crate::tests::fixture::{reply, user_agent};

    fn obtain(in_query: bool, fields: &[(&str, &str)]) -> EabObtain {
        EabObtain {
            url: "https://api.example/acme/eab".to_owned(),
            method: "POST".to_owned(),
            in_query,
            fields: fields
                .iter()
                .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
                .collect(),
            email: None,
            api_key: None,
            success: Some("/success".to_owned()),
            kid: "/eab_kid".to_owned(),
            hmac_key: "/eab_hmac_key".to_owned(),
            error: Some("/error/type".to_owned()),
        }
    }

    fn by_key() -> EabObtain {
        obtain(true, &[("access_key", "{api-key}")])
    }

    fn api_key() -> Secret<String> {
        Secret::new("p&ss {email}".to_owned())
    }

    #[test]
    fn fields_go_into_the_query_or_into_a_form() {
        let sent = request(&by_key(), None, Some(&api_key()), &user_agent()).expect("a request");
        assert_eq!(
            sent.url,
            "https://api.example/acme/eab?access_key=p%26ss%20%7Bemail%7D"
        );
        assert_eq!(sent.body, b"");
        assert!(!format!("{sent:?}").contains("access_key"));

        let form = obtain(false, &[("email", "{email}"), ("note", "a {b} {email}")]);
        let sent = request(&form, Some("o+ps@example.com"), None, &user_agent());
        let sent = sent.expect("a request");
        assert_eq!(sent.url, "https://api.example/acme/eab");
        assert_eq!(
            String::from_utf8(sent.body).as_deref(),
            Ok("email=o%2Bps%40example.com&note=a%20%7Bb%7D%20o%2Bps%40example.com")
        );
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert!(
            sent.headers
                .iter()
                .any(|(name, value)| (name.as_str(), value.as_str()) == form)
        );
    }

    #[test]
    fn a_query_is_added_to_one_that_is_there() {
        let mut described = by_key();
        described.url.push_str("?v=1");
        described.method = "GET".to_owned();
        let sent = request(
            &described,
            None,
            Some(&Secret::new("k".to_owned())),
            &user_agent(),
        );
        let sent = sent.expect("a request");
        assert_eq!(sent.method, Method::Get);
        assert_eq!(sent.url, "https://api.example/acme/eab?v=1&access_key=k");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |described: &EabObtain, want: &str, hint: Option<&str>| {
            let error = request(described, None, None, &user_agent()).expect_err("a flaw");
            assert_eq!(error.to_string(), want);
            assert_eq!(error.hint().as_deref(), hint);
            assert_eq!(error.class(), FailureClass::Misconfigured);
        };
        let begin = "fetch credentials from the CA: https://api.example/acme/eab";
        check(
            &by_key(),
            &format!("{begin}: it needs an API key"),
            Some("set eab = { api-key = \"file:…\" } in the CA's section"),
        );
        check(
            &obtain(false, &[("email", "{email}")]),
            &format!("{begin}: it needs an e-mail address"),
            Some("set email in [account]"),
        );
        let described = EabObtain {
            method: "BREW".to_owned(),
            ..by_key()
        };
        check(
            &described,
            &format!("{begin}: the profile cannot be used: the method `BREW`"),
            None,
        );
        let described = EabObtain {
            url: "http://api.example/?a=b".to_owned(),
            ..by_key()
        };
        let want = "fetch credentials from the CA: http://api.example/: the profile cannot be \
                    used: the URL: it does not begin with https://";
        check(&described, want, None);
    }

    #[test]
    fn success_is_said_in_many_ways() {
        let check = |success: Value, want: bool| {
            let body = json!({ "success": success, "eab_kid": "k", "eab_hmac_key": "AQID" });
            let read = read(&by_key(), &reply(200, &[], &body.to_string()));
            let external = ExternalAccount {
                kid: "k".to_owned(),
                hmac_key: Secret::new(vec![1, 2, 3]),
            };
            assert_eq!(read.ok(), want.then_some(external), "{success}");
        };
        for yes in [
            json!(1),
            json!(true),
            json!("true"),
            json!("1"),
            json!("True"),
        ] {
            check(yes, true);
        }
        for no in [
            json!(0),
            json!(false),
            json!("false"),
            json!(null),
            json!(2),
            json!({}),
        ] {
            check(no, false);
        }
    }

    #[test]
    fn a_mac_key_comes_in_any_base64() {
        let check = |text: &str, want: Option<&[u8]>| {
            let external = ExternalAccount::from_base64("k", &Secret::new(text.to_owned()));
            let bytes = external
                .as_ref()
                .ok()
                .map(|e| e.hmac_key.expose().as_slice());
            assert_eq!(bytes, want, "{text}");
        };
        check("-_8", Some(&[0xfb, 0xff]));
        check("-_8=", Some(&[0xfb, 0xff]));
        check("+/8=", Some(&[0xfb, 0xff]));
        check(" +/8\n", Some(&[0xfb, 0xff]));
        check("-_9", Some(&[0xfb, 0xff]));
        check("", None);
        check("a", None);
        check("no key!", None);
    }

    #[test]
    fn a_refusal_says_what_the_api_says_and_nothing_secret() {
        let check = |status: u16, body: &str, want: &str, class: FailureClass| {
            let mut described = by_key();
            described.url.push_str("?access_key=hunter2");
            let error = read(&described, &reply(status, &[("retry-after", "9")], body));
            let error = error.expect_err("no credentials");
            let begin = "fetch credentials from the CA: https://api.example/acme/eab answered";
            assert_eq!(
                error.to_string(),
                format!("{begin} {status} after 120 ms: {want}")
            );
            assert_eq!(error.class(), class);
            assert_eq!(error.retry_after, RetryAfter::parse("9"));
        };
        let refusal = r#"{"success":false,"error":{"code":2904,"type":"too_many_today"},
                          "eab_hmac_key":"hunter2"}"#;
        use FailureClass::{Bug, Misconfigured, RateLimited, Transient};
        check(200, refusal, "refused: too_many_today", Misconfigured);
        check(403, refusal, "refused: too_many_today", Misconfigured);
        check(429, "<h1>Slow down</h1>", "refused: Slow down", RateLimited);
        check(502, "", "refused without a reason", Transient);
        check(
            200,
            r#"{"success":0}"#,
            "refused without a reason",
            Misconfigured,
        );
        check(200, "<html>", "the answer is not JSON", Transient);
        let absent = "the answer holds no text at `/eab_kid`";
        check(
            200,
            r#"{"success":1,"eab_hmac_key":"hunter2"}"#,
            absent,
            Bug,
        );
        let odd = r#"{"success":1,"eab_kid":"k","eab_hmac_key":"hunter2!"}"#;
        check(200, odd, "the MAC key in the answer cannot be used", Bug);
    }
}
