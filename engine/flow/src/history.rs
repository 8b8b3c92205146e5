//! What earlier runs have learnt and later ones go by: attempts, the CA's advice, sightings of CAs.
//!
//! The engine decides nothing from its memory of a run that has ended; it reads what is here. What a
//! newcomer gets wrong: losing all of it loses no certificate. A ladder begins at its foot again, the
//! advice is asked for again, and that is all.

use std::fmt;
use std::time::Duration;

use waxwing_core::ca::choose::Because;
use waxwing_core::due::Suggestion;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::outage;
use waxwing_core::plan::in_place::Damage;
use waxwing_core::plan::{self, Current, LastFailure, Stored};
use waxwing_core::retry::ladder::{self, Failed};
use waxwing_core::settings::Settings;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;

use crate::certificate::{AttemptResult, InventoryEntry};
use crate::failure::one_line;
use crate::ports::{History, StoreErrorKind};

/// An attempt to get one certificate from one CA, after it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedAttempt {
    /// The run's id.
    pub run: String,
    /// For which certificate.
    pub certificate: CertificateName,
    /// At which CA.
    pub ca: CaName,
    /// If that CA stood in for another: for which, and by which rule.
    pub stands_in: Option<(CaName, Because)>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Requests that were sent to CAs for it, its staging included.
    pub requests: u32,
    /// How it ended.
    pub result: ClosedResult,
}

/// An attempt that ended before any CA was asked: a plugin that cannot be used, a lock that another run
/// holds, a state that cannot be written. It counts for no ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// The run's id.
    pub run: String,
    /// For which certificate.
    pub certificate: CertificateName,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What can be done about it.
    pub class: FailureClass,
    /// The whole chain, outermost first, one line each.
    pub causes: Vec<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClosedResult {
    /// A certificate was stored under this number.
    Issued {
        /// The version.
        version: u32,
    },
    /// Nothing was asked of the CA yet: its staging, which had to be asked first, had nothing against
    /// the names.
    Rehearsed,
    /// None was.
    Failed {
        /// What can be done about it.
        class: FailureClass,
        /// True if the trouble was the CA's.
        theirs: bool,
        /// True if the CA refused the name itself.
        firm: bool,
        /// True if it was this machine's network.
        local: bool,
        /// Until when the CA asked to be left alone.
        until: Option<Timestamp>,
        /// The whole chain, outermost first, one line each.
        causes: Vec<String>,
    },
}

impl ClosedResult {
    /// True if the CA has issued, be it that what came was of no use, or may have: these are the only failures without
    /// a rejection that are [`firm`](Self::Failed::firm).
    pub fn has_issued(&self) -> bool {
        match self {
            Self::Issued { .. } => true,
            Self::Failed { class, firm, .. } => {
                let counts = [
                    FailureClass::Bug,
                    FailureClass::Misconfigured,
                    FailureClass::Transient,
                ];
                *firm && counts.contains(class)
            }
            Self::Rehearsed => false,
        }
    }

    /// True if it failed because this machine reached nobody.
    pub fn is_cut_off(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                local: true,
                class: FailureClass::Transient,
                ..
            }
        )
    }
}

/// An installation of one certificate, or a look at what is served, after it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedDeploy {
    /// The run's id.
    pub run: String,
    /// Which certificate.
    pub certificate: CertificateName,
    /// Which version; none if it could not be read.
    pub version: Option<u32>,
    /// Where it was brought, or looked for.
    pub target: Target,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it failed, if it did.
    pub failed: Option<FailedDeploy>,
}

/// A revocation, or a try of one, after it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRevocation {
    /// The run's id.
    pub run: String,
    /// Of which certificate.
    pub certificate: CertificateName,
    /// Which version was to be revoked.
    pub version: u32,
    /// The CA that issued it; none if it cannot be read any more.
    pub ca: Option<CaName>,
    /// Why, by the number of RFC 5280 section 5.3.1.
    pub reason: Option<u8>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Requests that were sent to CAs for it.
    pub requests: u32,
    /// How it ended.
    pub result: RevocationResult,
}

/// How a revocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationResult {
    /// It is revoked.
    Revoked,
    /// Nobody needs to revoke it any more, or can.
    Over {
        /// Why, in a few words.
        why: String,
    },
    /// It is not revoked.
    Failed {
        /// What can be done about it.
        class: FailureClass,
        /// The whole chain, outermost first, one line each.
        causes: Vec<String>,
    },
}

/// Where a certificate is brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By this installer.
    Installer(PluginName),
    /// It is to be served here.
    Place(ServedAt),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installer(plugin) => plugin.fmt(f),
            Self::Place(place) => place.fmt(f),
        }
    }
}

/// Why a certificate is not where it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDeploy {
    /// The stage that failed: one of an installation, `read` or `load` before it, `note` or `served` behind it.
    pub stage: &'static str,
    /// The whole chain, outermost first, one line each.
    pub causes: Vec<String>,
}

/// One line of the history, as it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The run's id.
    pub run: String,
    /// Which certificate.
    pub certificate: CertificateName,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What was done.
    pub what: Recorded,
    /// The version that was stored or brought somewhere, if one was.
    pub version: Option<u32>,
    /// Why it failed, if it did.
    pub failed: Option<RecordedFailure>,
    /// Requests that were sent to CAs for it, if that was counted.
    pub requests: Option<u32>,
    /// How often in a row it ended like that; the times are those of the first begin and the last end.
    pub times: u32,
}

/// What a line of the history is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// An attempt to get a certificate.
    Attempt {
        /// At which CA.
        ca: CaName,
        /// If that CA stood in for another: for which, and why in the words of that time.
        stands_in: Option<(CaName, String)>,
    },
    /// An attempt that ended before any CA was asked.
    Unasked,
    /// A revocation, or a try of one.
    Revocation {
        /// The CA that issued the version; none if that was not known.
        ca: Option<CaName>,
        /// Why, by the number of RFC 5280 section 5.3.1.
        reason: Option<u8>,
        /// Why nobody needed to revoke it any more, if that is how it ended.
        over: Option<String>,
    },
    /// An installation, or a look at what is served.
    Deploy {
        /// The installer or the place, as it was called then.
        target: String,
    },
}

/// A failure of which the history knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFailure {
    /// The class of a failed attempt, or the stage of a failed installation, by its stable name.
    pub kind: String,
    /// The whole chain, outermost first.
    pub causes: Vec<String>,
    /// Until when the CA asked to be left alone.
    pub until: Option<Timestamp>,
}

/// What is known of one certificate besides what the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// Failed attempts since it was last issued, oldest first.
    pub failed: Vec<Failed>,
    /// How often it came to nothing since then before a CA was asked, in a row that reaches until now.
    pub unasked: u32,
    /// When it was issued, oldest first, as far back as [`plan::hold::MOST_ISSUED`] counts.
    pub issued: Vec<Timestamp>,
    /// The same by a clock that was ahead: when it was by that clock, and when it was found to be wrong.
    pub doubtful: Vec<(Timestamp, Timestamp)>,
    /// What its CA advises.
    pub advice: Option<Advice>,
    /// The last revocation that was tried, if it has failed.
    pub unrevoked: Option<Unrevoked>,
}

impl Past {
    /// How often it was tried in vain for the need of now, at a CA or before one was asked.
    pub fn failures(&self, now: Timestamp) -> u32 {
        ladder::count(&self.failed, now).saturating_add(self.unasked)
    }
}

/// A version that was to be revoked and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrevoked {
    /// Which.
    pub version: u32,
    /// How often it was tried in vain; at least 1.
    pub tries: u32,
    /// What can be done about the last failure, by its stable name.
    pub class: String,
    /// The whole chain of the last failure, outermost first.
    pub causes: Vec<String>,
}

/// Renewal information (RFC 9773), as far as it was obtained, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The certificate it is about, by its identifier (RFC 9773 section 4.1).
    pub about: String,
    /// The last good answer; none if there has been none.
    pub suggestion: Option<Suggestion>,
    /// Where the CA explains it.
    pub explanation: Option<String>,
    /// Not asked again before.
    pub next: Timestamp,
    /// Requests in a row that gave nothing.
    pub failures: u32,
    /// Why the last one gave nothing.
    pub cause: Option<String>,
}

/// What came of talking to a CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub ca: CaName,
    /// When.
    pub at: Timestamp,
    /// How long it took to answer, or why it did not.
    pub result: Result<Duration, String>,
}

/// A CA that answers, and at which every attempt has failed by its own fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fruitless {
    /// When the first of these attempts ended.
    pub since: Timestamp,
    /// When the last one did. Nobody has asked for anything since.
    pub last: Timestamp,
    /// Until when the CA asked to be left alone then.
    pub until: Option<Timestamp>,
    /// How many they are; at least 2.
    pub attempts: u32,
    /// True if all of them were for one certificate, which may be the reason.
    pub is_of_one: bool,
    /// Why the last one failed: the whole chain, outermost first.
    pub causes: Vec<String>,
}

impl Fruitless {
    /// For so long they must have failed: less is a blip.
    pub const A_STATE: Duration = Duration::from_secs(60 * 60);

    /// For so long the last attempt says how it is: whoever still needs a certificate tries once a day.
    pub const HOLDS: Duration = outage::HOLDS;

    /// True if it may still be so at `now`; else nobody has asked since.
    pub fn is_current(&self, now: Timestamp) -> bool {
        let last = self.until.map_or(self.last, |until| until.max(self.last));
        now.since(last) <= Self::HOLDS
    }

    /// True if it says something about the CA: of several certificates, or of the only one that it is asked for.
    pub fn is_of_the_ca(&self, ca: &CaName, settings: &Settings) -> bool {
        let users = settings.certificates.iter();
        !self.is_of_one || users.filter(|one| one.cas.contains(ca)).count() < 2
    }
}

/// Where it is written down what is done, and under the name of which run.
#[derive(Clone, Copy)]
pub struct Chronicle<'a> {
    /// Where.
    pub history: &'a dyn History,
    /// The run's id.
    pub run: &'a str,
}

impl Chronicle<'_> {
    /// Writes down how a revocation ended; without that the state is still right.
    pub(crate) fn keep_revocation(&self, revocation: &ClosedRevocation) {
        let (certificate, version) = (&revocation.certificate, revocation.version);
        let ca = &revocation.ca;
        if let RevocationResult::Failed { class, causes } = &revocation.result {
            tracing::warn!(certificate = %certificate, version, ca = ca.as_ref().map(CaName::as_str),
                class = class.as_str(), causes = one_line(causes), "not revoked");
        }
        if let Err(error) = self.history.record_revocation(revocation) {
            tracing::warn!(certificate = %revocation.certificate, cause = %error,
                "how the revocation ended could not be noted");
        }
        // A CA that was down, and has answered this.
        let revoked = revocation.result == RevocationResult::Revoked;
        let down = self.history.down_since().unwrap_or_default();
        if let Some(ca) = ca.as_ref().filter(|ca| revoked && down.contains_key(ca)) {
            let sighting = Sighting {
                ca: ca.clone(),
                at: revocation.ended,
                result: Ok(revocation.ended.since(revocation.started)),
            };
            if let Err(error) = self.history.sight(&sighting) {
                tracing::warn!(%ca, cause = %error, "what a CA answered could not be noted");
            }
        }
    }
}

/// Writes down how an installation ended; without that the state is still right.
pub(crate) fn keep_deploy(history: &dyn History, deploy: &ClosedDeploy) {
    let certificate = &deploy.certificate;
    match (&deploy.target, &deploy.failed) {
        (Target::Installer(plugin), None) => {
            tracing::info!(certificate = %certificate, plugin = %plugin, version = deploy.version, "installed");
        }
        (Target::Installer(plugin), Some(failed)) => {
            tracing::warn!(certificate = %certificate, plugin = %plugin, version = deploy.version,
                stage = failed.stage, causes = one_line(&failed.causes), "not installed");
        }
        (Target::Place(place), None) => {
            tracing::info!(certificate = %certificate, place = %place, version = deploy.version, "served");
        }
        (Target::Place(place), Some(failed)) => {
            tracing::warn!(certificate = %certificate, place = %place, version = deploy.version,
                causes = one_line(&failed.causes), "not served");
        }
    }
    if let Err(error) = history.record_deploy(deploy) {
        tracing::warn!(certificate = %deploy.certificate, cause = %error,
            "how the installation ended could not be noted");
    }
}

/// What planning needs to know of an entry of the store and its past.
pub fn stored(entry: &InventoryEntry, past: &Past) -> Stored {
    let failure = entry.last.as_ref().and_then(|last| match &last.result {
        AttemptResult::Renewed | AttemptResult::Installed => None,
        AttemptResult::NotInstalled { plugin, causes } => Some(LastFailure {
            at: last.at,
            plugin: Some(plugin.clone()),
            causes: causes.clone(),
        }),
        AttemptResult::Failed { causes, .. } => Some(LastFailure {
            at: last.at,
            plugin: None,
            causes: causes.clone(),
        }),
    });
    let current = entry.current.as_ref().map(|current| Current {
        version: current.version,
        names: current.facts.names.clone(),
        ca: current.origin.ca.clone(),
        fallback: current.origin.fallback,
        staging: current.origin.staging,
        key: current.facts.key_type,
        not_before: current.facts.not_before,
        not_after: current.facts.not_after,
        revoked: current.revoked.is_some(),
        suggestion: past
            .advice
            .as_ref()
            .filter(|advice| current.facts.ari_id().as_ref() == Some(&advice.about))
            .and_then(|advice| advice.suggestion),
    });
    let installed = entry.installed.iter().map(|mark| plan::Installed {
        plugin: mark.plugin.clone(),
        version: mark.version,
        settings: mark.settings.clone(),
        staging: mark.staging,
    });
    Stored {
        name: entry.certificate.clone(),
        current,
        damage: entry.damage.as_ref().map(|error| match error.kind {
            StoreErrorKind::Corrupt => Damage::Broken,
            _ => Damage::Unreadable,
        }),
        in_place: entry.in_place,
        installed: installed.collect(),
        failure,
        unfinished: entry.unfinished,
        owes: entry.owes,
        signed: entry.finalized.filter(|at| {
            let current = entry.current.as_ref();
            current.is_none_or(|current| current.origin.issued_at < *at)
        }),
        failed: past.failed.clone(),
        to_revoke: entry.replacing.as_ref().map(|wish| wish.version),
        issued: past.issued.clone(),
        doubtful: past.doubtful.clone(),
    }
}

/// The past of something that nothing is stored of yet.
pub fn unstored(name: &CertificateName, past: &Past) -> Stored {
    Stored {
        name: name.clone(),
        current: None,
        damage: None,
        in_place: None,
        installed: Vec::new(),
        failure: None,
        unfinished: false,
        owes: false,
        signed: None,
        failed: past.failed.clone(),
        to_revoke: None,
        issued: past.issued.clone(),
        doubtful: past.doubtful.clone(),
    }
}
