//! PEM text (RFC 7468): the only module that uses rustls-pemfile.
//!
//! What a newcomer gets wrong: a PEM parser skips what it does not know. A chain from a CA must
//! hold certificates and nothing else (RFC 8555 section 11.4), so a chain is cut into its blocks
//! here before the parser sees it, and text between them is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate in its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The PEM block with its final line break; line ends are LF.
    pub pem: String,
    /// What is in it.
    pub der: CertificateDer<'static>,
}

/// Text that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not one block of the wanted kind.
    #[error("there is no {0} in it")]
    Nothing(&'static str),
    /// Something other than a certificate stands in a chain.
    #[error("line {line} is neither part of a certificate nor empty")]
    Foreign {
        /// Counted from 1.
        line: usize,
    },
    /// A block that does not end.
    #[error("the certificate that begins in line {line} does not end")]
    Unfinished {
        /// Counted from 1.
        line: usize,
    },
    /// A block whose content is not base64.
    #[error("the block that begins in line {line} is not base64")]
    Content {
        /// Counted from 1.
        line: usize,
    },
    /// More than one private key.
    #[error("there is more than one private key in it")]
    ManyKeys,
}

/// The certificates of a chain, in order. Refuses everything else but white space.
pub fn chain(text: &str) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        open = match open {
            None if line.is_empty() => None,
            None if line == BEGIN => Some((number, format!("{BEGIN}\n"))),
            None => return Err(PemError::Foreign { line: number }),
            Some((first, mut pem)) => {
                pem.push_str(line);
                pem.push('\n');
                if line == END {
                    blocks.push(block(first, pem)?);
                    None
                } else if line.starts_with("-----") {
                    return Err(PemError::Unfinished { line: first });
                } else {
                    Some((first, pem))
                }
            }
        };
    }
    match open {
        Some((line, _)) => Err(PemError::Unfinished { line }),
        None if blocks.is_empty() => Err(PemError::Nothing("certificate")),
        None => Ok(blocks),
    }
}

/// Every certificate in a file of roots. Comments and other blocks, which such files hold, are
/// skipped.
pub fn roots(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut text.as_bytes()).collect();
    match found {
        Err(_) => Err(PemError::Content { line: 1 }),
        Ok(none) if none.is_empty() => Err(PemError::Nothing("certificate")),
        Ok(roots) => Ok(roots),
    }
}

/// The one private key in a text: PKCS#8, PKCS#1 or SEC1, not encrypted.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    let mut key = None;
    for item in rustls_pemfile::read_all(&mut text.as_bytes()) {
        let found = match item.map_err(|_base64| PemError::Content { line: 1 })? {
            rustls_pemfile::Item::Pkcs8Key(der) => PrivateKeyDer::from(der),
            rustls_pemfile::Item::Pkcs1Key(der) => PrivateKeyDer::from(der),
            rustls_pemfile::Item::Sec1Key(der) => PrivateKeyDer::from(der),
            _ => continue,
        };
        if key.replace(found).is_some() {
            return Err(PemError::ManyKeys);
        }
    }
    key.ok_or(PemError::Nothing("unencrypted private key"))
}

/// DER as a PEM block of that kind, in lines of 64 characters (RFC 7468 section 2).
pub(crate) fn write(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {kind}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so that any place is between two characters.
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {kind}-----\n"));
    pem
}

fn block(line: usize, pem: String) -> Result<Block, PemError> {
    let parsed = rustls_pemfile::certs(&mut pem.as_bytes()).next();
    match parsed {
        Some(Ok(der)) => Ok(Block { der, pem }),
        _ => Err(PemError::Content { line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block whose content is the three bytes 1, 2, 3.
    const GOOD: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_chain_is_certificates_and_nothing_else() {
        let check = |text: &str, want: Result<usize, PemError>| {
            assert_eq!(chain(text).map(|blocks| blocks.len()), want, "{text:?}");
        };
        check(GOOD, Ok(1));
        check(&format!("\n{GOOD}\n\n{GOOD}"), Ok(2));
        check(&GOOD.replace('\n', "\r\n"), Ok(1));
        check("", Err(PemError::Nothing("certificate")));
        check(
            &format!("subject: me\n{GOOD}"),
            Err(PemError::Foreign { line: 1 }),
        );
        check(
            &format!("{GOOD}-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n"),
            Err(PemError::Foreign { line: 4 }),
        );
        check(
            "-----BEGIN TRUSTED CERTIFICATE-----\nAQID\n-----END TRUSTED CERTIFICATE-----\n",
            Err(PemError::Foreign { line: 1 }),
        );
        check(
            "-----BEGIN CERTIFICATE-----\nAQID\n",
            Err(PemError::Unfinished { line: 1 }),
        );
        check(
            &format!("{BEGIN}\nAQID\n{GOOD}"),
            Err(PemError::Unfinished { line: 1 }),
        );
        check(
            &format!("{BEGIN}\n<html>\n{END}\n"),
            Err(PemError::Content { line: 1 }),
        );
    }

    #[test]
    fn blocks_keep_their_text_with_plain_line_ends() {
        let blocks = chain(&GOOD.replace('\n', "\r\n")).expect("good");
        assert_eq!(blocks[0].pem, GOOD);
        assert_eq!(blocks[0].der.as_ref(), [1, 2, 3]);
    }

    #[test]
    fn roots_may_stand_between_comments() {
        assert_eq!(
            roots(&format!("# corporate root\n{GOOD}")).map(|r| r.len()),
            Ok(1)
        );
        assert_eq!(roots("# nothing\n"), Err(PemError::Nothing("certificate")));
    }

    #[test]
    fn a_key_file_holds_one_unencrypted_key() {
        let key = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
        assert_eq!(
            private_key(key).map(|k| k.secret_der().to_vec()),
            Ok(vec![1, 2, 3])
        );
        assert_eq!(
            private_key(&format!("{key}{key}")).err(),
            Some(PemError::ManyKeys)
        );
        let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(
            private_key(&locked).err(),
            Some(PemError::Nothing("unencrypted private key"))
        );
    }
}
