//! What changes in the state folder, as the audit trail has it.

use std::path::Path;

use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::secret::Secret;
use waxwing_flow::audit::{AccountChange, Act, KeyOwner, Leaf};
use waxwing_flow::certificate::{CertificateFacts, Origin};
use waxwing_flow::ports::{KeyMaker as _, StoreError};

use super::format::AccountText;
use super::{FileStore, KEY, atomic, read};
use crate::keys::LocalKeys;
use crate::x509::hex;

impl FileStore {
    /// Enters that a key is in a file now.
    pub(super) fn key_was_written(
        &self,
        of: impl FnOnce() -> KeyOwner,
        path: &Path,
        key: &Secret<String>,
    ) {
        // To read a key takes time, which nobody has to spend for a trail that is not written.
        if self.audit.is_written() {
            self.audit.enter(&Act::KeyWritten {
                of: of(),
                path: path.display().to_string(),
                public_key: public_key(key),
            });
        }
    }

    /// Enters that a version is stored with its key.
    pub(super) fn was_received(
        &self,
        name: &CertificateName,
        version: u32,
        key: &Secret<String>,
        leaf: &Leaf,
    ) {
        let path = self.layout.version(name, version).join(KEY);
        self.key_was_written(|| KeyOwner::Certificate(name.clone()), &path, key);
        self.audit.enter(&Act::Received {
            certificate: name.clone(),
            version,
            leaf: leaf.clone(),
        });
    }

    /// Takes the file of a key away, and enters it; one that is not there counts as taken away.
    pub(super) fn erase_key(
        &self,
        of: impl FnOnce() -> KeyOwner,
        path: &Path,
    ) -> Result<(), StoreError> {
        if !self.audit.is_written() || !path.exists() {
            return atomic::remove(path);
        }
        // A damaged one is erased all the same.
        let key = read::key(path).ok().flatten();
        let public_key = key.as_ref().and_then(public_key);
        atomic::remove(path)?;
        self.audit.enter(&Act::KeyErased {
            of: of(),
            path: path.display().to_string(),
            public_key,
        });
        Ok(())
    }

    /// Enters what has changed about an account. What was not known at the CA is no change there.
    pub(super) fn account_changed(
        &self,
        ca: &CaName,
        old: Option<&AccountText>,
        new: &AccountText,
    ) {
        let before = old.filter(|old| old.kid.is_some());
        let mut changes = Vec::new();
        match before {
            None if new.kid.is_some() => changes.push(AccountChange::Registered),
            None => {}
            Some(old) => {
                if old.kid != new.kid {
                    changes.push(AccountChange::Registered);
                } else if old.key != new.key {
                    changes.push(AccountChange::RolledOver);
                }
                if old.contact != new.contact {
                    changes.push(AccountChange::Contact);
                }
                if old.deactivated.is_none() && new.deactivated.is_some() {
                    changes.push(AccountChange::Deactivated);
                }
            }
        }
        for change in changes {
            self.audit.enter(&Act::Account {
                ca: ca.clone(),
                directory: new.directory.clone(),
                url: new.kid.clone(),
                change,
            });
        }
        if let Some((url, at)) = &new.terms
            && old.is_none_or(|old| old.terms != new.terms)
        {
            self.audit.enter(&Act::TermsAgreed {
                ca: ca.clone(),
                url: url.clone(),
                at: *at,
            });
        }
    }
}

fn public_key(key: &Secret<String>) -> Option<String> {
    LocalKeys.public_key_sha256(key).ok()
}

/// What tells a version from every other certificate.
pub(super) fn leaf(facts: &CertificateFacts, origin: &Origin) -> Leaf {
    Leaf {
        ca: origin.ca.clone(),
        serial: hex(&facts.serial),
        sha256: facts.leaf_sha256.clone(),
        not_after: facts.not_after,
        names: facts.names.iter().map(ToString::to_string).collect(),
    }
}

/// Writes a note that must not be lost, twice: the second one first, so that the newer of two counts.
pub(super) fn note_duty(path: &Path, text: &str) -> Result<(), StoreError> {
    atomic::replace(&read::twin(path), text.as_bytes())?;
    atomic::replace(path, text.as_bytes())
}
