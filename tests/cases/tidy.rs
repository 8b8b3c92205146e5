//! What the architecture promises about the source itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below `folder` whose name ends with `ending`, build output left out.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines before the unit tests.
fn production(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(index, line)| (index + 1, line))
}

/// The floors of the engine, by package.
const FLOORS: [(&str, u8); 6] = [
    ("waxwing-core", 0),
    ("waxwing-acme", 1),
    ("waxwing-flow", 2),
    ("waxwing-host", 3),
    ("waxwing-io", 3),
    ("waxwing-cli", 4),
];

/// What a crate may not use: names of crates, or how they begin.
const BANNED: [(&str, &[&str]); 5] = [
    // No IO, no clock, no randomness, no async, no tracing.
    (
        "waxwing-core",
        &[
            "tokio",
            "reqwest",
            "hickory-",
            "rustix",
            "tracing",
            "wasm",
            "rand",
            "getrandom",
            "async-trait",
            "futures",
        ],
    ),
    // No HTTP client, no async, no waiting.
    (
        "waxwing-acme",
        &[
            "tokio",
            "reqwest",
            "hickory-",
            "rustix",
            "wasm",
            "async-trait",
            "futures",
        ],
    ),
    // Ports, not what is behind them.
    (
        "waxwing-flow",
        &["reqwest", "hickory-", "rustls", "rustix", "wasm"],
    ),
    // What the network and certificates look like is the other crate's; rustix is here for
    // granted folders alone.
    (
        "waxwing-host",
        &["reqwest", "hickory-", "rustls", "hyper", "rcgen", "x509-"],
    ),
    ("waxwing-io", &["wasm", "wit-"]),
];

/// The packages of the workspace, by name, each with the folder of its manifest and what it depends
/// on: the name of a package and whether only tests need it. Tables for one target are included.
fn packages() -> BTreeMap<String, (PathBuf, Vec<(String, bool)>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let text = |value: &Value, key: &str| value[key].as_str().expect("text").to_owned();
    let list = |value: &Value, key: &str| value[key].as_array().expect("a list").clone();
    let package = |package: Value| {
        let depends = list(&package, "dependencies")
            .iter()
            .map(|one| (text(one, "name"), one["kind"] == "dev"))
            .collect();
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let folder = manifest.parent().expect("a folder").to_owned();
        (text(&package, "name"), (folder, depends))
    };
    list(&metadata, "packages")
        .into_iter()
        .map(package)
        .collect()
}

#[test]
fn a_crate_uses_lower_floors_only() {
    let packages = packages();
    let floors = BTreeMap::from(FLOORS);
    for (name, floor) in &floors {
        let (_, depends) = &packages[*name];
        for (other, only_tests) in depends
            .iter()
            .filter(|(other, _)| other.starts_with("waxwing-"))
        {
            let allowed = match floors.get(other.as_str()) {
                Some(other) => other < floor,
                // The world judges the engine, so tests may have it.
                None => *only_tests && other == "waxwing-world",
            };
            assert!(allowed, "{name} (F{floor}) may not use {other}");
        }
    }
    let engine = root().join("engine").canonicalize().expect("a folder");
    for (name, (folder, _)) in &packages {
        let inside = folder
            .canonicalize()
            .is_ok_and(|folder| folder.starts_with(&engine));
        assert_eq!(
            inside,
            floors.contains_key(name.as_str()),
            "{name} has no floor"
        );
    }
}

#[test]
fn adapters_stay_in_their_crates() {
    let packages = packages();
    for (name, banned) in BANNED {
        let (_, depends) = &packages[name];
        for (other, only_tests) in depends {
            let found = banned.iter().find(|banned| other.starts_with(**banned));
            assert!(found.is_none() || *only_tests, "{name} uses {other}");
        }
    }
}

#[test]
fn plugins_and_the_world_know_nothing_of_the_engine() {
    let packages = packages();
    let floors = BTreeMap::from(FLOORS);
    let mut seen = 0;
    for (name, (folder, depends)) in &packages {
        let is_guest = folder
            .components()
            .any(|part| part.as_os_str() == "plugins" || part.as_os_str() == "guests");
        if !is_guest && name != "waxwing-world" {
            continue;
        }
        seen += 1;
        for (other, _) in depends {
            assert!(!floors.contains_key(other.as_str()), "{name} uses {other}");
            // What a guest's tests need of the world, it would need of the engine next.
            assert!(
                !(is_guest && other.starts_with("waxwing-")),
                "{name} uses {other}"
            );
        }
    }
    assert!(seen >= 6, "three plugins, two guests and the world: {seen}");
    for folder in ["plugins", "examples/plugin-template"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).expect("readable source");
            assert!(!text.contains("waxwing_core"), "{}", path.display());
            assert!(!text.contains("engine/"), "{}", path.display());
        }
    }
}

#[test]
fn no_ca_and_no_plugin_is_named_in_engine_source() {
    let mut names: Vec<String> = Vec::new();
    for profile in files(&root().join("engine/core/profiles"), ".toml") {
        let stem = profile
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a plain name");
        // Words of the language, not names of somebody.
        if !matches!(stem, "private" | "template") {
            names.push(stem.to_owned());
        }
    }
    for manifest in files(&root().join("plugins"), "plugin.toml") {
        let folder = manifest
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        names.push(folder.expect("a plain name").to_owned());
    }
    assert!(names.len() > 8, "the names were not found: {names:?}");
    let squeeze = |text: &str| text.to_lowercase().replace(['-', '_', ' ', '\''], "");
    let names: Vec<String> = names.iter().map(|name| squeeze(name)).collect();
    let mut found = Vec::new();
    for path in files(&root().join("engine"), ".rs") {
        // Fixtures of tests may show what an operator writes.
        if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable source");
        for (number, line) in production(&text) {
            let is_prose = line.trim_start().starts_with("//");
            let line_squeezed = squeeze(line);
            let named = names
                .iter()
                .find(|name| line_squeezed.contains(name.as_str()));
            if let Some(name) = named.filter(|_| !is_prose) {
                found.push(format!("{}:{number}: {name}: {line}", path.display()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "names in engine source:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_file_says_one_thing() {
    let mut long = Vec::new();
    for folder in ["engine", "plugins", "tests", "examples"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).expect("readable source");
            let lines = production(&text).count();
            if lines > 600 && !text.contains("//! A table:") {
                long.push(format!(
                    "{}: {lines} lines before its tests",
                    path.display()
                ));
            }
        }
    }
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}

#[test]
fn no_test_is_left_out() {
    let (ignored, panics) = (concat!("#[", "ignore"), concat!("should_", "panic"));
    for folder in ["engine", "plugins", "tests", "examples"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).expect("readable source");
            assert!(!text.contains(ignored), "{} ignores a test", path.display());
            assert!(!text.contains(panics), "{} expects a panic", path.display());
        }
    }
}

#[test]
fn one_file_reads_pem_with_the_archived_crate() {
    let users: Vec<PathBuf> = files(&root().join("engine"), ".rs")
        .into_iter()
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("rustls_pemfile")))
        .collect();
    assert_eq!(users.len(), 1, "{users:?}");
    assert!(users[0].ends_with("io/src/pem.rs"), "{users:?}");
}

/// What a profile says on our own account: no CA publishes anything about these.
const OURS: [&str; 4] = ["title", "rehearse-at", "default-rank", "fallback"];

/// True if there is a day in the text, as 2026-11-25.
fn has_day(text: &str) -> bool {
    let is_day = |word: &str| {
        let parts: Vec<&str> = word.trim_matches('-').split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        lengths == [4, 2, 2] && word.starts_with("20")
    };
    text.split(|c: char| !c.is_ascii_digit() && c != '-')
        .any(is_day)
}

/// The keys and tables of a profile that no comment with a day speaks of. A key outside of tables has
/// one directly above it, a table has one above its head or within it.
fn bare(profile: &str) -> Vec<String> {
    let mut bare = Vec::new();
    let (mut table, mut dated, mut above) = (None::<String>, false, String::new());
    for line in profile.lines().chain(["[end]"]) {
        let key = line.split(" = ").next().unwrap_or_default();
        if line.starts_with('#') {
            above.push_str(line);
            continue;
        }
        if line.starts_with('[') {
            // A comment directly above a head belongs to what comes.
            bare.extend(table.take().filter(|name| name != "[notes]" && !dated));
            table = Some(line.to_owned());
            dated = has_day(&above);
        } else if table.is_none() && key.len() < line.len() && !OURS.contains(&key) {
            bare.extend((!has_day(&above)).then(|| key.to_owned()));
        } else {
            dated |= has_day(&above);
        }
        above.clear();
    }
    bare
}

#[test]
fn each_field_of_a_profile_has_a_source_and_a_day() {
    let sample = "# Read 2026-11-25.\ntitle = \"A\"\n\ncaa = []\n# 2026-11-25\nstaging = true\n\n[eab]\n\
                  # of 2026-04\nttl = 1\n\n# 2026-11-25\n[ari]\na = 1\n[rate]\n# (2026-11-25)\nb = 1\n[notes]\n";
    assert_eq!(bare(sample), ["caa", "[eab]"]);
    let mut found = Vec::new();
    for path in files(&root().join("engine/core/profiles"), ".toml") {
        // A server of one's own publishes nothing.
        if path.ends_with("private.toml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable profile");
        found.extend(
            bare(&text)
                .into_iter()
                .map(|what| format!("{}: {what}", path.display())),
        );
        if !text.contains("\ndocumentation = ") {
            found.push(format!("{}: notes.documentation", path.display()));
        }
    }
    assert!(
        found.is_empty(),
        "say from where and when, or that nothing is published: {found:#?}"
    );
}
