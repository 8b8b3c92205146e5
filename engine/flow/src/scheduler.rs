//! A run over many certificates: bounded concurrency, one session for each CA, fail-over along the
//! `ca` list, then one batch for each installer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use waxwing_core::ca::CaProfile;
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::outage::Down;
use waxwing_core::plan::hold::{self, Hold, Shut};
use waxwing_core::plan::{self, Action, Asker, Circumstances};
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::{Timestamp, Window};

use crate::audit::Act;
use crate::budget;
use crate::certificate::{AttemptResult, CertificateFacts, LastAttempt, StoredVersion};
use crate::driver::{Ports, Stop};
use crate::failure::{CaError, Failure, one_line};
use crate::heard::Heard;
use crate::history;
use crate::install;
use crate::ports::{History, StoreErrorKind};
use crate::report::{CertificateReport, Outcome, Progress, RunReport};
use crate::served;
use crate::session::CaSession;
use crate::tally;

mod accounts;
mod attempt;
pub(crate) mod cas;
mod counted;
mod desk;
mod issued;
mod leftover;
mod preflight;
mod pressing;
mod rehearsal;
mod replacing;
mod unasked;
mod waves;

use cas::Case;
use desk::Acme;
pub(crate) use pressing::Ahead;

pub use accounts::owes_accounts;
pub(crate) use desk::{Desk, Wanted};

pub use leftover::is_rehearsal;

/// Most certificates that are worked on at the same time, whatever the CAs allow.
const WIDTH: usize = 32;

/// A certificate that needs a new version.
#[derive(Debug, Clone)]
pub struct Job {
    /// What the operator wants.
    pub certificate: CertificateSettings,
    /// The current version when it was planned: if another one is there under the lock, the need
    /// is gone.
    pub seen: Option<u32>,
    /// Whether it is ordered although it is not due.
    pub force: Force,
}

impl Job {
    /// The same for a key that is made anew.
    fn with_another_key(&self) -> Self {
        let mut job = self.clone();
        job.certificate.reuse_key = false;
        job
    }
}

/// Whether a certificate is ordered although the plan says that it is not to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// No.
    No,
    /// Although it is not due; but a limit on how many are issued holds.
    NotDue,
    /// Whatever holds it, even that the CA asks to be left alone; not where what it allows is used up, as that is
    /// counted here.
    Anyway,
}

/// What to do in a run.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Certificates to issue or renew.
    pub jobs: Vec<Job>,
    /// Certificates whose users are refused already, or will be within a day: they are installed as soon as they are
    /// there, and not when the others are.
    pub pressing: BTreeSet<CertificateName>,
    /// Validity of what is in place for certificates of which nothing is stored.
    pub in_place: BTreeMap<CertificateName, Window>,
    /// Certificates whose installation is looked after.
    pub install: Vec<CertificateName>,
    /// True: at staging CAs, nothing is stored, installers only plan.
    pub rehearsal: bool,
    /// Who asked for it.
    pub asker: Asker,
}

/// Does it.
pub async fn run(ports: &Ports, settings: &Settings, orders: Orders, stop: &Stop) -> RunReport {
    run_at(&Acme, ports, settings, orders, stop).await
}

/// Does it, with the CAs behind that desk.
pub(crate) async fn run_at(
    desk: &dyn Desk,
    ports: &Ports,
    settings: &Settings,
    orders: Orders,
    stop: &Stop,
) -> RunReport {
    tokio::select! {
        biased;
        report = work(desk, ports, settings, orders, stop) => report,
        never = stop.keep_time(ports.session.clock.as_ref()) => match never {},
    }
}

async fn work(
    desk: &dyn Desk,
    ports: &Ports,
    settings: &Settings,
    orders: Orders,
    stop: &Stop,
) -> RunReport {
    let clock = Arc::clone(&ports.session.clock);
    let started = clock.now();
    let id = ports.audit.run();
    let id = id.unwrap_or_else(|| run_id(started, ports.session.entropy.number()));
    let rehearsal = orders.rehearsal;
    ports.audit.enter(&Act::RunBegan { rehearsal });
    let shift = Shift {
        desk,
        ports,
        settings,
        id: &id,
        rehearsal: orders.rehearsal,
        asker: orders.asker,
        heard: Arc::new(Heard::new(Arc::clone(&ports.history), started)),
        stop,
        sessions: Arc::default(),
        fresh: Arc::default(),
        rehearsed: Arc::default(),
        ahead: Arc::default(),
        in_place: Arc::new(orders.in_place),
        given_up: Arc::default(),
    };
    let put_back = install::recover(ports, orders.rehearsal).await;
    let left_over = shift.settle_leftovers(&orders.jobs).await;
    let wanted: Vec<&CertificateSettings> = settings
        .certificates
        .iter()
        .filter(|certificate| orders.install.contains(&certificate.name))
        .collect();
    let [mut first, then] = shift.waves(&orders.jobs);
    let pressing: Vec<_> = first
        .extract_if(.., |(_, job)| {
            !rehearsal && orders.pressing.contains(&job.certificate.name)
        })
        .collect();
    let of_a_job = |name: &CertificateName| {
        let mut jobs = orders.jobs.iter();
        rehearsal || jobs.any(|job| job.certificate.name == *name)
    };
    let stored = orders.pressing.iter().filter(|name| !of_a_job(name));
    let pressing = (pressing, stored.cloned().collect());
    let alone = first.is_empty() && then.is_empty();
    let (early, others) = futures_util::join!(
        shift.pressing(pressing, (&wanted, &put_back), alone),
        async {
            let mut reports = shift.all(first).await;
            reports.extend(shift.all(then).await);
            reports
        }
    );
    let (mut certificates, early) = early;
    certificates.extend(others);
    certificates.sort_by_key(|(index, _)| *index);
    let mode = if rehearsal {
        let mut received = shift
            .rehearsed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        install::Mode::Rehearsal(std::mem::take(&mut *received))
    } else {
        install::Mode::Real
    };
    let before = (put_back.as_slice(), early.as_slice());
    let rest = install::install(ports, &id, &wanted, &mode, before, stop).await;
    let installs = shift.install_again((early, rest), &wanted, &put_back).await;
    let served = if rehearsal {
        Vec::new()
    } else {
        served::look(ports, &id, &wanted, &installs, stop).await
    };
    let replaced = if rehearsal {
        Vec::new()
    } else {
        shift
            .end_replacements(&wanted, &certificates, &served)
            .await
    };
    shift.first_advices().await;
    let accounts = shift.register_elsewhere(&certificates).await;
    shift.give_up().await;
    let requests = shift.requests().await;
    let stopped = stop.is_requested();
    ports.audit.enter(&Act::RunEnded {
        stopped,
        requests: requests.clone(),
    });
    RunReport {
        id,
        started,
        ended: clock.now(),
        certificates: certificates.into_iter().map(|(_, report)| report).collect(),
        put_back,
        left_over,
        installs,
        served,
        replaced,
        audit: ports.audit.events(),
        requests,
        accounts,
        stopped,
    }
}

/// The name of a run: sorts by time, and tells two runs of one second apart by chance.
pub fn run_id(now: Timestamp, chance: u64) -> String {
    format!("{:09x}-{:06x}", now.unix(), chance & 0xff_ffff)
}

/// A CA in this run: its session, opened by whoever needs it first, and room for its orders.
struct Counter {
    session: OnceCell<Result<CaSession, Failure>>,
    room: Semaphore,
    /// The last time in this run that somebody asked whether it answers at all and it did not.
    unheard: Mutex<Option<(Timestamp, Option<CaError>)>>,
}

/// One run.
pub(crate) struct Shift<'a> {
    desk: &'a dyn Desk,
    ports: &'a Ports,
    settings: &'a Settings,
    id: &'a str,
    rehearsal: bool,
    asker: Asker,
    /// Which CAs have answered.
    heard: Arc<Heard>,
    stop: &'a Stop,
    sessions: Arc<Mutex<BTreeMap<CaName, Arc<Counter>>>>,
    /// Certificates that were issued in this run, and by whom.
    fresh: Arc<std::sync::Mutex<Vec<(CertificateName, CaName, CertificateFacts)>>>,
    /// Whom others let pass at the provider.
    ahead: Arc<Ahead>,
    /// What is in place for certificates of which nothing is stored.
    in_place: Arc<BTreeMap<CertificateName, Window>>,
    /// What a rehearsal has received.
    rehearsed: Arc<std::sync::Mutex<Vec<StoredVersion>>>,
    /// Orders of certificates that have left the configuration: CA, account and address.
    given_up: Arc<std::sync::Mutex<Vec<(CaName, String, String)>>>,
}

/// A run looks at CAA itself.
static NOT_LOOKED: BTreeMap<CaName, String> = BTreeMap::new();

/// Planning a certificate here is not about installers.
pub(crate) static NO_DIGESTS: BTreeMap<PluginName, String> = BTreeMap::new();

impl Shift<'_> {
    /// All of these at the same time, within bounds.
    async fn all(&self, jobs: Vec<(usize, &Job)>) -> Vec<(usize, CertificateReport)> {
        let reports = stream::iter(jobs)
            .map(async |(index, job)| (index, self.certificate(job, false).await))
            .buffer_unordered(WIDTH);
        reports.collect().await
    }

    async fn certificate(&self, job: &Job, pressing: bool) -> CertificateReport {
        let started = self.now();
        let name = &job.certificate.name;
        let mut report = CertificateReport {
            certificate: name.clone(),
            started,
            ended: started,
            outcome: Outcome::Failed(None),
            milestones: Vec::new(),
            failures: Vec::new(),
            asked: false,
            stands_in: None,
            replaces: false,
            next_try: None,
            owed: Vec::new(),
            notes: Vec::new(),
        };
        let work = tally::counted(self.work(job, pressing, &mut report));
        report.outcome = tally::seen(&self.ports.observer, name, work).await;
        self.ahead.done(name);
        report.ended = self.now();
        self.ports.observer.progress(name, &Progress::Done);
        self.note(name, &report);
        self.note_unasked(&report);
        report
    }

    async fn work(&self, job: &Job, pressing: bool, report: &mut CertificateReport) -> Outcome {
        let store = &self.ports.session.store;
        let name = &job.certificate.name;
        let _lock = match store.lock_certificate(name) {
            Ok(lock) => lock,
            Err(error) if error.kind == StoreErrorKind::Locked => return Outcome::Locked(error),
            Err(error) => return Outcome::Failed(Some(Failure::Store(error))),
        };
        let (current, damage) = match store.current(name) {
            Ok(current) => (current, None),
            Err(error) if error.kind == StoreErrorKind::Corrupt => (None, Some(error)),
            Err(error) => return Outcome::Failed(Some(Failure::Store(error))),
        };
        // What is damaged was seen, or not; nobody has been faster.
        if damage.is_none() && current.as_ref().map(|version| version.version) != job.seen {
            return Outcome::Overtaken;
        }
        if !self.rehearsal
            && let Err(error) = store.may_save(name)
        {
            return Outcome::Failed(Some(Failure::Store(error)));
        }
        let journal = self.journal_name(name);
        match self.mend_journal(&journal) {
            Ok(told) => report.notes.extend(told),
            Err(failure) => return Outcome::Failed(Some(failure)),
        }
        if let Err(failure) = self.look_for_what_was_stored(&journal, current.as_ref()) {
            return Outcome::Failed(Some(failure));
        }
        if let Some(error) = &damage {
            report.notes.push(format!(
                "what is stored cannot be used and is replaced: {error}"
            ));
        }
        // What another run has met meanwhile counts, too.
        let past = self.ports.history.past(name, self.now());
        let past = past.unwrap_or_else(|error| {
            report
                .notes
                .push(format!("nothing is known of earlier runs: {error}"));
            history::Past::default()
        });
        let mut stored = match store.entry(name) {
            Ok(Some(mut entry)) => {
                if damage.is_some() {
                    entry.current = None;
                    entry.damage = damage;
                }
                history::stored(&entry, &past)
            }
            Ok(None) => history::unstored(name, &past),
            Err(error) => return Outcome::Failed(Some(Failure::Store(error))),
        };
        let elsewhere = self.in_place.get(name).copied();
        stored.in_place = stored.in_place.or(elsewhere);
        let spent = self.spent(&job.certificate);
        // Who wants another certificate in its place wants another key, whatever the configuration keeps.
        let replaces = current.is_some() && stored.to_revoke == job.seen;
        report.replaces = replaces;
        let other_key = replaces.then(|| job.with_another_key());
        let job = other_key.as_ref().unwrap_or(job);
        let down = self.heard.down();
        let circumstances = self.circumstances(&spent, &down);
        let item = plan::item(
            self.settings,
            &job.certificate,
            Some(&stored),
            &circumstances,
        );
        let ordered = matches!(item.action, Action::Issue(_) | Action::Renew { .. });
        if !ordered && job.force == Force::No && !self.rehearsal {
            return Outcome::Overtaken;
        }
        // What is not due is not held either, but by force it may be too many.
        let held = item
            .hold
            .or_else(|| hold::too_many(&stored, &item.action, self.now()));
        if let Some(held) = held.filter(|hold| self.holds(job, hold)) {
            return Outcome::Held(held);
        }
        let case = Case {
            job,
            pressing,
            current: current.as_ref(),
            stored,
            action: item.action,
            preflight: None,
            requests: 0,
        };
        let (outcome, driven) = self.at_cas(case, report).await;
        if !driven {
            // No CA was reached, so nobody has looked at what an earlier run may owe.
            match self.settle_journal(&self.journal_name(name)).await {
                Ok(()) => {}
                Err(Failure::Plugins(failures)) => report.owed.extend(failures),
                Err(failure) => report.notes.push(failure.lines().join(": ")),
            }
        }
        outcome
    }

    /// True if nothing is stored of what is received.
    pub(crate) const fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// When the runs that come by themselves try a certificate that may be tried from then on.
    fn open_from(&self, case: &Case<'_>, at: Timestamp) -> Timestamp {
        if self.rehearsal {
            return at;
        }
        let (spent, down) = (BTreeMap::new(), BTreeMap::new());
        let circumstances = self.circumstances(&spent, &down);
        let certificate = &case.job.certificate;
        plan::later::open_from(
            self.settings,
            certificate,
            Some(&case.stored),
            &circumstances,
            at,
        )
    }

    /// Whether what holds a certificate holds this job.
    const fn holds(&self, job: &Job, hold: &Hold) -> bool {
        if self.rehearsal {
            return false;
        }
        match (job.force, hold) {
            // Asked for again by the choice of the CA, where it becomes a failure with a reason.
            (_, Hold::NoCa { .. }) => false,
            (Force::No, _) | (_, Hold::UsedUp { .. }) => true,
            (Force::NotDue, Hold::Asked { .. } | Hold::TooMany { .. }) => true,
            (Force::NotDue | Force::Anyway, _) => false,
        }
    }

    /// CAs at which a budget is used up.
    fn spent(&self, certificate: &CertificateSettings) -> BTreeMap<CaName, Shut> {
        budget::spent(
            self.ports.history.as_ref(),
            &self.settings.cas,
            &certificate.cas,
            &certificate.domains,
            self.now(),
        )
    }

    /// CAs that have been down, without those that have answered in this run.
    fn circumstances<'c>(
        &'c self,
        spent: &'c BTreeMap<CaName, Shut>,
        down_since: &'c BTreeMap<CaName, Down>,
    ) -> Circumstances<'c> {
        Circumstances {
            digests: &NO_DIGESTS,
            down_since,
            reached: self.heard.reached(),
            spent,
            forbidden: &NOT_LOOKED,
            asker: self.asker,
            now: self.now(),
        }
    }

    /// The same run, rehearsing.
    fn rehearsing(&self) -> Self {
        Self {
            rehearsal: true,
            heard: Arc::clone(&self.heard),
            sessions: Arc::clone(&self.sessions),
            ahead: Arc::clone(&self.ahead),
            in_place: Arc::clone(&self.in_place),
            fresh: Arc::default(),
            rehearsed: Arc::default(),
            given_up: Arc::default(),
            ..*self
        }
    }

    async fn counter(&self, profile: &CaProfile) -> Arc<Counter> {
        let mut counters = self.sessions.lock().await;
        let counter = counters.entry(profile.name.clone()).or_insert_with(|| {
            let room = usize::try_from(profile.rate.concurrent_orders)
                .unwrap_or(1)
                .max(1);
            Arc::new(Counter {
                session: OnceCell::new(),
                room: Semaphore::new(room),
                unheard: Mutex::default(),
            })
        });
        Arc::clone(counter)
    }

    /// Notes the result where `status` and the log find it.
    fn note(&self, name: &CertificateName, report: &CertificateReport) {
        if self.rehearsal {
            return;
        }
        let (ca, result) = match &report.outcome {
            Outcome::Issued { ca, version, .. } => {
                let (first, because) = report
                    .stands_in
                    .as_ref()
                    .map(|(first, because)| (first.as_str(), because.to_string()))
                    .unzip();
                tracing::info!(certificate = %name, ca = %ca, version, instead_of = first, because, "renewed");
                (Some(ca.clone()), AttemptResult::Renewed)
            }
            Outcome::Overtaken | Outcome::Locked(_) | Outcome::Held(_) => return,
            Outcome::Failed(failure) => {
                let last = report.failures.last();
                let failure = failure.as_ref().or_else(|| last.map(|last| &last.failure));
                let Some(failure) = failure else { return };
                let class = failure.class().as_str().to_owned();
                let mut causes = Vec::new();
                for earlier in &report.failures {
                    causes.extend(earlier.failure.chain());
                }
                if let Outcome::Failed(Some(failure)) = &report.outcome {
                    causes.extend(failure.chain());
                }
                let ca = last.map(|last| last.ca.as_str());
                tracing::warn!(certificate = %name, ca, class, causes = one_line(&causes), "not renewed");
                (
                    last.map(|last| last.ca.clone()),
                    AttemptResult::Failed { class, causes },
                )
            }
        };
        let last = LastAttempt {
            at: report.ended,
            ca,
            replaces: report.replaces && matches!(result, AttemptResult::Failed { .. }),
            result,
        };
        if let Err(error) = self.ports.session.store.record_attempt(name, &last) {
            tracing::warn!(certificate = %name, cause = %error, "the result could not be noted");
        }
    }

    /// Requests to each CA. What they have used of its rate is kept for the next run.
    async fn requests(&self) -> BTreeMap<CaName, u64> {
        let counters = self.sessions.lock().await;
        for (ca, counter) in counters.iter() {
            if let Some(Ok(session)) = counter.session.get() {
                budget::keep_requests(self.history(), ca, &mut |found| session.keep_pace(found));
            }
        }
        self.ports.session.sent.keep(self.history());
        let count = |counter: &Counter| match counter.session.get() {
            Some(Ok(session)) => session.requests(),
            _ => 0,
        };
        counters
            .iter()
            .map(|(name, counter)| (name.clone(), count(counter)))
            .collect()
    }

    /// Which CAs have answered in this run.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What is known of the past.
    pub(crate) fn history(&self) -> &dyn History {
        self.ports.history.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.ports.session.clock.now()
    }
}
