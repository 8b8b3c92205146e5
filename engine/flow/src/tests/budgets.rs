//! What is counted against the limits of a CA, and that it is known to the next run.

use std::collections::BTreeMap;

use waxwing_core::budget::Limit;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::plan::hold::Hold;
use waxwing_core::settings::Settings;

use super::policy::{HOUR, issued_by, timer};
use super::world::{Fault, LATER, World, certificate, profile, settings};
use crate::history::{ClosedAttempt, ClosedResult};
use crate::ports::Clock;
use crate::report::Outcome;
use crate::scheduler::Force;
use crate::{ahead, budget};

const LIMIT: Limit = Limit {
    count: 10,
    per: HOUR.saturating_mul(1000),
};

/// A certificate with two names at a CA with a limit.
fn limited(kind: LimitKind) -> (World, Settings) {
    let mut first = profile("first");
    first.limits.insert(kind, LIMIT);
    let shop = certificate("shop", &["shop.example", "www.shop.example"], &["first"]);
    (World::new(&["first"]), settings(vec![first], vec![shop]))
}

/// How many were counted.
fn counted(world: &World, kind: &str) -> u32 {
    let state = world.state();
    let mut found = state.memory.budgets.iter();
    let found = found.find(|(key, _)| key.kind == kind);
    found.map_or(0, |(_, bucket)| 10 - LIMIT.left(*bucket, bucket.at))
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_placed_again_counts_again() {
    let (world, settings) = limited(LimitKind::Orders);
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    assert_eq!(counted(&world, "orders"), 1);

    // The answer to the first newOrder is lost.
    let (world, settings) = limited(LimitKind::Orders);
    world.state().always = Some(("example/order", Fault::Lose));
    timer(&world, &settings, Force::No).await;
    assert_eq!(world.state().cas["first"].orders.len(), 2);
    assert_eq!(counted(&world, "orders"), 2);
}

#[tokio::test(start_paused = true)]
async fn authorizations_are_counted_as_they_are_begun() {
    let (world, settings) = limited(LimitKind::Authorizations);
    timer(&world, &settings, Force::No).await;
    assert_eq!(counted(&world, "authorizations"), 2);

    // What the CA has still authorized costs nothing.
    let (world, settings) = limited(LimitKind::Authorizations);
    let proved = ["shop.example".to_owned()].into_iter().collect();
    world.state().cas.get_mut("first").expect("its name").proved = proved;
    timer(&world, &settings, Force::No).await;
    assert_eq!(counted(&world, "authorizations"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_issued_counts_though_it_is_not_taken() {
    let (world, settings) = limited(LimitKind::Duplicates);
    let names = BTreeMap::from([("names", serde_json::json!(["shop.example"]))]);
    world.state().cas.get_mut("first").expect("its name").says = names;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report), None, "it lacks a name");
    assert_eq!(counted(&world, "duplicates"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_waits_until_all_of_its_names_can_be_authorized() {
    let (world, mut settings) = limited(LimitKind::Authorizations);
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}.example"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut two = vec![certificate("one", &names, &["first"])];
    two.push(certificate("two", &names[1..], &["first"]));
    settings.certificates = two;
    timer(&world, &settings, Force::No).await;
    assert_eq!(
        world.state().cas["first"].orders.len(),
        1,
        "6 and 5 are more than 10"
    );
    assert!([5, 6].contains(&counted(&world, "authorizations")));
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_has_sent_is_known_to_the_next_one() {
    let (world, mut settings) = limited(LimitKind::Orders);
    for profile in settings.cas.values_mut() {
        profile.rate.per_second = Some(1.0);
        profile.rate.burst = 30;
    }
    world.state().always = Some(("finalize/0", Fault::CrashBefore));
    assert!(world.run(&settings).await.is_none(), "it died");
    let budgets = world.state().memory.budgets.clone();
    let mut kept = budgets.iter().filter(|(key, _)| key.kind == "requests");
    let (_, kept) = kept.next().expect("written down");
    assert!((10.0..25.0).contains(&kept.level), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn every_request_to_a_ca_is_counted_for_good() {
    let (world, settings) = limited(LimitKind::Orders);
    let sent = |world: &World| {
        let state = world.state();
        let mut all = state.memory.sent.iter();
        all.find(|(ca, _)| ca.as_str() == "first").map(|(_, n)| *n)
    };
    let before = world.state().trace.len();
    timer(&world, &settings, Force::No).await;
    let asked = {
        let state = world.state();
        let asked = state.trace.iter().skip(before);
        let asked = asked.filter(|line| line.contains("https://first.example"));
        u64::try_from(asked.count()).expect("few")
    };
    assert!(asked > 5);
    assert_eq!(sent(&world), Some(asked), "{:?}", world.state().trace);
    // The monitor's looks count, too.
    let ports = world.ports();
    let profile = settings.cas.values().next().expect("one CA");
    crate::monitor::look(&ports.session, ports.history.as_ref(), profile).await;
    assert_eq!(sent(&world), Some(asked + 1));
}

/// What an order needs is taken behind look-ups, and there is enough for one: the first in the row has it,
/// though its name servers are slow.
#[tokio::test(start_paused = true)]
async fn where_a_limit_is_short_the_first_in_the_row_has_what_there_is() {
    let world = World::new(&["first"]);
    let mut first = profile("first");
    let limit = Limit {
        count: 1,
        per: HOUR * 24,
    };
    first.limits.insert(LimitKind::Orders, limit);
    first.caa = vec!["first.example".to_owned()];
    let names = ["slow", "fast", "faster"];
    let certificates =
        names.map(|name| certificate(name, &[&format!("{name}.example")], &["first"]));
    let settings = settings(vec![first], certificates.to_vec());
    world.state().dns.slow = Some("slow.example".to_owned());
    let report = timer(&world, &settings, Force::No).await;
    let outcomes = report.certificates.iter().map(|one| &one.outcome);
    let issued: Vec<_> = outcomes
        .map(|outcome| matches!(outcome, Outcome::Issued { .. }))
        .collect();
    assert_eq!(issued, [true, false, false]);
}

/// A person who knows that the CA is well again need not wait for what it asked for when it was not.
#[tokio::test(start_paused = true)]
async fn who_insists_asks_a_ca_that_asks_to_be_left_alone() {
    let world = World::new(&["first"]);
    let shop = certificate("shop", &["shop.example"], &["first"]);
    let settings = settings(vec![profile("first")], vec![shop]);
    world.state().always = Some(("first.example/order", Fault::Later));
    timer(&world, &settings, Force::No).await;
    world.state().always = None;
    for force in [Force::No, Force::NotDue] {
        let report = timer(&world, &settings, force).await;
        assert_eq!(issued_by(&report), None, "{force:?}");
    }
    let report = timer(&world, &settings, Force::Anyway).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn who_insists_in_vain_is_told_when_the_runs_to_come_try_again() {
    let world = World::new(&["first"]);
    let shop = certificate("shop", &["shop.example"], &["first"]);
    let settings = settings(vec![profile("first")], vec![shop]);
    world.state().always = Some(("first.example/order", Fault::Later));
    timer(&world, &settings, Force::No).await;
    let report = timer(&world, &settings, Force::Anyway).await;
    let (until, ca) = report.certificates[0]
        .next_try
        .clone()
        .expect("it is known");
    assert_eq!(ca.as_str(), "first");
    let held = timer(&world, &settings, Force::No).await;
    let Outcome::Held(Hold::Asked { until: held, .. }) = &held.certificates[0].outcome else {
        panic!("{:?}", held.certificates[0]);
    };
    assert!(
        held.since(until) + until.since(*held) <= HOUR,
        "{until} {held}"
    );
}

/// 503 with Retry-After is no matter of one certificate.
#[tokio::test(start_paused = true)]
async fn a_ca_that_asks_to_be_left_alone_is_left_alone_by_all() {
    let world = World::new(&["first"]);
    let mut first = profile("first");
    first.rate.concurrent_orders = 1;
    let names = ["a", "b", "c", "d"];
    let all: Vec<_> = names
        .iter()
        .map(|name| certificate(name, &[&format!("{name}.example")], &["first"]))
        .collect();
    let three = settings(vec![first.clone()], all[..3].to_vec());
    world.state().always = Some(("first.example/order", Fault::Later));
    let orders = |world: &World| {
        let state = world.state();
        let lines = state.trace.iter();
        lines
            .filter(|line| line.split(' ').nth(1) == Some("https://first.example/order"))
            .count()
    };
    timer(&world, &three, Force::No).await;
    assert_eq!(
        orders(&world),
        1,
        "one was told, and the others heard of it"
    );
    // Nor by the next run, nor by somebody new, nor by a person.
    let four = settings(vec![first], all);
    Clock::sleep(&world, HOUR).await;
    let report = timer(&world, &four, Force::NotDue).await;
    assert_eq!(orders(&world), 0);
    for one in &report.certificates {
        assert!(
            matches!(one.outcome, Outcome::Held(Hold::Asked { .. })),
            "{one:?}"
        );
    }
    world.state().always = None;
    Clock::sleep(&world, LATER).await;
    let report = timer(&world, &four, Force::No).await;
    for one in &report.certificates {
        assert!(matches!(one.outcome, Outcome::Issued { .. }), "{one:?}");
    }
}

/// One run by a clock that is six days ahead is told to come back in four days. That time comes, and the CA
/// has asked for nothing.
#[tokio::test(start_paused = true)]
async fn a_wait_of_a_wrong_clock_is_gone_when_its_time_comes() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let ca = profile.name.clone();
    let shop = certificate("shop", &["shop.example"], &["first"]);
    let name = shop.name.clone();
    let one = settings(vec![profile], vec![shop]);
    let ahead = world.now() + HOUR * 24 * 6;
    let history = world.ports().history;
    budget::keep_closed(history.as_ref(), &ca, ahead + HOUR * 96, ahead);
    let failed = ClosedAttempt {
        run: "ahead".to_owned(),
        certificate: name.clone(),
        ca: ca.clone(),
        stands_in: None,
        started: ahead,
        ended: ahead,
        requests: 1,
        result: ClosedResult::Failed {
            class: FailureClass::Transient,
            theirs: true,
            firm: false,
            local: false,
            until: Some(ahead + HOUR * 96),
            causes: vec!["503".to_owned()],
        },
    };
    history.record(&failed).expect("written");
    // What was issued and not taken, because it had run out by that clock, is no loop until it is many.
    for _ in 0..4 {
        let mut unusable = failed.clone();
        unusable.result = ClosedResult::Failed {
            class: FailureClass::Misconfigured,
            theirs: false,
            firm: true,
            local: false,
            until: None,
            causes: vec!["it has expired".to_owned()],
        };
        history.record(&unusable).expect("written");
    }
    budget::keep_asked(history.as_ref(), &ca, &name, (ahead, ahead + HOUR * 96));
    // A run with nothing to do.
    let store = world.ports().session.store;
    ahead::forget(history.as_ref(), store.as_ref(), &mut [], world.now());
    Clock::sleep(&world, HOUR * 24 * 7).await;
    let report = timer(&world, &one, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    assert_eq!(
        budget::asked(history.as_ref(), &ca, &name, world.now()),
        None
    );
}

/// Two attempts side by side are asked to wait: the longer wait counts, whichever comes last.
#[tokio::test(start_paused = true)]
async fn of_two_waits_the_longer_one_counts() {
    let world = World::new(&["first"]);
    let ca = profile("first").name;
    let shop = certificate("shop", &["shop.example"], &["first"]).name;
    let history = world.ports().history;
    let now = world.now();
    for hours in [2, 24, 1] {
        let until = now + HOUR * hours;
        budget::keep_closed(history.as_ref(), &ca, until, now);
        budget::keep_asked(history.as_ref(), &ca, &shop, (now, until));
    }
    let until = Some(now + HOUR * 24);
    assert_eq!(budget::closed(history.as_ref(), &ca, now), until);
    assert_eq!(budget::asked(history.as_ref(), &ca, &shop, now), until);
}
