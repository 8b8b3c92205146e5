//! The double against the public documentation of the API.

use super::*;

struct Client {
    http: reqwest::Client,
    world: World,
    api: Api,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    json: Value,
}

impl Answer {
    fn code(&self) -> u64 {
        self.json["errors"][0]["code"].as_u64().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

fn client(change: impl FnOnce(&mut Options)) -> Client {
    let world = World::start(&["example.com", "example.org"]).expect("loopback");
    let reader = Token {
        dns_edit: false,
        ..Token::for_zones("reader", &["example.com"])
    };
    let blind = Token {
        zone_read: false,
        ..Token::for_zones("blind", &["example.com"])
    };
    let all = Token {
        zones: None,
        ..Token::for_zones("all", &[])
    };
    let mut options = Options {
        tokens: vec![
            Token::for_zones("scoped", &["example.com"]),
            reader,
            blind,
            all,
        ],
        zones: vec!["example.com".to_owned(), "example.org".to_owned()],
        ..Options::default()
    };
    change(&mut options);
    let api = Api::start(&world, options).expect("loopback");
    let root = reqwest::Certificate::from_pem(world.root_pem().as_bytes()).expect("PEM");
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .expect("a client");
    Client { http, world, api }
}

impl Client {
    async fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.api.url()));
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.expect("a body");
        Answer {
            status,
            headers,
            json: serde_json::from_str(&body).expect("JSON"),
        }
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(&format!("Bearer {token}"), Method::GET, path, None)
            .await
    }

    async fn create(&self, path: &str, name: &str, content: &str, ttl: u64) -> Answer {
        let body = json!({ "type": "TXT", "name": name, "content": content, "ttl": ttl });
        self.ask("Bearer scoped", Method::POST, path, Some(body))
            .await
    }
}

fn records(zone: &str) -> String {
    format!("/zones/{}/dns_records", identifier(zone))
}

#[tokio::test]
async fn a_record_is_created_quoted_listed_served_and_deleted() {
    let client = client(|_options| {});
    let zones = client.get("scoped", "/zones?name=example.com").await;
    assert_eq!(zones.json["result"][0]["id"], identifier("example.com"));
    assert_eq!(zones.json["result_info"]["total_count"], 1);
    let path = records("example.com");
    let name = "_acme-challenge.example.com";
    let made = client.create(&path, name, "one", 60).await;
    assert_eq!((made.status, &made.json["success"]), (200, &json!(true)));
    assert_eq!(made.json["result"]["content"], "\"one\"");
    client.create(&path, name, "\"two\"", 1).await;
    client
        .create(&path, "other.example.com", "three", 120)
        .await;
    let found = client
        .get("scoped", &format!("{path}?type=TXT&name={name}"))
        .await;
    assert_eq!(found.json["result_info"]["total_count"], 2);
    assert_eq!(client.world.dns().txt(name), ["one", "two"]);
    let id = made.json["result"]["id"].as_str().expect("text").to_owned();
    let own = format!("{path}/{id}");
    let gone = client
        .ask("Bearer scoped", Method::DELETE, &own, None)
        .await;
    assert_eq!((gone.status, &gone.json["result"]["id"]), (200, &json!(id)));
    assert_eq!(client.world.dns().txt(name), ["two"]);
    let again = client
        .ask("Bearer scoped", Method::DELETE, &own, None)
        .await;
    assert_eq!((again.status, again.code()), (404, 81044));
    assert_eq!(client.api.traffic().count(Class::Create), 3);
}

#[tokio::test]
async fn records_that_cannot_be_are_refused_with_their_codes() {
    let client = client(|_options| {});
    let path = records("example.com");
    client.create(&path, "a.example.com", "x", 60).await;
    let table = [
        ("a.example.com", "x", 60, 81058),
        ("a.example.com", "\"x\"", 120, 81058),
        ("b.example.com", "x", 10, 9021),
        ("b.example.com", "", 60, 9020),
        ("", "x", 60, 9000),
    ];
    for (name, content, ttl, code) in table {
        let answer = client.create(&path, name, content, ttl).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, code),
            "{name} {content} {ttl}"
        );
    }
}

#[tokio::test]
async fn a_token_opens_only_what_it_is_for() {
    let client = client(|_options| {});
    let (own, other) = (records("example.com"), records("example.org"));
    let table = [
        ("", "/zones", 400, 9106),
        ("Basic x", "/zones", 400, 6003),
        ("Bearer wrong", "/zones", 403, 9109),
        ("Bearer blind", "/zones", 403, 9109),
        ("Bearer scoped", other.as_str(), 403, 10000),
        ("Bearer reader", own.as_str(), 403, 10000),
        ("Bearer all", "/zones/nonsense/dns_records", 400, 7003),
        ("Bearer all", "/nowhere", 400, 7003),
    ];
    for (token, path, status, code) in table {
        let answer = client.ask(token, Method::GET, path, None).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{token} {path}"
        );
        assert_eq!(answer.json["success"], json!(false));
    }
    assert_eq!(
        client.get("scoped", "/zones?name=example.org").await.json["result"],
        json!([])
    );
    assert_eq!(
        client.get("all", "/zones").await.json["result_info"]["count"],
        2
    );
    assert_eq!(client.get("blind", &own).await.status, 200);
    let verified = client.get("reader", "/user/tokens/verify").await;
    assert_eq!(verified.json["result"]["status"], "active");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let client = client(|options| options.page_cap = Some(2));
    for nth in 0..5 {
        client
            .api
            .add_record("example.com", "TXT", "a.example.com", &nth.to_string());
    }
    let mut seen = Vec::new();
    for page in 1..=4 {
        let path = format!("{}?page={page}&per_page=100", records("example.com"));
        let answer = client.get("scoped", &path).await;
        assert_eq!(answer.json["result_info"]["total_pages"], 3);
        let rows = answer.json["result"].as_array().expect("rows").clone();
        seen.push(
            rows.iter()
                .map(|row| row["content"].to_string())
                .collect::<Vec<_>>()
                .len(),
        );
    }
    assert_eq!(seen, [2, 2, 1, 0]);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let client = client(|options| {
        options.limit = 2;
        options.clock = Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000));
    });
    let first = client.get("scoped", "/zones").await;
    assert_eq!(first.header("ratelimit"), "\"default\";r=1;t=300");
    client.get("scoped", "/zones").await;
    let refused = client.get("scoped", "/zones").await;
    assert_eq!(
        (
            refused.status,
            refused.code(),
            refused.header("retry-after")
        ),
        (429, 971, "300")
    );
}
