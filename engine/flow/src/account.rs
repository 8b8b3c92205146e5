//! Changes of an account that somebody asks for: another contact, another key, giving it up (RFC
//! 8555 sections 7.3.2, 7.3.5 and 7.3.6), and what the configuration says otherwise than the
//! account.
//!
//! What a newcomer gets wrong: a CA has an account for each of its directories, and each change is
//! about one of them, in the conversation with that directory and no other.

use std::fmt;
use std::sync::Arc;

use waxwing_acme::account::{AccountStatus, DeactivateAccount, KeyChange, UpdateContact};
use waxwing_acme::jws::Signer;
use waxwing_acme::problem::ProblemKind;
use waxwing_acme::session::Call as _;
use waxwing_core::ca::CaProfile;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::secret::Secret;
use waxwing_core::settings::{AccountSettings, SecretRef};

use crate::failure::{CaError, Failure};
use crate::ports::{AccountRecord, KeyMaker, SecretError, SecretSource};
use crate::session::{CaSession, Repeat, SessionPorts, lock_account};
use crate::terms::NewTerms;

/// Why an account was not changed.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountError {
    /// There is none at this directory.
    None {
        /// The CA.
        ca: CaName,
        /// The directory.
        directory: String,
    },
    /// The CA wants an address, and none is configured.
    ContactRequired(CaName),
    /// The CA's key rollover is known not to work.
    NoKeyChange(CaName),
    /// The key is the one that the operator brought, so no other can be made here.
    KeyBrought(CaName),
    /// The answer to a key change was lost, and the CA could not be asked which key counts.
    KeyUnclear {
        /// The CA.
        ca: CaName,
        /// Why the answer was lost.
        lost: Box<Failure>,
        /// Why it could not be found out.
        asked: Box<Failure>,
    },
    /// Anything that can go wrong on the way.
    Failed(Failure),
}

impl AccountError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::None { .. }
            | Self::ContactRequired(_)
            | Self::NoKeyChange(_)
            | Self::KeyBrought(_) => FailureClass::Misconfigured,
            Self::KeyUnclear { asked, .. } => asked.class(),
            Self::Failed(failure) => failure.class(),
        }
    }

    /// Every cause, outermost first, a line each. The first line is the error itself.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Failed(failure) => failure.lines(),
            Self::KeyUnclear { lost, asked, .. } => {
                let mut lines = vec![self.to_string()];
                lines.extend(lost.lines());
                lines.extend(asked.lines());
                lines
            }
            _ => vec![self.to_string()],
        }
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::None { ca, .. } => Some(format!("`waxwing account register {ca}` makes one")),
            Self::ContactRequired(_) => Some("[account] email = \"you@example.com\"".to_owned()),
            Self::NoKeyChange(ca) => Some(give_up(ca)),
            Self::KeyBrought(_) => Some(
                "put a new key into the place that [account] key names, then run this again"
                    .to_owned(),
            ),
            Self::KeyUnclear { ca, .. } => Some(format!(
                "both keys are kept; the next call finds out which one counts: `waxwing account \
                 rollover {ca}`"
            )),
            Self::Failed(failure) => failure.hint(),
        }
    }
}

impl std::error::Error for AccountError {}

/// The outermost line alone; [`AccountError::lines`] has the rest.
impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { ca, directory } => {
                write!(f, "there is no account at {ca} ({directory})")
            }
            Self::ContactRequired(ca) => {
                write!(f, "{ca} wants an e-mail address, and none is configured")
            }
            Self::NoKeyChange(ca) => write!(
                f,
                "{ca} cannot change the key of an account (quirks.key-change of its profile)"
            ),
            Self::KeyBrought(ca) => write!(
                f,
                "the account at {ca} has the key of [account] key already, and this one is not made \
                 here"
            ),
            Self::KeyUnclear { ca, .. } => {
                write!(f, "it is not known which key counts at {ca}")
            }
            Self::Failed(failure) => write!(f, "{failure}"),
        }
    }
}

impl From<Failure> for AccountError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What came of bringing the contact up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactChange {
    /// It is what the configuration says already; nobody was asked.
    Same,
    /// The CA has the new one.
    Changed {
        /// What it had been told before.
        from: Vec<String>,
        /// What it was told now.
        to: Vec<String>,
    },
}

/// Tells the CA the contact that the configuration has.
pub async fn update_contact(
    ports: &SessionPorts,
    profile: &CaProfile,
    settings: &AccountSettings,
    directory: &str,
) -> Result<ContactChange, AccountError> {
    let to = contact(settings);
    let work = Change::begin(ports, profile, directory).await?;
    let mut record = work.record()?;
    if record.contact == to {
        return Ok(ContactChange::Same);
    }
    if to.is_empty() && profile.quirks.contact_required {
        return Err(AccountError::ContactRequired(profile.name.clone()));
    }
    let session = work.session(&record).await?;
    let call = UpdateContact {
        account: session.account().to_owned(),
        contact: to.clone(),
    };
    session.call(&call, Repeat::Freely).await?;
    // Opening may have settled which key counts.
    record = work.record()?;
    let from = std::mem::replace(&mut record.contact, to.clone());
    work.save(&record)?;
    Ok(ContactChange::Changed { from, to })
}

/// What came of a key rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolledOver {
    /// The account has another key now.
    Now,
    /// An earlier rollover whose answer was lost had gone through; its key counts.
    Before,
}

/// Gives the account another key: the one that the operator brings, if it is another one, else one
/// that is made here.
///
/// The new key is on disk before the CA is asked. If the answer is lost the CA is asked which key
/// it knows; if that fails too both are kept, and whoever opens a session next finds out.
pub async fn roll_over(
    ports: &SessionPorts,
    profile: &CaProfile,
    settings: &AccountSettings,
    directory: &str,
) -> Result<RolledOver, AccountError> {
    let ca = &profile.name;
    if !profile.quirks.key_change {
        return Err(AccountError::NoKeyChange(ca.clone()));
    }
    let work = Change::begin(ports, profile, directory).await?;
    let before = work.record()?;
    let session = work.session(&before).await?;
    let mut record = work.record()?;
    if record.key != before.key {
        return Ok(RolledOver::Before);
    }
    let next = match &settings.key {
        Some(reference) => brought(ports.keys.as_ref(), ports.secrets.as_ref(), reference)?,
        None => ports.keys.account_key().map_err(Failure::Crypto)?,
    };
    if same_key(ports.keys.as_ref(), &next, &record.key)? {
        return Err(AccountError::KeyBrought(ca.clone()));
    }
    let signer = ports.keys.signer(&next).map_err(Failure::Crypto)?;
    record.next_key = Some(next.clone());
    work.save(&record)?;
    let call = KeyChange {
        account: session.account(),
        new_signer: signer.as_ref(),
    };
    let refused = match session.ask(&call, Repeat::IfUnseen).await {
        Ok(()) => None,
        Err(error) => {
            let unclear = error.outcome_is_unknown();
            let lost = session.conversation().failed(KeyChange::NAME, error);
            let done = unclear && knows(&session, &signer, &lost).await?;
            Some(lost).filter(|_| !done)
        }
    };
    record.next_key = None;
    if refused.is_none() {
        record.key = next;
    }
    work.save(&record)?;
    refused.map_or(Ok(RolledOver::Now), |lost| Err(AccountError::Failed(lost)))
}

/// Whether the CA knows the account by its new key.
async fn knows(
    session: &CaSession,
    signer: &Arc<dyn Signer>,
    lost: &Failure,
) -> Result<bool, AccountError> {
    match session.conversation().find(Arc::clone(signer)).await {
        Ok(found) => Ok(found.is_some_and(|account| account.kid == session.account())),
        Err(error) => Err(AccountError::KeyUnclear {
            ca: session.profile().name.clone(),
            lost: Box::new(lost.clone()),
            asked: Box::new(session.conversation().failed("ask which key counts", error)),
        }),
    }
}

/// What came of giving an account up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deactivated {
    /// The CA has closed it.
    Now,
    /// It was closed already.
    Before,
}

/// Gives the account up. There is no way back: its orders end, and it revokes nothing any more.
pub async fn deactivate(
    ports: &SessionPorts,
    profile: &CaProfile,
    directory: &str,
) -> Result<Deactivated, AccountError> {
    let work = Change::begin(ports, profile, directory).await?;
    let record = work.record()?;
    let session = work.session(&record).await?;
    let call = DeactivateAccount {
        account: session.account().to_owned(),
    };
    let how = match session.ask(&call, Repeat::Freely).await {
        Ok(_closed) => Deactivated::Now,
        // A second try after a lost answer, or somebody else was first.
        Err(error) if is_over(&session, &error).await => Deactivated::Before,
        Err(error) => {
            let failure = session
                .conversation()
                .failed(DeactivateAccount::NAME, error);
            return Err(AccountError::Failed(failure));
        }
    };
    let mut record = work.record()?;
    record.deactivated = Some(ports.clock.now());
    work.save(&record)?;
    Ok(how)
}

/// True if the CA refuses the account because it is over: it says so of the key too.
async fn is_over(session: &CaSession, refused: &CaError) -> bool {
    let unauthorized = |error: &CaError| matches!(error, CaError::Answer(answer) if answer.is(&ProblemKind::Unauthorized));
    if !unauthorized(refused) {
        return false;
    }
    match session.conversation().find(session.signer()).await {
        Ok(Some(account)) => account.status != AccountStatus::Valid,
        Ok(None) => false,
        Err(error) => unauthorized(&error),
    }
}

/// A change under way: the account is locked, and a conversation with its directory is possible.
struct Change<'a> {
    ports: &'a SessionPorts,
    profile: &'a CaProfile,
    directory: &'a str,
    _lock: Box<dyn crate::ports::LockGuard>,
}

impl<'a> Change<'a> {
    async fn begin(
        ports: &'a SessionPorts,
        profile: &'a CaProfile,
        directory: &'a str,
    ) -> Result<Self, Failure> {
        Ok(Self {
            ports,
            profile,
            directory,
            _lock: lock_account(ports, profile).await?,
        })
    }

    fn record(&self) -> Result<AccountRecord, AccountError> {
        let ca = &self.profile.name;
        let record = self.ports.store.account(ca, self.directory);
        let record = record.map_err(Failure::Store)?;
        let usable = record.filter(|record| record.usable().is_some());
        usable.ok_or_else(|| AccountError::None {
            ca: ca.clone(),
            directory: self.directory.to_owned(),
        })
    }

    fn save(&self, record: &AccountRecord) -> Result<(), Failure> {
        let store = &self.ports.store;
        store
            .save_account(&self.profile.name, record)
            .map_err(Failure::Store)
    }

    async fn session(&self, record: &AccountRecord) -> Result<CaSession, Failure> {
        CaSession::of_account(self.ports, self.profile, record.clone()).await
    }
}

/// Something that the configuration says otherwise than the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The contact was changed after the account was made.
    Contact {
        /// The CA.
        ca: CaName,
        /// What the CA was told.
        told: Vec<String>,
        /// What the configuration says.
        configured: Vec<String>,
    },
    /// `[account] key` names another key than the account's.
    Key {
        /// The CA.
        ca: CaName,
        /// Whether the CA can change keys.
        key_change: bool,
    },
    /// The CA has other terms by now.
    Terms(NewTerms),
    /// `[account] key` cannot be read, so nothing can be said about it.
    KeyUnknown {
        /// The CA.
        ca: CaName,
        /// Why.
        cause: String,
    },
}

impl Drift {
    /// What mends it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Contact { ca, .. } => Some(format!("`waxwing account contact {ca}`")),
            Self::Key {
                ca,
                key_change: true,
            } => Some(format!("`waxwing account rollover {ca}` changes to it")),
            Self::Key {
                ca,
                key_change: false,
            } => Some(give_up(ca)),
            Self::Terms(terms) => Some(format!(
                "read them, then `waxwing account agree {}`",
                terms.ca
            )),
            Self::KeyUnknown { .. } => None,
        }
    }

    /// What differs.
    pub fn what(&self) -> String {
        match self {
            Self::Contact {
                ca,
                told,
                configured,
            } => {
                let has = match told.is_empty() {
                    true => "no contact that is known here".to_owned(),
                    false => format!("the contact {}", addresses(told)),
                };
                let configured = addresses(configured);
                format!("the account at {ca} has {has}, [account] email says {configured}")
            }
            Self::Key { ca, .. } => {
                format!("the account at {ca} has another key than [account] key")
            }
            Self::Terms(terms) => format!(
                "the terms of {} are {} now, agreed to were {}",
                terms.ca, terms.now, terms.agreed.0
            ),
            Self::KeyUnknown { ca, cause } => format!(
                "whether the account at {ca} has the key of [account] key is not known: {cause}"
            ),
        }
    }
}

/// `what: hint`
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint() {
            Some(hint) => write!(f, "{}: {hint}", self.what()),
            None => f.write_str(&self.what()),
        }
    }
}

/// What the configuration says otherwise than an account that is in use.
pub fn drift(
    keys: &dyn KeyMaker,
    secrets: &dyn SecretSource,
    profile: &CaProfile,
    record: &AccountRecord,
    settings: &AccountSettings,
) -> Vec<Drift> {
    let ca = &profile.name;
    let mut found = Vec::new();
    let configured = contact(settings);
    if record.contact != configured {
        found.push(Drift::Contact {
            ca: ca.clone(),
            told: record.contact.clone(),
            configured,
        });
    }
    if let Some(reference) = &settings.key {
        let key = brought(keys, secrets, reference);
        match key.and_then(|key| same_key(keys, &key, &record.key)) {
            Ok(true) => {}
            Ok(false) => found.push(Drift::Key {
                ca: ca.clone(),
                key_change: profile.quirks.key_change,
            }),
            Err(failure) => found.push(Drift::KeyUnknown {
                ca: ca.clone(),
                cause: failure.lines().join(": "),
            }),
        }
    }
    found
}

/// The contact URLs that the configuration asks for.
pub(crate) fn contact(settings: &AccountSettings) -> Vec<String> {
    let email = settings.email.iter();
    email.map(|email| format!("mailto:{email}")).collect()
}

/// The key that the operator brought along, once it is known to be one.
pub(crate) fn brought(
    keys: &dyn KeyMaker,
    secrets: &dyn SecretSource,
    reference: &SecretRef,
) -> Result<Secret<String>, Failure> {
    let key = secrets.secret(reference).map_err(Failure::Secret)?;
    is_key(keys, reference, &key).map_err(Failure::Secret)?;
    Ok(key)
}

/// Whether what `[account] key` names is a key that can sign.
///
/// # Errors
/// Why it is not, with the reference.
pub fn is_key(
    keys: &dyn KeyMaker,
    reference: &SecretRef,
    key: &Secret<String>,
) -> Result<(), SecretError> {
    let Err(error) = keys.kind(key) else {
        return Ok(());
    };
    let mut causes =
        vec!["[account] key names it, and it holds no key that can be used".to_owned()];
    causes.extend(error.causes);
    Err(SecretError {
        reference: reference.to_string(),
        causes,
        hint: Some(
            "an account key is PEM text (BEGIN PRIVATE KEY) of an ECDSA or RSA key; without \
             [account] key one is made"
                .to_owned(),
        ),
    })
}

/// Compares the public halves: one key may be written in several ways.
fn same_key(
    keys: &dyn KeyMaker,
    one: &Secret<String>,
    other: &Secret<String>,
) -> Result<bool, Failure> {
    let public = |key| keys.public_key_sha256(key).map_err(Failure::Crypto);
    Ok(public(one)? == public(other)?)
}

/// `ops@example.com`, or that there is none.
fn addresses(contact: &[String]) -> String {
    let plain: Vec<&str> = contact
        .iter()
        .map(|url| url.strip_prefix("mailto:").unwrap_or(url))
        .collect();
    if plain.is_empty() {
        "none".to_owned()
    } else {
        plain.join(", ")
    }
}

/// The way to another key where the CA cannot change it.
fn give_up(ca: &CaName) -> String {
    format!(
        "`waxwing account deactivate {ca} --yes` gives the account up, and the next run registers \
         one with a new key"
    )
}
