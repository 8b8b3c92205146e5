//! What was renamed or joined and still lies where a server may read it: its successor writes files of other names, so
//! that whoever has not been pointed to them serves the old one until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use waxwing_core::name::{CertificateName, Identifier};
use waxwing_core::plan::in_place::LONG_AGO;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{InstalledMark, InventoryEntry};
use waxwing_io::installed::{Content, content};

use crate::load::Loaded;

/// A certificate that nothing renews any more, beside the one that has its names.
#[derive(Debug, Clone)]
pub(crate) struct Behind<'i> {
    /// What is stored of it.
    pub(crate) entry: &'i InventoryEntry,
    /// Where it still lies.
    pub(crate) file: PathBuf,
    /// Who has some of its names, and is in place.
    pub(crate) heir: &'i CertificateSettings,
}

impl Behind<'_> {
    /// What is so, and what to do, on one line.
    pub(crate) fn sentence(&self) -> String {
        let (name, file) = (&self.entry.certificate, self.file.display());
        format!(
            "{file} is renewed no more, {} has its names: `waxwing check`, `waxwing forget {name}`",
            self.heir.name
        )
    }
}

/// All of them that have not ended long ago; where that is enough without those whose names are looked at by `served-at`: at
/// another port, or by another program, the old file may be read all the same.
pub(crate) fn left_behind<'i>(
    loaded: &'i Loaded,
    inventory: &'i BTreeMap<CertificateName, InventoryEntry>,
    (now, watched): (Timestamp, bool),
) -> Vec<Behind<'i>> {
    let certificates = loaded.settings.certificates.iter();
    let configured: BTreeSet<_> = certificates.map(|one| &one.name).collect();
    let gone = inventory.values();
    let gone = gone.filter(|entry| !configured.contains(&entry.certificate));
    let gone = gone.filter(|entry| {
        let life = entry.life_in_use();
        life.is_some_and(|life| life.end + LONG_AGO > now)
    });
    let behind = |entry: &'i InventoryEntry| {
        entry.marks_in_use().find_map(|mark| {
            let heir = heir(entry, mark, (loaded, watched), inventory)?;
            let file = file_of(entry, mark, heir, loaded)?;
            Some(Behind { entry, file, heir })
        })
    };
    gone.filter_map(behind).collect()
}

/// Who has some of its names by the same installer.
fn heir<'i>(
    gone: &InventoryEntry,
    mark: &InstalledMark,
    (loaded, watched): (&'i Loaded, bool),
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> Option<&'i CertificateSettings> {
    let names = &gone.current.as_ref()?.facts.names;
    let shares = |name: &Identifier| names.iter().any(|one| one.covers(name) || name.covers(one));
    let mut certificates = loaded.settings.certificates.iter();
    certificates.find(|one| {
        let Some(entry) = inventory.get(&one.name) else {
            return false;
        };
        let in_place = entry.names_by(&[&mark.plugin]);
        one.install.contains(&mark.plugin)
            && in_place.into_iter().any(shares)
            && (watched || !is_watched(one, names))
    })
}

/// True if it is looked at where these names are served: whoever sees another one there says so.
fn is_watched(certificate: &CertificateSettings, names: &[Identifier]) -> bool {
    let looks = |name: &Identifier| {
        let mut places = certificate.served_at.iter();
        places.any(|place| place.shows(name))
    };
    names.iter().all(looks)
}

/// A file of its own that is still as it was put there; none if the successor writes the same ones, or they are gone.
fn file_of(
    gone: &InventoryEntry,
    mark: &InstalledMark,
    heir: &CertificateSettings,
    loaded: &Loaded,
) -> Option<PathBuf> {
    let plugin = loaded.settings.plugins.get(&mark.plugin)?;
    let names = plugin.file_names(&gone.certificate);
    let written = plugin.file_names(&heir.name);
    let own = names.iter().filter(|name| !written.contains(name));
    let folders = || plugin.grants.files.values().map(|grant| &grant.dir);
    let paths = own.flat_map(|name| folders().map(move |folder| folder.join(name)));
    let there: Vec<(PathBuf, Content)> = paths
        .filter_map(|path| {
            let content = content(&path, &mark.leaf_sha256)?;
            Some((path, content))
        })
        .collect();
    let of = |wanted: Content| there.iter().find(|(_, content)| *content == wanted);
    // Where none of them can be read as a certificate it may be any.
    let found = of(Content::Same).or_else(|| of(Content::Unknown));
    let found =
        found.filter(|(_, content)| *content == Content::Same || of(Content::Other).is_none());
    found.map(|(path, _)| path.clone())
}
