//! What a simulation tells.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::alert::Step;
use waxwing_core::ca::choose::Because;
use waxwing_core::disturbance::Disturbance;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::settings::Settings;
use waxwing_core::time::{Timestamp, Window};

use super::Scenario;
use super::judge::LimitUse;
use super::world::Finished;
use crate::failure::Failure;

/// Free for so long in the last third of a life, a CA has to have been asked; of a short one it is a
/// third of that third.
const FREE_ENOUGH: Duration = Duration::from_secs(24 * 60 * 60);

/// More single events are not kept.
const MOST_MARKS: usize = 100_000;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// All that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The stretch of time.
    pub window: Window,
    /// The seed.
    pub seed: u64,
    /// The trouble that came.
    pub disturbances: Vec<Disturbance>,
    /// How many certificates there were.
    pub certificates: usize,
    /// What was in place at the beginning: the life of each.
    pub in_place: BTreeMap<CertificateName, Window>,
    /// Runs in which something was looked at, and those of them in which something was ordered.
    pub runs: u64,
    /// Runs that ordered something.
    pub busy_runs: u64,
    /// Runs that died.
    pub crashes: u64,
    /// Certificates issued, by CA.
    pub issued: BTreeMap<CaName, u64>,
    /// Of these, the ones from a CA that is not the first of its list, by CA.
    pub fallbacks: BTreeMap<CaName, u64>,
    /// Failed attempts by CA and class; without a CA where the trouble was this side's.
    pub failures: BTreeMap<(Option<CaName>, FailureClass), u64>,
    /// The first failure of each kind, with its whole chain.
    pub examples: BTreeMap<(Option<CaName>, FailureClass), Vec<String>>,
    /// What somebody was told.
    pub alerts: Vec<Alert>,
    /// The renewal that came nearest to the end of a life.
    pub closest: Option<Closest>,
    /// Certificates that ran out.
    pub expired: Vec<Expired>,
    /// How far each limit was used, by the CA's own count.
    pub limits: Vec<LimitUse>,
    /// Requests to each CA.
    pub requests: BTreeMap<CaName, u64>,
    /// Week by week.
    pub weeks: Vec<Week>,
    /// Single events, in order, as many as are kept.
    pub marks: Vec<Mark>,
    /// Events that were not kept.
    pub marks_left_out: u64,
}

/// Something that somebody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// When.
    pub at: Timestamp,
    /// About which certificate.
    pub certificate: CertificateName,
    /// What.
    pub step: Step,
}

/// A renewal and what was left of the life before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closest {
    /// Which certificate.
    pub certificate: CertificateName,
    /// When it was renewed.
    pub at: Timestamp,
    /// What was left; zero if nothing was.
    pub left: Duration,
    /// The whole life.
    pub life: Duration,
}

/// A certificate that ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Which.
    pub certificate: CertificateName,
    /// The life that ended.
    pub life: Window,
    /// When it was renewed at last.
    pub until: Option<Timestamp>,
    /// The longest stretch in the last third of its life in which a CA that may be asked could have
    /// issued.
    pub free: Duration,
}

impl Expired {
    /// True if it should not have happened.
    pub fn is_our_fault(&self) -> bool {
        let life = self.life.end.since(self.life.start);
        self.free >= FREE_ENOUGH.min(life / 9)
    }
}

/// One week.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Week {
    /// Certificates issued, by CA.
    pub issued: BTreeMap<CaName, u64>,
    /// Failed attempts.
    pub failed: u64,
    /// Certificates that ran out.
    pub expired: u64,
    /// What somebody was told.
    pub alerts: u64,
}

/// A single event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Which certificate.
    pub certificate: CertificateName,
    /// What.
    pub what: Marked,
}

/// Kinds of single events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// Issued.
    Issued {
        /// By.
        ca: CaName,
        /// True if that is not the first of the list.
        fallback: bool,
        /// Until when it is valid.
        until: Timestamp,
    },
    /// Issued by a CA that stood in.
    StoodIn {
        /// That one.
        ca: CaName,
        /// For which.
        instead_of: CaName,
        /// By which rule.
        because: Because,
    },
    /// An attempt failed.
    Failed {
        /// At.
        ca: Option<CaName>,
        /// What could be done about it.
        class: FailureClass,
    },
    /// Somebody was told.
    Told(Step),
    /// It ran out.
    Expired,
}

impl Story {
    pub(super) fn new(settings: &Settings, scenario: &Scenario) -> Self {
        let weeks = scenario.window.end.since(scenario.window.start).as_secs();
        let weeks = usize::try_from(weeks.div_ceil(WEEK.as_secs())).unwrap_or(0);
        Self {
            window: scenario.window,
            seed: scenario.seed,
            disturbances: scenario.disturbances.clone(),
            certificates: settings.certificates.len(),
            in_place: BTreeMap::new(),
            runs: 0,
            busy_runs: 0,
            crashes: 0,
            issued: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            failures: BTreeMap::new(),
            examples: BTreeMap::new(),
            alerts: Vec::new(),
            closest: None,
            expired: Vec::new(),
            limits: Vec::new(),
            requests: BTreeMap::new(),
            weeks: vec![Week::default(); weeks],
            marks: Vec::new(),
            marks_left_out: 0,
        }
    }

    /// Certificates issued in all.
    pub fn all_issued(&self) -> u64 {
        self.issued.values().sum()
    }

    /// Certificates from a CA that is not the first of its list, in all.
    pub fn by_fallback(&self) -> u64 {
        self.fallbacks.values().sum()
    }

    /// Requests to CAs for each certificate and year.
    pub fn requests_a_year(&self) -> f64 {
        let years = self.window.end.since(self.window.start).as_secs_f64() / (365.0 * 86_400.0);
        let all: u64 = self.requests.values().sum();
        all as f64 / (self.certificates.max(1) as f64 * years.max(f64::MIN_POSITIVE))
    }

    /// Expiries that should not have happened, and limits that were exceeded: none, if the engine
    /// keeps what it promises.
    pub fn broken_promises(&self) -> u64 {
        let expired = self.expired.iter().filter(|one| one.is_our_fault()).count();
        let exceeded: u64 = self.limits.iter().map(|limit| limit.exceeded).sum();
        u64::try_from(expired).unwrap_or(u64::MAX) + exceeded
    }

    fn week(&mut self, at: Timestamp) -> Option<&mut Week> {
        let week = at.since(self.window.start).as_secs() / WEEK.as_secs();
        self.weeks.get_mut(usize::try_from(week).ok()?)
    }

    fn mark(&mut self, at: Timestamp, certificate: &CertificateName, what: Marked) {
        if self.marks.len() < MOST_MARKS {
            self.marks.push(Mark {
                at,
                certificate: certificate.clone(),
                what,
            });
        } else {
            self.marks_left_out += 1;
        }
    }

    pub(super) fn renewed(&mut self, name: &CertificateName, version: &Finished, at: Timestamp) {
        let Finished {
            ca,
            fallback,
            until,
            ..
        } = version;
        *self.issued.entry(ca.clone()).or_default() += 1;
        if *fallback {
            *self.fallbacks.entry(ca.clone()).or_default() += 1;
        }
        if let Some(week) = self.week(at) {
            *week.issued.entry(ca.clone()).or_default() += 1;
        }
        let what = Marked::Issued {
            ca: ca.clone(),
            fallback: *fallback,
            until: *until,
        };
        self.mark(at, name, what);
    }

    pub(super) fn stood_in(
        &mut self,
        name: &CertificateName,
        ca: &CaName,
        instead_of: &CaName,
        because: Because,
        at: Timestamp,
    ) {
        let what = Marked::StoodIn {
            ca: ca.clone(),
            instead_of: instead_of.clone(),
            because,
        };
        self.mark(at, name, what);
    }

    pub(super) fn close_call(&mut self, name: &CertificateName, before: Window, at: Timestamp) {
        let life = before.end.since(before.start);
        let left = before.end.since(at);
        let share = |left: Duration, life: Duration| left.as_secs_f64() / life.as_secs_f64();
        let nearer = |known: &Closest| share(left, life) < share(known.left, known.life);
        if self.closest.as_ref().is_none_or(nearer) {
            self.closest = Some(Closest {
                certificate: name.clone(),
                at,
                left,
                life,
            });
        }
    }

    pub(super) fn failed(
        &mut self,
        name: &CertificateName,
        ca: Option<&CaName>,
        failure: &Failure,
        at: Timestamp,
    ) {
        let class = failure.class();
        let key = (ca.cloned(), class);
        *self.failures.entry(key.clone()).or_default() += 1;
        self.examples.entry(key).or_insert_with(|| failure.lines());
        if let Some(week) = self.week(at) {
            week.failed += 1;
        }
        let ca = ca.cloned();
        self.mark(at, name, Marked::Failed { ca, class });
    }

    pub(super) fn alert(&mut self, name: &CertificateName, step: Step, at: Timestamp) {
        self.alerts.push(Alert {
            at,
            certificate: name.clone(),
            step,
        });
        if let Some(week) = self.week(at) {
            week.alerts += 1;
        }
        self.mark(at, name, Marked::Told(step));
    }

    pub(super) fn expired(&mut self, name: &CertificateName, life: Window, free: Duration) {
        self.expired.push(Expired {
            certificate: name.clone(),
            life,
            until: None,
            free,
        });
        if let Some(week) = self.week(life.end) {
            week.expired += 1;
        }
        self.mark(life.end, name, Marked::Expired);
    }

    pub(super) fn back_again(&mut self, name: &CertificateName, since: Timestamp, at: Timestamp) {
        let same = |one: &&mut Expired| one.certificate == *name && one.life.end == since;
        if let Some(known) = self.expired.iter_mut().rfind(same) {
            known.until = Some(at);
        }
    }
}
