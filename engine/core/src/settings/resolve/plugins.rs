//! `[plugin.NAME]`: which component, its settings, secrets and grants.

pub(crate) mod grants;

pub(super) use grants::only_folder;

use std::collections::BTreeMap;

use super::Catalog;
use crate::document::problem::{Form, Problem, Problems};
use crate::document::section::{KeyPath, Section, one_of};
use crate::document::{Entry, Place, Value};
use crate::name::PluginName;
use crate::nearest::nearest;
use crate::plugin::{Manifest, World};
use crate::settings::raw::{self, Raw};
use crate::settings::{PluginSettings, PluginSource, SecretRef, schema, secret_ref};

/// Every `[plugin.NAME]`.
pub(super) struct Plugins {
    /// Those without a mistake.
    pub(super) settings: BTreeMap<PluginName, PluginSettings>,
    /// All of them, with their kind if it is known: a certificate may name one whose section has
    /// a mistake without being blamed for it.
    pub(super) worlds: BTreeMap<PluginName, Option<World>>,
}

impl Plugins {
    /// The names of one kind.
    pub(super) fn of_world(&self, world: World) -> impl Iterator<Item = &PluginName> {
        let all = self.worlds.iter();
        all.filter(move |(_, kind)| **kind == Some(world))
            .map(|(name, _)| name)
    }

    /// True if there is a plugin whose kind could not be learned.
    pub(super) fn any_unknown(&self) -> bool {
        self.worlds.values().any(Option::is_none)
    }
}

pub(super) fn read(root: &Section<'_>, raw: &Raw, catalog: &Catalog) -> Plugins {
    let mut plugins = Plugins {
        settings: BTreeMap::new(),
        worlds: BTreeMap::new(),
    };
    let all = root.section("plugin");
    for entry in all.iter().flat_map(Section::named_entries) {
        let path = KeyPath::root().below("plugin").below(&entry.key);
        let problems = root.problems();
        let name = match PluginName::parse(&entry.key) {
            Ok(name) => name,
            Err(error) => {
                problems.add(
                    Problem::new(entry.at.clone(), path.as_str(), error.to_string())
                        .hint("a name as in [plugin.nginx]"),
                );
                continue;
            }
        };
        let before = problems.count();
        let Some(section) = Section::of_entry(entry, path, problems) else {
            plugins.worlds.insert(name, None);
            continue;
        };
        let found = component(&section, entry, raw, catalog);
        plugins.worlds.insert(
            name.clone(),
            found.as_ref().map(|(_, manifest)| manifest.world),
        );
        let Some((source, manifest)) = found else {
            continue;
        };
        let settings = settings(&section, manifest);
        let secrets = secrets(&section, &name, manifest, raw);
        let grants = grants::read(&section, &source, manifest, &settings, raw);
        section.finish(&[
            ("config", "settings = { ... }"),
            ("credentials", "secrets = { ... }"),
            ("environment", "settings = { ... } and secrets = { ... }"),
            ("path", "uses = \"plugins/NAME.wasm\" and sha256 = \"...\""),
        ]);
        if problems.count() == before {
            let plugin = PluginSettings {
                name: name.clone(),
                source,
                manifest: manifest.clone(),
                settings,
                secrets,
                grants,
            };
            plugins.settings.insert(name, plugin);
        }
    }
    plugins
}

/// Finds the component and its manifest; says what is missing.
fn component<'c>(
    section: &Section<'_>,
    entry: &Entry,
    raw: &Raw,
    catalog: &'c Catalog,
) -> Option<(PluginSource, &'c Manifest)> {
    let problems = section.problems();
    let example = format!("\"{}\"", catalog.embedded().next().unwrap_or("NAME"));
    let uses = section.text("uses", &example);
    let pin = section.text("sha256", "\"...\"");
    let uses_at = uses.as_ref().map_or(&section.at, |uses| &uses.at);
    let is_file = uses
        .as_ref()
        .is_some_and(|uses| raw::names_a_file(uses.value));
    match (&uses, &pin) {
        (Some(uses), None) if is_file => {
            if section.take("sha256").is_none() {
                let message = "a component from a file must be pinned: the digest of its bytes";
                problems.add(section.problem(&section.at, "sha256", message).hint(format!(
                    "sha256 = \"...\" as `sha256sum {0}` prints it, after `waxwing plugin inspect {0}`",
                    uses.value
                )));
            }
            return None;
        }
        (Some(_), Some(pin)) if is_file && raw::digest(pin.value).is_none() => {
            let message = "this is not a SHA-256: 64 hex digits";
            problems.add(
                section
                    .problem(&pin.at, "sha256", message)
                    .hint("sha256 = \"...\" as `sha256sum` prints it"),
            );
            return None;
        }
        (_, Some(pin)) if !is_file => {
            let message = "a plugin inside the binary has no pin; only files are pinned";
            problems.add(
                section
                    .problem(&pin.at, "sha256", message)
                    .hint("leave `sha256` out"),
            );
        }
        _ => {}
    }
    let source = raw.plugin_source(entry)?;
    match (catalog.manifests.get(&source), &source) {
        (Some(Ok(manifest)), _) => Some((source, manifest)),
        (Some(Err(reason)), _) => {
            let problem = section.problem(uses_at, "uses", reason.clone());
            problems.add(problem.hint(match &source {
                PluginSource::File { path, .. } => format!(
                    "`waxwing plugin inspect {}` looks at what `uses` names",
                    path.display()
                ),
                PluginSource::Embedded(_) => "a defect of this binary; tell its authors".to_owned(),
            }));
            None
        }
        (None, PluginSource::File { path, .. }) => {
            let message = format!("{} was not read", path.display());
            problems.add(
                section
                    .problem(uses_at, "uses", message)
                    .hint("uses = \"plugins/NAME.wasm\""),
            );
            None
        }
        (None, PluginSource::Embedded(id)) => {
            let embedded: Vec<_> = catalog.embedded().collect();
            let message = match nearest(id, embedded.iter().copied()) {
                Some(near) => format!("no plugin \"{id}\" is built in; did you mean \"{near}\"?"),
                None => format!("no plugin \"{id}\" is built in"),
            };
            let list = embedded.join(", ");
            let hint = if uses.is_some() {
                format!(
                    "built in: {list}; a file: uses = \"plugins/{id}.wasm\" and sha256 = \"...\""
                )
            } else {
                format!("name the component: uses = \"...\" (built in: {list})")
            };
            problems.add(section.problem(uses_at, "uses", message).hint(hint));
            None
        }
    }
}

/// `settings`, judged by the manifest's schema and with its defaults filled in.
fn settings(section: &Section<'_>, manifest: &Manifest) -> serde_json::Value {
    let path = section.path.below("settings");
    let problems = section.problems();
    match section.take_as("settings", &[Form::Open]) {
        None => schema::fill(&manifest.schema, None, &section.at, &path, problems),
        Some(entry) => schema::fill(
            &manifest.schema,
            Some(&entry.node),
            &entry.at,
            &path,
            problems,
        ),
    }
}

fn secrets(
    section: &Section<'_>,
    plugin: &PluginName,
    manifest: &Manifest,
    raw: &Raw,
) -> BTreeMap<String, SecretRef> {
    let problems = section.problems();
    let mut secrets = BTreeMap::new();
    let mut written = Vec::new();
    let table = section.section("secrets");
    for entry in table.iter().flat_map(Section::named_entries) {
        let path = section.path.below("secrets").below(&entry.key);
        written.push(entry.key.as_str());
        if !manifest.secrets.contains_key(&entry.key) {
            problems.add(no_such_secret(entry, &path, manifest));
            continue;
        }
        let store_as = format!("{plugin}-{}", entry.key);
        let folder = raw.folder(&entry.node.at);
        if let Some(secret) = secret_ref::read(entry, &path, folder, &store_as, problems) {
            secrets.insert(entry.key.clone(), secret);
        }
    }
    let at = table.as_ref().map_or(&section.at, |table| &table.at);
    missing_secrets(section, at, plugin, manifest, &written, problems);
    secrets
}

fn no_such_secret(entry: &Entry, path: &KeyPath, manifest: &Manifest) -> Problem {
    let names = || manifest.secrets.keys().map(String::as_str);
    let message = match nearest(&entry.key, names()) {
        Some(near) => format!("unknown secret; did you mean `{near}`?"),
        None if manifest.secrets.is_empty() => format!("{} uses no secrets", manifest.id),
        None => "unknown secret".to_owned(),
    };
    let list: Vec<_> = names().collect();
    let problem = Problem::new(entry.at.clone(), path.as_str(), message)
        .hint(one_of(&format!("secrets of {}", manifest.id), &list));
    // A sub-table where a dotted key was meant is the usual slip: secrets.a.b = "...".
    if matches!(entry.node.value, Value::Table(_)) {
        return problem.hint("secrets = { NAME = \"file:...\" }");
    }
    problem
}

/// Asks for required secrets, but not for one that stands there under a wrong name.
fn missing_secrets(
    section: &Section<'_>,
    at: &Place,
    plugin: &PluginName,
    manifest: &Manifest,
    written: &[&str],
    problems: &Problems,
) {
    let near_miss = |name: &str| {
        let wrong = written
            .iter()
            .filter(|key| !manifest.secrets.contains_key(**key));
        wrong
            .filter_map(|key| nearest(key, manifest.secrets.keys().map(String::as_str)))
            .any(|near| near == name)
    };
    let missing: Vec<_> = manifest
        .secrets
        .iter()
        .filter(|(name, want)| {
            want.required && !written.contains(&name.as_str()) && !near_miss(name)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if missing.is_empty() || section.is_misspelled("secrets") {
        return;
    }
    let lines: Vec<_> = missing
        .iter()
        .map(|name| format!("{name} = \"file:{plugin}-{name}\""))
        .collect();
    let what = match missing.as_slice() {
        [one] => format!("the secret `{one}` is missing"),
        several => format!("the secrets `{}` are missing", several.join("`, `")),
    };
    problems.add(
        Problem::new(at.clone(), section.path.below("secrets").as_str(), what)
            .hint(format!("secrets = {{ {} }}", lines.join(", "))),
    );
}
