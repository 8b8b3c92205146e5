//! What a plugin asks for (its manifest) and what the operator lets it touch (its grants).
//!
//! A manifest only asks. Naming a plugin that ships in the binary accepts what it asks of the
//! internet; everything on this machine, and everything for a foreign plugin, is in [`Grants`].

mod effective;
pub mod host_pattern;
pub mod manifest;
pub mod placeholder;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::budget::Limit;
use crate::http::Method;
use crate::import::Client;
use crate::settings::AddressRange;

/// The `waxwing:manifest` section of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The plugin's identity; never taken from a file name.
    pub id: String,
    /// Its version, for people.
    pub version: String,
    /// Which kind of plugin it is.
    pub world: World,
    /// The contract it was built for: `0.1` of `waxwing:plugin/dns-plugin@0.1`.
    pub contract: String,
    /// One line for people.
    pub summary: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Hosts, methods and paths it wants to reach.
    pub http: Vec<WantHttp>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, WantSecret>,
    /// File purposes by name.
    pub files: BTreeMap<String, WantFiles>,
    /// Command purposes by name.
    pub exec: BTreeMap<String, WantExec>,
    /// Limits it says it needs; the operator's and the host's defaults bound them.
    pub limits: Limits,
    /// Facts the host schedules DNS plugins by.
    pub dns: DnsFacts,
    /// What other ACME clients call the same, for `waxwing import`.
    pub known_as: Vec<KnownAs>,
    /// The settings' schema (a JSON Schema 2020-12 subset), as JSON.
    pub schema: serde_json::Value,
}

/// The kinds of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Places TXT records.
    Dns,
    /// Brings certificates to where they are used.
    Installer,
}

/// What another ACME client calls the provider that a plugin is for, and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAs {
    /// The client, by the word that `waxwing import` takes.
    pub client: Client,
    /// Its names for the provider: of a plugin, of a script, an identifier.
    pub names: Vec<String>,
    /// For each secret of the plugin the client's names for it, the one that counts first.
    pub secrets: BTreeMap<String, Vec<String>>,
    /// Likewise for settings.
    pub settings: BTreeMap<String, Vec<String>>,
}

/// A wish to send requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantHttp {
    /// `scheme://host[:port]`, or `scheme://*.suffix`.
    pub hosts: Vec<HostPattern>,
    /// Methods.
    pub methods: Vec<Method>,
    /// Path patterns: `*` is one segment, `**` one or more at the end.
    pub paths: Vec<String>,
    /// Why, for people.
    pub why: Option<String>,
}

/// A host that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// `https` or `http`.
    pub scheme: String,
    /// Lower-case A-label host name; without the `*.` of a wildcard.
    pub host: String,
    /// True: any name below `host`, but not `host`.
    pub below: bool,
    /// The port; the scheme's default if none was written.
    pub port: u16,
}

/// A wish to use a secret, which the host fills in or signs with; the plugin knows its name only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantSecret {
    /// The plugin cannot work without it.
    pub required: bool,
    /// For what: `http-header:NAME`, `http-query:NAME`, `http-body`, `http-bearer`, `http-basic`,
    /// `hmac-sha1`, `hmac-sha256`, `hmac-sha384`, `hmac-sha512`, `exec-stdin`, `pkcs12`.
    pub uses: Vec<String>,
    /// Hosts (without scheme) it may be sent to; empty for none.
    pub hosts: Vec<String>,
    /// For people.
    pub description: Option<String>,
}

/// A wish to write files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantFiles {
    /// For people.
    pub purpose: String,
    /// False for one that it works without.
    pub required: bool,
}

/// A wish to run a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantExec {
    /// For people.
    pub purpose: String,
    /// Placeholders it may fill, with a pattern for each value.
    pub parameters: BTreeMap<String, String>,
}

/// Bounds of one call. None: the host's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory: Option<u64>,
    /// Wall-clock time of one call.
    pub call: Option<Duration>,
    /// Time on the processor of one call.
    pub cpu: Option<Duration>,
    /// HTTP requests of one call.
    pub http_calls: Option<u32>,
    /// Bytes of one HTTP answer.
    pub body: Option<u64>,
    /// How many requests the provider takes, where that is not what the manifest says: another tariff, or an
    /// account that others use as well. A wish has none.
    pub rate: Option<Limit>,
}

/// Facts about a DNS provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DnsFacts {
    /// Most records in one call; none for no limit.
    pub batch: Option<u32>,
    /// True: one call of this instance at a time.
    pub serial: bool,
    /// How many requests it takes.
    pub rate: Option<ProviderRate>,
}

/// How many requests a provider takes for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRate {
    /// So many.
    pub requests: u32,
    /// In any stretch of so much time.
    pub per: Duration,
    /// The header of an answer that says how many are left, whoever has used the others.
    pub remaining: Option<String>,
}

/// What the operator lets a plugin instance touch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grants {
    /// `grants.http`: for an embedded plugin this replaces the hosts of its wishes; for a foreign
    /// one it is all it gets.
    pub http: Option<GrantHttp>,
    /// `grants.files.PURPOSE`
    pub files: BTreeMap<String, GrantFiles>,
    /// `grants.exec.PURPOSE`
    pub exec: BTreeMap<String, GrantExec>,
    /// `grants.limits`: what the operator raised or lowered.
    pub limits: Limits,
}

/// `grants.http`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantHttp {
    /// Hosts that may be reached.
    pub hosts: Vec<HostPattern>,
    /// Private address ranges that those hosts may resolve to.
    pub private: Vec<AddressRange>,
    /// PEM roots for those hosts, besides the system's.
    pub trust: Option<PathBuf>,
}

/// `grants.files.PURPOSE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFiles {
    /// The folder; absolute.
    pub dir: PathBuf,
    /// Owner by name or number; none: as it is, or the engine's.
    pub owner: Option<String>,
    /// Group likewise.
    pub group: Option<String>,
    /// Mode bits of files without private keys, and of those with, unless `key_mode` says else.
    pub mode: Option<u32>,
    /// Mode bits of files that hold a private key. Default 0600, or `mode` if written.
    pub key_mode: Option<u32>,
    /// Windows: entries as in `SYSTEM:full`.
    pub acl: Vec<String>,
}

/// `grants.exec.PURPOSE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantExec {
    /// The command and its arguments, with `{placeholders}`; the first is absolute.
    pub argv: Vec<String>,
    /// Time for it.
    pub timeout: Duration,
}
