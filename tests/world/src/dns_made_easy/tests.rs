//! The double against what is known about the API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_lc_rs::hmac;

use super::door::parse_date;
use super::*;
use crate::fault::What;

struct Client {
    http: reqwest::Client,
    world: World,
    api: Api,
    options: Options,
    /// Seconds since 1970 by the server's clock.
    time: Arc<AtomicU64>,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn error(&self) -> String {
        self.json()["error"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

fn client() -> Client {
    let world = World::start(&["example.com"]).expect("loopback");
    let time = Arc::new(AtomicU64::new(1_795_000_000));
    let clock = Arc::clone(&time);
    let options = Options {
        zones: vec!["example.com".to_owned(), "sub.example.com".to_owned()],
        clock: Arc::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed))
        }),
        ..Options::default()
    };
    let api = Api::start(&world, options.clone()).expect("loopback");
    let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .expect("a client");
    Client {
        http,
        world,
        api,
        options,
        time,
    }
}

impl Client {
    fn now(&self) -> SystemTime {
        (self.options.clock)()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let date = httpdate::fmt_http_date(self.now());
        self.signed(method, path, body, &date, &self.options.secret_key)
            .await
    }

    async fn signed(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        date: &str,
        secret: &str,
    ) -> Answer {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let tag = hmac::sign(&key, date.as_bytes());
        let tag: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut request = self
            .http
            .request(method, format!("{}/dns/managed{path}", self.api.url()))
            .header("x-dnsme-apiKey", &self.options.api_key)
            .header("x-dnsme-requestDate", date)
            .header("x-dnsme-hmac", tag);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.text().await.expect("a body"),
        }
    }

    async fn zone(&self) -> u64 {
        let answer = self
            .ask(Method::GET, "/name?domainname=example.com", None)
            .await;
        answer.json()["id"].as_u64().expect("a number")
    }
}

fn txt(name: &str, value: &str) -> Option<Value> {
    Some(json!({
        "type": "TXT", "name": name, "value": value, "ttl": 120, "gtdLocation": "DEFAULT",
    }))
}

#[tokio::test]
async fn a_value_is_created_quoted_found_by_name_served_and_deleted_without_a_body() {
    let client = client();
    let zone = client.zone().await;
    let path = format!("/{zone}/records");
    let made = client
        .ask(Method::POST, &path, txt("_acme-challenge.www", "one"))
        .await;
    assert_eq!(
        (made.status, made.json()["value"].as_str()),
        (201, Some("\"one\""))
    );
    let id = made.json()["id"].as_u64().expect("a number");
    assert!(made.header("location").ends_with(&id.to_string()));
    client
        .ask(
            Method::POST,
            &format!("{path}/"),
            txt("_acme-challenge.www", "\"two\""),
        )
        .await;
    client.ask(Method::POST, &path, txt("other", "three")).await;
    let list = format!("{path}?recordName=_acme-challenge.www&type=TXT");
    let found = client.ask(Method::GET, &list, None).await.json();
    assert_eq!(
        (found["totalRecords"].as_u64(), found["page"].as_u64()),
        (Some(2), Some(0))
    );
    let all = client.ask(Method::GET, &path, None).await.json();
    assert_eq!(all["data"].as_array().map(Vec::len), Some(3));
    let at = "_acme-challenge.www.example.com";
    assert_eq!(client.world.dns().txt(at), ["one", "two"]);
    let gone = client
        .ask(Method::DELETE, &format!("{path}/{id}"), None)
        .await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    assert_eq!(client.world.dns().txt(at), ["two"]);
    let again = client
        .ask(Method::DELETE, &format!("{path}/{id}"), None)
        .await;
    assert_eq!(
        (again.status, again.header("content-type")),
        (404, "text/html;charset=ISO-8859-1")
    );
    assert_eq!(client.api.traffic().count(Class::Create), 3);
    assert_eq!(client.api.traffic().count(Class::Delete), 2);
}

#[tokio::test]
async fn a_duplicate_and_a_bad_record_are_400_with_their_reasons() {
    let client = client();
    let path = format!("/{}/records", client.zone().await);
    client
        .ask(Method::POST, &path, txt("_acme-challenge", "token"))
        .await;
    let twin = client
        .ask(Method::POST, &path, txt("_acme-challenge", "\"token\""))
        .await;
    assert_eq!(twin.status, 400);
    assert_eq!(
        twin.error(),
        "Record with this type (TXT), name (_acme-challenge), and value (\"token\") already exists."
    );
    let table = [
        json!({ "type": "TXT", "name": "a", "value": "b", "ttl": 0 }),
        json!({ "type": "TXT", "name": "a", "value": "b", "ttl": 60, "gtdLocation": "" }),
        json!({ "name": "a" }),
    ];
    for record in table {
        assert_eq!(
            client
                .ask(Method::POST, &path, Some(record.clone()))
                .await
                .status,
            400,
            "{record}"
        );
    }
    let apex = client.ask(Method::POST, &path, txt("", "x")).await;
    assert_eq!((apex.status, apex.json()["name"].as_str()), (201, Some("")));
    assert_eq!(client.world.dns().txt("example.com"), ["x"]);
}

#[tokio::test]
async fn an_unknown_zone_is_an_html_page() {
    let client = client();
    for path in [
        "/name?domainname=www.example.com",
        "/1/records",
        "/x/records",
    ] {
        let answer = client.ask(Method::GET, path, None).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.body.contains("A system error has occurred"),
            "{path}"
        );
    }
    let all = client.ask(Method::GET, "", None).await.json();
    assert_eq!(all["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(client.ask(Method::GET, "/", None).await.json(), all);
}

#[tokio::test]
async fn the_date_is_read_in_every_form_clients_send() {
    let table = [
        ("Wed, 18 Nov 2026 11:06:40 GMT", Some(1_795_000_000)),
        ("Wed, 18 Nov 2026 11:06:40 UTC", Some(1_795_000_000)),
        ("Wed, 18 Nov 2026 11:06:40 +0000", Some(1_795_000_000)),
        ("Mon, 2 Nov 2026 00:00:00 GMT", Some(1_793_577_600)),
        ("dim., 28 août 2022 09:24:45 UTC", None),
        ("2026-11-18T11:06:40Z", None),
        ("", None),
    ];
    for (text, seconds) in table {
        let expected = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(parse_date(text), expected, "{text}");
    }
}

#[tokio::test]
async fn who_may_not_ask_is_told_why() {
    let client = client();
    let good = httpdate::fmt_http_date(client.now());
    let wrong = client.signed(Method::GET, "/", None, &good, "wrong").await;
    assert_eq!(
        (wrong.status, wrong.error().as_str()),
        (403, "Unable to verify HMAC")
    );
    let secret = client.options.secret_key.clone();
    let late = httpdate::fmt_http_date(client.now() - Duration::from_secs(48));
    let late = client.signed(Method::GET, "/", None, &late, &secret).await;
    assert_eq!(
        late.error(),
        "Request sent with date header too far out of sync.  Difference in times is 48000, header \
         value is 1794999952000"
    );
    assert_eq!(late.header("date"), good);
    let early = httpdate::fmt_http_date(client.now() + Duration::from_secs(31));
    let early = client.signed(Method::GET, "/", None, &early, &secret).await;
    assert!(early.error().contains("is -31000, "), "{}", early.error());
    let edge = httpdate::fmt_http_date(client.now() - Duration::from_secs(30));
    assert_eq!(
        client
            .signed(Method::GET, "/", None, &edge, &secret)
            .await
            .status,
        200
    );
    let other = client.http.get(format!("{}/dns/managed", client.api.url()));
    let other = other
        .header("x-dnsme-apiKey", "other")
        .send()
        .await
        .expect("an answer");
    assert_eq!(other.status().as_u16(), 403);
    assert_eq!(
        other.text().await.expect("a body"),
        r#"{"error":["API key not found"]}"#
    );
}

#[tokio::test]
async fn the_limit_is_150_in_five_scrolling_minutes() {
    let client = client();
    for left in (0..150).rev() {
        let answer = client.ask(Method::GET, "/", None).await;
        assert_eq!(answer.header("x-dnsme-requestsRemaining"), left.to_string());
        assert_eq!(answer.header("x-dnsme-requestLimit"), "150");
    }
    let refused = client.ask(Method::GET, "/", None).await;
    assert_eq!(
        (refused.status, refused.error().as_str()),
        (400, "Rate limit exceeded")
    );
    assert_eq!(refused.header("x-dnsme-requestsRemaining"), "0");
    assert_eq!(refused.header("retry-after"), "");
    client.time.fetch_add(300, Ordering::Relaxed);
    assert_eq!(client.ask(Method::GET, "/", None).await.status, 200);
}

#[tokio::test]
async fn the_nth_call_can_fail() {
    let client = client();
    client
        .api
        .fault(Fault::once(Class::Zone, What::Html(StatusCode::BAD_GATEWAY)).after(1));
    let seen = [
        client.ask(Method::GET, "/", None).await,
        client.ask(Method::GET, "/", None).await,
    ];
    assert_eq!(seen.map(|answer| answer.status), [200, 502]);
}
