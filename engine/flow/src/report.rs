//! What a run did, for people and for machines. Rendering is somebody else's business.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::ca::choose::Because;
use waxwing_core::name::{CaName, CertificateName, DomainName, PluginName};
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, Item};
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;

use crate::audit::AuditEvent;
use crate::certificate::ServedLeaf;
use crate::failure::Failure;
use crate::plugin::{DeployStep, PluginFailure, PutBack};
use crate::ports::{StoreError, UnseenError};
use crate::replace::{Lacking, Over, Proof};
use crate::revoke::{How, RevokeError};

/// A whole run.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Its id.
    pub id: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// One for each certificate that was worked on, in the order of the configuration.
    pub certificates: Vec<CertificateReport>,
    /// Files that were put back first, because an earlier run was cut off while it installed.
    pub put_back: Vec<PutBack>,
    /// What earlier runs owe for certificates that were not worked on, and why it is still owed.
    pub left_over: Vec<(CertificateName, Failure)>,
    /// One for each installer that had something to do.
    pub installs: Vec<InstallReport>,
    /// What is served where, of the certificates that say where they are to be seen.
    pub served: Vec<ServedReport>,
    /// What plugins did.
    pub audit: Vec<AuditEvent>,
    /// Versions that are to be revoked behind the ones that take their places, and what became of that.
    pub replaced: Vec<ReplacedReport>,
    /// Requests to each CA.
    pub requests: BTreeMap<CaName, u64>,
    /// CAs at which an account was made so that they can stand in, or could not be, and why.
    pub accounts: Vec<(CaName, Result<(), Failure>)>,
    /// True if somebody stopped it.
    pub stopped: bool,
}

/// What happened to one certificate, up to the store.
#[derive(Debug, Clone)]
pub struct CertificateReport {
    /// Which.
    pub certificate: CertificateName,
    /// When work on it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What was reached, in order.
    pub milestones: Vec<Milestone>,
    /// Why CAs that were tried did not give a certificate, in the order tried.
    pub failures: Vec<CaFailure>,
    /// True if a CA was asked for it.
    pub asked: bool,
    /// If the last CA that was asked stood in for another: for which, and by which rule.
    pub stands_in: Option<(CaName, Because)>,
    /// True if it was to take the place of one that was to be revoked behind it.
    pub replaces: bool,
    /// When runs that come by themselves would try it again, and where, if it was not renewed; see
    /// [`by_hand`] for what no run tries.
    pub next_try: Option<(Timestamp, CaName)>,
    /// Records that are still to be removed, and why.
    pub owed: Vec<PluginFailure>,
    /// What works but should be looked at.
    pub notes: Vec<String>,
}

/// The command that tries a failed renewal again, where the plan that follows it says that no run does so by
/// itself; `replaces` as [`CertificateReport::replaces`].
pub fn by_hand(item: &Item, replaces: bool) -> Option<String> {
    let name = &item.name;
    match item.action {
        Action::Keep { .. } | Action::Install { .. } if replaces => {
            Some(format!("waxwing revoke {name} --replace"))
        }
        Action::Keep { .. } | Action::Install { .. } => {
            Some(format!("waxwing renew {name} --force"))
        }
        Action::Issue(_) | Action::Renew { .. } | Action::Gone { .. } => None,
    }
}

/// A CA that was tried in vain.
#[derive(Debug, Clone)]
pub struct CaFailure {
    /// Which.
    pub ca: CaName,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
    /// Another CA that answered meanwhile, and how fast: the network of this machine is fine.
    pub elsewhere: Option<(CaName, Duration)>,
}

/// How work on a certificate ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A new certificate is stored, or was received in a rehearsal.
    Issued {
        /// Who issued it.
        ca: CaName,
        /// True if that is not the first CA of the list.
        fallback: bool,
        /// Its number in the store; none in a rehearsal.
        version: Option<u32>,
        /// End of its validity.
        not_after: Timestamp,
        /// True if there was none before.
        first: bool,
    },
    /// Another run was faster: the need is gone.
    Overtaken,
    /// Another run is at it now.
    Locked(StoreError),
    /// It may not be ordered now.
    Held(Hold),
    /// No certificate. The reasons at each CA are in the report's `failures`; this is the rest.
    Failed(Option<Failure>),
}

/// Something that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// When.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What.
    pub what: Reached,
}

/// What can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// The order exists.
    Ordered {
        /// At which CA.
        ca: CaName,
        /// How many names.
        names: usize,
        /// True if it is an order of an earlier run.
        resumed: bool,
    },
    /// Records are placed.
    Placed(Vec<(DomainName, PluginName)>),
    /// All records are seen on all servers.
    Seen {
        /// How many servers were asked; none if nobody was, but time was waited.
        servers: Option<usize>,
    },
    /// The CA has looked, and the certificate is here.
    Received,
    /// Records are removed again.
    Removed {
        /// How many.
        records: usize,
        /// How many could not be.
        left: usize,
    },
}

/// What one installer did.
#[derive(Debug, Clone)]
pub struct InstallReport {
    /// Which.
    pub plugin: PluginName,
    /// For which certificates.
    pub certificates: Vec<CertificateName>,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it did, or in a rehearsal would do.
    pub steps: Vec<DeployStep>,
    /// How far it came, and how each stage ended.
    pub stages: Vec<StageReport>,
    /// How it ended.
    pub outcome: InstallOutcome,
}

/// What was seen at a place where a certificate is to be served.
#[derive(Debug, Clone)]
pub struct ServedReport {
    /// Which certificate.
    pub certificate: CertificateName,
    /// Where.
    pub place: ServedAt,
    /// True if it is the current version.
    pub current: bool,
    /// What was seen, or why nothing was.
    pub seen: Result<ServedLeaf, UnseenError>,
    /// When.
    pub at: Timestamp,
    /// How long it took, with the pauses between looks.
    pub took: Duration,
}

impl ServedReport {
    /// What to do about a server that does not serve what was installed for it.
    pub const HINT: &str = "the next run looks again; grants.exec.reload of the installer makes a server read its files";
}

/// A version that is to be revoked behind the one that takes its place, and what became of that.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplacedReport {
    /// Of which certificate.
    pub certificate: CertificateName,
    /// The version that is to be revoked.
    pub version: u32,
    /// Why, by the number of RFC 5280 section 5.3.1.
    pub reason: Option<u8>,
    /// The version that takes its place, if there is one.
    pub new: Option<u32>,
    /// What became of it.
    pub ended: Replaced,
}

/// What became of a version that is to be revoked.
#[derive(Debug, Clone, PartialEq)]
pub enum Replaced {
    /// It is revoked.
    Revoked {
        /// At which CA.
        ca: CaName,
        /// End of its validity, had it not been revoked.
        not_after: Timestamp,
        /// Who asked for it.
        how: How,
        /// What showed that the other one is in its place.
        proof: Proof,
    },
    /// Nobody needs to revoke it any more, or can.
    Over {
        /// What showed that the other one is in its place.
        proof: Proof,
        /// Why.
        why: Over,
    },
    /// No other one was to be had, so it is not revoked, and nobody goes on.
    Withdrawn,
    /// No other one is there yet; a later run goes on.
    Waiting,
    /// The other one is there and not yet in its place; a later run looks again.
    Unproved(Lacking),
    /// The other one is in its place, and it is not revoked; a later run asks again.
    Failed(RevokeError),
}

/// A stage of an installation.
#[derive(Debug, Clone)]
pub struct StageReport {
    /// Which.
    pub stage: DeployStage,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub ended: Result<(), Failure>,
}

/// The stages of an installation, in order. The last one follows only on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployStage {
    /// What is to be done was asked; nothing is changed.
    Plan,
    /// It was done.
    Install,
    /// It was looked at again.
    Verify,
    /// It was undone: first the files, then what the plugin did besides.
    Undo,
}

impl DeployStage {
    /// The stable name: `plan`, `install`, `verify` or `undo`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Install => "install",
            Self::Verify => "verify",
            Self::Undo => "undo",
        }
    }
}

/// How an installation ended.
#[derive(Debug, Clone)]
pub enum InstallOutcome {
    /// Installed; false if everything was in place.
    Done {
        /// Whether anything changed.
        changed: bool,
    },
    /// Only planned.
    Planned,
    /// Not installed; it is tried again on the next run, without a new order.
    Failed(Failure),
    /// Another run is at these certificates now.
    Locked(StoreError),
}

/// Something worth showing while a run is at work.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A milestone.
    Reached(Milestone),
    /// Something is under way, and an answer or an end is not there yet: `asking Let's Encrypt for an
    /// order`. It goes on until something else is said of the certificate.
    Doing {
        /// What, beginning with a verb.
        what: String,
        /// Since when.
        since: Timestamp,
        /// When it is given up, where that is known of the whole.
        until: Option<Timestamp>,
    },
    /// What is under way waits for the answer to a request, or with the next one.
    Asking(Asking),
    /// Something has to come by itself: `ns2.example.net to show example.com`. Said anew
    /// whenever somebody has looked.
    Waiting {
        /// For what.
        what: String,
        /// Since when, all looks together.
        since: Timestamp,
        /// When it is given up, if nothing comes.
        until: Timestamp,
    },
    /// A CA failed, and another one is tried.
    FailedOver {
        /// Which failed.
        from: CaName,
        /// Which is next.
        to: CaName,
        /// Why: the whole chain, one line each.
        causes: Vec<String>,
    },
    /// Nothing more is done for it, or not now: installers come when all orders are done.
    Done,
}

/// What a conversation with a CA waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    /// An answer, which the next request may follow.
    Answer {
        /// The host that was asked.
        host: String,
        /// When the answer is given up.
        until: Timestamp,
    },
    /// The request is sent again, or a first time when the CA's rate allows it.
    Pause {
        /// When.
        until: Timestamp,
    },
}

/// Shows progress. Calls MUST be quick and MUST NOT block.
pub trait Observer: Send + Sync {
    /// Something happened for a certificate.
    fn progress(&self, certificate: &CertificateName, progress: &Progress);
}
