//! Ten thousand certificates in one state folder without ten thousand orders: the program issues and
//! installs one, the others are copies of it under other names, with the line in the history and the
//! advice that each of them would have.

use std::fs;
use std::path::Path;
use std::time::Duration;

use waxwing_core::due::Suggestion;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::certificate::InventoryVersion;
use waxwing_flow::history::{Advice, ClosedAttempt, ClosedResult};
use waxwing_flow::ports::{CertificateStore as _, Clock as _, History as _};
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;
use waxwing_world::ca;
use waxwing_world::dns_made_easy::{self, Api};

use crate::measure::{Row, Runs, mib, shown};
use crate::rig::{Judge, Rig, certificate};

/// How many.
pub(crate) const CERTIFICATES: usize = 10_000;
/// How often a verb that looks at them is run.
const RUNS: usize = 5;

/// What CAs that give advice ask for.
const NEXT_ADVICE: Duration = Duration::from_secs(6 * 60 * 60);

/// None of them is asked for while the short figures are taken.
const QUIET: Duration = Duration::from_secs(5 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A state folder with all of them, and the world that they came from.
pub(crate) struct Fleet {
    pub(crate) rig: Rig,
    pub(crate) judge: Judge,
}

impl Fleet {
    /// Makes it: all of them are stored, installed, and not due.
    pub(crate) fn new() -> Self {
        let mut rig = Rig::new();
        let options = dns_made_easy::Options {
            zones: vec!["example.com".to_owned()],
            limit: usize::MAX,
            ..dns_made_easy::Options::default()
        };
        rig.provider = Api::start(&rig.world, options).expect("the provider starts");
        let judge = rig.ca(ca::Options::default());
        let fleet = Self { rig, judge };
        fleet.configure(1, "dns");
        Runs::default().run(&mut fleet.rig.command(&["renew"]));
        let store = FileStore::look(&fleet.rig.path("state")).expect("a state folder");
        let seed = store.entry(&name(0)).expect("readable").expect("stored");
        fleet.multiply(&seed.current.expect("issued"));
        fleet.configure(CERTIFICATES, "dns");
        fleet
    }

    /// Writes a configuration with so many certificates, whose DNS plugin has this name: the rate that
    /// its provider allows is kept for each name.
    pub(crate) fn configure(&self, certificates: usize, plugin: &str) {
        let section = format!("[plugin.{plugin}]\nuses = \"dns-made-easy\"");
        let config = self.rig.config_at(&self.judge, "");
        let mut config = config.replace("[plugin.dns-made-easy]", &section);
        config += &self.rig.installer("");
        for nth in 0..certificates {
            config += &certificate(name(nth).as_str(), &[&domain(nth)]);
        }
        self.rig.write_config(&config);
    }

    /// Takes away what it has made. The look for secrets at the end of a world would compare each of ten
    /// thousand keys with all files.
    pub(crate) fn end(self) {
        for below in ["state", "tls"] {
            fs::remove_dir_all(self.rig.path(below)).expect("it was there");
        }
    }

    fn multiply(&self, seed: &InventoryVersion) {
        let state = self.rig.path("state");
        let from = state.join("certificates").join(name(0).as_str());
        let history = SqliteHistory::open(&state).expect("a history");
        let now = SystemClock.now();
        let about = seed.facts.ari_id().expect("it names its authority's key");
        for nth in 1..CERTIFICATES {
            let name = name(nth);
            copy(&from, &state.join("certificates").join(name.as_str()), nth);
            history
                .record(&attempt(&name, &seed.origin.ca, now))
                .expect("a line of the history");
            let part = u32::try_from(nth).unwrap_or(u32::MAX);
            let all = u32::try_from(CERTIFICATES).unwrap_or(u32::MAX);
            let next = now + QUIET + NEXT_ADVICE * part / all;
            let advice = advice(about.clone(), seed.facts.not_after, next);
            history.save_advice(&name, &advice).expect("advice");
        }
    }
}

/// The figures of verbs that look at all of them.
pub(crate) fn rows(fleet: &Fleet) -> Vec<Row> {
    let mut rows = Vec::new();
    for (verb, wall, peak) in [("plan", "1 s", "100 MB"), ("status", "", "")] {
        let mut runs = Runs::default();
        for _ in 0..RUNS {
            runs.run(&mut fleet.rig.command(&[verb]));
        }
        rows.extend([
            Row::new(
                format!("{verb}, {CERTIFICATES} certificates, wall"),
                shown(runs.wall()),
            )
            .target(wall),
            Row::new("- CPU", shown(runs.cpu())),
            Row::new("- peak memory", mib(runs.peak())).target(peak),
        ]);
    }
    rows
}

fn name(nth: usize) -> CertificateName {
    CertificateName::parse(&format!("c{nth}")).expect("a name")
}

fn domain(nth: usize) -> String {
    format!("c{nth}.example.com")
}

/// As the run would have noted it that has issued it.
fn attempt(name: &CertificateName, ca: &CaName, now: Timestamp) -> ClosedAttempt {
    ClosedAttempt {
        run: "0123456789-abcdef".to_owned(),
        certificate: name.clone(),
        ca: ca.clone(),
        stands_in: None,
        started: now,
        ended: now,
        requests: 9,
        result: ClosedResult::Issued { version: 1 },
    }
}

/// Early enough.
fn advice(about: String, not_after: Timestamp, next: Timestamp) -> Advice {
    let window = Window {
        start: not_after - DAY * 30,
        end: not_after - DAY * 28,
    };
    Advice {
        about,
        suggestion: Some(Suggestion {
            window,
            chosen: window.start,
        }),
        explanation: None,
        next,
        failures: 0,
        cause: None,
    }
}

fn copy(from: &Path, to: &Path, nth: usize) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, nth);
        } else if target.extension().is_some_and(|kind| kind == "toml") {
            let text = fs::read_to_string(entry.path()).expect("text");
            let text = text.replace(&domain(0), &domain(nth));
            fs::write(&target, text).expect("written");
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}
