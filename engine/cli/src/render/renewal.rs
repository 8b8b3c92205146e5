//! What `renew` says at its end: a timeline for each certificate, every cause of what went wrong,
//! and one line that sums up.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::name::{CaName, CertificateName, DomainName, PluginName};
use waxwing_core::time::Timestamp;
use waxwing_flow::failure::Failure;
use waxwing_flow::notify::Sent;
use waxwing_flow::plugin::{DeployStep, PluginFailure, PutBack, PutBackResult};
use waxwing_flow::report::{
    CertificateReport, DeployStage, InstallOutcome, InstallReport, Milestone, Outcome, Reached,
    RunReport,
};

use super::page::{Context, Ink, Line, Page, count, list};
use super::plan::held;
use super::table::{Align, Cell, Table};
use super::time::took;
use crate::exit::Exit;

mod causes;
mod replaced;
mod served;
mod sum;

use causes::{causes_of, failures, last_failure, stood_in};
pub(super) use served::fingerprint;
use sum::sum;

/// Where the timeline below a certificate begins.
const TIMELINE: usize = 9;

/// Names beyond this are counted, not listed.
const NAMES_SHOWN: usize = 4;

/// A run and what is known besides.
#[derive(Debug)]
pub(crate) struct RunView<'a> {
    /// What was done.
    pub(crate) report: &'a RunReport,
    /// Who was told of it, as far as that is known already.
    pub(crate) told: &'a [Sent],
    /// Certificates that nothing had to be done for.
    pub(crate) kept: Vec<Kept>,
    /// The end of validity of what each certificate had before, if it had something.
    pub(crate) before: BTreeMap<CertificateName, Timestamp>,
    /// The first CA of each certificate's list.
    /// Empty if one that stood in stays first.
    pub(crate) first_ca: BTreeMap<CertificateName, CaName>,
    /// For what has failed and no run tries again by itself: the command that does.
    pub(crate) by_hand: BTreeMap<CertificateName, String>,
    /// What will be due next, after this run.
    pub(crate) next: Option<(Timestamp, CertificateName)>,
    /// Certificates whose key is to be kept over renewals.
    pub(crate) keeps_its_key: BTreeSet<CertificateName>,
    /// True: at staging, nothing was stored.
    pub(crate) rehearsal: bool,
    /// How the program will end, which it says itself.
    pub(crate) exit: Exit,
}

/// A certificate that nothing had to be done for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which.
    pub(crate) certificate: CertificateName,
    /// When it will be due; none if that cannot be said.
    pub(crate) until: Option<Timestamp>,
    /// Why nothing was done, if it is not simply that it is not due.
    pub(crate) why: Option<String>,
    /// True if it is due, and something holds it back.
    pub(crate) held: bool,
}

/// The whole text.
pub(crate) fn render(view: &RunView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    put_back(&view.report.put_back, &mut page);
    left_over(&view.report.left_over, &mut page);
    heads(view, context, &mut page);
    for report in &view.report.installs {
        if own_block(view, report) {
            install_block(report, view.rehearsal, context, &mut page);
        }
    }
    served::others(view, context, &mut page);
    replaced::blocks(view, context, &mut page);
    sum(view, context, &mut page);
    page.finish()
}

/// What had to be repaired before anything else was done: the files of installations that were cut
/// off in an earlier run.
fn put_back(files: &[PutBack], page: &mut Page<'_>) {
    for file in files {
        let (ink, what) = match &file.result {
            PutBackResult::Restored => (Ink::Warn, "put back as it was".to_owned()),
            PutBackResult::LeftAlone => {
                (Ink::Warn, "left alone, for it was changed since".to_owned())
            }
            PutBackResult::Failed(why) => (Ink::Bad, format!("not put back: {why}")),
        };
        let line = Line::indented(0)
            .ink(Ink::Strong, file.plugin.as_str())
            .text("   ")
            .hang_here()
            .text("an earlier run was cut off while it installed; ")
            .text(&file.path)
            .text(" ")
            .ink(ink, &what);
        page.line(&line);
    }
}

/// The line of each certificate, and what belongs below it.
fn heads(view: &RunView<'_>, context: &Context, page: &mut Page<'_>) {
    use Align::{Left, Right};
    let mut table = Table::new(0, &[Left, Left, Left, Left, Right]);
    for report in &view.report.certificates {
        table.row(head(view, report, context));
    }
    for kept in &view.kept {
        table.row(kept_head(kept, context));
    }
    let mut told = Said::default();
    let mut reports = view.report.certificates.iter();
    let counts = table.fold(context.width, 0);
    let mut lines = table.lines().into_iter();
    for count in counts {
        lines.by_ref().take(count).for_each(|line| page.line(&line));
        if let Some(report) = reports.next() {
            below(view, report, &mut told, context, page);
        }
    }
}

fn head(view: &RunView<'_>, report: &CertificateReport, context: &Context) -> Vec<Cell> {
    let name = Cell::of(Ink::Strong, report.certificate.as_str());
    let plain = |text: String| Cell::plain(text);
    match &report.outcome {
        Outcome::Issued {
            ca,
            fallback,
            not_after,
            first,
            ..
        } => {
            let verdict = match (view.rehearsal, first) {
                (true, _) => "rehearsed",
                (false, true) => "issued",
                (false, false) => "renewed",
            };
            let by = if *fallback {
                format!("{ca} (fallback)")
            } else {
                ca.to_string()
            };
            let lasted = took(report.ended.since(report.started));
            let until = format!("valid until {}", context.until(*not_after));
            vec![
                name,
                Cell::of(Ink::Good, verdict),
                plain(by),
                plain(until),
                plain(lasted),
            ]
        }
        Outcome::Overtaken => {
            let what = Cell::plain("another run was faster: nothing left to do");
            vec![name, Cell::of(Ink::Good, "done"), what]
        }
        Outcome::Locked(error) => {
            let holder = error.causes.first().map(String::as_str);
            let holder = holder.and_then(|cause| cause.strip_prefix("it is held by "));
            let who = holder.map_or_else(String::new, |holder| format!(" ({holder})"));
            let what = format!("another run is at it now{who}; this one left it alone");
            vec![name, Cell::of(Ink::Warn, "busy"), Cell::plain(what)]
        }
        Outcome::Held(hold) => vec![
            name,
            Cell::of(Ink::Quiet, "waiting"),
            plain(by_its_verb(
                report,
                held(&report.certificate, hold, context),
            )),
        ],
        Outcome::Failed(_) => {
            let verdict = match last_failure(report) {
                Some(Failure::Parked { .. } | Failure::OrderDeadline { .. }) => {
                    Cell::of(Ink::Warn, "waiting for the CA")
                }
                Some(Failure::Stopped) => Cell::of(Ink::Warn, "stopped"),
                _ if view.rehearsal => Cell::of(Ink::Bad, "would fail"),
                _ if view.before.contains_key(&report.certificate) => {
                    Cell::of(Ink::Bad, "not renewed")
                }
                _ => Cell::of(Ink::Bad, "not issued"),
            };
            vec![name, verdict, plain(what_is_left(view, report, context))]
        }
    }
}

/// What a failure leaves the operator with.
fn what_is_left(view: &RunView<'_>, report: &CertificateReport, context: &Context) -> String {
    if view.rehearsal {
        return "nothing was changed".to_owned();
    }
    let old = match view.before.get(&report.certificate) {
        Some(end) if *end > context.now => {
            format!(
                "the old certificate is valid for {} more",
                context.left(*end)
            )
        }
        Some(end) => format!("the old certificate {}", context.left(*end)),
        None => "there is no certificate yet".to_owned(),
    };
    if let Some(command) = view.by_hand.get(&report.certificate) {
        return format!("{old}; nothing tries by itself: {command}");
    }
    match &report.next_try {
        Some((at, ca)) => format!(
            "{old}; next try at {ca} {} ({})",
            context.moment(*at),
            context.relative(*at)
        ),
        None => format!("{old}; the next run tries again"),
    }
}

fn kept_head(kept: &Kept, context: &Context) -> Vec<Cell> {
    let why = match (&kept.why, kept.until) {
        (Some(why), _) => why.clone(),
        (None, Some(until)) => {
            format!(
                "until {} ({})",
                context.moment(until),
                context.relative(until)
            )
        }
        (None, None) => String::new(),
    };
    let name = Cell::of(Ink::Strong, kept.certificate.as_str());
    let verdict = if kept.held { "waiting" } else { "not due" };
    vec![name, Cell::of(Ink::Quiet, verdict), Cell::plain(why)]
}

/// What was said below other certificates.
#[derive(Default)]
struct Said<'r> {
    /// Why one failed, by its name.
    reasons: Vec<(&'r CertificateName, Vec<String>)>,
    /// What was noted besides.
    notes: BTreeSet<&'r str>,
}

/// Causes, timeline, installation and notes of one certificate.
fn below<'r>(
    view: &RunView<'r>,
    report: &'r CertificateReport,
    told: &mut Said<'r>,
    context: &Context,
    page: &mut Page<'_>,
) {
    let before = failures(report, &mut told.reasons, page);
    if let Some(line) = stood_in(report) {
        page.plain(2, line);
    }
    timeline(view, report, context, page);
    // What was noted beside the same reasons is said there.
    let notes = report.notes.iter().map(String::as_str);
    let new = notes.filter(|note| !(before && told.notes.contains(note)));
    let new: Vec<&str> = new.collect();
    told.notes.extend(&new);
    for note in new {
        page.line(
            &Line::indented(2)
                .ink(Ink::Warn, "note:")
                .text(" ")
                .hang_here()
                .text(note),
        );
    }
    owed(&report.owed, page);
    if let Outcome::Issued { fallback: true, .. } = &report.outcome
        && let Some(first) = view
            .first_ca
            .get(&report.certificate)
            .filter(|_| !view.rehearsal)
    {
        page.plain(2, format!("The next renewal asks {first} first again."));
    }
}

/// The same with the verb that was called: what is to be replaced is not done with a renewal.
fn by_its_verb(report: &CertificateReport, text: String) -> String {
    if !report.replaces {
        return text;
    }
    let name = &report.certificate;
    let renew = format!("`waxwing renew {name} --force --yes`");
    text.replace(&renew, &format!("`waxwing revoke {name} --replace --yes`"))
}

/// What earlier runs still owe for certificates that this one has not worked on.
fn left_over(left: &[(CertificateName, Failure)], page: &mut Page<'_>) {
    for (certificate, failure) in left {
        page.line(
            &Line::indented(0)
                .ink(Ink::Strong, certificate.as_str())
                .text("   ")
                .ink(Ink::Warn, "what an earlier run left may still be there"),
        );
        failure.lines().iter().for_each(|line| page.plain(2, line));
        if let Some(hint) = failure.hint() {
            page.hint(2, &hint);
        }
    }
}

/// Why records may still be there, each reason once.
fn owed(failures: &[PluginFailure], page: &mut Page<'_>) {
    if failures.is_empty() {
        return;
    }
    let what = "records may still be there; the next run tries again to remove them";
    page.line(
        &Line::indented(2)
            .ink(Ink::Warn, "note:")
            .text(" ")
            .hang_here()
            .text(what),
    );
    let lines = Failure::Plugins(failures.to_vec()).lines();
    for (nth, line) in lines.iter().enumerate() {
        page.plain(if nth == 0 { 4 } else { 6 }, line);
    }
    if let Some(hint) = failures.iter().find_map(|failure| failure.hint.as_ref()) {
        page.hint(4, hint);
    }
}

/// What was reached, with times.
fn timeline(
    view: &RunView<'_>,
    report: &CertificateReport,
    context: &Context,
    page: &mut Page<'_>,
) {
    let mut table = Table::new(TIMELINE, &[Align::Left, Align::Right, Align::Left]).gap(2);
    let mut row = |at: Timestamp, lasted, ink, what: String| {
        table.row(vec![
            Cell::of(Ink::Quiet, context.clock(at)),
            // Wide enough for every usual time, so that all timelines of a run look alike.
            Cell::of(Ink::Quiet, format!("{:>6}", took(lasted))),
            Cell::of(ink, what),
        ]);
    };
    for milestone in &report.milestones {
        row(milestone.at, milestone.took, Ink::Plain, reached(milestone));
    }
    for install in &view.report.installs {
        if !own_block(view, install) && install.certificates.contains(&report.certificate) {
            let ink = if matches!(install.outcome, InstallOutcome::Failed(_)) {
                Ink::Bad
            } else {
                Ink::Plain
            };
            let what = format!("{}: {}", install.plugin, installed(install));
            row(install.started + install.took, install.took, ink, what);
        }
    }
    for one in &view.report.served {
        if one.certificate == report.certificate {
            row(
                one.at,
                one.took,
                served::ink(one),
                served::text(one, context),
            );
        }
    }
    table.lines().iter().for_each(|line| page.line(line));
    for install in &view.report.installs {
        if !own_block(view, install) && install.certificates.contains(&report.certificate) {
            install_failure(install, view.rehearsal, page);
        }
    }
}

fn reached(milestone: &Milestone) -> String {
    match &milestone.what {
        Reached::Ordered {
            names,
            resumed: false,
            ca: _,
        } => {
            format!("order placed, {}", count(*names, "name"))
        }
        Reached::Ordered {
            names,
            resumed: true,
            ca: _,
        } => {
            format!(
                "order of an earlier run taken up, {}",
                count(*names, "name")
            )
        }
        Reached::Placed(records) => format!("TXT placed: {}", placed(records)),
        Reached::Seen { servers: Some(1) } => "seen on the one name server".to_owned(),
        Reached::Seen {
            servers: Some(servers),
        } => format!("seen on all {servers} name servers"),
        Reached::Seen { servers: None } => "waited as [network] propagation says".to_owned(),
        Reached::Received => "checked by the CA, certificate received".to_owned(),
        Reached::Removed { records, left: 0 } => format!("{} removed", all_txt(*records)),
        Reached::Removed { records, left } => {
            format!("{records} TXT removed, {left} may still be there")
        }
    }
}

fn all_txt(records: usize) -> String {
    match records {
        1 => "TXT".to_owned(),
        2 => "both TXT".to_owned(),
        more => format!("all {more} TXT"),
    }
}

/// `a.example by one-plugin, b.example by another`; one plugin is named once.
fn placed(records: &[(DomainName, PluginName)]) -> String {
    let mut by_plugin: Vec<(&PluginName, Vec<&str>)> = Vec::new();
    for (fqdn, plugin) in records {
        // Everybody's record begins like this; what tells them apart comes after it.
        let fqdn = fqdn
            .as_str()
            .strip_prefix("_acme-challenge.")
            .unwrap_or(fqdn.as_str());
        match by_plugin.iter_mut().find(|(known, _)| *known == plugin) {
            Some((_, names)) => names.push(fqdn),
            None => by_plugin.push((plugin, vec![fqdn])),
        }
    }
    let groups = by_plugin.iter().map(|(plugin, names)| {
        let mut once = names.clone();
        once.dedup();
        let twice = if once.len() == 1 && names.len() > 1 {
            format!(" ({} values)", names.len())
        } else {
            String::new()
        };
        format!("{}{twice} by {plugin}", list(&once, NAMES_SHOWN))
    });
    groups.collect::<Vec<_>>().join(", ")
}

/// True for an installer's batch that does not fit below one certificate.
fn own_block(view: &RunView<'_>, install: &InstallReport) -> bool {
    let [only] = install.certificates.as_slice() else {
        return true;
    };
    !view
        .report
        .certificates
        .iter()
        .any(|report| report.certificate == *only)
}

/// What an installer did, on one line.
fn installed(install: &InstallReport) -> String {
    let steps = steps(&install.steps);
    match &install.outcome {
        InstallOutcome::Done { changed: false } => "everything was in place".to_owned(),
        InstallOutcome::Done { changed: true } => steps,
        InstallOutcome::Planned if install.steps.is_empty() => "nothing would be done".to_owned(),
        InstallOutcome::Planned => format!("would: {steps}"),
        InstallOutcome::Failed(_) => "not installed".to_owned(),
        InstallOutcome::Locked(_) => "another run is at it now; this one left it alone".to_owned(),
    }
}

/// Files are counted, everything else is named.
fn steps(steps: &[DeployStep]) -> String {
    let files = steps.iter().filter(|step| step.kind == "file").count();
    let mut said = Vec::new();
    if files > 0 {
        said.push(count(files, "file"));
    }
    for step in steps.iter().filter(|step| step.kind != "file") {
        said.push(step.summary.clone());
    }
    if said.is_empty() {
        "done".to_owned()
    } else {
        said.join(", ")
    }
}

fn install_failure(install: &InstallReport, rehearsal: bool, page: &mut Page<'_>) {
    let InstallOutcome::Failed(failure) = &install.outcome else {
        return;
    };
    causes_of(failure, page);
    let undo = install
        .stages
        .iter()
        .rev()
        .find(|s| s.stage == DeployStage::Undo);
    match undo.map(|undo| &undo.ended) {
        None => {}
        Some(Ok(())) => page.plain(2, "What was done is undone; the files are as they were."),
        Some(Err(Failure::Stopped)) => {
            page.plain(
                2,
                "There was no time to undo it; the next run begins with that.",
            );
        }
        Some(Err(failure)) => {
            page.line(&Line::indented(2).ink(Ink::Bad, "undoing it failed:"));
            failure.lines().iter().for_each(|line| page.plain(4, line));
        }
    }
    page.plain(
        2,
        if rehearsal {
            "A real run would keep the certificate and try this again without a new order."
        } else {
            "It is tried again on the next run, without a new order."
        },
    );
    if let Some(hint) = failure.hint() {
        page.hint(2, &hint);
    }
}

/// An installer that served several certificates, or one that is not in the run otherwise.
fn install_block(install: &InstallReport, rehearsal: bool, context: &Context, page: &mut Page<'_>) {
    let (ink, verdict) = match &install.outcome {
        InstallOutcome::Done { .. } => (Ink::Good, "installed"),
        InstallOutcome::Planned => (Ink::Good, "planned"),
        InstallOutcome::Failed(_) => (Ink::Bad, "not installed"),
        InstallOutcome::Locked(_) => (Ink::Warn, "busy"),
    };
    let line = Line::indented(0)
        .ink(Ink::Strong, install.plugin.as_str())
        .text("   ")
        .ink(ink, verdict)
        .text("   ")
        .hang_here()
        .text(format!(
            "{}   {}",
            list(&install.certificates, NAMES_SHOWN * 2),
            took(install.took)
        ));
    page.line(&line);
    if !matches!(install.outcome, InstallOutcome::Failed(_)) {
        page.line(&Line::indented(TIMELINE).text(format!(
            "{}  {}",
            context.clock(install.started + install.took),
            installed(install)
        )));
    }
    install_failure(install, rehearsal, page);
}

#[cfg(test)]
mod tests;
