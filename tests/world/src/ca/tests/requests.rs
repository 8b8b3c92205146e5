//! Signed requests, nonces and faults (RFC 8555 section 6).

use super::*;

#[tokio::test]
async fn what_a_signed_request_gets_wrong_is_told_by_its_type() {
    let mut client = Bench::registered(Options::default()).await;
    let (account, other) = (client.kid.clone().expect("an account"), key());
    let url = client.url("newOrder");
    let good = names(&["example.com"]);
    let kid = json!(account);
    // What is changed in the header, and what the CA says to it.
    let table: Vec<(&str, Value, u16, &str)> = vec![
        ("alg", json!("RS256"), 400, "badSignatureAlgorithm"),
        ("alg", json!("HS256"), 400, "badSignatureAlgorithm"),
        ("alg", json!("none"), 400, "badSignatureAlgorithm"),
        ("nonce", json!("AAAA"), 400, "badNonce"),
        ("nonce", Value::Null, 400, "badNonce"),
        ("url", json!(client.url("newAccount")), 400, "malformed"),
        ("url", Value::Null, 400, "malformed"),
        (
            "kid",
            json!(format!("{account}x")),
            400,
            "accountDoesNotExist",
        ),
        (
            "kid",
            json!("https://elsewhere/acme/account/1"),
            400,
            "malformed",
        ),
        ("kid", Value::Null, 400, "malformed"),
        ("jwk", jwk(&client.key), 400, "malformed"),
        ("crit", json!(["exp"]), 400, "malformed"),
    ];
    for (field, value, status, kind) in table {
        let mut header = client.header(&url).await;
        header[field] = value.clone();
        if value.is_null() {
            header.as_object_mut().expect("an object").remove(field);
        }
        let jws = sign(&client.key, &header, &good);
        let answer = client.send(&url, &jws).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (status, kind),
            "{field} {value}"
        );
        assert!(!answer.header("replay-nonce").is_empty(), "{field} {value}");
        assert!(
            answer.header("link").ends_with(";rel=\"index\""),
            "{field} {value}"
        );
    }
    let header = client.header(&url).await;
    let jws = sign(&other, &header, &good);
    assert_eq!(
        client.send(&url, &jws).await.kind(),
        "malformed",
        "signed by another key"
    );
    let header = client.header(&url).await;
    let mut cut = sign(&client.key, &header, &good);
    cut["payload"] = json!(URL_SAFE_NO_PAD.encode("{}"));
    assert_eq!(
        client.send(&url, &cut).await.kind(),
        "malformed",
        "payload changed"
    );
    assert_eq!(kid, json!(client.kid));
    assert_eq!(client.ca.orders(), []);
}

#[tokio::test]
async fn a_nonce_is_good_once() {
    let mut client = Bench::registered(Options::default()).await;
    let url = client.kid.clone().expect("an account");
    let header = client.header(&url).await;
    let jws = sign(&client.key, &header, "");
    assert_eq!(client.send(&url, &jws).await.status, 200);
    assert_eq!(client.send(&url, &jws).await.kind(), "badNonce");
    let fresh = client.header(&url).await;
    client.ca.forget_nonces();
    let jws = sign(&client.key, &fresh, "");
    assert_eq!(client.send(&url, &jws).await.kind(), "badNonce");
}

#[tokio::test]
async fn the_request_around_the_jws_is_checked_too() {
    let mut client = Bench::registered(Options::default()).await;
    let url = client.url("newOrder");
    let header = client.header(&url).await;
    let jws = sign(&client.key, &header, &names(&["example.com"])).to_string();
    let wrong_kind = client
        .http
        .post(&url)
        .header("content-type", "application/json");
    let wrong_kind = client.finish(wrong_kind.body(jws.clone())).await;
    assert_eq!(
        (wrong_kind.status, wrong_kind.kind().as_str()),
        (415, "malformed")
    );
    let get = client.http.get(&url);
    let get = client.finish(get).await;
    assert_eq!((get.status, get.header("allow").as_str()), (405, "POST"));
    let nameless = client
        .http
        .get(client.ca.directory())
        .header("user-agent", "");
    assert_eq!(client.finish(nameless).await.status, 400);
    let header = client
        .http
        .post(&url)
        .header("content-type", "application/jose+json")
        .header("replay-nonce", "x");
    assert_eq!(client.finish(header.body(jws)).await.status, 400);
    let unknown = client
        .http
        .get(format!("{}/acme/directory", client.ca.url()));
    assert_eq!(client.finish(unknown).await.status, 404);
}

#[tokio::test]
async fn nonces_are_refused_at_the_chosen_rate() {
    let options = Options {
        nonce_reject: 50,
        seed: 3,
        ..Options::default()
    };
    let mut client = Bench::new(options).await;
    let url = client.url("newAccount");
    let mut refused = 0;
    for _try in 0..40 {
        let answer = client.post(&url, r#"{"termsOfServiceAgreed":true}"#).await;
        if answer.kind() == "badNonce" {
            refused += 1;
        }
    }
    assert!((10..30).contains(&refused), "{refused} of 40");
}

#[tokio::test]
async fn an_answer_can_be_lost_after_the_order_was_made() {
    let mut client = Bench::registered(Options::default()).await;
    client
        .ca
        .fault(Fault::once(Class::NewOrder, What::CloseAfter));
    client
        .ca
        .fault(Fault::once(Class::NewOrder, What::CloseBefore));
    let url = client.url("newOrder");
    for orders in [1, 1] {
        let header = client.header(&url).await;
        let jws = sign(&client.key, &header, &names(&["example.com"]));
        let request = client
            .http
            .post(&url)
            .header("content-type", "application/jose+json")
            .body(jws.to_string());
        request.send().await.expect_err("no answer");
        assert_eq!(client.ca.orders().len(), orders);
    }
    client.order(&["example.com"]).await;
    assert!(client.ca.faults().spent());
}

#[tokio::test]
async fn faults_answer_in_place_of_the_ca() {
    let mut client = Bench::registered(Options::default()).await;
    let url = client.url("newOrder");
    let limited = What::Problem {
        kind: "rateLimited".to_owned(),
        status: http::StatusCode::TOO_MANY_REQUESTS,
        detail: "slow down".to_owned(),
        retry_after: Some("30".to_owned()),
    };
    client.ca.fault(Fault::once(Class::NewOrder, limited));
    let html = http::StatusCode::SERVICE_UNAVAILABLE;
    client
        .ca
        .fault(Fault::once(Class::NewOrder, What::Html(html)));
    client
        .ca
        .fault(Fault::once(Class::Directory, What::Body("{".to_owned())));
    let answer = client.post(&url, &names(&["example.com"])).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (429, "rateLimited")
    );
    assert_eq!(answer.header("retry-after"), "30");
    assert!(!answer.header("replay-nonce").is_empty());
    let answer = client.post(&url, &names(&["example.com"])).await;
    assert_eq!(
        (answer.status, answer.header("content-type").as_str()),
        (503, "text/html")
    );
    assert!(answer.header("replay-nonce").is_empty());
    let directory = client.http.get(client.ca.directory());
    assert_eq!(client.finish(directory).await.body, "{");
    assert_eq!(client.ca.orders(), []);
}

#[tokio::test]
async fn changed_terms_stop_every_account() {
    let mut client = Bench::registered(Options::default()).await;
    client.ca.change_terms();
    let url = client.url("newOrder");
    let answer = client.post(&url, &names(&["example.com"])).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "userActionRequired")
    );
    assert!(answer.json()["instance"].is_string());
}

#[tokio::test]
async fn a_directory_that_was_guessed_can_be_forbidden() {
    let options = Options {
        directory_path: "/v2/DV90".to_owned(),
        forbids_unknown_paths: true,
        ..Options::default()
    };
    let mut client = Bench::new(options).await;
    let guessed = client.http.get(format!("{}/v2/directory", client.ca.url()));
    let answer = client.finish(guessed).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "unauthorized")
    );
    assert_eq!(client.ca.traffic().count(Class::Directory), 1);
    assert_eq!(client.ca.traffic().count(Class::Other), 1);
}
