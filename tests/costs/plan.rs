//! `plan` over ten thousand certificates.

use std::fs;
use std::path::Path;

use crate::measure::{Row, Runs, mib, shown};
use crate::rig::{Rig, certificate};

/// How many.
const CERTIFICATES: usize = 10_000;
/// How often it is planned.
const RUNS: usize = 5;

/// The figures. What is planned are copies of one certificate of the rig under other names.
pub(crate) fn rows(rig: &Rig) -> Vec<Row> {
    let state = rig.path("state");
    let seed = state.join("certificates").join("c-first-1");
    let many = rig.path("many");
    fs::create_dir(&many).expect("a folder");
    fs::copy(state.join("format"), many.join("format")).expect("copied");
    // An address where nobody answers: a request would be a failure.
    let mut config = rig.config_of(&[crate::rig::CaSection {
        name: "first",
        directory: "https://127.0.0.1:9/".to_owned(),
        more: "",
    }]);
    for nth in 0..CERTIFICATES {
        let (name, domain) = (format!("c{nth}"), format!("c{nth}.example.com"));
        let target = many.join("certificates").join(&name);
        copy(&seed, &target, &domain);
        config += &certificate(&name, &[&domain]);
    }
    rig.write_config(&config);
    let mut runs = Runs::default();
    for _ in 0..RUNS {
        let mut command = rig.command(&["plan", "--detailed-exitcode", "--state-dir"]);
        runs.run(command.arg(&many));
    }
    vec![
        Row::new(
            format!("plan, {CERTIFICATES} certificates, wall"),
            shown(runs.wall()),
        )
        .target("1 s"),
        Row::new("- CPU", shown(runs.cpu())),
        Row::new("- peak memory", mib(runs.peak())).target("100 MB"),
    ]
}

fn copy(from: &Path, to: &Path, domain: &str) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, domain);
        } else if entry.file_name() == "facts.toml" {
            let text = fs::read_to_string(entry.path()).expect("text");
            let text = text.replace("first.n0.of1.example.com", domain);
            fs::write(&target, text).expect("written");
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}
