//! What the architecture promises about the source itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn a_crate_uses_lower_floors_only() {
    let floors: BTreeMap<&str, u8> = BTreeMap::from([
        ("core", 0),
        ("acme", 1),
        ("flow", 2),
        ("host", 3),
        ("io", 3),
        ("cli", 4),
    ]);
    for (name, floor) in &floors {
        let path = root().join("engine").join(name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path)
            .expect("each floor has a manifest")
            .parse()
            .expect("a manifest is TOML");
        let dependencies = manifest["dependencies"].as_table().expect("a table");
        for dependency in dependencies.keys() {
            let Some(other) = dependency.strip_prefix("waxwing-") else {
                continue;
            };
            let other = floors
                .get(other)
                .unwrap_or_else(|| panic!("{name} uses {dependency}"));
            assert!(
                other < floor,
                "{name} (F{floor}) may not use {dependency} (F{other})"
            );
        }
        let banned: &[&str] = match floor {
            0 => &[
                "tokio",
                "reqwest",
                "tracing",
                "wasmtime",
                "rand",
                "getrandom",
            ],
            1 => &[
                "tokio",
                "reqwest",
                "wasmtime",
                "async-trait",
                "futures-util",
            ],
            2 => &["reqwest", "wasmtime"],
            _ => &[],
        };
        for name_of_banned in banned {
            assert!(
                !dependencies.contains_key(*name_of_banned),
                "{name} uses {name_of_banned}"
            );
        }
    }
}

#[test]
fn plugins_depend_on_the_contract_only() {
    for path in files(&root().join("plugins"), "Cargo.toml") {
        let text = fs::read_to_string(&path).expect("a readable manifest");
        assert!(
            !text.contains("waxwing-core") && !text.contains("engine/"),
            "{} depends on the engine",
            path.display()
        );
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
