//! The CA against the RFCs: a client that signs by hand, and one written by others.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::CertificateParams;
use serde_json::{Value, json};

use super::*;
use crate::fault::What;

/// A client that does exactly what it is told.
struct Client {
    http: reqwest::Client,
    ca: Ca,
    world: World,
    key: EcdsaKeyPair,
    kid: Option<String>,
    nonce: Option<String>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The error type without its URN.
    fn kind(&self) -> String {
        let json = self.json();
        let kind = json["type"].as_str().unwrap_or_default();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({ "kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65) })
}

fn sign(key: &EcdsaKeyPair, header: &Value, payload: &str) -> Value {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let signature = key
        .sign(
            &SystemRandom::new(),
            format!("{protected}.{payload}").as_bytes(),
        )
        .expect("a signature");
    json!({
        "protected": protected,
        "payload": payload,
        "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
    })
}

fn csr(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = rcgen::KeyPair::generate().expect("a key");
    let csr = params.serialize_request(&key).expect("a request");
    json!({ "csr": URL_SAFE_NO_PAD.encode(csr.der()) }).to_string()
}

fn names(names: &[&str]) -> String {
    let identifiers: Vec<_> = names
        .iter()
        .map(|name| json!({ "type": "dns", "value": name }))
        .collect();
    json!({ "identifiers": identifiers }).to_string()
}

impl Client {
    fn new(options: Options) -> Self {
        let world = World::start(&["example.com"]).expect("loopback");
        let ca = Ca::start(&world, options).expect("loopback");
        let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
        let http = reqwest::Client::builder()
            .tls_certs_only([root])
            .user_agent("test/1")
            .build()
            .expect("a client");
        Self {
            http,
            ca,
            world,
            key: key(),
            kid: None,
            nonce: None,
        }
    }

    async fn registered(options: Options) -> Self {
        let mut client = Self::new(options);
        client.register().await;
        client
    }

    async fn register(&mut self) -> Answer {
        let url = self.url("new-account");
        let payload = json!({ "termsOfServiceAgreed": true, "contact": ["mailto:a@example.com"] });
        let answer = self.post(&url, &payload.to_string()).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        self.kid = Some(answer.header("location"));
        answer
    }

    fn url(&self, resource: &str) -> String {
        format!("{}/acme/{resource}", self.ca.url())
    }

    async fn finish(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let headers = response.headers().clone();
        if let Some(nonce) = headers.get("replay-nonce") {
            self.nonce = Some(nonce.to_str().expect("ASCII").to_owned());
        }
        let status = response.status().as_u16();
        Answer {
            status,
            headers,
            body: response.text().await.expect("a body"),
        }
    }

    async fn nonce(&mut self) -> String {
        if self.nonce.is_none() {
            let head = self.http.head(self.url("new-nonce"));
            assert_eq!(self.finish(head).await.status, 200);
        }
        self.nonce.take().expect("a nonce")
    }

    async fn header(&mut self, url: &str) -> Value {
        let nonce = self.nonce().await;
        match &self.kid {
            Some(kid) => json!({ "alg": "ES256", "nonce": nonce, "url": url, "kid": kid }),
            None => json!({ "alg": "ES256", "nonce": nonce, "url": url, "jwk": jwk(&self.key) }),
        }
    }

    async fn post(&mut self, url: &str, payload: &str) -> Answer {
        let header = self.header(url).await;
        let jws = sign(&self.key, &header, payload);
        self.send(url, &jws).await
    }

    async fn send(&mut self, url: &str, jws: &Value) -> Answer {
        let request = self
            .http
            .post(url)
            .header("content-type", "application/jose+json")
            .body(jws.to_string());
        self.finish(request).await
    }

    async fn order(&mut self, wanted: &[&str]) -> Answer {
        let url = self.url("new-order");
        let answer = self.post(&url, &names(wanted)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    /// Reads an authorization and places the record for its dns-01 challenge, whose URL it answers.
    async fn place(&mut self, url: &str) -> String {
        let authorization = self.post(url, "").await.json();
        let challenges = authorization["challenges"].as_array().expect("challenges");
        let challenge = challenges
            .iter()
            .find(|challenge| challenge["type"] == "dns-01")
            .expect("dns-01")
            .clone();
        let own = jose::Jwk::parse(&jwk(&self.key)).expect("a key");
        let token = challenge["token"].as_str().expect("a token");
        let proof = format!("{token}.{}", own.thumbprint());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, proof.as_bytes());
        let name = authorization["identifier"]["value"]
            .as_str()
            .expect("a name");
        self.world
            .dns()
            .add_txt(
                &format!("_acme-challenge.{name}"),
                &URL_SAFE_NO_PAD.encode(digest),
            )
            .expect("in a zone");
        challenge["url"].as_str().expect("a URL").to_owned()
    }

    async fn poll(&mut self, url: &str) -> Value {
        loop {
            let answer = self.post(url, "").await.json();
            let working = answer["status"] == "pending"
                && !answer["challenges"].as_array().is_some_and(|all| {
                    all.iter().all(|challenge| challenge["status"] == "pending")
                });
            if !working {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes an order to `ready` and answers its URL and its finalize URL.
    async fn ready(&mut self, wanted: &[&str]) -> (String, String) {
        let order = self.order(wanted).await;
        let (url, value) = (order.header("location"), order.json());
        for authorization in value["authorizations"].as_array().expect("authorizations") {
            let authorization = authorization.as_str().expect("a URL");
            let challenge = self.place(authorization).await;
            assert_eq!(self.post(&challenge, "{}").await.status, 200);
            assert_eq!(self.poll(authorization).await["status"], "valid");
        }
        assert_eq!(self.post(&url, "").await.json()["status"], "ready");
        (url, value["finalize"].as_str().expect("a URL").to_owned())
    }

    /// Takes an order to its certificate and answers the certificate's URL.
    async fn certificate(&mut self, wanted: &[&str]) -> String {
        let (_url, finalize) = self.ready(wanted).await;
        let order = self.post(&finalize, &csr(wanted)).await;
        assert_eq!(order.json()["status"], "valid", "{order:?}");
        order.json()["certificate"]
            .as_str()
            .expect("a URL")
            .to_owned()
    }
}

#[tokio::test]
async fn an_order_goes_from_pending_to_a_chain_that_verifies() {
    let mut client = Client::registered(Options::default()).await;
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
async fn what_a_signed_request_gets_wrong_is_told_by_its_type() {
    let mut client = Client::registered(Options::default()).await;
    let (account, other) = (client.kid.clone().expect("an account"), key());
    let url = client.url("new-order");
    let good = names(&["example.com"]);
    let kid = json!(account);
    // What is changed in the header, and what the CA says to it.
    let table: Vec<(&str, Value, u16, &str)> = vec![
        ("alg", json!("RS256"), 400, "badSignatureAlgorithm"),
        ("alg", json!("HS256"), 400, "badSignatureAlgorithm"),
        ("alg", json!("none"), 400, "badSignatureAlgorithm"),
        ("nonce", json!("AAAA"), 400, "badNonce"),
        ("nonce", Value::Null, 400, "badNonce"),
        ("url", json!(client.url("new-account")), 400, "malformed"),
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
    let mut client = Client::registered(Options::default()).await;
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
    let mut client = Client::registered(Options::default()).await;
    let url = client.url("new-order");
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
    let unknown = client.http.get(client.url("directory"));
    assert_eq!(client.finish(unknown).await.status, 404);
}

#[tokio::test]
async fn an_account_is_found_updated_and_deactivated() {
    let mut client = Client::new(Options::default());
    let url = client.url("new-account");
    let missing = client.post(&url, r#"{"onlyReturnExisting":true}"#).await;
    assert_eq!(missing.kind(), "accountDoesNotExist");
    let disagreed = client.post(&url, "{}").await;
    assert_eq!(
        (disagreed.status, disagreed.kind().as_str()),
        (403, "userActionRequired")
    );
    for contact in ["tel:1", "mailto:", "mailto:a@b?c", "mailto:a@b,c@d"] {
        let body = json!({ "termsOfServiceAgreed": true, "contact": [contact] }).to_string();
        let refused = client.post(&url, &body).await.kind();
        assert!(
            ["unsupportedContact", "invalidContact"].contains(&refused.as_str()),
            "{contact}"
        );
    }
    assert_eq!(client.register().await.status, 201);
    let account = client.kid.take();
    assert_eq!(client.register().await.status, 200);
    assert_eq!(client.kid, account);
    let own = account.expect("an account");
    let updated = client
        .post(&own, r#"{"contact":["mailto:b@example.com"]}"#)
        .await;
    assert_eq!(updated.json()["contact"], json!(["mailto:b@example.com"]));
    let gone = client.post(&own, r#"{"status":"deactivated"}"#).await;
    assert_eq!(gone.json()["status"], "deactivated");
    assert_eq!(client.post(&own, "").await.kind(), "unauthorized");
    client.kid = None;
    let again = client.post(&url, r#"{"termsOfServiceAgreed":true}"#).await;
    assert_eq!((again.status, again.kind().as_str()), (403, "unauthorized"));
}

#[tokio::test]
async fn a_key_change_moves_the_account_to_the_new_key() {
    let mut client = Client::registered(Options::default()).await;
    let url = client.url("key-change");
    let new = key();
    let inner = |key: &EcdsaKeyPair, old: &EcdsaKeyPair, account: &str, url: &str| {
        let header = json!({ "alg": "ES256", "jwk": jwk(key), "url": url });
        sign(
            key,
            &header,
            &json!({ "account": account, "oldKey": jwk(old) }).to_string(),
        )
    };
    let account = client.kid.clone().expect("an account");
    let table = [
        inner(&new, &new, &account, &url),
        inner(&new, &client.key, &format!("{account}x"), &url),
        inner(&new, &client.key, &account, &account),
        inner(&client.key, &client.key, &account, &url),
    ];
    for wrong in table {
        assert_eq!(
            client.post(&url, &wrong.to_string()).await.kind(),
            "malformed",
            "{wrong}"
        );
    }
    let right = inner(&new, &client.key, &account, &url).to_string();
    assert_eq!(client.post(&url, &right).await.status, 200);
    assert_eq!(client.post(&account, "").await.kind(), "malformed");
    client.key = new;
    assert_eq!(client.post(&account, "").await.status, 200);
}

#[tokio::test]
async fn an_external_account_binding_is_verified_and_spent_once() {
    let secret = b"0123456789abcdef0123456789abcdef".to_vec();
    let external_account = ExternalAccount::Required {
        keys: vec![("kid-1".to_owned(), secret.clone())],
        single_use: true,
    };
    let mut client = Client::new(Options {
        external_account,
        ..Options::default()
    });
    let url = client.url("new-account");
    let binding = |key: &EcdsaKeyPair, kid: &str, secret: &[u8], url: &str| {
        let protected =
            URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string());
        let payload = URL_SAFE_NO_PAD.encode(jwk(key).to_string());
        let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&mac, format!("{protected}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(tag.as_ref());
        let bound = json!({ "protected": protected, "payload": payload, "signature": signature });
        json!({ "termsOfServiceAgreed": true, "externalAccountBinding": bound }).to_string()
    };
    let none = client.post(&url, r#"{"termsOfServiceAgreed":true}"#).await;
    assert_eq!(
        (none.status, none.kind().as_str()),
        (403, "externalAccountRequired")
    );
    let other = key();
    let table = [
        (binding(&client.key, "kid-2", &secret, &url), "unauthorized"),
        (
            binding(&client.key, "kid-1", b"wrong", &url),
            "unauthorized",
        ),
        (
            binding(&client.key, "kid-1", &secret, "https://x/"),
            "malformed",
        ),
        (binding(&other, "kid-1", &secret, &url), "badPublicKey"),
    ];
    for (payload, kind) in table {
        assert_eq!(client.post(&url, &payload).await.kind(), kind, "{payload}");
    }
    let good = binding(&client.key, "kid-1", &secret, &url);
    assert_eq!(client.post(&url, &good).await.status, 201);
    assert_eq!(client.post(&url, &good).await.status, 200);
    client.key = other;
    let spent = binding(&client.key, "kid-1", &secret, &url);
    assert_eq!(client.post(&url, &spent).await.kind(), "unauthorized");
}

#[tokio::test]
async fn identifiers_that_no_ca_takes_are_refused() {
    let options = Options {
        blocked: vec!["blocked.example".to_owned()],
        max_names: 2,
        ..Options::default()
    };
    let mut client = Client::registered(options).await;
    let url = client.url("new-order");
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
    let mut client = Client::registered(Options::default()).await;
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
    let mut client = Client::registered(Options::default()).await;
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
    let mut client = Client::registered(options).await;
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
async fn finalize_wants_a_ready_order_and_a_request_for_its_names() {
    let mut client = Client::registered(Options::default()).await;
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
        (r#"{"csr":"AAAA"}"#.to_owned(), "badCSR"),
        (r#"{"csr":"!"}"#.to_owned(), "badCSR"),
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
    let mut client = Client::registered(Options::default()).await;
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
    let mut client = Client::registered(options).await;
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
    let mut client = Client::registered(options).await;
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
    let mut client = Client::registered(options).await;
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
    let mut client = Client::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let id = client.ca.certificates()[0].renewal_id.clone();
    // The first serial has its highest bit set, so its encoding starts with a zero byte.
    assert!(
        id.split_once('.')
            .is_some_and(|(_issuer, serial)| serial.starts_with("A")),
        "{id}"
    );
    let url = client.url(&format!("renewal-info/{id}"));
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
            .get(client.url(&format!("renewal-info/{wrong}")));
        assert_eq!(client.finish(get).await.status, status, "{wrong}");
    }
    assert_eq!(client.ca.traffic().count(Class::RenewalInfo), 4);
}

#[tokio::test]
async fn a_certificate_is_replaced_once_by_its_own_account() {
    let mut client = Client::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let id = client.ca.certificates()[0].renewal_id.clone();
    let url = client.url("new-order");
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
    let mut client = Client::registered(Options::default()).await;
    client.certificate(&["example.com"]).await;
    let pem = client.ca.certificates()[0].pem.clone();
    let (_rest, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let der = URL_SAFE_NO_PAD.encode(&pem.contents);
    let url = client.url("revoke-cert");
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
async fn valid_authorizations_are_used_again_and_make_an_order_ready() {
    let options = Options {
        authz_reuse: 100,
        ..Options::default()
    };
    let mut client = Client::registered(options).await;
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
async fn nonces_are_refused_at_the_chosen_rate() {
    let options = Options {
        nonce_reject: 50,
        seed: 3,
        ..Options::default()
    };
    let mut client = Client::new(options);
    let url = client.url("new-account");
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
    let mut client = Client::registered(options).await;
    let directory = client.http.get(client.ca.directory());
    let directory = client.finish(directory).await.json();
    assert_eq!(directory["meta"]["profiles"]["short"], "6 days");
    let url = client.url("new-order");
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
    let mut client = Client::registered(options).await;
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

#[tokio::test]
async fn an_answer_can_be_lost_after_the_order_was_made() {
    let mut client = Client::registered(Options::default()).await;
    client
        .ca
        .fault(Fault::once(Class::NewOrder, What::CloseAfter));
    client
        .ca
        .fault(Fault::once(Class::NewOrder, What::CloseBefore));
    let url = client.url("new-order");
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
    let mut client = Client::registered(Options::default()).await;
    let url = client.url("new-order");
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
    let mut client = Client::registered(Options::default()).await;
    client.ca.change_terms();
    let url = client.url("new-order");
    let answer = client.post(&url, &names(&["example.com"])).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "userActionRequired")
    );
    assert!(answer.json()["instance"].is_string());
}

#[tokio::test]
async fn credentials_come_from_an_api_beside_acme() {
    let credentials = Some(Credentials { access_key: None });
    let external_account = ExternalAccount::Required {
        keys: Vec::new(),
        single_use: false,
    };
    let mut client = Client::new(Options {
        credentials,
        external_account,
        ..Options::default()
    });
    let url = client.url("eab-credentials");
    let refused = client.http.post(&url);
    assert_eq!(client.finish(refused).await.json()["success"], json!(false));
    let asked = client.http.post(&url).body("email=ops@example.com");
    let made = client.finish(asked).await.json();
    assert_eq!(made["success"], json!(1));
    assert_eq!(made["eab_hmac_key"].as_str().map(str::len), Some(43));
    assert!(client.nonce.is_none());
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
