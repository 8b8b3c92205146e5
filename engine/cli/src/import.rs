//! From what another client's files say to a configuration of ours and to what is stored for it.
//!
//! [`draft::draft`] decides, from values alone; [`write`] carries it out. What depends on this machine
//! (which programs there are, who owns a file) is asked through [`Surroundings`].

pub(crate) mod draft;
mod install;
mod provider;
mod stored;
mod wishes;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use waxwing_core::import::{Cut, Remark, Unread};
use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::secret::Secret;
use waxwing_flow::certificate::{CertificateFacts, ChainPem, Origin};
use waxwing_flow::ports::AccountRecord;
use waxwing_io::import::Rights;

/// What is asked of this machine.
pub(crate) struct Surroundings<'a> {
    /// Who may do what with a file; none if it is not there.
    pub(crate) rights: &'a dyn Fn(&str) -> Option<Rights>,
    /// The whole path of a program.
    pub(crate) program: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// The value of a variable of this process.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// True on Windows.
    pub(crate) windows: bool,
}

/// A configuration in parts, and what is to be stored.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// `[account] email`.
    pub(crate) email: Option<String>,
    /// `[ca.NAME]`, by name.
    pub(crate) cas: BTreeMap<CaName, CaDraft>,
    /// `[plugin.NAME]` of DNS providers.
    pub(crate) providers: Vec<ProviderDraft>,
    /// `[plugin.NAME]` of installers.
    pub(crate) installers: Vec<InstallerDraft>,
    /// `[[certificate]]`.
    pub(crate) certificates: Vec<CertificateDraft>,
    /// Files with secrets, by name.
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    /// Accounts to store.
    pub(crate) accounts: Vec<AccountDraft>,
    /// Certificates to store.
    pub(crate) versions: Vec<VersionDraft>,
    /// What certificates want of their CAs, until that is decided.
    pub(crate) wishes: Vec<wishes::Wish>,
    /// What is not taken over.
    pub(crate) remarks: Vec<Remark>,
    /// Certificates that are left out, as the client calls them.
    pub(crate) left_out: Vec<String>,
    /// What cannot be read.
    pub(crate) unread: Vec<Unread>,
}

impl Draft {
    fn remark(&mut self, about: &str, what: impl Into<String>, next: impl Into<String>) {
        let remark = Remark::new(about, what, next);
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

/// `[ca.NAME]`
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CaDraft {
    /// Its directory, if no profile knows it.
    pub(crate) directory: Option<String>,
    /// The address as the other client has it, if an end was taken off.
    pub(crate) repaired: Option<String>,
    /// Key id, and the file with the MAC key.
    pub(crate) eab: Option<(String, String)>,
    /// True if an account is there, so that its credentials are not needed, and they are not known.
    pub(crate) without_eab: bool,
    /// `preferred-chain`.
    pub(crate) preferred_chain: Option<String>,
    /// `profile`.
    pub(crate) profile: Option<String>,
}

impl CaDraft {
    /// True if the configuration needs a section for it.
    pub(crate) const fn says_something(&self) -> bool {
        self.directory.is_some()
            || self.repaired.is_some()
            || self.eab.is_some()
            || self.without_eab
            || self.preferred_chain.is_some()
            || self.profile.is_some()
    }
}

/// `[plugin.NAME]` of a DNS provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProviderDraft {
    /// Its name.
    pub(crate) name: String,
    /// The built-in plugin.
    pub(crate) plugin: String,
    /// Files with its secrets, by the plugin's names.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Its settings, each a text.
    pub(crate) settings: BTreeMap<String, String>,
}

/// `[plugin.NAME]` of an installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstallerDraft {
    /// Its name.
    pub(crate) name: String,
    /// The built-in plugin, and the words of its manifest.
    pub(crate) words: InstallerWords,
    /// File names and what is in each.
    pub(crate) files: Vec<(String, Cut)>,
    /// The folder.
    pub(crate) dir: Option<String>,
    /// The one that keys lie in, if it is another one.
    pub(crate) keys: Option<KeyFolderDraft>,
    /// Who may do what with the files, and with those that hold a key.
    pub(crate) owner: Option<String>,
    /// Likewise.
    pub(crate) group: Option<String>,
    /// Likewise.
    pub(crate) mode: Option<u32>,
    /// Likewise.
    pub(crate) key_mode: Option<u32>,
    /// True where rights are lists of Windows.
    pub(crate) windows: bool,
    /// The command behind it.
    pub(crate) reload: Option<Vec<String>>,
    /// The file with the password of PKCS#12 files.
    pub(crate) password: Option<String>,
    /// Set if it is only proposed: why.
    pub(crate) off: Option<String>,
}

/// A folder for keys alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFolderDraft {
    /// The purpose of it.
    pub(crate) purpose: String,
    /// The folder.
    pub(crate) dir: String,
    /// Who may do what with the keys.
    pub(crate) owner: Option<String>,
    /// Likewise.
    pub(crate) group: Option<String>,
    /// Likewise.
    pub(crate) mode: Option<u32>,
}

/// The words of an installer's manifest that a draft needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstallerWords {
    /// Its id.
    pub(crate) plugin: String,
    /// The purpose of its folder.
    pub(crate) folder: String,
    /// The purpose of one for keys alone, if it knows such a folder.
    pub(crate) keys: Option<String>,
    /// The secret that locks PKCS#12 files.
    pub(crate) password: Option<String>,
}

/// `[[certificate]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateDraft {
    /// Its name.
    pub(crate) name: CertificateName,
    /// Its names, the main one first.
    pub(crate) domains: Vec<Identifier>,
    /// The CA, if it is known.
    pub(crate) ca: Option<CaName>,
    /// The kind of key.
    pub(crate) key: KeyType,
    /// `reuse-key`
    pub(crate) reuse_key: bool,
    /// `renewal.days-after-issue`
    pub(crate) days_after_issue: Option<u32>,
    /// The DNS plugin, or several.
    pub(crate) validate: Option<Validate>,
    /// Installers.
    pub(crate) install: Vec<String>,
    /// Those that are only proposed.
    pub(crate) proposed: Vec<String>,
    /// Set if it cannot be used as it is: why.
    pub(crate) off: Option<String>,
}

/// Which DNS plugins prove the names of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Validate {
    /// This one all of them.
    By(String),
    /// Each name and what is below it by its own.
    Each(Vec<(String, String)>),
}

/// An account to store.
#[derive(Debug)]
pub(crate) struct AccountDraft {
    /// At which CA.
    pub(crate) ca: CaName,
    /// What is stored.
    pub(crate) record: AccountRecord,
    /// The file with its key.
    pub(crate) file: String,
}

/// A certificate to store.
#[derive(Debug)]
pub(crate) struct VersionDraft {
    /// Under which name.
    pub(crate) name: CertificateName,
    /// Its key.
    pub(crate) key: Secret<String>,
    /// Its chain.
    pub(crate) pem: ChainPem,
    /// What the chain says.
    pub(crate) facts: CertificateFacts,
    /// From where it is.
    pub(crate) origin: Origin,
    /// The file that it is from.
    pub(crate) file: String,
}

#[cfg(test)]
mod tests;
