//! The files of a configuration, read as TOML and put together, before anything in them is judged.
//!
//! Two steps, because judging needs the manifests of the plugins that the files name:
//! [`parse`] and [`Raw::plugin_sources`] here, then [`resolve`](super::resolve::resolve). The
//! caller reads the files; this crate opens none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PluginSource;
use super::path::from_folder;
use crate::document::problem::{Problem, Problems};
use crate::document::{self, Entry, Node, Place, Table, Value};
use crate::name::{CertificateName, Identifier};
use crate::nearest::nearest;

/// One file of a configuration.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is, absolute: relative paths in it start from its folder.
    pub path: PathBuf,
    /// How messages name it: `waxwing.toml`, `certs.d/shop.toml`.
    pub shown: String,
    /// What it holds.
    pub text: String,
}

/// The glob patterns of `include = [...]`, as written, relative to the file's folder.
///
/// The caller finds and reads the files, in the order of their names, and gives them to [`parse`]
/// behind this one. Mistakes are not reported here but by [`parse`].
pub fn includes(file: &SourceFile) -> Vec<String> {
    let shown = Arc::from(Path::new(&file.shown));
    let table = document::parse(&shown, &file.text, &Problems::default());
    let Some(Value::Array(items)) = table.get("include").map(|entry| &entry.node.value) else {
        return Vec::new();
    };
    let texts = items.iter().filter_map(|item| match &item.value {
        Value::String(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// Something that `include` names and that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingInclude {
    /// As it stands in the list.
    pub pattern: String,
    /// What is wrong.
    pub message: String,
    /// What to do, on one line.
    pub hint: Option<String>,
}

/// All files as one table, and what was wrong with them as TOML.
#[derive(Debug, Clone)]
pub struct Raw {
    pub(super) table: Table,
    pub(super) main: Place,
    pub(super) files: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
    /// True if a file is not TOML: then nothing can be said of what is missing.
    pub(super) broken: bool,
    folders: BTreeMap<Arc<Path>, PathBuf>,
}

/// Reads the files, the main one first. Mistakes are kept for [`resolve`](super::resolve::resolve).
pub fn parse(files: &[SourceFile]) -> Raw {
    let problems = Problems::default();
    let mut table = Table::default();
    let mut folders = BTreeMap::new();
    let shown_main = files.first().map_or("waxwing.toml", |file| &file.shown);
    for (index, file) in files.iter().enumerate() {
        let shown: Arc<Path> = Arc::from(Path::new(&file.shown));
        let folder = file.path.parent().unwrap_or(Path::new(""));
        folders.insert(Arc::clone(&shown), folder.to_owned());
        let read = document::parse(&shown, &file.text, &problems);
        for entry in read.entries {
            if index > 0 && entry.key == "include" {
                let message = "only the main file may include others";
                problems.add(
                    Problem::new(entry.at, "include", message)
                        .hint(format!("name the file in `include` of {}", shown_main)),
                );
                continue;
            }
            merge(&mut table, entry, &problems);
        }
    }
    let problems = problems.into_list();
    Raw {
        table,
        main: Place::start_of(shown_main),
        files: files.iter().map(|file| file.path.clone()).collect(),
        broken: problems
            .iter()
            .any(|problem| problem.key == document::NOT_TOML),
        problems,
        folders,
    }
}

impl Raw {
    /// What is needed to tell somebody that the rest cannot be used: who is told, how the network is reached and where
    /// the state is. Mistakes are left out; `but` are the keys of those that were found in these, and of a notifier that has
    /// one nothing is left.
    pub fn to_tell(&self, but: &[Problem]) -> Self {
        const KEPT: [&str; 3] = ["notify", "network", "state"];
        let bad = |path: &str| {
            let mut keys = but.iter().map(|problem| problem.key.as_str());
            keys.any(|key| {
                key.strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let whole = |entry: &&Entry| but.iter().all(|problem| problem.key != entry.key);
        let kept = self.table.entries.iter();
        let kept = kept.filter(|entry| KEPT.contains(&entry.key.as_str()));
        let kept = kept.filter(|entry| entry.key == "notify" || whole(entry));
        let mut entries: Vec<Entry> = kept.cloned().collect();
        for entry in &mut entries {
            let section = &entry.key;
            if let Value::Table(table) = &mut entry.node.value {
                table.entries.retain(|one| {
                    let names = [one.key.clone(), format!("\"{}\"", one.key)];
                    !names.iter().any(|name| bad(&format!("{section}.{name}")))
                });
            }
        }
        // Nobody is asked for a certificate, so it matters not in whose name.
        let at = self.main.clone();
        let entry = |key: &str, value| Entry {
            key: key.to_owned(),
            at: at.clone(),
            node: Node {
                at: at.clone(),
                value,
            },
        };
        let account = Table {
            entries: vec![
                entry("email", Value::String("nobody@example.com".to_owned())),
                entry("agree-terms", Value::Boolean(true)),
            ],
        };
        entries.push(entry("account", Value::Table(account)));
        Self {
            table: Table { entries },
            problems: Vec::new(),
            broken: false,
            ..self.clone()
        }
    }

    /// The names of the certificates, each with the file that it is in as that is shown; none if one of them cannot be
    /// read, or what is written is no TOML, for then some may be missing.
    pub fn certificates(&self) -> Option<Vec<(&Path, CertificateName)>> {
        let written = self.table.get("certificate").map(|entry| &entry.node.value);
        let Some(Value::Array(all)) = written.filter(|_| !self.broken) else {
            return None;
        };
        let name = |one: &Node| {
            let Value::Table(table) = &one.value else {
                return None;
            };
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                _ => None,
            };
            if let Some(name) = table.get("name") {
                return CertificateName::parse(&text(&name.node.value)?).ok();
            }
            // `nam = "shop"`
            let mut keys = table.entries.iter().map(|entry| entry.key.as_str());
            if keys.any(|key| nearest(key, ["name"]).is_some()) {
                return None;
            }
            let first = match &table.get("domains")?.node.value {
                Value::Array(items) => text(&items.first()?.value)?,
                one => text(one)?,
            };
            let first = Identifier::parse(&first).ok()?;
            CertificateName::parse(first.domain.as_str()).ok()
        };
        let mut written = Vec::new();
        for one in all {
            written.push((one.at.file.as_ref(), name(one)?));
        }
        Some(written)
    }

    /// The components that the configuration names, so that the caller can read their manifests.
    ///
    /// A file without a well-formed pin is left out; resolving says so.
    pub fn plugin_sources(&self) -> Vec<PluginSource> {
        let Some(Value::Table(plugins)) = self.table.get("plugin").map(|entry| &entry.node.value)
        else {
            return Vec::new();
        };
        let mut sources: Vec<_> = plugins
            .entries
            .iter()
            .filter_map(|entry| self.plugin_source(entry))
            .collect();
        sources.sort();
        sources.dedup();
        sources
    }

    /// Adds what was wrong with included files, at the place that names them.
    pub fn miss(&mut self, missing: &[MissingInclude]) {
        let Some(Value::Array(items)) = self.table.get("include").map(|entry| &entry.node.value)
        else {
            return;
        };
        for one in missing {
            let names =
                |item: &&Node| matches!(&item.value, Value::String(text) if *text == one.pattern);
            let at = items.iter().find(names).map_or(&self.main, |item| &item.at);
            let problem = Problem::new(at.clone(), "include", one.message.clone());
            self.problems.push(match &one.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
    }

    /// The component of one `[plugin.NAME]`.
    pub(super) fn plugin_source(&self, entry: &Entry) -> Option<PluginSource> {
        let Value::Table(table) = &entry.node.value else {
            return None;
        };
        let text = |key| match table.get(key).map(|entry| &entry.node) {
            Some(Node {
                at,
                value: Value::String(text),
            }) => Some((at, text.as_str())),
            _ => None,
        };
        match text("uses") {
            Some((at, path)) if names_a_file(path) => Some(PluginSource::File {
                path: from_folder(self.folder(at), path),
                sha256: text("sha256").and_then(|(_, pin)| digest(pin))?,
            }),
            Some((_, id)) => Some(PluginSource::Embedded(id.to_owned())),
            None if table.get("uses").is_some() => None,
            None => Some(PluginSource::Embedded(entry.key.clone())),
        }
    }

    /// The folder from which relative paths at `place` start.
    pub(super) fn folder(&self, place: &Place) -> &Path {
        self.folders
            .get(&place.file)
            .map_or(Path::new(""), PathBuf::as_path)
    }
}

/// True if `uses` names a file and not an embedded plugin.
pub(super) fn names_a_file(uses: &str) -> bool {
    uses.ends_with(".wasm") || uses.contains(['/', '\\'])
}

/// A SHA-256 in lower-case hex; an optional `sha256:` in front is dropped.
pub(super) fn digest(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let plain = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| hex.to_ascii_lowercase())
}

/// Adds a first-level entry to what earlier files said.
fn merge(table: &mut Table, entry: Entry, problems: &Problems) {
    let Some(earlier) = table.entries.iter_mut().find(|e| e.key == entry.key) else {
        table.entries.push(entry);
        return;
    };
    match (&mut earlier.node.value, entry.node.value) {
        (Value::Array(old), Value::Array(new)) if entry.key == "certificate" => old.extend(new),
        (Value::Table(old), Value::Table(new))
            if matches!(&*entry.key, "plugin" | "ca" | "notify") =>
        {
            for item in new.entries {
                match old.get(&item.key) {
                    Some(first) => problems.add(
                        Problem::new(
                            first.at.clone(),
                            format!("{}.{}", entry.key, item.key),
                            "defined twice",
                        )
                        .hint("one of them must go")
                        .also(item.at),
                    ),
                    None => old.entries.push(item),
                }
            }
        }
        _ => problems.add(
            Problem::new(earlier.at.clone(), entry.key, "stands in two files")
                .hint("one of them must go")
                .also(entry.at),
        ),
    }
}
