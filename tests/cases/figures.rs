//! The examples for Prometheus and Grafana ask for figures that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Labels that Prometheus adds.
const THEIRS: [&str; 2] = ["instance", "job"];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect("a file of the repository")
}

/// Words that begin so and go on with lower-case letters and `_`.
fn words<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
    let found = text.match_indices(begin).map(|(at, _)| {
        let rest = &text[at..];
        let end =
            rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.' || c == '$'));
        &rest[..end.unwrap_or(rest.len())]
    });
    found.collect()
}

#[test]
fn the_examples_ask_for_figures_that_there_are() {
    let golden = read("engine/cli/src/render/golden/metrics.prom");
    let types = golden
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let known: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let labels = golden.lines().filter(|line| !line.starts_with('#'));
    let labels: BTreeSet<&str> = labels
        .filter_map(|line| line.split_once('{'))
        .flat_map(|(_, rest)| rest.split(',').filter_map(|one| one.split_once("=\"")))
        .map(|(label, _)| label)
        .chain(THEIRS)
        .collect();
    let rules = read("examples/prometheus/alerts.yml");
    let board = read("examples/prometheus/dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(&board).expect("JSON");
    assert!(parsed["panels"].as_array().is_some_and(|all| all.len() > 5));
    for text in [&rules, &board] {
        let asked = words(text, "waxwing_");
        assert!(asked.len() > 4, "{asked:?}");
        let lost: Vec<_> = asked.difference(&known).collect();
        assert!(lost.is_empty(), "no such figures: {lost:?}");
    }
    for label in words(&rules, "$labels.") {
        let label = label.trim_start_matches("$labels.");
        assert!(labels.contains(label), "no label {label}: {labels:?}");
    }
    // What cannot be told by mail is told here: that nothing runs.
    assert!(rules.contains("waxwing_last_run_timestamp_seconds"));
    assert!(!rules.contains('\t'), "YAML knows no tabs");
}

/// Each figure of the golden file: name, type, labels, what it says.
fn shown(golden: &str) -> Vec<[String; 4]> {
    let mut all: Vec<[String; 4]> = Vec::new();
    for line in golden
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("---"))
    {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            all.push([
                name.to_owned(),
                String::new(),
                String::new(),
                help.to_owned(),
            ]);
            continue;
        }
        let [_, kind, labels, _] = all.last_mut().expect("HELP stands first");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            *kind = rest.split(' ').nth(1).expect("a type").to_owned();
        } else if let Some((_, rest)) = line.split_once('{') {
            let names = rest.split(',').filter_map(|one| one.split_once("=\""));
            let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
            *labels = names.join(", ");
        }
    }
    all
}

#[test]
fn every_figure_is_documented_and_nothing_else_is() {
    let golden = read("engine/cli/src/render/golden/metrics.prom");
    let shown = shown(&golden);
    let readme = read("examples/prometheus/README.md");
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| `waxwing_"));
    let documented: Vec<[String; 4]> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, what] = cells[..] else {
                panic!("four columns: {row}");
            };
            [name.trim_matches('`'), kind, labels, what].map(str::to_owned)
        })
        .collect();
    assert_eq!(documented, shown);
    // Whatever is put up is in the golden file.
    let source = read("engine/cli/src/render/metrics.rs");
    for put_up in ["board.gauge(", "board.counter("] {
        for call in source.split(put_up).skip(1) {
            let name = call.split('"').nth(1).expect("a name");
            let name = format!("waxwing_{name}");
            assert!(
                shown.iter().any(|one| one[0] == name),
                "{name} is not shown"
            );
        }
    }
}
