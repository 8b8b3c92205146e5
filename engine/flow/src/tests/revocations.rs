//! Revocation of a stored certificate.

use serde_json::{Value, json};
use waxwing_core::ca::CaProfile;
use waxwing_core::settings::Settings;

use super::world::{Fault, World, certificate, profile, settings};
use crate::account::deactivate;
use crate::history::{Chronicle, RevocationResult, Sighting};
use crate::ports::CertificateStore;
use crate::revoke::{How, RevokeError, Revoked, Wish, revoke};
use crate::scheduler::{Force, Job};

/// A world with one certificate that is issued and installed.
async fn issued(reuse_key: bool) -> (World, Settings) {
    let world = World::new(&["first"]);
    let mut shop = certificate("shop", &["shop.example"], &["first"]);
    shop.reuse_key = reuse_key;
    let settings = settings(vec![profile("first")], vec![shop]);
    world.run(&settings).await.expect("a run");
    (world, settings)
}

fn first(settings: &Settings) -> &CaProfile {
    settings.cas.values().next().expect("one CA")
}

async fn asked(
    world: &World,
    settings: &Settings,
    reason: Option<u8>,
    although_installed: bool,
) -> Result<Revoked, RevokeError> {
    let wish = Wish {
        certificate: settings.certificates[0].name.clone(),
        reason,
        although_installed,
    };
    let ports = world.ports();
    let chronicle = Chronicle {
        history: ports.history.as_ref(),
        run: "r1",
    };
    revoke(&ports.session, settings, &wish, chronicle).await
}

fn revoked_at_ca(world: &World) -> Vec<Value> {
    let state = world.state();
    state.cas["first"].revoked.values().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn an_installed_certificate_is_revoked_only_on_purpose() {
    let (world, settings) = issued(false).await;
    let refused = asked(&world, &settings, None, false).await;
    assert!(
        matches!(refused, Err(RevokeError::Installed { .. })),
        "{refused:?}"
    );
    assert_eq!(revoked_at_ca(&world), [Value::Null; 0]);
    let done = asked(&world, &settings, Some(4), true).await;
    let done = done.expect("revoked");
    assert_eq!((done.version, done.how), (1, How::ByAccount));
    assert_eq!(done.installed.len(), 1);
    assert_eq!(revoked_at_ca(&world), [json!(4)]);
    let name = &settings.certificates[0].name;
    let current = world.current(name).expect("a disk").expect("a version");
    let mark = current.revoked.expect("noted");
    assert_eq!((mark.version, mark.reason), (1, Some(4)));
    // Known to be so: nobody is asked again.
    let calls = world.state().trace.len();
    let again = asked(&world, &settings, None, false)
        .await
        .expect("no failure");
    assert_eq!(again.how, How::Before);
    let trace = world.state().trace[calls..].join("\n");
    assert!(!trace.contains("https:"), "{trace}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_by_asking_again() {
    let (world, settings) = issued(false).await;
    let down = || world.ports().history.down_since().expect("readable");
    let silent = Sighting {
        ca: first(&settings).name.clone(),
        at: world.now(),
        result: Err("it did not answer".to_owned()),
    };
    world.ports().history.sight(&silent).expect("noted");
    assert_eq!(down().len(), 1);
    world.state().always = Some(("/revoke", Fault::Lose));
    let lost = asked(&world, &settings, None, true).await;
    assert!(matches!(lost, Err(RevokeError::Failed(_))), "{lost:?}");
    world.state().always = None;
    let again = asked(&world, &settings, None, true).await.expect("done");
    assert_eq!(again.how, How::Before);
    assert_eq!(down().len(), 0, "it has answered");
    let name = &settings.certificates[0].name;
    let current = world.current(name).expect("a disk").expect("a version");
    assert!(current.revoked.is_some(), "noted");
    // Both are in the history, the failure with its causes.
    let state = world.state();
    let [failed, done] = state.memory.revocations.as_slice() else {
        panic!("{:?}", state.memory.revocations);
    };
    let RevocationResult::Failed { causes, .. } = &failed.result else {
        panic!("{failed:?}");
    };
    assert_eq!(causes[0], "failed to revoke the certificate at first");
    assert!(causes.len() > 1 && failed.requests > 0, "{failed:?}");
    assert_eq!(done.result, RevocationResult::Revoked);
    for one in [failed, done] {
        let ca = one.ca.as_ref().map(waxwing_core::name::CaName::as_str);
        assert_eq!(
            (one.version, ca, one.run.as_str()),
            (1, Some("first"), "r1")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_account_the_certificate_speaks_for_itself() {
    let (world, settings) = issued(false).await;
    let ports = world.ports().session;
    let directory = "https://first.example/directory";
    deactivate(&ports, first(&settings), directory)
        .await
        .expect("given up");
    let done = asked(&world, &settings, Some(1), true).await;
    assert_eq!(done.expect("revoked").how, How::ByKey);
    assert_eq!(revoked_at_ca(&world), [json!(1)]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_the_ca_does_not_take_is_stood_in_for_by_the_key() {
    let (world, settings) = issued(false).await;
    let closed = |world: &World| {
        let mut state = world.state();
        let ca = state.cas.get_mut("first").expect("its name");
        ca.closed.insert(0);
    };
    closed(&world);
    let done = asked(&world, &settings, None, true).await;
    assert_eq!(done.expect("revoked").how, How::ByKey);
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_not_known_any_more_is_said() {
    let (world, mut settings) = issued(false).await;
    settings.cas.clear();
    let refused = asked(&world, &settings, None, true).await;
    let refused = refused.expect_err("refused");
    assert!(matches!(refused, RevokeError::UnknownCa(_)));
    let hint = refused.hint().expect("what to do");
    assert!(hint.contains("[ca.first]"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_others_may_have_is_not_kept() {
    for (reason, kept) in [(Some(4), true), (Some(1), false)] {
        let (world, settings) = issued(true).await;
        asked(&world, &settings, reason, true)
            .await
            .expect("revoked");
        let job = Job {
            certificate: settings.certificates[0].clone(),
            seen: Some(1),
            force: Force::NotDue,
        };
        let stop = crate::driver::Stop::new().1;
        let report = world.run_with(&settings, vec![job], false, stop).await;
        let report = report.expect("a run");
        let state = world.state();
        let versions = state.disk.versions.values().next().expect("one name");
        assert_eq!(versions.len(), 2, "{report:?}");
        assert_eq!(versions[0].key == versions[1].key, kept);
        assert_eq!(versions[1].revoked, None);
    }
}
