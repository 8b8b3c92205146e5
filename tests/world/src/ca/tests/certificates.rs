//! Finalization, certificates, revocation and renewal information.

use super::*;

#[tokio::test]
async fn finalize_wants_a_ready_order_and_a_request_for_its_names() {
    let mut client = Bench::registered(Options::default()).await;
    let pending = client.order(&["example.com"]).await.json();
    let finalize = pending["finalize"].as_str().expect("a URL");
    let early = client.post(finalize, &csr(&["example.com"])).await;
    assert_eq!(
        (early.status, early.kind().as_str()),
        (403, "orderNotReady")
    );
    let (_url, finalize) = client.ready(&["example.com"]).await;
    for (payload, kind) in [
        (csr(&["other.example.com"]), "unauthorized"),
        (csr(&["example.com", "www.example.com"]), "unauthorized"),
        (csr(&[]), "unauthorized"),
        (r#"{"csr":"AAAA"}"#.to_owned(), "malformed"),
        (r#"{"csr":"!"}"#.to_owned(), "malformed"),
        (r#"{}"#.to_owned(), "malformed"),
    ] {
        assert_eq!(
            client.post(&finalize, &payload).await.kind(),
            kind,
            "{payload}"
        );
    }
    assert_eq!(
        client.post(&finalize, &csr(&["EXAMPLE.com"])).await.json()["status"],
        "valid"
    );
    let again = client.post(&finalize, &csr(&["example.com"])).await;
    assert_eq!(again.kind(), "orderNotReady");
}

#[tokio::test]
async fn the_account_key_is_no_certificate_key() {
    let mut client = Bench::registered(Options::default()).await;
    let (_url, finalize) = client.ready(&["example.com"]).await;
    let pkcs8 = client.key.to_pkcs8v1().expect("PKCS#8");
    let pkcs8 = rustls_pki_types::PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ECDSA_P256_SHA256)
        .expect("a key");
    let mut params = CertificateParams::new(vec!["example.com".to_owned()]).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(&key).expect("a request");
    let payload = json!({ "csr": URL_SAFE_NO_PAD.encode(csr.der()) }).to_string();
    assert_eq!(client.post(&finalize, &payload).await.kind(), "badCSR");
}

#[tokio::test]
async fn processing_ends_after_the_reads_it_was_given() {
    let options = Options {
        finalize: Finalize::ProcessingReads(2),
        retry_after: Some(RetryAfter::Seconds(3)),
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let (url, finalize) = client.ready(&["example.com"]).await;
    let first = client.post(&finalize, &csr(&["example.com"])).await;
    let mut states = vec![(first.json()["status"].clone(), first.header("retry-after"))];
    for _read in 0..3 {
        let answer = client.post(&url, "").await;
        states.push((
            answer.json()["status"].clone(),
            answer.header("retry-after"),
        ));
    }
    let working = (json!("processing"), "3".to_owned());
    let done = (json!("valid"), String::new());
    assert_eq!(states, [working.clone(), working.clone(), working, done]);
}

#[tokio::test]
async fn a_date_as_retry_after_lies_ahead() {
    let options = Options {
        finalize: Finalize::Never,
        retry_after: Some(RetryAfter::Date(Duration::from_secs(100))),
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let (_url, finalize) = client.ready(&["example.com"]).await;
    let answer = client.post(&finalize, &csr(&["example.com"])).await;
    let date = httpdate::parse_http_date(&answer.header("retry-after")).expect("an HTTP date");
    assert!(date > SystemTime::now() + Duration::from_secs(60));
}

#[tokio::test]
async fn alternate_chains_are_linked_and_lead_to_their_roots() {
    let options = Options {
        alternate_roots: 1,
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    let url = client.certificate(&["example.com"]).await;
    let default = client.post(&url, "").await;
    let links: Vec<_> = default
        .headers
        .get_all("link")
        .iter()
        .filter_map(|link| link.to_str().ok())
        .filter(|link| link.ends_with(";rel=\"alternate\""))
        .collect();
    assert_eq!(links, [format!("<{url}/alternate/1>;rel=\"alternate\"")]);
    let other = client.post(&format!("{url}/alternate/1"), "").await;
    assert_eq!(other.status, 200);
    assert_ne!(default.body, other.body);
    assert_eq!(
        client.post(&format!("{url}/alternate/2"), "").await.status,
        404
    );
    let (_rest, root) =
        x509_parser::pem::parse_x509_pem(client.ca.root_pem(1).expect("a root").as_bytes())
            .map(|(rest, pem)| (rest.to_vec(), pem))
            .expect("PEM");
    let intermediate = x509_parser::pem::Pem::iter_from_buffer(other.body.as_bytes())
        .nth(1)
        .expect("two")
        .expect("PEM");
    let intermediate = intermediate.parse_x509().expect("a certificate");
    let root = root.parse_x509().expect("a certificate");
    intermediate
        .verify_signature(Some(root.public_key()))
        .expect("signed by the other root");
}

#[tokio::test]
async fn renewal_information_is_found_by_identifier_and_can_be_chosen() {
    let mut client = Bench::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let id = client.ca.certificates()[0].renewal_id.clone();
    // The first serial has its highest bit set, so its encoding starts with a zero byte.
    assert!(
        id.split_once('.')
            .is_some_and(|(_issuer, serial)| serial.starts_with("A")),
        "{id}"
    );
    let url = format!("{}/{id}", client.url("renewalInfo"));
    let get = client.http.get(&url);
    let usual = client.finish(get).await;
    assert_eq!(
        (usual.status, usual.header("retry-after").as_str()),
        (200, "21600")
    );
    assert!(usual.json()["suggestedWindow"]["start"].is_string());
    let chosen = RenewalInfo {
        body: "not JSON".to_owned(),
        retry_after: None,
    };
    client.ca.set_renewal_info_of(&id, chosen);
    let get = client.http.get(&url);
    assert_eq!(client.finish(get).await.body, "not JSON");
    for (wrong, status) in [("x", 400), ("AAAA.AAAA", 400)] {
        let get = client
            .http
            .get(format!("{}/{wrong}", client.url("renewalInfo")));
        assert_eq!(client.finish(get).await.status, status, "{wrong}");
    }
    assert_eq!(client.ca.traffic().count(Class::RenewalInfo), 4);
}

#[tokio::test]
async fn a_certificate_is_replaced_once_by_its_own_account() {
    let mut client = Bench::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let id = client.ca.certificates()[0].renewal_id.clone();
    let url = client.url("newOrder");
    let replacing = |id: &str, name: &str| {
        let identifiers = json!([{ "type": "dns", "value": name }]);
        json!({ "identifiers": identifiers, "replaces": id }).to_string()
    };
    assert_eq!(
        client
            .post(&url, &replacing("AAAA.AAAA", "example.com"))
            .await
            .kind(),
        "malformed"
    );
    let other_name = client
        .post(&url, &replacing(&id, "other.example.com"))
        .await;
    assert_eq!(other_name.kind(), "serverInternal");
    let order = client.post(&url, &replacing(&id, "example.com")).await;
    assert_eq!((order.status, &order.json()["replaces"]), (201, &json!(id)));
    let authorization = order.json()["authorizations"][0]
        .as_str()
        .expect("a URL")
        .to_owned();
    let challenge = client.place(&authorization).await;
    client.post(&challenge, "{}").await;
    client.poll(&authorization).await;
    let finalize = order.json()["finalize"].as_str().expect("a URL").to_owned();
    assert_eq!(
        client.post(&finalize, &csr(&["example.com"])).await.json()["status"],
        "valid"
    );
    let again = client.post(&url, &replacing(&id, "example.com")).await;
    assert_eq!(
        (again.status, again.kind().as_str()),
        (409, "alreadyReplaced")
    );
    client.key = key();
    client.kid = None;
    client.register().await;
    let fresh = client
        .ca
        .certificates()
        .into_iter()
        .find(|held| !held.replaced)
        .expect("new");
    let foreign = client
        .post(&url, &replacing(&fresh.renewal_id, "example.com"))
        .await;
    assert_eq!(
        (foreign.status, foreign.kind().as_str()),
        (403, "unauthorized")
    );
}

#[tokio::test]
async fn revocation_wants_the_account_or_the_certificates_key() {
    let mut client = Bench::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let pem = client.ca.certificates()[0].pem.clone();
    let (_rest, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let der = URL_SAFE_NO_PAD.encode(&pem.contents);
    let url = client.url("revokeCert");
    let body = |reason: u64| json!({ "certificate": der, "reason": reason }).to_string();
    assert_eq!(
        client.post(&url, &body(7)).await.kind(),
        "badRevocationReason"
    );
    let account = client.kid.take();
    assert_eq!(client.post(&url, &body(1)).await.kind(), "unauthorized");
    client.kid = account;
    assert_eq!(client.post(&url, &body(4)).await.status, 200);
    assert_eq!(client.post(&url, &body(4)).await.kind(), "alreadyRevoked");
    assert_eq!(client.ca.certificates()[0].revoked, Some(4));
}

#[tokio::test]
async fn an_open_replacement_blocks_the_next_one_where_the_ca_does_so() {
    let options = Options {
        blocks_second_replacement: true,
        ..Options::default()
    };
    let mut client = Bench::registered(options).await;
    client.certificate(&["example.com"]).await;
    let id = client.ca.certificates()[0].renewal_id.clone();
    let identifiers = json!([{ "type": "dns", "value": "example.com" }]);
    let order = json!({ "identifiers": identifiers, "replaces": id }).to_string();
    let url = client.url("newOrder");
    assert_eq!(client.post(&url, &order).await.status, 201);
    assert_eq!(client.post(&url, &order).await.kind(), "alreadyReplaced");
}
