//! The outputs for machines. Fields are added, never renamed or removed, within one `schema`.
//!
//! These types are the contract; the engine's own types are free to change.

use serde::Serialize;
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::AuditEvent;
use waxwing_flow::failure::Failure;
use waxwing_flow::report::{
    CertificateReport, InstallOutcome, InstallReport, Milestone, Outcome, Reached,
};

use super::notified::{self, SentJson};
use super::renewal::RunView;

mod plan;
pub(crate) mod replaced;
mod served;
mod simulation;
mod stages;
mod status;

pub(crate) use plan::plan;
pub(crate) use simulation::simulation;
pub(crate) use status::{messages, status};

/// The version of all outputs together.
const SCHEMA: u32 = 1;

/// What stands around every output.
#[derive(Debug, Serialize)]
pub(crate) struct Document<T> {
    schema: u32,
    verb: &'static str,
    at: String,
    result: T,
}

impl<T: Serialize> Document<T> {
    /// The answer of a verb, made at `at`.
    pub(crate) fn new(verb: &'static str, at: Timestamp, result: T) -> Self {
        Self {
            schema: SCHEMA,
            verb,
            at: at.to_string(),
            result,
        }
    }

    /// Indented JSON.
    pub(crate) fn to_text(&self) -> String {
        // Maps with text keys and plain values always have a JSON form.
        serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}

/// What is still owed for a certificate.
#[derive(Debug, Serialize)]
struct LeftOverJson {
    certificate: String,
    causes: Vec<String>,
    hint: Option<String>,
}

/// The answer of `renew`.
#[derive(Debug, Serialize)]
pub(crate) struct RunJson {
    /// Its number; none if there was nothing to do.
    run: Option<String>,
    rehearsal: bool,
    stopped: bool,
    exit: u8,
    started: String,
    ended: String,
    certificates: Vec<CertificateJson>,
    /// Files that were put back first, because an earlier run was cut off.
    put_back: Vec<stages::PutBackJson>,
    /// What earlier runs still owe for certificates that were not worked on.
    left_over: Vec<LeftOverJson>,
    installs: Vec<BatchJson>,
    served: Vec<served::ServedJson>,
    /// Versions that are to be revoked behind others.
    replaced: Vec<replaced::ReplacedJson>,
    not_due: Vec<KeptJson>,
    /// Requests to each CA.
    requests: std::collections::BTreeMap<String, u64>,
    audit: Vec<AuditJson>,
    /// Who was told of it.
    told: Vec<SentJson>,
}

#[derive(Debug, Serialize)]
struct CertificateJson {
    name: String,
    /// `issued`, `renewed`, `overtaken`, `locked`, `failed`
    result: &'static str,
    ca: Option<String>,
    fallback: bool,
    version: Option<u32>,
    not_after: Option<String>,
    started: String,
    ended: String,
    milestones: Vec<MilestoneJson>,
    failures: Vec<FailureJson>,
    /// Records still to be removed.
    owed: Vec<String>,
    /// When it is tried again, if it was not renewed and that is known.
    next_try: Option<String>,
    /// What holds it back, as in `plan`; none if it was worked on.
    held: Option<&'static str>,
    /// The command that tries it again, if nothing does by itself.
    by_hand: Option<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MilestoneJson {
    at: String,
    took_ms: u128,
    /// `ordered`, `placed`, `seen`, `received`, `removed`
    what: &'static str,
}

#[derive(Debug, Serialize)]
struct FailureJson {
    ca: Option<String>,
    at: Option<String>,
    class: &'static str,
    /// The whole chain, outermost first.
    causes: Vec<String>,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct BatchJson {
    plugin: String,
    certificates: Vec<String>,
    /// `installed`, `unchanged`, `planned`, `failed`
    result: &'static str,
    started: String,
    took_ms: u128,
    steps: Vec<StepJson>,
    stages: Vec<stages::StageJson>,
    failure: Option<FailureJson>,
}

#[derive(Debug, Serialize)]
struct StepJson {
    summary: String,
    kind: String,
    grant: Option<String>,
    target: Option<String>,
    certificates: Vec<String>,
    reversible: bool,
}

#[derive(Debug, Serialize)]
struct KeptJson {
    name: String,
    due: Option<String>,
    /// True: it is due, and waits until `due`.
    held: bool,
    /// Why nothing was done, if it is not simply that it is not due.
    why: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum AuditJson {
    Request {
        plugin: String,
        method: &'static str,
        host: String,
        path: String,
        status: Option<u16>,
        error: Option<String>,
        ms: u64,
    },
    File {
        plugin: String,
        grant: String,
        path: String,
        result: String,
    },
    Command {
        plugin: String,
        grant: String,
        program: String,
        exit: Option<i32>,
        error: Option<String>,
        ms: u64,
    },
    More {
        plugin: String,
        count: u64,
    },
}

/// The run as data.
pub(crate) fn run(view: &RunView<'_>) -> RunJson {
    let report = view.report;
    let requests = report
        .requests
        .iter()
        .map(|(ca, number)| (ca.to_string(), *number));
    RunJson {
        run: (!report.id.is_empty()).then(|| report.id.clone()),
        rehearsal: view.rehearsal,
        stopped: report.stopped,
        exit: view.exit as u8,
        started: report.started.to_string(),
        ended: report.ended.to_string(),
        certificates: report
            .certificates
            .iter()
            .map(|one| certificate(one, view.by_hand.get(&one.certificate)))
            .collect(),
        put_back: report.put_back.iter().map(stages::put_back).collect(),
        left_over: report
            .left_over
            .iter()
            .map(|(certificate, failure)| LeftOverJson {
                certificate: certificate.to_string(),
                causes: failure.lines(),
                hint: failure.hint(),
            })
            .collect(),
        installs: report.installs.iter().map(batch).collect(),
        served: report.served.iter().map(served::in_run).collect(),
        replaced: report.replaced.iter().map(replaced::in_run).collect(),
        not_due: view
            .kept
            .iter()
            .map(|kept| KeptJson {
                name: kept.certificate.to_string(),
                due: kept.until.map(|until| until.to_string()),
                held: kept.held,
                why: kept.why.clone(),
            })
            .collect(),
        requests: requests.collect(),
        audit: report.audit.iter().map(audit).collect(),
        told: notified::json(view.told),
    }
}

fn certificate(report: &CertificateReport, by_hand: Option<&String>) -> CertificateJson {
    let mut failures: Vec<FailureJson> = report
        .failures
        .iter()
        .map(|at_ca| FailureJson {
            ca: Some(at_ca.ca.to_string()),
            at: Some(at_ca.at.to_string()),
            ..failure(&at_ca.failure)
        })
        .collect();
    let (mut ca, mut fallback, mut version, mut not_after) = (None, false, None, None);
    let result = match &report.outcome {
        Outcome::Issued {
            ca: by,
            fallback: second,
            version: number,
            not_after: end,
            first,
        } => {
            ca = Some(by.to_string());
            fallback = *second;
            version = *number;
            not_after = Some(end.to_string());
            if *first { "issued" } else { "renewed" }
        }
        Outcome::Overtaken => "overtaken",
        Outcome::Held(_) => "held",
        Outcome::Locked(error) => {
            failures.push(failure(&Failure::Store(error.clone())));
            "locked"
        }
        Outcome::Failed(cause) => {
            failures.extend(cause.as_ref().map(failure));
            "failed"
        }
    };
    CertificateJson {
        name: report.certificate.to_string(),
        result,
        ca,
        fallback,
        version,
        not_after,
        started: report.started.to_string(),
        ended: report.ended.to_string(),
        milestones: report.milestones.iter().map(milestone).collect(),
        failures,
        owed: texts(&report.owed),
        held: match &report.outcome {
            Outcome::Held(hold) => Some(plan::held(hold)),
            _ => None,
        },
        next_try: report
            .next_try
            .as_ref()
            .filter(|_| by_hand.is_none())
            .map(|(at, _)| *at)
            .or(match &report.outcome {
                Outcome::Held(hold) => hold.until(),
                _ => None,
            })
            .map(|at| at.to_string()),
        by_hand: by_hand.cloned(),
        notes: report.notes.clone(),
    }
}

fn milestone(milestone: &Milestone) -> MilestoneJson {
    MilestoneJson {
        at: milestone.at.to_string(),
        took_ms: milestone.took.as_millis(),
        what: match &milestone.what {
            Reached::Ordered { .. } => "ordered",
            Reached::Placed(_) => "placed",
            Reached::Seen { .. } => "seen",
            Reached::Received => "received",
            Reached::Removed { .. } => "removed",
        },
    }
}

fn failure(failure: &Failure) -> FailureJson {
    FailureJson {
        ca: None,
        at: None,
        class: failure.class().as_str(),
        causes: failure.lines(),
        hint: failure.hint(),
    }
}

fn batch(install: &InstallReport) -> BatchJson {
    let (result, cause) = match &install.outcome {
        InstallOutcome::Done { changed: true } => ("installed", None),
        InstallOutcome::Done { changed: false } => ("unchanged", None),
        InstallOutcome::Planned => ("planned", None),
        InstallOutcome::Failed(cause) => ("failed", Some(failure(cause))),
        InstallOutcome::Locked(error) => ("locked", Some(failure(&Failure::Store(error.clone())))),
    };
    BatchJson {
        plugin: install.plugin.to_string(),
        certificates: texts(&install.certificates),
        result,
        started: install.started.to_string(),
        took_ms: install.took.as_millis(),
        steps: install
            .steps
            .iter()
            .map(|step| StepJson {
                summary: step.summary.clone(),
                kind: step.kind.clone(),
                grant: step.grant.clone(),
                target: step.target.clone(),
                certificates: step.certificates.clone(),
                reversible: step.reversible,
            })
            .collect(),
        stages: install.stages.iter().map(stages::stage).collect(),
        failure: cause,
    }
}

fn audit(event: &AuditEvent) -> AuditJson {
    match event.clone() {
        AuditEvent::Request {
            plugin,
            method,
            host,
            path,
            result,
            ms,
        } => AuditJson::Request {
            plugin: plugin.to_string(),
            method: method.as_str(),
            host,
            path,
            status: result.as_ref().ok().copied(),
            error: result.err(),
            ms,
        },
        AuditEvent::File {
            plugin,
            grant,
            path,
            result,
        } => AuditJson::File {
            plugin: plugin.to_string(),
            grant,
            path,
            result,
        },
        AuditEvent::Command {
            plugin,
            grant,
            program,
            result,
            ms,
        } => AuditJson::Command {
            plugin: plugin.to_string(),
            grant,
            program,
            exit: result.as_ref().ok().copied(),
            error: result.err(),
            ms,
        },
        AuditEvent::More { plugin, count } => AuditJson::More {
            plugin: plugin.to_string(),
            count,
        },
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::fixture::{at, certificate, install, run as report};
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_run_without_work_has_no_number() {
        let mut nothing = report(Vec::new(), Vec::new());
        nothing.id.clear();
        let view = RunView {
            told: &[],
            report: &nothing,
            kept: Vec::new(),
            before: BTreeMap::new(),
            first_ca: BTreeMap::new(),
            next: None,
            by_hand: BTreeMap::new(),
            keeps_its_key: std::collections::BTreeSet::new(),
            rehearsal: false,
            exit: Exit::Done,
        };
        assert_eq!(run(&view).run, None);
    }

    #[test]
    fn a_run_keeps_every_cause_and_its_exit_code() {
        let report = report(
            vec![certificate("shop").refused("first").only_at_cas().done()],
            vec![install("web", &["old"]).failed("the test failed").done()],
        );
        let view = RunView {
            told: &[],
            report: &report,
            kept: Vec::new(),
            before: BTreeMap::new(),
            first_ca: BTreeMap::new(),
            next: None,
            by_hand: BTreeMap::new(),
            keeps_its_key: std::collections::BTreeSet::new(),
            rehearsal: false,
            exit: Exit::AllFailed,
        };
        let text = Document::new("renew", at(0), run(&view)).to_text();
        let json: serde_json::Value = serde_json::from_str(&text).expect("the output is JSON");
        let get = |pointer: &str| json.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(get("/schema"), 1);
        assert_eq!(get("/verb"), "renew");
        assert_eq!(get("/result/exit"), 5);
        assert_eq!(get("/result/certificates/0/failures/0/class"), "transient");
        assert_eq!(
            get("/result/certificates/0/failures/0/causes")
                .as_array()
                .map(Vec::len),
            Some(2)
        );
        assert_eq!(get("/result/installs/0/failure/class"), "needs-person");
    }
}
