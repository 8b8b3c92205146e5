//! Why certificates are not as they should be: every failure, and what many have in common once.

use std::fmt::Write as _;

use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, IssueReason, Item, Note};
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::AttemptResult;
use waxwing_flow::failure::without_times;
use waxwing_flow::report::{self, ServedReport};

use super::{Health, StatusView, has_debts, is_in_use, served, stranded};
use crate::render::page::{Context, Ink, Line, Page, list};
use crate::render::plan::withheld;

/// Most names of certificates that failed alike.
const ALSO: usize = 20;

/// Most names in a command.
const NAMED: usize = 4;

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

/// For which CA the one of the current version stood in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoodIn {
    /// The one that comes before it in the list.
    pub(crate) other: CaName,
    /// Why that one was not taken.
    pub(crate) why: String,
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
        // What only a person tries has a command of its own.
        let together = !reason.is_empty() && by_hand(view, item).is_none();
        let mut others = alike.iter_mut().filter(|_| together);
        let known = others.find(|(known, items)| {
            let by_hand = items.first().and_then(|first| by_hand(view, first));
            *known == reason && by_hand.is_none()
        });
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
            for debt in owed(view, other, context) {
                if let What::Said(text) = &debt.what {
                    say(&other.name, debt.ink, text, page);
                }
                debt.hint.iter().for_each(|hint| page.hint(2, hint));
            }
        }
        let also: Vec<&CertificateName> = others.iter().map(|item| &item.name).collect();
        one(view, first, &also, context, page);
    }
}

/// Something about a certificate that a person has to know.
#[derive(Debug)]
pub(in crate::render) struct Trouble<'v> {
    /// How bad it is.
    pub(in crate::render) ink: Ink,
    /// What it is.
    pub(in crate::render) what: What<'v>,
    /// What to do about it.
    pub(in crate::render) hint: Option<String>,
}

/// What somebody has to know.
#[derive(Debug)]
pub(in crate::render) enum What<'v> {
    /// Something has failed.
    Failed {
        /// The installer; none if the certificate was not got.
        who: Option<&'v PluginName>,
        /// Every cause, outermost first.
        causes: &'v [String],
    },
    /// What is so, in one line that goes on behind the name of the certificate.
    Said(String),
}

impl<'v> Trouble<'v> {
    const fn said(ink: Ink, text: String, hint: Option<String>) -> Self {
        let what = What::Said(text);
        Self { ink, what, hint }
    }
}

/// Why a certificate is not as it should be, and what to do.
pub(in crate::render) fn of<'v>(
    view: &'v StatusView<'_>,
    item: &Item,
    context: &Context,
) -> Vec<Trouble<'v>> {
    let mut found = owed(view, item, context);
    // What failed when it was still configured is nobody's trouble any more.
    if matches!(item.action, Action::Gone { .. }) {
        return found;
    }
    let failures = failures(view, item);
    if failures.is_empty() {
        found.extend(otherwise(view, item));
        return found;
    }
    let last = failures.len() - 1;
    let failed = |(nth, (who, causes))| Trouble {
        ink: Ink::Bad,
        what: What::Failed { who, causes },
        // What has to be mended is all of them.
        hint: (nth == last).then(|| again(view, item)),
    };
    found.extend(failures.into_iter().enumerate().map(failed));
    found
}

/// What tries again all that have failed alike. A wait that a CA has asked for holds who does not insist, and our own
/// one who does not name them.
fn again_all(view: &StatusView<'_>, item: &Item, also: &[&CertificateName]) -> String {
    if was_stopped(view, item) {
        return "the next run goes on with them; `waxwing renew` does now".to_owned();
    }
    let insisting = match item.hold {
        Some(Hold::Asked { .. }) => " --force --yes",
        Some(Hold::Ladder { .. }) => "",
        _ => return "when that is mended: waxwing renew".to_owned(),
    };
    let names: Vec<&str> = std::iter::once(&item.name)
        .chain(also.iter().copied())
        .map(CertificateName::as_str)
        .collect();
    let names = match names.len() <= NAMED {
        true => names.join(" "),
        false if insisting.is_empty() => "--now".to_owned(),
        false => format!("{} ...", item.name),
    };
    format!("when that is mended: waxwing renew {names}{insisting}")
}

/// True if somebody stopped the last run before it was done: there is nothing to be mended.
pub(in crate::render) fn was_stopped(view: &StatusView<'_>, item: &Item) -> bool {
    let last = view.inventory.get(&item.name);
    let last = last.and_then(|entry| entry.last.as_ref());
    last.is_some_and(|last| match &last.result {
        AttemptResult::Failed { class, .. } => class == FailureClass::Cancelled.as_str(),
        _ => false,
    })
}

/// What tries again what has failed.
fn again(view: &StatusView<'_>, item: &Item) -> String {
    let name = &item.name;
    if was_stopped(view, item) && by_hand(view, item).is_none() {
        return format!("the next run goes on with it; `waxwing renew {name}` does now");
    }
    match (by_hand(view, item), &item.hold) {
        (Some(command), _) => {
            format!("nothing tries this by itself; when that is mended: {command}")
        }
        (None, Some(Hold::Asked { .. })) => {
            format!("when that is mended: waxwing renew {name} --force --yes")
        }
        (None, _) => format!("when that is mended: waxwing renew {name}"),
    }
}

/// The command that gets the certificate, where the renewal has failed and no run tries it by itself.
fn by_hand(view: &StatusView<'_>, item: &Item) -> Option<String> {
    let last = view.inventory.get(&item.name)?.last.as_ref()?;
    let failed = matches!(last.result, AttemptResult::Failed { .. });
    // What is to be installed is looked after by every run.
    let kept = matches!(item.action, Action::Keep { .. });
    (failed && kept).then(|| report::by_hand(item, last.replaces))?
}

/// Why a certificate is not as it should be, and what to do; `also` are those that failed alike.
pub(super) fn one(
    view: &StatusView<'_>,
    item: &Item,
    also: &[&CertificateName],
    context: &Context,
    page: &mut Page<'_>,
) {
    let found = of(view, item, context);
    let last = found.len().saturating_sub(1);
    for (nth, trouble) in found.into_iter().enumerate() {
        let mut hint = trouble.hint;
        // What they have in common comes last.
        let alike = nth == last;
        match trouble.what {
            What::Said(text) => {
                say(&item.name, trouble.ink, &text, page);
                if alike && !also.is_empty() {
                    page.plain(2, format!("the same: {}", list(also, ALSO)));
                }
            }
            What::Failed { who, causes } => {
                failed(&item.name, who, causes, page);
                if hint.is_some() && !also.is_empty() {
                    page.plain(2, format!("for the same reason: {}", list(also, ALSO)));
                    hint = Some(again_all(view, item, also));
                }
            }
        }
        hint.iter().for_each(|hint| page.hint(2, hint));
    }
}

fn say(name: &CertificateName, ink: Ink, text: &str, page: &mut Page<'_>) {
    page.line(&Line::indented(0).ink(ink, format!("{name}: {text}")));
}

/// What is left to be done besides the certificate, and what is served that should not be.
fn owed<'v>(view: &StatusView<'_>, item: &Item, context: &Context) -> Vec<Trouble<'v>> {
    let seen = served::all(view, item).filter(|seen| !seen.is_current());
    let mut seen = seen.peekable();
    let mut found: Vec<Trouble<'v>> = Vec::new();
    while let Some(one) = seen.next() {
        // Once for all places.
        let hint = seen.peek().is_none().then(|| ServedReport::HINT.to_owned());
        found.push(Trouble::said(Ink::Bad, one.to_text(context), hint));
    }
    let entry = view.inventory.get(&item.name);
    let older = view.certificates.get(&item.name).zip(entry);
    if let Some(older) = older.and_then(|(certificate, entry)| entry.in_use(certificate)) {
        let ends = match older.not_after <= context.now {
            true => "it ended",
            false => "it ends",
        };
        let text = format!(
            "the one before it is still in use at {}: {ends} {}",
            older.at,
            context.until(older.not_after)
        );
        found.push(Trouble::said(Ink::Bad, text, None));
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
        let past = view.pasts.get(&item.name);
        let failed = past.and_then(|past| past.unrevoked.as_ref());
        let gone = matches!(item.action, Action::Gone { .. });
        let failed = failed.filter(|failed| failed.version == *version && !gone);
        let last = failed.map_or_else(String::new, |failed| {
            let tries = match failed.tries {
                1 => "it was tried once".to_owned(),
                more => format!("it was tried {more} times"),
            };
            format!("; {tries}, the last time: {}", failed.causes.join(": "))
        });
        let text = format!("version {version} is still to be revoked, {why}{last}");
        found.push(Trouble::said(Ink::Warn, text, Some(hint)));
    }
    let mut notes = item.notes.iter();
    if let Some(Note::Withheld { by }) = notes.find(|note| matches!(note, Note::Withheld { .. })) {
        found.push(Trouble::said(Ink::Warn, withheld(by), None));
    }
    if item.notes.contains(&Note::Unfetched) {
        let text = "a forced run was interrupted when the CA had signed".to_owned();
        let hint = Some(format!("`waxwing renew {} --force` fetches it", item.name));
        found.push(Trouble::said(Ink::Warn, text, hint));
    }
    let orders = matches!(item.action, Action::Issue(_) | Action::Renew { .. });
    if !orders && item.notes.contains(&Note::Unfinished) {
        let text = "what an earlier run has left at the DNS provider may still be there";
        let hint = "`waxwing renew` tries to remove it, and says why if it cannot";
        let (text, hint) = (text.to_owned(), Some(hint.to_owned()));
        found.push(Trouble::said(Ink::Warn, text, hint));
    }
    found
}

/// What has no failure, and is not as it should be.
fn otherwise<'v>(view: &StatusView<'_>, item: &Item) -> Option<Trouble<'v>> {
    let entry = view.inventory.get(&item.name);
    let current = entry.and_then(|entry| entry.current.as_ref());
    if matches!(item.action, Action::Issue(IssueReason::Revoked)) && entry.is_some_and(is_in_use) {
        let hint = match item.hold {
            Some(Hold::TooMany { .. }) => format!("waxwing renew {} --force --yes", item.name),
            _ => format!("waxwing renew {}", item.name),
        };
        let text = "revoked, and still installed".to_owned();
        return Some(Trouble::said(Ink::Bad, text, Some(hint)));
    }
    let current = current.filter(|current| current.origin.fallback)?;
    let mut text = format!("issued by the fallback {}", current.origin.ca);
    if let Some(known) = view.stood_in.get(&item.name) {
        // A String takes every text.
        let _fits = write!(text, ", instead of {}: {}", known.other, known.why);
    }
    Some(Trouble::said(Ink::Plain, text, None))
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
    let all = last.into_iter().chain(others);
    // What was taken out of the configuration has nothing to do any more.
    let configured = view.certificates.get(&item.name);
    let wanted = |plugin| configured.is_none_or(|one| one.install.contains(plugin));
    all.filter(|(plugin, _)| plugin.is_none_or(wanted))
        .collect()
}

/// A failure, without what differs from one time to the next.
type Reason<'v> = Vec<(Option<&'v PluginName>, Vec<String>)>;

fn reason<'v>(view: &'v StatusView<'_>, item: &Item) -> Reason<'v> {
    let failures = failures(view, item).into_iter();
    let lasting = |causes: &[String]| causes.iter().map(|one| without_times(one)).collect();
    let failed: Reason<'v> = failures
        .map(|(who, causes)| (who, lasting(causes)))
        .collect();
    if !failed.is_empty() {
        return failed;
    }
    // A fallback stands in for many at once.
    let fallback = otherwise(view, item).filter(|other| other.hint.is_none());
    let said = fallback.and_then(|other| match other.what {
        What::Said(text) => Some((None, vec![without_times(&text)])),
        What::Failed { .. } => None,
    });
    said.into_iter().collect()
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
