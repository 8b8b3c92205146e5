//! Each call of a good run goes wrong in each way. Whatever happened, a few runs later there is one
//! certificate, installed, and nothing else is left anywhere.

use std::time::Duration;

use waxwing_core::ca::EabSource;
use waxwing_core::settings::{SecretRef, Settings};

use super::world::{Fault, Records, World, certificate, profile, settings};
use crate::certificate::AttemptResult;
use crate::driver::Stop;
use crate::history::ClosedResult;
use crate::ports::Clock;
use crate::report::{InstallOutcome, Outcome, RunReport};
use crate::scheduler::{Force, Job};

const NAMES: [&str; 2] = ["*.shop.example", "shop.example"];

/// What the credentials of the accounts are, which nobody may repeat.
const SECRET: &str = "c2VjcmV0";

/// What is tried.
#[derive(Clone, Copy)]
struct Sweep<'a> {
    cas: &'a [&'a str],
    /// The version that is needed in the end: 1, or 2 for a renewal.
    wanted: u32,
    first_is_down: bool,
}

impl Sweep<'_> {
    fn settings(&self) -> Settings {
        let secret = |name: &&str| {
            let mut profile = profile(name);
            profile.eab.required = true;
            profile.eab.source = EabSource::Given {
                key_id: format!("kid at {name}"),
                hmac_key: SecretRef::Env("HMAC".to_owned()),
            };
            profile
        };
        let profiles = self.cas.iter().map(secret).collect();
        settings(profiles, vec![certificate("shop", &NAMES, self.cas)])
    }

    /// A world as it is before the run that is counted.
    async fn world(&self) -> World {
        let world = World::new(self.cas);
        {
            let mut state = world.state();
            state.dns.records = foreign();
            let secret = ("HMAC".to_owned(), SECRET.to_owned());
            state.secrets.extend([secret]);
            for ca in state.cas.values_mut() {
                ca.wants_credentials = true;
            }
        }
        for version in 1..self.wanted {
            self.run(&world, version).await;
        }
        let first = self.cas[0];
        world.state().cas.get_mut(first).expect("its name").down = self.first_is_down;
        world
    }

    /// One run, if anything is left to do for that version.
    async fn run(&self, world: &World, wanted: u32) {
        let settings = self.settings();
        let certificate = &settings.certificates[0];
        let before = {
            let mut state = world.state();
            state.progress.clear();
            state.disk.current(&certificate.name).cloned()
        };
        let seen = before.as_ref().map(|version| version.version);
        let job = Job {
            certificate: certificate.clone(),
            seen,
            force: Force::NotDue,
        };
        let jobs = if seen < Some(wanted) {
            vec![job]
        } else {
            Vec::new()
        };
        let report = world.run_with(&settings, jobs, false, Stop::new().1).await;
        let state = world.state();
        let story = state.trace.join("\n");
        // Whatever happened, something that works is served, whole.
        let served = state.installed.leaves.get(&certificate.name);
        let versions = state.disk.versions.get(&certificate.name);
        let known = |leaf: &String| {
            let all = versions.into_iter().flatten();
            all.into_iter()
                .any(|version| version.facts.leaf_sha256 == *leaf)
        };
        assert!(served.is_none_or(known), "served\n{story}");
        assert!(
            before.is_none() || served.is_some(),
            "still served\n{story}"
        );
        for journal in state.disk.journals.values() {
            assert!(!journal.contains(SECRET), "{journal}\n{story}");
        }
        for attempt in &state.memory.attempts {
            if let ClosedResult::Failed { causes, .. } = &attempt.result {
                assert!(!causes.is_empty(), "{attempt:?}\n{story}");
            }
            assert!(!format!("{attempt:?}").contains(SECRET), "{attempt:?}");
        }
        if let Some(report) = report {
            told(&report, &story);
        }
    }

    /// Runs until nothing is left to do; the traces of all runs.
    async fn until_done(&self, world: &World) -> String {
        let name = self.settings().certificates[0].name.clone();
        let mut story = String::new();
        for _ in 0..6 {
            self.run(world, self.wanted).await;
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
                let leaf = current.map(|version| &version.facts.leaf_sha256);
                let marks = state.disk.marks.get(&name).into_iter().flatten();
                let noted = marks.map(|mark| mark.version).collect::<Vec<_>>();
                current.map(|version| version.version) == Some(self.wanted)
                    && state.installed.leaves.get(&name) == leaf
                    && noted == [self.wanted]
                    && state.disk.journals.is_empty()
            };
            if done {
                break;
            }
            Clock::sleep(world, Duration::from_secs(3600)).await;
        }
        story
    }
}

/// What went wrong is told with its causes, and no secret is.
fn told(report: &RunReport, story: &str) {
    assert!(!format!("{report:?}").contains(SECRET), "a secret\n{story}");
    for one in &report.certificates {
        for at in &one.failures {
            assert!(!at.failure.lines().is_empty(), "{at:?}\n{story}");
        }
        match &one.outcome {
            Outcome::Failed(Some(failure)) => {
                let causes = failure.lines().join(": ");
                let root = causes.contains("simulated") || failure.lines().len() > 1;
                assert!(root, "{failure:?}\n{story}");
            }
            Outcome::Failed(None) => {
                assert!(!one.failures.is_empty(), "{one:?}\n{story}");
            }
            _ => {}
        }
    }
    for install in &report.installs {
        if let InstallOutcome::Failed(failure) = &install.outcome {
            assert!(!failure.lines().is_empty(), "{install:?}\n{story}");
        }
    }
}

fn foreign() -> Records {
    let value = |value: &str| ("_acme-challenge.shop.example".to_owned(), value.to_owned());
    Records::from([value("somebody else's"), value("and another")])
}

fn check(world: &World, wanted: u32, most_orders: usize, story: &str) {
    let state = world.state();
    assert_eq!(state.disk.versions.len(), 1, "one certificate\n{story}");
    for (name, versions) in &state.disk.versions {
        let numbers: Vec<u32> = versions.iter().map(|version| version.version).collect();
        assert_eq!(
            numbers,
            (1..=wanted).collect::<Vec<_>>(),
            "stored once\n{story}"
        );
        let version = versions.last().expect("there is one");
        assert_eq!(
            version.key.expose(),
            &version.facts.public_key_sha256,
            "key\n{story}"
        );
        let leaf = Some(&version.facts.leaf_sha256);
        assert_eq!(state.installed.leaves.get(name), leaf, "installed\n{story}");
        let marks = state.disk.marks.get(name).into_iter().flatten();
        let marks: Vec<u32> = marks.map(|mark| mark.version).collect();
        assert_eq!(marks, [wanted], "noted\n{story}");
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
    // What is stored is known to have been issued, once: ladders and budgets hang on it.
    let attempts = state.memory.attempts.iter();
    let noted = attempts.filter_map(|attempt| match attempt.result {
        ClosedResult::Issued { version } => Some(version),
        _ => None,
    });
    let noted: Vec<u32> = noted.collect();
    let all: Vec<u32> = (1..=wanted).collect();
    assert_eq!(noted, all, "noted as issued\n{story}");
    for (name, last) in &state.disk.last {
        let good = !matches!(last.result, AttemptResult::Failed { .. });
        assert!(good, "{name} {last:?}\n{story}");
    }
    // The CAs' own ledger: one certificate for each need, whatever was lost on the way.
    let issued: usize = state.cas.values().map(|ca| ca.issued).sum();
    assert_eq!(issued, wanted as usize, "certificates issued\n{story}");
    for (name, ca) in &state.cas {
        assert!(ca.accounts.len() <= 1, "accounts at {name}\n{story}");
        let orders = ca.orders.len();
        assert!(
            orders <= most_orders,
            "{orders} orders at {name}, {most_orders} allowed\n{story}"
        );
    }
}

async fn sweep(sweep: Sweep<'_>) {
    let before = sweep.wanted as usize - 1;
    let good = sweep.world().await;
    let story = sweep.until_done(&good).await;
    check(&good, sweep.wanted, before + 1, &story);
    let calls = good.state().calls;
    assert!(calls > 40, "{calls} calls only:\n{story}");
    for fault in Fault::ALL {
        for nth in 0..calls {
            let world = sweep.world().await;
            world.state().fault = Some((nth, fault));
            let story = sweep.until_done(&world).await;
            let story = format!("{fault:?} at call {nth} of {calls}\n{story}");
            check(&world, sweep.wanted, before + 2, &story);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_one_fault_ends_in_one_installed_certificate_and_no_remains() {
    sweep(Sweep {
        cas: &["first"],
        wanted: 1,
        first_is_down: false,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn any_one_fault_of_a_renewal_leaves_the_old_certificate_until_the_new_one_is_in_place() {
    sweep(Sweep {
        cas: &["first"],
        wanted: 2,
        first_is_down: false,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_the_second_ca_after_the_first_is_down_does_no_harm_either() {
    sweep(Sweep {
        cas: &["first", "second"],
        wanted: 1,
        first_is_down: true,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_with_a_second_ca_at_hand_does_no_harm_either() {
    sweep(Sweep {
        cas: &["first", "second"],
        wanted: 1,
        first_is_down: false,
    })
    .await;
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
            let sweep = Sweep {
                cas: &["first"],
                wanted: 1,
                first_is_down: false,
            };
            let world = sweep.world().await;
            world.state().always = Some((end, fault));
            let story = sweep.until_done(&world).await;
            // Two in the broken run, whose URLs nobody got to know, and the one that counts. And
            // this CA looks so late that the records of the broken run are gone by then.
            let most = if end == "example/order" { 3 } else { 2 };
            check(&world, 1, most, &format!("{fault:?} at {end}\n{story}"));
        }
    }
}
