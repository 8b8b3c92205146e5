//! From the tables of the configuration to [`Settings`], or to every mistake in them at once.
//!
//! Each part reads its own section and goes on behind a mistake; what a mistake makes unknown is
//! not reported a second time where it is used.

pub(crate) mod account;
mod cas;
mod certificates;
mod collisions;
mod log;
mod metrics;
mod network;
mod notify;
pub(crate) mod plugins;
mod renewal;

pub use self::certificates::NO_CERTIFICATE;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::raw::Raw;
use super::{PluginSource, Settings};
use crate::ca::CaProfile;
use crate::document::problem::{Problem, Problems};
use crate::document::section::{KeyPath, Section};
use crate::name::CaName;
use crate::plugin::Manifest;

/// What the configuration is judged against.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The shipped profiles.
    pub profiles: BTreeMap<CaName, CaProfile>,
    /// What a CA that the operator defines starts from.
    pub template: CaProfile,
    /// The manifest, or why there is none, of every embedded plugin and of every file that
    /// [`Raw::plugin_sources`] names.
    pub manifests: BTreeMap<PluginSource, Result<Manifest, String>>,
    /// The time zones that windows may name.
    pub zones: TimeZoneDatabase,
    /// The time zone of windows that name none: this machine's.
    pub here: TimeZone,
    /// Where a folder really is, behind links; none if it cannot be known. Two names of one folder
    /// must not hide that two installers write one file.
    pub real: fn(&Path) -> Option<PathBuf>,
    /// True for whoever only looks at what is there: of a configuration that asks for no certificate any more,
    /// too. A run without one is a mistake.
    pub may_be_empty: bool,
}

impl Catalog {
    /// The ids of the plugins inside the binary.
    pub(crate) fn embedded(&self) -> impl Iterator<Item = &str> {
        self.manifests.keys().filter_map(|source| match source {
            PluginSource::Embedded(id) => Some(id.as_str()),
            PluginSource::File { .. } => None,
        })
    }
}

/// Everything that is wrong with a configuration, in the order of files and lines.
///
/// `Display` is the whole text for people, without the leading `error:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in the configuration; nothing was done")?;
        for problem in &self.0 {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

/// Judges the configuration.
///
/// # Errors
///
/// Every mistake, each with its file, line, key and, where one can be given, what to write instead.
/// If a file is not TOML only that is reported: nothing else could be said for certain.
pub fn resolve(raw: &Raw, catalog: &Catalog) -> Result<Settings, ConfigErrors> {
    if raw.broken {
        let mut syntax = raw.problems.clone();
        syntax.retain(|problem| problem.key == crate::document::NOT_TOML);
        return Err(ConfigErrors(in_order(raw, syntax)));
    }
    let problems = Problems::with(raw.problems.clone());
    let settings = read(raw, catalog, &problems);
    let found = problems.into_list();
    if found.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigErrors(in_order(raw, found)))
    }
}

/// Reads everything, as far as it goes, and notes every mistake.
pub(super) fn read(raw: &Raw, catalog: &Catalog, problems: &Problems) -> Settings {
    let root = Section::new(&raw.table, raw.main.clone(), KeyPath::root(), problems);
    // Read by the caller before; its shape is judged here.
    root.texts("include", r#"["certs.d/*.toml"]"#);

    let mut warnings = Vec::new();
    let account = account::read(&root, raw);
    let state = account::read_state(&root, raw);
    let network = network::read(&root, raw);
    let cas = cas::read(&root, raw, catalog, account.settings.email.as_deref());
    let plugins = plugins::read(&root, raw, catalog);
    let certificates = certificates::read(&root, &cas, &plugins, catalog, &mut warnings);
    let failover = renewal::failover(&root);
    let log = log::read(&root, raw, &plugins, catalog);
    let metrics = metrics::read(&root, raw);
    let notify = notify::read(&root, raw);
    cas::check_use(&cas, &certificates, &account, problems);
    collisions::check(&certificates, &plugins, catalog.real, problems);

    root.finish(MEANT);
    Settings {
        account: account.settings,
        state,
        network,
        failover,
        log,
        metrics,
        notify,
        cas: cas.profiles,
        plugins: plugins.settings,
        certificates: certificates.into_iter().map(|read| read.settings).collect(),
        files: raw.files.clone(),
        warnings,
    }
}

/// First-level keys of other programs, or of the wrong number.
const MEANT: &[(&str, &str)] = &[
    ("certificates", "one [[certificate]] for each"),
    ("domains", "[[certificate]], then domains = [...] below it"),
    (
        "email",
        "[account], then email = \"you@example.com\" below it",
    ),
    ("plugins", "[plugin.NAME] for each"),
    ("logging", "[log]"),
    ("audit", "[log], then audit = \"...\" below it"),
    (
        "server",
        "ca = [\"NAME\"] in [defaults]; [ca.NAME] directories = [...] for one of your own",
    ),
];

/// Sorts by file, the main one first, then line and column, and drops doubles.
fn in_order(raw: &Raw, mut found: Vec<Problem>) -> Vec<Problem> {
    let rank = |problem: &Problem| problem.at.file != raw.main.file;
    found.sort_by(|a, b| {
        (rank(a), &a.at, &a.key, &a.message).cmp(&(rank(b), &b.at, &b.key, &b.message))
    });
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::profiles;
    use crate::settings::raw::{self, SourceFile};
    use crate::settings::{Propagation, SecretRef};

    fn profile(name: &str, rank: Option<u32>) -> CaProfile {
        CaProfile {
            name: CaName::parse(name).expect("a literal name"),
            default_rank: rank,
            ..profiles::template()
        }
    }

    fn catalog() -> Catalog {
        let text = r#"manifest = 1
id = "some-dns"
version = "1.0.0"
world = "waxwing:plugin/dns-plugin@0.1"
summary = "an example"
[want.secret.token]
use = ["hmac-sha1"]
"#;
        let manifest = Manifest::parse("plugin.toml", text).expect("a literal manifest");
        let profiles = [
            profile("second", Some(2)),
            profile("first", Some(1)),
            profile("third", None),
        ];
        Catalog {
            may_be_empty: false,
            profiles: profiles.into_iter().map(|p| (p.name.clone(), p)).collect(),
            template: profile("template", None),
            manifests: BTreeMap::from([(
                PluginSource::Embedded("some-dns".to_owned()),
                Ok(manifest),
            )]),
            zones: TimeZoneDatabase::bundled(),
            here: TimeZone::UTC,
            real: |_| None,
        }
    }

    #[test]
    fn nine_lines_are_enough() {
        let text = r#"[account]
email = "you@example.com"
agree-terms = true

[plugin.some-dns]
secrets = { token = "file:token" }

[[certificate]]
domains = ["*.example.com", "example.com"]
"#;
        let raw = raw::parse(&[SourceFile {
            path: PathBuf::from("/etc/waxwing/waxwing.toml"),
            shown: "waxwing.toml".to_owned(),
            text: text.to_owned(),
        }]);
        assert_eq!(
            raw.plugin_sources(),
            [PluginSource::Embedded("some-dns".to_owned())]
        );
        let settings = resolve(&raw, &catalog()).expect("a good configuration");
        let certificate = &settings.certificates[0];
        assert_eq!(certificate.name.as_str(), "example.com");
        let cas: Vec<_> = certificate.cas.iter().map(CaName::as_str).collect();
        assert_eq!(cas, ["first", "second"]);
        assert!(!certificate.days_after_issue.written);
        assert_eq!(settings.network.propagation, Propagation::Authoritative);
        let plugin = settings.plugins.values().next().expect("one plugin");
        assert_eq!(
            plugin.secrets["token"],
            SecretRef::File(PathBuf::from("/etc/waxwing/token"))
        );
    }
}
