//! `waxwing plugin`: which plugins there are, and what one may do. No component is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::nearest::nearest;
use waxwing_core::plugin::{Manifest, World};
use waxwing_core::settings::{PluginSettings, PluginSource, Settings};
use waxwing_host::limits::Bounds;
use waxwing_host::section::{self, Inspection};

use super::start;
use crate::args::{Global, PluginVerb};
use crate::embedded::EMBEDDED;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::plugin::{self, Configured, Inspected, Listed, Origin};
use crate::render::plugin_example;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    verb: &PluginVerb,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let now = start::now();
    let context = terminal.context(now);
    let text = match verb {
        PluginVerb::List => {
            let loaded = load::load_if_any(global)?;
            let listed = list(loaded.as_ref());
            if terminal.json {
                Document::new("plugin list", now, plugin::list_json(&listed)).to_text()
            } else {
                plugin::list(&listed, &context)
            }
        }
        PluginVerb::Inspect { plugin, example } => {
            let inspected = inspect(global, plugin)?;
            if *example && terminal.json {
                let block = plugin_example::block(&inspected);
                let result = serde_json::json!({ "example": block });
                Document::new("plugin inspect", now, result).to_text()
            } else if *example {
                plugin_example::block(&inspected)
            } else if terminal.json {
                Document::new("plugin inspect", now, plugin::inspect_json(&inspected)).to_text()
            } else {
                plugin::inspect(&inspected, &context)
            }
        }
    };
    terminal.print(&text);
    Ok(Exit::Done)
}

/// The configured plugins, then the built-in ones that nothing configures.
fn list(loaded: Option<&Loaded>) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut named: Vec<&PluginSource> = Vec::new();
    for plugin in loaded
        .iter()
        .flat_map(|loaded| loaded.settings.plugins.values())
    {
        let bytes = loaded.and_then(|loaded| loaded.components.get(&plugin.source));
        named.push(&plugin.source);
        listed.push(Listed {
            name: Some(plugin.name.clone()),
            id: plugin.manifest.id.clone(),
            version: plugin.manifest.version.clone(),
            world: Some(plugin.manifest.world),
            sha256: bytes.map_or_else(String::new, |bytes| digest(bytes)),
            from: from(&plugin.source),
            used_by: loaded.map_or_else(Vec::new, |l| users(&l.settings, &plugin.name)),
        });
    }
    for (id, bytes) in EMBEDDED {
        let source = PluginSource::Embedded((*id).to_owned());
        if named.contains(&&source) {
            continue;
        }
        let manifest = section::read_manifest(bytes)
            .ok()
            .and_then(|text| Manifest::parse(id, &text).ok());
        listed.push(Listed {
            name: None,
            id: (*id).to_owned(),
            version: manifest
                .as_ref()
                .map_or_else(String::new, |m| m.version.clone()),
            world: manifest.map(|manifest| manifest.world),
            sha256: digest(bytes),
            from: Origin::BuiltIn,
            used_by: Vec::new(),
        });
    }
    listed
}

fn digest(bytes: &[u8]) -> String {
    waxwing_io::x509::sha256_hex(bytes)
}

fn from(source: &PluginSource) -> Origin {
    match source {
        PluginSource::Embedded(_) => Origin::BuiltIn,
        PluginSource::File { path, .. } => Origin::File(path.clone()),
    }
}

/// The certificates that a plugin proves names for or installs.
fn users(settings: &Settings, plugin: &PluginName) -> Vec<CertificateName> {
    settings
        .certificates
        .iter()
        .filter(|certificate| {
            let mut validate = certificate.validate.iter();
            certificate.install.contains(plugin) || validate.any(|(_, used)| used == plugin)
        })
        .map(|certificate| certificate.name.clone())
        .collect()
}

/// Finds the component that is meant: a file, a plugin of the configuration, or a built-in one.
fn inspect(global: &Global, meant: &str) -> Result<Inspected, Refusal> {
    let as_path = meant.ends_with(".wasm") || meant.contains(['/', '\\']);
    let loaded = match load::load_if_any(global) {
        Ok(loaded) => loaded,
        // A component can be looked at before there is a configuration that is right.
        Err(_) if as_path || crate::embedded::find(meant).is_some() => None,
        Err(error) => return Err(error.into()),
    };
    let settings = loaded.as_ref().map(|loaded| &loaded.settings);
    if as_path {
        let path = PathBuf::from(meant);
        let bytes = component(&path)?;
        let found = settings.and_then(|settings| configured_file(settings, &path));
        return read(meant, &bytes, Origin::File(path), found, settings);
    }
    let named = settings.and_then(|settings| {
        let mut plugins = settings.plugins.values();
        plugins.find(|plugin| plugin.name.as_str() == meant)
    });
    if let (Some(plugin), Some(loaded)) = (named, &loaded) {
        let bytes = loaded
            .components
            .get(&plugin.source)
            .map_or(&[][..], Vec::as_slice);
        return read(meant, bytes, from(&plugin.source), Some(plugin), settings);
    }
    if let Some(bytes) = crate::embedded::find(meant) {
        return read(meant, bytes, Origin::BuiltIn, None, settings);
    }
    let mut names: Vec<&str> = EMBEDDED.iter().map(|(id, _)| *id).collect();
    names.extend(
        settings
            .iter()
            .flat_map(|s| s.plugins.keys().map(PluginName::as_str)),
    );
    names.sort_unstable();
    names.dedup();
    let hint = match nearest(meant, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => "a file is named by its path: waxwing plugin inspect ./NAME.wasm".to_owned(),
    };
    Err(
        Refusal::new(Exit::Usage, format!("no plugin is called \"{meant}\""))
            .cause(format!("known here: {}", names.join(", ")))
            .hint(hint),
    )
}

/// Looks at a component that no configuration names yet.
///
/// # Errors
/// If the file cannot be read, or is no plugin that this version can use.
pub(crate) fn read_file(path: &Path) -> Result<Inspected, Refusal> {
    let bytes = component(path)?;
    let from = Origin::File(path.to_owned());
    read(&path.display().to_string(), &bytes, from, None, None)
}

fn component(path: &Path) -> Result<Vec<u8>, Refusal> {
    waxwing_io::config::read_component(path).map_err(|cause| {
        Refusal::new(Exit::Usage, cause)
            .hint("name the .wasm file of a component, or a plugin of `waxwing plugin list`")
    })
}

/// The plugin of the configuration that uses this file.
fn configured_file<'a>(settings: &'a Settings, path: &Path) -> Option<&'a PluginSettings> {
    let wanted = waxwing_io::config::real_path(path)?;
    settings
        .plugins
        .values()
        .find(|plugin| match &plugin.source {
            PluginSource::File { path, .. } => {
                waxwing_io::config::real_path(path).is_some_and(|found| found == wanted)
            }
            PluginSource::Embedded(_) => false,
        })
}

fn read(
    shown: &str,
    bytes: &[u8],
    from: Origin,
    configured: Option<&PluginSettings>,
    settings: Option<&Settings>,
) -> Result<Inspected, Refusal> {
    let failed = |message: String| {
        Refusal::new(
            Exit::Usage,
            format!("{shown} is no plugin that this version can use"),
        )
        .cause(message)
        .hint("examples/plugin-template shows how a plugin is built")
    };
    let inspection: Inspection =
        section::inspect(bytes).map_err(|error| failed(error.to_string()))?;
    let manifest = Manifest::parse(shown, &inspection.manifest_text).map_err(|errors| {
        let mut refusal = failed(String::new());
        refusal.causes = errors.to_string().lines().map(str::to_owned).collect();
        refusal
    })?;
    let interface = match manifest.world {
        World::Dns => "waxwing:plugin/dns-provider@",
        World::Installer => "waxwing:plugin/installer@",
    };
    if !inspection
        .exports
        .iter()
        .any(|name| name.starts_with(interface))
    {
        return Err(failed(format!(
            "its manifest says {}, and it does not export {}",
            manifest.contract,
            interface.trim_end_matches('@')
        )));
    }
    let grants = configured
        .map(|plugin| plugin.grants.clone())
        .unwrap_or_default();
    let source = match (&from, configured) {
        (_, Some(plugin)) => plugin.source.clone(),
        (Origin::BuiltIn, None) => PluginSource::Embedded(manifest.id.clone()),
        (Origin::File(path), None) => PluginSource::File {
            path: path.clone(),
            sha256: inspection.sha256.clone(),
        },
    };
    let mut used_by: BTreeMap<PluginName, Vec<CertificateName>> = BTreeMap::new();
    for (name, plugin) in settings.iter().flat_map(|settings| &settings.plugins) {
        let same = configured.map_or(plugin.source == source, |meant| meant.name == *name);
        if let (true, Some(settings)) = (same, settings) {
            used_by.insert(name.clone(), users(settings, name));
        }
    }
    Ok(Inspected {
        bounds: Bounds::of(&manifest.limits, &grants.limits),
        configured: configured.map(|plugin| Configured {
            name: plugin.name.clone(),
            http: manifest.effective_http(&plugin.source, &grants),
            pin: match &plugin.source {
                PluginSource::File { sha256, .. } => Some(sha256.clone()),
                PluginSource::Embedded(_) => None,
            },
            grants,
        }),
        manifest,
        inspection,
        from,
        used_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with nothing in it but a manifest.
    fn hollow(manifest: &str) -> Vec<u8> {
        let name = b"waxwing:manifest";
        let size = 1 + name.len() + manifest.len();
        let mut bytes = b"\0asm\x0d\0\x01\0\0".to_vec();
        // LEB128 in two bytes: the size is between 128 and 16,383.
        bytes.push(u8::try_from(size & 0x7f).expect("seven bits") | 0x80);
        bytes.push(u8::try_from(size >> 7).expect("a short manifest"));
        bytes.push(u8::try_from(name.len()).expect("a short name"));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(manifest.as_bytes());
        bytes
    }

    #[test]
    fn a_component_that_does_not_export_what_its_manifest_says_is_not_offered() {
        let manifest = "manifest = 1\nid = \"hollow\"\nversion = \"0.1.0\"\n\
            world = \"waxwing:plugin/dns-plugin@0.1\"\nsummary = \"nothing\"\n[dns]\nbatch = 1\n";
        let bytes = hollow(manifest);
        let from = Origin::File(PathBuf::from("hollow.wasm"));
        let refused = read("hollow.wasm", &bytes, from, None, None).expect_err("no provider");
        assert!(
            refused.causes[0].ends_with("does not export waxwing:plugin/dns-provider"),
            "{refused:?}"
        );
    }
}
