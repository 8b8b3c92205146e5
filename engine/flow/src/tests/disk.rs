//! The state folder in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::secret::Secret;

use super::world::{Gate, State, World};
use crate::certificate::{
    CertificateFacts, ChainPem, InstalledMark, InventoryEntry, InventoryVersion, LastAttempt,
    Origin, Replacing, RevokedMark, ServedMark, StoredVersion,
};
use crate::directory::DirectoryCopy;
use crate::journal;
use crate::ports::{AccountRecord, CertificateStore, LockGuard, StoreError, StoreErrorKind};

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) versions: BTreeMap<CertificateName, Vec<StoredVersion>>,
    pub(crate) marks: BTreeMap<CertificateName, Vec<InstalledMark>>,
    pub(crate) last: BTreeMap<CertificateName, LastAttempt>,
    pub(crate) served: BTreeMap<CertificateName, Vec<ServedMark>>,
    pub(crate) replacing: BTreeMap<CertificateName, Replacing>,
    pub(crate) journals: BTreeMap<CertificateName, String>,
    pub(crate) pending: BTreeMap<CertificateName, Secret<String>>,
    /// By CA and directory.
    pub(crate) accounts: BTreeMap<(CaName, String), AccountRecord>,
    pub(crate) directories: BTreeMap<CaName, DirectoryCopy>,
    pub(crate) locks: BTreeSet<String>,
    /// Nothing can be stored.
    pub(crate) shut: bool,
}

impl Disk {
    pub(crate) fn current(&self, name: &CertificateName) -> Option<&StoredVersion> {
        self.versions.get(name)?.last()
    }
}

struct Guard(World, String);

impl LockGuard for Guard {}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.state().disk.locks.remove(&self.1);
    }
}

fn error(kind: StoreErrorKind, act: &'static str, path: &str) -> StoreError {
    StoreError {
        kind,
        act,
        path: path.into(),
        causes: vec!["simulated".to_owned()],
        hint: None,
    }
}

impl World {
    pub(crate) fn disk<T>(
        &self,
        act: &'static str,
        name: &str,
        effect: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        let gate = self.gate(&format!("disk: {act} {name}"));
        if gate == Gate::Fail {
            return Err(error(StoreErrorKind::Io, act, name));
        }
        let done = effect(&mut self.state());
        match self.after(gate) {
            Ok(()) => Ok(done),
            Err(_lost) => Err(error(StoreErrorKind::Io, act, name)),
        }
    }

    fn lock(&self, what: String) -> Result<Box<dyn LockGuard>, StoreError> {
        if self.gate(&format!("disk: lock {what}")) != Gate::Open {
            return Err(error(StoreErrorKind::Io, "lock", &what));
        }
        if !self.state().disk.locks.insert(what.clone()) {
            return Err(error(StoreErrorKind::Locked, "lock", &what));
        }
        Ok(Box::new(Guard(self.clone(), what)))
    }
}

fn entry(disk: &Disk, name: &CertificateName) -> Option<InventoryEntry> {
    let current = disk.current(name);
    let unfinished = disk.journals.contains_key(name);
    if current.is_none() && !unfinished {
        return None;
    }
    Some(InventoryEntry {
        in_place: None,
        damage: None,
        certificate: name.clone(),
        current: current.map(|version| InventoryVersion {
            version: version.version,
            facts: version.facts.clone(),
            origin: version.origin.clone(),
            revoked: version.revoked.clone(),
        }),
        installed: disk.marks.get(name).cloned().unwrap_or_default(),
        last: disk.last.get(name).cloned(),
        served: disk.served.get(name).cloned().unwrap_or_default(),
        unfinished,
        replacing: disk.replacing.get(name).cloned(),
        owes: disk
            .journals
            .get(name)
            .is_some_and(|text| journal::owes(text)),
        finalized: disk
            .journals
            .get(name)
            .and_then(|text| journal::finalized(text)),
    })
}

impl CertificateStore for World {
    fn inventory(&self) -> Result<Vec<Result<InventoryEntry, StoreError>>, StoreError> {
        self.disk("list", "certificates", |state| {
            let disk = &state.disk;
            let names = disk.versions.keys();
            names.filter_map(|name| entry(disk, name)).map(Ok).collect()
        })
    }

    fn entry(&self, name: &CertificateName) -> Result<Option<InventoryEntry>, StoreError> {
        self.disk("read", name.as_str(), |state| entry(&state.disk, name))
    }

    fn current(&self, name: &CertificateName) -> Result<Option<StoredVersion>, StoreError> {
        self.disk("read the version of", name.as_str(), |state| {
            state.disk.current(name).cloned()
        })
    }

    fn version(
        &self,
        name: &CertificateName,
        version: u32,
    ) -> Result<Option<StoredVersion>, StoreError> {
        self.disk("read a version of", name.as_str(), |state| {
            let mut versions = state.disk.versions.get(name)?.iter();
            versions.find(|one| one.version == version).cloned()
        })
    }

    fn may_save(&self, name: &CertificateName) -> Result<(), StoreError> {
        match self.state().disk.shut {
            true => Err(error(StoreErrorKind::Permission, "write", name.as_str())),
            false => Ok(()),
        }
    }

    fn save(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
        pem: &ChainPem,
        facts: &CertificateFacts,
        origin: &Origin,
    ) -> Result<u32, StoreError> {
        self.disk("store", name.as_str(), |state| {
            let versions = state.disk.versions.entry(name.clone()).or_default();
            let version = u32::try_from(versions.len()).expect("few versions") + 1;
            versions.push(StoredVersion {
                certificate: name.clone(),
                version,
                key: key.clone(),
                pem: pem.clone(),
                facts: facts.clone(),
                origin: origin.clone(),
                revoked: None,
            });
            version
        })
    }

    fn record_installed(
        &self,
        name: &CertificateName,
        mark: &InstalledMark,
    ) -> Result<(), StoreError> {
        self.disk("mark", name.as_str(), |state| {
            let marks = state.disk.marks.entry(name.clone()).or_default();
            marks.retain(|old| old.plugin != mark.plugin);
            marks.push(mark.clone());
        })
    }

    fn forget_installed(
        &self,
        name: &CertificateName,
        plugin: &PluginName,
    ) -> Result<(), StoreError> {
        self.disk("forget what is installed of", name.as_str(), |state| {
            let marks = state.disk.marks.entry(name.clone()).or_default();
            marks.retain(|old| old.plugin != *plugin);
        })
    }

    fn record_served(&self, name: &CertificateName, seen: &[ServedMark]) -> Result<(), StoreError> {
        self.disk("note what is served of", name.as_str(), |state| {
            state.disk.served.insert(name.clone(), seen.to_vec());
        })
    }

    fn record_revoked(&self, name: &CertificateName, mark: &RevokedMark) -> Result<(), StoreError> {
        self.disk("note the revocation of", name.as_str(), |state| {
            let versions = state.disk.versions.get_mut(name);
            let mut versions = versions.into_iter().flatten();
            if let Some(version) = versions.find(|version| version.version == mark.version) {
                version.revoked = Some(mark.clone());
            }
        })
    }

    fn record_replacing(&self, name: &CertificateName, wish: &Replacing) -> Result<(), StoreError> {
        self.disk("note what is to be revoked of", name.as_str(), |state| {
            state.disk.replacing.insert(name.clone(), wish.clone());
        })
    }

    fn end_replacing(&self, name: &CertificateName) -> Result<(), StoreError> {
        self.disk("forget what was to be revoked of", name.as_str(), |state| {
            state.disk.replacing.remove(name);
        })
    }

    fn record_attempt(&self, name: &CertificateName, last: &LastAttempt) -> Result<(), StoreError> {
        self.disk("note the attempt of", name.as_str(), |state| {
            state.disk.last.insert(name.clone(), last.clone());
        })
    }

    fn forget_attempt(&self, name: &CertificateName) -> Result<(), StoreError> {
        self.disk("forget the attempt of", name.as_str(), |state| {
            state.disk.last.remove(name);
        })
    }

    fn journal(&self, name: &CertificateName) -> Result<Option<String>, StoreError> {
        self.disk("read the journal of", name.as_str(), |state| {
            state.disk.journals.get(name).cloned()
        })
    }

    fn write_journal(&self, name: &CertificateName, text: &str) -> Result<(), StoreError> {
        self.disk("write the journal of", name.as_str(), |state| {
            state.disk.journals.insert(name.clone(), text.to_owned());
        })
    }

    fn set_journal_aside(&self, name: &CertificateName) -> Result<PathBuf, StoreError> {
        self.disk("set aside the journal of", name.as_str(), |state| {
            state.disk.journals.remove(name);
            state.disk.pending.remove(name);
            PathBuf::from("archive")
        })
    }

    fn close_journal(&self, name: &CertificateName) -> Result<(), StoreError> {
        self.disk("close the journal of", name.as_str(), |state| {
            state.disk.journals.remove(name);
            state.disk.pending.remove(name);
        })
    }

    fn open_journals(&self) -> Result<Vec<CertificateName>, StoreError> {
        self.disk("list", "journals", |state| {
            let names = state.disk.journals.keys().chain(state.disk.pending.keys());
            let names: std::collections::BTreeSet<_> = names.cloned().collect();
            names.into_iter().collect()
        })
    }

    fn save_pending_key(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
    ) -> Result<(), StoreError> {
        self.disk("write the key of", name.as_str(), |state| {
            state.disk.pending.insert(name.clone(), key.clone());
        })
    }

    fn pending_key(&self, name: &CertificateName) -> Result<Option<Secret<String>>, StoreError> {
        self.disk("read the key of", name.as_str(), |state| {
            state.disk.pending.get(name).cloned()
        })
    }

    fn account(&self, ca: &CaName, directory: &str) -> Result<Option<AccountRecord>, StoreError> {
        let key = (ca.clone(), directory.to_owned());
        self.disk("read the account at", ca.as_str(), |state| {
            state.disk.accounts.get(&key).cloned()
        })
    }

    fn accounts(&self, ca: &CaName) -> Result<Vec<AccountRecord>, StoreError> {
        self.disk("list the accounts at", ca.as_str(), |state| {
            let all = state.disk.accounts.iter();
            let here = all.filter(|((at, _), _)| at == ca);
            here.map(|(_, account)| account.clone()).collect()
        })
    }

    fn save_account(&self, ca: &CaName, account: &AccountRecord) -> Result<(), StoreError> {
        self.disk("write the account at", ca.as_str(), |state| {
            let key = (ca.clone(), account.directory.clone());
            state.disk.accounts.insert(key, account.clone());
        })
    }

    fn directory(&self, ca: &CaName) -> Result<Option<DirectoryCopy>, StoreError> {
        self.disk("read the directory of", ca.as_str(), |state| {
            state.disk.directories.get(ca).cloned()
        })
    }

    fn save_directory(&self, ca: &CaName, copy: &DirectoryCopy) -> Result<(), StoreError> {
        self.disk("keep the directory of", ca.as_str(), |state| {
            state.disk.directories.insert(ca.clone(), copy.clone());
        })
    }

    fn lock_certificate(&self, name: &CertificateName) -> Result<Box<dyn LockGuard>, StoreError> {
        self.lock(format!("certificate {name}"))
    }

    fn lock_account(&self, ca: &CaName) -> Result<Box<dyn LockGuard>, StoreError> {
        self.lock(format!("account {ca}"))
    }
}
