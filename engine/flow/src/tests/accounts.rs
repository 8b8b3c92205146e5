//! Accounts: one for each directory, credentials that make one account only, another contact,
//! another key, the end.

use std::time::Duration;

use serde_json::json;
use waxwing_core::ca::{CaProfile, EabSource};
use waxwing_core::name::CaName;
use waxwing_core::settings::{AccountSettings, SecretRef};

use super::world::{Fault, World, profile};
use crate::account::{
    AccountError, ContactChange, Deactivated, Drift, RolledOver, deactivate, drift, roll_over,
    update_contact,
};
use crate::failure::Failure;
use crate::ports::{AccountRecord, CertificateStore, Clock, CredentialUse};
use crate::session::{AccountFrom, CaSession, SessionPorts};

const FIRST: &str = "https://first.example/directory";

fn settings(email: &str) -> AccountSettings {
    AccountSettings {
        email: Some(email.to_owned()),
        agree_terms: true,
        key: None,
    }
}

/// The same with a key brought along in the environment.
fn bringing(world: &World, key: &str) -> AccountSettings {
    let secrets = &mut world.state().secrets;
    secrets.insert("ACCOUNT_KEY".to_owned(), key.to_owned());
    AccountSettings {
        key: Some(SecretRef::Env("ACCOUNT_KEY".to_owned())),
        ..settings("ops@example.com")
    }
}

async fn open(
    world: &World,
    profile: &CaProfile,
    settings: &AccountSettings,
) -> Result<CaSession, Failure> {
    CaSession::open(world.ports().session, profile, settings).await
}

fn stored(world: &World, directory: &str) -> AccountRecord {
    let ca = CaName::parse("first").expect("a literal name");
    let record = world.account(&ca, directory).expect("a working disk");
    record.expect("an account is stored")
}

fn differs(
    ports: &SessionPorts,
    profile: &CaProfile,
    record: &AccountRecord,
    settings: &AccountSettings,
) -> Vec<Drift> {
    let (keys, secrets) = (ports.keys.as_ref(), ports.secrets.as_ref());
    drift(keys, secrets, profile, record, settings)
}

fn lines(error: &AccountError) -> String {
    error.lines().join("\n")
}

/// A CA that gives accounts only for credentials, each for one.
fn with_credentials(world: &World) -> CaProfile {
    for ca in world.state().cas.values_mut() {
        ca.wants_credentials = true;
    }
    let secrets = &mut world.state().secrets;
    secrets.insert("HMAC".to_owned(), "c2VjcmV0".to_owned());
    let mut profile = profile("first");
    profile.eab.required = true;
    profile.eab.single_use = true;
    profile.eab.source = EabSource::Given {
        key_id: "kid-1".to_owned(),
        hmac_key: SecretRef::Env("HMAC".to_owned()),
    };
    let manual = ("documentation".to_owned(), "https://ca.example".to_owned());
    profile.notes.extend([manual]);
    profile
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_one_directory_costs_no_account() {
    let world = World::new(&["first", "second"]);
    let mut both = profile("first");
    both.directories = vec![
        FIRST.to_owned(),
        "https://second.example/directory".to_owned(),
    ];
    let settings = settings("ops@example.com");
    let mut accounts = Vec::new();
    for down in [false, true, false, true] {
        world.state().cas.get_mut("first").expect("its name").down = down;
        // Not from a copy of the directory.
        world.state().disk.directories.clear();
        let session = open(&world, &both, &settings).await.expect("an account");
        accounts.push((session.account().to_owned(), session.account_from()));
    }
    let (first, second) = (
        "https://first.example/account/0",
        "https://second.example/account/0",
    );
    let want = [
        (first, AccountFrom::Made),
        (second, AccountFrom::Made),
        (first, AccountFrom::Stored),
        (second, AccountFrom::Stored),
    ];
    let want = want.map(|(account, from)| (account.to_owned(), from));
    assert_eq!(accounts, want);
    assert_eq!(world.state().disk.accounts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_made_an_account_is_never_sent_again() {
    let world = World::new(&["first", "second"]);
    let profile = with_credentials(&world);
    let settings = settings("ops@example.com");
    let made = open(&world, &profile, &settings).await;
    drop(made.expect("the credential is good"));
    let marks = stored(&world, FIRST).credentials;
    assert_eq!(marks[0].used, CredentialUse::Spent);
    assert!(!marks[0].digest.contains("c2VjcmV0"));

    // Neither at another directory of the CA nor after the account was given up.
    let mut elsewhere = profile.clone();
    elsewhere.directories = vec!["https://second.example/directory".to_owned()];
    deactivate(&world.ports().session, &profile, FIRST)
        .await
        .expect("given up");
    for profile in [&elsewhere, &profile] {
        let calls = world.state().trace.len();
        let refused = open(&world, profile, &settings).await.err();
        let refused = refused.expect("it is spent");
        assert_eq!(
            refused.to_string(),
            "no account at first: the credential kid-1 made the account at \
             https://first.example/directory on 2026-11-18, and each makes one account only"
        );
        let hint = refused.hint().expect("what to do");
        assert!(hint.contains("https://ca.example"), "{hint}");
        let sent = world.state().trace[calls..].join("\n");
        assert!(!sent.contains("POST"), "{sent}");
    }

    // A new one works, and the mark of the old one stays.
    let mut renewed = profile;
    renewed.eab.source = EabSource::Given {
        key_id: "kid-2".to_owned(),
        hmac_key: SecretRef::Env("HMAC".to_owned()),
    };
    let session = open(&world, &renewed, &settings).await.expect("a new one");
    assert_eq!(session.account(), "https://first.example/account/1");
    assert_eq!(stored(&world, FIRST).credentials.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_credential_whose_answer_was_lost_is_noted_and_not_sent_twice() {
    let world = World::new(&["first"]);
    let profile = with_credentials(&world);
    let settings = settings("ops@example.com");
    world.state().always = Some(("/account", Fault::Lose));
    assert!(open(&world, &profile, &settings).await.is_err());
    let marks = stored(&world, FIRST).credentials;
    assert_eq!(marks[0].used, CredentialUse::Intended);
    world.state().always = None;
    let session = open(&world, &profile, &settings).await.expect("found");
    assert_eq!(session.account_from(), AccountFrom::Found);
    assert_eq!(world.state().cas["first"].spent, ["kid-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_contact_follows_the_configuration() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let ports = world.ports().session;
    drop(open(&world, &profile, &settings("old@example.com")).await);
    let new = settings("new@example.com");
    let session = open(&world, &profile, &new).await.expect("an account");
    assert_eq!(
        session.notes(),
        [
            "the account at first has the contact old@example.com, [account] email says \
          new@example.com: `waxwing account contact first`"
        ]
    );
    let changed = update_contact(&ports, &profile, &new, FIRST).await;
    let url = |name: &str| vec![format!("mailto:{name}@example.com")];
    let (from, to) = (url("old"), url("new"));
    assert_eq!(changed, Ok(ContactChange::Changed { from, to }));
    assert_eq!(
        world.state().cas["first"].contacts[&0],
        json!(["mailto:new@example.com"])
    );
    let session = open(&world, &profile, &new).await.expect("an account");
    assert_eq!(session.notes(), [""; 0]);
    let calls = world.state().trace.len();
    let again = update_contact(&ports, &profile, &new, FIRST).await;
    assert_eq!(again, Ok(ContactChange::Same));
    let asked = world.state().trace[calls..].join("\n");
    assert!(!asked.contains("https:"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_the_ca_did_not_take_is_not_noted() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    drop(open(&world, &profile, &settings("old@example.com")).await);
    world.state().always = Some(("/account/0", Fault::Fail));
    let new = settings("new@example.com");
    let refused = update_contact(&world.ports().session, &profile, &new, FIRST).await;
    assert!(matches!(refused, Err(AccountError::Failed(_))));
    assert_eq!(stored(&world, FIRST).contact, ["mailto:old@example.com"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollover_gives_the_account_another_key() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let settings = settings("ops@example.com");
    drop(open(&world, &profile, &settings).await);
    let before = stored(&world, FIRST).key;
    let done = roll_over(&world.ports().session, &profile, &settings, FIRST).await;
    assert_eq!(done, Ok(RolledOver::Now));
    let after = stored(&world, FIRST);
    assert_ne!(after.key, before);
    assert_eq!(after.next_key, None);
    let trace = world.state().trace.clone();
    let at = |what: &str| trace.iter().rposition(|call| call == what);
    let sent = at("POST https://first.example/key").expect("sent");
    assert_eq!(trace[sent - 2], "disk: write the account at first");
    // The new key is the one that is taken.
    let session = open(&world, &profile, &settings).await.expect("an account");
    assert_eq!(session.account(), "https://first.example/account/0");
    assert_eq!(world.state().cas["first"].accounts[0], session.jwk());
}

#[tokio::test(start_paused = true)]
async fn each_call_of_a_rollover_may_go_wrong_and_the_account_stays_usable() {
    let (settings, other) = (settings("ops@example.com"), settings("other@example.com"));
    let profile = profile("first");
    for fault in Fault::ALL {
        for nth in 0.. {
            let world = World::new(&["first"]);
            drop(open(&world, &profile, &settings).await);
            {
                let mut state = world.state();
                state.calls = 0;
                state.fault = Some((nth, fault));
            }
            let ports = world.ports().session;
            let rolled = roll_over(&ports, &profile, &settings, FIRST);
            let ended = world.live(rolled).await;
            let story = format!(
                "{fault:?} at {nth}: {ended:?}\n{}",
                world.state().trace.join("\n")
            );
            let reached = world.state().calls > nth;
            world.state().fault = None;
            world.state().disk.locks.clear();
            Clock::sleep(&world, Duration::from_secs(60)).await;
            let session = open(&world, &profile, &settings).await;
            let session = session.unwrap_or_else(|error| panic!("{error}\n{story}"));
            let ca_knows = world.state().cas["first"].accounts.clone();
            assert_eq!(ca_knows, [session.jwk()], "{story}");
            assert_eq!(stored(&world, FIRST).next_key, None, "{story}");
            let used = update_contact(&ports, &profile, &other, FIRST).await;
            assert!(used.is_ok(), "{used:?}\n{story}");
            if !reached {
                assert_eq!(ended, Some(Ok(RolledOver::Now)));
                assert!(nth > 5, "the calls are counted");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_key_change_that_cannot_be_asked_about_keeps_both_keys() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let settings = settings("ops@example.com");
    drop(open(&world, &profile, &settings).await);
    let ports = world.ports().session;
    {
        // The key change is done and its answer is lost; from then on nobody answers.
        let mut state = world.state();
        state.calls = 0;
        state.fault = Some((6, Fault::Lose));
        state.always = Some(("first.example/account", Fault::Fail));
    }
    let lost = roll_over(&ports, &profile, &settings, FIRST).await;
    let lost = lost.expect_err(&world.state().trace.join("\n"));
    assert!(
        matches!(lost, AccountError::KeyUnclear { .. }),
        "{lost:?}\n{}",
        world.state().trace.join("\n")
    );
    assert!(lines(&lost).contains("first.example/key"), "{lost:?}");
    assert!(stored(&world, FIRST).next_key.is_some());
    world.state().fault = None;
    world.state().always = None;
    let again = roll_over(&ports, &profile, &settings, FIRST).await;
    assert_eq!(again, Ok(RolledOver::Before));
    assert_eq!(stored(&world, FIRST).next_key, None);
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_cannot_change_keys_is_not_asked_to() {
    let world = World::new(&["first"]);
    let mut profile = profile("first");
    profile.quirks.key_change = false;
    let settings = settings("ops@example.com");
    drop(open(&world, &profile, &settings).await);
    let calls = world.state().trace.len();
    let refused = roll_over(&world.ports().session, &profile, &settings, FIRST).await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused, AccountError::NoKeyChange(profile.name.clone()));
    assert!(refused.hint().is_some_and(|hint| hint.contains("--yes")));
    assert_eq!(world.state().trace.len(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_brought_later_is_noticed_and_taken_by_a_rollover() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    drop(open(&world, &profile, &settings("ops@example.com")).await);
    let brought = bringing(&world, "77 account");
    let session = open(&world, &profile, &brought).await.expect("an account");
    assert_eq!(
        session.notes(),
        [
            "the account at first has another key than [account] key: `waxwing account rollover \
          first` changes to it"
        ]
    );
    let ports = world.ports().session;
    let done = roll_over(&ports, &profile, &brought, FIRST).await;
    assert_eq!(done, Ok(RolledOver::Now));
    assert_eq!(stored(&world, FIRST).key.expose(), "77 account");
    let record = stored(&world, FIRST);
    assert_eq!(differs(&ports, &profile, &record, &brought), []);
    let again = roll_over(&ports, &profile, &brought, FIRST).await;
    assert_eq!(again, Err(AccountError::KeyBrought(profile.name.clone())));

    let mut stiff = profile.clone();
    stiff.quirks.key_change = false;
    let other = bringing(&world, "78 account");
    let found = differs(&ports, &stiff, &record, &other);
    assert!(found[0].to_string().contains("deactivate first --yes"));
    world.state().secrets.clear();
    let found = differs(&ports, &profile, &record, &other);
    assert!(found[0].to_string().contains("is not known"), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_with_an_account_brings_its_contact_along() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let brought = bringing(&world, "77 account");
    drop(open(&world, &profile, &brought).await);
    world.state().disk.accounts.clear();
    let later = AccountSettings {
        email: Some("later@example.com".to_owned()),
        ..brought
    };
    let session = open(&world, &profile, &later).await.expect("found");
    assert_eq!(session.account_from(), AccountFrom::Found);
    assert_eq!(stored(&world, FIRST).contact, ["mailto:ops@example.com"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_given_up_is_followed_by_another_one() {
    let world = World::new(&["first"]);
    let profile = profile("first");
    let settings = settings("ops@example.com");
    drop(open(&world, &profile, &settings).await);
    let ports = world.ports().session;
    // The first answer is lost, so the second call finds it done.
    world.state().always = Some(("/account/0", Fault::Lose));
    assert!(deactivate(&ports, &profile, FIRST).await.is_err());
    world.state().always = None;
    let done = deactivate(&ports, &profile, FIRST).await;
    assert_eq!(done, Ok(Deactivated::Before));
    let none = deactivate(&ports, &profile, FIRST).await;
    assert!(matches!(none, Err(AccountError::None { .. })), "{none:?}");
    let session = open(&world, &profile, &settings).await.expect("a new one");
    assert_eq!(session.account(), "https://first.example/account/1");
    assert_eq!(stored(&world, FIRST).deactivated, None);
}
