//! Orders, authorizations and validation (RFC 8555 sections 7.4, 7.5 and 8.4).

use super::*;

#[tokio::test]
async fn an_order_goes_from_pending_to_a_chain_that_verifies() {
    let mut client = Bench::registered(Options::default()).await;
    let url = client.certificate(&["example.com", "*.example.com"]).await;
    let chain = client.post(&url, "").await;
    assert_eq!(
        chain.header("content-type"),
        "application/pem-certificate-chain"
    );
    let pems: Vec<_> = x509_parser::pem::Pem::iter_from_buffer(chain.body.as_bytes())
        .map(|pem| pem.expect("PEM"))
        .collect();
    assert_eq!(pems.len(), 2);
    let leaf = pems[0].parse_x509().expect("a certificate");
    let intermediate = pems[1].parse_x509().expect("a certificate");
    let root_pem = client.ca.root_pem(0).expect("a root");
    let (_rest, root) = x509_parser::pem::parse_x509_pem(root_pem.as_bytes()).expect("PEM");
    let root = root.parse_x509().expect("a certificate");
    leaf.verify_signature(Some(intermediate.public_key()))
        .expect("signed by the intermediate");
    intermediate
        .verify_signature(Some(root.public_key()))
        .expect("signed by the root");
    assert_eq!(
        client.ca.certificates()[0].names,
        ["*.example.com", "example.com"]
    );
    assert_eq!(
        client.world.dns().txt("_acme-challenge.example.com").len(),
        2
    );
}

#[tokio::test]
async fn identifiers_that_no_ca_takes_are_refused() {
    let options = Options {
        blocked: vec!["blocked.example".to_owned()],
        max_names: 2,
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let url = client.url("newOrder");
    let table = [
        (json!([]), "malformed"),
        (
            json!([{ "type": "dns", "value": "a.*.example.com" }]),
            "malformed",
        ),
        (json!([{ "type": "dns", "value": "example" }]), "malformed"),
        (
            json!([{ "type": "dns", "value": "bücher.example" }]),
            "malformed",
        ),
        (
            json!([{ "type": "dns", "value": "a.example.com." }]),
            "malformed",
        ),
        (
            json!([{ "type": "dns", "value": "192.0.2.1" }]),
            "malformed",
        ),
        (
            json!([{ "type": "ip", "value": "192.0.2.1" }]),
            "unsupportedIdentifier",
        ),
        (
            json!([{ "type": "dns", "value": "a.blocked.example" }]),
            "rejectedIdentifier",
        ),
        (
            json!([
                { "type": "dns", "value": "a.example.com" },
                { "type": "dns", "value": "b.example.com" },
                { "type": "dns", "value": "c.example.com" },
            ]),
            "malformed",
        ),
    ];
    for (identifiers, kind) in table {
        let payload = json!({ "identifiers": identifiers }).to_string();
        assert_eq!(client.post(&url, &payload).await.kind(), kind, "{payload}");
    }
    let twice = client.order(&["EXAMPLE.com", "example.com"]).await.json();
    assert_eq!(
        twice["identifiers"],
        json!([{ "type": "dns", "value": "example.com" }])
    );
}

#[tokio::test]
async fn a_wildcard_has_an_authorization_of_its_own_without_the_star() {
    let mut client = Bench::registered(Options::default()).await;
    let order = client.order(&["*.example.com", "example.com"]).await.json();
    let mut seen = Vec::new();
    for url in order["authorizations"].as_array().expect("authorizations") {
        let authorization = client.post(url.as_str().expect("a URL"), "").await.json();
        assert_eq!(authorization["identifier"]["value"], "example.com");
        let challenges = authorization["challenges"].as_array().expect("challenges");
        seen.push((authorization["wildcard"].as_bool(), challenges.len()));
        let tokenless = challenges
            .iter()
            .filter(|challenge| challenge["token"].is_null());
        assert_eq!(tokenless.count(), 1);
    }
    seen.sort_unstable();
    assert_eq!(seen, [(None, 4), (Some(true), 2)]);
}

#[tokio::test]
async fn validation_asks_every_name_server_and_says_what_it_found() {
    let mut client = Bench::registered(Options::default()).await;
    let order = client.order(&["example.com"]).await.json();
    let url = order["authorizations"][0]
        .as_str()
        .expect("a URL")
        .to_owned();
    let authorization = client.post(&url, "").await.json();
    let challenges = authorization["challenges"].as_array().expect("challenges");
    let dns = challenges
        .iter()
        .find(|challenge| challenge["type"] == "dns-01")
        .expect("dns-01");
    client
        .world
        .dns()
        .add_txt("_acme-challenge.example.com", "wrong")
        .expect("in a zone");
    let challenge = dns["url"].as_str().expect("a URL");
    let started = client.post(challenge, "{}").await;
    assert_eq!(started.json()["status"], "processing");
    assert!(started.header("link").contains(";rel=\"up\"") || started.headers.len() > 1);
    let settled = client.poll(&url).await;
    assert_eq!(settled["status"], "invalid");
    let error = &settled["challenges"][0]["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:unauthorized");
    assert!(
        error["detail"].as_str().expect("text").contains("`wrong`"),
        "{error}"
    );
    assert_eq!(client.post(challenge, "{}").await.kind(), "malformed");
    assert_eq!(client.ca.orders()[0].status, Status::Invalid);
}

#[tokio::test]
async fn caa_of_the_closest_name_decides() {
    let options = Options {
        caa: vec!["ca.world.test".to_owned()],
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let dns = client.world.dns();
    dns.set_caa("example.com", "issue", "other.test")
        .expect("in a zone");
    dns.set_caa("ok.example.com", "issue", "ca.world.test; policy=ev")
        .expect("in a zone");
    client.ready(&["ok.example.com"]).await;
    let order = client.order(&["no.example.com"]).await.json();
    let url = order["authorizations"][0]
        .as_str()
        .expect("a URL")
        .to_owned();
    let challenge = client.place(&url).await;
    client.post(&challenge, "{}").await;
    let settled = client.poll(&url).await;
    assert_eq!(
        settled["challenges"][0]["error"]["type"],
        "urn:ietf:params:acme:error:caa"
    );
}

#[tokio::test]
async fn valid_authorizations_are_used_again_and_make_an_order_ready() {
    let options = Options {
        authz_reuse: 100,
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    client.certificate(&["example.com"]).await;
    let again = client.order(&["example.com"]).await.json();
    assert_eq!(again["status"], "ready");
    let url = again["authorizations"][0]
        .as_str()
        .expect("a URL")
        .to_owned();
    let gone = client.post(&url, r#"{"status":"deactivated"}"#).await;
    assert_eq!(gone.json()["status"], "deactivated");
    assert_eq!(
        client.order(&["example.com"]).await.json()["status"],
        "pending"
    );
    assert_eq!(
        client.order(&["*.example.com"]).await.json()["status"],
        "pending"
    );
}

#[tokio::test]
async fn profiles_are_offered_checked_and_set_the_lifetime() {
    let day = Duration::from_secs(24 * 3600);
    let profile = |name: &str, days: u32| Profile {
        name: name.to_owned(),
        description: format!("{days} days"),
        lifetime: day * days,
    };
    let options = Options {
        profiles: vec![profile("classic", 90), profile("short", 6)],
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let directory = client.http.get(client.ca.directory());
    let directory = client.finish(directory).await.json();
    assert_eq!(directory["meta"]["profiles"]["short"], "6 days");
    let url = client.url("newOrder");
    let identifiers = json!([{ "type": "dns", "value": "example.com" }]);
    let wrong = json!({ "identifiers": identifiers, "profile": "gone" }).to_string();
    assert_eq!(client.post(&url, &wrong).await.kind(), "invalidProfile");
    let right = json!({ "identifiers": identifiers, "profile": "short" }).to_string();
    let order = client.post(&url, &right).await.json();
    assert_eq!(order["profile"], "short");
    let authorization = order["authorizations"][0]
        .as_str()
        .expect("a URL")
        .to_owned();
    let challenge = client.place(&authorization).await;
    client.post(&challenge, "{}").await;
    client.poll(&authorization).await;
    client
        .post(
            order["finalize"].as_str().expect("a URL"),
            &csr(&["example.com"]),
        )
        .await;
    let pem = client.ca.certificates()[0].pem.clone();
    let (_rest, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let validity = pem.parse_x509().expect("a certificate").validity().clone();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(life, 6 * 24 * 3600 - 1);
}

#[tokio::test]
async fn an_order_for_the_same_names_is_repeated_where_the_ca_does_so() {
    let options = Options {
        repeats_orders: true,
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let first = client.order(&["example.com"]).await.header("location");
    assert_eq!(
        client.order(&["example.com"]).await.header("location"),
        first
    );
    assert_ne!(
        client.order(&["www.example.com"]).await.header("location"),
        first
    );
    assert_eq!(client.ca.orders().len(), 2);
}

/// The client of others agrees with this CA about ACME.
#[tokio::test]
async fn an_independent_client_obtains_a_certificate() {
    use instant_acme::{
        Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
        RetryPolicy,
    };
    let world = World::start(&["example.com"]).expect("loopback");
    let ca = Ca::start(
        &world,
        Options {
            nonce_reject: 5,
            ..Options::default()
        },
    )
    .expect("loopback");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), world.root_pem()).expect("written");
    let new = NewAccount {
        contact: &["mailto:a@example.com"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(file.path()).expect("a client");
    let (account, _credentials) = builder
        .create(&new, ca.directory(), None)
        .await
        .expect("an account");
    let wanted = ["example.com", "*.example.com"].map(|name| Identifier::Dns(name.to_owned()));
    let mut order = account
        .new_order(&NewOrder::new(&wanted))
        .await
        .expect("an order");
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.expect("an authorization");
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        let mut challenge = authorization
            .challenge(ChallengeType::Dns01)
            .expect("dns-01");
        let value = challenge.key_authorization().dns_value();
        world
            .dns()
            .add_txt("_acme-challenge.example.com", &value)
            .expect("in a zone");
        challenge.set_ready().await.expect("started");
    }
    let retries = RetryPolicy::new().initial_delay(Duration::from_millis(5));
    assert_eq!(
        order.poll_ready(&retries).await.expect("polled"),
        OrderStatus::Ready
    );
    order.finalize().await.expect("finalized");
    let chain = order
        .poll_certificate(&retries)
        .await
        .expect("a certificate");
    assert!(chain.starts_with(&ca.certificates()[0].pem));
}
