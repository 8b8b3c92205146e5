//! Private keys on this machine: made, read, and used to sign. Keys travel as PKCS#8 PEM.
//!
//! What a newcomer gets wrong: a certification request carries the names in its SAN extension and
//! nothing else. A common name is deprecated and at most 64 characters long, and an extended key
//! usage makes CAs refuse the request.

pub mod foreign;
mod private;

use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, RsaKeySize, SanType,
};
use waxwing_acme::jws::Signer;
use waxwing_core::key::KeyType;
use waxwing_core::name::Identifier;
use waxwing_core::secret::Secret;
use waxwing_flow::certificate::{CertificateFacts, ChainPem};
use waxwing_flow::ports::{CryptoError, KeyMaker};

use crate::pem;
use crate::x509::{self, failed, sha256_hex};
use private::PrivateKey;

/// Makes keys with the one crypto provider of the engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalKeys;

impl KeyMaker for LocalKeys {
    /// ECDSA on P-256: every CA takes it, and each request is signed with it.
    fn account_key(&self) -> Result<Secret<String>, CryptoError> {
        self.certificate_key(KeyType::EcdsaP256)
    }

    fn certificate_key(&self, kind: KeyType) -> Result<Secret<String>, CryptoError> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let made = match kind {
            KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
            KeyType::Rsa3072 => rsa(RsaKeySize::_3072),
            KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
        };
        let key = made.map_err(|cause| failed(&format!("make a key of kind {kind}"), cause))?;
        // The encoder writes the line ends of the platform; a stored key looks the same everywhere.
        Ok(Secret::new(key.serialize_pem().replace("\r\n", "\n")))
    }

    fn signer(&self, key: &Secret<String>) -> Result<Arc<dyn Signer>, CryptoError> {
        Ok(Arc::new(PrivateKey::read(key)?))
    }

    fn request(&self, key: &Secret<String>, names: &[Identifier]) -> Result<Vec<u8>, CryptoError> {
        let what = "make the certification request";
        let key = key_pair(key)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        for name in names {
            let text = name
                .to_wire()
                .try_into()
                .map_err(|cause| failed(what, cause))?;
            parameters.subject_alt_names.push(SanType::DnsName(text));
        }
        let request = parameters
            .serialize_request(&key)
            .map_err(|cause| failed(what, cause))?;
        Ok(request.der().to_vec())
    }

    fn public_key_sha256(&self, key: &Secret<String>) -> Result<String, CryptoError> {
        Ok(sha256_hex(&key_pair(key)?.subject_public_key_info()))
    }

    fn kind(&self, key: &Secret<String>) -> Result<Option<KeyType>, CryptoError> {
        Ok(PrivateKey::read(key)?.kind())
    }

    fn read_chain(&self, pem: &str) -> Result<(ChainPem, CertificateFacts), CryptoError> {
        x509::read_chain(pem)
    }

    fn leaf_der(&self, pem: &str) -> Result<Vec<u8>, CryptoError> {
        x509::leaf_der(pem)
    }
}

fn key_pair(key: &Secret<String>) -> Result<KeyPair, CryptoError> {
    let der = pem::private_key(key.expose()).map_err(|cause| failed(private::READING, cause))?;
    KeyPair::try_from(der.secret_der()).map_err(|cause| failed(private::READING, cause))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents, UnparsedPublicKey,
    };
    use waxwing_acme::jws::{Algorithm, Jwk};
    use x509_parser::prelude::{FromDer as _, ParsedExtension, X509CertificationRequest};

    use super::*;

    fn names() -> Vec<Identifier> {
        ["example.com", "*.example.com", "xn--bcher-kva.example"]
            .map(|name| Identifier::parse(name).expect("a name"))
            .to_vec()
    }

    #[test]
    fn every_kind_of_key_is_made_recognised_and_signs_what_its_jwk_verifies() {
        for kind in KeyType::ALL {
            let key = LocalKeys.certificate_key(kind).expect("made");
            assert!(
                key.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"),
                "{kind}"
            );
            assert_eq!(LocalKeys.kind(&key), Ok(Some(kind)));
            let signer = LocalKeys.signer(&key).expect("a signer");
            let signature = signer.sign(b"message").expect("a signature");
            let verified =
                match (signer.algorithm(), signer.jwk()) {
                    (Algorithm::Es256, Jwk::P256 { x, y }) => {
                        let point = [&[4][..], &x, &y].concat();
                        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                            .verify(b"message", &signature)
                    }
                    (Algorithm::Es384, Jwk::P384 { x, y }) => {
                        let point = [&[4][..], &x, &y].concat();
                        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                            .verify(b"message", &signature)
                    }
                    (Algorithm::Rs256, Jwk::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                        .verify(&RSA_PKCS1_2048_8192_SHA256, b"message", &signature),
                    (algorithm, jwk) => panic!("{algorithm:?} does not go with {jwk:?}"),
                };
            assert!(verified.is_ok(), "{kind}");
        }
    }

    #[test]
    fn a_request_holds_the_names_as_san_and_no_subject_and_no_other_extension() {
        for kind in [KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Rsa2048] {
            let key = LocalKeys.certificate_key(kind).expect("made");
            let der = LocalKeys.request(&key, &names()).expect("a request");
            let (_, request) = X509CertificationRequest::from_der(&der).expect("DER");
            let info = &request.certification_request_info;
            assert_eq!(info.subject.to_string(), "");
            assert_eq!(
                LocalKeys.public_key_sha256(&key),
                Ok(sha256_hex(info.subject_pki.raw)),
                "{kind}"
            );
            let extensions: Vec<_> = request.requested_extensions().expect("some").collect();
            let [ParsedExtension::SubjectAlternativeName(san)] = extensions[..] else {
                panic!("more or less than a SAN: {extensions:?}");
            };
            let found: Vec<_> = san.general_names.iter().map(ToString::to_string).collect();
            assert_eq!(
                found,
                [
                    "DNSName(example.com)",
                    "DNSName(*.example.com)",
                    "DNSName(xn--bcher-kva.example)"
                ]
            );
        }
    }

    #[test]
    fn text_that_is_no_key_is_refused_without_quoting_it() {
        let key =
            Secret::new("-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----".into());
        let error = LocalKeys.signer(&key).err().expect("refused");
        assert_eq!(error.what, "read the private key");
        assert!(!error.to_string().contains("AQID"), "{error}");
        let none = Secret::new("hunter2".to_owned());
        let error = LocalKeys.kind(&none).expect_err("refused");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
