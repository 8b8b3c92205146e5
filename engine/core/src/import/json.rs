//! JSON of other clients, read leniently: keys in any case, missing ones left out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value as Json};

use super::{Curve, ForeignKey, RsaNumbers};
use crate::secret::Secret;

/// An object of a file.
///
/// # Errors
/// Where it is no JSON, without what is in it: it may hold a secret.
pub(super) fn object(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(error) if error.is_eof() => Err("it is JSON that ends too early".to_owned()),
        Err(error) => Err(format!(
            "it is no JSON: line {}, column {}",
            error.line(),
            error.column()
        )),
    }
}

/// The value of a key, whatever its capitals.
pub(super) fn value<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
    let mut entries = object.iter();
    let found = entries.find(|(name, _)| name.eq_ignore_ascii_case(key));
    found
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

/// A value down a path of keys.
pub(super) fn down<'a>(object: &'a Map<String, Json>, path: &[&str]) -> Option<&'a Json> {
    let (last, above) = path.split_last()?;
    let mut here = object;
    for key in above {
        here = value(here, key)?.as_object()?;
    }
    value(here, last)
}

/// A text that is not empty.
pub(super) fn text(object: &Map<String, Json>, path: &[&str]) -> Option<String> {
    let found = down(object, path)?.as_str()?.trim();
    (!found.is_empty()).then(|| found.to_owned())
}

/// A list of texts; what is none of these is left out.
pub(super) fn texts(object: &Map<String, Json>, path: &[&str]) -> Vec<String> {
    let list = down(object, path).and_then(Json::as_array);
    let items = list.into_iter().flatten().filter_map(Json::as_str);
    items.map(str::to_owned).collect()
}

/// A private key as JWK (RFC 7517, RFC 7518 section 6).
///
/// # Errors
/// What is missing, or which kind it is that cannot be used.
pub(super) fn jwk(text_of_key: &str) -> Result<ForeignKey, String> {
    let object = object(text_of_key)?;
    let bytes = |key: &str| {
        let text = text(&object, &[key]).ok_or_else(|| format!("the key has no `{key}`"))?;
        URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_error| format!("`{key}` of the key is no base64url"))
    };
    match text(&object, &["kty"]).as_deref() {
        Some("RSA") => Ok(ForeignKey::Rsa(Box::new(RsaNumbers {
            modulus: bytes("n")?,
            exponent: bytes("e")?,
            private: [
                Secret::new(bytes("d")?),
                Secret::new(bytes("p")?),
                Secret::new(bytes("q")?),
                Secret::new(bytes("dp")?),
                Secret::new(bytes("dq")?),
                Secret::new(bytes("qi")?),
            ],
        }))),
        Some("EC") => {
            let name = text(&object, &["crv"]).unwrap_or_default();
            Ok(ForeignKey::Ec {
                curve: curve(&name)?,
                private: Secret::new(bytes("d")?),
                x: bytes("x")?,
                y: bytes("y")?,
            })
        }
        Some(other) => Err(format!("a key of kind {other} is not supported")),
        None => Err("the key does not say its kind".to_owned()),
    }
}

/// A curve by its name.
fn curve(name: &str) -> Result<Curve, String> {
    match name {
        "P-256" => Ok(Curve::P256),
        "P-384" => Ok(Curve::P384),
        other => Err(format!("a key on the curve {other} is not supported")),
    }
}

/// The account key of the clients of Windows: JSON of its kind and of an export that is JSON with
/// plain base64 for EC, and XML for RSA.
///
/// # Errors
/// What is missing, or which kind it is that cannot be used.
pub(super) fn exported(text_of_key: &str) -> Result<ForeignKey, String> {
    let signer = object(text_of_key)?;
    let kind = text(&signer, &["KeyType"]).ok_or("the key does not say its kind")?;
    let export = text(&signer, &["KeyExport"]).ok_or("the key itself is missing")?;
    if kind.starts_with("RS") {
        return rsa_xml(&export);
    }
    let curve = match kind.as_str() {
        "ES256" => Curve::P256,
        "ES384" => Curve::P384,
        other => return Err(format!("an account key of kind {other} is not supported")),
    };
    let numbers = object(&export)?;
    let bytes = |key: &str| {
        let text = text(&numbers, &[key]).ok_or_else(|| format!("the key has no `{key}`"))?;
        plain(key, &text)
    };
    Ok(ForeignKey::Ec {
        curve,
        private: Secret::new(bytes("D")?),
        x: bytes("X")?,
        y: bytes("Y")?,
    })
}

fn plain(key: &str, text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text.trim())
        .map_err(|_error| format!("`{key}` of the key is no base64"))
}

/// `<RSAKeyValue><Modulus>…</Modulus>…</RSAKeyValue>`
fn rsa_xml(text: &str) -> Result<ForeignKey, String> {
    let bytes = |element: &str| {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let inner = text
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close))
            .ok_or_else(|| format!("the key has no `{element}`"))?;
        plain(element, inner.0)
    };
    Ok(ForeignKey::Rsa(Box::new(RsaNumbers {
        modulus: bytes("Modulus")?,
        exponent: bytes("Exponent")?,
        private: [
            Secret::new(bytes("D")?),
            Secret::new(bytes("P")?),
            Secret::new(bytes("Q")?),
            Secret::new(bytes("DP")?),
            Secret::new(bytes("DQ")?),
            Secret::new(bytes("InverseQ")?),
        ],
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_kinds_and_broken_ones_are_refused_without_what_is_in_them() {
        let check = |text: &str, want: &str| {
            assert_eq!(jwk(text).err().as_deref(), Some(want), "{text}");
        };
        check("{", "it is JSON that ends too early");
        check("[]", "it is JSON, but no object");
        check("{}", "the key does not say its kind");
        check(r#"{"kty":"OKP"}"#, "a key of kind OKP is not supported");
        check(
            r#"{"kty":"EC","crv":"P-521"}"#,
            "a key on the curve P-521 is not supported",
        );
        check(r#"{"kty":"EC","crv":"P-256"}"#, "the key has no `d`");
        check(
            r#"{"kty":"RSA","n":"hunter2!"}"#,
            "`n` of the key is no base64url",
        );
        let check = |text: &str, want: &str| {
            assert_eq!(exported(text).err().as_deref(), Some(want), "{text}");
        };
        check("{}", "the key does not say its kind");
        check(r#"{"KeyType":"ES256"}"#, "the key itself is missing");
        check(
            r#"{"KeyType":"ES512","KeyExport":"{}"}"#,
            "an account key of kind ES512 is not supported",
        );
        check(
            r#"{"keytype":"RS256","keyexport":"<RSAKeyValue></RSAKeyValue>"}"#,
            "the key has no `Modulus`",
        );
        check(
            r#"{"KeyType":"ES256","KeyExport":"{\"D\":\"?\"}"}"#,
            "`D` of the key is no base64",
        );
    }

    #[test]
    fn keys_are_found_whatever_their_capitals() {
        let object = object(r#"{"a":{"B":[1,"x"]},"C":" y ","d":null}"#).expect("JSON");
        assert_eq!(texts(&object, &["A", "b"]), ["x"]);
        assert_eq!(text(&object, &["c"]).as_deref(), Some("y"));
        assert_eq!(value(&object, "D"), None);
    }
}
