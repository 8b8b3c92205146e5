//! When which CA is asked, over several runs and days.

use std::time::Duration;

use waxwing_core::budget::Limit;
use waxwing_core::ca::choose::Because;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::plan::Asker;
use waxwing_core::plan::hold::Hold;
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::Timestamp;

use super::world::{Fault, World, certificate, profile, settings};
use crate::driver::Stop;
use crate::failure::Failure;
use crate::history::{ClosedResult, Sighting};
use crate::monitor;
use crate::ports::Clock;
use crate::report::{CertificateReport, Outcome, RunReport};
use crate::scheduler::{self, Force, Job};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn shop(cas: &[&str]) -> Vec<CertificateSettings> {
    vec![certificate("shop", &["shop.example"], cas)]
}

/// Every certificate, as it is stored.
pub(super) fn jobs(world: &World, settings: &Settings, force: Force) -> Vec<Job> {
    let jobs = settings.certificates.iter().map(|certificate| Job {
        certificate: certificate.clone(),
        seen: world
            .state()
            .disk
            .current(&certificate.name)
            .map(|current| current.version),
        force,
    });
    jobs.collect()
}

/// What a timer starts.
pub(super) async fn timer(world: &World, settings: &Settings, force: Force) -> RunReport {
    let jobs = jobs(world, settings, force);
    let report = world
        .run_orders(settings, jobs, false, Asker::Timer, Stop::new().1)
        .await;
    report.expect("nothing crashes here")
}

pub(super) fn only(report: &RunReport) -> &CertificateReport {
    &report.certificates[0]
}

pub(super) fn issued_by(report: &RunReport) -> Option<String> {
    match &only(report).outcome {
        Outcome::Issued { ca, .. } => Some(ca.to_string()),
        _ => None,
    }
}

/// A world with two CAs in which the first has issued, and the CA's own window has come.
pub(super) async fn due(cas: &[&str]) -> (World, Settings) {
    let world = World::new(cas);
    let profiles = cas.iter().map(|name| profile(name)).collect();
    let settings = settings(profiles, shop(cas));
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some(cas[0]));
    // What its advice says is drawn from the twentieth to the twenty-second.
    Clock::sleep(&world, DAY * 5).await;
    (world, settings)
}

pub(super) fn down(world: &World, ca: &str, down: bool) {
    world.state().cas.get_mut(ca).expect("its name").down = down;
}

#[tokio::test(start_paused = true)]
async fn a_valid_certificate_waits_for_its_ca_until_the_policy_gives_it_up() {
    let (world, settings) = due(&["first", "second"]).await;
    down(&world, "first", true);
    let report = timer(&world, &settings, Force::No).await;
    assert!(matches!(only(&report).outcome, Outcome::Failed(None)));
    let (at, ca) = only(&report).next_try.clone().expect("a next try");
    assert_eq!(ca.as_str(), "first");
    let wait = at.since(world.now()).as_secs();
    assert!((45..=75).contains(&wait), "{wait}");
    // A minute has not passed.
    let report = timer(&world, &settings, Force::No).await;
    assert!(
        matches!(only(&report).outcome, Outcome::Held(Hold::Ladder { .. })),
        "{:?}",
        only(&report).outcome
    );
    Clock::sleep(&world, HOUR).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report), None);
    Clock::sleep(&world, HOUR).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("second"));
    let because = only(&report)
        .stands_in
        .clone()
        .map(|(ca, why)| (ca.to_string(), why));
    assert_eq!(because, Some(("first".to_owned(), Because::Failures(3))));
    // The history says it too, of the attempt that it is about.
    let attempts = world.state().memory.attempts.clone();
    let stood_in: Vec<bool> = attempts.iter().map(|one| one.stands_in.is_some()).collect();
    assert_eq!(stood_in, [false, false, false, false, true]);
    assert_eq!(attempts[4].stands_in, only(&report).stands_in);
    let elsewhere = only(&report).failures[0].elsewhere.clone();
    assert_eq!(
        elsewhere.map(|(ca, _)| ca.to_string()).as_deref(),
        Some("second")
    );
    // The ladder begins at its foot again, and the first CA is asked first.
    down(&world, "first", false);
    Clock::sleep(&world, DAY * 60).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn without_time_nobody_is_waited_for() {
    let (world, settings) = due(&["first", "second"]).await;
    down(&world, "first", true);
    Clock::sleep(&world, DAY * 75).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("second"));
    let because = only(&report).stands_in.clone().map(|(_, why)| why);
    assert_eq!(because, Some(Because::Haste));
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_network_blames_no_ca_and_spends_no_fallback() {
    let (world, settings) = due(&["first", "second"]).await;
    Clock::sleep(&world, DAY * 75).await;
    world.state().always = Some(("", Fault::Outage));
    for _hour in 0..5 {
        let report = timer(&world, &settings, Force::No).await;
        let outcome = &only(&report).outcome;
        let Outcome::Failed(Some(Failure::Offline { hosts })) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(hosts.len(), 2, "{hosts:?}");
        let (at, ca) = only(&report).next_try.clone().expect("a next try");
        assert_eq!((at, ca.as_str()), (world.now() + HOUR, "first"));
        Clock::sleep(&world, HOUR).await;
    }
    world.state().always = None;
    let attempts = world.state().memory.attempts.clone();
    let theirs = attempts
        .iter()
        .filter(|attempt| matches!(attempt.result, ClosedResult::Failed { theirs: true, .. }));
    assert_eq!(theirs.count(), 0);
    assert!(
        world
            .state()
            .memory
            .sightings
            .iter()
            .all(|seen| { seen.result.is_ok() || seen.ca.as_str() == "second" })
    );
    Clock::sleep(&world, HOUR * 2).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn three_cas_that_are_down_alike_are_no_network_that_is_cut() {
    let list = ["first", "second", "third", "fourth"];
    let (world, settings) = due(&list).await;
    Clock::sleep(&world, DAY * 75).await;
    for ca in &list[..3] {
        down(&world, ca, true);
    }
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("fourth"));
    assert_eq!(only(&report).failures.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_resolver_even_the_only_ca_is_not_to_blame() {
    let (world, settings) = due(&["first"]).await;
    Clock::sleep(&world, DAY * 62).await;
    world.state().always = Some(("", Fault::NoResolver));
    let report = timer(&world, &settings, Force::No).await;
    let Outcome::Failed(Some(Failure::Offline { hosts })) = &only(&report).outcome else {
        panic!("{:?}", only(&report).outcome);
    };
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    let last = world.state().memory.attempts.last().cloned();
    let last = last.map(|attempt| attempt.result);
    assert!(
        matches!(
            last,
            Some(ClosedResult::Failed {
                theirs: false,
                local: true,
                ..
            })
        ),
        "{last:?}"
    );
    // Nobody notes that the CA was down, a look at it neither.
    let profile = settings.cas.values().next().expect("one CA");
    let look = monitor::look(&world.ports().session, &world, profile).await;
    assert!(look.result.is_err());
    assert!(
        world
            .state()
            .memory
            .sightings
            .iter()
            .all(|seen| seen.result.is_ok()),
        "{:?}",
        world.state().memory.sightings
    );
    // A connection that is refused is the CA's trouble, though nobody else is there to be asked.
    world.state().always = None;
    down(&world, "first", true);
    Clock::sleep(&world, HOUR).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(only(&report).failures.len(), 1, "{:?}", only(&report));
    let look = monitor::look(&world.ports().session, &world, profile).await;
    assert!(look.result.is_err());
    assert!(
        world
            .state()
            .memory
            .sightings
            .iter()
            .any(|seen| seen.result.is_err())
    );
}

#[tokio::test(start_paused = true)]
async fn cas_that_are_silent_alike_are_not_noted_to_be_down() {
    let (world, settings) = due(&["first", "second"]).await;
    let profiles: Vec<_> = settings.cas.values().collect();
    let failed = || {
        let state = world.state();
        let seen = state.memory.sightings.iter();
        let failed = seen.filter(|seen| seen.result.is_err());
        failed.map(|seen| seen.ca.to_string()).collect::<Vec<_>>()
    };
    down(&world, "first", true);
    down(&world, "second", true);
    let looks = monitor::look_at_all(&world.ports().session, &world, &settings, &profiles).await;
    assert!(looks.iter().all(|look| look.result.is_err()));
    assert!(failed().is_empty(), "{:?}", failed());
    // One alone: somebody else is looked at as well before it is said to be down.
    let looks =
        monitor::look_at_all(&world.ports().session, &world, &settings, &profiles[..1]).await;
    assert_eq!(looks.len(), 1);
    assert!(failed().is_empty(), "{:?}", failed());
    down(&world, "second", false);
    monitor::look_at_all(&world.ports().session, &world, &settings, &profiles).await;
    assert_eq!(failed(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_over_gives_no_ca_up() {
    let (world, settings) = due(&["first", "second"]).await;
    Clock::sleep(&world, DAY).await;
    let since = Sighting {
        ca: settings.certificates[0].cas[0].clone(),
        at: world.now() - HOUR * 13,
        result: Err("no connection".to_owned()),
    };
    world.state().memory.sightings.push(since);
    // It is back, and has another trouble once.
    world.state().always = Some(("first.example/order", Fault::Later));
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(only(&report).failures.len(), 1, "{:?}", only(&report));
    assert_eq!(issued_by(&report), None, "{:?}", only(&report));
    let (_, ca) = only(&report).next_try.clone().expect("a next try");
    assert_eq!(ca.as_str(), "first");
}

#[tokio::test(start_paused = true)]
async fn a_page_in_the_place_of_an_endpoint_makes_the_directory_be_read_anew() {
    for moved in ["nonce", "order"] {
        let (world, settings) = due(&["first"]).await;
        Clock::sleep(&world, HOUR).await;
        {
            let mut state = world.state();
            let copy = state.disk.directories.values_mut().next().expect("a copy");
            let now = format!("first.example/{moved}\"");
            copy.text = copy.text.replace(&now, "first.example/page\"");
            assert!(copy.text.contains("/page"), "{copy:?}");
            copy.at = Timestamp::from_unix(1_795_000_000) + DAY * 5;
        }
        let before = world.state().cas["first"].orders.len();
        let report = timer(&world, &settings, Force::No).await;
        assert_eq!(
            issued_by(&report).as_deref(),
            Some("first"),
            "{moved} {report:?}"
        );
        let orders = world.state().cas["first"].orders.len() - before;
        assert_eq!(orders, 1, "{moved}");
        // It is remembered, though nobody looked at the CA but a run that needed it.
        let state = world.state();
        let copy = state.disk.directories.values().next().expect("a copy");
        let changes: Vec<String> = copy.changed.iter().map(|o| o.change.to_string()).collect();
        let [change] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        let of = "https://first.example";
        assert!(
            change.ends_with(&format!(": {of}/page -> {of}/{moved}")),
            "{change}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_insists_at_a_limit_that_is_used_up_is_told_so() {
    let world = World::new(&["first"]);
    let mut first = profile("first");
    let limit = Limit {
        count: 1,
        per: DAY * 30,
    };
    first.limits.insert(LimitKind::Orders, limit);
    let settings = settings(vec![first], shop(&["first"]));
    timer(&world, &settings, Force::No).await;
    let report = timer(&world, &settings, Force::Anyway).await;
    let Outcome::Held(Hold::UsedUp { ca, until }) = &only(&report).outcome else {
        panic!("{:?}", only(&report));
    };
    assert_eq!(ca.as_str(), "first");
    assert!(*until > world.now() + DAY);
}

#[tokio::test(start_paused = true)]
async fn a_ca_whose_directory_is_down_is_used_from_the_copy() {
    let (world, settings) = due(&["first"]).await;
    Clock::sleep(&world, DAY * 2).await;
    world.state().always = Some(("/directory", Fault::Fail));
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    let notes = &only(&report).notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("its copy of 2026-11-18")),
        "{notes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_saves_the_question() {
    let (world, settings) = due(&["first"]).await;
    timer(&world, &settings, Force::No).await;
    Clock::sleep(&world, HOUR).await;
    timer(&world, &settings, Force::NotDue).await;
    let asked = |call: &&String| call.ends_with("/directory");
    assert_eq!(world.state().trace.iter().filter(asked).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_dns_provider_asks_for_is_kept_and_hands_nothing_to_another_ca() {
    // While there is time, and behind the safe floor.
    for (rest, asks, waits) in [
        (Duration::ZERO, HOUR * 3, HOUR * 3),
        (Duration::ZERO, DAY * 400, DAY),
        (DAY * 75, HOUR * 5, HOUR * 5),
    ] {
        let (world, settings) = due(&["first", "second"]).await;
        Clock::sleep(&world, rest).await;
        world.state().dns.busy = Some(asks);
        let report = timer(&world, &settings, Force::No).await;
        let (at, ca) = only(&report).next_try.clone().expect("a next try");
        assert_eq!(ca.as_str(), "first");
        let wait = at.since(world.now());
        assert!((waits - HOUR / 60..=waits).contains(&wait), "{wait:?}");
        Clock::sleep(&world, waits - HOUR / 2).await;
        let report = timer(&world, &settings, Force::No).await;
        let outcome = &only(&report).outcome;
        assert!(
            matches!(outcome, Outcome::Held(Hold::Ladder { .. })),
            "{outcome:?}"
        );
        assert_eq!(world.state().cas["second"].orders.len(), 0);
        Clock::sleep(&world, HOUR / 2).await;
        world.state().dns.busy = None;
        let report = timer(&world, &settings, Force::No).await;
        assert_eq!(issued_by(&report).as_deref(), Some("first"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_run_registers_where_it_may_have_to_go_one_day() {
    let (world, _) = due(&["first", "second"]).await;
    assert_eq!(world.state().cas["second"].accounts.len(), 1);
    assert_eq!(world.state().cas["second"].orders.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_could_register_it_is_tried_again_once_a_day() {
    let world = World::new(&["first", "second"]);
    let cas = ["first", "second"];
    let settings = settings(cas.map(profile).to_vec(), shop(&cas));
    let owes = || {
        let ports = world.ports();
        let store = ports.session.store.as_ref();
        scheduler::owes_accounts(&settings, store, ports.history.as_ref(), world.now())
    };
    world.state().always = Some(("second.example/account", Fault::Fail));
    timer(&world, &settings, Force::No).await;
    world.state().always = None;
    assert!(!owes(), "it was tried a moment ago");
    Clock::sleep(&world, HOUR * 25).await;
    assert!(owes());
    // Nothing is due.
    let run = world.run_orders(&settings, Vec::new(), false, Asker::Timer, Stop::new().1);
    let report = run.await.expect("a run");
    let [(ca, Ok(()))] = report.accounts.as_slice() else {
        panic!("{:?}", report.accounts);
    };
    assert_eq!(ca.as_str(), "second");
    assert_eq!(world.state().cas["second"].accounts.len(), 1);
    assert!(!owes());
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_orders_ends_by_itself() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], shop(&["first"]));
    for _nth in 0..5 {
        let report = timer(&world, &settings, Force::NotDue).await;
        assert_eq!(issued_by(&report).as_deref(), Some("first"));
        Clock::sleep(&world, HOUR).await;
    }
    let report = timer(&world, &settings, Force::NotDue).await;
    assert!(
        matches!(
            only(&report).outcome,
            Outcome::Held(Hold::TooMany { issued: 5, .. })
        ),
        "{:?}",
        only(&report).outcome
    );
    assert_eq!(world.state().cas["first"].orders.len(), 5);
    let report = timer(&world, &settings, Force::Anyway).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn the_first_advice_comes_with_the_certificate() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], shop(&["first"]));
    timer(&world, &settings, Force::No).await;
    let state = world.state();
    let advice = state.memory.advice.values().next().expect("advice");
    let suggestion = advice.suggestion.expect("a window");
    assert_eq!(suggestion.window.start.to_string(), "2026-11-20T00:00:00Z");
    assert!(suggestion.window.start <= suggestion.chosen);
    assert!(suggestion.chosen <= suggestion.window.end);
}

#[tokio::test(start_paused = true)]
async fn a_ca_is_left_alone_before_its_limit_is_reached() {
    let world = World::new(&["first"]);
    let mut first = profile("first");
    let limit = Limit {
        count: 2,
        per: HOUR * 2,
    };
    first.limits.insert(LimitKind::Orders, limit);
    let names = ["a", "b", "c"];
    let certificates =
        names.map(|name| certificate(name, &[&format!("{name}.example")], &["first"]));
    let settings = settings(vec![first], certificates.to_vec());
    let report = timer(&world, &settings, Force::No).await;
    let issued = |report: &RunReport| {
        let certificates = report.certificates.iter();
        let issued = certificates.filter(|one| matches!(one.outcome, Outcome::Issued { .. }));
        issued.count()
    };
    assert_eq!(issued(&report), 2, "side by side, and yet not three");
    assert_eq!(world.state().cas["first"].orders.len(), 2);
    // Whoever is behind the limit has not failed: it waits.
    let last = report.certificates.last().expect("three of them");
    let Outcome::Held(Hold::UsedUp { ca, until }) = &last.outcome else {
        panic!("{last:?}");
    };
    let limit = (ca.as_str(), until.to_string());
    assert_eq!(limit, ("first", "2026-11-18T12:06:40Z".to_owned()));
    assert!(last.failures.is_empty());
    // It outlasts the run, and nobody overrules it.
    let report = timer(&world, &settings, Force::Anyway).await;
    assert_eq!(issued(&report), 0);
    assert_eq!(world.state().cas["first"].orders.len(), 2);
    let waits = report
        .certificates
        .iter()
        .filter(|one| one.next_try.is_some());
    assert!(
        waits.count() >= 2,
        "what is forced says when it may be tried"
    );
    Clock::sleep(&world, HOUR * 2).await;
    let report = timer(&world, &settings, Force::No).await;
    let third = report
        .certificates
        .iter()
        .find(|one| one.certificate.as_str() == "c");
    let third = third.expect("the one without a certificate");
    assert!(
        matches!(third.outcome, Outcome::Issued { .. }),
        "{:?}",
        third.outcome
    );
}

#[tokio::test(start_paused = true)]
async fn where_a_ca_may_have_to_stand_in_an_account_is_tried_once_a_day() {
    let world = World::new(&["first", "second"]);
    let profiles = vec![profile("first"), profile("second")];
    let settings = settings(profiles, shop(&["first", "second"]));
    down(&world, "second", true);
    let mut tried = Vec::new();
    for hours in [0, 1, 10, 14] {
        Clock::sleep(&world, HOUR * hours).await;
        let report = timer(&world, &settings, Force::NotDue).await;
        assert_eq!(issued_by(&report).as_deref(), Some("first"));
        tried.push(report.accounts.len());
    }
    assert_eq!(tried, [1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_ca_advises_is_asked_when_the_certificate_is_installed() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], shop(&["first"]));
    timer(&world, &settings, Force::No).await;
    let trace = world.state().trace.clone();
    let place = |what: &str| {
        let found = trace.iter().position(|call| call.contains(what));
        found.unwrap_or_else(|| panic!("no {what} in {trace:?}"))
    };
    assert!(place("accept") < place("/ari/"), "{trace:?}");
    assert!(place("/ari/") < place("keep the advice"), "{trace:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_ca_does_not_sign_is_not_asked_for_again_in_a_minute() {
    // What the CA says, and the minutes to the next try, spread by a quarter.
    for (kind, minutes) in [
        ("rejectedIdentifier", 100),
        ("unsupportedIdentifier", 100),
        ("caa", 100),
        ("dns", 1),
        ("unauthorized", 1),
    ] {
        let world = World::new(&["first", "second"]);
        let cas = ["first", "second"];
        let mut settings = settings(cas.map(profile).to_vec(), shop(&["first"]));
        world
            .state()
            .cas
            .get_mut("first")
            .expect("its name")
            .refuses_orders = Some(kind);
        let report = timer(&world, &settings, Force::No).await;
        let (until, _) = only(&report).next_try.clone().expect("a next try");
        let wait = until.since(only(&report).ended).as_secs_f64() / 60.0;
        let expected = f64::from(minutes);
        assert!(
            (0.7 * expected..1.3 * expected).contains(&wait),
            "{kind}: {wait}"
        );
        // With a fallback the policy decides, and here there is nothing to wait for.
        settings.certificates = shop(&["first", "second"]);
        let report = timer(&world, &settings, Force::No).await;
        assert_eq!(issued_by(&report).as_deref(), Some("second"), "{kind}");
    }
}
