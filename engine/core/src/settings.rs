//! What the operator asked for, after the configuration was read, checked and filled in.

pub mod json_schema;
pub(crate) mod path;
pub(crate) mod pattern;
pub mod raw;
pub mod resolve;
pub(crate) mod schema;
pub(crate) mod secret_ref;
pub mod served_at;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::ca::CaProfile;
use crate::ca::choose::FailOver;
use crate::calendar::Calendar;
use crate::key::KeyType;
use crate::name::{CaName, CertificateName, DomainName, Identifier, NotifierName, PluginName};
use crate::notify::NotifySettings;
use crate::plugin::{Grants, Manifest};
use crate::settings::served_at::ServedAt;

/// A whole configuration that cannot be wrong in itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[account]`
    pub account: AccountSettings,
    /// `[state]`
    pub state: StateSettings,
    /// `[network]`
    pub network: NetworkSettings,
    /// `[failover]`
    pub failover: FailOver,
    /// `[log]`
    pub log: LogSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    /// `[notify.*]`
    pub notify: BTreeMap<NotifierName, NotifySettings>,
    /// Every CA named in a `ca` list or defined by the operator, and every shipped one.
    pub cas: BTreeMap<CaName, CaProfile>,
    /// `[plugin.*]`
    pub plugins: BTreeMap<PluginName, PluginSettings>,
    /// `[[certificate]]`, in the order of the files.
    pub certificates: Vec<CertificateSettings>,
    /// The files this came from, the main one first.
    pub files: Vec<PathBuf>,
    /// What works but should be looked at.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The CAs that certificates name, in the order in which they are named first.
    pub fn used_cas(&self) -> Vec<CaName> {
        let mut used = Vec::new();
        for ca in self.certificates.iter().flat_map(|one| &one.cas) {
            if !used.contains(ca) {
                used.push(ca.clone());
            }
        }
        used
    }
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// What is worth a line; none: everything that an operator would tell a colleague, in a file and
    /// in the daemon, and errors alone elsewhere.
    pub level: Option<LogLevel>,
    /// The form of a line, where it is not for somebody at a terminal.
    pub format: LogFormat,
    /// A file for the log, besides stderr.
    pub file: Option<LogFile>,
    /// The audit trail.
    pub audit: Option<PathBuf>,
}

/// What is worth a line in the log: this and what is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What should be looked at.
    Warn,
    /// What an operator would tell a colleague.
    Info,
    /// What a maintainer needs.
    Debug,
}

impl LogLevel {
    /// All of them, the fewest lines first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object, for machines.
    Json,
}

/// A log in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// When it has so many bytes, it is moved away and a new one begins.
    pub size: u64,
    /// So many are kept, the current one included; at least 1.
    pub keep: u32,
}

/// `[metrics]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// A file for the textfile collector of node_exporter, written behind each run.
    pub textfile: Option<PathBuf>,
    /// Where the daemon answers `/metrics`, `/healthz`, `/readyz` and the page.
    pub listen: Option<SocketAddr>,
    /// What whoever asks there has to know (`Authorization: Bearer`); never none beyond loopback.
    pub token: Option<SecretRef>,
}

/// `[account]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// Contact address, without `mailto:`.
    pub email: Option<String>,
    /// The operator agrees to the terms of every CA named in a `ca` list.
    pub agree_terms: bool,
    /// An account key brought along; none: made and kept in the state folder.
    pub key: Option<SecretRef>,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// The state folder; none: the platform's usual place.
    pub dir: Option<PathBuf>,
    /// Versions of each certificate that are kept, the current one included; at least 1.
    pub keep_versions: u32,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// HTTP proxy; none: the system's.
    pub proxy: Option<String>,
    /// Recursive resolvers; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// The port at which authoritative servers are asked.
    pub authoritative_port: u16,
    /// How it is decided that a record can be seen.
    pub propagation: Propagation,
    /// More PEM roots, for a TLS-inspecting proxy.
    pub trust: Option<PathBuf>,
}

/// How it is decided that a TXT record can be seen by the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Every authoritative server of the zone answers with the value.
    Authoritative,
    /// The configured resolvers answer with the value; for networks where port 53 is closed.
    Resolvers,
    /// Nothing is asked; the run waits so long.
    Wait(Duration),
}

/// A reference to a secret: where it is, never what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// `file:PATH`, already relative to the configuration file's folder.
    File(PathBuf),
    /// `env:NAME`
    Env(String),
    /// `credential:NAME`, a file in `$CREDENTIALS_DIRECTORY` (systemd).
    Credential(String),
    /// `{ command = [...] }`: the first line of its output.
    Command(Vec<String>),
}

/// As the operator wrote it, without the arguments of a command: they may hold what only the
/// secret's owner should see.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Command(argv) => {
                write!(f, "command {}", argv.first().map_or("", String::as_str))
            }
        }
    }
}

/// `[plugin.NAME]`
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// Its name in this configuration.
    pub name: PluginName,
    /// Which component it is.
    pub source: PluginSource,
    /// What the component says of itself.
    pub manifest: Manifest,
    /// Checked against the manifest's schema, defaults filled in.
    pub settings: serde_json::Value,
    /// Secrets by the manifest's names.
    pub secrets: BTreeMap<String, SecretRef>,
    /// What it may touch.
    pub grants: Grants,
}

impl PluginSettings {
    /// The names of the files that it writes for a certificate: those of its setting `files`, in
    /// which `{name}` stands for the certificate's name. None if it has no such setting.
    pub fn file_names(&self, certificate: &CertificateName) -> Vec<String> {
        let Some(serde_json::Value::Object(files)) = self.settings.get("files") else {
            return Vec::new();
        };
        let name = certificate.as_str();
        let templates = files.keys();
        templates
            .map(|template| template.replace("{name}", name))
            .collect()
    }
}

/// Which component a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginSource {
    /// One that is built into the binary, by its manifest id.
    Embedded(String),
    /// A file pinned by the digest of its bytes.
    File {
        /// The component.
        path: PathBuf,
        /// SHA-256 in lower-case hex.
        sha256: String,
    },
}

/// `[[certificate]]` with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateSettings {
    /// Its identity.
    pub name: CertificateName,
    /// The names it covers; never empty, no doubles, in the order written.
    pub domains: Vec<Identifier>,
    /// CAs in the order in which they are tried; never empty.
    pub cas: Vec<CaName>,
    /// The kind of key.
    pub key: KeyType,
    /// True: the key is kept over renewals.
    pub reuse_key: bool,
    /// Which DNS plugin proves which names; the longest suffix wins, `None` stands for every name.
    pub validate: Vec<(Option<DomainName>, PluginName)>,
    /// Installers, in order.
    pub install: Vec<PluginName>,
    /// Where it is to be seen afterwards; no doubles.
    pub served_at: Vec<ServedAt>,
    /// Upper bound of the age at renewal, in days; `written` if the operator wrote it.
    pub days_after_issue: DaysAfterIssue,
    /// When it may be renewed.
    pub calendar: Arc<Calendar>,
}

impl CertificateSettings {
    /// The DNS plugin that proves control of `domain`.
    pub fn validator(&self, domain: &DomainName) -> Option<&PluginName> {
        self.validate
            .iter()
            .filter(|(suffix, _)| suffix.as_ref().is_none_or(|s| domain.is_within(s)))
            .max_by_key(|(suffix, _)| suffix.as_ref().map_or(0, |s| s.as_str().len()))
            .map(|(_, plugin)| plugin)
    }
}

/// The certificates of a configuration by their names. Whoever goes through ten thousand of them and
/// searches the list for each would do nothing else.
#[derive(Debug, Clone, Default)]
pub struct CertificatesByName<'a>(BTreeMap<&'a CertificateName, &'a CertificateSettings>);

impl<'a> CertificatesByName<'a> {
    /// Sorts them.
    pub fn new(certificates: &'a [CertificateSettings]) -> Self {
        Self(certificates.iter().map(|one| (&one.name, one)).collect())
    }

    /// The one with this name, if it is configured.
    pub fn get(&self, name: &CertificateName) -> Option<&'a CertificateSettings> {
        self.0.get(name).copied()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &'a CertificateSettings> {
        self.0.values().copied()
    }
}

/// The `days-after-issue` setting and who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaysAfterIssue {
    /// Days after the start of validity.
    pub days: u32,
    /// True if the operator wrote it: then it may renew earlier than the CA suggests, and a value
    /// that cannot be kept is worth a warning.
    pub written: bool,
}

impl Default for DaysAfterIssue {
    /// What holds where nothing is written (design: 55 days).
    fn default() -> Self {
        Self {
            days: 55,
            written: false,
        }
    }
}

/// A range of addresses in CIDR form.
pub type AddressRange = ipnet::IpNet;

/// An address a policy is asked about.
pub type Address = IpAddr;
