//! Carries a draft out: the configuration, its secrets, accounts and certificates. What is there already
//! is never overwritten, so that doing it twice is harmless.

use std::path::{Path, PathBuf};

use waxwing_core::name::{CaName, CertificateName};
use waxwing_flow::ports::{CertificateStore as _, StoreError};
use waxwing_io::outfile;
use waxwing_io::store::FileStore;

use super::{AccountDraft, Draft, VersionDraft};

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is written.
    Written,
    /// It would be.
    Would,
    /// The same is there.
    There,
    /// Something else is there, in one sentence; it is left alone.
    Other(String),
    /// It cannot be written.
    Failed(String),
}

/// What became of everything.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The configuration.
    pub(crate) config: Option<(PathBuf, Outcome)>,
    /// Files with secrets.
    pub(crate) secrets: Vec<(PathBuf, Outcome)>,
    /// Accounts, with the file that each is from.
    pub(crate) accounts: Vec<(CaName, Option<String>, String, Outcome)>,
    /// Certificates, likewise.
    pub(crate) versions: Vec<(CertificateName, String, Outcome)>,
}

impl Done {
    /// Every outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let config = self.config.iter().map(|(_, outcome)| outcome);
        let secrets = self.secrets.iter().map(|(_, outcome)| outcome);
        let accounts = self.accounts.iter().map(|(.., outcome)| outcome);
        let versions = self.versions.iter().map(|(.., outcome)| outcome);
        config.chain(secrets).chain(accounts).chain(versions)
    }
}

/// Writes everything, or only says what would be written. Without a store nothing is known of it.
pub(crate) fn carry_out(
    draft: &Draft,
    text: &str,
    out: Option<&Path>,
    store: Option<&FileStore>,
    dry: bool,
) -> Done {
    let mut done = Done::default();
    if let Some(out) = out {
        // The secrets first: a configuration whose secrets are missing is a mistake.
        let folder = out.parent().unwrap_or(Path::new(""));
        for (name, value) in &draft.secrets {
            let path = folder.join(name);
            let outcome = file(&path, value.expose(), dry, "a secret of another value");
            done.secrets.push((path, outcome));
        }
    }
    for one in &draft.accounts {
        let outcome = store.map_or(Outcome::Would, |store| {
            account(store, one, dry).unwrap_or_else(failed)
        });
        let url = one.record.kid.clone();
        done.accounts
            .push((one.ca.clone(), url, one.file.clone(), outcome));
    }
    for one in &draft.versions {
        let outcome = store.map_or(Outcome::Would, |store| {
            version(store, one, dry).unwrap_or_else(failed)
        });
        done.versions
            .push((one.name.clone(), one.file.clone(), outcome));
    }
    if let Some(out) = out {
        let outcome = file(out, text, dry, "another configuration");
        done.config = Some((out.to_owned(), outcome));
    }
    done
}

fn failed(error: StoreError) -> Outcome {
    Outcome::Failed(error.to_string())
}

/// A file of its owner alone, if nothing else is there.
fn file(path: &Path, text: &str, dry: bool, other: &str) -> Outcome {
    match outfile::same(path, text) {
        Some(true) => Outcome::There,
        Some(false) => Outcome::Other(format!("it holds {other}")),
        None if dry => Outcome::Would,
        None => match outfile::write_new(path, text) {
            Ok(()) => Outcome::Written,
            Err(error) => failed(error),
        },
    }
}

fn account(store: &FileStore, one: &AccountDraft, dry: bool) -> Result<Outcome, StoreError> {
    let _held = if dry {
        None
    } else {
        Some(store.lock_account(&one.ca)?)
    };
    if let Some(there) = store.account(&one.ca, &one.record.directory)? {
        return Ok(if there.key == one.record.key {
            Outcome::There
        } else {
            Outcome::Other("there is an account of Waxwing's own".to_owned())
        });
    }
    if dry {
        return Ok(Outcome::Would);
    }
    store.save_account(&one.ca, &one.record)?;
    Ok(Outcome::Written)
}

fn version(store: &FileStore, one: &VersionDraft, dry: bool) -> Result<Outcome, StoreError> {
    let _held = if dry {
        None
    } else {
        Some(store.lock_certificate(&one.name)?)
    };
    if let Some(entry) = store.entry(&one.name)? {
        let same = entry
            .current
            .as_ref()
            .is_some_and(|there| there.facts.leaf_sha256 == one.facts.leaf_sha256);
        if same {
            return Ok(Outcome::There);
        }
        if entry.current.is_some() || entry.damage.is_some() || entry.unfinished {
            return Ok(Outcome::Other(
                "there is a certificate of that name".to_owned(),
            ));
        }
    }
    if dry {
        return Ok(Outcome::Would);
    }
    store.save(&one.name, &one.key, &one.pem, &one.facts, &one.origin)?;
    Ok(Outcome::Written)
}
