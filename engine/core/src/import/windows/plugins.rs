//! The plugins of these clients that mean something here, by their identifiers and words.

use serde_json::Value as Json;

use super::{Object, json};

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names that a person has typed.
    Manual,
    /// Names of the bindings of IIS.
    IisBindings,
    /// A request of another program.
    Csr,
    /// An RSA key.
    Rsa,
    /// An elliptic key.
    Ec,
    /// PEM files.
    PemFiles,
    /// A PKCS#12 file.
    PfxFile,
    /// The central store of IIS: a PKCS#12 file for each name.
    CentralStore,
    /// The certificate store of Windows.
    CertificateStore,
    /// Bindings of IIS.
    Iis,
    /// A script.
    Script,
    /// Nothing.
    Nothing,
    /// Files of a web server.
    WebFiles,
    /// A web server of the client's own.
    OwnServer,
    /// A person.
    Person,
}

/// A step of a renewal. The same word means another plugin in another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Which names.
    Source,
    /// How they are proved.
    Validation,
    /// Which key.
    Csr,
    /// Where the certificate is put.
    Store,
    /// What is done then.
    Installation,
}

/// Identifiers and words, by step.
const KINDS: [(Step, Kind, &str, &str); 25] = [
    (
        Step::Source,
        Kind::Manual,
        "e239db3b-b42f-48aa-b64f-46d4f3e9941b",
        "manual",
    ),
    (
        Step::Source,
        Kind::IisBindings,
        "54deb3ee-b5df-4381-8485-fe386054055b",
        "iis",
    ),
    (
        Step::Source,
        Kind::IisBindings,
        "2f5dd428-0f5d-4c8a-8fd0-56fc1b5985ce",
        "iisbinding",
    ),
    (
        Step::Source,
        Kind::IisBindings,
        "d7940b23-f570-460e-ab15-2c822a79009b",
        "iissite",
    ),
    (
        Step::Source,
        Kind::IisBindings,
        "cdd79a68-4a87-4039-bee8-5a0ebdca41cb",
        "iissites",
    ),
    (
        Step::Source,
        Kind::Csr,
        "5c3db0fb-840b-469f-b5a7-0635d8e9a93d",
        "csr",
    ),
    (
        Step::Validation,
        Kind::Person,
        "e45d62b9-f9a8-441e-b95f-c5ee0dcd8040",
        "manual",
    ),
    (
        Step::Validation,
        Kind::Script,
        "8f1da72e-f727-49f0-8546-ef69e5ecec32",
        "script",
    ),
    (
        Step::Validation,
        Kind::Script,
        "8f1da72e-f727-49f0-8546-ef69e5ecec32",
        "dnsscript",
    ),
    (
        Step::Validation,
        Kind::WebFiles,
        "1c77b3a4-5310-4c46-92c6-00d866e84d6b",
        "filesystem",
    ),
    (
        Step::Validation,
        Kind::OwnServer,
        "c7d5e050-9363-4ba1-b3a8-931b31c618b7",
        "selfhosting",
    ),
    (
        Step::Validation,
        Kind::OwnServer,
        "a1565064-b208-4467-8ca1-1bd3c08aa500",
        "selfhosting",
    ),
    (
        Step::Validation,
        Kind::Nothing,
        "a37b41dc-b45a-42fe-8d81-82ca409a5491",
        "none",
    ),
    (
        Step::Csr,
        Kind::Rsa,
        "b9060d4b-c2d3-49ac-b37f-962e7c3cbe9d",
        "rsa",
    ),
    (
        Step::Csr,
        Kind::Ec,
        "9aadcf71-5241-4c4f-aee1-bfe3f6be3489",
        "ec",
    ),
    (
        Step::Store,
        Kind::PemFiles,
        "e57c70e4-cd60-4ba6-80f6-a41703e21031",
        "pemfiles",
    ),
    (
        Step::Store,
        Kind::PfxFile,
        "2a2c576f-7637-4ade-b8db-e8613b0bb33e",
        "pfxfile",
    ),
    (
        Step::Store,
        Kind::CentralStore,
        "af1f77b6-4e7b-4f96-bba5-c2eeb4d0dd42",
        "centralssl",
    ),
    (
        Step::Store,
        Kind::CertificateStore,
        "e30adc8e-d756-4e16-a6f2-450f784b1a97",
        "certificatestore",
    ),
    (
        Step::Store,
        Kind::Nothing,
        "cfdd7caa-ba34-4e9e-b9de-2a3d64c4f4ec",
        "none",
    ),
    (
        Step::Installation,
        Kind::Iis,
        "ea6a5be3-f8de-4d27-a6bd-750b619b2ee2",
        "iis",
    ),
    (
        Step::Installation,
        Kind::Iis,
        "13058a79-5084-48af-b047-634e0ee222f4",
        "iisftp",
    ),
    (
        Step::Installation,
        Kind::Script,
        "3bb22c70-358d-4251-86bd-11858363d913",
        "script",
    ),
    (
        Step::Installation,
        Kind::Nothing,
        "aecc502c-5f75-43d2-b578-f95d50c79ea1",
        "none",
    ),
    (
        Step::Installation,
        Kind::Nothing,
        "aecc502c-5f75-43d2-b578-f95d50c79ea1",
        "null",
    ),
];

/// What a plugin is, by its identifier or its word in this step.
pub(super) fn kind(options: &Object, step: Step) -> Option<Kind> {
    let written = json::text(options, &["Plugin"])?.to_ascii_lowercase();
    let mut kinds = KINDS.iter();
    let found = kinds.find(|(at, _, id, word)| *at == step && (*id == written || *word == written));
    found.map(|(_, kind, ..)| *kind)
}

/// The options of each plugin of a step that may have several.
pub(super) fn options<'a>(
    object: &'a Object,
    key: &str,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    let list = json::down(object, &[key]).and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_object)
}

/// How messages name a plugin.
pub(super) fn called(options: &Object) -> String {
    json::text(options, &["Plugin"]).unwrap_or_else(|| "without a name".to_owned())
}
