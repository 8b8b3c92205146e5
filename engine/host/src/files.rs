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

/// Whether a file holds a private key, as far as its content tells.
pub(crate) fn looks_private(content: &[u8]) -> bool {
    const PEM: &[u8] = b"PRIVATE KEY-----";
    let pem = content.windows(PEM.len()).any(|window| window == PEM);
    // A PFX (RFC 7292 section 4) is a long SEQUENCE that begins with the INTEGER 3.
    let pfx = content.first() == Some(&0x30)
        && content.get(1..12).is_some_and(|head| {
            head.windows(4)
                .any(|window| window == [0x02, 0x01, 0x03, 0x30])
        });
    pem || pfx
}

/// SHA-256 of a file's content.
pub(crate) fn digest(prior: &Prior) -> String {
    sha256_hex(prior.content.expose())
}
