//! The world as one value, and the ports that act on it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::time::Instant;
use waxwing_acme::user_agent::UserAgent;
use waxwing_core::ca::choose::FailOver;
use waxwing_core::ca::{
    AriUse, CaProfile, ChallengeRetry, Eab, EabSource, Lifetime, NameLimits, Poll, Quirks, Rate,
};
use waxwing_core::http::{Request, Response, TransportError, TransportStage};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier, PluginName};
use waxwing_core::plan::Asker;
use waxwing_core::secret::Secret;
use waxwing_core::settings::{
    AccountSettings, CertificateSettings, DaysAfterIssue, NetworkSettings, Propagation, SecretRef,
    Settings, StateSettings,
};
use waxwing_core::time::Timestamp;

use super::ca::Ca;
use super::disk::Disk;
use super::keys::Keys;
use super::past::Memory;
use super::plugins::{Dns, Installed, Probe, Provider, Target};
use crate::audit::AuditTrail;
use crate::driver::{ConfiguredInstaller, Ports, Stop};
use crate::plugin::PluginFailure;
use crate::ports::{Clock, Entropy, HttpClient, Policy, SecretError, SecretSource};
use crate::report::{Observer, Progress, RunReport};
use crate::scheduler::{self, Force, Job, Orders};
use crate::session::SessionPorts;

/// How one call to the outside goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does nothing and says so.
    Fail,
    /// It does what was asked, and the answer is lost.
    Lose,
    /// A CA does what was asked and answers 500; other calls lose their answer.
    Error500,
    /// A CA does what was asked, and half of the answer comes; other calls lose their answer.
    Truncate,
    /// The process dies before the call.
    CrashBefore,
    /// The process dies after the call.
    CrashAfter,
    /// Nothing outside answers from this call to the end of the run.
    Outage,
    /// This machine has no resolver that answers.
    NoResolver,
    /// A CA does nothing, and asks to come back in a day and a half.
    Later,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::Fail,
        Self::Lose,
        Self::Error500,
        Self::Truncate,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Outage,
    ];
}

/// What [`Fault::Later`] asks for.
pub(crate) const LATER: Duration = Duration::from_secs(36 * 60 * 60);

/// Everything outside.
pub(crate) struct State {
    /// Calls of this run so far.
    pub(crate) calls: usize,
    /// What was called, in order, with what went wrong.
    pub(crate) trace: Vec<String>,
    pub(crate) fault: Option<(usize, Fault)>,
    /// Every call that ends so goes wrong.
    pub(crate) always: Option<(&'static str, Fault)>,
    pub(crate) disk: Disk,
    pub(crate) memory: Memory,
    pub(crate) dns: Dns,
    pub(crate) cas: BTreeMap<String, Ca>,
    pub(crate) installed: Installed,
    /// Plugins that are configured and could not be loaded.
    pub(crate) unusable: BTreeMap<PluginName, Vec<PluginFailure>>,
    pub(crate) keys_made: u32,
    /// Certificates whose installation does not wait for others.
    pub(crate) pressing: BTreeSet<CertificateName>,
    /// Secrets in the environment.
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) progress: Vec<Progress>,
}

/// The world, shared by all its ports.
#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    began: Instant,
}

/// What a call is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Fail,
    /// No resolver answers.
    Deaf,
    /// Do it, then answer with this fault.
    Then(Fault),
}

/// The payload of a simulated crash.
struct Crash;

fn crash() -> ! {
    // Unlike a panic this says nothing on stderr.
    std::panic::resume_unwind(Box::new(Crash))
}

impl World {
    /// A world with these CAs.
    pub(crate) fn new(cas: &[&str]) -> Self {
        let cas = cas.iter().map(|name| ((*name).to_owned(), Ca::new(name)));
        let state = State {
            calls: 0,
            trace: Vec::new(),
            fault: None,
            always: None,
            disk: Disk::default(),
            memory: Memory::default(),
            dns: Dns::default(),
            cas: cas.collect(),
            installed: Installed::default(),
            unusable: BTreeMap::new(),
            keys_made: 0,
            pressing: BTreeSet::new(),
            secrets: BTreeMap::new(),
            progress: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            began: Instant::now(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what is to become of it.
    pub(crate) fn gate(&self, what: &str) -> Gate {
        let mut state = self.state();
        let nth = state.calls;
        state.calls += 1;
        let fault = match state.fault {
            Some((at, fault)) if at == nth => Some(fault),
            Some((at, Fault::Outage)) if at < nth => Some(Fault::Outage),
            _ => None,
        };
        let always = state.always.filter(|(end, _)| what.ends_with(end));
        let fault = fault.or(always.map(|(_, fault)| fault));
        // The disk of a machine that is cut off still works.
        let cut_off = |fault: &Fault| matches!(fault, Fault::Outage | Fault::NoResolver);
        let fault = fault.filter(|fault| !cut_off(fault) || !what.starts_with("disk"));
        state.trace.push(match fault {
            Some(fault) => format!("{what} [{fault:?}]"),
            None => what.to_owned(),
        });
        drop(state);
        match fault {
            None => Gate::Open,
            Some(Fault::Fail | Fault::Outage) => Gate::Fail,
            Some(Fault::NoResolver) => Gate::Deaf,
            Some(Fault::CrashBefore) => crash(),
            Some(fault) => Gate::Then(fault),
        }
    }

    /// What is left of a call that was done: an answer, a lost answer, or a dead process.
    pub(crate) fn after(&self, gate: Gate) -> Result<(), Fault> {
        match gate {
            Gate::Then(Fault::CrashAfter) => crash(),
            Gate::Then(fault) => Err(fault),
            Gate::Open | Gate::Fail | Gate::Deaf => Ok(()),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_795_000_000) + self.began.elapsed()
    }

    pub(crate) fn ports(&self) -> Ports {
        let of = |name: &str| PluginName::parse(name).expect("a literal name");
        let unusable = self.state().unusable.clone();
        let mut ports = Ports {
            unusable: BTreeMap::new(),
            session: SessionPorts {
                clock: Arc::new(self.clone()),
                entropy: Arc::new(self.clone()),
                http: Arc::new(self.clone()),
                keys: Arc::new(Keys(self.clone())),
                store: Arc::new(self.clone()),
                secrets: Arc::new(self.clone()),
                user_agent: UserAgent::new("flow-tests/1").expect("a literal name"),
                sent: Arc::default(),
            },
            history: Arc::new(self.clone()),
            probe: Arc::new(Probe(self.clone())),
            dns: BTreeMap::from([(of("dns"), Arc::new(Provider(self.clone())) as _)]),
            installers: BTreeMap::from([(
                of("files"),
                ConfiguredInstaller {
                    installer: Arc::new(Target(self.clone())),
                    settings: "digest".to_owned(),
                },
            )]),
            served: Arc::new(Target(self.clone())),
            audit: Arc::new(AuditTrail::default()),
            observer: Arc::new(self.clone()),
        };
        ports.dns.retain(|name, _| !unusable.contains_key(name));
        ports
            .installers
            .retain(|name, _| !unusable.contains_key(name));
        ports.unusable = unusable;
        ports
    }

    /// One run of the program for all certificates: what has no version yet is ordered, and
    /// everything is installed. No report if the process died.
    pub(crate) async fn run(&self, settings: &Settings) -> Option<RunReport> {
        let without = {
            let state = self.state();
            let missing = |c: &&CertificateSettings| state.disk.current(&c.name).is_none();
            let all = settings.certificates.iter();
            all.filter(missing).cloned().collect::<Vec<_>>()
        };
        let jobs = without.into_iter().map(|certificate| Job {
            certificate,
            seen: None,
            force: Force::No,
        });
        self.run_with(settings, jobs.collect(), false, Stop::new().1)
            .await
    }

    /// A run that a person asks for.
    pub(crate) async fn run_with(
        &self,
        settings: &Settings,
        jobs: Vec<Job>,
        rehearsal: bool,
        stop: Stop,
    ) -> Option<RunReport> {
        self.run_orders(settings, jobs, rehearsal, Asker::Person, stop)
            .await
    }

    pub(crate) async fn run_orders(
        &self,
        settings: &Settings,
        jobs: Vec<Job>,
        rehearsal: bool,
        asker: Asker,
        stop: Stop,
    ) -> Option<RunReport> {
        {
            let mut state = self.state();
            state.calls = 0;
            state.trace.clear();
        }
        let pressing = self.state().pressing.clone();
        let orders = Orders {
            jobs,
            pressing,
            in_place: BTreeMap::new(),
            install: settings
                .certificates
                .iter()
                .map(|c| c.name.clone())
                .collect(),
            rehearsal,
            asker,
        };
        let ports = self.ports();
        let run = scheduler::run(&ports, settings, orders, &stop);
        self.live(run).await
    }

    /// Lets a process live; nothing comes of it if it died.
    pub(crate) async fn live<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        match AssertUnwindSafe(process).catch_unwind().await {
            Ok(end) => Some(end),
            Err(died) => match died.downcast::<Crash>() {
                Ok(_crash) => None,
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime's time is simulated in these tests"
    )]
    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

impl Entropy for World {
    fn number(&self) -> u64 {
        250
    }
}

impl Observer for World {
    fn progress(&self, _certificate: &CertificateName, progress: &Progress) {
        self.state().progress.push(progress.clone());
    }
}

impl SecretSource for World {
    fn secret(&self, reference: &SecretRef) -> Result<Secret<String>, SecretError> {
        if *reference == SecretRef::Env("HMAC_KEY".to_owned()) {
            return Ok(Secret::new(
                "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0".to_owned(),
            ));
        }
        if let SecretRef::Env(name) = reference
            && let Some(secret) = self.state().secrets.get(name)
        {
            return Ok(Secret::new(secret.clone()));
        }
        Err(SecretError {
            reference: format!("{reference:?}"),
            causes: vec!["there are none here".to_owned()],
            hint: None,
        })
    }
}

#[async_trait]
impl HttpClient for World {
    async fn send(&self, request: Request, _policy: &Policy) -> Result<Response, TransportError> {
        let (method, url) = (request.method, request.url.clone());
        let broken = |stage| TransportError {
            stage,
            method,
            url: url.clone(),
            address: None,
            elapsed: Duration::ZERO,
            causes: vec!["simulated".to_owned()],
        };
        tokio::task::yield_now().await;
        let gate = self.gate(&format!("{method} {url}"));
        if gate == Gate::Fail {
            return Err(broken(TransportStage::Connect));
        }
        if gate == Gate::Deaf {
            return Err(broken(TransportStage::Resolver));
        }
        let mut response = {
            let mut guard = self.state();
            let State { cas, dns, .. } = &mut *guard;
            let host = url.trim_start_matches("https://").split('/').next();
            let ca = host.and_then(|host| cas.get_mut(host.trim_end_matches(".example")));
            match ca {
                Some(ca) if !ca.down && ca.left != Some(0) => {
                    ca.left = ca.left.map(|left| left - 1);
                    ca.answers.push(self.now());
                    ca.answer(&request, dns, self.now())
                }
                _ => return Err(broken(TransportStage::Connect)),
            }
        };
        match self.after(gate) {
            Ok(()) => {}
            Err(Fault::Error500) => response.status = 500,
            Err(Fault::Later) => {
                response.status = 503;
                let wait = ("retry-after".to_owned(), LATER.as_secs().to_string());
                response.headers.push(wait);
            }
            Err(Fault::Truncate) => response.body.truncate(response.body.len() / 2),
            Err(_) => return Err(broken(TransportStage::Exchange)),
        }
        Ok(response)
    }
}

/// A profile for an invented CA.
pub(crate) fn profile(name: &str) -> CaProfile {
    CaProfile {
        name: CaName::parse(name).expect("a literal name"),
        title: name.to_owned(),
        directories: vec![format!("https://{name}.example/directory")],
        staging: false,
        rehearse_at: None,
        trust: None,
        eab: Eab {
            required: false,
            single_use: false,
            ttl: None,
            source: EabSource::None,
            offers: Vec::new(),
        },
        caa: Vec::new(),
        ari: AriUse {
            enabled: true,
            replaces: true,
            hosts: Vec::new(),
        },
        profile: None,
        preferred_chain: None,
        lifetime: Lifetime::default(),
        names: NameLimits {
            max: 100,
            wildcard: true,
            idn: true,
            max_labels: None,
        },
        cert_keys: Vec::new(),
        rate: Rate {
            per_second: None,
            burst: 1,
            concurrent_orders: 8,
            concurrent_requests: 4,
        },
        limits: BTreeMap::new(),
        poll: Poll {
            first: Duration::from_millis(100),
            max: Duration::from_secs(5),
            order: Duration::from_secs(900),
            retry_after_cap: Duration::from_secs(60),
        },
        quirks: Quirks {
            contact_required: false,
            key_change: true,
            account_keys: Vec::new(),
            challenge_retry: ChallengeRetry::Server,
            wrong_ending: None,
            formerly: Vec::new(),
        },
        may_charge: false,
        fallback: true,
        default_rank: None,
        origin: BTreeMap::new(),
        notes: BTreeMap::new(),
    }
}

/// A certificate with these names, from these CAs, proved and installed by the world's plugins.
pub(crate) fn certificate(name: &str, domains: &[&str], cas: &[&str]) -> CertificateSettings {
    let plugin = |name| PluginName::parse(name).expect("a literal name");
    CertificateSettings {
        name: CertificateName::parse(name).expect("a literal name"),
        domains: domains
            .iter()
            .map(|name| Identifier::parse(name).expect("a literal name"))
            .collect(),
        cas: cas
            .iter()
            .map(|name| CaName::parse(name).expect("a literal name"))
            .collect(),
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: vec![(None, plugin("dns"))],
        install: vec![plugin("files")],
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
        calendar: std::sync::Arc::default(),
    }
}

/// Settings with these CAs and certificates.
pub(crate) fn settings(cas: Vec<CaProfile>, certificates: Vec<CertificateSettings>) -> Settings {
    Settings {
        account: AccountSettings {
            email: Some("ops@example.com".to_owned()),
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
        cas: cas.into_iter().map(|ca| (ca.name.clone(), ca)).collect(),
        plugins: BTreeMap::new(),
        certificates,
        files: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The values at each name that are there now.
pub(crate) type Records = BTreeSet<(String, String)>;
