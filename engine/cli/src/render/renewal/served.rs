//! What servers were seen to serve.

use waxwing_flow::report::ServedReport;

use super::super::page::{Context, Ink, Line, Page};
use super::RunView;

/// What was seen at one place.
pub(super) fn text(one: &ServedReport, context: &Context) -> String {
    let place = &one.place;
    match &one.seen {
        Ok(leaf) if one.current => format!("{place} serves {}", fingerprint(&leaf.sha256)),
        Ok(leaf) => {
            let left = leaf.not_after.map_or_else(String::new, |end| {
                if end > context.now {
                    format!(", {} left", context.left(end))
                } else {
                    ", expired".to_owned()
                }
            });
            let leaf = fingerprint(&leaf.sha256);
            format!("{place} still serves another certificate: {leaf}{left}")
        }
        Err(error) => format!("{place} shows no certificate: {}", error.causes.join(": ")),
    }
}

/// Bad news have another ink.
pub(super) const fn ink(one: &ServedReport) -> Ink {
    if one.current { Ink::Plain } else { Ink::Bad }
}

/// The places of certificates that have no timeline. What is as it should be needs no line.
pub(super) fn others(view: &RunView<'_>, context: &Context, page: &mut Page<'_>) {
    let has_timeline = |one: &&ServedReport| {
        let mut reports = view.report.certificates.iter();
        reports.any(|report| report.certificate == one.certificate)
    };
    let all = view.report.served.iter();
    for one in all.filter(|one| !one.current && !has_timeline(one)) {
        let line = Line::indented(0)
            .ink(Ink::Strong, one.certificate.as_str())
            .text("   ")
            .ink(Ink::Bad, "not served")
            .text("   ")
            .hang_here()
            .text(text(one, context));
        page.line(&line);
    }
    if view.report.served.iter().any(|one| !one.current) {
        page.hint(0, ServedReport::HINT);
    }
}

/// `0d:7a:…:41`: enough to tell two certificates apart, and the way tools write it.
pub(in super::super) fn fingerprint(sha256: &str) -> String {
    match (
        sha256.get(..2),
        sha256.get(2..4),
        sha256.get(sha256.len().saturating_sub(2)..),
    ) {
        (Some(first), Some(second), Some(last)) => format!("{first}:{second}:…:{last}"),
        _ => sha256.to_owned(),
    }
}
