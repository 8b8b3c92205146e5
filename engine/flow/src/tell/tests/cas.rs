//! What is told of a CA, whatever certificate it is for.

use super::*;

#[test]
fn a_ca_is_told_of_when_it_was_seen_to_be_down_for_long() {
    let mut machine = Machine::new();
    machine.down_since = BTreeMap::from([(ca("first"), down(start()))]);
    let failed = || {
        let failure = CaFailure {
            ca: ca("first"),
            at: start(),
            failure: silent(),
            elsewhere: None,
        };
        run_of(vec![report(Outcome::Overtaken, vec![failure])])
    };
    assert_eq!(machine.run(0.4, &failed()), [""; 0]);
    // Nobody has looked since: that says nothing.
    assert_eq!(machine.run(0.6, &idle()), [""; 0]);
    assert_eq!(machine.run(0.7, &failed()), ["ca-outage began"]);
    assert_eq!(machine.run(1.0, &failed()), [""; 0]);
    assert_eq!(machine.run(3.1, &failed()), ["ca-outage worse"]);
    assert_eq!(machine.run(3.2, &idle()), [""; 0]);
    assert_eq!(machine.run(7.1, &failed()), ["ca-outage worse"]);
    machine.down_since.clear();
    assert_eq!(machine.run(8.0, &idle()), ["ca-outage over"]);
    // It lasted from its beginning, not from when it was told last.
    assert_eq!(machine.events[0].since, Some(start()));
}

#[test]
fn other_terms_are_told_once_each_and_again_when_somebody_has_agreed() {
    let mut machine = Machine::new();
    let new = |version| NewTerms {
        ca: ca("first"),
        directory: "https://first.example/directory".to_owned(),
        agreed: ("https://first.example/terms/1".to_owned(), start()),
        now: format!("https://first.example/terms/{version}"),
    };
    machine.terms = vec![new(2)];
    assert_eq!(machine.run(0.1, &idle()), ["terms-changed began"]);
    assert_eq!(machine.run(0.2, &idle()), [""; 0]);
    // Others again: whoever read those before has not read these.
    machine.terms = vec![new(3)];
    assert_eq!(machine.run(0.3, &idle()), ["terms-changed worse"]);
    assert_eq!(machine.run(0.35, &idle()), [""; 0]);
    machine.terms.clear();
    assert_eq!(machine.run(0.4, &idle()), ["terms-changed over"]);
    machine.terms = vec![new(4)];
    assert_eq!(machine.run(0.5, &idle()), ["terms-changed began"]);
    // A CA that is asked no more is nobody's business.
    machine.terms.clear();
    machine.shop().cas = vec![ca("second")];
    assert_eq!(machine.run(0.6, &idle()), [""; 0]);
}

#[test]
fn a_ca_that_only_the_monitor_has_seen_is_told_of_as_a_state_and_not_as_a_blip() {
    let mut machine = Machine::new();
    let at = |day: f64| start() + DAY.mul_f64(day);
    let look = |day: f64, result| Sighting {
        ca: ca("first"),
        at: at(day),
        result,
    };
    let silent = || Err("it did not answer: refused".to_owned());
    let up = || Ok(Duration::from_millis(80));
    machine.down_since = BTreeMap::from([(ca("first"), down(at(1.0)))]);
    // Day of the run, day of the last look, what is told.
    let table: &[(f64, f64, &[&str])] = &[
        (1.0, 1.0, &[]),
        // Nobody has looked again: one look is no state.
        (1.6, 1.0, &[]),
        // Looked at again, not for long enough.
        (1.4, 1.39, &[]),
        (1.6, 1.59, &["ca-outage began"]),
        (1.7, 1.69, &[]),
        // What was seen in the morning says nothing in the evening.
        (4.5, 4.0, &[]),
        (4.6, 4.59, &["ca-outage worse"]),
        (8.1, 8.09, &["ca-outage worse"]),
        (9.0, 8.99, &[]),
    ];
    for (day, seen, want) in table {
        machine.last_seen = vec![look(*seen, silent())];
        assert_eq!(machine.run(*day, &idle()), *want, "day {day}");
    }
    // It answers the monitor again; no run has touched it.
    machine.down_since.clear();
    machine.last_seen = vec![look(9.04, up())];
    assert_eq!(machine.run(9.05, &idle()), ["ca-outage over"]);
    assert_eq!(machine.run(9.06, &idle()), [""; 0]);
}

#[test]
fn a_ca_that_answers_and_issues_nothing_is_told_of_as_one_that_is_down() {
    let mut machine = Machine::new();
    let at = |day: f64| start() + DAY.mul_f64(day);
    let all = |machine: &mut Machine, last: f64, attempts: u32| {
        let fruitless = Fruitless {
            since: at(1.0),
            last: at(last),
            attempts,
            until: None,
            is_of_one: false,
            causes: vec!["the CA answered 500".to_owned()],
        };
        machine.fruitless = BTreeMap::from([(ca("first"), fruitless)]);
    };
    // Day of the run, day of the last attempt, how many, what is told.
    let table: &[(f64, f64, u32, &[&str])] = &[
        (1.4, 1.1, 4, &[]),
        (1.6, 1.1, 4, &["ca-outage began"]),
        (2.2, 2.1, 5, &[]),
        (4.1, 4.0, 7, &["ca-outage worse"]),
        (4.2, 4.0, 7, &[]),
    ];
    for (day, last, attempts, want) in table {
        all(&mut machine, *last, *attempts);
        assert_eq!(machine.run(*day, &idle()), *want, "day {day}");
    }
    // The next attempt begins with an answer and ends with a failure: that one is short hides nothing.
    machine.down_since = BTreeMap::from([(ca("first"), down(at(5.0)))]);
    all(&mut machine, 5.0, 8);
    assert_eq!(machine.run(5.1, &idle()), [""; 0]);
    machine.down_since.clear();
    assert_eq!(machine.run(6.9, &idle()), [""; 0]);
    // Another one issues meanwhile, and nobody asks this one any more.
    assert_eq!(machine.run(7.1, &idle()), ["ca-outage over"]);
    assert_eq!(
        machine.events[0].causes,
        ["it answers, and nobody has asked it for a certificate since"]
    );
    assert_eq!(machine.run(7.2, &idle()), [""; 0]);
    // It fails again when it is asked again, and then it issues.
    all(&mut machine, 8.0, 9);
    assert_eq!(machine.run(8.1, &idle()), ["ca-outage began"]);
    assert!(machine.events[0].causes[0].contains("each of 9 attempts to get"));
    // It asks to be left alone for three days, and everybody does.
    let asked = machine.fruitless.values_mut().next().expect("one");
    asked.until = Some(at(11.0));
    assert_eq!(machine.run(10.9, &idle()), [""; 0]);
    assert_eq!(machine.run(12.9, &idle()), [""; 0]);
    machine.fruitless.clear();
    assert_eq!(machine.run(13.2, &idle()), ["ca-outage over"]);
    assert_eq!(machine.events[0].causes, [""; 0]);
    // Of one certificate of several it is no matter of the CA.
    let one = |is_of_one| Fruitless {
        since: at(1.0),
        last: at(2.0),
        until: None,
        attempts: 3,
        is_of_one,
        causes: Vec::new(),
    };
    let (first, settings) = (ca("first"), &mut machine.settings);
    assert!(one(true).is_of_the_ca(&first, settings));
    settings
        .certificates
        .push(certificate("mail", &["mail.example"], &["first"]));
    assert!(!one(true).is_of_the_ca(&first, settings));
    assert!(one(false).is_of_the_ca(&first, settings));
}

fn down(since: Timestamp) -> Down {
    Down::first(since)
}
