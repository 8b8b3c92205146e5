//! Which managed zone holds a name.
//!
//! One list of all zones answers for every name of a run and costs one request, where asking name
//! by name would use up the account's budget at once. Names are asked for only where the list
//! cannot be had.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;

use crate::api::{Api, Problem, Zone, read_zone};
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::plugin::types::PluginError;
use crate::host::Host;

/// Remembered lists are cut into pieces below the host's quota for one value.
const PIECE: usize = 15 * 1024;

/// The account's zones, for the length of one call; remembered for the run.
pub(crate) struct Zones<'h, H> {
    host: &'h H,
    list: OnceCell<Option<Vec<Zone>>>,
    fresh: Cell<bool>,
    asked: RefCell<BTreeMap<String, Option<Zone>>>,
}

impl<'h, H: Host> Zones<'h, H> {
    pub(crate) fn new(host: &'h H) -> Self {
        Self {
            host,
            list: OnceCell::new(),
            fresh: Cell::new(false),
            asked: RefCell::new(BTreeMap::new()),
        }
    }

    /// The zone with the longest name that holds `fqdn` (without a final dot). `hint` is the apex
    /// as the DNS shows it; it saves requests where names have to be asked for.
    pub(crate) fn holding(
        &self,
        api: &Api<'_, H>,
        fqdn: &str,
        hint: Option<&str>,
    ) -> Result<Option<Zone>, PluginError> {
        match self.all(api)? {
            Some(zones) => {
                if let Some(zone) = longest(zones, fqdn) {
                    return Ok(Some(zone.clone()));
                }
            }
            None => return self.ask(api, fqdn, hint),
        }
        // A zone may have been added since the list was remembered.
        if self.fresh.get() {
            return Ok(None);
        }
        let zones = self.fetch(api)?;
        Ok(zones.and_then(|zones| longest(&zones, fqdn).cloned()))
    }

    /// All zones; none if the API does not let this key list them.
    pub(crate) fn all(&self, api: &Api<'_, H>) -> Result<Option<&[Zone]>, PluginError> {
        if self.list.get().is_none() {
            let list = match recall(self.host) {
                Some(zones) => Some(zones),
                None => self.fetch(api)?,
            };
            let _ = self.list.set(list);
        }
        Ok(self.list.get().and_then(Option::as_deref))
    }

    fn fetch(&self, api: &Api<'_, H>) -> Result<Option<Vec<Zone>>, PluginError> {
        self.fresh.set(true);
        let list = match api.zones() {
            Ok(list) => list,
            Err(
                Problem::NotFound(failure)
                | Problem::Refused(failure)
                | Problem::Final(PluginError::Auth(failure)),
            ) => {
                self.host.log(
                    Level::Debug,
                    "cannot list the zones, asking for each name",
                    &[("reason", &failure.message)],
                );
                return Ok(None);
            }
            Err(problem) => return Err(problem.into()),
        };
        if !list.complete {
            return Ok(None);
        }
        let zones: Vec<Zone> = list.entries.iter().filter_map(read_zone).collect();
        keep(self.host, &zones);
        Ok(Some(zones))
    }

    fn ask(
        &self,
        api: &Api<'_, H>,
        fqdn: &str,
        hint: Option<&str>,
    ) -> Result<Option<Zone>, PluginError> {
        // Where the world looks comes first: it is right nearly always, and each wrong guess costs
        // a request.
        let hint = hint.filter(|hint| is_within(fqdn, hint));
        for candidate in hint.into_iter().chain(suffixes(fqdn)) {
            let known = self.asked.borrow().get(candidate).cloned();
            let answer = match known {
                Some(answer) => answer,
                None => {
                    let answer = match recall_one(self.host, candidate) {
                        Some(zone) => Some(zone),
                        None => api.zone(candidate)?,
                    };
                    if let Some(zone) = &answer {
                        self.host
                            .remember(&format!("zone/{candidate}"), zone.id.as_bytes());
                    }
                    self.asked
                        .borrow_mut()
                        .insert(candidate.to_owned(), answer.clone());
                    answer
                }
            };
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}

/// `fqdn` relative to the zone that holds it: empty for the apex.
pub(crate) fn relative<'n>(fqdn: &'n str, zone: &str) -> &'n str {
    fqdn.strip_suffix(zone)
        .map_or(fqdn, |name| name.strip_suffix('.').unwrap_or(name))
}

fn longest<'z>(zones: &'z [Zone], fqdn: &str) -> Option<&'z Zone> {
    zones
        .iter()
        .filter(|zone| is_within(fqdn, &zone.name))
        .max_by_key(|zone| zone.name.len())
}

fn is_within(fqdn: &str, zone: &str) -> bool {
    !zone.is_empty()
        && fqdn
            .strip_suffix(zone)
            .is_some_and(|name| name.is_empty() || name.ends_with('.'))
}

/// The name itself and everything above it, but no top-level domain.
fn suffixes(fqdn: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(fqdn), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
    .filter(|name| name.contains('.'))
}

/// Remembers zones as lines of id and name. If a piece does not fit, the next call lists again.
fn keep<H: Host>(host: &H, zones: &[Zone]) {
    let mut pieces = vec![String::new()];
    for zone in zones {
        let line = format!("{} {}\n", zone.id, zone.name);
        match pieces.last_mut() {
            Some(piece) if piece.len() + line.len() <= PIECE => piece.push_str(&line),
            _ => pieces.push(line),
        }
    }
    let kept = pieces
        .iter()
        .enumerate()
        .all(|(number, piece)| host.remember(&format!("zones/{number}"), piece.as_bytes()));
    if kept {
        host.remember("zones", pieces.len().to_string().as_bytes());
    }
}

fn recall<H: Host>(host: &H) -> Option<Vec<Zone>> {
    let count: usize = text(host.remembered("zones")?)?.parse().ok()?;
    let mut zones = Vec::new();
    for number in 0..count {
        let piece = text(host.remembered(&format!("zones/{number}"))?)?;
        for line in piece.lines() {
            let (id, name) = line.split_once(' ')?;
            zones.push(Zone {
                id: id.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    Some(zones)
}

fn recall_one<H: Host>(host: &H, name: &str) -> Option<Zone> {
    Some(Zone {
        id: text(host.remembered(&format!("zone/{name}"))?)?,
        name: name.to_owned(),
    })
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_zone_that_holds_a_name_is_chosen_by_whole_labels() {
        let zones: Vec<Zone> = ["example.com", "sub.example.com", "ample.com", "example.org"]
            .iter()
            .enumerate()
            .map(|(id, name)| Zone {
                id: id.to_string(),
                name: (*name).to_owned(),
            })
            .collect();
        for (fqdn, expected, left) in [
            (
                "_acme-challenge.example.com",
                Some("example.com"),
                "_acme-challenge",
            ),
            (
                "_acme-challenge.sub.example.com",
                Some("sub.example.com"),
                "_acme-challenge",
            ),
            (
                "_acme-challenge.a.sub.example.com",
                Some("sub.example.com"),
                "_acme-challenge.a",
            ),
            (
                "_acme-challenge.notsub.example.com",
                Some("example.com"),
                "_acme-challenge.notsub",
            ),
            ("example.com", Some("example.com"), ""),
            ("_acme-challenge.example.net", None, ""),
            ("_acme-challenge.badexample.org", None, ""),
        ] {
            let zone = longest(&zones, fqdn);
            assert_eq!(zone.map(|zone| zone.name.as_str()), expected, "{fqdn}");
            if let Some(zone) = zone {
                assert_eq!(relative(fqdn, &zone.name), left);
            }
        }
    }

    #[test]
    fn names_are_walked_up_to_the_last_two_labels() {
        assert_eq!(
            suffixes("_acme-challenge.www.example.com").collect::<Vec<_>>(),
            [
                "_acme-challenge.www.example.com",
                "www.example.com",
                "example.com"
            ]
        );
    }
}
