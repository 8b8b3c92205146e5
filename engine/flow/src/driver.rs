//! Carries out what the machine asks for, one effect after the other, for one certificate at one
//! CA. The journal is written before each effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use waxwing_acme::authorization::ReadAuthorization;
use waxwing_acme::certificate::DownloadCertificate;
use waxwing_acme::challenge::AnswerChallenge;
use waxwing_acme::jws::dns01_value;
use waxwing_acme::order::{Finalize, NewOrder, ReadOrder};
use waxwing_core::name::{CertificateName, DomainName, Identifier, PluginName};
use waxwing_core::retry;
use waxwing_core::secret::Secret;
use waxwing_core::settings::{CertificateSettings, Propagation};
use waxwing_core::time::Timestamp;

use crate::audit::AuditTrail;
use crate::certificate::{CertificateFacts, ChainPem, Origin};
use crate::failure::Failure;
use crate::journal;
use crate::machine::Machine;
use crate::machine::effect::{DnsChallenge, Effect, Ending, Wait};
use crate::machine::event::Event;
use crate::obligation::{Obligation, ObligationState};
use crate::plugin::{Attempt, ChallengeRecord, PluginFailure, PluginFailureKind, PropagationHint};
use crate::ports::{
    Clock, CryptoError, DnsProvider, Installer, PropagationProbe, StoreError, StoreErrorKind,
};
use crate::propagation;
use crate::report::{Milestone, Observer, Progress, Reached};
use crate::session::{CaSession, Repeat, SessionPorts};
use crate::settle::{by_plugin, not_configured, settle};

/// Time to remove records after somebody asked the run to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// Everything outside that a run acts through.
#[derive(Clone)]
pub struct Ports {
    /// What talking to a CA needs.
    pub session: SessionPorts,
    /// The DNS as the world sees it.
    pub probe: Arc<dyn PropagationProbe>,
    /// DNS plugins by their configured names.
    pub dns: BTreeMap<PluginName, Arc<dyn DnsProvider>>,
    /// Installers by their configured names.
    pub installers: BTreeMap<PluginName, ConfiguredInstaller>,
    /// What plugins did.
    pub audit: Arc<AuditTrail>,
    /// Shows progress.
    pub observer: Arc<dyn Observer>,
}

/// An installer and the state of its configuration.
#[derive(Clone)]
pub struct ConfiguredInstaller {
    /// The installer.
    pub installer: Arc<dyn Installer>,
    /// Digest of its settings and grants: a change means to install again.
    pub settings: String,
}

/// A wish of somebody outside that the run ends soon.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A pair of the switch and what listens to it. Send `true` to stop.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (switch, listener) = watch::channel(false);
        (switch, Self(listener))
    }

    /// True once somebody asked.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the time to clean up is over after somebody asked; never if nobody can.
    pub(crate) async fn farewell(&self, clock: &dyn Clock) {
        self.requested().await;
        clock.sleep(FAREWELL).await;
    }

    /// Returns once somebody asks; never if nobody can.
    pub async fn requested(&self) {
        let mut listener = self.0.clone();
        if listener.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One certificate at one CA.
pub(crate) struct Work<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) session: &'a CaSession,
    pub(crate) certificate: CertificateName,
    /// Where the journal is kept: a rehearsal has one of its own.
    pub(crate) journal: CertificateName,
    pub(crate) settings: &'a CertificateSettings,
    pub(crate) propagation: Propagation,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// True if the CA is not the first of the list.
    pub(crate) fallback: bool,
}

/// What a driven run leaves behind.
pub(crate) struct Driven {
    pub(crate) ending: Ending,
    pub(crate) milestones: Vec<Milestone>,
}

impl Work<'_> {
    /// Drives the machine to its end.
    pub(crate) async fn drive(&self, mut machine: Machine) -> Driven {
        let mut pen = Pen {
            last: self.now(),
            milestones: Vec::new(),
        };
        let mut written = None;
        let mut key = None;
        let mut event = Event::Begin;
        loop {
            let resumed = matches!(event, Event::Begin) && machine.run().order_url.is_some();
            let (next, effect) = machine.step(event, self.now());
            machine = next;
            if let Some(url) = &machine.run().order_url {
                tracing::Span::current().record("order", url.as_str());
            }
            tracing::debug!(
                stage = machine.run().stage.as_str(),
                effect = effect.name(),
                "next"
            );
            if resumed && let Effect::ReadOrder { .. } = effect {
                self.reach(&mut pen, self.ordered(true));
            }
            if let Effect::End(ending) = effect {
                let ending = self.close(&machine, *ending);
                return Driven {
                    ending,
                    milestones: pen.milestones,
                };
            }
            if let Err(failure) = self.write_journal(&machine, &mut written) {
                // Settling goes on without the journal: the world is more important than the note.
                if !matches!(effect, Effect::CleanUp(_)) {
                    event = Event::Failed(failure);
                    continue;
                }
            }
            event = self.perform(&machine, effect, &mut key, &mut pen).await;
        }
    }

    /// One effect, unless somebody asks to stop first.
    async fn perform(
        &self,
        machine: &Machine,
        effect: Effect,
        key: &mut Option<Secret<String>>,
        pen: &mut Pen,
    ) -> Event {
        let leaving = matches!(effect, Effect::CleanUp(_));
        let done = self.carry_out(machine, effect, key, pen);
        if leaving {
            tokio::select! {
                biased;
                event = done => event,
                () = self.stop.farewell(self.ports.session.clock.as_ref()) => Event::Stopped,
            }
        } else {
            tokio::select! {
                biased;
                () = self.stop.requested() => Event::Stopped,
                event = done => event,
            }
        }
    }

    async fn carry_out(
        &self,
        machine: &Machine,
        effect: Effect,
        key: &mut Option<Secret<String>>,
        pen: &mut Pen,
    ) -> Event {
        let result = match effect {
            Effect::PlaceOrder { after } => self.place_order(machine, after, pen).await,
            Effect::ReadOrder { url, after } => self.read_order(url, after).await,
            Effect::ReadAuthorizations { urls } => self.read_authorizations(urls).await,
            Effect::Locate(challenges) => self.locate(&challenges).await,
            Effect::Present(obligations) => Ok(self.present(machine, obligations, pen).await),
            Effect::Watch { obligations, hint } => propagation::wait(self, &obligations, &hint)
                .await
                .map(|servers| {
                    self.reach(pen, Reached::Seen { servers });
                    Event::Visible
                }),
            Effect::Answer(challenges) => Ok(self.answer(&challenges).await),
            Effect::MakeKey => self.make_key(key).await,
            Effect::Finalize { url } => self.finalize(url, key.as_ref()).await,
            Effect::Download { url } => self.download(url).await,
            Effect::Save { pem, facts } => self.save(machine, &pem, &facts, pen),
            Effect::CleanUp(obligations) => Ok(self.clean_up(machine, obligations, pen).await),
            // Handled by the loop.
            Effect::End(_) => Err(Failure::Stopped),
        };
        result.unwrap_or_else(Event::Failed)
    }

    async fn place_order(
        &self,
        machine: &Machine,
        after: Wait,
        pen: &mut Pen,
    ) -> Result<Event, Failure> {
        self.pause(after, "take the order").await;
        let terms = &machine.run().terms;
        let call = NewOrder {
            identifiers: terms.names.clone(),
            profile: terms.profile.as_ref().map(|(name, _)| name.clone()),
            replaces: terms.replaces.clone(),
            not_after: None,
        };
        let reply = self.session.call(&call, Repeat::IfUnseen).await?;
        self.reach(pen, self.ordered(false));
        Ok(Event::OrderPlaced {
            url: reply.url,
            order: reply.order,
        })
    }

    fn ordered(&self, resumed: bool) -> Reached {
        let ca = self.session.profile().name.clone();
        Reached::Ordered {
            ca,
            names: self.settings.domains.len(),
            resumed,
        }
    }

    async fn read_order(&self, url: String, after: Wait) -> Result<Event, Failure> {
        self.pause(after, "work on the order").await;
        let state = self
            .session
            .call(&ReadOrder { url }, Repeat::Freely)
            .await?;
        let retry_after = state.retry_after.map(|at| at.wait(self.now()));
        Ok(Event::OrderSeen {
            order: state.order,
            retry_after,
        })
    }

    /// Waits before a request to the CA, which `doing` says what for.
    async fn pause(&self, after: Wait, doing: &str) {
        let poll = &self.session.profile().poll;
        let wait = match after {
            Wait::None => return,
            Wait::Asked(wait) => wait.max(poll.first),
            Wait::Poll { nth } => retry::poll(
                poll.first,
                poll.max,
                nth,
                self.ports.session.entropy.number(),
            ),
        };
        if wait > Duration::from_secs(2) {
            let what = format!("{} to {doing}", self.session.profile().title);
            self.observer
                .progress(&self.certificate, &Progress::Waiting { what, most: wait });
        }
        self.ports.session.clock.sleep(wait).await;
    }

    async fn read_authorizations(&self, urls: Vec<String>) -> Result<Event, Failure> {
        let reads = urls.into_iter().map(async |url| {
            let call = ReadAuthorization { url: url.clone() };
            let authorization = self.session.call(&call, Repeat::Freely).await?;
            Ok::<_, Failure>((url, authorization))
        });
        let authorizations = join_all(reads)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(Event::AuthorizationsSeen(authorizations))
    }

    /// Finds the name to write for each challenge, each domain looked up once.
    async fn locate(&self, challenges: &[DnsChallenge]) -> Result<Event, Failure> {
        let domains: BTreeSet<&DomainName> = challenges
            .iter()
            .map(|challenge| &challenge.identifier.domain)
            .collect();
        let looks = domains.into_iter().map(async |domain| {
            let location = self
                .ports
                .probe
                .locate(domain)
                .await
                .map_err(Failure::Lookup)?;
            Ok::<_, Failure>((domain.clone(), location))
        });
        let locations = join_all(looks)
            .await
            .into_iter()
            .collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let jwk = self.session.jwk();
        let mut obligations = Vec::new();
        for challenge in challenges {
            let domain = &challenge.identifier.domain;
            let plugin = self
                .settings
                .validator(domain)
                .ok_or_else(|| Failure::NoValidator {
                    identifier: domain.clone(),
                })?;
            let location = locations.get(domain);
            let fqdn = location.map_or_else(|| domain.challenge_name(), |l| l.fqdn.clone());
            let value = dns01_value(&challenge.token, &jwk);
            obligations.push(Obligation {
                plugin: plugin.clone(),
                record: ChallengeRecord {
                    key: challenge.record_key(&fqdn, &value),
                    fqdn,
                    value,
                    identifier: domain.clone(),
                    zone_hint: location.and_then(|l| l.zone.clone()),
                },
                state: ObligationState::Intended,
            });
        }
        Ok(Event::Located(obligations))
    }

    /// Places all records, one call for each plugin.
    async fn present(
        &self,
        machine: &Machine,
        mut obligations: Vec<Obligation>,
        pen: &mut Pen,
    ) -> Event {
        let attempt = Attempt {
            run: machine.run().id.clone(),
            number: machine.run().attempts,
        };
        let calls = by_plugin(&obligations)
            .into_iter()
            .map(async |(plugin, of_plugin)| {
                let records: Vec<ChallengeRecord> = of_plugin
                    .into_iter()
                    .map(|obligation| obligation.record.clone())
                    .collect();
                let answer = match self.ports.dns.get(plugin) {
                    Some(provider) => provider.present(&attempt, &records).await,
                    None => Err(not_configured(plugin, "present")),
                };
                (plugin.clone(), answer)
            });
        let answers = join_all(calls).await;
        let mut failed = Vec::new();
        let mut hint = PropagationHint::default();
        for (plugin, answer) in answers {
            let of_plugin = obligations.iter_mut().filter(|o| o.plugin == plugin);
            match answer {
                Err(failure) => {
                    of_plugin.for_each(Obligation::in_doubt);
                    failed.push(failure);
                }
                Ok(report) => {
                    for obligation in of_plugin {
                        let key = &obligation.record.key;
                        if let Some(placed) = report.placed.iter().find(|p| p.key == *key) {
                            obligation.placed(placed);
                        } else {
                            if !report.failed.iter().any(|(failed, _)| failed == key) {
                                failed.push(unanswered(&plugin, &obligation.record.fqdn));
                            }
                            obligation.in_doubt();
                        }
                    }
                    failed.extend(report.failed.into_iter().map(|(_, failure)| failure));
                    widen(&mut hint, report.propagation);
                }
            }
        }
        if failed.is_empty() {
            let placed = obligations
                .iter()
                .map(|o| (o.record.fqdn.clone(), o.plugin.clone()))
                .collect();
            self.reach(pen, Reached::Placed(placed));
        }
        Event::Presented {
            obligations,
            failed,
            hint,
        }
    }

    async fn answer(&self, challenges: &[DnsChallenge]) -> Event {
        let answers = challenges.iter().map(async |challenge| {
            let call = AnswerChallenge {
                url: challenge.url.clone(),
            };
            self.session.call(&call, Repeat::IfUnseen).await
        });
        let failures = join_all(answers)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        Event::Answered(failures)
    }

    /// Takes the key of the open run, or the current one if it is to be kept, or makes one.
    async fn make_key(&self, key: &mut Option<Secret<String>>) -> Result<Event, Failure> {
        let ports = &self.ports.session;
        let kind = self.settings.key;
        let pending = ports
            .store
            .pending_key(&self.journal)
            .map_err(Failure::Store)?;
        let usable = |candidate: &Secret<String>| matches!(ports.keys.kind(candidate), Ok(Some(found)) if found == kind);
        let found = match pending.filter(usable) {
            Some(pending) => pending,
            None => {
                let kept = if self.settings.reuse_key {
                    let current = ports
                        .store
                        .current(&self.certificate)
                        .map_err(Failure::Store)?;
                    current.map(|version| version.key).filter(usable)
                } else {
                    None
                };
                let new = match kept {
                    Some(kept) => kept,
                    None => {
                        // RSA takes seconds; the other certificates go on meanwhile.
                        let keys = Arc::clone(&ports.keys);
                        tokio::task::spawn_blocking(move || keys.certificate_key(kind))
                            .await
                            .map_err(|error| {
                                Failure::Crypto(CryptoError {
                                    what: format!("making a key of type {kind}"),
                                    causes: vec![error.to_string()],
                                })
                            })?
                            .map_err(Failure::Crypto)?
                    }
                };
                ports
                    .store
                    .save_pending_key(&self.journal, &new)
                    .map_err(Failure::Store)?;
                new
            }
        };
        *key = Some(found);
        Ok(Event::KeyReady)
    }

    async fn finalize(&self, url: String, key: Option<&Secret<String>>) -> Result<Event, Failure> {
        let keys = &self.ports.session.keys;
        let key = key.ok_or_else(|| {
            Failure::Crypto(CryptoError {
                what: "making the certification request".to_owned(),
                causes: vec!["the key of the run is missing".to_owned()],
            })
        })?;
        let csr_der = keys
            .request(key, &self.settings.domains)
            .map_err(Failure::Crypto)?;
        let state = self
            .session
            .call(&Finalize { url, csr_der }, Repeat::IfUnseen)
            .await?;
        let retry_after = state.retry_after.map(|at| at.wait(self.now()));
        Ok(Event::OrderSeen {
            order: state.order,
            retry_after,
        })
    }

    /// Fetches the certificate, chooses the chain and checks that it is the one ordered.
    async fn download(&self, url: String) -> Result<Event, Failure> {
        let ca = &self.session.profile().name;
        let keys = &self.ports.session.keys;
        let first = self
            .session
            .call(&DownloadCertificate { url }, Repeat::Freely)
            .await?;
        let read = |pem: &str| {
            keys.read_chain(pem).map_err(|error| Failure::Mismatch {
                ca: ca.clone(),
                what: error.to_string(),
            })
        };
        let (mut pem, mut facts) = read(&first.pem)?;
        let mut note = None;
        if let Some(wanted) = &self.session.profile().preferred_chain
            && !facts.issuers.contains(wanted)
        {
            // The chain is a preference: a certificate with another one is better than none.
            match self.other_chain(wanted, first.alternates).await {
                Ok(Some(other)) => (pem, facts) = other,
                Ok(None) => note = Some(format!("{ca} offers no chain by {wanted}")),
                Err(failure) => {
                    let cause = failure.lines().join(": ");
                    note = Some(format!("the chain by {wanted} was not to be had: {cause}"));
                }
            }
        }
        let key = self
            .ports
            .session
            .store
            .pending_key(&self.journal)
            .map_err(Failure::Store)?;
        let key = match key {
            Some(key) => Some(keys.public_key_sha256(&key).map_err(Failure::Crypto)?),
            None => None,
        };
        match mismatch(&self.settings.domains, key.as_deref(), &facts, self.now()) {
            Some(what) => Err(Failure::Mismatch {
                ca: ca.clone(),
                what,
            }),
            None => Ok(Event::Downloaded { pem, facts, note }),
        }
    }

    /// The first of these chains that `wanted` has issued.
    async fn other_chain(
        &self,
        wanted: &String,
        alternates: Vec<String>,
    ) -> Result<Option<(ChainPem, CertificateFacts)>, Failure> {
        for url in alternates {
            let call = DownloadCertificate { url };
            let other = self.session.call(&call, Repeat::Freely).await?;
            let keys = &self.ports.session.keys;
            let (pem, facts) = keys.read_chain(&other.pem).map_err(Failure::Crypto)?;
            if facts.issuers.contains(wanted) {
                return Ok(Some((pem, facts)));
            }
        }
        Ok(None)
    }

    fn save(
        &self,
        machine: &Machine,
        pem: &ChainPem,
        facts: &CertificateFacts,
        pen: &mut Pen,
    ) -> Result<Event, Failure> {
        let terms = &machine.run().terms;
        let store = &self.ports.session.store;
        if terms.rehearsal {
            self.reach(pen, Reached::Received);
            return Ok(Event::Saved(None));
        }
        let profile = self.session.profile();
        let origin = Origin {
            ca: profile.name.clone(),
            account: terms.account.clone(),
            issued_at: self.now(),
            fallback: self.fallback,
            staging: profile.staging,
        };
        let key = store
            .pending_key(&self.journal)
            .map_err(Failure::Store)?
            .ok_or_else(|| {
                Failure::Store(StoreError {
                    kind: StoreErrorKind::Corrupt,
                    act: "find the key of the open run of",
                    path: self.certificate.as_str().into(),
                    causes: Vec::new(),
                    hint: None,
                })
            })?;
        let version = store
            .save(&self.certificate, &key, pem, facts, &origin)
            .map_err(Failure::Store)?;
        self.reach(pen, Reached::Received);
        Ok(Event::Saved(Some(version)))
    }

    /// Removes all records, one call for each plugin. Nothing else can stop it but time.
    async fn clean_up(
        &self,
        machine: &Machine,
        obligations: Vec<Obligation>,
        pen: &mut Pen,
    ) -> Event {
        let run = machine.run();
        let attempt = Attempt {
            run: run.id.clone(),
            number: run.attempts,
        };
        let settled = settle(self.ports, &attempt, obligations).await;
        self.reach(
            pen,
            Reached::Removed {
                records: settled.removed,
                left: settled.left.len(),
            },
        );
        Event::CleanedUp {
            left: settled.left,
            failed: settled.failed,
        }
    }

    /// Writes the run down if it has changed.
    fn write_journal(
        &self,
        machine: &Machine,
        written: &mut Option<crate::run::Run>,
    ) -> Result<(), Failure> {
        if written.as_ref() == Some(machine.run()) {
            return Ok(());
        }
        let text = journal::write(machine.run()).map_err(|error| self.unwritable(&error))?;
        self.ports
            .session
            .store
            .write_journal(&self.journal, &text)
            .map_err(Failure::Store)?;
        *written = Some(machine.run().clone());
        Ok(())
    }

    fn unwritable(&self, error: &journal::JournalError) -> Failure {
        Failure::Store(StoreError {
            kind: StoreErrorKind::Corrupt,
            act: "write the journal of",
            path: self.journal.as_str().into(),
            causes: vec![error.to_string()],
            hint: None,
        })
    }

    /// Forgets the journal, or leaves in it what is still to do.
    fn close(&self, machine: &Machine, mut ending: Ending) -> Ending {
        let store = &self.ports.session.store;
        let closed = if ending.keep_journal {
            self.write_journal(machine, &mut None)
        } else {
            store.close_journal(&self.journal).map_err(Failure::Store)
        };
        if let Err(failure) = closed {
            ending.notes.extend(failure.lines());
        }
        ending
    }

    fn reach(&self, pen: &mut Pen, what: Reached) {
        let at = self.now();
        let milestone = Milestone {
            at,
            took: at.since(pen.last),
            what,
        };
        pen.last = at;
        self.observer
            .progress(&self.certificate, &Progress::Reached(milestone.clone()));
        pen.milestones.push(milestone);
    }

    fn now(&self) -> Timestamp {
        self.ports.session.clock.now()
    }
}

/// Writes the timeline.
struct Pen {
    last: Timestamp,
    milestones: Vec<Milestone>,
}

/// What differs between the certificate and what was ordered; none if nothing does.
fn mismatch(
    ordered: &[Identifier],
    public_key: Option<&str>,
    facts: &CertificateFacts,
    now: Timestamp,
) -> Option<String> {
    if public_key != Some(facts.public_key_sha256.as_str()) {
        return Some("it is for another key than the one of this run".to_owned());
    }
    let ours: BTreeSet<&Identifier> = ordered.iter().collect();
    let theirs: BTreeSet<&Identifier> = facts.names.iter().collect();
    if ours != theirs {
        let list = |names: BTreeSet<&Identifier>| {
            names
                .into_iter()
                .map(Identifier::to_wire)
                .collect::<Vec<_>>()
                .join(", ")
        };
        return Some(format!(
            "it is for {}, ordered was {}",
            list(theirs),
            list(ours)
        ));
    }
    if facts.not_after <= now {
        return Some(format!("it has expired on {}", facts.not_after));
    }
    None
}

/// Takes the more careful of two hints.
fn widen(hint: &mut PropagationHint, other: PropagationHint) {
    hint.nameservers.extend(other.nameservers);
    hint.min_wait = hint.min_wait.max(other.min_wait);
    hint.expected = hint.expected.max(other.expected);
    hint.give_up = hint.give_up.max(other.give_up);
}

/// The failure of a record that a plugin was given and said nothing about.
fn unanswered(plugin: &PluginName, fqdn: &DomainName) -> PluginFailure {
    PluginFailure {
        plugin: plugin.clone(),
        call: "present".to_owned(),
        kind: PluginFailureKind::Other,
        code: "plugin.no-answer".to_owned(),
        message: format!("it did not say what became of the record at {fqdn}"),
        hint: None,
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        causes: Vec::new(),
    }
}
