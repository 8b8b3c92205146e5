//! The answer of `plan`.

use serde::Serialize;
use waxwing_core::name::PluginName;
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, InstallReason, IssueReason, Item, Note};
use waxwing_flow::failure::plain;

use super::texts;
use crate::render::plan::{PlanView, rule};

/// The answer of `plan`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanJson {
    changes: bool,
    certificates: Vec<ItemJson>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ItemJson {
    name: String,
    /// `issue`, `renew`, `install`, `keep`, `gone`
    action: &'static str,
    ca: Option<String>,
    /// `never-issued`, `names`, `staging`, `revoked`, `replaced`, `due`, `not-installed`, `not-due`, `not-configured`
    reason: &'static str,
    due: Option<String>,
    rule: Option<String>,
    /// When it is renewed: in a window, or spread.
    planned: Option<String>,
    /// `window`, `retry`, `ca-asked`, `used-up`, `too-many`, `no-ca`; none if nothing holds it.
    held: Option<&'static str>,
    held_until: Option<String>,
    safe_until: Option<String>,
    not_after: Option<String>,
    names_added: Vec<String>,
    names_removed: Vec<String>,
    install: Vec<InstallJson>,
    notes: Vec<NoteJson>,
}

#[derive(Debug, Serialize)]
struct InstallJson {
    plugin: String,
    /// `new-version`, `never`, `other-version`, `settings`
    reason: &'static str,
    /// Paths, as far as they are known without asking the plugin. Only in a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct NoteJson {
    /// `key`, `ca`, `fallback`, `failure`, `unfinished`, `unfetched`, `to-revoke`, `withheld`, `warning`
    kind: &'static str,
    text: Vec<String>,
}

/// The plan as data.
pub(crate) fn plan(view: &PlanView<'_>) -> PlanJson {
    PlanJson {
        changes: view.items().any(Item::is_work),
        certificates: view.items().map(|one| with_files(view, one)).collect(),
        warnings: view.warnings.to_vec(),
    }
}

pub(super) fn item(item: &Item) -> ItemJson {
    let (action, reason) = match &item.action {
        Action::Issue(IssueReason::Never) => ("issue", "never-issued"),
        Action::Issue(IssueReason::Damaged) => ("issue", "damaged"),
        Action::Issue(IssueReason::Unreadable) => ("issue", "unreadable"),
        Action::Issue(IssueReason::Names { .. }) => ("issue", "names"),
        Action::Issue(IssueReason::Staging) => ("issue", "staging"),
        Action::Issue(IssueReason::Revoked) => ("issue", "revoked"),
        Action::Issue(IssueReason::Replaced) => ("issue", "replaced"),
        Action::Renew { .. } => ("renew", "due"),
        Action::Install { .. } => ("install", "not-installed"),
        Action::Keep { .. } => ("keep", "not-due"),
        Action::Gone { .. } => ("gone", "not-configured"),
    };
    let due = match &item.action {
        Action::Renew { due, .. } | Action::Install { due, .. } | Action::Keep { due, .. } => {
            Some(due)
        }
        Action::Issue(_) | Action::Gone { .. } => None,
    };
    let not_after = match &item.action {
        Action::Renew { not_after, .. }
        | Action::Install { not_after, .. }
        | Action::Keep { not_after, .. } => Some(*not_after),
        Action::Gone { not_after } => *not_after,
        Action::Issue(_) => None,
    };
    let (added, removed) = match &item.action {
        Action::Issue(IssueReason::Names { added, removed }) => (texts(added), texts(removed)),
        _ => (Vec::new(), Vec::new()),
    };
    ItemJson {
        name: item.name.to_string(),
        action,
        ca: item.ca.as_ref().map(ToString::to_string),
        reason,
        due: due.map(|due| due.at.to_string()),
        rule: due.map(rule),
        planned: item.moment.map(|moment| moment.at.to_string()),
        held: item.hold.as_ref().map(held),
        held_until: item
            .hold
            .as_ref()
            .and_then(Hold::until)
            .map(|until| until.to_string()),
        safe_until: due.map(|due| due.safe_until.to_string()),
        not_after: not_after.map(|end| end.to_string()),
        names_added: added,
        names_removed: removed,
        install: item
            .install
            .iter()
            .map(|install| InstallJson {
                plugin: install.plugin.to_string(),
                reason: match install.because {
                    InstallReason::NewVersion => "new-version",
                    InstallReason::Never => "never",
                    InstallReason::OtherVersion(_) => "other-version",
                    InstallReason::Settings => "settings",
                },
                files: None,
            })
            .collect(),
        notes: item.notes.iter().map(note).collect(),
    }
}

fn with_files(view: &PlanView<'_>, one: &Item) -> ItemJson {
    let mut json = item(one);
    for (install, to) in one.install.iter().zip(&mut json.install) {
        to.files = Some(files(view, one, &install.plugin));
    }
    json
}

/// With several folders only the plugin knows which file goes where.
fn files(view: &PlanView<'_>, item: &Item, plugin: &PluginName) -> Vec<String> {
    let Some(plugin) = view.plugins.get(plugin) else {
        return Vec::new();
    };
    let mut folders = plugin.grants.files.values();
    let (Some(grant), None) = (folders.next(), folders.next()) else {
        return Vec::new();
    };
    let names = plugin.file_names(&item.name).into_iter();
    names
        .map(|name| grant.dir.join(name).display().to_string())
        .collect()
}

fn note(note: &Note) -> NoteJson {
    let (kind, text) = match note {
        Note::Key { from, to } => ("key", vec![from.to_string(), to.to_string()]),
        Note::Ca { from, to } => ("ca", vec![from.to_string(), to.to_string()]),
        Note::Fallback { first } => ("fallback", vec![first.to_string()]),
        Note::Failure(failure) => ("failure", plain(&failure.causes)),
        Note::Unfinished => ("unfinished", Vec::new()),
        Note::Late { ends } => ("late", vec![ends.to_string()]),
        Note::Unfetched => ("unfetched", Vec::new()),
        Note::ToRevoke { version } => ("to-revoke", vec![version.to_string()]),
        Note::Withheld { by } => ("withheld", vec![by.to_string()]),
        Note::Warning(warning) => ("warning", vec![warning.clone()]),
    };
    NoteJson { kind, text }
}

/// What holds a certificate back, in a word.
pub(super) const fn held(hold: &Hold) -> &'static str {
    match hold {
        Hold::Window { .. } => "window",
        Hold::Ladder { .. } => "retry",
        Hold::Asked { .. } => "ca-asked",
        Hold::UsedUp { .. } => "used-up",
        Hold::TooMany { .. } => "too-many",
        Hold::NoCa { .. } => "no-ca",
    }
}
