//! Revocation of a stored certificate (RFC 8555 section 7.6), by the account that ordered it or,
//! where that is gone, by the certificate's own key.

use std::fmt;

use waxwing_acme::certificate::{Revocation, Revoke};
use waxwing_acme::problem::ProblemKind;
use waxwing_acme::session::Call as _;
use waxwing_core::ca::CaProfile;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;

use crate::certificate::{InventoryEntry, RevokedMark, StoredVersion};
use crate::failure::{CaError, Failure};
use crate::history::{Chronicle, ClosedRevocation, RevocationResult};
use crate::ports::AccountRecord;
use crate::session::{CaSession, Conversation, Repeat, SessionPorts, lock_account};
use crate::tally;

/// What somebody wants revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which certificate; its current version is meant.
    pub certificate: CertificateName,
    /// Why, by the number of RFC 5280 section 5.3.1.
    pub reason: Option<u8>,
    /// True: also if it is installed somewhere.
    pub although_installed: bool,
}

/// A certificate that is revoked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// By whom it was issued.
    pub ca: CaName,
    /// Its number in the store.
    pub version: u32,
    /// End of its validity, had it not been revoked.
    pub not_after: Timestamp,
    /// Installers that still have it in place.
    pub installed: Vec<PluginName>,
    /// Whether this call did it.
    pub how: How,
}

/// How a certificate came to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The account that ordered it asked for it.
    ByAccount,
    /// The certificate's own key asked for it.
    ByKey,
    /// It was revoked before.
    Before,
}

/// Why a certificate was not revoked.
#[derive(Debug, Clone, PartialEq)]
pub enum RevokeError {
    /// Nothing is stored under the name.
    None(CertificateName),
    /// It is in use.
    Installed {
        /// Which.
        certificate: CertificateName,
        /// By which installers.
        by: Vec<PluginName>,
    },
    /// Its CA is not in the configuration any more.
    UnknownCa(CaName),
    /// Neither account nor key was accepted; both answers are kept.
    Refused {
        /// What the CA said to the account.
        account: Box<Failure>,
        /// What it said to the certificate's key.
        key: Box<Failure>,
    },
    /// Anything that can go wrong on the way.
    Failed(Failure),
}

impl RevokeError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::None(_) | Self::Installed { .. } | Self::UnknownCa(_) => {
                FailureClass::Misconfigured
            }
            Self::Refused { key, .. } => key.class(),
            Self::Failed(failure) => failure.class(),
        }
    }

    /// Every cause, outermost first, a line each. The first line is the error itself.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Refused { account, key } => {
                let mut lines = account.lines();
                lines.extend(key.lines());
                lines
            }
            Self::Failed(failure) => failure.lines(),
            _ => vec![self.to_string()],
        }
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::None(_) => Some("`waxwing status` lists the names".to_owned()),
            Self::Installed { certificate, .. } => Some(format!(
                "`waxwing revoke {certificate} --replace` puts another one in its place first; with --yes \
                 it is revoked at once, and clients refuse it until `waxwing renew` has put another one there"
            )),
            Self::UnknownCa(ca) => Some(format!(
                "[ca.{ca}] directories = [\"https://...\"] says where it is"
            )),
            Self::Refused { account, key } => key.hint().or_else(|| account.hint()),
            Self::Failed(failure) => failure.hint(),
        }
    }
}

impl std::error::Error for RevokeError {}

/// The outermost line alone; [`RevokeError::lines`] has the rest.
impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(name) => write!(f, "no certificate is stored under {name}"),
            Self::Installed { certificate, by } => {
                let by: Vec<&str> = by.iter().map(PluginName::as_str).collect();
                write!(
                    f,
                    "{certificate} is installed by {}; nothing was revoked",
                    by.join(", ")
                )
            }
            Self::UnknownCa(ca) => write!(f, "{ca}, which issued it, is not known any more"),
            Self::Refused { account, .. } => write!(f, "{account}"),
            Self::Failed(failure) => write!(f, "{failure}"),
        }
    }
}

impl From<Failure> for RevokeError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Revokes the current version and notes it, so that the next run issues another one.
///
/// What the CA was asked is written into the history, however it ended. It can be asked for again after a lost answer: a certificate that is revoked already is no
/// failure.
pub async fn revoke(
    ports: &SessionPorts,
    settings: &Settings,
    wish: &Wish,
    chronicle: Chronicle<'_>,
) -> Result<Revoked, RevokeError> {
    let name = &wish.certificate;
    let store = &ports.store;
    let _lock = store.lock_certificate(name).map_err(Failure::Store)?;
    let current = store.current(name).map_err(Failure::Store)?;
    let current = current.ok_or_else(|| RevokeError::None(name.clone()))?;
    let entry = store.entry(name).map_err(Failure::Store)?;
    let by = entry.map_or_else(Vec::new, |entry| installed(&entry, current.version));
    let revoked = |how| Revoked {
        ca: current.origin.ca.clone(),
        version: current.version,
        not_after: current.facts.not_after,
        installed: by.clone(),
        how,
    };
    if current.revoked.is_some() {
        return Ok(revoked(How::Before));
    }
    if !by.is_empty() && !wish.although_installed {
        return Err(RevokeError::Installed {
            certificate: name.clone(),
            by,
        });
    }
    let started = ports.clock.now();
    let work = async {
        let how = revoke_version(ports, settings, &current, wish.reason).await;
        (how, tally::take())
    };
    let (how, requests) = tally::counted(work).await;
    chronicle.keep_revocation(&ClosedRevocation {
        run: chronicle.run.to_owned(),
        certificate: name.clone(),
        version: current.version,
        ca: Some(current.origin.ca.clone()),
        reason: wish.reason,
        started,
        ended: ports.clock.now(),
        requests,
        result: match &how {
            Ok(_) => RevocationResult::Revoked,
            Err(error) => RevocationResult::Failed {
                class: error.class(),
                causes: error.lines(),
            },
        },
    });
    ports.sent.keep(chronicle.history);
    let how = how?;
    tracing::info!(certificate = %name, ca = %current.origin.ca, version = current.version, "revoked");
    let mark = RevokedMark {
        version: current.version,
        at: ports.clock.now(),
        reason: wish.reason,
    };
    store.record_revoked(name, &mark).map_err(Failure::Store)?;
    Ok(revoked(how))
}

/// The installers that have this version in place.
fn installed(entry: &InventoryEntry, version: u32) -> Vec<PluginName> {
    let marks = entry.installed.iter();
    marks
        .filter(|mark| mark.version == version)
        .map(|mark| mark.plugin.clone())
        .collect()
}

/// Asks the CA that issued a version to revoke it.
pub(crate) async fn revoke_version(
    ports: &SessionPorts,
    settings: &Settings,
    version: &StoredVersion,
    reason: Option<u8>,
) -> Result<How, RevokeError> {
    let ca = &version.origin.ca;
    let profile = settings.cas.get(ca);
    let profile = profile.ok_or_else(|| RevokeError::UnknownCa(ca.clone()))?;
    ask(ports, profile, version, reason).await
}

/// Asks in the name of the account, if it is there, else or if it is refused with the certificate's
/// key.
async fn ask(
    ports: &SessionPorts,
    profile: &CaProfile,
    current: &StoredVersion,
    reason: Option<u8>,
) -> Result<How, RevokeError> {
    let der = ports.keys.leaf_der(&current.pem.cert);
    let call = Revoke {
        certificate_der: der.map_err(Failure::Crypto)?,
        reason,
    };
    let how = |revocation, by| match revocation {
        Revocation::Done => by,
        Revocation::DoneBefore => How::Before,
    };
    let mut refused = None;
    if let Some(record) = orderer(ports, profile, current)? {
        let session = open(ports, profile, record).await?;
        match session.ask(&call, Repeat::Freely).await {
            Ok(revocation) => return Ok(how(revocation, How::ByAccount)),
            Err(error) => {
                let strange = may_not(&error);
                let failure = session.conversation().failed(Revoke::NAME, error);
                if !strange {
                    return Err(RevokeError::Failed(failure));
                }
                refused = Some(failure);
            }
        }
    }
    let signer = ports.keys.signer(&current.key).map_err(Failure::Crypto)?;
    let with = Conversation::open(ports, profile, &profile.directories).await?;
    match with.call_as(&call, Repeat::Freely, signer, None).await {
        Ok(revocation) => Ok(how(revocation, How::ByKey)),
        Err(error) => {
            let key = with.failed(Revoke::NAME, error);
            Err(match refused {
                Some(account) => RevokeError::Refused {
                    account: Box::new(account),
                    key: Box::new(key),
                },
                None => RevokeError::Failed(key),
            })
        }
    }
}

/// The account that ordered a version, if it can still be used.
fn orderer(
    ports: &SessionPorts,
    profile: &CaProfile,
    current: &StoredVersion,
) -> Result<Option<AccountRecord>, Failure> {
    let accounts = ports
        .store
        .accounts(&profile.name)
        .map_err(Failure::Store)?;
    Ok(accounts
        .into_iter()
        .find(|record| record.usable() == Some(&current.origin.account)))
}

/// Opens the account's session; its key may have to be settled first, which needs the lock.
async fn open(
    ports: &SessionPorts,
    profile: &CaProfile,
    record: AccountRecord,
) -> Result<CaSession, Failure> {
    if record.next_key.is_none() {
        return CaSession::of_account(ports, profile, record).await;
    }
    let _lock = lock_account(ports, profile).await?;
    // Another run may have settled it while this one waited.
    let again = ports.store.account(&profile.name, &record.directory);
    let record = again.map_err(Failure::Store)?.unwrap_or(record);
    CaSession::of_account(ports, profile, record).await
}

/// True if the CA does not take the account for one that may revoke this certificate.
fn may_not(error: &CaError) -> bool {
    let CaError::Answer(answer) = error else {
        return false;
    };
    answer.is(&ProblemKind::Unauthorized) || answer.is(&ProblemKind::AccountDoesNotExist)
}
