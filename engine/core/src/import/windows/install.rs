//! Where these clients put certificates, and the certificates themselves.

use super::plugins::{Kind, Step, called, kind, options};
use super::{CACHE, Object, PFX, json, names, unprotected};
use crate::import::tree::Tree;
use crate::import::{Certificate, Command, Cut, Install, Stored, Value};
use crate::secret::Secret;

/// Folder and name of the PEM files of a store, and whether their key is encrypted.
pub(super) fn pem_files(options: &Object, object: &Object) -> Option<((String, String), bool)> {
    if kind(options, Step::Store) != Some(Kind::PemFiles) {
        return None;
    }
    let place = json::text(options, &["Path"])?;
    let name = json::text(options, &["FileName"]).or_else(|| {
        let target = json::down(object, &["TargetPluginOptions"])?.as_object()?;
        names(target)?.into_iter().next()
    })?;
    let locked = json::text(options, &["PemPassword"]).is_some();
    Some(((place, name.replace('*', "_")), locked))
}

/// The path of one of its PEM files.
pub(super) fn pem_path((place, name): &(String, String), cut: Cut) -> String {
    let end = match cut {
        Cut::Cert => "crt",
        Cut::Chain => "chain-only",
        Cut::Fullchain => "chain",
        Cut::Key | Cut::Pkcs12 => "key",
    };
    let slash = if place.contains('/') { '/' } else { '\\' };
    format!(
        "{}{slash}{name}-{end}.pem",
        place.trim_end_matches(['/', '\\'])
    )
}

pub(super) fn installs(
    object: &Object,
    found: &mut Certificate,
    remark: &mut impl FnMut(String, &str),
) {
    let mut files = Vec::new();
    for store in options(object, "StorePluginOptions") {
        match kind(store, Step::Store) {
            Some(Kind::PemFiles) => {
                if let Some((pem, locked)) = pem_files(store, object) {
                    let cuts = [Cut::Cert, Cut::Fullchain, Cut::Chain, Cut::Key];
                    files.extend(cuts.map(|cut| (pem_path(&pem, cut), cut)));
                    if locked {
                        remark(
                            "the key in its PEM file has a password".to_owned(),
                            "keys are written without one; the rights of the file protect them",
                        );
                    }
                } else {
                    remark(
                        "where its PEM files are is in settings.json".to_owned(),
                        "write a [plugin.NAME] with that folder in grants.files.certs.dir",
                    );
                }
            }
            Some(which @ (Kind::PfxFile | Kind::CentralStore)) => {
                let place = json::text(store, &["Path"]);
                let name = json::text(store, &["FileName"]).or_else(|| {
                    found
                        .names
                        .as_ref()
                        .and_then(|names| names.first().cloned())
                });
                match (place, name) {
                    (Some(place), Some(name)) => {
                        let place = place.trim_end_matches(['/', '\\']).to_owned();
                        let name = name.replace('*', "_");
                        let slash = if place.contains('/') { '/' } else { '\\' };
                        files.push((format!("{place}{slash}{name}.pfx"), Cut::Pkcs12));
                        remark(
                            "its PFX file had a password".to_owned(),
                            "choose one for the new file and write it to the secret that the new \
                             configuration names, pfx-password",
                        );
                        if which == Kind::CentralStore {
                            remark(
                                "the central store of IIS wants a file for each name".to_owned(),
                                "add a line to settings.files for each further name",
                            );
                        }
                    }
                    _ => remark(
                        "where its PFX file is is in settings.json".to_owned(),
                        "write a [plugin.NAME] with that folder in grants.files.certs.dir",
                    ),
                }
            }
            Some(Kind::CertificateStore) => remark(
                format!(
                    "it is put into the certificate store of Windows ({})",
                    json::text(store, &["StoreName"]).unwrap_or_else(|| "WebHosting".to_owned())
                ),
                "let a script do that from a PFX file; [plugin.iis] in examples/configs/windows-iis.toml \
                 shows how",
            ),
            Some(Kind::Nothing) => {}
            _ => remark(
                format!("its store \"{}\" is not known", called(store)),
                "see whether an installer can bring the certificate there",
            ),
        }
    }
    let mut commands = Vec::new();
    for step in options(object, "InstallationPluginOptions") {
        match kind(step, Step::Installation) {
            Some(Kind::Iis) => remark(
                "it is bound to sites of IIS".to_owned(),
                "let a script rebind them; [plugin.iis] in examples/configs/windows-iis.toml shows how",
            ),
            Some(Kind::Script) => {
                commands.extend(
                    json::text(step, &["Script"]).map(|program| Command::Windows {
                        program,
                        arguments: json::text(step, &["ScriptParameters"]).unwrap_or_default(),
                    }),
                )
            }
            Some(Kind::Nothing) => {}
            _ => remark(
                format!("its installation step \"{}\" is not known", called(step)),
                "see whether an installer can do the same",
            ),
        }
    }
    let mut commands = commands.into_iter();
    let first = commands.next();
    if !files.is_empty() || first.is_some() {
        found.installs.push(Install {
            files,
            command: first,
            reads: None,
            note: None,
        });
    }
    found.installs.extend(commands.map(|command| Install {
        files: Vec::new(),
        command: Some(command),
        reads: None,
        note: None,
    }));
}

/// The PKCS#12 files of earlier runs, and PEM files if they can be read.
pub(super) fn stored(tree: &Tree, place: &str, id: &str, object: &Object, found: &mut Certificate) {
    let password = match json::text(object, &["PfxPasswordProtected"]) {
        Some(text) => unprotected(&text),
        // The first versions of renewals had it in the clear, or none.
        None => Value::Known(Secret::new(
            json::text(object, &["PfxPassword"]).unwrap_or_default(),
        )),
    };
    let start = format!("{place}/{CACHE}/{id}-");
    let start = start.trim_start_matches('/');
    for path in tree.paths() {
        if path.starts_with(start)
            && path.ends_with(PFX)
            && let Some(Ok(bytes)) = tree.bytes(path)
        {
            found.stored.push(Stored::Pkcs12 {
                file: path.to_owned(),
                bytes: bytes.to_vec(),
                password: password.clone(),
            });
        }
    }
    let stores = options(object, "StorePluginOptions");
    for (pem, _locked) in stores.filter_map(|one| pem_files(one, object)) {
        let text = |cut| {
            let path = tree.find(&pem_path(&pem, cut))?;
            let text = tree.text(path)?.ok()?;
            Some((path.to_owned(), text.to_owned()))
        };
        if let Some((file, chain)) = text(Cut::Fullchain) {
            found.stored.push(Stored::Pem {
                file,
                chain,
                key: text(Cut::Key).map(|(_, key)| Secret::new(key)),
            });
        }
    }
}
