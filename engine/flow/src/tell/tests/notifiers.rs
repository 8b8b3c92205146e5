//! Notifiers that fail.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_notifier_that_fails_is_told_once_until_it_takes_something() {
    let mail = NotifierName::parse("mail").expect("a literal name");
    let state = |failed: bool, delivered| NotifierState {
        name: &mail,
        causes: failed.then(|| (vec!["refused".to_owned()], None)),
        delivered,
        proved: None,
        refused: Vec::new(),
        deferred: Vec::new(),
        waiting: 1,
        tries: 1,
    };
    let now = start();
    let first = about_notifiers(&[], &[state(true, false)], now);
    assert_eq!(first.events.len(), 1);
    let told = first.told;
    let again = about_notifiers(&told, &[state(true, false)], now);
    assert_eq!((again.events, again.told), (Vec::new(), Vec::new()));
    let worse = |tries| {
        let state = NotifierState {
            tries,
            ..state(true, false)
        };
        about_notifiers(&told, &[state], now).events
    };
    assert_eq!(worse(2), []);
    assert!(worse(3)[0].needs_person && !first.events[0].needs_person);
    // Nothing was sent: nothing is known.
    assert_eq!(
        about_notifiers(&told, &[state(false, false)], now),
        Tale::default()
    );
    // Who is refused for good is not reached by what others get later, nor by what was written before.
    let refused = NotifierState {
        refused: vec!["boss".to_owned()],
        ..state(false, false)
    };
    let worst = about_notifiers(&told, &[refused], now).told;
    for (proved, over) in [
        (None, false),
        (Some(now), false),
        (Some(now + MINUTE), true),
    ] {
        let state = NotifierState {
            proved,
            ..state(false, true)
        };
        let tale = about_notifiers(&worst, &[state], now + MINUTE);
        assert_eq!(!tale.over.is_empty(), over, "{proved:?}");
    }
    let over = about_notifiers(&told, &[state(false, true)], now);
    assert_eq!(over.events[0].change, Change::Over);
    assert_eq!(over.over, [("mail".to_owned(), EventKind::NotifierFailed)]);
}
