//! Two certificates that would be written to one file.
//!
//! The file names stand in an installer's `settings.files`, in which `{name}` becomes the
//! certificate's name, and the folder in its one `grants.files`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::certificates::ReadCertificate;
use super::plugins::{Plugins, only_folder};
use crate::document::problem::{Problem, Problems};
use crate::name::{CertificateName, PluginName};
use crate::settings::PluginSettings;

pub(super) fn check(
    certificates: &[ReadCertificate],
    plugins: &Plugins,
    real: fn(&Path) -> Option<PathBuf>,
    problems: &Problems,
) {
    let mut folders: BTreeMap<&PluginName, Folder> = BTreeMap::new();
    let mut writers: BTreeMap<String, (&ReadCertificate, &PluginName)> = BTreeMap::new();
    // One report for each pair: their other files collide for the same reason.
    let mut told = BTreeSet::new();
    for certificate in certificates {
        for name in &certificate.settings.install {
            let Some(plugin) = plugins.settings.get(name) else {
                continue;
            };
            let folder = folders
                .entry(name)
                .or_insert_with(|| Folder::of(plugin, real));
            for (path, written) in folder.targets(plugin, &certificate.settings.name) {
                let Some((first, by)) = writers.get(&written) else {
                    writers.insert(written, (certificate, name));
                    continue;
                };
                if told.insert((&first.settings.name, *by, &certificate.settings.name, name)) {
                    problems.add(report(first, by, certificate, name, &path));
                }
            }
        }
    }
}

/// The folder of an installer, as it is written and as it is told from others.
struct Folder(Option<(PathBuf, String)>);

impl Folder {
    fn of(plugin: &PluginSettings, real: fn(&Path) -> Option<PathBuf>) -> Self {
        let folder = only_folder(&plugin.grants).map(|folder| {
            let found = real(folder).unwrap_or_else(|| folder.to_owned());
            (folder.to_owned(), plain(&found.to_string_lossy()))
        });
        Self(folder)
    }

    /// The paths that `plugin` writes for a certificate of that name: as they are written, and as
    /// they are told apart.
    fn targets(
        &self,
        plugin: &PluginSettings,
        certificate: &CertificateName,
    ) -> Vec<(String, String)> {
        let Some((folder, known)) = &self.0 else {
            return Vec::new();
        };
        // Windows does not tell capitals apart.
        let windows = !folder.to_string_lossy().starts_with('/');
        let names = plugin.file_names(certificate).into_iter();
        names
            .map(|file| {
                let shown = folder.join(&file).display().to_string();
                let known = format!("{known}/{file}");
                (shown, if windows { known.to_lowercase() } else { known })
            })
            .collect()
    }
}

/// A folder without `.`, `..`, doubled and last separators. Where a link is on the way, only its real
/// path tells what `..` means.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn report(
    first: &ReadCertificate,
    by: &PluginName,
    second: &ReadCertificate,
    name: &PluginName,
    path: &str,
) -> Problem {
    let (one, other) = (&first.settings.name, &second.settings.name);
    let (key, message, hint) = if one == other {
        (
            format!("certificate \"{one}\", install \"{by}\" and \"{name}\""),
            format!("both would write {path}"),
            format!("another grants.files folder, or other names in settings.files of {name}"),
        )
    } else {
        let installers = if by == name {
            format!("install \"{name}\"")
        } else {
            format!("install \"{by}\" and \"{name}\"")
        };
        (
            format!("certificates \"{one}\" and \"{other}\", {installers}"),
            format!("both would write {path}"),
            r#"settings.files = { "{name}.crt" = "fullchain.pem", "{name}.key" = "privkey.pem" }"#
                .to_owned(),
        )
    };
    let problem = Problem::new(first.install_at.clone(), key, message).hint(hint);
    if first.install_at == second.install_at {
        problem
    } else {
        problem.also(second.install_at.clone())
    }
}
