//! `[[known-as]]`: what other ACME clients call the provider and its credentials.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::needed;
use crate::document::Value;
use crate::document::section::{Section, one_of};
use crate::import::Client;
use crate::plugin::{KnownAs, WantSecret};

/// A good section.
const EXAMPLE: &str = "[[known-as]] with client = \"lego\", names = [\"example\"]";

/// Every entry, noting mistakes.
pub(super) fn read(
    root: &Section<'_>,
    secrets: &BTreeMap<String, WantSecret>,
    schema: &Json,
) -> Vec<KnownAs> {
    let Some(entry) = root.take("known-as") else {
        return Vec::new();
    };
    let Value::Array(items) = &entry.node.value else {
        root.problems().add(
            root.problem(
                &entry.at,
                "known-as",
                "there may be several, so it is a list",
            )
            .hint(EXAMPLE),
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items {
        match &item.value {
            Value::Table(table) => {
                let path = root.path.below("known-as");
                let section = Section::new(table, item.at.clone(), path, root.problems());
                found.extend(one(&section, secrets, schema));
                section.finish(&[
                    ("tool", "client = \"lego\""),
                    ("name", "names = [\"example\"]"),
                ]);
            }
            _ => root.problems().add(
                root.problem(&item.at, "known-as", "each is a table")
                    .hint(EXAMPLE),
            ),
        }
    }
    found
}

fn one(
    section: &Section<'_>,
    secrets: &BTreeMap<String, WantSecret>,
    schema: &Json,
) -> Option<KnownAs> {
    let client = section.parsed("client", "\"lego\"", |text| {
        Client::parse(text).ok_or_else(|| {
            let known = Client::ALL.map(Client::as_str).join(", ");
            format!("`{}` is none of {known}", text.escape_debug())
        })
    });
    needed(section, "client", "\"lego\"");
    let names = section.texts("names", "[\"example\"]");
    needed(section, "names", "[\"example\"]");
    let wanted: Vec<&str> = secrets.keys().map(String::as_str).collect();
    let secrets = words(section, "secrets", &wanted);
    let properties = schema.get("properties").and_then(Json::as_object);
    let known: Vec<&str> =
        properties.map_or_else(Vec::new, |all| all.keys().map(String::as_str).collect());
    let settings = words(section, "settings", &known);
    let names = names?.value.into_iter();
    Some(KnownAs {
        client: client?.value,
        names: names.map(|name| name.value.to_owned()).collect(),
        secrets,
        settings,
    })
}

/// `secrets.token = ["EXAMPLE_TOKEN"]`, for keys that the plugin has.
fn words(
    section: &Section<'_>,
    key: &'static str,
    known: &[&str],
) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let Some(table) = section.section(key) else {
        return found;
    };
    for entry in table.named_entries() {
        let wrong = |message: &str| table.problem(&entry.at, &entry.key, message);
        if !known.contains(&entry.key.as_str()) {
            let problem = wrong("the plugin has nothing of that name");
            let hint = one_of("here", known);
            section.problems().add(problem.hint(hint));
            continue;
        }
        let texts = match &entry.node.value {
            Value::Array(items) => items
                .iter()
                .map(|item| match &item.value {
                    Value::String(text) => Some(text.clone()),
                    _ => None,
                })
                .collect::<Option<Vec<String>>>(),
            _ => None,
        };
        match texts {
            Some(texts) => {
                found.insert(entry.key.clone(), texts);
            }
            None => section.problems().add(
                wrong("a list of names belongs here")
                    .hint(format!("{} = [\"EXAMPLE\"]", entry.key)),
            ),
        }
    }
    found
}
