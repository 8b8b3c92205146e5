//! The calls of the contract.

use serde_json::Value;

use crate::api::{Api, Problem, Zone, failure, is_id};
use crate::bindings::exports::waxwing::plugin::dns_provider::{
    ChallengeRecord, Placed, PresentReport, Propagation, Removal, ZoneAnswer,
};
use crate::bindings::waxwing::plugin::types::{
    Attempt, Failure, Finding, PluginError, SettingFailure, Severity,
};
use crate::host::Host;
use crate::zones::{Zones, is_within};

const ENDPOINT: &str = "https://api.cloudflare.com/client/v4";
const DEFAULT_TTL: u32 = 60;
/// The anycast network usually answers within seconds.
const EXPECTED_PROPAGATION_MS: u32 = 10_000;
const NO_PROPAGATION_AFTER_MS: u32 = 600_000;
/// With less time than this no request is begun: it could be cut off after the server acted.
const LEAST_TIME_MS: u64 = 5_000;

/// The settings of `plugin.toml`. The host has checked their types and filled in the defaults.
#[derive(Debug)]
struct Settings {
    ttl: u32,
    zone_id: Option<String>,
    endpoint: Option<String>,
}

impl Settings {
    fn parse(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        value.as_object()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Self {
            ttl: value["ttl"]
                .as_u64()
                .and_then(|ttl| u32::try_from(ttl).ok())
                .unwrap_or(DEFAULT_TTL),
            zone_id: text("zone-id"),
            endpoint: text("endpoint"),
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

impl<'h, H: Host> Provider<'h, H> {
    pub(crate) fn new(host: &'h H, settings: &str) -> Result<Self, PluginError> {
        let settings = Settings::parse(settings).ok_or_else(|| {
            PluginError::Config(SettingFailure {
                pointer: String::new(),
                failure: failure("settings", "the settings are no JSON object"),
            })
        })?;
        if settings.zone_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(PluginError::Config(SettingFailure {
                pointer: "/zone-id".to_owned(),
                failure: failure(
                    "zone-id",
                    "zone-id is no id: 32 hexadecimal digits, as the zone's overview shows it",
                ),
            }));
        }
        let base = settings.endpoint.as_deref().unwrap_or(ENDPOINT);
        Ok(Self {
            host,
            api: Api::new(host, base),
            zones: Zones::new(host),
            settings,
        })
    }

    pub(crate) fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginError> {
        let mut findings = Vec::new();
        if self.settings.ttl != 1 && self.settings.ttl < 60 {
            findings.push(Finding {
                severity: Severity::Warning,
                pointer: Some("/ttl".to_owned()),
                failure: failure(
                    "ttl",
                    "only Enterprise zones take less than 60 seconds (1 means automatic)",
                ),
            });
        }
        if !online {
            return Ok(findings);
        }
        let result = match &self.settings.zone_id {
            Some(id) => self.api.probe(id).map(|()| false),
            None => self.api.zones().map(|list| list.zones.is_empty()),
        };
        let mut add = |severity, pointer: Option<&str>, failure| {
            findings.push(Finding {
                severity,
                pointer: pointer.map(str::to_owned),
                failure,
            });
        };
        match result {
            Ok(false) => {}
            Ok(true) => add(
                Severity::Warning,
                None,
                failure("no-zones", "the token works, but it can see no zone"),
            ),
            Err(Problem::Final(PluginError::Auth(failure))) => {
                add(Severity::Error, None, failure);
            }
            Err(Problem::NotFound(failure)) if self.settings.zone_id.is_some() => {
                add(Severity::Error, Some("/zone-id"), failure);
            }
            Err(problem) => return Err(problem.into()),
        }
        Ok(findings)
    }

    pub(crate) fn preflight(&self, names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        if let Some(id) = &self.settings.zone_id {
            return self.preflight_fixed(id, names);
        }
        names
            .into_iter()
            .map(|name| {
                let fqdn = plain(&name);
                Ok(match self.zones.holding(&self.api, &fqdn, None)? {
                    Some(zone) => ZoneAnswer {
                        name,
                        zone: zone.name,
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
        let zone = self.zone(&fqdn, record)?;
        let (id, created) = match self
            .api
            .create(&zone.id, &fqdn, &record.value, self.settings.ttl)
        {
            Ok(Some(id)) => (Some(id), true),
            Ok(None) => (self.find(&zone, &fqdn, record)?, true),
            // It may be ours: the answer to an earlier try can have been lost on the way.
            Err(Problem::Duplicate(duplicate)) => {
                match self.find(&zone, &fqdn, record)? {
                    // A CNAME of that name is a duplicate for this API as well.
                    None => return Err(named(PluginError::Permanent(duplicate), &fqdn, &zone)),
                    found => (found, attempt.number > 1),
                }
            }
            Err(Problem::NotFound(failure)) if self.settings.zone_id.is_some() => {
                return Err(PluginError::Config(SettingFailure {
                    pointer: "/zone-id".to_owned(),
                    failure,
                }));
            }
            Err(problem) => return Err(named(problem.into(), &fqdn, &zone)),
        };
        let Some(id) = id else {
            return Err(named(
                PluginError::Other(failure(
                    "record-missing",
                    format!("the API says that {fqdn} was created, but does not list it"),
                )),
                &fqdn,
                &zone,
            ));
        };
        Ok(Placed {
            key: record.key.clone(),
            receipt: format!("{}/{id}", zone.id),
            created,
        })
    }

    fn remove_one(&self, removal: &Removal) -> Result<(), PluginError> {
        self.check_time()?;
        let record = &removal.challenge;
        let fqdn = plain(&record.fqdn);
        let (zone, id) = match removal.receipt.as_deref().and_then(read_receipt) {
            Some((zone, id)) => (
                Zone {
                    id: zone.to_owned(),
                    name: None,
                },
                id.to_owned(),
            ),
            None => {
                let zone = match self.zone(&fqdn, record) {
                    // Where the token sees no zone for it, it was never made.
                    Err(PluginError::NotFound(_)) => return Ok(()),
                    zone => zone?,
                };
                match self.find(&zone, &fqdn, record)? {
                    Some(id) => (zone, id),
                    None => return Ok(()),
                }
            }
        };
        match self.api.delete(&zone.id, &id) {
            Ok(()) | Err(Problem::NotFound(_)) => Ok(()),
            Err(problem) => Err(named(problem.into(), &fqdn, &zone)),
        }
    }

    /// Where the operator says that one zone takes everything.
    fn preflight_fixed(
        &self,
        id: &str,
        names: Vec<String>,
    ) -> Result<Vec<ZoneAnswer>, PluginError> {
        let zone = match self.api.zone_name(id) {
            Ok(name) => name,
            // The token may edit records without being allowed to read the zone.
            Err(Problem::Final(PluginError::Auth(_))) => {
                self.api.probe(id)?;
                None
            }
            Err(problem) => return Err(problem.into()),
        };
        Ok(names
            .into_iter()
            .map(|name| {
                let outside = zone
                    .as_deref()
                    .filter(|zone| !is_within(&plain(&name), zone))
                    .map(|zone| {
                        failure(
                            "outside-zone",
                            format!(
                                "{name} is not in {zone}, the zone that settings.zone-id names"
                            ),
                        )
                    });
                ZoneAnswer {
                    zone: zone.clone().filter(|_| outside.is_none()),
                    problem: outside,
                    name,
                }
            })
            .collect())
    }

    fn zone(&self, fqdn: &str, record: &ChallengeRecord) -> Result<Zone, PluginError> {
        if let Some(id) = &self.settings.zone_id {
            return Ok(Zone {
                id: id.clone(),
                name: None,
            });
        }
        let hint = record.zone_hint.as_deref().map(plain);
        self.zones
            .holding(&self.api, fqdn, hint.as_deref())?
            .ok_or_else(|| PluginError::NotFound(no_zone(fqdn)))
    }

    fn find(
        &self,
        zone: &Zone,
        fqdn: &str,
        record: &ChallengeRecord,
    ) -> Result<Option<String>, PluginError> {
        self.api
            .find(&zone.id, fqdn, &record.value)
            .map_err(|problem| named(problem.into(), fqdn, zone))
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

/// True for errors that every further request of the call would meet too. A refused token is not
/// among them: tokens are good for some zones and not for others.
const fn is_for_all(error: &PluginError) -> bool {
    match error {
        PluginError::Retryable(retry) => retry.account_wide,
        PluginError::Cancelled => true,
        _ => false,
    }
}

fn read_receipt(receipt: &str) -> Option<(&str, &str)> {
    let (zone, record) = receipt.split_once('/')?;
    (is_id(zone) && is_id(record)).then_some((zone, record))
}

/// Adds name and zone, which the API's words leave out.
fn named(mut error: PluginError, fqdn: &str, zone: &Zone) -> PluginError {
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
    let zone = zone.name.as_deref().unwrap_or(&zone.id);
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
            "give the token Zone:Read and DNS:Edit on the zone, set settings.zone-id, or delegate \
             the name by a CNAME to a zone it can see"
                .to_owned(),
        ),
        ..failure(
            "zone-not-found",
            format!("the token can see no zone that holds {fqdn}"),
        )
    }
}
