//! Which CA is asked next behind one that stood in.

use super::*;

#[test]
fn a_ca_that_stood_in_stays_and_one_that_the_operator_has_put_aside_does_not() {
    let mut settings = settings(vec![wanted("shop")]);
    settings.failover.fail_back = FailBack::Never;
    let asked = |by: &str, fallback, staging| {
        let mut stored = good("shop");
        if let Some(current) = &mut stored.current {
            current.ca = ca(by);
            current.fallback = fallback;
            current.staging = staging;
            current.not_before = NOW - DAY * 60;
            current.not_after = NOW + DAY * 30;
        }
        let plan = planned(&settings, &[stored], Asker::Person, NOW);
        plan.items[0].ca.as_ref().map(ToString::to_string)
    };
    assert_eq!(asked("second", true, false).as_deref(), Some("second"));
    // It was the first of the list when it issued.
    assert_eq!(asked("second", false, false).as_deref(), Some("first"));
    assert_eq!(asked("second", true, true).as_deref(), Some("first"));
}
