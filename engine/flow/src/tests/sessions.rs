//! Opening a session with a CA: the account above all.

use std::time::Duration;

use super::world::{Fault, World, certificate, profile, settings};
use crate::ports::{Clock, KeyMaker};
use crate::session::CaSession;

use super::keys::{self, Keys};

async fn open(world: &World) -> Result<CaSession, crate::failure::Failure> {
    let settings = settings(vec![], vec![certificate("c", &["c.example"], &["first"])]);
    CaSession::open(world.ports().session, &profile("first"), &settings.account).await
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_answer_was_lost_is_found_without_new_credentials() {
    let world = World::new(&["first"]);
    world.state().always = Some(("/account", Fault::Lose));
    assert!(open(&world).await.is_err());
    {
        let mut state = world.state();
        state.always = None;
        state
            .cas
            .get_mut("first")
            .expect("its name")
            .wants_credentials = true;
    }
    let session = open(&world).await.expect("a known key has an account");
    assert_eq!(session.account(), "https://first.example/account/0");
    assert_eq!(world.state().cas["first"].accounts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_account_needs_neither_lock_nor_request() {
    let world = World::new(&["first"]);
    drop(open(&world).await.expect("an account"));
    world.state().trace.clear();
    world.state().disk.locks.insert("account first".to_owned());
    open(&world).await.expect("the same account");
    assert_eq!(
        world.state().trace,
        [
            "GET https://first.example/directory",
            "disk: read the account at first"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn another_run_that_registers_is_waited_for() {
    let world = World::new(&["first"]);
    world.state().disk.locks.insert("account first".to_owned());
    let other = async {
        Clock::sleep(&world, Duration::from_secs(9)).await;
        world.state().disk.locks.clear();
    };
    let (session, ()) = tokio::join!(open(&world), other);
    session.expect("the lock is free by then");
}

#[tokio::test(start_paused = true)]
async fn advice_on_renewal_is_asked_for_by_certificate() {
    let world = World::new(&["first"]);
    let session = open(&world).await.expect("an account");
    let pem = keys::pem(&serde_json::json!({ "serial": "7" }));
    let (_, mut facts) = Keys(world.clone()).read_chain(&pem).expect("a chain");
    let advice = session.renewal_info(&facts).await.expect("an answer");
    let window = advice.expect("advice").window;
    assert_eq!(window.start.to_string(), "2026-11-20T00:00:00Z");
    let asked = world.state().trace.last().cloned();
    assert_eq!(
        asked.as_deref(),
        Some("GET https://first.example/ari/YXV0aG9yaXR5.Nw")
    );
    facts.authority_key_id = None;
    assert_eq!(session.renewal_info(&facts).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn advice_is_asked_for_only_at_the_hosts_of_the_profile() {
    let world = World::new(&["first", "other"]);
    let ca = |world: &World, advice: &str| {
        let mut state = world.state();
        let ca = state.cas.get_mut("first").expect("its name");
        ca.advice = Some(advice.to_owned());
    };
    ca(&world, "https://other.example/ari");
    let account = settings(vec![], vec![]).account;
    for (hosts, asked) in [
        (vec![], true),
        (vec!["other.example".to_owned()], true),
        (vec!["third.example".to_owned()], false),
    ] {
        let mut profile = profile("first");
        profile.ari.hosts = hosts;
        let session = CaSession::open(world.ports().session, &profile, &account)
            .await
            .expect("an account");
        let pem = keys::pem(&serde_json::json!({ "serial": "7" }));
        let (_, facts) = Keys(world.clone()).read_chain(&pem).expect("a chain");
        let advice = session.renewal_info(&facts).await.expect("no error");
        assert_eq!(advice.is_some(), asked, "{:?}", profile.ari.hosts);
    }
}
