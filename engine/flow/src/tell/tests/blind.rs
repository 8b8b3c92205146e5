//! What nobody can look at, and what is known all the same.

use super::*;

#[test]
fn what_cannot_be_read_any_more_does_not_end_later_for_that() {
    let mut machine = Machine::new();
    machine.fail(3, "transient");
    assert_eq!(
        machine.run(84.0, &run_of(Vec::new())),
        ["failed began", "expiry-near began"]
    );
    machine.version = 0;
    let told = machine.run(84.1, &run_of(Vec::new()));
    assert!(!told.contains(&"expiry-near over".to_owned()), "{told:?}");
    machine.version = 1;
    assert_eq!(machine.run(84.2, &run_of(Vec::new())), [""; 0]);
    // Where its certificate can be read, it comes as near its end.
    machine.version = 0;
    machine.damaged = true;
    for day in [87.1, 89.1, 90.1] {
        let told = machine.run(day, &run_of(Vec::new()));
        assert!(
            told.contains(&"expiry-near worse".to_owned()),
            "{day}: {told:?}"
        );
        assert!(machine.events[0].not_after.is_some() && machine.events[0].needs_person);
    }
}

/// A configuration that cannot be used, and a state that can be read.
#[test]
fn who_cannot_look_at_more_tells_when_what_is_stored_ends() {
    let mut machine = Machine::new();
    machine.blind = true;
    machine.unreadable = vec![StoreError {
        kind: StoreErrorKind::Io,
        act: "use",
        path: "/etc/waxwing/waxwing.toml".into(),
        causes: vec!["unknown key".to_owned()],
        hint: Some("waxwing check".to_owned()),
    }];
    assert_eq!(machine.run(40.0, &run_of(Vec::new())), ["failed began"]);
    assert_eq!(
        machine.run(60.1, &run_of(Vec::new())),
        ["expiry-near began", "failed worse"]
    );
    let [ends, _] = machine.events.as_slice() else {
        panic!("{:?}", machine.events);
    };
    assert!(
        ends.needs_person && ends.causes[0].contains("unknown key"),
        "{ends:?}"
    );
    assert_eq!(ends.hint.as_deref(), Some("waxwing check"));
    assert_eq!(machine.run(60.2, &run_of(Vec::new())), [""; 0]);
    assert!(
        machine
            .run(90.2, &run_of(Vec::new()))
            .contains(&"expiry-near worse".to_owned())
    );
    // What is well again is told by those who look.
    machine.blind = false;
    machine.unreadable.clear();
    let renewed = machine.renew(90.3);
    let told = machine.run(90.3, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "expiry-near over", "failed over"]);
}

/// One with the same state folder says nothing about it, and whoever mends it says so.
#[test]
fn a_configuration_that_cannot_be_used_is_not_well_because_another_one_is() {
    let path = |path: &str| StoreError {
        kind: StoreErrorKind::Io,
        act: "use",
        path: path.into(),
        causes: Vec::new(),
        hint: None,
    };
    let page = "/etc/waxwing/waxwing.toml/metrics.listen";
    for (subject, daemon, told) in [
        ("/etc/waxwing/other.toml", false, &[][..]),
        ("/etc/waxwing/waxwing.toml", false, &["failed over"]),
        ("/state/certificates/blog", false, &["failed over"]),
        // Only a daemon knows whether it shows something.
        (page, false, &[]),
        (page, true, &["failed over"]),
    ] {
        let mut machine = Machine::new();
        machine.daemon = daemon;
        machine.unreadable = vec![path(subject)];
        assert_eq!(machine.run(1.0, &run_of(Vec::new())), ["failed began"]);
        machine.unreadable.clear();
        assert_eq!(machine.run(1.1, &run_of(Vec::new())), told, "{subject}");
        machine.run(12.0, &run_of(Vec::new()));
        assert_eq!(machine.told, [], "{subject}");
    }
}

#[test]
fn where_nothing_can_be_remembered_days_begin_when_the_certificate_was_due() {
    let failed = || run_of(vec![report(Outcome::Failed(None), Vec::new())]);
    let mut machine = Machine::new();
    let mut spoken = Vec::new();
    // The timer comes in the middle of the hour; the certificate is due after 55 days.
    for hour in 55 * 24..58 * 24 {
        machine.told.clear();
        machine.run((f64::from(hour) + 0.5) / 24.0, &failed());
        if machine.its_hour {
            spoken.push(hour);
        }
    }
    assert_eq!(spoken, [55 * 24, 56 * 24, 57 * 24]);
}
