#![expect(
    clippy::disallowed_methods,
    reason = "the examples and the source are files"
)]

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::document::section::KeyPath;
use crate::document::{Node as Read, Place, Value};
use crate::settings::schema as judge;

/// What the schema has against a file, judged as the settings of a plugin are judged by theirs.
fn mistakes(schema: &Json, text: &str) -> Vec<String> {
    let file = Arc::from(Path::new("waxwing.toml"));
    let problems = Problems::default();
    let table = document::parse(&file, text, &problems);
    let node = Read {
        at: Place::start_of("waxwing.toml"),
        value: Value::Table(table),
    };
    let at = node.at.clone();
    judge::fill(schema, Some(&node), &at, &KeyPath::root(), &problems);
    problems
        .into_list()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.sort();
    found
}

#[test]
fn the_file_with_everything_has_no_mistake() {
    // Whoever stops at one hides the keys behind it.
    let (asked, problems) = listen();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(asked.len() > 200, "{}", asked.len());
}

#[test]
fn every_good_configuration_is_good_for_the_schema_too() {
    let schema = schema();
    let mut seen = 0;
    let all = files("../../examples/configs");
    let cases = files("../../tests/cases/config")
        .into_iter()
        .filter(|path| {
            let is_case = path
                .extension()
                .is_some_and(|extension| extension == "toml");
            is_case && !path.with_extension("err").exists()
        });
    for path in all.into_iter().chain(cases) {
        let text = fs::read_to_string(&path).expect("a readable file");
        let mistakes = mistakes(&schema, &text);
        assert!(
            mistakes.is_empty(),
            "{}:\n{}",
            path.display(),
            mistakes.join("\n")
        );
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}

#[test]
fn what_the_readme_shows_is_good_for_the_schema_too() {
    let schema = schema();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = fs::read_to_string(&readme).expect("a readable file");
    let blocks = text.split("\n```toml\n").skip(1);
    let mut seen = 0;
    for block in blocks.filter_map(|block| Some(block.split_once("\n```")?.0)) {
        let mistakes = mistakes(&schema, block).join("\n");
        assert!(mistakes.is_empty(), "{block}:\n{mistakes}");
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} blocks");
}

#[test]
fn unknown_keys_and_wrong_kinds_are_mistakes_for_the_schema() {
    let schema = schema();
    for (text, key) in [
        ("[account]\nemial = \"a\"", "account.emial"),
        ("[account]\nemail = 5", "account.email"),
        ("[[certificate]]\ndomains = \"a\"", "certificate[0].domains"),
        (
            "[plugin.x.grants.files.certs]\npath = \"/x\"",
            "plugin.x.grants.files.certs.path",
        ),
        ("[notify.x.login]\npassword = 5", "notify.x.login.password"),
        ("[failover]\nafter-failures = 0", "failover.after-failures"),
        ("[log]\nlevel = 5", "log.level"),
    ] {
        let mistakes = mistakes(&schema, text).join("\n");
        assert!(
            mistakes.contains(&format!("  {key}\n")),
            "{text}: {mistakes}"
        );
    }
}

#[test]
fn words_that_are_none_are_mistakes_for_the_schema() {
    let schema = schema();
    for (text, key, hint) in [
        (
            "[log]\nlevel = \"trace\"",
            "log.level",
            "\"debug\", \"error\", \"info\", \"warn\"",
        ),
        (
            "[log]\nformat = \"xml\"",
            "log.format",
            "\"json\", \"text\"",
        ),
        (
            "[failover]\nfail-back = \"soon\"",
            "failover.fail-back",
            "\"never\", \"next-renewal\"",
        ),
        (
            "[notify.x]\nshape = \"irc\"",
            "notify.x.shape",
            "\"discord\"",
        ),
        (
            "[notify.x]\non = [\"today\"]",
            "notify.x.on[0]",
            "\"failed\"",
        ),
        ("[defaults]\nkey = \"dsa\"", "defaults.key", "\"rsa-2048\""),
        (
            "[[certificate]]\ndomains = [\"a\"]\nkey = \"dsa\"",
            "certificate[0].key",
            "\"rsa-2048\"",
        ),
        // As it is read: in capitals it is another word.
        (
            "[[certificate]]\ndomains = [\"a\"]\nkey = \"RSA-2048\"",
            "certificate[0].key",
            "",
        ),
        (
            "[ca.x]\ncert-keys = [\"dsa\"]",
            "ca.x.cert-keys[0]",
            "\"rsa-2048\"",
        ),
        (
            "[ca.x.quirks]\nchallenge-retry = \"us\"",
            "ca.x.quirks.challenge-retry",
            "\"server\"",
        ),
    ] {
        let mistakes = mistakes(&schema, text).join("\n");
        assert!(
            mistakes.contains(&format!("  {key}\n")) && mistakes.contains(hint),
            "{text}: {mistakes}"
        );
    }
}

#[test]
fn a_key_that_is_always_needed_is_so_for_the_schema() {
    let schema = schema();
    for (text, missing) in [
        ("[[certificate]]\nname = \"x\"", "certificate[0].domains"),
        (
            "[account]\nemail = \"a@example.com\"",
            "account.agree-terms",
        ),
        (
            "[plugin.x.grants.files.certs]\nmode = \"0640\"",
            "plugin.x.grants.files.certs.dir",
        ),
        (
            "[plugin.x.grants.exec.reload]\ntimeout = \"1s\"",
            "plugin.x.grants.exec.reload.argv",
        ),
        ("[notify.x.login]\nuser = \"x\"", "notify.x.login.password"),
        (
            "[notify.x.header]\nscheme = \"x\"",
            "notify.x.header.secret",
        ),
        ("[ca.x.profile]\nrequired = true", "ca.x.profile.name"),
        (
            "[ca.x.eab]\noffers = [{ url = \"https://a\", kid = \"/a\" }]",
            "ca.x.eab.offers[0].hmac-key",
        ),
        (
            "[account]\nagree-terms = true\nkey = {}",
            "account.key.command",
        ),
    ] {
        let mistakes = mistakes(&schema, text).join("\n");
        assert!(
            mistakes.contains(&format!("  {missing}\n")),
            "{text}: {mistakes}"
        );
    }
}

#[test]
fn what_is_good_without_a_key_or_with_another_text_is_good_for_the_schema() {
    let schema = schema();
    for text in [
        // The rest stands in an included file, or in the one that includes this.
        "include = [\"certs.d/*.toml\"]",
        "[notify.x]\nwebhook = { command = [\"/bin/a\"] }",
        "[ca.zerossl]\nfallback = false",
        "[network]\npropagation = \"wait 120s\"",
        "[plugin.x]\nsecrets = { a = \"file:a\" }",
    ] {
        let mistakes = mistakes(&schema, text).join("\n");
        assert!(mistakes.is_empty(), "{text}: {mistakes}");
    }
}

#[test]
fn an_example_of_several_values_is_each_of_them() {
    let all = schema();
    let examples = |pointer: &str| all.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(
        examples("/properties/network/properties/propagation/examples"),
        json!(["authoritative", "resolvers", "wait 120s"])
    );
    assert_eq!(
        examples("/properties/failover/properties/after/examples"),
        json!(["12h"])
    );
}

/// The names of all properties.
fn names(schema: &Json, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(fields) => {
            if let Some(Json::Object(properties)) = fields.get("properties") {
                found.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| names(field, found));
        }
        Json::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

/// Every key that stands in the source of the readers, behind a call that asks for one.
fn keys_in_source() -> BTreeSet<String> {
    const CALLS: [&str; 13] = [
        "text(",
        "word(",
        "words(",
        "lacks(",
        "flag(",
        "number(",
        "fraction(",
        "texts(",
        "parsed(",
        "path_value(",
        "section(",
        "take(",
        "secret(",
    ];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/settings/resolve")];
    let mut sources = vec![
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ca/profile.rs"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/settings/resolve.rs"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/settings/secret_ref.rs"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push(path);
            }
        }
    }
    let mut keys = BTreeSet::new();
    for path in sources {
        let text = fs::read_to_string(&path).expect("readable source");
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in CALLS {
            for behind in production.split(call).skip(1) {
                let word = behind.trim_start().strip_prefix('"');
                keys.extend(
                    word.and_then(|word| word.split_once('"'))
                        .map(|(key, _)| key.to_owned()),
                );
            }
        }
    }
    keys
}

/// The properties of a schema by their paths, with what is said of each.
fn properties(schema: &Json, path: &str, found: &mut BTreeMap<String, Json>) {
    let dot = if path.is_empty() { "" } else { "." };
    let Json::Object(fields) = schema else { return };
    if let Some(Json::Object(properties_of_it)) = fields.get("properties") {
        for (key, property) in properties_of_it {
            let path = format!("{path}{dot}{key}");
            properties(property, &path, found);
            found.insert(path, property.clone());
        }
    }
    if let Some(each) = fields.get("additionalProperties") {
        properties(each, &format!("{path}{dot}*"), found);
    }
    if let Some(each) = fields.get("items") {
        properties(each, &format!("{path}[]"), found);
    }
}

#[test]
fn every_key_says_what_it_means_and_what_may_stand_there() {
    let mut found = BTreeMap::new();
    properties(&schema(), "", &mut found);
    let lacks = |field: &str| {
        let without = found.iter().filter(|(_, json)| json.get(field).is_none());
        without.map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    assert!(
        lacks("description").is_empty(),
        "{:?}",
        lacks("description")
    );
    assert!(lacks("type").is_empty(), "{:?}", lacks("type"));
    let meanings = meanings();
    let of_none: Vec<&String> = meanings
        .keys()
        .filter(|path| !found.contains_key(*path))
        .collect();
    assert!(of_none.is_empty(), "meant by no key: {of_none:?}");
    for text in meanings.values() {
        assert!(text.ends_with('.') && text.len() < 300, "{text}");
    }
}

#[test]
fn every_key_that_the_readers_know_is_in_the_schema() {
    let mut found = BTreeSet::new();
    names(&schema(), &mut found);
    let keys = keys_in_source();
    assert!(keys.len() > 80, "{keys:?}");
    let missing: Vec<&String> = keys.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "a section is missing in everything.toml: {missing:?}"
    );
}
