//! `waxwing renew`: issues what is missing, renews what is due, installs what is not installed.

use std::collections::BTreeMap;
use std::sync::Arc;

use waxwing_core::name::CertificateName;
use waxwing_core::plan::Action;
use waxwing_core::time::Timestamp;
use waxwing_flow::driver::{Ports, Stop};
use waxwing_flow::ports::CertificateStore as _;
use waxwing_flow::report::RunReport;
use waxwing_flow::scheduler::{self, Orders};
use waxwing_io::store::FileStore;

use super::{interrupt, start};
use crate::args::{Global, Renew};
use crate::exit::Exit;
use crate::load::Loaded;
use crate::render::json::{self, Document};
use crate::render::outcome::exit_of;
use crate::render::progress::Live;
use crate::render::renewal::{Kept, RunView, render};
use crate::render::terminal::Terminal;
use crate::survey::{self, Survey};
use crate::wire::{self, Unusable, WireError};

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Renew,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::open_to_run(global, terminal)?;
    let now = start::now();
    let before = survey_or_say(&loaded, &store, now, terminal)?;
    let known = before.inventory.keys().cloned().collect();
    let names = start::names(&arguments.names, &loaded.settings, &known, terminal)?;
    let only = names.iter().cloned().collect();
    let orders = survey::orders(
        &before,
        &loaded.settings,
        &only,
        arguments.force,
        arguments.dry_run,
    );
    let kept = kept(&before, &names, &orders);
    let live = Arc::clone(&terminal.progress);
    let report = if is_idle(&before, &names, &orders, &store) {
        nothing(now)
    } else {
        let wired = wire::wire(&loaded, Arc::clone(&store), live.clone())
            .map_err(|error| wire_failed(&error, terminal))?;
        for why in &wired.unusable {
            say_unusable(why, terminal);
        }
        live.begin(orders.jobs.iter().map(|job| &job.certificate.name));
        work(&wired.ports, &loaded, orders, &live)
            .inspect_err(|_| live.clear())
            .map_err(|cause| {
                terminal.fail(&format!("failed to start the runtime: {cause}"), None);
                Exit::Bug
            })?
    };
    live.clear();

    // What comes next may have changed; if that cannot be read the report is still worth showing.
    let after = survey::survey(&loaded, &store, start::now()).ok();
    let view = RunView {
        report: &report,
        kept,
        before: valid_until(&before),
        first_ca: loaded
            .settings
            .certificates
            .iter()
            .filter_map(|one| Some((one.name.clone(), one.cas.first()?.clone())))
            .collect(),
        next: after.as_ref().and_then(next),
        rehearsal: arguments.dry_run,
    };
    if terminal.json {
        terminal.print(&Document::new("renew", now, json::run(&view)).to_text());
    } else {
        // Distances are told from the end of the run, which may have taken a while.
        let text = render(&view, &terminal.context(report.ended));
        terminal.print(&text);
    }
    Ok(exit_of(&report))
}

fn survey_or_say(
    loaded: &Loaded,
    store: &FileStore,
    now: Timestamp,
    terminal: &mut Terminal,
) -> Result<Survey, Exit> {
    let survey = survey::survey(loaded, store, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
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
    orders.jobs.is_empty() && !installs && !orders.rehearsal && !owed
}

/// The report of a run that had nothing to do.
fn nothing(now: Timestamp) -> RunReport {
    RunReport {
        id: String::new(),
        started: now,
        ended: now,
        certificates: Vec::new(),
        installs: Vec::new(),
        audit: Vec::new(),
        requests: BTreeMap::new(),
        stopped: false,
    }
}

/// The run itself, which ends early if somebody asks.
fn work(ports: &Ports, loaded: &Loaded, orders: Orders, live: &Live) -> std::io::Result<RunReport> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (switch, stop) = Stop::new();
    Ok(runtime.block_on(async {
        let run = scheduler::run(ports, &loaded.settings, orders, &stop);
        tokio::pin!(run);
        tokio::select! {
            biased;
            report = &mut run => report,
            // Ends only with the program.
            () = interrupt::watch(switch, live) => run.await,
        }
    }))
}

/// Certificates that the run leaves alone because they are not due.
fn kept(survey: &Survey, names: &[CertificateName], orders: &Orders) -> Vec<Kept> {
    let asked = |name: &CertificateName| names.is_empty() || names.contains(name);
    let worked_on =
        |name: &CertificateName| orders.jobs.iter().any(|job| job.certificate.name == *name);
    let items = survey
        .plan
        .items
        .iter()
        .filter(|item| asked(&item.name) && !worked_on(&item.name));
    items
        .filter_map(|item| match &item.action {
            Action::Keep { due } => Some(Kept {
                certificate: item.name.clone(),
                until: Some(due.at),
                why: None,
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
                })
            }
            Action::Issue(_) | Action::Renew { .. } | Action::Install { .. } => None,
        })
        .collect()
}

fn valid_until(survey: &Survey) -> BTreeMap<CertificateName, Timestamp> {
    let entries = survey.inventory.iter();
    entries
        .filter_map(|(name, entry)| Some((name.clone(), entry.current.as_ref()?.facts.not_after)))
        .collect()
}

/// What will be due next.
fn next(survey: &Survey) -> Option<(Timestamp, CertificateName)> {
    let items = survey.plan.items.iter();
    let due = items.filter_map(|item| match &item.action {
        Action::Keep { due } | Action::Install { due } => Some((due.at, item.name.clone())),
        Action::Issue(_) | Action::Renew { .. } | Action::Gone { .. } => None,
    });
    due.min()
}

fn wire_failed(error: &WireError, terminal: &mut Terminal) -> Exit {
    terminal.fail(&error.to_string(), None);
    Exit::AllFailed
}

/// A plugin that cannot be used fails only the certificates that need it, so it is said and the run
/// goes on.
fn say_unusable(why: &Unusable, terminal: &mut Terminal) {
    match why {
        Unusable::Secret {
            plugin,
            secret,
            error,
        } => {
            let text = format!("[plugin.{plugin}] secrets.{secret}: {error}");
            terminal.fail(&text, error.hint.as_deref());
        }
        Unusable::Component(failure) => {
            let mut text = failure.to_string();
            for cause in &failure.causes {
                text.push_str(": ");
                text.push_str(cause);
            }
            terminal.fail(&text, failure.hint.as_deref());
        }
    }
}
