//! Whatever happens, in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::super::*;
use super::fixture::*;

/// Any event, with contents that a CA, a plugin or a disk could come up with.
fn any_event() -> impl Strategy<Value = Event> {
    (0..26_u32).prop_map(|nth| match nth {
        0 => Event::Begin,
        1 => placed(),
        2 => seen(OrderStatus::Pending),
        3 => seen(OrderStatus::Ready),
        4 => seen(OrderStatus::Processing),
        5 => seen(OrderStatus::Valid),
        6 => seen(OrderStatus::Invalid),
        7 => Event::OrderSeen {
            order: order(OrderStatus::Processing),
            retry_after: Some(Duration::from_secs(3600)),
        },
        8 => open(),
        9 => authorizations(AuthorizationStatus::Valid, ChallengeStatus::Valid),
        10 => authorizations(AuthorizationStatus::Invalid, ChallengeStatus::Invalid),
        11 => authorizations(AuthorizationStatus::Pending, ChallengeStatus::Processing),
        12 => Event::AuthorizationsSeen(Vec::new()),
        13 => Event::Located(intended()),
        14 => presented(),
        15 => Event::Visible,
        16 => Event::Answered {
            failures: Vec::new(),
            retry_after: None,
        },
        17 => Event::Answered {
            failures: vec![lost()],
            retry_after: None,
        },
        18 => Event::KeyReady,
        19 => downloaded(),
        20 => Event::Saved(Some(1)),
        21 => cleaned(),
        22 => Event::CleanedUp {
            left: there(),
            failed: vec![plugin_failure()],
        },
        23 => Event::Failed(lost()),
        24 => Event::Failed(refused(404, "malformed", None)),
        _ => Event::Stopped,
    })
}

/// An event that answers `effect`, chosen by `chance` among good and bad ones.
fn answer_to(effect: &Effect, chance: u8) -> Event {
    let bad = match chance {
        0..=2 => Some(lost()),
        3 => Some(refused(404, "malformed", None)),
        4 => Some(refused(503, "serverInternal", None)),
        5 => Some(refused(429, "rateLimited", Some("30"))),
        6 => Some(refused(403, "orderNotReady", None)),
        _ => None,
    };
    let statuses = [
        OrderStatus::Pending,
        OrderStatus::Pending,
        OrderStatus::Ready,
        OrderStatus::Processing,
        OrderStatus::Valid,
        OrderStatus::Invalid,
    ];
    match (effect, bad) {
        (Effect::CleanUp(list), _) => Event::CleanedUp {
            left: if chance.is_multiple_of(3) {
                list.clone()
            } else {
                Vec::new()
            },
            failed: Vec::new(),
        },
        (Effect::Answer(_), Some(failure)) => Event::Answered {
            failures: vec![failure],
            retry_after: None,
        },
        (_, Some(failure)) => Event::Failed(failure),
        (Effect::PlaceOrder { .. }, None) => placed(),
        (Effect::ReadOrder { .. } | Effect::Finalize { .. }, None) => {
            seen(statuses[usize::from(chance) % statuses.len()])
        }
        (Effect::ReadAuthorizations { .. }, None) => match chance % 4 {
            0 => authorizations(AuthorizationStatus::Valid, ChallengeStatus::Valid),
            1 => authorizations(AuthorizationStatus::Pending, ChallengeStatus::Processing),
            _ => open(),
        },
        (Effect::Locate(_), None) => Event::Located(intended()),
        (Effect::Present(_), None) => presented(),
        (Effect::Watch { .. }, None) => Event::Visible,
        (Effect::Answer(_), None) => Event::Answered {
            failures: Vec::new(),
            retry_after: None,
        },
        (Effect::Abandon { .. }, None) => Event::Abandoned,
        (Effect::MakeKey, None) => Event::KeyReady,
        (Effect::Download { .. }, None) => downloaded(),
        (Effect::Save { .. } | Effect::End(_), None) => Event::Saved(Some(1)),
    }
}

fn covered(machine: &Machine, effect: &Effect) -> Result<(), TestCaseError> {
    let owed: BTreeSet<&str> = machine
        .run()
        .obligations
        .iter()
        .map(|o| o.record.key.as_str())
        .collect();
    if let Effect::Present(list) | Effect::CleanUp(list) = effect {
        prop_assert!(list.iter().all(|o| owed.contains(o.record.key.as_str())));
    }
    if let Effect::End(end) = effect {
        prop_assert!(end.keep_journal || owed.is_empty());
        prop_assert_eq!(machine.run().stage, Stage::Done);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config {
        rng_seed: RngSeed::Fixed(8555),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn no_event_in_any_state_panics_or_loses_what_is_owed(
        events in prop::collection::vec(any_event(), 1..40),
        open_run in any::<bool>(),
    ) {
        let run = if open_run { resumed() } else { fresh() };
        let mut machine = Machine::new(run, PATIENCE, START);
        for event in events {
            let (next, effect) = machine.step(event, START);
            covered(&next, &effect)?;
            machine = next;
        }
    }

    #[test]
    fn every_run_ends_whatever_the_world_answers(
        chances in prop::collection::vec(any::<u8>(), 16),
        clock_stands_still in any::<bool>(),
    ) {
        let mut machine = Machine::new(fresh(), PATIENCE, START);
        let mut event = Event::Begin;
        let mut now = START;
        let mut sent = 0;
        for turn in 0.. {
            let (next, effect) = machine.step(event, now);
            covered(&next, &effect)?;
            machine = next;
            if let Effect::End(_) = effect {
                break;
            }
            sent += u32::from(matches!(effect, Effect::PlaceOrder { .. }));
            if !clock_stands_still {
                now = now + Duration::from_secs(1);
            }
            prop_assert!(turn < 3 * usize::try_from(MOST_LOOKS).unwrap_or(0), "no end in sight");
            event = answer_to(&effect, chances[turn % chances.len()]);
        }
        prop_assert!(sent <= 2, "{} orders", sent);
    }
}
