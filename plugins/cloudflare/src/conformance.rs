//! What a DNS plugin owes, and what this API does to those who forget.

use crate::bindings::exports::waxwing::plugin::dns_provider::{
    ChallengeRecord, Placed, PresentReport, Removal, ZoneAnswer,
};
use crate::bindings::waxwing::host::http::Response;
use crate::bindings::waxwing::plugin::types::{Attempt, PluginError, Severity};
use crate::double::{Account, zone_id};
use crate::provider::Provider;

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

fn provider<'h>(account: &'h Account, settings: &str) -> Provider<'h, Account> {
    Provider::new(account, settings).expect("settings")
}

fn present(account: &Account, number: u32, records: &[ChallengeRecord]) -> PresentReport {
    provider(account, "{}")
        .present(&try_number(number), records)
        .expect("a report")
}

fn cleanup(account: &Account, removals: &[Removal]) -> Vec<(String, PluginError)> {
    provider(account, "{}")
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

fn reply(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn fifty_names_cost_one_list_and_two_requests_each() {
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
            pair("_acme-challenge.example.com", "\"apex\""),
            pair("_acme-challenge.example.com", "\"wild\"")
        ]
    );
    let removals = removals(&records, &report);
    assert_eq!(cleanup(&account, &removals[..1]), []);
    assert_eq!(
        account.txt(),
        [pair("_acme-challenge.example.com", "\"wild\"")]
    );
}

#[test]
fn records_of_others_stay_in_every_way_of_cleaning_up() {
    let account = Account::with_zones(&["example.com"]);
    let zone = zone_id(0);
    account.put(&zone, "TXT", "_acme-challenge.example.com", "\"foreign\"");
    account.put(&zone, "TXT", "_acme-challenge.www.example.com", "\"ours\"");
    account.put(&zone, "TXT", "example.com", "\"ours\"");
    let before = account.records.borrow().clone();
    let records = [record("example.com", "ours")];
    let report = present(&account, 1, &records);
    assert_eq!(cleanup(&account, &removals(&records, &report)), []);
    assert_eq!(*account.records.borrow(), before);
    present(&account, 1, &records);
    for _ in 0..2 {
        assert_eq!(cleanup(&account, &[without_receipt(&records[0])]), []);
        assert_eq!(*account.records.borrow(), before);
    }
}

#[test]
fn what_no_zone_can_hold_is_gone_already() {
    let account = Account::with_zones(&["example.com"]);
    let never_made = record("example.org", "ours");
    assert_eq!(cleanup(&account, &[without_receipt(&never_made)]), []);
}

#[test]
fn a_record_is_found_on_a_later_page_and_without_quotes() {
    let account = Account::with_zones(&["example.com"]);
    for number in 0..150 {
        let content = format!("\"foreign-{number}\"");
        account.put(&zone_id(0), "TXT", "_acme-challenge.example.com", &content);
    }
    account.put(&zone_id(0), "TXT", "_acme-challenge.example.com", "ours");
    assert_eq!(
        cleanup(&account, &[without_receipt(&record("example.com", "ours"))]),
        []
    );
    assert_eq!(account.txt().len(), 150);
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
    let zone = zone_id(0);
    let id = account.put(&zone, "TXT", "_acme-challenge.example.com", "value");
    let records = [record("example.com", "value")];
    assert_eq!(
        present(&account, 1, &records).placed,
        [Placed {
            key: records[0].key.clone(),
            receipt: format!("{zone}/{id}"),
            created: false,
        }]
    );
}

#[test]
fn a_name_that_a_cname_occupies_fails_in_the_words_of_the_api() {
    let account = Account::with_zones(&["example.com"]);
    account.put(
        &zone_id(0),
        "CNAME",
        "_acme-challenge.example.com",
        "elsewhere.example",
    );
    let report = present(&account, 1, &[record("example.com", "value")]);
    let PluginError::Permanent(failure) = &report.failed[0].1 else {
        panic!("permanent: {:?}", report.failed);
    };
    assert_eq!(
        failure.message,
        "failed to create the TXT record _acme-challenge.example.com: Record already exists. (81057)"
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
        ("retryable", "cloudflare.timeout")
    );
    assert_eq!(account.txt().len(), 1);
    assert_eq!(cleanup(&account, &[without_receipt(&records[0])]), []);
    assert_eq!(account.txt(), []);
}

#[test]
fn removing_what_is_gone_succeeds() {
    let account = Account::with_zones(&["example.com"]);
    let gone = format!("{}/{:032x}", zone_id(0), 77);
    for receipt in [
        None,
        Some(&*gone),
        Some("nozone/77"),
        Some("../../x"),
        Some(""),
    ] {
        let removal = Removal {
            receipt: receipt.map(str::to_owned),
            ..without_receipt(&record("example.com", "value"))
        };
        assert_eq!(cleanup(&account, &[removal]), [], "{receipt:?}");
    }
    // Nobody can tell whether it is gone from a zone that the token does not reach.
    let removal = Removal {
        receipt: Some(format!("{}/{:032x}", zone_id(9), 77)),
        ..without_receipt(&record("example.com", "value"))
    };
    let failed = cleanup(&account, &[removal]);
    assert_eq!(code(&failed[0].1), ("auth", "cloudflare.unauthorized"));
}

#[test]
fn the_longest_zone_takes_a_name_whether_listed_or_looked_up() {
    for others in [0, 60] {
        let mut names = vec!["example.com".to_owned(), "sub.example.com".to_owned()];
        names.extend((0..others).map(|number| format!("other{number}.example")));
        let account = Account::with_zones(&names);
        let report = present(&account, 1, &[record("www.sub.example.com", "value")]);
        assert_eq!(report.failed, []);
        assert_eq!(account.records.borrow()[0].zone, zone_id(1));
    }
}

#[test]
fn zones_that_do_not_fit_on_a_page_are_looked_up_once_with_the_help_of_the_dns() {
    let mut names = vec!["example.com".to_owned()];
    names.extend((0..60).map(|number| format!("other{number}.example")));
    let account = Account::with_zones(&names);
    let records: Vec<_> = (0..20)
        .map(|number| ChallengeRecord {
            zone_hint: Some("example.com.".to_owned()),
            ..record(&format!("host{number}.example.com"), "value")
        })
        .collect();
    for half in records.chunks(10) {
        assert_eq!(present(&account, 1, half).failed, []);
    }
    assert_eq!(account.requests.borrow().len(), 2 + 20);
}

#[test]
fn a_zone_that_came_later_is_found_in_spite_of_the_remembered_list() {
    let mut account = Account::with_zones(&["example.com"]);
    present(&account, 1, &[record("example.com", "value")]);
    account.zones.push((zone_id(5), "example.org".to_owned()));
    let report = present(&account, 1, &[record("example.org", "value")]);
    assert_eq!(report.failed, []);
}

#[test]
fn with_a_zone_id_no_zone_is_looked_up() {
    let account = Account {
        may_read_zones: false,
        ..Account::with_zones(&["example.com"])
    };
    let settings = format!(r#"{{"zone-id":"{}"}}"#, zone_id(0));
    let report = provider(&account, &settings)
        .present(&try_number(1), &[record("example.com", "value")])
        .expect("a report");
    assert_eq!(report.failed, []);
    assert_eq!(account.requests.borrow().len(), 1);

    let settings = format!(r#"{{"zone-id":"{}"}}"#, zone_id(9));
    let report = provider(&account, &settings)
        .present(&try_number(1), &[record("example.com", "value")])
        .expect("a report");
    assert_eq!(
        code(&report.failed[0].1),
        ("auth", "cloudflare.unauthorized")
    );

    let report = provider(&account, r#"{"zone-id":"a0"}"#)
        .present(&try_number(1), &[record("example.com", "value")])
        .expect("a report");
    assert_eq!(
        code(&report.failed[0].1),
        ("config", "cloudflare.not-found")
    );
}

#[test]
fn a_token_that_may_not_list_zones_finds_its_own_by_name() {
    let hinted = |name: &str, zone: &str| ChallengeRecord {
        zone_hint: Some(format!("{zone}.")),
        ..record(name, "value")
    };
    for (records, lookups) in [
        // The name server knows the zone.
        (
            vec![
                hinted("a.example.com", "example.com"),
                hinted("b.example.com", "example.com"),
            ],
            1,
        ),
        // It does not: `_acme-challenge.example.com` and `example.com`.
        (vec![record("example.com", "value")], 2),
    ] {
        let account = Account {
            may_list_zones: false,
            ..Account::with_zones(&["example.com"])
        };
        assert_eq!(present(&account, 1, &records).failed, []);
        let asked = account.requests.borrow().len();
        assert_eq!(asked, 1 + lookups + records.len());
    }
    let account = Account {
        may_list_zones: false,
        ..Account::with_zones(&["example.com"])
    };
    let report = present(&account, 1, &[record("example.org", "value")]);
    let PluginError::Auth(failure) = &report.failed[0].1 else {
        panic!("auth: {:?}", report.failed);
    };
    assert!(failure.message.contains("zone.list"), "{failure:?}");
}

#[test]
fn a_token_that_may_not_edit_one_zone_still_serves_the_others() {
    let account = Account {
        read_only: vec![zone_id(0)],
        ..Account::with_zones(&["example.com", "example.org"])
    };
    let report = present(
        &account,
        1,
        &[
            record("example.com", "value"),
            record("example.org", "value"),
        ],
    );
    assert_eq!(report.placed.len(), 1);
    let PluginError::Auth(failure) = &report.failed[0].1 else {
        panic!("auth: {:?}", report.failed);
    };
    assert!(
        failure.message.ends_with("Authentication error (10000)"),
        "{failure:?}"
    );
}

#[test]
fn a_bad_token_costs_two_requests_for_a_batch() {
    let account = Account {
        token_is_good: false,
        ..Account::with_zones(&["example.com"])
    };
    let records = ["one", "two"].map(|value| ChallengeRecord {
        zone_hint: Some("example.com.".to_owned()),
        ..record("example.com", value)
    });
    let report = present(&account, 1, &records);
    assert_eq!(
        code(&report.failed[1].1),
        ("auth", "cloudflare.unauthorized")
    );
    // The list, then its one zone by name, since a token may be barred from listing alone.
    assert_eq!(account.requests.borrow().len(), 2);
}

#[test]
fn too_many_requests_pause_the_account_for_as_long_as_it_says() {
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
        assert_eq!((retry.after_ms, retry.account_wide), (Some(42_000), true));
    }
    assert_eq!(account.requests.borrow().len(), 3);
}

#[test]
fn other_refusals_are_permanent_and_server_trouble_is_not() {
    for (answer, expected) in [
        (
            reply(
                400,
                r#"{"success":false,"errors":[{"code":9005,"message":"Content is invalid"}]}"#,
            ),
            ("permanent", "cloudflare.refused"),
        ),
        (
            reply(502, "<html>"),
            ("retryable", "cloudflare.server-error"),
        ),
        (
            reply(200, "not json"),
            ("other", "cloudflare.unreadable-answer"),
        ),
        (reply(302, ""), ("permanent", "cloudflare.refused")),
    ] {
        let mut account = Account::with_zones(&["example.com"]);
        account.instead.insert(1, answer);
        let report = present(&account, 1, &[record("example.com", "value")]);
        assert_eq!(code(&report.failed[0].1), expected);
    }
}

#[test]
fn answers_of_any_shape_are_errors_and_no_crash() {
    for body in [
        "[1]",
        "\"text\"",
        "7",
        "null",
        r#"{"success":true}"#,
        r#"{"success":true,"result":7}"#,
        r#"{"success":false,"errors":7}"#,
        r#"{"success":false,"errors":[7,{"error_chain":{}}]}"#,
    ] {
        let mut account = Account::with_zones(&["example.com"]);
        account.instead.insert(0, reply(200, body));
        let report = present(&account, 1, &[record("example.com", "value")]);
        assert_eq!(report.failed.len(), 1, "{body}");
    }
}

#[test]
fn with_no_time_left_nothing_is_begun() {
    let account = Account::with_zones(&["example.com"]);
    account.remaining_ms.set(4_000);
    let report = present(&account, 1, &[record("example.com", "value")]);
    assert_eq!(code(&report.failed[0].1), ("cancelled", ""));
    assert_eq!(account.requests.borrow().len(), 0);
}

#[test]
fn preflight_names_zones_and_changes_nothing() {
    let name = "_acme-challenge.www.example.com.";
    let answer = |zone: Option<&str>, problem: Option<&str>| {
        (
            zone.map(str::to_owned),
            problem.map(|code| format!("cloudflare.{code}")),
        )
    };
    let known = Account::with_zones(&["example.com"]);
    let blind = Account {
        may_read_zones: false,
        ..Account::with_zones(&["example.com"])
    };
    let fixed = format!(r#"{{"zone-id":"{}"}}"#, zone_id(0));
    for (account, settings, name, expected) in [
        (&known, "{}", name, answer(Some("example.com"), None)),
        (
            &known,
            "{}",
            "x.example.net.",
            answer(None, Some("zone-not-found")),
        ),
        (&known, &*fixed, name, answer(Some("example.com"), None)),
        (
            &known,
            &*fixed,
            "x.example.net.",
            answer(None, Some("outside-zone")),
        ),
        (&blind, &*fixed, name, answer(None, None)),
    ] {
        let ZoneAnswer { zone, problem, .. } = provider(account, settings)
            .preflight(vec![name.to_owned()])
            .expect("answers")
            .remove(0);
        assert_eq!((zone, problem.map(|failure| failure.code)), expected);
        let requests = account.requests.borrow();
        assert!(requests.iter().all(|request| request.starts_with("GET ")));
    }
}

#[test]
fn validate_finds_what_is_wrong_with_settings_and_token() {
    let check = |account: &Account, settings: &str, online: bool| {
        provider(account, settings)
            .validate(online)
            .expect("findings")
            .into_iter()
            .map(|finding| (finding.severity, finding.failure.code))
            .collect::<Vec<_>>()
    };
    let finding = |severity, code: &str| (severity, format!("cloudflare.{code}"));
    let account = Account::with_zones(&["example.com"]);
    assert_eq!(
        check(&account, r#"{"ttl":30}"#, false),
        [finding(Severity::Warning, "ttl")]
    );
    assert_eq!(check(&account, r#"{"ttl":1}"#, false), []);
    assert_eq!(account.requests.borrow().len(), 0);
    assert_eq!(check(&account, "{}", true), []);
    let none: [&str; 0] = [];
    assert_eq!(
        check(&Account::with_zones(&none), "{}", true),
        [finding(Severity::Warning, "no-zones")]
    );
    let bad = Account {
        token_is_good: false,
        ..Account::with_zones(&none)
    };
    assert_eq!(
        check(&bad, "{}", true),
        [finding(Severity::Error, "unauthorized")]
    );
    let elsewhere = format!(r#"{{"zone-id":"{}"}}"#, zone_id(9));
    assert_eq!(
        check(&account, &elsewhere, true),
        [finding(Severity::Error, "unauthorized")]
    );
    assert_eq!(
        check(&account, r#"{"zone-id":"a0"}"#, true),
        [finding(Severity::Error, "not-found")]
    );
    let Err(PluginError::Config(setting)) =
        Provider::new(&account, r#"{"zone-id":"../x"}"#).map(|_| ())
    else {
        panic!("an id cannot hold a path");
    };
    assert_eq!(setting.pointer, "/zone-id");
}
