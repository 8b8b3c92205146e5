//! What has left the configuration and may be in use all the same.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::key::KeyType;
use waxwing_core::name::{CertificateName, Identifier, PluginName};
use waxwing_core::plan::in_place::{self, LONG_AGO};
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::history::Past;
use waxwing_flow::ports::{StoreError, StoreErrorKind};
use waxwing_io::store::{FileStore, Includes};

use crate::load::Loaded;
use crate::render::page::list;

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
        if !never && lacking.is_empty() {
            return None;
        }
        let current = entry.and_then(|entry| entry.current.as_ref());
        let issued = current.map(|current| current.origin.issued_at);
        let failed = pasts
            .get(&certificate.name)
            .and_then(|past| past.failed.first());
        let appeared = [issued, failed.map(|failed| failed.at)]
            .into_iter()
            .flatten()
            .min();
        let appeared = appeared.map_or(now, |at| at.min(now));
        let counts = |gone: &InventoryEntry| match entry.is_none_or(|it| it.installed.is_empty()) {
            true => never || !gone.installed.is_empty(),
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
            let valid = in_place::inherited(&certificate.domains, valid);
            valid.or_else(|| in_place::inherited(&certificate.domains, lives.iter().copied()))
        };
        // Only what was put somewhere is in use, where anything was.
        let life = lives(true).or_else(|| lives(false))?;
        Some((certificate.name.clone(), life))
    };
    certificates.iter().filter_map(of).collect()
}

/// What is stored and not configured any more, without that whose names others have by now.
pub(crate) fn left<'i>(
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
        let in_place = certificates.iter().filter(|one| {
            let entry = inventory.get(&one.name);
            entry.is_some_and(|entry| {
                let of_key = entry
                    .current
                    .as_ref()
                    .is_some_and(|it| it.facts.key_type == key);
                let mut needed = one.install.iter().chain(installers.iter().copied());
                of_key && !needed.any(|plugin| entry.lacks(plugin))
            })
        });
        let names = in_place.flat_map(|one| &one.domains);
        names.collect::<BTreeSet<&Identifier>>()
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
        let is_served = |name: &Identifier| {
            let above = name.domain.parent().map(|domain| Identifier {
                domain,
                wildcard: true,
            });
            let above = above.is_some_and(|above| served.contains(&above));
            served.contains(name) || !name.wildcard && above
        };
        !current.facts.names.iter().all(is_served)
    });
    left
}

/// So many names are said.
const NAMED: usize = 4;

/// A pattern of `include` that has lost its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// As it is written.
    pub(crate) pattern: String,
    /// Certificates in them that nothing configures now; none if it is not known which they were.
    pub(crate) names: BTreeSet<CertificateName>,
}

impl Lost {
    /// True if that certificate may have been in its files.
    pub(crate) fn may_have(&self, name: &CertificateName) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }
}

/// Patterns of `include` that match no file, and have matched some in an earlier run, or have taken the place of one that
/// did, if what was in these files is not configured elsewhere. Where nothing can be read of earlier runs, all that match
/// none.
pub(crate) fn lost(loaded: &Loaded, store: &FileStore) -> Vec<Lost> {
    let lost = |pattern: &String, names| Lost {
        pattern: pattern.clone(),
        names,
    };
    let unmatched = loaded.unmatched.iter();
    let Some(known) = store.includes() else {
        return unmatched.map(|one| lost(one, BTreeSet::new())).collect();
    };
    let certificates = loaded.settings.certificates.iter();
    let configured: BTreeSet<&CertificateName> = certificates.map(|one| &one.name).collect();
    // What of these is missed; none if nothing is.
    let missed = |names: &BTreeSet<CertificateName>| {
        let gone = names.iter().filter(|name| !configured.contains(name));
        let gone: BTreeSet<CertificateName> = gone.cloned().collect();
        (names.is_empty() || !gone.is_empty()).then_some(gone)
    };
    let written = |pattern: &String| {
        loaded.matched.contains_key(pattern) || loaded.unmatched.contains(pattern)
    };
    let changed = known.matched.iter().filter(|(one, _)| !written(one));
    let changed: Vec<_> = changed.filter_map(|(_, names)| missed(names)).collect();
    let found = unmatched.filter_map(|pattern| {
        let names = match known.matched.get(pattern) {
            Some(names) => missed(names)?,
            None if known.empty.contains(pattern) || changed.is_empty() => return None,
            // What is not known of one is not known of all.
            None if changed.iter().any(BTreeSet::is_empty) => BTreeSet::new(),
            None => changed.iter().flatten().cloned().collect(),
        };
        Some(lost(pattern, names))
    });
    found.collect()
}

/// The same, of what is stored and not configured any more: names that are missed, each pattern with its own.
fn missed<'i>(
    lost: Vec<Lost>,
    left: &[&'i InventoryEntry],
) -> Vec<(Lost, Vec<&'i InventoryEntry>)> {
    let with_names = lost.into_iter().map(|lost| {
        let missed = left.iter().copied();
        let missed = missed.filter(|it| it.ends().is_some() && lost.may_have(&it.certificate));
        let missed = missed.collect();
        (lost, missed)
    });
    // Who has taken everything away, and says so, has lost nothing.
    with_names
        .filter(|(_, missed): &(Lost, Vec<_>)| !missed.is_empty())
        .collect()
}

/// Notes which patterns of `include` have files, and what is in these. What is missed of one that has lost them is not
/// forgotten as long as it is stored.
pub(crate) fn keep_includes(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) {
    let left = left(inventory, &loaded.settings.certificates);
    let missed = missed(lost(loaded, store), &left).into_iter();
    let missed: BTreeMap<_, _> = missed.map(|(lost, _)| (lost.pattern, lost.names)).collect();
    let unmatched = loaded.unmatched.iter();
    let empty = unmatched.filter(|one| !missed.contains_key(*one));
    let empty = empty.cloned().collect();
    let matched = loaded.matched.clone().into_iter().chain(missed).collect();
    if let Err(error) = store.keep_includes(Includes { matched, empty }) {
        tracing::warn!(cause = %error, "which patterns of `include` have files could not be noted");
    }
}

/// That patterns of `include` match no file any more: what was configured there would run out without a word.
pub(crate) fn emptied(
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
    loaded: &Loaded,
    store: &FileStore,
) -> Vec<StoreError> {
    let lost = lost(loaded, store);
    if lost.is_empty() {
        return Vec::new();
    }
    let left = left(inventory, &loaded.settings.certificates);
    let config = std::path::absolute(&loaded.config).unwrap_or_else(|_| loaded.config.clone());
    let told = missed(lost, &left).into_iter().map(|(lost, missed)| {
        let names = missed.iter().map(|entry| entry.certificate.to_string());
        let names: Vec<String> = names.collect();
        StoreError {
            kind: StoreErrorKind::Io,
            act: "find what `include` names:",
            path: config.with_file_name(lost.pattern),
            causes: vec![format!(
                "no file matches it any more, and nothing configures {}",
                list(&names, NAMED)
            )],
            hint: Some(format!(
                "put the files back; or `waxwing forget {}` for what is not wanted any more",
                names.first().map_or("NAME", String::as_str)
            )),
        }
    });
    told.collect()
}
