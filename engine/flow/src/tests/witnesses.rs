//! Whose answer counts when a CA is silent: only one that came when the CA had fallen silent already.

use waxwing_core::name::CaName;

use super::policy::{DAY, HOUR, down, due, issued_by, only, timer};
use super::world::{Fault, World, certificate, profile, settings};
use crate::failure::Failure;
use crate::heard::{Answer, Heard};
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
            let witness = state.cas.iter().any(|(name, ca)| {
                let mut answers = ca.answers.iter();
                name != attempt.ca.as_str() && answers.any(|at| *at + FRESH >= attempt.ended)
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

fn seen_to_be_down(world: &World, ca: &CaName, hours: u32) {
    for hour in (1..=hours).rev() {
        let sighting = Sighting {
            ca: ca.clone(),
            at: world.now() - HOUR * hour,
            result: Err("no connection".to_owned()),
        };
        world.state().memory.sightings.push(sighting);
    }
}

/// It was down for most of a day, and breaks off again after so many answers. Two certificates share the
/// session; what one of them was answered the other one knows, whatever becomes of the first.
#[tokio::test(start_paused = true)]
async fn a_ca_that_answers_again_is_not_given_up_for_the_hours_before() {
    let mut answered = 0;
    for left in 0.. {
        let world = World::new(&["first", "second"]);
        let certificates = vec![
            certificate("blog", &["blog.example"], &["first", "second"]),
            certificate("shop", &["shop.example"], &["first", "second"]),
        ];
        let profiles = ["first", "second"].map(profile);
        let settings = settings(profiles.into(), certificates);
        timer(&world, &settings, Force::No).await;
        Clock::sleep(&world, DAY * 5).await;
        seen_to_be_down(&world, &settings.certificates[0].cas[0], 20);
        world.state().cas.get_mut("first").expect("its name").left = Some(left);
        let report = timer(&world, &settings, Force::No).await;
        let mut issuers = Vec::new();
        for one in &report.certificates {
            if let Outcome::Issued { ca, .. } = &one.outcome {
                issuers.push(ca.to_string());
            }
        }
        match left {
            0 => assert_eq!(issuers, ["second", "second"]),
            _ => assert!(
                !issuers.contains(&"second".to_owned()),
                "{left}: {report:?}"
            ),
        }
        if issuers == ["first", "first"] {
            break;
        }
        answered += 1;
        // Whoever looks next knows since when it is down: since it broke off.
        let down = world.ports().history.down_since().expect("read");
        let down = &down[&settings.certificates[0].cas[0]];
        let last = world.state().cas["first"].answers.last().copied();
        let since_it_broke_off = last.is_some_and(|last| down.since >= last);
        assert!(left == 0 || since_it_broke_off, "{left}: {down:?}");
    }
    assert!(answered > 12, "{answered}");
}

/// Answers and silences as attempts side by side meet them, in the order in which they are noted: since
/// when the next run takes the CA for down.
#[tokio::test(start_paused = true)]
async fn what_is_noted_late_is_still_of_its_own_time() {
    enum Noted {
        Well(u32),
        Busy(u32),
        Silent(u32),
        Refused(u32),
    }
    use Noted::{Busy, Refused, Silent, Well};
    let table: [(&[Noted], Option<u32>); 13] = [
        (&[], Some(0)),
        (&[Well(5)], None),
        // A server that fails is reached, and is not up.
        (&[Busy(5)], Some(0)),
        (&[Well(5), Silent(9)], Some(9)),
        (&[Silent(9), Silent(11)], Some(0)),
        // It was silent for one; another one had an answer while witnesses were asked.
        (&[Well(5), Well(10), Silent(9)], None),
        (&[Well(10), Silent(9), Silent(12)], Some(12)),
        (&[Well(5), Silent(9), Well(10)], None),
        (&[Well(5), Silent(9), Busy(10), Silent(11)], Some(9)),
        // One that says no with an answer is not down, if it has done its work a moment ago.
        (&[Well(5), Refused(9)], None),
        (&[Well(5), Refused(11)], Some(11)),
        (&[Busy(5), Refused(6)], Some(0)),
        (&[Well(5), Refused(6), Silent(7)], Some(7)),
    ];
    for (nth, (noted, want)) in table.iter().enumerate() {
        let world = World::new(&["first"]);
        let ca = profile("first").name;
        let start = world.now();
        let first = Sighting {
            ca: ca.clone(),
            at: start,
            result: Err("no connection".to_owned()),
        };
        world.state().memory.sightings.push(first);
        let minute = |minutes: &u32| start + HOUR / 60 * *minutes;
        let heard = Heard::new(world.ports().history, world.now());
        let answered = |at: &u32, well| {
            let (at, took) = (minute(at), std::time::Duration::from_millis(7));
            heard.answered(&ca, Answer { at, took, well });
        };
        for one in *noted {
            match one {
                Well(at) => answered(at, true),
                Busy(at) => answered(at, false),
                Silent(at) => heard.silent(&ca, minute(at), "no connection".to_owned(), false),
                Refused(at) => heard.silent(&ca, minute(at), "HTTP 500".to_owned(), true),
            }
        }
        let down = world.ports().history.down_since().expect("read");
        let since = down.get(&ca).map(|down| down.since);
        assert_eq!(since, want.as_ref().map(minute), "{nth}");
        // This run knows it just as well, but for what only fell silent in it.
        if let (None, Some(_)) = (since, heard.down().get(&ca)) {
            panic!("{nth}: still down");
        }
    }
}

/// A CA that is down stays down in the record though its session opens.
#[tokio::test(start_paused = true)]
async fn a_ca_that_has_been_seen_to_be_down_for_long_is_given_up_at_the_first_failure() {
    let (world, settings) = due(&["first", "second"]).await;
    Clock::sleep(&world, HOUR * 20).await;
    down(&world, "first", true);
    seen_to_be_down(&world, &settings.certificates[0].cas[0], 19);
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(
        issued_by(&report).as_deref(),
        Some("second"),
        "{:?}",
        only(&report)
    );
}
