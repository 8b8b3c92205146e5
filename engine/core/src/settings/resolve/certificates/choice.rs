//! The keys that may stand in `[defaults]` and in `[[certificate]]`, where they replace.

use super::TWICE;
use crate::document::problem::{Form, Problem};
use crate::document::section::{At, Section, one_of};
use crate::document::{Entry, Place, Value};
use crate::key::KeyType;
use crate::name::{CaName, DomainName, PluginName};
use crate::nearest::nearest;
use crate::plugin::World;
use crate::settings::resolve::cas::Cas;
use crate::settings::resolve::plugins::Plugins;

/// What was written; none for what was not.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    pub(super) cas: Option<At<Vec<CaName>>>,
    pub(super) key: Option<KeyType>,
    pub(super) reuse_key: Option<bool>,
    pub(super) validate: Option<Validators>,
    pub(super) install: Option<At<Vec<PluginName>>>,
}

/// The value of `validate`.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    pub(super) at: Place,
    pub(super) value: Vec<(Option<DomainName>, PluginName)>,
    /// True if a part of it was wrong, so that nothing can be said about what it covers.
    pub(super) flawed: bool,
}

/// Keys of other programs.
pub(super) const MEANT: &[(&str, &str)] = &[
    (
        "challenge",
        "Waxwing validates over DNS; validate = \"PLUGIN\" says by which plugin",
    ),
    ("dns", "validate = \"PLUGIN\""),
    ("dns_provider", "validate = \"PLUGIN\""),
    ("dns-provider", "validate = \"PLUGIN\""),
    (
        "days-before-expiry",
        "renewal = { days-after-issue = 55 }; life times shrink, so it counts from the start",
    ),
    ("issuer", "ca = [\"NAME\"]"),
    ("provider", "validate = \"PLUGIN\""),
    ("server", "ca = [\"NAME\"]"),
    ("key-type", "key = \"ecdsa-p256\""),
    (
        "webroot",
        "Waxwing validates over DNS; validate = \"PLUGIN\" says by which plugin",
    ),
    ("subject", "domains = [\"example.com\"]"),
    ("sans", "domains = [\"example.com\", \"www.example.com\"]"),
    ("san", "domains = [\"example.com\", \"www.example.com\"]"),
    (
        "deploy-hook",
        "install = [\"PLUGIN\"] and grants.exec.reload of that plugin",
    ),
    (
        "post-hook",
        "install = [\"PLUGIN\"] and grants.exec.reload of that plugin",
    ),
];

impl Choice {
    pub(super) fn read(section: &Section<'_>, cas: &Cas, plugins: &Plugins) -> Self {
        let kinds = KeyType::ALL.map(|kind| (kind.as_str(), kind));
        let key = section.word("key", "\"ecdsa-p256\"", kinds, no_kind_of_key);
        Self {
            cas: ca_list(section, cas),
            key: key.map(|at| at.value),
            reuse_key: section.flag("reuse-key").map(|at| at.value),
            validate: validators(section, plugins),
            install: installers(section, plugins),
        }
    }

    /// These, and those of `defaults` where nothing was written.
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            cas: self.cas.or_else(|| defaults.cas.clone()),
            key: self.key.or(defaults.key),
            reuse_key: self.reuse_key.or(defaults.reuse_key),
            validate: self.validate.or_else(|| defaults.validate.clone()),
            install: self.install.or_else(|| defaults.install.clone()),
        }
    }
}

fn no_kind_of_key(text: &str) -> String {
    let names = KeyType::ALL.map(KeyType::as_str);
    match nearest(text, names) {
        Some(near) => format!("no kind of key is called {text:?}; did you mean {near:?}?"),
        None => format!(
            "no kind of key is called {text:?} (there are: {})",
            names.join(", ")
        ),
    }
}

fn ca_list(section: &Section<'_>, cas: &Cas) -> Option<At<Vec<CaName>>> {
    let ranked = cas
        .profiles
        .values()
        .filter(|profile| profile.default_rank.is_some());
    let first = ranked.min_by_key(|profile| profile.default_rank);
    let example = format!(
        "[\"{}\"]",
        first.map_or("NAME", |profile| profile.name.as_str())
    );
    let list = section.texts("ca", &example)?;
    let problems = section.problems();
    if list.value.is_empty() {
        problems.add(
            section
                .problem(&list.at, "ca", "at least one CA is needed")
                .hint(format!("ca = {example}")),
        );
    }
    let mut names: Vec<CaName> = Vec::new();
    for text in list.value {
        let known = CaName::parse(text.value)
            .ok()
            .filter(|name| cas.profiles.contains_key(name) || cas.broken.contains(name));
        match known {
            Some(name) if names.contains(&name) => {
                problems.add(
                    section
                        .problem(&text.at, "ca", format!("{name} stands there twice"))
                        .hint(TWICE),
                );
            }
            Some(name) => names.push(name),
            None => {
                let all = || cas.profiles.keys().map(CaName::as_str);
                let list: Vec<_> = all().collect();
                let meant = nearest(text.value, all())
                    .map(|near| format!("; did you mean \"{near}\"?"))
                    .unwrap_or_default();
                let message = format!("no CA {:?}{meant}", text.value);
                let problem = section.problem(&text.at, "ca", message);
                problems.add(problem.hint(one_of("CAs here", &list)));
            }
        }
    }
    Some(At::new(list.at, names))
}

/// `validate = "PLUGIN"`, or `validate = { "example.com" = "PLUGIN" }`.
fn validators(section: &Section<'_>, plugins: &Plugins) -> Option<Validators> {
    let entry = section.take_as("validate", &[Form::Text, Form::Open])?;
    let problems = section.problems();
    let before = problems.count();
    let mut value = Vec::new();
    let named = |text: &str, at: &Place| plugin(section, "validate", text, at, World::Dns, plugins);
    match &entry.node.value {
        Value::String(text) => {
            value.extend(named(text, &entry.node.at).map(|plugin| (None, plugin)));
        }
        Value::Table(table) => {
            for inner in &table.entries {
                let suffix = suffix(section, inner);
                let plugin = match &inner.node.value {
                    Value::String(text) => named(text, &inner.node.at),
                    Value::Table(_) => {
                        let message = "a name with dots stands in quotes";
                        let wrong = section.problem(&inner.at, "validate", message);
                        problems.add(wrong.hint("validate = { \"example.com\" = \"PLUGIN\" }"));
                        None
                    }
                    other => {
                        let message = format!("a plugin's name belongs here, not {}", other.kind());
                        let problem = section.problem(&inner.node.at, "validate", message);
                        problems.add(problem.hint("validate = { \"example.com\" = \"PLUGIN\" }"));
                        None
                    }
                };
                value.extend(suffix.map(Some).zip(plugin));
            }
        }
        other => {
            let message = format!("a plugin's name belongs here, not {}", other.kind());
            problems.add(
                section
                    .problem(&entry.node.at, "validate", message)
                    .hint("validate = \"PLUGIN\", or validate = { \"example.com\" = \"PLUGIN\" }"),
            );
        }
    }
    Some(Validators {
        at: entry.node.at.clone(),
        value,
        flawed: problems.count() > before,
    })
}

fn suffix(section: &Section<'_>, entry: &Entry) -> Option<DomainName> {
    if matches!(entry.node.value, Value::Table(_)) {
        return None;
    }
    match DomainName::parse(&entry.key) {
        Ok(name) => Some(name),
        Err(error) => {
            let wrong = section.problem(&entry.at, "validate", error.to_string());
            section.problems().add(wrong.hint(error.hint()));
            None
        }
    }
}

fn installers(section: &Section<'_>, plugins: &Plugins) -> Option<At<Vec<PluginName>>> {
    let list = section.texts("install", r#"["nginx"]"#)?;
    let mut names: Vec<PluginName> = Vec::new();
    for text in list.value {
        let found = plugin(
            section,
            "install",
            text.value,
            &text.at,
            World::Installer,
            plugins,
        );
        match found {
            Some(name) if names.contains(&name) => {
                let message = format!("{name} stands there twice");
                section
                    .problems()
                    .add(section.problem(&text.at, "install", message).hint(TWICE));
            }
            found => names.extend(found),
        }
    }
    Some(At::new(list.at, names))
}

/// A configured plugin of that kind; says what there is if there is none.
fn plugin(
    section: &Section<'_>,
    key: &str,
    text: &str,
    at: &Place,
    world: World,
    plugins: &Plugins,
) -> Option<PluginName> {
    let wrong = |message: String| -> Problem { section.problem(at, key, message) };
    let noun = match world {
        World::Dns => "DNS plugins",
        World::Installer => "installers",
    };
    let of_kind: Vec<_> = plugins.of_world(world).map(PluginName::as_str).collect();
    let here = if of_kind.is_empty() {
        format!("{noun} here: none")
    } else {
        format!("{noun} here: {}", of_kind.join(", "))
    };
    let found = PluginName::parse(text).ok();
    match found.as_ref().and_then(|name| plugins.worlds.get(name)) {
        Some(Some(found_world)) if *found_world != world => {
            let is = match found_world {
                World::Dns => "a DNS plugin",
                World::Installer => "an installer",
            };
            let message = format!("\"{text}\" is {is}");
            section.problems().add(wrong(message).hint(&*here));
            None
        }
        Some(_) => found,
        None => {
            let all = plugins.worlds.keys().map(PluginName::as_str);
            let meant = nearest(text, of_kind.iter().copied()).or_else(|| nearest(text, all));
            let problem = match meant {
                Some(near) => wrong(format!(
                    "no plugin {text:?}; did you mean \"{near}\"? ({here})"
                )),
                None => wrong(format!("no plugin {text:?} ({here})"))
                    .hint(format!("[plugin.{text}] configures one")),
            };
            section.problems().add(problem);
            None
        }
    }
}
