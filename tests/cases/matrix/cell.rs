//! One square of the matrix, played: a CA with a fault, runs at the stated times, and the CA's own
//! ledger as the judge of what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::plan::Asker;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::advice;
use waxwing_flow::audit::AuditTrail;
use waxwing_flow::driver::{Ports, Stop};
use waxwing_flow::failure::Failure;
use waxwing_flow::history::{Chronicle, Past};
use waxwing_flow::ports::{Clock as _, History as _};
use waxwing_flow::report::{CertificateReport, Outcome};
use waxwing_flow::revoke::{self, How};
use waxwing_flow::scheduler::{self, Force, Job, Orders};
use waxwing_flow::session::SessionPorts;
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_io::http::HttpSender;
use waxwing_io::keys::LocalKeys;
use waxwing_io::store::FileStore;
use waxwing_world::World;
use waxwing_world::fault::Fault;

use super::judge::{Office, at_work};
use super::plan::{Cell, Course, Endpoint, Ill};
use super::ports::{Leaps, Line, Middle, Nothing, Records, Trouble, stuck};

/// Nothing but a run may take longer in real time.
const HANG: Duration = Duration::from_secs(60);

/// Runs that are made while a fault lasts for ever.
const TRIES: usize = 3;

/// More requests than any run needs, whatever happens.
const MOST_REQUESTS: usize = 80;

/// The same where every nonce is refused: one row of 20 with a new nonce for each, however many requests
/// are made side by side, and what comes before and behind it.
const MOST_FOR_NONCES: usize = 60;

/// What all cells of one thread share.
pub(super) struct Stage<'a> {
    pub(super) world: &'a World,
    /// Settings with the CAs `first` and `spare` and one certificate.
    pub(super) settings: &'a Settings,
    pub(super) sender: HttpSender,
    /// A port where nobody listens.
    pub(super) closed: String,
}

/// What came of a cell.
pub(super) struct Played {
    pub(super) cell: Cell,
    /// What stands in its square.
    pub(super) text: String,
    /// What must not be.
    pub(super) wrong: Vec<String>,
    /// How many certificates the first CA has issued.
    pub(super) issued: usize,
}

/// Plays a cell. `nth` tells its names apart from those of all others.
pub(super) async fn play(
    stage: &Stage<'_>,
    cell: Cell,
    nth: usize,
    first: Office,
    spare: Option<Office>,
) -> Played {
    let mut play = Play::new(stage, cell, nth, first, spare);
    let text = match cell.endpoint {
        Endpoint::RenewalInfo => play.renewal_info().await,
        Endpoint::Revoke => play.revoke().await,
        _ => play.issue().await,
    };
    if play.line.struck.load(Ordering::Relaxed) == 0 {
        play.wrong.push("the fault was never met".to_owned());
    }
    Played {
        cell,
        text,
        issued: play.first.ledger().finalized,
        wrong: play.wrong,
    }
}

/// A cell that is being played.
pub(super) struct Play {
    pub(super) cell: Cell,
    pub(super) first: Office,
    pub(super) spare: Option<Office>,
    settings: Settings,
    pub(super) name: CertificateName,
    clock: Arc<Leaps>,
    pub(super) line: Arc<Line>,
    pub(super) records: Arc<Records>,
    state: TempDir,
    pub(super) wrong: Vec<String>,
}

impl Play {
    fn new(
        stage: &Stage<'_>,
        cell: Cell,
        nth: usize,
        first: Office,
        spare: Option<Office>,
    ) -> Self {
        let clock = Arc::new(Leaps::new(
            SystemClock.now(),
            at_work(cell, &first, spare.as_ref()),
        ));
        let mut settings = stage.settings.clone();
        let ca = |name| CaName::parse(name).expect("a literal name");
        let cas = [(ca("first"), Some(&first)), (ca("spare"), spare.as_ref())];
        let certificate = &mut settings.certificates[0];
        certificate.cas.clear();
        for (name, office) in cas {
            match office {
                Some(office) => {
                    let profile = settings.cas.get_mut(&name).expect("in the settings");
                    profile.directories = vec![office.directory()];
                    certificate.cas.push(name);
                }
                None => drop(settings.cas.remove(&name)),
            }
        }
        let domain = format!("c{nth}.example.com");
        let identifier = |text: &str| Identifier::parse(text).expect("a name");
        certificate.domains = vec![identifier(&domain), identifier(&format!("*.{domain}"))];
        let name = certificate.name.clone();
        let trouble = trouble(stage, cell, &first, &clock);
        let classify = first.classifier();
        let line = Line {
            sender: stage.sender.clone(),
            clock: Arc::clone(&clock),
            ca: first.url(),
            classify,
            trouble: Mutex::new(trouble),
            struck: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
        };
        Self {
            cell,
            settings,
            name,
            clock,
            line: Arc::new(line),
            records: Arc::new(Records::new(stage.world.dns().txt_records())),
            state: folder(),
            first,
            spare,
            wrong: Vec::new(),
        }
    }

    /// A certificate is wanted for the first time.
    async fn issue(&mut self) -> String {
        let report = self.run().await;
        let text = match self.ended(&report) {
            Ended::Issued { fallback: false } => "recovered".to_owned(),
            Ended::Issued { fallback: true } => {
                self.check_causes(&lines(&report));
                "other CA".to_owned()
            }
            Ended::Parked { until, wait } => {
                self.parked(&report, until).await;
                self.resume(until).await;
                match self.cell.is_left_half_answered() {
                    true => format!("parked {wait}, refused then"),
                    false => format!("parked {wait}"),
                }
            }
            Ended::Badly(what) => {
                self.wrong.push(what.clone());
                what
            }
        };
        self.check_end(1);
        let ledger = self.first.ledger();
        let orders = match ledger.orders {
            0 | 1 => String::new(),
            more => format!(", {more} orders"),
        };
        let certificates = match ledger.finalized {
            0 | 1 => String::new(),
            more => format!(", {more} certificates"),
        };
        format!("{text}{orders}{certificates}")
    }

    /// Runs at the stated times until there is a certificate.
    async fn resume(&mut self, mut until: Timestamp) {
        if self.cell.is_left_half_answered() {
            self.until_the_ca_has_looked().await;
        }
        let tries = match self.cell.course {
            Course::Once if self.cell.is_left_half_answered() => 2,
            Course::Once => 1,
            Course::ForEver | Course::WithSpare => TRIES,
        };
        for nth in 1..=tries {
            if nth == tries {
                self.mend();
            }
            self.clock.leap_to(until);
            let report = self.run().await;
            match self.ended(&report) {
                Ended::Issued { .. } => {
                    if nth < tries {
                        self.wrong.push(format!("try {nth}: issued too early"));
                    }
                    return;
                }
                Ended::Parked { until: next, .. } if nth < tries => {
                    if next <= until {
                        self.wrong
                            .push(format!("try {nth}: the next one is not later"));
                    }
                    let lines = lines(&report);
                    match self.cell.is_left_half_answered() {
                        true if lines.iter().any(|line| line.contains("no TXT record")) => {}
                        _ => self.check_causes(&lines),
                    }
                    until = next;
                }
                Ended::Parked { .. } => {
                    let lines = lines(&report).join("\n");
                    self.wrong
                        .push(format!("parked again without a fault: {lines}"));
                    return;
                }
                Ended::Badly(what) => {
                    self.wrong.push(format!("try {nth}: {what}"));
                    return;
                }
            }
        }
    }

    /// The CA looks in real time, which the simulated clock has leapt over.
    async fn until_the_ca_has_looked(&self) {
        let looked = async {
            while self.first.ledger().pending > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let looked = tokio::time::timeout(HANG, looked).await;
        looked.unwrap_or_else(|_late| panic!("{}: the CA never looks", self.cell));
    }

    /// What must hold between runs.
    async fn parked(&mut self, report: &CertificateReport, until: Timestamp) {
        self.check_causes(&lines(report));
        self.check_records();
        let before = self.first.requests();
        let early = self.run().await;
        match &early.outcome {
            Outcome::Held(hold) if hold.until() == Some(until) => {}
            other => self.wrong.push(format!(
                "a run before the stated time {until} ended so: {other:?}"
            )),
        }
        if self.first.requests() != before {
            self.wrong
                .push("a run before the stated time asked the CA".to_owned());
        }
    }

    /// Advice is asked for when a certificate was issued, and later, and a renewal goes on without.
    async fn renewal_info(&mut self) -> String {
        let report = self.run().await;
        if !matches!(self.ended(&report), Ended::Issued { fallback: false }) {
            self.wrong
                .push(format!("not issued: {}", lines(&report).join("\n")));
            return "not issued".to_owned();
        }
        let Some(first) = self.past().advice else {
            self.wrong.push("no advice and no cause is kept".to_owned());
            return "nothing kept".to_owned();
        };
        let text = match &first.cause {
            Some(cause) => {
                self.check_causes(std::slice::from_ref(cause));
                let wait = shown(first.next.since(self.clock.now()));
                format!("issued; asked again in {wait}")
            }
            None => "issued; advised".to_owned(),
        };
        self.clock.leap_to(first.next);
        self.ask_for_advice().await;
        let second = self.past().advice;
        match (self.cell.course, second) {
            (Course::Once, Some(advice)) if advice.suggestion.is_none() => {
                self.wrong
                    .push(format!("still no advice: {:?}", advice.cause));
            }
            (_, None) => self.wrong.push("the advice was lost".to_owned()),
            (_, Some(advice)) => {
                if let Some(cause) = advice.cause.clone() {
                    self.check_causes(&[cause]);
                }
            }
        }
        // What was advised or not: 61 days later it is time.
        self.clock.leap(Duration::from_secs(61 * 24 * 60 * 60));
        let report = self.run().await;
        if !matches!(self.ended(&report), Ended::Issued { fallback: false }) {
            self.wrong
                .push(format!("not renewed: {}", lines(&report).join("\n")));
        }
        self.check_end(2);
        text
    }

    /// A certificate that is there is revoked.
    async fn revoke(&mut self) -> String {
        let report = self.run().await;
        if !matches!(self.ended(&report), Ended::Issued { fallback: false }) {
            self.wrong
                .push(format!("not issued: {}", lines(&report).join("\n")));
            return "not issued".to_owned();
        }
        let text = match self.ask_to_revoke().await {
            Ok(How::ByAccount) => "revoked".to_owned(),
            Ok(How::ByKey) => "revoked by its key".to_owned(),
            Ok(How::Before) => "revoked, as the second answer says".to_owned(),
            Err(causes) => {
                self.check_causes(&causes);
                if self.is_marked_revoked() {
                    self.wrong.push("it counts as revoked".to_owned());
                }
                self.mend();
                match self.ask_to_revoke().await {
                    Ok(_) => "told, revoked later".to_owned(),
                    Err(causes) => {
                        self.wrong
                            .push(format!("not revoked: {}", causes.join("\n")));
                        "not revoked".to_owned()
                    }
                }
            }
        };
        if self.first.revoked() != 1 {
            self.wrong.push("the CA has not revoked it".to_owned());
        }
        if !self.is_marked_revoked() {
            self.wrong.push("it does not count as revoked".to_owned());
        }
        self.check_end(1);
        text
    }

    /// One process, from start to end.
    ///
    /// A child that another test of this process starts holds every lock until it becomes a program
    /// of its own; what is locked by nobody else is tried again.
    async fn run(&mut self) -> CertificateReport {
        let cell = self.cell;
        let stuck = stuck(Arc::clone(&self.clock), Arc::clone(&self.line));
        let run = async {
            loop {
                let report = self.run_unless_locked().await;
                if !matches!(report.outcome, Outcome::Locked(_)) {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            report = run => report,
            why = stuck => panic!("{cell}: a run {why}"),
        }
    }

    async fn run_unless_locked(&mut self) -> CertificateReport {
        let ports = self.ports();
        let current = ports.session.store.current(&self.name).expect("readable");
        let job = Job {
            certificate: self.settings.certificates[0].clone(),
            seen: current.map(|version| version.version),
            force: Force::No,
        };
        let orders = Orders {
            pressing: std::collections::BTreeSet::new(),
            in_place: BTreeMap::new(),
            jobs: vec![job],
            install: Vec::new(),
            rehearsal: false,
            asker: Asker::Timer,
        };
        let before = self.first.requests();
        let (_switch, stop) = Stop::new();
        let mut report = scheduler::run(&ports, &self.settings, orders, &stop).await;
        let asked = self.first.requests() - before;
        let most = match self.cell.ill {
            Ill::BadNonces => MOST_FOR_NONCES,
            _ => MOST_REQUESTS,
        };
        if asked > most {
            self.wrong.push(format!("{asked} requests in one run"));
        }
        report.certificates.remove(0)
    }

    fn ended(&self, report: &CertificateReport) -> Ended {
        match &report.outcome {
            Outcome::Issued { fallback, .. } => Ended::Issued {
                fallback: *fallback,
            },
            Outcome::Failed(_) => match &report.next_try {
                Some((until, _)) => Ended::Parked {
                    until: *until,
                    wait: shown(until.since(report.ended)),
                },
                None => Ended::Badly(format!("no next try: {}", lines(report).join("\n"))),
            },
            other => Ended::Badly(format!("{other:?}")),
        }
    }

    async fn ask_for_advice(&self) {
        let ports = self.ports();
        let entries = ports.session.store.inventory().expect("readable");
        let entries: Vec<_> = entries
            .into_iter()
            .map(|entry| entry.expect("readable"))
            .collect();
        let now = self.clock.now();
        let pasts = ports.history.pasts(now).expect("readable");
        let questions = advice::questions(&self.settings, &entries, &pasts, now);
        assert_eq!(questions.len(), 1, "{}: it is time to ask", self.cell);
        let asking = advice::ask(
            &ports.session,
            ports.history.as_ref(),
            &self.settings,
            questions,
        );
        let asked = tokio::time::timeout(HANG, asking).await;
        asked.unwrap_or_else(|_late| panic!("{}: asking for advice hangs", self.cell));
    }

    async fn ask_to_revoke(&self) -> Result<How, Vec<String>> {
        let wish = revoke::Wish {
            certificate: self.name.clone(),
            reason: None,
            although_installed: false,
        };
        let ports = self.ports();
        let chronicle = Chronicle {
            history: ports.history.as_ref(),
            run: "matrix",
        };
        let asking = revoke::revoke(&ports.session, &self.settings, &wish, chronicle);
        match tokio::time::timeout(HANG, asking).await {
            Ok(Ok(revoked)) => Ok(revoked.how),
            Ok(Err(error)) => Err(error.lines()),
            Err(_late) => panic!("{}: revoking hangs", self.cell),
        }
    }

    /// The ports of a process that starts now.
    pub(super) fn ports(&self) -> Ports {
        let root = self.state.path();
        let store = FileStore::open(root, self.settings.state.keep_versions).expect("a state");
        let history = SqliteHistory::open(root).expect("a history");
        let plugin = &self.settings.certificates[0].validate[0].1;
        Ports {
            unusable: BTreeMap::new(),
            session: SessionPorts {
                clock: self.clock.clone(),
                entropy: Arc::new(Middle),
                http: self.line.clone(),
                keys: Arc::new(LocalKeys),
                store: Arc::new(store),
                secrets: Arc::new(Nothing),
                user_agent: UserAgent::new("matrix/1").expect("a literal name"),
                sent: Arc::default(),
            },
            history: Arc::new(history),
            probe: self.records.clone(),
            dns: BTreeMap::from([(plugin.clone(), self.records.clone() as _)]),
            installers: BTreeMap::new(),
            served: Arc::new(Nothing),
            audit: Arc::new(AuditTrail::default()),
            observer: Arc::new(Nothing),
        }
    }

    fn past(&self) -> Past {
        let history = SqliteHistory::open(self.state.path()).expect("a history");
        history
            .past(&self.name, self.clock.now())
            .expect("readable")
    }

    fn is_marked_revoked(&self) -> bool {
        let current = self.ports().session.store.current(&self.name);
        current
            .expect("readable")
            .is_some_and(|version| version.revoked.is_some())
    }

    fn mend(&self) {
        self.line.mend();
        self.first.faults().clear();
    }
}

/// How a run ended.
enum Ended {
    Issued { fallback: bool },
    Parked { until: Timestamp, wait: String },
    Badly(String),
}

/// Everything that a report says about failures.
fn lines(report: &CertificateReport) -> Vec<String> {
    let failures = report.failures.iter().map(|failed| &failed.failure);
    let rest = match &report.outcome {
        Outcome::Failed(failure) => failure.as_ref(),
        _ => None,
    };
    failures.chain(rest).flat_map(Failure::lines).collect()
}

/// A wait as a reader remembers it; what chance added is left out.
fn shown(wait: Duration) -> String {
    let text = match wait.as_secs() {
        // A quarter more or less is chance, a few seconds are the run's.
        40..=80 => "1 min",
        300 => "5 min",
        1600..=1800 => "30 min",
        21_600 => "6 h",
        other => return format!("{other} s"),
    };
    text.to_owned()
}

fn trouble(stage: &Stage<'_>, cell: Cell, first: &Office, clock: &Arc<Leaps>) -> Trouble {
    let times = match cell.course {
        Course::Once => cell.times(),
        Course::ForEver | Course::WithSpare => usize::MAX,
    };
    let what = cell.ill.what(clock.now());
    let closed = what.is_none().then(|| stage.closed.clone());
    let faults = first.faults().clone();
    let arm = what.map(|what| {
        let fault = Fault::always(cell.endpoint.class(), what).times(times);
        let arm = move || faults.add(fault);
        Box::new(arm) as Box<dyn FnOnce() + Send>
    });
    Trouble {
        class: cell.endpoint.class(),
        left: times,
        waits_for_finalize: cell.endpoint == Endpoint::Poll,
        closed,
        slow: cell.ill.is_slow(),
        arm,
    }
}

/// A folder in memory, where there is one: every run syncs its files to the disk.
fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => TempDir::new_in(memory),
        false => TempDir::new(),
    };
    folder.expect("a folder")
}
