//! `certbot`: `renewal/NAME.conf`, `live` and `archive` with the certificates, `accounts`.
//!
//! By the documentation of certbot ("Where are my certificates?", renewal configuration) and its
//! `storage.py` and `account.py`, read 2026-11-26. The names of a certificate are not in its renewal
//! file; the certificate has them.

use std::collections::BTreeMap;

use super::ini::{self, Sections};
use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, Command, Imported, Install, KeyWish, Remark, Stored, Unread, Validation,
    Value, json,
};
use crate::key::KeyType;
use crate::secret::Secret;

/// The section with the options.
const OPTIONS: &str = "renewalparams";

pub(super) fn is_wanted(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["renewal", file] => file.ends_with(".conf"),
        ["live" | "archive", _, file] => {
            file.ends_with(".pem") && (file.starts_with("fullchain") || file.starts_with("privkey"))
        }
        ["renewal-hooks", "pre" | "deploy" | "post", _] => true,
        // Credentials of DNS plugins often lie here.
        [file] => file.ends_with(".ini"),
        ["accounts", .., file] => matches!(*file, "regr.json" | "private_key.json"),
        _ => false,
    }
}

/// The files with credentials of DNS providers.
pub(super) fn outside(tree: &Tree) -> Vec<String> {
    let conf = tree.paths().filter(|path| path.starts_with("renewal/"));
    conf.filter_map(|path| {
        let sections = ini::sections(tree.text(path)?.ok()?).ok()?;
        let options = sections.get(OPTIONS)?;
        credentials(options).cloned()
    })
    .collect()
}

pub(super) fn read(tree: &Tree) -> Imported {
    let mut imported = Imported::default();
    for path in tree.paths() {
        if let Some(name) = path
            .strip_prefix("renewal/")
            .and_then(|file| file.strip_suffix(".conf"))
        {
            let read = tree.text(path).transpose();
            let sections = read.and_then(|text| ini::sections(text.unwrap_or_default()));
            match sections {
                Ok(sections) => certificate(tree, path, name, &sections, &mut imported),
                Err(cause) => imported.unread.push(Unread {
                    file: path.to_owned(),
                    cause,
                }),
            }
        } else if let Some(rest) = path.strip_prefix("accounts/")
            && base(rest) == "private_key.json"
        {
            match account(tree, path, folder(rest)) {
                Ok(account) => imported.accounts.push(account),
                Err((file, cause)) => imported.unread.push(Unread { file, cause }),
            }
        } else if let Some(rest) = path.strip_prefix("renewal-hooks/") {
            imported.remarks.push(Remark::new(
                path,
                format!("a program that runs for every certificate ({})", folder(rest)),
                "see whether it is still needed; grants.exec.reload of an installer runs a command after \
                 files were written",
            ));
        }
    }
    imported
}

fn certificate(tree: &Tree, path: &str, name: &str, sections: &Sections, imported: &mut Imported) {
    let nothing = BTreeMap::new();
    let options = sections.get(OPTIONS).unwrap_or(&nothing);
    let option = |key: &str| {
        let value = options.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty() && *value != "None")
    };
    let mut remark = |what: String, next: &str| {
        imported.remarks.push(Remark::new(name, what, next));
    };
    let mut found = Certificate::new(path, name);
    found.server = option("server").map(|url| Server::Url(url.to_owned()));
    found.account = option("account").map(str::to_owned);
    found.key = key(options);
    found.reuse_key = option("reuse_key") == Some("True");
    found.preferred_chain = option("preferred_chain").map(str::to_owned);
    found.profile = option("preferred_profile")
        .or(option("required_profile"))
        .map(str::to_owned);
    found.validation = validation(tree, options);
    found.stored.extend(stored(tree, name));
    let hook = option("renew_hook").or(option("deploy_hook"));
    let reads = sections.get("").and_then(|top| top.get("fullchain"));
    if let Some(hook) = hook {
        found.installs.push(Install {
            files: Vec::new(),
            command: Some(Command::Shell(hook.to_owned())),
            reads: reads.map(|file| folder(file).to_owned()),
            note: None,
        });
    } else if let Some(file) = reads {
        found.installs.push(Install {
            files: Vec::new(),
            command: None,
            reads: Some(folder(file).to_owned()),
            note: None,
        });
    }
    for key in ["pre_hook", "post_hook"] {
        if let Some(hook) = option(key) {
            remark(
                format!("{key} runs `{hook}` around a renewal"),
                "with DNS records no port has to be freed, so it is most likely not needed any more",
            );
        }
    }
    if let Some(server) = option("installer") {
        remark(
            format!("certbot edits the configuration of {server} by itself"),
            "point its certificate and key at files of an installer, [plugin.NAME]",
        );
    }
    if option("must_staple") == Some("True") {
        remark(
            "it asks for the OCSP must-staple extension".to_owned(),
            "nothing to do: CAs do not offer it any more",
        );
    }
    if option("autorenew") == Some("False") {
        remark(
            "certbot did not renew it by itself; Waxwing does".to_owned(),
            "take it out of the new configuration if nothing uses it",
        );
    }
    imported.certificates.push(found);
}

fn key(options: &BTreeMap<String, String>) -> KeyWish {
    let text = |key: &str| options.get(key).map(String::as_str);
    match (
        text("key_type"),
        text("elliptic_curve"),
        text("rsa_key_size"),
    ) {
        (Some("ecdsa"), None | Some("secp256r1"), _) => KeyWish::Kind(KeyType::EcdsaP256),
        (Some("ecdsa"), Some("secp384r1"), _) => KeyWish::Kind(KeyType::EcdsaP384),
        (Some("ecdsa"), Some(curve), _) => KeyWish::Other(curve.to_owned()),
        (Some("rsa"), _, None | Some("2048")) => KeyWish::Kind(KeyType::Rsa2048),
        (Some("rsa"), _, Some("3072")) => KeyWish::Kind(KeyType::Rsa3072),
        (Some("rsa"), _, Some("4096")) => KeyWish::Kind(KeyType::Rsa4096),
        (Some("rsa"), _, Some(size)) => KeyWish::Other(format!("rsa of {size} bits")),
        _ => KeyWish::Unsaid,
    }
}

/// `dns-example` of the option, which older versions have behind the name of a package.
fn authenticator(options: &BTreeMap<String, String>) -> Option<&str> {
    let name = options.get("authenticator")?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

/// The path of the file with the credentials of the DNS provider.
fn credentials(options: &BTreeMap<String, String>) -> Option<&String> {
    let provider = authenticator(options)?.replace('-', "_");
    let suffix = format!("{provider}_credentials");
    options
        .iter()
        .find(|(key, _)| **key == suffix || key.ends_with(&format!("_{suffix}")))
        .map(|(_, path)| path)
}

fn validation(tree: &Tree, options: &BTreeMap<String, String>) -> Validation {
    let Some(name) = authenticator(options) else {
        return Validation::Unsaid;
    };
    match name {
        "webroot" => Validation::Other("by files of a web server (webroot)".to_owned()),
        "standalone" => {
            Validation::Other("by a web server of certbot's own (standalone)".to_owned())
        }
        "nginx" | "apache" => Validation::Other(format!("by way of {name}")),
        "manual" => Validation::Other("by programs or by hand (manual)".to_owned()),
        provider => {
            let mut values = BTreeMap::new();
            if let Some(path) = credentials(options) {
                let text = tree.find(path).and_then(|file| tree.text(file));
                let read = text.unwrap_or_else(|| Err("it is not there".to_owned()));
                match read.and_then(ini::sections) {
                    Ok(sections) => {
                        let all = sections.into_values().flatten();
                        values.extend(all.map(|(k, v)| (k, Value::Known(Secret::new(v)))));
                    }
                    Err(cause) => {
                        values.insert(String::new(), Value::Sealed(format!("{path}: {cause}")));
                    }
                }
            }
            Validation::Dns {
                provider: provider.to_owned(),
                values,
            }
        }
    }
}

/// The files of `live`, or the newest pair of `archive` if its links did not come along.
fn stored(tree: &Tree, name: &str) -> Option<Stored> {
    let text = |path: &str| tree.text(path).and_then(Result::ok).map(str::to_owned);
    let live = format!("live/{name}/fullchain.pem");
    if let Some(chain) = text(&live) {
        return Some(Stored::Pem {
            key: text(&format!("live/{name}/privkey.pem")).map(Secret::new),
            file: live,
            chain,
        });
    }
    let archive = format!("archive/{name}/");
    let number = |path: &str| -> Option<u32> {
        let file = path.strip_prefix(&archive)?;
        file.strip_prefix("fullchain")?
            .strip_suffix(".pem")?
            .parse()
            .ok()
    };
    let newest = tree.paths().filter_map(number).max()?;
    let file = format!("{archive}fullchain{newest}.pem");
    Some(Stored::Pem {
        chain: text(&file)?,
        key: text(&format!("{archive}privkey{newest}.pem")).map(Secret::new),
        file,
    })
}

/// The account in `accounts/HOST/PATH/ID`.
fn account(tree: &Tree, path: &str, place: &str) -> Result<Account, (String, String)> {
    let text = |path: &str| match tree.text(path) {
        Some(read) => read.map_err(|cause| (path.to_owned(), cause)),
        None => Err((path.to_owned(), "it is missing".to_owned())),
    };
    let at = |path: &str| {
        let path = path.to_owned();
        move |cause: String| (path, cause)
    };
    let key = json::jwk(text(path)?).map_err(at(path))?;
    let beside = format!("{}/regr.json", folder(path));
    let registration = json::object(text(&beside)?).map_err(at(&beside))?;
    Ok(Account {
        file: path.to_owned(),
        id: Some(base(place).to_owned()),
        server: Server::Url(format!("https://{}", folder(place))),
        url: json::text(&registration, &["uri"]),
        contact: json::texts(&registration, &["body", "contact"]),
        key,
        eab: None,
    })
}
