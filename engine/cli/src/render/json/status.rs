//! The answer of `status` for machines.

use serde::Serialize;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_flow::certificate::AttemptResult;
use waxwing_flow::failure::plain;
use waxwing_flow::notify::Waiting;
use waxwing_flow::tell::InTrouble;
use waxwing_flow::terms::NewTerms;

use super::plan::{ItemJson, item};
use super::{served, texts};
use crate::render::status::{CaNow, SeenCa, Started, StatusView, When, names, served_at};

/// The answer of `status`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusJson {
    needs_person: bool,
    certificates: Vec<StatusItemJson>,
    unreadable: Vec<String>,
    cas: Vec<SeenCaJson>,
    /// Terms that are not those that were agreed to.
    new_terms: Vec<NewTermsJson>,
    schedule: Option<Vec<StartedJson>>,
    messages: MessagesJson,
    version: &'static str,
    profiles_checked: Option<String>,
}

/// What nobody has heard yet.
#[derive(Debug, Serialize)]
pub(crate) struct MessagesJson {
    /// Messages that wait to be delivered.
    waiting: Vec<WaitingJson>,
    /// Notifiers that do not reach everybody.
    unreached: Vec<UnreachedJson>,
}

#[derive(Debug, Serialize)]
struct WaitingJson {
    notifier: String,
    /// When it was written.
    at: String,
    tries: u32,
    next_try: String,
    /// Why the last try failed.
    cause: Option<String>,
}

#[derive(Debug, Serialize)]
struct UnreachedJson {
    notifier: String,
    since: String,
    /// True if a recipient was refused for good, so that nothing waits for that one.
    refused: bool,
}

/// What nobody has heard yet, as data.
pub(crate) fn messages(waiting: &[Waiting], unreached: &[InTrouble]) -> MessagesJson {
    let waiting = waiting.iter().map(|one| WaitingJson {
        notifier: one.letter.notifier.to_string(),
        at: one.letter.notice.at.to_string(),
        tries: one.attempts,
        next_try: one.next.to_string(),
        cause: one.cause.clone(),
    });
    let unreached = unreached.iter().map(|one| UnreachedJson {
        notifier: one.name.clone(),
        since: one.since.to_string(),
        refused: one.refused,
    });
    MessagesJson {
        waiting: waiting.collect(),
        unreached: unreached.collect(),
    }
}

/// A CA in use, as far as somebody has looked.
#[derive(Debug, Serialize)]
struct SeenCaJson {
    ca: String,
    /// `up`, `down`, `unknown`
    state: &'static str,
    down_since: Option<String>,
    /// The last time in which it did not answer and answered again.
    was_down_from: Option<String>,
    was_down_until: Option<String>,
}

#[derive(Debug, Serialize)]
struct NewTermsJson {
    ca: String,
    agreed: String,
    agreed_at: String,
    now: String,
}

/// What starts the runs by itself.
#[derive(Debug, Serialize)]
struct StartedJson {
    /// `hourly`, `daemon`, `other`
    when: &'static str,
    /// `37:12`, minute and second of the hour
    minute: Option<String>,
    path: Option<String>,
    last_ran: Option<String>,
}

#[derive(Debug, Serialize)]
struct StatusItemJson {
    /// `needs-person`, `watch`, `good`, `gone`
    health: &'static str,
    /// As they are configured, or as they are stored if it is not configured any more.
    names: Vec<String>,
    plan: ItemJson,
    current: Option<CurrentJson>,
    installed: Vec<InstalledJson>,
    served: Vec<served::ServedJson>,
    last_run: Option<LastRunJson>,
}

#[derive(Debug, Serialize)]
struct CurrentJson {
    version: u32,
    ca: String,
    fallback: bool,
    /// The CA for which it stood in, and why, where the history knows it.
    instead_of: Option<String>,
    because: Option<String>,
    staging: bool,
    issued_at: String,
    not_before: String,
    not_after: String,
    names: Vec<String>,
    key: Option<&'static str>,
    sha256: String,
    issuers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InstalledJson {
    plugin: String,
    version: u32,
    at: String,
}

#[derive(Debug, Serialize)]
struct LastRunJson {
    at: String,
    ca: Option<String>,
    /// `renewed`, `installed`, `not-installed`, `failed`
    result: &'static str,
    plugin: Option<String>,
    class: Option<String>,
    causes: Vec<String>,
}

/// The status as data; `only` limits it, none means all.
pub(crate) fn status(
    view: &StatusView<'_>,
    only: &[CertificateName],
    messages: MessagesJson,
) -> StatusJson {
    let asked = |name: &CertificateName| only.is_empty() || only.contains(name);
    let ranked = view.ranked();
    let ranked = ranked.into_iter().filter(|(_, item)| asked(&item.name));
    StatusJson {
        needs_person: view.needs_person(),
        certificates: ranked
            .map(|(health, of)| {
                let entry = view.inventory.get(&of.name);
                let current = entry.and_then(|entry| entry.current.as_ref());
                let stood_in = view.stood_in.get(&of.name);
                StatusItemJson {
                    health: health.as_str(),
                    names: texts(&names(view, of)),
                    plan: item(of),
                    current: current.map(|current| CurrentJson {
                        version: current.version,
                        ca: current.origin.ca.to_string(),
                        fallback: current.origin.fallback,
                        instead_of: stood_in.map(|known| known.other.to_string()),
                        because: stood_in.map(|known| known.why.clone()),
                        staging: current.origin.staging,
                        issued_at: current.origin.issued_at.to_string(),
                        not_before: current.facts.not_before.to_string(),
                        not_after: current.facts.not_after.to_string(),
                        names: texts(&current.facts.names),
                        key: current.facts.key_type.map(|key| key.as_str()),
                        sha256: current.facts.leaf_sha256.clone(),
                        issuers: current.facts.issuers.clone(),
                    }),
                    installed: entry
                        .map(|entry| entry.installed.as_slice())
                        .unwrap_or_default()
                        .iter()
                        .map(|mark| InstalledJson {
                            plugin: mark.plugin.to_string(),
                            version: mark.version,
                            at: mark.at.to_string(),
                        })
                        .collect(),
                    served: served_at(view, of)
                        .map(|seen| served::noted(of.name.as_str(), &seen))
                        .collect(),
                    last_run: entry.and_then(|entry| entry.last.as_ref()).map(|last| {
                        let (result, plugin, class, causes) = attempt(&last.result);
                        LastRunJson {
                            at: last.at.to_string(),
                            ca: last.ca.as_ref().map(ToString::to_string),
                            result,
                            plugin: plugin.map(ToString::to_string),
                            class,
                            causes,
                        }
                    }),
                }
            })
            .collect(),
        unreadable: view.broken.iter().map(ToString::to_string).collect(),
        cas: view.around.cas.iter().map(seen_ca).collect(),
        new_terms: view.around.terms.iter().map(new_terms).collect(),
        schedule: view
            .around
            .started
            .as_ref()
            .map(|all| all.iter().map(started).collect()),
        messages,
        version: view.version,
        profiles_checked: view.around.profiles.map(|date| date.to_string()),
    }
}

fn seen_ca(one: &SeenCa) -> SeenCaJson {
    let (state, down_since) = match one.now {
        CaNow::Up => ("up", None),
        CaNow::Down(since) => ("down", Some(since.to_string())),
        CaNow::IssuesNothing(since) => ("issues-nothing", Some(since.to_string())),
        // Whether it still is, nobody knows.
        CaNow::WasDown(since) => ("unknown", Some(since.to_string())),
        CaNow::Unknown => ("unknown", None),
    };
    SeenCaJson {
        ca: one.ca.to_string(),
        state,
        down_since,
        was_down_from: one.was_down.map(|window| window.start.to_string()),
        was_down_until: one.was_down.map(|window| window.end.to_string()),
    }
}

fn new_terms(new: &NewTerms) -> NewTermsJson {
    NewTermsJson {
        ca: new.ca.to_string(),
        agreed: new.agreed.0.clone(),
        agreed_at: new.agreed.1.to_string(),
        now: new.now.clone(),
    }
}

fn started(one: &Started) -> StartedJson {
    let (when, minute) = match one.when {
        When::Hourly(moment) => ("hourly", Some(moment.to_string())),
        When::Always => ("daemon", None),
        When::Unknown => ("other", None),
    };
    StartedJson {
        when,
        minute,
        path: one.place.as_ref().map(|path| path.display().to_string()),
        last_ran: one.last.map(|at| at.to_string()),
    }
}

type AttemptParts<'a> = (
    &'static str,
    Option<&'a PluginName>,
    Option<String>,
    Vec<String>,
);

fn attempt(result: &AttemptResult) -> AttemptParts<'_> {
    match result {
        AttemptResult::Renewed => ("renewed", None, None, Vec::new()),
        AttemptResult::Installed => ("installed", None, None, Vec::new()),
        AttemptResult::NotInstalled { plugin, causes } => {
            ("not-installed", Some(plugin), None, plain(causes))
        }
        AttemptResult::Failed { class, causes } => {
            ("failed", None, Some(class.clone()), plain(causes))
        }
    }
}
