//! Takes known secret values out of everything a guest, a log or a person gets to see.
//!
//! Best effort by nature: a server that answers with a secret in an encoding of its own gets
//! through. The encodings that the host itself writes are all covered, base64 at any alignment
//! among them, so `user:password` in base64 does not show the password.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::section::hex;

/// Shorter values are not looked for: they would be found by chance.
const SHORTEST: usize = 8;

/// The values to look for, in their encodings.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// What is found and what stands in its place, longest first.
    needles: Vec<(Vec<u8>, String)>,
}

impl Redactor {
    /// Adds a secret by name.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        self.add_encodings(value, &format!("[secret {name}]"));
        self.sort();
    }

    /// Adds a private key in PEM: each line by itself, since some encodings join or split them.
    pub(crate) fn add_pem(&mut self, name: &str, pem: &str) {
        let mark = format!("[{name}]");
        self.add_encodings(pem.trim().as_bytes(), &mark);
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            self.push(line.trim().as_bytes(), &mark);
        }
        self.sort();
    }

    /// The text without any secret.
    pub(crate) fn text(&self, text: &str) -> String {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => text.to_owned(),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The bytes without any secret.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut have = Cow::Borrowed(bytes);
        for (needle, mark) in &self.needles {
            if let Some(clean) = replace(&have, needle, mark.as_bytes()) {
                have = Cow::Owned(clean);
            }
        }
        have
    }

    fn add_encodings(&mut self, value: &[u8], mark: &str) {
        let lower = hex(value);
        self.push(value, mark);
        self.push(lower.to_ascii_uppercase().as_bytes(), mark);
        self.push(lower.as_bytes(), mark);
        self.push(percent(value, true).as_bytes(), mark);
        self.push(percent(value, false).as_bytes(), mark);
        self.push(percent(value, true).replace("%20", "+").as_bytes(), mark);
        if let Ok(text) = std::str::from_utf8(value) {
            let quoted = serde_json::Value::from(text).to_string();
            self.push(quoted.trim_matches('"').as_bytes(), mark);
        }
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            // Characters that hold bits of a neighbour are left out, so that the rest is found
            // wherever the value stands in a longer text.
            for (offset, skip) in [(0, 0), (1, 2), (2, 3)] {
                let mut shifted = vec![0; offset];
                shifted.extend_from_slice(value);
                let encoded = engine.encode(&shifted);
                let end = encoded.len() - usize::from(shifted.len() % 3 != 0);
                if let Some(inner) = encoded.get(skip..end) {
                    self.push(inner.as_bytes(), mark);
                }
            }
        }
    }

    fn push(&mut self, needle: &[u8], mark: &str) {
        if needle.len() >= SHORTEST && !self.needles.iter().any(|(known, _)| known == needle) {
            self.needles.push((needle.to_vec(), mark.to_owned()));
        }
    }

    fn sort(&mut self) {
        self.needles
            .sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.needles.len())
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
pub(crate) fn percent(value: &[u8], upper: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value {
        match byte {
            b'-' | b'.' | b'_' | b'~' => text.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte if upper => text.push_str(&format!("%{byte:02X}")),
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

/// None if the needle is not there.
fn replace(have: &[u8], needle: &[u8], mark: &[u8]) -> Option<Vec<u8>> {
    let first = *needle.first()?;
    let mut clean: Option<Vec<u8>> = None;
    let mut done = 0;
    let mut at = 0;
    while let Some(step) = have.get(at..)?.iter().position(|byte| *byte == first) {
        at += step;
        if have[at..].starts_with(needle) {
            let out = clean.get_or_insert_default();
            out.extend_from_slice(&have[done..at]);
            out.extend_from_slice(mark);
            at += needle.len();
            done = at;
        } else {
            at += 1;
        }
    }
    let mut out = clean?;
    out.extend_from_slice(&have[done..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const VALUE: &str = "s3cr+t/ \"value\" of 26 b ?>";

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add("api-key", VALUE.as_bytes());
        redactor.add("pin", b"1234567");
        redactor
    }

    #[test]
    fn every_encoding_the_host_writes_is_found() {
        let check = |encoded: String| {
            assert_eq!(
                redactor().text(&format!("<{encoded}>")),
                "<[secret api-key]>",
                "{encoded}"
            );
        };
        check(VALUE.to_owned());
        check(hex(VALUE.as_bytes()));
        check(hex(VALUE.as_bytes()).to_uppercase());
        check(percent(VALUE.as_bytes(), true));
        check(percent(VALUE.as_bytes(), false));
        check(percent(VALUE.as_bytes(), true).replace("%20", "+"));
        check(VALUE.replace('"', "\\\""));
    }

    #[test]
    fn base64_is_found_at_each_alignment() {
        for head in ["", "u", "us", "usr", "user:"] {
            for engine in [STANDARD, URL_SAFE] {
                let encoded = engine.encode(format!("{head}{VALUE}:tail"));
                let clean = redactor().text(&encoded);
                assert!(clean.contains("[secret api-key]"), "{head} {encoded}");
            }
        }
    }

    #[test]
    fn short_values_and_clean_text_stay() {
        assert_eq!(redactor().text("a 1234567 b"), "a 1234567 b");
        assert!(matches!(
            redactor().bytes(b"clean"),
            Cow::Borrowed(b"clean")
        ));
    }

    #[test]
    fn a_key_is_found_line_by_line() {
        let mut redactor = Redactor::default();
        let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\nSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n";
        redactor.add_pem("privkey.pem", pem);
        assert_eq!(
            redactor.text("x SM49AgEGCCqGSM49\\n y"),
            "x [privkey.pem]\\n y"
        );
        assert_eq!(redactor.text(pem), "[privkey.pem]\n");
    }
}
