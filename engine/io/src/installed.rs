//! What lies where an installer has put it.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of what installers have written"
)]

use std::fs;
use std::io;
use std::path::Path;

use crate::x509;

/// What is in a file where a certificate was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// That certificate.
    Same,
    /// Another one.
    Other,
    /// What may be a container that cannot be looked into.
    Unknown,
}

/// Whether that certificate, by the SHA-256 of its leaf in lower-case hex, is in a file still; none if the file is not there,
/// or a text without a certificate.
pub fn content(path: &Path, leaf_sha256: &str) -> Option<Content> {
    match fs::read_to_string(path) {
        Ok(text) => match x509::read_chain(&certificates(&text)) {
            Ok((_, facts)) if facts.leaf_sha256 == leaf_sha256 => Some(Content::Same),
            Ok(_) => Some(Content::Other),
            Err(_) => None,
        },
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Content::Unknown),
    }
}

/// The certificates of a text that may have a key among them.
fn certificates(text: &str) -> String {
    let mut found = String::new();
    let mut within = false;
    for line in text.lines() {
        within |= line.trim() == "-----BEGIN CERTIFICATE-----";
        if within {
            found.push_str(line.trim());
            found.push('\n');
        }
        within &= line.trim() != "-----END CERTIFICATE-----";
    }
    found
}
