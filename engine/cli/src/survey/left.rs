//! What has left the configuration and may be in use all the same.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::key::KeyType;
use waxwing_core::name::{CertificateName, Identifier, PluginName};
use waxwing_core::plan::in_place::{self, LONG_AGO};
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::history::Past;

/// What is in place for certificates that were never issued, or were and no installer has put them anywhere: what has
/// left the configuration for the same names.
pub(super) fn inherited(
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
    certificates: &[CertificateSettings],
    pasts: &BTreeMap<CertificateName, Past>,
    now: Timestamp,
) -> BTreeMap<CertificateName, Window> {
    let left = left(inventory, certificates);
    if left.is_empty() {
        return BTreeMap::new();
    }
    let of = |certificate: &CertificateSettings| {
        let entry = inventory.get(&certificate.name);
        let never = entry.is_none_or(|entry| entry.current.is_none() && entry.damage.is_none());
        let lacking = |plugin: &&PluginName| entry.is_some_and(|entry| entry.lacks(plugin));
        let lacking: Vec<_> = certificate.install.iter().filter(lacking).collect();
        let current = entry.and_then(|entry| entry.current.as_ref());
        // Names that it is to have and that are not in it yet.
        let missing = entry.map_or_else(Vec::new, |entry| entry.missing(certificate));
        if !never && lacking.is_empty() && missing.is_empty() {
            return None;
        }
        let domains = match never || !lacking.is_empty() {
            true => &certificate.domains,
            false => &missing,
        };
        // Names that the current version has not came behind it.
        let joins = current.is_some_and(|current| {
            let has = |name: &Identifier| current.facts.names.iter().any(|one| one.covers(name));
            lacking.is_empty() && !missing.iter().all(has)
        });
        let issued = current.map(|current| current.origin.issued_at);
        let failed = pasts
            .get(&certificate.name)
            .and_then(|past| past.failed.first());
        let appeared = [issued.filter(|_| !joins), failed.map(|failed| failed.at)]
            .into_iter()
            .flatten()
            .min();
        let appeared = appeared.map_or(now, |at| at.min(now));
        let counts = |gone: &InventoryEntry| match entry.is_none_or(|it| it.installed.is_empty()) {
            true => never || !gone.installed.is_empty(),
            false if lacking.is_empty() => !gone.installed.is_empty(),
            false => lacking.iter().any(|plugin| !gone.lacks(plugin)),
        };
        let lives = |installed: bool| {
            let left = left
                .iter()
                .filter(|gone| gone.installed.is_empty() != installed && counts(gone));
            let lives = left.filter_map(|gone| {
                let names = gone.current.as_ref()?.facts.names.as_slice();
                Some((names, gone.life_in_use()?))
            });
            // What had ended when this one appeared is in use only where nothing else is.
            let lives: Vec<_> = lives
                .filter(|(_, life)| life.end + LONG_AGO > appeared)
                .collect();
            let valid = lives
                .iter()
                .filter(|(_, life)| life.end > appeared)
                .copied();
            let valid = in_place::inherited(domains, valid);
            // What was given up before its name came here was nobody's.
            let ended = || in_place::inherited(domains, lives.iter().copied());
            valid.or_else(|| (!joins).then(ended).flatten())
        };
        // Only what was put somewhere is in use, where anything was.
        let life = lives(true).or_else(|| lives(false))?;
        Some((certificate.name.clone(), life))
    };
    certificates.iter().filter_map(of).collect()
}

/// What is stored and not configured any more, without that whose names others have by now.
pub(super) fn left<'i>(
    inventory: &'i BTreeMap<CertificateName, InventoryEntry>,
    certificates: &[CertificateSettings],
) -> Vec<&'i InventoryEntry> {
    let configured: BTreeSet<&CertificateName> = certificates.iter().map(|one| &one.name).collect();
    let gone = |entry: &&InventoryEntry| !configured.contains(&entry.certificate);
    let mut left: Vec<&InventoryEntry> = inventory.values().filter(gone).collect();
    if left.is_empty() {
        return left;
    }
    // Those in place by these installers, with such a key, and their names.
    let names_of = |installers: &[&PluginName], key: Option<KeyType>| {
        let in_place = certificates.iter().filter_map(|one| {
            let entry = inventory.get(&one.name)?;
            let current = entry.current.as_ref()?;
            let needed = one.install.iter().chain(installers.iter().copied());
            let needed: Vec<&PluginName> = needed.collect();
            (current.facts.key_type == key).then(|| entry.names_by(&needed))
        });
        // Those that it has, not those that it is to have.
        in_place.flatten().collect::<BTreeSet<&Identifier>>()
    };
    let mut known = BTreeMap::new();
    left.retain(|entry| {
        let Some(current) = &entry.current else {
            return true;
        };
        let marks = entry.marks_in_use().map(|mark| &mark.plugin);
        let installers: Vec<&PluginName> = marks.collect();
        let key = current.facts.key_type;
        let served = known
            .entry((installers.clone(), key.map(|key| key.to_string())))
            .or_insert_with(|| names_of(&installers, key));
        // A wildcard beside it takes nobody's place.
        !current.facts.names.iter().all(|name| served.contains(name))
    });
    left
}
