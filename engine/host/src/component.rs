//! From bytes to something that can be instantiated: what a component must be, checked from the
//! outside in, before a single function of it is compiled.

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use waxwing_core::plugin::World;
use waxwing_core::plugin::manifest::CONTRACT;

use crate::bindings::dns::DnsPluginPre;
use crate::bindings::installer::InstallerPluginPre;
use crate::bindings::installer::waxwing::host;
use crate::bindings::installer::waxwing::plugin::types;
use crate::cache::Cache;
use crate::call::Call;
use crate::section::Inspection;

/// Interfaces of `waxwing:host` for every plugin.
const BASE: [&str; 6] = ["log", "runtime", "settings", "state", "secrets", "http"];
/// Interfaces of `waxwing:host` for installers.
const DEPLOY: [&str; 3] = ["artifacts", "files", "exec"];

/// Why a component cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the file's SHA-256 is {have}, the configuration pins {want}")]
    Digest { want: String, have: String },
    #[error("the manifest in the file is not the one the configuration was checked with")]
    Changed,
    #[error("it is built for contract {0}; this engine speaks {CONTRACT}")]
    Contract(String),
    #[error("its manifest says {world}, but it does not export {missing}")]
    Export {
        world: &'static str,
        missing: &'static str,
    },
    #[error("a DNS plugin may not import {0}, which is for installers")]
    DeployImport(String),
    #[error("it imports {0}, which this host does not offer")]
    UnknownImport(String),
    #[error("it cannot be compiled")]
    Compile { cause: String },
    #[error("its imports or exports do not have the contract's types")]
    Types { cause: String },
    #[error("the required secret `{0}` is not bound")]
    Secret(String),
}

impl Unfit {
    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Self::Compile { cause } | Self::Types { cause } => Some(cause),
            _ => None,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self, plugin: &str) -> String {
        match self {
            Self::Digest { have, .. } => format!(
                "if the file was changed on purpose: sha256 = \"{have}\" under [plugin.{plugin}]"
            ),
            Self::Changed => {
                "the file was replaced while this program ran; run it again".to_owned()
            }
            Self::Contract(_) => {
                format!(
                    "use a build of the plugin for contract {CONTRACT}, or another version of \
                         this program"
                )
            }
            Self::Secret(name) => {
                format!("secrets = {{ {name} = \"file:PATH\" }} under [plugin.{plugin}]")
            }
            Self::UnknownImport(name) if name.starts_with("wasi:") => {
                "plugins reach the network through waxwing:host/http and nothing else".to_owned()
            }
            Self::Compile { .. } | Self::Types { .. } | Self::Export { .. } => {
                "build the plugin against the wit/ folder of this version".to_owned()
            }
            Self::DeployImport(_) | Self::UnknownImport(_) => {
                "a defect of the plugin; tell its author".to_owned()
            }
        }
    }
}

/// A component that is ready to be instantiated for its world.
#[derive(Clone)]
pub(crate) enum Prepared {
    Dns(DnsPluginPre<Call>),
    Installer(InstallerPluginPre<Call>),
}

/// Checks what can be checked without compiling.
pub(crate) fn check(inspection: &Inspection, world: World) -> Result<(), Unfit> {
    let (name, export) = match world {
        World::Dns => ("a DNS plugin", "waxwing:plugin/dns-provider"),
        World::Installer => ("an installer", "waxwing:plugin/installer"),
    };
    for missing in ["waxwing:plugin/lifecycle", export] {
        let versions = |name: &&String| name.split('@').next() == Some(missing);
        let Some(found) = inspection.exports.iter().find(versions) else {
            return Err(Unfit::Export {
                world: name,
                missing,
            });
        };
        check_version(found)?;
    }
    for import in &inspection.imports {
        let (interface, _) = import.split_once('@').unwrap_or((import, ""));
        let known = |set: &[&str]| {
            let name = interface.strip_prefix("waxwing:host/");
            name.is_some_and(|name| set.contains(&name))
        };
        match interface {
            "waxwing:plugin/types" => check_version(import)?,
            _ if known(&BASE) => check_version(import)?,
            _ if known(&DEPLOY) => {
                check_version(import)?;
                if world == World::Dns {
                    return Err(Unfit::DeployImport(import.clone()));
                }
            }
            // Which of these are linked is known to the linker alone; the rest is named there.
            _ if interface.starts_with("wasi:") && !interface.starts_with("wasi:http/") => {}
            _ => return Err(Unfit::UnknownImport(import.clone())),
        }
    }
    Ok(())
}

/// `0.1.3` is on the track `0.1`, which wasmtime matches.
fn check_version(interface: &str) -> Result<(), Unfit> {
    let version = interface.split_once('@').map_or("", |(_, version)| version);
    let track = version
        .strip_prefix(CONTRACT)
        .is_some_and(|rest| rest.starts_with('.'));
    if track {
        Ok(())
    } else {
        Err(Unfit::Contract(interface.to_owned()))
    }
}

/// Compiles a checked component, or takes it from the cache.
pub(crate) fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    bytes: &[u8],
    sha256: &str,
) -> Result<Component, Unfit> {
    if let Some(component) = cache.and_then(|cache| cache.load(engine, sha256)) {
        return Ok(component);
    }
    let component = Component::from_binary(engine, bytes).map_err(|error| Unfit::Compile {
        cause: words(&error),
    })?;
    if let Some(Err(error)) = cache.map(|cache| cache.store(engine, sha256, &component)) {
        tracing::warn!("failed to keep a compiled component: {error}");
    }
    Ok(component)
}

/// Links a compiled component to the interfaces of its world.
pub(crate) fn link(
    linkers: &Linkers,
    component: &Component,
    world: World,
) -> Result<Prepared, Unfit> {
    fn unfit(error: wasmtime::Error) -> Unfit {
        Unfit::Types {
            cause: words(&error),
        }
    }
    let pre = |linker: &Linker<Call>| -> Result<InstancePre<Call>, Unfit> {
        linker.instantiate_pre(component).map_err(unfit)
    };
    match world {
        World::Dns => DnsPluginPre::new(pre(&linkers.dns)?).map(Prepared::Dns),
        World::Installer => {
            InstallerPluginPre::new(pre(&linkers.installer)?).map(Prepared::Installer)
        }
    }
    .map_err(unfit)
}

/// The chain of causes in one line.
fn words(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    crate::judge::sanitize(&chain.join(": "), crate::limits::SENTENCE)
}

/// What each world is linked against, made once.
pub(crate) struct Linkers {
    dns: Linker<Call>,
    installer: Linker<Call>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        type Me = HasSelf<Call>;
        let mut dns = Linker::<Call>::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut dns)?;
        types::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::log::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::runtime::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::settings::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::state::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::secrets::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        host::http::add_to_linker::<_, Me>(&mut dns, |call| call)?;
        let mut installer = dns.clone();
        host::artifacts::add_to_linker::<_, Me>(&mut installer, |call| call)?;
        host::files::add_to_linker::<_, Me>(&mut installer, |call| call)?;
        host::exec::add_to_linker::<_, Me>(&mut installer, |call| call)?;
        Ok(Self { dns, installer })
    }
}
