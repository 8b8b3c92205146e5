//! What failed and is not needed now: nobody tries it again by itself.

use super::*;

/// Names that were wrong, weeks ago, and taken out again; then the CA is down.
#[test]
fn what_failed_for_a_need_that_is_gone_is_over_and_hides_nothing() {
    let mut machine = Machine::new();
    let mut at = |failures, class, failed: f64, day: f64| {
        machine.failed_at = Some(start() + DAY.mul_f64(failed));
        machine.fail(failures, class);
        machine.run(day, &idle())
    };
    assert_eq!(at(1, "rejected", 10.0, 10.0), ["failed began"]);
    assert_eq!(at(4, "rejected", 10.2, 10.2), ["failed worse"]);
    // Nobody has tried again, so it is not said to be well.
    assert_eq!(at(4, "rejected", 10.2, 19.0), [""; 0]);
    assert_eq!(at(1, "transient", 57.0, 57.0), ["failed began"]);
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
