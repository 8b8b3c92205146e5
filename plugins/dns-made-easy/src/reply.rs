//! What the API's answers mean.
//!
//! The status alone does not tell: a rate limit, a duplicate and a wrong clock are all 400, and an
//! unknown zone is an HTML page.

use serde_json::Value;

use crate::bindings::waxwing::host::http::Response;

/// Longest excerpt of a body in an error.
const EXCERPT: usize = 200;

/// An answer, sorted by what can be done about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    Success,
    /// The same type, name and value exist.
    Duplicate,
    /// The date of the request is too far from the server's clock.
    ClockSkew,
    RateLimited,
    Refused,
    NotFound,
    Unauthorized,
    ServerTrouble,
}

/// Sorts an answer.
pub(crate) fn meaning(response: &Response) -> Meaning {
    let text = error_text(response).to_ascii_lowercase();
    match response.status {
        200..=299 => Meaning::Success,
        400 if text.contains("already exists") => Meaning::Duplicate,
        400 | 403 if text.contains("too far out of sync") => Meaning::ClockSkew,
        429 => Meaning::RateLimited,
        // Without a budget the API answers 404 as well, which must not be read as "no such zone".
        400 | 404 if is_exhausted(response) || text.contains("rate limit exceeded") => {
            Meaning::RateLimited
        }
        401 | 403 => Meaning::Unauthorized,
        404 => Meaning::NotFound,
        408 | 500..=599 => Meaning::ServerTrouble,
        _ => Meaning::Refused,
    }
}

/// The API's own words: the strings of `{"error": […]}`, or the start of the body.
pub(crate) fn error_text(response: &Response) -> String {
    let body = String::from_utf8_lossy(&response.body);
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    if let Some(error) = json.get("error") {
        return match error {
            Value::String(text) => text.clone(),
            Value::Array(texts) => texts
                .iter()
                .map(|text| {
                    text.as_str()
                        .map_or_else(|| text.to_string(), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join("; "),
            other => other.to_string(),
        };
    }
    let body = body.trim();
    if body.is_empty() {
        return "an empty answer".to_owned();
    }
    if body.starts_with('<') {
        return "an HTML page instead of JSON".to_owned();
    }
    let mut excerpt: String = body.chars().take(EXCERPT).collect();
    if excerpt.len() < body.len() {
        excerpt.push('…');
    }
    excerpt
}

/// The first header of this lower-case name.
pub(crate) fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response
        .headers
        .iter()
        .find(|(header, _)| header.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn is_exhausted(response: &Response) -> bool {
    header(response, "x-dnsme-requestsremaining").is_some_and(|left| left.parse() == Ok(0))
}

/// The text of a TXT value: the API returns it in quotes, and more than 255 characters as several
/// quoted strings. Text without quotes is itself.
pub(crate) fn unquote(value: &str) -> String {
    let value = value.trim();
    if !value.starts_with('"') {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len());
    let mut quoted = false;
    let mut characters = value.chars();
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

    fn reply(status: u16, remaining: Option<&str>, body: &str) -> Response {
        Response {
            status,
            headers: remaining
                .map(|left| ("x-dnsme-requestsremaining".to_owned(), left.to_owned()))
                .into_iter()
                .collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn answers_are_sorted_by_status_budget_and_words() {
        let duplicate = r#"{"error":["Record with this type (TXT), name (_acme-challenge.noop), and value (\"v\") already exists."]}"#;
        let skew = r#"{"error": ["Request sent with date header too far out of sync.  Difference in times is 47971, header value is 1610379952000"]}"#;
        let html = "<html><body>A system error has occurred</body></html>";
        for (status, remaining, body, expected) in [
            (201, Some("149"), "{}", Meaning::Success),
            (200, Some("0"), "", Meaning::Success),
            (400, Some("10"), duplicate, Meaning::Duplicate),
            (400, Some("0"), duplicate, Meaning::Duplicate),
            (400, Some("10"), skew, Meaning::ClockSkew),
            (
                400,
                Some("0"),
                r#"{"error": ["Rate limit exceeded"]}"#,
                Meaning::RateLimited,
            ),
            (
                400,
                None,
                r#"{error: ["Rate limit exceeded"]}"#,
                Meaning::RateLimited,
            ),
            (
                400,
                Some("10"),
                r#"{"error":["Invalid ttl"]}"#,
                Meaning::Refused,
            ),
            (404, Some("10"), html, Meaning::NotFound),
            (404, Some("0"), html, Meaning::RateLimited),
            (401, None, "", Meaning::Unauthorized),
            (
                403,
                Some("10"),
                r#"{"error": ["API key not found"]}"#,
                Meaning::Unauthorized,
            ),
            (429, None, "", Meaning::RateLimited),
            (503, None, html, Meaning::ServerTrouble),
            (302, None, "", Meaning::Refused),
        ] {
            assert_eq!(
                meaning(&reply(status, remaining, body)),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn the_words_of_an_answer_are_found_in_any_shape() {
        for (body, expected) in [
            (r#"{"error":["one","two"]}"#, "one; two"),
            (r#"{"error":"alone"}"#, "alone"),
            (r#"["error"]"#, r#"["error"]"#),
            ("\"error\"", "\"error\""),
            (r#"{error: ["no quotes"]}"#, r#"{error: ["no quotes"]}"#),
            ("<!DOCTYPE html>", "an HTML page instead of JSON"),
            ("  ", "an empty answer"),
        ] {
            assert_eq!(error_text(&reply(400, None, body)), expected);
        }
        let long = error_text(&reply(400, None, &"é".repeat(1000)));
        assert_eq!(long.chars().count(), EXCERPT + 1);
    }

    #[test]
    fn a_value_is_compared_without_its_quotes() {
        for (value, expected) in [
            ("plain", "plain"),
            (r#""quoted""#, "quoted"),
            (r#""one""two""#, "onetwo"),
            (r#""one" "two""#, "onetwo"),
            (r#""a\"b""#, "a\"b"),
            (r#"""#, ""),
            ("", ""),
        ] {
            assert_eq!(unquote(value), expected, "{value}");
        }
    }
}
