//! What a CA refused is tried at its staging first.

use waxwing_core::settings::Settings;

use super::policy::{DAY, HOUR, down, due, issued_by, jobs, only, shop, timer};
use super::world::{Fault, LATER, World, profile, settings};
use crate::driver::Stop;
use crate::failure::Failure;
use crate::history::{ClosedAttempt, ClosedResult};
use crate::ports::Clock;
use crate::report::{Outcome, RunReport};
use crate::scheduler::Force;

/// A certificate that is due at a CA that has a staging.
async fn due_with_a_staging() -> (World, Settings) {
    let (world, mut settings) = due(&["first", "stage"]).await;
    let stage = settings.certificates[0].cas.remove(1);
    for profile in settings.cas.values_mut() {
        profile.staging = profile.name == stage;
        profile.rehearse_at = (profile.name != stage).then(|| stage.clone());
    }
    (world, settings)
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_is_rehearsed_before_the_ca_is_asked_again() {
    let world = World::new(&["first", "stage"]);
    let (mut first, mut stage) = (profile("first"), profile("stage"));
    stage.staging = true;
    first.rehearse_at = Some(stage.name.clone());
    let settings = settings(vec![first, stage], shop(&["first"]));
    let refuse = |ca: &str, refuse: bool| {
        let mut state = world.state();
        let refused = &mut state.cas.get_mut(ca).expect("its name").refused;
        if refuse {
            refused.insert("shop.example".to_owned());
        } else {
            refused.clear();
        }
    };
    refuse("first", true);
    refuse("stage", true);
    timer(&world, &settings, Force::No).await;
    assert_eq!(world.state().cas["first"].orders.len(), 1);
    Clock::sleep(&world, HOUR).await;
    let report = timer(&world, &settings, Force::No).await;
    let failure = &only(&report).failures[0].failure;
    assert!(matches!(failure, Failure::Rehearsal { .. }), "{failure:?}");
    assert_eq!(
        world.state().cas["first"].orders.len(),
        1,
        "nothing was spent"
    );
    // What was wrong is mended.
    refuse("first", false);
    refuse("stage", false);
    Clock::sleep(&world, HOUR * 3).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    assert_eq!(world.state().cas["stage"].orders.len(), 2);
    assert!(world.state().dns.records.is_empty());
    // From now on nothing is rehearsed any more.
    Clock::sleep(&world, DAY * 5).await;
    timer(&world, &settings, Force::No).await;
    assert_eq!(world.state().cas["stage"].orders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_staging_that_caa_forbids_is_not_asked() {
    let (world, mut settings) = due_with_a_staging().await;
    for profile in settings.cas.values_mut() {
        profile.caa = vec![format!("{}.example", profile.name)];
    }
    let refuse = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let mut state = world.state();
        state.cas.get_mut("first").expect("its name").refused = names;
    };
    world.state().dns.caa = Some("first.example".to_owned());
    refuse(&["shop.example"]);
    timer(&world, &settings, Force::No).await;
    refuse(&[]);
    let staged = world.state().cas["stage"].orders.len();
    Clock::sleep(&world, HOUR * 3).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    assert_eq!(world.state().cas["stage"].orders.len(), staged);
    assert_eq!(
        only(&report).notes[0],
        "first refused it before, and it was ordered again without asking stage first: the CAA \
         records of shop.example let only first.example issue, so it would refuse shop.example \
         (what lets it: shop.example. CAA 0 issue \"stage.example\")"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_rehearsed_whatever_has_failed_since_and_waits_while_there_is_time() {
    let (world, settings) = due_with_a_staging().await;
    let settings = &settings;
    let orders = |ca: &str| world.state().cas[ca].orders.len();
    let refuse = |refuse: bool| {
        let names = if refuse {
            vec!["shop.example".to_owned()]
        } else {
            Vec::new()
        };
        let mut state = world.state();
        state.cas.get_mut("first").expect("its name").refused = names.into_iter().collect();
    };
    let later = async |wait| {
        Clock::sleep(&world, wait).await;
        timer(&world, settings, Force::No).await
    };
    let ordered = orders("first");
    refuse(true);
    timer(&world, settings, Force::No).await;
    assert_eq!(orders("first"), ordered + 1, "refused");
    refuse(false);

    // The staging is down: the CA is not asked, and is not to blame.
    down(&world, "stage", true);
    let report = later(HOUR).await;
    let Outcome::Failed(Some(failure)) = &only(&report).outcome else {
        panic!("{:?}", only(&report).outcome);
    };
    assert!(
        matches!(failure, Failure::Unrehearsed { .. }),
        "{failure:?}"
    );
    assert!(failure.lines().len() > 1, "the causes: {failure:?}");
    assert!(only(&report).next_try.is_some());
    assert_eq!(orders("first"), ordered + 1, "nothing is spent");

    // Then this machine is offline, which is not the staging's fault either.
    world.state().always = Some(("", Fault::Outage));
    let report = later(DAY).await;
    assert!(!report.certificates.is_empty());
    world.state().always = None;
    let last = world
        .state()
        .memory
        .attempts
        .last()
        .cloned()
        .expect("noted");
    assert!(
        matches!(last.result, ClosedResult::Failed { theirs: false, .. }),
        "{last:?}"
    );

    // The rehearsal is still owed. It goes well, and then the CA is down: it need not be repeated.
    down(&world, "stage", false);
    down(&world, "first", true);
    let rehearsed = orders("stage");
    later(DAY * 2).await;
    assert_eq!(orders("stage"), rehearsed + 1);
    down(&world, "first", false);
    let report = later(DAY * 2).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    assert_eq!(orders("stage"), rehearsed + 1);
}

#[tokio::test(start_paused = true)]
async fn behind_the_safe_floor_a_staging_that_is_down_is_not_waited_for() {
    let (world, settings) = due_with_a_staging().await;
    let refused = ["shop.example".to_owned()].into_iter().collect();
    world
        .state()
        .cas
        .get_mut("first")
        .expect("its name")
        .refused = refused;
    timer(&world, &settings, Force::No).await;
    world
        .state()
        .cas
        .get_mut("first")
        .expect("its name")
        .refused
        .clear();
    down(&world, "stage", true);
    Clock::sleep(&world, DAY * 80).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
    let notes = only(&report).notes.join(" ");
    assert!(
        notes.contains("all the same, without waiting for stage any longer"),
        "{notes}"
    );
}

/// What a person rehearses.
async fn dry_run(world: &World, settings: &Settings) -> RunReport {
    let jobs = jobs(world, settings, Force::No);
    let run = world.run_with(settings, jobs, true, Stop::new().1);
    run.await.expect("nothing crashes here")
}

#[tokio::test(start_paused = true)]
async fn what_a_staging_asks_for_is_kept_for_the_next_rehearsal() {
    let (world, settings) = due_with_a_staging().await;
    let calls = || {
        let trace = world.state().trace.clone();
        let to_stage = |call: &&String| call.contains("https://stage.example");
        trace.iter().filter(to_stage).count()
    };
    world.state().always = Some(("stage.example/order", Fault::Later));
    let asked = world.now() + LATER;
    let report = dry_run(&world, &settings).await;
    assert!(calls() > 0, "{:?}", world.state().trace);
    let failure = &only(&report).failures[0].failure;
    assert!(matches!(failure, Failure::Ca { .. }), "{failure:?}");
    world.state().always = None;

    // The next one says when, and asks nobody.
    Clock::sleep(&world, DAY).await;
    let report = dry_run(&world, &settings).await;
    assert_eq!(calls(), 0);
    let Failure::LeftAlone { ca, until } = &only(&report).failures[0].failure else {
        panic!("{:?}", only(&report).failures);
    };
    assert_eq!(ca.as_str(), "stage");
    assert!(until.since(asked) < HOUR, "{until} {asked}");
    // Nobody takes a rehearsal for a failure.
    let attempts = world.state().memory.attempts.clone();
    let failed = |attempt: &&ClosedAttempt| matches!(attempt.result, ClosedResult::Failed { .. });
    assert_eq!(attempts.iter().filter(failed).count(), 0);

    Clock::sleep(&world, DAY).await;
    let report = dry_run(&world, &settings).await;
    assert_eq!(issued_by(&report).as_deref(), Some("stage"));
}

#[tokio::test(start_paused = true)]
async fn a_staging_that_asked_for_a_wait_is_not_asked_before_the_ca_either() {
    let (world, settings) = due_with_a_staging().await;
    let refuse = |names: &[&str]| {
        let mut state = world.state();
        state.cas.get_mut("first").expect("its name").refused =
            names.iter().map(|name| (*name).to_owned()).collect();
    };
    refuse(&["shop.example"]);
    timer(&world, &settings, Force::No).await;
    refuse(&[]);
    world.state().always = Some(("stage.example/order", Fault::Later));
    dry_run(&world, &settings).await;
    world.state().always = None;

    // It was asked by somebody else's rehearsal. A person who tries it now learns when.
    Clock::sleep(&world, HOUR).await;
    let jobs = jobs(&world, &settings, Force::NotDue);
    let run = world.run_with(&settings, jobs, false, Stop::new().1);
    let report = run.await.expect("nothing crashes here");
    let Outcome::Failed(Some(Failure::Unrehearsed { until, .. })) = &only(&report).outcome else {
        panic!("{:?}", only(&report));
    };
    assert!(until.is_some());
    let trace = world.state().trace.join("\n");
    assert!(!trace.contains("stage.example"), "{trace}");
    assert!(!trace.contains("first.example/order"), "{trace}");

    Clock::sleep(&world, DAY * 2).await;
    let report = timer(&world, &settings, Force::No).await;
    assert_eq!(issued_by(&report).as_deref(), Some("first"));
}
