//! What `history` says: a line for each thing that was tried, newest first.

use serde::Serialize;
use waxwing_core::name::CertificateName;
use waxwing_core::time::Timestamp;
use waxwing_flow::failure::{innermost, plain};
use waxwing_flow::history::{Record, Recorded};

use super::page::{Context, Ink, Line, Page, count};
use super::table::{Align, Cell, Table};
use super::time::took;
use crate::args::Reason;

/// Columns that can be left out where there is no room.
const TOOK: usize = 4;

/// The column of names, which can be longer than a terminal is wide.
const NAME: usize = 1;

/// What was found.
#[derive(Debug)]
pub(crate) struct HistoryView<'a> {
    /// Only this certificate was asked for.
    pub(crate) only: Option<&'a CertificateName>,
    /// Newest first.
    pub(crate) records: &'a [Record],
    /// When the history begins.
    pub(crate) begins: Option<Timestamp>,
    /// Every cause.
    pub(crate) full: bool,
    /// Only failures were asked for.
    pub(crate) failed: bool,
    /// Nothing older was asked for.
    pub(crate) since: Option<Timestamp>,
    /// No more were asked for.
    pub(crate) most: u32,
}

/// For people.
pub(crate) fn render(view: &HistoryView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(&verdict(view, context));
    if view.records.is_empty() {
        return page.finish();
    }
    let columns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
    ];
    let mut table = Table::new(2, &columns).gap(2);
    let heads = ["WHEN", "NAME", "WHAT", "WHERE", "TOOK", "RESULT"];
    table.row(heads.map(|head| Cell::of(Ink::Quiet, head)).into());
    for record in view.records {
        let (what, place) = subject(record);
        let (ink, result) = result(record);
        table.row(vec![
            Cell::plain(context.moment(record.ended)),
            Cell::of(Ink::Strong, record.certificate.as_str()),
            Cell::of(ink, what),
            Cell::plain(place),
            Cell::plain(duration(record)),
            Cell::plain(result),
        ]);
    }
    let counts = table.fit_or_fold(context.width, &[TOOK], NAME);
    let mut lines = table.lines().into_iter();
    lines.next().iter().for_each(|head| page.line(head));
    for (count, record) in counts.into_iter().skip(1).zip(view.records) {
        lines.by_ref().take(count).for_each(|line| page.line(&line));
        details(record, view.full, context, &mut page);
    }
    let more = |record: &Record| record.failed.as_ref().is_some_and(|f| f.causes.len() > 1);
    if !view.full && view.records.iter().any(more) {
        let name = view.only.map_or("NAME", CertificateName::as_str);
        page.hint(2, &format!("waxwing history {name} --full"));
    }
    page.finish()
}

fn verdict(view: &HistoryView<'_>, context: &Context) -> Line {
    let of = view
        .only
        .map(|name| format!("{name}: "))
        .unwrap_or_default();
    let Some(begins) = view.begins else {
        return Line::indented(0).text(format!("{of}nothing was tried yet"));
    };
    let since = view.since.map_or(begins, |since| since.max(begins));
    let since = context.day(since);
    let kind = if view.failed {
        "nothing failed"
    } else {
        "nothing was tried"
    };
    if view.records.is_empty() {
        return Line::indented(0).text(format!("{of}{kind} since {since}"));
    }
    let failed = view.records.iter().filter(|one| one.failed.is_some());
    let (all, failed) = (view.records.len(), failed.count());
    let cut = u32::try_from(all).is_ok_and(|all| all == view.most);
    let shown = if cut {
        format!("the last {}", count(all, "line"))
    } else {
        format!("{} since {since}", count(all, "line"))
    };
    let (ink, failed) = match failed {
        0 => (Ink::Good, "all went well".to_owned()),
        some => (Ink::Warn, format!("{some} failed")),
    };
    Line::indented(0).ink(ink, format!("{of}{shown}, {failed}"))
}

/// What was done, and where.
pub(super) fn subject(record: &Record) -> (&'static str, String) {
    let failed = record.failed.is_some();
    match &record.what {
        Recorded::Attempt { ca, .. } if failed => ("not issued", ca.to_string()),
        // What a CA had refused was tried at its staging first, and that is all.
        Recorded::Attempt { ca, .. } if record.version.is_none() => {
            ("rehearsed", format!("for {ca}"))
        }
        Recorded::Attempt { ca, .. } => ("issued", ca.to_string()),
        Recorded::Unasked => ("not issued", "no CA asked".to_owned()),
        Recorded::Revocation { ca, over, .. } => {
            let what = match over {
                None if !failed => "revoked",
                _ => "not revoked",
            };
            let ca = ca.as_ref().map_or("-", |ca| ca.as_str());
            (what, ca.to_owned())
        }
        Recorded::Deploy { target } if is_place(record) && failed => ("not served", target.clone()),
        Recorded::Deploy { target } if is_place(record) => ("served", target.clone()),
        Recorded::Deploy { target } if failed => ("not installed", target.clone()),
        Recorded::Deploy { target } => ("installed", target.clone()),
    }
}

/// A place has a port, an installer has none.
fn is_place(record: &Record) -> bool {
    matches!(&record.what, Recorded::Deploy { target } if target.contains(':'))
}

/// How long it took. Of several tries in one line only the first begin and the last end are known.
pub(super) fn duration(record: &Record) -> String {
    match record.times {
        0 | 1 => took(record.ended.since(record.started)),
        _ => "-".to_owned(),
    }
}

/// For which CA another one stood in, and why.
pub(super) fn instead_of(record: &Record) -> Option<String> {
    match &record.what {
        Recorded::Attempt {
            stands_in: Some((other, why)),
            ..
        } => Some(format!("instead of {other}: {why}")),
        _ => None,
    }
}

/// What there is to be said behind the cause.
pub(super) fn more(record: &Record, context: &Context) -> Vec<String> {
    let until = record.failed.as_ref().and_then(|failed| failed.until);
    let until = until.map(|at| format!("asked to be left alone until {}", context.moment(at)));
    let often = (record.times > 1).then(|| {
        let since = context.moment(record.started);
        format!("{} times since {since}", record.times)
    });
    until.into_iter().chain(often).collect()
}

/// In a few words.
pub(super) fn result(record: &Record) -> (Ink, String) {
    let version = record.version.map(|version| format!("version {version}"));
    let mut said: Vec<String> = Vec::new();
    if let Recorded::Revocation { reason, over, .. } = &record.what {
        said.extend(version.clone());
        said.extend(over.clone());
        if over.is_none() {
            said.extend(reason.map(words_of_reason));
        }
    }
    let ink = match &record.failed {
        Some(failed) => {
            said.push(word(&failed.kind).to_owned());
            Ink::Bad
        }
        None => {
            if said.is_empty() {
                said.extend(version);
            }
            Ink::Good
        }
    };
    (ink, said.join(", "))
}

/// `key-compromise`, or the number of RFC 5280 section 5.3.1 where the verb has no word for it.
fn words_of_reason(code: u8) -> String {
    match Reason::of_code(code) {
        Some(reason) => reason.as_str().to_owned(),
        None => format!("reason {code}"),
    }
}

/// A class or a stage in plain words.
fn word(kind: &str) -> &str {
    match kind {
        "transient" => "passing trouble",
        "rate-limited" => "too many requests for the CA",
        "rejected" => "refused by the CA",
        "misconfigured" => "the configuration or an account is wrong",
        "needs-person" => "a person has to do something",
        "cancelled" => "stopped",
        "bug" => "a fault of Waxwing or a plugin",
        "read" => "it could not be read",
        "load" => "the plugin cannot be used",
        "plan" => "the installer did not agree",
        "install" => "not put in place",
        "verify" => "not found in place",
        "undo" => "not put back either",
        "note" => "done, but not noted",
        "served" => "another one is served, or none",
        other => other,
    }
}

/// The cause that says most, which is the innermost one, or the whole chain and the run.
fn details(record: &Record, full: bool, context: &Context, page: &mut Page<'_>) {
    if let Some(text) = instead_of(record) {
        page.plain(6, text);
    }
    if let Some(failed) = &record.failed {
        if full {
            failed.causes.iter().for_each(|cause| page.plain(6, cause));
        } else if let Some(cause) = innermost(&failed.causes) {
            page.plain(6, cause);
        }
    }
    for text in more(record, context) {
        page.plain(6, text);
    }
    if full {
        let began = context.clock(record.started);
        let requests = record.requests.map_or_else(String::new, |requests| {
            let requests = usize::try_from(requests).unwrap_or(usize::MAX);
            format!(", {} to the CA", count(requests, "request"))
        });
        let text = format!("run {}, begun at {began}{requests}", record.run);
        page.line(&Line::indented(6).ink(Ink::Quiet, text));
    }
}

/// The answer for machines.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryJson {
    begins: Option<String>,
    records: Vec<RecordJson>,
}

#[derive(Debug, Serialize)]
struct RecordJson {
    certificate: String,
    what: &'static str,
    ca: Option<String>,
    instead_of: Option<String>,
    because: Option<String>,
    target: Option<String>,
    version: Option<u32>,
    started: String,
    ended: String,
    /// None for several tries in one line: only their first begin and their last end are known.
    took_ms: Option<u64>,
    run: String,
    ok: bool,
    kind: Option<String>,
    causes: Vec<String>,
    until: Option<String>,
    /// To CAs; none where that was not counted.
    requests: Option<u32>,
    /// How often in a row, from `started` of the first to `ended` of the last.
    times: u32,
    /// Of a revocation: why, by its name.
    reason: Option<String>,
    /// Of a revocation that nobody needs any more: why not.
    over: Option<String>,
}

/// For machines.
pub(crate) fn json(view: &HistoryView<'_>) -> HistoryJson {
    let record = |record: &Record| {
        let (what, ca, stands_in, target) = match &record.what {
            Recorded::Attempt { ca, stands_in } => {
                let rehearsed = record.version.is_none() && record.failed.is_none();
                let what = if rehearsed { "rehearse" } else { "issue" };
                (what, Some(ca), stands_in.as_ref(), None)
            }
            Recorded::Unasked => ("issue", None, None, None),
            Recorded::Revocation { ca, .. } => ("revoke", ca.as_ref(), None, None),
            Recorded::Deploy { target } if is_place(record) => ("serve", None, None, Some(target)),
            Recorded::Deploy { target } => ("install", None, None, Some(target)),
        };
        let (reason, over) = match &record.what {
            Recorded::Revocation { reason, over, .. } => (*reason, over.clone()),
            _ => (None, None),
        };
        let failed = record.failed.as_ref();
        RecordJson {
            certificate: record.certificate.to_string(),
            what,
            ca: ca.map(ToString::to_string),
            instead_of: stands_in.map(|(other, _)| other.to_string()),
            because: stands_in.map(|(_, why)| why.clone()),
            target: target.cloned(),
            version: record.version,
            started: record.started.to_string(),
            ended: record.ended.to_string(),
            took_ms: (record.times <= 1).then(|| {
                let took = record.ended.since(record.started);
                u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
            }),
            run: record.run.clone(),
            ok: failed.is_none(),
            kind: failed.map(|failed| failed.kind.clone()),
            causes: failed
                .map(|failed| plain(&failed.causes))
                .unwrap_or_default(),
            until: failed
                .and_then(|failed| failed.until)
                .map(|at| at.to_string()),
            requests: record.requests,
            times: record.times,
            reason: reason.map(words_of_reason),
            over,
        }
    };
    HistoryJson {
        begins: view.begins.map(|at| at.to_string()),
        records: view.records.iter().map(record).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use waxwing_core::name::CaName;
    use waxwing_flow::history::RecordedFailure;

    use super::super::fixture::{at as moment, days};
    use super::super::fixture::{golden_at, golden_json};
    use super::*;
    use crate::render::json::Document;

    fn record(name: &str, hours: u32, what: Recorded, failed: Option<(&str, &[&str])>) -> Record {
        let ended = moment(-3600 * i64::from(hours));
        Record {
            run: format!("r{hours}"),
            certificate: CertificateName::parse(name).expect("a literal name"),
            started: ended - Duration::from_secs(41),
            ended,
            version: failed.is_none().then_some(3),
            requests: matches!(what, Recorded::Attempt { .. } | Recorded::Revocation { .. })
                .then_some(9),
            times: if what == Recorded::Unasked { 14 } else { 1 },
            failed: failed.map(|(kind, causes)| RecordedFailure {
                kind: kind.to_owned(),
                causes: causes.iter().map(|cause| (*cause).to_owned()).collect(),
                until: (kind == "rate-limited").then_some(moment(3600)),
            }),
            what,
        }
    }

    fn at(ca: &str, instead_of: Option<&str>) -> Recorded {
        let parse = |name: &str| CaName::parse(name).expect("a literal name");
        let why = "failed 3 times in a row".to_owned();
        Recorded::Attempt {
            ca: parse(ca),
            stands_in: instead_of.map(|other| (parse(other), why)),
        }
    }

    fn of(ca: Option<&str>, reason: u8, over: Option<&str>) -> Recorded {
        Recorded::Revocation {
            ca: ca.map(|ca| CaName::parse(ca).expect("a literal name")),
            reason: Some(reason),
            over: over.map(ToOwned::to_owned),
        }
    }

    fn to(target: &str) -> Recorded {
        Recorded::Deploy {
            target: target.to_owned(),
        }
    }

    #[test]
    fn what_was_tried_is_told_with_its_cause() {
        let refused: &[&str] = &[
            "first did not answer with a directory",
            "https://acme.first.example/directory: connect to 198.51.100.7:443 refused after 7 ms",
        ];
        // A batch: which certificates it was for is no cause.
        let test: &[&str] = &[
            "plugin web failed to install: the command test ended with exit code 1: unknown directive \"htp2\"",
            "  certificates: mail, shop, blog",
            "  output: unknown directive \"htp2\" in site.conf:14",
        ];
        let lost: &[&str] = &["plugin dns cannot be used", "no file /opt/dns.wasm"];
        let unrevoked: &[&str] = &[
            "failed to revoke the certificate at first",
            "POST https://acme.first.example/revoke: connection refused",
        ];
        let mut owed = record(
            "mail",
            24,
            of(Some("first"), 1, None),
            Some(("transient", unrevoked)),
        );
        (owed.version, owed.times) = (Some(2), 5);
        let records = [
            record("shop", 1, to("shop.example.com:443"), None),
            record("shop", 2, to("web"), None),
            record("shop", 2, at("second", Some("first")), None),
            record("shop", 3, at("first", None), Some(("transient", refused))),
            record("mail", 20, of(Some("first"), 1, None), None),
            owed,
            record("old", 30, of(None, 9, Some("it has expired")), None),
            record("mail", 40, to("web"), Some(("install", test))),
            record(
                "mail",
                40,
                at("first", None),
                Some(("rate-limited", refused)),
            ),
            record("mail", 41, Recorded::Unasked, Some(("misconfigured", lost))),
        ];
        let view = HistoryView {
            only: None,
            records: &records,
            begins: Some(days(-9)),
            full: false,
            failed: false,
            since: None,
            most: 20,
        };
        golden_at("history.txt", &[120, 80], |context| render(&view, context));
        golden_json(
            "history.json",
            &Document::new("history", moment(0), json(&view)).to_text(),
        );
        let shop = CertificateName::parse("shop").expect("a literal name");
        let full = HistoryView {
            only: Some(&shop),
            records: &records[..4],
            full: true,
            most: 4,
            ..view
        };
        golden_at("history-full.txt", &[120, 80], |context| {
            render(&full, context)
        });
    }

    #[test]
    fn a_long_name_gets_a_line_of_its_own_where_there_is_no_room() {
        let long = "payments-gateway.eu-west-1.internal.example.com";
        let records = [
            record(long, 1, to("web"), None),
            record("shop", 2, at("first", None), None),
        ];
        let view = HistoryView {
            only: None,
            records: &records,
            begins: Some(days(-9)),
            full: false,
            failed: false,
            since: None,
            most: 20,
        };
        golden_at("history-long.txt", &[120, 80], |context| {
            render(&view, context)
        });
    }

    #[test]
    fn where_nothing_was_tried_it_is_said() {
        let view = HistoryView {
            only: None,
            records: &[],
            begins: None,
            full: false,
            failed: false,
            since: None,
            most: 20,
        };
        let context = super::super::page::tests::context(80, false);
        assert_eq!(render(&view, &context), "nothing was tried yet\n");
        let quiet = HistoryView {
            begins: Some(moment(0)),
            failed: true,
            ..view
        };
        let text = render(&quiet, &context);
        assert!(text.starts_with("nothing failed since "), "{text}");
    }
}
