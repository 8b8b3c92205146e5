//! The answer of `explain` for machines.

use serde::Serialize;
use waxwing_core::ca::choose::Next;
use waxwing_core::due::Because;
use waxwing_core::notify::event::EventKind;
use waxwing_core::plan::Action;
use waxwing_flow::failure::plain;

use crate::render::status::{failures, served_at};

use super::{AccountState, CaView, ExplainView, due, hear_of};

/// The answer for machines.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainJson {
    certificate: String,
    action: &'static str,
    renewed_at: Option<String>,
    decided_by: Option<&'static str>,
    rules: Option<RulesJson>,
    held_until: Option<String>,
    failures: usize,
    cas: Vec<CaJson>,
    asked: Option<String>,
    instead_of: Option<String>,
    because: Option<String>,
    /// What has failed and is not made good, outermost cause first.
    trouble: Vec<TroubleJson>,
    /// Who hears of a failure.
    told_of_failures: Vec<String>,
    /// Who hears that its end is near.
    told_of_its_end: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TroubleJson {
    /// The installer; null for the renewal itself.
    plugin: Option<String>,
    /// The place that does not serve what it should; null for what is not about a place.
    place: Option<String>,
    causes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RulesJson {
    days_after_issue: String,
    lifetime: String,
    safe_until: String,
    suggested_start: Option<String>,
    suggested_end: Option<String>,
    suggestion_counts: Option<bool>,
}

#[derive(Debug, Serialize)]
struct CaJson {
    ca: String,
    passed_over: Option<String>,
    /// Whether there is an account that can be used; null if that cannot be read.
    account: Option<bool>,
    failures: u32,
    down_since: Option<String>,
    not_before: Option<String>,
    left: Vec<LeftJson>,
}

#[derive(Debug, Serialize)]
struct LeftJson {
    kind: &'static str,
    left: u32,
    limit: String,
    until: Option<String>,
}

/// Places that do not serve the current version, as they were seen last.
fn not_served(view: &ExplainView<'_>) -> impl Iterator<Item = TroubleJson> {
    let seen = served_at(view.status, view.item).filter(|seen| !seen.is_current());
    seen.map(|seen| TroubleJson {
        plugin: None,
        place: Some(seen.place()),
        causes: match &seen.mark.seen {
            Ok(leaf) => vec![format!(
                "serves another certificate, sha256 {}",
                leaf.sha256
            )],
            Err(causes) => plain(causes),
        },
    })
}

/// For machines.
pub(crate) fn json(view: &ExplainView<'_>) -> ExplainJson {
    let due = due(view);
    let (asked, stands_in) = match view.next {
        Some(Next::Ask { ca, instead_of }) => (Some(ca.name.to_string()), instead_of.as_ref()),
        Some(Next::Wait { ca, .. }) => (Some(ca.to_string()), None),
        Some(Next::Nobody) | None => (None, None),
    };
    let ca = |ca: &CaView| CaJson {
        ca: ca.name.to_string(),
        passed_over: ca.passed_over.clone(),
        account: ca
            .account
            .map(|account| matches!(account, AccountState::Registered(_))),
        failures: ca
            .standing
            .trouble
            .as_ref()
            .map_or(0, |trouble| trouble.failures),
        down_since: ca.standing.down_since.map(|down| down.since.to_string()),
        not_before: ca.standing.not_before.map(|at| at.to_string()),
        left: ca
            .left
            .iter()
            .map(|left| LeftJson {
                kind: left.kind.as_str(),
                left: left.left,
                limit: left.limit.to_string(),
                until: left.until.map(|at| at.to_string()),
            })
            .collect(),
    };
    ExplainJson {
        certificate: view.item.name.to_string(),
        action: match &view.item.action {
            Action::Issue(_) => "issue",
            Action::Renew { .. } => "renew",
            Action::Install { .. } => "install",
            Action::Keep { .. } => "keep",
            Action::Gone { .. } => "gone",
        },
        renewed_at: due
            .map(|due| view.item.moment.map_or(due.at, |moment| moment.at))
            .map(|at| at.to_string()),
        decided_by: due.map(|due| match due.because {
            Because::Suggested => "ari",
            Because::DaysAfterIssue(_) => "days-after-issue",
            Because::Lifetime => "lifetime",
        }),
        rules: view.rules.map(|rules| RulesJson {
            days_after_issue: rules.days_after_issue.to_string(),
            lifetime: rules.lifetime.to_string(),
            safe_until: rules.safe_until.to_string(),
            suggested_start: rules.suggested.map(|(s, _)| s.window.start.to_string()),
            suggested_end: rules.suggested.map(|(s, _)| s.window.end.to_string()),
            suggestion_counts: rules.suggested.map(|(_, counts)| counts),
        }),
        held_until: view
            .item
            .hold
            .as_ref()
            .and_then(|hold| hold.until())
            .map(|at| at.to_string()),
        failures: view.failed.len(),
        cas: view.cas.iter().map(ca).collect(),
        asked,
        instead_of: stands_in.map(|(first, _)| first.to_string()),
        because: stands_in.map(|(_, because)| because.to_string()),
        trouble: failures(view.status, view.item)
            .into_iter()
            .map(|(plugin, causes)| TroubleJson {
                plugin: plugin.map(ToString::to_string),
                place: None,
                causes: plain(causes),
            })
            .chain(not_served(view))
            .collect(),
        told_of_failures: hear_of(view, EventKind::Failed),
        told_of_its_end: hear_of(view, EventKind::ExpiryNear),
    }
}
