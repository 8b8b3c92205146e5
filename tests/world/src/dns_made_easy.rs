//! The DNS Made Easy API V2.0 as it behaves, not as one would wish.
//!
//! Signatures over the date string alone, with a narrow window around the server's clock; the rate
//! limit answered as 400 without a `Retry-After`; an HTML page for a zone that does not exist; an
//! empty body after a deletion; TXT values stored with their quotes. Records it holds are served by
//! the world's name servers.

mod door;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use hickory_proto::rr::RData;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::World;
use crate::dns::{self, RecordId, Zones};
use crate::fault::{Fault, Faults};
use crate::guarded::Guarded;
use crate::server::{Https, Place, Setup};
use crate::traffic::{Class, Traffic};
use crate::window::{Clock, Window, system_clock};
use door::Reply;

/// Where the API's paths start.
const ROOT: &str = "/V2.0";

/// Requests an account may make in [`LIMIT_WINDOW`].
const LIMIT: usize = 150;

/// The scrolling window of the rate limit.
const LIMIT_WINDOW: Duration = Duration::from_secs(300);

/// An account at this provider.
#[derive(Clone)]
pub struct Options {
    /// Where the API is; without it, at a port on loopback.
    pub place: Option<Place>,
    /// The API key, sent in the clear.
    pub api_key: String,
    /// The secret key, which signs.
    pub secret_key: String,
    /// The zones of the account; only those the world's name servers hold become visible there.
    pub zones: Vec<String>,
    /// The server's clock.
    pub clock: Clock,
    /// The status of a refusal over the date, which the vendor does not document.
    pub date_status: StatusCode,
    /// Requests per five minutes.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            place: None,
            api_key: "1c1a3c91-4770-4ce7-96f4-54c0eb0e457a".to_owned(),
            secret_key: "c9b5625f-9834-4ff8-baba-4ed5f32cae55".to_owned(),
            zones: Vec::new(),
            clock: system_clock(),
            date_status: StatusCode::FORBIDDEN,
            limit: LIMIT,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

/// The running API.
#[derive(Debug)]
pub struct Api {
    account: Arc<Account>,
    https: Https,
}

#[derive(Debug)]
struct Account {
    options: Options,
    book: Guarded<Book>,
    window: Guarded<Window>,
    names: Guarded<Zones>,
}

/// Zones and records by their numbers.
#[derive(Debug, Default)]
struct Book {
    zones: BTreeMap<u64, String>,
    records: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    zone: u64,
    name: String,
    kind: String,
    /// With its quotes, for TXT.
    value: String,
    ttl: u64,
    shown: Option<RecordId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewRecord {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    value: String,
    ttl: u64,
    gtd_location: Option<String>,
}

impl Api {
    /// Starts the API; its records appear at the world's name servers.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(world: &World, options: Options) -> io::Result<Self> {
        let mut book = Book {
            next: 1_000_001,
            ..Book::default()
        };
        for (zone, id) in options.zones.iter().zip(870_001..) {
            book.zones
                .insert(id, zone.trim_end_matches('.').to_ascii_lowercase());
        }
        let account = Arc::new(Account {
            book: Guarded::new(book),
            window: Guarded::new(Window::new(options.limit, LIMIT_WINDOW)),
            names: world.dns().zones().clone(),
            options,
        });
        let router = Router::new()
            .fallback(door::serve)
            .with_state(Arc::clone(&account));
        let setup = Setup {
            classify: Arc::new(classify),
            ..Setup::at(account.options.place.as_ref())
        };
        Ok(Self {
            account,
            https: Https::start_with(world, router, setup)?,
        })
    }

    /// The base address, as a client is configured with: `https://localhost:port/V2.0`.
    pub fn url(&self) -> String {
        format!("{}{ROOT}", self.https.url())
    }

    /// What it was asked.
    pub fn traffic(&self) -> &Traffic {
        self.https.traffic()
    }

    /// What it still gets wrong.
    pub fn faults(&self) -> &Faults {
        self.https.faults()
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.https.faults().add(fault);
    }

    /// Adds a record as somebody else would, without a request: the number it got, or nothing if
    /// the account has no such zone or the record is there already. `name` is relative to `zone`.
    pub fn add_record(&self, zone: &str, kind: &str, name: &str, value: &str) -> Option<u64> {
        let new = NewRecord {
            kind: kind.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
            ttl: 1800,
            gtd_location: None,
        };
        let zone = self.account.book.with(|book| {
            book.zones
                .iter()
                .find(|(_id, held)| *held == zone)
                .map(|(id, _zone)| *id)
        })?;
        self.account.create(zone, new).ok().map(|(id, _entry)| id)
    }

    /// All records as name relative to the zone, type and value as stored.
    pub fn records(&self) -> Vec<(String, String, String)> {
        self.account.book.with(|book| {
            let view =
                |entry: &Entry| (entry.name.clone(), entry.kind.clone(), entry.value.clone());
            book.records.values().map(view).collect()
        })
    }
}

impl Account {
    fn route(&self, parts: &http::request::Parts, body: &[u8]) -> Reply {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|Query(pairs)| pairs)
            .unwrap_or_default();
        let path = parts
            .uri
            .path()
            .strip_prefix("/V2.0/dns/managed")
            .unwrap_or("?");
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let field = |name: &str| {
            query
                .iter()
                .find(|(key, _value)| key == name)
                .map(|(_key, value)| value.as_str())
        };
        let number = |text: &str| text.parse::<u64>().ok();
        match (&parts.method, segments.as_slice()) {
            (&Method::GET, []) => self.zones(),
            (&Method::GET, ["name"]) => self.zone(field("domainname").unwrap_or_default()),
            (&Method::GET, [zone, "records"]) => match self.known(number(zone)) {
                Some(zone) => self.list(zone, field("recordName"), field("type")),
                None => Reply::html(),
            },
            (&Method::POST, [zone, "records"]) => match self.known(number(zone)) {
                Some(zone) => self.create_one(zone, body),
                None => Reply::html(),
            },
            (&Method::POST, [zone, "records", "createMulti"]) => match self.known(number(zone)) {
                Some(zone) => self.create_many(zone, body),
                None => Reply::html(),
            },
            (&Method::DELETE, [zone, "records", id]) => {
                match (self.known(number(zone)), number(id)) {
                    (Some(zone), Some(id)) => self.delete(zone, &[id]),
                    _ => Reply::html(),
                }
            }
            (&Method::DELETE, [zone, "records"]) => {
                let ids: Vec<u64> = query
                    .iter()
                    .filter(|(key, _value)| key == "ids")
                    .filter_map(|(_key, value)| number(value))
                    .collect();
                match self.known(number(zone)) {
                    Some(zone) => self.delete(zone, &ids),
                    None => Reply::html(),
                }
            }
            _ => Reply::html(),
        }
    }

    fn known(&self, zone: Option<u64>) -> Option<u64> {
        zone.filter(|zone| self.book.with(|book| book.zones.contains_key(zone)))
    }

    fn zones(&self) -> Reply {
        let data: Vec<Value> = self.book.with(|book| {
            book.zones
                .iter()
                .map(|(id, name)| zone_json(*id, name))
                .collect()
        });
        let total = data.len();
        let page = json!({ "totalPages": 1, "totalRecords": total, "page": 0, "data": data });
        Reply::json(StatusCode::OK, &page)
    }

    fn zone(&self, name: &str) -> Reply {
        let name = name.to_ascii_lowercase();
        let found = self.book.with(|book| {
            book.zones
                .iter()
                .find(|(_id, held)| **held == name)
                .map(|(id, _zone)| *id)
        });
        match found {
            Some(id) => {
                let mut zone = zone_json(id, &name);
                zone["nameServers"] =
                    json!([{ "fqdn": format!("ns1.{name}"), "ipv4": "127.0.0.1" }]);
                zone["delegateNameServers"] = json!([format!("ns1.{name}.")]);
                Reply::json(StatusCode::OK, &zone)
            }
            None => Reply::html(),
        }
    }

    fn list(&self, zone: u64, name: Option<&str>, kind: Option<&str>) -> Reply {
        let data: Vec<Value> = self.book.with(|book| {
            book.records
                .iter()
                .filter(|(_id, entry)| {
                    // An empty name is taken for none: what a client then gets is everything.
                    let name = name.filter(|name| !name.is_empty());
                    entry.zone == zone
                        && name.is_none_or(|name| entry.name.eq_ignore_ascii_case(name))
                        && kind.is_none_or(|kind| entry.kind == kind)
                })
                .map(|(id, entry)| record_json(*id, entry))
                .collect()
        });
        let total = data.len();
        let pages = usize::from(total > 0);
        let page = json!({ "totalPages": pages, "totalRecords": total, "page": 0, "data": data });
        Reply::json(StatusCode::OK, &page)
    }

    fn create_one(&self, zone: u64, body: &[u8]) -> Reply {
        let new: NewRecord = match serde_json::from_slice(body) {
            Ok(new) => new,
            Err(wrong) => return Reply::error(StatusCode::BAD_REQUEST, format!("{wrong}")),
        };
        match self.create(zone, new) {
            Ok((id, entry)) => {
                let mut reply = Reply::json(StatusCode::CREATED, &record_json(id, &entry));
                reply.location = Some(format!("{ROOT}/dns/managed/{zone}/records/{id}"));
                reply
            }
            Err(text) => Reply::error(StatusCode::BAD_REQUEST, text),
        }
    }

    fn create_many(&self, zone: u64, body: &[u8]) -> Reply {
        let new: Vec<NewRecord> = match serde_json::from_slice(body) {
            Ok(new) => new,
            Err(wrong) => return Reply::error(StatusCode::BAD_REQUEST, format!("{wrong}")),
        };
        let mut made = Vec::new();
        for new in new {
            match self.create(zone, new) {
                Ok((id, entry)) => made.push(record_json(id, &entry)),
                Err(text) => return Reply::error(StatusCode::BAD_REQUEST, text),
            }
        }
        Reply::json(StatusCode::CREATED, &Value::Array(made))
    }

    fn create(&self, zone: u64, new: NewRecord) -> Result<(u64, Entry), String> {
        if new.ttl == 0 {
            return Err("Record TTL must be greater than zero".to_owned());
        }
        if new.gtd_location.is_some_and(|location| location.is_empty()) {
            return Err("Invalid GTD location".to_owned());
        }
        let name = match new.name.as_str() {
            "@" => String::new(),
            name => name.to_ascii_lowercase(),
        };
        let value = match new.kind.as_str() {
            "TXT" => dns::quote(&new.value, ""),
            _ => new.value,
        };
        self.book.with(|book| {
            let twin = book.records.values().any(|entry| {
                entry.zone == zone
                    && entry.name == name
                    && entry.kind == new.kind
                    && entry.value == value
            });
            if twin {
                return Err(format!(
                    "Record with this type ({}), name ({name}), and value ({value}) already \
                     exists.",
                    new.kind
                ));
            }
            let suffix = book.zones.get(&zone).cloned().unwrap_or_default();
            let full = match name.is_empty() {
                true => suffix,
                false => format!("{name}.{suffix}"),
            };
            let shown = match new.kind.as_str() {
                // A zone that is not delegated to the world's servers is invisible there.
                "TXT" => dns::add(
                    &self.names,
                    &full,
                    RData::TXT(dns::txt(&dns::unquote(&value, ""))),
                )
                .ok(),
                _ => None,
            };
            let entry = Entry {
                zone,
                name,
                kind: new.kind,
                value,
                ttl: new.ttl,
                shown,
            };
            let id = book.next;
            book.next += 1;
            book.records.insert(id, entry.clone());
            Ok((id, entry))
        })
    }

    fn delete(&self, zone: u64, ids: &[u64]) -> Reply {
        let gone: Vec<Entry> = self.book.with(|book| {
            let mine = ids
                .iter()
                .filter(|id| book.records.get(id).is_some_and(|entry| entry.zone == zone));
            let mine: Vec<u64> = mine.copied().collect();
            mine.iter()
                .filter_map(|id| book.records.remove(id))
                .collect()
        });
        if gone.is_empty() {
            return Reply::html();
        }
        self.names.with(|names| {
            for id in gone.iter().filter_map(|entry| entry.shown) {
                names.remove(id);
            }
        });
        Reply {
            status: StatusCode::OK,
            body: String::new(),
            kind: "",
            location: None,
        }
    }
}

fn zone_json(id: u64, name: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "folderId": 1,
        "gtdEnabled": false,
        "processMulti": false,
        "activeThirdParties": [],
        "pendingActionId": 0,
        "created": 1_521_504_000_000_u64,
        "updated": 1_521_504_000_000_u64,
    })
}

fn record_json(id: u64, entry: &Entry) -> Value {
    json!({
        "id": id,
        "name": entry.name,
        "type": entry.kind,
        "value": entry.value,
        "ttl": entry.ttl,
        "source": 1,
        "sourceId": entry.zone,
        "gtdLocation": "DEFAULT",
        "dynamicDns": false,
        "failover": false,
        "failed": false,
        "monitor": false,
        "hardLink": false,
    })
}

fn classify(method: &Method, path: &str) -> Class {
    let Some(rest) = path.strip_prefix("/V2.0/dns/managed") else {
        return Class::Other;
    };
    match (method, rest.contains("/records")) {
        (&Method::GET, false) => Class::Zone,
        (&Method::GET, true) => Class::Records,
        (&Method::POST, true) => Class::Create,
        (&Method::DELETE, true) => Class::Delete,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests;
