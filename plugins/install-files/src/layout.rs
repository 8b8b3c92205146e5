//! Which file gets what: the setting `files`, and the targets it gives for certificates.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::bindings::exports::waxwing::plugin::installer::Certificate;
use crate::bindings::waxwing::host::http::{Hidden, Part};
use crate::bindings::waxwing::plugin::types::{Failure, PluginError, SettingFailure};

/// The purpose under which the operator grants the folder.
pub(crate) const CERTS: &str = "certs";
/// The same of one for files that hold nothing but a key.
pub(crate) const KEYS: &str = "keys";

/// Cuts that are PEM and can be joined.
const PEM_CUTS: [&str; 4] = ["cert.pem", "chain.pem", "fullchain.pem", KEY_CUT];
const KEY_CUT: &str = "privkey.pem";
/// The cut that the host makes on demand and that stands alone.
const PKCS12_CUT: &str = "bundle.p12";
const NAME: &str = "{name}";

/// The settings of `plugin.toml`; the host has checked them and filled in defaults.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) files: Vec<File>,
    pub(crate) pkcs12_profile: String,
    /// The secret that the reload command reads.
    pub(crate) stdin: Option<String>,
}

/// One entry of `files`.
#[derive(Debug)]
pub(crate) struct File {
    /// As written: `{name}.crt`.
    pattern: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// In this order in one file.
    Pem(Vec<String>),
    Pkcs12,
}

/// A file of a certificate.
#[derive(Debug)]
pub(crate) struct Target<'c> {
    pub(crate) certificate: &'c Certificate,
    /// The purpose under which its folder is granted.
    pub(crate) grant: &'static str,
    pub(crate) file: String,
    pub(crate) parts: Vec<Part>,
    /// For people: `fullchain.pem and privkey.pem`.
    pub(crate) summary: String,
    /// The artifact that has to be made first.
    pub(crate) pkcs12: Option<String>,
}

impl Settings {
    /// Reads the settings. Errors point at the entry that is wrong.
    pub(crate) fn parse(json: &str) -> Result<Self, PluginError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Raw {
            files: Option<BTreeMap<String, Value>>,
            pkcs12_profile: Option<String>,
            stdin: Option<String>,
        }

        let raw: Raw = serde_json::from_str(json).map_err(|error| {
            wrong(
                String::new(),
                "settings",
                format!("cannot read the settings: {error}"),
                None,
            )
        })?;
        let files = match raw.files {
            Some(files) => files
                .into_iter()
                .map(|(pattern, content)| File::parse(pattern, content))
                .collect::<Result<_, _>>()?,
            None => vec![
                File::pem("{name}.crt", "fullchain.pem"),
                File::pem("{name}.key", "privkey.pem"),
            ],
        };
        Ok(Self {
            files,
            pkcs12_profile: raw.pkcs12_profile.unwrap_or_else(|| "modern".to_owned()),
            stdin: raw.stdin,
        })
    }

    /// True if a PKCS#12 file is among the files.
    pub(crate) fn has_pkcs12(&self) -> bool {
        self.files
            .iter()
            .any(|file| matches!(file.content, Content::Pkcs12))
    }

    /// True if a file lies in the folder for certificates.
    pub(crate) fn needs_certs(&self, keys_apart: bool) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.grant(keys_apart) == CERTS)
    }

    /// Every file of every certificate; keys lie in a folder of their own if `keys_apart`. Two certificates that claim one
    /// file are an error.
    pub(crate) fn targets<'c>(
        &self,
        certificates: &'c [Certificate],
        keys_apart: bool,
    ) -> Result<Vec<Target<'c>>, PluginError> {
        let mut targets: Vec<Target<'c>> = Vec::new();
        // Compared without case, since not every file system tells cases apart.
        let mut taken: BTreeMap<(&str, String), &str> = BTreeMap::new();
        for certificate in certificates {
            for file in &self.files {
                let target = file.of(certificate, keys_apart);
                let place = (target.grant, target.file.to_ascii_lowercase());
                let owner = taken.insert(place, &certificate.name);
                if let Some(owner) = owner {
                    return Err(wrong(
                        file.pointer(),
                        "file-claimed-twice",
                        format!(
                            "the certificates {owner:?} and {:?} would both be written to {}",
                            certificate.name, target.file
                        ),
                        Some("put {name} into the file name"),
                    ));
                }
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// The file of a certificate whose name ends in `.extension`, and the purpose of its folder.
    pub(crate) fn by_extension(
        &self,
        certificate: &Certificate,
        extension: &str,
        keys_apart: bool,
    ) -> Result<(&'static str, String), Option<String>> {
        let ending = format!(".{extension}");
        let mut found = self
            .files
            .iter()
            .filter(|file| file.pattern.ends_with(&ending));
        match (found.next(), found.next()) {
            (Some(file), None) => Ok((file.grant(keys_apart), file.name(certificate))),
            (None, _) => Err(None),
            (Some(one), Some(two)) => Err(Some(format!("{} and {}", one.pattern, two.pattern))),
        }
    }
}

impl File {
    fn pem(pattern: &str, cut: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            content: Content::Pem(vec![cut.to_owned()]),
        }
    }

    fn parse(pattern: String, content: Value) -> Result<Self, PluginError> {
        let pointer = pointer(&pattern);
        let cuts: Option<Vec<String>> = match content {
            Value::String(cut) => Some(vec![cut]),
            Value::Array(cuts) => cuts
                .into_iter()
                .map(|cut| cut.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        let Some(cuts) = cuts.filter(|cuts| !cuts.is_empty()) else {
            return Err(wrong(
                pointer,
                "content",
                format!("the content of {pattern} is neither a name nor a list of names"),
                Some("write for example \"fullchain.pem\" or [\"fullchain.pem\", \"privkey.pem\"]"),
            ));
        };
        if cuts == [PKCS12_CUT] {
            return Ok(Self {
                pattern,
                content: Content::Pkcs12,
            });
        }
        if let Some(unknown) = cuts.iter().find(|cut| !PEM_CUTS.contains(&cut.as_str())) {
            let message = if unknown == PKCS12_CUT {
                format!("{PKCS12_CUT} cannot be joined with others in {pattern}")
            } else {
                format!("{unknown:?} in {pattern} is nothing that a certificate has")
            };
            return Err(wrong(
                pointer,
                "content",
                message,
                Some("there are cert.pem, chain.pem, fullchain.pem, privkey.pem and bundle.p12"),
            ));
        }
        Ok(Self {
            pattern,
            content: Content::Pem(cuts),
        })
    }

    /// The purpose of the folder that it lies in.
    fn grant(&self, keys_apart: bool) -> &'static str {
        let is_key = matches!(&self.content, Content::Pem(cuts) if cuts == &[KEY_CUT]);
        if keys_apart && is_key { KEYS } else { CERTS }
    }

    fn of<'c>(&self, certificate: &'c Certificate, keys_apart: bool) -> Target<'c> {
        let artifact = |cut: &str| format!("{}/{cut}", certificate.name);
        let part = |cut: &str| {
            Part::Artifact(Hidden {
                name: artifact(cut),
                encoding: "raw".to_owned(),
            })
        };
        let (parts, summary, pkcs12) = match &self.content {
            Content::Pem(cuts) => (
                cuts.iter().map(|cut| part(cut)).collect(),
                cuts.join(" and "),
                None,
            ),
            Content::Pkcs12 => (
                vec![part(PKCS12_CUT)],
                PKCS12_CUT.to_owned(),
                Some(artifact(PKCS12_CUT)),
            ),
        };
        Target {
            certificate,
            grant: self.grant(keys_apart),
            file: self.name(certificate),
            parts,
            summary,
            pkcs12,
        }
    }

    fn name(&self, certificate: &Certificate) -> String {
        self.pattern.replace(NAME, &certificate.name)
    }

    fn pointer(&self) -> String {
        pointer(&self.pattern)
    }
}

/// A setting that is wrong.
pub(crate) fn wrong(
    pointer: String,
    code: &str,
    message: String,
    hint: Option<&str>,
) -> PluginError {
    PluginError::Config(SettingFailure {
        pointer,
        failure: Failure {
            hint: hint.map(str::to_owned),
            ..failure(code, message)
        },
    })
}

/// A failure with a code of this plugin.
pub(crate) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: format!("install-files.{code}"),
        message: message.into(),
        hint: None,
        http_status: None,
        details: Vec::new(),
    }
}

/// JSON pointer to an entry of `files` (RFC 6901 section 3).
fn pointer(pattern: &str) -> String {
    format!("/files/{}", pattern.replace('~', "~0").replace('/', "~1"))
}
