//! The last line of `renew`: how many ended how, what is next, and the exit code.

use std::collections::BTreeSet;

use waxwing_core::name::CertificateName;
use waxwing_flow::failure::Failure;
use waxwing_flow::report::{CertificateReport, InstallOutcome, Outcome, Reached};

use super::super::page::{Context, Page, count};
use super::super::time::stretch;
use super::RunView;
use super::causes::last_failure;
use crate::exit::Exit;

/// The line that sums up.
pub(super) fn sum(view: &RunView<'_>, context: &Context, page: &mut Page<'_>) {
    let exit = view.exit;
    let tally = Tally::of(view);
    let mut text = tally.to_text(view.rehearsal);
    if tally.owed > 0 {
        text.push_str(&format!(
            "; {} may be left at the DNS provider",
            count(tally.owed, "record")
        ));
    } else if tally.failed > 0 && view.report.left_over.is_empty() {
        text.push_str("; no record left behind at the DNS provider");
    }
    text.push('.');
    if view.rehearsal {
        text.push_str(" Rehearsal: nothing was stored or installed.");
    }
    if view.report.stopped {
        text.push_str(" Stopped on request; what was owed is cleaned up or written down.");
    }
    if let Some((at, name)) = view
        .next
        .as_ref()
        .filter(|_| exit == Exit::Done && !view.rehearsal)
    {
        text.push_str(&format!(" Next: {name}, {}.", context.moment(*at)));
    }
    if exit != Exit::Done {
        text.push_str(&format!(" Exit {}.", exit as u8));
    }
    page.plain(0, text);
    let lasted = view.report.ended.since(view.report.started);
    if lasted.as_secs() >= 120 && view.report.certificates.len() > 1 {
        page.plain(0, format!("The run took {}.", stretch(lasted)));
    }
}

/// How many ended how.
#[derive(Debug, Default)]
struct Tally {
    issued: usize,
    renewed: usize,
    by_fallback: usize,
    failed: usize,
    waiting: usize,
    stopped: usize,
    busy: usize,
    /// Of certificates that nothing else was done for: another run installs them.
    busy_installs: usize,
    installed: usize,
    not_installed: usize,
    not_served: usize,
    kept: usize,
    held: usize,
    owed: usize,
}

/// Records that may still be there.
fn left(report: &CertificateReport) -> usize {
    let removed = report.milestones.iter().rev();
    let mut removed = removed.filter_map(|milestone| match milestone.what {
        Reached::Removed { left, .. } => Some(left),
        _ => None,
    });
    removed.next().unwrap_or(report.owed.len())
}

impl Tally {
    fn of(view: &RunView<'_>) -> Self {
        let mut tally = Self {
            kept: view.kept.iter().filter(|kept| !kept.held).count(),
            held: view.kept.iter().filter(|kept| kept.held).count(),
            ..Self::default()
        };
        for report in &view.report.certificates {
            tally.owed += left(report);
            match &report.outcome {
                Outcome::Issued {
                    fallback, first, ..
                } => {
                    tally.by_fallback += usize::from(*fallback);
                    if *first {
                        tally.issued += 1;
                    } else {
                        tally.renewed += 1;
                    }
                }
                Outcome::Overtaken => tally.kept += 1,
                Outcome::Locked(_) => tally.busy += 1,
                Outcome::Held(_) => tally.held += 1,
                Outcome::Failed(_) => match last_failure(report) {
                    Some(Failure::Parked { .. } | Failure::OrderDeadline { .. }) => {
                        tally.waiting += 1
                    }
                    Some(Failure::Stopped) => tally.stopped += 1,
                    _ => tally.failed += 1,
                },
            }
        }
        let worked_on = |name: &CertificateName| {
            view.report
                .certificates
                .iter()
                .any(|report| report.certificate == *name)
        };
        let mut installed = Vec::new();
        let mut busy = BTreeSet::new();
        for install in &view.report.installs {
            match &install.outcome {
                InstallOutcome::Failed(_) => tally.not_installed += install.certificates.len(),
                InstallOutcome::Done { .. } => {
                    installed.extend(install.certificates.iter().filter(|name| !worked_on(name)));
                }
                InstallOutcome::Locked(_) => {
                    busy.extend(install.certificates.iter().filter(|name| !worked_on(name)));
                }
                InstallOutcome::Planned => {}
            }
        }
        let mut not_served: Vec<_> = view
            .report
            .served
            .iter()
            .filter(|one| !one.current)
            .collect();
        not_served.dedup_by_key(|one| &one.certificate);
        tally.not_served = not_served.len();
        installed.sort();
        installed.dedup();
        tally.installed = installed.len();
        tally.busy_installs = busy.len();
        tally
    }

    fn to_text(&self, rehearsal: bool) -> String {
        let done = self.issued + self.renewed;
        let mut parts = Vec::new();
        if self.failed + self.waiting + self.stopped + self.busy > 0 {
            let all = done + self.failed + self.waiting + self.stopped + self.busy;
            let verb = match (rehearsal, self.issued) {
                (true, _) => "rehearsed well",
                (false, 0) => "renewed",
                (false, _) => "issued or renewed",
            };
            parts.push(format!("{done} of {all} {verb}"));
        } else if rehearsal && done > 0 {
            parts.push(format!("{done} rehearsed well"));
        } else {
            if self.issued > 0 {
                parts.push(format!("{} issued", self.issued));
            }
            if self.renewed > 0 {
                parts.push(format!("{} renewed", self.renewed));
            }
        }
        if self.by_fallback > 0 {
            parts.push(format!("{} by a fallback", self.by_fallback));
        }
        let more = [
            (self.installed, "installed"),
            (self.not_installed, "not installed"),
            (self.not_served, "not served"),
            (self.waiting, "waiting for the CA"),
            (self.stopped, "stopped"),
            (self.busy + self.busy_installs, "busy in another run"),
            (self.held, "held back"),
            (self.kept, "not due"),
        ];
        for (number, what) in more {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        if parts.is_empty() {
            "nothing to do".to_owned()
        } else {
            parts.join(", ")
        }
    }
}
