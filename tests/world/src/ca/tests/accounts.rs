//! Accounts (RFC 8555 section 7.3).

use super::*;

#[tokio::test]
async fn an_account_is_found_updated_and_deactivated() {
    let mut client = Bench::new(Options::default()).await;
    let url = client.url("newAccount");
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
    let mut client = Bench::registered(Options::default()).await;
    let url = client.url("keyChange");
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
    let mut client = Bench::new(Options {
        external_account,
        ..Options::default()
    })
    .await;
    let url = client.url("newAccount");
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
async fn credentials_come_from_an_api_beside_acme() {
    let credentials = Some(Credentials { access_key: None });
    let external_account = ExternalAccount::Required {
        keys: Vec::new(),
        single_use: false,
    };
    let mut client = Bench::new(Options {
        credentials,
        external_account,
        ..Options::default()
    })
    .await;
    let url = format!("{}/acme/eab-credentials", client.ca.url());
    let refused = client.http.post(&url);
    assert_eq!(client.finish(refused).await.json()["success"], json!(false));
    let asked = client.http.post(&url).body("email=ops@example.com");
    let made = client.finish(asked).await.json();
    assert_eq!(made["success"], json!(1));
    assert_eq!(made["eab_hmac_key"].as_str().map(str::len), Some(43));
    assert!(client.nonce.is_none());
}
