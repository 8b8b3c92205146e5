//! What the machine asks for after each event, row by row.

mod debts;
mod fixture;
mod properties;
mod refusals;
mod waits;

use waxwing_acme::problem::{Problem, ProblemKind};
use waxwing_core::failure::FailureClass;
use waxwing_core::http::TransportStage;

use self::fixture::*;
use super::*;
use crate::obligation::ObligationState;
use crate::ports::{CryptoError, StoreError, StoreErrorKind};

#[test]
fn a_fresh_run_takes_each_step_once() {
    let table = [
        ("begin", "place the order None"),
        ("placed", "read the authorizations"),
        ("open", "locate the records 2"),
        ("located", "place the records 2"),
        ("presented", "watch the records"),
        ("visible", "answer the challenges 2"),
        ("answered", "read the order Poll { nth: 0 }"),
        ("ready", "make the key"),
        ("key", "finalize the order"),
        ("processing", "read the order Poll { nth: 0 }"),
        ("valid", "download the certificate"),
        ("downloaded", "store the certificate"),
        ("saved", "remove the records 2"),
        ("cleaned", "end issued, journal closed"),
    ];
    for (event, want) in table {
        check(fresh(), good(event), want);
    }
}

#[test]
fn an_open_run_goes_on_from_what_the_ca_says() {
    let valid = || authorizations(AuthorizationStatus::Valid, ChallengeStatus::Valid);
    let looking = || authorizations(AuthorizationStatus::Pending, ChallengeStatus::Processing);
    let resume =
        |more: Vec<Event>, want: &str| check(resumed(), and(vec![Event::Begin], more), want);
    resume(vec![], "read the order None");
    resume(vec![seen(OrderStatus::Pending)], "read the authorizations");
    resume(
        vec![seen(OrderStatus::Pending), valid()],
        "read the order Poll { nth: 0 }",
    );
    resume(
        vec![seen(OrderStatus::Pending), open()],
        "locate the records 2",
    );
    resume(vec![seen(OrderStatus::Ready)], "make the key");
    resume(
        vec![seen(OrderStatus::Processing)],
        "read the order Poll { nth: 0 }",
    );
    resume(vec![seen(OrderStatus::Valid)], "download the certificate");
    resume(vec![seen(OrderStatus::Invalid)], "read the authorizations");
    // An earlier run took the records away while the CA was still looking.
    let again = vec![seen(OrderStatus::Pending), looking()];
    resume(again, "locate the records 2");
    let again = vec![
        seen(OrderStatus::Pending),
        looking(),
        Event::Located(intended()),
        presented(),
        Event::Visible,
    ];
    resume(again, "read the order Poll { nth: 0 }");
}

#[test]
fn an_order_that_is_gone_is_placed_anew_and_one_behind_a_firewall_is_not() {
    let gone = |failure| vec![Event::Begin, Event::Failed(failure)];
    check(
        resumed(),
        gone(refused(404, "malformed", None)),
        "place the order None",
    );
    check(
        resumed(),
        gone(refused(403, "unauthorized", None)),
        "place the order None",
    );
    let owing = || Run {
        obligations: there(),
        ..resumed()
    };
    check(
        owing(),
        gone(refused(404, "malformed", None)),
        "remove the records 2",
    );
    let cleared = and(gone(refused(404, "malformed", None)), vec![cleaned()]);
    check(owing(), cleared, "place the order None");
    check(
        resumed(),
        gone(refused(429, "rateLimited", Some("9"))),
        "read the order Asked(9s)",
    );
    check(
        resumed(),
        gone(refused(401, "accountDoesNotExist", None)),
        "end misconfigured, journal kept",
    );
}

#[test]
fn old_obligations_are_cleared_before_a_new_order() {
    let owing = || Run {
        obligations: there(),
        ..fresh()
    };
    check(owing(), vec![Event::Begin], "remove the records 2");
    check(
        owing(),
        vec![Event::Begin, cleaned()],
        "place the order None",
    );
    let left = || Event::CleanedUp {
        left: there(),
        failed: vec![plugin_failure()],
    };
    let machine = check(owing(), vec![Event::Begin, left()], "place the order None");
    assert_eq!(machine.run().obligations, there());
    let nobody_s = Run {
        obligations: vec![obligation("1", ObligationState::NotOurs)],
        ..fresh()
    };
    check(nobody_s, vec![Event::Begin], "place the order None");
}

#[test]
fn lost_answers_are_looked_into_before_anything_is_sent_again() {
    let failed = |event: &str, failure| and(good(event), vec![Event::Failed(failure)]);
    // Nobody knows the URL of a lost order.
    check(fresh(), failed("begin", lost()), "place the order None");
    let twice = and(failed("begin", lost()), vec![Event::Failed(lost())]);
    check(fresh(), twice, "end transient, journal closed");
    let never_sent = failed("begin", transport(TransportStage::Connect));
    check(fresh(), never_sent, "end transient, journal closed");
    let busy = failed("begin", refused(500, "serverInternal", Some("7")));
    check(fresh(), busy, "place the order Asked(7s)");
    let long = failed("begin", refused(500, "serverInternal", Some("61")));
    check(fresh(), long, "end transient, journal closed");

    let answered = |failures| {
        and(
            good("visible"),
            vec![Event::Answered {
                failures,
                retry_after: None,
            }],
        )
    };
    check(fresh(), answered(vec![lost()]), "read the authorizations");
    let again = and(answered(vec![lost()]), vec![open()]);
    check(fresh(), again, "answer the challenges 2");
    let taken = authorizations(AuthorizationStatus::Pending, ChallengeStatus::Processing);
    let taken_up = and(answered(vec![lost()]), vec![taken]);
    check(fresh(), taken_up, "read the order Poll { nth: 0 }");

    // What the CA asks for holds for the look as well.
    let busy = vec![lost(), refused(503, "rateLimited", Some("7"))];
    check(fresh(), answered(busy), "read the authorizations Asked(7s)");
    let long = vec![refused(429, "rateLimited", Some("61")), lost()];
    check(
        fresh(),
        and(answered(long), vec![cleaned()]),
        "end rate-limited, journal kept",
    );

    check(fresh(), failed("key", lost()), "read the order None");
    check(
        fresh(),
        failed("key", refused(403, "orderNotReady", None)),
        "read the order None",
    );
    check(
        fresh(),
        failed("key", refused(400, "badCSR", None)),
        "remove the records 2",
    );
    check(fresh(), failed("valid", lost()), "read the order None");
    check(fresh(), failed("processing", lost()), "read the order None");
}

#[test]
fn a_look_that_fails_loses_no_order_that_was_there_a_moment_ago() {
    let forbidden = || Event::Failed(refused(403, "unauthorized", None));
    let at = |run, event, want| check(run, and(good(event), vec![forbidden()]), want);
    at(fresh(), "placed", "end rejected, journal kept");
    at(fresh(), "answered", "remove the records 2");
    let looked = and(good("answered"), vec![forbidden(), cleaned()]);
    check(fresh(), looked, "end rejected, journal kept");
    // One of an earlier run may be out of date.
    let open_run = vec![Event::Begin, seen(OrderStatus::Pending), forbidden()];
    check(resumed(), open_run, "end rejected, journal closed");
}

#[test]
fn a_certificate_that_is_there_is_fetched_for_a_day_before_another_one_is_ordered() {
    let broken = || Event::Failed(refused(404, "malformed", None));
    check(
        fresh(),
        and(good("valid"), vec![broken()]),
        "read the order None",
    );
    let unreadable = Event::Failed(Failure::Unreadable {
        ca: ca(),
        url: "https://ca.example/cert/1".to_owned(),
        error: CryptoError {
            what: "read the certificate chain".to_owned(),
            causes: Vec::new(),
        },
    });
    let again = and(good("valid"), vec![unreadable]);
    check(fresh(), again, "read the order None");
    let in_vain = |first: Vec<Event>| {
        let mut events = and(first, vec![broken()]);
        for _nth in 0..MOST_RECOVERIES {
            events = and(events, vec![seen(OrderStatus::Valid), broken()]);
        }
        events
    };
    let today = and(in_vain(good("valid")), vec![cleaned()]);
    check(fresh(), today, "end rejected, journal kept");
    let yesterday = Run {
        began: Timestamp::from_unix(START.unix() - 86_400),
        ..resumed()
    };
    let late = in_vain(vec![Event::Begin, seen(OrderStatus::Valid)]);
    check(yesterday, late, "end rejected, journal closed");
}

#[test]
fn a_row_of_refused_nonces_is_the_end_of_the_run_and_not_of_the_order() {
    let refusal = || refused(400, "badNonce", None);
    for event in ["valid", "key", "answered"] {
        let row = and(good(event), vec![Event::Failed(refusal()), cleaned()]);
        check(fresh(), row, "end transient, journal kept");
    }
    let answers = Event::Answered {
        failures: vec![refusal(), lost()],
        retry_after: None,
    };
    let row = and(good("visible"), vec![answers, cleaned()]);
    check(fresh(), row, "end transient, journal kept");
    let first = and(good("begin"), vec![Event::Failed(refusal())]);
    check(fresh(), first, "end transient, journal closed");
}

#[test]
fn a_finalized_order_that_still_looks_ready_is_looked_at_again() {
    let stuck = and(good("key"), vec![seen(OrderStatus::Ready)]);
    check(fresh(), stuck, "read the order None");
}

#[test]
fn refusals_name_the_names_even_if_the_order_gives_no_reason() {
    let invalid = |events: Vec<Event>, order: Order| {
        let seen = Event::OrderSeen {
            order,
            retry_after: None,
        };
        let (_, effect) = after(resumed(), and(vec![Event::Begin, seen], events));
        let Effect::End(end) = effect else {
            panic!("{effect:?}");
        };
        assert!(!end.keep_journal);
        match end.result {
            Err(Failure::Validation { refused, .. }) => refused,
            other => panic!("{other:?}"),
        }
    };
    let refused = authorizations(AuthorizationStatus::Invalid, ChallengeStatus::Invalid);
    let names = fresh().terms.names;
    let bare: Vec<_> = names.iter().map(|name| (name.clone(), None)).collect();
    assert_eq!(invalid(vec![refused], order(OrderStatus::Invalid)), bare);

    let problem = Problem {
        kind: ProblemKind::Caa,
        detail: None,
        status: None,
        instance: None,
        subproblems: Vec::new(),
    };
    let mut told = order(OrderStatus::Invalid);
    told.error = Some(problem.clone());
    let valid = authorizations(AuthorizationStatus::Valid, ChallengeStatus::Valid);
    let with: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), Some(problem.clone())))
        .collect();
    assert_eq!(invalid(vec![valid], told), with);
}

#[test]
fn an_order_that_ended_while_nobody_was_there_is_placed_anew() {
    for status in [
        AuthorizationStatus::Pending,
        AuthorizationStatus::Valid,
        AuthorizationStatus::Expired,
        AuthorizationStatus::Deactivated,
    ] {
        let seen = || {
            vec![
                Event::OrderSeen {
                    order: order(OrderStatus::Invalid),
                    retry_after: None,
                },
                authorizations(status, ChallengeStatus::Pending),
            ]
        };
        check(
            resumed(),
            and(vec![Event::Begin], seen()),
            "place the order None",
        );
        // One that this run has placed did not end by itself.
        let (_, effect) = after(fresh(), and(good("answered"), seen()));
        assert!(!matches!(effect, Effect::PlaceOrder { .. }), "{effect:?}");
    }
}

#[test]
fn waits_end() {
    let pending = |retry_after| Event::OrderSeen {
        order: order(OrderStatus::Pending),
        retry_after: Some(Duration::from_secs(retry_after)),
    };
    let asked = and(good("answered"), vec![pending(60)]);
    check(fresh(), asked, "read the order Asked(60s)");
    let parked = and(good("answered"), vec![pending(61), cleaned()]);
    check(fresh(), parked, "end rate-limited, journal kept");

    let (machine, _) = after(fresh(), good("answered"));
    let late = START + PATIENCE.order;
    let (machine, effect) = machine.step(seen(OrderStatus::Pending), late);
    assert_eq!(words(&effect), "remove the records 2");
    let (_, effect) = machine.step(cleaned(), late);
    assert_eq!(words(&effect), "end transient, journal kept");
    // The time until the records were seen is not the CA's.
    let (machine, _) = after(fresh(), good("presented"));
    let (machine, _) = machine.step(Event::Visible, late);
    let (machine, _) = machine.step(
        Event::Answered {
            failures: Vec::new(),
            retry_after: None,
        },
        late,
    );
    let (_, effect) = machine.step(seen(OrderStatus::Pending), late);
    assert_eq!(words(&effect), "read the order Poll { nth: 0 }");
}

#[test]
fn a_valid_order_without_its_certificate_is_looked_at_again() {
    let without = || {
        let mut order = order(OrderStatus::Valid);
        order.certificate = None;
        Event::OrderSeen {
            order,
            retry_after: None,
        }
    };
    let late = START + Duration::from_secs(86_400);
    let begun = || after(fresh(), good("processing")).0.step(without(), START);
    let (machine, effect) = begun();
    let shown = words(&effect);
    assert!(shown.starts_with("read the order"), "{shown}");
    let (_, effect) = machine.step(seen(OrderStatus::Valid), START);
    assert_eq!(words(&effect), "download the certificate");
    // Giving it up would make another one: it is kept for the next run.
    let (machine, _) = begun().0.step(without(), late);
    let (_, effect) = machine.step(cleaned(), late);
    assert_eq!(words(&effect), "end transient, journal kept");
}

#[test]
fn a_name_refused_behind_a_pending_order_is_found() {
    let (mut machine, _) = after(fresh(), good("answered"));
    let mut asked = Vec::new();
    for _ in 0..LOOKS_BEFORE_DOUBT {
        let (next, effect) = machine.step(seen(OrderStatus::Pending), START);
        machine = next;
        asked.push(effect);
    }
    assert_eq!(
        asked.last().map(words).as_deref(),
        Some("read the authorizations")
    );
    let refused = authorizations(AuthorizationStatus::Invalid, ChallengeStatus::Invalid);
    let (machine, _) = machine.step(refused, START);
    let (_, effect) = machine.step(cleaned(), START);
    assert_eq!(words(&effect), "end rejected, journal closed");
}

#[test]
fn an_error_at_an_open_challenge_is_the_end_where_the_ca_never_looks_again() {
    for (challenge_retry, status, want) in [
        (
            ChallengeRetry::Never,
            ChallengeStatus::Processing,
            "remove the records 2",
        ),
        (
            ChallengeRetry::Never,
            ChallengeStatus::Pending,
            "answer the challenges 2",
        ),
        (
            ChallengeRetry::Server,
            ChallengeStatus::Processing,
            "read the order Poll { nth: 0 }",
        ),
    ] {
        let (mut machine, _) = after(fresh(), good("answered"));
        machine.patience.challenge_retry = challenge_retry;
        let Event::AuthorizationsSeen(mut authorizations) =
            authorizations(AuthorizationStatus::Pending, status)
        else {
            panic!("the fixture makes authorizations");
        };
        for (_, authorization) in &mut authorizations {
            authorization.challenges[0].error = Some(Problem {
                kind: ProblemKind::Dns,
                detail: None,
                status: None,
                instance: None,
                subproblems: Vec::new(),
            });
        }
        let (_, effect) = machine.step(Event::AuthorizationsSeen(authorizations), START);
        assert_eq!(words(&effect), want, "{challenge_retry:?} {status:?}");
    }
}

#[test]
fn trouble_on_our_side_keeps_the_order() {
    let crash = Event::Presented {
        obligations: intended(),
        failed: vec![plugin_failure()],
        hint: PropagationHint::default(),
    };
    let crashed = and(good("located"), vec![crash, cleaned()]);
    check(fresh(), crashed, "end bug, journal kept");
    let full = Failure::Store(StoreError {
        kind: StoreErrorKind::NoSpace,
        act: "write",
        path: "journal".into(),
        causes: Vec::new(),
        hint: None,
    });
    let full = and(good("downloaded"), vec![Event::Failed(full), cleaned()]);
    check(fresh(), full, "end transient, journal kept");
    let wrong = Failure::Mismatch {
        ca: ca(),
        what: "it is for another key".to_owned(),
        clock: false,
    };
    let wrong = and(good("valid"), vec![Event::Failed(wrong), cleaned()]);
    check(fresh(), wrong, "end bug, journal closed");
}

#[test]
fn a_stop_settles_at_every_stage() {
    let table = [
        ("begin", "end cancelled, journal closed"),
        ("placed", "end cancelled, journal kept"),
        ("open", "end cancelled, journal kept"),
        ("located", "remove the records 2"),
        ("presented", "remove the records 2"),
        ("visible", "remove the records 2"),
        ("answered", "remove the records 2"),
        ("key", "remove the records 2"),
        ("valid", "remove the records 2"),
        ("downloaded", "remove the records 2"),
    ];
    for (event, want) in table {
        check(fresh(), and(good(event), vec![Event::Stopped]), want);
    }
    let twice = and(good("answered"), vec![Event::Stopped, Event::Stopped]);
    let (machine, effect) = after(fresh(), twice);
    let Effect::End(end) = effect else {
        panic!("{effect:?}");
    };
    assert_eq!((end.owed.len(), machine.run().obligations.len()), (2, 2));
}

#[test]
fn classes_of_the_fixtures_are_what_the_tables_count_on() {
    assert_eq!(lost().class(), FailureClass::Transient);
    assert_eq!(
        refused(404, "malformed", None).class(),
        FailureClass::Rejected
    );
}
