//! The same requests to this CA and to Pebble: a difference is a mistake of this CA.

use super::*;
use crate::pebble::{self, Pebble};

/// What one CA says to a list of requests: a label, the status and the error type.
type Said = Vec<(String, u16, String)>;

async fn twins(test: &str) -> Option<[Client; 2]> {
    let program = Pebble::find_or_skip(test)?;
    let world = || World::start(&["example.com"]).expect("loopback");
    let first = world();
    let ca = Ca::start(&first, Options::default()).expect("loopback");
    let ours = Client::of(first, &ca.directory()).await;
    let second = world();
    let options = pebble::Options::default();
    let pebble = Pebble::start(&second, &program, &options).expect("started");
    let theirs = Client::of(second, &pebble.directory()).await;
    Some([ours.keeping(ca), theirs.keeping(pebble)])
}

#[tokio::test]
async fn both_refuse_the_same_headers() {
    let Some(clients) = twins("both_refuse_the_same_headers").await else {
        return;
    };
    let mut said = Vec::new();
    for mut client in clients {
        said.push(headers(&mut client).await);
    }
    assert_eq!(said[0], said[1]);
}

async fn headers(client: &mut Client) -> Said {
    client.register().await;
    let account = client.kid.clone().expect("an account");
    let url = client.url("newOrder");
    let other = client.url("newAccount");
    let table: Vec<(&str, Value)> = vec![
        ("alg", json!("RS256")),
        ("alg", json!("HS256")),
        ("nonce", json!("AAAA")),
        ("nonce", Value::Null),
        ("url", json!(other)),
        ("url", Value::Null),
        ("kid", json!(format!("{account}x"))),
        ("kid", json!("https://elsewhere/acme/account/1")),
        ("kid", Value::Null),
        ("jwk", jwk(&client.key)),
    ];
    let mut said = Said::new();
    for (field, value) in table {
        let mut header = client.header(&url).await;
        header[field] = value.clone();
        if value.is_null() {
            header.as_object_mut().expect("an object").remove(field);
        }
        let jws = sign(&client.key, &header, &names(&["example.com"]));
        let answer = client.send(&url, &jws).await;
        // The account and the other URL differ from CA to CA; which field was changed does not.
        said.push((
            format!("{field} {}", said.len()),
            answer.status,
            answer.kind(),
        ));
    }
    said
}

#[tokio::test]
async fn both_refuse_the_same_accounts_and_orders() {
    let Some(clients) = twins("both_refuse_the_same_accounts_and_orders").await else {
        return;
    };
    let mut said = Vec::new();
    for mut client in clients {
        said.push(payloads(&mut client).await);
    }
    assert_eq!(said[0], said[1]);
}

async fn payloads(client: &mut Client) -> Said {
    let mut said = Said::new();
    let accounts = [
        r#"{"onlyReturnExisting":true}"#,
        "{}",
        r#"{"termsOfServiceAgreed":true,"contact":["tel:1"]}"#,
        r#"{"termsOfServiceAgreed":true,"contact":["mailto:"]}"#,
        r#"{"termsOfServiceAgreed":true,"contact":["mailto:a@x","mailto:b@x","mailto:c@x"]}"#,
        "no JSON",
    ];
    for payload in accounts {
        let url = client.url("newAccount");
        let answer = client.post(&url, payload).await;
        said.push((payload.to_owned(), answer.status, answer.kind()));
    }
    client.register().await;
    let orders = [
        r#"{"identifiers":[]}"#,
        r#"{"identifiers":[{"type":"dns","value":"a.*.example.com"}]}"#,
        r#"{"identifiers":[{"type":"dns","value":"a_b.example.com"}]}"#,
        r#"{"identifiers":[{"type":"dns","value":"a.example.com."}]}"#,
        r#"{"identifiers":[{"type":"dns","value":"192.0.2.1"}]}"#,
        r#"{"identifiers":[{"type":"dns","value":"example.com"}],"profile":"gone"}"#,
        r#"{"identifiers":[{"type":"dns","value":"example.com"}],"replaces":"AAAA.AAAA"}"#,
        "no JSON",
    ];
    for payload in orders {
        let url = client.url("newOrder");
        let answer = client.post(&url, payload).await;
        said.push((payload.to_owned(), answer.status, answer.kind()));
    }
    said
}

#[tokio::test]
async fn both_say_the_same_about_an_order_from_its_start_to_its_replacement() {
    let test = "both_say_the_same_about_an_order_from_its_start_to_its_replacement";
    let Some(clients) = twins(test).await else {
        return;
    };
    let mut said = Vec::new();
    for mut client in clients {
        said.push(life(&mut client).await);
    }
    assert_eq!(said[0], said[1]);
}

async fn life(client: &mut Client) -> Said {
    client.register().await;
    let mut said = Said::new();
    let mut note = |what: &str, answer: &Answer| {
        said.push((what.to_owned(), answer.status, answer.kind()));
    };
    let wanted = ["example.com", "*.example.com"];
    let pending = client.order(&wanted).await;
    note("order", &pending);
    let finalize = pending.json()["finalize"]
        .as_str()
        .expect("a URL")
        .to_owned();
    note(
        "early finalize",
        &client.post(&finalize, &csr(&wanted)).await,
    );
    let url = pending.header("location");
    note("order with a payload", &client.post(&url, "{}").await);
    note(
        "unknown order",
        &client.post(&format!("{url}x"), "").await.without_body(),
    );
    let authorizations = pending.json()["authorizations"].clone();
    for authorization in authorizations.as_array().expect("authorizations") {
        let authorization = authorization.as_str().expect("a URL");
        let wrong = client.post(authorization, r#"{"status":"valid"}"#).await;
        note("authorization made valid by hand", &wrong);
        let challenge = client.place(authorization).await;
        let legacy = client.post(&challenge, r#"{"keyAuthorization":"x"}"#).await;
        note("legacy answer to a challenge", &legacy);
        note("challenge", &client.post(&challenge, "{}").await);
        assert_eq!(client.poll(authorization).await["status"], "valid");
        note("challenge again", &client.post(&challenge, "{}").await);
    }
    for (what, payload) in [
        (
            "CSR for another name",
            csr(&["other.example.com", "*.example.com"]),
        ),
        ("CSR for fewer names", csr(&["example.com"])),
        ("no CSR", r#"{"csr":"AAAA"}"#.to_owned()),
    ] {
        note(what, &client.post(&finalize, &payload).await);
    }
    note("finalize", &client.post(&finalize, &csr(&wanted)).await);
    note(
        "finalize again",
        &client.post(&finalize, &csr(&wanted)).await,
    );
    let certificate = loop {
        let order = client.post(&url, "").await.json();
        if let Some(certificate) = order["certificate"].as_str() {
            break certificate.to_owned();
        }
        tokio::task::yield_now().await;
    };
    note(
        "certificate with a payload",
        &client.post(&certificate, "{}").await,
    );
    let chain = client.post(&certificate, "").await;
    note("certificate", &chain);
    let alternate = client.post(&format!("{certificate}/alternate/1"), "").await;
    note("no alternate", &alternate.without_body());
    let (_rest, leaf) = x509_parser::pem::parse_x509_pem(chain.body.as_bytes()).expect("PEM");
    let der = URL_SAFE_NO_PAD.encode(&leaf.contents);
    let revoke = client.url("revokeCert");
    let revocation = |reason: u64| json!({ "certificate": der, "reason": reason }).to_string();
    note("reason 7", &client.post(&revoke, &revocation(7)).await);
    let account = client.kid.take();
    note(
        "revoked by a stranger",
        &client.post(&revoke, &revocation(1)).await,
    );
    client.kid = account;
    note("revoked", &client.post(&revoke, &revocation(1)).await);
    note("revoked again", &client.post(&revoke, &revocation(1)).await);
    let own = client.kid.clone().expect("an account");
    note(
        "account made invalid by hand",
        &client.post(&own, r#"{"status":"invalid"}"#).await,
    );
    note(
        "deactivated",
        &client.post(&own, r#"{"status":"deactivated"}"#).await,
    );
    note("deactivated account", &client.post(&own, "").await);
    client.kid = None;
    let again = client.url("newAccount");
    let payload = r#"{"termsOfServiceAgreed":true}"#;
    note(
        "account with that key again",
        &client.post(&again, payload).await,
    );
    said
}
