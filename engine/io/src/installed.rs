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
    /// No certificate that can be read here: a key, or a container.
    Unknown,
}

/// Whether that certificate, by the SHA-256 of its leaf in lower-case hex, is in a file still; none if the file is not there.
pub fn content(path: &Path, leaf_sha256: &str) -> Option<Content> {
    match fs::read_to_string(path) {
        Ok(text) => Some(match x509::read_chain(&text) {
            Ok((_, facts)) if facts.leaf_sha256 == leaf_sha256 => Content::Same,
            Ok(_) => Content::Other,
            Err(_) => Content::Unknown,
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Content::Unknown),
    }
}
