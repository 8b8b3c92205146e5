//! `revoke --replace`: another certificate first, the revocation last, whatever happens between.

use serde_json::{Value, json};
use waxwing_core::name::CaName;
use waxwing_core::settings::Settings;
use waxwing_core::settings::served_at::ServedAt;

use super::world::{Fault, World, certificate, profile, settings};
use crate::certificate::Replacing;
use crate::driver::Stop;
use crate::history::RevocationResult;
use crate::ports::CertificateStore;
use crate::replace::{self, Lacking, Over, Proof};
use crate::report::{Replaced, ReplacedReport, RunReport};
use crate::revoke::{How, RevokeError};
use crate::scheduler::{Force, Job};

/// A world with one certificate that is issued, installed and to be served at one place. Its key is to
/// be kept over renewals.
async fn issued() -> (World, Settings) {
    let world = World::new(&["first", "second"]);
    let mut shop = certificate("shop", &["shop.example"], &["first", "second"]);
    shop.reuse_key = true;
    shop.served_at = vec![ServedAt::parse("shop.example:443").expect("a literal place")];
    let settings = settings(vec![profile("first"), profile("second")], vec![shop]);
    world.run(&settings).await.expect("a run");
    (world, settings)
}

/// What the verb does: writes the wish down, then a run that orders if there is no other one yet.
async fn verb(world: &World, settings: &Settings) -> Option<RunReport> {
    let ports = world.ports().session;
    let name = &settings.certificates[0].name;
    let begin = async { replace::begin(&ports, name, Some(1)) };
    let begun = world.live(begin).await?.ok()?;
    run(world, settings, begun.to_order).await
}

/// A run of the timer, as the plan has it.
async fn timer(world: &World, settings: &Settings) -> Option<RunReport> {
    let name = &settings.certificates[0].name;
    let (wish, current) = state(world, settings);
    let to_order = wish.is_some_and(|wish| Some(wish.version) == current);
    assert_eq!(name.as_str(), "shop");
    run(world, settings, to_order).await
}

async fn run(world: &World, settings: &Settings, orders: bool) -> Option<RunReport> {
    let (_, seen) = state(world, settings);
    let job = Job {
        certificate: settings.certificates[0].clone(),
        seen,
        force: Force::NotDue,
    };
    let jobs = orders.then_some(job).into_iter().collect();
    world.run_with(settings, jobs, false, Stop::new().1).await
}

/// The wish and the current version.
fn state(world: &World, settings: &Settings) -> (Option<Replacing>, Option<u32>) {
    let name = &settings.certificates[0].name;
    let state = world.state();
    let current = state.disk.current(name).map(|current| current.version);
    (state.disk.replacing.get(name).cloned(), current)
}

fn revoked_at(world: &World, ca: &str) -> Vec<(usize, Value)> {
    let state = world.state();
    let revoked = state.cas[ca].revoked.iter();
    revoked.map(|(nth, why)| (*nth, why.clone())).collect()
}

fn only(report: &RunReport) -> &ReplacedReport {
    match report.replaced.as_slice() {
        [one] => one,
        other => panic!("{other:?}"),
    }
}

/// Where a step first stands in the trace of the last run.
fn at(world: &World, step: &str) -> usize {
    let state = world.state();
    let mut steps = state.trace.iter();
    let found = steps.position(|line| line.contains(step));
    found.unwrap_or_else(|| panic!("no {step:?} in\n{}", state.trace.join("\n")))
}

#[tokio::test(start_paused = true)]
async fn the_new_one_is_seen_in_its_place_before_the_old_one_is_revoked() {
    let (world, settings) = issued().await;
    let report = verb(&world, &settings).await.expect("a run");
    let place = settings.certificates[0].served_at.clone();
    let one = only(&report);
    assert_eq!((one.version, one.new), (1, Some(2)));
    assert!(
        matches!(&one.ended, Replaced::Revoked { how: How::ByAccount, proof: Proof::Served(seen), .. }
            if *seen == place),
        "{one:?}"
    );
    assert_eq!(revoked_at(&world, "first"), [(0, json!(1))]);
    let revoked = at(&world, "/revoke");
    assert!(at(&world, "look at shop.example:443") < revoked);
    assert!(at(&world, "disk: mark shop") < revoked);
    assert!(revoked < at(&world, "disk: forget what was to be revoked of shop"));
    let state = world.state();
    let versions = state.disk.versions.values().next().expect("one name");
    assert_ne!(
        versions[0].key, versions[1].key,
        "although reuse-key is set"
    );
    let mark = versions[0].revoked.as_ref();
    assert_eq!(
        mark.map(|mark| (mark.version, mark.reason)),
        Some((1, Some(1)))
    );
    assert_eq!(versions[1].revoked, None);
    assert!(state.disk.replacing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_ca_may_issue_what_takes_the_place_of_one_that_the_first_has_to_revoke() {
    let (world, settings) = issued().await;
    // Whoever cannot order can still revoke.
    world.state().always = Some(("first.example/order", Fault::Fail));
    let report = verb(&world, &settings).await.expect("a run");
    assert!(
        matches!(only(&report).ended, Replaced::Revoked { .. }),
        "{report:?}"
    );
    let current = world.current(&settings.certificates[0].name);
    let current = current.expect("a disk").expect("a version");
    assert_eq!(current.origin.ca, CaName::parse("second").expect("a name"));
    assert_eq!(revoked_at(&world, "first"), [(0, json!(1))]);
    assert_eq!(revoked_at(&world, "second"), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_revoked_when_no_other_one_is_to_be_had() {
    let (world, settings) = issued().await;
    world.state().always = Some(("/order", Fault::Fail));
    let report = verb(&world, &settings).await.expect("a run");
    assert_eq!(only(&report).ended, Replaced::Withdrawn);
    assert_eq!(revoked_at(&world, "first"), []);
    assert_eq!(state(&world, &settings), (None, Some(1)), "forgotten");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_revoked_while_the_old_one_is_served() {
    let (world, settings) = issued().await;
    world.state().installed.late = 1_000;
    let report = verb(&world, &settings).await.expect("a run");
    let lacking = Lacking {
        installers: Vec::new(),
        places: settings.certificates[0].served_at.clone(),
    };
    assert_eq!(only(&report).ended, Replaced::Unproved(lacking));
    assert_eq!(revoked_at(&world, "first"), []);
    // Looked at again by the next run, which orders nothing.
    world.state().installed.late = 0;
    let report = timer(&world, &settings).await.expect("a run");
    assert!(
        matches!(only(&report).ended, Replaced::Revoked { .. }),
        "{report:?}"
    );
    assert_eq!(state(&world, &settings), (None, Some(2)));
    assert_eq!(revoked_at(&world, "first"), [(0, json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_failed_is_asked_for_again_without_another_order() {
    let (world, settings) = issued().await;
    world.state().always = Some(("/revoke", Fault::Fail));
    let report = verb(&world, &settings).await.expect("a run");
    assert!(
        matches!(
            only(&report).ended,
            Replaced::Failed(RevokeError::Failed(_))
        ),
        "{report:?}"
    );
    let (wish, current) = state(&world, &settings);
    assert_eq!((wish.expect("kept").version, current), (1, Some(2)));
    world.state().always = None;
    let report = verb(&world, &settings).await.expect("a run");
    assert!(
        matches!(only(&report).ended, Replaced::Revoked { .. }),
        "{report:?}"
    );
    assert_eq!(
        state(&world, &settings),
        (None, Some(2)),
        "no third version"
    );
    // Both are in the history.
    let state = world.state();
    let [failed, done] = state.memory.revocations.as_slice() else {
        panic!("{:?}", state.memory.revocations);
    };
    let tried =
        matches!(&failed.result, RevocationResult::Failed { causes, .. } if causes.len() > 1);
    assert!(tried, "{failed:?}");
    assert_eq!(done.result, RevocationResult::Revoked);
    assert_eq!((done.version, done.reason), (1, Some(1)));
    assert_eq!(done.run, report.id);
    assert!(done.requests > 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_revoked_any_more_is_not_asked_for_in_each_run() {
    let (world, settings) = issued().await;
    world.state().always = Some(("/revoke", Fault::Fail));
    verb(&world, &settings).await.expect("a run");
    let name = settings.certificates[0].name.clone();
    world.state().always = None;
    if let Some(versions) = world.state().disk.versions.get_mut(&name) {
        versions[0].facts.not_after = versions[0].facts.not_before;
    }
    let report = timer(&world, &settings).await.expect("a run");
    assert!(
        matches!(
            &only(&report).ended,
            Replaced::Over {
                why: Over::Expired(_),
                ..
            }
        ),
        "{report:?}"
    );
    assert_eq!(state(&world, &settings), (None, Some(2)));
    assert_eq!(revoked_at(&world, "first"), []);
    let state = world.state();
    let last = state.memory.revocations.last().expect("written down");
    let why = "it has expired".to_owned();
    assert_eq!(last.result, RevocationResult::Over { why });
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_gone_from_the_configuration_is_said_and_waited_for() {
    let (world, mut settings) = issued().await;
    let ca = settings.certificates[0].cas.remove(0);
    let known = settings.cas.remove(&ca).expect("configured");
    let report = verb(&world, &settings).await.expect("a run");
    assert_eq!(
        only(&report).ended,
        Replaced::Failed(RevokeError::UnknownCa(ca.clone()))
    );
    // It need not be one of the certificate's own.
    settings.cas.insert(ca, known);
    let report = timer(&world, &settings).await.expect("a run");
    assert!(
        matches!(only(&report).ended, Replaced::Revoked { .. }),
        "{report:?}"
    );
    assert_eq!(revoked_at(&world, "first"), [(0, json!(1))]);
}

/// Steps of the verb in a world where all goes well.
async fn steps() -> usize {
    let (world, settings) = issued().await;
    let before = world.state().calls;
    verb(&world, &settings).await.expect("a run");
    let state = world.state();
    assert!(state.calls > 20, "{before}: {}", state.trace.join("\n"));
    state.calls
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_the_next_runs_finish_it() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for nth in 0..steps().await {
            let (world, settings) = issued().await;
            let ports = world.ports().session;
            let name = settings.certificates[0].name.clone();
            let begun = replace::begin(&ports, &name, Some(1)).expect("written");
            assert!(begun.to_order);
            world.state().fault = Some((nth, fault));
            let dead = run(&world, &settings, true).await;
            let story = world.state().trace.join("\n");
            world.state().fault = None;
            check(&world, &settings, &story);
            if dead.is_some() && state(&world, &settings) == (None, Some(1)) {
                // It could not even begin, and said so.
                assert_eq!(revoked_at(&world, "first"), [], "{story}");
                verb(&world, &settings).await.expect("a run");
            } else {
                for _ in 0..2 {
                    timer(&world, &settings).await.expect("a run");
                    check(&world, &settings, &story);
                }
            }
            let (wish, current) = state(&world, &settings);
            assert_eq!(wish, None, "{fault:?} at {nth}\n{story}");
            assert_eq!(current, Some(2), "{fault:?} at {nth}\n{story}");
            assert_eq!(
                revoked_at(&world, "first"),
                [(0, json!(1))],
                "{fault:?} at {nth}\n{story}"
            );
        }
    }
}

/// Nothing is revoked before another one is installed, and the old key is in no newer version.
fn check(world: &World, settings: &Settings, story: &str) {
    let name = &settings.certificates[0].name;
    let state = world.state();
    let versions = &state.disk.versions[name];
    let marks = state.disk.marks[name].iter();
    let installed = marks.map(|mark| mark.version).max();
    if !state.cas["first"].revoked.is_empty() {
        assert_eq!(installed, Some(2), "{story}");
    }
    for newer in &versions[1..] {
        assert_ne!(newer.key, versions[0].key, "{story}");
        assert_eq!(newer.revoked, None, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_an_interrupted_renewal_was_to_keep_is_not_taken_up() {
    let (world, settings) = issued().await;
    // The renewal keeps the key, and dies when the CA has taken the request.
    world.state().always = Some(("/finalize/1", Fault::CrashAfter));
    let died = run(&world, &settings, true).await;
    let story = world.state().trace.join("\n");
    assert!(died.is_none(), "{story}");
    world.state().always = None;
    let report = verb(&world, &settings).await.expect("a run");
    assert!(
        matches!(only(&report).ended, Replaced::Revoked { .. }),
        "{report:?}"
    );
    check(&world, &settings, &story);
    assert_eq!(state(&world, &settings), (None, Some(2)));
}
