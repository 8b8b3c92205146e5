//! Requests to the API v4: sent once, answered or explained.

use serde_json::{Value, json};

use crate::bindings::waxwing::host::http::{Auth, Header, HttpError, Part, QueryPair, Request};
use crate::bindings::waxwing::plugin::types::{Failure, PluginError, Retry};
use crate::host::Host;
use crate::reply::{Meaning, Reply, unquote};

/// Who goes over the limit is locked out for this long, if the answer does not say it better.
const LOCKED_OUT_MS: u64 = 5 * 60 * 1000;
/// The most the API lists on one page of zones.
const ZONES_A_PAGE: &str = "50";
/// Far more records than one name has.
const RECORDS_A_PAGE: &str = "100";
/// More pages than one name has records; a bound for answers that make no sense.
const PAGES: u64 = 20;

/// The API at one endpoint.
pub(crate) struct Api<'h, H> {
    host: &'h H,
    base: String,
}

/// A zone that the token can see.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Zone {
    pub(crate) id: String,
    /// Lower case, without a final dot. None: the operator gave the id and the name is not known.
    pub(crate) name: Option<String>,
}

/// The first page of the zones.
pub(crate) struct Zones {
    pub(crate) zones: Vec<Zone>,
    /// True: there are no others.
    pub(crate) complete: bool,
}

/// A request without an answer that helps.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The record exists.
    Duplicate(Failure),
    /// The record or zone does not.
    NotFound(Failure),
    /// What can be said about it is said.
    Final(PluginError),
}

impl From<Problem> for PluginError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Final(error) => error,
            Problem::NotFound(failure) => Self::NotFound(failure),
            Problem::Duplicate(failure) => Self::Permanent(failure),
        }
    }
}

impl<'h, H: Host> Api<'h, H> {
    pub(crate) fn new(host: &'h H, base: &str) -> Self {
        Self {
            host,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// The zones that the token can see, or the first of them.
    pub(crate) fn zones(&self) -> Result<Zones, Problem> {
        let what = "list the zones";
        let body = self.send(
            what,
            "GET",
            "/zones",
            &[("per_page", ZONES_A_PAGE), ("page", "1")],
            None,
        )?;
        let zones = read_zones(&body).ok_or_else(|| unreadable(what))?;
        Ok(Zones {
            complete: body["result_info"]["total_pages"].as_u64().unwrap_or(1) <= 1,
            zones,
        })
    }

    /// The zone of exactly this name.
    pub(crate) fn zone(&self, name: &str) -> Result<Option<Zone>, Problem> {
        let what = format!("look up the zone {name}");
        let body = self.send(&what, "GET", "/zones", &[("name", name)], None)?;
        let zones = read_zones(&body).ok_or_else(|| unreadable(&what))?;
        Ok(zones
            .into_iter()
            .find(|zone| zone.name.as_deref() == Some(name)))
    }

    /// The name of a zone, if the token may read it.
    pub(crate) fn zone_name(&self, id: &str) -> Result<Option<String>, Problem> {
        let what = format!("look up the zone {id}");
        let body = self.send(&what, "GET", &format!("/zones/{id}"), &[], None)?;
        Ok(name_of(&body["result"]))
    }

    /// Whether the records of a zone can be read. Changes nothing.
    pub(crate) fn probe(&self, zone: &str) -> Result<(), Problem> {
        self.send(
            &format!("list records of the zone {zone}"),
            "GET",
            &format!("/zones/{zone}/dns_records"),
            &[("type", "TXT"), ("per_page", "5")],
            None,
        )?;
        Ok(())
    }

    /// The id of the TXT record with exactly this name and value.
    pub(crate) fn find(
        &self,
        zone: &str,
        fqdn: &str,
        value: &str,
    ) -> Result<Option<String>, Problem> {
        let what = format!("look up the TXT record {fqdn}");
        let path = format!("/zones/{zone}/dns_records");
        for page in 1..=PAGES {
            let number = page.to_string();
            let query = [
                ("type", "TXT"),
                ("name", fqdn),
                ("per_page", RECORDS_A_PAGE),
                ("page", &number),
            ];
            let body = self.send(&what, "GET", &path, &query, None)?;
            let records = body["result"].as_array().ok_or_else(|| unreadable(&what))?;
            // The filter is not trusted, since what is found is going to be deleted.
            let found = records.iter().find(|record| {
                record["type"] == "TXT"
                    && name_of(record).as_deref() == Some(fqdn)
                    && record["content"].as_str().map(unquote).as_deref() == Some(value)
            });
            if let Some(record) = found {
                return Ok(id_of(record));
            }
            if page >= body["result_info"]["total_pages"].as_u64().unwrap_or(1) {
                break;
            }
        }
        Ok(None)
    }

    /// Creates a TXT record. None: created, but the answer does not tell the id.
    pub(crate) fn create(
        &self,
        zone: &str,
        fqdn: &str,
        value: &str,
        ttl: u32,
    ) -> Result<Option<String>, Problem> {
        let body = self.send(
            &format!("create the TXT record {fqdn}"),
            "POST",
            &format!("/zones/{zone}/dns_records"),
            &[],
            // Content without quotes works, but the dashboard warns about it.
            Some(&json!({
                "type": "TXT",
                "name": fqdn,
                "content": format!("\"{value}\""),
                "ttl": ttl,
                "comment": "placed by waxwing for the ACME challenge",
            })),
        )?;
        Ok(id_of(&body["result"]))
    }

    /// Deletes one record by its id. `NotFound`: it is gone already.
    pub(crate) fn delete(&self, zone: &str, record: &str) -> Result<(), Problem> {
        self.send(
            &format!("delete the record {record}"),
            "DELETE",
            &format!("/zones/{zone}/dns_records/{record}"),
            &[],
            None,
        )?;
        Ok(())
    }

    fn send(
        &self,
        what: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let header = |name: &str, value: &str| Header {
            name: name.to_owned(),
            value: vec![Part::Text(value.to_owned())],
        };
        let mut headers = vec![header("accept", "application/json")];
        if body.is_some() {
            headers.push(header("content-type", "application/json"));
        }
        let request = Request {
            method: method.to_owned(),
            url: format!("{}{path}", self.base),
            query: query
                .iter()
                .map(|(name, value)| QueryPair {
                    name: (*name).to_owned(),
                    value: vec![Part::Text((*value).to_owned())],
                })
                .collect(),
            headers,
            auth: Auth::Bearer("token".to_owned()),
            body: body
                .iter()
                .map(|body| Part::Text(body.to_string()))
                .collect(),
            timeout_ms: None,
            max_response_bytes: None,
        };
        let response = self
            .host
            .send(&request)
            .map_err(|error| Problem::Final(transport_problem(what, &self.base, error)))?;
        sort(what, Reply::read(response))
    }
}

/// A failure with a code of this plugin.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: format!("cloudflare.{code}"),
        message: message.into(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    }
}

/// True for what can stand as an id in a path.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn sort(what: &str, reply: Reply) -> Result<Value, Problem> {
    let explain = |code: &str, hint: Option<&str>| Failure {
        hint: hint.map(str::to_owned),
        http_status: Some(reply.status),
        ..failure(code, format!("failed to {what}: {}", reply.words()))
    };
    Err(match reply.meaning() {
        Meaning::Success => return reply.body.ok_or_else(|| unreadable(what)),
        Meaning::Duplicate => Problem::Duplicate(explain("duplicate", None)),
        Meaning::NotFound => Problem::NotFound(explain("not-found", None)),
        Meaning::RateLimited => Problem::Final(PluginError::Retryable(Retry {
            failure: explain(
                "rate-limited",
                Some(
                    "the API allows 1200 requests in 5 minutes for the whole account; \
                     look for other clients of the account",
                ),
            ),
            after_ms: Some(reply.retry_after_ms().unwrap_or(LOCKED_OUT_MS)),
            account_wide: true,
        })),
        Meaning::Unauthorized => Problem::Final(PluginError::Auth(explain(
            "unauthorized",
            Some(
                "check the secret token: an API token (not the global key) with Zone:Read and \
                 DNS:Edit on this zone",
            ),
        ))),
        Meaning::ServerTrouble => Problem::Final(PluginError::Retryable(Retry {
            failure: explain("server-error", None),
            after_ms: reply.retry_after_ms(),
            account_wide: false,
        })),
        Meaning::Refused if (200..300).contains(&reply.status) && reply.body.is_none() => {
            unreadable(what)
        }
        Meaning::Refused => Problem::Final(PluginError::Permanent(explain("refused", None))),
    })
}

fn read_zones(body: &Value) -> Option<Vec<Zone>> {
    let zones = body["result"].as_array()?;
    Some(
        zones
            .iter()
            .filter_map(|zone| {
                Some(Zone {
                    id: id_of(zone)?,
                    name: Some(name_of(zone)?),
                })
            })
            .collect(),
    )
}

fn id_of(value: &Value) -> Option<String> {
    value["id"]
        .as_str()
        .filter(|id| is_id(id))
        .map(str::to_owned)
}

fn name_of(value: &Value) -> Option<String> {
    Some(
        value["name"]
            .as_str()?
            .trim_end_matches('.')
            .to_ascii_lowercase(),
    )
}

fn unreadable(what: &str) -> Problem {
    Problem::Final(PluginError::Other(failure(
        "unreadable-answer",
        format!("failed to {what}: cannot read the answer"),
    )))
}

fn transport_problem(what: &str, base: &str, error: HttpError) -> PluginError {
    let (code, said, after_ms, account_wide) = match error {
        HttpError::Denied(said) => {
            return PluginError::Permanent(failure("denied", format!("failed to {what}: {said}")));
        }
        HttpError::InvalidRequest(said) => {
            return PluginError::Permanent(failure(
                "invalid-request",
                format!("failed to {what} at {base}: {said}"),
            ));
        }
        HttpError::ResponseTooLarge(limit) => {
            return PluginError::Permanent(failure(
                "answer-too-large",
                format!("failed to {what} at {base}: the answer is longer than {limit} bytes"),
            ));
        }
        HttpError::Throttled(wait_ms) => (
            "throttled",
            "the account's request rate is used up".to_owned(),
            Some(u64::from(wait_ms)),
            true,
        ),
        HttpError::Dns(said) => ("no-address", said, None, false),
        HttpError::Connect(said) => ("no-connection", said, None, false),
        HttpError::Tls(said) => ("tls", said, None, false),
        HttpError::Timeout(said) => ("timeout", said, None, false),
        HttpError::Protocol(said) => ("broken-answer", said, None, false),
        HttpError::Other(said) => ("transport", said, None, false),
    };
    PluginError::Retryable(Retry {
        failure: failure(code, format!("failed to {what} at {base}: {said}")),
        after_ms,
        account_wide,
    })
}
