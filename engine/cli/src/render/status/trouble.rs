//! Why certificates are not as they should be: every failure, and what many have in common once.

use std::fmt::Write as _;

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::plan::{Action, IssueReason, Item, Note};
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::AttemptResult;
use waxwing_flow::failure::without_times;

use super::{Health, StatusView, has_debts, is_in_use, served, stranded};
use crate::render::page::{Context, Ink, Line, Page, list};

/// Most names of certificates that failed alike.
const ALSO: usize = 20;

/// An installer whose last try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Which.
    pub(crate) plugin: PluginName,
    /// When it failed.
    pub(crate) at: Timestamp,
    /// The whole chain, outermost first, one line each.
    pub(crate) causes: Vec<String>,
}

/// Why certificates are not as they should be, and what to do; what many have in common once.
pub(super) fn all(
    view: &StatusView<'_>,
    ranked: &[(Health, &Item)],
    context: &Context,
    page: &mut Page<'_>,
) {
    let troubled = ranked.iter().filter(|(health, item)| {
        matches!(health, Health::NeedsPerson | Health::Watch) || has_debts(item)
    });
    let mut alike: Vec<(Reason<'_>, Vec<&Item>)> = Vec::new();
    for (_, item) in troubled {
        let reason = match item.action {
            // What left the configuration has no failure to tell, only debts of its own.
            Action::Gone { .. } => Reason::new(),
            _ => reason(view, item),
        };
        let mut others = alike.iter_mut().filter(|_| !reason.is_empty());
        let known = others.find(|(known, _)| *known == reason);
        match known {
            Some((_, items)) => items.push(item),
            None => alike.push((reason, vec![item])),
        }
    }
    for (_, items) in alike {
        let Some((first, others)) = items.split_first() else {
            continue;
        };
        for other in others {
            owed(view, other, context, page);
        }
        let also: Vec<&CertificateName> = others.iter().map(|item| &item.name).collect();
        one(view, first, &also, context, page);
    }
}

/// Why a certificate is not as it should be, and what to do; `also` are those that failed alike.
pub(super) fn one(
    view: &StatusView<'_>,
    item: &Item,
    also: &[&CertificateName],
    context: &Context,
    page: &mut Page<'_>,
) {
    owed(view, item, context, page);
    // What failed when it was still configured is nobody's trouble any more.
    if matches!(item.action, Action::Gone { .. }) {
        return;
    }
    let failures = failures(view, item);
    if failures.is_empty() {
        otherwise(view, item, page);
        return;
    }
    for (who, causes) in &failures {
        failed(&item.name, *who, causes, page);
    }
    let hint = match also {
        [] => format!("when that is mended: waxwing renew {}", item.name),
        also => {
            page.plain(2, format!("for the same reason: {}", list(also, ALSO)));
            "when that is mended: waxwing renew".to_owned()
        }
    };
    page.hint(2, &hint);
}

/// What is left to be done besides the certificate, and what is served that should not be.
fn owed(view: &StatusView<'_>, item: &Item, context: &Context, page: &mut Page<'_>) {
    for seen in served::all(view, item).filter(|seen| !seen.is_current()) {
        let text = format!("{}: {}", item.name, seen.to_text(context));
        page.line(&Line::indented(0).ink(Ink::Bad, text));
    }
    let mut notes = item.notes.iter();
    if let Some(Note::ToRevoke { version }) =
        notes.find(|note| matches!(note, Note::ToRevoke { .. }))
    {
        let (why, hint) = match &item.action {
            Action::Gone { .. } => (
                "and no run does that for what is not in the configuration any more",
                stranded(&item.name),
            ),
            _ => (
                "behind the one that takes its place",
                format!("`waxwing revoke {} --replace` goes on with it", item.name),
            ),
        };
        let text = format!(
            "{}: version {version} is still to be revoked, {why}",
            item.name
        );
        page.line(&Line::indented(0).ink(Ink::Warn, text));
        page.hint(2, &hint);
    }
    let orders = matches!(item.action, Action::Issue(_) | Action::Renew { .. });
    if !orders && item.notes.contains(&Note::Unfinished) {
        let text = format!(
            "{}: what an earlier run has left at the DNS provider may still be there",
            item.name
        );
        page.line(&Line::indented(0).ink(Ink::Warn, text));
        page.hint(
            2,
            "`waxwing renew` tries to remove it, and says why if it cannot",
        );
    }
}

/// What has no failure, and is not as it should be.
fn otherwise(view: &StatusView<'_>, item: &Item, page: &mut Page<'_>) {
    let entry = view.inventory.get(&item.name);
    let current = entry.and_then(|entry| entry.current.as_ref());
    if matches!(item.action, Action::Issue(IssueReason::Revoked)) && entry.is_some_and(is_in_use) {
        let text = format!("{}: revoked, and still installed", item.name);
        page.line(&Line::indented(0).ink(Ink::Bad, text));
        page.hint(2, &format!("waxwing renew {}", item.name));
        return;
    }
    if let Some(current) = current.filter(|current| current.origin.fallback) {
        let line = format!(
            "{}: issued by the fallback {}",
            item.name, current.origin.ca
        );
        page.plain(0, line);
    }
}

/// What has failed for a certificate and is not made good: getting it, or each installer.
pub(in crate::render) fn failures<'v>(
    view: &'v StatusView<'_>,
    item: &Item,
) -> Vec<(Option<&'v PluginName>, &'v [String])> {
    let entry = view.inventory.get(&item.name);
    let last = entry.and_then(|entry| entry.last.as_ref());
    let last = match last.map(|last| &last.result) {
        Some(AttemptResult::Failed { causes, .. }) => Some((None, causes.as_slice())),
        Some(AttemptResult::NotInstalled { plugin, causes }) => {
            Some((Some(plugin), causes.as_slice()))
        }
        Some(AttemptResult::Renewed | AttemptResult::Installed) | None => None,
    };
    let told = last.and_then(|(plugin, _)| plugin);
    let failing = view.failing.get(&item.name).into_iter().flatten();
    let others = failing
        .filter(|one| told != Some(&one.plugin))
        .map(|one| (Some(&one.plugin), one.causes.as_slice()));
    last.into_iter().chain(others).collect()
}

/// A failure, without what differs from one time to the next.
type Reason<'v> = Vec<(Option<&'v PluginName>, Vec<String>)>;

fn reason<'v>(view: &'v StatusView<'_>, item: &Item) -> Reason<'v> {
    let failures = failures(view, item).into_iter();
    let lasting = |causes: &[String]| causes.iter().map(|one| without_times(one)).collect();
    failures
        .map(|(who, causes)| (who, lasting(causes)))
        .collect()
}

/// One failure: who, then each cause on a line of its own.
fn failed(
    name: &CertificateName,
    who: Option<&PluginName>,
    causes: &[String],
    page: &mut Page<'_>,
) {
    let mut head = format!("{name}: ");
    if let Some(who) = who.filter(|who| {
        !causes
            .first()
            .is_some_and(|first| first.contains(who.as_str()))
    }) {
        // A String takes every text.
        let _fits = write!(head, "{who}: ");
    }
    head.push_str(
        causes
            .first()
            .map_or("failed without saying why", String::as_str),
    );
    page.line(&Line::indented(0).ink(Ink::Bad, head));
    for cause in causes.iter().skip(1) {
        page.plain(2, cause);
    }
}
