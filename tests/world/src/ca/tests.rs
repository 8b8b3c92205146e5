//! The CA against the RFCs, by a client that signs by hand and one that others wrote; and against
//! Pebble, by the same requests.

mod accounts;
mod certificates;
mod orders;
mod requests;
mod twin;

use std::ops::{Deref, DerefMut};

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
    world: World,
    directory: Value,
    key: EcdsaKeyPair,
    kid: Option<String>,
    nonce: Option<String>,
    /// What has to live as long as the client.
    _kept: Option<Box<dyn std::any::Any>>,
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

    /// For answers whose body no RFC defines.
    fn without_body(self) -> Self {
        Self {
            body: String::new(),
            ..self
        }
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
    /// A client of the CA with that directory, whose server the world's root has signed.
    async fn of(world: World, directory: &str) -> Self {
        let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
        let http = reqwest::Client::builder()
            .tls_certs_only([root])
            .user_agent("test/1")
            .build()
            .expect("a client");
        let directory = http.get(directory).send().await.expect("an answer");
        let directory = serde_json::from_str(&directory.text().await.expect("a body"));
        let directory = directory.expect("JSON");
        Self {
            http,
            world,
            directory,
            key: key(),
            kid: None,
            nonce: None,
            _kept: None,
        }
    }

    fn keeping(self, server: impl std::any::Any) -> Self {
        Self {
            _kept: Some(Box::new(server)),
            ..self
        }
    }

    async fn register(&mut self) -> Answer {
        let url = self.url("newAccount");
        let payload = json!({ "termsOfServiceAgreed": true, "contact": ["mailto:a@example.com"] });
        let answer = self.post(&url, &payload.to_string()).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        self.kid = Some(answer.header("location"));
        answer
    }

    fn url(&self, resource: &str) -> String {
        self.directory[resource]
            .as_str()
            .expect(resource)
            .to_owned()
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
            let head = self.http.head(self.url("newNonce"));
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
        let url = self.url("newOrder");
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

/// A client and the CA it talks to.
struct Bench {
    ca: Ca,
    client: Client,
}

impl Bench {
    async fn new(options: Options) -> Self {
        let world = World::start(&["example.com"]).expect("loopback");
        let ca = Ca::start(&world, options).expect("loopback");
        let client = Client::of(world, &ca.directory()).await;
        Self { ca, client }
    }

    async fn registered(options: Options) -> Self {
        let mut bench = Self::new(options).await;
        bench.register().await;
        bench
    }
}

impl Deref for Bench {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
