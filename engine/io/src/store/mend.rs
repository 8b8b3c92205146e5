//! What to do about damage: it is set aside or counts as not there, so that nobody has to repair
//! anything by hand.
//!
//! What a newcomer gets wrong: an older version never takes the place of a damaged one. It would be
//! installed over the newer certificate that is served. Only a damaged `current` is worked out again.

use std::path::{Path, PathBuf};

use waxwing_core::name::CertificateName;
use waxwing_core::time::Window;
use waxwing_flow::audit::Act;
use waxwing_flow::certificate::{ChainPem, InventoryVersion};
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use super::layout::{version_name, version_number};
use super::{CERT, CHAIN, FULLCHAIN, FileStore, KEY, atomic, failure, read};
use crate::x509;

/// Where damaged things are kept, below `archive`.
pub(super) const KEPT: &str = "damaged";

impl FileStore {
    /// The number of the version in use. A `current` that is damaged, or gone while versions are there, as behind a
    /// restore that leaves files out, counts as the newest of them: numbers only grow, and a version is complete before
    /// it has one.
    pub(super) fn current_number(&self, name: &CertificateName) -> Result<Option<u32>, StoreError> {
        match self.named_number(name) {
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                tracing::error!(certificate = %name, cause = %error,
                    "which version is in use was worked out again");
                Ok(self.versions(name)?.last().copied())
            }
            Ok(None) => Ok(self.versions(name)?.last().copied()),
            number => number,
        }
    }

    /// The number in `current`.
    pub(super) fn named_number(&self, name: &CertificateName) -> Result<Option<u32>, StoreError> {
        let path = self.layout.current(name);
        let Some(text) = read::text(&path)? else {
            return Ok(None);
        };
        match version_number(text.trim()) {
            Some(number) => Ok(Some(number)),
            None => Err(failure::corrupt(&path, "it names no version")),
        }
    }

    /// Puts a `current` that can be read in the place of a damaged one, which is kept. The
    /// certificate is locked.
    pub(super) fn mend_current(&self, name: &CertificateName) -> Result<(), StoreError> {
        let newest = self.versions(name)?.last().copied();
        match self.named_number(name) {
            Err(error) if error.kind == StoreErrorKind::Corrupt => {}
            Ok(None) if let Some(number) = newest => {
                tracing::error!(certificate = %name, version = number, "`current` was gone and is written anew");
                let current = format!("{}\n", version_name(number));
                return atomic::replace(&self.layout.current(name), current.as_bytes());
            }
            _ => return Ok(()),
        }
        let kept = self.set_aside(&self.layout.current(name), KEPT, name.as_str())?;
        tracing::error!(certificate = %name, kept = %kept.display(), version = newest,
            "`current` was damaged and is written anew");
        match newest {
            Some(number) => {
                let current = format!("{}\n", version_name(number));
                atomic::replace(&self.layout.current(name), current.as_bytes())
            }
            None => Ok(()),
        }
    }

    /// The number of the next version: above every one that was ever given, also of those that are
    /// gone, so that no note about an old version is taken for one about the new.
    pub(super) fn next_number(&self, name: &CertificateName) -> Result<u32, StoreError> {
        let newest = self.versions(name)?.last().copied();
        let current = self.current_number(name)?;
        let installed = self.installed(name, None);
        let installed = installed.iter().map(|mark| mark.version).max();
        let last = newest.max(current).max(installed);
        Ok(last.unwrap_or(0).saturating_add(1))
    }

    /// The current version, or why it cannot be used. What only its key would show is not looked at:
    /// that is found out by who reads it whole.
    pub(super) fn current_facts(
        &self,
        name: &CertificateName,
    ) -> Result<Result<Option<InventoryVersion>, StoreError>, StoreError> {
        let Some(version) = self.current_number(name)? else {
            return Ok(Ok(None));
        };
        let found = || -> Result<InventoryVersion, StoreError> {
            let (facts, origin) = self.facts(name, version)?;
            looks_whole(&self.layout.version(name, version), &facts.leaf_sha256)?;
            Ok(InventoryVersion {
                version,
                facts,
                origin,
                revoked: self.revoked(name, version),
            })
        };
        match found() {
            Ok(found) => Ok(Ok(Some(found))),
            Err(damage) if damage.kind == StoreErrorKind::Corrupt => Ok(Err(StoreError {
                hint: Some(
                    "`waxwing renew` gets a new one; what is served stays as it is".to_owned(),
                ),
                ..damage
            })),
            Err(error) => Err(error),
        }
    }

    /// Validity of the current version by its certificate alone, whatever of the rest cannot be read; of the newest
    /// one if it cannot be read which that is.
    pub(super) fn life_of_damaged(&self, name: &CertificateName) -> Option<Window> {
        let named = self.current_number(name).ok().flatten();
        let version = named.or_else(|| self.versions(name).ok()?.last().copied())?;
        let directory = self.layout.version(name, version);
        let read = |file| {
            let text = read::text(&directory.join(file)).ok().flatten()?;
            let (_, facts) = x509::read_chain(&text).ok()?;
            Some(Window {
                start: facts.not_before,
                end: facts.not_after,
            })
        };
        read(CERT).or_else(|| read(FULLCHAIN))
    }

    /// Mends the current version if it cannot be read whole: chain and full chain from one another, and what cannot be
    /// had again is kept aside, so that another certificate is ordered.
    pub(super) fn mend_version(&self, name: &CertificateName) -> Result<(), StoreError> {
        let Some(number) = self.current_number(name)? else {
            return Ok(());
        };
        let damage = match self.read_version(name, number) {
            Err(damage) if damage.kind == StoreErrorKind::Corrupt => damage,
            Err(error) => return Err(error),
            Ok(_whole) => return Ok(()),
        };
        let directory = self.layout.version(name, number);
        let (facts, _origin) = self.facts(name, number)?;
        let text = |file: &str| read::text(&directory.join(file)).ok().flatten();
        if let (Some(cert), Ok(Some(key))) = (text(CERT), read::key(&directory.join(KEY))) {
            let (chain, fullchain) = (text(CHAIN), text(FULLCHAIN));
            let behind = fullchain.as_ref().and_then(|all| all.strip_prefix(&cert));
            for chain in [behind.map(str::to_owned), chain].into_iter().flatten() {
                let pem = ChainPem {
                    fullchain: format!("{cert}{chain}"),
                    cert: cert.clone(),
                    chain,
                };
                // A chain of which nothing is left fits every certificate, and half a block may be passed over.
                let ends = pem.chain.trim_end().ends_with("-----END CERTIFICATE-----");
                let whole = ends && x509::check_order(&pem.fullchain).is_ok();
                if whole && read::check_fits(&directory, &key, &pem, &facts).is_ok() {
                    atomic::replace(&directory.join(CHAIN), pem.chain.as_bytes())?;
                    atomic::replace(&directory.join(FULLCHAIN), pem.fullchain.as_bytes())?;
                    tracing::error!(certificate = %name, cause = %damage, "what was damaged of it is mended");
                    return Ok(());
                }
            }
        }
        let broken = match damage.path.starts_with(&directory) && damage.path.is_file() {
            true => damage.path.clone(),
            false => directory.join(KEY),
        };
        tracing::error!(certificate = %name, cause = %damage, "what is stored of it cannot be used, and another one is ordered");
        self.set_aside(&broken, KEPT, name.as_str()).map(drop)
    }

    /// Keeps a damaged journal, with the key of its run.
    pub(super) fn keep_journal(&self, name: &CertificateName) -> Result<PathBuf, StoreError> {
        let key = self.layout.pending_key(name);
        if key.exists() {
            self.set_aside(&key, KEPT, name.as_str())?;
        }
        self.set_aside(&self.layout.journal(name), KEPT, name.as_str())
    }

    /// Moves something to the archive, where the next free number is its name.
    pub(super) fn set_aside(
        &self,
        path: &Path,
        kind: &str,
        name: &str,
    ) -> Result<PathBuf, StoreError> {
        self.to_archive(path, kind, name, |to| atomic::rename(path, to))
    }

    /// Keeps a copy of a file in the archive.
    pub(super) fn keep_aside(
        &self,
        path: &Path,
        kind: &str,
        name: &str,
    ) -> Result<PathBuf, StoreError> {
        let text = read::required(path)?;
        self.to_archive(path, kind, name, |to| atomic::replace(to, text.as_bytes()))
    }

    fn to_archive(
        &self,
        path: &Path,
        kind: &str,
        name: &str,
        put: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<PathBuf, StoreError> {
        let archive = self.layout.archive(kind, name);
        atomic::create_dir(&archive)?;
        let taken = read::children(&archive)?;
        let last = taken
            .iter()
            .filter_map(|path| version_number(path.file_name()?.to_str()?))
            .max();
        let to = archive.join(version_name(last.unwrap_or(0).saturating_add(1)));
        put(&to)?;
        self.audit.enter(&Act::SetAside {
            path: path.display().to_string(),
            kept: to.display().to_string(),
        });
        Ok(to)
    }
}

/// Every file is there, and the certificate is the one that the facts are about.
fn looks_whole(directory: &Path, leaf_sha256: &str) -> Result<(), StoreError> {
    for file in [KEY, CHAIN, FULLCHAIN] {
        let path = directory.join(file);
        let there = std::fs::metadata(&path).is_ok_and(|file| file.is_file());
        // A chain may be empty: a root may have signed the certificate itself.
        if !there {
            return Err(failure::corrupt(&path, "it is missing"));
        }
    }
    let path = directory.join(CERT);
    let cert = read::required(&path)?;
    let leaf = x509::leaf_der(&cert).map_err(|cause| failure::corrupt(&path, cause))?;
    if x509::sha256_hex(&leaf) == leaf_sha256 {
        Ok(())
    } else {
        Err(failure::corrupt(
            &path,
            "it is not the certificate of its facts",
        ))
    }
}
