//! What patterns of `include` have lost: a folder that is not mounted looks like one that was emptied on purpose.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::name::{CertificateName, Identifier};
use waxwing_core::settings::CertificateSettings;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::ports::{StoreError, StoreErrorKind};
use waxwing_io::store::{FileStore, Includes};

use super::left::left;
use crate::load::Loaded;
use crate::render::page::list;

/// So many names are said.
const NAMED: usize = 4;

/// A pattern of `include` that has lost its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// As it is written.
    pub(crate) pattern: String,
    /// Certificates in them that are missed; none if it is not known which they were.
    pub(crate) names: BTreeSet<CertificateName>,
}

impl Lost {
    /// True if that certificate may have been in its files.
    pub(crate) fn may_have(&self, name: &CertificateName) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }
}

/// Patterns of `include` that match no file, and have matched some in an earlier run, or have taken the place of one that
/// did, or of what was in the main file, if what was configured there is configured nowhere now. Where nothing can be
/// read of earlier runs, all that match none.
pub(crate) fn lost(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> Vec<Lost> {
    if loaded.unmatched.is_empty() {
        return Vec::new();
    }
    let unmatched = loaded.unmatched.iter();
    let Some(known) = store.includes() else {
        let all = unmatched.map(|pattern| Lost {
            pattern: pattern.clone(),
            names: BTreeSet::new(),
        });
        return all.collect();
    };
    let missed = |names: &BTreeSet<CertificateName>, pattern: &String| {
        let goes = !known.missed.contains(pattern);
        missed((names, goes), loaded, &known, inventory)
    };
    let written = |pattern: &String| {
        loaded.matched.contains_key(pattern) || loaded.unmatched.contains(pattern)
    };
    // A pattern without files that is new may stand for files that were to have what was configured elsewhere.
    let new = |pattern: &String| {
        let mut all = known.matched.iter();
        // What is not known of one is not known of all.
        if all.any(|(pattern, names)| names.is_none() && !written(pattern)) {
            return Some(BTreeSet::new());
        }
        let names = known.matched.values().flatten().chain(&known.own).flatten();
        missed(&names.cloned().collect(), pattern)
    };
    let found = unmatched.filter_map(|pattern| {
        let names = match known.matched.get(pattern) {
            // It is not known what was in them.
            Some(None) => BTreeSet::new(),
            Some(Some(names)) => missed(names, pattern)?,
            // Files that it does not match may be those that it was to have.
            None if known.empty.contains(pattern) => {
                let unlike = loaded.unlike.get(pattern)?;
                let mut names = new(pattern)?;
                names.retain(|name| unlike.contains(name));
                (!names.is_empty()).then_some(names)?
            }
            None => new(pattern)?,
        };
        Some(Lost {
            pattern: pattern.clone(),
            names,
        })
    });
    found.collect()
}

/// Which of these are stored and configured nowhere, not under another name either; none if that is none of them. `goes` in
/// the run that sees it first.
fn missed(
    (names, goes): (&BTreeSet<CertificateName>, bool),
    loaded: &Loaded,
    known: &Includes,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> Option<BTreeSet<CertificateName>> {
    let certificates = loaded.settings.certificates.iter();
    let configured: BTreeSet<&CertificateName> = certificates.map(|one| &one.name).collect();
    let mut gone = names
        .iter()
        .filter(|name| !configured.contains(name))
        .filter_map(|name| inventory.get(name))
        .filter(|entry| entry.ends().is_some());
    let gone: BTreeSet<CertificateName> = match &known.own {
        None => {
            let left = left(inventory, &loaded.settings.certificates);
            let mut left = left
                .into_iter()
                .filter(|it| names.contains(&it.certificate));
            left.by_ref().map(|it| it.certificate.clone()).collect()
        }
        Some(own) => {
            let mut before = own.iter().chain(known.matched.values().flatten().flatten());
            let before: BTreeSet<&CertificateName> = before.by_ref().collect();
            let has_heirs = |entry: &InventoryEntry| {
                let Some(current) = &entry.current else {
                    return false;
                };
                let facts = &current.facts;
                // Only where it is used something can take its place.
                let at_its_places = |one: &CertificateSettings| {
                    let mut marks = entry.marks_in_use();
                    marks.all(|mark| one.install.contains(&mark.plugin))
                };
                let there = loaded.settings.certificates.iter();
                let there: Vec<&CertificateSettings> =
                    there.filter(|it| at_its_places(it)).collect();
                // Who has all of its names has it for all servers, whenever it came.
                let taken_over = |name: &Identifier| {
                    let mut same = there.iter().filter(|one| Some(one.key) == facts.key_type);
                    same.any(|one| one.domains.contains(name))
                };
                // What comes as it goes has been put in its place, even if a name is dropped by that.
                let taken = |name: &Identifier| {
                    let mut new = there.iter().filter(|one| !before.contains(&one.name));
                    goes && new.any(|one| one.domains.iter().any(|domain| domain.covers(name)))
                };
                facts.names.iter().all(taken_over) || facts.names.iter().any(taken)
            };
            let gone = gone.by_ref().filter(|entry| !has_heirs(entry));
            gone.map(|entry| entry.certificate.clone()).collect()
        }
    };
    (!gone.is_empty()).then_some(gone)
}

/// The same with what is stored of these; without those of which nothing is stored.
fn stored_of<'i>(
    lost: Vec<Lost>,
    loaded: &Loaded,
    inventory: &'i BTreeMap<CertificateName, InventoryEntry>,
) -> Vec<(Lost, Vec<&'i InventoryEntry>)> {
    let left = || left(inventory, &loaded.settings.certificates).into_iter();
    let all = lost.into_iter().map(|lost| {
        let entries: Vec<&InventoryEntry> = match lost.names.is_empty() {
            true => left().filter(|entry| entry.ends().is_some()).collect(),
            false => lost
                .names
                .iter()
                .filter_map(|name| inventory.get(name))
                .collect(),
        };
        (lost, entries)
    });
    // Who has taken everything away, and says so, has lost nothing.
    all.filter(|(_, entries)| !entries.is_empty()).collect()
}

/// What is stored of what patterns of `include` have lost.
pub(crate) fn of_the_lost<'i>(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &'i BTreeMap<CertificateName, InventoryEntry>,
) -> Vec<&'i InventoryEntry> {
    let lost = lost(loaded, store, inventory);
    if lost.is_empty() {
        return Vec::new();
    }
    let all = stored_of(lost, loaded, inventory).into_iter();
    let by_name: BTreeMap<_, _> = all
        .flat_map(|(_, entries)| entries)
        .map(|entry| (&entry.certificate, entry))
        .collect();
    by_name.into_values().collect()
}

/// Notes which patterns of `include` have files, and what is in these. What is missed of one that has lost them is not
/// forgotten as long as it is stored.
pub(crate) fn keep_includes(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) {
    let lost = stored_of(lost(loaded, store, inventory), loaded, inventory);
    let lost: BTreeMap<_, _> = lost
        .into_iter()
        .map(|(lost, _)| {
            (
                lost.pattern,
                Some(lost.names).filter(|names| !names.is_empty()),
            )
        })
        .collect();
    let included: BTreeSet<_> = loaded.matched.values().flatten().collect();
    let configured = loaded.settings.certificates.iter().map(|one| &one.name);
    let own = configured.filter(|name| !included.contains(name));
    let unmatched = loaded.unmatched.iter();
    let empty = unmatched.filter(|one| !lost.contains_key(*one));
    let matched = loaded.matched.clone().into_iter();
    let matched = matched.map(|(pattern, names)| (pattern, Some(names)));
    let includes = Includes {
        missed: lost.keys().cloned().collect(),
        empty: empty.cloned().collect(),
        matched: matched.chain(lost).collect(),
        own: Some(own.cloned().collect()),
    };
    if let Err(error) = store.keep_includes(includes) {
        tracing::warn!(cause = %error, "which patterns of `include` have files could not be noted");
    }
}

/// That patterns of `include` match no file any more: what was configured there would run out without a word.
pub(crate) fn emptied(
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
    loaded: &Loaded,
    store: &FileStore,
) -> Vec<StoreError> {
    let lost = lost(loaded, store, inventory);
    if lost.is_empty() {
        return Vec::new();
    }
    let config = std::path::absolute(&loaded.config).unwrap_or_else(|_| loaded.config.clone());
    let all = stored_of(lost, loaded, inventory).into_iter();
    let told = all.map(|(lost, entries)| {
        let names = entries.iter().map(|entry| entry.certificate.to_string());
        let names: Vec<String> = names.collect();
        StoreError {
            kind: StoreErrorKind::Io,
            act: "find what `include` names:",
            path: config.with_file_name(lost.pattern),
            causes: vec![format!(
                "no file matches it, and nothing configures {} any more",
                list(&names, NAMED)
            )],
            hint: Some(format!(
                "put the files back, or give them names that match; or `waxwing forget {}` for what is not wanted \
                 any more",
                names.first().map_or("NAME", String::as_str)
            )),
        }
    });
    told.collect()
}
