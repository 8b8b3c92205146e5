use waxwing_core::notify::event::{Nearest, SCHEMA};

use super::super::fixture::{at, days, golden_at, golden_json};
use super::*;

fn notice(events: Vec<Event>) -> Notice {
    Notice {
        schema: SCHEMA,
        host: "web01".to_owned(),
        version: "0.1.0".to_owned(),
        run: Some("06b0-1".to_owned()),
        at: at(0),
        events,
        certificates: 3,
        nearest: Some(Nearest {
            certificate: "app".to_owned(),
            not_after: days(25),
            due: Some(days(16)),
        }),
    }
}

fn event(kind: EventKind, change: Change) -> Event {
    Event {
        names: vec!["example.com".to_owned(), "*.example.com".to_owned()],
        not_after: Some(days(34)),
        ..Event::new(kind, change, "shop")
    }
}

fn failed(change: Change, count: u32) -> Event {
    Event {
        needs_person: change == Change::Worse,
        count: Some(count),
        ca: Some("first".to_owned()),
        next_try: Some(at(3_420)),
        causes: vec![
            "first did not answer with a directory".to_owned(),
            "https://acme.first.example/directory: no connection after 7 ms (198.51.100.7:443): \
             connection refused"
                .to_owned(),
        ],
        hint: Some("`waxwing check` looks at the network of this machine".to_owned()),
        ..event(EventKind::Failed, change)
    }
}

fn fail_over() -> Event {
    Event {
        ca: Some("second".to_owned()),
        instead_of: Some("first".to_owned()),
        not_after: Some(days(90)),
        what: vec!["example.com:443".to_owned()],
        next_try: Some(days(53)),
        causes: vec![
            "first did not answer with a directory".to_owned(),
            "https://acme.first.example/directory: no connection after 7 ms (198.51.100.7:443): \
             connection refused"
                .to_owned(),
            "second answered in 212 ms, so the network here is fine".to_owned(),
        ],
        hint: Some("3 failures in a row: [failover] after-failures".to_owned()),
        ..event(EventKind::FailedOver, Change::Once)
    }
}

fn terms() -> Event {
    Event {
        causes: vec![
            "agreed to on 2026-09-02: https://acme.first.example/terms/v1".to_owned(),
            "now: https://acme.first.example/terms/v2".to_owned(),
        ],
        hint: Some("read them, then `waxwing account agree first`".to_owned()),
        needs_person: true,
        ..Event::new(EventKind::TermsChanged, Change::Began, "first")
    }
}

/// One of each kind, and what is over.
fn every() -> Vec<Event> {
    use Change::{Began, Once, Over, Worse};
    let of = |kind, change, subject: &str| Event::new(kind, change, subject);
    vec![
        failed(Worse, 3),
        Event {
            not_after: Some(days(12)),
            count: Some(14),
            needs_person: true,
            ..event(EventKind::ExpiryNear, Began)
        },
        Event {
            not_after: Some(days(-2)),
            needs_person: true,
            ..event(EventKind::ExpiryNear, Worse)
        },
        Event {
            what: vec!["web".to_owned()],
            causes: vec!["exit code 1: unknown directive \"htp2\" in site.conf:14".to_owned()],
            needs_person: true,
            ..event(EventKind::NotInstalled, Began)
        },
        Event {
            what: vec!["example.com:443".to_owned()],
            causes: vec![
                "example.com:443: another certificate is served, valid until 2027-02-24T15:07:38Z"
                    .to_owned(),
            ],
            needs_person: true,
            ..event(EventKind::NotServed, Began)
        },
        Event {
            since: Some(at(-90_000)),
            count: Some(3),
            what: vec!["version 6".to_owned()],
            causes: vec!["failed to revoke the certificate at first".to_owned()],
            hint: Some("`waxwing revoke shop --replace` asks at once".to_owned()),
            needs_person: true,
            ..event(EventKind::NotRevoked, Worse)
        },
        Event {
            since: Some(at(-50_000)),
            what: vec!["shop".to_owned()],
            causes: vec!["first did not answer with a directory".to_owned()],
            ..of(EventKind::CaOutage, Began, "first")
        },
        Event {
            causes: vec!["plugin web failed to install: /etc/shadow is not granted".to_owned()],
            needs_person: true,
            ..of(EventKind::PluginDenied, Began, "web")
        },
        Event {
            count: Some(1),
            what: vec!["5 per 7d".to_owned()],
            next_try: Some(days(2)),
            ..of(EventKind::BudgetNear, Began, "first duplicates of shop")
        },
        Event {
            count: Some(2),
            causes: vec!["failed to send mail by mx.example.com:587".to_owned()],
            needs_person: true,
            ..of(EventKind::NotifierFailed, Began, "mail")
        },
        terms(),
        of(EventKind::RunOk, Once, ""),
        of(EventKind::Failed, Over, "blog"),
        Event {
            hint: Some("it was told on 2027-01-27 by the clock of then".to_owned()),
            ..of(EventKind::ExpiryNear, Over, "blog")
        },
        Event {
            causes: vec!["the certificate is valid from 2026 by its CA's clock".to_owned()],
            hint: Some("set the clock".to_owned()),
            needs_person: true,
            ..of(EventKind::Failed, Began, "the clock")
        },
        of(EventKind::Failed, Over, "the clock"),
        Event {
            causes: vec!["it is not configured any more".to_owned()],
            ..of(EventKind::NotInstalled, Over, "old")
        },
        of(EventKind::NotInstalled, Over, "blog"),
        of(EventKind::NotServed, Over, "blog"),
        of(EventKind::NotRevoked, Over, "blog"),
        of(EventKind::CaOutage, Over, "first"),
        of(EventKind::TermsChanged, Over, "first"),
        of(EventKind::PluginDenied, Over, "web"),
        of(EventKind::BudgetNear, Over, "first orders"),
        of(EventKind::NotifierFailed, Over, "mail"),
    ]
}

fn shown(notice: &Notice, context: &Context) -> String {
    let (subject, text, _html) = words(notice, context);
    format!("Subject: {subject}\n\n{text}")
}

/// Notices are as wide as they are, whatever the terminal.
fn golden_text(file: &str, notice: &Notice) {
    golden_at(file, &[120], |context| shown(notice, context));
}

#[test]
fn a_fail_over_says_that_there_is_nothing_to_do() {
    golden_text("notice-fail-over.txt", &notice(vec![fail_over()]));
}

#[test]
fn a_failure_says_what_is_left_and_what_comes_next() {
    golden_text("notice-failed.txt", &notice(vec![failed(Change::Began, 1)]));
}

#[test]
fn other_terms_say_that_nobody_has_agreed_to_them() {
    golden_text("notice-terms.txt", &notice(vec![terms()]));
}

#[test]
fn a_late_message_says_so() {
    let mut late = notice(vec![Event::new(EventKind::Test, Change::Once, "")]);
    late.at = at(-7_300);
    golden_text("notice-late.txt", &late);
}

#[test]
fn a_digest_breaks_the_silence() {
    let digest = Event {
        since: Some(days(-7)),
        count: Some(0),
        names: vec!["shop".to_owned()],
        ..Event::new(EventKind::WeeklyDigest, Change::Once, "")
    };
    golden_text("notice-digest.txt", &notice(vec![digest]));
}

#[test]
fn many_events_are_one_message() {
    golden_text("notice-many.txt", &notice(every()));
}

#[test]
fn the_same_with_markup_holds_nothing_that_is_loaded() {
    let context = super::super::page::tests::context(120, false);
    let mut evil = failed(Change::Began, 1);
    evil.causes
        .push("<img src=https://evil.example> & \u{1b}[2J".to_owned());
    let (subject, text, html) = words(&notice(vec![evil]), &context);
    assert!(!html.contains("<img") && !html.contains("http://") && !html.contains("src=\""));
    assert!(!text.contains('\u{1b}') && !subject.contains('\u{1b}'));
    let (_, _, html) = words(&notice(vec![fail_over()]), &context);
    // Not JSON, but compared in the same way.
    golden_json("notice-fail-over.html", html.trim_end());
    assert!(
        html.lines().all(|line| line.len() < 900),
        "RFC 5321 section 4.5.3.1.6"
    );
}

#[test]
fn the_message_for_programs_has_stable_fields() {
    let json = serde_json::to_string_pretty(&notice(vec![fail_over(), failed(Change::Worse, 3)]));
    golden_json("notice.json", &json.expect("JSON"));
}

#[test]
fn every_line_fits_and_every_subject_is_one_line() {
    let context = super::super::page::tests::context(120, false);
    for event in every() {
        let (subject, text, _) = words(&notice(vec![event]), &context);
        assert!(subject.starts_with("[waxwing web01] ") && !subject.contains('\n'));
        for line in text.lines() {
            let long = line
                .split_whitespace()
                .any(|word| word.len() > WIDTH - LABEL);
            assert!(line.chars().count() <= WIDTH || long, "{line}");
        }
    }
}
