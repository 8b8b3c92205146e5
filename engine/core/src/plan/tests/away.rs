//! What counts when this machine was cut off, and when a CA is about to revoke.

use super::*;

/// The CA is about to revoke it: as urgent as what has run out.
#[test]
fn what_is_about_to_be_revoked_is_waited_for_by_nobody() {
    const HOUR: Duration = Duration::from_secs(3600);
    let window = crate::time::Window {
        start: NOW - DAY * 4,
        end: NOW - DAY * 3,
    };
    let mut stored = good("shop");
    let current = stored.current.as_mut().expect("issued");
    current.not_before = NOW - DAY * 20;
    current.not_after = NOW + DAY * 70;
    current.suggestion = Some(Suggestion {
        window,
        chosen: NOW - HOUR,
    });
    stored.failed = vec![Failed {
        ca: ca("first"),
        at: NOW - Duration::from_secs(30),
        theirs: true,
        rejected: false,
        firm: false,
        local: false,
        until: None,
        limited: false,
        rehearsed: false,
    }];
    let plan = planned(
        &settings(vec![wanted("shop")]),
        &[stored.clone()],
        Asker::Timer,
        NOW,
    );
    let Action::Renew { urgency, .. } = &plan.items[0].action else {
        panic!("{:?}", plan.items[0]);
    };
    assert_eq!(*urgency, Urgency::Emergency);
    // It failed once at the first one: the other one is asked at once.
    assert_eq!(
        held(&wanted("shop"), &stored, Asker::Timer, NOW),
        "second: now"
    );
}

/// Another certificate has noticed that the network was away.
#[test]
fn whoever_has_noticed_it_the_network_was_away_for_all() {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut stored = good("shop");
    let current = stored.current.as_mut().expect("issued");
    current.not_before = NOW - DAY * 57;
    current.not_after = NOW + DAY * 33;
    let failed = |hours: u32| Failed {
        ca: ca("first"),
        at: NOW - HOUR * hours,
        theirs: true,
        rejected: false,
        firm: false,
        local: false,
        until: None,
        limited: false,
        rehearsed: false,
    };
    stored.failed = vec![failed(13), failed(0)];
    let asked = |reached: &[(Timestamp, bool)]| {
        let settings = settings(vec![wanted("shop")]);
        let plan = planned_with(&settings, &[stored.clone()], reached, (Asker::Timer, NOW));
        plan.items[0].ca.as_ref().map(ToString::to_string)
    };
    assert_eq!(asked(&[]).as_deref(), Some("second"));
    let night = [(NOW - HOUR * 12, true), (NOW - HOUR * 2, false)];
    assert_eq!(asked(&night).as_deref(), Some("first"));
}
