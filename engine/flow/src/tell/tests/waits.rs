//! What is no success: a wait for a CA, and a clock that is right again.

use super::*;

/// The CA asks for patience between two failures: that is no success.
#[test]
fn a_wait_for_the_ca_ends_no_failure() {
    let mut machine = Machine::new();
    let mut at = |failures, class, day: f64| {
        machine.failed_at = Some(start() + DAY.mul_f64(day));
        machine.fail(failures, class);
        machine.run(day, &idle())
    };
    assert_eq!(at(1, "transient", 56.0), ["failed began"]);
    assert_eq!(at(2, "rate-limited", 56.1), [""; 0]);
    assert_eq!(at(2, "transient", 56.2), [""; 0]);
    assert_eq!(at(3, "transient", 57.0), ["failed worse"]);
}

/// Clients may refuse it already, so that nobody waits for days in silence.
#[test]
fn a_revoked_certificate_that_waits_for_its_ca_is_told() {
    for (revoked, told) in [(false, &[][..]), (true, &["failed began"])] {
        let mut machine = Machine::new();
        machine.failed_at = Some(start() + DAY * 4);
        machine.fail(1, "rate-limited");
        let window = waxwing_core::time::Window {
            start: start() + DAY,
            end: start() + DAY * 2,
        };
        // A window that had passed when it was told says that it is revoked.
        let chosen = start() + DAY * if revoked { 3 } else { 1 };
        machine.suggestion = Some(waxwing_core::due::Suggestion { window, chosen });
        let limit = waxwing_core::budget::Limit { count: 1, per: DAY };
        let waits = Failure::Spent {
            ca: ca("first"),
            kind: waxwing_core::ca::limits::LimitKind::Orders,
            limit,
            until: start() + DAY * 6,
        };
        let report = report(Outcome::Failed(Some(waits)), Vec::new());
        assert_eq!(machine.run(4.0, &run_of(vec![report])), told, "{revoked}");
    }
}

/// What failed, and then waited, was needed for a name that was taken out again: that is over, and what fails at the
/// next renewal is told anew.
#[test]
fn a_wait_for_what_nobody_wants_any_more_hides_nothing() {
    for failures in [1, 4] {
        let mut machine = Machine::new();
        let tried = run_of(vec![report(Outcome::Failed(Some(silent())), Vec::new())]);
        machine.failed_at = Some(start() + DAY * 2);
        machine.fail(failures, "transient");
        assert_eq!(machine.run(2.0, &tried), ["failed began"]);
        machine.fail(failures + 1, "rate-limited");
        // Nothing is due on the third day.
        let over = machine.run(3.0, &idle());
        assert_eq!(over, ["failed over"], "{failures}");
        machine.failed_at = Some(start() + DAY * 56);
        machine.fail(1, "transient");
        assert_eq!(machine.run(56.0, &idle()), ["failed began"]);
        machine.failed_at = Some(start() + DAY * 57);
        machine.fail(3, "transient");
        assert_eq!(machine.run(57.0, &idle()), ["failed worse"]);
    }
}

/// Somebody forces what is not due, and the CA fails, and then asks for patience: no run that has just failed
/// says that it does not fail any more.
#[test]
fn a_forced_renewal_that_waits_has_not_gone_well() {
    let mut machine = Machine::new();
    machine.failed_at = Some(start() + DAY * 20);
    machine.fail(1, "transient");
    let tried = run_of(vec![report(Outcome::Failed(Some(silent())), Vec::new())]);
    assert_eq!(machine.run(20.0, &tried), ["failed began"]);
    machine.fail(2, "rate-limited");
    let waits = Failure::Spent {
        ca: ca("first"),
        kind: waxwing_core::ca::limits::LimitKind::Orders,
        limit: waxwing_core::budget::Limit { count: 1, per: DAY },
        until: start() + DAY * 21,
    };
    let report = report(Outcome::Failed(Some(waits)), Vec::new());
    assert_eq!(machine.run(20.1, &run_of(vec![report])), [""; 0]);
}

/// A wait that was noted by a clock that was ahead ends no failure of now.
#[test]
fn a_wait_of_the_future_ends_no_failure() {
    let mut machine = Machine::new();
    machine.failed_at = Some(start() + DAY * 56);
    machine.fail(2, "transient");
    assert_eq!(machine.run(56.0, &idle()), ["failed began"]);
    let last = machine.last.as_mut().expect("it failed");
    last.at = start() + DAY * 62;
    last.result = AttemptResult::Failed {
        class: "rate-limited".to_owned(),
        causes: Vec::new(),
    };
    assert_eq!(machine.run(56.1, &idle()), [""; 0]);
}

/// The clock was ahead for some runs, and all of them failed.
#[test]
fn what_failed_in_the_future_is_over_and_hides_nothing() {
    let mut machine = Machine::new();
    let mut at = |failures, failed: f64, day: f64| {
        machine.failed_at = Some(start() + DAY.mul_f64(failed));
        machine.fail(failures, "transient");
        machine.run(day, &idle())
    };
    assert_eq!(at(3, 156.0, 156.0), ["failed began", "expiry-near began"]);
    assert_eq!(at(3, 156.0, 56.0), ["failed over"]);
    let over = machine.events.first().expect("it is told");
    let hint = over.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("by the clock of then"), "{hint}");
    let mut at = |failures, failed: f64, day: f64| {
        machine.failed_at = Some(start() + DAY.mul_f64(failed));
        machine.fail(failures, "transient");
        machine.run(day, &idle())
    };
    assert_eq!(at(1, 56.1, 56.1), ["failed began"]);
    // It was told that it has run out, and is told again that it will.
    assert_eq!(at(4, 61.0, 61.0), ["failed worse", "expiry-near began"]);
}

/// One run by a clock that is behind, as the certificate shows that is valid from later on.
#[test]
fn a_clock_that_is_behind_ends_nothing_and_tells_nothing_twice() {
    let mut machine = Machine::new();
    machine.issued = start() + DAY * 10;
    machine.failed_at = Some(start() + DAY * 66);
    machine.fail(1, "transient");
    assert_eq!(machine.run(66.0, &idle()), ["failed began"]);
    assert_eq!(machine.run(5.0, &idle()), [""; 0]);
    assert_eq!(machine.run(66.1, &idle()), [""; 0]);
    machine.fail(3, "transient");
    assert_eq!(machine.run(66.2, &idle()), ["failed worse"]);
}

/// Whatever its cause is, nobody would hear of a loop before the safe floor.
#[test]
fn what_is_held_because_too_many_were_issued_is_told_when_it_is_due() {
    let mut machine = Machine::new();
    machine.also_issued = (0..5).map(|nth| start() + DAY * (50 + nth)).collect();
    assert_eq!(machine.run(54.5, &idle()), [""; 0]);
    assert_eq!(machine.run(56.0, &idle()), ["failed began"]);
    let event = &machine.events[0];
    let want = "5 were issued under this name within a week, which looks like a loop";
    assert_eq!(event.causes, [want]);
    assert_eq!(event.next_try, Some(start() + DAY * 57));
    assert!(!event.needs_person);
    assert_eq!(machine.run(56.1, &idle()), [""; 0]);
    let renewed = machine.renew(57.5);
    let told = machine.run(57.5, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over"]);
    // By a clock that jumps each renewal is due at once: what is issued ends no loop.
    let mut machine = Machine::new();
    machine.also_issued = (0..5).map(|nth| start() + DAY * (50 + nth)).collect();
    assert_eq!(machine.run(56.0, &idle()), ["failed began"]);
    machine.also_issued.remove(0);
    assert_eq!(machine.run(57.1, &idle()), [""; 0]);
    machine.also_issued.clear();
    let renewed = machine.renew(63.0);
    let told = machine.run(63.0, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over"]);
    assert_eq!(
        machine.events.last().map(|event| event.causes.len()),
        Some(0)
    );
}

/// An installer that works has noted that, in the place of how the last order ended.
#[test]
fn an_installer_that_works_ends_no_failure_of_the_renewal() {
    let mut machine = Machine::new();
    machine.failed_at = Some(start() + DAY * 56);
    machine.fail(1, "transient");
    assert_eq!(machine.run(56.0, &idle()), ["failed began"]);
    machine.last.as_mut().expect("it failed").result = AttemptResult::Installed;
    assert_eq!(machine.run(56.1, &idle()), [""; 0]);
    machine.fail(3, "transient");
    assert_eq!(machine.run(57.0, &idle()), ["failed worse"]);
}

#[test]
fn a_clock_that_is_wrong_is_told_as_such_and_so_is_its_end() {
    let mut machine = Machine::new();
    machine.unreadable = vec![StoreError {
        kind: StoreErrorKind::Clock,
        act: "match the clock with",
        path: "certificates/shop".into(),
        causes: vec!["it shows 1970".to_owned()],
        hint: None,
    }];
    assert_eq!(machine.run(1.0, &idle()), ["failed began"]);
    assert_eq!(machine.events[0].subject, "the clock");
    assert_eq!(machine.events[0].causes, ["it shows 1970"]);
    machine.unreadable.clear();
    assert_eq!(machine.run(1.1, &idle()), ["failed over"]);
}

/// Nobody sees how near the end is, so its age counts.
#[test]
fn what_cannot_be_read_is_told_again_as_it_goes_on() {
    let mut machine = Machine::new();
    machine.unreadable = vec![StoreError {
        kind: StoreErrorKind::Permission,
        act: "read",
        path: "/state/certificates".into(),
        causes: vec!["permission denied".to_owned()],
        hint: None,
    }];
    assert_eq!(machine.run(1.0, &idle()), ["failed began"]);
    assert_eq!(machine.events[0].since, None);
    assert_eq!(machine.run(3.9, &idle()), [""; 0]);
    assert_eq!(machine.run(4.0, &idle()), ["failed worse"]);
    assert_eq!(machine.events[0].since, Some(start() + DAY));
    assert_eq!(machine.events[0].step.as_deref(), Some("failed-again"));
    assert_eq!(machine.run(4.1, &idle()), [""; 0]);
    for day in [8.0, 15.0, 22.0, 29.0, 36.0] {
        assert_eq!(machine.run(day, &idle()), ["failed worse"], "day {day}");
        assert_eq!(machine.run(day + 6.9, &idle()), [""; 0], "day {day}");
    }
    machine.unreadable.clear();
    assert_eq!(machine.run(50.0, &idle()), ["failed over"]);
}

/// Whom CAA forbids to sign is asked nothing, so nothing fails at a CA.
#[test]
fn what_no_ca_may_sign_is_told_at_each_threshold() {
    let mut machine = Machine::new();
    let forbidden = || {
        let failure = Failure::NoCa {
            certificate: name("shop"),
            cas: vec![ca("first")],
            passed_over: vec![(ca("first"), "CAA".to_owned())],
        };
        run_of(vec![report(Outcome::Failed(Some(failure)), Vec::new())])
    };
    machine.failed_at = Some(start() + DAY * 56);
    machine.fail(1, "misconfigured");
    machine.failures = 0;
    assert_eq!(machine.run(56.0, &forbidden()), ["failed began"]);
    assert_eq!(machine.run(59.0, &forbidden()), [""; 0]);
    assert_eq!(machine.run(61.0, &forbidden()), ["expiry-near began"]);
    assert_eq!(machine.run(77.0, &forbidden()), ["expiry-near worse"]);
}

/// Nothing fails, and it comes as near its end as if something did.
#[test]
fn what_may_not_be_asked_for_is_told_at_each_threshold() {
    let mut machine = Machine::new();
    machine.also_issued = (0..5).map(|nth| start() + DAY * (58 + nth)).collect();
    let told = ["failed began", "expiry-near began"];
    assert_eq!(machine.run(62.0, &idle()), told);
    assert_eq!(machine.run(63.0, &idle()), [""; 0]);
}

/// A key that cannot be read ends each run before a CA is asked, and the certificate comes as near its end.
#[test]
fn what_fails_before_a_ca_is_asked_is_told_by_the_same_steps() {
    let mut machine = Machine::new();
    // Day, failures so far, what is told.
    let table: &[(f64, u32, &[&str])] = &[
        (55.5, 1, &["failed began"]),
        (55.55, 2, &[]),
        (55.6, 3, &["failed worse"]),
        (61.0, 100, &["expiry-near began"]),
        (70.0, 200, &[]),
        (76.5, 300, &["expiry-near worse"]),
    ];
    for (day, unasked, want) in table {
        machine.unasked = *unasked;
        let failed = || run_of(vec![report(Outcome::Failed(None), Vec::new())]);
        machine.failed_at = Some(start() + DAY.mul_f64(*day));
        machine.fail(0, "");
        assert_eq!(machine.run(*day, &failed()), *want, "day {day}");
    }
    assert_eq!(machine.events[0].count, Some(300));
}
