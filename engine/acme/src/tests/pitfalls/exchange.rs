//! Nonces, signatures, URLs, refusals.

use std::time::Duration;

use serde_json::json;
use waxwing_core::failure::FailureClass;
use waxwing_core::http::Method;

use super::{new_order, read_order};
use crate::ari;
use crate::challenge::AnswerChallenge;
use crate::directory::Directory;
use crate::error::AcmeErrorKind;
use crate::order::ReadOrder;
use crate::retry_after::RetryAfter;
use crate::session::{Credentials, Outcome, Prepared, Session};
use crate::tests::fixture::{
    KID, TestKey, answered, directory, opened, order_json, order_reply, problem, reply, requested,
    sent, session, user_agent,
};

fn nonce_of(session: &mut Session) -> String {
    let key = TestKey::new();
    let request = sent(session.prepare(
        &read_order(),
        &Credentials {
            signer: &key,
            kid: Some(KID),
        },
    ));
    opened(&request.body).header["nonce"]
        .as_str()
        .expect("a nonce")
        .to_owned()
}

#[test]
fn a_refused_nonce_is_resent_with_the_one_in_the_refusal() {
    let mut session = session();
    assert_eq!(nonce_of(&mut session), "n0");
    let refusal = problem(400, "badNonce", "stale");
    assert_eq!(
        session.receive(&read_order(), 1, &refusal),
        Ok(Outcome::Resend)
    );
    assert_eq!(nonce_of(&mut session), "n1");
}

#[test]
fn nonces_refused_twenty_times_in_a_row_are_an_error() {
    let mut session = session();
    let refusal = problem(400, "badNonce", "stale");
    for attempt in 1..Session::MAX_ATTEMPTS {
        assert_eq!(
            session.receive(&read_order(), attempt, &refusal),
            Ok(Outcome::Resend)
        );
    }
    let error = session.receive(&read_order(), Session::MAX_ATTEMPTS, &refusal);
    let error = error.expect_err("that was the last attempt");
    assert_eq!(error.kind, AcmeErrorKind::BadNonces { attempts: 20 });
    assert_eq!(error.class(), FailureClass::Transient);
}

#[test]
fn an_old_nonce_is_used_rather_than_a_new_one_fetched() {
    let mut session = session();
    let key = TestKey::new();
    let credentials = Credentials {
        signer: &key,
        kid: Some(KID),
    };
    let long_ago = order_reply(&order_json("pending", &["example.com"]));
    assert!(
        session
            .receive(&new_order(&["example.com"]), 1, &long_ago)
            .is_ok()
    );
    for _ in ["n1", "n0"] {
        let prepared = session.prepare(&read_order(), &credentials);
        assert!(matches!(prepared, Ok(Prepared::Send(_))), "{prepared:?}");
    }
    let prepared = session.prepare(&read_order(), &credentials);
    let Ok(Prepared::NonceFirst(request)) = prepared else {
        panic!("{prepared:?}")
    };
    assert_eq!(
        (request.method, request.url.as_str()),
        (Method::Head, "https://ca.example/new-nonce")
    );
}

#[test]
fn error_replies_feed_the_nonce_pool() {
    let mut session = session();
    let refused = session.receive(&read_order(), 1, &problem(403, "unauthorized", "no"));
    assert!(refused.is_err());
    assert_eq!(nonce_of(&mut session), "n1");
}

#[test]
fn reading_posts_an_empty_payload_and_answering_an_empty_object() {
    assert_eq!(opened(&requested(&read_order()).body).payload, b"");
    let answer = AnswerChallenge {
        url: "https://ca.example/challenge/1".to_owned(),
    };
    assert_eq!(opened(&requested(&answer).body).payload, b"{}");
}

#[test]
fn new_terms_of_service_call_for_a_person() {
    let body = json!({
        "type": "urn:ietf:params:acme:error:userActionRequired",
        "detail": "Terms of service have changed",
        "instance": "https://ca.example/acme/agreement?token=1",
    });
    let link = [(
        "link",
        r#"<https://ca.example/terms.pdf>;rel="terms-of-service""#,
    )];
    let error = answered(
        &new_order(&["example.com"]),
        &reply(403, &link, &body.to_string()),
    );
    let error = error.expect_err("a refusal");
    assert_eq!(error.class(), FailureClass::NeedsPerson);
    assert_eq!(
        error.terms_of_service.as_deref(),
        Some("https://ca.example/terms.pdf")
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("open https://ca.example/acme/agreement?token=1, do what it asks, then run again")
    );
}

#[test]
fn an_error_page_keeps_its_status_and_its_words() {
    let page = "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n\
                <center><h1>429 Too Many Requests</h1></center><hr><center>nginx</center></body>";
    let check = |status: u16, class: FailureClass| {
        let headers = [("content-type", "text/html"), ("retry-after", "30")];
        let error = answered(&new_order(&["example.com"]), &reply(status, &headers, page));
        let error = error.expect_err("a refusal");
        assert_eq!(error.kind, AcmeErrorKind::Refused);
        assert_eq!(error.status, Some(status));
        assert_eq!(error.problem, None);
        assert_eq!(
            error.retry_after,
            Some(RetryAfter::After(Duration::from_secs(30)))
        );
        let excerpt = "429 Too Many Requests 429 Too Many Requests nginx";
        assert_eq!(error.excerpt.as_deref(), Some(excerpt));
        assert_eq!(error.class(), class);
    };
    check(429, FailureClass::RateLimited);
    check(500, FailureClass::Transient);
    check(503, FailureClass::Transient);
    check(504, FailureClass::Transient);
}

#[test]
fn overload_is_told_by_type_as_well_as_by_status() {
    let mut busy = problem(503, "rateLimited", "Service busy; retry later.");
    busy.headers
        .push(("retry-after".to_owned(), "60".to_owned()));
    let error = answered(&new_order(&["example.com"]), &busy).expect_err("a refusal");
    assert_eq!(error.class(), FailureClass::RateLimited);
    assert_eq!(
        error.retry_after,
        Some(RetryAfter::After(Duration::from_secs(60)))
    );
}

#[test]
fn the_page_about_a_rate_limit_becomes_the_hint() {
    let mut limited = problem(429, "rateLimited", "too many certificates");
    let link = r#"<https://ca.example/docs/limits>;rel="help", <https://ca.example/d>;rel="index""#;
    limited.headers.push(("link".to_owned(), link.to_owned()));
    let error = answered(&new_order(&["example.com"]), &limited).expect_err("a refusal");
    assert_eq!(
        error.hint().as_deref(),
        Some("the CA explains it at https://ca.example/docs/limits")
    );
}

#[test]
fn every_refused_name_is_reported() {
    let body = json!({
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "Some of the identifiers requested were rejected",
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:malformed",
                "detail": "Invalid underscore in DNS name \"_a.example.org\"",
                "identifier": { "type": "dns", "value": "_a.example.org" },
            },
            {
                "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                "detail": "This CA will not issue for \"example.net\"",
                "identifier": { "type": "dns", "value": "example.net" },
            },
        ],
    });
    let error = answered(
        &new_order(&["example.com"]),
        &reply(403, &[], &body.to_string()),
    );
    assert_eq!(
        error.expect_err("a refusal").to_string(),
        "place the order: POST https://ca.example/new-order answered 403 after 120 ms: malformed: \
         Some of the identifiers requested were rejected; _a.example.org: malformed: Invalid \
         underscore in DNS name \"_a.example.org\"; example.net: rejectedIdentifier: This CA will \
         not issue for \"example.net\""
    );
}

#[test]
fn a_url_is_signed_and_requested_exactly_as_it_came() {
    for url in [
        "https://ca.example:443/acme//order/%7e1?x=a%2fb&y=",
        "HTTPS://CA.example/Order/1/../2",
        "https://ca.example",
    ] {
        let request = requested(&ReadOrder {
            url: url.to_owned(),
        });
        assert_eq!(request.url, url);
        assert_eq!(opened(&request.body).header["url"], url);
    }
}

#[test]
fn a_random_member_of_the_directory_changes_nothing() {
    let read = |random: &str| {
        let body = json!({
            random: "https://ca.example/why-there-is-a-random-member",
            "newNonce": "https://ca.example/new-nonce",
            "newAccount": "https://ca.example/new-account",
            "newOrder": "https://ca.example/new-order",
            "revokeCert": "https://ca.example/revoke",
            "keyChange": "https://ca.example/key-change",
            "renewalInfo": "https://ari.example/renewal-info",
            "meta": { "profiles": { "short": "a week" } },
        });
        Directory::read(&directory().url, &reply(200, &[], &body.to_string()))
    };
    assert_eq!(read("Zh3kq0"), Ok(directory()));
    assert_eq!(read("a9Fw_2"), Ok(directory()));
}

#[test]
fn every_request_says_who_asks() {
    let nonce_first = Session::new(directory(), user_agent());
    let nonce_first = {
        let (mut session, key) = (nonce_first, TestKey::new());
        session.prepare(
            &read_order(),
            &Credentials {
                signer: &key,
                kid: Some(KID),
            },
        )
    };
    let Ok(Prepared::NonceFirst(nonce)) = nonce_first else {
        panic!("{nonce_first:?}")
    };
    let requests = [
        nonce,
        requested(&read_order()),
        Directory::request("https://ca.example/directory", &user_agent()),
        ari::request("https://ari.example/renewal-info", "a.b", &user_agent()),
    ];
    for request in requests {
        let agent = request
            .headers
            .iter()
            .find(|(name, _)| name == "user-agent");
        let agent = agent.map(|(_, value)| value.as_str());
        assert_eq!(
            agent,
            Some("waxwing/0.1.0 (+https://waxwing.example) linux; x86_64")
        );
    }
}

#[test]
fn a_refused_directory_is_a_refusal_and_never_a_complaint_about_json() {
    let url = "https://ca.example/v2/directory";
    let refusal = problem(403, "unauthorized", "Invalid ACME server URL");
    let error = Directory::read(url, &refusal).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "read the directory: GET https://ca.example/v2/directory answered 403 after 120 ms: \
         unauthorized: Invalid ACME server URL"
    );
    assert_eq!(error.class(), FailureClass::Misconfigured);
    let page = reply(
        503,
        &[("retry-after", "120")],
        "<html><b>down</b> for repairs</html>",
    );
    let error = Directory::read(url, &page).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "read the directory: GET https://ca.example/v2/directory answered 503 after 120 ms: \
         \"down for repairs\""
    );
    assert_eq!(
        error.retry_after,
        Some(RetryAfter::After(Duration::from_secs(120)))
    );
}
