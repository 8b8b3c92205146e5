//! The JSON Schema of `waxwing.toml`, for editors.
//!
//! It is no second list of keys: the reader of the configuration reads a file in which every section
//! stands once, and each key that it asks for is taken down with what may stand there. What a newcomer
//! gets wrong: a section that is missing in that file hides its keys, which a test of this module
//! finds by looking for them in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::{Map, Value as Json, json};

use super::PluginSource;
use super::raw::{self, SourceFile};
use super::resolve::{self, Catalog};
use crate::document::problem::{Asked, Form, Problems};
use crate::document::{self, Value};
use crate::plugin::Manifest;
use crate::profiles;

/// A file with every section and every way of writing one.
const EVERYTHING: &str = include_str!("json_schema/everything.toml");

/// A plugin that asks for everything a plugin can be granted, and the reverse.
const DNS: &str = include_str!("json_schema/dns.toml");
const INSTALLER: &str = include_str!("json_schema/installer.toml");

/// What each key means, by its path.
const MEANINGS: &str = include_str!("json_schema/meanings.toml");

/// Keys that mean the same in the first section as in the second one.
const SAME: [(&str, &str); 2] = [
    ("certificate[].renewal", "renewal"),
    ("defaults", "certificate[]"),
];

/// What a reference to a secret may be besides a text.
const OF_COMMAND: &str = "A program, by its absolute path, and its arguments; the first line of its output is the secret.";

/// The schema (2020-12), as JSON.
///
/// Which keys there are, which of them a section is never good without, what kind of value belongs to
/// each, and its words if there are no others; what the values mean is judged by `waxwing check` alone.
/// The settings of a plugin are judged by the schema of its manifest. The first level needs no key,
/// because an included file has the rest.
pub fn schema() -> Json {
    let (asked, _) = listen();
    let mut root = Node::default();
    for one in &asked {
        let mut node = &mut root;
        for step in steps(&one.path) {
            node = node.below(step);
        }
        node.forms.insert(one.form);
        node.examples.extend(examples(&one.example));
        node.words.extend(&one.words);
    }
    root.forms.insert(Form::Section);
    let mut schema = Map::new();
    let head = [
        ("$schema", "https://json-schema.org/draft/2020-12/schema"),
        ("title", "waxwing.toml"),
    ];
    schema.extend(head.map(|(key, value)| (key.to_owned(), value.into())));
    if let Json::Object(whole) = root.into_json(&Meant::root(&meanings())) {
        schema.extend(whole);
    }
    Json::Object(schema)
}

/// What is written of each key, by its path: `ca.*.title`, `certificate[].name`.
fn meanings() -> BTreeMap<String, String> {
    let file = Arc::from(Path::new("meanings.toml"));
    let table = document::parse(&file, MEANINGS, &Problems::default());
    let entries = table.entries.into_iter();
    let texts = entries.filter_map(|entry| match entry.node.value {
        Value::String(text) => Some((entry.key, text)),
        _ => None,
    });
    texts.collect()
}

/// Where a key stands, and what is written of it.
#[derive(Debug)]
struct Meant<'m> {
    path: String,
    all: &'m BTreeMap<String, String>,
}

impl<'m> Meant<'m> {
    const fn root(all: &'m BTreeMap<String, String>) -> Self {
        Self {
            path: String::new(),
            all,
        }
    }

    fn below(&self, key: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{key}", self.path),
            all: self.all,
        }
    }

    fn each(&self) -> Self {
        Self {
            path: format!("{}[]", self.path),
            all: self.all,
        }
    }

    /// What is written of it, or of the one that means the same.
    fn text(&self) -> Option<&'m str> {
        let same = SAME.iter().find_map(|(one, other)| {
            let rest = self.path.strip_prefix(one)?;
            self.all.get(&format!("{other}{rest}"))
        });
        self.all.get(&self.path).or(same).map(String::as_str)
    }
}

/// Every key that the reader asks for, and what it has against the file.
fn listen() -> (Vec<Asked>, Vec<document::problem::Problem>) {
    let manifest = |text: &str| Manifest::parse("plugin.toml", text).map_err(|e| e.to_string());
    let embedded = |id: &str| PluginSource::Embedded(id.to_owned());
    let catalog = Catalog {
        may_be_empty: false,
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests: BTreeMap::from([
            (embedded("dns"), manifest(DNS)),
            (embedded("installer"), manifest(INSTALLER)),
        ]),
        zones: TimeZoneDatabase::bundled(),
        here: TimeZone::UTC,
        real: |_| None,
    };
    let raw = raw::parse(&[SourceFile {
        path: PathBuf::from("/etc/waxwing/waxwing.toml"),
        shown: "waxwing.toml".to_owned(),
        text: EVERYTHING.to_owned(),
    }]);
    let problems = Problems::listening();
    let _settings = resolve::read(&raw, &catalog, &problems);
    problems.into_asked()
}

/// A step from a section to what is in it.
enum Step<'a> {
    /// A key.
    Key(&'a str),
    /// Each element of a list.
    Item,
}

/// The steps to a key: `ca.own.eab.offers[0].url`, or `certificate "shop", renewal.windows`.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let rest = match path.split_once(" \"") {
        Some((list, rest)) => {
            steps.extend([Step::Key(list), Step::Item]);
            rest.split_once("\", ").map_or("", |(_name, rest)| rest)
        }
        None => path,
    };
    for word in rest.split('.').filter(|word| !word.is_empty()) {
        match word.split_once('[') {
            Some((list, _index)) => steps.extend([Step::Key(list), Step::Item]),
            None => steps.push(Step::Key(word)),
        }
    }
    steps
}

/// The values of an example: one, or each of `"a", "b" or "c"`.
fn examples(text: &str) -> Vec<Json> {
    if text.is_empty() || text.contains("...") {
        return Vec::new();
    }
    let value = |text: &str| {
        let problems = Problems::default();
        let file = Arc::from(Path::new("example"));
        let table = document::parse(&file, &format!("x = {text}"), &problems);
        let value = table.get("x")?.node.value.to_json();
        (problems.count() == 0).then_some(value)
    };
    match value(text) {
        Some(one) => vec![one],
        None => match value(&format!("[{}]", text.replace(" or ", ", "))) {
            Some(Json::Array(several)) => several,
            _ => Vec::new(),
        },
    }
}

/// What is known of a key and of everything below it.
#[derive(Debug, Default)]
struct Node {
    forms: BTreeSet<Form>,
    examples: Vec<Json>,
    words: BTreeSet<&'static str>,
    below: BTreeMap<String, Self>,
    items: Option<Box<Self>>,
}

impl Node {
    fn below(&mut self, step: Step<'_>) -> &mut Self {
        match step {
            Step::Item => self.items.get_or_insert_default(),
            Step::Key(key) => self.below.entry(key.to_owned()).or_default(),
        }
    }

    /// Adds what is known of another one. A key that one of the two does without is not needed.
    fn merge(&mut self, mut other: Self) {
        if !self.below.is_empty() && !other.below.is_empty() {
            let needed = &self.needed() & &other.needed();
            for (key, node) in self.below.iter_mut().chain(&mut other.below) {
                if !needed.contains(key) {
                    node.forms.remove(&Form::Needed);
                }
            }
        }
        self.forms.extend(other.forms);
        self.examples.extend(other.examples);
        self.words.extend(other.words);
        for (key, node) in other.below {
            self.below.entry(key).or_default().merge(node);
        }
        if let Some(items) = other.items {
            self.items.get_or_insert_default().merge(*items);
        }
    }

    /// The keys below this that must stand there.
    fn needed(&self) -> BTreeSet<String> {
        let needed = |node: &Self| node.forms.contains(&Form::Needed);
        let below = self.below.iter().filter(|(_, node)| needed(node));
        below.map(|(key, _)| key.clone()).collect()
    }

    fn into_json(self, meant: &Meant<'_>) -> Json {
        let mut needed = self.needed();
        let Self {
            forms,
            examples,
            words,
            below,
            items,
        } = self;
        let mut schema = Map::new();
        if let Some(text) = meant.text() {
            schema.insert("description".to_owned(), text.into());
        }
        let mut types: Vec<&str> = Vec::new();
        let mut add = |kind| {
            if !types.contains(&kind) {
                types.push(kind);
            }
        };
        let has = |form: &Form| forms.contains(form);
        for form in &forms {
            match form {
                Form::Unsaid | Form::Needed => {}
                Form::Text | Form::Word => add("string"),
                Form::Flag => add("boolean"),
                Form::Number(..) => add("integer"),
                Form::Fraction => add("number"),
                Form::Texts | Form::Words | Form::Sections => add("array"),
                Form::Section | Form::Named | Form::Open => add("object"),
                Form::Secret => {
                    add("string");
                    add("object");
                }
            }
        }
        match types.as_slice() {
            [] => {}
            [only] => drop(schema.insert("type".to_owned(), (*only).into())),
            several => drop(schema.insert("type".to_owned(), several.into())),
        }
        if let Some(Form::Number(least, most)) =
            forms.iter().find(|form| matches!(form, Form::Number(..)))
        {
            schema.insert("minimum".to_owned(), (*least).into());
            schema.insert("maximum".to_owned(), (*most).into());
        }
        // Where another text may stand, too, the words are none of a closed set.
        if has(&Form::Word) && types == ["string"] && !has(&Form::Text) {
            schema.insert("enum".to_owned(), json!(words));
        }
        if has(&Form::Words) && !has(&Form::Texts) {
            let each = json!({ "type": "string", "enum": words });
            schema.insert("items".to_owned(), each);
        } else if has(&Form::Texts) {
            schema.insert("items".to_owned(), json!({ "type": "string" }));
        } else if has(&Form::Sections) {
            let mut each = items.map(|items| *items).unwrap_or_default();
            each.forms.insert(Form::Section);
            schema.insert("items".to_owned(), each.into_json(&meant.each()));
        }
        if has(&Form::Named) {
            let mut each = Self::default();
            for node in below.into_values() {
                each.merge(node);
            }
            if !each.below.is_empty() {
                each.forms.insert(Form::Section);
            }
            let each = each.into_json(&meant.below("*"));
            schema.insert("additionalProperties".to_owned(), each);
        } else if has(&Form::Open) {
            schema.insert("additionalProperties".to_owned(), true.into());
        } else if has(&Form::Section) || has(&Form::Secret) {
            let mut properties: Map<String, Json> = below
                .into_iter()
                .map(|(key, node)| {
                    let json = node.into_json(&meant.below(&key));
                    (key, json)
                })
                .collect();
            if has(&Form::Secret) {
                let command = json!({
                    "description": OF_COMMAND,
                    "type": "array",
                    "items": { "type": "string" },
                });
                properties.insert("command".to_owned(), command);
                needed.insert("command".to_owned());
            }
            if !needed.is_empty() {
                schema.insert("required".to_owned(), json!(needed));
            }
            schema.insert("properties".to_owned(), properties.into());
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let mut shown: Vec<Json> = Vec::new();
        for example in examples {
            if !shown.contains(&example) {
                shown.push(example);
            }
        }
        if !shown.is_empty() {
            schema.insert("examples".to_owned(), shown.into());
        }
        Json::Object(schema)
    }
}

#[cfg(test)]
mod tests;
