//! Why a certificate was not renewed or not installed, with every cause kept.

use std::fmt;
use std::time::Duration;

use waxwing_acme::error::{AcmeError, AcmeErrorKind};
use waxwing_acme::problem::Problem;
use waxwing_core::budget::Limit;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::http::{TransportError, TransportStage};
use waxwing_core::name::{CaName, CertificateName, DomainName, Identifier, PluginName};
use waxwing_core::time::Timestamp;

use crate::plugin::PluginFailure;
use crate::ports::{CryptoError, LookupError, SecretError, ServerView, StoreError};

mod hints;
mod text;

pub use hints::NO_ROOTS;
pub(crate) use text::one_line;
pub use text::{innermost, plain, without_times};

/// Longest time for which a plugin can ask: no other one stands in for it, and a certificate must not
/// run out over what a plugin has misread.
const LONGEST_OF_PROVIDERS: Duration = Duration::from_secs(24 * 60 * 60);

/// A request to a CA that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub enum CaError {
    /// No answer.
    Transport(TransportError),
    /// An answer that is not the wanted one.
    Answer(AcmeError),
}

impl CaError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Transport(error) => match error.stage {
                TransportStage::Request
                | TransportStage::Setup
                | TransportStage::Roots
                | TransportStage::Address => FailureClass::Misconfigured,
                _ => FailureClass::Transient,
            },
            Self::Answer(error) => error.class(),
        }
    }

    /// True if the CA may have done what was asked although the answer is missing or useless.
    ///
    /// A request that only reads, the look-up of a nonce before a POST for one, did nothing. With
    /// 503 the server says that it did not get to the request (RFC 9110 section 15.6.4).
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Transport(error) => !error.method.is_safe() && !error.stage.is_before_sending(),
            Self::Answer(error) if error.method.is_safe() => false,
            Self::Answer(error) => match (error.status, &error.kind) {
                (Some(status), AcmeErrorKind::Refused) => status >= 500 && status != 503,
                (Some(200..300), AcmeErrorKind::IdentifiersChanged { .. }) => false,
                (Some(200..300), _) => true,
                _ => false,
            },
        }
    }

    /// True if every nonce of a long row was refused, so that the CA was asked often enough.
    pub fn is_for_want_of_a_nonce(&self) -> bool {
        match self {
            Self::Answer(error) => matches!(error.kind, AcmeErrorKind::BadNonces { .. }),
            Self::Transport(_) => false,
        }
    }

    /// What the CA asks to wait before the next request.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Answer(error) => error.retry_after.map(|at| at.wait(now)),
            Self::Transport(_) => None,
        }
    }
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "{} {}: {error}", error.method, error.url),
            Self::Answer(error) => write!(f, "{error}"),
        }
    }
}

/// Why a run for one certificate failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// None of the CA's directories could be used; one cause for each, in the order tried.
    Directory {
        /// The CA.
        ca: CaName,
        /// URL and cause.
        tried: Vec<(String, CaError)>,
    },
    /// Unrelated hosts failed in the same way, or no resolver answers, or there is no route: it is this
    /// machine's network and nobody's CA.
    Offline {
        /// Each host that was tried, and what came of it.
        hosts: Vec<(String, CaError)>,
    },
    /// The CA's staging refused what the CA itself had refused before, so that nothing was ordered.
    Rehearsal {
        /// The CA.
        ca: CaName,
        /// Its staging.
        staging: CaName,
        /// Why it was refused there.
        failure: Box<Self>,
    },
    /// The CA refused it before, and its staging, which has to be asked first, could not be asked; so
    /// nothing was ordered.
    Unrehearsed {
        /// The CA.
        ca: CaName,
        /// Its staging.
        staging: CaName,
        /// Not tried again before; none if the ladder alone says when.
        until: Option<Timestamp>,
        /// Why it could not be asked.
        failure: Box<Self>,
    },
    /// What the CA allows is used up, as far as this machine knows; nothing was asked of it.
    Spent {
        /// The CA.
        ca: CaName,
        /// What is counted.
        kind: LimitKind,
        /// The limit.
        limit: Limit,
        /// When there is room again.
        until: Timestamp,
    },
    /// A step at the CA failed.
    Ca {
        /// The CA.
        ca: CaName,
        /// The step, as in `place the order`.
        step: &'static str,
        /// The cause.
        error: Box<CaError>,
    },
    /// The CA looked at a name and refused it.
    Validation {
        /// The CA.
        ca: CaName,
        /// For each refused name the CA's reason, if it gave one.
        refused: Vec<(Identifier, Option<Problem>)>,
    },
    /// The order was still not done when its time was over; it is kept and looked at again.
    OrderDeadline {
        /// The CA.
        ca: CaName,
        /// Its last known status.
        status: String,
        /// How long the run waited.
        waited: Duration,
    },
    /// The CA asks to come back later than a run waits; the order is kept.
    Parked {
        /// The CA.
        ca: CaName,
        /// What it asked for.
        retry_after: Duration,
    },
    /// A CA was not asked, because it has asked for a wait that is not over: a staging for this certificate,
    /// or any CA for all of them.
    LeftAlone {
        /// The CA.
        ca: CaName,
        /// Until when.
        until: Timestamp,
    },
    /// The account cannot be made: terms, credentials from the CA.
    Account {
        /// The CA.
        ca: CaName,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: Option<String>,
        /// The class.
        class: FailureClass,
        /// Causes below, outermost first.
        causes: Vec<String>,
    },
    /// The CA offers no DNS-01 challenge for a name.
    NoDnsChallenge {
        /// The CA.
        ca: CaName,
        /// The name.
        identifier: Identifier,
        /// What it offers.
        offered: Vec<String>,
    },
    /// None of the certificate's CAs can be asked: a rehearsal, and none of them has a staging CA.
    NoCa {
        /// The certificate.
        certificate: CertificateName,
        /// Its CAs.
        cas: Vec<CaName>,
        /// Those that may not be asked, and why. Empty: in a rehearsal no staging CA is known.
        passed_over: Vec<(CaName, String)>,
    },
    /// No configured plugin is responsible for a name.
    NoValidator {
        /// The name.
        identifier: DomainName,
    },
    /// Plugins failed; all of them.
    Plugins(Vec<PluginFailure>),
    /// The DNS could not be asked.
    Lookup(LookupError),
    /// A record was not to be seen in time.
    Propagation {
        /// The name.
        fqdn: DomainName,
        /// What each server said last.
        servers: Vec<ServerView>,
        /// How long the run waited.
        waited: Duration,
    },
    /// What came in the place of the certificate is none.
    Unreadable {
        /// The CA.
        ca: CaName,
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        error: CryptoError,
    },
    /// What came is not what was ordered, or of no use.
    Mismatch {
        /// The CA.
        ca: CaName,
        /// What differs.
        what: String,
        /// By this machine's clock it is not valid; by that of the CA, which has just made it, it is.
        clock: bool,
    },
    /// The state folder.
    Store(StoreError),
    /// A key or a chain.
    Crypto(CryptoError),
    /// A secret.
    Secret(SecretError),
    /// The CA does not offer the profile that certificates have to be of.
    NoProfile {
        /// The CA.
        ca: CaName,
        /// The profile.
        profile: String,
        /// What it offers.
        offered: String,
    },
    /// A plugin of the journal is not configured any more.
    NoSuchPlugin(PluginName),
    /// The run was stopped.
    Stopped,
}

impl Failure {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Directory { tried, .. } => tried
                .iter()
                .map(|(_, cause)| cause.class())
                .min()
                .unwrap_or(FailureClass::Misconfigured),
            Self::Ca { error, .. } => error.class(),
            Self::Offline { .. } => FailureClass::Transient,
            Self::Rehearsal { failure, .. } | Self::Unrehearsed { failure, .. } => failure.class(),
            Self::Validation { .. } => FailureClass::Rejected,
            Self::Lookup(error) if error.bogus => FailureClass::NeedsPerson,
            Self::OrderDeadline { .. } | Self::Lookup(_) | Self::Propagation { .. } => {
                FailureClass::Transient
            }
            Self::Parked { .. } | Self::LeftAlone { .. } | Self::Spent { .. } => {
                FailureClass::RateLimited
            }
            Self::Account { class, .. } => *class,
            Self::NoDnsChallenge { .. }
            | Self::NoProfile { .. }
            | Self::NoCa { .. }
            | Self::NoValidator { .. }
            | Self::NoSuchPlugin(_) => FailureClass::Misconfigured,
            Self::Plugins(failures) => failures
                .iter()
                .map(PluginFailure::class)
                .max()
                .unwrap_or(FailureClass::Bug),
            Self::Mismatch { clock: true, .. } => FailureClass::Misconfigured,
            Self::Unreadable { .. } | Self::Mismatch { .. } | Self::Crypto(_) => FailureClass::Bug,
            Self::Store(error) => error.class(),
            Self::Secret(_) => FailureClass::Misconfigured,
            Self::Stopped => FailureClass::Cancelled,
        }
    }

    /// True if another CA may do better: the trouble is this CA's, or its view of the names.
    pub fn is_about_the_ca(&self) -> bool {
        !self.is_unsent()
            && matches!(
                self,
                Self::Directory { .. }
                    | Self::Ca { .. }
                    | Self::Rehearsal { .. }
                    | Self::Spent { .. }
                    | Self::Validation { .. }
                    | Self::OrderDeadline { .. }
                    | Self::Parked { .. }
                    | Self::LeftAlone { .. }
                    | Self::Account { .. }
                    | Self::NoDnsChallenge { .. }
                    | Self::NoProfile { .. }
                    | Self::Unreadable { .. }
                    | Self::Mismatch { clock: false, .. }
            )
    }

    /// True if the CA refused a name by its own rules or by CAA, so that no other answer comes as long as
    /// these are what they are. What it saw of a record may be another thing in a minute.
    pub fn refuses_the_name(&self) -> bool {
        match self {
            Self::Validation { refused, .. } => refused
                .iter()
                .filter_map(|(_, problem)| problem.as_ref())
                .any(Problem::is_about_the_name),
            Self::Ca { error, .. } => match error.as_ref() {
                CaError::Answer(answer) if answer.class() == FailureClass::Rejected => answer
                    .problem
                    .as_ref()
                    .is_some_and(Problem::is_about_the_name),
                _ => false,
            },
            Self::Rehearsal { failure, .. } => failure.refuses_the_name(),
            _ => false,
        }
    }

    /// True if nothing was sent, because roots or the proxy of the configuration cannot be used, or
    /// this system has no roots: the CA has no part in it.
    pub fn is_unsent(&self) -> bool {
        self.is_all(&[TransportStage::Setup, TransportStage::Roots])
    }

    /// True if nothing was sent, because this system has no roots to verify anybody with.
    pub fn is_rootless(&self) -> bool {
        self.is_all(&[TransportStage::Roots])
    }

    /// True if all that was tried at a CA ended in one of these ways.
    fn is_all(&self, stages: &[TransportStage]) -> bool {
        let unsent = |cause: &CaError| match cause {
            CaError::Transport(error) => stages.contains(&error.stage),
            CaError::Answer(_) => false,
        };
        match self {
            Self::Directory { tried, .. } => {
                !tried.is_empty() && tried.iter().all(|(_, cause)| unsent(cause))
            }
            Self::Ca { error, .. } => unsent(error),
            _ => false,
        }
    }

    /// How far the CA was from answering, if none of what was tried at it was answered: then it may
    /// be this machine that is cut off.
    pub fn silence(&self) -> Option<TransportStage> {
        let stage = |cause: &CaError| match cause {
            CaError::Transport(error) => match error.stage {
                TransportStage::Request
                | TransportStage::Setup
                | TransportStage::Roots
                | TransportStage::Address
                | TransportStage::TooLarge => None,
                stage => Some(stage),
            },
            CaError::Answer(_) => None,
        };
        match self {
            Self::Directory { tried, .. } => {
                let stages: Option<Vec<_>> = tried.iter().map(|(_, cause)| stage(cause)).collect();
                stages?.first().copied()
            }
            Self::Ca { error, .. } => stage(error),
            _ => None,
        }
    }

    /// Until when the CA, or whoever else is to blame, asked to be left alone.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Directory { tried, .. } => {
                let asked = tried.iter().filter_map(|(_, cause)| cause.retry_after(now));
                // All of them are asked again, so the one that asked for most decides.
                asked.max().map(|wait| now + wait)
            }
            Self::Ca { error, .. } => error.retry_after(now).map(|wait| now + wait),
            Self::Parked { retry_after, .. } => Some(now + *retry_after),
            Self::Spent { until, .. } | Self::LeftAlone { until, .. } => Some(*until),
            Self::Unrehearsed { until, .. } => *until,
            Self::Plugins(failures) => {
                let asked = failures.iter().filter_map(|failure| failure.retry_after);
                asked.max().map(|wait| now + wait.min(LONGEST_OF_PROVIDERS))
            }
            _ => None,
        }
    }
}

/// By what it is seen that this machine is offline.
pub fn offline_because(hosts: &[(String, CaError)]) -> String {
    match hosts {
        [(_, CaError::Transport(error))] if error.stage == TransportStage::Resolver => {
            "no resolver answers".to_owned()
        }
        [(host, CaError::Transport(error))] if error.stage == TransportStage::Route => {
            match error
                .causes
                .first()
                .filter(|cause| cause.contains("the proxy"))
            {
                Some(through) => format!("it reaches nobody {through}"),
                None => format!("it knows no way to {host}"),
            }
        }
        _ => format!("{} unrelated hosts failed in the same way", hosts.len()),
    }
}

impl std::error::Error for Failure {}
