//! Whose answer counts when a CA is silent: only one that came when the CA had fallen silent already.

use super::policy::{HOUR, down, due, issued_by, only, timer};
use super::world::{Fault, World, certificate, profile, settings};
use crate::failure::Failure;
use crate::history::{ClosedResult, Sighting};
use crate::ports::Clock;
use crate::report::Outcome;
use crate::scheduler::Force;

/// How long before a silence the answer of another CA may have come.
const FRESH: std::time::Duration = std::time::Duration::from_secs(5);

/// The first CA is down, so that the second one is asked at the beginning whether it answers; then the
/// network goes away at each moment of the run, while another certificate is ordered at a third one.
#[tokio::test(start_paused = true)]
async fn an_answer_from_before_the_network_went_away_blames_nobody() {
    let cas = ["first", "second", "third"];
    let mut blamed = 0;
    for cut in 0.. {
        let world = World::new(&cas);
        down(&world, "first", true);
        let certificates = vec![
            certificate("blog", &["blog.example"], &["first", "second"]),
            certificate("shop", &["shop.example"], &["third", "second"]),
        ];
        let profiles = cas.iter().map(|name| profile(name)).collect();
        let settings = settings(profiles, certificates);
        world.state().fault = Some((cut, Fault::Outage));
        timer(&world, &settings, Force::No).await;
        let state = world.state();
        if state.calls <= cut {
            assert!(cut > 40, "the whole run was cut through");
            break;
        }
        for attempt in &state.memory.attempts {
            let ClosedResult::Failed {
                theirs: true,
                causes,
                ..
            } = &attempt.result
            else {
                continue;
            };
            if attempt.ca.as_str() == "first" {
                continue;
            }
            blamed += 1;
            let witness = state.memory.sightings.iter().any(|seen| {
                seen.ca != attempt.ca && seen.result.is_ok() && seen.at + FRESH >= attempt.ended
            });
            assert!(witness, "cut at {cut}: {attempt:?} {causes:?}");
        }
    }
    assert!(blamed > 10, "{blamed} times a CA was blamed");
}

/// Both have a copy of the directory and an account, so that a session opens without anybody at the other
/// end: that is no answer.
#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_has_answered_is_no_witness() {
    // Fresh copies, and old ones.
    for hours in [2, 24 * 6] {
        let world = World::new(&["first", "second"]);
        let certificates = vec![
            certificate("blog", &["blog.example"], &["first", "second"]),
            certificate("shop", &["shop.example"], &["second", "first"]),
        ];
        let profiles = ["first", "second"].map(profile);
        let settings = settings(profiles.into(), certificates);
        timer(&world, &settings, Force::No).await;
        Clock::sleep(&world, HOUR * hours).await;
        let seen = world.state().memory.sightings.len();
        down(&world, "first", true);
        down(&world, "second", true);
        let report = timer(&world, &settings, Force::NotDue).await;
        for one in &report.certificates {
            let Outcome::Failed(Some(Failure::Offline { .. })) = &one.outcome else {
                panic!("{hours} h: {one:?}");
            };
        }
        let state = world.state();
        let sightings = &state.memory.sightings[seen..];
        assert!(
            sightings.iter().all(|seen| seen.result.is_err()),
            "{sightings:?}"
        );
    }
}

/// A CA that is down stays down in the record though its session opens.
#[tokio::test(start_paused = true)]
async fn a_ca_that_has_been_seen_to_be_down_for_long_is_given_up_at_the_first_failure() {
    let (world, settings) = due(&["first", "second"]).await;
    Clock::sleep(&world, HOUR * 20).await;
    down(&world, "first", true);
    for hour in 1..20_u32 {
        let sighting = Sighting {
            ca: settings.certificates[0].cas[0].clone(),
            at: world.now() - HOUR * (20 - hour),
            result: Err("no connection".to_owned()),
        };
        world.state().memory.sightings.push(sighting);
    }
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(
        issued_by(&report).as_deref(),
        Some("second"),
        "{:?}",
        only(&report)
    );
}
