//! A host whose network is an account at the API, in memory.
//!
//! It behaves as the real API was observed to: strict about keys, signature and clock, 150 requests
//! for everything, rate limits as 400, unknown zones as an HTML page, deletions with an empty body,
//! values in quotes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bindings::waxwing::host::http::{HttpError, Part, Request, Response};
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::host::secrets::SecretError;
use crate::date;
use crate::host::Host;

pub(crate) const NOW: u64 = 1_795_478_751_000;
const HTML: &str = "<html><body>A system error has occurred</body></html>";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) zone: u64,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) value: String,
}

pub(crate) struct Account {
    pub(crate) zones: Vec<(u64, String)>,
    pub(crate) records: RefCell<Vec<Record>>,
    pub(crate) zones_a_page: usize,
    /// False: the page asked for is ignored, as if the parameter did not exist.
    pub(crate) pages_work: bool,
    pub(crate) may_list_zones: bool,
    pub(crate) key_is_known: bool,
    pub(crate) budget: Cell<u32>,
    /// The status of a refusal over the date, which the vendor does not document.
    pub(crate) date_status: u16,
    /// The server's clock minus the host's.
    pub(crate) skew_ms: i64,
    pub(crate) remaining_ms: Cell<u64>,
    /// The server acts on the request of this number, but the answer is lost.
    pub(crate) loses_answer_of: Option<usize>,
    /// Answers that come in place of the real ones, by number of the request.
    pub(crate) instead: BTreeMap<usize, Response>,
    pub(crate) requests: RefCell<Vec<String>>,
    pub(crate) dates: RefCell<Vec<String>>,
    pub(crate) log: RefCell<Vec<String>>,
    pub(crate) state: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) state_works: bool,
    pub(crate) next_id: Cell<u64>,
}

impl Account {
    pub(crate) fn with_zones(names: &[&str]) -> Self {
        Self {
            zones: (1000..)
                .zip(names.iter().map(ToString::to_string))
                .collect(),
            records: RefCell::default(),
            zones_a_page: 1000,
            pages_work: true,
            may_list_zones: true,
            key_is_known: true,
            budget: Cell::new(150),
            date_status: 403,
            skew_ms: 0,
            remaining_ms: Cell::new(120_000),
            loses_answer_of: None,
            instead: BTreeMap::new(),
            requests: RefCell::default(),
            dates: RefCell::default(),
            log: RefCell::default(),
            state: RefCell::default(),
            state_works: true,
            next_id: Cell::new(1),
        }
    }

    /// Puts a record there that is not ours.
    pub(crate) fn put(&self, zone: u64, kind: &str, name: &str, value: &str) -> u64 {
        let id = self.next_id.replace(self.next_id.get() + 1);
        self.records.borrow_mut().push(Record {
            id,
            zone,
            kind: kind.to_owned(),
            name: name.to_owned(),
            value: format!("\"{value}\""),
        });
        id
    }

    /// Name and value of every TXT record.
    pub(crate) fn txt(&self) -> Vec<(String, String)> {
        self.records
            .borrow()
            .iter()
            .filter(|record| record.kind == "TXT")
            .map(|record| {
                (
                    record.name.clone(),
                    record.value.trim_matches('"').to_owned(),
                )
            })
            .collect()
    }

    fn server_now(&self) -> u64 {
        NOW.saturating_add_signed(self.skew_ms)
    }

    fn answer(&self, request: &Request, query: &BTreeMap<String, String>) -> (u16, String) {
        let url = request
            .url
            .strip_prefix("https://api.dnsmadeeasy.com/V2.0/dns/managed")
            .expect("the production endpoint");
        let segments: Vec<&str> = url.split('/').filter(|part| !part.is_empty()).collect();
        let html = (404, HTML.to_owned());
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", []) if !self.may_list_zones => (403, error("Not allowed")),
            ("GET", []) => {
                let pages = self.zones.len().div_ceil(self.zones_a_page).max(1);
                let page = match query.get("page") {
                    Some(page) if self.pages_work => page.parse().expect("a page"),
                    _ => 0,
                };
                let data: Vec<Value> = self
                    .zones
                    .iter()
                    .skip(page * self.zones_a_page)
                    .take(self.zones_a_page)
                    .map(|(id, name)| json!({"id": id, "name": name, "folderId": 7}))
                    .collect();
                let body = json!({"totalPages": pages, "totalRecords": self.zones.len(), "page": page, "data": data});
                (200, body.to_string())
            }
            ("GET", ["name"]) => self
                .zones
                .iter()
                .find(|(_, name)| Some(name) == query.get("domainname"))
                .map_or(html, |(id, name)| {
                    (200, json!({"id": id, "name": name}).to_string())
                }),
            ("GET", [zone, "records"]) => {
                let data: Vec<Value> = self
                    .records
                    .borrow()
                    .iter()
                    .filter(|record| record.zone.to_string() == *zone)
                    .filter(|record| match query.get("recordName").map(String::as_str) {
                        None | Some("") => true,
                        Some(name) => record.name.eq_ignore_ascii_case(name),
                    })
                    .filter(|record| query.get("type").is_none_or(|kind| record.kind == *kind))
                    .map(|record| {
                        json!({"id": record.id, "name": record.name, "type": record.kind,
                               "value": record.value, "ttl": 120, "gtdLocation": "DEFAULT"})
                    })
                    .collect();
                let pages = usize::from(!data.is_empty());
                let body = json!({"totalPages": pages, "totalRecords": data.len(), "page": 0, "data": data});
                (200, body.to_string())
            }
            ("POST", [zone, "records"]) => {
                let body = request.body.iter().map(plain).collect::<String>();
                let body: Value = serde_json::from_str(&body).expect("a JSON body");
                let (name, value) = (
                    body["name"].as_str().expect("a name"),
                    body["value"].as_str().expect("a value"),
                );
                let zone: u64 = zone.parse().expect("a zone id");
                if !self.zones.iter().any(|(id, _)| *id == zone) {
                    return html;
                }
                if body["ttl"].as_u64() == Some(0) {
                    return (400, error("Record TTL must be greater than zero"));
                }
                let quoted = format!("\"{value}\"");
                let exists = self.records.borrow().iter().any(|record| {
                    record.zone == zone && record.name == name && record.value == quoted
                });
                if exists {
                    let words = format!(
                        "Record with this type (TXT), name ({name}), and value ({quoted}) already exists."
                    );
                    return (400, error(&words));
                }
                let id = self.put(zone, "TXT", name, value);
                let body = json!({"id": id, "name": name, "type": "TXT", "value": quoted, "ttl": body["ttl"]});
                (201, body.to_string())
            }
            ("DELETE", [zone, "records", id]) => {
                let mut records = self.records.borrow_mut();
                let before = records.len();
                records.retain(|record| {
                    record.zone.to_string() != *zone || record.id.to_string() != *id
                });
                if records.len() == before {
                    html
                } else {
                    (200, String::new())
                }
            }
            _ => html,
        }
    }

    fn admit(&self, request: &Request) -> Option<(u16, String)> {
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|header| header.name == name)
                .map(|header| header.value.iter().map(plain).collect::<String>())
                .expect("every request carries the three headers")
        };
        if self.budget.get() == 0 {
            return Some((400, error("Rate limit exceeded")));
        }
        // A request that is refused counts like any other.
        self.budget.set(self.budget.get() - 1);
        let date = header("x-dnsme-requestDate");
        self.dates.borrow_mut().push(date.clone());
        if header("x-dnsme-apiKey") != "{api-key}" || !self.key_is_known {
            return Some((403, error("API key not found")));
        }
        let Some(theirs) = date::parse(&date) else {
            return Some((
                self.date_status,
                error(&format!("Invalid request date header: {date}")),
            ));
        };
        let apart = self.server_now().abs_diff(theirs);
        if apart > 30_000 {
            let words = format!(
                "Request sent with date header too far out of sync.  Difference in times is {apart}, header value is {theirs}"
            );
            return Some((self.date_status, error(&words)));
        }
        let signature: String = sign(date.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if header("x-dnsme-hmac") != signature {
            return Some((403, error("Unable to verify HMAC")));
        }
        None
    }
}

impl Host for Account {
    fn now_unix_ms(&self) -> u64 {
        NOW
    }

    fn remaining_ms(&self) -> u64 {
        self.remaining_ms.get()
    }

    fn hmac_sha1(&self, secret: &str, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        assert_eq!(secret, "secret-key");
        Ok(sign(data))
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let query: BTreeMap<String, String> = request
            .query
            .iter()
            .map(|pair| {
                (
                    pair.name.clone(),
                    pair.value.iter().map(plain).collect::<String>(),
                )
            })
            .collect();
        let number = self.requests.borrow().len();
        let path = request.url.split("/V2.0").nth(1).unwrap_or_default();
        self.requests
            .borrow_mut()
            .push(format!("{} {path}", request.method));
        if let Some(response) = self.instead.get(&number) {
            return Ok(response.clone());
        }
        let (status, body) = self
            .admit(request)
            .unwrap_or_else(|| self.answer(request, &query));
        if self.loses_answer_of == Some(number) {
            return Err(HttpError::Timeout("no answer within 30 s".to_owned()));
        }
        Ok(Response {
            status,
            headers: vec![
                ("date".to_owned(), date::format(self.server_now())),
                ("x-dnsme-requestlimit".to_owned(), "150".to_owned()),
                (
                    "x-dnsme-requestsremaining".to_owned(),
                    self.budget.get().to_string(),
                ),
            ],
            body: body.into_bytes(),
        })
    }

    fn remembered(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().get(key).cloned()
    }

    fn remember(&self, key: &str, value: &[u8]) -> bool {
        if self.state_works && value.len() <= 16 * 1024 {
            self.state
                .borrow_mut()
                .insert(key.to_owned(), value.to_vec());
        }
        self.state_works
    }

    fn log(&self, _level: Level, message: &str, fields: &[(&str, &str)]) {
        self.log.borrow_mut().push(format!("{message} {fields:?}"));
    }
}

/// Stands in for HMAC-SHA1: any function of key and data shows that the right data is signed.
fn sign(data: &[u8]) -> Vec<u8> {
    data.iter().rev().map(|byte| byte ^ 0x5a).collect()
}

fn plain(part: &Part) -> String {
    match part {
        Part::Text(text) => text.clone(),
        Part::Bytes(bytes) => String::from_utf8(bytes.clone()).expect("text"),
        Part::Secret(hidden) => format!("{{{}}}", hidden.name),
        Part::Artifact(hidden) => panic!("a DNS plugin asked for the artifact {}", hidden.name),
    }
}

fn error(words: &str) -> String {
    json!({ "error": [words] }).to_string()
}
