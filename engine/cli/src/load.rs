//! From the command line to settings: which file, what it includes, what its plugins say of
//! themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::ca::EabSource;
use waxwing_core::document::problem::Problem;
use waxwing_core::name::CertificateName;
use waxwing_core::notify::{Way, WebhookUrl};
use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::raw::{Raw, SourceFile};
use waxwing_core::settings::resolve::{Catalog, ConfigErrors, NO_CERTIFICATE, resolve};
use waxwing_core::settings::{PluginSource, SecretRef, Settings, raw};
use waxwing_flow::audit::{AuditLog, AuditTrail};
use waxwing_flow::ports::{Clock as _, Entropy as _};
use waxwing_flow::scheduler;
use waxwing_host::section;
use waxwing_io::audit::{self, AuditFile, Header, Place};
use waxwing_io::clock::SystemClock;
use waxwing_io::config::{self, ConfigFileError};
use waxwing_io::entropy::SystemEntropy;
use waxwing_io::permission;

use crate::args::Global;
use crate::embedded::EMBEDDED;
use crate::log::Log;

/// What is known of each plugin, or why nothing is.
type Manifests = BTreeMap<PluginSource, Result<Manifest, String>>;

/// A configuration, ready to be wired.
pub(crate) struct Loaded {
    /// What the operator wants.
    pub(crate) settings: Settings,
    /// The bytes of every component that the configuration names.
    pub(crate) components: BTreeMap<PluginSource, Vec<u8>>,
    /// The main file.
    pub(crate) config: PathBuf,
    /// Patterns of its `include` that match files, and the certificates in these.
    pub(crate) matched: BTreeMap<String, BTreeSet<CertificateName>>,
    /// Patterns of its `include` that no file matches.
    pub(crate) unmatched: Vec<String>,
    /// Of all patterns in whose folder are files with other names: the certificates in these.
    pub(crate) unlike: BTreeMap<String, BTreeSet<CertificateName>>,
    /// Patterns with files in which nothing stands.
    pub(crate) blank: BTreeSet<String>,
    /// The state folder.
    pub(crate) state: PathBuf,
    /// Everything that is done is entered here.
    pub(crate) audit: Arc<AuditTrail>,
    /// Where it is written, if the operator wants that.
    pub(crate) trail: Option<Arc<AuditFile>>,
    /// The log of the process.
    pub(crate) log: Log,
}

impl Loaded {
    /// This process changes something, or hands something out: a trail and a log that are not there are
    /// made.
    pub(crate) fn begin_records(&self) {
        self.log.begin();
        if let Some(trail) = &self.trail {
            trail.begin();
        }
    }

    /// The same, in whose place an earlier configuration was: what was entered there before is entered
    /// where this one says.
    pub(crate) fn with_trail_of(self, earlier: &Self) -> Self {
        let audit = Arc::clone(&earlier.audit);
        audit.write_to(self.trail.clone().map(|trail| trail as Arc<dyn AuditLog>));
        self.begin_records();
        Self { audit, ..self }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A file cannot be read.
    #[error("{0}")]
    File(ConfigFileError),
    /// The files say something that cannot be.
    #[error("{0}")]
    Config(ConfigErrors),
    /// Who may write the configuration may run commands, so only its owner may.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Writable(Vec<ForeignConfig>),
    /// A program that the configuration has run could be changed by others.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Programs(Vec<ForeignProgram>),
    /// Rights that this system does not have.
    #[error("{}", .0.join("\n"))]
    Rights(Vec<String>),
}

/// A file of the configuration that others can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignConfig {
    /// Its path as written.
    pub(crate) file: PathBuf,
    /// Itself, what it leads to, or a folder on the way: what is open to others.
    pub(crate) open: PathBuf,
}

impl fmt::Display for ForeignConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, open) = (self.file.display(), self.open.display());
        write!(f, "others can write {open}")?;
        if self.file != self.open {
            let place = if self.open.is_dir() {
                "a folder on the way to"
            } else {
                "to which a link leads from"
            };
            write!(f, ", {place} {file}")?;
        }
        write!(
            f,
            "; whoever can write the configuration can run commands\n  hint: it must belong to root \
             or to the user that runs waxwing: chown it, chmod go-w {open}"
        )
    }
}

/// A program of the configuration that others can change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "others can change {program}, which {key} runs; whoever can change it can run commands here\n  \
     hint: it must belong to root or to the user that runs waxwing: chown it, chmod go-w {program} \
     and its folder",
    program = .program.display()
)]
pub(crate) struct ForeignProgram {
    /// Where it stands: `plugin.web.grants.exec.test`.
    pub(crate) key: String,
    /// Its path as written.
    pub(crate) program: PathBuf,
}

/// Reads the configuration of this command line and refuses one that others can write.
pub(crate) fn load(global: &Global) -> Result<Loaded, LoadError> {
    load_as(global, false)
}

/// The same for verbs that only look: a configuration may ask for no certificate any more, and what was issued
/// is still there.
pub(crate) fn load_to_look(global: &Global) -> Result<Loaded, LoadError> {
    load_as(global, true)
}

fn load_as(global: &Global, may_be_empty: bool) -> Result<Loaded, LoadError> {
    let loaded = read(global, may_be_empty)?;
    // A component that others can write is caught by its pin.
    let open = |file: &PathBuf| permission::open_to_others(file).ok().flatten();
    let writable: Vec<ForeignConfig> = loaded
        .settings
        .files
        .iter()
        .filter_map(|file| {
            Some(ForeignConfig {
                open: open(file)?,
                file: file.clone(),
            })
        })
        .collect();
    if !writable.is_empty() {
        return Err(LoadError::Writable(writable));
    }
    let rights = foreign_rights(&loaded.settings, cfg!(windows));
    if !rights.is_empty() {
        return Err(LoadError::Rights(rights));
    }
    global.process.log.apply(&loaded.settings.log);
    Ok(loaded)
}

/// Refuses to go on if others can change a program that a run would start.
pub(crate) fn refuse_foreign_programs(settings: &Settings) -> Result<(), LoadError> {
    let found = foreign_programs(settings);
    if found.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Programs(found))
    }
}

/// The programs of granted commands, of notifiers and of secrets that others can change.
pub(crate) fn foreign_programs(settings: &Settings) -> Vec<ForeignProgram> {
    let mut programs: Vec<(String, &str)> = Vec::new();
    for plugin in settings.plugins.values() {
        let name = &plugin.name;
        for (purpose, grant) in &plugin.grants.exec {
            let program = grant.argv.first().map(String::as_str);
            programs.extend(program.map(|p| (format!("plugin.{name}.grants.exec.{purpose}"), p)));
        }
    }
    for notifier in settings.notify.values() {
        if let Way::Command(argv) = &notifier.way {
            let key = format!("notify.{}.command", notifier.name);
            programs.extend(argv.first().map(|program| (key, program.as_str())));
        }
    }
    for (key, reference) in secrets(settings) {
        if let SecretRef::Command(argv) = reference {
            programs.extend(argv.first().map(|program| (key, program.as_str())));
        }
    }
    let foreign = programs.into_iter().filter(|(_, program)| {
        let open = permission::open_to_others(Path::new(program));
        open.is_ok_and(|open| open.is_some())
    });
    foreign
        .map(|(key, program)| ForeignProgram {
            key,
            program: PathBuf::from(program),
        })
        .collect()
}

/// Every reference to a secret that a run may need, with its place: those of plugins, of the
/// account, of the daemon's page, of notifiers, and of the CAs that certificates name or rehearse at.
pub(crate) fn secrets(settings: &Settings) -> Vec<(String, &SecretRef)> {
    let mut found = Vec::new();
    for plugin in settings.plugins.values() {
        let of_plugin = plugin.secrets.iter();
        found.extend(of_plugin.map(|(secret, reference)| {
            (
                format!("plugin.{}.secrets.{secret}", plugin.name),
                reference,
            )
        }));
    }
    let key = settings.account.key.iter();
    found.extend(key.map(|reference| ("account.key".to_owned(), reference)));
    let token = settings.metrics.token.iter();
    found.extend(token.map(|reference| ("metrics.token".to_owned(), reference)));
    for notifier in settings.notify.values() {
        let key = |of: &str| format!("notify.{}.{of}", notifier.name);
        match &notifier.way {
            Way::Mail(mail) => {
                let login = mail.login.iter();
                found.extend(login.map(|login| (key("login.password"), &login.password)));
            }
            Way::Webhook(hook) => {
                if let WebhookUrl::Secret(reference) = &hook.url {
                    found.push((key("webhook"), reference));
                }
                let header = hook.header.iter();
                found.extend(header.map(|header| (key("header.secret"), &header.secret)));
            }
            Way::Command(_) | Way::Log => {}
        }
    }
    let mut cas = settings.used_cas();
    for ca in cas.clone() {
        let rehearsal = settings.cas.get(&ca).and_then(|ca| ca.rehearse_at.clone());
        cas.extend(rehearsal.filter(|other| !cas.contains(other)));
    }
    for profile in cas.iter().filter_map(|ca| settings.cas.get(ca)) {
        match &profile.eab.source {
            EabSource::None => {}
            EabSource::Given { hmac_key, .. } => {
                found.push((format!("ca.{}.eab.hmac-key", profile.name), hmac_key));
            }
            EabSource::Obtain(obtain) => {
                let key = obtain.api_key.iter();
                found.extend(key.map(|key| (format!("ca.{}.eab.api-key", profile.name), key)));
            }
        }
    }
    found
}

/// Grants of files with rights that this kind of system does not have: they would be ignored.
fn foreign_rights(settings: &Settings, windows: bool) -> Vec<String> {
    let mut found = Vec::new();
    for plugin in settings.plugins.values() {
        for (purpose, grant) in &plugin.grants.files {
            let written = [
                ("owner", grant.owner.is_some()),
                ("group", grant.group.is_some()),
                ("mode", grant.mode.is_some()),
                ("key-mode", grant.key_mode.is_some()),
            ];
            let unix = written.iter().filter(|(_, there)| *there);
            let unix: Vec<&str> = unix.map(|(key, _)| *key).collect();
            let key = format!("plugin.{}.grants.files.{purpose}", plugin.name);
            if windows && !unix.is_empty() {
                found.push(format!(
                    "{key}: {} cannot be set on Windows\n  hint: acl = [\"SYSTEM:full\", \
                     \"Administrators:full\"] says who may do what there",
                    unix.join(", ")
                ));
            } else if !windows && !grant.acl.is_empty() {
                found.push(format!(
                    "{key}: acl can be set on Windows only\n  hint: owner = \"root\", group = \
                     \"nginx\", mode = \"0640\" say who may do what here"
                ));
            }
        }
    }
    found
}

/// The same for verbs that have something to say without a configuration: none if no file was named
/// and there is none in the usual place.
pub(crate) fn load_if_any(global: &Global) -> Result<Option<Loaded>, LoadError> {
    if global.config.is_none() && !config::usual_config().exists() {
        return Ok(None);
    }
    load(global).map(Some)
}

/// Reads the configuration of this command line.
fn read(global: &Global, may_be_empty: bool) -> Result<Loaded, LoadError> {
    let main = global.config.clone().unwrap_or_else(config::usual_config);
    let sources = config::read_sources(&main).map_err(|mut error| {
        if global.config.is_some() && matches!(main.try_exists(), Ok(false)) {
            error.hint = Some(format!(
                "check the path; without -c and WAXWING_CONFIG the file is {}",
                config::usual_config().display()
            ));
        }
        LoadError::File(error)
    })?;
    let mut raw = raw::parse(&sources.files);
    raw.miss(&sources.missing);
    let (manifests, components) = read_plugins(&raw);
    let catalog = Catalog {
        may_be_empty,
        ..catalog(manifests)
    };
    let mut settings = resolve(&raw, &catalog).map_err(|mut errors| {
        // What may be the reason why there is none.
        let none = |one: &&mut Problem| one.message == NO_CERTIFICATE;
        if let (Some(pattern), Some(problem)) =
            (sources.unmatched.first(), errors.0.iter_mut().find(none))
        {
            problem.message = format!(
                "{NO_CERTIFICATE}, and no file matches the pattern {pattern:?} of `include`"
            );
        }
        LoadError::Config(errors)
    })?;
    let unmatched = sources.unmatched.iter();
    let unmatched =
        unmatched.map(|pattern| format!("no file matches the pattern {pattern:?} of `include`"));
    let blank = sources.blank.values().flatten();
    let blank = blank.map(|file| format!("nothing stands in {file}, which `include` names"));
    settings.warnings.extend(unmatched.chain(blank));
    let state = state_of(global, &settings);
    let trail = settings.log.audit.as_ref().map(|file| {
        let place = Place {
            file: file.clone(),
            state: state.clone(),
        };
        let files = sources.files.iter();
        let files = files.map(|file| (file.path.as_path(), file.text.as_str()));
        let header = Header {
            who: global.process.who(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: audit::digest_of_files(files),
        };
        Arc::new(AuditFile::new(place, header, Arc::new(SystemClock)))
    });
    let audit = AuditTrail::default();
    audit.write_to(trail.clone().map(|trail| trail as Arc<dyn AuditLog>));
    audit.begin(run_id());
    Ok(Loaded {
        settings,
        components,
        config: main,
        matched: matched(sources.matched, &raw),
        unmatched: sources.unmatched,
        unlike: sources.unlike,
        blank: sources.blank.into_keys().collect(),
        state,
        audit: Arc::new(audit),
        trail,
        log: global.process.log.clone(),
    })
}

/// What the files of the configuration say now, in one number; none if one of them cannot be read.
pub(crate) fn digest(global: &Global) -> Option<String> {
    let main = global.config.clone().unwrap_or_else(config::usual_config);
    let sources = config::read_sources(&main).ok()?;
    let files = sources.files.iter();
    let files = files.map(|file| (file.path.as_path(), file.text.as_str()));
    let all = sources.missing.is_empty();
    all.then(|| audit::digest_of_files(files))
}

/// As much of a configuration that cannot be used as is needed to tell somebody so; none if that cannot be used either,
/// or others can change it.
///
/// Also answers which certificates it names; none if that is not known.
pub(crate) fn load_to_tell(global: &Global) -> Option<(Loaded, Option<Vec<CertificateName>>)> {
    let main = global.config.clone().unwrap_or_else(config::usual_config);
    let sources = config::read_sources(&main).ok()?;
    let raw = raw::parse(&sources.files);
    let catalog = Catalog {
        may_be_empty: true,
        ..catalog(embedded_manifests())
    };
    let settings = resolve(&raw.to_tell(&[]), &catalog)
        .or_else(|errors| resolve(&raw.to_tell(&errors.0), &catalog));
    let settings = settings.ok().filter(|found| !found.notify.is_empty())?;
    let open = |file: &PathBuf| permission::open_to_others(file).ok().flatten();
    if settings.files.iter().any(|file| open(file).is_some()) {
        return None;
    }
    refuse_foreign_programs(&settings).ok()?;
    let audit = AuditTrail::default();
    audit.begin(run_id());
    let loaded = Loaded {
        state: state_of(global, &settings),
        settings,
        components: BTreeMap::new(),
        config: std::path::absolute(&main).unwrap_or(main),
        matched: matched(sources.matched, &raw),
        unmatched: sources.unmatched,
        unlike: sources.unlike,
        blank: sources.blank.into_keys().collect(),
        audit: Arc::new(audit),
        trail: None,
        log: global.process.log.clone(),
    };
    // What is in files that are not there nobody knows.
    let all = sources.missing.is_empty();
    let names = raw.certificates().filter(|_| all);
    let names = names.map(|all| all.into_iter().map(|(_, name)| name).collect());
    Some((loaded, names))
}

/// Which certificates are in the files of each pattern of `include`; no names where they cannot be read.
fn matched(
    files: BTreeMap<String, Vec<String>>,
    raw: &Raw,
) -> BTreeMap<String, BTreeSet<CertificateName>> {
    let names = raw.certificates().unwrap_or_default();
    let pattern_of: BTreeMap<&Path, &String> = files
        .iter()
        .flat_map(|(pattern, files)| files.iter().map(move |file| (Path::new(file), pattern)))
        .collect();
    let mut matched: BTreeMap<String, BTreeSet<CertificateName>> = files
        .keys()
        .map(|pattern| (pattern.clone(), BTreeSet::new()))
        .collect();
    for (file, name) in names {
        let pattern = pattern_of.get(file);
        if let Some(names) = pattern.and_then(|pattern| matched.get_mut(*pattern)) {
            names.insert(name);
        }
    }
    matched
}

fn state_of(global: &Global, settings: &Settings) -> PathBuf {
    let named = global.state_dir.clone();
    named
        .or_else(|| settings.state.dir.clone())
        .unwrap_or_else(config::usual_state)
}

/// The name of a run that begins now.
pub(crate) fn run_id() -> String {
    scheduler::run_id(SystemClock.now(), SystemEntropy.number())
}

/// What a configuration is judged against.
fn catalog(manifests: Manifests) -> Catalog {
    Catalog {
        may_be_empty: false,
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests,
        zones: jiff::tz::TimeZoneDatabase::from_env(),
        here: jiff::tz::TimeZone::system(),
        real: config::real_path,
    }
}

/// What is wrong with the text of a configuration that stands alone at `path`.
pub(crate) fn mistakes(path: &Path, text: &str) -> Vec<String> {
    let file = SourceFile {
        path: path.to_owned(),
        shown: config::FILE_NAME.to_owned(),
        text: text.to_owned(),
    };
    let raw = raw::parse(&[file]);
    let (manifests, _) = read_plugins(&raw);
    match resolve(&raw, &catalog(manifests)) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            let said = errors.0.iter();
            said.map(|problem| format!("{}: {}", problem.key, problem.message))
                .collect()
        }
    }
}

/// The manifests of every embedded component and of every file that is named, and what these files hold.
fn read_plugins(raw: &raw::Raw) -> (Manifests, BTreeMap<PluginSource, Vec<u8>>) {
    let mut components = BTreeMap::new();
    let mut manifests = embedded_manifests();
    for source in raw.plugin_sources() {
        match component(&source) {
            Some(Ok(bytes)) => {
                manifests.insert(source.clone(), manifest(&bytes, &source));
                components.insert(source, bytes);
            }
            Some(Err(cause)) => {
                manifests.insert(source, Err(cause));
            }
            // Not a component of ours; resolving says so, with the nearest right name.
            None => {}
        }
    }
    (manifests, components)
}

/// The manifest of every embedded component.
pub(crate) fn embedded_manifests() -> Manifests {
    EMBEDDED
        .iter()
        .map(|(id, bytes)| {
            let source = PluginSource::Embedded((*id).to_owned());
            let manifest = manifest(bytes, &source);
            (source, manifest)
        })
        .collect()
}

fn component(source: &PluginSource) -> Option<Result<Vec<u8>, String>> {
    match source {
        PluginSource::Embedded(id) => crate::embedded::find(id).map(|bytes| Ok(bytes.to_vec())),
        PluginSource::File { path, .. } => Some(config::read_component(path)),
    }
}

/// Reads the manifest and, for a file, checks the pin, so that nothing of another file counts.
fn manifest(bytes: &[u8], source: &PluginSource) -> Result<Manifest, String> {
    if let PluginSource::File { sha256, .. } = source {
        let found = waxwing_io::x509::sha256_hex(bytes);
        if found != *sha256 {
            return Err(format!(
                "the file is not the pinned one: its sha256 is {found}; if you trust it, pin that"
            ));
        }
    }
    let text = section::read_manifest(bytes).map_err(|error| error.to_string())?;
    let shown = match source {
        PluginSource::Embedded(id) => id.clone(),
        PluginSource::File { path, .. } => path.display().to_string(),
    };
    Manifest::parse(&shown, &text).map_err(|errors| errors.to_string())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is judged here are files")]
mod tests {
    use super::*;
    use crate::process::Process;

    fn global(config: PathBuf) -> Global {
        Global {
            config: Some(config),
            state_dir: None,
            json: false,
            verbose: 0,
            process: Process::default(),
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_configuration_of_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("waxwing.toml");
        std::fs::write(&main, "include = [\"c.d/*.toml\"]\n").expect("written");
        std::fs::create_dir(folder.path().join("c.d")).expect("made");
        let file = folder.path().join("c.d/shop.toml");
        let mut seen = Vec::new();
        for text in [&b"# one"[..], b"# two", b"# caf\xe9", b"# one"] {
            std::fs::write(&file, text).expect("written");
            seen.push(digest(&global(main.clone())));
        }
        assert!(seen[0].is_some() && seen[0] != seen[1] && seen[1].is_some());
        assert_eq!((&seen[2], &seen[3]), (&None, &seen[0]));
    }

    #[test]
    fn every_example_is_a_configuration_without_a_mistake() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).expect("the examples are there") {
            let path = entry.expect("a readable entry").path();
            if let Err(error) = read(&global(path.clone()), false) {
                panic!("{}: {error}", path.display());
            }
            seen += 1;
        }
        assert!(seen >= 5, "only {seen} examples");
    }

    #[test]
    fn rights_of_the_other_kind_of_system_are_refused_and_name_ours() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
        let mut seen = [0, 0];
        for entry in std::fs::read_dir(&folder).expect("the examples are there") {
            let path = entry.expect("a readable entry").path();
            let settings = read(&global(path), false).expect("a good example").settings;
            for (windows, other, ours) in [(false, ": acl ", "mode ="), (true, "mode", "acl =")] {
                for refusal in foreign_rights(&settings, windows) {
                    assert!(
                        refusal.contains(other) && refusal.contains(ours),
                        "{refusal}"
                    );
                    seen[usize::from(windows)] += 1;
                }
            }
        }
        assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_configuration_that_others_can_change_is_refused_by_what_is_open() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("its path");
        let folder = home.join("a/b");
        std::fs::create_dir_all(&folder).expect("made");
        let config = folder.join("waxwing.toml");
        std::fs::write(
            &config,
            include_str!("../../../tests/cases/config/good-nine-lines.toml"),
        )
        .expect("written");
        let link = home.join("link.toml");
        symlink(&config, &link).expect("a link");
        let set = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        for path in [&home, &home.join("a"), &folder] {
            set(path, 0o755);
        }
        set(&config, 0o644);
        let refused = |path: &Path| match load(&global(path.to_owned())) {
            Ok(_) => None,
            Err(LoadError::Writable(found)) => Some(found[0].open.clone()),
            Err(other) => panic!("{other}"),
        };
        assert_eq!((refused(&config), refused(&link)), (None, None));
        for (open, mode, safe) in [
            (&config, 0o666, 0o644),
            (&folder, 0o777, 0o755),
            (&home.join("a"), 0o777, 0o755),
            (&home.join("a"), 0o775, 0o755),
        ] {
            set(open, mode);
            assert_eq!(refused(&config).as_ref(), Some(open), "{mode:o}");
            assert_eq!(refused(&link).as_ref(), Some(open), "{mode:o}");
            set(open, safe);
        }
        set(&folder, 0o1777);
        assert_eq!(refused(&config), None);
        // A link in the middle of a chain: whoever can change it leads somewhere else.
        let (open, chain) = (home.join("open"), home.join("chain"));
        std::fs::create_dir(&open).expect("made");
        symlink(&folder, open.join("hop")).expect("a link");
        symlink("open/hop", &chain).expect("a link");
        set(&open, 0o755);
        assert_eq!(refused(&chain.join("waxwing.toml")), None);
        set(&open, 0o777);
        assert_eq!(refused(&chain.join("waxwing.toml")), Some(open));
        let found = ForeignConfig {
            file: link,
            open: folder,
        };
        let text = found.to_string();
        assert!(text.contains("b, a folder on the way to "), "{text}");
        assert!(text.contains("\n  hint: "), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_others_can_change_is_named_with_its_place() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("waxwing.toml");
        let program = folder.path().join("vault");
        std::fs::write(&program, "").expect("written");
        let text = format!(
            r#"[account]
email = "a@example.com"
agree-terms = true
key = {{ command = ["{0}"] }}
[plugin.cloudflare]
secrets.token = "file:token"
[plugin.server]
uses = "install-files"
grants.files.certs.dir = "/tls"
grants.exec.reload.argv = ["{0}"]
[[certificate]]
domains = ["example.com"]
"#,
            program.display()
        );
        std::fs::write(&config, text).expect("written");
        for (mode, count) in [(0o755, 0), (0o775, 2), (0o757, 2)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&program, mode).expect("set");
            let settings = match read(&global(config.clone()), false) {
                Ok(loaded) => loaded.settings,
                Err(error) => panic!("{error}"),
            };
            let found = foreign_programs(&settings);
            assert_eq!(found.len(), count, "{found:?}");
            let keys: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
            let want = ["plugin.server.grants.exec.reload", "account.key"];
            assert_eq!(keys, want[..count]);
        }
    }

    #[test]
    fn every_embedded_component_has_a_manifest() {
        for (source, manifest) in embedded_manifests() {
            assert_eq!(manifest.err(), None, "{source:?}");
        }
    }
}
