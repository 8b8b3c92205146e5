//! A run over many certificates: bounded concurrency, one session for each CA, fail-over along the
//! `ca` list, then one batch for each installer.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use tracing::Instrument;
use waxwing_acme::ari;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::{self, Tried};
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::Timestamp;

use crate::certificate::{AttemptResult, LastAttempt, StoredVersion};
use crate::driver::{Driven, Ports, Stop, Work};
use crate::failure::Failure;
use crate::install;
use crate::machine::{Machine, Patience};
use crate::ports::StoreErrorKind;
use crate::report::{CaFailure, CertificateReport, Outcome, Progress, RunReport};
use crate::run::{OrderTerms, Run, Stage};
use crate::session::CaSession;

mod leftover;

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
}

/// What to do in a run.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Certificates to issue or renew.
    pub jobs: Vec<Job>,
    /// Certificates whose installation is looked after.
    pub install: Vec<CertificateName>,
    /// True: at staging CAs, nothing is stored, installers only plan.
    pub rehearsal: bool,
}

/// Does it.
pub async fn run(ports: &Ports, settings: &Settings, orders: Orders, stop: &Stop) -> RunReport {
    let clock = Arc::clone(&ports.session.clock);
    let started = clock.now();
    let id = run_id(started, ports.session.entropy.number());
    let shift = Shift {
        ports,
        settings,
        id: &id,
        rehearsal: orders.rehearsal,
        stop,
        sessions: Mutex::new(BTreeMap::new()),
    };
    shift.settle_leftovers(&orders.jobs).await;
    let mut certificates: Vec<(usize, CertificateReport)> = stream::iter(&orders.jobs)
        .enumerate()
        .map(async |(index, job)| (index, shift.certificate(job).await))
        .buffer_unordered(WIDTH)
        .collect()
        .await;
    certificates.sort_by_key(|(index, _)| *index);
    let wanted: Vec<&CertificateSettings> = settings
        .certificates
        .iter()
        .filter(|certificate| orders.install.contains(&certificate.name))
        .collect();
    let installs = install::install(ports, &id, &wanted, orders.rehearsal, stop).await;
    let requests = shift.requests().await;
    RunReport {
        id,
        started,
        ended: clock.now(),
        certificates: certificates.into_iter().map(|(_, report)| report).collect(),
        installs,
        audit: ports.audit.events(),
        requests,
        stopped: stop.is_requested(),
    }
}

/// Sorts by time, and tells two runs of one second apart.
fn run_id(now: Timestamp, chance: u64) -> String {
    format!("{:09x}-{:06x}", now.unix(), chance & 0xff_ffff)
}

/// A CA in this run: its session, opened by whoever needs it first, and room for its orders.
struct Counter {
    session: OnceCell<Result<CaSession, Failure>>,
    room: Semaphore,
}

/// One run.
struct Shift<'a> {
    ports: &'a Ports,
    settings: &'a Settings,
    id: &'a str,
    rehearsal: bool,
    stop: &'a Stop,
    sessions: Mutex<BTreeMap<CaName, Arc<Counter>>>,
}

impl Shift<'_> {
    async fn certificate(&self, job: &Job) -> CertificateReport {
        let started = self.now();
        let name = &job.certificate.name;
        let mut report = CertificateReport {
            certificate: name.clone(),
            started,
            ended: started,
            outcome: Outcome::Failed(None),
            milestones: Vec::new(),
            failures: Vec::new(),
            owed: Vec::new(),
            notes: Vec::new(),
        };
        report.outcome = self.work(job, &mut report).await;
        report.ended = self.now();
        self.note(name, &report);
        report
    }

    async fn work(&self, job: &Job, report: &mut CertificateReport) -> Outcome {
        let store = &self.ports.session.store;
        let name = &job.certificate.name;
        let _lock = match store.lock_certificate(name) {
            Ok(lock) => lock,
            Err(error) if error.kind == StoreErrorKind::Locked => return Outcome::Locked(error),
            Err(error) => return Outcome::Failed(Some(Failure::Store(error))),
        };
        let current = match store.current(name) {
            Ok(current) => current,
            Err(error) => return Outcome::Failed(Some(Failure::Store(error))),
        };
        if current.as_ref().map(|version| version.version) != job.seen {
            return Outcome::Overtaken;
        }
        let (outcome, driven) = self.at_cas(job, current.as_ref(), report).await;
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

    /// Asks one CA after the other. Also answers whether a run was driven at any of them.
    async fn at_cas(
        &self,
        job: &Job,
        current: Option<&StoredVersion>,
        report: &mut CertificateReport,
    ) -> (Outcome, bool) {
        let name = &job.certificate.name;
        let mut driven_once = false;
        let names = &job.certificate.domains;
        let (list, profiles) = self.candidates(&job.certificate);
        let mut tried = Vec::new();
        let mut choice = choose::next(&list, profiles, names, &tried);
        while let Some(profile) = choice.ca {
            let fallback = choice.fallback;
            if self.stop.is_requested() {
                return (Outcome::Failed(Some(Failure::Stopped)), driven_once);
            }
            let span = tracing::info_span!("renewal", certificate = %name, ca = %profile.name,
                order = tracing::field::Empty);
            let attempt = self
                .at_ca(&job.certificate, profile, fallback, current)
                .instrument(span);
            let failure = match attempt.await {
                Ok((session_ca, driven)) => {
                    driven_once = true;
                    report.milestones.extend(driven.milestones);
                    report.notes.extend(driven.ending.notes);
                    report.owed = driven.ending.owed;
                    match driven.ending.result {
                        Ok(issued) => {
                            let issued = Outcome::Issued {
                                ca: session_ca,
                                fallback,
                                version: issued.version,
                                not_after: issued.facts.not_after,
                                first: current.is_none(),
                            };
                            return (issued, driven_once);
                        }
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            let elsewhere = failure.is_about_the_ca() && failure.class() != FailureClass::Cancelled;
            if !elsewhere {
                return (Outcome::Failed(Some(failure)), driven_once);
            }
            tried.push(Tried {
                ca: profile.name.clone(),
                elsewhere,
            });
            choice = choose::next(&list, profiles, names, &tried);
            if let Some(next) = choice.ca {
                let progress = Progress::FailedOver {
                    from: profile.name.clone(),
                    to: next.name.clone(),
                    causes: failure.lines(),
                };
                self.ports.observer.progress(name, &progress);
            }
            let at = self.now();
            report.failures.push(CaFailure {
                ca: profile.name.clone(),
                at,
                failure,
            });
        }
        let passed_over: Vec<(CaName, String)> = choice
            .passed_over
            .into_iter()
            .map(|(ca, why)| (ca, why.to_string()))
            .collect();
        if tried.is_empty() {
            let failure = Failure::NoCa {
                certificate: name.clone(),
                cas: job.certificate.cas.clone(),
                passed_over,
            };
            return (Outcome::Failed(Some(failure)), driven_once);
        }
        let notes = passed_over
            .into_iter()
            .map(|(ca, why)| format!("{ca} was not asked: {why}"));
        report.notes.extend(notes);
        (Outcome::Failed(None), driven_once)
    }

    /// The CAs to choose from, in order; for a rehearsal their staging CAs.
    fn candidates(
        &self,
        certificate: &CertificateSettings,
    ) -> (Vec<CaName>, &BTreeMap<CaName, CaProfile>) {
        let profiles = &self.settings.cas;
        if !self.rehearsal {
            return (certificate.cas.clone(), profiles);
        }
        let mut list: Vec<CaName> = Vec::new();
        for profile in certificate.cas.iter().filter_map(|name| profiles.get(name)) {
            let stage = if profile.staging {
                Some(&profile.name)
            } else {
                profile.rehearse_at.as_ref()
            };
            list.extend(stage.filter(|stage| !list.contains(stage)).cloned());
        }
        (list, profiles)
    }

    /// One certificate at one CA, resumed if the journal has an order that still fits.
    async fn at_ca(
        &self,
        certificate: &CertificateSettings,
        profile: &CaProfile,
        fallback: bool,
        current: Option<&StoredVersion>,
    ) -> Result<(CaName, Driven), Failure> {
        let counter = self.counter(profile).await;
        let _room = counter.room.acquire().await;
        let opened = counter.session.get_or_init(async || {
            let ports = self.ports.session.clone();
            CaSession::open(ports, profile, &self.settings.account).await
        });
        let session = tokio::select! {
            biased;
            () = self.stop.requested() => return Err(Failure::Stopped),
            opened = opened => opened.as_ref().map_err(Clone::clone)?,
        };
        let name = &certificate.name;
        let journal = self.journal_name(name);
        let old = self.read_journal(&journal)?;
        let mut notes = session.notes().to_vec();
        let terms = self.terms(certificate, session, current, &mut notes)?;
        let mut run = Run {
            id: self.id.to_owned(),
            certificate: name.clone(),
            terms,
            order_url: None,
            began: self.now(),
            stage: Stage::Planned,
            attempts: 0,
            obligations: Vec::new(),
        };
        if let Some(old) = old {
            if run.terms.accept_order_of(&old.terms) && !self.is_spent(&old, &journal, current)? {
                run.order_url = old.order_url;
                run.began = old.began;
                run.stage = old.stage;
            }
            run.attempts = old.attempts;
            run.obligations = old.obligations;
        }
        let work = Work {
            ports: self.ports,
            session,
            certificate: name.clone(),
            journal,
            settings: certificate,
            propagation: self.settings.network.propagation,
            observer: self.ports.observer.as_ref(),
            stop: self.stop,
            fallback,
        };
        let patience = Patience {
            order: profile.poll.order,
            retry_after_cap: profile.poll.retry_after_cap,
        };
        let mut driven = work.drive(Machine::new(run, patience, self.now())).await;
        driven.ending.notes.splice(0..0, notes);
        Ok((profile.name.clone(), driven))
    }

    /// True if the order of an interrupted run has given the current version already. What is
    /// wanted now is a newer one.
    fn is_spent(
        &self,
        old: &Run,
        journal: &CertificateName,
        current: Option<&StoredVersion>,
    ) -> Result<bool, Failure> {
        let ports = &self.ports.session;
        let Some(current) = current.filter(|current| current.origin.ca == old.terms.ca) else {
            return Ok(false);
        };
        let Some(key) = ports.store.pending_key(journal).map_err(Failure::Store)? else {
            return Ok(false);
        };
        let key = ports
            .keys
            .public_key_sha256(&key)
            .map_err(Failure::Crypto)?;
        // A key that is kept over renewals says nothing about which of them it was.
        Ok(current.facts.public_key_sha256 == key
            && (!old.terms.reuse_key || current.origin.issued_at >= old.began))
    }

    fn terms(
        &self,
        certificate: &CertificateSettings,
        session: &CaSession,
        current: Option<&StoredVersion>,
        notes: &mut Vec<String>,
    ) -> Result<OrderTerms, Failure> {
        let profile = session.profile();
        let directory = session.directory();
        let mut wanted = profile
            .profile
            .as_ref()
            .map(|p| (p.name.clone(), p.required));
        if let Some((name, required)) = &wanted
            && !directory.meta.profiles.contains_key(name)
        {
            let offered: Vec<&str> = directory.meta.profiles.keys().map(String::as_str).collect();
            let offered = if offered.is_empty() {
                "none".to_owned()
            } else {
                offered.join(", ")
            };
            if *required {
                return Err(Failure::Account {
                    ca: profile.name.clone(),
                    reason: format!("it does not offer the profile {name} (offered: {offered})"),
                    hint: Some(format!("change `profile` of [ca.{}]", profile.name)),
                    class: FailureClass::Misconfigured,
                    causes: Vec::new(),
                });
            }
            notes.push(format!(
                "{} does not offer the profile {name} (offered: {offered}); ordered without",
                profile.name
            ));
            wanted = None;
        }
        let same_account = |version: &&StoredVersion| {
            version.origin.ca == profile.name && version.origin.account == session.account()
        };
        let known_to_ari =
            profile.ari.enabled && profile.ari.replaces && directory.renewal_info.is_some();
        let replaces = current
            .filter(|_| known_to_ari && !self.rehearsal)
            .filter(same_account)
            .and_then(|version| {
                let authority = version.facts.authority_key_id.as_deref()?;
                Some(ari::certificate_id(authority, &version.facts.serial))
            });
        Ok(OrderTerms {
            ca: profile.name.clone(),
            account: session.account().to_owned(),
            names: certificate.domains.clone(),
            key: certificate.key,
            reuse_key: certificate.reuse_key,
            profile: wanted,
            replaces,
            rehearsal: self.rehearsal,
        })
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
                tracing::info!(certificate = %name, ca = %ca, version, "renewed");
                (Some(ca.clone()), AttemptResult::Renewed)
            }
            Outcome::Overtaken | Outcome::Locked(_) => return,
            Outcome::Failed(failure) => {
                let last = report.failures.last();
                let failure = failure.as_ref().or_else(|| last.map(|last| &last.failure));
                let Some(failure) = failure else { return };
                let class = failure.class().as_str().to_owned();
                let mut causes = Vec::new();
                for earlier in &report.failures {
                    causes.extend(earlier.failure.lines());
                }
                if let Outcome::Failed(Some(failure)) = &report.outcome {
                    causes.extend(failure.lines());
                }
                tracing::info!(certificate = %name, class, causes = ?causes, "not renewed");
                (
                    last.map(|last| last.ca.clone()),
                    AttemptResult::Failed { class, causes },
                )
            }
        };
        let last = LastAttempt {
            at: report.ended,
            ca,
            result,
        };
        if let Err(error) = self.ports.session.store.record_attempt(name, &last) {
            tracing::warn!(certificate = %name, cause = %error, "the result could not be noted");
        }
    }

    async fn requests(&self) -> BTreeMap<CaName, u64> {
        let counters = self.sessions.lock().await;
        let count = |counter: &Counter| match counter.session.get() {
            Some(Ok(session)) => session.requests(),
            _ => 0,
        };
        counters
            .iter()
            .map(|(name, counter)| (name.clone(), count(counter)))
            .collect()
    }

    fn now(&self) -> Timestamp {
        self.ports.session.clock.now()
    }
}
