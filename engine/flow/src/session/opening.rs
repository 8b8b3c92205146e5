//! Opening a session: the first directory that answers, and an account there (RFC 8555 section
//! 7.3).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use waxwing_acme::account::Account;
use waxwing_acme::directory::Directory;
use waxwing_acme::jws::Signer;
use waxwing_acme::session::Session;
use waxwing_core::ca::CaProfile;
use waxwing_core::retry::Backoff;
use waxwing_core::settings::AccountSettings;

use super::{AccountFrom, CaSession, Conversation, SessionPorts, passes, policy};
use crate::account::{Drift, drift};
use crate::directory;
use crate::failure::{CaError, Failure};
use crate::heard::{Answer, Heard};
use crate::pace::Pace;
use crate::ports::{AccountRecord, LockGuard, Policy, StoreErrorKind};
use crate::tally;
use crate::terms;

/// Waiting for another run that changes the same account.
const CHANGING: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(8),
    tries: 8,
    patience: Duration::from_secs(20),
};

/// What is tried when an account is looked for by its key.
const LOOK_UP: &str = "look the account up by its key";

/// A copy of a directory is used without asking for so long.
pub(crate) const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory and where it came from.
pub(super) struct Found {
    pub(super) directory: Directory,
    /// True if nobody was asked for it, so that it may be out of date.
    pub(super) copied: bool,
    /// What should be looked at.
    pub(super) note: Option<String>,
}

/// A session that has no account yet.
pub(super) struct Opening<'a> {
    pub(super) ports: &'a SessionPorts,
    pub(super) profile: &'a CaProfile,
    pub(super) policy: Policy,
    /// Who is told of each answer.
    pub(super) heard: Option<Arc<Heard>>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        ports: &'a SessionPorts,
        profile: &'a CaProfile,
        heard: Option<Arc<Heard>>,
    ) -> Self {
        Self {
            ports,
            profile,
            policy: policy(profile),
            heard,
        }
    }

    /// The directory: a fresh copy, the first candidate that answers, or else an older copy. Every
    /// candidate keeps its own cause.
    pub(super) async fn directory(&self, candidates: &[String]) -> Result<Found, Failure> {
        let stored = directory::stored(self.ports, self.profile, candidates);
        let now = self.ports.clock.now();
        if let Some(stored) = &stored
            && now.since(stored.at) < FRESH
            && stored.at <= now
            // A later candidate stood in for the first one; that may be back.
            && candidates.first() == Some(&stored.directory.url)
        {
            return Ok(Found {
                directory: stored.directory.clone(),
                copied: true,
                note: None,
            });
        }
        let failure = match self.fetch_directory(candidates).await {
            Ok(directory) => {
                return Ok(Found {
                    directory,
                    copied: false,
                    note: None,
                });
            }
            Err(failure) => failure,
        };
        match stored {
            // Its endpoints may work all the same; they will say so themselves if they do not.
            Some(stored) => Ok(Found {
                note: Some(format!(
                    "{}; its copy of {} was used",
                    failure.lines().join(": "),
                    stored.at
                )),
                directory: stored.directory,
                copied: false,
            }),
            None => Err(failure),
        }
    }

    /// Asks the candidates one after the other, and keeps a copy of what answers.
    pub(super) async fn fetch_directory(
        &self,
        candidates: &[String],
    ) -> Result<Directory, Failure> {
        let ca = &self.profile.name;
        let mut tried = Vec::new();
        for url in candidates {
            match self.read_directory(url).await {
                Ok(directory) => {
                    directory::keep(self.ports, ca, candidates, &directory);
                    return Ok(directory);
                }
                Err(cause) => tried.push((url.clone(), cause)),
            }
        }
        Err(Failure::Directory {
            ca: ca.clone(),
            tried,
        })
    }

    async fn read_directory(&self, url: &str) -> Result<Directory, CaError> {
        let mut failed = 0;
        loop {
            let request = Directory::request(url, &self.ports.user_agent);
            tally::asks(self.ports.clock.as_ref(), url, &self.policy);
            self.ports.sent.count(&self.profile.name);
            let error = match self.ports.http.send(request, &self.policy).await {
                Err(error) => CaError::Transport(error),
                Ok(response) => match Directory::read(url, &response) {
                    Ok(directory) => {
                        if let Some(heard) = &self.heard {
                            let answer = Answer {
                                at: self.ports.clock.now(),
                                took: response.elapsed,
                                well: true,
                            };
                            heard.answered(&self.profile.name, answer);
                        }
                        return Ok(directory);
                    }
                    Err(error) => CaError::Answer(error),
                },
            };
            failed += 1;
            let asked = error.retry_after(self.ports.clock.now());
            let wait = Backoff::CA.wait(failed, asked, self.ports.entropy.number());
            match wait {
                Some(wait) if passes(&error) => tally::pause(self.ports.clock.as_ref(), wait).await,
                _ => return Err(error),
            }
        }
    }

    /// A session in the name of the account at this directory, which is made if there is none.
    pub(super) async fn ready(
        self,
        directory: Found,
        settings: &AccountSettings,
    ) -> Result<CaSession, Failure> {
        let ca = &self.profile.name;
        let store = &self.ports.store;
        let known = || {
            let account = store.account(ca, &directory.directory.url);
            account.map_err(Failure::Store)
        };
        let (mut found, damaged) = match known() {
            Err(Failure::Store(error)) if error.kind == StoreErrorKind::Corrupt => (None, true),
            found => (found?, false),
        };
        let mut lock = None;
        if !found.as_ref().is_some_and(is_settled) {
            lock = Some(lock_account(self.ports, self.profile).await?);
            // Another run may have settled it while this one waited.
            found = match damaged {
                true => store
                    .mend_account(ca, &directory.directory.url)
                    .map_err(Failure::Store)?,
                false => known()?,
            };
        }
        let session = match found {
            Some(record) if record.usable().is_some() => {
                let terms = terms::new(ca, &record, &directory.directory);
                let session = self.known(directory, record.clone()).await?;
                let (keys, secrets) = (self.ports.keys.as_ref(), self.ports.secrets.as_ref());
                let mut notes = drift(keys, secrets, self.profile, &record, settings);
                notes.extend(terms.map(Drift::Terms));
                CaSession {
                    notes: notes.iter().map(ToString::to_string).collect(),
                    ..session
                }
            }
            other => {
                let with = self.conversation(directory);
                self.register(with, other, settings).await?
            }
        };
        drop(lock);
        Ok(session)
    }

    /// A session in the name of an account that is there. After a rollover whose answer was lost it
    /// finds out which key counts, so that the caller holds the account's lock then.
    pub(super) async fn known(
        &self,
        directory: Found,
        record: AccountRecord,
    ) -> Result<CaSession, Failure> {
        let with = self.conversation(directory);
        let record = self.settle_keys(&with, record).await?;
        Ok(CaSession {
            with,
            signer: self.signer(&record)?,
            account: record.usable().unwrap_or_default().to_owned(),
            from: AccountFrom::Stored,
            notes: Vec::new(),
        })
    }

    /// A conversation in nobody's name.
    pub(super) fn conversation(&self, found: Found) -> Conversation {
        let Found {
            directory,
            copied,
            note,
        } = found;
        let rate = &self.profile.rate;
        Conversation {
            ports: self.ports.clone(),
            profile: self.profile.clone(),
            policy: self.policy.clone(),
            pace: Mutex::new(Pace::new(rate, self.ports.clock.now())),
            in_flight: Semaphore::new(
                usize::try_from(rate.concurrent_requests)
                    .unwrap_or(1)
                    .max(1),
            ),
            requests: AtomicU64::new(u64::from(!copied)),
            refused: AtomicU32::new(0),
            failing: AtomicU32::new(0),
            kept: AtomicU64::new(0),
            copied: AtomicBool::new(copied),
            heard: self.heard.clone(),
            note,
            protocol: Mutex::new(Session::new(directory, self.ports.user_agent.clone())),
        }
    }

    pub(super) fn signer(&self, record: &AccountRecord) -> Result<Arc<dyn Signer>, Failure> {
        let keys = &self.ports.keys;
        keys.signer(&record.key).map_err(Failure::Crypto)
    }

    /// Finds out which of two keys the CA knows after a rollover whose answer was lost, and forgets
    /// the other.
    async fn settle_keys(
        &self,
        with: &Conversation,
        mut record: AccountRecord,
    ) -> Result<AccountRecord, Failure> {
        let Some(next) = record.next_key.take() else {
            return Ok(record);
        };
        let signer = self.ports.keys.signer(&next).map_err(Failure::Crypto)?;
        let ours = |account: &Account| record.kid.as_ref() == Some(&account.kid);
        let changed = match with.find(signer).await {
            Ok(found) => found.as_ref().is_some_and(ours),
            // Not every CA says it in the words of the RFC; that the old key still counts is as
            // good an answer.
            Err(CaError::Answer(answer)) if answer.status.is_some_and(|s| s < 500) => {
                let old = with.find(self.signer(&record)?).await;
                match old {
                    Ok(found) if found.as_ref().is_some_and(ours) => false,
                    _ => return Err(with.failed(LOOK_UP, CaError::Answer(answer))),
                }
            }
            Err(error) => return Err(with.failed(LOOK_UP, error)),
        };
        if changed {
            record.key = next;
        }
        let store = &self.ports.store;
        store
            .save_account(&self.profile.name, &record)
            .map_err(Failure::Store)?;
        Ok(record)
    }
}

/// Locks the account of a CA; waits for another run that is changing it at this moment.
pub(crate) async fn lock_account(
    ports: &SessionPorts,
    profile: &CaProfile,
) -> Result<Box<dyn LockGuard>, Failure> {
    let mut failed = 0;
    loop {
        let error = match ports.store.lock_account(&profile.name) {
            Ok(lock) => return Ok(lock),
            Err(error) => error,
        };
        failed += 1;
        let wait = CHANGING.wait(failed, None, ports.entropy.number());
        match wait {
            Some(wait) if error.kind == StoreErrorKind::Locked => ports.clock.sleep(wait).await,
            _ => return Err(Failure::Store(error)),
        }
    }
}

/// True if nothing has to be asked before the account is used.
fn is_settled(record: &AccountRecord) -> bool {
    record.usable().is_some() && record.next_key.is_none()
}
