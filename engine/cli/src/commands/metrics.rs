//! `waxwing metrics`: the figures for Prometheus, and the file of them behind each run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use waxwing_core::name::CaName;
use waxwing_core::plan::Asker;
use waxwing_core::settings::CertificatesByName;
use waxwing_core::time::Timestamp;
use waxwing_flow::budget;
use waxwing_flow::history::Sighting;
use waxwing_io::history::{FailedAttempts, SqliteHistory};
use waxwing_io::outfile;

use super::start;
use crate::args::Global;
use crate::exit::Exit;
use crate::load::Loaded;
use crate::render::json::Document;
use crate::render::metrics::{FAILED_LATELY, MetricsView, json, text};
use crate::render::status::{Around, StatusView};
use crate::render::terminal::Terminal;
use crate::survey::{self, Survey, foresee};

/// Runs the verb.
pub(crate) fn run(global: &Global, terminal: &mut Terminal) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let history = start::look_at_history(&store, terminal)?;
    let now = start::now();
    let survey = foresee(&loaded, &store, history.as_ref(), Asker::Timer, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
    let made = if terminal.json {
        let figures = with_view(&loaded, &history, &survey, None, now, json);
        figures.map(|figures| Document::new("metrics", now, figures).to_text())
    } else {
        figures(&loaded, &history, &survey, None, now)
    };
    match made {
        Ok(text) => {
            terminal.print(&text);
            Ok(Exit::Done)
        }
        Err(cause) => {
            terminal.fail(&format!("failed to make the figures: {cause}"), None);
            Err(Exit::Bug)
        }
    }
}

/// Writes the file that `[metrics] textfile` names, if it names one. No run fails for it.
pub(super) fn publish(
    loaded: &Loaded,
    history: &SqliteHistory,
    after: &Survey,
    run: (Timestamp, bool),
    terminal: &mut Terminal,
) {
    let Some(textfile) = &loaded.settings.metrics.textfile else {
        return;
    };
    let written = figures(loaded, history, after, Some(run), start::now())
        .map_err(|cause| (cause.to_string(), None))
        .and_then(|text| write(textfile, &text));
    if let Err((cause, hint)) = written {
        let text = format!("the figures of this run are nowhere: {cause}");
        terminal.fail(&text, hint.as_deref());
    }
}

fn write(textfile: &Path, text: &str) -> Result<(), (String, Option<String>)> {
    outfile::publish(textfile, text).map_err(|error| (error.to_string(), error.hint))
}

pub(super) fn figures(
    loaded: &Loaded,
    history: &SqliteHistory,
    survey: &Survey,
    run: Option<(Timestamp, bool)>,
    now: Timestamp,
) -> Result<String, prometheus::Error> {
    with_view(loaded, history, survey, run, now, text)
}

fn with_view<T>(
    loaded: &Loaded,
    history: &SqliteHistory,
    survey: &Survey,
    run: Option<(Timestamp, bool)>,
    now: Timestamp,
    make: impl FnOnce(&MetricsView<'_>) -> T,
) -> T {
    let used = loaded.settings.used_cas();
    // What is not known is not shown; the log says why.
    let last = |ca: &CaName| {
        let seen = history.last_sighting(ca);
        seen.unwrap_or_else(|error| {
            tracing::warn!(ca = %ca, cause = %error, "what is known of the CA could not be read");
            None
        })
    };
    let cas: Vec<(CaName, Option<Sighting>)> =
        used.iter().map(|ca| (ca.clone(), last(ca))).collect();
    let took = |ca: &CaName| Some((ca.clone(), history.last_took(ca).ok()??));
    let took: Vec<(CaName, Duration)> = used.iter().filter_map(took).collect();
    let profiles = used.iter().filter_map(|ca| loaded.settings.cas.get(ca));
    let left: Vec<budget::Left> = profiles
        .filter_map(|profile| budget::left(history, profile, &[], now).ok())
        .flatten()
        .collect();
    let requests = history.requests().unwrap_or_else(|error| {
        tracing::warn!(cause = %error, "how many requests were sent could not be read");
        Vec::new()
    });
    let fruitless = history
        .fruitless(&loaded.settings, now)
        .unwrap_or_else(|error| {
            tracing::warn!(cause = %error, "what became of attempts could not be read");
            BTreeMap::new()
        });
    let fruitless = fruitless.into_iter();
    let fruitless = fruitless.filter(|(_, fruitless)| fruitless.is_current(now));
    let fruitless: Vec<CaName> = fruitless.map(|(ca, _)| ca).collect();
    let failed = history.failed_since(now - FAILED_LATELY);
    let failed: Option<Vec<FailedAttempts>> = failed
        .inspect_err(|error| {
            tracing::warn!(cause = %error, "how many attempts failed could not be read");
        })
        .ok();
    let behind = survey::left_behind(loaded, &survey.inventory, (now, false)).into_iter();
    let behind = behind.map(|behind| &behind.entry.certificate);
    make(&MetricsView {
        lost: &survey.lost,
        used: &behind.chain(&survey.lost).collect(),
        status: StatusView {
            pasts: &survey.pasts,
            now,
            plan: &survey.plan,
            inventory: &survey.inventory,
            certificates: CertificatesByName::new(&loaded.settings.certificates),
            failing: BTreeMap::new(),
            stood_in: BTreeMap::new(),
            broken: &survey.broken,
            version: env!("CARGO_PKG_VERSION"),
            around: Around::default(),
        },
        pasts: &survey.pasts,
        cas: &cas,
        took: &took,
        fruitless: &fruitless,
        requests: &requests,
        left: &left,
        failed: failed.as_deref(),
        run,
        now,
    })
}
