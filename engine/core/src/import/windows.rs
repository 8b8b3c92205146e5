//! `simple-acme` and `win-acme`: a folder for each CA with `*.renewal.json`, `settings.json`,
//! `Signer_v2`, `Registration_v2` and `Certificates`.
//!
//! By their documentation (JSON of a renewal, settings.json) and source (`Renewal`, `ProtectedString`,
//! `AccountManager`, the options of each plugin), read 2026-11-26. A plugin is named by its identifier
//! or, in later versions, by a word. Secrets are base64, `clear-` and text, `vault://` and a name, or
//! `enc-` and what Windows has encrypted for one machine.

mod install;
mod plugins;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, Cut, Imported, KeyWish, Remark, Unread, Validation, Value, json,
};
use crate::key::KeyType;
use crate::secret::Secret;
use install::{installs, pem_files, pem_path, stored};
use plugins::{Kind, Step, kind, options};

type Object = Map<String, Json>;

/// What the name of a renewal's file ends in.
const RENEWAL: &str = ".renewal.json";

/// What the names of the account's files end in.
const SIGNER: &str = "Signer_v2";
const REGISTRATION: &str = "Registration_v2";

/// The folder with the certificates of earlier runs.
const CACHE: &str = "Certificates";

/// Where PKCS#12 files begin that were the answer to an order.
const PFX: &str = ".pfx";

/// What the client itself does without a word of the operator.
const RENEWAL_DAYS: u64 = 55;
const RSA_BITS: u64 = 3072;
const CURVE: &str = "secp384r1";

pub(super) fn is_wanted(path: &str) -> bool {
    let file = base(path);
    file.ends_with(RENEWAL)
        || file == "settings.json"
        || file.ends_with(SIGNER)
        || file.ends_with(REGISTRATION)
        || (file.ends_with(PFX) && base(folder(path)) == CACHE)
}

/// PEM files that renewals write: the only place where a key may be that can be read.
pub(super) fn outside(tree: &Tree) -> Vec<String> {
    let mut paths = Vec::new();
    for path in tree.paths().filter(|path| path.ends_with(RENEWAL)) {
        let object = tree.text(path).and_then(Result::ok).map(json::object);
        let Some(Ok(object)) = object else { continue };
        for (files, _) in
            options(&object, "StorePluginOptions").filter_map(|one| pem_files(one, &object))
        {
            paths.extend([Cut::Fullchain, Cut::Key].map(|cut| pem_path(&files, cut)));
        }
    }
    paths
}

pub(super) fn read(tree: &Tree) -> Imported {
    let mut imported = Imported::default();
    for path in tree.paths() {
        let file = base(path);
        let failed = if file.ends_with(RENEWAL) {
            renewal(tree, path, &mut imported)
        } else if file.ends_with(SIGNER) {
            account(tree, path, &mut imported)
        } else if file == "settings.json" {
            notes(tree, path, &mut imported)
        } else {
            Ok(())
        };
        if let Err(cause) = failed {
            imported.unread.push(Unread {
                file: path.to_owned(),
                cause,
            });
        }
    }
    imported
}

/// The object in a file.
fn object(tree: &Tree, path: &str) -> Result<Object, String> {
    match tree.text(path) {
        Some(text) => json::object(text?),
        None => Err("it is missing".to_owned()),
    }
}

/// What settings say: those of the renewal first, then those of the CA's folder and those above it.
fn setting(tree: &Tree, place: &str, renewal: &Object, keys: &[&str]) -> Option<Json> {
    let own = json::down(renewal, &["Settings"]).and_then(Json::as_object);
    if let Some(own) = own
        .and_then(|own| json::down(own, keys))
        .filter(|own| !own.is_null())
    {
        return Some(own.clone());
    }
    let near = [place, folder(place)].into_iter().map(|place| {
        if place.is_empty() {
            "settings.json".to_owned()
        } else {
            format!("{place}/settings.json")
        }
    });
    near.filter_map(|path| object(tree, &path).ok())
        .find_map(|object| json::down(&object, keys).cloned())
}

/// What of the settings is worth a word.
fn notes(tree: &Tree, path: &str, imported: &mut Imported) -> Result<(), String> {
    let settings = object(tree, path)?;
    // simple-acme has it one level deeper.
    let server = [
        &["Notification", "Email", "SmtpServer"][..],
        &["Notification", "SmtpServer"],
    ];
    if let Some(server) = server.iter().find_map(|keys| json::text(&settings, keys)) {
        imported.remarks.push(Remark::new(
            path,
            format!("mail is sent by way of {server}"),
            "write a [notify.mail] section, then `waxwing notify test`",
        ));
    }
    Ok(())
}

fn renewal(tree: &Tree, path: &str, imported: &mut Imported) -> Result<(), String> {
    let object = object(tree, path)?;
    let place = folder(path);
    let id = json::text(&object, &["Id"])
        .unwrap_or_else(|| base(path).trim_end_matches(RENEWAL).to_owned());
    let target = json::down(&object, &["TargetPluginOptions"])
        .and_then(Json::as_object)
        .ok_or("it has no TargetPluginOptions")?;
    let names = names(target);
    // What people see: a chosen name, else the main one.
    let friendly = json::text(&object, &["FriendlyName"]);
    let shown = friendly
        .clone()
        .or_else(|| names.as_ref().and_then(|names| names.first().cloned()))
        .or_else(|| json::text(&object, &["LastFriendlyName"]))
        .unwrap_or_else(|| id.clone());
    let mut found = Certificate::new(path, &shown);
    let mut remark = |what: String, next: &str| {
        imported.remarks.push(Remark::new(&shown, what, next));
    };
    if kind(target, Step::Source) == Some(Kind::Csr) {
        remark(
            "its request comes from another program (CSR)".to_owned(),
            "Waxwing makes key and request itself; let an installer bring both to where that program \
             was",
        );
    }
    if names.is_none() {
        remark(
            "its names come from the bindings of IIS".to_owned(),
            "the names of the present certificate were taken; see whether they are complete",
        );
    }
    found.names = names;
    found.server = Some(match json::text(&object, &["EndPoint"]) {
        Some(url) => Server::Url(url),
        None => Server::Folder(tree.name_of(place).to_owned()),
    });
    found.account = json::text(&object, &["Account"]);
    if let Some(csr) = json::down(&object, &["CsrPluginOptions"]).and_then(Json::as_object) {
        found.key = key(tree, place, &object, csr);
        found.reuse_key = json::down(csr, &["ReusePrivateKey"]) == Some(&Json::Bool(true));
    }
    let days =
        setting(tree, place, &object, &["ScheduledTask", "RenewalDays"]).and_then(|it| it.as_u64());
    found.days_after_issue = days
        .filter(|days| *days != RENEWAL_DAYS)
        .and_then(|days| u32::try_from(days).ok());
    let text = |keys: &[&str]| {
        setting(tree, place, &object, keys)
            .and_then(|it| it.as_str().map(str::to_owned))
            .filter(|text| !text.is_empty())
    };
    found.preferred_chain = text(&["Acme", "PreferredIssuer"]);
    found.profile = text(&["Acme", "CertificateProfile"]);
    found.validation = match json::down(&object, &["ValidationPluginOptions"]) {
        Some(Json::Object(options)) => validation(options),
        _ => Validation::Unsaid,
    };
    let order = json::text(&object, &["OrderPluginOptions", "Plugin"]).unwrap_or_default();
    let order = order.to_ascii_lowercase();
    let single = ["", "single", "b705fa7c-1152-4436-8913-e433d7f84c82"];
    found.several = !single.contains(&order.as_str());
    if found.several {
        remark(
            "it orders several certificates, one for each host, domain or site".to_owned(),
            "it becomes one certificate with all names; write a [[certificate]] for each if they have to \
             be apart",
        );
    }
    installs(&object, &mut found, &mut remark);
    stored(tree, place, &id, &object, &mut found);
    imported.certificates.push(found);
    Ok(())
}

/// The names of a renewal, the main one first; none if they are found out at each run.
fn names(target: &Object) -> Option<Vec<String>> {
    let mut names: Vec<String> = json::text(target, &["CommonName"]).into_iter().collect();
    for key in ["AlternativeNames", "IncludeHosts"] {
        names.extend(json::texts(target, &[key]));
    }
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !seen.contains(&name.to_ascii_lowercase());
        seen.push(name.to_ascii_lowercase());
        new
    });
    let only_main = kind(target, Step::Source) == Some(Kind::IisBindings)
        && json::texts(target, &["IncludeHosts"]).is_empty();
    (!names.is_empty() && !only_main).then_some(names)
}

fn key(tree: &Tree, place: &str, renewal: &Object, csr: &Object) -> KeyWish {
    match kind(csr, Step::Csr) {
        Some(Kind::Rsa) => {
            let bits = setting(tree, place, renewal, &["Csr", "Rsa", "KeyBits"])
                .and_then(|it| it.as_u64());
            match bits.unwrap_or(RSA_BITS) {
                2048 => KeyWish::Kind(KeyType::Rsa2048),
                3072 => KeyWish::Kind(KeyType::Rsa3072),
                4096 => KeyWish::Kind(KeyType::Rsa4096),
                other => KeyWish::Other(format!("RSA of {other} bits")),
            }
        }
        Some(Kind::Ec) => {
            let curve = setting(tree, place, renewal, &["Csr", "Ec", "CurveName"]);
            match curve.as_ref().and_then(Json::as_str).unwrap_or(CURVE) {
                "secp256r1" => KeyWish::Kind(KeyType::EcdsaP256),
                "secp384r1" => KeyWish::Kind(KeyType::EcdsaP384),
                other => KeyWish::Other(other.to_owned()),
            }
        }
        _ => KeyWish::Unsaid,
    }
}

fn validation(options: &Object) -> Validation {
    match kind(options, Step::Validation) {
        Some(Kind::Script) => Validation::Other("by a script".to_owned()),
        Some(Kind::Person | Kind::Nothing) => Validation::Other("by hand".to_owned()),
        Some(Kind::WebFiles) => Validation::Other("by files of a web server".to_owned()),
        Some(Kind::OwnServer) => Validation::Other("by a web server of its own".to_owned()),
        _ => {
            let Some(provider) = json::text(options, &["Plugin"]) else {
                return Validation::Unsaid;
            };
            let mut values = BTreeMap::new();
            for (key, value) in options {
                if let Json::String(text) = value
                    && !key.eq_ignore_ascii_case("Plugin")
                    && !text.is_empty()
                {
                    values.insert(key.clone(), unprotected(text));
                }
            }
            Validation::Dns { provider, values }
        }
    }
}

/// A secret as it is stored.
fn unprotected(text: &str) -> Value {
    if text.starts_with("enc-") {
        return Value::Sealed(
            "it is encrypted for the Windows machine that it is from (DPAPI)".to_owned(),
        );
    }
    if let Some(name) = text.strip_prefix("vault://") {
        return Value::Sealed(format!("it is in the vault, under {name}"));
    }
    if let Some(clear) = text.strip_prefix("clear-") {
        return Value::Known(Secret::new(clear.to_owned()));
    }
    let decoded = STANDARD.decode(text).ok();
    match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(clear) => Value::Known(Secret::new(clear)),
        None => Value::Sealed("it is not in a form that is known".to_owned()),
    }
}

/// The account whose key is in `[NAME.]Signer_v2`.
fn account(tree: &Tree, path: &str, imported: &mut Imported) -> Result<(), String> {
    let place = folder(path);
    let id = base(path).trim_end_matches(SIGNER).trim_end_matches('.');
    let beside = format!("{}{REGISTRATION}", path.trim_end_matches(SIGNER));
    let text = tree
        .text(path)
        .unwrap_or_else(|| Err("it is missing".to_owned()))?;
    let text = text.trim();
    let clear = if text.starts_with('{') {
        Value::Known(Secret::new(text.to_owned()))
    } else {
        unprotected(text)
    };
    let registration = object(tree, &beside).map_err(|cause| format!("{beside}: {cause}"))?;
    let key = match clear {
        Value::Known(key) => json::exported(key.expose())?,
        Value::Sealed(why) => {
            imported.remarks.push(Remark::new(
                path,
                format!("the account key cannot be read: {why}"),
                "nothing has to be done: a new account is registered at the first run; or, on that \
                 machine, set Security.EncryptConfig to false in settings.json, let it save its secrets \
                 again, and import once more",
            ));
            return Ok(());
        }
    };
    imported.accounts.push(Account {
        file: path.to_owned(),
        id: (!id.is_empty()).then(|| id.to_owned()),
        server: server(tree, place),
        url: json::text(&registration, &["Kid"]),
        contact: json::texts(&registration, &["Payload", "contact"]),
        key,
        eab: None,
    });
    Ok(())
}

/// The CA of a folder: its renewals may say it, else the folder's name does.
fn server(tree: &Tree, place: &str) -> Server {
    let renewals = tree
        .paths()
        .filter(|path| folder(path) == place && path.ends_with(RENEWAL));
    let mut urls = renewals.filter_map(|path| json::text(&object(tree, path).ok()?, &["EndPoint"]));
    match urls.next() {
        Some(url) => Server::Url(url),
        None => Server::Folder(tree.name_of(place).to_owned()),
    }
}
