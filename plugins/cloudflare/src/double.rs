//! A host whose network is an account at the API, in memory, as its public documentation and the
//! errors seen by other clients describe it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bindings::waxwing::host::http::{Auth, HttpError, Part, Request, Response};
use crate::host::Host;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) zone: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) content: String,
}

pub(crate) struct Account {
    /// What the token sees, with ids.
    pub(crate) zones: Vec<(String, String)>,
    /// Zones whose records the token may not edit.
    pub(crate) read_only: Vec<String>,
    pub(crate) may_read_zones: bool,
    /// False: a list of zones has to name one.
    pub(crate) may_list_zones: bool,
    pub(crate) token_is_good: bool,
    pub(crate) budget: Cell<u32>,
    pub(crate) remaining_ms: Cell<u64>,
    /// The server acts on the request of this number, but the answer is lost.
    pub(crate) loses_answer_of: Option<usize>,
    /// Answers that come in place of the real ones, by number of the request.
    pub(crate) instead: BTreeMap<usize, Response>,
    pub(crate) records: RefCell<Vec<Record>>,
    pub(crate) requests: RefCell<Vec<String>>,
    pub(crate) state: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) next_id: Cell<u64>,
}

impl Account {
    pub(crate) fn with_zones<S: AsRef<str>>(names: &[S]) -> Self {
        Self {
            zones: names
                .iter()
                .enumerate()
                .map(|(number, name)| (zone_id(number), name.as_ref().to_owned()))
                .collect(),
            read_only: Vec::new(),
            may_read_zones: true,
            may_list_zones: true,
            token_is_good: true,
            budget: Cell::new(1200),
            remaining_ms: Cell::new(120_000),
            loses_answer_of: None,
            instead: BTreeMap::new(),
            records: RefCell::default(),
            requests: RefCell::default(),
            state: RefCell::default(),
            next_id: Cell::new(1),
        }
    }

    /// Puts a record there that is not ours.
    pub(crate) fn put(&self, zone: &str, kind: &str, name: &str, content: &str) -> String {
        let number = self.next_id.replace(self.next_id.get() + 1);
        let id = format!("{number:032x}");
        self.records.borrow_mut().push(Record {
            id: id.clone(),
            zone: zone.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            content: content.to_owned(),
        });
        id
    }

    /// Name and content of every TXT record.
    pub(crate) fn txt(&self) -> Vec<(String, String)> {
        self.records
            .borrow()
            .iter()
            .filter(|record| record.kind == "TXT")
            .map(|record| (record.name.clone(), record.content.clone()))
            .collect()
    }

    fn answer(&self, request: &Request, query: &BTreeMap<String, String>) -> (u16, Value) {
        if !self.token_is_good {
            return error(403, 9109, "Invalid access token");
        }
        if self.budget.get() == 0 {
            return error(
                429,
                971,
                "Please wait and consider throttling your request speed",
            );
        }
        self.budget.set(self.budget.get() - 1);
        let path = request
            .url
            .strip_prefix("https://api.cloudflare.com/client/v4/")
            .expect("the usual endpoint");
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["zones"]) if !self.may_read_zones => {
                error(403, 9109, "Unauthorized to access requested resource")
            }
            ("GET", ["zones"]) if !self.may_list_zones && !query.contains_key("name") => error(
                403,
                0,
                "Actor 'com.cloudflare.api.token.1' requires permission \
                 'com.cloudflare.api.account.zone.list' to list zones",
            ),
            ("GET", ["zones"]) => {
                let zones: Vec<Value> = self
                    .zones
                    .iter()
                    .filter(|(_, name)| query.get("name").is_none_or(|wanted| wanted == name))
                    .map(|(id, name)| json!({"id": id, "name": name, "status": "active"}))
                    .collect();
                let total = zones.len();
                success(page_of(zones, query, 20), total, query)
            }
            ("GET", ["zones", id]) => match self.zones.iter().find(|(zone, _)| zone == id) {
                Some((id, name)) if self.may_read_zones => {
                    success(json!({"id": id, "name": name}), 1, query)
                }
                _ => error(403, 10000, "Authentication error"),
            },
            (_, ["zones", zone, "dns_records", ..]) if !is_zone_id(zone) => error(
                400,
                7003,
                "Could not route to /zones/…, perhaps your object identifier is invalid?",
            ),
            // What exists and may not be seen is answered like what does not exist.
            (_, ["zones", zone, "dns_records", ..])
                if !self.zones.iter().any(|(id, _)| id == zone) =>
            {
                error(403, 10000, "Authentication error")
            }
            ("GET", ["zones", zone, "dns_records"]) => {
                let records: Vec<Value> = self
                    .records
                    .borrow()
                    .iter()
                    .filter(|record| record.zone == *zone)
                    .filter(|record| query.get("name").is_none_or(|name| *name == record.name))
                    .filter(|record| query.get("type").is_none_or(|kind| *kind == record.kind))
                    .map(|record| {
                        json!({"id": record.id, "name": record.name, "type": record.kind,
                               "content": record.content, "ttl": 60, "proxied": false})
                    })
                    .collect();
                let total = records.len();
                success(page_of(records, query, 100), total, query)
            }
            ("POST", ["zones", zone, "dns_records"]) => {
                if self.read_only.iter().any(|id| id == zone) {
                    return error(403, 10000, "Authentication error");
                }
                let body: String = request.body.iter().map(plain).collect();
                let body: Value = serde_json::from_str(&body).expect("a JSON body");
                let field = |name: &str| body[name].as_str().expect("a string").to_owned();
                let (name, content) = (field("name"), field("content"));
                assert!(
                    content.len() > 2 && content.starts_with('"') && content.ends_with('"'),
                    "content is quoted: {content}"
                );
                let records = self.records.borrow().clone();
                let same_name = || records.iter().filter(|record| record.name == name);
                if same_name().any(|record| record.kind == "CNAME") {
                    return error(400, 81057, "Record already exists.");
                }
                if same_name()
                    .any(|record| record.content.trim_matches('"') == content.trim_matches('"'))
                {
                    return error(400, 81058, "An identical record already exists.");
                }
                let id = self.put(zone, "TXT", &name, &content);
                success(
                    json!({"id": id, "name": name, "content": content}),
                    1,
                    query,
                )
            }
            ("DELETE", ["zones", zone, "dns_records", id]) => {
                let mut records = self.records.borrow_mut();
                let before = records.len();
                records.retain(|record| record.zone != *zone || record.id != *id);
                if records.len() == before {
                    error(404, 81044, "Record does not exist.")
                } else {
                    success(json!({"id": id}), 1, query)
                }
            }
            _ => error(400, 7000, "No route for that URI"),
        }
    }
}

impl Host for Account {
    fn remaining_ms(&self) -> u64 {
        self.remaining_ms.get()
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        assert_eq!(request.auth, Auth::Bearer("token".to_owned()));
        let query: BTreeMap<String, String> = request
            .query
            .iter()
            .map(|pair| (pair.name.clone(), pair.value.iter().map(plain).collect()))
            .collect();
        let number = self.requests.borrow().len();
        let path = request.url.split("/client/v4").nth(1).unwrap_or_default();
        self.requests
            .borrow_mut()
            .push(format!("{} {path}", request.method));
        if let Some(response) = self.instead.get(&number) {
            return Ok(response.clone());
        }
        let (status, body) = self.answer(request, &query);
        if self.loses_answer_of == Some(number) {
            return Err(HttpError::Timeout("no answer within 30 s".to_owned()));
        }
        Ok(Response {
            status,
            headers: if status == 429 {
                vec![("retry-after".to_owned(), "42".to_owned())]
            } else {
                Vec::new()
            },
            body: body.to_string().into_bytes(),
        })
    }

    fn remembered(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().get(key).cloned()
    }

    fn remember(&self, key: &str, value: &[u8]) {
        self.state
            .borrow_mut()
            .insert(key.to_owned(), value.to_vec());
    }
}

fn is_zone_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn zone_id(number: usize) -> String {
    format!("{:032x}", 0xa000 + number)
}

fn plain(part: &Part) -> String {
    match part {
        Part::Text(text) => text.clone(),
        other => panic!("nothing but text is sent: {other:?}"),
    }
}

fn number(query: &BTreeMap<String, String>, name: &str, default: usize) -> usize {
    query
        .get(name)
        .map_or(default, |text| text.parse().expect("a number"))
}

fn page_of(all: Vec<Value>, query: &BTreeMap<String, String>, default: usize) -> Value {
    let size = number(query, "per_page", default);
    let page = number(query, "page", 1);
    all.into_iter().skip((page - 1) * size).take(size).collect()
}

fn success(result: Value, total: usize, query: &BTreeMap<String, String>) -> (u16, Value) {
    let size = number(query, "per_page", 20);
    let info = json!({"page": number(query, "page", 1), "per_page": size, "total_count": total,
                      "total_pages": total.div_ceil(size)});
    let body = json!({"success": true, "errors": [], "messages": [], "result": result,
                      "result_info": info});
    (200, body)
}

fn error(status: u16, code: u64, message: &str) -> (u16, Value) {
    let body = json!({"success": false, "errors": [{"code": code, "message": message}],
                      "messages": [], "result": null});
    (status, body)
}
