//! What `status` says: one line for each certificate, worst first, then what a person has to know.

use std::collections::BTreeMap;

use waxwing_core::alert;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CertificateName, Identifier, PluginName};
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, IssueReason, Item, Note, Plan};
use waxwing_core::retry::ladder;
use waxwing_core::settings::CertificatesByName;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{AttemptResult, InventoryEntry, LastAttempt};
use waxwing_flow::history::Past;
use waxwing_flow::ports::StoreError;

use super::page::{Context, Ink, Line, Page, count, list};
use super::plan::{held, rule};
use super::table::{Align, Cell, Table};

mod around;
mod served;
mod trouble;

pub(super) use around::terms as new_terms;
pub(crate) use around::{Around, CaNow, SILENT, SeenCa, Started, When};
pub(super) use served::{Seen, all as served_at, cell as served_cell};
pub(crate) use trouble::{Failing, StoodIn};
pub(super) use trouble::{What, failures, of as troubles, was_stopped};

/// The column that is folded where a name is long.
const NAME: usize = 1;

/// Columns that can be left out.
const NAMES: usize = 2;
const CA: usize = 3;
const VALID_UNTIL: usize = 4;
const LAST_RUN: usize = 7;

/// Columns in the order in which they are left out: those first that say least, or that the lines below
/// repeat where they matter.
const LEAST: [usize; 4] = [NAMES, LAST_RUN, CA, VALID_UNTIL];

/// Everything that is known without asking anybody.
#[derive(Debug)]
pub(crate) struct StatusView<'a> {
    /// What a run would do now.
    pub(crate) plan: &'a Plan,
    /// What is stored.
    pub(crate) inventory: &'a BTreeMap<CertificateName, InventoryEntry>,
    /// The configured certificates.
    pub(crate) certificates: CertificatesByName<'a>,
    /// Installers that failed with what is stored, as the history knows them.
    pub(crate) failing: BTreeMap<CertificateName, Vec<Failing>>,
    /// Why another CA than the first one has issued what is stored, as the history knows it.
    pub(crate) stood_in: BTreeMap<CertificateName, StoodIn>,
    /// What earlier runs have learnt of each.
    pub(crate) pasts: &'a BTreeMap<CertificateName, Past>,
    /// The time.
    pub(crate) now: Timestamp,
    /// What cannot be read.
    pub(crate) broken: &'a [StoreError],
    /// The version of this program.
    pub(crate) version: &'static str,
    /// What is around the certificates.
    pub(crate) around: Around,
}

/// How a certificate is doing, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// A person has to do something.
    NeedsPerson,
    /// Not as it should be, but the next run sees to it.
    Watch,
    /// As it should be.
    Good,
    /// Not in the configuration any more.
    Gone,
}

impl Health {
    /// The stable name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsPerson => "needs-person",
            Self::Watch => "watch",
            Self::Good => "good",
            Self::Gone => "gone",
        }
    }

    pub(super) const fn sign(self) -> (Ink, &'static str) {
        match self {
            Self::NeedsPerson => (Ink::Bad, "!"),
            Self::Watch => (Ink::Warn, "~"),
            Self::Good => (Ink::Plain, " "),
            Self::Gone => (Ink::Quiet, "?"),
        }
    }
}

/// How a certificate is doing: one decision for the sign, the order and the exit code.
///
/// A failure that passes is nobody's business while there is time; one that will not pass by
/// itself is, and so is anything once the time that is kept for trouble has begun.
pub(crate) fn health(item: &Item, entry: Option<&InventoryEntry>) -> Health {
    let last = entry
        .and_then(|entry| entry.last.as_ref())
        .map(|last| &last.result);
    let stuck = match last {
        Some(AttemptResult::Failed { class, .. }) => {
            !matches!(class.as_str(), "transient" | "rate-limited" | "cancelled")
        }
        Some(AttemptResult::NotInstalled { .. }) => true,
        Some(AttemptResult::Renewed | AttemptResult::Installed) | None => false,
    };
    // What somebody stopped needs nobody.
    let failed = matches!(last, Some(AttemptResult::Failed { class, .. }) if class != "cancelled");
    let fallback = entry
        .and_then(|entry| entry.current.as_ref())
        .is_some_and(|current| current.origin.fallback);
    match &item.action {
        Action::Gone { .. } => Health::Gone,
        Action::Renew { .. } | Action::Issue(_) if item.is_urgent() => Health::NeedsPerson,
        // What failed was not needed: names that were taken out again, a forced try.
        Action::Keep { .. } if matches!(last, Some(AttemptResult::Failed { .. })) => Health::Watch,
        _ if stuck => Health::NeedsPerson,
        // No run orders it.
        Action::Issue(IssueReason::Unreadable) => Health::NeedsPerson,
        // A server shows what its clients refuse until the next run.
        Action::Issue(IssueReason::Revoked) if entry.is_some_and(is_in_use) => Health::NeedsPerson,
        // Nothing is served until this works, so there is no time to spare.
        Action::Issue(IssueReason::Never) if failed => Health::NeedsPerson,
        Action::Keep { .. } if !failed && !fallback && !has_debts(item) => Health::Good,
        // It is due, and comes with its window.
        Action::Renew { .. }
            if matches!(item.hold, Some(Hold::Window { .. }))
                && !failed
                && !fallback
                && !has_debts(item) =>
        {
            Health::Good
        }
        _ => Health::Watch,
    }
}

/// True if something is left to be done besides the certificate.
fn has_debts(item: &Item) -> bool {
    let debt = |note: &Note| {
        matches!(
            note,
            Note::Unfinished | Note::Unfetched | Note::ToRevoke { .. } | Note::Withheld { .. }
        )
    };
    item.notes.iter().any(debt)
}

/// True if the stored version is where an installer has put it.
fn is_in_use(entry: &InventoryEntry) -> bool {
    let current = entry.current.as_ref().map(|current| current.version);
    let mut marks = entry.installed.iter();
    marks.any(|mark| Some(mark.version) == current)
}

impl StatusView<'_> {
    /// Items with their health, worst first; those alike in the order of the configuration.
    pub(crate) fn ranked(&self) -> Vec<(Health, &Item)> {
        let items = self.plan.items.iter();
        let mut ranked: Vec<(Health, &Item)> =
            items.map(|item| (self.health(item), item)).collect();
        ranked.sort_by_key(|(health, _)| *health);
        ranked
    }

    /// How a certificate is doing. One that is not served where it should be helps nobody.
    pub(crate) fn health(&self, item: &Item) -> Health {
        let entry = self.inventory.get(&item.name);
        let health = match entry.filter(|entry| self.has_lost_its_installer(entry)) {
            Some(entry) => {
                let last = None;
                health(
                    item,
                    Some(&InventoryEntry {
                        last,
                        ..entry.clone()
                    }),
                )
            }
            None => health(item, entry),
        };
        let watched = matches!(health, Health::Good | Health::Watch);
        match served::worst(self, item) {
            Some(seen) if watched && !seen.is_current() => Health::NeedsPerson,
            _ if watched && self.runs_out(item) => Health::NeedsPerson,
            _ if watched && self.has_failed_often(item) => Health::NeedsPerson,
            _ => health,
        }
    }

    /// True if the installer that failed with it was taken out of the configuration: it has nothing to do any more.
    fn has_lost_its_installer(&self, entry: &InventoryEntry) -> bool {
        let last = entry.last.as_ref().map(|last| &last.result);
        let Some(AttemptResult::NotInstalled { plugin, .. }) = last else {
            return false;
        };
        let configured = self.certificates.get(&entry.certificate);
        configured.is_some_and(|one| !one.install.contains(plugin))
    }

    /// True if what is in use in the place of the current version ends soon.
    fn runs_out(&self, item: &Item) -> bool {
        let entry = self.inventory.get(&item.name);
        let known = entry.zip(self.certificates.get(&item.name));
        known.is_some_and(|(entry, configured)| entry.in_use_ends(configured, self.now).is_some())
    }

    /// True if it is told to need a person because it has failed several times in a row: what is due, or a
    /// revocation that is owed.
    fn has_failed_often(&self, item: &Item) -> bool {
        let Some(past) = self.pasts.get(&item.name) else {
            return false;
        };
        let due = matches!(item.action, Action::Issue(_) | Action::Renew { .. });
        let owed = |version| past.unrevoked.as_ref().filter(|it| it.version == version);
        let mut notes = item.notes.iter();
        let stuck = notes.any(|note| match note {
            Note::ToRevoke { version } => owed(*version).is_some_and(|it| {
                it.tries >= alert::AGAIN || it.class != FailureClass::Transient.as_str()
            }),
            _ => false,
        });
        stuck || due && ladder::count(&past.failed, self.now) >= alert::AGAIN
    }

    /// True if a person has to do something.
    pub(crate) fn needs_person(&self) -> bool {
        !self.broken.is_empty()
            || self
                .ranked()
                .iter()
                .any(|(health, _)| *health == Health::NeedsPerson)
    }
}

/// The whole text.
pub(crate) fn render(view: &StatusView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    let ranked = view.ranked();
    page.line(&verdict(view, &ranked));
    if !ranked.is_empty() {
        table(view, &ranked, context, &mut page);
    }
    trouble::all(view, &ranked, context, &mut page);
    for error in view.broken {
        page.line(
            &Line::indented(0)
                .ink(Ink::Bad, "error:")
                .text(" ")
                .hang_here()
                .text(error.to_string()),
        );
        if let Some(hint) = &error.hint {
            page.hint(2, hint);
        }
    }
    for (text, hint) in around::terms(view) {
        page.line(&Line::indented(0).ink(Ink::Warn, text));
        page.hint(2, &hint);
    }
    if let Some(cas) = around::cas(view, context) {
        page.line(&Line::indented(0).hang_here().ink(Ink::Quiet, cas));
    }
    let last = around::line(view, context);
    page.line(&Line::indented(0).hang_here().ink(Ink::Quiet, last));
    page.finish()
}

fn verdict(view: &StatusView<'_>, ranked: &[(Health, &Item)]) -> Line {
    let (ink, text) = sentence(view, ranked);
    Line::indented(0).ink(ink, text)
}

/// How all of them are, in one sentence.
pub(super) fn sentence(view: &StatusView<'_>, ranked: &[(Health, &Item)]) -> (Ink, String) {
    let configured = ranked
        .iter()
        .filter(|(health, _)| *health != Health::Gone)
        .count();
    let bad = ranked
        .iter()
        .filter(|(health, _)| *health == Health::NeedsPerson)
        .count();
    let bad = bad + view.broken.len();
    let watched = ranked
        .iter()
        .filter(|(health, _)| *health == Health::Watch)
        .count();
    match (configured, bad) {
        (0, 0) => (Ink::Plain, "no certificate is configured".to_owned()),
        (all, 0) if watched > 0 => (
            Ink::Warn,
            format!(
                "{}, none needs you, {watched} should be looked at",
                count(all, "certificate")
            ),
        ),
        (all, 0) => (
            Ink::Good,
            format!("{}, none needs you", count(all, "certificate")),
        ),
        // Of those that have left some may need somebody, too.
        (all, bad) if bad > all => (Ink::Bad, format!("{bad} need you")),
        (all, 1) => (Ink::Bad, format!("1 of {all} needs you")),
        (all, bad) => (Ink::Bad, format!("{bad} of {all} need you")),
    }
}

fn table(
    view: &StatusView<'_>,
    ranked: &[(Health, &Item)],
    context: &Context,
    page: &mut Page<'_>,
) {
    use Align::{Left, Right};
    // Only where somebody wants to know.
    let places = view
        .certificates
        .iter()
        .any(|one| !one.served_at.is_empty());
    let columns = [Left, Left, Left, Left, Left, Right, Left, Left, Left, Left];
    let columns = &columns[..if places { 10 } else { 9 }];
    let mut table = Table::new(0, columns).gap(2);
    let mut row = |mut cells: Vec<Cell>| {
        cells.truncate(columns.len());
        table.row(cells);
    };
    let heads = [
        "",
        "NAME",
        "NAMES",
        "CA",
        "VALID UNTIL",
        "LEFT",
        "NEXT",
        "LAST RUN",
        "INSTALLED",
        "SERVED",
    ];
    row(heads
        .iter()
        .map(|head| Cell::of(Ink::Quiet, *head))
        .collect());
    for (health, item) in ranked {
        let entry = view.inventory.get(&item.name);
        let current = entry.and_then(|entry| entry.current.as_ref());
        let (ink, sign) = health.sign();
        let ca = current.map_or("-", |current| current.origin.ca.as_str());
        let until = entry.and_then(InventoryEntry::ends);
        let last = entry.and_then(|entry| entry.last.as_ref());
        row(vec![
            Cell::of(ink, sign),
            Cell::of(Ink::Strong, item.name.as_str()),
            Cell::plain(list(&names(view, item), 1)),
            Cell::plain(ca),
            Cell::plain(until.map_or_else(|| "-".to_owned(), |end| context.day_in_column(end))),
            Cell::of(
                ink,
                until.map_or_else(|| "-".to_owned(), |end| left(end, context)),
            ),
            Cell::plain(next(item, context)),
            Cell::plain(last.map_or_else(|| "-".to_owned(), |last| last_run(last, context))),
            Cell::plain(installed(view, item, entry)),
            served::cell(view, item, context),
        ]);
    }
    table.fit_or_fold(context.width, &LEAST, NAME);
    table.lines().iter().for_each(|line| page.line(line));
}

/// What a certificate is for: as it is configured, or as it is stored if it is not any more.
pub(super) fn names(view: &StatusView<'_>, item: &Item) -> Vec<Identifier> {
    let configured = view.certificates.get(&item.name);
    let entry = view.inventory.get(&item.name);
    let stored = entry.and_then(|entry| entry.current.as_ref());
    configured
        .map(|one| one.domains.clone())
        .or_else(|| stored.map(|stored| stored.facts.names.clone()))
        .unwrap_or_default()
}

/// `89 d`, `5 h`, `expired`
pub(super) fn left(end: Timestamp, context: &Context) -> String {
    let left = end.since(context.now).as_secs();
    match (left, left / 86_400) {
        (0, _) => "expired".to_owned(),
        (_, 0 | 1) => format!("{} h", left / 3_600),
        (_, days) => format!("{days} d"),
    }
}

pub(super) fn next(item: &Item, context: &Context) -> String {
    match &item.action {
        Action::Issue(IssueReason::Revoked) => match item.hold.as_ref().and_then(Hold::until) {
            Some(until) => format!("revoked: issue {}", context.moment(until)),
            None => "revoked: issue, next run".to_owned(),
        },
        Action::Issue(IssueReason::Unreadable) => "never: cannot be read".to_owned(),
        Action::Issue(_) => match item.hold.as_ref().and_then(Hold::until) {
            Some(until) => format!("issue {}", context.moment(until)),
            None => "issue, next run".to_owned(),
        },
        Action::Renew { .. } => match item.hold.as_ref().and_then(Hold::until) {
            Some(until) => format!("renew {}", context.moment(until)),
            None => "renew, next run".to_owned(),
        },
        Action::Install { .. } => "install, next run".to_owned(),
        Action::Keep { due, .. } => context.moment(item.moment.map_or(due.at, |moment| moment.at)),
        Action::Gone { .. } => "never: not in config".to_owned(),
    }
}

pub(super) fn last_run(last: &LastAttempt, context: &Context) -> String {
    let when = context.ago(last.at);
    match &last.result {
        AttemptResult::Renewed => format!("renewed {when}"),
        AttemptResult::Installed => format!("installed {when}"),
        AttemptResult::NotInstalled { plugin, .. } => format!("{plugin} failed {when}"),
        AttemptResult::Failed { .. } => format!("failed {when}"),
    }
}

/// Which installers have the current version, and which have not.
pub(super) fn installed(
    view: &StatusView<'_>,
    item: &Item,
    entry: Option<&InventoryEntry>,
) -> String {
    let Some(certificate) = view.certificates.get(&item.name) else {
        return String::new();
    };
    let current = entry
        .and_then(|entry| entry.current.as_ref())
        .map(|current| current.version);
    if certificate.install.is_empty() {
        // Where nothing was issued nothing is stored.
        return current.map_or_else(String::new, |_stored| "only stored".to_owned());
    }
    let has = |plugin: &PluginName| {
        let mark =
            entry.and_then(|entry| entry.installed.iter().find(|mark| mark.plugin == *plugin));
        mark.is_some_and(|mark| Some(mark.version) == current)
    };
    let lacking: Vec<_> = certificate
        .install
        .iter()
        .filter(|plugin| !has(plugin))
        .collect();
    match (lacking.len(), certificate.install.len()) {
        (0, 1..=3) => list(&certificate.install, 3),
        (0, all) => format!("all {all}"),
        _ => format!("not {}", list(&lacking, 3)),
    }
}

/// What to do about a revocation that is owed for a certificate that left the configuration.
pub(super) fn stranded(name: &CertificateName) -> String {
    format!(
        "put {name} back into the configuration to have it revoked; `waxwing forget {name}` gives that up, \
         too"
    )
}

/// What is wrong with one certificate, and what to do; nothing if it is as it should be.
pub(super) fn trouble(view: &StatusView<'_>, item: &Item, context: &Context, page: &mut Page<'_>) {
    if !matches!(view.health(item), Health::Good | Health::Gone) {
        trouble::one(view, item, &[], context, page);
    }
}

/// The whole text about one certificate.
pub(crate) fn render_one(view: &StatusView<'_>, item: &Item, context: &Context) -> String {
    let mut page = Page::new(context);
    let entry = view.inventory.get(&item.name);
    let health = view.health(item);
    let (ink, said) = match health {
        Health::NeedsPerson => (Ink::Bad, "needs you"),
        Health::Watch => (Ink::Warn, "works, but should be looked at"),
        Health::Good => (Ink::Good, "is well"),
        Health::Gone => (Ink::Quiet, "is not in the configuration any more"),
    };
    page.line(
        &Line::indented(0)
            .ink(Ink::Strong, item.name.as_str())
            .text(" ")
            .ink(ink, said),
    );
    let mut table = Table::new(2, &[Align::Left, Align::Left]);
    let mut fact = |name: &str, text: String| {
        table.row(vec![Cell::of(Ink::Quiet, name), Cell::plain(text)]);
    };
    if let Some(current) = entry.and_then(|entry| entry.current.as_ref()) {
        let facts = &current.facts;
        let by = match (current.origin.fallback, current.origin.staging) {
            (_, true) => " (staging: nobody trusts it)",
            (true, false) => " (fallback)",
            (false, false) => "",
        };
        fact("names", list(&facts.names, 20));
        fact(
            "issued",
            format!(
                "{} by {}{by}",
                context.moment(current.origin.issued_at),
                current.origin.ca
            ),
        );
        fact("chain", list(&facts.issuers, 5));
        fact(
            "valid",
            format!(
                "{} to {}",
                context.day(facts.not_before),
                context.until(facts.not_after)
            ),
        );
        fact(
            "key",
            facts
                .key_type
                .map_or_else(|| "of an unknown kind".to_owned(), |key| key.to_string()),
        );
        fact("serial", hex(&facts.serial));
        fact("sha256", facts.leaf_sha256.clone());
        fact("version", current.version.to_string());
    }
    fact(
        "next",
        match &item.action {
            Action::Keep { due, .. } => {
                let at = item.moment.map_or(due.at, |moment| moment.at);
                format!(
                    "{} ({}): {}",
                    context.moment(at),
                    context.relative(at),
                    rule(due)
                )
            }
            _ => match &item.hold {
                Some(hold) => format!(
                    "{}; {}",
                    next(item, context),
                    held(&item.name, hold, context)
                ),
                None => next(item, context),
            },
        },
    );
    for mark in entry
        .map(|entry| entry.installed.as_slice())
        .unwrap_or_default()
    {
        fact(
            "installed",
            format!(
                "version {} by {}, {}",
                mark.version,
                mark.plugin,
                context.moment(mark.at)
            ),
        );
    }
    for seen in served::all(view, item) {
        fact("served", seen.to_text(context));
    }
    if let Some(last) = entry.and_then(|entry| entry.last.as_ref()) {
        fact(
            "last run",
            format!(
                "{} ({})",
                last_run(last, context),
                context.relative(last.at)
            ),
        );
    }
    table.lines().iter().for_each(|line| page.line(line));
    trouble::one(view, item, &[], context, &mut page);
    page.finish()
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests;
