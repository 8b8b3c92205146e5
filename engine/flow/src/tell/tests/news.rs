//! What comes once, and who hears of what is open.

use super::*;

/// A machine with these notifiers, which hear of everything.
fn with_notifiers(machine: &mut Machine, names: &[&str]) {
    use waxwing_core::notify::{NotifySettings, Way};
    for one in names {
        let name = NotifierName::parse(one).expect("a literal name");
        let settings = NotifySettings {
            name: name.clone(),
            way: Way::Log,
            on: EventKind::ALL.into_iter().collect(),
        };
        machine.settings.notify.insert(name, settings);
    }
}

#[test]
fn who_is_new_hears_of_what_is_open() {
    let mut machine = Machine::new();
    with_notifiers(&mut machine, &["mail"]);
    machine.fail(3, "transient");
    let told = machine.run(60.1, &idle());
    assert_eq!(told, ["failed began", "expiry-near began"]);
    assert!(machine.newcomers.is_empty(), "everybody is the first");
    assert_eq!(machine.run(60.2, &idle()), [""; 0]);
    // The first one never worked, and another one takes its place.
    machine.settings.notify.clear();
    with_notifiers(&mut machine, &["hook"]);
    assert_eq!(machine.run(61.0, &idle()), [""; 0]);
    let hook = NotifierName::parse("hook").expect("a literal name");
    let [(name, events)] = machine.newcomers.as_slice() else {
        panic!("{:?}", machine.newcomers);
    };
    assert_eq!(*name, hook);
    let told: Vec<_> = events.iter().map(|one| (one.kind, one.change)).collect();
    assert_eq!(
        told,
        [
            (EventKind::Failed, Change::Began),
            (EventKind::ExpiryNear, Change::Began)
        ]
    );
    assert!(events.iter().all(|one| one.since.is_some()), "{events:?}");
    // From now on it is told as everybody.
    assert_eq!(machine.run(61.1, &idle()), [""; 0]);
    assert!(machine.newcomers.is_empty());
    let renewed = machine.renew(62.0);
    let told = machine.run(62.0, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over", "expiry-near over"]);
}

/// What expires while the new one was never put anywhere is not over because it was long ago.
#[test]
fn what_was_never_installed_does_not_end_what_ends() {
    let mut machine = Machine::new();
    machine.shop().install = vec![PluginName::parse("web").expect("a literal name")];
    let life = Window {
        start: start(),
        end: start() + DAY * LIFE,
    };
    machine.issued = start() + DAY * 50;
    machine.left = Some(life);
    for day in [60.1, 90.1] {
        let told = machine.run(day, &idle());
        let near = told.iter().any(|one| one.starts_with("expiry-near"));
        assert!(near, "{day}: {told:?}");
    }
    machine.left = None;
    machine.renew(125.0);
    assert_eq!(machine.run(125.0, &idle()), [""; 0]);
}

#[test]
fn a_digest_comes_once_a_week_to_whoever_wants_one() {
    use waxwing_core::notify::{NotifySettings, Way};
    let mut machine = Machine::new();
    assert_eq!(machine.run(0.0, &idle()), [""; 0]);
    assert_eq!(machine.told, []);
    let notifier = NotifierName::parse("mail").expect("a literal name");
    let settings = NotifySettings {
        name: notifier.clone(),
        way: Way::Log,
        on: BTreeSet::from([EventKind::WeeklyDigest]),
    };
    machine.settings.notify.insert(notifier, settings);
    assert_eq!(machine.run(1.0, &idle()), [""; 0], "a week is not over yet");
    assert_eq!(machine.run(7.9, &idle()), [""; 0]);
    assert_eq!(machine.run(8.0, &idle()), ["weekly-digest once"]);
    assert_eq!(machine.run(8.1, &idle()), [""; 0]);
    assert_eq!(machine.run(15.1, &idle()), ["weekly-digest once"]);
    // The clock was ahead.
    for told in &mut machine.told {
        told.at = start() + DAY * 900;
    }
    assert_eq!(machine.run(16.0, &idle()), ["weekly-digest once"]);
}

#[test]
fn a_message_does_not_say_that_a_failure_is_over_beside_the_renewal() {
    let event = |kind, change| Event::new(kind, change, "shop");
    let mut events = vec![
        event(EventKind::Renewed, Change::Once),
        event(EventKind::Failed, Change::Over),
        event(EventKind::NotServed, Change::Over),
        Event::new(EventKind::Failed, Change::Over, "blog"),
    ];
    drop_echoes(&mut events);
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Renewed, EventKind::NotServed, EventKind::Failed]
    );
}
