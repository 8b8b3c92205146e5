//! Another certificate takes the place of one that is to be revoked: first the new one is issued,
//! installed and seen in its place, and only then the old one is revoked.
//!
//! What a newcomer gets wrong: no order of steps is remembered. The wish is on disk before anything is
//! ordered ([`begin`]), and the end of every run goes on from what is stored (`end`). So a run that
//! died anywhere is finished by the next one, and nothing is ordered twice.

use std::fmt;

use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::settings::CertificateSettings;
use waxwing_core::settings::Settings;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;

use crate::certificate::{InventoryEntry, Replacing, RevokedMark};
use crate::failure::Failure;
use crate::history::{Chronicle, ClosedRevocation, RevocationResult};
use crate::ports::{StoreError, StoreErrorKind};
use crate::report::{Replaced, ReplacedReport, ServedReport};
use crate::revoke::{How, RevokeError, revoke_version};
use crate::session::SessionPorts;
use crate::tally;

/// What shows that a certificate has taken the place of another one, the best there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It was seen at every place where it is to be served.
    Served(Vec<ServedAt>),
    /// Nobody said where it is served; every installer has put it in place.
    Installed(Vec<PluginName>),
    /// Nothing installs it, and nobody said where it is served: it is stored, and that is all.
    Stored,
}

/// What a certificate lacks to have taken the place of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Installers that have not put it in place.
    pub installers: Vec<PluginName>,
    /// Places where it was not seen.
    pub places: Vec<ServedAt>,
}

/// Why a version that was to be revoked is not to be any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Nobody trusts it any more, since then.
    Expired(Timestamp),
    /// It is not stored any more, so it cannot be shown to its CA.
    Gone,
    /// It cannot be read any more, so it cannot be shown to its CA.
    Damaged(StoreError),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired(_) => "it has expired",
            Self::Gone => "it is not stored any more",
            Self::Damaged(_) => "it cannot be read any more",
        })
    }
}

/// Judges by what is noted as installed and by what this run has seen.
///
/// # Errors
/// What is lacking.
pub fn proof(
    certificate: &CertificateSettings,
    entry: &InventoryEntry,
    served: &[ServedReport],
) -> Result<Proof, Lacking> {
    let current = entry.current.as_ref().map(|current| current.version);
    let has = |plugin: &PluginName| {
        let mut marks = entry.installed.iter();
        marks.any(|mark| mark.plugin == *plugin && Some(mark.version) == current)
    };
    let serves = |place: &ServedAt| {
        let mut seen = served.iter();
        seen.any(|one| one.certificate == certificate.name && one.place == *place && one.current)
    };
    let (installers, places) = (certificate.install.iter(), certificate.served_at.iter());
    let lacking = Lacking {
        installers: installers.filter(|plugin| !has(plugin)).cloned().collect(),
        places: places.filter(|place| !serves(place)).cloned().collect(),
    };
    if lacking != Lacking::default() || current.is_none() {
        return Err(lacking);
    }
    Ok(if !certificate.served_at.is_empty() {
        Proof::Served(certificate.served_at.clone())
    } else if !certificate.install.is_empty() {
        Proof::Installed(certificate.install.clone())
    } else {
        Proof::Stored
    })
}

/// A wish that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// It.
    pub wish: Replacing,
    /// True if no other certificate is there yet, so that one has to be ordered.
    pub to_order: bool,
}

/// What is wished already, without wishing anything.
///
/// # Errors
/// When the store cannot be read, or holds no certificate of that name.
pub fn begun(ports: &SessionPorts, name: &CertificateName) -> Result<Option<Begun>, RevokeError> {
    let entry = ports.store.entry(name).map_err(Failure::Store)?;
    let entry = entry.ok_or_else(|| RevokeError::None(name.clone()))?;
    let current = entry.current.as_ref().map(|current| current.version);
    Ok(entry.replacing.map(|wish| Begun {
        to_order: Some(wish.version) == current,
        wish,
    }))
}

/// Writes down that the current version is to be revoked behind another one. A wish that is there
/// already stays, with the new reason if one is given.
///
/// # Errors
/// When nothing is stored under the name, another run is at it, or the wish cannot be written.
pub fn begin(
    ports: &SessionPorts,
    name: &CertificateName,
    reason: Option<u8>,
) -> Result<Begun, RevokeError> {
    let store = &ports.store;
    let _lock = store.lock_certificate(name).map_err(Failure::Store)?;
    let before = begun(ports, name)?;
    // It is shown to its CA later, so it has to be whole.
    let current = store.current(name).map_err(Failure::Store)?;
    let current = current.ok_or_else(|| RevokeError::None(name.clone()))?;
    let wish = match before {
        Some(begun) => Replacing {
            reason: reason.or(begun.wish.reason),
            ..begun.wish
        },
        None => Replacing {
            version: current.version,
            reason,
            since: ports.clock.now(),
        },
    };
    store
        .record_replacing(name, &wish)
        .map_err(Failure::Store)?;
    Ok(Begun {
        to_order: wish.version == current.version,
        wish,
    })
}

/// Whether another certificate may still come by itself, if none has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// A later run goes on, or tries.
    Left,
    /// It was tried in vain.
    None,
}

/// Goes on with the wish about one certificate, if there is one, behind everything else of a run.
pub(crate) async fn end(
    ports: &SessionPorts,
    settings: &Settings,
    certificate: &CertificateSettings,
    served: &[ServedReport],
    chance: Chance,
    chronicle: Chronicle<'_>,
) -> Option<ReplacedReport> {
    let name = &certificate.name;
    // Whoever has no wish needs no lock; one that cannot be read is told of elsewhere.
    let seen = ports.store.entry(name).ok()??.replacing?;
    let report = |wish: &Replacing, new, ended| ReplacedReport {
        certificate: name.clone(),
        version: wish.version,
        reason: wish.reason,
        new,
        ended,
    };
    let store = |error| RevokeError::Failed(Failure::Store(error));
    let _lock = match ports.store.lock_certificate(name) {
        Ok(lock) => lock,
        Err(error) => return Some(report(&seen, None, Replaced::Failed(store(error)))),
    };
    let entry = match ports.store.entry(name) {
        Ok(entry) => entry?,
        Err(error) => return Some(report(&seen, None, Replaced::Failed(store(error)))),
    };
    let wish = entry.replacing.clone()?;
    let new = entry.current.as_ref().map(|current| current.version);
    let new = new.filter(|new| *new > wish.version);
    let ended = match new {
        None if chance == Chance::Left => Replaced::Waiting,
        None => Replaced::Withdrawn,
        Some(_) => match proof(certificate, &entry, served) {
            Err(lacking) => Replaced::Unproved(lacking),
            Ok(proof) => {
                let started = ports.clock.now();
                let work = async {
                    let (ca, ended) = revoke_old(ports, settings, name, &wish, proof).await;
                    (ca, ended, tally::take())
                };
                let (ca, ended, requests) = tally::counted(work).await;
                if let Some(result) = result(&ended) {
                    chronicle.keep_revocation(&ClosedRevocation {
                        run: chronicle.run.to_owned(),
                        certificate: name.clone(),
                        version: wish.version,
                        ca,
                        reason: wish.reason,
                        started,
                        ended: ports.clock.now(),
                        requests,
                        result,
                    });
                }
                ended
            }
        },
    };
    let over = matches!(
        ended,
        Replaced::Revoked { .. } | Replaced::Over { .. } | Replaced::Withdrawn
    );
    // Revoked it is all the same; asked once more, its CA says so.
    if over && let Err(error) = ports.store.end_replacing(name) {
        tracing::warn!(certificate = %name, cause = %error, "what was done could not be noted");
    }
    Some(report(&wish, new, ended))
}

/// How a revocation ended, for the history; none if none was tried.
fn result(ended: &Replaced) -> Option<RevocationResult> {
    Some(match ended {
        Replaced::Revoked { .. } => RevocationResult::Revoked,
        Replaced::Over { why, .. } => RevocationResult::Over {
            why: why.to_string(),
        },
        Replaced::Failed(error) => RevocationResult::Failed {
            class: error.class(),
            causes: error.lines(),
        },
        Replaced::Withdrawn | Replaced::Waiting | Replaced::Unproved(_) => return None,
    })
}

/// Revokes the version of a wish. Answers with the CA that issued it, if that can be read.
async fn revoke_old(
    ports: &SessionPorts,
    settings: &Settings,
    name: &CertificateName,
    wish: &Replacing,
    proof: Proof,
) -> (Option<CaName>, Replaced) {
    let over = |proof, why| Replaced::Over { proof, why };
    let old = match ports.store.version(name, wish.version) {
        Ok(Some(old)) => old,
        Ok(None) => return (None, over(proof, Over::Gone)),
        // It is of no use to ask for it again in each run.
        Err(error) if error.kind == StoreErrorKind::Corrupt => {
            return (None, over(proof, Over::Damaged(error)));
        }
        Err(error) => {
            let error = RevokeError::Failed(Failure::Store(error));
            return (None, Replaced::Failed(error));
        }
    };
    let (ca, not_after) = (old.origin.ca.clone(), old.facts.not_after);
    if not_after <= ports.clock.now() {
        return (Some(ca), over(proof, Over::Expired(not_after)));
    }
    let revoked = match old.revoked {
        Some(_) => Ok(How::Before),
        None => revoke_version(ports, settings, &old, wish.reason).await,
    };
    if revoked.is_ok() && old.revoked.is_none() {
        let mark = RevokedMark {
            version: old.version,
            at: ports.clock.now(),
            reason: wish.reason,
        };
        // Revoked it is all the same.
        if let Err(error) = ports.store.record_revoked(name, &mark) {
            tracing::warn!(certificate = %name, cause = %error, "a revocation could not be noted");
        }
    }
    let ended = match revoked {
        Ok(how) => {
            tracing::info!(certificate = %name, ca = %ca, version = wish.version, "revoked");
            Replaced::Revoked {
                ca: ca.clone(),
                not_after,
                how,
                proof,
            }
        }
        Err(error) => Replaced::Failed(error),
    };
    (Some(ca), ended)
}
