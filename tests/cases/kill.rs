//! kill -9 at moments that nobody has picked: whatever the moment, the next run makes it good.
//!
//! `WAXWING_SEED` draws other moments and `WAXWING_KILLS` more of them. At Pebble if it is there, else
//! at the world's CA.

use std::fs;
use std::time::{Duration, Instant};

use waxwing_core::disturbance::Dice;
use waxwing_world::ca;
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, finish};

/// A CA is started anew after so many.
const AT_ONE_CA: u64 = 20;

fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn whenever_a_run_is_killed_the_next_one_makes_it_good() {
    let test = "whenever_a_run_is_killed_the_next_one_makes_it_good";
    let (seed, kills) = (number("WAXWING_SEED", 8555), number("WAXWING_KILLS", 10));
    let mut dice = Dice(seed);
    let mut done = 0;
    while done < kills {
        let rig = Rig::new();
        let judge = rig
            .pebble(test, &pebble::Options::default())
            .unwrap_or_else(|| rig.ca(ca::Options::default()));
        // An undisturbed run says how long one takes; it makes the account too.
        configure(&rig, &judge, "first");
        let started = Instant::now();
        rig.waxwing(&["renew"]).expect(0);
        let whole = started.elapsed();
        for nth in done..kills.min(done + AT_ONE_CA) {
            let after = whole.mul_f64(dice.part());
            killed(
                &rig,
                &judge,
                &format!("seed {seed}, kill {nth} after {after:?}"),
                nth,
                after,
            );
        }
        done += AT_ONE_CA;
    }
}

/// Two names, so that there are two records, and an installer.
fn configure(rig: &Rig, judge: &Judge, name: &str) {
    let (apex, wildcard) = (
        format!("{name}.example.com"),
        format!("*.{name}.example.com"),
    );
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, ""),
        rig.installer(""),
        certificate(name, &[&apex, &wildcard]),
    ));
}

fn killed(rig: &Rig, judge: &Judge, moment: &str, nth: u64, after: Duration) {
    let name = format!("kill{nth}");
    configure(rig, judge, &name);
    let before = judge.traffic().count(Class::NewOrder);
    let issued = judge.issued();
    let mut child = rig.command(&["renew"]).spawn().expect("the program starts");
    std::thread::sleep(after);
    // One that was done already is a moment, too.
    let _gone = child.kill();
    let _status = finish(child);
    let run = rig.waxwing(&["renew", "--now"]);
    assert_eq!(
        run.code,
        Some(0),
        "{moment}:\n{}\n{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(rig.records(), [], "{moment}: no record is left");
    assert_eq!(rig.versions(&name), 1, "{moment}: stored once");
    let orders = judge.traffic().count(Class::NewOrder) - before;
    assert!(orders <= 2, "{moment}: {orders} orders");
    // A second order stands for one whose URL was lost, and such a one is never finalized: whatever
    // the moment, the CA has made one certificate, which is the one that is stored.
    assert_eq!(judge.issued() - issued, 1, "{moment}: certificates made");
    // What was issued is known, once, whichever of the two processes noted it.
    let history = rig.waxwing(&["history", &name, "--json"]);
    let read: serde_json::Value = serde_json::from_str(&history.stdout).expect("JSON");
    let records = read["result"]["records"].as_array().into_iter().flatten();
    let known = records.filter(|record| record["what"] == "issue" && record["ok"] == true);
    assert_eq!(
        known.count(),
        1,
        "{moment}: noted as issued:\n{}",
        history.stdout
    );
    let open = rig.path("state/journal");
    let entries = fs::read_dir(&open).into_iter().flatten().flatten();
    let left: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{moment}: {left:?} is open");
    let read = |path: std::path::PathBuf| fs::read_to_string(path).unwrap_or_default();
    let stored = rig.stored(&name);
    let installed = read(rig.path(&format!("tls/{name}.crt")));
    assert_eq!(
        read(stored.join("fullchain.pem")),
        installed,
        "{moment}: installed"
    );
    let key = read(rig.path(&format!("tls/{name}.key")));
    assert_eq!(
        read(stored.join("privkey.pem")),
        key,
        "{moment}: with its key"
    );
    let kept = walk(&rig.path("state/backups/server/open"));
    assert_eq!(kept, 0, "{moment}: no backup is left");
    rig.verify(&name, &judge.root_pem(0));
}

/// Files below a folder.
fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let count = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { 1 };
    entries.flatten().map(|entry| count(entry.path())).sum()
}
