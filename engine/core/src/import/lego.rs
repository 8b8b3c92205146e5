//! `lego`: `accounts/SERVER/ID` and `certificates`, as version 4 and version 5 write them.
//!
//! By its documentation and its `storage` packages, read 2026-11-26. Version 4 keeps neither the DNS provider nor
//! its credentials: they stand on the command line and in the environment. Version 5 has a configuration, of which a
//! copy lies beside the accounts; nothing is taken from it but the provider, where it names one alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, ForeignKey, Imported, Install, KeyWish, Remark, Stored, Unread,
    Validation, json,
};
use crate::http::host_of;
use crate::key::KeyType;
use crate::secret::Secret;

pub(super) fn is_wanted(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["accounts", _, _, file] => *file == "account.json" || file.ends_with(".key"),
        ["accounts", _, _, "keys", file] => file.ends_with(".key"),
        ["certificates", file] => [".json", ".crt", ".key"]
            .into_iter()
            .any(|end| file.ends_with(end)),
        [file] => CONFIGURATIONS.contains(file),
        _ => false,
    }
}

/// The configuration of version 5: its own copy first.
const CONFIGURATIONS: [&str; 3] = [".lego.bck.yaml", ".lego.yml", ".lego.yaml"];

pub(super) fn read(tree: &Tree) -> Imported {
    let mut imported = Imported::default();
    for path in tree.paths() {
        let parts: Vec<&str> = path.split('/').collect();
        let failed = match parts.as_slice() {
            ["accounts", host, id, "account.json"] => match account(tree, path, host, id) {
                Ok(account) => {
                    imported.accounts.push(account);
                    continue;
                }
                Err(cause) => cause,
            },
            ["certificates", file] if file.ends_with(".json") => {
                match tree
                    .text(path)
                    .transpose()
                    .and_then(|text| json::object(text.unwrap_or("")))
                {
                    Ok(object) => {
                        let one = certificate(tree, path, &object);
                        imported.certificates.push(one);
                        continue;
                    }
                    Err(cause) => cause,
                }
            }
            _ => continue,
        };
        imported.unread.push(Unread {
            file: path.to_owned(),
            cause: failed,
        });
    }
    // Which account has ordered a certificate is not noted; with one account there is no question.
    if let [only] = imported.accounts.as_slice() {
        let server = only.server.clone();
        for certificate in &mut imported.certificates {
            // Where the certificate is to be had says more than an account that is left over.
            let other = certificate.server.as_ref();
            if other.is_none_or(|other| other.is_at(&server)) {
                certificate.server = Some(server.clone());
            }
        }
    }
    configured(tree, &mut imported);
    imported
}

/// Takes the DNS provider from a configuration of version 5, and says what else stands there.
fn configured(tree: &Tree, imported: &mut Imported) {
    let mut found = None;
    for file in CONFIGURATIONS {
        if let Some(Ok(text)) = tree.text(file) {
            found = Some((file, text));
            break;
        }
    }
    let Some((file, text)) = found else {
        return;
    };
    let values = |key: &str| -> BTreeSet<&str> {
        let lines = text
            .lines()
            .map(|line| line.trim_start().trim_start_matches("- "));
        let values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let plain = |value: &'_ str| -> usize { value.find(" #").unwrap_or(value.len()) };
        let bare = values.map(|value| value[..plain(value)].trim().trim_matches(['"', '\'']));
        bare.filter(|value| !value.is_empty()).collect()
    };
    let providers = values("provider");
    let mut remark = |what: String, next: &str| {
        imported.remarks.push(Remark::new(file, what, next));
    };
    match providers.iter().collect::<Vec<_>>().as_slice() {
        [] => {}
        [only] => {
            for certificate in &mut imported.certificates {
                certificate.validation = Validation::Dns {
                    provider: (**only).to_owned(),
                    values: BTreeMap::new(),
                };
            }
        }
        several => {
            let names: Vec<&str> = several.iter().map(|name| **name).collect();
            remark(
                format!("it names several DNS providers: {}", names.join(", ")),
                "write a [plugin.NAME] for each, and `validate` into each [[certificate]]",
            );
        }
    }
    for path in values("envFile") {
        remark(
            format!("credentials stand in {path}, which is not read"),
            "load its variables into the environment and import again, or store each with `waxwing secret set`",
        );
    }
    if text.contains("hook") {
        remark(
            "it has hooks".to_owned(),
            "see whether an installer can do it: files, then a command ([plugin.NAME] grants.exec.reload)",
        );
    }
}

fn certificate(tree: &Tree, path: &str, object: &Map<String, Json>) -> Certificate {
    let stem = path.strip_suffix(".json").unwrap_or(path);
    let text = |end: &str| {
        let read = tree.text(&format!("{stem}{end}"));
        read.and_then(Result::ok).map(str::to_owned)
    };
    // A wildcard's star is an underscore in the name of a file.
    let file = base(stem);
    let mut found = Certificate::new(path, file.strip_prefix("_.").unwrap_or(file));
    let names = json::texts(object, &["domains"]);
    found.names = Some(names).filter(|names| !names.is_empty());
    let url = json::text(object, &["certUrl"]).or_else(|| json::text(object, &["certStableUrl"]));
    let host = url.as_deref().map(host_of).filter(|host| !host.is_empty());
    found.server = host.map(|host| Server::Host(host.to_owned()));
    found.key = key(json::text(object, &["keyType"]).as_deref());
    found.validation = Validation::Unsaid;
    if let Some(mut chain) = text(".crt") {
        // Without its bundle the rest of the chain is in a file of its own.
        if chain.matches("-----BEGIN CERTIFICATE-----").count() == 1 {
            chain.push_str(&text(".issuer.crt").unwrap_or_default());
        }
        found.stored.push(Stored::Pem {
            file: format!("{stem}.crt"),
            chain,
            key: text(".key").map(Secret::new),
        });
    }
    found.installs.push(Install {
        files: Vec::new(),
        command: None,
        reads: Some(folder(path).to_owned()),
        note: None,
    });
    found
}

fn key(kind: Option<&str>) -> KeyWish {
    match kind.map(str::to_ascii_uppercase).as_deref() {
        None => KeyWish::Unsaid,
        Some("EC256" | "P256") => KeyWish::Kind(KeyType::EcdsaP256),
        Some("EC384" | "P384") => KeyWish::Kind(KeyType::EcdsaP384),
        Some("RSA2048" | "2048") => KeyWish::Kind(KeyType::Rsa2048),
        Some("RSA3072" | "3072") => KeyWish::Kind(KeyType::Rsa3072),
        Some("RSA4096" | "4096") => KeyWish::Kind(KeyType::Rsa4096),
        Some(other) => KeyWish::Other(other.to_owned()),
    }
}

fn account(tree: &Tree, path: &str, host: &str, id: &str) -> Result<Account, String> {
    let text = |path: &str| {
        tree.text(path)
            .unwrap_or_else(|| Err("it is missing".to_owned()))
    };
    let object = json::object(text(path)?)?;
    let place = folder(path);
    let places = [
        format!("{place}/keys/{id}.key"),
        format!("{place}/{id}.key"),
    ];
    let Some(key) = places.iter().find(|place| tree.has(place)) else {
        return Err(format!("its key is missing: {}", places[0]));
    };
    let url = json::text(&object, &["registration", "uri"])
        .or_else(|| json::text(&object, &["registration", "accountURL"]));
    let mut contact = json::texts(&object, &["registration", "body", "contact"]);
    if contact.is_empty() {
        contact = json::texts(&object, &["registration", "contact"]);
    }
    if contact.is_empty() {
        let email = json::text(&object, &["email"]);
        contact.extend(email.map(|email| format!("mailto:{email}")));
    }
    Ok(Account {
        file: key.clone(),
        id: Some(id.to_owned()),
        server: match json::text(&object, &["server"]) {
            Some(url) => Server::Url(url),
            None => Server::Host(host.to_owned()),
        },
        url,
        contact,
        key: ForeignKey::Pem(Secret::new(
            text(key)
                .map_err(|cause| format!("its key {key}: {cause}"))?
                .to_owned(),
        )),
        eab: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_of_a_configuration_is_that_of_all_if_it_is_the_only_one() {
        let read_with = |text: &str| {
            let mut tree = Tree::of("lego");
            let add = |tree: &mut Tree, path: &str, text: &str| {
                tree.add(path, Ok(text.as_bytes().to_vec()));
            };
            add(
                &mut tree,
                "certificates/a.json",
                "{\"domain\":\"a.example\"}",
            );
            add(&mut tree, ".lego.yml", text);
            let imported = read(&tree);
            let provider = match &imported.certificates[0].validation {
                Validation::Dns { provider, .. } => Some(provider.clone()),
                _ => None,
            };
            (provider, imported.remarks.len())
        };
        let one = "challenges:\n  x:\n    dns:\n      provider: \"dnsmadeeasy\" # ours\n      envFile: .env\n";
        assert_eq!(read_with(one), (Some("dnsmadeeasy".to_owned()), 1));
        let two = "- provider: a\n- provider: b\nhooks:\n";
        assert_eq!(read_with(two), (None, 2));
        assert_eq!(read_with("provider:\n# provider: x\n"), (None, 0));
    }
}
