//! `waxwing renew`: issues what is missing, renews what is due, installs what is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::ca::choose::FailBack;
use waxwing_core::name::CertificateName;
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, Asker};
use waxwing_core::settings::{CertificateSettings, LogFormat};
use waxwing_core::time::Timestamp;
use waxwing_flow::ahead;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::driver::{Ports, Stop};

use waxwing_flow::notify::Sent;
use waxwing_flow::ports::{CertificateStore as _, History, StoreError};
use waxwing_flow::report::{self, CertificateReport, Outcome, RunReport};
use waxwing_flow::scheduler::{self, Force, Orders};
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;

use super::{interrupt, metrics, pulse, start, started};
use crate::args::{Global, Renew};
use crate::drift;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::render::json::{self, Document};
use crate::render::notified;
use crate::render::outcome::exit_of;
use crate::render::page::Context;
use crate::render::plan::held;
use crate::render::progress::Live;
use crate::render::renewal::{Kept, RunView, render};
use crate::render::terminal::Terminal;
use crate::survey::{self, Survey, Wish};
use crate::wire::{self, Compiled, WireError};

mod advise;
pub(super) mod limit;
mod tell;
mod unusable;
mod withhold;

use advise::ask_for_advice;
pub(super) use tell::{blind, misconfigured, tell, unusable};
use unusable::{is_reported, say_unusable};

/// Attempts and sightings of CAs are kept for so long.
const REMEMBERED: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// What was seen to be served is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Renew,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let asker = asker(arguments);
    // Whoever rehearses tries something out.
    let told = Some(asker).filter(|_| !arguments.dry_run);
    let loaded = start::load_for(told, global, terminal)?;
    let blind = |error: StoreError, terminal: &mut Terminal| {
        tell::blind(&loaded, &error, asker, terminal);
        start::store_failed(&error, terminal)
    };
    let known = wire::look(&loaded).and_then(|seen| start::known(&seen));
    let known = known.map_err(|error| blind(error, terminal))?;
    let names = start::names(&arguments.names, &loaded.settings, &known, terminal)?;
    let store = wire::store(&loaded).map_err(|error| blind(error, terminal))?;
    let history = SqliteHistory::open_or_nothing(store.root());
    let history = Arc::new(history.map_err(|error| blind(error, terminal))?);
    let pass = Pass {
        loaded: &loaded,
        store: &store,
        history: &history,
        names: &names,
        force: force(arguments),
        rehearsal: arguments.dry_run,
        asker,
    };
    let passed = pass.run(terminal, |before, orders, terminal| {
        let asked = limit::Asked {
            loaded: &loaded,
            survey: before,
            history: history.as_ref(),
        };
        if !arguments.force || arguments.dry_run {
            return None;
        }
        limit::last_of_one(
            &asked,
            orders,
            arguments.yes,
            &|name| format!("waxwing renew {name} --force --yes"),
            terminal,
        )
    })?;
    let ended = pass.conclude(&passed, terminal);
    start::note_late(&store, &history);
    Ok(ended)
}

/// One pass over everything that is configured: what a timer runs, a person, and the daemon each time
/// it wakes.
pub(super) struct Pass<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) store: &'a Arc<FileStore>,
    pub(super) history: &'a Arc<SqliteHistory>,
    /// Only these; empty for all.
    pub(super) names: &'a [CertificateName],
    pub(super) force: Force,
    pub(super) rehearsal: bool,
    pub(super) asker: Asker,
}

/// What came of a pass.
pub(super) struct Passed {
    /// When it began.
    pub(super) now: Timestamp,
    /// What was done.
    pub(super) report: RunReport,
    /// True if there was nothing to do, so that no plugin was loaded.
    pub(super) idle: bool,
    /// Until when what was worked on was valid before.
    before: BTreeMap<CertificateName, Timestamp>,
    /// How it is now, if that can be read.
    pub(super) after: Option<Survey>,
    /// Certificates that were left alone.
    kept: Vec<Kept>,
}

impl Passed {
    /// True if nothing was left undone and everything can be read.
    pub(super) fn is_well(&self, after: &Survey) -> bool {
        exit_of(&self.report) == Exit::Done && after.broken.is_empty() && !after.runs_out()
    }

    /// True if it went well and nothing that has failed before waits for its next try.
    pub(super) fn is_all_done(&self, after: &Survey) -> bool {
        let mut items = after.plan.items.iter();
        let waits = items.any(|item| item.hold.as_ref().is_some_and(Hold::is_behind_a_failure));
        self.is_well(after) && !waits
    }
}

impl Pass<'_> {
    /// Does it. `guard` sees what is about to be ordered, and may refuse.
    pub(super) fn run(
        &self,
        terminal: &mut Terminal,
        guard: impl FnOnce(&Survey, &Orders, &mut Terminal) -> Option<Exit>,
    ) -> Result<Passed, Exit> {
        let Self {
            loaded,
            store,
            history,
            names,
            asker,
            ..
        } = *self;
        let now = start::now();
        if !self.rehearsal
            && let Err(error) = store.ran(now, started::who(asker, names))
        {
            tracing::debug!(cause = %error, "that a run was here is not noted");
        }
        loaded.begin_records();
        loaded.audit.begin(load::run_id());
        let mut before = survey_or_say(loaded, store, history.as_ref(), asker, now, terminal)?;
        // A rehearsal may try another configuration with the same state.
        if !self.rehearsal {
            survey::keep_includes(loaded, store, &before.inventory);
        }
        let mut entries: Vec<_> = before.inventory.values_mut().collect();
        ahead::forget(history.as_ref(), store.as_ref(), &mut entries, now);
        let only = names.iter().cloned().collect();
        let wish = Wish {
            names: &only,
            force: self.force,
            rehearsal: self.rehearsal,
            asker,
            now,
        };
        let mut orders = survey::orders(&before, &loaded.settings, wish);
        // Advice may make something due; what is due already does not wait for it.
        let advised = orders.jobs.is_empty() && names.is_empty() && !self.rehearsal;
        if advised && ask_for_advice(loaded, store, history, &before, terminal)? {
            drop(before);
            before = survey_or_say(loaded, store, history.as_ref(), asker, now, terminal)?;
            orders = survey::orders(&before, &loaded.settings, wish);
        }
        let kept = kept(&before, names, &orders, &terminal.context(now));
        let live = Arc::clone(&terminal.progress);
        if let Some(refused) = guard(&before, &orders, terminal) {
            return Err(refused);
        }
        let looks = loaded.settings.certificates.iter().any(|one| {
            let asked = names.is_empty() || names.contains(&one.name);
            let by_hand = asker == Asker::Person && !one.served_at.is_empty();
            asked && (by_hand || wants_a_look(one, before.inventory.get(&one.name), now))
        });
        let cold = asker == Asker::Timer
            && scheduler::owes_accounts(&loaded.settings, store.as_ref(), history.as_ref(), now);
        let idle = !looks && !cold && is_idle(&before, names, &orders, store);
        let was_valid_until = valid_until(&before, &orders);
        // Of ten thousand certificates a survey is the most of what is in memory, so there is one at a
        // time. Where nothing is done it is still true afterwards.
        let unchanged = idle.then_some(before);
        let mut unusable = Vec::new();
        let mut report = if idle {
            nothing(now)
        } else {
            let wired = wire::wire(
                loaded,
                Arc::clone(store),
                Arc::clone(history),
                Compiled::Kept,
                live.clone(),
            )
            .map_err(|error| wire_failed(&error, terminal))?;
            unusable = wired.unusable;
            live.begin(orders.jobs.iter().map(|job| &job.certificate.name));
            work(&wired.ports, loaded, orders, &live)
                .inspect_err(|_| live.clear())
                .map_err(|cause| no_runtime(&cause, terminal))?
        };
        live.clear();
        // One that this run needed is in its report.
        for why in &unusable {
            if !is_reported(&report, why.plugin()) {
                say_unusable(why, terminal);
            }
        }
        // What comes next may have changed; if that cannot be read the report is still worth showing.
        let look = || survey::survey(loaded, store, history.as_ref(), asker, start::now()).ok();
        let mut after = unchanged.or_else(look);
        withhold::note(&mut report, after.as_ref());
        // Of what was renewed the new certificate is asked about, and only if the run has not done so.
        if !advised
            && !self.rehearsal
            && !report.stopped
            && let Some(seen) = &after
            && ask_for_advice(loaded, store, history, seen, terminal)?
        {
            drop(after);
            after = look();
        }
        if !idle && let Err(error) = history.prune(report.ended - REMEMBERED) {
            tracing::warn!(cause = %error, "the history was not pruned");
        }
        Ok(Passed {
            now,
            report,
            idle,
            before: was_valid_until,
            after,
            kept,
        })
    }

    /// Tells those who want to hear of it.
    pub(super) fn tell(&self, passed: &Passed, terminal: &mut Terminal) -> Vec<Sent> {
        // Before anybody is waited for.
        self.publish(passed, terminal);
        match &passed.after {
            Some(after) if !self.rehearsal => {
                let (loaded, history) = (self.loaded, self.history);
                let report = &passed.report;
                tell::tell(
                    loaded,
                    Some(self.store),
                    history,
                    report,
                    after,
                    self.asker,
                    terminal,
                )
            }
            _ => Vec::new(),
        }
    }

    /// Writes the figures down for those who watch.
    fn publish(&self, passed: &Passed, terminal: &mut Terminal) {
        if let Some(after) = passed.after.as_ref().filter(|_| !self.rehearsal) {
            let run = (passed.report.ended, passed.is_all_done(after));
            metrics::publish(self.loaded, self.history, after, run, terminal);
        }
    }

    /// Shows what came of it and tells those who want to hear of it. Answers how the program ends.
    pub(super) fn conclude(&self, passed: &Passed, terminal: &mut Terminal) -> Exit {
        let document = |run| Document::new("renew", passed.now, run).to_text();
        self.conclude_as(passed, terminal, self.exit(passed), document)
    }

    /// The same for a verb that ends with `exit`, with its own document around the run for machines.
    pub(super) fn conclude_as(
        &self,
        passed: &Passed,
        terminal: &mut Terminal,
        exit: Exit,
        document: impl FnOnce(json::RunJson) -> String,
    ) -> Exit {
        let report = &passed.report;
        // For people the report comes first, however long a mail server takes.
        let told = if terminal.json {
            self.tell(passed, terminal)
        } else {
            Vec::new()
        };
        let view = RunView {
            report,
            told: &told,
            kept: passed.kept.clone(),
            before: passed.before.clone(),
            first_ca: self
                .loaded
                .settings
                .certificates
                .iter()
                .filter(|_| self.loaded.settings.failover.fail_back == FailBack::NextRenewal)
                .filter_map(|one| Some((one.name.clone(), one.cas.first()?.clone())))
                .collect(),
            by_hand: passed
                .after
                .as_ref()
                .map(|after| by_hand(report, after))
                .unwrap_or_default(),
            next: passed.after.as_ref().and_then(next),
            keeps_its_key: self
                .loaded
                .settings
                .certificates
                .iter()
                .filter(|one| one.reuse_key)
                .map(|one| one.name.clone())
                .collect(),
            rehearsal: self.rehearsal,
            exit,
        };
        if terminal.json {
            terminal.print(&document(json::run(&view)));
        } else if self.asker == Asker::Daemon && self.loaded.settings.log.format == LogFormat::Json
        {
            // What a daemon writes is for machines then, and records say all of it.
            self.tell(passed, terminal);
        } else {
            // Distances are told from the end of the run, which may have taken a while.
            let text = render(&view, &terminal.context(report.ended));
            terminal.print(&text);
            // A run that opened no session has not looked at any account.
            let differs = if passed.idle {
                drift::drift(self.loaded, self.store)
            } else {
                Ok(Vec::new())
            };
            for one in differs.unwrap_or_default() {
                terminal.print(&one.to_string());
            }
            let told = self.tell(passed, terminal);
            let text = notified::after_run(&told, &terminal.context(start::now()));
            if !text.is_empty() {
                terminal.print(&text);
            }
        }
        exit
    }

    /// How a run of `renew` ends that went like this.
    pub(super) fn exit(&self, passed: &Passed) -> Exit {
        let held = |one: &CertificateReport| matches!(one.outcome, Outcome::Held(_));
        match exit_of(&passed.report) {
            // Who insists and has to wait has not got it.
            Exit::Done
                if self.force != Force::No && passed.report.certificates.iter().any(held) =>
            {
                Exit::SomeFailed
            }
            // Nothing failed, and still all is not well: it has been said.
            Exit::Done
                if passed
                    .after
                    .as_ref()
                    .is_some_and(|it| !it.broken.is_empty() || it.runs_out()) =>
            {
                Exit::NeedsPerson
            }
            exit => exit,
        }
    }
}

/// A person names what is wanted, says so, or sits at a terminal; a timer does none of that.
fn asker(arguments: &Renew) -> Asker {
    let person = !arguments.names.is_empty() || arguments.now || std::io::stdin().is_terminal();
    if person { Asker::Person } else { Asker::Timer }
}

const fn force(arguments: &Renew) -> Force {
    match (arguments.force, arguments.yes) {
        (false, _) => Force::No,
        (true, false) => Force::NotDue,
        (true, true) => Force::Anyway,
    }
}

/// A place is looked at when it was never seen to serve what is current, and else once a day: a run
/// with nothing to do asks nobody.
fn wants_a_look(
    certificate: &CertificateSettings,
    entry: Option<&InventoryEntry>,
    now: Timestamp,
) -> bool {
    let Some((entry, current)) = entry.and_then(|entry| Some((entry, entry.current.as_ref()?)))
    else {
        return false;
    };
    let good = |place: &str| {
        entry.served.iter().any(|mark| {
            let right = matches!(&mark.seen, Ok(leaf) if leaf.sha256 == current.facts.leaf_sha256);
            mark.place == place && right && now.since(mark.at) < LOOK_AGAIN && mark.at <= now
        })
    };
    let mut places = certificate.served_at.iter();
    places.any(|place| !good(&place.to_string()))
}

fn survey_or_say(
    loaded: &Loaded,
    store: &FileStore,
    history: &dyn History,
    asker: Asker,
    now: Timestamp,
    terminal: &mut Terminal,
) -> Result<Survey, Exit> {
    let survey = survey::survey(loaded, store, history, asker, now);
    let survey = survey.map_err(|error| {
        tell::blind(loaded, &error, asker, terminal);
        start::store_failed(&error, terminal)
    })?;
    for error in &survey.broken {
        terminal.fail(&error.to_string(), error.hint.as_deref());
    }
    Ok(survey)
}

/// True if a run would find nothing to do, so that no plugin is loaded and nobody is asked.
fn is_idle(survey: &Survey, names: &[CertificateName], orders: &Orders, store: &FileStore) -> bool {
    let installs = survey.plan.items.iter().any(|item| {
        matches!(item.action, Action::Install { .. })
            && (names.is_empty() || names.contains(&item.name))
    });
    let owed = store.open_journals().map_or(true, |open| !open.is_empty());
    let to_revoke = survey.inventory.values().any(|entry| {
        entry.replacing.is_some() && (names.is_empty() || names.contains(&entry.certificate))
    });
    orders.jobs.is_empty() && !installs && !orders.rehearsal && !owed && !to_revoke
}

/// The report of a run that had nothing to do.
pub(super) fn nothing(now: Timestamp) -> RunReport {
    RunReport {
        id: String::new(),
        started: now,
        ended: now,
        certificates: Vec::new(),
        put_back: Vec::new(),
        left_over: Vec::new(),
        installs: Vec::new(),
        served: Vec::new(),
        replaced: Vec::new(),
        audit: Vec::new(),
        requests: BTreeMap::new(),
        accounts: Vec::new(),
        stopped: false,
    }
}

/// The run itself, which ends early if somebody asks.
fn work(ports: &Ports, loaded: &Loaded, orders: Orders, live: &Live) -> std::io::Result<RunReport> {
    let (switch, stop) = Stop::new();
    Ok(pulse::runtime()?.block_on(async {
        let run = scheduler::run(ports, &loaded.settings, orders, &stop);
        tokio::pin!(run);
        tokio::select! {
            biased;
            report = &mut run => report,
            // Ends only with the program.
            () = interrupt::watch(switch, live) => run.await,
            never = live.keep_time(ports.session.clock.as_ref()) => match never {},
        }
    }))
}

fn no_runtime(cause: &std::io::Error, terminal: &mut Terminal) -> Exit {
    terminal.fail(&format!("failed to start the runtime: {cause}"), None);
    Exit::Bug
}

/// Certificates that the run leaves alone because they are not due, or are held back.
fn kept(
    survey: &Survey,
    names: &[CertificateName],
    orders: &Orders,
    context: &Context,
) -> Vec<Kept> {
    let asked = |name: &CertificateName| names.is_empty() || names.contains(name);
    let jobs = orders.jobs.iter().map(|job| &job.certificate.name);
    let worked_on: BTreeSet<&CertificateName> = jobs.collect();
    let items = survey
        .plan
        .items
        .iter()
        .filter(|item| asked(&item.name) && !worked_on.contains(&item.name));
    items
        .filter_map(|item| match &item.action {
            Action::Keep { due, .. } => Some(Kept {
                certificate: item.name.clone(),
                until: Some(item.moment.map_or(due.at, |moment| moment.at)),
                why: None,
                held: false,
            }),
            Action::Gone { .. } => {
                let why = format!(
                    "not in the configuration any more; waxwing forget {}",
                    item.name
                );
                Some(Kept {
                    certificate: item.name.clone(),
                    until: None,
                    why: Some(why),
                    held: false,
                })
            }
            Action::Issue(_) | Action::Renew { .. } => item.hold.as_ref().map(|hold| Kept {
                certificate: item.name.clone(),
                until: hold.until(),
                why: Some(held(&item.name, hold, context)),
                held: true,
            }),
            Action::Install { .. } => None,
        })
        .collect()
}

/// The end of what there is of the certificates that are worked on.
fn valid_until(survey: &Survey, orders: &Orders) -> BTreeMap<CertificateName, Timestamp> {
    let jobs = orders.jobs.iter().map(|job| &job.certificate.name);
    jobs.filter_map(|name| {
        let ends = survey.inventory.get(name)?.ends()?;
        Some((name.clone(), ends))
    })
    .collect()
}

/// What failed and no run tries again by itself, with the command that does.
fn by_hand(report: &RunReport, after: &Survey) -> BTreeMap<CertificateName, String> {
    let failed = |name: &CertificateName| {
        let mut reports = report.certificates.iter();
        let one = reports.find(|one| one.certificate == *name)?;
        matches!(one.outcome, Outcome::Failed(_)).then_some(one.replaces)
    };
    let items = after.plan.items.iter();
    let commands = items.filter_map(|item| {
        let command = report::by_hand(item, failed(&item.name)?)?;
        Some((item.name.clone(), command))
    });
    commands.collect()
}

/// What will be due next.
fn next(survey: &Survey) -> Option<(Timestamp, CertificateName)> {
    let items = survey.plan.items.iter();
    let due = items.filter_map(|item| match &item.action {
        Action::Keep { due, .. } | Action::Install { due, .. } => {
            let at = item.moment.map_or(due.at, |moment| moment.at);
            Some((at, item.name.clone()))
        }
        Action::Issue(_) | Action::Renew { .. } => {
            let until = item.hold.as_ref()?.until()?;
            Some((until, item.name.clone()))
        }
        Action::Gone { .. } => None,
    });
    due.min()
}

fn wire_failed(error: &WireError, terminal: &mut Terminal) -> Exit {
    terminal.fail(&error.to_string(), None);
    Exit::AllFailed
}
