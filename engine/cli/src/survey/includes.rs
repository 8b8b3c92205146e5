//! What patterns of `include` have lost, and who says so.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::include::{self, By, Kept, KeptVersion, Lost, Written};
use waxwing_core::name::CertificateName;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::ports::{StoreError, StoreErrorKind};
use waxwing_io::store::FileStore;

use super::left::left;
use crate::load::Loaded;
use crate::render::page::list;

/// So many names are said.
const NAMED: usize = 4;

/// Patterns of `include` that have lost their files, and what is missed of these.
pub(crate) fn lost(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> Vec<Lost> {
    // Where all patterns have files, and nothing but these, nothing has to be read.
    if !may_have_lost(loaded) {
        return Vec::new();
    }
    let ending = inventory.values().filter(|entry| entry.ends().is_some());
    let kept = ending.map(|entry| {
        let current = entry.current.as_ref();
        let kept = Kept {
            current: current.map(|current| KeptVersion {
                names: &current.facts.names,
                key: current.facts.key_type,
            }),
            places: entry.marks_in_use().map(|mark| &mark.plugin).collect(),
        };
        (&entry.certificate, kept)
    });
    let known = store.includes();
    include::lost(written(loaded), known.as_ref(), &kept.collect())
}

/// True if patterns of `include` are as if they had lost something.
fn may_have_lost(loaded: &Loaded) -> bool {
    !(loaded.unmatched.is_empty() && loaded.unlike.is_empty() && loaded.blank.is_empty())
        || loaded.matched.values().any(BTreeSet::is_empty)
}

fn written(loaded: &Loaded) -> Written<'_> {
    Written {
        matched: &loaded.matched,
        unmatched: &loaded.unmatched,
        unlike: &loaded.unlike,
        blank: &loaded.blank,
        certificates: &loaded.settings.certificates,
    }
}

/// Patterns of `include` that have lost their files, with what is stored of that; without those of which nothing is.
pub(crate) fn stored_of_the_lost<'i>(
    inventory: &'i BTreeMap<CertificateName, InventoryEntry>,
    loaded: &Loaded,
    store: &FileStore,
) -> Vec<(Lost, Vec<&'i InventoryEntry>)> {
    let left = || left(inventory, &loaded.settings.certificates).into_iter();
    let all = lost(loaded, store, inventory).into_iter().map(|lost| {
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

/// Notes which patterns of `include` have files, and what is in these. What is missed of one that has lost them is not
/// forgotten as long as it is stored.
pub(crate) fn keep_includes(
    loaded: &Loaded,
    store: &FileStore,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) {
    let lost = stored_of_the_lost(inventory, loaded, store).into_iter();
    let lost = lost.map(|(lost, _)| lost).collect();
    let includes = include::note(written(loaded), lost);
    if let Err(error) = store.keep_includes(includes) {
        tracing::warn!(cause = %error, "which patterns of `include` have files could not be noted");
    }
}

/// That patterns of `include` match no file any more: what was configured there would run out without a word.
pub(crate) fn emptied(lost: &[(Lost, Vec<&InventoryEntry>)], loaded: &Loaded) -> Vec<StoreError> {
    let config = std::path::absolute(&loaded.config).unwrap_or_else(|_| loaded.config.clone());
    let told = lost.iter().map(|(lost, entries)| {
        let names = entries.iter().map(|entry| entry.certificate.to_string());
        let names: Vec<String> = names.collect();
        StoreError {
            kind: StoreErrorKind::Io,
            act: "find what `include` names:",
            path: config.with_file_name(&lost.pattern),
            causes: vec![format!(
                "{}, and nothing configures {} any more",
                match lost.by {
                    By::NoFile => "no file matches it",
                    By::Blank => "nothing stands in a file that it matches",
                    By::Bare => "no certificate is in the files that it matches",
                    By::Beside => "a file beside those that it matches has another name",
                },
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
