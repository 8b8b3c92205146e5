//! `acme.sh`: `account.conf`, `ca/HOST/PATH` with the accounts, `NAME` and `NAME_ecc` with the
//! certificates.
//!
//! By the script itself (`_save_conf`, `_initpath`, `issue`, `installcert`) and its wiki, read
//! 2026-11-26.

use std::collections::BTreeMap;

use super::ini;
use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, Command, Cut, ForeignKey, Imported, Install, KeyWish, Remark, Stored,
    Unread, Validation, Value,
};
use crate::key::KeyType;
use crate::secret::Secret;

/// What the folder of a certificate with an elliptic key ends in.
const ECC: &str = "_ecc";

/// How a value is called that is kept for later runs.
const SAVED: &str = "SAVED_";

type Values = BTreeMap<String, String>;

pub(super) fn is_wanted(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["account.conf"] => true,
        ["ca", .., file] => matches!(*file, "account.key" | "ca.conf"),
        [place, file] => {
            let name = place.strip_suffix(ECC).unwrap_or(place);
            let end = file.strip_prefix(name);
            matches!(end, Some(".conf" | ".key" | ".cer")) || *file == "fullchain.cer"
        }
        _ => false,
    }
}

/// Where certificates are, if not beside `account.conf`.
pub(super) fn also(tree: &Tree) -> Option<String> {
    let global = ini::assignments(tree.text("account.conf")?.ok()?).ok()?;
    some(&global, "CERT_HOME")
}

pub(super) fn read(tree: &Tree) -> Imported {
    let mut imported = Imported::default();
    let values = |path: &str, imported: &mut Imported| -> Option<Values> {
        let read = tree.text(path)?.and_then(ini::assignments);
        match read {
            Ok(values) => Some(values),
            Err(cause) => {
                imported.unread.push(Unread {
                    file: path.to_owned(),
                    cause,
                });
                None
            }
        }
    };
    let global = values("account.conf", &mut imported).unwrap_or_default();
    imported.email = some(&global, "ACCOUNT_EMAIL");
    if let Some(hook) = some(&global, "NOTIFY_HOOK").or(some(&global, "SAVED_NOTIFY_HOOK")) {
        imported.remarks.push(Remark::new(
            "account.conf",
            format!("messages are sent by `{hook}`"),
            "write a [notify.NAME] section, then `waxwing notify test`",
        ));
    }
    for path in tree.paths() {
        if let Some(place) = path.strip_prefix("ca/") {
            if base(path) == "account.key" {
                let beside = format!("{}/ca.conf", folder(path));
                let known = values(&beside, &mut imported).unwrap_or_default();
                match account(tree, path, folder(place), &known) {
                    Ok(account) => imported.accounts.push(account),
                    Err(cause) => imported.unread.push(Unread {
                        file: path.to_owned(),
                        cause,
                    }),
                }
            }
        } else if path.ends_with(".conf")
            && path.contains('/')
            && let Some(own) = values(path, &mut imported)
        {
            certificate(tree, path, &global, &own, &mut imported);
        }
    }
    imported
}

/// A value that is not empty.
fn some(values: &Values, key: &str) -> Option<String> {
    values.get(key).filter(|text| !text.is_empty()).cloned()
}

/// The same, where `no` is written for nothing.
fn said(values: &Values, key: &str) -> Option<String> {
    some(values, key).filter(|text| text != "no")
}

fn certificate(tree: &Tree, path: &str, global: &Values, own: &Values, imported: &mut Imported) {
    let place = folder(path);
    let Some(main) = said(own, "Le_Domain") else {
        imported.unread.push(Unread {
            file: path.to_owned(),
            cause: "it has no Le_Domain".to_owned(),
        });
        return;
    };
    // Two certificates of one name, with an RSA and with an elliptic key, have two folders.
    let plain = place.strip_suffix(ECC);
    let twin = plain.is_some_and(|plain| tree.has(&format!("{plain}/{plain}.conf")));
    let name = if twin { place } else { plain.unwrap_or(place) };
    let mut found = Certificate::new(path, name);
    let mut names = vec![main];
    names.extend(ini::list(&said(own, "Le_Alt").unwrap_or_default()));
    found.validation = validation(own, global, &names);
    found.names = Some(names);
    found.server = some(own, "Le_API")
        .or_else(|| some(global, "DEFAULT_ACME_SERVER"))
        .map(Server::Url);
    found.key = key(&some(own, "Le_Keylength").unwrap_or_default());
    found.preferred_chain = some(own, "Le_Preferred_Chain");
    found.profile = some(own, "Le_Certificate_Profile");
    found.days_after_issue = some(own, "Le_RenewalDays").and_then(|days| days.parse().ok());
    found.stored.extend(stored(tree, place));
    found.installs.extend(install(own));
    let mut remark = |what: String, next: &str| {
        imported.remarks.push(Remark::new(name, what, next));
    };
    if let Some(alias) = said(own, "Le_ChallengeAlias") {
        remark(
            format!("its challenges are delegated to {alias}"),
            "nothing to do if _acme-challenge is a CNAME to there: it is followed; the DNS plugin needs \
             that zone",
        );
    }
    if let Some(hooks) = said(own, "Le_DeployHook") {
        remark(
            format!("it is deployed by `{}`", ini::list(&hooks).join(", ")),
            "see whether an installer can do it: files, then a command ([plugin.NAME] grants.exec.reload)",
        );
    }
    for (key, when) in [
        ("Le_PreHook", "before"),
        ("Le_PostHook", "after"),
        ("Le_RenewHook", "after"),
    ] {
        if let Some(hook) = said(own, key) {
            remark(
                format!("`{hook}` runs {when} a renewal"),
                "see whether it is still needed; grants.exec.reload of an installer runs a command after \
                 files were written",
            );
        }
    }
    imported.certificates.push(found);
}

fn key(length: &str) -> KeyWish {
    match length {
        "" => KeyWish::Unsaid,
        "ec-256" => KeyWish::Kind(KeyType::EcdsaP256),
        "ec-384" => KeyWish::Kind(KeyType::EcdsaP384),
        "2048" => KeyWish::Kind(KeyType::Rsa2048),
        "3072" => KeyWish::Kind(KeyType::Rsa3072),
        "4096" => KeyWish::Kind(KeyType::Rsa4096),
        other => KeyWish::Other(other.to_owned()),
    }
}

/// By the script that places the records. Several may be listed, one for each name; the last one counts for the rest.
fn validation(own: &Values, global: &Values, names: &[String]) -> Validation {
    let ways = ini::list(&some(own, "Le_Webroot").unwrap_or_default());
    let Some((last, before)) = ways.split_last() else {
        return Validation::Unsaid;
    };
    if before.iter().all(|way| way == last) {
        return one_way(last, own, global);
    }
    if ways.iter().any(|way| !way.starts_with("dns_")) {
        return Validation::Other(format!("in several ways: {}", ways.join(", ")));
    }
    let each = names.iter().enumerate().map(|(nth, name)| {
        let way = ways.get(nth).unwrap_or(last);
        (name.clone(), one_way(way, own, global))
    });
    Validation::Each(each.collect())
}

fn one_way(way: &str, own: &Values, global: &Values) -> Validation {
    if !way.starts_with("dns_") {
        return Validation::Other(match way {
            "no" => "by a web server of acme.sh's own (standalone)".to_owned(),
            "dns" => "by DNS records that a person places".to_owned(),
            other => format!("by files of a web server ({other})"),
        });
    }
    let mut values = BTreeMap::new();
    for (key, value) in global.iter().chain(own) {
        if !value.is_empty() {
            let key = key.strip_prefix(SAVED).unwrap_or(key);
            values.insert(key.to_owned(), Value::Known(Secret::new(value.clone())));
        }
    }
    Validation::Dns {
        provider: way.to_owned(),
        values,
    }
}

fn stored(tree: &Tree, place: &str) -> Option<Stored> {
    let text = |path: &str| tree.text(path).and_then(Result::ok).map(str::to_owned);
    let file = format!("{place}/fullchain.cer");
    let name = place.strip_suffix(ECC).unwrap_or(place);
    Some(Stored::Pem {
        chain: text(&file)?,
        key: text(&format!("{place}/{name}.key")).map(Secret::new),
        file,
    })
}

/// What `--install-cert` has been told.
fn install(own: &Values) -> Option<Install> {
    let files = [
        ("Le_RealCertPath", Cut::Cert),
        ("Le_RealKeyPath", Cut::Key),
        ("Le_RealCACertPath", Cut::Chain),
        ("Le_RealFullChainPath", Cut::Fullchain),
    ];
    let files: Vec<(String, Cut)> = files
        .into_iter()
        .filter_map(|(key, cut)| said(own, key).map(|path| (path, cut)))
        .collect();
    let command = said(own, "Le_ReloadCmd").map(Command::Shell);
    (!files.is_empty() || command.is_some()).then_some(Install {
        files,
        command,
        reads: None,
        note: None,
    })
}

/// The account in `ca/HOST/PATH`, which before 3.0 was `ca/HOST`.
fn account(tree: &Tree, path: &str, place: &str, known: &Values) -> Result<Account, String> {
    let key = tree
        .text(path)
        .unwrap_or_else(|| Err("it is missing".to_owned()))?;
    let credentials = (some(known, "CA_EAB_KEY_ID"), some(known, "CA_EAB_HMAC_KEY"));
    Ok(Account {
        file: path.to_owned(),
        id: None,
        server: if place.contains('/') {
            Server::Url(format!("https://{place}"))
        } else {
            Server::Host(place.to_owned())
        },
        url: some(known, "ACCOUNT_URL"),
        contact: some(known, "CA_EMAIL")
            .map(|email| format!("mailto:{email}"))
            .into_iter()
            .collect(),
        key: ForeignKey::Pem(Secret::new(key.to_owned())),
        eab: match credentials {
            (Some(id), Some(key)) => Some((id, Secret::new(key))),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_may_be_proved_by_a_provider_of_its_own() {
        let values = |lines: &[(&str, &str)]| -> Values {
            let lines = lines.iter();
            lines
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let names = ["a.example", "*.b.example", "c.example"].map(str::to_owned);
        let ways = |text: &str| validation(&values(&[("Le_Webroot", text)]), &values(&[]), &names);
        let Validation::Each(each) = ways("dns_cf,dns_me") else {
            panic!("two providers");
        };
        let each: Vec<(&str, &str)> = each
            .iter()
            .map(|(name, way)| match way {
                Validation::Dns { provider, .. } => (name.as_str(), provider.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        // The last one counts for the rest.
        let want = [
            ("a.example", "dns_cf"),
            ("*.b.example", "dns_me"),
            ("c.example", "dns_me"),
        ];
        assert_eq!(each, want);
        assert!(matches!(ways("dns_cf,dns_cf"), Validation::Dns { .. }));
        assert_eq!(
            ways("dns_cf,/var/www"),
            Validation::Other("in several ways: dns_cf, /var/www".to_owned())
        );
        assert_eq!(ways(""), Validation::Unsaid);
    }
}
