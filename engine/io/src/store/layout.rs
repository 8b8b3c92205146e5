//! Where each thing is in the state folder.
//!
//! Names of certificates, CAs and plugins are file names on every system by their types, so no
//! path made here leaves the folder.

use std::path::{Path, PathBuf};

use waxwing_core::name::{CaName, CertificateName, PluginName};

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

    pub(super) fn account(&self, ca: &CaName) -> PathBuf {
        self.root.join("accounts").join(ca.as_str())
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
