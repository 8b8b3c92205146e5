//! Whole runs over several certificates and CAs.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::settings::{CertificateSettings, Settings};

use super::plugins::failure as simulated;
use super::world::{Fault, World, certificate, profile, settings};
use crate::driver::Stop;
use crate::failure::Failure;
use crate::history::Unasked;
use crate::journal;
use crate::plugin::PluginFailureKind;
use crate::ports::Clock;
use crate::report::{CertificateReport, InstallOutcome, InstallReport, Outcome, RunReport};
use crate::scheduler::{Force, Job};

pub(super) fn job(certificate: &CertificateSettings, seen: Option<u32>) -> Job {
    Job {
        certificate: certificate.clone(),
        seen,
        force: Force::NotDue,
    }
}

pub(super) fn only(report: &RunReport) -> &CertificateReport {
    assert_eq!(report.certificates.len(), 1);
    &report.certificates[0]
}

pub(super) fn issued_by(report: &CertificateReport) -> Option<&str> {
    match &report.outcome {
        Outcome::Issued { ca, .. } => Some(ca.as_str()),
        _ => None,
    }
}

pub(super) fn count(world: &World, call: &str) -> usize {
    let state = world.state();
    state.trace.iter().filter(|made| *made == call).count()
}

/// Certificates `c0`, `c1`, … with a name each.
pub(super) fn many(number: usize, cas: &[&str]) -> Vec<CertificateSettings> {
    (0..number)
        .map(|n| certificate(&format!("c{n}"), &[&format!("c{n}.example")], cas))
        .collect()
}

pub(super) async fn forced(world: &World, settings: &Settings, seen: Option<u32>) -> RunReport {
    let jobs = settings.certificates.iter().map(|c| job(c, seen)).collect();
    let report = world.run_with(settings, jobs, false, Stop::new().1).await;
    report.expect("nothing crashes here")
}

#[tokio::test(start_paused = true)]
async fn many_certificates_share_one_session_and_one_installation() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(20, &["first"]));
    let report = forced(&world, &settings, None).await;
    assert!(
        report
            .certificates
            .iter()
            .all(|c| issued_by(c) == Some("first"))
    );
    assert_eq!(count(&world, "GET https://first.example/directory"), 1);
    assert_eq!(count(&world, "POST https://first.example/account"), 1);
    assert_eq!(count(&world, "install"), 1);
    let sent = world.state().trace.len();
    assert!(
        report.requests[&CaName::parse("first").expect("a literal name")]
            < u64::try_from(sent).expect("few")
    );
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_down_is_asked_once_for_all_certificates() {
    let world = World::new(&["first", "second"]);
    world.state().cas.get_mut("first").expect("its name").down = true;
    let cas = ["first", "second"];
    let settings = settings(cas.map(profile).to_vec(), many(10, &cas));
    let report = forced(&world, &settings, None).await;
    for certificate in &report.certificates {
        assert_eq!(issued_by(certificate), Some("second"));
        let [failed] = certificate.failures.as_slice() else {
            panic!("one CA failed: {:?}", certificate.failures);
        };
        assert!(matches!(failed.failure, Failure::Directory { .. }));
    }
    // The tries of one request, not of ten.
    assert_eq!(count(&world, "GET https://first.example/directory"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_keeps_the_cause_and_takes_over_what_is_owed() {
    let cas = ["first", "second"];
    let world = World::new(&cas);
    {
        let mut state = world.state();
        state.dns.cleanup_fails = true;
        let first = state.cas.get_mut("first").expect("its name");
        first.refused.insert("shop.example".to_owned());
    }
    let settings = settings(
        cas.map(profile).to_vec(),
        vec![certificate("shop", &["shop.example"], &cas)],
    );
    let report = forced(&world, &settings, None).await;
    let report = only(&report);
    assert_eq!(issued_by(report), Some("second"));
    let lines = report.failures[0].failure.lines();
    assert_eq!(
        lines,
        ["first refused shop.example", "shop.example: dns: no record"]
    );
    assert_eq!(report.owed.len(), 1, "{:?}", report.owed);
    assert_eq!(world.state().dns.records.len(), 2);
    assert_eq!(world.state().disk.journals.len(), 1);

    world.state().dns.cleanup_fails = false;
    let jobs = Vec::new();
    world
        .run_with(&settings, jobs, false, Stop::new().1)
        .await
        .expect("no crash");
    assert!(world.state().dns.records.is_empty());
    assert!(world.state().disk.journals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_does_not_stop_the_others() {
    let world = World::new(&["first"]);
    world
        .state()
        .cas
        .get_mut("first")
        .expect("its name")
        .refused
        .insert("c1.example".to_owned());
    let settings = settings(vec![profile("first")], many(3, &["first"]));
    let report = forced(&world, &settings, None).await;
    let issued: Vec<bool> = report
        .certificates
        .iter()
        .map(|c| issued_by(c).is_some())
        .collect();
    assert_eq!(issued, [true, false, true]);
    assert!(world.state().dns.records.is_empty());
    assert_eq!(world.state().installed.leaves.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_need_that_is_gone_and_a_lock_that_is_held_are_no_failures() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    forced(&world, &settings, None).await;
    {
        let state = world.state();
        let to_the_ca = |line: &&String| line.contains(" https://") && !line.contains("/ari/");
        let sent = state.trace.iter().filter(to_the_ca).count();
        let noted = state.memory.attempts[0].requests;
        assert_eq!(
            usize::try_from(noted),
            Ok(sent),
            "{}",
            state.trace.join("\n")
        );
        assert!(sent > 6);
    }
    let report = forced(&world, &settings, None).await;
    assert!(matches!(only(&report).outcome, Outcome::Overtaken));
    assert_eq!(world.state().memory.unasked, []);
    world.state().disk.locks.insert("certificate c0".to_owned());
    let report = forced(&world, &settings, Some(1)).await;
    assert!(matches!(only(&report).outcome, Outcome::Locked(_)));
    assert_eq!(world.state().cas["first"].orders.len(), 1);
    let state = world.state();
    let [unasked] = state.memory.unasked.as_slice() else {
        panic!("{:?}", state.memory.unasked);
    };
    assert_eq!(unasked.class, FailureClass::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_locked_certificate_does_not_keep_its_neighbours_from_being_installed() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(2, &["first"]));
    world.state().always = Some(("install", Fault::Fail));
    forced(&world, &settings, None).await;
    world.state().always = None;
    world.state().disk.locks.insert("certificate c0".to_owned());
    let report = world
        .run_with(&settings, Vec::new(), false, Stop::new().1)
        .await
        .expect("no crash");
    let ends: Vec<bool> = report
        .installs
        .iter()
        .map(|i| matches!(i.outcome, InstallOutcome::Done { changed: true }))
        .collect();
    assert_eq!(ends, [false, true]);
    assert_eq!(world.state().installed.leaves.len(), 1);
    assert_eq!(world.state().cas["first"].orders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_staging_certificate_is_never_installed_over_a_real_one() {
    let world = World::new(&["first", "stage"]);
    let mut stage = profile("stage");
    stage.staging = true;
    let real = settings(
        vec![profile("first"), stage.clone()],
        many(1, &["first", "stage"]),
    );
    forced(&world, &real, None).await;
    let installed = world.state().installed.leaves.clone();
    let staged = settings(vec![profile("first"), stage], many(1, &["stage"]));
    let report = forced(&world, &staged, Some(1)).await;
    assert_eq!(issued_by(only(&report)), Some("stage"));
    assert_eq!(world.state().installed.leaves, installed);

    // Nor is a staging CA a fallback for a real one.
    world.state().cas.get_mut("first").expect("its name").down = true;
    let report = forced(&world, &real, Some(2)).await;
    assert_eq!(issued_by(only(&report)), None);
    assert_eq!(world.state().cas["stage"].orders.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_staging_certificate_is_installed_over_another_one_and_gives_way_to_a_real_one() {
    let world = World::new(&["first", "stage"]);
    let mut stage = profile("stage");
    stage.staging = true;
    let staged = settings(vec![stage.clone()], many(1, &["stage"]));
    let real = settings(vec![profile("first"), stage], many(1, &["first"]));
    let mut seen = Vec::new();
    for (number, settings) in [&staged, &staged, &real].into_iter().enumerate() {
        let before = u32::try_from(number).ok().filter(|before| *before > 0);
        forced(&world, settings, before).await;
        seen.push(world.state().installed.leaves.clone());
    }
    assert_ne!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_stores_nothing_and_keeps_the_real_order() {
    let world = World::new(&["first", "stage"]);
    let (mut first, mut stage) = (profile("first"), profile("stage"));
    stage.staging = true;
    first.rehearse_at = Some(stage.name.clone());
    let settings = settings(vec![first, stage], many(1, &["first"]));
    world.state().always = Some(("/chall/0/0", Fault::CrashBefore));
    assert!(world.run(&settings).await.is_none());
    world.state().always = None;

    let jobs = vec![job(&settings.certificates[0], None)];
    let report = world
        .run_with(&settings, jobs, true, Stop::new().1)
        .await
        .expect("no crash");
    assert_eq!(issued_by(only(&report)), Some("stage"));
    assert_eq!(planned(&report), ["files: c0"], "with what was received");
    {
        let state = world.state();
        assert!(state.disk.versions.is_empty() && state.installed.leaves.is_empty());
        assert!(state.dns.records.is_empty());
        let journals: Vec<_> = state.disk.journals.values().collect();
        assert_eq!(journals.len(), 1);
        let run = journal::read(journals[0]).expect("a journal");
        assert_eq!(
            run.order_url.as_deref(),
            Some("https://first.example/order/0")
        );
    }
    let report = world.run(&settings).await.expect("no crash");
    assert_eq!(issued_by(only(&report)), Some("first"));
    assert_eq!(world.state().cas["first"].orders.len(), 1);
}

/// What installers have planned: each and its certificates.
fn planned(report: &RunReport) -> Vec<String> {
    let planned = report
        .installs
        .iter()
        .filter(|one| matches!(one.outcome, InstallOutcome::Planned) && !one.steps.is_empty());
    let of = |one: &InstallReport| {
        let names: Vec<&str> = one.certificates.iter().map(|name| name.as_str()).collect();
        format!("{}: {}", one.plugin, names.join(" "))
    };
    planned.map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_plans_to_install_what_it_has_received() {
    let world = World::new(&["first", "stage"]);
    let (mut first, mut stage) = (profile("first"), profile("stage"));
    stage.staging = true;
    first.rehearse_at = Some(stage.name.clone());
    let settings = settings(vec![first, stage], many(1, &["first"]));
    world.run(&settings).await.expect("no crash");
    let installed = world.state().installed.leaves.clone();
    // Everything is in place already, but a renewal would bring another one.
    let jobs = vec![job(&settings.certificates[0], Some(1))];
    let rehearsal = world.run_with(&settings, jobs, true, Stop::new().1);
    let report = rehearsal.await.expect("no crash");
    assert_eq!(planned(&report), ["files: c0"]);
    assert_eq!(world.state().installed.leaves, installed);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_cannot_be_loaded_costs_no_order_and_is_told_by_its_own_cause() {
    let world = World::new(&["first", "second"]);
    let cas = vec![profile("first"), profile("second")];
    let settings = settings(cas, many(1, &["first", "second"]));
    let broken = |plugin: &str, message: &str| {
        let mut failure = simulated(plugin, "load");
        failure.kind = PluginFailureKind::Load;
        failure.message = message.to_owned();
        let plugin = PluginName::parse(plugin).expect("a literal name");
        (plugin, vec![failure])
    };
    world.state().unusable = BTreeMap::from([broken("dns", "no secret")]);
    for _ in 0..3 {
        let report = world.run(&settings).await.expect("no crash");
        let report = only(&report);
        let Outcome::Failed(Some(failure)) = &report.outcome else {
            panic!("{:?}", report.outcome);
        };
        assert!(failure.to_string().contains("no secret"), "{failure}");
        assert!(report.owed.is_empty() && report.failures.is_empty());
    }
    {
        let state = world.state();
        assert_eq!(state.memory.attempts.len(), 0, "no CA is held off");
        let causes = |one: &Unasked| one.causes.join(": ").contains("no secret");
        let unasked = &state.memory.unasked;
        assert!(
            unasked.len() == 3 && unasked.iter().all(causes),
            "{unasked:?}"
        );
        assert!(state.cas.values().all(|ca| ca.orders.is_empty()));
    }
    // It is tried again as soon as it works.
    world.state().unusable = BTreeMap::from([broken("files", "no password")]);
    let report = world.run(&settings).await.expect("no crash");
    assert_eq!(issued_by(only(&report)), Some("first"));
    let InstallOutcome::Failed(failure) = &report.installs[0].outcome else {
        panic!("{:?}", report.installs[0].outcome);
    };
    assert!(failure.to_string().contains("no password"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_without_a_staging_ca_says_so() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    let jobs = vec![job(&settings.certificates[0], None)];
    let report = world
        .run_with(&settings, jobs, true, Stop::new().1)
        .await
        .expect("no crash");
    let Outcome::Failed(Some(failure)) = &only(&report).outcome else {
        panic!("{:?}", only(&report).outcome);
    };
    assert_eq!(
        failure.to_string(),
        "c0 cannot be rehearsed: no staging CA is known for first"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_stored_before_a_crash_is_not_taken_for_the_next_renewal() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    world.state().always = Some(("close the journal of c0", Fault::CrashBefore));
    assert!(world.run(&settings).await.is_none());
    world.state().always = None;
    assert_eq!(world.state().disk.journals.len(), 1);
    let report = forced(&world, &settings, Some(1)).await;
    let Outcome::Issued { version, .. } = only(&report).outcome else {
        panic!("{:?}", only(&report).outcome);
    };
    assert_eq!(version, Some(2));
    let state = world.state();
    let leaves: Vec<&str> = state
        .disk
        .versions
        .values()
        .flatten()
        .map(|v| v.facts.leaf_sha256.as_str())
        .collect();
    assert_eq!(
        leaves,
        ["https://first.example 1", "https://first.example 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_of_long_ago_is_not_taken_up() {
    for (days, orders) in [(6, 1), (30, 2)] {
        let world = World::new(&["first"]);
        let settings = settings(vec![profile("first")], many(1, &["first"]));
        // Its certificate is made, and nobody fetches it.
        world.state().always = Some(("/cert/0", Fault::CrashBefore));
        assert!(world.run(&settings).await.is_none());
        world.state().always = None;
        Clock::sleep(&world, Duration::from_secs(days * 86_400)).await;
        let report = world.run(&settings).await.expect("no crash");
        assert_eq!(issued_by(only(&report)), Some("first"), "{days}");
        assert_eq!(world.state().cas["first"].orders.len(), orders, "{days}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_journal_keeps_nobody_from_a_certificate() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(2, &["first"]));
    let name = settings.certificates[0].name.clone();
    let stranger = CertificateName::parse("gone").expect("a literal name");
    for name in [&name, &stranger] {
        let damaged = (name.clone(), "this is no journal".to_owned());
        world.state().disk.journals.extend([damaged]);
    }
    let report = world.run(&settings).await.expect("no crash");
    for one in &report.certificates {
        assert_eq!(issued_by(one), Some("first"));
    }
    let notes = report.certificates[0].notes.join(" ");
    assert!(
        notes.contains("records that it placed may be left"),
        "{notes}"
    );
    assert!(report.certificates[1].notes.is_empty());
    assert!(world.state().disk.journals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_settles_what_is_owed_within_ten_seconds() {
    for hangs in [false, true] {
        let world = World::new(&["first"]);
        {
            let mut state = world.state();
            state.dns.blind = true;
            state.dns.cleanup_hangs = hangs;
        }
        let settings = settings(vec![profile("first")], many(12, &["first"]));
        let jobs = settings.certificates.iter().map(|c| job(c, None)).collect();
        let (switch, stop) = Stop::new();
        let began = world.now();
        let stopping = async {
            Clock::sleep(&world, Duration::from_secs(30)).await;
            switch.send(true).expect("somebody listens");
        };
        let (report, ()) = tokio::join!(world.run_with(&settings, jobs, false, stop), stopping);
        let report = report.expect("no crash");
        let took = world.now().since(began);
        assert!(took <= Duration::from_secs(41), "{took:?}");
        assert!(report.stopped);
        let owed: usize = report.certificates.iter().map(|c| c.owed.len()).sum();
        let state = world.state();
        assert_eq!(state.dns.records.len(), if hangs { 8 } else { 0 });
        assert_eq!(owed, state.dns.records.len(), "what is there is reported");
        for certificate in &report.certificates {
            let outcome = &certificate.outcome;
            assert!(
                matches!(outcome, Outcome::Failed(Some(Failure::Stopped))),
                "{outcome:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_dns_costs_no_order() {
    let world = World::new(&["first"]);
    world.state().dns.blind = true;
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    let report = world.run(&settings).await.expect("no crash");
    assert_eq!(issued_by(only(&report)), None);
    assert!(world.state().dns.records.is_empty());
    world.state().dns.blind = false;
    let report = world.run(&settings).await.expect("no crash");
    assert_eq!(issued_by(only(&report)), Some("first"));
    assert_eq!(world.state().cas["first"].orders.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_replaces_is_left_out_once() {
    let world = World::new(&["first"]);
    let settings = settings(vec![profile("first")], many(1, &["first"]));
    forced(&world, &settings, None).await;
    let report = forced(&world, &settings, Some(1)).await;
    let report = only(&report);
    assert_eq!(issued_by(report), Some("first"));
    assert_eq!(world.state().cas["first"].replaced, 1);
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
}

/// Whatever it answers, and however long nobody is to ask then: the next order goes without.
#[tokio::test(start_paused = true)]
async fn a_ca_that_stumbles_over_a_predecessor_each_time_is_asked_without_it_in_the_next_run() {
    for (status, asked_in_the_first_run, runs) in [(500, 1, 1), (502, 2, 2), (503, 3, 2)] {
        let world = World::new(&["first"]);
        let settings = settings(vec![profile("first")], many(1, &["first"]));
        forced(&world, &settings, None).await;
        let stumbles = Some(status);
        world
            .state()
            .cas
            .get_mut("first")
            .expect("it is there")
            .stumbles = stumbles;
        for run in 1..=runs {
            let report = forced(&world, &settings, Some(1)).await;
            let issued = issued_by(only(&report)) == Some("first");
            assert_eq!(issued, run == runs, "{status}: {report:?}");
            assert_eq!(
                world.state().cas["first"].replaced,
                asked_in_the_first_run,
                "{status}"
            );
            Clock::sleep(&world, Duration::from_secs(2 * 60 * 60)).await;
        }
    }
}

/// A stop after `wait`; the report and how long the run took.
pub(super) async fn stopped_after(
    world: &World,
    settings: &Settings,
    jobs: Vec<Job>,
    wait: Duration,
) -> (RunReport, Duration) {
    let (switch, stop) = Stop::new();
    let began = world.now();
    let stopping = async {
        Clock::sleep(world, wait).await;
        switch.send(true).expect("somebody listens");
    };
    let (report, ()) = tokio::join!(world.run_with(settings, jobs, false, stop), stopping);
    (report.expect("no crash"), world.now().since(began))
}

#[tokio::test(start_paused = true)]
async fn the_time_to_stop_counts_from_the_wish_and_not_from_each_clean_up() {
    let world = World::new(&["first"]);
    {
        let mut state = world.state();
        state.dns.blind = true;
        state.dns.cleanup_fails = true;
    }
    let settings = settings(vec![profile("first")], many(12, &["first"]));
    let jobs = || settings.certificates.iter().map(|c| job(c, None)).collect();
    // Every certificate owes a record.
    world.run(&settings).await.expect("no crash");
    assert_eq!(world.state().disk.journals.len(), 12);
    {
        let mut state = world.state();
        state.dns.cleanup_fails = false;
        state.dns.cleanup_hangs = true;
    }
    // Four of them wait for room at the CA, and pay back when the first eight have given up.
    let wait = Duration::from_secs(30);
    let (report, took) = stopped_after(&world, &settings, jobs(), wait).await;
    assert!(report.stopped);
    assert_eq!(took, Duration::from_secs(40));
}
