//! Which zone holds a name.
//!
//! Most tokens see a handful of zones, all of which fit on the first page of the list, so that one
//! request answers for the whole run. Where there are more, or where the token may not list them,
//! each zone is looked up by its name.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use crate::api::{Api, Zone};
use crate::bindings::waxwing::plugin::types::PluginError;
use crate::host::Host;

/// The key of the remembered list: lines of id and name, or [`MANY`].
const LIST: &str = "zones";
const MANY: &[u8] = b"many";

/// All zones, or none if they are too many for one page.
type List = Option<Vec<Zone>>;

/// The token's zones, for the length of one call; remembered for the run.
pub(crate) struct Zones<'h, H> {
    host: &'h H,
    remembered: OnceCell<Option<List>>,
    /// Listed in this call. A failure is kept too, so that it costs one request and not one for
    /// each name.
    listed: OnceCell<Result<List, PluginError>>,
    asked: RefCell<BTreeMap<String, Option<Zone>>>,
}

impl<'h, H: Host> Zones<'h, H> {
    pub(crate) fn new(host: &'h H) -> Self {
        Self {
            host,
            remembered: OnceCell::new(),
            listed: OnceCell::new(),
            asked: RefCell::new(BTreeMap::new()),
        }
    }

    /// The zone with the longest name that holds `fqdn` (without a final dot). `hint` is the apex
    /// as the DNS shows it; it saves requests where names have to be looked up.
    pub(crate) fn holding(
        &self,
        api: &Api<'_, H>,
        fqdn: &str,
        hint: Option<&str>,
    ) -> Result<Option<Zone>, PluginError> {
        let remembered = self.remembered.get_or_init(|| recall(self.host));
        match remembered {
            Some(None) => return self.ask(api, fqdn, hint),
            Some(Some(zones)) => {
                if let Some(zone) = longest(zones, fqdn) {
                    return Ok(Some(zone.clone()));
                }
                // A zone may have been added since the list was remembered.
            }
            None => {}
        }
        match self.listed.get_or_init(|| self.list(api)).as_ref() {
            Ok(Some(zones)) => Ok(longest(zones, fqdn).cloned()),
            Ok(None) => self.ask(api, fqdn, hint),
            Err(refusal @ PluginError::Auth(_)) => self.ask_unlisted(api, fqdn, hint, refusal),
            Err(error) => Err(error.clone()),
        }
    }

    /// Tokens for single zones were refused the list at times, and got it when it was asked for by
    /// name. A name outside their zones is refused likewise, so a refusal is not the end, and the
    /// one of the list is the one that is told.
    fn ask_unlisted(
        &self,
        api: &Api<'_, H>,
        fqdn: &str,
        hint: Option<&str>,
        refusal: &PluginError,
    ) -> Result<Option<Zone>, PluginError> {
        let hint = hint.filter(|hint| is_within(fqdn, hint));
        // With the name server's word on it there is no need to guess; a bad token then costs one
        // request more for each zone and not for each name.
        let guesses = suffixes(fqdn).filter(|_| hint.is_none());
        for candidate in hint.into_iter().chain(guesses) {
            let known = self.asked.borrow().get(candidate).cloned();
            let answer = match known.map_or_else(|| self.ask_one(api, candidate), Ok) {
                Err(PluginError::Auth(_)) => {
                    self.asked.borrow_mut().insert(candidate.to_owned(), None);
                    None
                }
                answer => answer?,
            };
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Err(refusal.clone())
    }

    fn list(&self, api: &Api<'_, H>) -> Result<List, PluginError> {
        let first = api.zones()?;
        if !first.complete {
            self.host.remember(LIST, MANY);
            return Ok(None);
        }
        let lines: String = first
            .zones
            .iter()
            .filter_map(|zone| Some(format!("{} {}\n", zone.id, zone.name.as_ref()?)))
            .collect();
        self.host.remember(LIST, lines.as_bytes());
        Ok(Some(first.zones))
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
                None => self.ask_one(api, candidate)?,
            };
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    fn ask_one(&self, api: &Api<'_, H>, name: &str) -> Result<Option<Zone>, PluginError> {
        let key = format!("zone/{name}");
        let id = self
            .host
            .remembered(&key)
            .and_then(|id| String::from_utf8(id).ok());
        let answer = match id {
            Some(id) => Some(Zone {
                id,
                name: Some(name.to_owned()),
            }),
            None => api.zone(name)?,
        };
        if let Some(zone) = &answer {
            self.host.remember(&key, zone.id.as_bytes());
        }
        self.asked
            .borrow_mut()
            .insert(name.to_owned(), answer.clone());
        Ok(answer)
    }
}

/// None: nothing is remembered.
fn recall<H: Host>(host: &H) -> Option<List> {
    let bytes = host.remembered(LIST)?;
    if bytes == MANY {
        return Some(None);
    }
    let text = String::from_utf8(bytes).ok()?;
    text.lines()
        .map(|line| {
            let (id, name) = line.split_once(' ')?;
            Some(Zone {
                id: id.to_owned(),
                name: Some(name.to_owned()),
            })
        })
        .collect::<Option<Vec<_>>>()
        .map(Some)
}

fn longest<'z>(zones: &'z [Zone], fqdn: &str) -> Option<&'z Zone> {
    zones
        .iter()
        .filter(|zone| {
            zone.name
                .as_deref()
                .is_some_and(|name| is_within(fqdn, name))
        })
        .max_by_key(|zone| zone.name.as_ref().map(String::len))
}

/// True if `fqdn` is the zone's apex or below it.
pub(crate) fn is_within(fqdn: &str, zone: &str) -> bool {
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
