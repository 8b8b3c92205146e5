//! A run that is asked to stop: it takes its records away first, unless it is asked twice.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use waxwing_world::ca;
use waxwing_world::dns::Lag;
use waxwing_world::fault::{Fault, What};
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::crash::with_test_command;
use crate::cases::rig::{Judge, Rig, both, certificate, finish, plain, until};

/// What a run that was asked to stop may take for its records.
const FAREWELL: Duration = Duration::from_secs(10);

/// Sends a signal by its name.
fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success());
}

/// A run that waits for its records to spread, which they do not.
fn waiting(rig: &Rig, judge: &Judge) -> Child {
    let config = rig.config_at(judge, "");
    let domains = certificate("one", &["www.example.com"]);
    rig.write_config(&format!("{config}{domains}"));
    rig.world.dns().lag(1, Lag::Queries(1_000));
    let child = rig.command(&["renew"]).spawn().expect("it starts");
    until("the records to be looked for", || {
        let asked = rig.world.dns().questions();
        let looks = |question: &waxwing_world::dns::Question| {
            question.server == 1 && question.kind == "TXT"
        };
        !rig.records().is_empty() && asked.iter().any(looks)
    });
    child
}

#[test]
fn a_run_that_is_asked_to_stop_takes_its_records_away() {
    let test = "a_run_that_is_asked_to_stop_takes_its_records_away";
    let (at_world, at_pebble) = (ca::Options::default(), pebble::Options::default());
    both(test, &at_world, &at_pebble, |rig, judge| {
        for signal in ["TERM", "INT"] {
            let child = waiting(rig, judge);
            let asked = Instant::now();
            send(signal, &child);
            let run = finish(child);
            assert!(asked.elapsed() < FAREWELL, "it took {:?}", asked.elapsed());
            assert!(run.code.is_some_and(|code| code != 0), "{run:?}");
            assert_eq!(rig.records(), [], "{signal}");
        }
        rig.world.dns().lag(1, Lag::Queries(0));
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(
            judge.traffic().count(Class::NewOrder),
            1,
            "the order was kept"
        );
        rig.verify("one", &judge.root_pem(0));
    });
}

#[test]
fn a_run_that_is_asked_twice_ends_at_once_and_the_next_one_cleans_up() {
    let test = "a_run_that_is_asked_twice_ends_at_once_and_the_next_one_cleans_up";
    let (at_world, at_pebble) = (ca::Options::default(), pebble::Options::default());
    both(test, &at_world, &at_pebble, |rig, judge| {
        rig.provider.fault(Fault::once(Class::Delete, What::Hang));
        let child = waiting(rig, judge);
        send("TERM", &child);
        until("the removal of the record", || {
            rig.provider.traffic().count(Class::Delete) > 0
        });
        let asked = Instant::now();
        send("TERM", &child);
        let run = finish(child);
        assert!(
            asked.elapsed() < FAREWELL / 2,
            "it took {:?}",
            asked.elapsed()
        );
        assert_ne!(run.code, Some(0));
        assert_eq!(rig.records().len(), 1);
        rig.provider.faults().clear();
        rig.world.dns().lag(1, Lag::Queries(0));
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(rig.records(), []);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
    });
}

#[test]
fn an_installation_that_a_stop_cuts_off_is_undone_and_done_again_later() {
    let test = "an_installation_that_a_stop_cuts_off_is_undone_and_done_again_later";
    plain(test, |rig, judge| {
        with_test_command(rig, judge);
        rig.waxwing(&["renew"]).expect(0);
        let installed = || std::fs::read(rig.path("tls/one.crt")).expect("it is installed");
        let first = installed();
        std::fs::write(rig.path("hold"), "").expect("a file");
        let child = rig.command(&["renew", "one", "--force"]).spawn();
        let child = child.expect("it starts");
        until("the test", || rig.path("held").exists());
        let asked = Instant::now();
        send("TERM", &child);
        let run = finish(child);
        assert!(asked.elapsed() < FAREWELL, "it took {:?}", asked.elapsed());
        assert_eq!(run.code, Some(4), "{run:?}");
        let run = run.says("What was done is undone; the files are as they were.");
        assert_eq!(installed(), first, "{run:?}");

        std::fs::remove_file(rig.path("hold")).expect("it was there");
        let run = rig.waxwing(&["renew"]).expect(0);
        assert!(!run.stdout.contains("cut off"), "{}", run.stdout);
        assert_ne!(installed(), first);
        assert_eq!(judge.traffic().count(Class::NewOrder), 2, "no new order");
    });
}
