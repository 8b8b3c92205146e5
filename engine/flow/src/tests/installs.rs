//! Installations: cut off, undone, tried again, looked at, written down.

use std::time::Duration;

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::settings::served_at::ServedAt;

use super::runs::{count, forced, issued_by, job, many, only, stopped_after};
use super::world::{Fault, World, certificate, profile, settings};
use crate::driver::Stop;
use crate::failure::Failure;
use crate::history::ClosedDeploy;
use crate::ports::Clock;
use crate::report::{InstallOutcome, InstallReport, Reached, RunReport, ServedReport, StageReport};

fn stages(report: &RunReport) -> Vec<(&'static str, bool)> {
    let [install] = report.installs.as_slice() else {
        panic!("one batch: {:?}", report.installs);
    };
    let ended = |stage: &StageReport| (stage.stage.as_str(), stage.ended.is_ok());
    install.stages.iter().map(ended).collect()
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_a_stop_cuts_off_is_undone_in_the_same_time() {
    for (rollback_hangs, took_at_most) in [(false, 35), (true, 40)] {
        let world = World::new(&["first"]);
        {
            let mut state = world.state();
            state.installed.hangs = true;
            state.installed.rollback_hangs = rollback_hangs;
        }
        let settings = settings(vec![profile("first")], many(2, &["first"]));
        let jobs = settings.certificates.iter().map(|c| job(c, None)).collect();
        let wait = Duration::from_secs(30);
        let (report, took) = stopped_after(&world, &settings, jobs, wait).await;
        assert_eq!(took, Duration::from_secs(took_at_most));
        assert_eq!(
            stages(&report),
            [
                ("plan", true),
                ("install", false),
                ("undo", !rollback_hangs)
            ]
        );
        let [install] = report.installs.as_slice() else {
            panic!("one batch");
        };
        assert!(matches!(
            install.outcome,
            InstallOutcome::Failed(Failure::Stopped)
        ));
        assert!(world.state().disk.marks.is_empty());
        assert_eq!(
            world.state().installed.leaves.len(),
            if rollback_hangs { 2 } else { 0 }
        );

        // What could not be undone is the first thing that the next run does.
        world.state().installed.hangs = false;
        let report = world.run(&settings).await.expect("no crash");
        assert_eq!(report.put_back.len(), usize::from(rollback_hangs));
        assert_eq!(world.state().installed.leaves.len(), 2);
        assert_eq!(
            stages(&report),
            [("plan", true), ("install", true), ("verify", true)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_verify_is_undone_and_tried_again_without_a_new_order() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    forced(&world, &settings, None).await;
    let before = world.state().installed.leaves.clone();
    world.state().installed.fades = true;
    let report = forced(&world, &settings, Some(1)).await;
    assert_eq!(issued_by(only(&report)), Some("first"));
    assert_eq!(
        stages(&report),
        [
            ("plan", true),
            ("install", true),
            ("verify", false),
            ("undo", true)
        ]
    );
    let InstallOutcome::Failed(Failure::Plugins(problems)) = &report.installs[0].outcome else {
        panic!("{:?}", report.installs[0].outcome);
    };
    assert_eq!(problems[0].call, "verify");
    assert_eq!(
        world.state().installed.leaves,
        before,
        "the old one is back"
    );
    assert_eq!(world.state().cas["first"].orders.len(), 2);

    world.state().installed.fades = false;
    let report = world
        .run_with(&settings, Vec::new(), false, Stop::new().1)
        .await
        .expect("no crash");
    let outcome = &report.installs[0].outcome;
    assert!(
        matches!(outcome, InstallOutcome::Done { changed: true }),
        "{outcome:?}"
    );
    assert_ne!(world.state().installed.leaves, before);
    assert_eq!(world.state().cas["first"].orders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_exchanged_counts_until_something_newer_is_in_its_place() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    forced(&world, &settings, None).await;
    let name = &settings.certificates[0].name;
    let old = PluginName::parse("old").expect("a literal name");
    // It was installed by another one then.
    for mark in world.state().disk.marks.entry(name.clone()).or_default() {
        mark.plugin = old.clone();
    }
    let counts = || {
        let state = world.state();
        state.disk.marks[name].iter().any(|mark| mark.plugin == old)
    };
    forced(&world, &settings, Some(1)).await;
    assert!(!counts(), "the second version is in its place");
    for mark in world.state().disk.marks.entry(name.clone()).or_default() {
        mark.plugin = old.clone();
    }
    world.state().always = Some(("install", Fault::Fail));
    forced(&world, &settings, Some(2)).await;
    assert!(counts(), "the third version is nowhere");
}

#[tokio::test(start_paused = true)]
async fn what_another_run_installs_now_is_left_alone_and_nobodys_failure() {
    let world = World::new(&["first"]);
    world.state().always = Some(("install", Fault::Fail));
    let settings = settings(vec![profile("first")], many(2, &["first"]));
    world.run(&settings).await.expect("no crash");
    world.state().always = None;
    let (busy, free) = (
        &settings.certificates[0].name,
        &settings.certificates[1].name,
    );
    let lock = format!("certificate {busy}");
    world.state().disk.locks.insert(lock.clone());
    let before = world.state().disk.last[busy].clone();
    let again = || world.run_with(&settings, Vec::new(), false, Stop::new().1);
    let report = again().await.expect("no crash");
    let outcomes: Vec<_> = report.installs.iter().map(|one| &one.outcome).collect();
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                InstallOutcome::Locked(_),
                InstallOutcome::Done { changed: true }
            ]
        ),
        "{outcomes:?}"
    );
    assert_eq!(report.installs[0].certificates, std::slice::from_ref(busy));
    assert_eq!(report.installs[1].certificates, std::slice::from_ref(free));
    assert_eq!(world.state().disk.last[busy], before);
    let rows = |of: &CertificateName| {
        let deploys = world.state().memory.deploys.clone();
        deploys.iter().filter(|one| one.certificate == *of).count()
    };
    assert_eq!((rows(busy), rows(free)), (1, 2));

    world.state().disk.locks.remove(&lock);
    again().await.expect("no crash");
    assert_eq!((rows(busy), rows(free)), (2, 2));
}

/// What was seen, in one word for each place, and how many looks it took.
fn served(world: &World, report: &RunReport) -> (Vec<&'static str>, usize) {
    let word = |one: &ServedReport| match (&one.seen, one.current) {
        (Ok(_), true) => "yes",
        (Ok(_), false) => "old",
        (Err(_), _) => "no answer",
    };
    let looks = count(world, "look at shop.example:443");
    (report.served.iter().map(word).collect(), looks)
}

#[tokio::test(start_paused = true)]
async fn what_is_installed_is_looked_at_until_it_is_served() {
    let world = World::new(&["first"]);
    let mut shop = certificate("shop", &["shop.example"], &["first"]);
    shop.served_at = vec![ServedAt::parse("shop.example").expect("a literal place")];
    let settings = settings(vec![profile("first")], vec![shop]);
    let again = || world.run_with(&settings, Vec::new(), false, Stop::new().1);

    world.state().installed.late = 4;
    let began = world.now();
    let report = forced(&world, &settings, None).await;
    assert_eq!(served(&world, &report), (vec!["yes"], 4));
    let took = world.now().since(began);
    assert!((7..20).contains(&took.as_secs()), "1, 2 and 4 s: {took:?}");
    let name = &settings.certificates[0].name;
    let marks = world.state().disk.served[name].clone();
    assert_eq!(marks[0].place, "shop.example:443");
    assert!(marks[0].seen.is_ok());

    // Nothing new: one look.
    let report = again().await.expect("no crash");
    assert_eq!(served(&world, &report), (vec!["yes"], 1));
    world.state().installed.late = 9;
    let report = again().await.expect("no crash");
    assert_eq!(served(&world, &report), (vec!["no answer"], 1));

    // Half a minute is enough for everybody.
    let began = world.now();
    world.state().installed.late = 100;
    let report = forced(&world, &settings, Some(1)).await;
    assert_eq!(served(&world, &report), (vec!["no answer"], 6));
    assert!(world.now().since(began) < Duration::from_secs(45));
    let marks = world.state().disk.served[name].clone();
    assert_eq!(marks[0].seen, Err(vec!["simulated".to_owned()]));

    // A place where each look takes as long as it may is no longer waited for.
    world.state().installed.look_takes = Duration::from_secs(10);
    let began = world.now();
    let report = forced(&world, &settings, Some(2)).await;
    assert_eq!(served(&world, &report), (vec!["no answer"], 3));
    assert!(world.now().since(began) < Duration::from_secs(55));
    world.state().installed.look_takes = Duration::ZERO;

    world.state().installed.late = 0;
    let old = "of last year".to_owned();
    world
        .state()
        .installed
        .leaves
        .insert(name.clone(), old.clone());
    let report = again().await.expect("no crash");
    assert_eq!(served(&world, &report), (vec!["old"], 1));
    assert_eq!(report.served[0].seen.as_ref().expect("a leaf").sha256, old);

    // Somebody has reloaded the server: that is noted once.
    let right = {
        let state = world.state();
        let current = state.disk.current(name).expect("a version");
        current.facts.leaf_sha256.clone()
    };
    world.state().installed.leaves.insert(name.clone(), right);
    for _ in 0..2 {
        let report = again().await.expect("no crash");
        assert_eq!(served(&world, &report), (vec!["yes"], 1));
    }

    // Every installation and what came of it; but not that all was as the day before.
    let deploys = world.state().memory.deploys.clone();
    let rows: Vec<String> = deploys.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "1 files: well",
            "1 shop.example:443: well",
            "1 shop.example:443: served: simulated",
            "2 files: well",
            "2 shop.example:443: served: simulated",
            "3 files: well",
            "3 shop.example:443: served: simulated",
            "3 shop.example:443: served: another certificate is served, with SHA-256 of last year",
            "3 shop.example:443: well",
        ]
    );
}

/// An installation of the history.
fn row(deploy: &ClosedDeploy) -> String {
    let ended = deploy.failed.as_ref().map_or_else(
        || "well".to_owned(),
        |failed| format!("{}: {}", failed.stage, failed.causes.join(" / ")),
    );
    let version = deploy.version.unwrap_or(0);
    format!("{version} {}: {ended}", deploy.target)
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_fails_is_in_the_history_of_each_certificate() {
    let world = World::new(&["first"]);
    world.state().always = Some(("install", Fault::Fail));
    let settings = settings(vec![profile("first")], many(2, &["first"]));
    world.run(&settings).await.expect("no crash");
    let rows = || {
        let deploys = world.state().memory.deploys.clone();
        deploys.iter().map(row).collect::<Vec<_>>()
    };
    let failed = "1 files: install: plugin files failed to install: simulated [test.simulated]";
    assert_eq!(rows(), [failed, failed]);
    world.state().always = None;
    let again = world.run_with(&settings, Vec::new(), false, Stop::new().1);
    again.await.expect("no crash");
    assert_eq!(rows()[2..], ["1 files: well", "1 files: well"]);
    // A rehearsal installs nothing.
    let jobs = settings
        .certificates
        .iter()
        .map(|c| job(c, Some(1)))
        .collect();
    let rehearsal = world.run_with(&settings, jobs, true, Stop::new().1);
    rehearsal.await.expect("no crash");
    assert_eq!(rows().len(), 4);
}

/// The provider takes nothing for a while, and another certificate waits for its name server.
#[tokio::test(start_paused = true)]
async fn what_users_are_refused_for_is_installed_before_the_others_are_there() {
    for (alone, full) in [(false, 0), (false, 900), (true, 900), (true, 0)] {
        let world = World::new(&["first"]);
        let number = if alone { 1 } else { 2 };
        let settings = settings(vec![profile("first")], many(number, &["first"]));
        let expired = settings.certificates[0].name.clone();
        {
            let mut state = world.state();
            state.pressing.insert(expired.clone());
            state.dns.full = Duration::from_secs(full);
            state.dns.slow = Some("c1.example".to_owned());
        }
        let jobs = settings.certificates.iter().map(|c| job(c, None)).collect();
        let began = world.now();
        let run = world.run_with(&settings, jobs, false, Stop::new().1);
        let looks = async {
            Clock::sleep(&world, Duration::from_secs(12)).await;
            world.state().installed.leaves.contains_key(&expired)
        };
        let (report, there) = tokio::join!(run, looks);
        let report = report.expect("no crash");
        assert!(there, "alone {alone}, full {full}: {report:?}");
        assert_eq!(world.state().installed.leaves.len(), number);
        let batches = if alone { 1 } else { 2 };
        assert_eq!(report.installs.len(), batches);
        let took = world.now().since(began).as_secs();
        assert!(took >= full, "{took}");
        // Nothing is left of it at the provider, and nothing is owed.
        let state = world.state();
        assert!(state.dns.records.is_empty() && state.disk.journals.is_empty());
        for one in &report.certificates {
            let last = one.milestones.last().map(|last| &last.what);
            assert!(
                matches!(last, Some(Reached::Removed { left: 0, .. })),
                "{one:?}"
            );
            assert!(one.owed.is_empty() && one.notes.is_empty(), "{one:?}");
        }
    }
}

/// Two that are in a hurry do not wait for one another for long, and what an installer failed at is tried once more when
/// it has worked for others.
#[tokio::test(start_paused = true)]
async fn those_in_a_hurry_are_installed_as_they_come() {
    for fades in [false, true] {
        let world = World::new(&["first"]);
        let settings = settings(vec![profile("first")], many(3, &["first"]));
        let names: Vec<_> = settings
            .certificates
            .iter()
            .map(|one| one.name.clone())
            .collect();
        {
            let mut state = world.state();
            state.pressing.extend(names[..2].iter().cloned());
            state.installed.fades = fades;
            state.dns.slow = Some("c1.example".to_owned());
        }
        let jobs = settings.certificates.iter().map(|c| job(c, None)).collect();
        let run = world.run_with(&settings, jobs, false, Stop::new().1);
        let well_again = async {
            Clock::sleep(&world, Duration::from_secs(15)).await;
            let mut state = world.state();
            state.installed.fades = false;
            state.installed.leaves.contains_key(&names[0])
        };
        let (report, there) = tokio::join!(run, well_again);
        let report = report.expect("no crash");
        assert_eq!(there, !fades, "{report:?}");
        let of = |name: &CertificateName| {
            let all = report.installs.iter();
            let of_it = all.filter(|one| one.certificates.contains(name));
            of_it.count()
        };
        // One of each counts, the last one, and that is well.
        assert_eq!(names.iter().map(of).collect::<Vec<_>>(), [1, 1, 1]);
        let well = |one: &InstallReport| matches!(one.outcome, InstallOutcome::Done { .. });
        assert!(report.installs.iter().all(well), "{:?}", report.installs);
        assert_eq!(world.state().installed.leaves.len(), 3);
    }
}

/// Its installation has failed before: nothing has to be ordered for it.
#[tokio::test(start_paused = true)]
async fn what_is_stored_and_in_a_hurry_waits_for_nobody() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(2, &["first"]));
    let names: Vec<_> = settings
        .certificates
        .iter()
        .map(|one| one.name.clone())
        .collect();
    world.state().installed.fades = true;
    let one = vec![job(&settings.certificates[0], None)];
    let first = world.run_with(&settings, one, false, Stop::new().1).await;
    first.expect("no crash");
    {
        let mut state = world.state();
        state.installed.fades = false;
        state.pressing.insert(names[0].clone());
        state.dns.slow = Some("c1.example".to_owned());
    }
    let other = vec![job(&settings.certificates[1], None)];
    let run = world.run_with(&settings, other, false, Stop::new().1);
    let looks = async {
        Clock::sleep(&world, Duration::from_secs(10)).await;
        world.state().installed.leaves.len()
    };
    let (report, there) = tokio::join!(run, looks);
    assert_eq!(there, 1);
    let report = report.expect("no crash");
    let of: Vec<_> = report
        .installs
        .iter()
        .map(|one| one.certificates.clone())
        .collect();
    assert_eq!(of, [vec![names[0].clone()], vec![names[1].clone()]]);
    assert_eq!(world.state().installed.leaves.len(), 2);
}

/// The test of the server wants all of them, also those that are in no hurry.
#[tokio::test(start_paused = true)]
async fn what_failed_in_parts_is_tried_together() {
    for in_a_hurry in [1, 2] {
        let world = World::new(&["first"]);
        let settings = settings(vec![profile("first")], many(2, &["first"]));
        {
            let mut state = world.state();
            let names = settings.certificates.iter().map(|one| one.name.clone());
            state.pressing.extend(names.take(in_a_hurry));
            state.installed.fades = true;
            state.dns.slow = Some("c1.example".to_owned());
            // So that the second of them is not left to the end.
            state.dns.full = Duration::from_secs(5);
        }
        let jobs = settings.certificates.iter().map(|c| job(c, None)).collect();
        let report = world.run_with(&settings, jobs, false, Stop::new().1).await;
        let report = report.expect("no crash");
        let of: Vec<usize> = report
            .installs
            .iter()
            .map(|one| one.certificates.len())
            .collect();
        assert_eq!(of, [2], "{in_a_hurry}: {:?}", report.installs);
        assert!(matches!(
            report.installs[0].outcome,
            InstallOutcome::Failed(_)
        ));
        assert!(world.state().disk.marks.is_empty());
    }
}
