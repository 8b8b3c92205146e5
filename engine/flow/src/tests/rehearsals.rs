//! What a CA refused is tried at its staging first.

use waxwing_core::settings::Settings;

use super::policy::{DAY, HOUR, down, due, issued_by, only, shop, timer};
use super::world::{Fault, World, profile, settings};
use crate::failure::Failure;
use crate::history::ClosedResult;
use crate::ports::Clock;
use crate::report::Outcome;
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
    assert!(notes.contains("without a rehearsal"), "{notes}");
}
