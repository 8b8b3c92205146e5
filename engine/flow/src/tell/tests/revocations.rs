//! What is told of a revocation that is owed.

use super::*;
use crate::history::Unrevoked;
use crate::report::{Replaced, ReplacedReport};
use crate::revoke::RevokeError;

fn tried(tries: u32, class: &str) -> Option<Unrevoked> {
    Some(Unrevoked {
        version: 1,
        tries,
        class: class.to_owned(),
        causes: vec!["failed to revoke the certificate at first".to_owned()],
    })
}

/// A machine that has another certificate in the place of one that is to be revoked.
fn owing() -> Machine {
    let mut machine = Machine::new();
    machine.version = 2;
    machine.replacing = Some(Replacing {
        version: 1,
        reason: Some(1),
        since: start(),
    });
    machine
}

#[test]
fn a_revocation_that_fails_is_told_once_again_after_three_tries_and_when_it_is_settled() {
    let mut machine = owing();
    assert_eq!(machine.run(0.1, &idle()), [""; 0], "nobody has tried yet");
    machine.unrevoked = tried(1, "transient");
    assert_eq!(machine.run(0.2, &idle()), ["not-revoked began"]);
    let event = &machine.events[0];
    assert_eq!(event.what, ["version 1"]);
    assert!(!event.needs_person && event.causes.len() == 1, "{event:?}");
    machine.unrevoked = tried(2, "transient");
    assert_eq!(machine.run(0.3, &idle()), [""; 0]);
    machine.unrevoked = tried(3, "transient");
    assert_eq!(machine.run(0.4, &idle()), ["not-revoked worse"]);
    assert!(machine.events[0].needs_person);
    machine.unrevoked = tried(50, "transient");
    assert_eq!(machine.run(3.0, &idle()), [""; 0]);
    // The history was lost, the debt was not.
    machine.unrevoked = None;
    assert_eq!(machine.run(3.1, &idle()), [""; 0]);
    machine.replacing = None;
    assert_eq!(machine.run(3.2, &idle()), ["not-revoked over"]);
    assert_eq!(machine.told, []);
}

#[test]
fn what_only_a_person_can_mend_needs_one_at_once_and_what_waits_for_the_ca_is_not_told() {
    let mut machine = owing();
    machine.unrevoked = tried(1, "rate-limited");
    assert_eq!(machine.run(0.1, &idle()), [""; 0]);
    machine.unrevoked = tried(1, "misconfigured");
    assert_eq!(machine.run(0.2, &idle()), ["not-revoked began"]);
    assert!(machine.events[0].needs_person);
    // Out of the configuration: status says what is left to do.
    machine.settings.certificates.clear();
    assert_eq!(machine.run(0.3, &idle()), [""; 0]);
    assert_eq!(machine.told, []);
}

#[test]
fn it_is_told_though_the_disk_keeps_nothing_of_it_and_not_for_another_version() {
    let mut machine = owing();
    // What was tried for another version says nothing of this one.
    machine.unrevoked = Some(Unrevoked {
        version: 7,
        ..tried(9, "transient").expect("a try")
    });
    assert_eq!(machine.run(0.1, &idle()), [""; 0]);
    machine.unrevoked = None;
    let mut run = idle();
    run.replaced.push(ReplacedReport {
        certificate: name("shop"),
        version: 1,
        reason: Some(1),
        new: Some(2),
        ended: Replaced::Failed(RevokeError::UnknownCa(ca("first"))),
    });
    assert_eq!(machine.run(0.2, &run), ["not-revoked began"]);
    let hint = machine.events[0].hint.as_deref().unwrap_or_default();
    assert!(hint.contains("[ca.first]"), "{hint}");
    // Before another one is there nothing is owed.
    let mut machine = owing();
    machine.version = 1;
    assert_eq!(machine.run(0.1, &run), [""; 0]);
}
