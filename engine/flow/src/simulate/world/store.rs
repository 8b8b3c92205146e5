//! The state folder of a simulation: what is issued is stored by the desk, everything else is nothing.

use std::path::PathBuf;

use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::secret::Secret;

use super::{Guard, World, absent, entry};
use crate::certificate::{
    CertificateFacts, ChainPem, InstalledMark, InventoryEntry, LastAttempt, Origin, Replacing,
    RevokedMark, ServedMark, StoredVersion,
};
use crate::directory::DirectoryCopy;
use crate::ports::{AccountRecord, CertificateStore, LockGuard, StoreError};

impl CertificateStore for World {
    fn inventory(&self) -> Result<Vec<Result<InventoryEntry, StoreError>>, StoreError> {
        let state = self.state();
        let all = state.kept.iter().map(|(name, kept)| Ok(entry(name, kept)));
        Ok(all.collect())
    }

    fn entry(&self, name: &CertificateName) -> Result<Option<InventoryEntry>, StoreError> {
        let state = self.state();
        let kept = state.kept.get(name).filter(|kept| kept.current.is_some());
        Ok(kept.map(|kept| entry(name, kept)))
    }

    fn current(&self, name: &CertificateName) -> Result<Option<StoredVersion>, StoreError> {
        let state = self.state();
        let current = state.kept.get(name).and_then(|kept| kept.current.clone());
        Ok(current.map(|current| StoredVersion {
            certificate: name.clone(),
            version: current.version,
            key: Secret::new(String::new()),
            pem: ChainPem {
                cert: String::new(),
                chain: String::new(),
                fullchain: String::new(),
            },
            facts: current.facts,
            origin: current.origin,
            revoked: None,
        }))
    }

    fn version(&self, _: &CertificateName, _: u32) -> Result<Option<StoredVersion>, StoreError> {
        Ok(None)
    }

    fn save(
        &self,
        _name: &CertificateName,
        _key: &Secret<String>,
        _pem: &ChainPem,
        _facts: &CertificateFacts,
        _origin: &Origin,
    ) -> Result<u32, StoreError> {
        Err(absent("save"))
    }

    fn record_installed(&self, _: &CertificateName, _: &InstalledMark) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_installed(&self, _: &CertificateName, _: &PluginName) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_served(&self, _: &CertificateName, _: &[ServedMark]) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_revoked(&self, _: &CertificateName, _: &RevokedMark) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_replacing(&self, _: &CertificateName, _: &Replacing) -> Result<(), StoreError> {
        Ok(())
    }

    fn end_replacing(&self, _: &CertificateName) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_attempt(&self, _: &CertificateName) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_attempt(&self, _: &CertificateName, _: &LastAttempt) -> Result<(), StoreError> {
        Ok(())
    }

    fn journal(&self, _: &CertificateName) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn write_journal(&self, _: &CertificateName, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_journal_aside(&self, _: &CertificateName) -> Result<PathBuf, StoreError> {
        Ok(PathBuf::new())
    }

    fn close_journal(&self, _: &CertificateName) -> Result<(), StoreError> {
        Ok(())
    }

    fn open_journals(&self) -> Result<Vec<CertificateName>, StoreError> {
        Ok(Vec::new())
    }

    fn save_pending_key(&self, _: &CertificateName, _: &Secret<String>) -> Result<(), StoreError> {
        Ok(())
    }

    fn pending_key(&self, _: &CertificateName) -> Result<Option<Secret<String>>, StoreError> {
        Ok(None)
    }

    fn account(&self, _: &CaName, _: &str) -> Result<Option<AccountRecord>, StoreError> {
        Ok(None)
    }

    /// There is an account everywhere.
    fn accounts(&self, _ca: &CaName) -> Result<Vec<AccountRecord>, StoreError> {
        Ok(vec![AccountRecord {
            directory: String::new(),
            kid: Some("simulated".to_owned()),
            contact: Vec::new(),
            terms: None,
            key: Secret::new(String::new()),
            next_key: None,
            credentials: Vec::new(),
            deactivated: None,
        }])
    }

    fn save_account(&self, _: &CaName, _: &AccountRecord) -> Result<(), StoreError> {
        Ok(())
    }

    fn directory(&self, _: &CaName) -> Result<Option<DirectoryCopy>, StoreError> {
        Ok(None)
    }

    fn save_directory(&self, _: &CaName, _: &DirectoryCopy) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock_certificate(&self, _: &CertificateName) -> Result<Box<dyn LockGuard>, StoreError> {
        Ok(Box::new(Guard))
    }

    fn lock_account(&self, _: &CaName) -> Result<Box<dyn LockGuard>, StoreError> {
        Ok(Box::new(Guard))
    }
}
