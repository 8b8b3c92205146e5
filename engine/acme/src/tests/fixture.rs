//! An invented CA, a known key, and requests taken apart again.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use serde_json::{Value, json};
use waxwing_core::http::{Request, Response};

use crate::directory::{Directory, Meta};
use crate::error::AcmeError;
use crate::jws::{Algorithm, Jwk, SignError, Signer};
use crate::session::{Call, Credentials, Outcome, Prepared, Session};
use crate::user_agent::UserAgent;

pub(crate) const KID: &str = "https://ca.example/account/1";

/// The key of RFC 7515 appendix A.3.
pub(crate) struct TestKey(EcdsaKeyPair);

impl TestKey {
    const X: &'static str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &'static str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const D: &'static str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

    pub(crate) fn new() -> Self {
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &decoded(Self::D),
            &Self::point(),
        );
        Self(pair.expect("the key of the RFC is a key"))
    }

    fn point() -> Vec<u8> {
        [vec![4], decoded(Self::X), decoded(Self::Y)].concat()
    }
}

impl Signer for TestKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn jwk(&self) -> Jwk {
        let coordinate = |text| decoded(text).try_into().expect("32 bytes");
        Jwk::P256 {
            x: coordinate(Self::X),
            y: coordinate(Self::Y),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.expect("a key in memory signs").as_ref().to_vec())
    }
}

/// A key whose device is gone.
pub(crate) struct AbsentKey;

impl Signer for AbsentKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es384
    }

    fn jwk(&self) -> Jwk {
        Jwk::P384 {
            x: [1; 48],
            y: [2; 48],
        }
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError {
            cause: "the token was pulled out".to_owned(),
        })
    }
}

pub(crate) fn user_agent() -> UserAgent {
    UserAgent::new("waxwing/0.1.0 (+https://waxwing.example) linux; x86_64").expect("a user agent")
}

pub(crate) fn directory() -> Directory {
    Directory {
        url: "https://ca.example/directory".to_owned(),
        new_nonce: "https://ca.example/new-nonce".to_owned(),
        new_account: "https://ca.example/new-account".to_owned(),
        new_order: "https://ca.example/new-order".to_owned(),
        new_authz: None,
        revoke_cert: Some("https://ca.example/revoke".to_owned()),
        key_change: Some("https://ca.example/key-change".to_owned()),
        renewal_info: Some("https://ari.example/renewal-info".to_owned()),
        meta: Meta {
            profiles: BTreeMap::from([("short".to_owned(), "a week".to_owned())]),
            ..Meta::default()
        },
    }
}

/// A session that has the nonce `n0`.
pub(crate) fn session() -> Session {
    let mut session = Session::new(directory(), user_agent());
    let nonce = reply(200, &[("replay-nonce", "n0")], "");
    session.take_nonce_from(&nonce).expect("a nonce");
    session
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
        elapsed: Duration::from_millis(120),
    }
}

/// A problem document with that type and detail.
pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Response {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let body = json!({ "type": kind, "detail": detail, "status": status }).to_string();
    reply(
        status,
        &[
            ("content-type", "application/problem+json"),
            ("replay-nonce", "n1"),
        ],
        &body,
    )
}

/// The answer to one call in a fresh session.
pub(crate) fn answered<C: Call>(call: &C, response: &Response) -> Result<C::Reply, AcmeError> {
    match session().receive(call, 1, response)? {
        Outcome::Reply(reply) => Ok(reply),
        Outcome::Resend => panic!("the reply asks for another attempt"),
    }
}

/// The request for one call in a fresh session, signed by [`TestKey`] for [`KID`].
pub(crate) fn requested<C: Call>(call: &C) -> Request {
    let key = TestKey::new();
    sent(session().prepare(
        call,
        &Credentials {
            signer: &key,
            kid: Some(KID),
        },
    ))
}

pub(crate) fn sent(prepared: Result<Prepared, AcmeError>) -> Request {
    match prepared.expect("the call can be prepared") {
        Prepared::Send(request) => request,
        Prepared::NonceFirst(_) => panic!("there is a nonce"),
    }
}

/// A flattened JWS taken apart.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) header: Value,
    pub(crate) payload: Vec<u8>,
    pub(crate) input: String,
    pub(crate) signature: Vec<u8>,
}

impl Opened {
    pub(crate) fn payload_json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("the payload is JSON")
    }

    /// True if [`TestKey`] signed it.
    pub(crate) fn is_by_test_key(&self) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, TestKey::point())
            .verify(self.input.as_bytes(), &self.signature)
            .is_ok()
    }
}

pub(crate) fn opened(body: &[u8]) -> Opened {
    let jws: BTreeMap<String, String> = serde_json::from_slice(body).expect("a flattened JWS");
    let names: Vec<&str> = jws.keys().map(String::as_str).collect();
    assert_eq!(names, ["payload", "protected", "signature"]);
    Opened {
        header: serde_json::from_slice(&decoded(&jws["protected"])).expect("a JSON header"),
        payload: decoded(&jws["payload"]),
        input: format!("{}.{}", jws["protected"], jws["payload"]),
        signature: decoded(&jws["signature"]),
    }
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(text)
        .expect("base64url without padding")
}

/// Random cases, but not other ones on each run. `PROPTEST_CASES` in the environment asks for more.
pub(crate) fn same_cases_every_time() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(8555),
        ..ProptestConfig::default()
    }
}

/// An order of the invented CA for those names.
pub(crate) fn order_json(status: &str, names: &[&str]) -> Value {
    let identifiers: Vec<Value> = names
        .iter()
        .map(|name| json!({ "type": "dns", "value": name }))
        .collect();
    json!({
        "status": status,
        "expires": "2026-12-01T00:00:00Z",
        "identifiers": identifiers,
        "authorizations": ["https://ca.example/authz/1"],
        "finalize": "https://ca.example/order/1/finalize",
    })
}

pub(crate) const ORDER_URL: &str = "https://ca.example/order/1";

/// The reply to a newOrder.
pub(crate) fn order_reply(order: &Value) -> Response {
    reply(
        201,
        &[("location", ORDER_URL), ("replay-nonce", "n1")],
        &order.to_string(),
    )
}
