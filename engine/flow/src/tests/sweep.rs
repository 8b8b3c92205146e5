//! Each call of a good run goes wrong in each way. Whatever happened, a few runs later there is one
//! certificate, installed, and nothing else is left anywhere.

use std::time::Duration;

use super::world::{Fault, Records, World, certificate, profile, settings};
use crate::ports::Clock;

const NAMES: [&str; 2] = ["*.shop.example", "shop.example"];

/// Runs until nothing is left to do; the traces of all runs.
async fn until_done(world: &World, cas: &[&str]) -> String {
    let certificate = certificate("shop", &NAMES, cas);
    let name = certificate.name.clone();
    let settings = settings(
        cas.iter().map(|ca| profile(ca)).collect(),
        vec![certificate],
    );
    let mut story = String::new();
    for _ in 0..6 {
        world.run(&settings).await;
        story.push_str(&world.state().trace.join("\n"));
        story.push_str("\n---\n");
        {
            let mut state = world.state();
            state.fault = None;
            state.always = None;
        }
        let done = {
            let state = world.state();
            let current = state.disk.current(&name);
            let wanted = current.map(|version| &version.facts.leaf_sha256);
            let marks = state.disk.marks.get(&name).map_or(0, Vec::len);
            wanted.is_some()
                && state.installed.leaves.get(&name) == wanted
                && marks == 1
                && state.disk.journals.is_empty()
        };
        if done {
            break;
        }
        Clock::sleep(world, Duration::from_secs(3600)).await;
    }
    story
}

fn foreign() -> Records {
    let value = |value: &str| ("_acme-challenge.shop.example".to_owned(), value.to_owned());
    Records::from([value("somebody else's"), value("and another")])
}

fn check(world: &World, most_orders: usize, story: &str) {
    let state = world.state();
    assert_eq!(state.disk.versions.len(), 1, "one certificate\n{story}");
    for (name, versions) in &state.disk.versions {
        assert_eq!(versions.len(), 1, "stored once\n{story}");
        let version = &versions[0];
        assert_eq!(
            version.key.expose(),
            &version.facts.public_key_sha256,
            "key\n{story}"
        );
        let leaf = Some(&version.facts.leaf_sha256);
        assert_eq!(state.installed.leaves.get(name), leaf, "installed\n{story}");
        assert_eq!(
            state.disk.marks.get(name).map(Vec::len),
            Some(1),
            "noted\n{story}"
        );
    }
    assert_eq!(state.dns.records, foreign(), "records\n{story}");
    assert!(state.disk.journals.is_empty(), "journal closed\n{story}");
    assert!(
        state.disk.pending.is_empty(),
        "no key of an open run\n{story}"
    );
    assert!(
        state.disk.locks.is_empty(),
        "locks {:?}\n{story}",
        state.disk.locks
    );
    for (name, ca) in &state.cas {
        assert!(ca.accounts.len() <= 1, "accounts at {name}\n{story}");
        let orders = ca.orders.len();
        assert!(
            orders <= most_orders,
            "{orders} orders at {name}, {most_orders} allowed\n{story}"
        );
    }
}

async fn sweep(cas: &[&str], first_is_down: bool) {
    let fresh = || {
        let world = World::new(cas);
        let mut state = world.state();
        state.dns.records = foreign();
        if first_is_down {
            state.cas.get_mut(cas[0]).expect("its name").down = true;
        }
        drop(state);
        world
    };
    let good = fresh();
    let story = until_done(&good, cas).await;
    check(&good, 1, &story);
    let calls = good.state().calls;
    assert!(calls > 40, "{calls} calls only:\n{story}");
    for fault in Fault::ALL {
        for nth in 0..calls {
            let world = fresh();
            world.state().fault = Some((nth, fault));
            let story = until_done(&world, cas).await;
            let story = format!("{fault:?} at call {nth} of {calls}\n{story}");
            check(&world, 2, &story);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_one_fault_ends_in_one_installed_certificate_and_no_remains() {
    sweep(&["first"], false).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_the_second_ca_after_the_first_is_down_does_no_harm_either() {
    sweep(&["first", "second"], true).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_with_a_second_ca_at_hand_does_no_harm_either() {
    sweep(&["first", "second"], false).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_broken_for_a_whole_run_does_no_harm() {
    let endpoints = [
        "directory",
        "/nonce",
        "/account",
        "example/order",
        "/order/0",
        "/authz/0/0",
        "/chall/0/1",
        "/finalize/0",
        "/cert/0",
    ];
    for end in endpoints {
        for fault in [Fault::Fail, Fault::Lose, Fault::Error500, Fault::Truncate] {
            let world = World::new(&["first"]);
            world.state().dns.records = foreign();
            world.state().always = Some((end, fault));
            let story = until_done(&world, &["first"]).await;
            // Two in the broken run, whose URLs nobody got to know, and the one that counts. And
            // this CA looks so late that the records of the broken run are gone by then.
            let most = if end == "example/order" { 3 } else { 2 };
            check(&world, most, &format!("{fault:?} at {end}\n{story}"));
        }
    }
}
