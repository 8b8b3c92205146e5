//! A CA that hands out another certificate than the one ordered.

use std::collections::BTreeMap;

use serde_json::json;
use waxwing_core::failure::FailureClass;
use waxwing_core::settings::Settings;

use super::ca::Ca;
use super::policy::{HOUR, timer};
use super::world::{World, certificate, profile, settings};
use crate::failure::Failure;
use crate::ports::{CertificateStore, Clock};
use crate::report::{CertificateReport, Outcome};
use crate::scheduler::Force;

/// Shop's first run at this CA, after `mail` got its certificate there.
async fn run(wrong: impl FnOnce(&mut Ca), cas: &[&str]) -> (World, CertificateReport) {
    let world = World::new(cas);
    let mail = certificate("mail", &["mail.example"], cas);
    let profiles = || cas.iter().map(|name| profile(name)).collect::<Vec<_>>();
    let before = settings(profiles(), vec![mail.clone()]);
    world.run(&before).await.expect("a run");
    wrong(world.state().cas.get_mut("first").expect("its name"));
    let shop = certificate("shop", &["shop.example", "www.shop.example"], cas);
    let both: Settings = settings(profiles(), vec![mail, shop]);
    let report = world.run(&both).await.expect("a run");
    let of_shop = report
        .certificates
        .into_iter()
        .find(|report| report.certificate.as_str() == "shop");
    (world, of_shop.expect("shop was worked on"))
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_was_not_ordered_is_neither_stored_nor_installed() {
    type Wrong = fn(&mut Ca);
    let rows: [(Wrong, &str); 4] = [
        (
            |ca| ca.hands_out = Some(0),
            "it is for another key than the one of this run",
        ),
        (
            |ca| ca.says = BTreeMap::from([("key", json!("99 ecdsa-p256"))]),
            "it is for another key than the one of this run",
        ),
        (
            |ca| ca.says = BTreeMap::from([("names", json!(["shop.example"]))]),
            "it is for shop.example, ordered was shop.example, www.shop.example",
        ),
        (
            |ca| {
                let names = json!(["other.example", "shop.example", "www.shop.example"]);
                ca.says = BTreeMap::from([("names", names)]);
            },
            "it is for other.example, shop.example, www.shop.example, ordered was shop.example, \
             www.shop.example",
        ),
    ];
    for (wrong, want) in rows {
        let (world, report) = run(wrong, &["first"]).await;
        let [failed] = report.failures.as_slice() else {
            panic!("{want}: one failure is told: {:?}", report.failures);
        };
        let Failure::Mismatch { ca, what, .. } = &failed.failure else {
            panic!("{want}: {:?}", failed.failure);
        };
        assert_eq!((ca.as_str(), what.as_str()), ("first", want));
        assert!(
            matches!(report.outcome, Outcome::Failed(_)),
            "{want}: {:?}",
            report.outcome
        );
        let stored = world
            .current(&report.certificate)
            .expect("a readable store");
        assert_eq!(stored, None, "{want}");
        let state = world.state();
        assert!(
            !state.installed.leaves.contains_key(&report.certificate),
            "{want}"
        );
        assert!(state.dns.records.is_empty(), "{want}");
    }
}

/// This machine's clock is ahead, so that every certificate has run out as soon as it is there. No CA is to
/// blame, no other one is asked, and there is an end to it, whatever limits the CAs state.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_does_not_order_for_ever() {
    let cas = ["first", "second"];
    let world = World::new(&cas);
    let over = BTreeMap::from([("not_after", json!(1_794_000_000_000_i64))]);
    for ca in world.state().cas.values_mut() {
        ca.says = over.clone();
    }
    let profiles = cas.map(profile).into();
    let shop = certificate("shop", &["shop.example"], &cas);
    let settings = settings(profiles, vec![shop]);
    let mut told = None;
    for _run in 0..100 {
        let report = timer(&world, &settings, Force::No).await;
        match &report.certificates[0].outcome {
            Outcome::Failed(Some(failure)) => told = Some(failure.clone()),
            Outcome::Held(_) => {}
            other => panic!("{other:?}"),
        }
        Clock::sleep(&world, HOUR).await;
    }
    let told = told.expect("it failed");
    assert_eq!(told.class(), FailureClass::Misconfigured, "{told}");
    assert!(told.to_string().contains("by the clock of this machine"));
    assert!(told.hint().expect("a hint").starts_with("set the clock"));
    let state = world.state();
    assert_eq!(state.cas["second"].issued, 0);
    assert!(
        (2..=5).contains(&state.cas["first"].issued),
        "{}",
        state.cas["first"].issued
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_wrong_certificate_the_next_ca_is_asked() {
    let (world, report) = run(|ca| ca.hands_out = Some(0), &["first", "second"]).await;
    assert!(
        matches!(report.failures[0].failure, Failure::Mismatch { .. }),
        "{:?}",
        report.failures
    );
    let stored = world
        .current(&report.certificate)
        .expect("a readable store");
    let stored = stored.expect("the second CA issued one");
    assert_eq!(stored.origin.ca.as_str(), "second");
    assert_eq!(stored.facts.names.len(), 2);
}

/// What a CA has signed and nobody can keep is lost.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_not_ordered() {
    let world = World::new(&["first"]);
    let shop = certificate("shop", &["shop.example"], &["first"]);
    let settings = settings(vec![profile("first")], vec![shop]);
    world.state().disk.shut = true;
    for _run in 0..3 {
        let report = world.run(&settings).await.expect("a run");
        let of_it = &report.certificates[0];
        assert!(
            matches!(&of_it.outcome, Outcome::Failed(Some(Failure::Store(_)))),
            "{:?}",
            of_it.outcome
        );
        assert!(!of_it.asked && of_it.next_try.is_none());
        assert_eq!(world.state().cas["first"].orders.len(), 0);
    }
    world.state().disk.shut = false;
    let report = world.run(&settings).await.expect("a run");
    assert!(!matches!(
        report.certificates[0].outcome,
        Outcome::Failed(_)
    ));
}
