//! What is said while a run is at work, so that nobody looks at a screen on which nothing happens.

use std::time::Duration;

use super::runs::{forced, issued_by, many, only};
use super::world::{World, profile, settings};
use crate::report::{Asking, Progress};

#[tokio::test(start_paused = true)]
async fn every_step_says_what_it_does_and_with_whom() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    let report = forced(&world, &settings, None).await;
    assert_eq!(issued_by(only(&report)), Some("first"));
    let progress = world.state().progress.clone();
    let mut said: Vec<&str> = progress
        .iter()
        .filter_map(|progress| match progress {
            Progress::Doing { what, .. } => Some(what.as_str()),
            Progress::Done => Some("."),
            _ => None,
        })
        .collect();
    said.dedup();
    assert_eq!(
        said,
        [
            "asking first",
            "asking first for an order",
            "asking first which names it wants proved",
            "looking up where the records go",
            "placing 1 TXT by dns",
            "looking for the records at the name servers",
            "telling first that the records are there",
            "making the key",
            "asking first to sign",
            "fetching the certificate from first",
            "removing 1 TXT by dns",
            ".",
            "files: installing, testing and reloading",
            ".",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_names_the_server_and_its_end_at_every_look() {
    let world = World::new(&["first"]);
    world.state().dns.blind = true;
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    let report = forced(&world, &settings, None).await;
    assert_eq!(issued_by(only(&report)), None);
    let progress = world.state().progress.clone();
    let waits: Vec<_> = progress
        .iter()
        .filter_map(|progress| match progress {
            Progress::Waiting { what, since, until } if what.contains(" to show ") => {
                Some((what.as_str(), *since, until.since(*since)))
            }
            _ => None,
        })
        .collect();
    assert!(waits.len() > 60, "{}", waits.len());
    let (what, _, patience) = waits[0];
    assert_eq!(
        what,
        "ns1.example (192.0.2.1) to show _acme-challenge.c0.example (0 of 1 do)"
    );
    assert_eq!(patience, Duration::from_secs(600));
    assert!(waits.iter().all(|wait| *wait == waits[0]), "one wait");
    assert!(matches!(progress.last(), Some(Progress::Done)));
}

#[tokio::test(start_paused = true)]
async fn every_request_says_who_is_asked_and_until_when_and_every_pause_its_end() {
    let world = World::new(&["first"]);
    world.state().cas.get_mut("first").expect("its name").down = true;
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    let report = forced(&world, &settings, None).await;
    assert_eq!(issued_by(only(&report)), None);
    let progress = world.state().progress.clone();
    let asking: Vec<&Asking> = progress
        .iter()
        .filter_map(|progress| match progress {
            Progress::Asking(asking) => Some(asking),
            _ => None,
        })
        .collect();
    // The directory is asked for three times, each with 30 s for the answer.
    let [
        Asking::Answer { host, until },
        Asking::Pause { until: again },
        Asking::Answer { until: second, .. },
        Asking::Pause { .. },
        Asking::Answer { .. },
    ] = asking.as_slice()
    else {
        panic!("{asking:?}");
    };
    assert_eq!(host, "first.example");
    assert_eq!(second.since(*again), Duration::from_secs(30));
    assert!(
        again < until,
        "nothing listens there, which is known at once"
    );
}
