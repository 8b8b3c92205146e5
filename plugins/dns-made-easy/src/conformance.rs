//! What a DNS plugin owes, and what this API does to those who forget.

use crate::api::failure;
use crate::bindings::exports::waxwing::plugin::dns_provider::{
    ChallengeRecord, Placed, PresentReport, Removal, ZoneAnswer,
};
use crate::bindings::waxwing::host::http::Response;
use crate::bindings::waxwing::plugin::types::{Attempt, PluginError, Severity};
use crate::double::{Account, NOW};
use crate::provider::Provider;

const ZONE: u64 = 1000;

fn record(name: &str, value: &str) -> ChallengeRecord {
    ChallengeRecord {
        key: format!("{name}={value}"),
        fqdn: format!("_acme-challenge.{name}."),
        value: value.to_owned(),
        identifier: name.to_owned(),
        zone_hint: None,
    }
}

fn try_number(number: u32) -> Attempt {
    Attempt {
        run_id: "run".to_owned(),
        number,
        extra: Vec::new(),
    }
}

fn present(account: &Account, number: u32, records: &[ChallengeRecord]) -> PresentReport {
    Provider::new(account, "{}")
        .expect("settings")
        .present(&try_number(number), records)
        .expect("a report")
}

fn cleanup(account: &Account, removals: &[Removal]) -> Vec<(String, PluginError)> {
    Provider::new(account, "{}")
        .expect("settings")
        .cleanup(removals)
        .expect("an answer")
}

fn removals(records: &[ChallengeRecord], report: &PresentReport) -> Vec<Removal> {
    records
        .iter()
        .zip(&report.placed)
        .map(|(challenge, placed)| Removal {
            challenge: challenge.clone(),
            receipt: Some(placed.receipt.clone()),
        })
        .collect()
}

fn without_receipt(record: &ChallengeRecord) -> Removal {
    Removal {
        challenge: record.clone(),
        receipt: None,
    }
}

fn code(error: &PluginError) -> (&'static str, &str) {
    match error {
        PluginError::Retryable(retry) => ("retryable", &retry.failure.code),
        PluginError::Auth(failure) => ("auth", &failure.code),
        PluginError::Config(setting) => ("config", &setting.failure.code),
        PluginError::NotFound(failure) => ("not-found", &failure.code),
        PluginError::Conflict(failure) => ("conflict", &failure.code),
        PluginError::Unsupported(failure) => ("unsupported", &failure.code),
        PluginError::Permanent(failure) => ("permanent", &failure.code),
        PluginError::Other(failure) => ("other", &failure.code),
        PluginError::Cancelled => ("cancelled", ""),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| pair(name, value))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn fifty_names_of_one_zone_cost_one_hundred_and_one_requests() {
    let account = Account::with_zones(&["example.com"]);
    let records: Vec<_> = (0..50)
        .map(|number| record(&format!("host{number}.example.com"), "value"))
        .collect();
    for chunk in records.chunks(10) {
        let report = present(&account, 1, chunk);
        assert_eq!(report.failed, []);
        assert_eq!(cleanup(&account, &removals(chunk, &report)), []);
    }
    assert_eq!(account.requests.borrow().len(), 101);
    assert_eq!(account.txt(), []);
}

#[test]
fn apex_and_wildcard_stand_side_by_side_and_go_one_by_one() {
    let account = Account::with_zones(&["example.com"]);
    let records = [record("example.com", "apex"), record("example.com", "wild")];
    let report = present(&account, 1, &records);
    assert_eq!(
        account.txt(),
        [
            pair("_acme-challenge", "apex"),
            pair("_acme-challenge", "wild")
        ]
    );
    let removals = removals(&records, &report);
    assert_eq!(cleanup(&account, &removals[..1]), []);
    assert_eq!(account.txt(), [pair("_acme-challenge", "wild")]);
}

#[test]
fn records_of_others_stay_in_every_way_of_cleaning_up() {
    let account = Account::with_zones(&["example.com"]);
    account.put(ZONE, "TXT", "_acme-challenge", "foreign");
    account.put(ZONE, "TXT", "_acme-challenge.www", "ours");
    account.put(ZONE, "TXT", "", "ours");
    account.put(ZONE, "CNAME", "_acme-challenge", "ours");
    let before = account.records.borrow().clone();
    let records = [record("example.com", "ours")];
    let report = present(&account, 1, &records);
    assert_eq!(cleanup(&account, &removals(&records, &report)), []);
    assert_eq!(*account.records.borrow(), before);
    present(&account, 1, &records);
    assert_eq!(cleanup(&account, &[without_receipt(&records[0])]), []);
    assert_eq!(*account.records.borrow(), before);
    assert_eq!(cleanup(&account, &[without_receipt(&records[0])]), []);
    assert_eq!(*account.records.borrow(), before);
}

#[test]
fn what_no_zone_can_hold_is_gone_already() {
    let account = Account::with_zones(&["example.com"]);
    let never_made = record("example.org", "ours");
    assert_eq!(cleanup(&account, &[without_receipt(&never_made)]), []);
}

#[test]
fn a_record_at_the_apex_of_its_zone_is_told_from_its_neighbours() {
    let account = Account::with_zones(&["_acme-challenge.example.com"]);
    account.put(ZONE, "TXT", "www", "value");
    let challenge = record("example.com", "value");
    present(&account, 1, std::slice::from_ref(&challenge));
    assert_eq!(account.txt(), [pair("www", "value"), pair("", "value")]);
    assert_eq!(cleanup(&account, &[without_receipt(&challenge)]), []);
    assert_eq!(account.txt(), [pair("www", "value")]);
}

#[test]
fn presenting_twice_places_once_and_the_second_try_owns_what_it_finds() {
    let account = Account::with_zones(&["example.com"]);
    let records = [record("example.com", "value")];
    let first = present(&account, 1, &records).placed.remove(0);
    assert!(first.created);
    let again = present(&account, 2, &records).placed.remove(0);
    assert_eq!(again, first);
    assert_eq!(account.txt().len(), 1);
}

#[test]
fn a_record_that_was_there_before_the_first_try_is_not_ours() {
    let account = Account::with_zones(&["example.com"]);
    let id = account.put(ZONE, "TXT", "_acme-challenge", "value");
    let records = [record("example.com", "value")];
    assert_eq!(
        present(&account, 1, &records).placed,
        [Placed {
            key: records[0].key.clone(),
            receipt: format!("{ZONE}/{id}"),
            created: false,
        }]
    );
}

#[test]
fn a_lost_answer_is_retryable_and_the_record_is_found_without_a_receipt() {
    let account = Account {
        loses_answer_of: Some(1),
        ..Account::with_zones(&["example.com"])
    };
    let records = [record("example.com", "value")];
    let report = present(&account, 1, &records);
    assert_eq!(
        code(&report.failed[0].1),
        ("retryable", "dns-made-easy.timeout")
    );
    assert_eq!(account.txt().len(), 1);
    assert_eq!(cleanup(&account, &[without_receipt(&records[0])]), []);
    assert_eq!(account.txt(), []);
}

#[test]
fn removing_what_is_gone_succeeds() {
    let account = Account::with_zones(&["example.com"]);
    let challenge = record("example.com", "value");
    for receipt in [None, Some("1000/77"), Some("nonsense"), Some("")] {
        let removal = Removal {
            challenge: challenge.clone(),
            receipt: receipt.map(str::to_owned),
        };
        assert_eq!(cleanup(&account, &[removal]), [], "{receipt:?}");
    }
}

#[test]
fn a_refused_deletion_is_believed_only_while_the_record_is_listed() {
    let refusal = reply(400, &[], r#"{"error":["Cannot find record"]}"#);
    for (is_there, expected) in [(false, 0), (true, 1)] {
        let mut account = Account::with_zones(&["example.com"]);
        if is_there {
            account.put(ZONE, "TXT", "_acme-challenge", "value");
        }
        account.instead.insert(0, refusal.clone());
        let removal = Removal {
            receipt: Some("1000/1".to_owned()),
            ..without_receipt(&record("example.com", "value"))
        };
        assert_eq!(cleanup(&account, &[removal]).len(), expected);
    }
}

#[test]
fn the_longest_managed_zone_takes_a_name() {
    let account = Account::with_zones(&["example.com", "sub.example.com"]);
    present(&account, 1, &[record("www.sub.example.com", "value")]);
    assert_eq!(
        account
            .records
            .borrow()
            .iter()
            .map(|record| (record.zone, record.name.clone()))
            .collect::<Vec<_>>(),
        [(1001, "_acme-challenge.www".to_owned())]
    );
}

#[test]
fn zones_are_found_on_later_pages() {
    let account = Account {
        zones_a_page: 1,
        ..Account::with_zones(&["a.example", "b.example", "c.example"])
    };
    let report = present(&account, 1, &[record("c.example", "value")]);
    assert_eq!(report.failed, []);
    assert_eq!(account.requests.borrow().len(), 4);
}

#[test]
fn names_are_asked_for_where_the_list_cannot_be_had() {
    for account in [
        Account {
            may_list_zones: false,
            ..Account::with_zones(&["example.com", "sub.example.com"])
        },
        Account {
            zones_a_page: 1,
            pages_work: false,
            ..Account::with_zones(&["example.com", "sub.example.com"])
        },
    ] {
        let report = present(&account, 1, &[record("www.sub.example.com", "value")]);
        assert_eq!(report.failed, []);
        assert_eq!(account.records.borrow()[0].zone, 1001);
    }
}

#[test]
fn the_apex_that_the_dns_shows_saves_the_guesses() {
    let account = Account {
        may_list_zones: false,
        ..Account::with_zones(&["example.com"])
    };
    let records: Vec<_> = (0..20)
        .map(|number| ChallengeRecord {
            zone_hint: Some("example.com.".to_owned()),
            ..record(&format!("host{number}.example.com"), "value")
        })
        .collect();
    assert_eq!(present(&account, 1, &records).failed, []);
    assert_eq!(account.requests.borrow().len(), 2 + 20);
}

#[test]
fn a_name_without_a_zone_fails_alone_and_says_so() {
    let account = Account::with_zones(&["example.com"]);
    let report = present(
        &account,
        1,
        &[
            record("example.net", "value"),
            record("example.com", "value"),
        ],
    );
    assert_eq!(report.placed.len(), 1);
    let PluginError::NotFound(failure) = &report.failed[0].1 else {
        panic!("not found: {:?}", report.failed);
    };
    assert_eq!(
        failure.message,
        "the account has no zone that holds _acme-challenge.example.net"
    );
}

#[test]
fn a_zone_that_came_later_is_found_in_spite_of_the_remembered_list() {
    let mut account = Account::with_zones(&["example.com"]);
    present(&account, 1, &[record("example.com", "value")]);
    account.zones.push((2000, "example.org".to_owned()));
    assert_eq!(
        present(&account, 1, &[record("example.org", "value")]).failed,
        []
    );
}

#[test]
fn zones_are_remembered_in_pieces_and_nothing_depends_on_it() {
    let names: Vec<String> = (0..2000)
        .map(|number| format!("zone-number-{number}.example"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (state_works, lists) in [(true, 1), (false, 2)] {
        let account = Account {
            state_works,
            zones_a_page: 5000,
            ..Account::with_zones(&names)
        };
        for value in ["one", "two"] {
            let report = present(&account, 1, &[record("zone-number-1999.example", value)]);
            assert_eq!(report.failed, []);
        }
        assert_eq!(account.requests.borrow().len(), lists + 2);
    }
}

#[test]
fn each_request_is_dated_and_a_wrong_clock_is_corrected_once_and_told() {
    for (skew_ms, date_status) in [(48_000, 403), (-3_600_000, 400)] {
        let account = Account {
            skew_ms,
            date_status,
            ..Account::with_zones(&["example.com"])
        };
        let records = [record("example.com", "one"), record("example.com", "two")];
        assert_eq!(present(&account, 1, &records).failed, []);
        assert_eq!(account.requests.borrow().len(), 1 + 1 + 2);
        let dates = account.dates.borrow();
        assert_eq!(dates[0], crate::date::format(NOW));
        assert_eq!(
            dates[1],
            crate::date::format(NOW.saturating_add_signed(skew_ms))
        );
        let log = account.log.borrow();
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].contains(&(skew_ms / 1000).to_string()), "{log:?}");
    }
}

#[test]
fn a_clock_that_stays_wrong_is_retried_by_the_engine_and_not_here() {
    let skew = r#"{"error": ["Request sent with date header too far out of sync.  Difference in times is 47971, header value is 1610379952000"]}"#;
    let mut account = Account::with_zones(&["example.com"]);
    let dated = [("date", "Tue, 24 Nov 2026 00:06:40 GMT")];
    account.instead.insert(0, reply(400, &dated, skew));
    account.instead.insert(1, reply(400, &dated, skew));
    let report = present(&account, 1, &[record("example.com", "value")]);
    assert_eq!(
        code(&report.failed[0].1),
        ("retryable", "dns-made-easy.clock-skew")
    );
    assert_eq!(account.requests.borrow().len(), 2);
}

#[test]
fn a_spent_budget_pauses_the_account_and_tries_nothing_more() {
    let account = Account {
        budget: std::cell::Cell::new(2),
        ..Account::with_zones(&["example.com"])
    };
    let records: Vec<_> = (0..5)
        .map(|number| record("example.com", &number.to_string()))
        .collect();
    let report = present(&account, 1, &records);
    assert_eq!((report.placed.len(), report.failed.len()), (1, 4));
    for (_, error) in &report.failed {
        let PluginError::Retryable(retry) = error else {
            panic!("retryable: {error:?}");
        };
        assert_eq!(retry.failure.code, "dns-made-easy.rate-limited");
        assert_eq!((retry.after_ms, retry.account_wide), (Some(300_000), true));
    }
    assert_eq!(account.requests.borrow().len(), 3);
}

#[test]
fn a_spent_budget_is_never_read_as_no_such_zone_or_record() {
    let spent = reply(404, &[("x-dnsme-requestsremaining", "0")], "<html></html>");
    let mut account = Account::with_zones(&["example.com"]);
    account.instead.insert(0, spent.clone());
    let report = present(&account, 1, &[record("example.com", "value")]);
    assert_eq!(
        code(&report.failed[0].1),
        ("retryable", "dns-made-easy.rate-limited")
    );

    let mut account = Account::with_zones(&["example.com"]);
    account.instead.insert(0, spent);
    let removal = Removal {
        receipt: Some("1000/1".to_owned()),
        ..without_receipt(&record("example.com", "value"))
    };
    let failed = cleanup(&account, &[removal]);
    assert_eq!(
        code(&failed[0].1),
        ("retryable", "dns-made-easy.rate-limited")
    );
}

#[test]
fn refused_credentials_are_told_in_the_words_of_the_api_and_tried_once() {
    let account = Account {
        key_is_known: false,
        ..Account::with_zones(&["example.com"])
    };
    let records = [record("example.com", "one"), record("example.com", "two")];
    let report = present(&account, 1, &records);
    let PluginError::Auth(failure) = &report.failed[1].1 else {
        panic!("auth: {:?}", report.failed);
    };
    assert!(
        failure.message.ends_with("API key not found"),
        "{failure:?}"
    );
    assert_eq!(failure.http_status, Some(403));
    // The list, then the first guess at a zone, since a key may be barred from listing alone.
    assert_eq!(account.requests.borrow().len(), 2);
}

#[test]
fn other_refusals_are_permanent_and_server_trouble_is_not() {
    for (answer, expected) in [
        (
            reply(400, &[], r#"{"error":["Invalid ttl"]}"#),
            ("permanent", "dns-made-easy.refused"),
        ),
        (
            reply(503, &[], "<html>"),
            ("retryable", "dns-made-easy.server-error"),
        ),
        (
            reply(302, &[("location", "https://evil.example/")], ""),
            ("permanent", "dns-made-easy.refused"),
        ),
    ] {
        let mut account = Account::with_zones(&["example.com"]);
        account.instead.insert(1, answer);
        let report = present(&account, 1, &[record("example.com", "value")]);
        assert_eq!(code(&report.failed[0].1), expected);
    }
    for body in ["not json", "[1]", "\"text\"", "7", "null", r#"{"data":{}}"#] {
        let mut account = Account::with_zones(&["example.com"]);
        account.instead.insert(0, reply(200, &[], body));
        let report = present(&account, 1, &[record("example.com", "value")]);
        assert_eq!(
            code(&report.failed[0].1),
            ("other", "dns-made-easy.unreadable-answer"),
            "{body}"
        );
    }
}

#[test]
fn with_no_time_left_nothing_is_begun() {
    let account = Account::with_zones(&["example.com"]);
    account.remaining_ms.set(4_000);
    let records = [record("example.com", "value")];
    let report = present(&account, 1, &records);
    assert_eq!(code(&report.failed[0].1), ("cancelled", ""));
    assert_eq!(account.requests.borrow().len(), 0);
}

#[test]
fn preflight_names_zones_and_changes_nothing() {
    let account = Account::with_zones(&["example.com"]);
    let answers = Provider::new(&account, "{}")
        .expect("settings")
        .preflight(vec![
            "_acme-challenge.www.example.com.".to_owned(),
            "_acme-challenge.example.net.".to_owned(),
        ])
        .expect("answers");
    assert_eq!(
        answers[0],
        ZoneAnswer {
            name: "_acme-challenge.www.example.com.".to_owned(),
            zone: Some("example.com".to_owned()),
            problem: None,
        }
    );
    assert_eq!(answers[1].zone, None);
    assert_eq!(
        answers[1].problem.as_ref().map(|problem| &*problem.code),
        Some("dns-made-easy.zone-not-found")
    );
    assert!(
        account
            .requests
            .borrow()
            .iter()
            .all(|request| request.starts_with("GET "))
    );
}

#[test]
fn validate_finds_what_is_wrong_with_settings_and_credentials() {
    let account = Account::with_zones(&["example.com"]);
    let check = |account: &Account, settings: &str, online: bool| {
        Provider::new(account, settings)
            .expect("settings")
            .validate(online)
            .expect("findings")
            .into_iter()
            .map(|finding| (finding.severity, finding.failure.code))
            .collect::<Vec<_>>()
    };
    assert_eq!(check(&account, "{}", false), []);
    assert_eq!(account.requests.borrow().len(), 0);
    assert_eq!(
        check(&account, r#"{"endpoint":"https://localhost:1/"}"#, false),
        [(Severity::Warning, failure("endpoint-version", "").code)]
    );
    assert_eq!(check(&account, "{}", true), []);
    let refused = Account {
        key_is_known: false,
        ..Account::with_zones(&[])
    };
    assert_eq!(
        check(&refused, "{}", true),
        [(Severity::Error, failure("unauthorized", "").code)]
    );
    assert_eq!(
        check(&Account::with_zones(&[]), "{}", true),
        [(Severity::Warning, failure("no-zones", "").code)]
    );
    let Err(PluginError::Config(_)) = Provider::new(&account, "[]").map(|_| ()) else {
        panic!("a list is no table of settings");
    };
}
