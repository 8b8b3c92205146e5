//! What is owed, and from when on.

use super::fixture::*;
use super::*;

#[test]
fn a_failed_clean_up_loses_no_certificate_and_keeps_what_is_owed() {
    let left = Event::CleanedUp {
        left: there(),
        failed: vec![plugin_failure()],
    };
    let machine = check(
        fresh(),
        and(good("saved"), vec![left]),
        "end issued, journal kept",
    );
    assert_eq!(machine.run().obligations, there());
}

#[test]
fn a_record_of_an_earlier_try_stays_ours() {
    use ObligationState::{Intended, NotOurs, Placed, Unknown};
    let receipt = |text: &str| Placed {
        receipt: text.to_owned(),
    };
    let check = |before: ObligationState, created, want: ObligationState| {
        let mut owed = obligation("1", before.clone());
        let answer = crate::plugin::Placed {
            key: "1".to_owned(),
            receipt: "new".to_owned(),
            created,
        };
        let double = owed.placed(&answer, 2);
        assert_eq!(owed.state, want, "{before:?} {created}");
        // The record of an earlier receipt may still be there beside the new one.
        let first = (before == receipt("old")).then(|| obligation("1+2", receipt("old")).state);
        assert_eq!(double.clone().map(|double| double.state), first);
        assert!(double.is_none_or(|double| double.record.key == "1+2"));
        // The same answer again is the same record.
        assert_eq!(owed.placed(&answer, 3), None);
    };
    check(Intended, true, receipt("new"));
    check(Intended, false, NotOurs);
    check(Unknown, false, receipt("new"));
    check(receipt("old"), false, receipt("new"));
    check(NotOurs, false, NotOurs);
    check(NotOurs, true, receipt("new"));
}

#[test]
fn what_was_never_sent_is_not_owed_until_it_is_tried_again() {
    use ObligationState::{Absent, Intended, NotOurs, Unknown};
    let untouched = crate::plugin::PluginFailure {
        untouched: true,
        ..plugin_failure()
    };
    let mut owed = obligation("1", Intended);
    owed.failed(&untouched);
    assert_eq!(owed.state, Absent);
    assert_eq!(owed.removal(), None);
    owed.again();
    assert_eq!(owed.state, Intended);
    owed.failed(&plugin_failure());
    assert_eq!(owed.state, Unknown);
    // What was in doubt stays in doubt, and what was there before is nobody's.
    owed.failed(&untouched);
    assert_eq!(owed.state, Unknown);
    let mut theirs = obligation("1", NotOurs);
    theirs.failed(&untouched);
    assert_eq!(theirs.state, NotOurs);
}

#[test]
fn both_of_two_records_that_a_resumed_run_has_placed_are_owed() {
    let mut answered = there();
    let ObligationState::Placed { receipt } = &answered[0].state else {
        panic!("placed");
    };
    let receipt = receipt.clone();
    answered.push(obligation("1+2", ObligationState::Placed { receipt }));
    let presented = Event::Presented {
        obligations: answered.clone(),
        failed: vec![],
        hint: PropagationHint::default(),
    };
    let (machine, effect) = after(fresh(), and(good("located"), vec![presented]));
    assert_eq!(machine.run().obligations, answered);
    // What is to be seen in the DNS is what is presented now.
    assert!(
        matches!(&effect, Effect::Watch { obligations, .. } if *obligations == there()),
        "{effect:?}"
    );
}
