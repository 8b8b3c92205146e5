//! What a run of the matrix acts through: the real HTTP client on a line with a fault, a clock that
//! does not wait, and records that are placed at the world's name servers directly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use waxwing_core::caa::CaaSet;
use waxwing_core::http::{Request, Response, TransportError, TransportStage};
use waxwing_core::name::{CertificateName, DomainName};
use waxwing_core::secret::Secret;
use waxwing_core::settings::SecretRef;
use waxwing_core::settings::served_at::ServedAt;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::ServedLeaf;
use waxwing_flow::plugin::{
    Attempt, ChallengeRecord, Finding, Placed, PluginFailure, PresentReport, PropagationHint,
    Removal, ZoneAnswer,
};
use waxwing_flow::ports::{
    Clock, DeploymentProbe, DnsProvider, Entropy, HttpClient, Location, LookupError, Policy,
    PropagationProbe, SecretError, SecretSource, ServerView, UnseenError,
};
use waxwing_flow::report::{Observer, Progress};
use waxwing_io::http::HttpSender;
use waxwing_world::dns::{RecordId, TxtRecords};
use waxwing_world::traffic::Class;

/// Longest real wait behind a simulated one, where nobody can say whether a CA is at work. There is one
/// at all because CAs validate in real time.
const GLANCE: Duration = Duration::from_millis(25);

/// For so long in real time a run may do nothing at all: no request, no answer, no wait.
const HANG: Duration = Duration::from_secs(60);

/// No run sends and receives more.
const FLOOD: usize = 2_000;

/// How often a CA that can say it is asked.
const TICK: Duration = Duration::from_millis(1);

/// How long an answer is waited for where none will come.
const NO_HOPE: Duration = Duration::from_millis(300);

/// How long an answer is waited for where another one of two requests at the same time was meant.
const HOPE: Duration = Duration::from_secs(10);

/// How long that takes by the simulated clock.
const REPLY: Duration = Duration::from_secs(30);

/// A clock that jumps over every wait. Where its CAs say when they are at work, it does not jump before
/// they are done: how fast this machine is makes no difference then.
pub(super) struct Leaps {
    now: AtomicI64,
    /// Whether a CA is at work; none if nobody can know.
    at_work: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Leaps {
    pub(super) fn new(
        now: Timestamp,
        at_work: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    ) -> Self {
        Self {
            now: AtomicI64::new(now.unix_ms()),
            at_work,
        }
    }

    pub(super) fn leap(&self, wait: Duration) {
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.now.fetch_add(wait, Ordering::Relaxed);
    }

    pub(super) fn leap_to(&self, at: Timestamp) {
        self.now.fetch_max(at.unix_ms(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for Leaps {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now.load(Ordering::Relaxed))
    }

    async fn sleep(&self, wait: Duration) {
        self.leap(wait);
        let Some(at_work) = &self.at_work else {
            return tokio::time::sleep(wait.min(GLANCE)).await;
        };
        tokio::task::yield_now().await;
        while at_work() {
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Chance that is always in the middle.
pub(super) struct Middle;

impl Entropy for Middle {
    fn number(&self) -> u64 {
        250
    }
}

/// A line to CAs, on which requests of one class go wrong at one of them.
pub(super) struct Line {
    pub(super) sender: HttpSender,
    pub(super) clock: Arc<Leaps>,
    /// What the URLs of the CA begin with.
    pub(super) ca: String,
    /// Sorts its requests by URL.
    pub(super) classify: Box<dyn Fn(&str) -> Class + Send + Sync>,
    pub(super) trouble: Mutex<Trouble>,
    /// Requests of the class that have come while the trouble lasted.
    pub(super) struck: AtomicUsize,
    /// Requests that were sent and answers that came.
    pub(super) passed: AtomicUsize,
}

/// What goes wrong.
pub(super) struct Trouble {
    pub(super) class: Class,
    /// So many requests more.
    pub(super) left: usize,
    /// Only from the first finalize request on.
    pub(super) waits_for_finalize: bool,
    /// Where refused requests go instead.
    pub(super) closed: Option<String>,
    /// Whether the answers will not come in time.
    pub(super) slow: bool,
    /// Brings about what the server has to do.
    pub(super) arm: Option<Box<dyn FnOnce() + Send>>,
}

impl Trouble {
    /// What this request meets, if the trouble is meant for it.
    fn meet(&mut self, class: Class) -> Option<Met> {
        if self.waits_for_finalize && class == Class::Finalize {
            self.waits_for_finalize = false;
        }
        if self.waits_for_finalize || self.left == 0 {
            return None;
        }
        if let Some(arm) = self.arm.take() {
            arm();
        }
        if class != self.class {
            return None;
        }
        if self.left != usize::MAX {
            self.left -= 1;
        }
        Some(Met {
            elsewhere: self.closed.clone(),
            patience: self.slow.then_some(NO_HOPE),
        })
    }
}

/// What a request meets.
#[derive(Default)]
struct Met {
    /// Where it is sent instead.
    elsewhere: Option<String>,
    /// How long its answer is waited for.
    patience: Option<Duration>,
}

impl Line {
    /// Lets everything pass from now on.
    pub(super) fn mend(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.left = 0;
        trouble.arm = None;
    }
}

#[async_trait]
impl HttpClient for Line {
    async fn send(
        &self,
        mut request: Request,
        policy: &Policy,
    ) -> Result<Response, TransportError> {
        let url = request.url.clone();
        let met = match url.strip_prefix(&self.ca) {
            Some(path) => {
                let class = (self.classify)(path);
                let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                trouble.meet(class)
            }
            None => None,
        };
        if met.is_some() {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        let met = met.unwrap_or_default();
        if let Some(elsewhere) = met.elsewhere {
            request.url = url.replacen(&self.ca, &elsewhere, 1);
        }
        let policy = Policy {
            reply: met.patience.unwrap_or(policy.reply.min(HOPE)),
            ..policy.clone()
        };
        self.passed.fetch_add(1, Ordering::Relaxed);
        let result = self.sender.send(request, &policy).await;
        self.passed.fetch_add(1, Ordering::Relaxed);
        result.map_err(|error| {
            if error.stage == TransportStage::Timeout {
                self.clock.leap(REPLY);
            }
            let url = waxwing_core::http::without_query(&url).to_owned();
            TransportError { url, ..error }
        })
    }
}

/// Places records at the world's name servers.
pub(super) struct Records {
    pub(super) servers: TxtRecords,
    placed: Mutex<BTreeMap<(String, String), RecordId>>,
}

impl Records {
    pub(super) fn new(servers: TxtRecords) -> Self {
        Self {
            servers,
            placed: Mutex::default(),
        }
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), RecordId>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now.
    pub(super) fn left(&self) -> Vec<(String, String)> {
        self.placed().keys().cloned().collect()
    }
}

#[async_trait]
impl DnsProvider for Records {
    async fn validate(&self, _online: bool) -> Result<Vec<Finding>, PluginFailure> {
        Ok(Vec::new())
    }

    async fn preflight(&self, _names: &[DomainName]) -> Result<Vec<ZoneAnswer>, PluginFailure> {
        Ok(Vec::new())
    }

    async fn present(
        &self,
        _attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginFailure> {
        let mut report = PresentReport::default();
        for record in records {
            let entry = (record.fqdn.to_string(), record.value.clone());
            let mut placed = self.placed();
            let created = !placed.contains_key(&entry);
            if created {
                let id = self.servers.add(&entry.0, &entry.1).expect("in a zone");
                placed.insert(entry, id);
            }
            report.placed.push(Placed {
                key: record.key.clone(),
                receipt: "receipt".to_owned(),
                created,
            });
        }
        Ok(report)
    }

    async fn cleanup(
        &self,
        _attempt: &Attempt,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginFailure)>, PluginFailure> {
        for removal in removals {
            let record = &removal.record;
            let entry = (record.fqdn.to_string(), record.value.clone());
            if let Some(id) = self.placed().remove(&entry) {
                self.servers.remove(id);
            }
        }
        Ok(Vec::new())
    }
}

/// The name servers show at once what was placed.
#[async_trait]
impl PropagationProbe for Records {
    async fn locate(&self, identifier: &DomainName) -> Result<Location, LookupError> {
        Ok(Location {
            fqdn: identifier.challenge_name(),
            zone: None,
        })
    }

    async fn caa(&self, _name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        Ok(None)
    }

    async fn look(
        &self,
        fqdn: &DomainName,
        value: &str,
        _hint: &PropagationHint,
    ) -> Result<Vec<ServerView>, LookupError> {
        let entry = (fqdn.to_string(), value.to_owned());
        Ok(vec![ServerView {
            server: "the world's".to_owned(),
            sees: Ok(self.placed().contains_key(&entry)),
        }])
    }
}

/// Nothing is served, watched or secret here.
pub(super) struct Nothing;

#[async_trait]
impl DeploymentProbe for Nothing {
    async fn look(&self, _place: &ServedAt) -> Result<ServedLeaf, UnseenError> {
        Err(UnseenError { causes: Vec::new() })
    }
}

impl Observer for Nothing {
    fn progress(&self, _certificate: &CertificateName, _progress: &Progress) {}
}

impl SecretSource for Nothing {
    fn secret(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        Err(SecretError {
            reference: format!("{reference:?}"),
            causes: Vec::new(),
            hint: None,
        })
    }
}

/// Ends when nothing has happened for long, or too much; how, in words. How long a run takes depends
/// on what else this machine is doing.
pub(super) async fn stuck(clock: Arc<Leaps>, line: Arc<Line>) -> &'static str {
    let seen = || (clock.now(), line.passed.load(Ordering::Relaxed));
    let (mut last, begun) = (seen(), seen().1);
    loop {
        tokio::time::sleep(HANG).await;
        let now = seen();
        if now == last {
            return "hangs";
        }
        if now.1 - begun > FLOOD {
            return "never ends";
        }
        last = now;
    }
}
