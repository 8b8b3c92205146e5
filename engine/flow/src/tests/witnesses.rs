//! Whose answer counts when a CA is silent: only one that came when the CA had fallen silent already.

use super::policy::{down, timer};
use super::world::{Fault, World, certificate, profile, settings};
use crate::history::ClosedResult;
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
