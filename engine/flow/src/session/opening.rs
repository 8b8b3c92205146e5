//! Opening a session: the first directory that answers, and an account there (RFC 8555 section
//! 7.3).

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use waxwing_acme::account::{Account, AccountStatus, ExternalAccount, NewAccount};
use waxwing_acme::directory::Directory;
use waxwing_acme::eab;
use waxwing_acme::jws::Signer;
use waxwing_acme::problem::ProblemKind;
use waxwing_acme::session::Session;
use waxwing_core::ca::{CaProfile, EabSource};
use waxwing_core::failure::FailureClass;
use waxwing_core::retry::Backoff;
use waxwing_core::secret::Secret;
use waxwing_core::settings::AccountSettings;
use waxwing_core::time::stretch;

use super::{CaSession, Repeat, SessionPorts, passes, stored_directory};
use crate::failure::{CaError, Failure};
use crate::pace::Pace;
use crate::ports::{AccountRecord, LockGuard, Policy, StoreErrorKind};

/// Waiting for another run that registers the same account.
const REGISTERING: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(8),
    tries: 8,
    patience: Duration::from_secs(20),
};

/// A copy of a directory is used without asking for so long.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

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
}

impl Opening<'_> {
    /// The directory: a fresh copy, the first candidate that answers, or else an older copy. Every
    /// candidate keeps its own cause.
    pub(super) async fn directory(&self) -> Result<Found, Failure> {
        let stored = stored_directory(self.ports, self.profile);
        let now = self.ports.clock.now();
        if let Some(stored) = &stored
            && now.since(stored.at) < FRESH
            && stored.at <= now
        {
            return Ok(Found {
                directory: stored.directory.clone(),
                copied: true,
                note: None,
            });
        }
        let failure = match self.fetch_directory().await {
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
    pub(super) async fn fetch_directory(&self) -> Result<Directory, Failure> {
        let ca = &self.profile.name;
        let mut tried = Vec::new();
        for url in &self.profile.directories {
            match self.read_directory(url).await {
                Ok(directory) => {
                    let (text, now) = (directory.to_stored(), self.ports.clock.now());
                    if let Err(error) = self.ports.store.save_directory(ca, &text, now) {
                        tracing::warn!(ca = %ca, cause = %error, "no copy of the directory was kept");
                    }
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
            let error = match self.ports.http.send(request, &self.policy).await {
                Err(error) => CaError::Transport(error),
                Ok(response) => match Directory::read(url, &response) {
                    Ok(directory) => return Ok(directory),
                    Err(error) => CaError::Answer(error),
                },
            };
            failed += 1;
            let asked = error.retry_after(self.ports.clock.now());
            let wait = Backoff::CA.wait(failed, asked, self.ports.entropy.number());
            match wait {
                Some(wait) if passes(&error) => self.ports.clock.sleep(wait).await,
                _ => return Err(error),
            }
        }
    }

    pub(super) async fn ready(
        self,
        found: Found,
        settings: &AccountSettings,
    ) -> Result<CaSession, Failure> {
        let Found {
            directory,
            copied,
            note,
        } = found;
        let ca = &self.profile.name;
        let store = &self.ports.store;
        let known = || {
            let account = store.account(ca).map_err(Failure::Store)?;
            Ok(account.filter(|account| account.directory == directory.url))
        };
        let mut found = known()?;
        let mut lock = None;
        if found.as_ref().is_none_or(|account| account.kid.is_none()) {
            lock = Some(self.lock_account().await?);
            // Another run may have registered while this one waited.
            found = known()?;
        }
        // A key that was there before may have an account that nobody told us of.
        let perhaps_known = found.is_some() || settings.key.is_some();
        let mut record = match found {
            Some(record) => record,
            None => {
                let record = AccountRecord {
                    directory: directory.url.clone(),
                    kid: None,
                    contact: contact(settings),
                    terms: None,
                    key: self.new_key(settings)?,
                };
                store.save_account(ca, &record).map_err(Failure::Store)?;
                record
            }
        };
        let signer = self
            .ports
            .keys
            .signer(&record.key)
            .map_err(Failure::Crypto)?;
        let rate = &self.profile.rate;
        let mut session = CaSession {
            ports: self.ports.clone(),
            profile: self.profile.clone(),
            policy: self.policy.clone(),
            signer: Arc::clone(&signer),
            account: String::new(),
            pace: Mutex::new(Pace::new(rate, self.ports.clock.now())),
            in_flight: Semaphore::new(
                usize::try_from(rate.concurrent_requests)
                    .unwrap_or(1)
                    .max(1),
            ),
            requests: AtomicU64::new(u64::from(!copied)),
            copied: AtomicBool::new(copied),
            note,
            protocol: Mutex::new(Session::new(directory, self.ports.user_agent.clone())),
        };
        let kid = match &record.kid {
            Some(kid) => kid.clone(),
            None => {
                let known = if perhaps_known {
                    self.look_up(&session, Arc::clone(&signer)).await?
                } else {
                    None
                };
                let kid = match known {
                    Some(kid) => kid,
                    None => self.register(&session, signer, settings, &record).await?,
                };
                let terms = session.directory().meta.terms_of_service;
                record.terms = terms.map(|url| (url, self.ports.clock.now()));
                record.kid = Some(kid.clone());
                store.save_account(ca, &record).map_err(Failure::Store)?;
                kid
            }
        };
        drop(lock);
        session.account = kid;
        Ok(session)
    }

    /// Waits for another run that is registering at this moment.
    async fn lock_account(&self) -> Result<Box<dyn LockGuard>, Failure> {
        let mut failed = 0;
        loop {
            let error = match self.ports.store.lock_account(&self.profile.name) {
                Ok(lock) => return Ok(lock),
                Err(error) => error,
            };
            failed += 1;
            let wait = REGISTERING.wait(failed, None, self.ports.entropy.number());
            match wait {
                Some(wait) if error.kind == StoreErrorKind::Locked => {
                    self.ports.clock.sleep(wait).await;
                }
                _ => return Err(Failure::Store(error)),
            }
        }
    }

    fn new_key(&self, settings: &AccountSettings) -> Result<Secret<String>, Failure> {
        let keys = &self.ports.keys;
        let accepted = &self.profile.quirks.account_keys;
        let Some(reference) = &settings.key else {
            let made = match accepted.first() {
                Some(kind) => keys.certificate_key(*kind),
                None => keys.account_key(),
            };
            return made.map_err(Failure::Crypto);
        };
        let key = self
            .ports
            .secrets
            .secret(reference)
            .map_err(Failure::Secret)?;
        let kind = keys.kind(&key).map_err(Failure::Crypto)?;
        if !accepted.is_empty() && kind.is_none_or(|kind| !accepted.contains(&kind)) {
            let kinds: Vec<_> = accepted.iter().map(|kind| kind.as_str()).collect();
            return Err(self.refuse(
                "this CA takes no account key of the kind that [account] key names",
                Some(format!(
                    "use one of another kind ({}), or leave `key` out",
                    kinds.join(", ")
                )),
                FailureClass::Misconfigured,
            ));
        }
        Ok(key)
    }

    /// The account of a key that may have one: a run that was interrupted while it registered, or
    /// a key brought along. Credentials that make one account only are not spent on a second try.
    async fn look_up(
        &self,
        session: &CaSession,
        signer: Arc<dyn Signer>,
    ) -> Result<Option<String>, Failure> {
        let call = NewAccount {
            contact: Vec::new(),
            terms_agreed: false,
            external: None,
            only_existing: true,
        };
        match session.call_as(&call, Repeat::Freely, signer, None).await {
            Ok(account) => self.usable(account).map(Some),
            // Whatever the CA says against it, registering says it better.
            Err(CaError::Answer(answer)) if answer.status.is_some_and(|s| s < 500) => Ok(None),
            Err(error) => Err(self.unregistered(error)),
        }
    }

    async fn register(
        &self,
        session: &CaSession,
        signer: Arc<dyn Signer>,
        settings: &AccountSettings,
        record: &AccountRecord,
    ) -> Result<String, Failure> {
        if !settings.agree_terms {
            return Err(self.refuse(
                "the terms of service are not agreed to",
                Some("[account] agree-terms = true".to_owned()),
                FailureClass::NeedsPerson,
            ));
        }
        if record.contact.is_empty() && self.profile.quirks.contact_required {
            return Err(self.refuse(
                "this CA wants an e-mail address",
                Some("[account] email = \"you@example.com\"".to_owned()),
                FailureClass::Misconfigured,
            ));
        }
        let wanted =
            self.profile.eab.required || session.directory().meta.external_account_required;
        let external = if wanted {
            Some(self.credentials(settings).await?)
        } else {
            None
        };
        let call = NewAccount {
            contact: record.contact.clone(),
            terms_agreed: true,
            external,
            only_existing: false,
        };
        // Safe to repeat: the same key finds the same account (RFC 8555 section 7.3.1). Only
        // credentials for one account may have been spent by the first try.
        let bound = call.external.is_some();
        let repeat = if bound && self.profile.eab.single_use {
            Repeat::IfUnseen
        } else {
            Repeat::Freely
        };
        let error = match session
            .call_as(&call, repeat, Arc::clone(&signer), None)
            .await
        {
            Ok(account) => return self.usable(account),
            Err(error) => error,
        };
        if repeat == Repeat::IfUnseen
            && error.outcome_is_unknown()
            && let Some(kid) = self.look_up(session, signer).await?
        {
            return Ok(kid);
        }
        if bound && refuses_credentials(&error) {
            return Err(self.unbound(&error));
        }
        Err(self.unregistered(error))
    }

    /// The CA does not take the credentials that bind the account.
    fn unbound(&self, error: &CaError) -> Failure {
        let ca = &self.profile.name;
        let eab = &self.profile.eab;
        let mut terms = Vec::new();
        if eab.single_use {
            terms.push("for one account".to_owned());
        }
        if let Some(ttl) = eab.ttl {
            terms.push(format!("for {}", stretch(ttl)));
        }
        let terms = if terms.is_empty() {
            String::new()
        } else {
            format!("they count {} only; ", terms.join(" and "))
        };
        Failure::Account {
            ca: ca.clone(),
            reason: "the CA refuses the credentials that bind the account".to_owned(),
            hint: Some(format!(
                "{terms}get new ones from the CA and put them into [ca.{ca}] eab"
            )),
            class: FailureClass::NeedsPerson,
            causes: vec![error.to_string()],
        }
    }

    fn unregistered(&self, error: CaError) -> Failure {
        Failure::Ca {
            ca: self.profile.name.clone(),
            step: "register the account",
            error: Box::new(error),
        }
    }

    fn usable(&self, account: Account) -> Result<String, Failure> {
        match account.status {
            AccountStatus::Valid => Ok(account.kid),
            AccountStatus::Deactivated | AccountStatus::Revoked => Err(self.refuse(
                "the account of this key is deactivated or revoked",
                Some(format!(
                    "move accounts/{} out of the state folder to make a new one",
                    self.profile.name
                )),
                FailureClass::NeedsPerson,
            )),
        }
    }

    /// Credentials from the CA that bind the account (RFC 8555 section 7.3.4).
    async fn credentials(&self, settings: &AccountSettings) -> Result<ExternalAccount, Failure> {
        let ca = &self.profile.name;
        match &self.profile.eab.source {
            EabSource::None => Err(self.refuse(
                "this CA wants credentials of its own (external account binding)",
                Some(format!(
                    "[ca.{ca}] eab = {{ key-id = \"...\", hmac-key = \"file:{ca}-hmac-key\" }}"
                )),
                FailureClass::Misconfigured,
            )),
            EabSource::Given { key_id, hmac_key } => {
                let secret = self
                    .ports
                    .secrets
                    .secret(hmac_key)
                    .map_err(Failure::Secret)?;
                ExternalAccount::from_base64(key_id, &secret).map_err(|error| Failure::Account {
                    ca: ca.clone(),
                    reason: "the HMAC key of [ca] eab cannot be read".to_owned(),
                    hint: Some("copy it again as the CA shows it: base64url, one line".to_owned()),
                    class: FailureClass::Misconfigured,
                    causes: vec![error.to_string()],
                })
            }
            EabSource::Obtain(obtain) => {
                let api_key = match &obtain.api_key {
                    Some(reference) => Some(
                        self.ports
                            .secrets
                            .secret(reference)
                            .map_err(Failure::Secret)?,
                    ),
                    None => None,
                };
                let email = obtain.email.as_deref().or(settings.email.as_deref());
                let failed = |class, hint, causes| Failure::Account {
                    ca: ca.clone(),
                    reason: "the CA gave no credentials for a new account".to_owned(),
                    hint,
                    class,
                    causes,
                };
                let eab_failed = |error: eab::EabError| {
                    failed(error.class(), error.hint(), vec![error.to_string()])
                };
                let request = eab::request(obtain, email, api_key.as_ref(), &self.ports.user_agent)
                    .map_err(eab_failed)?;
                let response =
                    self.ports
                        .http
                        .send(request, &self.policy)
                        .await
                        .map_err(|error| {
                            failed(
                                FailureClass::Transient,
                                None,
                                vec![format!("{} {}: {error}", error.method, error.url)],
                            )
                        })?;
                eab::read(obtain, &response).map_err(eab_failed)
            }
        }
    }

    fn refuse(&self, reason: &str, hint: Option<String>, class: FailureClass) -> Failure {
        Failure::Account {
            ca: self.profile.name.clone(),
            reason: reason.to_owned(),
            hint,
            class,
            causes: Vec::new(),
        }
    }
}

/// True if the CA has said no to an account with these credentials, and not to something else.
fn refuses_credentials(error: &CaError) -> bool {
    let kind = match error {
        CaError::Answer(answer) => answer.problem.as_ref().map(|problem| &problem.kind),
        CaError::Transport(_) => None,
    };
    matches!(
        kind,
        Some(
            ProblemKind::ExternalAccountRequired
                | ProblemKind::Unauthorized
                | ProblemKind::Malformed
        )
    )
}

fn contact(settings: &AccountSettings) -> Vec<String> {
    settings
        .email
        .iter()
        .map(|email| format!("mailto:{email}"))
        .collect()
}
