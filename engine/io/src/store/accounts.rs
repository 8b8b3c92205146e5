//! Accounts on disk: a folder for each directory of a CA.
//!
//! `account.toml` names the files of the keys and is the switch: key, account URL and marks change
//! together. Earlier versions kept one account for each CA, in the folder above; it is read as long
//! as it is there and moves at its next change.

use std::path::Path;

use waxwing_core::name::CaName;
use waxwing_core::secret::Secret;
use waxwing_flow::audit::KeyOwner;
use waxwing_flow::ports::{AccountRecord, Clock as _, KeyMaker as _, StoreError, StoreErrorKind};

use super::format::{self, AccountText};
use super::mend::KEPT;
use super::{ACCOUNT, FileStore, atomic, failure, read};
use crate::clock::SystemClock;
use crate::keys::LocalKeys;

impl FileStore {
    pub(super) fn read_account(
        &self,
        ca: &CaName,
        directory: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let folder = self.layout.account(ca, directory);
        if let Some(account) = record(&folder)? {
            return Ok(Some(account));
        }
        let before = record(&self.layout.accounts(ca))?;
        let before = before.filter(|account| account.directory == directory);
        // A key without its account must not be lost to another one.
        if before.is_none() && has_keys(&folder)? {
            let cause = "it is missing, and the key of an account is there";
            return Err(mendable(failure::corrupt(&folder.join(ACCOUNT), cause)));
        }
        Ok(before)
    }

    /// What can be saved of a damaged account. The CA knows an account by its key (RFC 8555 section 7.3.1),
    /// so that nothing is lost with the file that names it.
    pub(super) fn mend_account_at(
        &self,
        ca: &CaName,
        directory: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let damage = match self.read_account(ca, directory) {
            Err(error) if error.kind == StoreErrorKind::Corrupt => error,
            found => return found,
        };
        let folder = self.layout.account(ca, directory);
        let above = self.layout.accounts(ca);
        let folder = match record(&folder) {
            Ok(None) if record(&above).is_err() => above,
            _ => folder,
        };
        let known = text(&folder).ok().flatten();
        let file = folder.join(ACCOUNT);
        if file.exists() {
            self.set_aside(&file, KEPT, ca.as_str())?;
        }
        tracing::error!(ca = %ca, cause = %damage, "the account was damaged; what is left of it is used");
        let saved = AccountRecord {
            directory: directory.to_owned(),
            kid: None,
            contact: Vec::new(),
            terms: None,
            key: Secret::new(String::new()),
            next_key: None,
            credentials: known.map_or_else(Vec::new, |known| known.credentials),
            deactivated: None,
        };
        // In the middle of a rollover there are two, and the CA alone knows which one counts. Whatever comes of
        // that, none of them is lost.
        let files = read::children(&folder)?.into_iter();
        let mut files: Vec<_> = files.filter(|path| is_key(path)).collect();
        files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        let mut keys = Vec::new();
        for path in files {
            match key(&path) {
                Ok(key) => {
                    self.keep_aside(&path, KEPT, ca.as_str())?;
                    keys.push(key);
                }
                Err(_torn) => {
                    self.set_aside(&path, KEPT, ca.as_str())?;
                }
            }
        }
        let mut keys = keys.into_iter();
        Ok(Some(match keys.next() {
            Some(key) => {
                let saved = AccountRecord {
                    key,
                    next_key: keys.next(),
                    ..saved
                };
                // Whatever becomes of this run, the next one goes on with these keys.
                self.write_account(ca, &saved)?;
                saved
            }
            // Without its key nobody can use it any more.
            None => AccountRecord {
                deactivated: Some(SystemClock.now()),
                ..saved
            },
        }))
    }

    pub(super) fn read_accounts(&self, ca: &CaName) -> Result<Vec<AccountRecord>, StoreError> {
        let above = self.layout.accounts(ca);
        let mut accounts = Vec::new();
        for folder in read::children(&above)?.iter().filter(|path| path.is_dir()) {
            accounts.extend(record(folder)?);
        }
        let moved = |before: &AccountText| {
            let mut accounts = accounts.iter();
            accounts.any(|one: &AccountRecord| one.directory == before.directory)
        };
        if text(&above)?.is_some_and(|before| !moved(&before)) {
            accounts.extend(record(&above)?);
        }
        accounts.sort_by(|a, b| a.directory.cmp(&b.directory));
        Ok(accounts)
    }

    pub(super) fn write_account(
        &self,
        ca: &CaName,
        account: &AccountRecord,
    ) -> Result<(), StoreError> {
        let folder = self.layout.account(ca, &account.directory);
        let old = text(&folder)?;
        atomic::create_dir(&folder)?;
        let mut taken: Vec<String> = old.iter().flat_map(key_files).collect();
        let old_files = taken.clone();
        let key = self.keep_key(ca, &folder, &old_files, &mut taken, &account.key)?;
        let next_key = match &account.next_key {
            Some(next) => Some(self.keep_key(ca, &folder, &old_files, &mut taken, next)?),
            None => None,
        };
        let new = AccountText {
            directory: account.directory.clone(),
            kid: account.kid.clone(),
            contact: account.contact.clone(),
            terms: account.terms.clone(),
            key,
            next_key,
            credentials: account.credentials.clone(),
            deactivated: account.deactivated,
        };
        atomic::replace(
            &folder.join(ACCOUNT),
            format::write_account(&new).as_bytes(),
        )?;
        self.account_changed(ca, old.as_ref(), &new);
        let named = key_files(&new);
        // Also those that an earlier change could not remove any more.
        for path in read::children(&folder)? {
            let file = path.file_name().and_then(|file| file.to_str());
            if file.is_some_and(|file| is_key_file(file) && !named.iter().any(|key| key == file)) {
                self.erase_key(|| KeyOwner::Account(ca.clone()), &path)?;
            }
        }
        self.leave_old_place(ca, &account.directory)
    }

    /// Removes the account of that directory from where earlier versions kept it: it has moved.
    fn leave_old_place(&self, ca: &CaName, directory: &str) -> Result<(), StoreError> {
        let above = self.layout.accounts(ca);
        match text(&above)?.filter(|before| before.directory == directory) {
            Some(before) => {
                // The file that names the key goes last, so that a key is never left behind.
                let key = above.join(&before.key);
                self.erase_key(|| KeyOwner::Account(ca.clone()), &key)?;
                atomic::remove(&above.join(ACCOUNT))
            }
            None => Ok(()),
        }
    }

    /// Makes sure that a key is on disk and answers its file: one of `old`, or a new one whose name is
    /// not `taken`.
    fn keep_key(
        &self,
        ca: &CaName,
        folder: &Path,
        old: &[String],
        taken: &mut Vec<String>,
        key: &Secret<String>,
    ) -> Result<String, StoreError> {
        for file in old {
            if read::key(&folder.join(file))?.as_ref() == Some(key) {
                return Ok(file.clone());
            }
        }
        let mut names =
            std::iter::once("key.pem".to_owned()).chain((2..).map(|n: u32| format!("key-{n}.pem")));
        let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
        let path = folder.join(&name);
        atomic::replace(&path, key.expose().as_bytes())?;
        self.key_was_written(|| KeyOwner::Account(ca.clone()), &path, key);
        taken.push(name.clone());
        Ok(name)
    }
}

/// What `account.toml` of a folder says; none if there is none.
fn text(folder: &Path) -> Result<Option<AccountText>, StoreError> {
    let path = folder.join(ACCOUNT);
    let Some(text) = read::text(&path)? else {
        return Ok(None);
    };
    format::read_account(&text)
        .map(Some)
        .map_err(|cause| mendable(failure::unreadable(&path, cause)))
}

/// Nobody has to put anything back for it.
fn mendable(error: StoreError) -> StoreError {
    if error.kind != StoreErrorKind::Corrupt {
        return error;
    }
    let hint = "`waxwing account register` finds the account again by its key, as the next renewal does by itself";
    StoreError {
        hint: Some(hint.to_owned()),
        ..error
    }
}

/// Without its key nobody finds it again.
fn keyless(error: StoreError) -> StoreError {
    let hint = "put the key back from a backup; without it the next renewal makes a new account, which a CAA record with \
                `accounturi` has to name, and for which a CA may want new credentials";
    StoreError {
        hint: Some(hint.to_owned()),
        ..error
    }
}

/// The account of a folder with its keys.
fn record(folder: &Path) -> Result<Option<AccountRecord>, StoreError> {
    let Some(account) = text(folder)? else {
        return Ok(None);
    };
    let key = |file: &str| key(&folder.join(file));
    Ok(Some(AccountRecord {
        key: key(&account.key)?,
        next_key: account.next_key.as_deref().map(key).transpose()?,
        directory: account.directory,
        kid: account.kid,
        contact: account.contact,
        terms: account.terms,
        credentials: account.credentials,
        deactivated: account.deactivated,
    }))
}

/// The key in a file, if it is one.
fn key(path: &Path) -> Result<Secret<String>, StoreError> {
    let key = read::key(path)?
        .ok_or_else(|| keyless(failure::corrupt(path, "the key of the account is missing")))?;
    match LocalKeys.kind(&key) {
        Ok(_) => Ok(key),
        Err(error) => Err(keyless(failure::corrupt(path, error.to_string()))),
    }
}

fn has_keys(folder: &Path) -> Result<bool, StoreError> {
    Ok(read::children(folder)?.iter().any(|path| is_key(path)))
}

fn is_key(path: &Path) -> bool {
    let file = path.file_name().and_then(|file| file.to_str());
    file.is_some_and(is_key_file)
}

/// True for the files that [`FileStore::keep_key`] makes.
fn is_key_file(file: &str) -> bool {
    file.starts_with("key") && file.ends_with(".pem")
}

/// The files that an account names.
fn key_files(account: &AccountText) -> Vec<String> {
    let next = account.next_key.iter();
    std::iter::once(&account.key).chain(next).cloned().collect()
}
