//! Where each thing is in the state folder.
//!
//! Names of certificates, CAs and plugins are file names on every system by their types, so no
//! path made here leaves the folder.

use std::path::{Path, PathBuf};

use waxwing_core::name::{CaName, CertificateName, PluginName};

use crate::x509;

/// The paths below one state folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says which layout this is.
    pub(super) fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Which patterns of `include` have had files.
    pub(super) fn includes(&self) -> PathBuf {
        self.root.join("includes.toml")
    }

    /// When a run was here last.
    pub(super) fn last_run(&self) -> PathBuf {
        self.root.join(super::FileStore::LAST_RUN)
    }

    /// When one was that nobody has typed.
    pub(super) fn last_by_itself(&self) -> PathBuf {
        self.root.join(super::FileStore::LAST_BY_ITSELF)
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    pub(super) fn certificate(&self, name: &CertificateName) -> PathBuf {
        self.certificates().join(name.as_str())
    }

    pub(super) fn versions(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("versions")
    }

    pub(super) fn version(&self, name: &CertificateName, number: u32) -> PathBuf {
        self.versions(name).join(version_name(number))
    }

    /// The small file that names the version in use.
    pub(super) fn current(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("current")
    }

    pub(super) fn installed(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("installed")
    }

    pub(super) fn installed_by(&self, name: &CertificateName, plugin: &PluginName) -> PathBuf {
        self.installed(name).join(format!("{plugin}.toml"))
    }

    pub(super) fn last(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("last.toml")
    }

    pub(super) fn served(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("served.toml")
    }

    pub(super) fn journals(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(super) fn journal(&self, name: &CertificateName) -> PathBuf {
        self.journals().join(format!("{name}.toml"))
    }

    pub(super) fn pending_key(&self, name: &CertificateName) -> PathBuf {
        self.journals().join(format!("{name}.key"))
    }

    /// The small file that says that the version in use is revoked.
    pub(super) fn revoked(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("revoked.toml")
    }

    /// The small file that says which version is to be revoked once another one has taken its place.
    pub(super) fn replacing(&self, name: &CertificateName) -> PathBuf {
        self.certificate(name).join("replacing.toml")
    }

    /// The accounts at a CA, and where earlier versions kept the only one.
    pub(super) fn accounts(&self, ca: &CaName) -> PathBuf {
        self.root.join("accounts").join(ca.as_str())
    }

    /// The account at one directory of a CA.
    pub(super) fn account(&self, ca: &CaName, directory: &str) -> PathBuf {
        self.accounts(ca).join(directory_name(directory))
    }

    pub(super) fn directory(&self, ca: &CaName) -> PathBuf {
        self.cache("directories").join(format!("{ca}.toml"))
    }

    /// A folder whose content can be made again.
    pub(super) fn cache(&self, kind: &str) -> PathBuf {
        self.root.join("cache").join(kind)
    }

    /// What installers overwrite, until it is sure that it is not needed any more.
    pub(super) fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    /// Where forgotten things of a kind go.
    pub(super) fn archive(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join("archive").join(kind).join(name)
    }

    pub(super) fn lock(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join("locks").join(kind).join(name)
    }
}

/// `ca.example-0d2f6a9c`: the host for people, the digest because one host may have several
/// directories.
fn directory_name(url: &str) -> String {
    let host = url.split('/').nth(2).unwrap_or_default();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let host: String = host.chars().take(LONGEST_HOST).map(plain).collect();
    let digest = x509::sha256_hex(url.as_bytes());
    format!("{host}-{}", &digest[..DIGEST])
}

/// Characters of a host in a file name.
const LONGEST_HOST: usize = 60;

/// Characters of a digest in a file name.
const DIGEST: usize = 8;

/// `0007`: sorts by name as by number, until 9999.
pub(super) fn version_name(number: u32) -> String {
    format!("{number:04}")
}

/// The number of a version's folder or of the text in `current`.
pub(super) fn version_number(text: &str) -> Option<u32> {
    let number = text.parse().ok()?;
    (number > 0 && version_name(number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_has_a_folder_that_any_system_can_name() {
        let check = |url: &str, want| assert_eq!(directory_name(url), want);
        check("https://ca.example/directory", "ca.example-0d5eb258");
        check("https://ca.example/v2/directory", "ca.example-a399a511");
        check("https://[::1]:14000/dir", "---1--14000-95429408");
    }

    #[test]
    fn version_names_and_numbers_are_inverse() {
        let check = |text: &str, want| assert_eq!(version_number(text), want, "{text}");
        check("0007", Some(7));
        check("10000", Some(10_000));
        check("7", None);
        check("0000", None);
        check(".new-0007", None);
        check("+007", None);
    }
}
