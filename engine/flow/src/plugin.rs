//! What is asked of plugins and what they answer: the contract of `wit/` in the engine's words.

use std::fmt;
use std::time::Duration;

use waxwing_core::failure::FailureClass;
use waxwing_core::name::{DomainName, PluginName};

use crate::certificate::StoredVersion;

/// Which try of a call this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The run it belongs to.
    pub run: String,
    /// 1 on the first try.
    pub number: u32,
}

/// A TXT record to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeRecord {
    /// Stable over retries and over clean-up.
    pub key: String,
    /// The name to write, after CNAMEs were followed.
    pub fqdn: DomainName,
    /// The unquoted value.
    pub value: String,
    /// The name that is being validated.
    pub identifier: DomainName,
    /// The apex of the zone as the DNS shows it.
    pub zone_hint: Option<DomainName>,
}

/// A record that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Of which record.
    pub key: String,
    /// What clean-up needs; at most 4 KiB.
    pub receipt: String,
    /// False: it had been there before, so clean-up leaves it.
    pub created: bool,
}

/// What `present` did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresentReport {
    /// What is there now.
    pub placed: Vec<Placed>,
    /// What is not, by key.
    pub failed: Vec<(String, PluginFailure)>,
    /// How long the provider takes.
    pub propagation: PropagationHint,
}

/// What a provider says about the time until its servers answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropagationHint {
    /// Servers to ask; empty: those of the zone.
    pub nameservers: Vec<String>,
    /// No look before this.
    pub min_wait: Duration,
    /// Usual time.
    pub expected: Duration,
    /// No hope after this; zero for no opinion.
    pub give_up: Duration,
}

/// A record to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Which.
    pub record: ChallengeRecord,
    /// None if the answer of `present` was lost: find it by exact name and value.
    pub receipt: Option<String>,
}

/// Which zone of the account would take a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAnswer {
    /// The name asked about.
    pub name: String,
    /// The zone, if there is one.
    pub zone: Option<String>,
    /// Why not.
    pub problem: Option<PluginFailure>,
}

/// One certificate of an installer's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallItem {
    /// What to install.
    pub version: StoredVersion,
    /// SHA-256 and SHA-1 of the leaf it replaces at this installer, if one was installed.
    pub previous: Option<(String, String)>,
    /// SHA-1 of the leaf that may be in use where this installer has put nothing in place: what it had put there before it
    /// was exchanged, what was brought over from another client, or the version before it.
    pub before: Option<String>,
    /// True if settings or grants of the installer are others than when it installed that one.
    pub reconfigured: bool,
}

/// What an installer would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeployPlan {
    /// Empty: everything is installed.
    pub steps: Vec<DeployStep>,
    /// Advice, as severity and text.
    pub findings: Vec<Finding>,
    /// Given back to `install`.
    pub token: String,
}

/// One step of an installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployStep {
    /// For people.
    pub summary: String,
    /// `file`, `command`, `http`, …
    pub kind: String,
    /// The grant it uses.
    pub grant: Option<String>,
    /// Path below the grant, or endpoint.
    pub target: Option<String>,
    /// Certificates it serves.
    pub certificates: Vec<String>,
    /// Whether it can be undone.
    pub reversible: bool,
}

/// What an installer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What verify and rollback need; at most 64 KiB.
    pub receipt: String,
    /// False: everything was in place.
    pub changed: bool,
}

/// What an installer found when it looked at its work again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// True if everything is as it was installed.
    pub ok: bool,
    /// What is not; never empty if not `ok`.
    pub problems: Vec<PluginFailure>,
    /// What was looked at, by name.
    pub evidence: Vec<(String, String)>,
}

/// A file that an installation which was cut off had overwritten, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// Whose installation it was.
    pub plugin: PluginName,
    /// The whole path.
    pub path: String,
    /// What was done.
    pub result: PutBackResult,
}

/// What became of a file that an installation which was cut off had overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutBackResult {
    /// What was there before is there again, or nothing if nothing was there.
    Restored,
    /// Somebody has changed it since, so it was left alone.
    LeftAlone,
    /// It could not be done; the next run tries again.
    Failed(String),
}

/// Advice of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `info`, `warning` or `error`.
    pub severity: Severity,
    /// JSON pointer into the settings.
    pub pointer: Option<String>,
    /// For people.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Works, but should be looked at.
    Warning,
    /// Will not work.
    Error,
}

/// A call of a plugin that failed: what kind, in whose words, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFailure {
    /// Which plugin.
    pub plugin: PluginName,
    /// `present`, `cleanup`, `install`, …
    pub call: String,
    /// What kind.
    pub kind: PluginFailureKind,
    /// Stable code: `dns-provider.zone-not-found`, `plugin.timeout`, …
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Status of the provider's answer.
    pub http_status: Option<u16>,
    /// More facts, by name.
    pub details: Vec<(String, String)>,
    /// The provider asks to come back after this.
    pub retry_after: Option<Duration>,
    /// The limit counts for the whole account.
    pub account_wide: bool,
    /// True if it is known that the call has changed nothing: no request that could change something
    /// has left this machine, no command was run.
    pub untouched: bool,
    /// What lies below, outermost first: transport errors, trap messages.
    pub causes: Vec<String>,
}

/// The kinds of failed calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginFailureKind {
    /// The plugin says: the same call may succeed later.
    Retryable,
    /// The plugin says: credentials refused.
    Auth,
    /// The plugin says: this setting is wrong.
    Config {
        /// JSON pointer into the settings.
        pointer: String,
    },
    /// The plugin says: the zone, site or object is not there.
    NotFound,
    /// The plugin says: somebody else changed it.
    Conflict,
    /// The plugin says: cannot be done with this provider.
    Unsupported,
    /// The plugin says: will not get better by itself.
    Permanent,
    /// The call was stopped on purpose and changed nothing.
    Cancelled,
    /// The plugin failed in a way that it has no word for.
    Other,
    /// The host refused something the plugin tried: a host, a file, a command, a secret.
    Denied,
    /// The component trapped: panic, unreachable, stack overflow.
    Crashed,
    /// A limit of the host was reached.
    Limit {
        /// The key under `grants.limits` that raises it.
        key: String,
    },
    /// The component could not be loaded.
    Load,
}

impl PluginFailure {
    /// What can be done about it.
    pub const fn class(&self) -> FailureClass {
        match self.kind {
            PluginFailureKind::Retryable if self.account_wide => FailureClass::RateLimited,
            PluginFailureKind::Retryable
            | PluginFailureKind::Conflict
            | PluginFailureKind::Other
            | PluginFailureKind::Limit { .. } => FailureClass::Transient,
            PluginFailureKind::Auth
            | PluginFailureKind::Config { .. }
            | PluginFailureKind::NotFound
            | PluginFailureKind::Denied
            | PluginFailureKind::Load
            | PluginFailureKind::Unsupported => FailureClass::Misconfigured,
            PluginFailureKind::Permanent => FailureClass::NeedsPerson,
            PluginFailureKind::Cancelled => FailureClass::Cancelled,
            PluginFailureKind::Crashed => FailureClass::Bug,
        }
    }
}

impl std::error::Error for PluginFailure {}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin {} failed to {}: {}",
            self.plugin, self.call, self.message
        )?;
        if let Some(status) = self.http_status {
            write!(f, " (HTTP {status})")?;
        }
        write!(f, " [{}]", self.code)
    }
}
