//! `simple-acme` and `win-acme`: a folder for each CA with `*.renewal.json`, `settings.json`,
//! `Signer_v2`, `Registration_v2` and `Certificates`.
//!
//! By their documentation (JSON of a renewal, settings.json) and source (`Renewal`, `ProtectedString`,
//! `AccountManager`, the options of each plugin), read 2026-11-26. A plugin is named by its identifier
//! or, in later versions, by a word. Secrets are base64, `clear-` and text, `vault://` and a name, or
//! `enc-` and what Windows has encrypted for one machine.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::server::Server;
use super::tree::{Tree, base, folder};
use super::{
    Account, Certificate, Command, Cut, Imported, Install, KeyWish, Remark, Stored, Unread,
    Validation, Value, json,
};
use crate::key::KeyType;
use crate::secret::Secret;

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

/// The plugins that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manual,
    IisBindings,
    Csr,
    Rsa,
    Ec,
    PemFiles,
    PfxFile,
    CentralStore,
    CertificateStore,
    Iis,
    Script,
    Nothing,
    WebFiles,
    OwnServer,
}

/// Identifiers and words of plugins, in the order of the steps of a renewal.
const KINDS: [(Kind, &str, &str); 19] = [
    (
        Kind::Manual,
        "e239db3b-b42f-48aa-b64f-46d4f3e9941b",
        "manual",
    ),
    (
        Kind::IisBindings,
        "54deb3ee-b5df-4381-8485-fe386054055b",
        "iis",
    ),
    (Kind::Csr, "5c3db0fb-840b-469f-b5a7-0635d8e9a93d", "csr"),
    (Kind::Rsa, "b9060d4b-c2d3-49ac-b37f-962e7c3cbe9d", "rsa"),
    (Kind::Ec, "9aadcf71-5241-4c4f-aee1-bfe3f6be3489", "ec"),
    (
        Kind::PemFiles,
        "e57c70e4-cd60-4ba6-80f6-a41703e21031",
        "pemfiles",
    ),
    (
        Kind::PfxFile,
        "2a2c576f-7637-4ade-b8db-e8613b0bb33e",
        "pfxfile",
    ),
    (
        Kind::CentralStore,
        "af1f77b6-4e7b-4f96-bba5-c2eeb4d0dd42",
        "centralssl",
    ),
    (
        Kind::CertificateStore,
        "e30adc8e-d756-4e16-a6f2-450f784b1a97",
        "certificatestore",
    ),
    (
        Kind::Nothing,
        "cfdd7caa-ba34-4e9e-b9de-2a3d64c4f4ec",
        "null",
    ),
    (
        Kind::Nothing,
        "aecc502c-5f75-43d2-b578-f95d50c79ea1",
        "none",
    ),
    (Kind::Iis, "ea6a5be3-f8de-4d27-a6bd-750b619b2ee2", "iis"),
    (Kind::Iis, "13058a79-5084-48af-b047-634e0ee222f4", "iisftp"),
    (
        Kind::Script,
        "3bb22c70-358d-4251-86bd-11858363d913",
        "script",
    ),
    (
        Kind::Manual,
        "e45d62b9-f9a8-441e-b95f-c5ee0dcd8040",
        "manual",
    ),
    (
        Kind::Script,
        "8f1da72e-f727-49f0-8546-ef69e5ecec32",
        "script",
    ),
    (
        Kind::WebFiles,
        "1c77b3a4-5310-4c46-92c6-00d866e84d6b",
        "filesystem",
    ),
    (
        Kind::OwnServer,
        "c7d5e050-9363-4ba1-b3a8-931b31c618b7",
        "selfhosting",
    ),
    (
        Kind::OwnServer,
        "a1565064-b208-4467-8ca1-1bd3c08aa500",
        "selfhosting",
    ),
];

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

/// What settings say, those of the CA's folder first and then those above it.
fn setting(tree: &Tree, place: &str, keys: &[&str]) -> Option<Json> {
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
    if let Some(server) = json::text(&settings, &["Notification", "Email", "SmtpServer"]) {
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
    if kind(target, &["manual", "iis", "csr"]) == Some(Kind::Csr) {
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
        found.key = key(tree, place, csr);
        found.reuse_key = json::down(csr, &["ReusePrivateKey"]) == Some(&Json::Bool(true));
    }
    let days = setting(tree, place, &["ScheduledTask", "RenewalDays"]).and_then(|it| it.as_u64());
    found.days_after_issue = days
        .filter(|days| *days != RENEWAL_DAYS)
        .and_then(|days| u32::try_from(days).ok());
    let text = |keys: &[&str]| {
        setting(tree, place, keys)
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
    if !single.contains(&order.as_str()) {
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
    let only_main = kind(target, &["iis"]) == Some(Kind::IisBindings)
        && json::texts(target, &["IncludeHosts"]).is_empty();
    (!names.is_empty() && !only_main).then_some(names)
}

/// What a plugin is: by its identifier, or by its word if that is one of `words`, since the same word
/// means another plugin in another step.
fn kind(options: &Object, words: &[&str]) -> Option<Kind> {
    let written = json::text(options, &["Plugin"])?.to_ascii_lowercase();
    let by_id = KINDS.iter().find(|(_, id, _)| *id == written);
    let by_word = || {
        let known = words.contains(&written.as_str());
        KINDS.iter().find(|(_, _, word)| known && *word == written)
    };
    by_id.or_else(by_word).map(|(kind, ..)| *kind)
}

/// The options of each plugin of a step.
fn options<'a>(object: &'a Object, step: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
    let list = json::down(object, &[step]).and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_object)
}

fn key(tree: &Tree, place: &str, csr: &Object) -> KeyWish {
    match kind(csr, &["rsa", "ec"]) {
        Some(Kind::Rsa) => {
            let bits = setting(tree, place, &["Csr", "Rsa", "KeyBits"]).and_then(|it| it.as_u64());
            match bits.unwrap_or(RSA_BITS) {
                2048 => KeyWish::Kind(KeyType::Rsa2048),
                3072 => KeyWish::Kind(KeyType::Rsa3072),
                4096 => KeyWish::Kind(KeyType::Rsa4096),
                other => KeyWish::Other(format!("RSA of {other} bits")),
            }
        }
        Some(Kind::Ec) => {
            let curve = setting(tree, place, &["Csr", "Ec", "CurveName"]);
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
    let words = ["script", "manual", "filesystem", "selfhosting", "none"];
    match kind(options, &words) {
        Some(Kind::Script) => Validation::Other("by a script".to_owned()),
        Some(Kind::Manual) => Validation::Other("by hand".to_owned()),
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

/// Folder and name of the PEM files of a store, and whether their key is encrypted.
fn pem_files(options: &Object, object: &Object) -> Option<((String, String), bool)> {
    if kind(options, &["pemfiles"]) != Some(Kind::PemFiles) {
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
fn pem_path((place, name): &(String, String), cut: Cut) -> String {
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

fn installs(object: &Object, found: &mut Certificate, remark: &mut impl FnMut(String, &str)) {
    let mut files = Vec::new();
    for store in options(object, "StorePluginOptions") {
        match kind(
            store,
            &[
                "pemfiles",
                "pfxfile",
                "centralssl",
                "certificatestore",
                "null",
            ],
        ) {
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
                format!("its store \"{}\" is not known", plugin(store)),
                "see whether an installer can bring the certificate there",
            ),
        }
    }
    let mut commands = Vec::new();
    for step in options(object, "InstallationPluginOptions") {
        match kind(step, &["iis", "iisftp", "script", "null", "none"]) {
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
                format!("its installation step \"{}\" is not known", plugin(step)),
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

fn plugin(options: &Object) -> String {
    json::text(options, &["Plugin"]).unwrap_or_else(|| "without a name".to_owned())
}

/// The PKCS#12 files of earlier runs, and PEM files if they can be read.
fn stored(tree: &Tree, place: &str, id: &str, object: &Object, found: &mut Certificate) {
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
