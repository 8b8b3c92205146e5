//! A DNS plugin for an invented provider. Copy this folder, then replace [`Provider`]'s requests
//! with those of your provider; `wit/plugin.wit` says what each call owes.
//!
//! The provider of this example knows `GET /zones`, `GET` and `POST /zones/ID/records`, and
//! `DELETE /zones/ID/records/ID`, all in JSON and with a bearer token.

use serde_json::{Value, json};

mod bindings {
    wit_bindgen::generate!({
        world: "dns-plugin",
        // Relative to Cargo.toml. Outside of this repository: copy the folder `wit` as well.
        path: "../../wit",
        generate_all,
    });
}

use bindings::exports::waxwing::plugin::dns_provider::{
    Attempt, ChallengeRecord, Guest as DnsProvider, Placed, PluginError, PresentReport,
    Propagation, Removal, ZoneAnswer,
};
use bindings::exports::waxwing::plugin::lifecycle::{Finding, Guest as Lifecycle};
use bindings::waxwing::host::http::{self, Auth, Header, HttpError, Part, Request};
use bindings::waxwing::host::settings;
use bindings::waxwing::plugin::types::{Failure, Retry, Severity};

/// The manifest travels inside the component, so that the two cannot part.
#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "waxwing:manifest")]
static MANIFEST: [u8; include_bytes!("../plugin.toml").len()] = *include_bytes!("../plugin.toml");

/// The component: one line for each call of the contract.
pub struct Component;

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

impl Lifecycle for Component {
    fn validate(online: bool) -> Result<Vec<Finding>, PluginError> {
        Provider(Internet).validate(online)
    }
}

impl DnsProvider for Component {
    fn preflight(names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        Provider(Internet).preflight(names)
    }

    fn present(
        attempt: Attempt,
        records: Vec<ChallengeRecord>,
    ) -> Result<PresentReport, PluginError> {
        Provider(Internet).present(&attempt, &records)
    }

    fn cleanup(
        _attempt: Attempt,
        removals: Vec<Removal>,
    ) -> Result<Vec<(String, PluginError)>, PluginError> {
        Provider(Internet).cleanup(&removals)
    }
}

/// What the plugin needs of the world; tests bring their own.
trait Api {
    /// Sends one request and answers status and body.
    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Reply, PluginError>;
}

struct Reply {
    status: u16,
    body: Value,
}

/// The calls, written once for the real API and for tests.
struct Provider<A>(A);

impl<A: Api> Provider<A> {
    fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginError> {
        match if online { self.zones() } else { Ok(Vec::new()) } {
            Ok(_) => Ok(Vec::new()),
            Err(PluginError::Auth(failure)) => Ok(vec![Finding {
                severity: Severity::Error,
                pointer: None,
                failure,
            }]),
            Err(error) => Err(error),
        }
    }

    fn preflight(&self, names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        let zones = self.zones()?;
        Ok(names
            .into_iter()
            .map(|name| match zone_of(&zones, &name) {
                Ok((_, zone)) => ZoneAnswer {
                    name,
                    zone: Some(zone.to_owned()),
                    problem: None,
                },
                Err(failure) => ZoneAnswer {
                    name,
                    zone: None,
                    problem: Some(failure),
                },
            })
            .collect())
    }

    fn present(
        &self,
        attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginError> {
        // Nothing is changed yet, so an error of the whole call is right here and not further down.
        let zones = self.zones()?;
        let (mut placed, mut failed) = (Vec::new(), Vec::new());
        for record in records {
            match self.present_one(attempt, &zones, record) {
                Ok(one) => placed.push(one),
                Err(error) => failed.push((record.key.clone(), error)),
            }
        }
        Ok(PresentReport {
            placed,
            failed,
            propagation: Propagation {
                nameservers: Vec::new(),
                min_wait_ms: 0,
                expected_ms: 0,
                give_up_ms: 0,
                extra: Vec::new(),
            },
        })
    }

    fn present_one(
        &self,
        attempt: &Attempt,
        zones: &[(String, String)],
        record: &ChallengeRecord,
    ) -> Result<Placed, PluginError> {
        let (zone, _) = zone_of(zones, &record.fqdn).map_err(PluginError::NotFound)?;
        let body = json!({"type": "TXT", "name": plain(&record.fqdn), "value": record.value});
        let reply = self
            .0
            .send("POST", &format!("/zones/{zone}/records"), Some(body))?;
        let (id, created) = match reply.status {
            // It exists. If an earlier try can have made it, it is ours.
            409 => (self.find(zone, record)?, attempt.number > 1),
            _ => (id_of(&sort("place the record", reply)?), true),
        };
        let id = id.ok_or_else(|| {
            PluginError::Other(failure("record-missing", "the new record has no id"))
        })?;
        Ok(Placed {
            key: record.key.clone(),
            receipt: format!("{zone}/{id}"),
            created,
        })
    }

    fn cleanup(&self, removals: &[Removal]) -> Result<Vec<(String, PluginError)>, PluginError> {
        Ok(removals
            .iter()
            .filter_map(|removal| {
                let error = self.remove_one(removal).err()?;
                Some((removal.challenge.key.clone(), error))
            })
            .collect())
    }

    fn remove_one(&self, removal: &Removal) -> Result<(), PluginError> {
        let receipt = removal.receipt.as_ref();
        let (zone, id) = match receipt.and_then(|receipt| receipt.split_once('/')) {
            Some((zone, id)) => (zone.to_owned(), id.to_owned()),
            // The answer of `present` was lost: look for exactly this name and value.
            None => {
                let zones = self.zones()?;
                let (zone, _) =
                    zone_of(&zones, &removal.challenge.fqdn).map_err(PluginError::NotFound)?;
                match self.find(zone, &removal.challenge)? {
                    Some(id) => (zone.to_owned(), id),
                    None => return Ok(()),
                }
            }
        };
        let reply = self
            .0
            .send("DELETE", &format!("/zones/{zone}/records/{id}"), None)?;
        if reply.status == 404 {
            return Ok(());
        }
        sort("remove the record", reply).map(|_| ())
    }

    /// Ids and names of all zones.
    fn zones(&self) -> Result<Vec<(String, String)>, PluginError> {
        let body = sort("list the zones", self.0.send("GET", "/zones", None)?)?;
        let zones = body.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(zones
            .iter()
            .filter_map(|zone| Some((id_of(zone)?, zone["name"].as_str()?.to_owned())))
            .collect())
    }

    fn find(&self, zone: &str, record: &ChallengeRecord) -> Result<Option<String>, PluginError> {
        let reply = self
            .0
            .send("GET", &format!("/zones/{zone}/records"), None)?;
        let body = sort("list the records", reply)?;
        let records = body.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(records
            .iter()
            .find(|found| {
                found["type"] == "TXT"
                    && found["name"] == plain(&record.fqdn)
                    && found["value"] == record.value
            })
            .and_then(id_of))
    }
}

/// The API over the host's HTTP client. The token never comes near this code.
struct Internet;

impl Api for Internet {
    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Reply, PluginError> {
        let base = settings::get_string("/endpoint").unwrap_or_default();
        let request = Request {
            method: method.to_owned(),
            url: format!("{}{path}", base.trim_end_matches('/')),
            query: Vec::new(),
            headers: vec![Header {
                name: "content-type".to_owned(),
                value: vec![Part::Text("application/json".to_owned())],
            }],
            auth: Auth::Bearer("token".to_owned()),
            body: body
                .iter()
                .map(|body| Part::Text(body.to_string()))
                .collect(),
            timeout_ms: None,
            max_response_bytes: None,
        };
        match http::send(&request) {
            Ok(response) => Ok(Reply {
                status: response.status,
                body: serde_json::from_slice(&response.body).unwrap_or_default(),
            }),
            Err(HttpError::Denied(said) | HttpError::InvalidRequest(said)) => {
                Err(PluginError::Permanent(failure("denied", said)))
            }
            Err(HttpError::Throttled(wait_ms)) => Err(PluginError::Retryable(Retry {
                failure: failure("throttled", "the request rate is used up"),
                after_ms: Some(wait_ms.into()),
                account_wide: true,
            })),
            Err(error) => Err(PluginError::Retryable(Retry {
                failure: failure("no-answer", format!("{method} {path}: {error:?}")),
                after_ms: None,
                account_wide: false,
            })),
        }
    }
}

/// Turns what is no success into the error that tells the engine what to do.
fn sort(what: &str, reply: Reply) -> Result<Value, PluginError> {
    let failure = Failure {
        http_status: Some(reply.status),
        ..failure("refused", format!("failed to {what}: {}", reply.body))
    };
    Err(match reply.status {
        200..=299 => return Ok(reply.body),
        401 | 403 => PluginError::Auth(failure),
        404 => PluginError::NotFound(failure),
        429 | 500..=599 => PluginError::Retryable(Retry {
            failure,
            after_ms: None,
            account_wide: reply.status == 429,
        }),
        _ => PluginError::Permanent(failure),
    })
}

/// The zone with the longest name that holds `fqdn`, as id and name.
fn zone_of<'z>(zones: &'z [(String, String)], fqdn: &str) -> Result<(&'z str, &'z str), Failure> {
    let fqdn = plain(fqdn);
    zones
        .iter()
        .filter(|(_, zone)| fqdn == *zone || fqdn.ends_with(&format!(".{zone}")))
        .max_by_key(|(_, zone)| zone.len())
        .map(|(id, zone)| (id.as_str(), zone.as_str()))
        .ok_or_else(|| failure("zone-not-found", format!("no zone holds {fqdn}")))
}

fn plain(fqdn: &str) -> &str {
    fqdn.trim_end_matches('.')
}

fn id_of(value: &Value) -> Option<String> {
    value["id"].as_str().map(str::to_owned)
}

fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: format!("example-dns.{code}"),
        message: message.into(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// An account with the zone `example.com` and these records.
    #[derive(Default)]
    struct Account(RefCell<Vec<Value>>);

    impl Api for &Account {
        fn send(
            &self,
            method: &str,
            path: &str,
            body: Option<Value>,
        ) -> Result<Reply, PluginError> {
            let mut records = self.0.borrow_mut();
            let reply = |status, body| Ok(Reply { status, body });
            match (method, path) {
                ("GET", "/zones") => reply(200, json!([{"id": "z", "name": "example.com"}])),
                ("GET", "/zones/z/records") => reply(200, json!(*records)),
                ("POST", "/zones/z/records") => {
                    let mut record = body.expect("a body");
                    if records
                        .iter()
                        .any(|old| old["name"] == record["name"] && old["value"] == record["value"])
                    {
                        return reply(409, Value::Null);
                    }
                    record["id"] = json!(format!("r{}", records.len()));
                    records.push(record.clone());
                    reply(201, record)
                }
                ("DELETE", path) => {
                    let id = path.rsplit('/').next().expect("an id");
                    let before = records.len();
                    records.retain(|record| record["id"] != id);
                    reply(if records.len() < before { 204 } else { 404 }, Value::Null)
                }
                _ => reply(404, Value::Null),
            }
        }
    }

    fn record(name: &str, value: &str) -> ChallengeRecord {
        ChallengeRecord {
            key: value.to_owned(),
            fqdn: format!("_acme-challenge.{name}."),
            value: value.to_owned(),
            identifier: name.to_owned(),
            zone_hint: None,
        }
    }

    fn try_number(number: u32) -> Attempt {
        Attempt {
            run_id: "run".to_owned(),
            number,
            extra: Vec::new(),
        }
    }

    #[test]
    fn two_values_at_one_name_are_placed_and_removed_one_by_one() {
        let account = Account::default();
        let provider = Provider(&account);
        let records = [record("example.com", "apex"), record("example.com", "wild")];
        let report = provider
            .present(&try_number(1), &records)
            .expect("a report");
        assert_eq!(account.0.borrow().len(), 2);
        let removal = Removal {
            challenge: records[0].clone(),
            receipt: Some(report.placed[0].receipt.clone()),
        };
        assert!(provider.cleanup(&[removal]).expect("an answer").is_empty());
        assert_eq!(account.0.borrow()[0]["value"], "wild");
    }

    #[test]
    fn a_second_try_owns_what_the_first_may_have_placed() {
        let account = Account::default();
        let provider = Provider(&account);
        let records = [record("example.com", "value")];
        for (number, created) in [(1, true), (2, true), (1, false)] {
            let report = provider
                .present(&try_number(number), &records)
                .expect("a report");
            assert_eq!(report.placed[0].created, created, "try {number}");
            assert_eq!(report.placed[0].receipt, "z/r0");
        }
    }

    #[test]
    fn clean_up_without_a_receipt_takes_the_exact_value_and_works_twice() {
        let account = Account::default();
        let provider = Provider(&account);
        let records = [
            record("example.com", "ours"),
            record("example.com", "other"),
        ];
        provider
            .present(&try_number(1), &records)
            .expect("a report");
        let removal = || Removal {
            challenge: records[0].clone(),
            receipt: None,
        };
        for _ in 0..2 {
            assert!(
                provider
                    .cleanup(&[removal()])
                    .expect("an answer")
                    .is_empty()
            );
            assert_eq!(account.0.borrow().len(), 1);
        }
    }

    #[test]
    fn a_name_outside_of_every_zone_is_not_found() {
        let account = Account::default();
        let report = Provider(&account)
            .present(&try_number(1), &[record("badexample.com", "value")])
            .expect("a report");
        assert!(matches!(report.failed[0].1, PluginError::NotFound(_)));
    }
}
