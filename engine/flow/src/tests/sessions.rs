//! Opening a session with a CA: the account above all.

use std::time::Duration;

use waxwing_core::ca::{CaProfile, EabSource};
use waxwing_core::failure::FailureClass;
use waxwing_core::key::KeyType;
use waxwing_core::name::CertificateName;
use waxwing_core::settings::SecretRef;

use super::world::{Fault, World, certificate, profile, settings};
use crate::advice::{self, Question};
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

/// A CA that gives one account for the credentials that its profile has.
fn bound(accounts: u32, single_use: bool) -> (World, CaProfile) {
    let world = World::new(&["first"]);
    if let Some(ca) = world.state().cas.get_mut("first") {
        ca.wants_credentials = true;
        if accounts == 0 {
            ca.spent.push("kid".to_owned());
        }
    }
    let mut profile = profile("first");
    profile.eab.required = true;
    profile.eab.single_use = single_use;
    profile.eab.ttl = Some(Duration::from_secs(7 * 24 * 3600));
    profile.eab.source = EabSource::Given {
        key_id: "kid".to_owned(),
        hmac_key: SecretRef::Env("HMAC_KEY".to_owned()),
    };
    (world, profile)
}

#[tokio::test(start_paused = true)]
async fn credentials_for_one_account_are_not_sent_twice_when_the_answer_is_lost() {
    let account = settings(vec![], vec![]).account;
    let open = async |world: &World, profile: &CaProfile| {
        CaSession::open(world.ports().session, profile, &account).await
    };
    let (world, profile) = bound(1, true);
    open(&world, &profile).await.expect("an account");
    let trace = world.state().trace.clone();
    let nth = trace.iter().position(|call| call.ends_with("/account"));
    let nth = nth.expect("newAccount was sent");
    for (single_use, want) in [(true, true), (false, false)] {
        let (world, profile) = bound(1, single_use);
        world.state().fault = Some((nth, Fault::Lose));
        let opened = open(&world, &profile).await;
        let trace = &world.state().trace;
        assert_eq!(opened.is_ok(), want, "{single_use}: {trace:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_named_with_what_they_count_for() {
    let account = settings(vec![], vec![]).account;
    let (world, profile) = bound(0, true);
    let opened = CaSession::open(world.ports().session, &profile, &account).await;
    let failure = opened.err().expect("the credentials are spent");
    assert_eq!(failure.class(), FailureClass::NeedsPerson);
    assert_eq!(
        failure.hint().as_deref(),
        Some(
            "they count for one account and for 7d only; get new ones from the CA and put them \
             into [ca.first] eab"
        )
    );
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
            "disk: read the directory of first",
            "disk: read the account at first"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_account_key_is_of_a_kind_that_the_ca_takes() {
    let account = settings(vec![], vec![]).account;
    for (accepted, made) in [
        (vec![], "1 account"),
        (vec![KeyType::EcdsaP384, KeyType::EcdsaP256], "1 ecdsa-p384"),
    ] {
        let world = World::new(&["first"]);
        let mut profile = profile("first");
        profile.quirks.account_keys = accepted;
        let ports = world.ports().session;
        let session = CaSession::open(ports.clone(), &profile, &account).await;
        session.expect("an account");
        let record = ports
            .store
            .account(&profile.name, &profile.directories[0])
            .expect("readable");
        assert_eq!(record.expect("an account").key.expose(), made);
    }
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
async fn the_directory_says_where_advice_is_given_now() {
    // Where it was when the directory was read, where it is, and how old the copy of the directory is.
    for (was, is, hours) in [("/gone", "/ari/b", 1), ("/ari/a", "/ari/b", 25)] {
        let world = World::new(&["first"]);
        let moved = |path: &str| {
            let mut state = world.state();
            let ca = state.cas.get_mut("first").expect("its name");
            ca.advice = Some(format!("{}{path}", ca.base));
        };
        moved(was);
        open(&world).await.expect("an account");
        moved(is);
        Clock::sleep(&world, Duration::from_secs(hours * 3_600)).await;
        let name = CertificateName::parse("c").expect("a literal name");
        let pem = keys::pem(&serde_json::json!({ "serial": "7" }));
        let (_, facts) = Keys(world.clone()).read_chain(&pem).expect("a chain");
        let question = Question {
            name: name.clone(),
            ca: profile("first").name,
            facts,
            known: None,
        };
        let settings = settings(vec![profile("first")], vec![]);
        let ports = world.ports();
        let (session, history) = (&ports.session, ports.history.as_ref());
        let before = world.state().memory.sightings.len();
        advice::ask(session, history, &settings, vec![question]).await;
        let state = world.state();
        let known = state.memory.advice.get(&name).expect("advice");
        assert!(known.suggestion.is_some(), "{was}: {known:?}");
        // Whoever looks at a directory has seen how the CA is.
        let seen = state.memory.sightings.len() - before;
        assert_eq!(seen, usize::from(hours > 24), "{was}");
    }
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
