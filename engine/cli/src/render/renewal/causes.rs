//! Why a certificate was not renewed, or not by the first CA: every cause, once.

use waxwing_core::ca::choose;
use waxwing_core::name::CertificateName;
use waxwing_flow::failure::{CaError, Failure, offline_because, without_times};
use waxwing_flow::report::{CertificateReport, Outcome};

use crate::render::page::{Line, Page};
use crate::render::table::{Align, Cell, Table};
use crate::render::time::took;

/// Why another CA was asked, and that it was not this machine's network.
pub(super) fn stood_in(report: &CertificateReport) -> Option<String> {
    // Whoever was asked last, nobody was of use: the failure says it.
    if let Outcome::Failed(Some(Failure::Offline { .. })) = &report.outcome {
        return None;
    }
    let last = report.failures.last();
    let elsewhere = last.and_then(|last| last.elsewhere.as_ref());
    let network = elsewhere.map(|(ca, took)| {
        format!(
            "The network of this machine is fine: {ca} answered in {} ms.",
            took.as_millis()
        )
    });
    let rule = report.stands_in.as_ref().map(|(ca, because)| match because {
        choose::Because::Failures(failures) => format!(
            "{ca} has failed {failures} times in a row: the rule [failover] after-failures applies."
        ),
        choose::Because::Failing(time) => format!(
            "{ca} has been failing for {}: the rule [failover] after applies.",
            took(*time)
        ),
        choose::Because::Down(time) => format!(
            "{ca} has been seen to be down for {}: the rule [failover] after applies.",
            took(*time)
        ),
        choose::Because::Late(_) => {
            format!("{ca} is not to be asked in the time that this certificate has.")
        }
        choose::Because::Haste => {
            format!("There is no time to wait for {ca}, so the next CA of the list was asked.")
        }
        choose::Because::Forbidden => {
            format!("CAA does not let {ca} issue, so the next CA of the list was asked.")
        }
    });
    let said: Vec<String> = [network, rule].into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// Every cause at every CA. Certificates that failed for the same reasons share one account; true if it was
/// given before.
pub(super) fn failures<'r>(
    report: &'r CertificateReport,
    told: &mut Vec<(&'r CertificateName, Vec<String>)>,
    page: &mut Page<'_>,
) -> bool {
    let all = every_failure(report);
    if all.is_empty() {
        return false;
    }
    let causes: Vec<String> = all
        .iter()
        .flat_map(|failure| failure.lines())
        .map(|cause| without_times(&cause))
        .collect();
    if let Some((first, _)) = told.iter().find(|(_, known)| *known == causes) {
        page.plain(2, format!("for the same reasons as {first}"));
        return true;
    }
    told.push((&report.certificate, causes));
    for failure in &all {
        causes_of(failure, page);
    }
    if let Some(hint) = all.iter().rev().find_map(|failure| failure.hint()) {
        page.hint(2, &hint);
    }
    false
}

/// One failure: what it is, then each cause on a line of its own.
pub(super) fn causes_of(failure: &Failure, page: &mut Page<'_>) {
    if let Failure::Offline { hosts } = failure {
        let what = format!(
            "This machine seems to be offline: {}, so no CA is to blame and no fallback was spent.",
            offline_because(hosts)
        );
        page.plain(2, what);
        let mut table = Table::new(4, &[Align::Left, Align::Left]);
        for (host, cause) in hosts {
            let cause = match cause {
                CaError::Transport(error) => error.to_string(),
                CaError::Answer(error) => error.to_string(),
            };
            table.row(vec![Cell::plain(host), Cell::plain(cause)]);
        }
        table.lines().iter().for_each(|line| page.line(line));
        return;
    }
    if let Failure::Directory { ca, tried } = failure
        && !failure.is_unsent()
    {
        page.line(&Line::indented(2).text(format!("{ca} did not answer:")));
        let mut table = Table::new(4, &[Align::Left, Align::Left]);
        for (url, cause) in tried {
            let cause = match cause {
                CaError::Transport(error) => error.to_string(),
                CaError::Answer(error) => error.to_string(),
            };
            table.row(vec![Cell::plain(url), Cell::plain(cause)]);
        }
        table.lines().iter().for_each(|line| page.line(line));
        return;
    }
    let lines = failure.lines();
    let mut lines = lines.iter();
    if let Some(first) = lines.next() {
        let end = if lines.len() > 0 { ":" } else { "" };
        page.line(&Line::indented(2).hang_here().text(format!("{first}{end}")));
    }
    for cause in lines {
        page.line(&Line::indented(4).hang_here().text(cause));
    }
}

pub(super) fn every_failure(report: &CertificateReport) -> Vec<&Failure> {
    let mut all: Vec<&Failure> = report.failures.iter().map(|at_ca| &at_ca.failure).collect();
    if let Outcome::Failed(Some(failure)) = &report.outcome {
        all.push(failure);
    }
    all
}

pub(super) fn last_failure(report: &CertificateReport) -> Option<&Failure> {
    every_failure(report).pop()
}
