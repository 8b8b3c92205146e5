//! Accounts, orders, authorizations, certificates.

use std::time::Duration;

use serde_json::json;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{DomainName, Identifier};
use waxwing_core::secret::Secret;
use waxwing_core::time::Timestamp;

use super::{finalize, new_order, read_authorization, read_order, register};
use crate::account::{ExternalAccount, NewAccount};
use crate::authorization::{AuthorizationStatus, DeactivateAuthorization};
use crate::certificate::DownloadCertificate;
use crate::challenge::{AnswerChallenge, ChallengeKind, ChallengeStatus};
use crate::error::AcmeErrorKind;
use crate::jws::{self, Signer};
use crate::order::{NewOrder, OrderStatus, ReadOrder};
use crate::problem::ProblemKind;
use crate::retry_after::RetryAfter;
use crate::tests::fixture::{
    KID, ORDER_URL, TestKey, answered, directory, opened, order_json, order_reply, problem, reply,
    requested,
};

#[test]
fn a_wildcard_authorization_is_told_from_that_of_its_domain() {
    let check = |wildcard: Option<bool>, value: &str, want: &str| {
        let mut body = json!({
            "identifier": { "type": "dns", "value": value },
            "status": "pending",
            "challenges": [],
        });
        if let Some(wildcard) = wildcard {
            body["wildcard"] = json!(wildcard);
        }
        let read = answered(&read_authorization(), &reply(200, &[], &body.to_string()));
        assert_eq!(read.expect("an authorization").covers().to_wire(), want);
    };
    check(Some(true), "example.com", "*.example.com");
    check(Some(false), "example.com", "example.com");
    check(None, "example.com", "example.com");
    check(None, "*.example.com", "*.example.com");
}

#[test]
fn apex_and_wildcard_have_two_values_at_one_name() {
    let key = TestKey::new().jwk();
    let (apex, wildcard) = (
        Identifier::parse("example.com"),
        Identifier::parse("*.example.com"),
    );
    let name = |identifier: Result<Identifier, _>| {
        identifier
            .expect("a literal name")
            .domain
            .challenge_name()
            .to_string()
    };
    assert_eq!(name(apex), "_acme-challenge.example.com");
    assert_eq!(name(wildcard), "_acme-challenge.example.com");
    assert_ne!(
        jws::dns01_value("token-of-apex", &key),
        jws::dns01_value("token-of-star", &key)
    );
}

#[test]
fn an_order_can_be_taken_up_in_any_state() {
    let check = |text: &str, want: OrderStatus| {
        let body = order_json(text, &["example.com"]).to_string();
        let state = answered(&read_order(), &reply(200, &[], &body)).expect("an order");
        assert_eq!(state.order.status, want);
    };
    check("pending", OrderStatus::Pending);
    check("ready", OrderStatus::Ready);
    check("processing", OrderStatus::Processing);
    check("valid", OrderStatus::Valid);
    check("invalid", OrderStatus::Invalid);
}

#[test]
fn an_invalid_order_need_not_say_why() {
    for error in [json!(null), json!({})] {
        let mut body = order_json("invalid", &["example.com"]);
        body["error"] = error;
        let state = answered(&read_order(), &reply(200, &[], &body.to_string())).expect("an order");
        assert_eq!(
            (state.order.status, state.order.error),
            (OrderStatus::Invalid, None)
        );
    }
}

#[test]
fn an_invalid_challenge_need_not_say_why() {
    let body = json!({
        "identifier": { "type": "dns", "value": "example.com" },
        "status": "invalid",
        "challenges": [{
            "type": "dns-01", "url": "https://ca.example/challenge/1", "status": "invalid",
            "token": "abc", "error": {},
        }],
    });
    let read = answered(&read_authorization(), &reply(200, &[], &body.to_string()));
    let read = read.expect("an authorization");
    assert_eq!(
        (read.status, read.error()),
        (AuthorizationStatus::Invalid, None)
    );
}

#[test]
fn an_order_that_is_not_ready_is_worth_another_look() {
    let error =
        answered(&finalize(), &problem(403, "orderNotReady", "wait")).expect_err("a refusal");
    assert!(error.is(&ProblemKind::OrderNotReady));
    assert_eq!(error.class(), FailureClass::Transient);
}

#[test]
fn finalize_may_answer_processing_and_say_when_to_ask() {
    let body = order_json("processing", &["example.com"]).to_string();
    let state = answered(&finalize(), &reply(200, &[("retry-after", "3")], &body));
    let state = state.expect("an order");
    assert_eq!(state.order.status, OrderStatus::Processing);
    assert_eq!(
        state.retry_after,
        Some(RetryAfter::After(Duration::from_secs(3)))
    );
}

#[test]
fn only_the_reply_to_new_order_must_say_where_the_order_is() {
    let body = order_json("pending", &["example.com"]).to_string();
    let error = answered(&new_order(&["example.com"]), &reply(201, &[], &body));
    let error = error.expect_err("no location");
    assert_eq!(
        error.kind,
        AcmeErrorKind::MissingHeader { name: "location" }
    );
    assert!(answered(&read_order(), &reply(200, &[], &body)).is_ok());
    assert!(answered(&finalize(), &reply(200, &[], &body)).is_ok());
}

#[test]
fn an_order_is_found_again_by_its_url_alone() {
    let reply = answered(
        &new_order(&["example.com"]),
        &order_reply(&order_json("pending", &["example.com"])),
    );
    let url = reply.expect("an order").url;
    assert_eq!(url, ORDER_URL);
    assert_eq!(requested(&ReadOrder { url }).url, ORDER_URL);
}

#[test]
fn a_known_key_gets_its_account_back() {
    let headers = [("location", KID)];
    let check = |status: u16, created: bool| {
        let account = answered(
            &register(),
            &reply(status, &headers, r#"{"status":"valid"}"#),
        );
        let account = account.expect("an account");
        assert_eq!((account.kid.as_str(), account.created), (KID, created));
    };
    check(201, true);
    check(200, false);
}

#[test]
fn an_external_binding_signs_the_account_key_for_new_account() {
    let hmac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let external = ExternalAccount::from_base64("kid-1", &Secret::new(hmac_key.to_owned()));
    let call = NewAccount {
        external: external.ok(),
        ..register()
    };
    let outer = opened(&requested(&call).body);
    assert_eq!(outer.header.get("kid"), None);
    assert_eq!(outer.header["jwk"]["kty"], "EC");
    let inner = outer.payload_json()["externalAccountBinding"].to_string();
    let inner = opened(inner.as_bytes());
    assert_eq!(
        inner.header,
        json!({ "alg": "HS256", "kid": "kid-1", "url": directory().new_account })
    );
    assert_eq!(inner.payload_json(), outer.header["jwk"]);
    // Computed with an independent implementation over the same header, key and account key.
    assert_eq!(
        jws::base64url(&inner.signature),
        "YujFtUUCIxVOtvMmJAy5gt-pF4XIKM8rrDxRWcYY7Qo"
    );
}

#[test]
fn an_end_of_validity_is_sent_only_when_asked_for() {
    let mut call = new_order(&["example.com"]);
    let payload = |call: &NewOrder| opened(&requested(call).body).payload_json();
    let bare = json!({ "identifiers": [{ "type": "dns", "value": "example.com" }] });
    assert_eq!(payload(&call), bare);
    call.not_after = Some(Timestamp::from_unix(1_795_000_000));
    assert_eq!(payload(&call)["notAfter"], "2026-11-18T11:06:40Z");
    assert_eq!(payload(&call).get("notBefore"), None);
}

#[test]
fn alternate_chains_are_told_and_not_fetched() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let headers = [
        ("link", r#"<https://ca.example/directory>;rel="index""#),
        ("link", r#"<https://ca.example/cert/1/1>;rel="alternate""#),
        (
            "link",
            r#"<https://ca.example/cert/1/2>; title="a, b"; rel=alternate, <http://x>;rel="alternate""#,
        ),
    ];
    let call = DownloadCertificate {
        url: "https://ca.example/cert/1".to_owned(),
    };
    let certificate = answered(&call, &reply(200, &headers, pem)).expect("a certificate");
    assert_eq!(certificate.pem, pem);
    assert_eq!(
        certificate.alternates,
        ["https://ca.example/cert/1/1", "https://ca.example/cert/1/2"]
    );
}

#[test]
fn an_order_for_other_names_than_asked_is_refused() {
    let check = |answer: &[&str], want: Result<(), AcmeErrorKind>| {
        let call = new_order(&["example.com", "*.example.com"]);
        let read = answered(&call, &order_reply(&order_json("pending", answer)));
        assert_eq!(
            read.map(|_| ()).map_err(|error| error.kind.clone()),
            want,
            "{answer:?}"
        );
    };
    let changed = |missing: &[&str], added: &[&str]| {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Err(AcmeErrorKind::IdentifiersChanged {
            missing: names(missing),
            added: names(added),
        })
    };
    check(&["*.EXAMPLE.com", "example.com"], Ok(()));
    check(&["example.com"], changed(&["*.example.com"], &[]));
    check(
        &["example.com", "*.example.com", "www.example.com"],
        changed(&[], &["www.example.com"]),
    );
}

#[test]
fn a_csr_goes_out_as_it_is() {
    assert_eq!(
        opened(&requested(&finalize()).body).payload_json(),
        json!({ "csr": "MIL_APs" })
    );
}

#[test]
fn a_challenge_may_stay_processing_for_a_day() {
    let body = json!({
        "type": "dns-01", "url": "https://ca.example/challenge/1", "status": "processing",
        "token": "abc",
    });
    let call = AnswerChallenge {
        url: "https://ca.example/challenge/1".to_owned(),
    };
    let answer = answered(
        &call,
        &reply(200, &[("retry-after", "86400")], &body.to_string()),
    );
    let answer = answer.expect("a challenge");
    assert_eq!(answer.challenge.status, ChallengeStatus::Processing);
    assert_eq!(
        answer.retry_after,
        Some(RetryAfter::After(Duration::from_secs(86_400)))
    );
}

#[test]
fn an_authorization_that_is_abandoned_can_be_deactivated() {
    let call = DeactivateAuthorization {
        url: "https://ca.example/authz/1".to_owned(),
    };
    let payload = opened(&requested(&call).body).payload_json();
    assert_eq!(payload, json!({ "status": "deactivated" }));
    let body = json!({
        "identifier": { "type": "dns", "value": "example.com" },
        "status": "deactivated",
    });
    let read = answered(&call, &reply(200, &[], &body.to_string())).expect("an authorization");
    assert_eq!(read.status, AuthorizationStatus::Deactivated);
}

#[test]
fn a_challenge_without_a_token_or_of_an_unknown_type_does_not_hide_the_others() {
    let body = json!({
        "identifier": { "type": "dns", "value": "example.com" },
        "status": "pending",
        "challenges": [
            { "type": "dns-persist-01", "url": "https://ca.example/challenge/1",
              "status": "pending", "issuer-domain-names": ["ca.example"] },
            { "type": "smoke-signal-07", "hills": 3 },
            { "type": "smoke-signal-08", "url": "https://ca.example/challenge/3",
              "status": "pending", "token": "white puff" },
            { "type": "dns-01", "url": "https://ca.example/challenge/4", "status": "pending",
              "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA" },
        ],
    });
    let read = answered(&read_authorization(), &reply(200, &[], &body.to_string()));
    let read = read.expect("an authorization");
    assert_eq!(
        read.identifier,
        DomainName::parse("example.com").expect("a literal name")
    );
    let kinds: Vec<&str> = read.challenges.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(kinds, ["dns-persist-01", "smoke-signal-08", "dns-01"]);
    assert_eq!(
        read.challenge(&ChallengeKind::DnsPersist01)
            .map(|c| c.token.clone()),
        Some(None)
    );
    assert_eq!(
        read.challenge(&ChallengeKind::Dns01)
            .and_then(|c| c.token.as_deref()),
        Some("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
    );
}

#[test]
fn a_refused_predecessor_is_told_by_its_type() {
    let refusal = problem(409, "alreadyReplaced", "there is a successor");
    let error = answered(&new_order(&["example.com"]), &refusal).expect_err("a refusal");
    assert!(error.is(&ProblemKind::AlreadyReplaced));
    assert_eq!(error.class(), FailureClass::Rejected);
}

#[test]
fn a_predecessor_need_not_be_repeated_by_the_ca() {
    let mut call = new_order(&["example.com"]);
    call.replaces = Some("a.b".to_owned());
    assert_eq!(
        opened(&requested(&call).body).payload_json()["replaces"],
        "a.b"
    );
    let read = answered(
        &call,
        &order_reply(&order_json("pending", &["example.com"])),
    );
    assert_eq!(read.expect("an order").order.replaces, None);
}
