//! What is outside of a simulation: a store and a history in memory, and a clock that is set.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::budget::Bucket;
use waxwing_core::disturbance::Dice;
use waxwing_core::due::Suggestion;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::outage::{Away, Down};
use waxwing_core::plan::Stored;
use waxwing_core::plan::hold::{self, Shut};
use waxwing_core::retry::ladder::{self, Failed};
use waxwing_core::retry::rehearsal;
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::{Timestamp, Window};

use super::desk::{Market, OpenOrder};
use super::judge::{Judge, LimitUse};
use super::nowhere::{Nowhere, absent};
use super::{Scenario, USUAL_LIFE};
use crate::audit::AuditTrail;
use crate::budget;
use crate::certificate::{CertificateFacts, InventoryEntry, InventoryVersion, Origin};
use crate::driver::Ports;
use crate::history::{
    self, Advice, ClosedAttempt, ClosedDeploy, ClosedResult, ClosedRevocation, Past, Sighting,
    Unasked,
};
use crate::ports::{BudgetKey, ChangeBudgets, Clock, Entropy, History, LockGuard, StoreError};
use crate::session::SessionPorts;

mod store;

/// What is known of one certificate.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) current: Option<InventoryVersion>,
    past: Past,
}

/// A certificate that has just come.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) ca: CaName,
    pub(super) fallback: bool,
    /// Until when it is valid.
    pub(super) until: Timestamp,
    /// The life of the one before.
    pub(super) before: Option<Window>,
}

#[derive(Debug)]
pub(super) struct State {
    now: Timestamp,
    pub(super) dice: Dice,
    pub(super) kept: BTreeMap<CertificateName, Kept>,
    /// Looked up only, never walked through.
    budgets: HashMap<BudgetKey, Bucket>,
    down: BTreeMap<CaName, Down>,
    /// When this machine was cut off, and when it was not any more, as far back as it matters.
    reached: Vec<(Timestamp, bool)>,
    /// Orders that wait to be gone on with.
    pub(super) open: BTreeMap<CertificateName, OpenOrder>,
    pub(super) finished: Vec<(CertificateName, Finished)>,
    pub(super) judge: Judge,
    pub(super) requests: BTreeMap<CaName, u64>,
    serial: u64,
}

/// The world and everything that is asked of it.
#[derive(Clone)]
pub(super) struct World {
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
    market: Arc<Market>,
    lives: Arc<BTreeMap<CertificateName, Duration>>,
    by_ca: Arc<BTreeMap<CaName, Duration>>,
    profiles: Arc<BTreeMap<CaName, waxwing_core::ca::CaProfile>>,
}

impl World {
    pub(super) fn new(settings: &Settings, scenario: &Scenario) -> Self {
        let lives = settings.cas.values();
        let lives = lives.map(|ca| {
            (
                ca.name.clone(),
                ca.lifetime.expected().unwrap_or(USUAL_LIFE),
            )
        });
        let state = State {
            now: scenario.window.start,
            dice: Dice(scenario.seed ^ 0x5eed),
            kept: BTreeMap::new(),
            budgets: HashMap::new(),
            down: BTreeMap::new(),
            reached: Vec::new(),
            open: BTreeMap::new(),
            finished: Vec::new(),
            judge: Judge::default(),
            requests: BTreeMap::new(),
            serial: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            death: Arc::new(Notify::new()),
            market: Arc::new(Market {
                disturbances: scenario.disturbances.clone(),
                crash_rate: scenario.crash_rate,
            }),
            lives: Arc::new(scenario.lives.clone()),
            by_ca: Arc::new(lives.collect()),
            profiles: Arc::new(settings.cas.clone()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn market(&self) -> &Market {
        &self.market
    }

    pub(super) fn set(&self, now: Timestamp) {
        self.state().now = now;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state().now
    }

    /// The life of a certificate from a CA.
    pub(super) fn life(&self, name: &CertificateName, ca: &CaName) -> Duration {
        let life = self.lives.get(name).or_else(|| self.by_ca.get(ca));
        life.copied().unwrap_or(USUAL_LIFE)
    }

    /// Something that was issued before the beginning; answers its life.
    pub(super) fn plant(&self, certificate: &CertificateSettings, at: Timestamp) -> Option<Window> {
        let ca = certificate.cas.first()?;
        let facts = self.issue(certificate, ca, false, at).facts;
        self.state().finished.clear();
        Some(Window {
            start: facts.not_before,
            end: facts.not_after,
        })
    }

    /// What a staging CA would have issued.
    pub(super) fn sample(
        &self,
        certificate: &CertificateSettings,
        ca: &CaName,
        at: Timestamp,
    ) -> CertificateFacts {
        facts(certificate, 0, at, self.life(&certificate.name, ca))
    }

    /// Stores a new version of a certificate.
    pub(super) fn issue(
        &self,
        certificate: &CertificateSettings,
        ca: &CaName,
        fallback: bool,
        at: Timestamp,
    ) -> InventoryVersion {
        let name = &certificate.name;
        let life = self.life(name, ca);
        let mut state = self.state();
        state.serial += 1;
        let serial = state.serial;
        let chance = state.dice.part();
        let kept = state.kept.entry(name.clone()).or_default();
        let before = kept.current.as_ref().map(|current| Window {
            start: current.facts.not_before,
            end: current.facts.not_after,
        });
        let facts = facts(certificate, serial, at, life);
        let advised = self.profiles.get(ca).is_some_and(|ca| ca.ari.enabled);
        kept.past.advice = facts.ari_id().filter(|_| advised).map(|about| {
            // About two thirds of the life, a fiftieth of it wide, as the larger CAs have it.
            let start = at + life.mul_f64(0.66);
            let window = Window {
                start,
                end: start + life / 50,
            };
            Advice {
                about,
                suggestion: Some(Suggestion {
                    window,
                    chosen: start + (life / 50).mul_f64(chance),
                }),
                explanation: None,
                next: window.end,
                failures: 0,
                cause: None,
            }
        });
        let version = InventoryVersion {
            version: kept.current.as_ref().map_or(0, |current| current.version) + 1,
            facts,
            origin: Origin {
                ca: ca.clone(),
                account: "simulated".to_owned(),
                issued_at: at,
                fallback,
                staging: false,
            },
            revoked: None,
        };
        kept.current = Some(version.clone());
        let finished = Finished {
            ca: ca.clone(),
            fallback,
            until: at + life,
            before,
        };
        state.finished.push((name.clone(), finished));
        version
    }

    pub(super) fn finished(&self) -> Vec<(CertificateName, Finished)> {
        std::mem::take(&mut self.state().finished)
    }

    pub(super) fn version(&self, name: &CertificateName) -> Option<u32> {
        let state = self.state();
        let current = state.kept.get(name)?.current.as_ref()?;
        Some(current.version)
    }

    /// The life of what is in place, what the CA advises, and failures since it was issued.
    pub(super) fn state_of(
        &self,
        name: &CertificateName,
    ) -> (Option<Window>, Option<Suggestion>, u32) {
        let state = self.state();
        let Some(kept) = state.kept.get(name) else {
            return (None, None, 0);
        };
        let life = kept.current.as_ref().map(|current| Window {
            start: current.facts.not_before,
            end: current.facts.not_after,
        });
        let suggestion = kept.past.advice.as_ref().and_then(|it| it.suggestion);
        let failures = u32::try_from(kept.past.failed.len()).unwrap_or(u32::MAX);
        (life, suggestion, failures)
    }

    pub(super) fn stored(&self, name: &CertificateName, now: Timestamp) -> Option<Stored> {
        let state = self.state();
        let kept = state.kept.get(name)?;
        let past = recent(&kept.past, now);
        Some(match &kept.current {
            Some(_) => history::stored(&entry(name, kept), &past),
            None => history::unstored(name, &past),
        })
    }

    pub(super) fn reached_of_late(&self) -> Vec<(Timestamp, bool)> {
        self.state().reached.clone()
    }

    pub(super) fn down_since(&self) -> BTreeMap<CaName, Down> {
        let state = self.state();
        let down = state.down.iter().map(|(ca, down)| {
            let away = Away::behind(down.since, state.reached.iter().copied());
            (ca.clone(), Down { away, ..*down })
        });
        down.collect()
    }

    pub(super) fn spent(
        &self,
        certificate: &CertificateSettings,
        now: Timestamp,
    ) -> BTreeMap<CaName, Shut> {
        let list = &certificate.cas;
        budget::spent(self, &self.profiles, list, &certificate.domains, now)
    }

    pub(super) fn ledger(&self) -> (Vec<LimitUse>, BTreeMap<CaName, u64>) {
        let state = self.state();
        (state.judge.uses(), state.requests.clone())
    }

    /// Ends the process, for whoever waits in [`World::died`].
    pub(super) fn die(&self) {
        self.death.notify_one();
    }

    pub(super) async fn died(&self) {
        self.death.notified().await;
    }

    pub(super) fn ports(&self) -> Ports {
        Ports {
            unusable: BTreeMap::new(),
            session: SessionPorts {
                clock: Arc::new(self.clone()),
                entropy: Arc::new(self.clone()),
                http: Arc::new(Nowhere),
                keys: Arc::new(Nowhere),
                store: Arc::new(self.clone()),
                secrets: Arc::new(Nowhere),
                user_agent: UserAgent::new("waxwing-simulation/1").expect("a literal name"),
                sent: Arc::default(),
            },
            history: Arc::new(self.clone()),
            probe: Arc::new(Nowhere),
            dns: BTreeMap::new(),
            installers: BTreeMap::new(),
            served: Arc::new(Nowhere),
            audit: Arc::new(AuditTrail::default()),
            observer: Arc::new(Nowhere),
        }
    }
}

fn entry(name: &CertificateName, kept: &Kept) -> InventoryEntry {
    InventoryEntry {
        in_place: None,
        damage: None,
        certificate: name.clone(),
        current: kept.current.clone(),
        installed: Vec::new(),
        last: None,
        served: Vec::new(),
        unfinished: false,
        replacing: None,
        owes: false,
        finalized: None,
    }
}

fn recent(past: &Past, now: Timestamp) -> Past {
    let mut past = past.clone();
    past.issued
        .retain(|at| now.since(*at) < hold::MOST_ISSUED.per);
    past
}

/// What a certificate of that life says of itself.
fn facts(
    certificate: &CertificateSettings,
    serial: u64,
    at: Timestamp,
    life: Duration,
) -> CertificateFacts {
    let mut names: Vec<Identifier> = certificate.domains.clone();
    names.sort();
    CertificateFacts {
        names,
        serial: serial.to_be_bytes().to_vec(),
        authority_key_id: Some(vec![1]),
        not_before: at,
        not_after: at + life,
        leaf_sha256: format!("{serial:x}"),
        leaf_sha1: String::new(),
        public_key_sha256: String::new(),
        key_type: Some(certificate.key),
        issuers: Vec::new(),
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    /// No wait within a run matters at the scale of days.
    async fn sleep(&self, _wait: Duration) {}
}

impl Entropy for World {
    fn number(&self) -> u64 {
        self.state().dice.number()
    }
}

impl State {
    /// Keeps whether somebody could be reached at that moment.
    fn reach(&mut self, at: Timestamp, cut_off: bool) {
        let last = self.reached.last().is_some_and(|(_, last)| *last);
        if last == cut_off {
            return;
        }
        if self.down.is_empty() {
            self.reached
                .retain(|(then, _)| at.since(*then) <= ladder::GAP);
        }
        self.reached.push((at, cut_off));
    }
}

struct Guard;

impl LockGuard for Guard {}

impl History for World {
    fn record(&self, attempt: &ClosedAttempt) -> Result<(), StoreError> {
        let mut state = self.state();
        state.reach(attempt.ended, attempt.result.is_cut_off());
        let kept = state.kept.entry(attempt.certificate.clone()).or_default();
        let past = &mut kept.past;
        match &attempt.result {
            ClosedResult::Issued { .. } => {
                past.failed.clear();
                past.issued
                    .retain(|at| attempt.ended.since(*at) < hold::MOST_ISSUED.per);
                past.issued.push(attempt.ended);
            }
            ClosedResult::Rehearsed => rehearsal::went_well(&mut past.failed, &attempt.ca),
            ClosedResult::Failed {
                class,
                theirs,
                firm,
                local,
                until,
                ..
            } => past.failed.push(Failed {
                ca: attempt.ca.clone(),
                at: attempt.ended,
                theirs: *theirs,
                rejected: *class == FailureClass::Rejected,
                firm: *firm,
                local: *local,
                until: *until,
                limited: *class == FailureClass::RateLimited,
                rehearsed: false,
            }),
        }
        Ok(())
    }

    fn is_issued(&self, _: &str, _: &CertificateName, _: u32) -> Result<bool, StoreError> {
        // It is noted in the moment in which it is stored.
        Ok(true)
    }

    fn record_unasked(&self, _: &Unasked) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_deploy(&self, _: &ClosedDeploy) -> Result<(), StoreError> {
        Ok(())
    }

    fn record_revocation(&self, _: &ClosedRevocation) -> Result<(), StoreError> {
        Ok(())
    }

    fn count_requests(&self, _: &BTreeMap<CaName, u64>) -> Result<(), StoreError> {
        Ok(())
    }

    fn pasts(&self, now: Timestamp) -> Result<BTreeMap<CertificateName, Past>, StoreError> {
        let state = self.state();
        let all = state.kept.iter();
        Ok(all
            .map(|(name, kept)| (name.clone(), recent(&kept.past, now)))
            .collect())
    }

    fn past(&self, name: &CertificateName, now: Timestamp) -> Result<Past, StoreError> {
        let state = self.state();
        let kept = state.kept.get(name);
        Ok(kept.map_or_else(Past::default, |kept| recent(&kept.past, now)))
    }

    fn save_advice(&self, name: &CertificateName, advice: &Advice) -> Result<(), StoreError> {
        let mut state = self.state();
        state.kept.entry(name.clone()).or_default().past.advice = Some(advice.clone());
        Ok(())
    }

    fn sight(&self, sighting: &Sighting) -> Result<(), StoreError> {
        let mut state = self.state();
        match &sighting.result {
            Ok(_) => {
                state.down.remove(&sighting.ca);
            }
            Err(_) => {
                let down = state.down.entry(sighting.ca.clone());
                let first = Down::first(sighting.at);
                down.and_modify(|down| down.again(sighting.at))
                    .or_insert(first);
            }
        }
        state.reach(sighting.at, false);
        Ok(())
    }

    fn down_since(&self) -> Result<BTreeMap<CaName, Down>, StoreError> {
        Ok(Self::down_since(self))
    }

    fn cut_off(&self, at: Timestamp) -> Result<(), StoreError> {
        self.state().reach(at, true);
        Ok(())
    }

    fn reached(&self, _: Timestamp) -> Result<Vec<(Timestamp, bool)>, StoreError> {
        Ok(self.state().reached.clone())
    }

    fn budget(&self, key: &BudgetKey) -> Result<Option<Bucket>, StoreError> {
        Ok(self.state().budgets.get(key).copied())
    }

    fn change_budgets(
        &self,
        keys: &[BudgetKey],
        change: ChangeBudgets<'_>,
    ) -> Result<(), StoreError> {
        let budgets = &mut self.state().budgets;
        let kept: Vec<_> = keys.iter().map(|key| budgets.get(key).copied()).collect();
        for (key, bucket) in keys.iter().zip(change(&kept).unwrap_or_default()) {
            budgets.insert(key.clone(), bucket);
        }
        Ok(())
    }

    /// The clock of a simulation is never wrong.
    fn forget_ahead(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    fn prune(&self, _before: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
}
