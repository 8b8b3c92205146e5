//! The state folder: accounts, certificates, journals and what was installed, as plain files.
//!
//! A certificate and its key change together because a version is a folder that is complete before
//! `current` names it. Every file is private to its owner, is replaced and never edited, and
//! carries the number of its format.
//!
//! What a newcomer gets wrong: nothing here reads `current` twice. A version that was read once is
//! never changed afterwards, only erased when enough newer ones exist.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

mod accounts;
mod acts;
pub(crate) mod atomic;
mod export;
mod failure;
pub mod format;
mod includes;
mod layout;
pub(crate) mod lock;
mod marks;
mod mend;
mod open;
mod ran;
mod read;
mod sweep;

pub use lock::daemon_of;
pub use ran::ByItself;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::secret::Secret;
use waxwing_flow::audit::{Act, AuditTrail, KeyOwner};
use waxwing_flow::certificate::{
    CertificateFacts, ChainPem, InstalledMark, InventoryEntry, LastAttempt, Origin, Replacing,
    RevokedMark, ServedMark, StoredVersion,
};
use waxwing_flow::directory::DirectoryCopy;
use waxwing_flow::journal;
use waxwing_flow::ports::{AccountRecord, CertificateStore, LockGuard, StoreError, StoreErrorKind};

use layout::{Layout, version_name, version_number};

use crate::permission;

/// The file names of a version.
const KEY: &str = "privkey.pem";
const CERT: &str = "cert.pem";
const CHAIN: &str = "chain.pem";
const FULLCHAIN: &str = "fullchain.pem";
const FACTS: &str = "facts.toml";

const ACCOUNT: &str = "account.toml";

/// One state folder. Cheap to open; holds no file open but the locks.
#[derive(Debug, Clone)]
pub struct FileStore {
    layout: Layout,
    keep_versions: u32,
    audit: Arc<AuditTrail>,
}

impl FileStore {
    /// The state folder.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Where installers' backups go. It is made by who needs it.
    pub fn backups(&self) -> PathBuf {
        self.layout.backups()
    }

    /// Moves a certificate with all its versions to the archive. Answers where it is now.
    ///
    /// # Errors
    /// When there is none of that name, another run holds its lock, or its last run is unfinished:
    /// that run may still owe the world a clean-up, which only its journal knows of. With `debts` the
    /// journal goes into the archive, too, and nobody pays any more.
    pub fn forget(&self, name: &CertificateName, debts: bool) -> Result<PathBuf, StoreError> {
        let _held = self.lock_certificate(name)?;
        let path = self.layout.certificate(name);
        let journal = self.layout.journal(name);
        if journal.exists() && !debts {
            return Err(StoreError {
                kind: StoreErrorKind::Locked,
                act: "forget",
                path,
                causes: vec!["its last run is unfinished and may have left DNS records".to_owned()],
                hint: Some(format!(
                    "`waxwing renew` finishes it; `waxwing forget {name} --yes` leaves what it owes"
                )),
            });
        }
        if !path.is_dir() && !journal.exists() {
            return Err(self.unknown("forget", name));
        }
        if journal.exists() {
            let kept = self.set_aside(&journal, "journals", name.as_str())?;
            tracing::info!(certificate = %name, kept = %kept.display(), "what it owed is set aside");
            self.close_journal(name)?;
            if !path.is_dir() {
                return Ok(kept);
            }
        }
        let kept = self.set_aside(&path, "certificates", name.as_str())?;
        self.audit.enter(&Act::Forgotten {
            certificate: name.clone(),
            kept: kept.display().to_string(),
        });
        Ok(kept)
    }

    fn unknown(&self, act: &'static str, name: &CertificateName) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Io,
            act,
            path: self.layout.certificate(name),
            causes: vec!["no certificate is stored under this name".to_owned()],
            hint: Some("`waxwing status` lists the names".to_owned()),
        }
    }

    fn facts(
        &self,
        name: &CertificateName,
        number: u32,
    ) -> Result<(CertificateFacts, Origin), StoreError> {
        let path = self.layout.version(name, number).join(FACTS);
        let text = read::required(&path)?;
        format::read_facts(&text).map_err(|cause| failure::unreadable(&path, cause))
    }

    /// The folders that a new version of this certificate is written into, of those that are there.
    fn folders_of(&self, name: &CertificateName) -> Vec<PathBuf> {
        let own = self.layout.certificate(name);
        // What is a link that leads nowhere is there, and nothing can be stored in it.
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let folders = match is_there(&own) {
            true => vec![own, self.layout.versions(name)],
            // The first version makes its own.
            false => vec![self.layout.certificates()],
        };
        let mut folders = folders;
        folders.retain(|folder| is_there(folder));
        folders
    }

    /// The note that this version is revoked. A damaged one must not hide the version.
    fn revoked(&self, name: &CertificateName, version: u32) -> Option<RevokedMark> {
        let mark = read::duty(
            name,
            &self.layout.revoked(name),
            format::read_revoked,
            |mark| mark.version,
        );
        mark.filter(|mark| mark.version == version)
    }

    /// One version whole.
    fn read_version(
        &self,
        name: &CertificateName,
        version: u32,
    ) -> Result<StoredVersion, StoreError> {
        let directory = self.layout.version(name, version);
        let (facts, origin) = self.facts(name, version)?;
        let pem = ChainPem {
            cert: read::required(&directory.join(CERT))?,
            chain: read::required(&directory.join(CHAIN))?,
            fullchain: read::required(&directory.join(FULLCHAIN))?,
        };
        let key = read::key(&directory.join(KEY))?
            .ok_or_else(|| failure::corrupt(&directory.join(KEY), "it is missing"))?;
        read::check_fits(&directory, &key, &pem, &facts)?;
        Ok(StoredVersion {
            certificate: name.clone(),
            version,
            key,
            pem,
            facts,
            origin,
            revoked: self.revoked(name, version),
        })
    }

    fn replacing(&self, name: &CertificateName) -> Option<Replacing> {
        read::duty(
            name,
            &self.layout.replacing(name),
            format::read_replacing,
            |wish| wish.version,
        )
    }

    /// Numbers of complete versions, oldest first.
    fn versions(&self, name: &CertificateName) -> Result<Vec<u32>, StoreError> {
        let paths = read::children(&self.layout.versions(name))?;
        let mut numbers: Vec<u32> = paths
            .iter()
            .filter_map(|path| version_number(path.file_name()?.to_str()?))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn make_current(&self, name: &CertificateName, number: u32) -> Result<(), StoreError> {
        let current = format!("{}\n", version_name(number));
        atomic::replace(&self.layout.current(name), current.as_bytes())?;
        self.erase_old(name);
        Ok(())
    }

    /// Erases versions beyond what is kept, and what a crash has left half made.
    ///
    /// The new version is in use by now, so a failure here is no failure to save it; the next
    /// version tries again.
    fn erase_old(&self, name: &CertificateName) {
        let erase = || -> Result<(), StoreError> {
            let mut old = self.versions(name)?;
            let keep = usize::try_from(self.keep_versions).unwrap_or(usize::MAX);
            old.truncate(old.len().saturating_sub(keep));
            // What is still to be revoked has to be shown to its CA.
            let replacing = self.replacing(name).map(|wish| wish.version);
            old.retain(|number| Some(*number) != replacing);
            let unfinished = read::children(&self.layout.versions(name))?
                .into_iter()
                .filter(|path| read::is_unfinished(path));
            let old = old
                .iter()
                .map(|n| (Some(*n), self.layout.version(name, *n)));
            for (number, path) in old.chain(unfinished.map(|path| (None, path))) {
                // The key goes first, in case the rest cannot.
                self.erase_key(|| KeyOwner::Certificate(name.clone()), &path.join(KEY))?;
                fs::remove_dir_all(&path).map_err(|cause| failure::io("erase", &path, &cause))?;
                if let Some(version) = number {
                    self.audit.enter(&Act::VersionErased {
                        certificate: name.clone(),
                        version,
                    });
                }
            }
            Ok(())
        };
        if let Err(error) = erase() {
            tracing::warn!(certificate = %name, %error, "an old version was not erased");
        }
    }
}

impl CertificateStore for FileStore {
    fn inventory(&self) -> Result<Vec<Result<InventoryEntry, StoreError>>, StoreError> {
        let mut names: Vec<CertificateName> = read::children(&self.layout.certificates())?
            .iter()
            .filter_map(|path| CertificateName::parse(path.file_name()?.to_str()?).ok())
            .collect();
        names.extend(self.open_journals()?);
        names.sort();
        names.dedup();
        let entries = names.iter().map(|name| self.entry(name).transpose());
        Ok(entries.flatten().collect())
    }

    fn entry(&self, name: &CertificateName) -> Result<Option<InventoryEntry>, StoreError> {
        let unfinished = self.layout.journal(name).exists();
        let own = self.layout.certificate(name);
        if !own.is_dir() {
            read::leads_somewhere(&own)?;
            if !unfinished {
                return Ok(None);
            }
        }
        // What may not be read is no reason to know nothing of the rest.
        let (current, damage) = match self.current_facts(name) {
            Ok(Ok(current)) => (current, None),
            Ok(Err(damage)) | Err(damage) => (None, Some(damage)),
        };
        let in_place = damage.as_ref().and_then(|_| self.life_of_damaged(name));
        let last = read::note(name, &self.layout.last(name), format::read_last);
        let served = read::note(name, &self.layout.served(name), format::read_served);
        let installed = self.installed(name, current.as_ref());
        let journal = unfinished.then(|| read::text(&self.layout.journal(name)));
        let (owes, finalized) = match journal.transpose().map(Option::flatten) {
            Ok(None) => (false, None),
            Ok(Some(text)) => (journal::owes(&text), journal::finalized(&text)),
            Err(_unreadable) => (true, None),
        };
        Ok(Some(InventoryEntry {
            in_place,
            damage,
            certificate: name.clone(),
            current,
            installed,
            last,
            served: served.unwrap_or_default(),
            unfinished,
            replacing: self.replacing(name),
            owes,
            finalized,
        }))
    }

    fn current(&self, name: &CertificateName) -> Result<Option<StoredVersion>, StoreError> {
        match self.current_number(name)? {
            Some(version) => self.read_version(name, version).map(Some),
            None => Ok(None),
        }
    }

    fn version(
        &self,
        name: &CertificateName,
        version: u32,
    ) -> Result<Option<StoredVersion>, StoreError> {
        if !self.layout.version(name, version).is_dir() {
            return Ok(None);
        }
        self.read_version(name, version).map(Some)
    }

    fn may_save(&self, name: &CertificateName) -> Result<(), StoreError> {
        for folder in self.folders_of(name) {
            read::leads_somewhere(&folder)?;
            permission::may_write_within(&folder)
                .map_err(|cause| failure::io("write", &folder, &cause))?;
        }
        atomic::room(&self.layout.journal(name))
    }

    fn save(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
        pem: &ChainPem,
        facts: &CertificateFacts,
        origin: &Origin,
    ) -> Result<u32, StoreError> {
        let versions = self.layout.versions(name);
        atomic::create_dir(&versions)?;
        let (last, current) = (
            self.versions(name)?.last().copied(),
            self.named_number(name).unwrap_or_default(),
        );
        // Stored whole by a process that died before it was made current.
        if let Some(number) = last.filter(|last| Some(*last) > current)
            && let Ok((known, _)) = self.facts(name, number)
            && known.leaf_sha256 == facts.leaf_sha256
        {
            self.was_received(name, number, key, &acts::leaf(facts, origin));
            self.make_current(name, number)?;
            return Ok(number);
        }
        let number = self.next_number(name)?;
        let unfinished = versions.join(format!("{}{}", atomic::UNFINISHED, version_name(number)));
        if unfinished.exists() {
            // Left by a crash.
            self.erase_key(
                || KeyOwner::Certificate(name.clone()),
                &unfinished.join(KEY),
            )?;
            fs::remove_dir_all(&unfinished)
                .map_err(|cause| failure::io("remove", &unfinished, &cause))?;
        }
        atomic::create_dir(&unfinished)?;
        let leaf = acts::leaf(facts, origin);
        let facts = format::write_facts(facts, origin);
        for (file, content) in [
            (KEY, key.expose().as_str()),
            (CERT, &pem.cert),
            (CHAIN, &pem.chain),
            (FULLCHAIN, &pem.fullchain),
            (FACTS, &facts),
        ] {
            let path = unfinished.join(file);
            atomic::create(&path, content.as_bytes())
                .map_err(|cause| failure::io("write", &path, &cause))?;
        }
        atomic::flush(&unfinished)?;
        atomic::rename(&unfinished, &self.layout.version(name, number))?;
        // Entered before older ones are erased.
        self.was_received(name, number, key, &leaf);
        self.make_current(name, number)?;
        Ok(number)
    }

    fn record_installed(
        &self,
        name: &CertificateName,
        mark: &InstalledMark,
    ) -> Result<(), StoreError> {
        atomic::create_dir(&self.layout.installed(name))?;
        let path = self.layout.installed_by(name, &mark.plugin);
        atomic::replace(&path, format::write_installed(mark).as_bytes())?;
        self.audit.enter(&Act::Installed {
            certificate: name.clone(),
            version: mark.version,
            plugin: mark.plugin.clone(),
        });
        Ok(())
    }

    fn forget_installed(
        &self,
        name: &CertificateName,
        plugin: &PluginName,
    ) -> Result<(), StoreError> {
        self.set_mark_aside(name, plugin)
    }

    fn was_installed(&self, name: &CertificateName, plugin: &PluginName) -> Option<InstalledMark> {
        self.mark_aside(name, plugin)
    }

    fn record_served(&self, name: &CertificateName, seen: &[ServedMark]) -> Result<(), StoreError> {
        atomic::create_dir(&self.layout.certificate(name))?;
        atomic::replace(
            &self.layout.served(name),
            format::write_served(seen).as_bytes(),
        )
    }

    fn record_revoked(&self, name: &CertificateName, mark: &RevokedMark) -> Result<(), StoreError> {
        let path = self.layout.revoked(name);
        // That a later version is revoked must not be forgotten over the end of an older one.
        let later = read::duty(name, &path, format::read_revoked, |mark| mark.version)
            .is_some_and(|known| known.version > mark.version);
        if !later {
            acts::note_duty(&path, &format::write_revoked(mark))?;
        }
        let facts = self.facts(name, mark.version).ok();
        self.audit.enter(&Act::Revoked {
            certificate: name.clone(),
            version: mark.version,
            leaf: facts.map(|(facts, origin)| acts::leaf(&facts, &origin)),
            reason: mark.reason,
        });
        Ok(())
    }

    fn record_replacing(&self, name: &CertificateName, wish: &Replacing) -> Result<(), StoreError> {
        acts::note_duty(&self.layout.replacing(name), &format::write_replacing(wish))
    }

    fn end_replacing(&self, name: &CertificateName) -> Result<(), StoreError> {
        let path = self.layout.replacing(name);
        atomic::remove(&read::twin(&path))?;
        atomic::remove(&path)
    }

    fn record_attempt(&self, name: &CertificateName, last: &LastAttempt) -> Result<(), StoreError> {
        atomic::create_dir(&self.layout.certificate(name))?;
        atomic::replace(&self.layout.last(name), format::write_last(last).as_bytes())
    }

    fn forget_attempt(&self, name: &CertificateName) -> Result<(), StoreError> {
        atomic::remove(&self.layout.last(name))
    }

    fn journal(&self, name: &CertificateName) -> Result<Option<String>, StoreError> {
        read::text(&self.layout.journal(name))
    }

    fn write_journal(&self, name: &CertificateName, text: &str) -> Result<(), StoreError> {
        let path = self.layout.journal(name);
        atomic::create_dir(&self.layout.journals())?;
        if !path.exists() {
            // A run that begins has no key yet: this one was left when an earlier journal was
            // closed and the machine stopped.
            self.erase_key(
                || KeyOwner::Order(name.clone()),
                &self.layout.pending_key(name),
            )?;
        }
        atomic::replace(&path, text.as_bytes())
    }

    fn set_journal_aside(&self, name: &CertificateName) -> Result<PathBuf, StoreError> {
        self.keep_journal(name)
    }

    fn close_journal(&self, name: &CertificateName) -> Result<(), StoreError> {
        // In this order: a key without a journal is nothing, a journal without its key is a run
        // that cannot be finished.
        atomic::remove(&self.layout.journal(name))?;
        self.erase_key(
            || KeyOwner::Order(name.clone()),
            &self.layout.pending_key(name),
        )
    }

    fn open_journals(&self) -> Result<Vec<CertificateName>, StoreError> {
        let paths = read::children(&self.layout.journals())?;
        let mut names: Vec<_> = paths
            .iter()
            .filter(|path| !read::is_unfinished(path))
            .filter_map(|path| path.file_name()?.to_str())
            .filter_map(|file| file.strip_suffix(".toml").or(file.strip_suffix(".key")))
            .filter_map(|name| CertificateName::parse(name).ok())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn save_pending_key(
        &self,
        name: &CertificateName,
        key: &Secret<String>,
    ) -> Result<(), StoreError> {
        atomic::create_dir(&self.layout.journals())?;
        let path = self.layout.pending_key(name);
        atomic::replace(&path, key.expose().as_bytes())?;
        self.key_was_written(|| KeyOwner::Order(name.clone()), &path, key);
        Ok(())
    }

    fn pending_key(&self, name: &CertificateName) -> Result<Option<Secret<String>>, StoreError> {
        read::key(&self.layout.pending_key(name))
    }

    fn account(&self, ca: &CaName, directory: &str) -> Result<Option<AccountRecord>, StoreError> {
        self.read_account(ca, directory)
    }

    fn mend_stored(&self, name: &CertificateName) -> Result<(), StoreError> {
        self.mend_version(name)
    }

    fn mend_account(
        &self,
        ca: &CaName,
        directory: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        self.mend_account_at(ca, directory)
    }

    fn accounts(&self, ca: &CaName) -> Result<Vec<AccountRecord>, StoreError> {
        self.read_accounts(ca)
    }

    fn save_account(&self, ca: &CaName, account: &AccountRecord) -> Result<(), StoreError> {
        self.write_account(ca, account)
    }

    fn directory(&self, ca: &CaName) -> Result<Option<DirectoryCopy>, StoreError> {
        let path = self.layout.directory(ca);
        let Some(text) = read::text(&path)? else {
            return Ok(None);
        };
        format::read_directory(&text)
            .map(Some)
            .map_err(|cause| failure::unreadable(&path, cause))
    }

    fn save_directory(&self, ca: &CaName, copy: &DirectoryCopy) -> Result<(), StoreError> {
        self.cache("directories")?;
        let path = self.layout.directory(ca);
        atomic::replace(&path, format::write_directory(copy).as_bytes())
    }

    fn lock_certificate(&self, name: &CertificateName) -> Result<Box<dyn LockGuard>, StoreError> {
        let held = lock::take(&self.layout.lock("certificates", name.as_str()))?;
        sweep::journals(&self.layout.journals(), name.as_str());
        sweep::versions(&self.layout.versions(name));
        sweep::notes(&self.layout.certificate(name));
        sweep::notes(&self.layout.installed(name));
        self.mend_current(name)?;
        Ok(Box::new(held))
    }

    fn lock_account(&self, ca: &CaName) -> Result<Box<dyn LockGuard>, StoreError> {
        Ok(Box::new(lock::take(
            &self.layout.lock("accounts", ca.as_str()),
        )?))
    }
}

/// An error of the operating system, for what else lies in the state folder.
pub(crate) fn io_error(act: &'static str, path: &Path, cause: &std::io::Error) -> StoreError {
    failure::io(act, path, cause)
}

/// What helps where nothing can be written.
pub(crate) fn room(kind: std::io::ErrorKind, path: &Path) -> String {
    failure::room(kind, path)
}

#[cfg(test)]
mod tests;
