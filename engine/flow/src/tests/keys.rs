//! Keys and certificates that can be read by eye: a key is its number and kind, a certificate the
//! JSON of what it says.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waxwing_acme::jws::{Algorithm, Jwk, SignError, Signer};
use waxwing_core::key::KeyType;
use waxwing_core::name::Identifier;
use waxwing_core::secret::Secret;
use waxwing_core::time::Timestamp;

use super::world::World;
use crate::certificate::{CertificateFacts, ChainPem};
use crate::ports::{CryptoError, KeyMaker};

pub(crate) struct Keys(pub(crate) World);

struct Key(u8);

impl Signer for Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn jwk(&self) -> Jwk {
        Jwk::P256 {
            x: [self.0; 32],
            y: [self.0; 32],
        }
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(vec![self.0; 64])
    }
}

impl Keys {
    fn next(&self, what: &str) -> Secret<String> {
        let mut state = self.0.state();
        state.keys_made += 1;
        Secret::new(format!("{} {what}", state.keys_made))
    }
}

impl KeyMaker for Keys {
    fn account_key(&self) -> Result<Secret<String>, CryptoError> {
        Ok(self.next("account"))
    }

    fn certificate_key(&self, kind: KeyType) -> Result<Secret<String>, CryptoError> {
        Ok(self.next(kind.as_str()))
    }

    fn signer(&self, key: &Secret<String>) -> Result<Arc<dyn Signer>, CryptoError> {
        let number = key.expose().split(' ').next().and_then(|n| n.parse().ok());
        Ok(Arc::new(Key(number.expect("a key of this world"))))
    }

    fn request(&self, key: &Secret<String>, names: &[Identifier]) -> Result<Vec<u8>, CryptoError> {
        let names: Vec<String> = names.iter().map(Identifier::to_wire).collect();
        let request = json!({ "key": key.expose(), "names": names });
        Ok(request.to_string().into_bytes())
    }

    fn public_key_sha256(&self, key: &Secret<String>) -> Result<String, CryptoError> {
        Ok(key.expose().clone())
    }

    fn kind(&self, key: &Secret<String>) -> Result<Option<KeyType>, CryptoError> {
        Ok(key.expose().split(' ').nth(1).and_then(KeyType::parse))
    }

    fn read_chain(&self, pem: &str) -> Result<(ChainPem, CertificateFacts), CryptoError> {
        let broken = || CryptoError {
            what: "reading the certificate chain".to_owned(),
            causes: vec!["cut off".to_owned()],
        };
        let line = pem.lines().nth(1).ok_or_else(broken)?;
        let der = STANDARD.decode(line).map_err(|_cut| broken())?;
        let says: Value = serde_json::from_slice(&der).map_err(|_cut| broken())?;
        let text = |name: &str| says[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| Timestamp::from_unix_ms(says[name].as_i64().unwrap_or_default());
        let names = says["names"].as_array().into_iter().flatten();
        let facts = CertificateFacts {
            names: names
                .filter_map(|name| Identifier::parse(name.as_str()?).ok())
                .collect(),
            serial: text("serial").into_bytes(),
            authority_key_id: Some(b"authority".to_vec()),
            not_before: time("not_before"),
            not_after: time("not_after"),
            leaf_sha256: text("serial"),
            leaf_sha1: text("serial"),
            public_key_sha256: text("key"),
            key_type: Some(KeyType::EcdsaP256),
            issuers: vec![text("issuer")],
        };
        let pem = ChainPem {
            cert: pem.to_owned(),
            chain: String::new(),
            fullchain: pem.to_owned(),
        };
        Ok((pem, facts))
    }

    fn leaf_der(&self, pem: &str) -> Result<Vec<u8>, CryptoError> {
        Ok(pem.as_bytes().to_vec())
    }
}

/// A certificate as the CA of this world writes it.
pub(crate) fn pem(says: &Value) -> String {
    let text = STANDARD.encode(says.to_string());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
