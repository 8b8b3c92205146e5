mod blind;
mod budgets;
mod by_hand;
mod cas;
mod in_use;
mod news;
mod notifiers;
mod revocations;
mod waits;

use std::time::Duration;

use waxwing_core::http::{Method, TransportError, TransportStage};
use waxwing_core::name::{Identifier, PluginName};
use waxwing_core::plan::{self, Asker, Circumstances};
use waxwing_core::retry::ladder::Failed;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Window;

use super::*;
use crate::certificate::{
    AttemptResult, CertificateFacts, InventoryVersion, LastAttempt, Origin, Replacing, ServedLeaf,
    ServedMark,
};
use crate::failure::{CaError, Failure};
use crate::history;
use crate::plugin::{PluginFailure, PluginFailureKind};
use crate::ports::{StoreErrorKind, UnseenError};
use crate::report::{
    CaFailure, CertificateReport, InstallOutcome, InstallReport, Outcome, RunReport, ServedReport,
};
use crate::tests::world::{certificate, profile, settings};

const DAY: Duration = Duration::from_secs(86_400);
const LIFE: u32 = 90;

fn start() -> Timestamp {
    Timestamp::from_unix(1_795_000_000)
}

fn name(text: &str) -> CertificateName {
    CertificateName::parse(text).expect("a literal name")
}

fn ca(text: &str) -> CaName {
    CaName::parse(text).expect("a literal name")
}

/// A machine with one certificate, issued at the beginning, and what it was told.
struct Machine {
    settings: Settings,
    told: Vec<Told>,
    issued: Timestamp,
    /// The current version.
    version: u32,
    /// How far the clock was ahead when it was issued.
    ahead: Duration,
    failures: u32,
    /// When all of them were, if not at the time of the run.
    failed_at: Option<Timestamp>,
    /// How many failed a day after it was issued, besides.
    failed_long_ago: u32,
    /// What the last run told.
    events: Vec<Event>,
    /// Who was new then, and what they were told.
    newcomers: Vec<(NotifierName, Vec<Event>)>,
    last: Option<LastAttempt>,
    served: Vec<ServedMark>,
    installed: Vec<crate::certificate::InstalledMark>,
    down_since: BTreeMap<CaName, Down>,
    fruitless: BTreeMap<CaName, Fruitless>,
    terms: Vec<NewTerms>,
    last_seen: Vec<Sighting>,
    replacing: Option<Replacing>,
    unrevoked: Option<history::Unrevoked>,
    /// Failures before a CA was asked.
    unasked: u32,
    /// When others were issued.
    also_issued: Vec<Timestamp>,
    /// What cannot be read, or cannot be right.
    unreadable: Vec<StoreError>,
    its_hour: bool,
    daemon: bool,
    blind: bool,
    damaged: bool,
    /// What has left for the same names.
    left: Option<Window>,
    suggestion: Option<waxwing_core::due::Suggestion>,
}

impl Machine {
    fn new() -> Self {
        let mut shop = certificate("shop", &["example.com"], &["first", "second"]);
        // Nothing was put anywhere.
        shop.install.clear();
        Self {
            settings: settings(vec![profile("first"), profile("second")], vec![shop]),
            told: Vec::new(),
            issued: start(),
            version: 1,
            ahead: Duration::ZERO,
            failures: 0,
            failed_at: None,
            failed_long_ago: 0,
            events: Vec::new(),
            newcomers: Vec::new(),
            last: None,
            served: Vec::new(),
            installed: Vec::new(),
            down_since: BTreeMap::new(),
            fruitless: BTreeMap::new(),
            terms: Vec::new(),
            last_seen: Vec::new(),
            replacing: None,
            unrevoked: None,
            unasked: 0,
            also_issued: Vec::new(),
            unreadable: Vec::new(),
            its_hour: false,
            daemon: false,
            blind: false,
            damaged: false,
            left: None,
            suggestion: None,
        }
    }

    fn shop(&mut self) -> &mut waxwing_core::settings::CertificateSettings {
        &mut self.settings.certificates[0]
    }

    fn fail(&mut self, failures: u32, class: &str) {
        self.failures = failures;
        self.last = (failures > 0).then(|| LastAttempt {
            replaces: false,
            at: self.failed_at.unwrap_or(self.issued),
            ca: Some(ca("first")),
            result: AttemptResult::Failed {
                class: class.to_owned(),
                causes: vec!["first refused".to_owned()],
            },
        });
    }

    fn renew(&mut self, day: f64) -> CertificateReport {
        self.issued = start() + DAY.mul_f64(day);
        self.fail(0, "");
        let outcome = Outcome::Issued {
            ca: ca("first"),
            fallback: false,
            version: Some(2),
            not_after: self.issued + DAY * LIFE,
            first: false,
        };
        report(outcome, Vec::new())
    }

    /// What is stored.
    fn entry(&self) -> InventoryEntry {
        let life = Window {
            start: self.issued,
            end: self.issued + DAY * LIFE,
        };
        let mut entry = InventoryEntry {
            in_place: self.left.or(self.damaged.then_some(life)),
            damage: None,
            certificate: name("shop"),
            current: Some(InventoryVersion {
                version: self.version,
                facts: CertificateFacts {
                    names: vec![Identifier::parse("example.com").expect("a literal name")],
                    serial: vec![1],
                    authority_key_id: self.suggestion.map(|_| vec![1]),
                    not_before: self.issued,
                    not_after: self.issued + DAY * LIFE,
                    leaf_sha256: "00".to_owned(),
                    leaf_sha1: "00".to_owned(),
                    public_key_sha256: "00".to_owned(),
                    key_type: None,
                    issuers: Vec::new(),
                },
                origin: Origin {
                    ca: ca("first"),
                    account: String::new(),
                    issued_at: self.issued + self.ahead,
                    fallback: false,
                    staging: false,
                },
                revoked: None,
            }),
            installed: self.installed.clone(),
            last: self.last.clone(),
            served: self.served.clone(),
            replacing: self.replacing.clone(),
            unfinished: false,
            owes: false,
            finalized: None,
        };
        entry.current = entry.current.filter(|current| current.version > 0);
        entry
    }

    /// What is told at the end of a run on that day, as `kind change`, and with it counts as told.
    fn run(&mut self, day: f64, report: &RunReport) -> Vec<String> {
        let now = start() + DAY.mul_f64(day);
        let entry = self.entry();
        let failed_at = (0..self.failed_long_ago)
            .map(|_| self.issued + DAY)
            .chain((0..self.failures).map(|_| self.failed_at.unwrap_or(now)));
        let failed = failed_at.map(|at| Failed {
            limited: false,
            rehearsed: false,
            ca: ca("first"),
            at,
            theirs: true,
            rejected: false,
            firm: false,
            local: false,
            until: None,
        });
        let about = entry.current.as_ref().and_then(|it| it.facts.ari_id());
        let past = Past {
            advice: about.map(|about| history::Advice {
                about: about.to_string(),
                suggestion: self.suggestion,
                explanation: None,
                next: now,
                failures: 0,
                cause: None,
            }),
            failed: failed.collect(),
            unrevoked: self.unrevoked.clone(),
            issued: self.also_issued.clone(),
            unasked: self.unasked,
            ..Past::default()
        };
        let stored = [history::stored(&entry, &past)];
        let plan = plan::plan(
            &self.settings,
            &stored,
            &Circumstances {
                digests: &BTreeMap::new(),
                down_since: &self.down_since,
                reached: &[],
                spent: &BTreeMap::new(),
                forbidden: &BTreeMap::new(),
                asker: Asker::Timer,
                now,
            },
        );
        let nothing_planned = Plan { items: Vec::new() };
        let scene = Scene {
            settings: &self.settings,
            report,
            plan: if self.blind { &nothing_planned } else { &plan },
            inventory: &BTreeMap::from([(name("shop"), entry)]),
            pasts: &BTreeMap::from([(name("shop"), past)]),
            down_since: &self.down_since,
            fruitless: &self.fruitless,
            terms: &self.terms,
            last_seen: &self.last_seen,
            budgets: &[],
            unreadable: &self.unreadable,
            places: [Path::new("/state"), Path::new("/etc/waxwing/waxwing.toml")],
            daemon: self.daemon,
            blind: self.blind,
            well: true,
            now,
        };
        let tale = tell(&self.told, &scene);
        self.its_hour = unkept::is_its_hour(&tale.events, &scene);
        let new = tale.newcomers.iter();
        self.newcomers = new.map(|name| (name.clone(), tale.told_to(name))).collect();
        self.told
            .retain(|told| !tale.over.contains(&(told.subject.clone(), told.kind)));
        for told in tale.told {
            self.told
                .retain(|old| (old.kind, &old.subject) != (told.kind, &told.subject));
            self.told.push(told);
        }
        self.events = tale.events;
        let all = self.events.iter();
        all.map(|event| {
            let change = serde_json::to_value(event.change).expect("JSON");
            format!("{} {}", event.kind, change.as_str().unwrap_or_default())
        })
        .collect()
    }
}

fn report(outcome: Outcome, failures: Vec<CaFailure>) -> CertificateReport {
    CertificateReport {
        certificate: name("shop"),
        started: start(),
        ended: start(),
        outcome,
        milestones: Vec::new(),
        failures,
        asked: false,
        stands_in: None,
        replaces: false,
        next_try: None,
        owed: Vec::new(),
        notes: Vec::new(),
    }
}

fn run_of(certificates: Vec<CertificateReport>) -> RunReport {
    RunReport {
        id: "1-1".to_owned(),
        started: start(),
        ended: start(),
        certificates,
        left_over: Vec::new(),
        put_back: Vec::new(),
        installs: Vec::new(),
        served: Vec::new(),
        replaced: Vec::new(),
        audit: Vec::new(),
        requests: BTreeMap::new(),
        accounts: Vec::new(),
        stopped: false,
    }
}

fn idle() -> RunReport {
    run_of(Vec::new())
}

fn silent() -> Failure {
    let url = "https://first.example/directory";
    let error = TransportError {
        stage: TransportStage::Connect,
        method: Method::Get,
        url: url.to_owned(),
        address: None,
        elapsed: Duration::from_millis(7),
        causes: vec!["refused".to_owned()],
    };
    Failure::Directory {
        ca: ca("first"),
        tried: vec![(url.to_owned(), CaError::Transport(error))],
    }
}

#[test]
fn a_failing_renewal_is_told_once_for_each_step_until_it_is_good_again() {
    let mut machine = Machine::new();
    // Day, failures so far, what is told. The safe floor of 90 days is at day 75.
    let table: &[(f64, u32, &[&str])] = &[
        (10.0, 0, &[]),
        (56.0, 1, &["failed began"]),
        (56.1, 1, &[]),
        (57.0, 2, &[]),
        (58.0, 3, &["failed worse"]),
        (60.5, 6, &["expiry-near began"]),
        (74.0, 20, &[]),
        (75.5, 21, &[]),
        (76.5, 22, &["expiry-near worse"]),
        (83.5, 29, &["expiry-near worse"]),
        (87.5, 33, &["expiry-near worse"]),
        (89.5, 35, &["expiry-near worse"]),
        (90.5, 36, &["expiry-near worse"]),
        (120.0, 66, &[]),
    ];
    for (day, failures, want) in table {
        machine.fail(*failures, "transient");
        assert_eq!(machine.run(*day, &idle()), *want, "day {day}");
    }
    let renewed = machine.renew(121.0);
    let told = machine.run(121.0, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over", "expiry-near over"]);
    assert_eq!(machine.run(122.0, &idle()), [""; 0]);
    assert_eq!(machine.told, []);
}

#[test]
fn what_fails_is_told_though_the_disk_keeps_nothing_of_it() {
    let full = StoreError {
        kind: StoreErrorKind::NoSpace,
        act: "write",
        path: "/state/journal/shop.toml".into(),
        causes: vec!["no space left on device".to_owned()],
        hint: None,
    };
    let failed = || {
        let outcome = Outcome::Failed(Some(Failure::Store(full.clone())));
        run_of(vec![report(outcome, Vec::new())])
    };
    let mut machine = Machine::new();
    // The last thing that could be written down is the renewal two months ago.
    machine.last = Some(LastAttempt {
        replaces: false,
        at: machine.issued,
        ca: Some(ca("first")),
        result: AttemptResult::Renewed,
    });
    assert_eq!(machine.run(55.1, &failed()), ["failed began"]);
    assert_eq!(machine.run(55.2, &failed()), [""; 0]);
    // It lasts, and nobody counts.
    assert_eq!(machine.run(57.2, &failed()), ["failed worse"]);
    assert_eq!(machine.run(59.0, &failed()), [""; 0]);
    assert_eq!(machine.run(60.1, &failed()), ["expiry-near began"]);
    let renewed = machine.renew(61.0);
    let told = machine.run(61.0, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over", "expiry-near over"]);
}

#[test]
fn a_certificate_that_nobody_tries_to_renew_is_told_as_it_ends() {
    let mut machine = Machine::new();
    // The machine was off until then.
    assert_eq!(machine.run(88.0, &idle()), ["expiry-near began"]);
    assert_eq!(machine.run(95.0, &idle()), ["expiry-near worse"]);
    assert_eq!(machine.told[0].step, 255);
    // Out of the configuration: it is no matter any more, and whoever keeps a list has to close it.
    machine.settings.certificates.clear();
    assert_eq!(machine.run(96.0, &idle()), ["expiry-near over"]);
    assert_eq!(machine.events[0].causes, ["it is not configured any more"]);
    assert_eq!(machine.told, []);
}

#[test]
fn of_a_certificate_that_ends_the_tries_are_counted_that_were_about_this_end() {
    let mut machine = Machine::new();
    machine.failed_long_ago = 7;
    let count = |machine: &Machine| {
        let mut events = machine.events.iter();
        let event = events.find(|event| event.kind == EventKind::ExpiryNear);
        event.map(|event| event.count)
    };
    assert_eq!(machine.run(75.5, &idle()), ["expiry-near began"]);
    assert_eq!(count(&machine), Some(Some(0)), "nobody has tried since");
    machine.fail(2, "transient");
    let told = machine.run(88.0, &idle());
    assert_eq!(told, ["expiry-near worse", "failed began"]);
    assert_eq!(count(&machine), Some(Some(2)));
}

#[test]
fn to_wait_for_a_ca_is_no_failure_until_it_has_become_many() {
    let mut machine = Machine::new();
    machine.fail(1, "rate-limited");
    assert_eq!(machine.run(56.0, &idle()), [""; 0]);
    machine.fail(3, "rate-limited");
    assert_eq!(machine.run(57.0, &idle()), ["failed began"]);
    // Busy in another run: nobody knows yet how it ends.
    machine.fail(0, "");
    let stopped = report(Outcome::Failed(Some(Failure::Stopped)), Vec::new());
    assert_eq!(machine.run(57.1, &run_of(vec![stopped])), [""; 0]);
    // An order that was taken back hides how it went before.
    assert_eq!(machine.run(57.2, &idle()), [""; 0]);
    let renewed = machine.renew(57.3);
    let told = machine.run(57.3, &run_of(vec![renewed]));
    assert_eq!(told, ["renewed once", "failed over"]);
}

#[test]
fn an_installer_that_fails_is_told_and_so_is_a_plugin_that_was_denied() {
    let mut machine = Machine::new();
    machine.shop().install = vec![PluginName::parse("files").expect("a literal name")];
    let failure = |kind| PluginFailure {
        plugin: PluginName::parse("files").expect("a literal name"),
        call: "install".to_owned(),
        kind,
        code: "x".to_owned(),
        message: "no".to_owned(),
        hint: None,
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: Vec::new(),
    };
    let install = |outcome| {
        let mut run = idle();
        run.installs.push(InstallReport {
            plugin: PluginName::parse("files").expect("a literal name"),
            certificates: vec![name("shop")],
            started: start(),
            took: DAY,
            steps: Vec::new(),
            stages: Vec::new(),
            outcome,
        });
        run
    };
    let failed = |kind| {
        install(InstallOutcome::Failed(Failure::Plugins(vec![failure(
            kind,
        )])))
    };
    let permanent = failed(PluginFailureKind::Permanent);
    // Somebody knows that, and the next run does it.
    let stopped = install(InstallOutcome::Failed(Failure::Stopped));
    assert_eq!(machine.run(0.9, &stopped), [""; 0]);
    assert_eq!(machine.run(1.0, &permanent), ["not-installed began"]);
    assert_eq!(machine.run(1.05, &stopped), [""; 0]);
    assert_eq!(machine.run(1.1, &permanent), [""; 0]);
    // A run that did not come so far: it is still not installed.
    assert_eq!(machine.run(1.2, &idle()), [""; 0]);
    machine.shop().install.clear();
    assert_eq!(machine.run(1.3, &idle()), ["not-installed over"]);
    let denied = failed(PluginFailureKind::Denied);
    let told = machine.run(2.0, &denied);
    assert_eq!(told, ["plugin-denied began", "not-installed began"]);
    assert_eq!(machine.run(2.1, &denied), [""; 0]);
}

#[test]
fn what_is_served_is_told_by_looks_at_what_is_current() {
    let mut machine = Machine::new();
    machine.shop().install.clear();
    machine.shop().served_at = ["a.example:443", "b.example:443"]
        .map(|place| ServedAt::parse(place).expect("a literal place"))
        .to_vec();
    let mark = |place: &str, day: f64, sha256: &str| ServedMark {
        place: place.to_owned(),
        at: start() + DAY.mul_f64(day),
        seen: Ok(ServedLeaf {
            sha256: sha256.to_owned(),
            not_after: None,
        }),
    };
    assert_eq!(machine.run(1.0, &idle()), [""; 0], "nobody has looked");
    let of_the_old_one = |place: &str| ServedMark {
        at: start() - DAY,
        ..mark(place, 0.0, "99")
    };
    machine.served = ["a.example:443", "b.example:443"]
        .map(of_the_old_one)
        .to_vec();
    assert_eq!(
        machine.run(1.0, &idle()),
        [""; 0],
        "nobody has looked since"
    );
    machine.served = vec![
        mark("a.example:443", 1.0, "99"),
        mark("b.example:443", 1.0, "00"),
    ];
    assert_eq!(machine.run(1.0, &idle()), ["not-served began"]);
    assert_eq!(machine.run(1.1, &idle()), [""; 0]);
    machine.served[1] = mark("b.example:443", 1.2, "99");
    assert_eq!(machine.run(1.2, &idle()), ["not-served worse"]);
    // A new one is there, and nobody has looked for it yet.
    machine.issued = start() + DAY * 2;
    assert_eq!(machine.run(2.0, &idle()), [""; 0]);
    machine.served = vec![
        mark("a.example:443", 2.1, "00"),
        mark("b.example:443", 2.1, "00"),
    ];
    assert_eq!(machine.run(2.1, &idle()), ["not-served over"]);
    // What this run sees counts, though it could not be written down.
    let place = machine.shop().served_at[1].clone();
    let mut run = idle();
    run.served.push(ServedReport {
        certificate: name("shop"),
        place,
        current: false,
        seen: Err(UnseenError { causes: Vec::new() }),
        at: start() + DAY * 3,
        took: Duration::ZERO,
    });
    assert_eq!(machine.run(3.0, &run), ["not-served began"]);
    // The clock was years ahead when it was issued.
    machine.told.clear();
    machine.ahead = DAY * 3_000;
    machine.served[1] = mark("b.example:443", 4.0, "99");
    assert_eq!(machine.run(4.0, &idle()), ["not-served began"]);
}
