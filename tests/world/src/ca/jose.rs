//! Signed requests: JWS in its flattened JSON form (RFC 7515, RFC 8555 section 6.2).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Map, Value};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::problem::Problem;

/// The signature algorithms this CA takes.
pub(crate) const ALGORITHMS: &[&str] = &["ES256", "ES384", "RS256"];

/// The smallest RSA account key it takes, in bits.
const RSA_BITS: usize = 2048;

/// A JWS whose parts are decoded and whose signature is not yet verified.
#[derive(Debug)]
pub(crate) struct Jws {
    header: Map<String, Value>,
    pub(crate) payload: Vec<u8>,
    signature: Vec<u8>,
    signed: String,
}

/// A public key an account can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Jwk {
    /// P-256 or P-384, by its coordinates.
    Ec {
        curve: &'static str,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    /// RSA, by modulus and exponent without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

pub(crate) fn decode(text: &str, what: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|wrong| {
        Problem::malformed(format!("{what} is not base64url without padding: {wrong}"))
    })
}

impl Jws {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|wrong| Problem::malformed(format!("the body is not JSON: {wrong}")))?;
        Self::from_value(&value)
    }

    pub(crate) fn from_value(value: &Value) -> Result<Self, Problem> {
        let object = value
            .as_object()
            .ok_or_else(|| Problem::malformed("a JWS is a JSON object"))?;
        for (name, _value) in object {
            if !["protected", "payload", "signature"].contains(&name.as_str()) {
                return Err(Problem::malformed(format!(
                    "the JWS has the field `{name}`; only protected, payload and signature may be"
                )));
            }
        }
        let part = |name: &str| {
            object
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| Problem::malformed(format!("the JWS has no text `{name}`")))
        };
        let (protected, payload) = (part("protected")?, part("payload")?);
        let header = decode(protected, "the protected header")?;
        let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|wrong| {
            Problem::malformed(format!(
                "the protected header is not a JSON object: {wrong}"
            ))
        })?;
        if header.contains_key("b64") || header.contains_key("crit") {
            return Err(Problem::malformed(
                "the protected header must not have b64 or crit",
            ));
        }
        Ok(Self {
            header,
            payload: decode(payload, "the payload")?,
            signature: decode(part("signature")?, "the signature")?,
            signed: format!("{protected}.{payload}"),
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.contains_key(name)
    }

    pub(crate) fn jwk(&self) -> Result<Jwk, Problem> {
        Jwk::parse(self.header.get("jwk").unwrap_or(&Value::Null))
    }

    /// Verifies the signature with `key`, which decides the algorithm.
    pub(crate) fn verify(&self, key: &Jwk) -> Result<(), Problem> {
        let algorithm = self.text("alg").unwrap_or_default();
        if !ALGORITHMS.contains(&algorithm) || algorithm != key.algorithm() {
            return Err(Problem::new(
                "badSignatureAlgorithm",
                StatusCode::BAD_REQUEST,
                format!(
                    "`{algorithm}` is not the algorithm of this key, {}",
                    key.algorithm()
                ),
            ));
        }
        let message = self.signed.as_bytes();
        let verified = match key {
            Jwk::Ec {
                curve: "P-384",
                x,
                y,
            } => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point(x, y))
                .verify(message, &self.signature),
            Jwk::Ec { x, y, .. } => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(x, y))
                .verify(message, &self.signature),
            Jwk::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                &self.signature,
            ),
        };
        verified.map_err(|_unspecified| {
            Problem::malformed("the signature of the JWS does not verify with its key")
        })
    }

    /// Verifies the HS256 tag with `key`.
    pub(crate) fn verify_mac(&self, key: &[u8]) -> Result<(), Problem> {
        if self.text("alg") != Some("HS256") {
            return Err(Problem::malformed(
                "the external account binding must use HS256",
            ));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, self.signed.as_bytes(), &self.signature).map_err(|_unspecified| {
            Problem::unauthorized("the external account binding does not verify with its key")
        })
    }
}

/// An uncompressed curve point (SEC 1 section 2.3.3).
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

impl Jwk {
    pub(crate) fn parse(value: &Value) -> Result<Self, Problem> {
        let part = |name: &str| {
            let text = value
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| Problem::bad_key(format!("the JWK has no text `{name}`")))?;
            decode(text, name).map_err(|wrong| Problem::bad_key(wrong.detail))
        };
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        // A private part must never reach the CA; it would be a leak worth failing a test for.
        if value.get("d").is_some() {
            return Err(Problem::bad_key("the JWK holds a private key"));
        }
        match (text("kty"), text("crv")) {
            ("EC", "P-256") => Self::ec("P-256", 32, part("x")?, part("y")?),
            ("EC", "P-384") => Self::ec("P-384", 48, part("x")?, part("y")?),
            ("RSA", _) => {
                let (n, e) = (part("n")?, part("e")?);
                if n.first() == Some(&0) || e.first() == Some(&0) {
                    return Err(Problem::bad_key("RSA numbers must not start with zeros"));
                }
                if n.len() * 8 < RSA_BITS {
                    return Err(Problem::bad_key(format!(
                        "the RSA key has fewer than {RSA_BITS} bits"
                    )));
                }
                Ok(Self::Rsa { n, e })
            }
            (kind, curve) => Err(Problem::bad_key(format!(
                "keys of type `{kind}` `{curve}` are not taken"
            ))),
        }
    }

    fn ec(curve: &'static str, size: usize, x: Vec<u8>, y: Vec<u8>) -> Result<Self, Problem> {
        // Coordinates keep their leading zeros (RFC 7518 section 6.2.1.2).
        if x.len() != size || y.len() != size {
            return Err(Problem::bad_key(format!(
                "{curve} coordinates have {size} bytes each"
            )));
        }
        Ok(Self::Ec { curve, x, y })
    }

    /// The key of a certificate or request, if an account could have it.
    pub(crate) fn of(key: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        match key.parsed().ok()? {
            PublicKey::EC(point) => {
                let (first, rest) = point.data().split_first()?;
                let curve = match rest.len() {
                    64 => "P-256",
                    96 => "P-384",
                    _ => return None,
                };
                let (x, y) = rest.split_at(rest.len() / 2);
                (*first == 4).then(|| Self::Ec {
                    curve,
                    x: x.to_vec(),
                    y: y.to_vec(),
                })
            }
            PublicKey::RSA(key) => {
                let bare = |number: &[u8]| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    number[zeros..].to_vec()
                };
                Some(Self::Rsa {
                    n: bare(key.modulus),
                    e: bare(key.exponent),
                })
            }
            _ => None,
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ec { curve: "P-384", .. } => "ES384",
            Self::Ec { .. } => "ES256",
            Self::Rsa { .. } => "RS256",
        }
    }

    pub(crate) fn json(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec { curve, x, y } => {
                serde_json::json!({ "crv": curve, "kty": "EC", "x": text(x), "y": text(y) })
            }
            Self::Rsa { n, e } => serde_json::json!({ "e": text(e), "kty": "RSA", "n": text(n) }),
        }
    }

    /// The thumbprint (RFC 7638), base64url.
    pub(crate) fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // Written out, because the order of the members is part of the definition.
        let canonical = match self {
            Self::Ec { curve, x, y } => {
                format!(
                    r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                    text(x),
                    text(y)
                )
            }
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
        };
        text(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638_is_reproduced() {
        let key = Jwk::parse(&json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
        }))
        .expect("the key of RFC 7638 section 3.1");
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_jws_with_more_or_less_than_three_parts_is_malformed() {
        let table = [
            r#"{"protected":"e30","payload":"","signature":"","header":{}}"#,
            r#"{"protected":"e30","payload":"","signatures":[]}"#,
            r#"{"protected":"e30","payload":""}"#,
            r#"{"protected":"e30=","payload":"","signature":""}"#,
            r#"{"protected":"bm8","payload":"","signature":""}"#,
            r#"["protected"]"#,
            "no",
        ];
        for body in table {
            let problem = Jws::parse(body.as_bytes()).expect_err(body);
            assert_eq!(problem.kind, "malformed", "{body}");
        }
    }

    #[test]
    fn keys_nobody_should_sign_with_are_refused() {
        let table = [
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
            json!(null),
        ];
        for key in table {
            assert_eq!(
                Jwk::parse(&key).expect_err("refused").kind,
                "badPublicKey",
                "{key}"
            );
        }
    }
}
