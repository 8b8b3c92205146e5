//! Carries out what the machine asks for, one effect after the other, for one certificate at one
//! CA. The journal is written before each effect.

mod certificate;
mod order;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::secret::Secret;
use waxwing_core::settings::{CertificateSettings, Propagation};
use waxwing_core::time::Timestamp;

use crate::abandon;
use crate::audit::AuditTrail;
use crate::budget;
use crate::certificate::StoredVersion;
use crate::failure::Failure;
use crate::journal;
use crate::machine::Machine;
use crate::machine::effect::{Effect, Ending, Wait};
use crate::machine::event::Event;
use crate::obligation::Obligation;
use crate::plugin::PluginFailure;
use crate::ports::{
    Clock, DeploymentProbe, DnsProvider, History, Installer, PropagationProbe, StoreError,
    StoreErrorKind,
};
use crate::propagation;
use crate::report::{Milestone, Observer, Progress, Reached};
use crate::run::Stage;
use crate::scheduler::Ahead;
use crate::session::{CaSession, SessionPorts};
use crate::settle::by_plugin;

/// Time for everything after somebody asked the run to stop: removing records, ending or undoing an
/// installation.
const FAREWELL: Duration = Duration::from_secs(10);

/// The part of [`FAREWELL`] that is kept for undoing an installation that did not end in time.
const UNDOING: Duration = Duration::from_secs(5);

/// Everything outside that a run acts through.
#[derive(Clone)]
pub struct Ports {
    /// What talking to a CA needs.
    pub session: SessionPorts,
    /// What earlier runs have learnt.
    pub history: Arc<dyn History>,
    /// The DNS as the world sees it.
    pub probe: Arc<dyn PropagationProbe>,
    /// DNS plugins by their configured names.
    pub dns: BTreeMap<PluginName, Arc<dyn DnsProvider>>,
    /// Installers by their configured names.
    pub installers: BTreeMap<PluginName, ConfiguredInstaller>,
    /// Plugins that are configured and cannot be used, and every reason.
    pub unusable: BTreeMap<PluginName, Vec<PluginFailure>>,
    /// Shows what servers serve.
    pub served: Arc<dyn DeploymentProbe>,
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
///
/// There is one deadline for all that is still to be done, and it counts from the moment of the
/// wish: a run that begins its clean-up late has less time for it.
#[derive(Debug, Clone)]
pub struct Stop {
    wish: watch::Receiver<bool>,
    hour: watch::Sender<Hour>,
}

/// How late it is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hour {
    /// Nobody has asked to stop, or not long ago.
    Open,
    /// What can be undone has to be undone now.
    Late,
    /// Nothing more is done.
    Over,
}

impl Stop {
    /// A pair of the switch and what listens to it. Send `true` to stop.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (switch, wish) = watch::channel(false);
        let (hour, _nobody_yet) = watch::channel(Hour::Open);
        (switch, Self { wish, hour })
    }

    /// True once somebody asked.
    pub fn is_requested(&self) -> bool {
        *self.wish.borrow()
    }

    /// Returns once somebody asks; never if nobody can.
    pub async fn requested(&self) {
        let mut wish = self.wish.clone();
        if wish.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells everybody how late it is, for as long as it is polled. A run polls it beside its work.
    pub(crate) async fn keep_time(&self, clock: &dyn Clock) -> Infallible {
        self.requested().await;
        clock.sleep(FAREWELL - UNDOING).await;
        self.hour.send_replace(Hour::Late);
        clock.sleep(UNDOING).await;
        self.hour.send_replace(Hour::Over);
        std::future::pending().await
    }

    /// Returns when what was begun has to be undone, if it can be, because somebody asked.
    pub(crate) async fn late(&self) {
        self.reached(Hour::Late).await;
    }

    /// Returns when all time is over after somebody asked.
    pub(crate) async fn over(&self) {
        self.reached(Hour::Over).await;
    }

    async fn reached(&self, hour: Hour) {
        let mut clock_hand = self.hour.subscribe();
        if clock_hand.wait_for(|now| *now >= hour).await.is_err() {
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
    /// True if what the first order needs is taken from the CA's budgets already.
    pub(crate) paid: bool,
    /// True if records are left for later whose removal has to wait once the certificate is there.
    pub(crate) removes_late: bool,
    /// Whom it lets pass at the provider.
    pub(crate) ahead: &'a Ahead,
    /// Called as soon as a version is stored; false if that could not be noted.
    pub(crate) stored: &'a (dyn Fn(u32) -> bool + Sync),
}

/// What a driven run leaves behind.
pub(crate) struct Driven {
    pub(crate) ending: Ending,
    pub(crate) milestones: Vec<Milestone>,
    /// What a rehearsal has received and nobody stores, for installers to plan with.
    pub(crate) rehearsed: Option<StoredVersion>,
}

impl Work<'_> {
    /// Drives the machine to its end.
    pub(crate) async fn drive(&self, mut machine: Machine) -> Driven {
        let mut pen = Pen {
            paid: self.paid,
            ordered: 0,
            last: self.now(),
            milestones: Vec::new(),
            rehearsed: None,
            unnoted: false,
        };
        let mut written = None;
        let mut key = None;
        let mut event = Event::Begin;
        loop {
            let resumed = matches!(event, Event::Begin) && machine.run().order_url.is_some();
            machine = machine.at_a_ca_that_fails(self.session.fails_in_a_row());
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
                let mut ending = *ending;
                ending.keep_journal |= pen.unnoted;
                let ending = self.close(&machine, ending);
                return Driven {
                    ending,
                    milestones: pen.milestones,
                    rehearsed: pen.rehearsed,
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
                () = self.stop.over() => Event::Stopped,
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
        if let Some(what) = self.doing(&effect) {
            let since = self.now();
            let until = self.longest(&effect).map(|longest| since + longest);
            let doing = Progress::Doing { what, since, until };
            self.observer.progress(&self.certificate, &doing);
        }
        let result = match effect {
            Effect::PlaceOrder { after } => self.place_order(machine, after, pen).await,
            Effect::ReadOrder { url, after } => {
                let doing = match machine.run().stage {
                    Stage::Validating => "look at the records",
                    Stage::Finalizing => "sign",
                    _ => "work on the order",
                };
                self.read_order(url, after, doing, pen).await
            }
            Effect::ReadAuthorizations { urls, after } => {
                self.read_authorizations(urls, after, pen).await
            }
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
            Effect::Abandon { authorizations } => {
                abandon::authorizations(self.session, authorizations).await;
                Ok(Event::Abandoned)
            }
            // Handled by the loop.
            Effect::End(_) => Err(Failure::Stopped),
        };
        result.unwrap_or_else(Event::Failed)
    }

    /// What an effect does while there is nothing to see; none where it only waits, which it says
    /// itself, or is over at once.
    fn doing(&self, effect: &Effect) -> Option<String> {
        let ca = &self.session.profile().title;
        let records = |obligations: &[Obligation]| {
            let plugins: BTreeSet<&str> = obligations
                .iter()
                .map(|obligation| obligation.plugin.as_str())
                .collect();
            let plugins: Vec<&str> = plugins.into_iter().collect();
            format!("{} TXT by {}", obligations.len(), plugins.join(", "))
        };
        Some(match effect {
            Effect::PlaceOrder { after: Wait::None } => format!("asking {ca} for an order"),
            Effect::ReadOrder {
                after: Wait::None, ..
            } => format!("asking {ca} about the order"),
            Effect::ReadAuthorizations {
                after: Wait::None, ..
            } => format!("asking {ca} which names it wants proved"),
            Effect::Locate(_) => "looking up where the records go".to_owned(),
            Effect::Present(obligations) => format!("placing {}", records(obligations)),
            Effect::Watch { .. } => "looking for the records at the name servers".to_owned(),
            Effect::Answer(_) => format!("telling {ca} that the records are there"),
            Effect::MakeKey => "making the key".to_owned(),
            Effect::Finalize { .. } => format!("asking {ca} to sign"),
            Effect::Download { .. } => format!("fetching the certificate from {ca}"),
            Effect::CleanUp(obligations) => format!("removing {}", records(obligations)),
            Effect::PlaceOrder { .. }
            | Effect::ReadOrder { .. }
            | Effect::ReadAuthorizations { .. }
            | Effect::Save { .. }
            | Effect::Abandon { .. }
            | Effect::End(_) => return None,
        })
    }

    /// How long an effect takes at most, where plugins do it: they do it side by side.
    fn longest(&self, effect: &Effect) -> Option<Duration> {
        let (Effect::Present(obligations) | Effect::CleanUp(obligations)) = effect else {
            return None;
        };
        by_plugin(obligations)
            .into_iter()
            .map(|(plugin, records)| self.ports.dns.get(plugin)?.longest(records.len()))
            .try_fold(Duration::ZERO, |most, one| Some(most.max(one?)))
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
        // What a run has sent counts for the next one even if it is killed.
        if self.session.pace_is_to_be_kept() {
            let ca = &self.session.profile().name;
            budget::keep_requests(self.ports.history.as_ref(), ca, &mut |found| {
                self.session.keep_pace(found)
            });
            self.ports.session.sent.keep(self.ports.history.as_ref());
        }
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
    /// What the next order needs is taken from the CA's budgets.
    paid: bool,
    /// Names that are to be authorized for an order of this run at which nobody has looked yet.
    ordered: usize,
    last: Timestamp,
    milestones: Vec<Milestone>,
    rehearsed: Option<StoredVersion>,
    /// True if a version is stored and only the journal knows.
    unnoted: bool,
}
