//! Ports through which nothing passes that is not entered in the audit trail.
//!
//! Each stands before an adapter and does nothing else, so that neither the adapter nor whoever calls
//! it can forget to enter what was done.

use std::sync::Arc;

use async_trait::async_trait;
use waxwing_acme::jws::Signer;
use waxwing_core::key::KeyType;
use waxwing_core::name::{Identifier, NotifierName};
use waxwing_core::secret::Secret;
use waxwing_core::settings::SecretRef;

use super::{Act, AuditTrail};
use crate::certificate::{CertificateFacts, ChainPem};
use crate::notify::{Delivered, Message};
use crate::ports::{CryptoError, KeyMaker, Notifier, NotifyError, SecretError, SecretSource};

/// Enters every key that is made.
pub struct WatchedKeys<K> {
    /// Makes them.
    pub keys: K,
    /// Where they are entered.
    pub audit: Arc<AuditTrail>,
}

impl<K: KeyMaker> WatchedKeys<K> {
    fn made(&self, kind: Option<KeyType>, key: &Secret<String>) {
        if self.audit.is_written() {
            self.audit.enter(&Act::KeyMade {
                kind,
                public_key: self.keys.public_key_sha256(key).ok(),
            });
        }
    }
}

impl<K: KeyMaker> KeyMaker for WatchedKeys<K> {
    fn account_key(&self) -> Result<Secret<String>, CryptoError> {
        self.keys.account_key().inspect(|key| self.made(None, key))
    }

    fn certificate_key(&self, kind: KeyType) -> Result<Secret<String>, CryptoError> {
        self.keys
            .certificate_key(kind)
            .inspect(|key| self.made(Some(kind), key))
    }

    fn signer(&self, key: &Secret<String>) -> Result<Arc<dyn Signer>, CryptoError> {
        self.keys.signer(key)
    }

    fn request(&self, key: &Secret<String>, names: &[Identifier]) -> Result<Vec<u8>, CryptoError> {
        self.keys.request(key, names)
    }

    fn public_key_sha256(&self, key: &Secret<String>) -> Result<String, CryptoError> {
        self.keys.public_key_sha256(key)
    }

    fn kind(&self, key: &Secret<String>) -> Result<Option<KeyType>, CryptoError> {
        self.keys.kind(key)
    }

    fn read_chain(&self, pem: &str) -> Result<(ChainPem, CertificateFacts), CryptoError> {
        self.keys.read_chain(pem)
    }

    fn leaf_der(&self, pem: &str) -> Result<Vec<u8>, CryptoError> {
        self.keys.leaf_der(pem)
    }
}

/// Enters every secret that is read, by the keys of the configuration that name it.
pub struct WatchedSecrets<S> {
    /// Reads them.
    pub secrets: S,
    /// What stands at which key.
    pub keys: Vec<(String, SecretRef)>,
    /// Where they are entered.
    pub audit: Arc<AuditTrail>,
}

impl<S> WatchedSecrets<S> {
    /// Enters that a secret was read, for whoever reads it another way.
    pub fn was_read(&self, reference: &SecretRef, found: bool) {
        let keys = self.keys.iter().filter(|(_, other)| other == reference);
        self.audit.enter(&Act::SecretRead {
            keys: keys.map(|(key, _)| key.clone()).collect(),
            reference: reference.to_string(),
            found,
        });
    }
}

impl<S: SecretSource> SecretSource for WatchedSecrets<S> {
    fn secret(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        let secret = self.secrets.secret(reference);
        self.was_read(reference, secret.is_ok());
        secret
    }
}

/// Enters every message that is sent, or cannot be.
pub struct WatchedNotifier {
    /// Sends them.
    pub notifier: Arc<dyn Notifier>,
    /// Its name in the configuration.
    pub name: NotifierName,
    /// How it sends.
    pub way: &'static str,
    /// Where they are entered.
    pub audit: Arc<AuditTrail>,
}

#[async_trait]
impl Notifier for WatchedNotifier {
    fn to(&self) -> String {
        self.notifier.to()
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        let sent = self.notifier.send(message).await;
        self.audit.enter(&Act::Told {
            notifier: self.name.clone(),
            way: self.way,
            failed: sent.as_ref().err().map(ToString::to_string),
        });
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::audit::AuditLog;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Act>>);

    impl AuditLog for Kept {
        fn write(&self, _run: Option<&str>, act: &Act) {
            self.0.lock().expect("a lock").push(act.clone());
        }
    }

    /// Has one secret.
    struct One;

    impl SecretSource for One {
        fn secret(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
            match reference {
                SecretRef::Env(_) => Ok(Secret::new("hunter2".to_owned())),
                _ => Err(SecretError {
                    reference: reference.to_string(),
                    causes: Vec::new(),
                    hint: None,
                }),
            }
        }
    }

    #[test]
    fn a_secret_is_entered_by_every_key_that_names_it_and_not_by_its_value() {
        let kept = Arc::new(Kept::default());
        let audit = Arc::new(AuditTrail::default());
        audit.write_to(Some(Arc::clone(&kept) as Arc<dyn AuditLog>));
        let token = SecretRef::Env("TOKEN".to_owned());
        let vault = ["vault", "--pin", "1234"].map(ToOwned::to_owned);
        let vault = SecretRef::Command(vault.to_vec());
        let watched = WatchedSecrets {
            secrets: One,
            keys: vec![
                ("plugin.a.secrets.token".to_owned(), token.clone()),
                ("account.key".to_owned(), vault.clone()),
                ("plugin.b.secrets.token".to_owned(), token.clone()),
            ],
            audit,
        };
        assert!(watched.secret(&token).is_ok());
        assert!(watched.secret(&vault).is_err());
        let read = |keys: &[&str], reference: &str, found| Act::SecretRead {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            reference: reference.to_owned(),
            found,
        };
        let want = [
            read(
                &["plugin.a.secrets.token", "plugin.b.secrets.token"],
                "env:TOKEN",
                true,
            ),
            read(&["account.key"], "command vault", false),
        ];
        assert_eq!(*kept.0.lock().expect("a lock"), want);
    }
}
