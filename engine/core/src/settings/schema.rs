//! A plugin's settings, judged by the JSON Schema of its manifest.
//!
//! The subset: `type` (one, or a list), `properties`, `required`, `additionalProperties` (a flag or
//! a schema), `items`, `enum`, `minimum`, `maximum`, `minLength`, `maxLength`, `minItems`,
//! `maxItems`, `pattern` (see [`pattern`]), `propertyNames` (its `pattern`, and in `x-placeholders`
//! what may stand in braces), `default`. Everything else is for people and forms and is not judged.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::pattern;
use crate::document::problem::{Problem, Problems};
use crate::document::section::{KeyPath, one_of};
use crate::document::{self, Node, Place, Table, Value};
use crate::http::has_userinfo;
use crate::nearest::nearest;

/// The settings as JSON, with defaults filled in; mistakes are noted.
pub(crate) fn fill(
    schema: &Json,
    node: Option<&Node>,
    at: &Place,
    path: &KeyPath,
    problems: &Problems,
) -> Json {
    let empty = Node {
        at: at.clone(),
        value: Value::Table(Table::default()),
    };
    let node = node.unwrap_or(&empty);
    let object = serde_json::json!({ "type": "object" });
    let schema = if schema.is_object() { schema } else { &object };
    judge(schema, node, at, path, problems)
}

/// The value of one setting as somebody types it: a text without quotes, `yes`, or what TOML takes, for
/// a table also without its braces.
///
/// # Errors
/// What is wrong with it, with what to write instead.
pub(crate) fn answer(schema: &Json, key: &str, text: &str) -> Result<Json, String> {
    let kinds = types(schema);
    let file: Arc<Path> = Arc::from(Path::new(key));
    let at = Place::start_of(key);
    let as_toml = |text: &str| {
        let problems = Problems::default();
        let table = document::parse(&file, &format!("a = {text}"), &problems);
        let entry = table.entries.into_iter().next();
        entry
            .filter(|_| problems.count() == 0)
            .map(|entry| entry.node)
    };
    let as_text = || Node {
        at: at.clone(),
        value: Value::String(text.to_owned()),
    };
    let is_only_text = kinds.iter().all(|kind| *kind == "string");
    let node = match text.to_ascii_lowercase().as_str() {
        _ if is_only_text => as_text(),
        "y" | "yes" if kinds.contains(&"boolean") => as_toml("true").unwrap_or_else(as_text),
        "n" | "no" if kinds.contains(&"boolean") => as_toml("false").unwrap_or_else(as_text),
        _ if kinds.contains(&"object") && !text.starts_with('{') => {
            as_toml(&format!("{{ {text} }}")).unwrap_or_else(as_text)
        }
        _ => as_toml(text).unwrap_or_else(as_text),
    };
    let problems = Problems::default();
    let path = KeyPath::root().below("settings").below(key);
    let value = judge(schema, &node, &at, &path, &problems);
    match problems.into_list().into_iter().next() {
        None => Ok(value),
        Some(problem) => Err(match problem.hint {
            Some(hint) => format!("{}; {hint}", problem.message),
            None => problem.message,
        }),
    }
}

fn judge(schema: &Json, node: &Node, at: &Place, path: &KeyPath, problems: &Problems) -> Json {
    let wrong = |message: String| Problem::new(node.at.clone(), path.as_str(), message);
    let types = types(schema);
    if !types.is_empty() && !types.iter().any(|kind| is_of_type(&node.value, kind)) {
        let wanted: Vec<_> = types.iter().map(|kind| wanted(kind)).collect();
        let message = format!(
            "{} belongs here, not {}",
            wanted.join(" or "),
            node.value.kind()
        );
        problems.add(with_example(wrong(message), schema, path));
        return Json::Null;
    }
    if let Some(Json::Array(allowed)) = schema.get("enum") {
        let value = node.value.to_json();
        if !allowed.contains(&value) {
            let list: Vec<_> = allowed.iter().map(Json::to_string).collect();
            let near = value
                .as_str()
                .and_then(|text| nearest(text, allowed.iter().filter_map(Json::as_str)));
            problems.add(match near {
                Some(near) => wrong(format!("not allowed here; did you mean {near:?}?")),
                None => {
                    wrong("not allowed here".to_owned()).hint(format!("one of {}", list.join(", ")))
                }
            });
        }
    }
    match &node.value {
        Value::Table(table) => object(schema, table, at, path, problems),
        Value::Array(items) => {
            bound(
                schema,
                "Items",
                items.len(),
                "items",
                &wrong,
                path,
                problems,
            );
            let each = schema.get("items");
            let judged = items.iter().enumerate().map(|(index, item)| match each {
                Some(each) => {
                    let path = path.below(&format!("[{index}]"));
                    judge(each, item, &item.at, &path, problems)
                }
                None => item.value.to_json(),
            });
            judged.collect()
        }
        Value::String(text) => {
            let length = text.chars().count();
            bound(
                schema,
                "Length",
                length,
                "characters",
                &wrong,
                path,
                problems,
            );
            if has_userinfo(text) && (text.starts_with("http://") || text.starts_with("https://")) {
                // The message must not show it, and no other message may.
                let message = "the URL has a user or a password, which would stand in logs";
                let plugin = path.as_str().split('.').nth(1).unwrap_or("NAME");
                problems.add(wrong(message.to_owned()).hint(format!(
                    "leave it out; credentials belong into `secrets` of [plugin.{plugin}]"
                )));
                return Json::String(String::new());
            }
            if let Some(Json::String(wanted)) = schema.get("pattern")
                && pattern::matches(wanted, text) == Some(false)
            {
                problems.add(with_example(
                    wrong(format!("does not look as it must: {wanted}")),
                    schema,
                    path,
                ));
            }
            node.value.to_json()
        }
        Value::Integer(_) | Value::Float(_) => {
            let value = node.value.to_json();
            let number = value.as_f64().unwrap_or(0.0);
            let limit = |key: &str| schema.get(key).and_then(Json::as_f64);
            if limit("minimum").is_some_and(|least| number < least) {
                let least = &schema["minimum"];
                let problem = wrong(format!("{value} is too small; {least} is the least"));
                problems.add(with_example(problem, schema, path));
            }
            if limit("maximum").is_some_and(|most| number > most) {
                let most = &schema["maximum"];
                let problem = wrong(format!("{value} is too large; {most} is the most"));
                problems.add(with_example(problem, schema, path));
            }
            value
        }
        Value::Boolean(_) | Value::Datetime(_) => node.value.to_json(),
    }
}

fn object(schema: &Json, table: &Table, at: &Place, path: &KeyPath, problems: &Problems) -> Json {
    let nothing = Map::new();
    let properties = match schema.get("properties") {
        Some(Json::Object(properties)) => properties,
        _ => &nothing,
    };
    let mut filled = Map::new();
    for entry in &table.entries {
        if let Some(names) = schema.get("propertyNames") {
            name(names, &entry.key, &entry.at, path, problems);
        }
        let below = path.below(&entry.key);
        let inner = match (
            properties.get(&entry.key),
            schema.get("additionalProperties"),
        ) {
            (Some(inner), _) | (None, Some(inner @ Json::Object(_))) => inner,
            // A schema that lists its keys means them: a typing error must not pass as an extra.
            (None, None) if properties.is_empty() => &Json::Bool(true),
            (None, Some(Json::Bool(true))) => &Json::Bool(true),
            (None, _) => {
                problems.add(unknown(&entry.at, &entry.key, &below, properties));
                continue;
            }
        };
        let value = judge(inner, &entry.node, &entry.at, &below, problems);
        filled.insert(entry.key.clone(), value);
    }
    for (key, inner) in properties {
        if let Some(default) = inner.get("default")
            && !filled.contains_key(key)
        {
            filled.insert(key.clone(), default.clone());
        }
    }
    if let Some(Json::Array(required)) = schema.get("required") {
        for key in required.iter().filter_map(Json::as_str) {
            if !filled.contains_key(key) && table.get(key).is_none() {
                let below = path.below(key);
                let problem = Problem::new(at.clone(), below.as_str(), "the setting is missing");
                let inner = properties.get(key).unwrap_or(&Json::Null);
                problems.add(with_example(problem, inner, &below));
            }
        }
    }
    Json::Object(filled)
}

/// A key that the operator makes up, such as the name of a file.
fn name(schema: &Json, key: &str, at: &Place, path: &KeyPath, problems: &Problems) {
    let wrong = |message: String| {
        let problem = Problem::new(at.clone(), path.as_str(), message);
        with_description(problem, schema, path)
    };
    if let Some(Json::String(wanted)) = schema.get("pattern")
        && pattern::matches(wanted, key) == Some(false)
    {
        problems.add(wrong(format!("{key:?} cannot be a name here")));
    }
    let Some(Json::Array(known)) = schema.get("x-placeholders") else {
        return;
    };
    let known: Vec<&str> = known.iter().filter_map(Json::as_str).collect();
    let open = key.split('{').skip(1);
    for word in open.filter_map(|rest| rest.split_once('}').map(|(word, _)| word)) {
        if known.contains(&word) {
            continue;
        }
        let list = || {
            known
                .iter()
                .map(|one| format!("{{{one}}}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        problems.add(wrong(match nearest(word, known.iter().copied()) {
            Some(near) => {
                format!("unknown placeholder {{{word}}} in {key:?}; did you mean {{{near}}}?")
            }
            None => format!(
                "unknown placeholder {{{word}}} in {key:?} (there is {})",
                list()
            ),
        }));
    }
}

fn unknown(at: &Place, key: &str, path: &KeyPath, properties: &Map<String, Json>) -> Problem {
    let message = match nearest(key, properties.keys().map(String::as_str)) {
        Some(near) => format!("unknown setting; did you mean `{near}`?"),
        None if properties.is_empty() => "this plugin has no settings".to_owned(),
        None => {
            let list: Vec<_> = properties.keys().map(String::as_str).collect();
            return Problem::new(at.clone(), path.as_str(), "unknown setting")
                .hint(one_of("settings here", &list));
        }
    };
    Problem::new(at.clone(), path.as_str(), message).hint(look_it_up(path))
}

/// Shows a right line: the first of `examples`, the default, or what the description says.
fn with_example(problem: Problem, schema: &Json, path: &KeyPath) -> Problem {
    let example = schema.get("examples").and_then(|list| list.get(0));
    let key = path.key();
    match (example.or(schema.get("default")), schema.get("description")) {
        (Some(value), _) if !value.is_object() => problem.hint(format!("{key} = {value}")),
        (_, Some(Json::String(text))) => problem.hint(format!("{key}: {text}")),
        _ => problem.hint(look_it_up(path)),
    }
}

fn with_description(problem: Problem, schema: &Json, path: &KeyPath) -> Problem {
    match schema.get("description") {
        Some(Json::String(text)) => problem.hint(text),
        _ => problem.hint(look_it_up(path)),
    }
}

/// Where the settings of a plugin stand, whose schema explains nothing.
fn look_it_up(path: &KeyPath) -> String {
    let mut words = path.as_str().split('.');
    let plugin = words.nth(1).unwrap_or("NAME");
    format!("`waxwing plugin inspect {plugin}` shows its settings")
}

fn bound(
    schema: &Json,
    what: &str,
    count: usize,
    noun: &str,
    wrong: &impl Fn(String) -> Problem,
    path: &KeyPath,
    problems: &Problems,
) {
    let limit = |end: &str| schema.get(format!("{end}{what}")).and_then(Json::as_u64);
    let count = count as u64;
    if let Some(least) = limit("min").filter(|least| count < *least) {
        let message = format!("too few {noun}: {count}, and at least {least} must be here");
        problems.add(with_description(wrong(message), schema, path));
    }
    if let Some(most) = limit("max").filter(|most| count > *most) {
        let message = format!("too many {noun}: {count}, and at most {most} may be here");
        problems.add(with_description(wrong(message), schema, path));
    }
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => matches!(value, Value::String(_) | Value::Datetime(_)),
        "integer" => matches!(value, Value::Integer(_)),
        "number" => matches!(value, Value::Integer(_) | Value::Float(_)),
        "boolean" => matches!(value, Value::Boolean(_)),
        "array" => matches!(value, Value::Array(_)),
        "object" => matches!(value, Value::Table(_)),
        _ => false,
    }
}

const fn wanted(kind: &str) -> &str {
    match kind.as_bytes() {
        b"string" => "a text in quotes",
        b"integer" => "a whole number",
        b"number" => "a number",
        b"boolean" => "true or false",
        b"array" => "a list",
        b"object" => "a table",
        _ => kind,
    }
}
