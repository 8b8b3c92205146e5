//! The figures for Prometheus, in its text format.
//!
//! They are made anew from what is stored, because a process that lives for seconds has no counters. So all
//! are gauges but the requests to each CA, which the history counts over all processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};
use serde_json::{Map, Value, json as value};
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::outage;
use waxwing_core::plan::{Action, Item};
use waxwing_core::time::Timestamp;
use waxwing_flow::budget::Left;
use waxwing_flow::history::{Past, Sighting};
use waxwing_io::history::FailedAttempts;

use super::status::{Health, StatusView, served_at};

/// How far back failed attempts are counted by class: [`FAILED_HELP`] says it, too.
///
/// The history is pruned by age and its ladder begins anew with each certificate, so that no number in it
/// only grows. One of a fixed time is the same from whichever process it comes.
pub(crate) const FAILED_LATELY: Duration = Duration::from_secs(24 * 60 * 60);

const FAILED_HELP: &str =
    "Attempts at the CA that failed in the last 24 hours, by what can be done about it.";

/// What the figures are made from.
#[derive(Debug)]
pub(crate) struct MetricsView<'a> {
    /// What is stored and what a run would do.
    pub(crate) status: StatusView<'a>,
    /// Certificates that the configuration has lost: nobody has taken them out.
    pub(crate) lost: &'a BTreeSet<CertificateName>,
    /// Certificates that are configured no more and are in use all the same.
    pub(crate) used: &'a BTreeSet<&'a CertificateName>,
    /// What earlier runs have learnt.
    pub(crate) pasts: &'a BTreeMap<CertificateName, Past>,
    /// The CAs in use: the last look at each.
    pub(crate) cas: &'a [(CaName, Option<Sighting>)],
    /// How long each took to answer the last time it did.
    pub(crate) took: &'a [(CaName, Duration)],
    /// CAs that answer and issue nothing.
    pub(crate) fruitless: &'a [CaName],
    /// Requests that were sent to each CA since the history began.
    pub(crate) requests: &'a [(CaName, u64)],
    /// What is left of limits for the whole account.
    pub(crate) left: &'a [Left],
    /// Attempts that failed within [`FAILED_LATELY`]; none if that is not known.
    pub(crate) failed: Option<&'a [FailedAttempts]>,
    /// When the last run ended, and whether all was well; none where only somebody asks.
    pub(crate) run: Option<(Timestamp, bool)>,
    /// When the figures are made.
    pub(crate) now: Timestamp,
}

/// The text, or why there is none.
///
/// # Errors
/// When two figures contradict each other, which is a mistake of ours.
pub(crate) fn text(view: &MetricsView<'_>) -> Result<String, prometheus::Error> {
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&figures(view)?, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same for other machines: each figure by its name, with a value for each set of labels.
///
/// # Errors
/// As for [`text`].
pub(crate) fn json(view: &MetricsView<'_>) -> Result<Value, prometheus::Error> {
    let families = figures(view)?;
    let one = |metric: &Metric, counts: bool| {
        let labels = metric.get_label().iter();
        let labels: Map<String, Value> = labels
            .map(|label| (label.name().to_owned(), label.value().into()))
            .collect();
        let value = match counts {
            true => metric.get_counter().get_value(),
            false => metric.get_gauge().get_value(),
        };
        value!({ "labels": labels, "value": value })
    };
    let family = |family: &MetricFamily| {
        let counts = family.get_field_type() == MetricType::COUNTER;
        let values = family.get_metric().iter().map(|metric| one(metric, counts));
        let figure = value!({
            "type": if counts { "counter" } else { "gauge" },
            "help": family.help(),
            "values": values.collect::<Vec<_>>(),
        });
        (family.name().to_owned(), figure)
    };
    let all: Map<String, Value> = families.iter().map(family).collect();
    Ok(value!({ "figures": all }))
}

fn figures(view: &MetricsView<'_>) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let board = Board(Registry::new());
    let status = &view.status;
    let build = board.gauge("build_info", "The version of Waxwing.", &["version"])?;
    build.with_label_values(&[status.version]).set(1.0);
    if let Some((at, well)) = view.run {
        let ended = board.gauge(
            "last_run_timestamp_seconds",
            "When the last run ended.",
            &[],
        )?;
        ended.with_label_values::<&str>(&[]).set(seconds(at));
        let good = board.gauge(
            "last_run_success",
            "1 if the last run left nothing undone and nothing waits for its next try.",
            &[],
        )?;
        good.with_label_values::<&str>(&[]).set(flag(well));
    }
    certificates(view, &board)?;
    let up = board.gauge(
        "ca_up",
        "1 if the CA answered the last time it was talked to; 0 also if it answers and every attempt to get a certificate there fails. None where it did not answer and nobody has looked for two days.",
        &["ca"],
    )?;
    let seen = board.gauge(
        "ca_last_seen_timestamp_seconds",
        "When the CA was talked to last.",
        &["ca"],
    )?;
    let latency = board.gauge(
        "ca_response_seconds",
        "How long the CA took to answer the last time it did.",
        &["ca"],
    )?;
    for (ca, sighting) in view.cas {
        let Some(sighting) = sighting else { continue };
        let label = [ca.as_str()];
        let issues = !view.fruitless.contains(ca);
        // Of an outage at which nobody has looked lately nobody knows whether it is over.
        let known = sighting.result.is_ok() || outage::holds(sighting.at, view.now);
        if known {
            up.with_label_values(&label)
                .set(flag(sighting.result.is_ok() && issues));
        }
        seen.with_label_values(&label).set(seconds(sighting.at));
    }
    for (ca, took) in view.took {
        let label = [ca.as_str()];
        latency.with_label_values(&label).set(took.as_secs_f64());
    }
    let requests = board.counter(
        "ca_requests_total",
        "Requests that were sent to the CA by runs, looks and revocations.",
        &["ca"],
    )?;
    for (ca, sent) in view.requests {
        requests.with_label_values(&[ca.as_str()]).inc_by(*sent);
    }
    let rest = board.gauge(
        "ca_limit_left",
        "What a published limit of the CA leaves for the whole account.",
        &["ca", "limit"],
    )?;
    for left in view.left {
        let label = [left.ca.as_str(), left.kind.as_str()];
        rest.with_label_values(&label).set(f64::from(left.left));
    }
    failed(view, &board)?;
    Ok(board.0.gather())
}

/// How often each CA has failed lately. Nothing is a figure as well, so that a rule sees it end.
fn failed(view: &MetricsView<'_>, board: &Board) -> Result<(), prometheus::Error> {
    let Some(failed) = view.failed else {
        return Ok(());
    };
    let figure = board.gauge("failed_attempts", FAILED_HELP, &["ca", "class"])?;
    let classes = FailureClass::ALL.map(FailureClass::as_str);
    for (ca, _) in view.cas {
        for class in classes.into_iter().chain([FailedAttempts::OFFLINE]) {
            figure.with_label_values(&[ca.as_str(), class]).set(0.0);
        }
    }
    for one in failed {
        let label = [one.ca.as_str(), one.class.as_str()];
        figure.with_label_values(&label).set(one.times as f64);
    }
    Ok(())
}

/// The figures of each certificate.
fn certificates(view: &MetricsView<'_>, board: &Board) -> Result<(), prometheus::Error> {
    let name: &[&str] = &["certificate"];
    let status = &view.status;
    let not_after = board.gauge(
        "certificate_not_after_timestamp_seconds",
        "End of validity of the current version.",
        &["certificate", "ca"],
    )?;
    let in_use = board.gauge(
        "certificate_in_use_not_after_timestamp_seconds",
        "End of validity of what is in use: of the version before it, where the current one is not in its place. Without what was taken out of the configuration.",
        &["certificate"],
    )?;
    let not_before = board.gauge(
        "certificate_not_before_timestamp_seconds",
        "Start of validity of the current version.",
        &["certificate", "ca"],
    )?;
    let next = board.gauge(
        "certificate_next_attempt_timestamp_seconds",
        "When the next renewal or retry is due, now for one that the next run issues; 0 for one that nothing will renew.",
        name,
    )?;
    let failures = board.gauge(
        "certificate_failures",
        "Failed attempts at CAs since it was last issued.",
        name,
    )?;
    let person = board.gauge(
        "certificate_needs_person",
        "1 if somebody has to look at it.",
        name,
    )?;
    let issued = board.gauge(
        "certificate_last_success_timestamp_seconds",
        "When it was issued.",
        name,
    )?;
    let installed = board.gauge(
        "certificate_installed",
        "1 if the installer has put the current version in place.",
        &["certificate", "installer"],
    )?;
    let served = board.gauge(
        "certificate_served",
        "1 if the current version was seen there.",
        &["certificate", "place"],
    )?;
    for (health, item) in status.ranked() {
        let certificate = item.name.as_str();
        person.with_label_values(&[certificate]).set(flag(
            health == Health::NeedsPerson || view.lost.contains(&item.name),
        ));
        next.with_label_values(&[certificate])
            .set(next_attempt(item, view.now));
        let failed = view
            .pasts
            .get(&item.name)
            .map_or(0, |past| past.failed.len());
        failures
            .with_label_values(&[certificate])
            .set(f64::from(u32::try_from(failed).unwrap_or(u32::MAX)));
        let Some(entry) = status.inventory.get(&item.name) else {
            continue;
        };
        // What nobody wants any more nobody has to be told of.
        let configured = status.certificates.get(&item.name);
        let used = view.used.contains(&item.name);
        let in_use_until = match configured {
            Some(one) => {
                let older = entry.in_use(one).map(|older| older.not_after);
                older.or_else(|| entry.ends())
            }
            None => entry.life_in_use().filter(|_| used).map(|life| life.end),
        };
        if let Some(end) = in_use_until {
            in_use.with_label_values(&[certificate]).set(seconds(end));
        }
        let Some(current) = &entry.current else {
            continue;
        };
        let of_ca = [certificate, current.origin.ca.as_str()];
        not_after
            .with_label_values(&of_ca)
            .set(seconds(current.facts.not_after));
        not_before
            .with_label_values(&of_ca)
            .set(seconds(current.facts.not_before));
        issued
            .with_label_values(&[certificate])
            .set(seconds(current.origin.issued_at));
        for plugin in configured.iter().flat_map(|one| &one.install) {
            let has = |version: u32| version == current.version;
            let mut marks = entry.installed.iter();
            let done = marks.any(|mark| mark.plugin == *plugin && has(mark.version));
            installed
                .with_label_values(&[certificate, plugin.as_str()])
                .set(flag(done));
        }
        for seen in served_at(status, item) {
            let place = seen.place();
            served
                .with_label_values(&[certificate, &place])
                .set(flag(seen.is_current()));
        }
    }
    Ok(())
}

fn next_attempt(item: &Item, now: Timestamp) -> f64 {
    let hold = item.hold.as_ref();
    let at = match &item.action {
        Action::Gone { .. } => None,
        Action::Keep { due, .. } | Action::Install { due, .. } => {
            Some(item.moment.map_or(due.at, |moment| moment.at))
        }
        Action::Renew { due, .. } => hold.map_or(Some(due.at), |hold| hold.until()),
        Action::Issue(_) => hold.map_or(Some(now), |hold| hold.until()),
    };
    at.map_or(0.0, seconds)
}

fn seconds(at: Timestamp) -> f64 {
    at.unix_ms() as f64 / 1_000.0
}

const fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

/// Where figures are put up, all of them with our name in front.
struct Board(Registry);

impl Board {
    fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        let gauge = GaugeVec::new(Opts::new(name, help).namespace("waxwing"), labels)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }
    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let counter = IntCounterVec::new(Opts::new(name, help).namespace("waxwing"), labels)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }
}
