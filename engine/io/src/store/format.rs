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
    AttemptResult, CertificateFacts, InstalledMark, LastAttempt, Origin, Replacing, RevokedMark,
    ServedLeaf, ServedMark,
};
use waxwing_flow::ports::{CredentialMark, CredentialUse};

use crate::x509::hex;

mod directory;

pub use directory::{read_directory, write_directory};

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

/// An account without its keys.
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
    /// Likewise for the key that a rollover changes to.
    pub next_key: Option<String>,
    /// Credentials of the CA that were used.
    pub credentials: Vec<CredentialMark>,
    /// When it was given up.
    pub deactivated: Option<Timestamp>,
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
        staging: mark.staging.then_some(true),
        not_after: mark.not_after.map(Timestamp::exact),
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
        staging: file.staging.unwrap_or(false),
        not_after: file
            .not_after
            .map(|at| Timestamp::parse(&at).map_err(broken))
            .transpose()?,
        older: None,
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
        replaces: last.replaces.then_some(true),
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
        replaces: file.replaces.unwrap_or(false),
    })
}

/// `served.toml`.
pub fn write_served(seen: &[ServedMark]) -> String {
    let place = |mark: &ServedMark| PlaceTable {
        place: mark.place.clone(),
        at: mark.at.exact(),
        sha256: mark.seen.as_ref().ok().map(|leaf| leaf.sha256.clone()),
        not_after: mark
            .seen
            .as_ref()
            .ok()
            .and_then(|leaf| leaf.not_after.map(Timestamp::exact)),
        causes: mark.seen.as_ref().err().cloned().unwrap_or_default(),
    };
    text(&ServedFile {
        format: FORMAT,
        place: seen.iter().map(place).collect(),
    })
}

/// The inverse of [`write_served`].
pub fn read_served(text: &str) -> Result<Vec<ServedMark>, Unreadable> {
    let file: ServedFile = parse(text)?;
    let mark = |table: PlaceTable| {
        let end = table.not_after.map(|end| Timestamp::parse(&end));
        let not_after = end.transpose().map_err(broken)?;
        Ok(ServedMark {
            place: table.place,
            at: Timestamp::parse(&table.at).map_err(broken)?,
            seen: match table.sha256 {
                Some(sha256) => Ok(ServedLeaf { sha256, not_after }),
                None => Err(table.causes),
            },
        })
    };
    file.place.into_iter().map(mark).collect()
}

/// `revoked.toml`.
pub fn write_revoked(mark: &RevokedMark) -> String {
    text(&RevokedFile {
        format: FORMAT,
        version: mark.version,
        at: mark.at.exact(),
        reason: mark.reason,
    })
}

/// The inverse of [`write_revoked`].
pub fn read_revoked(text: &str) -> Result<RevokedMark, Unreadable> {
    let file: RevokedFile = parse(text)?;
    Ok(RevokedMark {
        version: file.version,
        at: Timestamp::parse(&file.at).map_err(broken)?,
        reason: file.reason,
    })
}

/// `replacing.toml`.
pub fn write_replacing(wish: &Replacing) -> String {
    text(&ReplacingFile {
        format: FORMAT,
        version: wish.version,
        reason: wish.reason,
        since: wish.since.exact(),
    })
}

/// The inverse of [`write_replacing`].
pub fn read_replacing(text: &str) -> Result<Replacing, Unreadable> {
    let file: ReplacingFile = parse(text)?;
    Ok(Replacing {
        version: file.version,
        reason: file.reason,
        since: Timestamp::parse(&file.since).map_err(broken)?,
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
        next_key: account.next_key.clone(),
        deactivated: account.deactivated.map(Timestamp::exact),
        terms: account.terms.as_ref().map(|(url, at)| TermsTable {
            url: url.clone(),
            agreed_at: at.exact(),
        }),
        credentials: account
            .credentials
            .iter()
            .map(|mark| CredentialTable {
                digest: mark.digest.clone(),
                used: match mark.used {
                    CredentialUse::Intended => UseName::Intended,
                    CredentialUse::Spent => UseName::Spent,
                },
                at: mark.at.exact(),
            })
            .collect(),
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
    for key in std::iter::once(&file.key).chain(&file.next_key) {
        if key.contains(['/', '\\']) || key.starts_with('.') {
            return Err(broken(format!("`{key}` is no file name for a key")));
        }
    }
    let mut credentials = Vec::new();
    for mark in file.credentials {
        credentials.push(CredentialMark {
            digest: mark.digest,
            used: match mark.used {
                UseName::Intended => CredentialUse::Intended,
                UseName::Spent => CredentialUse::Spent,
            },
            at: Timestamp::parse(&mark.at).map_err(broken)?,
        });
    }
    let deactivated = file.deactivated.map(|at| Timestamp::parse(&at));
    Ok(AccountText {
        directory: file.directory,
        kid: file.kid,
        contact: file.contact,
        terms,
        key: file.key,
        next_key: file.next_key,
        credentials,
        deactivated: deactivated.transpose().map_err(broken)?,
    })
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
    /// Only written where it is true, as the first files of this format had no such line.
    staging: Option<bool>,
    /// The first files of this format had no such line, either.
    not_after: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServedFile {
    format: u32,
    place: Vec<PlaceTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PlaceTable {
    place: String,
    at: String,
    sha256: Option<String>,
    not_after: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<bool>,
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
    next_key: Option<String>,
    deactivated: Option<String>,
    terms: Option<TermsTable>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    credentials: Vec<CredentialTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CredentialTable {
    digest: String,
    used: UseName,
    at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum UseName {
    Intended,
    Spent,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RevokedFile {
    format: u32,
    version: u32,
    at: String,
    reason: Option<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ReplacingFile {
    format: u32,
    version: u32,
    reason: Option<u8>,
    since: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TermsTable {
    url: String,
    agreed_at: String,
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
