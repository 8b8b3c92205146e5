//! Files below granted folders: written whole or not at all, remembered as they were, and put
//! back if the call that wrote them does not succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use waxwing_core::plugin::GrantFiles;
use waxwing_core::secret::Secret;
use waxwing_flow::audit::AuditEvent;

use crate::instance::Instance;
use crate::section::sha256_hex;

mod name;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use self::name::FileName;
pub(crate) use self::os::{Attributes, Folder, create_private};
#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;

/// Longest file that is read or written, in bytes.
pub(crate) const FILE_CAP: u64 = 1 << 20;

/// What is at a name.
pub(crate) enum Found {
    Absent,
    File(Prior),
    /// Longer than [`FILE_CAP`].
    TooLarge,
    /// Something that is no file.
    Obstacle(&'static str),
}

/// A file as it was found.
pub(crate) struct Prior {
    pub(crate) content: Secret<Vec<u8>>,
    pub(crate) attributes: Attributes,
    pub(crate) modified_unix_ms: u64,
}

/// A name below a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) grant: String,
    pub(crate) name: FileName,
}

impl Spot {
    /// The whole path, for the audit trail and for commands.
    pub(crate) fn path(&self, grant: &GrantFiles) -> PathBuf {
        grant.dir.join(self.name.as_str())
    }
}

/// What the files of an instance were before its writes. In memory, because it holds keys.
#[derive(Default)]
pub(crate) struct Backups {
    next: u64,
    entries: BTreeMap<String, (Spot, Option<Prior>)>,
    /// Files that got a private part.
    private: BTreeSet<Spot>,
}

impl Backups {
    /// Remembers what was at a spot; answers the backup's name.
    pub(crate) fn keep(&mut self, spot: Spot, prior: Option<Prior>, private: bool) -> String {
        self.next += 1;
        let id = format!("backup-{}", self.next);
        if private {
            self.private.insert(spot.clone());
        }
        self.entries.insert(id.clone(), (spot, prior));
        id
    }

    pub(crate) fn grant(&self, id: &str) -> Option<&str> {
        self.entries.get(id).map(|(spot, _)| spot.grant.as_str())
    }

    pub(crate) fn is_private(&self, spot: &Spot) -> bool {
        self.private.contains(spot)
    }
}

/// The writes of one call that still have to be undone if it fails.
pub(crate) struct Writes {
    instance: Arc<Instance>,
    open: Vec<String>,
}

impl Writes {
    pub(crate) const fn new(instance: Arc<Instance>) -> Self {
        Self {
            instance,
            open: Vec::new(),
        }
    }

    /// Notes a write by its backup, before it happens.
    pub(crate) fn begin(&mut self, backup: &str) {
        self.open.push(backup.to_owned());
    }

    /// The guest put it back itself.
    pub(crate) fn restored(&mut self, backup: &str) {
        self.open.retain(|id| id != backup);
    }

    /// The call succeeded: older backups are of no more use.
    pub(crate) fn keep(mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.instance
                .backups()
                .entries
                .retain(|id, _| open.contains(id));
        }
    }

    /// The call failed. Answers what could not be undone.
    pub(crate) fn undo(mut self) -> Vec<String> {
        self.undo_open()
    }

    /// Newest first, so that a file that was written twice ends as it began.
    fn undo_open(&mut self) -> Vec<String> {
        let mut troubles = Vec::new();
        while let Some(backup) = self.open.pop() {
            if let Err(trouble) = restore(&self.instance, &backup) {
                tracing::error!(plugin = %self.instance.name, "{trouble}");
                troubles.push(trouble);
            }
        }
        troubles
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.undo_open();
    }
}

/// Puts a file back as it was before a write.
pub(crate) fn restore(instance: &Instance, backup: &str) -> Result<(), String> {
    let backups = instance.backups();
    let Some((spot, prior)) = backups.entries.get(backup) else {
        return Err(format!(
            "no backup is called `{}`",
            crate::parts::shown(backup)
        ));
    };
    let Some(grant) = instance.powers.files.get(&spot.grant) else {
        return Err(format!("the grant `{}` is gone", spot.grant));
    };
    let result = Folder::open(grant).and_then(|folder| match prior {
        Some(prior) => folder.put(&spot.name, prior.content.expose(), &prior.attributes),
        None => folder.remove(&spot.name),
    });
    let path = spot.path(grant);
    instance.host.audit.record(AuditEvent::File {
        plugin: instance.name.clone(),
        grant: spot.grant.clone(),
        path: path.display().to_string(),
        result: match &result {
            Ok(()) => "restored".to_owned(),
            Err(error) => format!("not restored: {error}"),
        },
    });
    result.map_err(|error| format!("failed to put {} back as it was: {error}", path.display()))
}

/// Whether a guest may see a file: short text without control characters, without the words
/// `PRIVATE KEY`, and without a run of base64 or hexadecimal characters as long as a key. Such runs
/// are allowed inside of PEM blocks of certificates (RFC 7468 section 5).
///
/// Everything else is taken for a private key. That files written by this process with a private
/// part are not shown is for the caller to check.
pub(crate) fn is_public(content: &[u8]) -> bool {
    const LONGEST: usize = 64 * 1024;
    const RUN: usize = 40;
    let Ok(text) = std::str::from_utf8(content) else {
        return false;
    };
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.len() > LONGEST || text.contains("PRIVATE KEY") || text.contains(control) {
        return false;
    }
    let mut inside = false;
    for line in text.lines().map(str::trim_end) {
        match line {
            "-----BEGIN CERTIFICATE-----" => inside = true,
            "-----END CERTIFICATE-----" => inside = false,
            _ if inside => {}
            _ => {
                let other = |c: char| !c.is_ascii_alphanumeric() && !"+/-_=".contains(c);
                if line.split(other).any(|run| run.len() >= RUN) {
                    return false;
                }
            }
        }
    }
    !inside
}

/// SHA-256 of a file's content.
pub(crate) fn digest(prior: &Prior) -> String {
    sha256_hex(prior.content.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_and_short_plain_text_are_shown() {
        let long = "A".repeat(64);
        let check = |content: &str, public: bool| {
            assert_eq!(is_public(content.as_bytes()), public, "{content:?}");
        };
        let block =
            |label: &str| format!("-----BEGIN {label}-----\n{long}\nAQID\n-----END {label}-----\n");
        check("", true);
        check("leaf\nissuer\n", true);
        check("listen 443;\r\n\tserver_name shop.example.com;\n", true);
        check(&block("CERTIFICATE"), true);
        check(&block("CERTIFICATE").repeat(2), true);
        check(&block("PRIVATE KEY"), false);
        check(&block("EC PRIVATE KEY"), false);
        check(&block("X"), false);
        check(&format!("{}{long}", block("CERTIFICATE")), false);
        check(&format!("-----BEGIN CERTIFICATE-----\n{long}\n"), false);
        check(&format!("key = \"{}\"", "0f".repeat(20)), false);
        check("P\0R\0I\0V\0A\0T\0E\0", false);
        check(&"a b\n".repeat(20_000), false);
        assert!(!is_public(&[0x30, 0x82, 0x02, 0x01, 0x03]), "DER");
    }
}
