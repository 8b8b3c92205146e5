//! Reads issued chains (RFC 5280): what the engine has to know of a certificate.
//!
//! What a newcomer gets wrong: the serial number counts as its content octets, leading zero and
//! all, since that is what an ARI identifier is made of (RFC 9773 section 4.1).

use aws_lc_rs::digest;
use std::net::IpAddr;
use waxwing_core::key::KeyType;
use waxwing_core::name::Identifier;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{CertificateFacts, ChainPem};
use waxwing_flow::ports::CryptoError;

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::pem;

const READING: &str = "read the certificate chain";

/// Reads a PEM chain, leaf first, and cuts it into the usual files.
///
/// The signatures are not checked: the chain came over TLS from the CA that was asked for it, and
/// its leaf is compared with the key and the names of the order.
pub fn read_chain(text: &str) -> Result<(ChainPem, CertificateFacts), CryptoError> {
    let blocks = pem::chain(text).map_err(|cause| failed(READING, cause))?;
    let mut parsed = Vec::with_capacity(blocks.len());
    for (number, block) in (1..).zip(&blocks) {
        let (rest, certificate) = X509Certificate::from_der(&block.der).map_err(|cause| {
            failed(
                READING,
                format!("certificate {number} is not X.509: {cause}"),
            )
        })?;
        if !rest.is_empty() {
            let cause = format!("certificate {number} is followed by {} bytes", rest.len());
            return Err(failed(READING, cause));
        }
        parsed.push(certificate);
    }
    let Some((leaf, above)) = parsed.split_first() else {
        return Err(failed(READING, "the chain is empty"));
    };
    if leaf.is_ca() {
        let cause = format!("the first certificate is a CA's: {}", leaf.subject());
        return Err(failed(READING, cause));
    }
    let pem = ChainPem {
        cert: blocks
            .iter()
            .take(1)
            .map(|block| block.pem.as_str())
            .collect(),
        chain: blocks
            .iter()
            .skip(1)
            .map(|block| block.pem.as_str())
            .collect(),
        fullchain: blocks.iter().map(|block| block.pem.as_str()).collect(),
    };
    let issuers = std::iter::once(leaf)
        .chain(above)
        .map(|c| common_name(c.issuer()))
        .collect();
    let facts = CertificateFacts {
        names: names(leaf)?,
        serial: leaf.raw_serial().to_vec(),
        authority_key_id: authority_key_id(leaf),
        not_before: Timestamp::from_unix(leaf.validity().not_before.timestamp()),
        not_after: Timestamp::from_unix(leaf.validity().not_after.timestamp()),
        leaf_sha256: sha256_hex(&blocks[0].der),
        leaf_sha1: hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &blocks[0].der).as_ref()),
        public_key_sha256: sha256_hex(leaf.public_key().raw),
        key_type: key_type(leaf.public_key()),
        issuers,
    };
    Ok((pem, facts))
}

/// Whether each certificate of a PEM chain is named as the issuer of the one before it. Signatures are
/// not looked at.
///
/// # Errors
/// Which certificate does not follow, in one sentence.
pub fn check_order(text: &str) -> Result<(), CryptoError> {
    let blocks = pem::chain(text).map_err(|cause| failed(READING, cause))?;
    let mut above: Option<Vec<u8>> = None;
    for (number, block) in (1..).zip(&blocks) {
        let (_, certificate) = X509Certificate::from_der(&block.der)
            .map_err(|cause| failed(READING, format!("certificate {number}: {cause}")))?;
        let subject = certificate.subject().as_raw();
        if above.is_some_and(|issuer| issuer != subject) {
            let cause = format!("certificate {number} has not issued the one before it");
            return Err(failed(READING, cause));
        }
        above = Some(certificate.issuer().as_raw().to_vec());
    }
    Ok(())
}

/// The end of validity of a certificate in DER, if it can be read.
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    Some(Timestamp::from_unix(end))
}

/// The leaf of a PEM chain in DER.
pub fn leaf_der(text: &str) -> Result<Vec<u8>, CryptoError> {
    let blocks = pem::chain(text).map_err(|cause| failed(READING, cause))?;
    let leaf = blocks
        .into_iter()
        .next()
        .ok_or_else(|| failed(READING, "the chain is empty"))?;
    Ok(leaf.der.to_vec())
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn failed(what: &str, cause: impl ToString) -> CryptoError {
    CryptoError {
        what: what.to_owned(),
        causes: vec![cause.to_string()],
    }
}

/// DNS names only: other kinds of names in the extension are nothing that was ordered, and the
/// comparison with the order brings a missing name to light.
fn names(leaf: &X509Certificate<'_>) -> Result<Vec<Identifier>, CryptoError> {
    let extension = leaf
        .subject_alternative_name()
        .map_err(|cause| failed(READING, format!("the subject alternative name: {cause}")))?;
    let mut names = Vec::new();
    for name in extension
        .iter()
        .flat_map(|extension| &extension.value.general_names)
    {
        if let GeneralName::DNSName(text) = name {
            names.push(
                Identifier::parse(text)
                    .map_err(|cause| failed(READING, format!("the name `{text}`: {cause}")))?,
            );
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What the first certificate of a PEM text is for besides DNS names, as people write it: `192.0.2.10`. Nothing of what
/// cannot be read.
pub fn other_names(text: &str) -> Vec<String> {
    let blocks = pem::chain(text).unwrap_or_default();
    let Some(leaf) = blocks.first() else {
        return Vec::new();
    };
    let Ok((_, leaf)) = X509Certificate::from_der(&leaf.der) else {
        return Vec::new();
    };
    let extension = leaf.subject_alternative_name().ok().flatten();
    let all = extension.iter().flat_map(|it| &it.value.general_names);
    let others = all.filter_map(|name| match name {
        GeneralName::DNSName(_) => None,
        GeneralName::IPAddress(bytes) => Some(
            match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(four), _) => IpAddr::from(four).to_string(),
                (_, Ok(sixteen)) => IpAddr::from(sixteen).to_string(),
                _ => name.to_string(),
            },
        ),
        other => Some(other.to_string()),
    });
    others.collect()
}

fn authority_key_id(leaf: &X509Certificate<'_>) -> Option<Vec<u8>> {
    leaf.extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => {
                key.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        })
}

/// The common name, or the whole name of an issuer that has none.
fn common_name(name: &X509Name<'_>) -> String {
    let common = name
        .iter_common_name()
        .next()
        .and_then(|value| value.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> Option<KeyType> {
    match key.parsed().ok()? {
        PublicKey::EC(point) => match point.key_size() {
            256 => Some(KeyType::EcdsaP256),
            384 => Some(KeyType::EcdsaP384),
            _ => None,
        },
        PublicKey::RSA(rsa) => match rsa.key_size() {
            2048 => Some(KeyType::Rsa2048),
            3072 => Some(KeyType::Rsa3072),
            4096 => Some(KeyType::Rsa4096),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
        SerialNumber, date_time_ymd,
    };
    use waxwing_core::secret::Secret;
    use waxwing_flow::ports::KeyMaker as _;

    use super::*;
    use crate::keys::LocalKeys;

    fn ca(name: &str) -> CertificateParams {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, name);
        ca
    }

    /// A leaf, an intermediate and the key of the leaf.
    fn issued(kind: KeyType) -> (String, String, Secret<String>) {
        let pair = |key: &Secret<String>| KeyPair::from_pem(key.expose()).expect("a key");
        let root =
            CertifiedIssuer::self_signed(ca("Test Root"), KeyPair::generate().expect("a key"));
        let middle = CertifiedIssuer::signed_by(
            ca("Test Issuer"),
            KeyPair::generate().expect("a key"),
            &root.expect("a root"),
        )
        .expect("an intermediate");
        let key = LocalKeys.certificate_key(kind).expect("a key");
        let mut leaf = CertificateParams::new(["*.example.com".into(), "example.com".into()]);
        let leaf = leaf.as_mut().expect("names");
        leaf.subject_alt_names
            .push(SanType::IpAddress([192, 0, 2, 1].into()));
        leaf.serial_number = Some(SerialNumber::from_slice(&[0xd7, 0xff]));
        leaf.not_before = date_time_ymd(2026, 11, 18);
        leaf.not_after = date_time_ymd(2027, 2, 16);
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&pair(&key), &middle).expect("a leaf");
        (leaf.pem(), middle.pem(), key)
    }

    #[test]
    fn a_chain_tells_what_the_engine_has_to_know() {
        for kind in KeyType::ALL {
            let (leaf, middle, key) = issued(kind);
            let crlf = format!("{leaf}\n{middle}").replace('\n', "\r\n");
            let (pem, facts) = read_chain(&crlf).expect("a chain");
            assert_eq!(pem.cert + &pem.chain, pem.fullchain);
            assert_eq!(pem.chain, middle.replace("\r\n", "\n"));
            let names: Vec<_> = facts.names.iter().map(Identifier::to_wire).collect();
            assert_eq!(names, ["example.com", "*.example.com"]);
            assert_eq!(facts.serial, [0x00, 0xd7, 0xff], "the leading zero is kept");
            assert_eq!(facts.authority_key_id.map(|id| id.len()), Some(20));
            assert_eq!(facts.not_before.to_string(), "2026-11-18T00:00:00Z");
            assert_eq!(facts.not_after.to_string(), "2027-02-16T00:00:00Z");
            assert_eq!(facts.key_type, Some(kind));
            assert_eq!(facts.issuers, ["Test Issuer", "Test Root"]);
            assert_eq!(
                LocalKeys.public_key_sha256(&key).as_ref(),
                Ok(&facts.public_key_sha256)
            );
            assert_eq!(
                leaf_der(&crlf).map(|der| sha256_hex(&der)),
                Ok(facts.leaf_sha256)
            );
            assert_eq!(facts.leaf_sha1.len(), 40);
        }
    }

    #[test]
    fn a_chain_in_another_order_is_none() {
        let (leaf, middle, _) = issued(KeyType::EcdsaP256);
        let (other, ..) = issued(KeyType::EcdsaP256);
        let check = |text: String, want: Option<&str>| {
            let found = check_order(&text).err();
            let found = found.map(|error| error.causes.concat());
            assert_eq!(found.as_deref(), want);
        };
        check(leaf.clone(), None);
        check(format!("{leaf}{middle}"), None);
        let wrong = Some("certificate 2 has not issued the one before it");
        check(format!("{leaf}{other}"), wrong);
        check(format!("{middle}{leaf}"), wrong);
    }

    #[test]
    fn what_is_no_chain_is_refused_with_the_reason() {
        let (leaf, middle, key) = issued(KeyType::EcdsaP256);
        let check = |text: &str, want: &str| {
            let error = read_chain(text).expect_err("refused");
            assert_eq!(error.what, "read the certificate chain");
            assert!(error.causes[0].starts_with(want), "{error}");
        };
        check("", "there is no certificate in it");
        check("<html>", "line 1 is neither");
        check(&format!("{leaf}{}", key.expose()), "line ");
        check(&middle, "the first certificate is a CA's: CN=Test Issuer");
        let garbage = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        check(&format!("{leaf}{garbage}"), "certificate 2 is not X.509");
    }
}
