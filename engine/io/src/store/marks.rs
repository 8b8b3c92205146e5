//! What installers have put in place: `installed/PLUGIN.toml`.

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_flow::certificate::{InstalledMark, InventoryVersion, OlderVersion};

use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, format, read};

/// How a file ends that was set aside.
const ASIDE: &str = "was";

impl FileStore {
    /// What installers have put in place. Without the note of it, it is installed once more.
    pub(super) fn installed(
        &self,
        name: &CertificateName,
        current: Option<&InventoryVersion>,
    ) -> Vec<InstalledMark> {
        let paths = read::ignored(name, read::children(&self.layout.installed(name)));
        // There are many certificates and few installers.
        let mut marks = Vec::with_capacity(paths.len());
        for path in paths {
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                marks.extend(read::note(name, &path, format::read_installed));
            }
        }
        marks.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        // Seldom: it was renewed, and is not in its place.
        let Some(current) = current else { return marks };
        for mark in marks.iter_mut() {
            if mark.version == current.version {
                continue;
            }
            let facts = self.facts(name, mark.version).ok();
            mark.older = facts.map(|(facts, _)| {
                Box::new(OlderVersion {
                    names: facts.names,
                    not_before: facts.not_before,
                })
            });
        }
        marks
    }

    /// Another one has put something newer in its place: what it did says nothing of what is in use, but for it, should
    /// it be asked again.
    pub(super) fn set_mark_aside(
        &self,
        name: &CertificateName,
        plugin: &PluginName,
    ) -> Result<(), StoreError> {
        let path = self.layout.installed_by(name, plugin);
        if let Some(text) = read::text(&path)? {
            atomic::replace(&path.with_extension(ASIDE), text.as_bytes())?;
        }
        atomic::remove(&path)
    }

    /// What was set aside.
    pub(super) fn mark_aside(
        &self,
        name: &CertificateName,
        plugin: &PluginName,
    ) -> Option<InstalledMark> {
        let path = self.layout.installed_by(name, plugin);
        read::note(name, &path.with_extension(ASIDE), format::read_installed)
    }
}
