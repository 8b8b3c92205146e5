//! Whether each provider holds the zones into which the records of its names go: behind the CNAME of
//! `_acme-challenge`, and below every zone cut.

use std::collections::BTreeMap;

use waxwing_core::name::DomainName;
use waxwing_core::settings::{Propagation, Settings};
use waxwing_flow::plugin::ZoneAnswer;

use super::view::Looked;
use super::{WHO, failed};
use crate::render::check::{Found, Verdict};
use crate::render::page::{count, list};
use crate::render::progress::Live;
use crate::wire::Wired;

const TOPIC: &str = "zones";

/// What to do about a zone that is not in the account.
const ELSEWHERE: &str = "the zone has to be in the account at the provider whose credentials the plugin has; else name \
                         another plugin in `validate`";

/// A place of records, and the names that are proved there.
type Places<'s> = BTreeMap<DomainName, Vec<&'s DomainName>>;

/// Asks each provider.
pub(super) async fn findings(
    settings: &Settings,
    wired: &Wired,
    looked: &Looked,
    live: &Live,
) -> Vec<Found> {
    let mut of_plugins: BTreeMap<_, Places<'_>> = BTreeMap::new();
    for certificate in &settings.certificates {
        for domain in certificate.domains.iter().map(|one| &one.domain) {
            let Some(plugin) = certificate.validator(domain) else {
                continue;
            };
            // What cannot be looked up is taken to go where it belongs.
            let place = looked.location(domain).map(|one| one.fqdn.clone());
            let place = place.unwrap_or_else(|| domain.challenge_name());
            let names = of_plugins.entry(plugin.clone()).or_default();
            let names = names.entry(place).or_default();
            if !names.contains(&domain) {
                names.push(domain);
            }
        }
    }
    let mut found = Vec::new();
    for (plugin, places) in of_plugins {
        let Some(provider) = wired.plugins.get(&plugin).and_then(|loaded| loaded.dns()) else {
            continue;
        };
        let asked: Vec<DomainName> = places.keys().cloned().collect();
        let what = format!(
            "{plugin}: looking for the zones of {}",
            count(asked.len(), "name")
        );
        let (most, looking) = (provider.longest(asked.len()), provider.preflight(&asked));
        match live.during(WHO, &what, most, looking).await {
            Ok(answers) => {
                // Elsewhere the view from here is not the world's, and no renewal goes by it.
                let seen = match settings.network.propagation {
                    Propagation::Authoritative => Some(looked),
                    Propagation::Resolvers | Propagation::Wait(_) => None,
                };
                found.extend(judge(plugin.as_str(), &answers, &places, seen));
            }
            Err(failure) => found.push(failed(TOPIC, &failure)),
        }
    }
    found
}

fn judge(
    plugin: &str,
    answers: &[ZoneAnswer],
    places: &Places<'_>,
    looked: Option<&Looked>,
) -> Vec<Found> {
    let mut found = Vec::new();
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in answers {
        let mut all = places.iter();
        let Some((place, names)) = all.find(|(place, _)| place.as_str() == answer.name) else {
            continue;
        };
        let usual = names.iter().all(|name| name.challenge_name() == *place);
        let what = match usual {
            true => list(names, 3),
            false => format!("{place}, where the record of {} goes", list(names, 3)),
        };
        let zone_there = names.first().and_then(|name| looked?.location(name));
        let zone_there = zone_there.and_then(|there| there.zone.as_ref());
        match (&answer.zone, &answer.problem) {
            (Some(zone), None) => match zone_there.filter(|there| there.as_str() != zone) {
                None => *zones.entry(zone).or_default() += names.len(),
                Some(there) => {
                    let text = format!(
                        "{plugin} would place {place} into {zone}, and the name servers have it in the zone {there}"
                    );
                    let hint = format!(
                        "what is placed in {zone} is not seen there: put {there} into the account of the plugin, or make \
                         {place} a CNAME to a zone that it has"
                    );
                    found.push(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint)));
                }
            },
            (_, Some(problem)) => {
                let text = format!("{plugin} cannot take {what}");
                let one = Found::new(Verdict::Error, TOPIC, text);
                found.push(
                    one.causes([problem.message.clone()])
                        .hint(problem.hint.clone()),
                );
            }
            (None, None) => {
                let text = format!("{plugin} holds no zone for {what}");
                let one = Found::new(Verdict::Error, TOPIC, text);
                found.push(one.hint(Some(ELSEWHERE.to_owned())));
            }
        }
    }
    if !zones.is_empty() {
        let zones = zones.iter();
        let zones = zones.map(|(zone, names)| format!("{zone} ({})", count(*names, "name")));
        let text = format!("{plugin} holds {}", zones.collect::<Vec<_>>().join(", "));
        found.push(Found::new(Verdict::Ok, TOPIC, text));
    }
    found
}
