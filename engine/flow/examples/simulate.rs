//! How long it takes to let years go by for a fleet: `cargo run -p waxwing-flow --release --example
//! simulate -- [CERTIFICATES] [DAYS] [SEED]`.
//!
//! The fleet is at the CAs that are asked by default, so that their limits count; trouble is drawn.

#![expect(
    clippy::disallowed_methods,
    reason = "it measures this process in real time"
)]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use waxwing_core::ca::choose::FailOver;
use waxwing_core::disturbance;
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::profiles;
use waxwing_core::settings::{
    AccountSettings, CertificateSettings, DaysAfterIssue, NetworkSettings, Propagation, Settings,
    StateSettings,
};
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::simulate::{Scenario, fleet, simulate};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().ok());
    let mut argument = |otherwise: u32| arguments.next().flatten().unwrap_or(otherwise);
    let (size, days, seed) = (argument(10_000), argument(730), argument(1));
    let mut settings = settings();
    let cas = settings.used_cas();
    let start = Timestamp::from_unix(1_796_083_200);
    let window = Window {
        start,
        end: start + DAY * days,
    };
    let mut scenario = Scenario {
        window,
        every: HOUR,
        seed: seed.into(),
        disturbances: disturbance::random(&cas, window, seed.into()),
        crash_rate: 0.001,
        lives: BTreeMap::new(),
        ages: BTreeMap::new(),
    };
    let lives = [DAY * 90, DAY * 64, DAY * 45, HOUR * 160];
    fleet(&mut settings, &mut scenario, size, &lives);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers");
    let begun = Instant::now();
    let story = runtime.block_on(simulate(&settings, &scenario));
    let took = begun.elapsed();
    println!(
        "{size} certificates, {days} days, seed {seed}: {:.1} s, {} MB at the most",
        took.as_secs_f64(),
        peak() / 1_000_000
    );
    println!(
        "{} issued ({} by a fallback), {} attempts failed, {} told, {} ran out, {} promises broken, \
         {} runs, {:.1} requests for each certificate and year",
        story.all_issued(),
        story.by_fallback(),
        story.failures.values().sum::<u64>(),
        story.alerts.len(),
        story.expired.len(),
        story.broken_promises(),
        story.runs,
        story.requests_a_year()
    );
}

/// One certificate at the CAs that are asked by default.
fn settings() -> Settings {
    let cas: BTreeMap<CaName, _> = profiles::shipped();
    let mut ranked: Vec<_> = cas
        .values()
        .filter_map(|ca| Some((ca.default_rank?, ca)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let list = ranked.iter().map(|(_, ca)| ca.name.clone()).collect();
    let certificate = CertificateSettings {
        name: CertificateName::parse("shop").expect("a literal name"),
        domains: vec![Identifier::parse("shop.example").expect("a literal name")],
        cas: list,
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: Vec::new(),
        install: Vec::new(),
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
        calendar: std::sync::Arc::default(),
    };
    Settings {
        account: AccountSettings {
            email: None,
            agree_terms: true,
            key: None,
        },
        state: StateSettings {
            dir: None,
            keep_versions: 3,
        },
        network: NetworkSettings {
            proxy: None,
            resolvers: Vec::new(),
            authoritative_port: 53,
            propagation: Propagation::Authoritative,
            trust: None,
        },
        failover: FailOver::default(),
        notify: BTreeMap::new(),
        log: waxwing_core::settings::LogSettings::default(),
        metrics: waxwing_core::settings::MetricsSettings::default(),
        cas,
        plugins: BTreeMap::new(),
        certificates: vec![certificate],
        files: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The highest resident set so far, in bytes; 0 where the system does not say.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
