//! The answer of `simulate`.

use serde::Serialize;
use waxwing_core::time::{self, Timestamp};
use waxwing_flow::simulate::{Marked, Story};

use crate::render::simulation::{Beginning, SimulationView};

/// The answer of `simulate`. Times are RFC 3339, lengths are seconds.
#[derive(Debug, Serialize)]
pub(crate) struct SimulationJson {
    from: String,
    until: String,
    seed: u64,
    every: String,
    crash_rate: f64,
    certificates: usize,
    cas: Vec<String>,
    beginning: BeginningJson,
    /// As `--outage` takes them.
    outages: Vec<String>,
    warnings: Vec<String>,
    broken_promises: u64,
    runs: u64,
    busy_runs: u64,
    crashes: u64,
    issued: u64,
    by_fallback: u64,
    by_ca: Vec<CaJson>,
    requests_a_year: f64,
    failures: Vec<FailedJson>,
    alerts: Vec<AlertJson>,
    closest: Option<ClosestJson>,
    expired: Vec<ExpiredJson>,
    limits: Vec<LimitJson>,
    weeks: Vec<WeekJson>,
    events: Vec<EventJson>,
    events_left_out: u64,
}

#[derive(Debug, Serialize)]
struct BeginningJson {
    /// `fleet`, `stored`, `nothing`
    kind: &'static str,
    in_place: usize,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct CaJson {
    ca: String,
    issued: u64,
    as_fallback: u64,
    requests: u64,
}

#[derive(Debug, Serialize)]
struct FailedJson {
    /// None: on this side.
    ca: Option<String>,
    class: &'static str,
    attempts: u64,
    /// The first of them, outermost cause first.
    example: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AlertJson {
    at: String,
    certificate: String,
    /// `failed`, `failed-again`, `ends-soon`, `expired`
    step: &'static str,
}

#[derive(Debug, Serialize)]
struct ClosestJson {
    certificate: String,
    at: String,
    left: u64,
    life: u64,
}

#[derive(Debug, Serialize)]
struct ExpiredJson {
    certificate: String,
    not_before: String,
    not_after: String,
    renewed: Option<String>,
    /// The longest stretch in the last third of its life in which a CA could be asked.
    free: u64,
    preventable: bool,
}

#[derive(Debug, Serialize)]
struct LimitJson {
    ca: String,
    what: &'static str,
    limit: String,
    most: u32,
    exceeded: u64,
}

#[derive(Debug, Serialize)]
struct WeekJson {
    from: String,
    issued: std::collections::BTreeMap<String, u64>,
    failed: u64,
    alerts: u64,
    expired: u64,
}

#[derive(Debug, Serialize)]
struct EventJson {
    at: String,
    certificate: String,
    /// `issued`, `stood-in`, `failed`, `told`, `expired`
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
}

/// The simulation as data.
pub(crate) fn simulation(view: &SimulationView<'_>) -> SimulationJson {
    let (story, assumed) = (view.story, view.assumed);
    let (kind, why) = match &assumed.beginning {
        Beginning::Fleet(_) => ("fleet", None),
        Beginning::Stored { .. } => ("stored", None),
        Beginning::Nothing(why) => ("nothing", Some(why.clone())),
    };
    let of = |map: &std::collections::BTreeMap<_, u64>, ca| map.get(ca).copied().unwrap_or(0);
    SimulationJson {
        from: story.window.start.to_string(),
        until: story.window.end.to_string(),
        seed: story.seed,
        every: time::stretch(assumed.every),
        crash_rate: assumed.crash_rate,
        certificates: story.certificates,
        cas: super::texts(&assumed.cas),
        beginning: BeginningJson {
            kind,
            in_place: story.in_place.len(),
            why,
        },
        outages: super::texts(&story.disturbances),
        warnings: assumed.warnings.clone(),
        broken_promises: story.broken_promises(),
        runs: story.runs,
        busy_runs: story.busy_runs,
        crashes: story.crashes,
        issued: story.all_issued(),
        by_fallback: story.by_fallback(),
        by_ca: assumed
            .cas
            .iter()
            .map(|ca| CaJson {
                ca: ca.to_string(),
                issued: of(&story.issued, ca),
                as_fallback: of(&story.fallbacks, ca),
                requests: of(&story.requests, ca),
            })
            .collect(),
        requests_a_year: (story.requests_a_year() * 10.0).round() / 10.0,
        failures: failures(story),
        alerts: story
            .alerts
            .iter()
            .map(|alert| AlertJson {
                at: alert.at.to_string(),
                certificate: alert.certificate.to_string(),
                step: alert.step.as_str(),
            })
            .collect(),
        closest: story.closest.as_ref().map(|closest| ClosestJson {
            certificate: closest.certificate.to_string(),
            at: closest.at.to_string(),
            left: closest.left.as_secs(),
            life: closest.life.as_secs(),
        }),
        expired: story
            .expired
            .iter()
            .map(|one| ExpiredJson {
                certificate: one.certificate.to_string(),
                not_before: one.life.start.to_string(),
                not_after: one.life.end.to_string(),
                renewed: one.until.map(|at| at.to_string()),
                free: one.free.as_secs(),
                preventable: one.is_our_fault(),
            })
            .collect(),
        limits: story
            .limits
            .iter()
            .map(|used| LimitJson {
                ca: used.ca.to_string(),
                what: used.kind.as_str(),
                limit: used.limit.to_string(),
                most: used.most,
                exceeded: used.exceeded,
            })
            .collect(),
        weeks: weeks(story),
        events: events(story),
        events_left_out: story.marks_left_out,
    }
}

fn failures(story: &Story) -> Vec<FailedJson> {
    let all = story.failures.iter();
    all.map(|(key, attempts)| FailedJson {
        ca: key.0.as_ref().map(ToString::to_string),
        class: key.1.as_str(),
        attempts: *attempts,
        example: story.examples.get(key).cloned().unwrap_or_default(),
    })
    .collect()
}

fn weeks(story: &Story) -> Vec<WeekJson> {
    let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    let mut from: Timestamp = story.window.start;
    let mut all = Vec::new();
    for one in &story.weeks {
        let issued = one.issued.iter();
        all.push(WeekJson {
            from: from.to_string(),
            issued: issued.map(|(ca, n)| (ca.to_string(), *n)).collect(),
            failed: one.failed,
            alerts: one.alerts,
            expired: one.expired,
        });
        from = from + week;
    }
    all
}

fn events(story: &Story) -> Vec<EventJson> {
    let event = |mark: &waxwing_flow::simulate::Mark| {
        let mut event = EventJson {
            at: mark.at.to_string(),
            certificate: mark.certificate.to_string(),
            what: "expired",
            ca: None,
            not_after: None,
            instead_of: None,
            class: None,
            step: None,
        };
        match &mark.what {
            Marked::Issued { ca, until, .. } => {
                event.what = "issued";
                event.ca = Some(ca.to_string());
                event.not_after = Some(until.to_string());
            }
            Marked::StoodIn { ca, instead_of, .. } => {
                event.what = "stood-in";
                event.ca = Some(ca.to_string());
                event.instead_of = Some(instead_of.to_string());
            }
            Marked::Failed { ca, class } => {
                event.what = "failed";
                event.ca = ca.as_ref().map(ToString::to_string);
                event.class = Some(class.as_str());
            }
            Marked::Told(step) => {
                event.what = "told";
                event.step = Some(step.as_str());
            }
            Marked::Expired => {}
        }
        event
    };
    story.marks.iter().map(event).collect()
}
