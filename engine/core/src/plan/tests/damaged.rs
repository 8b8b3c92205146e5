//! What is stored and cannot be used, while it is served.

use super::*;
use crate::time::Window;

#[test]
fn what_is_damaged_is_tried_in_a_hurry_before_its_end() {
    let failed = |minutes: u32| Failed {
        ca: ca("first"),
        at: NOW - Duration::from_secs(60) * minutes,
        theirs: false,
        rejected: false,
        firm: false,
        local: false,
        until: None,
        limited: false,
        rehearsed: false,
    };
    let tried = |left: Option<Duration>| {
        let mut stored = good("shop");
        stored.current = None;
        stored.damaged = Some(damage::Damage {
            life: left.map(|left| Window {
                start: NOW + left - DAY * 90,
                end: NOW + left,
            }),
        });
        stored.failed = (1..9).rev().map(failed).collect();
        let shop = settings(vec![wanted("shop")]);
        let plan = planned(&shop, std::slice::from_ref(&stored), Asker::Timer, NOW);
        assert_eq!(plan.items[0].action, Action::Issue(IssueReason::Damaged));
        let until = plan.items[0].hold.as_ref().and_then(Hold::until);
        until.map_or(Duration::ZERO, |until| until.since(NOW))
    };
    assert!(tried(Some(DAY * 60)) > DAY / 2);
    assert!(tried(Some(DAY)) < Duration::from_secs(60 * 90));
    // Nobody knows, so that it is as one that was never issued.
    assert!(tried(None) > DAY / 2);
}
