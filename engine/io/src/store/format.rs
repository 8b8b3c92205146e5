//! The stored files as text: serde twins of the engine's types, each stamped with a format.
//!
//! A change that an older reader would misread gets a new number, and the fixture of the old one
//! stays in `fixtures/` for as long as it is read.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, Identifier, PluginName};
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{
    AttemptResult, CertificateFacts, InstalledMark, LastAttempt, Origin,
};

use crate::x509::hex;

/// The layout of the folder and the format of every file in it. One number is enough while they
/// change together.
pub const FORMAT: u32 = 1;

/// Why a stored text cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// A newer program wrote it.
    TooNew(u32),
    /// It is not what was written.
    Broken(String),
}

/// An account without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountText {
    /// The directory that it is bound to.
    pub directory: String,
    /// Its URL; none before newAccount was answered.
    pub kid: Option<String>,
    /// `mailto:` URLs.
    pub contact: Vec<String>,
    /// The terms that were agreed to, and when.
    pub terms: Option<(String, Timestamp)>,
    /// The name of the file with the key, beside the account's.
    pub key: String,
}

/// `facts.toml`.
pub fn write_facts(facts: &CertificateFacts, origin: &Origin) -> String {
    text(&FactsFile {
        format: Stamp::OURS,
        certificate: FactsTable {
            names: facts.names.iter().map(Identifier::to_wire).collect(),
            serial: hex(&facts.serial),
            authority_key_id: facts.authority_key_id.as_deref().map(hex),
            not_before: facts.not_before.exact(),
            not_after: facts.not_after.exact(),
            leaf_sha256: facts.leaf_sha256.clone(),
            leaf_sha1: facts.leaf_sha1.clone(),
            public_key_sha256: facts.public_key_sha256.clone(),
            key_type: facts.key_type.map(|kind| kind.as_str().to_owned()),
            issuers: facts.issuers.clone(),
        },
        origin: OriginTable {
            ca: origin.ca.to_string(),
            account: origin.account.clone(),
            issued_at: origin.issued_at.exact(),
            fallback: origin.fallback,
            staging: origin.staging,
        },
    })
}

/// The inverse of [`write_facts`].
pub fn read_facts(text: &str) -> Result<(CertificateFacts, Origin), Unreadable> {
    let FactsFile {
        certificate,
        origin,
        ..
    } = parse(text)?;
    let names: Result<Vec<_>, _> = certificate
        .names
        .iter()
        .map(|name| Identifier::parse(name))
        .collect();
    let facts = CertificateFacts {
        names: names.map_err(broken)?,
        serial: unhex("serial", &certificate.serial)?,
        authority_key_id: match certificate.authority_key_id {
            Some(id) => Some(unhex("authority-key-id", &id)?),
            None => None,
        },
        not_before: Timestamp::parse(&certificate.not_before).map_err(broken)?,
        not_after: Timestamp::parse(&certificate.not_after).map_err(broken)?,
        leaf_sha256: certificate.leaf_sha256,
        leaf_sha1: certificate.leaf_sha1,
        public_key_sha256: certificate.public_key_sha256,
        key_type: match certificate.key_type {
            None => None,
            Some(kind) => {
                Some(KeyType::parse(&kind).ok_or_else(|| broken(format!("no key type `{kind}`")))?)
            }
        },
        issuers: certificate.issuers,
    };
    let origin = Origin {
        ca: CaName::parse(&origin.ca).map_err(broken)?,
        account: origin.account,
        issued_at: Timestamp::parse(&origin.issued_at).map_err(broken)?,
        fallback: origin.fallback,
        staging: origin.staging,
    };
    Ok((facts, origin))
}

/// `installed/PLUGIN.toml`.
pub fn write_installed(mark: &InstalledMark) -> String {
    text(&InstalledFile {
        format: Stamp::OURS,
        plugin: mark.plugin.to_string(),
        version: mark.version,
        leaf_sha256: mark.leaf_sha256.clone(),
        leaf_sha1: mark.leaf_sha1.clone(),
        settings: mark.settings.clone(),
        at: mark.at.exact(),
        receipt: mark.receipt.clone(),
    })
}

/// The inverse of [`write_installed`].
pub fn read_installed(text: &str) -> Result<InstalledMark, Unreadable> {
    let file: InstalledFile = parse(text)?;
    Ok(InstalledMark {
        plugin: PluginName::parse(&file.plugin).map_err(broken)?,
        version: file.version,
        leaf_sha256: file.leaf_sha256,
        leaf_sha1: file.leaf_sha1,
        settings: file.settings,
        at: Timestamp::parse(&file.at).map_err(broken)?,
        receipt: file.receipt,
    })
}

/// `last.toml`.
pub fn write_last(last: &LastAttempt) -> String {
    let (result, plugin, class, causes) = match &last.result {
        AttemptResult::Renewed => (ResultName::Renewed, None, None, &[][..]),
        AttemptResult::Installed => (ResultName::Installed, None, None, &[][..]),
        AttemptResult::NotInstalled { plugin, causes } => (
            ResultName::NotInstalled,
            Some(plugin.to_string()),
            None,
            &causes[..],
        ),
        AttemptResult::Failed { class, causes } => {
            (ResultName::Failed, None, Some(class.clone()), &causes[..])
        }
    };
    text(&LastFile {
        format: Stamp::OURS,
        at: last.at.exact(),
        ca: last.ca.as_ref().map(CaName::to_string),
        result,
        plugin,
        class,
        causes: causes.to_vec(),
    })
}

/// The inverse of [`write_last`].
pub fn read_last(text: &str) -> Result<LastAttempt, Unreadable> {
    let file: LastFile = parse(text)?;
    let missing = |key: &str| broken(format!("the key `{key}` is missing"));
    let result = match file.result {
        ResultName::Renewed => AttemptResult::Renewed,
        ResultName::Installed => AttemptResult::Installed,
        ResultName::NotInstalled => {
            let plugin = file.plugin.ok_or_else(|| missing("plugin"))?;
            let plugin = PluginName::parse(&plugin).map_err(broken)?;
            AttemptResult::NotInstalled {
                plugin,
                causes: file.causes,
            }
        }
        ResultName::Failed => AttemptResult::Failed {
            class: file.class.ok_or_else(|| missing("class"))?,
            causes: file.causes,
        },
    };
    let ca = file
        .ca
        .map(|ca| CaName::parse(&ca))
        .transpose()
        .map_err(broken)?;
    Ok(LastAttempt {
        at: Timestamp::parse(&file.at).map_err(broken)?,
        ca,
        result,
    })
}

/// `account.toml`.
pub fn write_account(account: &AccountText) -> String {
    text(&AccountFile {
        format: Stamp::OURS,
        directory: account.directory.clone(),
        kid: account.kid.clone(),
        contact: account.contact.clone(),
        key: account.key.clone(),
        terms: account.terms.as_ref().map(|(url, at)| TermsTable {
            url: url.clone(),
            agreed_at: at.exact(),
        }),
    })
}

/// The inverse of [`write_account`].
pub fn read_account(text: &str) -> Result<AccountText, Unreadable> {
    let file: AccountFile = parse(text)?;
    let terms = match file.terms {
        None => None,
        Some(terms) => Some((
            terms.url,
            Timestamp::parse(&terms.agreed_at).map_err(broken)?,
        )),
    };
    if file.key.contains(['/', '\\']) || file.key.starts_with('.') {
        return Err(broken(format!("`{}` is no file name for a key", file.key)));
    }
    Ok(AccountText {
        directory: file.directory,
        kid: file.kid,
        contact: file.contact,
        terms,
        key: file.key,
    })
}

/// `cache/directories/CA.toml`.
pub fn write_directory(content: &str, at: Timestamp) -> String {
    text(&DirectoryFile {
        format: Stamp::OURS,
        at: at.exact(),
        text: content.to_owned(),
    })
}

/// The inverse of [`write_directory`].
pub fn read_directory(text: &str) -> Result<(String, Timestamp), Unreadable> {
    let file: DirectoryFile = parse(text)?;
    Ok((file.text, Timestamp::parse(&file.at).map_err(broken)?))
}

/// The number in the file `format` of a state folder.
pub fn read_stamp(text: &str) -> Result<u32, Unreadable> {
    match text.trim().parse() {
        Ok(FORMAT) => Ok(FORMAT),
        Ok(newer) if newer > FORMAT => Err(Unreadable::TooNew(newer)),
        _ => Err(broken(format!(
            "`{}` is no format",
            text.trim().escape_debug()
        ))),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FactsFile {
    format: Stamp,
    certificate: FactsTable,
    origin: OriginTable,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FactsTable {
    names: Vec<String>,
    serial: String,
    authority_key_id: Option<String>,
    not_before: String,
    not_after: String,
    leaf_sha256: String,
    leaf_sha1: String,
    public_key_sha256: String,
    key_type: Option<String>,
    issuers: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OriginTable {
    ca: String,
    account: String,
    issued_at: String,
    fallback: bool,
    staging: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InstalledFile {
    format: Stamp,
    plugin: String,
    version: u32,
    leaf_sha256: String,
    leaf_sha1: String,
    settings: String,
    at: String,
    receipt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LastFile {
    format: Stamp,
    at: String,
    ca: Option<String>,
    result: ResultName,
    plugin: Option<String>,
    class: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ResultName {
    Renewed,
    Installed,
    NotInstalled,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AccountFile {
    format: Stamp,
    directory: String,
    kid: Option<String>,
    contact: Vec<String>,
    key: String,
    terms: Option<TermsTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TermsTable {
    url: String,
    agreed_at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DirectoryFile {
    format: Stamp,
    at: String,
    text: String,
}

/// The number of a file, which is refused in a newer one.
struct Stamp(u32);

impl Stamp {
    const OURS: Self = Self(FORMAT);
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            newer if newer > FORMAT => Err(D::Error::custom(format!("it has format {newer}"))),
            known => Ok(Self(known)),
        }
    }
}

/// The rest of a file is of no interest when its number is looked for.
#[derive(Deserialize)]
struct Stamped {
    format: u32,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    // A newer file may have another shape, so its number is asked for before anything is said about
    // the shape. Only then: thousands of files are read that are good.
    toml::from_str(text).map_err(|cause| match toml::from_str(text) {
        Ok(Stamped { format }) if format > FORMAT => Unreadable::TooNew(format),
        Ok(_) => one_line(cause),
        Err(not_even_that) => one_line(not_even_that),
    })
}

fn text<T: Serialize>(file: &T) -> String {
    // The twins above are tables of strings, numbers and tables: TOML has a form for each, and the
    // round trips in the tests cover every field.
    toml::to_string(file).unwrap_or_default()
}

fn unhex(key: &str, text: &str) -> Result<Vec<u8>, Unreadable> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err(broken(format!("`{key}` is not hexadecimal"))),
    }
}

fn broken(cause: impl ToString) -> Unreadable {
    Unreadable::Broken(cause.to_string())
}

/// The parser draws the line with an arrow below it; the first and the last line say it all.
fn one_line(cause: toml::de::Error) -> Unreadable {
    broken(cause.message())
}
