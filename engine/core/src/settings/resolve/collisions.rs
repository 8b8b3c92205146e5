//! Two certificates that would be written to one file.
//!
//! The file names stand in an installer's `settings.files`, in which `{name}` becomes the
//! certificate's name, and the folder in its one `grants.files`.

use std::collections::{BTreeMap, BTreeSet};

use super::certificates::ReadCertificate;
use super::plugins::{Plugins, only_folder};
use crate::document::problem::{Problem, Problems};
use crate::name::{CertificateName, PluginName};
use crate::settings::PluginSettings;

pub(super) fn check(certificates: &[ReadCertificate], plugins: &Plugins, problems: &Problems) {
    let mut writers: BTreeMap<String, (&ReadCertificate, &PluginName)> = BTreeMap::new();
    // One report for each pair: their other files collide for the same reason.
    let mut told = BTreeSet::new();
    for certificate in certificates {
        for name in &certificate.settings.install {
            let Some(plugin) = plugins.settings.get(name) else {
                continue;
            };
            for path in targets(plugin, &certificate.settings.name) {
                let Some((first, by)) = writers.get(&path) else {
                    writers.insert(path, (certificate, name));
                    continue;
                };
                if told.insert((&first.settings.name, *by, &certificate.settings.name, name)) {
                    problems.add(report(first, by, certificate, name, &path));
                }
            }
        }
    }
}

/// The paths that `plugin` writes for a certificate of that name.
fn targets(plugin: &PluginSettings, certificate: &CertificateName) -> Vec<String> {
    let Some(folder) = only_folder(&plugin.grants) else {
        return Vec::new();
    };
    let names = plugin.file_names(certificate).into_iter();
    names
        .map(|file| folder.join(file).display().to_string())
        .collect()
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
