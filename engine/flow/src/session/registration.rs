//! Making an account, or finding the one that a key has already (RFC 8555 section 7.3).
//!
//! The key is on disk before newAccount is sent, so that a lost answer finds the same account
//! again; so is the mark that a credential which makes one account only is about to be spent.

use waxwing_acme::account::{Account, AccountStatus, ExternalAccount, NewAccount};
use waxwing_acme::problem::ProblemKind;
use waxwing_acme::session::Call as _;
use waxwing_core::failure::FailureClass;
use waxwing_core::secret::Secret;
use waxwing_core::settings::AccountSettings;
use waxwing_core::time::stretch;

use super::opening::Opening;
use super::{AccountFrom, CaSession, Conversation, Repeat};
use crate::account::{brought, contact};
use crate::failure::{CaError, Failure};
use crate::ports::{AccountRecord, CredentialMark, CredentialUse};

impl Opening<'_> {
    /// Gives the conversation an account: that of a key which was tried before or brought along, or
    /// a new one. `found` is what is stored, without a usable account. The caller holds its lock.
    pub(super) async fn register(
        &self,
        with: Conversation,
        found: Option<AccountRecord>,
        settings: &AccountSettings,
    ) -> Result<CaSession, Failure> {
        let (candidates, credentials) = self.candidates(found, settings)?;
        let mut record = AccountRecord {
            directory: with.directory().url,
            kid: None,
            contact: contact(settings),
            terms: None,
            key: Secret::new(String::new()),
            next_key: None,
            credentials,
            deactivated: None,
        };
        let mut unused = None;
        let mut known = None;
        for candidate in candidates {
            record.key = candidate.clone();
            match self.look_up(&with, &record).await? {
                Some(account) if account.status == AccountStatus::Valid => {
                    known = Some(account);
                    break;
                }
                // The key of an account that is over makes no other one.
                Some(_over) => unused = None,
                None => unused = Some(candidate),
            }
        }
        let (account, from) = match known {
            Some(account) => {
                // Some CAs keep no contact, which says nothing about what they were told.
                if !account.contact.is_empty() {
                    record.contact.clone_from(&account.contact);
                }
                (account, AccountFrom::Found)
            }
            None => {
                record.key = match unused {
                    Some(unused) => unused,
                    None if settings.key.is_some() => return Err(self.is_over()),
                    None => self.new_key()?,
                };
                let made = self.make(&with, settings, &mut record).await?;
                (made, AccountFrom::Made)
            }
        };
        if account.status != AccountStatus::Valid {
            return Err(self.is_over());
        }
        let terms = with.directory().meta.terms_of_service;
        record.terms = terms.map(|url| (url, self.ports.clock.now()));
        record.kid = Some(account.kid.clone());
        self.save(&record)?;
        Ok(CaSession {
            signer: self.signer(&record)?,
            account: account.kid,
            from,
            notes: Vec::new(),
            with,
        })
    }

    /// Keys that may have an account already, the last one to be used if none has; and the marks
    /// that outlive the account.
    fn candidates(
        &self,
        found: Option<AccountRecord>,
        settings: &AccountSettings,
    ) -> Result<(Vec<Secret<String>>, Vec<CredentialMark>), Failure> {
        let mut keys = Vec::new();
        let mut credentials = Vec::new();
        if let Some(record) = found {
            credentials = record.credentials;
            // The key of an account that was given up is of no use any more.
            if record.deactivated.is_none() {
                keys.push(record.key);
                keys.extend(record.next_key);
            }
        }
        if let Some(reference) = &settings.key {
            let (keys_of, secrets) = (&*self.ports.keys, &*self.ports.secrets);
            let brought = brought(keys_of, secrets, reference)?;
            self.takes(&brought)?;
            if !keys.contains(&brought) {
                keys.push(brought);
            }
        }
        Ok((keys, credentials))
    }

    /// The account of a key that may have one: a run that was interrupted while it registered, or
    /// a key brought along. Credentials that make one account only are not spent on a second try.
    async fn look_up(
        &self,
        with: &Conversation,
        record: &AccountRecord,
    ) -> Result<Option<Account>, Failure> {
        match with.find(self.signer(record)?).await {
            Ok(found) => Ok(found),
            // Whatever the CA says against it, registering says it better.
            Err(CaError::Answer(answer)) if answer.status.is_some_and(|s| s < 500) => Ok(None),
            Err(error) => Err(with.failed(NewAccount::NAME, error)),
        }
    }

    async fn make(
        &self,
        with: &Conversation,
        settings: &AccountSettings,
        record: &mut AccountRecord,
    ) -> Result<Account, Failure> {
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
        let wanted = self.profile.eab.required || with.directory().meta.external_account_required;
        let external = if wanted {
            Some(self.credentials(settings).await?)
        } else {
            None
        };
        let single = external.as_ref().filter(|_| self.profile.eab.single_use);
        if let Some(external) = single {
            self.refuse_spent(external)?;
            self.mark(record, external, CredentialUse::Intended);
        }
        self.save(record)?;
        let call = NewAccount {
            contact: record.contact.clone(),
            terms_agreed: true,
            external: external.clone(),
            only_existing: false,
        };
        let signer = self.signer(record)?;
        // Safe to repeat: the same key finds the same account (RFC 8555 section 7.3.1). Only
        // credentials for one account may have been spent by the first try.
        let bound = call.external.is_some();
        let repeat = if bound && self.profile.eab.single_use {
            Repeat::IfUnseen
        } else {
            Repeat::Freely
        };
        let account = match with.call_as(&call, repeat, signer, None).await {
            Ok(account) => account,
            Err(error) => {
                let found = if repeat == Repeat::IfUnseen && error.outcome_is_unknown() {
                    self.look_up(with, record).await?
                } else {
                    None
                };
                match found {
                    Some(account) => account,
                    None if bound && refuses_credentials(&error) => {
                        return Err(self.unbound(&error));
                    }
                    None => return Err(with.failed(NewAccount::NAME, error)),
                }
            }
        };
        if let Some(external) = external.as_ref().filter(|_| self.profile.eab.single_use) {
            self.mark(record, external, CredentialUse::Spent);
        }
        Ok(account)
    }

    /// A new key of a kind that the CA takes.
    fn new_key(&self) -> Result<Secret<String>, Failure> {
        let keys = &self.ports.keys;
        let made = match self.profile.quirks.account_keys.first() {
            Some(kind) => keys.certificate_key(*kind),
            None => keys.account_key(),
        };
        made.map_err(Failure::Crypto)
    }

    /// Refuses a key of the operator that the CA does not take.
    fn takes(&self, key: &Secret<String>) -> Result<(), Failure> {
        let accepted = &self.profile.quirks.account_keys;
        let kind = self.ports.keys.kind(key).map_err(Failure::Crypto)?;
        if accepted.is_empty() || kind.is_some_and(|kind| accepted.contains(&kind)) {
            return Ok(());
        }
        let kinds: Vec<_> = accepted.iter().map(|kind| kind.as_str()).collect();
        Err(self.refuse(
            "this CA takes no account key of the kind that [account] key names",
            Some(format!(
                "use one of another kind ({}), or leave `key` out",
                kinds.join(", ")
            )),
            FailureClass::Misconfigured,
        ))
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

    /// Refuses a credential that has made an account before, at whichever directory of this CA.
    fn refuse_spent(&self, external: &ExternalAccount) -> Result<(), Failure> {
        let ca = &self.profile.name;
        let digest = external.fingerprint();
        let accounts = self.ports.store.accounts(ca).map_err(Failure::Store)?;
        let spent = accounts.iter().find_map(|account| {
            let spent =
                |mark: &&CredentialMark| mark.digest == digest && mark.used == CredentialUse::Spent;
            Some((account, account.credentials.iter().find(spent)?))
        });
        let Some((account, mark)) = spent else {
            return Ok(());
        };
        let kid = &external.kid;
        let reason = format!(
            "the credential {kid} made the account at {} on {}, and each makes one account only",
            account.directory,
            mark.at.to_string().split('T').next().unwrap_or_default()
        );
        let manual = self.profile.notes.get("documentation");
        let manual = manual.map_or_else(String::new, |url| format!(" ({url})"));
        let hint = format!(
            "get a new one from the CA{manual}, then [ca.{ca}] eab = {{ key-id = \"...\", hmac-key \
             = \"file:...\" }}"
        );
        Err(self.refuse(&reason, Some(hint), FailureClass::Misconfigured))
    }

    fn mark(&self, record: &mut AccountRecord, external: &ExternalAccount, used: CredentialUse) {
        let mark = CredentialMark {
            digest: external.fingerprint(),
            used,
            at: self.ports.clock.now(),
        };
        record.credentials.retain(|old| old.digest != mark.digest);
        record.credentials.push(mark);
    }

    fn save(&self, record: &AccountRecord) -> Result<(), Failure> {
        let store = &self.ports.store;
        store
            .save_account(&self.profile.name, record)
            .map_err(Failure::Store)
    }

    fn is_over(&self) -> Failure {
        self.refuse(
            "the account of this key is deactivated or revoked",
            Some("bring another key in [account] key, or none to have one made".to_owned()),
            FailureClass::NeedsPerson,
        )
    }

    pub(super) fn refuse(
        &self,
        reason: &str,
        hint: Option<String>,
        class: FailureClass,
    ) -> Failure {
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
