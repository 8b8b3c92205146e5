//! `simulate` from outside: no network, no traces, and words for what it tells.

use std::fs;
use std::path::{Path, PathBuf};

use waxwing_world::ca;

use crate::cases::rig::{CaSection, Rig, Run, certificate};

/// Two CAs, of which `second` is nowhere, and one certificate from the first in place.
fn rig() -> (Rig, crate::cases::rig::Judge) {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let section = |name, directory| CaSection {
        name,
        directory,
        more: "limits = { orders = \"300 per 3h\" }",
    };
    let config = rig.config_of(&[
        section("first", judge.directory()),
        section("second", "https://127.0.0.1:9/".to_owned()),
    ]);
    let certificates =
        certificate("one", &["www.example.com"]) + &certificate("two", &["two.example.com"]);
    rig.write_config(&(config + &certificates));
    (rig, judge)
}

/// Every file below a folder with its content.
fn traces(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), fs::read(&path).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

fn json(run: &Run, pointer: &str) -> serde_json::Value {
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    assert_eq!(document["schema"], 1);
    document.pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn an_outage_is_played_over_what_is_stored_and_leaves_no_trace() {
    let (rig, judge) = rig();
    rig.waxwing(&["renew", "one"]).expect(0);
    let asked = judge.traffic().total();
    let page = rig.path("timeline.html");
    let before = traces(rig.folder.path());
    // From before the first renewal, whatever day it is today.
    let outage = ["simulate", "--outage", "first=2020-01-01..2199-12-31"];
    let run = rig.waxwing(&outage).expect(0);
    run.says("2 certificates, 365 days: ")
        .says("In place      what is stored, 1 of 2; issued first: two")
        .says("first is down")
        .says("first did not answer with a directory")
        .says("Told          a renewal has failed: ")
        .says("No promise was broken: nothing ran out")
        .says("Left out      installers");
    assert_eq!(traces(rig.folder.path()), before, "nothing was written");
    let html = page.display().to_string();
    let arguments = [&outage[..], &["--html", &html, "--json"]].concat();
    let run = rig.waxwing(&arguments).expect(0);
    assert_eq!(json(&run, "/verb"), "simulate");
    assert_eq!(json(&run, "/result/broken_promises"), 0);
    assert_eq!(json(&run, "/result/beginning/in_place"), 1);
    assert_eq!(json(&run, "/result/by_ca/0/issued"), 0);
    let issued = json(&run, "/result/by_ca/1/as_fallback");
    assert!(issued.as_u64() > Some(2), "{issued}");
    let text = fs::read_to_string(&page).expect("the page is written");
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"));
    assert!(text.contains("No promise was broken"));
    fs::remove_file(&page).expect("removed");
    assert_eq!(
        traces(rig.folder.path()),
        before,
        "only the page was written"
    );
    assert_eq!(judge.traffic().total(), asked, "no network");
}

#[test]
fn a_fleet_needs_no_state_and_what_was_assumed_is_said() {
    let (rig, judge) = rig();
    rig.waxwing(&["simulate", "--for", "60d"])
        .expect(0)
        .says("In place      nothing, so everything is issued first: there is no state folder at ");
    let fleet = [
        "simulate",
        "--from",
        "2026-12-01",
        "--for",
        "90d",
        "--fleet",
        "40",
    ];
    let random = ["--lives", "90d,160h", "--random-outages", "--seed", "7"];
    let arguments = [&fleet[..], &random].concat();
    let run = rig.waxwing(&arguments).expect(0);
    let again = rig.waxwing(&arguments).expect(0);
    assert_eq!(run.stdout, again.stdout, "the same seed");
    run.says("40 certificates, 90 days: ")
        .says("a generated fleet with lives of 90d, 160h in turn")
        .says("seed 7")
        .says("300 per 3h");
    assert!(!rig.path("state").exists(), "nothing was written");
    assert_eq!(judge.traffic().total(), 0, "no network");
}

#[test]
fn a_timer_that_comes_too_rarely_breaks_a_promise() {
    let (rig, _judge) = rig();
    let arguments = [
        "simulate", "--fleet", "3", "--lives", "160h", "--every", "20d",
    ];
    rig.waxwing(&arguments)
        .expect(1)
        .says("A promise was broken: ")
        .says("a run each 20d is too rare");
}

#[test]
fn what_cannot_be_simulated_is_said_at_once() {
    let (rig, _judge) = rig();
    rig.waxwing(&[
        "simulate",
        "--outage",
        "secnd=2026-12-01..+1d",
        "--outage",
        "dns=yesterday..+1d",
    ])
    .expect(2)
    .says("2 outages cannot be simulated")
    .says("no `ca` list names secnd; did you mean second?")
    .says("`dns=yesterday..+1d` is not an outage");
    for (wrong, why) in [
        (&["--for", "1h"][..], "from 1d to 20y"),
        (&["--for", "soon"], "as in 12h, 90d, 6w or 1y"),
        (&["--from", "soon"], "neither a day"),
        (&["--crash-rate", "2"], "from 0 to 0.99"),
        (&["--crash-rate", "1"], "where every run is killed"),
        (&["--every", "1s"], "from 1m to 30d"),
        (&["--lives", "90d"], "hint: add --fleet 500"),
        (&["--fleet", "0"], "1..=100000"),
        (&["--html", "."], "it is a folder"),
        (&["--html", "none/at/all.html"], "its folder is not there"),
    ] {
        let arguments = [&["simulate"][..], wrong].concat();
        let run = rig.waxwing(&arguments).expect(2).says(why);
        assert_eq!(run.stdout, "", "{wrong:?}");
    }
}
