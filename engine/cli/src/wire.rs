//! The only file that names concrete adapters: behind each port of the flow stands one of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::http::host_of;
use waxwing_core::name::{NotifierName, PluginName};
use waxwing_core::notify::{Way, WebhookUrl};
use waxwing_core::secret::Secret;
use waxwing_core::settings::{PluginSettings, PluginSource};
use waxwing_flow::audit::Act;
use waxwing_flow::audit::watched::{WatchedKeys, WatchedNotifier, WatchedSecrets};
use waxwing_flow::driver::{ConfiguredInstaller, Ports};
use waxwing_flow::notify::{Delivered, Listener, Message};
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};
use waxwing_flow::ports::{
    History, Notifier, NotifyError, SecretError, SecretSource as _, StoreError, StoreErrorKind,
};
use waxwing_flow::report::Observer;
use waxwing_flow::session::SessionPorts;
use waxwing_host::host::{CompileCache, HostOptions, Loaded as LoadedPlugin, PluginHost};
use waxwing_host::pkcs12::{Pkcs12, Pkcs12Contents, Pkcs12Profile};
use waxwing_io::clock::SystemClock;
use waxwing_io::entropy::SystemEntropy;
use waxwing_io::history::SqliteHistory;
use waxwing_io::http::HttpSender;
use waxwing_io::keys::LocalKeys;
use waxwing_io::notify::{self, Means, SEND};
use waxwing_io::permission;
use waxwing_io::pkcs12;
use waxwing_io::propagation::DnsProbe;
use waxwing_io::secrets::LocalSecrets;
use waxwing_io::served::TlsProbe;
use waxwing_io::store::FileStore;

use crate::load::{self, Loaded};
use crate::render::progress::Live;
use crate::render::schedule::quote;

/// The engine with everything behind its ports.
pub(crate) struct Wired {
    /// What the flow acts through.
    pub(crate) ports: Ports,
    /// The loaded plugins.
    pub(crate) plugins: BTreeMap<PluginName, LoadedPlugin>,
    /// Plugins that cannot be used, and why: only the certificates that need them fail.
    pub(crate) unusable: Vec<Unusable>,
}

impl Unusable {
    /// The same for the report of a run.
    fn failure(&self) -> PluginFailure {
        match self {
            Self::Component(failure) => failure.clone(),
            Self::Secret {
                plugin,
                secret,
                error,
            } => PluginFailure {
                plugin: plugin.clone(),
                call: "load".to_owned(),
                kind: PluginFailureKind::Load,
                code: "plugin.secret".to_owned(),
                message: format!("secrets.{secret}: {error}"),
                hint: error.hint.clone(),
                http_status: None,
                details: Vec::new(),
                retry_after: None,
                account_wide: false,
                untouched: true,
                causes: Vec::new(),
            },
        }
    }

    /// Which plugin.
    pub(crate) const fn plugin(&self) -> &PluginName {
        match self {
            Self::Component(failure) => &failure.plugin,
            Self::Secret { plugin, .. } => plugin,
        }
    }
}

/// A plugin that cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// A secret of it cannot be read.
    Secret {
        /// Which plugin.
        plugin: PluginName,
        /// The secret, by the manifest's name.
        secret: String,
        /// Why.
        error: SecretError,
    },
    /// The component cannot be loaded.
    Component(PluginFailure),
}

/// The engine cannot work on this machine at all, whatever the certificate.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub(crate) struct WireError {
    /// What was tried.
    pub(crate) what: &'static str,
    /// Why it failed.
    pub(crate) cause: String,
}

/// What to do about a state folder that cannot be used.
const STATE_IS_ELSEWHERE: &str = "[state] dir, --state-dir or WAXWING_STATE names the state folder";

/// Opens the state folder to work with it, and makes it if it is not there.
pub(crate) fn store(loaded: &Loaded) -> Result<Arc<FileStore>, StoreError> {
    let opened = FileStore::open(&loaded.state, loaded.settings.state.keep_versions);
    // Whoever opens it is about to change something.
    loaded.begin_records();
    named(opened, loaded)
}

/// Opens the state folder for a verb that only looks: nothing is made.
pub(crate) fn look(loaded: &Loaded) -> Result<Arc<FileStore>, StoreError> {
    named(FileStore::look(&loaded.state), loaded)
}

/// Says who may do it or where the folder is named, unless there is something better to say.
fn named(
    opened: Result<FileStore, StoreError>,
    loaded: &Loaded,
) -> Result<Arc<FileStore>, StoreError> {
    let audited = opened.map(|store| store.audited(Arc::clone(&loaded.audit)));
    audited.map(Arc::new).map_err(|error| {
        let refused = error.kind == StoreErrorKind::Permission;
        let by_owner = refused.then(|| by_owner(&loaded.state)).flatten();
        StoreError {
            hint: by_owner
                .or(error.hint)
                .or_else(|| Some(STATE_IS_ELSEWHERE.to_owned())),
            ..error
        }
    })
}

/// The same command line, run by the user whom the state folder belongs to; none if that is this one.
pub(crate) fn by_owner(state: &Path) -> Option<String> {
    let owner = permission::owner(state).ok().flatten()?;
    if owner.is_us {
        return None;
    }
    let words: Vec<String> = std::env::args_os()
        .map(|word| quote(&word.to_string_lossy()))
        .collect();
    let line = words.join(" ");
    Some(if owner.is_root {
        format!("sudo {line}")
    } else {
        format!("sudo -u {} {line}", quote(&owner.name))
    })
}

/// Opens what earlier runs have learnt, to add to it as far as there is room.
pub(crate) fn history(store: &FileStore) -> Result<Arc<SqliteHistory>, StoreError> {
    SqliteHistory::open_or_copy(store.root()).map(Arc::new)
}

/// Where compiled components are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiled {
    /// In a folder of the state folder, which is made.
    Kept,
    /// Only if that folder is there already.
    InPlace,
}

/// Everything that talking to a CA needs, without any plugin.
pub(crate) fn session(loaded: &Loaded, store: Arc<FileStore>) -> Result<SessionPorts, WireError> {
    let machine = |what, cause: &dyn std::fmt::Display| WireError {
        what,
        cause: cause.to_string(),
    };
    let http = HttpSender::new(&loaded.settings.network);
    let user_agent = user_agent();
    Ok(SessionPorts {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        http: Arc::new(http.map_err(|error| machine("failed to use [network] proxy", &error))?),
        keys: Arc::new(WatchedKeys {
            keys: LocalKeys,
            audit: Arc::clone(&loaded.audit),
        }),
        store,
        secrets: Arc::new(secrets(loaded)),
        user_agent: user_agent.map_err(|cause| machine("failed to name ourselves", &cause))?,
        sent: Arc::default(),
    })
}

/// Where secrets come from; each that is read is entered in the audit trail.
pub(crate) fn secrets(loaded: &Loaded) -> WatchedSecrets<LocalSecrets> {
    let keys = load::secrets(&loaded.settings).into_iter();
    WatchedSecrets {
        secrets: LocalSecrets,
        keys: keys
            .map(|(key, reference)| (key, reference.clone()))
            .collect(),
        audit: Arc::clone(&loaded.audit),
    }
}

/// Puts an adapter behind every port and loads the plugins.
pub(crate) fn wire(
    loaded: &Loaded,
    store: Arc<FileStore>,
    history: Arc<SqliteHistory>,
    compiled: Compiled,
    observer: Arc<dyn Observer>,
) -> Result<Wired, WireError> {
    let machine = |what, cause: &dyn std::fmt::Display| WireError {
        what,
        cause: cause.to_string(),
    };
    let session = session(loaded, Arc::clone(&store))?;
    let audit = Arc::clone(&loaded.audit);
    let probe = DnsProbe::new(&loaded.settings.network);
    let host = PluginHost::new(HostOptions {
        cache: match compiled {
            Compiled::Kept => store.cache("components").ok(),
            Compiled::InPlace => store.cache_in_place("components"),
        }
        .map(|dir| CompileCache {
            dir,
            key: store.components_key(),
        }),
        backups_dir: store.backups(),
        http: Arc::clone(&session.http),
        clock: Arc::clone(&session.clock),
        history: Some(Arc::clone(&history) as Arc<dyn History>),
        audit: Arc::clone(&audit),
        pkcs12: Arc::new(Pkcs12Files),
        run_id: audit.run().unwrap_or_default(),
    })
    .map_err(|error| machine("failed to start the plugin host", &error))?;

    let mut plugins = BTreeMap::new();
    let mut unusable = Vec::new();
    for (name, settings) in &loaded.settings.plugins {
        match load_plugin(&host, loaded, settings) {
            Ok(plugin) => {
                plugins.insert(name.clone(), plugin);
            }
            Err(why) => unusable.extend(why),
        }
    }
    let dns = plugins
        .iter()
        .filter_map(|(name, plugin)| Some((name.clone(), plugin.dns()?)))
        .collect();
    let installers = plugins
        .iter()
        .filter_map(|(name, plugin)| {
            let configured = ConfiguredInstaller {
                installer: plugin.installer()?,
                settings: loaded.settings.plugins.get(name).map(digest)?,
            };
            Some((name.clone(), configured))
        })
        .collect();
    let mut reasons: BTreeMap<PluginName, Vec<PluginFailure>> = BTreeMap::new();
    for why in &unusable {
        let of_plugin = reasons.entry(why.plugin().clone()).or_default();
        of_plugin.push(why.failure());
    }
    let ports = Ports {
        unusable: reasons,
        session,
        history,
        probe: Arc::new(probe),
        dns,
        installers,
        served: Arc::new(TlsProbe::new().map_err(|error| machine("failed to set TLS up", &error))?),
        audit,
        observer,
    };
    Ok(Wired {
        ports,
        plugins,
        unusable,
    })
}

/// Puts an adapter behind every notifier.
pub(crate) fn listeners(
    loaded: &Loaded,
    live: &Arc<Live>,
) -> Result<BTreeMap<NotifierName, Listener>, WireError> {
    let settings = &loaded.settings;
    let http = HttpSender::new(&settings.network).map_err(|error| WireError {
        what: "failed to use [network] proxy",
        cause: error.to_string(),
    })?;
    let means = Means {
        http: Arc::new(http),
        secrets: Arc::new(secrets(loaded)),
        trust: settings.network.trust.clone(),
        host: notify::host_name(),
        user_agent: our_name(),
    };
    let all = settings.notify.iter();
    Ok(all
        .map(|(name, one)| {
            let listener = Listener {
                on: one.on.clone(),
                notifier: Arc::new(WatchedNotifier {
                    notifier: Arc::new(Shown {
                        notifier: notify::notifier(one, &means),
                        name: name.clone(),
                        what: what_it_does(&one.way),
                        live: Arc::clone(live),
                    }),
                    name: name.clone(),
                    way: one.way.as_str(),
                    audit: Arc::clone(&loaded.audit),
                }),
            };
            (name.clone(), listener)
        })
        .collect())
}

/// What a notifier is waited for, and where.
fn what_it_does(way: &Way) -> String {
    match way {
        Way::Mail(mail) => format!("sending mail by {}:{}", mail.server.host, mail.server.port),
        Way::Webhook(hook) => match &hook.url {
            WebhookUrl::Written(url) => format!("calling the webhook at {}", host_of(url)),
            WebhookUrl::Secret(_) => "calling the webhook".to_owned(),
        },
        Way::Command(argv) => format!("running {}", argv.first().map_or("", String::as_str)),
        Way::Log => "writing into the log".to_owned(),
    }
}

/// A notifier that is seen at work when it takes long.
struct Shown {
    notifier: Arc<dyn Notifier>,
    name: NotifierName,
    what: String,
    live: Arc<Live>,
}

#[async_trait]
impl Notifier for Shown {
    fn to(&self) -> String {
        self.notifier.to()
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        let sending = self.notifier.send(message);
        let who = self.name.as_str();
        self.live.during(who, &self.what, Some(SEND), sending).await
    }
}

/// Reads the plugin's secrets, all of them, then loads the component.
fn load_plugin(
    host: &PluginHost,
    loaded: &Loaded,
    settings: &PluginSettings,
) -> Result<LoadedPlugin, Vec<Unusable>> {
    let mut secrets: BTreeMap<String, Secret<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    let source = self::secrets(loaded);
    for (name, reference) in &settings.secrets {
        match source.secret(reference) {
            Ok(secret) => {
                secrets.insert(name.clone(), secret);
            }
            Err(error) => missing.push(Unusable::Secret {
                plugin: settings.name.clone(),
                secret: name.clone(),
                error,
            }),
        }
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    let bytes = loaded
        .components
        .get(&settings.source)
        .map_or(&[][..], Vec::as_slice);
    let plugin = host
        .load(settings, bytes, secrets)
        .map_err(|failure| vec![Unusable::Component(failure)])?;
    loaded.audit.enter(&Act::PluginLoaded {
        plugin: settings.name.clone(),
        file: match &settings.source {
            PluginSource::Embedded(_) => None,
            PluginSource::File { path, .. } => Some(path.display().to_string()),
        },
        sha256: waxwing_io::x509::sha256_hex(bytes),
    });
    Ok(plugin)
}

/// Digest of what an installation depends on, besides the certificate: another one means to
/// install again.
pub(crate) fn digest(settings: &PluginSettings) -> String {
    let text = format!(
        "{:?}\n{}\n{:?}\n{:?}",
        settings.source, settings.settings, settings.grants, settings.secrets
    );
    waxwing_io::x509::sha256_hex(text.as_bytes())
}

/// `waxwing/0.1.0 (linux; x86_64)`, as RFC 8555 section 6.1 wants it.
fn user_agent() -> Result<UserAgent, String> {
    UserAgent::new(&our_name()).map_err(|error| error.to_string())
}

/// What we call ourselves.
fn our_name() -> String {
    let system = format!("{}; {}", std::env::consts::OS, std::env::consts::ARCH);
    format!("waxwing/{} ({system})", env!("CARGO_PKG_VERSION"))
}

/// PKCS#12 files for the plugin host.
struct Pkcs12Files;

impl Pkcs12 for Pkcs12Files {
    fn make(&self, contents: &Pkcs12Contents<'_>) -> Result<Vec<u8>, String> {
        pkcs12::pkcs12(
            contents.key,
            &contents.chain.fullchain,
            contents.friendly_name,
            contents.password,
            profile(contents.profile),
        )
        .map_err(|error| error.to_string())
    }

    fn holds(&self, file: &[u8], contents: &Pkcs12Contents<'_>) -> bool {
        pkcs12::holds(
            file,
            contents.key,
            &contents.chain.fullchain,
            contents.friendly_name,
            contents.password,
            profile(contents.profile),
        )
    }
}

const fn profile(profile: Pkcs12Profile) -> pkcs12::Profile {
    match profile {
        Pkcs12Profile::Modern => pkcs12::Profile::Modern,
        Pkcs12Profile::Legacy => pkcs12::Profile::Legacy,
    }
}
