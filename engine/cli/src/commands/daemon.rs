//! `waxwing daemon`: stays, and does what a timer would do whenever there is something to do.
//!
//! Each pass is that of `renew`, so nothing is decided here but when the next one is. Between passes
//! it sleeps; it wakes for what comes next, for a look at the CAs, and for signals.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::plan::Asker;
use waxwing_core::settings::SecretRef;
use waxwing_core::time::Timestamp;
use waxwing_flow::monitor::{self, Look};
use waxwing_flow::ports::{
    Clock as _, Entropy as _, History as _, LockGuard, Outbox as _, StoreError, StoreErrorKind,
};
use waxwing_flow::scheduler::Force;
use waxwing_flow::wake::{self, Wake};
use waxwing_io::clock::{Stopwatch, SystemClock};
use waxwing_io::entropy::SystemEntropy;
use waxwing_io::history::SqliteHistory;
use waxwing_io::memory;
use waxwing_io::permission::Identity;
use waxwing_io::service::{self, Pulse, State};
use waxwing_io::store::FileStore;

use super::alone;
use super::interrupt::{Signal, Signals};
use super::pulse::{self, longest};
use super::renew::{Pass, Passed, unusable};
use super::start;
mod away;
mod draw;
mod face;

use self::draw::Known;
use self::face::Face;
use crate::args::Global;
use crate::args::daemon::Daemon;
use crate::exit::Exit;
use crate::load::{self, LoadError, Loaded};
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;
use crate::survey::{Survey, survey};
use crate::wire;
/// After a pass that could not be made at all, the next one is tried.
const AFTER_TROUBLE: Duration = Duration::from_secs(10 * 60);

/// Time that the machine slept through does not count for a timer, so it looks at the clock this
/// often.
const NAP: Duration = Duration::from_secs(60 * 60);

/// For so long behind a pass nobody who asks for the page has it look at the state again.
const QUIET: Duration = Duration::from_secs(5);

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Daemon,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    // Before it is read: what changes meanwhile is seen by the next look.
    let read = load::digest(global);
    let loaded = start::load(global, terminal)?;
    load::refuse_foreign_programs(&loaded.settings)
        .map_err(|refused| Refusal::from(refused).show(terminal))?;
    let store = wire::store(&loaded).map_err(|error| alone::refuse(&loaded, &error, terminal))?;
    let history = SqliteHistory::open_or_nothing(store.root());
    let history = Arc::new(history.map_err(|error| alone::refuse(&loaded, &error, terminal))?);
    let runtime = start::runtime().map_err(|refused| refused.show(terminal))?;
    let signals = runtime
        .block_on(async { Signals::for_a_daemon() })
        .map_err(|cause| {
            let refused = Refusal::new(Exit::Bug, "failed to listen for signals").cause(cause);
            refused.show(terminal)
        })?;
    pulse::looks_at(loaded.settings.certificates.len());
    let pulse = pulse::begin();
    let metrics = &loaded.settings.metrics;
    let listens = (metrics.listen, metrics.token.clone());
    let mut daemon = Keeper {
        global,
        face: None,
        known: Known::default(),
        place: store.identity(),
        has_certificates: false,
        alone: None,
        away: None,
        loaded,
        store,
        history,
        runtime,
        signals,
        looks: BTreeMap::new(),
        pulse,
        every: arguments.looks(),
        listens,
        unshown: None,
        refused: None,
        read,
        doubts: false,
    };
    daemon.begin_to_show();
    daemon.keep(terminal);
    Ok(Exit::Done)
}

/// What a daemon has in hand.
struct Keeper<'a> {
    global: &'a Global,
    /// What it shows to whoever asks, if anybody may.
    face: Option<Arc<Face>>,
    known: Known,
    loaded: Loaded,
    store: Arc<FileStore>,
    history: Arc<SqliteHistory>,
    runtime: Runtime,
    signals: Signals,
    /// Which folder the state was in; another one may be put in its place.
    place: Option<Identity>,
    /// True if certificates were in it.
    has_certificates: bool,
    /// That nobody else is the daemon of a folder that was put there later.
    alone: Option<Box<dyn LockGuard>>,
    /// What was told while the state folder is gone.
    away: Option<Arc<SqliteHistory>>,
    /// When each CA is looked at next.
    looks: BTreeMap<CaName, Timestamp>,
    pulse: Pulse,
    /// Each CA is looked at about so often; none: never.
    every: Option<Duration>,
    /// Why nothing is shown at `[metrics] listen`.
    unshown: Option<StoreError>,
    /// Why the configuration that it was to read is not in use.
    refused: Option<StoreError>,
    /// The digest of the configuration that was read last, whether it is in use or not.
    read: Option<String>,
    /// True if it has changed and could not be used when it was looked at.
    doubts: bool,
    /// What `[metrics]` said when it began to listen.
    listens: (Option<SocketAddr>, Option<SecretRef>),
}

/// What somebody knew when he lay down.
struct Bed {
    /// When there is something to do.
    until: Timestamp,
    /// What the clock showed.
    began: Timestamp,
    /// How long ago that is.
    watch: Stopwatch,
    /// What others had written to the history by then.
    written: Option<i64>,
    /// Where the state was.
    place: Option<Identity>,
    /// When a certificate came or went.
    listed: Option<Timestamp>,
}

/// Why it woke.
enum Woken {
    /// Something is to be done.
    Work,
    /// These CAs are to be looked at.
    Look(Vec<CaName>),
    /// Somebody sent a signal.
    Signal(Signal),
}

impl Keeper<'_> {
    /// Until somebody says stop.
    fn keep(&mut self, terminal: &mut Terminal) {
        let count = self.loaded.settings.certificates.len();
        tracing::info!(certificates = count, state = %self.store.root().display(), "the daemon begins");
        self.plan_looks();
        let mut ready = false;
        loop {
            self.pulse.beat(longest());
            let Some((wake, seen)) = self.pass(terminal) else {
                break;
            };
            // For people, who read it in `systemctl status`.
            let at = terminal.context(start::now()).moment(wake.at);
            let status = format!("next: {}, {at}", wake.cause);
            if !ready {
                service::tell(&[State::Ready]);
                ready = true;
            }
            service::tell(&[State::Status(&status)]);
            tracing::info!(at = %wake.at, why = %wake.cause, "next");
            self.known.next = Some((wake.at, wake.cause.to_string()));
            self.show(seen, terminal);
            if !self.wait(&wake, terminal) {
                break;
            }
        }
        service::tell(&[State::Stopping]);
        if let Some(face) = &self.face {
            face.change(|shown| shown.ready = false);
        }
        tracing::info!("the daemon ends");
    }

    /// Draws anew what is shown: as a pass has left it, or as it is found now.
    fn show(&self, seen: Option<Survey>, terminal: &Terminal) {
        let Some(face) = &self.face else {
            return;
        };
        // What lies in the place of its state is nothing to be shown.
        if self.away.is_some() || self.store.identity() != self.place {
            return;
        }
        let context = terminal.context(SystemClock.now());
        let (loaded, history) = (&self.loaded, self.history.as_ref());
        let seen = seen.map_or_else(
            || survey(loaded, &self.store, history, Asker::Daemon, context.now),
            Ok,
        );
        let store = self.store.as_ref();
        let drawn = seen
            .map_err(|error| error.to_string())
            .and_then(|seen| draw::draw(loaded, store, history, &seen, &self.known, &context));
        match drawn {
            Ok((figures, page)) => face.change(|shown| {
                shown.figures = figures;
                shown.page = page;
                shown.ready = true;
            }),
            Err(cause) => tracing::error!(%cause, "what is shown is old: it could not be drawn"),
        }
    }

    /// One pass. Answers when the next one is, and how everything is now, if that is known; none if
    /// somebody said stop meanwhile.
    fn pass(&mut self, terminal: &mut Terminal) -> Option<(Wake, Option<Survey>)> {
        let again = || Wake {
            at: SystemClock.now() + AFTER_TROUBLE,
            cause: wake::Cause::Trouble,
        };
        if !self.has_its_state(terminal) {
            return Some((again(), None));
        }
        self.keep_history(terminal);
        self.look_for_changes();
        if self.unshown.is_some() {
            self.begin_to_show();
        }
        let pass = Pass {
            loaded: &self.loaded,
            store: &self.store,
            history: &self.history,
            names: &[],
            force: Force::No,
            rehearsal: false,
            asker: Asker::Daemon,
        };
        // What is wrong has been said.
        let Ok(mut passed) = pass.run(terminal, |_, _, _| None) else {
            return Some((again(), None));
        };
        if let Some(after) = &mut passed.after {
            let troubles = self.refused.iter().chain(&self.unshown);
            after.broken.extend(troubles.cloned());
        }
        if self.store.identity() != self.place {
            // What was written since is nowhere that counts.
            tracing::error!("the state folder was taken away while a pass was at work");
            self.has_its_state(terminal);
            return Some((again(), None));
        }
        if passed.idle {
            // Nothing happened that anybody at a terminal would want to read.
            pass.tell(&passed, terminal);
        } else {
            pass.conclude(&passed, terminal);
        }
        if let Some(after) = &passed.after {
            self.has_certificates |= after.inventory.values().any(|one| one.current.is_some());
            self.known.run = Some((passed.report.ended, passed.is_all_done(after)));
        }
        if passed.report.stopped {
            return None;
        }
        let mut wake = self.next(&passed).unwrap_or_else(again);
        // Until the history can be used, only what is urgent is renewed.
        let limited = self.history.unwritable().is_some();
        // Files that are missed may come at any time.
        let after = passed.after.as_ref();
        let waits = after.is_some_and(|after| !after.lost.is_empty());
        let troubles = self.refused.is_some() || self.doubts;
        let waits = waits || self.unshown.is_some() || troubles;
        if (limited || waits) && wake.at > again().at {
            wake = again();
        }
        Some((wake, passed.after))
    }

    fn next(&self, passed: &Passed) -> Option<Wake> {
        let after = passed.after.as_ref()?;
        let now = SystemClock.now();
        let letters = self.history.waiting().unwrap_or_default();
        // Those behind the first one for a notifier come with it.
        let mut seen = BTreeSet::new();
        let first = letters
            .iter()
            .filter(|one| seen.insert(&one.letter.notifier));
        let letters = first.map(|letter| letter.next_try(now)).min();
        Some(wake::next(&after.plan, &after.pasts, letters, now))
    }

    /// Sleeps until there is something to do, and looks at CAs meanwhile. False if somebody said stop.
    fn wait(&mut self, wake: &Wake, terminal: &mut Terminal) -> bool {
        let bed = Bed {
            until: wake.at,
            began: SystemClock.now(),
            watch: Stopwatch::start(),
            written: self.history.written_elsewhere().ok(),
            place: self.store.identity(),
            listed: self.store.listed_at(),
        };
        self.plan_looks();
        loop {
            self.pulse.beat(longest());
            // What a pass over thousands of certificates has needed nobody needs until the next one.
            self.history.give_back();
            memory::give_back();
            match self.sleep(&bed) {
                Woken::Work => return true,
                Woken::Signal(Signal::Stop) => return false,
                Woken::Signal(Signal::Reload) => {
                    self.reload();
                    return true;
                }
                // Whoever wants to hear of an outage is told by a pass.
                Woken::Look(cas) => {
                    let news = self.look(&cas);
                    self.show(None, terminal);
                    if news {
                        return true;
                    }
                }
            }
        }
    }

    fn sleep(&mut self, bed: &Bed) -> Woken {
        let until = bed.until;
        loop {
            let now = SystemClock.now();
            if now >= until {
                return Woken::Work;
            }
            if wake::is_set_back(bed.began, now, bed.watch.elapsed()) {
                tracing::warn!(began = %bed.began, %now, "the clock was set back: everything is planned anew");
                return Woken::Work;
            }
            if self.store.identity() != bed.place {
                return Woken::Work;
            }
            // By a revocation, or a run that a person has started, or by `forget`.
            if self.history.written_elsewhere().ok() != bed.written
                || self.store.listed_at() != bed.listed
            {
                tracing::info!("another process has changed the state");
                return Woken::Work;
            }
            let due = self.looks.iter().filter(|(_, at)| **at <= now);
            if due.count() > 0 {
                // All of them: those that are silent in the same way tell that this machine is cut off.
                return Woken::Look(self.looks.keys().cloned().collect());
            }
            let first = self.looks.values().min().copied().unwrap_or(until);
            let nap = first.min(until).since(now).min(NAP);
            let (runtime, signals) = (&self.runtime, &mut self.signals);
            let face = self.face.clone();
            self.pulse.beat(nap + longest());
            let quiet = QUIET.saturating_sub(bed.watch.elapsed());
            let asked = async {
                match face {
                    Some(face) => {
                        SystemClock.sleep(quiet).await;
                        face.asked().await;
                    }
                    None => std::future::pending().await,
                }
            };
            let signal = runtime.block_on(async {
                tokio::select! {
                    biased;
                    signal = signals.next() => Some(signal),
                    () = SystemClock.sleep(nap) => None,
                    () = asked => None,
                }
            });
            if let Some(signal) = signal {
                return Woken::Signal(signal);
            }
            self.pulse.beat(longest());
        }
    }

    /// Looks at the directories of these CAs. True if one of them does not answer or answers again, or
    /// has changed something.
    fn look(&mut self, cas: &[CaName]) -> bool {
        let before = self.history.down_since().unwrap_or_default();
        let profiles = cas.iter().filter_map(|ca| self.loaded.settings.cas.get(ca));
        let profiles: Vec<&CaProfile> = profiles.collect();
        let looks = match wire::session(&self.loaded, Arc::clone(&self.store)) {
            // In the place of a state folder that is gone nothing is made.
            _ if self.store.identity().is_none() => Vec::new(),
            Ok(ports) => {
                let settings = &self.loaded.settings;
                let history = self.history.as_ref();
                let looks = monitor::look_at_all(&ports, history, settings, &profiles);
                self.runtime.block_on(looks)
            }
            Err(error) => {
                tracing::error!(cause = %error, "the CAs could not be looked at");
                Vec::new()
            }
        };
        if let Some(every) = self.every {
            let next = SystemClock.now() + spread(every);
            for ca in cas {
                self.looks.insert(ca.clone(), next);
            }
        }
        let news = |look: &Look| match &look.result {
            Ok(took) => {
                tracing::debug!(ca = %look.ca, ms = took.as_millis(), "the CA answers");
                before.contains_key(&look.ca) || !look.changes.is_empty()
            }
            Err(failure) => {
                let cause = failure.lines().join(": ");
                tracing::warn!(ca = %look.ca, %cause, "the CA does not answer");
                true
            }
        };
        // Every one of them is to be written down.
        let news: Vec<bool> = looks.iter().map(news).collect();
        news.contains(&true)
    }

    /// Plans to look at each CA in use.
    fn plan_looks(&mut self) {
        let Some(every) = self.every else { return };
        let cas = self.loaded.settings.used_cas();
        self.looks.retain(|ca, _| cas.contains(ca));
        // Not at once: a machine that starts again and again must not ask each time.
        let now = SystemClock.now();
        let first = now + spread(every / 4);
        // Planned by a clock that was ahead.
        self.looks.retain(|_, at| at.since(now) <= every * 2);
        for ca in cas {
            self.looks.entry(ca).or_insert(first);
        }
    }

    /// What is written where stays as it was.
    fn keep_log(&self) {
        self.global.process.log.apply(&self.loaded.settings.log);
    }

    /// Begins to answer at `[metrics] listen`. Who cannot show anything renews all the same, says so, and tries again: an
    /// address may come later than the daemon.
    fn begin_to_show(&mut self) {
        match face::begin(&self.loaded, &self.pulse) {
            Ok(face) => {
                self.face = face;
                self.unshown = None;
                let metrics = &self.loaded.settings.metrics;
                self.listens = (metrics.listen, metrics.token.clone());
            }
            Err(refused) => {
                let cause = refused.chain();
                let hint = refused.hint.unwrap_or_default();
                tracing::error!(%cause, hint, "nothing is shown at [metrics] listen");
                self.unshown = Some(face::unshown(&self.loaded.config, cause, hint));
            }
        }
    }

    /// Reads the configuration again if it is not what it was, or what was refused is mended: what a person has had done
    /// by it must not be undone by one of before, and nobody may have sent a signal.
    fn look_for_changes(&mut self) {
        let digest = load::digest(self.global);
        if self.refused.is_none() && digest.is_some() && digest == self.read {
            self.doubts = false;
            return;
        }
        match self.read() {
            // That is said already.
            Ok(loaded) if self.refused.is_some() && loaded.state != self.loaded.state => {}
            Err(_) if self.refused.is_some() => {}
            // Somebody may be writing it just now.
            Err(error) if !self.doubts => {
                self.doubts = true;
                let cause = Refusal::from(error).chain();
                tracing::warn!(%cause, "the configuration has changed and cannot be used; it is read once more before that is told");
            }
            read => {
                tracing::info!("the configuration is not what it was");
                self.take_up(read, digest);
            }
        }
    }

    /// The configuration as it is written now, if it may be used.
    fn read(&self) -> Result<Loaded, LoadError> {
        let loaded = load::load(self.global)?;
        load::refuse_foreign_programs(&loaded.settings)?;
        Ok(loaded)
    }

    /// Reads the configuration again. One that is not good changes nothing, and is told.
    ///
    /// What is said of it are records of the log, as everything in a daemon: nobody may be at a terminal.
    fn reload(&mut self) {
        let digest = load::digest(self.global);
        let read = self.read();
        self.take_up(read, digest);
    }

    fn take_up(&mut self, read: Result<Loaded, LoadError>, digest: Option<String>) {
        service::tell(&[State::Reloading]);
        self.doubts = false;
        self.read = digest;
        match read {
            Ok(loaded) if loaded.state != self.loaded.state => {
                let hint = "start the daemon again to use another state folder";
                self.keep_log();
                let cause = format!("the new one has its state in {}", loaded.state.display());
                tracing::error!(%cause, hint, "the configuration before stays in use");
                self.refused = Some(StoreError {
                    kind: StoreErrorKind::Io,
                    act: "use",
                    path: std::path::absolute(&loaded.config).unwrap_or(loaded.config),
                    causes: vec![cause],
                    hint: Some(hint.to_owned()),
                });
            }
            Ok(loaded) => {
                self.refused = None;
                let count = loaded.settings.certificates.len();
                tracing::info!(certificates = count, "the configuration was read again");
                let (before, after) = (&self.loaded.settings.metrics, &loaded.settings.metrics);
                let new = (after.listen, &after.token);
                // One that was put back is what the daemon listens at.
                if (before.listen, &before.token) != new && (self.listens.0, &self.listens.1) != new
                {
                    tracing::warn!(
                        "[metrics] listen and token count from the next start of the daemon on"
                    );
                }
                // The state folder stays open, and goes on with the trail that it has.
                self.loaded = loaded.with_trail_of(&self.loaded);
                pulse::looks_at(count);
                self.plan_looks();
            }
            Err(error) => {
                self.keep_log();
                self.refused = Some(unusable(&self.loaded.config, &error));
                let refused = Refusal::from(error);
                let cause = refused.chain();
                let hint = refused.hint.unwrap_or_default();
                tracing::error!(%cause, hint, "the configuration before stays in use");
            }
        }
        service::tell(&[State::Ready]);
    }
}

/// Three quarters to five quarters of a time.
fn spread(time: Duration) -> Duration {
    let part = (SystemEntropy.number() % 1_000) as f64 / 1_000.0;
    time.mul_f64(0.75 + part / 2.0)
}
