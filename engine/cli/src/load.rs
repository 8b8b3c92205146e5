//! From the command line to settings: which file, what it includes, what its plugins say of
//! themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::resolve::{Catalog, ConfigErrors, resolve};
use waxwing_core::settings::{PluginSource, Settings, raw};
use waxwing_host::section;
use waxwing_io::config::{self, ConfigFileError};
use waxwing_io::permission;

use crate::args::Global;
use crate::embedded::EMBEDDED;

/// A configuration, ready to be wired.
pub(crate) struct Loaded {
    /// What the operator wants.
    pub(crate) settings: Settings,
    /// The bytes of every component that the configuration names.
    pub(crate) components: BTreeMap<PluginSource, Vec<u8>>,
    /// The main file.
    pub(crate) config: PathBuf,
    /// The state folder.
    pub(crate) state: PathBuf,
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
    #[error(
        "others can write {paths}; whoever can write the configuration can run commands\n\
         hint: it must belong to root or to the user that runs waxwing: chown it, chmod go-w {paths} and its folder",
        paths = list(.0)
    )]
    Writable(Vec<PathBuf>),
}

/// Reads the configuration of this command line and refuses one that others can write.
pub(crate) fn load(global: &Global) -> Result<Loaded, LoadError> {
    let loaded = read(global)?;
    // A component that others can write is caught by its pin.
    let writable: Vec<PathBuf> = loaded
        .settings
        .files
        .iter()
        .filter(|path| {
            permission::others_can_write(path).unwrap_or(false)
                || permission::belongs_to_others(path).unwrap_or(false)
        })
        .cloned()
        .collect();
    if writable.is_empty() {
        Ok(loaded)
    } else {
        Err(LoadError::Writable(writable))
    }
}

/// The same for verbs that have something to say without a configuration: none if no file was named
/// and there is none in the usual place.
pub(crate) fn load_if_any(global: &Global) -> Result<Option<Loaded>, LoadError> {
    if global.config.is_none() && !config::usual_config().exists() {
        return Ok(None);
    }
    load(global).map(Some)
}

/// Paths as one line.
fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(" ")
}

/// Reads the configuration of this command line.
fn read(global: &Global) -> Result<Loaded, LoadError> {
    let main = global.config.clone().unwrap_or_else(config::usual_config);
    let files = config::read_sources(&main).map_err(LoadError::File)?;
    let raw = raw::parse(&files);
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
    let catalog = Catalog {
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests,
        zones: jiff::tz::TimeZoneDatabase::from_env(),
        here: jiff::tz::TimeZone::system(),
    };
    let settings = resolve(&raw, &catalog).map_err(LoadError::Config)?;
    let state = global
        .state_dir
        .clone()
        .or_else(|| settings.state.dir.clone())
        .unwrap_or_else(config::usual_state);
    Ok(Loaded {
        settings,
        components,
        config: main,
        state,
    })
}

/// The manifest of every embedded component.
pub(crate) fn embedded_manifests() -> BTreeMap<PluginSource, Result<Manifest, String>> {
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
mod tests {
    use super::*;

    fn global(config: PathBuf) -> Global {
        Global {
            config: Some(config),
            state_dir: None,
            json: false,
            verbose: 0,
        }
    }

    #[test]
    fn every_example_is_a_configuration_without_a_mistake() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/configs");
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).expect("the examples are there") {
            let path = entry.expect("a readable entry").path();
            if let Err(error) = read(&global(path.clone())) {
                panic!("{}: {error}", path.display());
            }
            seen += 1;
        }
        assert!(seen >= 5, "only {seen} examples");
    }

    #[test]
    fn every_embedded_component_has_a_manifest() {
        for (source, manifest) in embedded_manifests() {
            assert_eq!(manifest.err(), None, "{source:?}");
        }
    }
}
