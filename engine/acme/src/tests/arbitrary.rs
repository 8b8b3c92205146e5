//! Whatever a CA, or something in its place, answers: no panic, and nothing in an error that does
//! harm on a terminal.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use waxwing_core::ca::EabObtain;
use waxwing_core::http::Response;
use waxwing_core::name::Identifier;

use super::fixture::{self, KID, TestKey, order_json, reply, session};
use crate::account::{DeactivateAccount, KeyChange, NewAccount, UpdateContact};
use crate::ari;
use crate::authorization::{DeactivateAuthorization, ReadAuthorization};
use crate::certificate::{DownloadCertificate, Revoke};
use crate::challenge::AnswerChallenge;
use crate::directory::Directory;
use crate::eab;
use crate::order::{Finalize, NewOrder, ReadOrder};
use crate::session::Call;

/// Hands the response to every function that reads one.
fn read_by_all(response: &Response) {
    let url = || "https://ca.example/thing/1".to_owned();
    let key = TestKey::new();
    let identifiers = vec![Identifier::parse("example.com").expect("a literal name")];
    read_by(
        &NewAccount {
            contact: vec![],
            terms_agreed: true,
            external: None,
            only_existing: false,
        },
        response,
    );
    read_by(
        &UpdateContact {
            account: url(),
            contact: vec![],
        },
        response,
    );
    read_by(&DeactivateAccount { account: url() }, response);
    read_by(
        &KeyChange {
            account: KID,
            new_signer: &key,
        },
        response,
    );
    let new_order = NewOrder {
        identifiers,
        profile: None,
        replaces: None,
        not_after: None,
    };
    read_by(&new_order, response);
    read_by(&ReadOrder { url: url() }, response);
    read_by(
        &Finalize {
            url: url(),
            csr_der: vec![],
        },
        response,
    );
    read_by(&ReadAuthorization { url: url() }, response);
    read_by(&DeactivateAuthorization { url: url() }, response);
    read_by(&AnswerChallenge { url: url() }, response);
    read_by(&DownloadCertificate { url: url() }, response);
    read_by(
        &Revoke {
            certificate_der: vec![],
            reason: None,
        },
        response,
    );
    harmless(
        &session()
            .take_nonce_from(response)
            .map_err(|e| (e.to_string(), e.hint())),
    );
    harmless(&Directory::read(&url(), response).map_err(|e| (e.to_string(), e.hint())));
    harmless(&ari::read(&url(), response).map_err(|e| (e.to_string(), e.hint())));
    harmless(&eab::read(&obtain(), response).map_err(|e| (e.to_string(), e.hint())));
}

fn read_by<C: Call<Reply: Debug>>(call: &C, response: &Response) {
    let outcome = session().receive(call, 1, response);
    if let Err(error) = &outcome {
        assert!(
            error
                .excerpt
                .as_ref()
                .is_none_or(|text| text.chars().count() <= 300)
        );
    }
    harmless(&outcome.map_err(|e| (e.to_string(), e.hint())));
}

fn harmless<T>(outcome: &Result<T, (String, Option<String>)>) {
    if let Err((text, hint)) = outcome {
        for line in [text.as_str(), hint.as_deref().unwrap_or_default()] {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

fn obtain() -> EabObtain {
    EabObtain {
        url: "https://api.example/eab".to_owned(),
        method: "POST".to_owned(),
        in_query: true,
        fields: vec![],
        email: None,
        api_key: None,
        success: Some("/success".to_owned()),
        kid: "/kid".to_owned(),
        hmac_key: "/hmac".to_owned(),
        error: Some("/error/type".to_owned()),
    }
}

/// A good answer of each kind, to be damaged.
fn good_answers() -> Vec<Value> {
    let challenge = json!({
        "type": "dns-01", "url": "https://ca.example/challenge/1", "status": "pending",
        "token": "abc", "error": { "type": "urn:ietf:params:acme:error:dns", "detail": "d" },
    });
    vec![
        json!({ "newNonce": "https://a/", "newAccount": "https://a/", "newOrder": "https://a/",
                "renewalInfo": "https://a/", "meta": { "profiles": { "a": "b" } } }),
        order_json("pending", &["example.com"]),
        json!({ "identifier": { "type": "dns", "value": "example.com" }, "status": "valid",
                "wildcard": true, "challenges": [challenge.clone()] }),
        challenge,
        json!({ "status": "valid", "contact": ["mailto:a@example.com"] }),
        json!({ "type": "urn:ietf:params:acme:error:compound", "detail": "d", "status": 400,
                "subproblems": [{ "type": "x", "identifier": { "value": "example.com" } }] }),
        json!({ "suggestedWindow": { "start": "2026-01-01T00:00:00Z",
                "end": "2026-01-02T00:00:00Z" }, "explanationURL": "https://a/" }),
        json!({ "success": 1, "kid": "k", "hmac": "AAAA", "error": { "type": "t" } }),
    ]
}

fn bad_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("é"),
        json!("\u{1b}[31mred\u{202e}\n"),
        json!("http://ca.example/"),
        json!([]),
        json!({}),
        json!([{}, null, "https://ca.example/", "\u{1b}"]),
    ]
}

/// The JSON pointers of all values in a value, its own among them.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, &format!("{here}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["location", "link", "retry-after", "replay-nonce"]);
    let value = prop_oneof![
        ".{0,40}",
        Just("https://ca.example/order/1".to_owned()),
        Just(r#"<https://ca.example/a>;rel="alternate help""#.to_owned()),
        Just("<é>;rel=\"\\".to_owned()),
        Just("Tue, 24 Nov 2026 00:00:00 GMT".to_owned()),
        Just("99999999999999999999999".to_owned()),
    ];
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..4)
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(<[a-z]{0,6}[^>]{0,3}>?|</|[ -~é\u{7}]){0,40}".prop_map(String::into_bytes),
        "(-----BEGIN CERTIFICATE-----|-----BEGIN|\r?\n|[A-Za-z]){0,20}"
            .prop_map(String::into_bytes),
    ]
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(200),
        Just(201),
        Just(400),
        Just(403),
        Just(429),
        Just(503),
        any::<u16>()
    ]
}

proptest! {
    #![proptest_config(fixture::same_cases_every_time())]

    #[test]
    fn no_answer_makes_any_reader_panic(
        status in statuses(),
        headers in headers(),
        body in bodies(),
    ) {
        read_by_all(&Response { status, headers, body, elapsed: Duration::from_millis(1) });
    }
}

#[test]
fn any_value_of_any_answer_may_be_wrong() {
    for good in good_answers() {
        let mut places = Vec::new();
        pointers(&good, "", &mut places);
        for place in places {
            for bad in bad_values() {
                for status in [200, 403] {
                    let mut answer = good.clone();
                    *answer
                        .pointer_mut(&place)
                        .expect("the place was just found") = bad.clone();
                    let location = [("location", "https://ca.example/order/1")];
                    read_by_all(&reply(status, &location, &answer.to_string()));
                }
            }
        }
    }
}
