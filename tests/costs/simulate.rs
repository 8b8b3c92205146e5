//! Two years of a large fleet with trouble, by `simulate`.

use crate::measure::{Row, Runs, mib, shown};
use crate::rig::{CaSection, Rig, certificate};

/// How many certificates.
const CERTIFICATES: &str = "10000";

/// The figures. Nobody is asked, so that the addresses are those of nobody.
pub(crate) fn rows() -> Vec<Row> {
    let rig = Rig::new();
    let section = |name, more| CaSection {
        name,
        directory: "https://127.0.0.1:9/".to_owned(),
        more,
    };
    // What a large CA publishes.
    let limits = "limits = { orders = \"300 per 3h\", duplicates = \"5 per 7d\", \
                  failed-authorizations = \"5 per 1h\" }";
    let config = rig.config_of(&[section("first", limits), section("second", "")]);
    rig.write_config(&(config + &certificate("one", &["www.example.com"])));
    let mut runs = Runs::default();
    runs.run(&mut rig.command(&[
        "simulate",
        "--fleet",
        CERTIFICATES,
        "--lives",
        "90d,64d,45d,160h",
        "--from",
        "2026-12-01",
        "--for",
        "2y",
        "--random-outages",
        "--crash-rate",
        "0.001",
    ]));
    vec![
        Row::new(
            format!("simulate {CERTIFICATES} certificates, 2 years of random trouble, wall"),
            shown(runs.wall()),
        )
        .target("60 s"),
        Row::new("- peak memory", mib(runs.peak())).target("1000 MB"),
    ]
}
