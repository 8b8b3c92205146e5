//! What `explain` says: one certificate, why it is due or not, and everything that follows.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::alert;
use waxwing_core::ca::choose::{FailBack, FailOver, Next, Standing};
use waxwing_core::due::{self, Because, Due, Rules, Urgency};
use waxwing_core::name::{CaName, NotifierName, PluginName};
use waxwing_core::notify::NotifySettings;
use waxwing_core::notify::event::EventKind;
use waxwing_core::plan::hold::{Hold, Shut};
use waxwing_core::plan::{Action, IssueReason, Item};
use waxwing_core::retry::ladder::{Failed, GAP};
use waxwing_core::schedule::Placed;
use waxwing_core::settings::{CertificateSettings, PluginSettings};
use waxwing_core::time::Timestamp;
use waxwing_flow::budget::Left;
use waxwing_flow::certificate::{InventoryEntry, InventoryVersion};
use waxwing_flow::history::Advice;

use super::page::{Context, Ink, Line, Page, count, list};
use super::plan::{held, steps};
use super::status::{self, StatusView};
use super::time::stretch;

mod json;

pub(crate) use json::json;

/// Where the words behind a label begin.
const WORDS: usize = 12;

/// Everything that is known of one certificate without asking anybody.
#[derive(Debug)]
pub(crate) struct ExplainView<'a> {
    /// What a timer's run would do.
    pub(crate) item: &'a Item,
    /// What is configured; none for one that left the configuration.
    pub(crate) certificate: Option<&'a CertificateSettings>,
    /// What is stored.
    pub(crate) current: Option<&'a InventoryVersion>,
    /// What each rule says of it.
    pub(crate) rules: Option<Rules>,
    /// What its CA advises.
    pub(crate) advice: Option<&'a Advice>,
    /// Failed attempts since it was last issued, oldest first.
    pub(crate) failed: &'a [Failed],
    /// The CAs in the order in which they are asked.
    pub(crate) cas: &'a [CaView],
    /// Who would be asked now.
    pub(crate) next: Option<&'a Next<'a>>,
    /// `[failover]`
    pub(crate) failover: FailOver,
    /// The configured plugins.
    pub(crate) plugins: &'a BTreeMap<PluginName, PluginSettings>,
    /// The ways in which somebody is told.
    pub(crate) notifiers: &'a BTreeMap<NotifierName, NotifySettings>,
    /// How all certificates are doing: what is wrong with this one is told in the same words.
    pub(crate) status: &'a StatusView<'a>,
}

/// One CA of the list.
#[derive(Debug)]
pub(crate) struct CaView {
    /// Which.
    pub(crate) name: CaName,
    /// How it stands with this certificate.
    pub(crate) standing: Standing,
    /// Why it is not asked, if it never is.
    pub(crate) passed_over: Option<String>,
    /// What its limits leave for one more certificate like this.
    pub(crate) left: Vec<Left>,
    /// Its limit of certificates for a registered domain, which is not counted here: which names are one domain stands
    /// in a list that changes.
    pub(crate) uncounted: Option<String>,
    /// Whether there is an account; none if that cannot be read.
    pub(crate) account: Option<AccountState>,
}

/// Whether a CA knows us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountState {
    /// There is an account that can be used. The time is that of the agreement to the terms, if there were
    /// some to agree to.
    Registered(Option<Timestamp>),
    /// There is none.
    Missing,
    /// There is none, and none is made ahead: the CA may not stand in by itself.
    NotAhead,
}

/// For people.
pub(crate) fn render(view: &ExplainView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(&verdict(view, context));
    status::trouble(view.status, view.item, context, &mut page);
    labelled("issued", issued(view, context), &mut page);
    rules(view, context, &mut page);
    let mut say = |label: &str, lines: Vec<String>| labelled(label, lines, &mut page);
    say("", afterwards(view, context));
    if view.certificate.is_some() {
        say("by whom", by_whom(view, context));
        say("failed", failures(view, context));
        say("if not", if_not(view, context));
        say("told", told(view));
        say("then", then(view));
    }
    page.finish()
}

/// Lines behind a label.
fn labelled(label: &str, lines: Vec<String>, page: &mut Page<'_>) {
    for (nth, text) in lines.into_iter().enumerate() {
        let label = if nth == 0 { label } else { "" };
        let line = Line::indented(2).ink(Ink::Quiet, label).column(WORDS, 2);
        page.line(&line.hang_here().text(text));
    }
}

fn verdict(view: &ExplainView<'_>, context: &Context) -> Line {
    let name = &view.item.name;
    let at = |moment| {
        format!(
            "on {}, {}",
            context.moment(moment),
            context.relative(moment)
        )
    };
    let (ink, text) = match &view.item.action {
        Action::Keep { due, .. } => {
            let moment = view.item.moment.map_or(due.at, |moment| moment.at);
            (
                Ink::Good,
                format!("{name} is not due. It will be renewed {}.", at(moment)),
            )
        }
        Action::Install { .. } => (
            Ink::Warn,
            format!("{name} is issued, but not installed everywhere: the next run installs it."),
        ),
        Action::Gone { .. } => (
            Ink::Plain,
            format!("{name} is not in the configuration any more: nothing renews it."),
        ),
        Action::Issue(IssueReason::Unreadable) => {
            let text = "is stored and cannot be read: nothing is ordered until it can be.";
            (Ink::Bad, format!("{name} {text}"))
        }
        Action::Renew { .. } | Action::Issue(_) => {
            let why = match &view.item.action {
                Action::Issue(IssueReason::Never) => "was never issued",
                Action::Issue(IssueReason::Damaged) => "is stored and cannot be used",
                Action::Issue(IssueReason::Names { .. }) => {
                    "is stored with other names than the configuration wants"
                }
                Action::Issue(IssueReason::Staging) => "comes from a staging CA that nobody trusts",
                Action::Issue(IssueReason::Revoked) => "is revoked",
                Action::Issue(IssueReason::Replaced) => "is to be replaced, and then revoked",
                Action::Renew {
                    urgency: Urgency::Expired,
                    ..
                } => "has expired",
                _ => "is due",
            };
            match &view.item.hold {
                None => (Ink::Warn, format!("{name} {why}: the next run orders it.")),
                Some(hold) => (
                    Ink::Warn,
                    format!("{name} {why}, but {}.", but(view, hold, context)),
                ),
            }
        }
    };
    Line::indented(0).ink(ink, text)
}

/// What holds it, as the rest of a sentence.
fn but(view: &ExplainView<'_>, hold: &Hold, context: &Context) -> String {
    let name = &view.item.name;
    match hold {
        Hold::Window { .. } | Hold::Ladder { .. } => format!("it {}", held(name, hold, context)),
        // What is counted for its names is known here alone.
        Hold::Asked { ca, until } => {
            let mut cas = view.cas.iter().filter(|known| known.name == *ca);
            let left = cas.next().map_or(&[][..], |known| &known.left);
            let used_up = left.iter().filter_map(|left| left.until).max();
            let shut = used_up.map(|at| (ca.clone(), Shut::UsedUp(at)));
            let hold = Hold::shut(ca.clone(), *until, &shut.into_iter().collect());
            held(name, &hold, context)
        }
        Hold::UsedUp { .. } | Hold::TooMany { .. } | Hold::NoCa { .. } => held(name, hold, context),
    }
}

fn issued(view: &ExplainView<'_>, context: &Context) -> Vec<String> {
    let Some(current) = view.current else {
        return vec![not_issued(view, context)];
    };
    let (facts, origin) = (&current.facts, &current.origin);
    let first = view.cas.first().map(|ca| &ca.name);
    let role = match (origin.staging, origin.fallback, first) {
        (true, ..) => " (staging: nobody trusts it)".to_owned(),
        (_, true, Some(first)) if *first != origin.ca => format!(" (fallback of {first})"),
        (_, true, _) => " (as a fallback)".to_owned(),
        _ => String::new(),
    };
    let life = facts.life() + Duration::from_secs(60);
    vec![format!(
        "{} by {}{role}, version {}; it lives {}, until {}",
        context.day(origin.issued_at),
        origin.ca,
        current.version,
        stretch(life),
        context.until(facts.not_after),
    )]
}

/// What there is in the place of one that was not issued, or cannot be read.
fn not_issued(view: &ExplainView<'_>, context: &Context) -> String {
    let stored = match &view.item.action {
        Action::Issue(IssueReason::Damaged | IssueReason::Unreadable) => "what is stored",
        _ => "the one in place, stored under another name,",
    };
    let entry = view.status.inventory.get(&view.item.name);
    match entry.and_then(InventoryEntry::ends) {
        Some(end) => format!("{stored} ends {}", context.until(end)),
        None => "never".to_owned(),
    }
}

/// When it is due, if it is stored.
fn due<'a>(view: &ExplainView<'a>) -> Option<&'a Due> {
    match &view.item.action {
        Action::Renew { due, .. } | Action::Install { due, .. } | Action::Keep { due, .. } => {
            Some(due)
        }
        Action::Issue(_) | Action::Gone { .. } => None,
    }
}

/// What each rule says, and which of them decides.
fn rules(view: &ExplainView<'_>, context: &Context, page: &mut Page<'_>) {
    let (Some(rules), Some(due)) = (view.rules, due(view)) else {
        return;
    };
    let days = view.certificate.map_or(0, |one| one.days_after_issue.days);
    let mut rows: Vec<(String, String, bool)> = vec![(
        format!(
            "{} after issue",
            count(usize::try_from(days).unwrap_or(0), "day")
        ),
        context.moment(rules.days_after_issue),
        matches!(due.because, Because::DaysAfterIssue(_)),
    )];
    let suggested = match (rules.suggested, view.advice) {
        (Some((suggestion, counts)), _) => {
            let window = suggestion.window;
            let late = if counts {
                ""
            } else {
                " (ends too late to count)"
            };
            format!(
                "{} .. {}{late}",
                context.moment(window.start),
                context.moment(window.end)
            )
        }
        (None, Some(advice)) => match &advice.cause {
            Some(cause) => format!(
                "no answer ({cause}); asked again {}",
                context.moment(advice.next)
            ),
            None => format!("not asked yet; asked {}", context.moment(advice.next)),
        },
        (None, None) => "its CA was not asked, or gives no advice".to_owned(),
    };
    rows.push((
        "asked by the CA (ARI)".to_owned(),
        suggested,
        due.because == Because::Suggested,
    ));
    let part = match view.current {
        Some(current) if due::renewed_at_half(current.facts.life()) => "1/2 of its life",
        _ => "2/3 of its life",
    };
    rows.push((
        part.to_owned(),
        context.moment(rules.lifetime),
        due.because == Because::Lifetime,
    ));
    let kept = view.current.map_or(Duration::ZERO, |current| {
        current.facts.not_after.since(rules.safe_until) + Duration::from_secs(60)
    });
    rows.push((
        format!("safe floor ({} left)", stretch(kept)),
        format!(
            "{}, where windows and blackout dates end",
            context.moment(rules.safe_until)
        ),
        false,
    ));
    let wide = rows.iter().map(|(rule, ..)| rule.len()).max().unwrap_or(0);
    for (nth, (rule, at, decides)) in rows.into_iter().enumerate() {
        let label = if nth == 0 { "why then" } else { "" };
        let line = Line::indented(2).ink(Ink::Quiet, label).column(WORDS, 2);
        let line = line.text(rule).column(WORDS + wide + 2, 2).hang_here();
        let ink = if decides { Ink::Strong } else { Ink::Plain };
        let mark = if decides { "   <- decides" } else { "" };
        page.line(&line.ink(ink, format!("{at}{mark}")));
    }
}

/// What is made of what the rules say.
fn afterwards(view: &ExplainView<'_>, context: &Context) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(due) = due(view) else {
        return lines;
    };
    if let Some(moment) = view.item.moment.filter(|moment| moment.at != due.at) {
        let how = match moment.placed {
            Placed::Spread => "a little earlier by chance, so that not all come at once",
            Placed::InWindow => "moved into an off-peak window",
            Placed::WithoutWindow => "no off-peak window is left in time, so none counts",
        };
        lines.push(format!("renewed {}: {how}", context.moment(moment.at)));
    }
    lines.extend(due.warning.clone());
    lines
}

fn by_whom(view: &ExplainView<'_>, context: &Context) -> Vec<String> {
    let mut lines = Vec::new();
    for (nth, ca) in view.cas.iter().enumerate() {
        let standing = &ca.standing;
        let mut said = Vec::new();
        if let Some(why) = &ca.passed_over {
            said.push(why.clone());
        }
        if let Some(down) = standing.down_since {
            let since = context.moment(down.since);
            said.push(format!("has not answered since {since}"));
        }
        if let Some(trouble) = &standing.trouble {
            let failures = usize::try_from(trouble.failures).unwrap_or(usize::MAX);
            let all = view.failed.iter().filter(|one| one.ca == ca.name).count();
            // The history shows all of them.
            let more = match all.checked_sub(failures) {
                None | Some(0) => String::new(),
                Some(_) => format!(
                    " ({all} since it was last issued; trouble of this machine does not count here, nor \
                     what lies before {} without a try)",
                    stretch(GAP)
                ),
            };
            said.push(format!(
                "failed {} in a row since {}{more}",
                count(failures, "time"),
                context.moment(trouble.first)
            ));
        }
        if let Some(until) = standing.not_before.filter(|until| *until > context.now) {
            let who = if standing.own_wait {
                "tried"
            } else {
                "may be asked"
            };
            // When it is tried is told once, and the same everywhere.
            let until = match &view.item.hold {
                Some(Hold::Ladder {
                    until: tried,
                    ca: of,
                    ..
                }) if standing.own_wait && *of == ca.name => *tried,
                _ => until,
            };
            said.push(format!("{who} again {}", context.moment(until)));
        }
        if ca.passed_over.is_none() {
            said.extend(
                ca.account
                    .map(|account| account_text(account, nth, context)),
            );
        }
        let left: Vec<String> = ca
            .left
            .iter()
            .map(|left| format!("{} of {} {}", left.left, left.limit, left.kind.as_str()))
            .collect();
        if !left.is_empty() && ca.passed_over.is_none() {
            said.push(format!("left: {}", left.join(", ")));
        }
        if let Some(limit) = ca.uncounted.as_ref().filter(|_| ca.passed_over.is_none()) {
            said.push(format!("not counted: {limit} certificates of one domain"));
        }
        let role = if nth == 0 {
            ", asked first"
        } else {
            ", stands in"
        };
        let role = if ca.passed_over.is_some() {
            ", never asked"
        } else {
            role
        };
        let said = match said.is_empty() {
            true => String::new(),
            false => format!(": {}", said.join("; ")),
        };
        lines.push(format!("{}{role}{said}", ca.name));
    }
    if view
        .cas
        .iter()
        .filter(|ca| ca.passed_over.is_none())
        .count()
        > 1
    {
        let FailOver {
            after_failures,
            after,
            fail_back,
        } = view.failover;
        let back = match fail_back {
            FailBack::NextRenewal => "the first of the list is asked again at the next renewal",
            FailBack::Never => "the one that stood in stays first",
        };
        lines.push(format!(
            "the next one stands in after {} in a row, {} of failures, or behind the safe floor; {back}",
            count(usize::try_from(after_failures).unwrap_or(usize::MAX), "failure"),
            stretch(after),
        ));
    }
    lines.push("CAA is asked before each order; `waxwing check` asks now".to_owned());
    if let Some(Next::Ask {
        ca,
        instead_of: Some((first, because)),
    }) = view.next
    {
        lines.push(format!(
            "now {} instead of {first}, which {because}",
            ca.name
        ));
    }
    lines
}

fn account_text(account: AccountState, nth: usize, context: &Context) -> String {
    match account {
        AccountState::Registered(None) => "account registered".to_owned(),
        AccountState::Registered(Some(at)) => format!("account registered {}", context.day(at)),
        AccountState::Missing | AccountState::NotAhead if nth == 0 => {
            "no account yet (the first order makes one)".to_owned()
        }
        AccountState::Missing => "no account yet (tried again once a day)".to_owned(),
        AccountState::NotAhead => "no account yet (made when it is asked)".to_owned(),
    }
}

fn failures(view: &ExplainView<'_>, context: &Context) -> Vec<String> {
    let Some(last) = view.failed.last() else {
        return Vec::new();
    };
    let times = count(view.failed.len(), "time");
    let name = &view.item.name;
    vec![format!(
        "{times} since it was last issued, the last time {} at {}; every cause: waxwing history {name} --full",
        context.moment(last.at),
        last.ca
    )]
}

fn if_not(view: &ExplainView<'_>, context: &Context) -> Vec<String> {
    let name = &view.item.name;
    if view.item.action == Action::Issue(IssueReason::Unreadable) {
        return vec!["looked at again at every run".to_owned()];
    }
    if matches!(view.item.action, Action::Install { .. }) {
        return vec![format!(
            "tried again at every run, with what is stored: it needs no new order; `waxwing renew {name}` \
             tries now"
        )];
    }
    if let Some(hold @ (Hold::Asked { until, .. } | Hold::UsedUp { until, .. })) = &view.item.hold {
        let until = context.moment(*until);
        return vec![format!(
            "not tried before {until}: {}",
            but(view, hold, context)
        )];
    }
    if let Some(hold @ Hold::TooMany { .. }) = &view.item.hold {
        return vec![format!("not tried: {}", but(view, hold, context))];
    }
    let failing = !status::failures(view.status, view.item).is_empty();
    if failing && status::was_stopped(view.status, view.item) {
        return vec![format!(
            "the next run goes on with it; `waxwing renew {name}` does now"
        )];
    }
    if failing && view.failed.is_empty() && view.item.hold.is_none() {
        return vec![format!(
            "tried again at every run: no CA was asked yet; `waxwing renew {name}` tries now"
        )];
    }
    let entry = view.status.inventory.get(name);
    let in_place = entry.and_then(|entry| entry.in_place);
    let floor = view.rules.map(|rules| rules.safe_until).or_else(|| {
        let life = in_place?;
        Some(life.end - due::safe_floor(life.end.since(life.start)))
    });
    let faster = match floor {
        Some(floor) if floor > context.now => format!(", faster from {}", context.moment(floor)),
        Some(_) => ", faster now: the safe floor is passed".to_owned(),
        None => String::new(),
    };
    vec![format!(
        "tried again after 1, 10 and 100 minutes, then about every 18 h{faster}; `waxwing renew {}` tries now",
        view.item.name
    )]
}

/// The notifiers that want to hear of that.
fn hear_of(view: &ExplainView<'_>, kind: EventKind) -> Vec<String> {
    let notifiers = view.notifiers.values();
    let asked = notifiers.filter(|one| one.on.contains(&kind));
    asked.map(|one| one.name.to_string()).collect()
}

/// Who hears of it, and when.
fn told(view: &ExplainView<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let (failed, near) = (
        hear_of(view, EventKind::Failed),
        hear_of(view, EventKind::ExpiryNear),
    );
    if failed.is_empty() && near.is_empty() {
        return vec![
            "nobody is told: no [notify] section asks for `failed` or `expiry-near`".to_owned(),
        ];
    }
    if !failed.is_empty() {
        lines.push(format!(
            "{}: the first failure, unless it is to wait as a CA has asked, and the {}rd in a row",
            list(&failed, 3),
            alert::AGAIN
        ));
    }
    if !near.is_empty() {
        let life = view
            .current
            .map(|current| current.facts.life() + Duration::from_secs(60));
        let left = match life {
            Some(life) => {
                let all = alert::thresholds(life).map(stretch);
                format!("{} before its end", list(&all, 5))
            }
            None => "when its end is near".to_owned(),
        };
        lines.push(format!("{}: {left}, if it is due", list(&near, 3)));
    }
    lines
}

fn then(view: &ExplainView<'_>) -> Vec<String> {
    let Some(certificate) = view.certificate else {
        return Vec::new();
    };
    if certificate.install.is_empty() {
        return vec!["only stored: no installer".to_owned()];
    }
    let mut lines: Vec<String> = certificate
        .install
        .iter()
        .map(|plugin| {
            let steps = steps(view.plugins, &certificate.name, plugin);
            match steps.is_empty() {
                true => plugin.to_string(),
                false => format!("{plugin}: {}", steps.join(", ")),
            }
        })
        .collect();
    if !certificate.served_at.is_empty() {
        lines.push(format!("look at {}", list(&certificate.served_at, 5)));
    }
    lines
}

#[cfg(test)]
mod tests;
