//! JSON Web Signatures as ACME uses them: flattened JSON, one signature, a nonce and the URL in the
//! protected header (RFC 7515, RFC 8555 section 6.2).
//!
//! What a newcomer gets wrong: an ECDSA signature here is `r || s` at fixed width (RFC 7518 section
//! 3.4), not the ASN.1 that most libraries return, and a key authorization uses the thumbprint of
//! the *account* key, never of the certificate's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use waxwing_core::secret::Secret;

/// A key that signs for an account, wherever it lives: in memory, in an agent, in an HSM.
///
/// - `sign` MUST return a signature that verifies under the key that `jwk` returns, with the
///   algorithm that `algorithm` returns; all three MUST stay the same for the life of the value.
/// - `sign` MAY block for as long as one call to the device takes and SHOULD NOT retry.
/// - No method may panic because a device is absent: that is a [`SignError`].
pub trait Signer: Send + Sync {
    /// The algorithm of [`Signer::sign`].
    fn algorithm(&self) -> Algorithm;

    /// The public half of the key.
    fn jwk(&self) -> Jwk;

    /// The signature over `message`, which is hashed by the signer.
    ///
    /// ECDSA: `r || s`, each padded to the width of the curve. RSA: PKCS #1 v1.5.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A signature algorithm for account keys (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
        }
    }
}

/// Why a key did not sign. The text comes from the device or library and holds no key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the account key did not sign: {cause}")]
pub struct SignError {
    /// What the device or the library said.
    pub cause: String,
}

/// A public key as a JSON Web Key (RFC 7517), reduced to the members that its thumbprint covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwk {
    /// A point on P-256: the affine coordinates, big-endian.
    P256 {
        /// The x coordinate.
        x: [u8; 32],
        /// The y coordinate.
        y: [u8; 32],
    },
    /// A point on P-384: the affine coordinates, big-endian.
    P384 {
        /// The x coordinate.
        x: [u8; 48],
        /// The y coordinate.
        y: [u8; 48],
    },
    /// An RSA key: big-endian integers; leading zero bytes are dropped when written.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
}

impl Jwk {
    /// The JSON object with its members in lexicographic order and without white space, which is
    /// the form that [`Jwk::thumbprint`] hashes (RFC 7638 section 3).
    pub fn to_canonical_json(&self) -> String {
        let members: Vec<String> = self
            .members()
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    /// The base64url SHA-256 thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> String {
        sha256_base64url(self.to_canonical_json().as_bytes())
    }

    /// Name and value of each member; every value is base64url or a fixed word, so that none needs
    /// escaping in JSON.
    fn members(&self) -> BTreeMap<&'static str, String> {
        match self {
            Self::P256 { x, y } => BTreeMap::from([
                ("crv", "P-256".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", base64url(x)),
                ("y", base64url(y)),
            ]),
            Self::P384 { x, y } => BTreeMap::from([
                ("crv", "P-384".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", base64url(x)),
                ("y", base64url(y)),
            ]),
            Self::Rsa { n, e } => BTreeMap::from([
                ("e", base64url(without_leading_zeros(e))),
                ("kty", "RSA".to_owned()),
                ("n", base64url(without_leading_zeros(n))),
            ]),
        }
    }
}

/// The key authorization of a challenge (RFC 8555 section 8.1).
pub fn key_authorization(token: &str, account_key: &Jwk) -> String {
    format!("{token}.{}", account_key.thumbprint())
}

/// The value of the TXT record of a dns-01 challenge (RFC 8555 section 8.4).
pub fn dns01_value(token: &str, account_key: &Jwk) -> String {
    sha256_base64url(key_authorization(token, account_key).as_bytes())
}

/// Who a JWS says it is from (RFC 8555 section 6.2: exactly one of `jwk` and `kid`).
pub(crate) enum SignedBy<'a> {
    /// The key itself: newAccount, a revocation with the certificate's key, the inner keyChange.
    Key,
    /// The account at that URL.
    Account(&'a str),
}

/// A signed message in the flattened JSON serialization. An empty payload makes a POST-as-GET
/// (RFC 8555 section 6.3). Only the inner JWS of a key change goes without a nonce.
pub(crate) fn sign(
    signer: &dyn Signer,
    by: &SignedBy<'_>,
    nonce: Option<&str>,
    url: &str,
    payload: &[u8],
) -> Result<String, SignError> {
    let jwk = signer.jwk();
    let (jwk, kid) = match by {
        SignedBy::Key => (Some(jwk.members()), None),
        SignedBy::Account(kid) => (None, Some(*kid)),
    };
    let header = Protected {
        alg: signer.algorithm().as_str(),
        jwk,
        kid,
        nonce,
        url,
    };
    let input = signing_input(&header, payload)?;
    let signature = signer.sign(input.text.as_bytes())?;
    Ok(input.flattened(&signature))
}

/// The JWS of an external account binding: HS256 over the account's public key (RFC 8555 section
/// 7.3.4).
pub(crate) fn bind(
    account_key: &Jwk,
    kid: &str,
    hmac_key: &Secret<Vec<u8>>,
    url: &str,
) -> Result<String, SignError> {
    let header = Protected {
        alg: "HS256",
        jwk: None,
        kid: Some(kid),
        nonce: None,
        url,
    };
    let input = signing_input(&header, account_key.to_canonical_json().as_bytes())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, hmac_key.expose());
    let tag = hmac::sign(&key, input.text.as_bytes());
    Ok(input.flattened(tag.as_ref()))
}

/// Base64url without padding (RFC 7515 section 2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// True for a text of at least one character, all from the base64url alphabet.
pub(crate) fn is_base64url(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[derive(Serialize)]
struct Protected<'a> {
    alg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    url: &'a str,
}

/// `protected.payload`, both base64url, and where the dot is.
struct SigningInput {
    text: String,
    dot: usize,
}

impl SigningInput {
    fn flattened(&self, signature: &[u8]) -> String {
        let (protected, payload) = (&self.text[..self.dot], &self.text[self.dot + 1..]);
        let signature = base64url(signature);
        format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
    }
}

fn signing_input(header: &Protected<'_>, payload: &[u8]) -> Result<SigningInput, SignError> {
    let header = serde_json::to_vec(header).map_err(|e| SignError {
        cause: e.to_string(),
    })?;
    let mut text = base64url(&header);
    let dot = text.len();
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    Ok(SigningInput { text, dot })
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
}

fn sha256_base64url(bytes: &[u8]) -> String {
    base64url(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn without_leading_zeros(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tests::fixture::{self, AbsentKey, TestKey, decoded, opened};

    const URL: &str = "https://ca.example/order/1";

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1\
                 L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4Q\
                 yQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI\
                 SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-\
                 kEgU8awapJzKnqDKgw";
        let key = Jwk::Rsa {
            n: decoded(n),
            e: decoded("AQAB"),
        };
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        let padded = Jwk::Rsa {
            n: [vec![0], decoded(n)].concat(),
            e: vec![0, 1, 0, 1],
        };
        assert_eq!(padded.thumbprint(), key.thumbprint());
    }

    #[test]
    fn the_dns_value_hashes_token_and_thumbprint() {
        let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
        let key = TestKey::new().jwk();
        assert_eq!(
            key_authorization(token, &key),
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
        );
        assert_eq!(
            dns01_value(token, &key),
            "ZaJgFtIV4WA0t2MzN7kbSk0sfRd2GZjaxRqaSTAK6lI"
        );
    }

    #[test]
    fn a_signature_covers_header_and_payload() {
        let key = TestKey::new();
        let by = SignedBy::Account("https://ca.example/account/1");
        let jws = sign(&key, &by, Some("n0"), URL, b"{}").expect("a key in memory signs");
        let jws = opened(jws.as_bytes());
        assert!(jws.is_by_test_key());
        assert_eq!(jws.payload, b"{}");
        assert_eq!(
            jws.header,
            json!({
                "alg": "ES256", "kid": "https://ca.example/account/1", "nonce": "n0", "url": URL,
            })
        );
    }

    #[test]
    fn a_key_that_speaks_for_itself_is_in_the_header() {
        let jws = sign(&TestKey::new(), &SignedBy::Key, None, URL, b"").expect("it signs");
        let jws = opened(jws.as_bytes());
        assert_eq!(
            jws.header,
            json!({
                "alg": "ES256",
                "jwk": {
                    "crv": "P-256",
                    "kty": "EC",
                    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                },
                "url": URL,
            })
        );
    }

    #[test]
    fn a_key_that_does_not_sign_says_why() {
        let failed = sign(&AbsentKey, &SignedBy::Key, Some("n0"), URL, b"");
        assert_eq!(
            failed,
            Err(SignError {
                cause: "the token was pulled out".to_owned()
            })
        );
    }

    #[test]
    fn base64url_texts_are_told_from_others() {
        let check = |text: &str, want: bool| assert_eq!(is_base64url(text), want, "{text}");
        check("abc-XYZ_019", true);
        check("", false);
        check("abc=", false);
        check("a+b", false);
        check("a/b", false);
        check("a b", false);
        check("é", false);
    }

    proptest! {
        #![proptest_config(fixture::same_cases_every_time())]

        #[test]
        fn whatever_is_signed_comes_out_again(
            payload in prop::collection::vec(any::<u8>(), 0..50),
            url in ".*",
            nonce in ".*",
        ) {
            let jws = sign(&TestKey::new(), &SignedBy::Key, Some(&nonce), &url, &payload);
            let jws = opened(jws.expect("a key in memory signs").as_bytes());
            prop_assert!(jws.is_by_test_key());
            prop_assert_eq!(jws.payload, payload);
            prop_assert_eq!(jws.header["url"].as_str(), Some(url.as_str()));
            prop_assert_eq!(jws.header["nonce"].as_str(), Some(nonce.as_str()));
        }
    }
}
