//! How long the machine waits because the CA wants it so, or seems to.

use waxwing_acme::retry_after::RetryAfter;

use super::*;

#[test]
fn what_a_ca_asks_for_with_a_good_answer_holds_for_the_next_look() {
    // What the CA asks for with its answer holds for the next look, within what a run waits.
    let asked = |seconds| {
        let answered = Event::Answered {
            failures: Vec::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        and(good("visible"), vec![answered])
    };
    check(fresh(), asked(7), "read the order Asked(7s)");
    check(fresh(), asked(60), "read the order Asked(60s)");
    let parked = and(asked(61), vec![cleaned()]);
    check(fresh(), parked, "end rate-limited, journal kept");
    // And so it does with the authorizations, of which the slowest decides.
    let slow = |seconds: [Option<u64>; 2]| {
        let taken = authorizations(AuthorizationStatus::Pending, ChallengeStatus::Processing);
        let Event::AuthorizationsSeen(mut all) = taken else {
            panic!("authorizations")
        };
        let lost_answer = Event::Answered {
            failures: vec![lost()],
            retry_after: None,
        };
        for ((_, one), seconds) in all.iter_mut().zip(seconds) {
            one.retry_after = seconds.map(|it| RetryAfter::After(Duration::from_secs(it)));
        }
        and(
            good("visible"),
            vec![lost_answer, Event::AuthorizationsSeen(all)],
        )
    };
    let check_slow = |seconds, want| check(fresh(), slow(seconds), want);
    check_slow([Some(7), None], "read the order Asked(7s)");
    check_slow([Some(7), Some(9)], "read the order Asked(9s)");
    let parked = and(slow([None, Some(61)]), vec![cleaned()]);
    check(fresh(), parked, "end rate-limited, journal kept");
}

#[test]
fn an_order_that_was_finalized_is_believed_to_be_gone_only_after_a_while() {
    let gone = || Event::Failed(refused(404, "malformed", None));
    let finalized = |ago: i64| Run {
        finalized: Some(Timestamp::from_unix(START.unix() - ago)),
        ..resumed()
    };
    let denied = || vec![Event::Begin, gone()];
    check(finalized(0), denied(), "end rejected, journal kept");
    check(finalized(899), denied(), "end rejected, journal kept");
    check(finalized(900), denied(), "place the order None");
    // The clock was set back: nothing is waited for that may be years away.
    check(finalized(-60), denied(), "place the order None");
    // What the CA has said no to was not finalized.
    let no = and(good("key"), vec![Event::Failed(refused(503, "x", None))]);
    let (machine, _) = after(fresh(), no);
    assert_eq!(machine.run().finalized, Some(START));
    let no = and(
        good("key"),
        vec![Event::Failed(refused(403, "orderNotReady", None))],
    );
    let (machine, _) = after(fresh(), no);
    assert_eq!(machine.run().finalized, None);
}

/// A part of the CA says that it makes the certificate, another one shows the order as it was before.
#[test]
fn a_request_that_was_taken_is_not_made_again_with_each_look() {
    let events = and(good("key"), vec![seen(OrderStatus::Processing)]);
    let (mut machine, _) = after(fresh(), events);
    let mut made = 0;
    for look in 0..40 {
        let (next, effect) = machine.step(seen(OrderStatus::Ready), START);
        machine = next;
        if effect == Effect::MakeKey {
            made += 1;
            machine = machine.step(Event::KeyReady, START).0;
            machine = machine.step(seen(OrderStatus::Processing), START).0;
            continue;
        }
        let Effect::ReadOrder { after, .. } = &effect else {
            panic!("look {look}: {effect:?}");
        };
        assert!(
            matches!(after, Wait::Poll { nth } if *nth > 0),
            "look {look}: {after:?}"
        );
    }
    assert_eq!(made, 5, "once in eight looks");
}

/// What may have been made of an order that the CA denies counts as issued.
#[test]
fn an_order_that_was_finalized_and_is_denied_is_told_to_be_lost() {
    let long_ago = Timestamp::from_unix(START.unix() - 7_200);
    for (finalized, lost) in [(None, false), (Some(long_ago), true)] {
        let run = Run {
            finalized,
            ..resumed()
        };
        let gone = Event::Failed(refused(404, "malformed", None));
        let (machine, effect) = after(run, vec![Event::Begin, gone]);
        assert!(matches!(effect, Effect::PlaceOrder { .. }), "{effect:?}");
        let ended = machine.step(Event::Stopped, START).1;
        let Effect::End(end) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(end.lost, lost, "{finalized:?}");
    }
}

/// Something between that knows nothing of the order does not deny it.
#[test]
fn an_order_is_not_given_up_for_a_page_that_knows_nothing_of_it() {
    for status in [404, 410] {
        let run = Run {
            finalized: Some(Timestamp::from_unix(START.unix() - 7_200)),
            ..resumed()
        };
        let (machine, effect) = after(run, vec![Event::Begin, Event::Failed(page(status))]);
        assert!(
            !matches!(effect, Effect::PlaceOrder { .. }),
            "{status}: {effect:?}"
        );
        assert!(machine.run().order_url.is_some(), "{status}");
    }
}

/// A gateway that knows no route says no in JSON of its own, or without a word.
#[test]
fn a_denial_that_is_not_in_the_words_of_acme_is_not_believed_for_a_day() {
    for body in ["", r#"{"message":"no Route matched with those values"}"#] {
        for (hours, kept) in [(2, true), (23, true), (25, false)] {
            let run = Run {
                finalized: Some(Timestamp::from_unix(START.unix() - hours * 3_600)),
                ..resumed()
            };
            let (machine, _) = after(run, vec![Event::Begin, Event::Failed(bare(404, body))]);
            let has = machine.run().order_url.is_some();
            assert_eq!(has, kept, "{body:?} after {hours} h");
        }
    }
}

/// 429 is a limit, in whatever words.
#[test]
fn a_page_that_speaks_of_a_limit_is_not_asked_again_in_the_same_run() {
    let limits = [page(429), refused(429, "rateLimited", None)];
    for limit in limits {
        let (machine, effect) = after(resumed(), vec![Event::Begin, Event::Failed(limit)]);
        assert!(!matches!(effect, Effect::ReadOrder { .. }), "{effect:?}");
        assert!(machine.run().order_url.is_some());
    }
}

/// An order whose certificate could not be had for a day is given up, and there may be a certificate of it.
#[test]
fn a_certificate_that_is_not_to_be_had_is_told_to_be_lost() {
    // Where limits allow no other order it is all there is, and kept.
    for (hours, another_order, lost) in [(1, true, false), (25, true, true), (25, false, false)] {
        let run = Run {
            began: Timestamp::from_unix(START.unix() - hours * 3_600),
            ..resumed()
        };
        let patience = Patience {
            another_order,
            ..PATIENCE
        };
        let (mut machine, mut effect) =
            Machine::new(run, patience, START).step(Event::Begin, START);
        let ending = loop {
            let event = match effect {
                Effect::ReadOrder { .. } => seen(OrderStatus::Valid),
                Effect::Download { .. } => Event::Failed(page(503)),
                Effect::CleanUp(_) => cleaned(),
                Effect::End(ending) => break ending,
                other => panic!("{other:?}"),
            };
            (machine, effect) = machine.step(event, START);
        };
        assert_eq!(ending.lost, lost, "after {hours} h");
        assert_eq!(machine.run().order_url.is_none(), lost);
    }
}
