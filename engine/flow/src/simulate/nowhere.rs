//! What a simulation has none of: keys, secrets, servers, a network. Whoever asks is told so.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_acme::jws::Signer;
use waxwing_core::caa::CaaSet;
use waxwing_core::http::{Request, Response, TransportError, TransportStage};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CertificateName, DomainName, Identifier};
use waxwing_core::secret::Secret;
use waxwing_core::settings::SecretRef;
use waxwing_core::settings::served_at::ServedAt;

use crate::certificate::{CertificateFacts, ChainPem, ServedLeaf};
use crate::plugin::PropagationHint;
use crate::ports::{
    CryptoError, DeploymentProbe, HttpClient, KeyMaker, Location, LookupError, Policy,
    PropagationProbe, SecretError, SecretSource, ServerView, StoreError, StoreErrorKind,
    UnseenError,
};
use crate::report::{Observer, Progress};

/// Every port that is never used.
pub(super) struct Nowhere;

pub(super) fn absent(act: &'static str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Io,
        act,
        path: "simulated".into(),
        causes: vec!["a simulation has none of this".to_owned()],
        hint: None,
    }
}

fn no_crypto() -> CryptoError {
    CryptoError {
        what: "making a key".to_owned(),
        causes: vec!["a simulation has none".to_owned()],
    }
}

#[async_trait]
impl HttpClient for Nowhere {
    async fn send(&self, request: Request, _policy: &Policy) -> Result<Response, TransportError> {
        Err(TransportError {
            stage: TransportStage::Request,
            method: request.method,
            url: request.url,
            address: None,
            elapsed: Duration::ZERO,
            causes: vec!["a simulation sends nothing".to_owned()],
        })
    }
}

impl KeyMaker for Nowhere {
    fn account_key(&self) -> Result<Secret<String>, CryptoError> {
        Err(no_crypto())
    }

    fn certificate_key(&self, _kind: KeyType) -> Result<Secret<String>, CryptoError> {
        Err(no_crypto())
    }

    fn signer(&self, _key: &Secret<String>) -> Result<Arc<dyn Signer>, CryptoError> {
        Err(no_crypto())
    }

    fn request(&self, _: &Secret<String>, _: &[Identifier]) -> Result<Vec<u8>, CryptoError> {
        Err(no_crypto())
    }

    fn public_key_sha256(&self, _key: &Secret<String>) -> Result<String, CryptoError> {
        Err(no_crypto())
    }

    fn kind(&self, _key: &Secret<String>) -> Result<Option<KeyType>, CryptoError> {
        Err(no_crypto())
    }

    fn read_chain(&self, _pem: &str) -> Result<(ChainPem, CertificateFacts), CryptoError> {
        Err(no_crypto())
    }

    fn leaf_der(&self, _pem: &str) -> Result<Vec<u8>, CryptoError> {
        Err(no_crypto())
    }
}

impl SecretSource for Nowhere {
    fn secret(&self, _reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        Err(SecretError {
            reference: "any".to_owned(),
            causes: vec!["a simulation has none".to_owned()],
            hint: None,
        })
    }
}

#[async_trait]
impl PropagationProbe for Nowhere {
    async fn locate(&self, identifier: &DomainName) -> Result<Location, LookupError> {
        Ok(Location {
            fqdn: identifier.challenge_name(),
            zone: None,
        })
    }

    /// Nobody forbids anything.
    async fn caa(&self, _name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        Ok(None)
    }

    async fn look(
        &self,
        _fqdn: &DomainName,
        _value: &str,
        _hint: &PropagationHint,
    ) -> Result<Vec<ServerView>, LookupError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl DeploymentProbe for Nowhere {
    async fn look(&self, _place: &ServedAt) -> Result<ServedLeaf, UnseenError> {
        Err(UnseenError {
            causes: vec!["a simulation has no servers".to_owned()],
        })
    }
}

impl Observer for Nowhere {
    fn progress(&self, _certificate: &CertificateName, _progress: &Progress) {}
}
