//! What failed and is not needed now: nobody tries it again by itself.

use super::*;

/// Names that were wrong, weeks ago, and taken out again; then the CA is down.
#[test]
fn what_failed_for_a_need_that_is_gone_is_over_and_hides_nothing() {
    let mut machine = Machine::new();
    let mut at = |failures, class, failed: f64, (day, run): (f64, &RunReport)| {
        machine.failed_at = Some(start() + DAY.mul_f64(failed));
        machine.fail(failures, class);
        let told = machine.run(day, run);
        (
            told,
            machine.events.first().map(|event| event.causes.clone()),
        )
    };
    let tried = run_of(vec![report(Outcome::Failed(Some(silent())), Vec::new())]);
    let idle = idle();
    assert_eq!(at(1, "rejected", 10.0, (10.0, &tried)).0, ["failed began"]);
    assert_eq!(at(4, "rejected", 10.2, (10.2, &tried)).0, ["failed worse"]);
    // Nobody tries again, so it is not said to be well; whoever keeps a list can close it.
    let (told, causes) = at(4, "rejected", 10.2, (10.3, &idle));
    assert_eq!(told, ["failed over"]);
    let why = "nothing has to be renewed now, so nobody tries it again";
    assert_eq!(causes, Some(vec![why.to_owned()]));
    assert_eq!(at(4, "rejected", 10.2, (10.4, &idle)).0, [""; 0]);
    assert_eq!(at(4, "rejected", 10.2, (19.0, &idle)).0, [""; 0]);
    assert_eq!(at(1, "transient", 57.0, (57.0, &idle)).0, ["failed began"]);
}

/// What is owed is owed until it is revoked, whoever wants the new one.
#[test]
fn a_replacement_that_failed_is_told_until_it_is_made() {
    let mut machine = Machine::new();
    machine.failed_at = Some(start() + DAY * 10);
    machine.fail(1, "rejected");
    machine.last.as_mut().expect("it failed").replaces = true;
    let tried = run_of(vec![report(Outcome::Failed(Some(silent())), Vec::new())]);
    assert_eq!(machine.run(10.0, &tried), ["failed began"]);
    assert_eq!(machine.run(10.1, &idle()), [""; 0]);
}

#[test]
fn what_nobody_tries_again_is_told_with_the_command_that_does() {
    let tried = || {
        let mut failed = report(Outcome::Failed(Some(silent())), Vec::new());
        failed.next_try = Some((start() + DAY * 11, ca("first")));
        failed
    };
    let mut machine = Machine::new();
    machine.fail(1, "transient");
    // By force, long before it is due: the next runs have nothing to do.
    assert_eq!(machine.run(10.0, &run_of(vec![tried()])), ["failed began"]);
    assert_eq!(machine.events[0].next_try, None);
    let command = Some("waxwing renew shop --force".to_owned());
    assert_eq!(machine.events[0].by_hand, command);

    let mut machine = Machine::new();
    machine.fail(1, "transient");
    let mut failed = tried();
    failed.replaces = true;
    assert_eq!(machine.run(10.0, &run_of(vec![failed])), ["failed began"]);
    let command = Some("waxwing revoke shop --replace".to_owned());
    assert_eq!(machine.events[0].by_hand, command);

    // What is due is tried by every run.
    let mut machine = Machine::new();
    machine.fail(1, "transient");
    assert_eq!(machine.run(56.0, &run_of(vec![tried()])), ["failed began"]);
    assert_eq!(machine.events[0].by_hand, None);
    assert!(machine.events[0].next_try.is_some());
}
