//! Requests to the API V2.0: signed, sent once, answered or explained.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::bindings::waxwing::host::http::{
    Auth, Header, Hidden, HttpError, Part, QueryPair, Request, Response,
};
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::host::secrets::SecretError;
use crate::bindings::waxwing::plugin::types::{Failure, PluginError, Retry};
use crate::date;
use crate::host::Host;
use crate::reply::{self, Meaning};

/// The limit counts requests of the last five minutes, and the answer does not say when the
/// oldest of them was. After a whole window there is room for sure.
const RATE_WINDOW_MS: u64 = 5 * 60 * 1000;
/// More pages than any account has; a bound for answers that make no sense.
const PAGES: u64 = 50;

/// The API at one endpoint, for the length of one call.
pub(crate) struct Api<'h, H> {
    host: &'h H,
    base: String,
    /// What has to be added to the host's clock, once the server has complained about it.
    skew_ms: Cell<i64>,
}

/// A managed zone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Zone {
    pub(crate) id: String,
    /// Lower case, without a final dot.
    pub(crate) name: String,
}

/// All entries of a list, or as many as could be had.
pub(crate) struct List {
    pub(crate) entries: Vec<Value>,
    /// False: the server ignored the page asked for.
    pub(crate) complete: bool,
}

/// A request without an answer that helps.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The exact record exists.
    Duplicate,
    /// 404, with the words of the answer.
    NotFound(Failure),
    /// 400 for any other reason.
    Refused(Failure),
    /// What can be said about it is said.
    Final(PluginError),
}

impl From<Problem> for PluginError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Final(error) => error,
            Problem::NotFound(failure) => Self::NotFound(failure),
            Problem::Refused(failure) => Self::Permanent(failure),
            Problem::Duplicate => Self::Other(failure(
                "duplicate",
                "the API answered with \"already exists\" where nothing was to be created",
            )),
        }
    }
}

impl<'h, H: Host> Api<'h, H> {
    pub(crate) fn new(host: &'h H, base: &str) -> Self {
        Self {
            host,
            base: base.trim_end_matches('/').to_owned(),
            skew_ms: Cell::new(0),
        }
    }

    /// Every zone of the account.
    pub(crate) fn zones(&self) -> Result<List, Problem> {
        self.list("list the zones", "/dns/managed", &[])
    }

    /// The zone of exactly this name.
    pub(crate) fn zone(&self, name: &str) -> Result<Option<Zone>, Problem> {
        let what = format!("look up the zone {name}");
        let answer = match self.send(
            &what,
            "GET",
            "/dns/managed/name",
            &[("domainname", name)],
            None,
        ) {
            Ok(answer) => answer,
            Err(Problem::NotFound(_)) => return Ok(None),
            Err(problem) => return Err(problem),
        };
        Ok(read_zone(&json_of(&what, &answer)?).filter(|zone| zone.name == name))
    }

    /// The id of the TXT record with exactly this name (relative to the zone) and value.
    pub(crate) fn find(
        &self,
        zone: &str,
        name: &str,
        value: &str,
    ) -> Result<Option<String>, Problem> {
        let list = self.list(
            &format!("look up the TXT record {name:?}"),
            &format!("/dns/managed/{zone}/records"),
            &[("recordName", name), ("type", "TXT")],
        )?;
        // The filter is not trusted: for the apex it is empty, and without one the API answers
        // with every record of the zone.
        Ok(list.entries.iter().find_map(|record| {
            let is = |key: &str, expected: &str| {
                record[key]
                    .as_str()
                    .is_some_and(|text| text.eq_ignore_ascii_case(expected))
            };
            let found = is("type", "TXT")
                && is("name", name)
                && record["value"].as_str().map(reply::unquote).as_deref() == Some(value);
            found.then(|| id_of(record)).flatten()
        }))
    }

    /// Creates a TXT record. None: created, but the answer does not tell the id.
    pub(crate) fn create(
        &self,
        zone: &str,
        name: &str,
        value: &str,
        ttl: u32,
    ) -> Result<Option<String>, Problem> {
        let answer = self.send(
            &format!("create the TXT record {name:?}"),
            "POST",
            &format!("/dns/managed/{zone}/records"),
            &[],
            Some(&json!({
                "type": "TXT",
                "name": name,
                "value": value,
                "ttl": ttl,
                "gtdLocation": "DEFAULT",
            })),
        )?;
        Ok(serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .as_ref()
            .and_then(id_of))
    }

    /// Deletes one record by its id. `NotFound`: it is gone already.
    pub(crate) fn delete(&self, zone: &str, record: &str) -> Result<(), Problem> {
        // The answer has an empty body.
        self.send(
            &format!("delete the record {record}"),
            "DELETE",
            &format!("/dns/managed/{zone}/records/{record}"),
            &[],
            None,
        )?;
        Ok(())
    }

    fn list(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<List, Problem> {
        let mut list = List {
            entries: Vec::new(),
            complete: true,
        };
        // Whether pages count from 0 or from 1 is seen from the first one.
        let mut first: Option<u64> = None;
        let mut wanted: Option<u64> = None;
        loop {
            let page = wanted.map(|page| page.to_string());
            let mut query = query.to_vec();
            query.extend(page.as_deref().map(|page| ("page", page)));
            let answer = self.send(what, "GET", path, &query, None)?;
            let body = json_of(what, &answer)?;
            let Some(entries) = body["data"].as_array() else {
                return Err(unreadable(what, &answer));
            };
            let page = body["page"].as_u64().unwrap_or(0);
            if wanted.is_some_and(|wanted| wanted != page) {
                list.complete = false;
                return Ok(list);
            }
            list.entries.extend(entries.iter().cloned());
            let seen = page.saturating_sub(*first.get_or_insert(page)) + 1;
            if seen >= body["totalPages"].as_u64().unwrap_or(1) {
                return Ok(list);
            }
            if seen >= PAGES {
                list.complete = false;
                return Ok(list);
            }
            wanted = Some(page + 1);
        }
    }

    /// Sends a request; once more, signed with the server's time, if the date was refused.
    fn send(
        &self,
        what: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response, Problem> {
        let mut answer = self.send_once(what, method, path, query, body)?;
        if reply::meaning(&answer) == Meaning::ClockSkew
            && let Some(theirs) = reply::header(&answer, "date").and_then(date::parse)
        {
            let skew_ms = i64::try_from(theirs).unwrap_or(i64::MAX)
                - i64::try_from(self.host.now_unix_ms()).unwrap_or(i64::MAX);
            self.skew_ms.set(skew_ms);
            let skew = format!("{}", skew_ms / 1000);
            self.host.log(
                Level::Warn,
                "the clock of this machine differs from the provider's; \
                 requests are signed with the provider's time",
                &[("seconds-behind", &skew), ("host-of-clock", &self.base)],
            );
            answer = self.send_once(what, method, path, query, body)?;
        }
        self.sort(what, answer)
    }

    fn send_once(
        &self,
        what: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response, Problem> {
        let date = date::format(
            self.host
                .now_unix_ms()
                .saturating_add_signed(self.skew_ms.get()),
        );
        let signature = self
            .host
            .hmac_sha1("secret-key", date.as_bytes())
            .map_err(|error| Problem::Final(secret_problem(what, error)))?;
        let mut headers = vec![
            header("accept", text("application/json")),
            header(
                "x-dnsme-apiKey",
                Part::Secret(Hidden {
                    name: "api-key".to_owned(),
                    encoding: "raw".to_owned(),
                }),
            ),
            header("x-dnsme-requestDate", text(&date)),
            header("x-dnsme-hmac", text(&hex(&signature))),
        ];
        if body.is_some() {
            headers.push(header("content-type", text("application/json")));
        }
        let request = Request {
            method: method.to_owned(),
            url: format!("{}{path}", self.base),
            query: query
                .iter()
                .map(|(name, value)| QueryPair {
                    name: (*name).to_owned(),
                    value: vec![text(value)],
                })
                .collect(),
            headers,
            auth: Auth::None,
            body: body.iter().map(|body| text(&body.to_string())).collect(),
            timeout_ms: None,
            max_response_bytes: None,
        };
        self.host
            .send(&request)
            .map_err(|error| Problem::Final(transport_problem(what, &self.base, error)))
    }

    fn sort(&self, what: &str, answer: Response) -> Result<Response, Problem> {
        let said = reply::error_text(&answer);
        let explain = |code: &str, hint: Option<&str>| Failure {
            code: format!("dns-made-easy.{code}"),
            message: format!("failed to {what}: {said}"),
            hint: hint.map(str::to_owned),
            http_status: Some(answer.status),
            details: Vec::new(),
        };
        Err(match reply::meaning(&answer) {
            Meaning::Success => return Ok(answer),
            Meaning::Duplicate => Problem::Duplicate,
            Meaning::ClockSkew => Problem::Final(PluginError::Retryable(Retry {
                failure: explain(
                    "clock-skew",
                    Some("set the clock of this machine; the API allows about 30 s"),
                ),
                after_ms: None,
                account_wide: true,
            })),
            Meaning::RateLimited => Problem::Final(PluginError::Retryable(Retry {
                failure: explain(
                    "rate-limited",
                    Some(
                        "the API allows 150 requests in 5 minutes for the whole account; \
                         look for other clients with the same key",
                    ),
                ),
                after_ms: Some(retry_after_ms(&answer).unwrap_or(RATE_WINDOW_MS)),
                account_wide: true,
            })),
            Meaning::Refused => Problem::Refused(explain("refused", None)),
            Meaning::NotFound => Problem::NotFound(explain("not-found", None)),
            Meaning::Unauthorized => Problem::Final(PluginError::Auth(explain(
                "unauthorized",
                Some(
                    "check the secrets api-key and secret-key; production and sandbox have \
                     different ones (settings.sandbox)",
                ),
            ))),
            Meaning::ServerTrouble => Problem::Final(PluginError::Retryable(Retry {
                failure: explain("server-error", None),
                after_ms: retry_after_ms(&answer),
                account_wide: false,
            })),
        })
    }
}

/// A zone as the API writes it; none if id or name is missing.
pub(crate) fn read_zone(value: &Value) -> Option<Zone> {
    Some(Zone {
        id: id_of(value)?,
        name: value["name"]
            .as_str()?
            .trim_end_matches('.')
            .to_ascii_lowercase(),
    })
}

/// A failure with a code of this plugin.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: format!("dns-made-easy.{code}"),
        message: message.into(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    }
}

/// Ids go into paths, so anything but a number is no id.
fn id_of(value: &Value) -> Option<String> {
    let id = match &value["id"] {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    is_id(&id).then_some(id)
}

/// True for what can stand as an id in a path.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn json_of(what: &str, answer: &Response) -> Result<Value, Problem> {
    serde_json::from_slice(&answer.body).map_err(|_| unreadable(what, answer))
}

fn unreadable(what: &str, answer: &Response) -> Problem {
    Problem::Final(PluginError::Other(Failure {
        http_status: Some(answer.status),
        ..failure(
            "unreadable-answer",
            format!(
                "failed to {what}: cannot read the answer: {}",
                reply::error_text(answer)
            ),
        )
    }))
}

fn retry_after_ms(answer: &Response) -> Option<u64> {
    let seconds: u64 = reply::header(answer, "retry-after")?.parse().ok()?;
    seconds.checked_mul(1000)
}

fn secret_problem(what: &str, error: SecretError) -> PluginError {
    let (code, said) = match error {
        SecretError::Unavailable(said) => {
            return PluginError::Retryable(Retry {
                failure: failure(
                    "secret-unavailable",
                    format!("failed to {what}: cannot sign: {said}"),
                ),
                after_ms: None,
                account_wide: false,
            });
        }
        SecretError::Unknown(said) => ("secret-unknown", said),
        SecretError::Denied(said) => ("denied", said),
        SecretError::UnsupportedAlgorithm(said) | SecretError::InvalidInput(said) => {
            ("cannot-sign", said)
        }
    };
    PluginError::Permanent(failure(
        code,
        format!("failed to {what}: cannot sign with secret-key: {said}"),
    ))
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

fn header(name: &str, value: Part) -> Header {
    Header {
        name: name.to_owned(),
        value: vec![value],
    }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
