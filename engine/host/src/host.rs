//! The front door: options in, loaded plugins out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use waxwing_core::name::PluginName;
use waxwing_core::plugin::Manifest;
use waxwing_core::secret::Secret;
use waxwing_core::settings::{PluginSettings, PluginSource};
use waxwing_flow::audit::AuditTrail;
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};
use waxwing_flow::ports::{Clock, DnsProvider, History, HttpClient, Installer};

use crate::cache::Cache;
use crate::component::{self, Linkers, Prepared, Unfit};
use crate::dns::DnsPlugin;
use crate::engine::GuestEngine;
use crate::files::Backups;
use crate::install::InstallerPlugin;
use crate::instance::{Instance, Shared};
use crate::pkcs12::Pkcs12;
use crate::powers::Powers;
use crate::redact::Redactor;
use crate::section::{Inspection, LoadError, inspect};
use crate::state::State;

/// A folder for compiled components.
#[derive(Debug, Clone)]
pub struct CompileCache {
    /// The folder, which may be deleted at any time.
    pub dir: PathBuf,
    /// The file with the key that seals what is in it. It SHOULD lie where a copy of the folder does
    /// not go; made when it is not there.
    pub key: PathBuf,
}

/// What a host needs from outside.
pub struct HostOptions {
    /// Where compiled components are kept; none: each process compiles for itself.
    pub cache: Option<CompileCache>,
    /// The folder for what installers overwrite, kept until their batch has ended well: one folder
    /// for each plugin, made when it is needed, for the owner alone. It may hold private keys.
    pub backups_dir: PathBuf,
    /// Sends the plugins' requests.
    pub http: Arc<dyn HttpClient>,
    /// The plugins' wall clock.
    pub clock: Arc<dyn Clock>,
    /// Keeps what was used of providers' rates; none: each process begins anew.
    pub history: Option<Arc<dyn History>>,
    /// Gets every request, file write and command.
    pub audit: Arc<AuditTrail>,
    /// Makes PKCS#12 files.
    pub pkcs12: Arc<dyn Pkcs12>,
    /// For the log.
    pub run_id: String,
}

impl std::fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostOptions")
            .field("cache", &self.cache)
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

/// A host that cannot run at all: the processor or the system lacks something wasmtime needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to start the plugin host: {0}")]
pub struct HostError(String);

/// Loads plugins and runs their calls, each in an instance of its own, on threads of its own.
///
/// Everything a call needs lives as long as the call: a call that ends, however it ends, leaves
/// nothing behind but what it answered and what it did to the world.
pub struct PluginHost {
    shared: Arc<Shared>,
    linkers: Linkers,
    cache: Option<Cache>,
    backups_dir: PathBuf,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PluginHost")
    }
}

impl PluginHost {
    /// Starts a host. A cache that cannot be used is a warning in the log, not an error.
    ///
    /// # Errors
    ///
    /// If the machine cannot run WebAssembly.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let broken = |error: wasmtime::Error| HostError(format!("{error:#}"));
        let engine = GuestEngine::new().map_err(broken)?;
        let linkers = Linkers::new(engine.wasmtime()).map_err(broken)?;
        let cache = options.cache.and_then(|CompileCache { dir, key }| {
            Cache::open(&dir, &key)
                .inspect_err(|error| {
                    let dir = dir.display();
                    tracing::warn!("failed to use {dir} for compiled components: {error}");
                })
                .ok()
        });
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                http: options.http,
                clock: options.clock,
                history: options.history,
                audit: options.audit,
                pkcs12: options.pkcs12,
                run_id: options.run_id,
            }),
            linkers,
            cache,
            backups_dir: options.backups_dir,
        })
    }

    /// What a component says of itself. Nothing of it is compiled or run.
    ///
    /// # Errors
    ///
    /// If the bytes are no component, or have no readable manifest.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, LoadError> {
        inspect(bytes)
    }

    /// Checks, compiles and links a plugin. Compiling takes from a tenth of a second to ten; with
    /// a cache, once for each version of a component.
    ///
    /// `secrets` are the values of those that the operator bound, by the manifest's names.
    ///
    /// # Errors
    ///
    /// A failure of kind `Load` that says what is wrong with the component, or which required
    /// secret is missing.
    pub fn load(
        &self,
        settings: &PluginSettings,
        bytes: &[u8],
        secrets: BTreeMap<String, Secret<String>>,
    ) -> Result<Loaded, PluginFailure> {
        let failed = |message: String, hint: Option<String>, cause: Option<&str>| PluginFailure {
            plugin: settings.name.clone(),
            call: "load".to_owned(),
            kind: PluginFailureKind::Load,
            code: "plugin.load".to_owned(),
            message,
            hint,
            http_status: None,
            details: Vec::new(),
            retry_after: None,
            account_wide: false,
            untouched: true,
            causes: cause.map(str::to_owned).into_iter().collect(),
        };
        let unfit = |unfit: Unfit| {
            let hint = unfit.hint(settings.name.as_str());
            failed(unfit.to_string(), Some(hint), unfit.cause())
        };
        let inspection = inspect(bytes).map_err(|error| {
            let hint = "build the plugin with the manifest in it, as examples/plugin-template does";
            failed(error.to_string(), Some(hint.to_owned()), None)
        })?;
        if let PluginSource::File { sha256, .. } = &settings.source
            && !sha256.eq_ignore_ascii_case(&inspection.sha256)
        {
            let (want, have) = (sha256.clone(), inspection.sha256);
            return Err(unfit(Unfit::Digest { want, have }));
        }
        let manifest = Manifest::parse(settings.name.as_str(), &inspection.manifest_text)
            .map_err(|errors| failed(errors.to_string(), None, None))?;
        if manifest != settings.manifest {
            return Err(unfit(Unfit::Changed));
        }
        component::check(&inspection, manifest.world).map_err(unfit)?;
        for (name, want) in &manifest.secrets {
            if want.required && !secrets.contains_key(name) {
                return Err(unfit(Unfit::Secret(name.clone())));
            }
        }
        let engine = self.shared.engine.wasmtime();
        let compiled = component::compile(engine, self.cache.as_ref(), bytes, &inspection.sha256)
            .map_err(unfit)?;
        let component = component::link(&self.linkers, &compiled, manifest.world).map_err(unfit)?;
        Ok(Loaded {
            batch: batch(&manifest),
            instance: Arc::new(self.instance(settings, manifest, secrets)),
            component,
            inspection,
        })
    }

    fn instance(
        &self,
        settings: &PluginSettings,
        manifest: Manifest,
        secrets: BTreeMap<String, Secret<String>>,
    ) -> Instance {
        let mut redactor = Redactor::default();
        for (name, value) in &secrets {
            redactor.add(name, value.expose().as_bytes());
        }
        let powers = Powers::new(
            settings.name.clone(),
            &settings.source,
            &manifest,
            &settings.grants,
        );
        // Two installations of one server at a time would test each other's half-written files.
        let one_at_a_time =
            manifest.dns.serial || manifest.world == waxwing_core::plugin::World::Installer;
        Instance {
            name: settings.name.clone(),
            powers,
            settings: settings.settings.clone(),
            secrets,
            redactor,
            state: Mutex::new(State::default()),
            backups: Mutex::new(Backups::new(self.backups_dir.join(settings.name.as_str()))),
            rate: manifest.dns.rate.as_ref().map(|rate| {
                let mut rate = rate.clone();
                if let Some(limit) = settings.grants.limits.rate {
                    (rate.requests, rate.per) = (limit.count, limit.per);
                }
                Mutex::new(self.shared.rate(&settings.name, &rate))
            }),
            host: Arc::clone(&self.shared),
            turns: one_at_a_time.then(Arc::default),
        }
    }
}

/// A call of a thousand records is as much as anybody gets.
fn batch(manifest: &Manifest) -> usize {
    let wish = manifest
        .dns
        .batch
        .and_then(|batch| usize::try_from(batch).ok());
    wish.unwrap_or(crate::limits::ITEMS)
        .clamp(1, crate::limits::ITEMS)
}

/// A plugin that is ready to be called.
pub struct Loaded {
    instance: Arc<Instance>,
    component: Prepared,
    batch: usize,
    inspection: Inspection,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({})", self.instance.name)
    }
}

impl Loaded {
    /// Its name in the configuration.
    pub fn name(&self) -> &PluginName {
        &self.instance.name
    }

    /// What its bytes show.
    pub const fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The DNS provider; none if it is another kind of plugin.
    pub fn dns(&self) -> Option<Arc<dyn DnsProvider>> {
        match &self.component {
            Prepared::Dns(component) => Some(Arc::new(DnsPlugin {
                instance: Arc::clone(&self.instance),
                component: component.clone(),
                batch: self.batch,
            })),
            Prepared::Installer(_) => None,
        }
    }

    /// The installer; none if it is another kind of plugin.
    pub fn installer(&self) -> Option<Arc<dyn Installer>> {
        match &self.component {
            Prepared::Installer(component) => Some(Arc::new(InstallerPlugin {
                instance: Arc::clone(&self.instance),
                component: component.clone(),
            })),
            Prepared::Dns(_) => None,
        }
    }
}
