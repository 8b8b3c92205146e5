//! The calls of the contract.

use serde_json::Value;

use crate::api::{Api, Problem, failure, is_id};
use crate::bindings::exports::waxwing::plugin::dns_provider::{
    ChallengeRecord, Placed, PresentReport, Propagation, Removal, ZoneAnswer,
};
use crate::bindings::waxwing::plugin::types::{
    Attempt, Failure, Finding, PluginError, SettingFailure, Severity,
};
use crate::host::Host;
use crate::zones::{Zones, relative};

const PRODUCTION: &str = "https://api.dnsmadeeasy.com/V2.0";
const SANDBOX: &str = "https://api.sandbox.dnsmadeeasy.com/V2.0";
const DEFAULT_TTL: u32 = 120;
/// What other clients of this API found to be enough.
const EXPECTED_PROPAGATION_MS: u32 = 60_000;
const NO_PROPAGATION_AFTER_MS: u32 = 600_000;
/// With less time than this no request is begun: it could be cut off after the server acted.
const LEAST_TIME_MS: u64 = 5_000;

/// The settings of `plugin.toml`. The host has checked their types and filled in the defaults.
#[derive(Debug)]
struct Settings {
    sandbox: bool,
    ttl: u32,
    endpoint: Option<String>,
}

impl Settings {
    fn parse(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        value.as_object()?;
        Some(Self {
            sandbox: value["sandbox"].as_bool().unwrap_or(false),
            ttl: value["ttl"]
                .as_u64()
                .and_then(|ttl| u32::try_from(ttl).ok())
                .unwrap_or(DEFAULT_TTL),
            endpoint: value["endpoint"].as_str().map(str::to_owned),
        })
    }
}

/// One call of the plugin.
pub(crate) struct Provider<'h, H> {
    host: &'h H,
    settings: Settings,
    api: Api<'h, H>,
    zones: Zones<'h, H>,
}

/// A record with the zone that holds it.
struct Place<'r> {
    zone_id: String,
    zone_name: String,
    /// Relative to the zone.
    name: &'r str,
}

impl<'h, H: Host> Provider<'h, H> {
    pub(crate) fn new(host: &'h H, settings: &str) -> Result<Self, PluginError> {
        let settings = Settings::parse(settings).ok_or_else(|| {
            PluginError::Config(SettingFailure {
                pointer: String::new(),
                failure: failure("settings", "the settings are no JSON object"),
            })
        })?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint,
            None if settings.sandbox => SANDBOX,
            None => PRODUCTION,
        };
        Ok(Self {
            host,
            api: Api::new(host, base),
            zones: Zones::new(host),
            settings,
        })
    }

    pub(crate) fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginError> {
        let mut findings = Vec::new();
        if let Some(endpoint) = &self.settings.endpoint {
            if !endpoint.trim_end_matches('/').ends_with("/V2.0") {
                findings.push(Finding {
                    severity: Severity::Warning,
                    pointer: Some("/endpoint".to_owned()),
                    failure: Failure {
                        hint: Some("write the version too: https://host/V2.0".to_owned()),
                        ..failure(
                            "endpoint-version",
                            format!("the endpoint {endpoint} does not end in /V2.0"),
                        )
                    },
                });
            }
            if self.settings.sandbox {
                findings.push(Finding {
                    severity: Severity::Warning,
                    pointer: Some("/sandbox".to_owned()),
                    failure: failure(
                        "sandbox-unused",
                        "sandbox has no effect beside an endpoint of your own",
                    ),
                });
            }
        }
        if !online {
            return Ok(findings);
        }
        match self.api.zones() {
            Ok(list) if list.entries.is_empty() => findings.push(Finding {
                severity: Severity::Warning,
                pointer: None,
                failure: failure(
                    "no-zones",
                    "the credentials work, but the account has no zones",
                ),
            }),
            Ok(_) => {}
            Err(Problem::Final(PluginError::Auth(failure))) => findings.push(Finding {
                severity: Severity::Error,
                pointer: None,
                failure,
            }),
            Err(problem) => return Err(problem.into()),
        }
        Ok(findings)
    }

    pub(crate) fn preflight(&self, names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        names
            .into_iter()
            .map(|name| {
                let fqdn = plain(&name);
                Ok(match self.zones.holding(&self.api, &fqdn, None)? {
                    Some(zone) => ZoneAnswer {
                        name,
                        zone: Some(zone.name),
                        problem: None,
                    },
                    None => ZoneAnswer {
                        problem: Some(no_zone(&fqdn)),
                        name,
                        zone: None,
                    },
                })
            })
            .collect()
    }

    pub(crate) fn present(
        &self,
        attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginError> {
        let mut placed = Vec::new();
        let mut failed = Vec::new();
        let mut given_up: Option<PluginError> = None;
        for record in records {
            let result = match given_up.clone() {
                Some(error) => Err(error),
                None => self.present_one(attempt, record),
            };
            match result {
                Ok(one) => placed.push(one),
                Err(error) => {
                    if is_for_all(&error) {
                        given_up = Some(error.clone());
                    }
                    failed.push((record.key.clone(), error));
                }
            }
        }
        Ok(PresentReport {
            placed,
            failed,
            propagation: Propagation {
                nameservers: Vec::new(),
                min_wait_ms: 0,
                expected_ms: EXPECTED_PROPAGATION_MS,
                give_up_ms: NO_PROPAGATION_AFTER_MS,
                extra: Vec::new(),
            },
        })
    }

    pub(crate) fn cleanup(
        &self,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginError)>, PluginError> {
        let mut failed = Vec::new();
        let mut given_up: Option<PluginError> = None;
        for removal in removals {
            let result = match given_up.clone() {
                Some(error) => Err(error),
                None => self.remove_one(removal),
            };
            if let Err(error) = result {
                if is_for_all(&error) {
                    given_up = Some(error.clone());
                }
                failed.push((removal.challenge.key.clone(), error));
            }
        }
        Ok(failed)
    }

    fn present_one(
        &self,
        attempt: &Attempt,
        record: &ChallengeRecord,
    ) -> Result<Placed, PluginError> {
        self.check_time()?;
        let fqdn = plain(&record.fqdn);
        let place = self.place(&fqdn, record)?;
        let (id, created) =
            match self
                .api
                .create(&place.zone_id, place.name, &record.value, self.settings.ttl)
            {
                Ok(Some(id)) => (Some(id), true),
                Ok(None) => (self.find(&place, record)?, true),
                // It may be ours: the answer to an earlier try can have been lost on the way.
                Err(Problem::Duplicate) => (self.find(&place, record)?, attempt.number > 1),
                Err(problem) => return Err(named(problem, &fqdn, &place.zone_name)),
            };
        let Some(id) = id else {
            return Err(PluginError::Other(failure(
                "record-missing",
                format!(
                    "the API says that {fqdn} exists with our value, but does not list it in the \
                     zone {}",
                    place.zone_name
                ),
            )));
        };
        Ok(Placed {
            key: record.key.clone(),
            receipt: format!("{}/{id}", place.zone_id),
            created,
        })
    }

    fn remove_one(&self, removal: &Removal) -> Result<(), PluginError> {
        self.check_time()?;
        let record = &removal.challenge;
        let fqdn = plain(&record.fqdn);
        if let Some((zone, id)) = removal.receipt.as_deref().and_then(read_receipt) {
            return match self.api.delete(zone, id) {
                Ok(()) | Err(Problem::NotFound(_)) => Ok(()),
                // A refusal is believed only while the record is still listed.
                Err(Problem::Refused(refused)) => {
                    let place = self.place(&fqdn, record)?;
                    match self.find(&place, record)? {
                        None => Ok(()),
                        Some(_) => Err(PluginError::Permanent(refused)),
                    }
                }
                Err(problem) => Err(named(problem, &fqdn, zone)),
            };
        }
        let place = match self.place(&fqdn, record) {
            // Where the account has no zone for it, it was never made.
            Err(PluginError::NotFound(_)) => return Ok(()),
            place => place?,
        };
        let Some(id) = self.find(&place, record)? else {
            return Ok(());
        };
        match self.api.delete(&place.zone_id, &id) {
            Ok(()) | Err(Problem::NotFound(_)) => Ok(()),
            Err(problem) => Err(named(problem, &fqdn, &place.zone_name)),
        }
    }

    fn place<'r>(&self, fqdn: &'r str, record: &ChallengeRecord) -> Result<Place<'r>, PluginError> {
        let hint = record.zone_hint.as_deref().map(plain);
        match self.zones.holding(&self.api, fqdn, hint.as_deref())? {
            Some(zone) => Ok(Place {
                name: relative(fqdn, &zone.name),
                zone_id: zone.id,
                zone_name: zone.name,
            }),
            None => Err(PluginError::NotFound(no_zone(fqdn))),
        }
    }

    fn find(
        &self,
        place: &Place<'_>,
        record: &ChallengeRecord,
    ) -> Result<Option<String>, PluginError> {
        self.api
            .find(&place.zone_id, place.name, &record.value)
            .map_err(|problem| named(problem, &record.fqdn, &place.zone_name))
    }

    fn check_time(&self) -> Result<(), PluginError> {
        if self.host.remaining_ms() < LEAST_TIME_MS {
            return Err(PluginError::Cancelled);
        }
        Ok(())
    }
}

/// Lower case, without the final dot.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// True for errors that every further request of the call would meet too.
const fn is_for_all(error: &PluginError) -> bool {
    match error {
        PluginError::Retryable(retry) => retry.account_wide,
        PluginError::Auth(_) | PluginError::Cancelled => true,
        _ => false,
    }
}

fn read_receipt(receipt: &str) -> Option<(&str, &str)> {
    let (zone, record) = receipt.split_once('/')?;
    (is_id(zone) && is_id(record)).then_some((zone, record))
}

/// Adds name and zone, which the API's words leave out.
fn named(problem: Problem, fqdn: &str, zone: &str) -> PluginError {
    let mut error = PluginError::from(problem);
    let failure = match &mut error {
        PluginError::Retryable(retry) => &mut retry.failure,
        PluginError::Config(setting) => &mut setting.failure,
        PluginError::Auth(failure)
        | PluginError::NotFound(failure)
        | PluginError::Conflict(failure)
        | PluginError::Unsupported(failure)
        | PluginError::Permanent(failure)
        | PluginError::Other(failure) => failure,
        PluginError::Cancelled => return error,
    };
    for (name, value) in [("name", fqdn), ("zone", zone)] {
        failure
            .details
            .push(crate::bindings::waxwing::plugin::types::Detail {
                name: name.to_owned(),
                value: value.to_owned(),
            });
    }
    error
}

fn no_zone(fqdn: &str) -> Failure {
    Failure {
        hint: Some(
            "add the zone to the account, use the keys of the account that has it, or delegate \
             the name by a CNAME to a zone it has"
                .to_owned(),
        ),
        ..failure(
            "zone-not-found",
            format!("the account has no zone that holds {fqdn}"),
        )
    }
}
