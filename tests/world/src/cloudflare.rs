//! The Cloudflare API v4, as far as a DNS-01 client meets it, from its public documentation.
//!
//! Bearer tokens that see some zones and may do some things there, the envelope around every
//! answer, pages, TXT content in quotes, and 429 with `Retry-After`. Records it holds are served by
//! the world's name servers.

mod door;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Query;
use hickory_proto::rr::RData;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::World;
use crate::dns::{self, RecordId, Zones};
use crate::fault::{Fault, Faults};
use crate::guarded::Guarded;
use crate::server::{Https, Setup};
use crate::traffic::{Class, Traffic};
use crate::window::{Clock, Window, system_clock};
use door::{Fields, Refusal, bad, paged, wrap};

/// Where the API's paths start.
const ROOT: &str = "/client/v4";

/// Requests a user may make in [`LIMIT_WINDOW`].
const LIMIT: usize = 1200;

/// The window of the rate limit.
const LIMIT_WINDOW: Duration = Duration::from_secs(300);

/// Zones on a page unless the client asks for another number, and the most it may ask for.
const ZONES_PER_PAGE: (usize, usize) = (20, 50);

/// Records on a page, likewise.
const RECORDS_PER_PAGE: (usize, usize) = (100, 5_000_000);

/// The times to live a record may have, besides 1 for "automatic".
const TTL: std::ops::RangeInclusive<u64> = 60..=86_400;

/// An account at this provider.
#[derive(Clone)]
pub struct Options {
    /// The tokens that are good for something.
    pub tokens: Vec<Token>,
    /// The zones of the account; only those the world's name servers hold become visible there.
    pub zones: Vec<String>,
    /// The server's clock.
    pub clock: Clock,
    /// Requests per five minutes, of all tokens together.
    pub limit: usize,
    /// The most records on a page, whatever the client asks for; for tests of paging.
    pub page_cap: Option<usize>,
}

/// What a token opens.
#[derive(Clone)]
pub struct Token {
    /// Its text.
    pub secret: String,
    /// The zones it is limited to; `None` stands for all of the account.
    pub zones: Option<Vec<String>>,
    /// Whether it may look at zones.
    pub zone_read: bool,
    /// Whether it may change records. Reading them is part of it.
    pub dns_edit: bool,
}

impl Token {
    /// A token that may do in these zones what a DNS-01 client needs.
    pub fn for_zones(secret: &str, zones: &[&str]) -> Self {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        Self {
            secret: secret.to_owned(),
            zones: Some(zones),
            zone_read: true,
            dns_edit: true,
        }
    }

    fn sees(&self, zone: &str) -> bool {
        self.zones
            .as_ref()
            .is_none_or(|zones| zones.iter().any(|held| held == zone))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            zones: Vec::new(),
            clock: system_clock(),
            limit: LIMIT,
            page_cap: None,
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

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
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
    /// Zone names by identifier.
    zones: BTreeMap<String, String>,
    book: Guarded<Book>,
    window: Guarded<Window>,
    names: Guarded<Zones>,
}

#[derive(Debug, Default)]
struct Book {
    records: BTreeMap<String, Entry>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    zone: String,
    name: String,
    kind: String,
    content: String,
    ttl: u64,
    comment: Option<String>,
    created: SystemTime,
    /// Keeps the list in the sequence of creation.
    nth: u64,
    shown: Option<RecordId>,
}

#[derive(Deserialize)]
struct NewRecord {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    content: String,
    ttl: Option<u64>,
    comment: Option<String>,
}

impl Api {
    /// Starts the API; its records appear at the world's name servers.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(world: &World, options: Options) -> io::Result<Self> {
        let zones = options
            .zones
            .iter()
            .map(|zone| (identifier(zone), zone.clone()))
            .collect();
        let account = Arc::new(Account {
            zones,
            book: Guarded::default(),
            window: Guarded::new(Window::new(options.limit, LIMIT_WINDOW)),
            names: world.dns().zones().clone(),
            options,
        });
        let router = Router::new()
            .fallback(door::serve)
            .with_state(Arc::clone(&account));
        let setup = Setup {
            classify: Arc::new(classify),
            ..Setup::default()
        };
        Ok(Self {
            account,
            https: Https::start_with(world, router, setup)?,
        })
    }

    /// The base address, as a client is configured with: `https://localhost:port/client/v4`.
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

    /// Adds a record as somebody else would, without a request: the identifier it got, or nothing
    /// if the account has no such zone or the record is there already. `name` is the whole name.
    pub fn add_record(&self, zone: &str, kind: &str, name: &str, content: &str) -> Option<String> {
        let new = NewRecord {
            kind: kind.to_owned(),
            name: name.to_owned(),
            content: content.to_owned(),
            ttl: None,
            comment: None,
        };
        self.account
            .create(&identifier(zone), new)
            .ok()
            .map(|(id, _entry)| id)
    }

    /// All records as name, type and content as stored, in the sequence of their creation.
    pub fn records(&self) -> Vec<(String, String, String)> {
        let entries = self.account.entries(|_entry| true);
        entries
            .into_iter()
            .map(|(_id, entry)| (entry.name, entry.kind, entry.content))
            .collect()
    }
}

impl Account {
    fn route(&self, parts: &Parts, body: &[u8], now: SystemTime) -> Result<Value, Refusal> {
        let token = self.token(parts)?;
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_or_else(
            |_unreadable| Fields(Vec::new()),
            |Query(pairs)| Fields(pairs),
        );
        let path = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        match (&parts.method, segments.as_slice()) {
            (&Method::GET, ["user", "tokens", "verify"]) => {
                let mut value = wrap(json!({ "id": identifier("token"), "status": "active" }));
                value["messages"] =
                    json!([{ "code": 10000, "message": "This API Token is valid and active" }]);
                Ok(value)
            }
            (&Method::GET, ["zones"]) => self.zones(token, &query),
            (&Method::GET, ["zones", zone]) => {
                let name = self.opened(token, zone, token.zone_read)?;
                Ok(wrap(zone_json(zone, name, token)))
            }
            (&Method::GET, ["zones", zone, "dns_records"]) => {
                self.opened(token, zone, token.dns_edit)?;
                Ok(self.list(zone, &query))
            }
            (&Method::GET, ["zones", zone, "dns_records", id]) => {
                self.opened(token, zone, token.dns_edit)?;
                let entry = self.book.with(|book| book.records.get(*id).cloned());
                match entry.filter(|entry| entry.zone == *zone) {
                    Some(entry) => Ok(wrap(record_json(id, &entry))),
                    None => Err(no_record()),
                }
            }
            (&Method::POST, ["zones", zone, "dns_records"]) => {
                self.opened(token, zone, token.dns_edit)?;
                let new: NewRecord = serde_json::from_slice(body)
                    .map_err(|_wrong| bad(9207, "Request body is invalid."))?;
                let (id, entry) = self.create_at(zone, new, now)?;
                Ok(wrap(record_json(&id, &entry)))
            }
            (&Method::DELETE, ["zones", zone, "dns_records", id]) => {
                self.opened(token, zone, token.dns_edit)?;
                self.delete(zone, id)
            }
            _ => Err((
                StatusCode::BAD_REQUEST,
                7003,
                format!(
                    "Could not route to {}, perhaps your object identifier is invalid?",
                    parts.uri.path()
                ),
            )),
        }
    }

    fn zones(&self, token: &Token, query: &Fields) -> Result<Value, Refusal> {
        if !token.zone_read {
            let text = "Unauthorized to access requested resource";
            return Err((StatusCode::FORBIDDEN, 9109, text.to_owned()));
        }
        let wanted = query.get("name").map(str::to_ascii_lowercase);
        let status = query.get("status").is_none_or(|status| status == "active");
        let rows = self
            .zones
            .iter()
            .filter(|(_id, name)| {
                status && token.sees(name) && wanted.as_ref().is_none_or(|wanted| wanted == *name)
            })
            .map(|(id, name)| zone_json(id, name, token))
            .collect();
        Ok(paged(rows, query, ZONES_PER_PAGE))
    }

    fn entries(&self, keep: impl Fn(&Entry) -> bool) -> Vec<(String, Entry)> {
        let mut entries: Vec<(String, Entry)> = self.book.with(|book| {
            let kept = book.records.iter().filter(|(_id, entry)| keep(entry));
            kept.map(|(id, entry)| (id.clone(), entry.clone()))
                .collect()
        });
        entries.sort_by_key(|(_id, entry)| entry.nth);
        entries
    }

    fn list(&self, zone: &str, query: &Fields) -> Value {
        let either = |plain: &str, exact: &str| {
            query
                .get(exact)
                .or_else(|| query.get(plain))
                .map(str::to_owned)
        };
        let name = either("name", "name.exact");
        let content = either("content", "content.exact");
        let kind = query.get("type");
        let rows = self
            .entries(|entry| {
                entry.zone == zone
                    && kind.is_none_or(|kind| entry.kind == kind)
                    && name
                        .as_ref()
                        .is_none_or(|name| entry.name.eq_ignore_ascii_case(name))
                    && content
                        .as_ref()
                        .is_none_or(|content| entry.content == *content)
            })
            .iter()
            .map(|(id, entry)| record_json(id, entry))
            .collect();
        let (usual, most) = RECORDS_PER_PAGE;
        let cap = self.options.page_cap.unwrap_or(most).max(1);
        paged(rows, query, (usual.min(cap), cap))
    }

    fn create(&self, zone: &str, new: NewRecord) -> Result<(String, Entry), Refusal> {
        self.create_at(zone, new, (self.options.clock)())
    }

    fn create_at(
        &self,
        zone: &str,
        new: NewRecord,
        now: SystemTime,
    ) -> Result<(String, Entry), Refusal> {
        let Some(suffix) = self.zones.get(zone) else {
            return Err(no_record());
        };
        let ttl = new.ttl.unwrap_or(1);
        if ttl != 1 && !TTL.contains(&ttl) {
            return Err(bad(
                9021,
                "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.",
            ));
        }
        if new.content.is_empty() {
            return Err(bad(9020, "Content is required."));
        }
        // A name outside the zone is taken as relative to it.
        let typed = new.name.trim_end_matches('.').to_ascii_lowercase();
        let name = match typed.as_str() {
            "@" => suffix.clone(),
            typed if typed == suffix || typed.ends_with(&format!(".{suffix}")) => typed.to_owned(),
            typed => format!("{typed}.{suffix}"),
        };
        if dns::parse(&name).is_err() || typed.is_empty() {
            return Err(bad(9000, "DNS name is invalid."));
        }
        let content = match new.kind.as_str() {
            "TXT" => dns::quote(&new.content, " "),
            _ => new.content,
        };
        self.book.with(|book| {
            let twin = book.records.values().any(|entry| {
                entry.zone == zone
                    && entry.name == name
                    && entry.kind == new.kind
                    && entry.content == content
            });
            if twin {
                return Err(bad(81058, "An identical record already exists."));
            }
            let shown = match new.kind.as_str() {
                "TXT" => dns::add(
                    &self.names,
                    &name,
                    RData::TXT(dns::txt(&dns::unquote(&content, " "))),
                )
                .ok(),
                _ => None,
            };
            book.next += 1;
            let id = identifier(&format!("record {}", book.next));
            let entry = Entry {
                zone: zone.to_owned(),
                name,
                kind: new.kind,
                content,
                ttl,
                comment: new.comment,
                created: now,
                nth: book.next,
                shown,
            };
            book.records.insert(id.clone(), entry.clone());
            Ok((id, entry))
        })
    }

    fn delete(&self, zone: &str, id: &str) -> Result<Value, Refusal> {
        let gone = self.book.with(|book| {
            let mine = book.records.get(id).is_some_and(|entry| entry.zone == zone);
            if mine { book.records.remove(id) } else { None }
        });
        let gone = gone.ok_or_else(no_record)?;
        if let Some(shown) = gone.shown {
            self.names.with(|names| names.remove(shown));
        }
        Ok(wrap(json!({ "id": id })))
    }
}

fn no_record() -> Refusal {
    (
        StatusCode::NOT_FOUND,
        81044,
        "Record does not exist.".to_owned(),
    )
}

/// 32 hexadecimal digits that stay the same for the same text.
fn identifier(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn zone_json(id: &str, name: &str, token: &Token) -> Value {
    let mut permissions = vec!["#zone:read"];
    if token.dns_edit {
        permissions.extend(["#dns_records:edit", "#dns_records:read"]);
    }
    json!({
        "id": id,
        "name": name,
        "status": "active",
        "paused": false,
        "type": "full",
        "development_mode": 0,
        "name_servers": [format!("ns1.{name}")],
        "account": { "id": identifier("account"), "name": "World" },
        "permissions": permissions,
    })
}

fn record_json(id: &str, entry: &Entry) -> Value {
    let created = jiff::Timestamp::try_from(entry.created)
        .map_or_else(|_outside| String::new(), |time| time.to_string());
    json!({
        "id": id,
        "name": entry.name,
        "type": entry.kind,
        "content": entry.content,
        "ttl": entry.ttl,
        "proxiable": false,
        "proxied": false,
        "settings": {},
        "meta": {},
        "comment": entry.comment,
        "tags": [],
        "created_on": created,
        "modified_on": created,
    })
}

fn classify(method: &Method, path: &str) -> Class {
    let Some(rest) = path.strip_prefix("/client/v4/zones") else {
        return Class::Other;
    };
    match (method, rest.contains("/dns_records")) {
        (&Method::GET, false) => Class::Zone,
        (&Method::GET, true) => Class::Records,
        (&Method::POST, true) => Class::Create,
        (&Method::DELETE, true) => Class::Delete,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests;
