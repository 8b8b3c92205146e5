//! What the API's answers mean: `{"success", "errors": [{"code", "message"}], "result"}`.
//!
//! The numbers are the contract and the status is not: 400 is a duplicate as well as a bad token.

use serde_json::Value;

use crate::bindings::waxwing::host::http::Response;

/// Longest excerpt of a body that is no JSON.
const EXCERPT: usize = 200;

/// The record exists, with the same content or with any.
const DUPLICATE: [u64; 2] = [81057, 81058];
/// The record does not exist; or the path cannot be routed, because an id in it never existed.
const GONE: [u64; 4] = [81044, 1003, 7000, 7003];
/// Bad or missing credentials, or credentials that do not reach this object.
const UNAUTHORIZED: [u64; 8] = [1000, 6003, 6111, 9103, 9106, 9107, 9109, 10000];

/// An answer, sorted by what can be done about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    Success,
    Duplicate,
    RateLimited,
    Refused,
    NotFound,
    Unauthorized,
    ServerTrouble,
}

/// An answer as far as it could be read.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    headers: Vec<(String, String)>,
    excerpt: String,
}

impl Reply {
    pub(crate) fn read(response: Response) -> Self {
        let text = String::from_utf8_lossy(&response.body);
        let text = text.trim();
        let excerpt = match text.chars().next() {
            None => "an empty answer".to_owned(),
            Some('<') => "an HTML page instead of JSON".to_owned(),
            Some(_) => text.chars().take(EXCERPT).collect(),
        };
        Self {
            status: response.status,
            body: serde_json::from_slice(&response.body).ok(),
            headers: response.headers,
            excerpt,
        }
    }

    pub(crate) fn meaning(&self) -> Meaning {
        let codes = self.codes();
        let any = |known: &[u64]| codes.iter().any(|code| known.contains(code));
        let succeeded = self
            .body
            .as_ref()
            .is_some_and(|body| body["success"] == true);
        match self.status {
            429 => Meaning::RateLimited,
            408 | 500..=599 => Meaning::ServerTrouble,
            200..=299 if succeeded => Meaning::Success,
            _ if any(&DUPLICATE) => Meaning::Duplicate,
            _ if any(&GONE) => Meaning::NotFound,
            401 | 403 => Meaning::Unauthorized,
            _ if any(&UNAUTHORIZED) => Meaning::Unauthorized,
            404 => Meaning::NotFound,
            _ => Meaning::Refused,
        }
    }

    /// The API's own words with their numbers, or the start of the body.
    pub(crate) fn words(&self) -> String {
        let said: Vec<String> = self
            .errors()
            .map(|error| {
                let message = error["message"].as_str().unwrap_or("no message");
                match error["code"].as_u64() {
                    Some(code) => format!("{message} ({code})"),
                    None => message.to_owned(),
                }
            })
            .collect();
        if said.is_empty() {
            self.excerpt.clone()
        } else {
            said.join("; ")
        }
    }

    /// `Retry-After` in milliseconds; Cloudflare writes it in seconds.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
        value.trim().parse::<u64>().ok()?.checked_mul(1000)
    }

    fn codes(&self) -> Vec<u64> {
        self.errors()
            .filter_map(|error| error["code"].as_u64())
            .collect()
    }

    /// The errors and the chains below them.
    fn errors(&self) -> impl Iterator<Item = &Value> {
        self.body
            .iter()
            .flat_map(|body| list(body, "errors"))
            .flat_map(|error| std::iter::once(error).chain(list(error, "error_chain")))
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a TXT content: one or more quoted strings, or, from older clients, no quotes.
pub(crate) fn unquote(content: &str) -> String {
    let content = content.trim();
    if !content.starts_with('"') {
        return content.to_owned();
    }
    let mut text = String::with_capacity(content.len());
    let mut quoted = false;
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => text.extend(characters.next()),
            _ if quoted => text.push(character),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply::read(Response {
            status,
            headers: vec![("retry-after".to_owned(), "17".to_owned())],
            body: body.as_bytes().to_vec(),
        })
    }

    fn error(code: u64) -> String {
        format!(
            r#"{{"success":false,"errors":[{{"code":{code},"message":"words"}}],"result":null}}"#
        )
    }

    #[test]
    fn answers_are_sorted_by_number_then_by_status() {
        for (status, body, expected) in [
            (200, r#"{"success":true,"errors":[],"result":[]}"#.to_owned(), Meaning::Success),
            (200, error(1234), Meaning::Refused),
            (200, "not json".to_owned(), Meaning::Refused),
            (400, error(81057), Meaning::Duplicate),
            (400, error(81058), Meaning::Duplicate),
            (404, error(81044), Meaning::NotFound),
            (400, error(7003), Meaning::NotFound),
            (403, error(10000), Meaning::Unauthorized),
            (403, error(9109), Meaning::Unauthorized),
            (401, String::new(), Meaning::Unauthorized),
            (
                400,
                r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}]}"#.to_owned(),
                Meaning::Unauthorized,
            ),
            (400, error(9005), Meaning::Refused),
            (429, error(10013), Meaning::RateLimited),
            (502, "<html>".to_owned(), Meaning::ServerTrouble),
            (301, String::new(), Meaning::Refused),
        ] {
            assert_eq!(reply(status, &body).meaning(), expected, "{status} {body}");
        }
    }

    #[test]
    fn words_carry_their_numbers_and_chains() {
        for (body, expected) in [
            (error(9005), "words (9005)".to_owned()),
            (
                r#"{"errors":[{"code":1,"message":"a","error_chain":[{"code":2,"message":"b"}]}]}"#
                    .to_owned(),
                "a (1); b (2)".to_owned(),
            ),
            (
                "<html>".to_owned(),
                "an HTML page instead of JSON".to_owned(),
            ),
            (String::new(), "an empty answer".to_owned()),
            ("odd".to_owned(), "odd".to_owned()),
        ] {
            assert_eq!(reply(400, &body).words(), expected);
        }
        assert_eq!(reply(429, "").retry_after_ms(), Some(17_000));
    }

    #[test]
    fn content_is_compared_without_its_quotes() {
        for (content, expected) in [
            ("plain", "plain"),
            (r#""quoted""#, "quoted"),
            (r#""one" "two""#, "onetwo"),
            (r#""a\"b""#, "a\"b"),
        ] {
            assert_eq!(unquote(content), expected);
        }
    }
}
