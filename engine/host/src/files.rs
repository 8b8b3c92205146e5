//! Files below granted folders: written whole or not at all, remembered as they were, and put
//! back if the call that wrote them does not succeed.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use waxwing_core::plugin::GrantFiles;
use waxwing_core::secret::Secret;
use waxwing_flow::audit::AuditEvent;
use waxwing_flow::plugin::PutBackResult;

use self::ledger::{Entry, Ledger};
use crate::instance::Instance;
use crate::section::sha256_hex;

mod ledger;
mod name;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use self::name::FileName;
pub(crate) use self::os::{Attributes, Folder, create_private, unknown_owners};
#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;
#[cfg(windows)]
pub(crate) use self::windows::system_program;

/// Longest file that is read or written, in bytes.
pub(crate) const FILE_CAP: u64 = 1 << 20;

/// Bytes of replaced files that are remembered until a batch ends.
const KEPT_CAP: usize = 128 << 20;

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

/// What the files of an instance were before its writes: in memory for this process, and in the
/// ledger for the one after it.
pub(crate) struct Backups {
    next: u64,
    /// In the order of the writes.
    entries: Vec<Backup>,
    /// Files that got a private part.
    private: BTreeSet<Spot>,
    ledger: Ledger,
}

struct Backup {
    id: String,
    spot: Spot,
    prior: Option<Prior>,
    /// Its number in the ledger, while it is there.
    entry: Option<u32>,
}

impl Backup {
    fn size(&self) -> usize {
        let prior = self.prior.as_ref();
        prior.map_or(0, |prior| prior.content.expose().len())
    }
}

impl Backups {
    /// Those of one plugin, with its folder for the ledger.
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self {
            next: 0,
            entries: Vec::new(),
            private: BTreeSet::new(),
            ledger: Ledger::new(dir),
        }
    }

    /// Remembers what is at a spot that is about to be written; answers the backup's name, and the number of the
    /// write.
    pub(crate) fn keep(
        &mut self,
        spot: Spot,
        grant: &GrantFiles,
        prior: Option<Prior>,
        written: &str,
        private: bool,
    ) -> io::Result<(String, u32)> {
        let size = prior
            .as_ref()
            .map_or(0, |prior| prior.content.expose().len());
        let held: usize = self.entries.iter().map(Backup::size).sum();
        if held + size > KEPT_CAP {
            return Err(io::Error::other(format!(
                "the files that this batch replaced have more than {KEPT_CAP} bytes"
            )));
        }
        let entry = self.ledger.enter(&Entry {
            dir: &grant.dir,
            name: &spot.name,
            prior: prior.as_ref(),
            written,
        })?;
        self.next += 1;
        let id = format!("backup-{}", self.next);
        if private {
            self.private.insert(spot.clone());
        }
        self.entries.push(Backup {
            id: id.clone(),
            spot,
            prior,
            entry: Some(entry),
        });
        Ok((id, entry))
    }

    pub(crate) fn grant(&self, id: &str) -> Option<&str> {
        let backup = self.entries.iter().find(|backup| backup.id == id);
        backup.map(|backup| backup.spot.grant.as_str())
    }

    pub(crate) fn is_private(&self, spot: &Spot) -> bool {
        self.private.contains(spot)
    }

    /// Writes that are not undone yet, newest first.
    fn open(&self) -> Vec<String> {
        let open = self.entries.iter().rev().filter(|b| b.entry.is_some());
        open.map(|backup| backup.id.clone()).collect()
    }

    /// What the batch has replaced, by the numbers of the writes.
    fn replaced(&self) -> Vec<(Spot, u32)> {
        let all = self.entries.iter();
        all.filter_map(|backup| Some((backup.spot.clone(), backup.entry?)))
            .collect()
    }

    /// See [`Ledger::is_busy`].
    pub(crate) fn is_busy(&mut self) -> bool {
        self.ledger.is_busy()
    }

    /// Lets the next batch in, unless something is still to be undone.
    pub(crate) fn leave(&mut self) {
        if self.entries.iter().all(|backup| backup.entry.is_none()) {
            self.entries.clear();
            self.ledger.leave();
        }
    }

    /// The batch has ended well, so nothing will be put back any more.
    fn forget(&mut self) -> io::Result<()> {
        self.ledger.close()?;
        self.entries.clear();
        Ok(())
    }

    /// See [`Ledger::recover`].
    pub(crate) fn recover(&mut self, granted: &[PathBuf]) -> Vec<(PathBuf, PutBackResult)> {
        self.ledger.recover(granted)
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

    /// The call succeeded: what it wrote stays, until the batch is rolled back.
    pub(crate) fn keep(mut self) {
        self.open.clear();
    }

    /// The call failed. Answers what could not be undone.
    pub(crate) fn undo(mut self) -> Vec<String> {
        self.undo_open()
    }

    fn undo_open(&mut self) -> Vec<String> {
        let mut open = std::mem::take(&mut self.open);
        open.reverse();
        undo(&self.instance, &open)
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.undo_open();
    }
}

/// Undoes every write of the batch that is not undone yet. Answers what could not be undone.
pub(crate) fn undo_all(instance: &Instance) -> Vec<String> {
    let open = instance.backups().open();
    undo(instance, &open)
}

/// Undoes writes, newest first, so that a file that was written twice ends as it began.
fn undo(instance: &Instance, newest_first: &[String]) -> Vec<String> {
    let mut troubles = Vec::new();
    for backup in newest_first {
        if let Err(trouble) = restore(instance, backup) {
            tracing::error!(plugin = %instance.name, "{trouble}");
            troubles.push(trouble);
        }
    }
    troubles
}

/// Puts a file back as it was before a write. Done already, it does nothing.
pub(crate) fn restore(instance: &Instance, backup: &str) -> Result<(), String> {
    let mut backups = instance.backups();
    let Backups {
        entries, ledger, ..
    } = &mut *backups;
    let Some(entry) = entries.iter_mut().find(|entry| entry.id == backup) else {
        return Err(format!(
            "no backup is called `{}`",
            crate::parts::shown(backup)
        ));
    };
    let Some(number) = entry.entry else {
        return Ok(());
    };
    let Some(grant) = instance.powers.files.get(&entry.spot.grant) else {
        return Err(format!("the grant `{}` is gone", entry.spot.grant));
    };
    let name = &entry.spot.name;
    let result = Folder::open(grant).and_then(|folder| match &entry.prior {
        // A write that did not happen leaves nothing to be undone, and the file may be held by whoever
        // was in its way.
        Some(prior) if is_as_it_was(&folder, name, grant, prior) => {
            folder.let_go(name, number);
            Ok(())
        }
        Some(Prior {
            content,
            attributes,
            ..
        }) => put_back(&folder, (name, number), grant, (content, attributes)),
        None => folder.remove(name),
    });
    let path = entry.spot.path(grant);
    instance.host.audit.record(AuditEvent::File {
        plugin: instance.name.clone(),
        grant: entry.spot.grant.clone(),
        path: path.display().to_string(),
        result: match &result {
            Ok(()) => "restored".to_owned(),
            Err(error) => format!("not restored: {error}"),
        },
    });
    result.map_err(|error| format!("failed to put {} back as it was: {error}", path.display()))?;
    entry.entry = None;
    // An entry that stays is found to be settled by whoever reads it.
    if let Err(error) = ledger.strike(number) {
        tracing::warn!(plugin = %instance.name, "a backup could not be erased: {error}");
    }
    Ok(())
}

/// Puts a file back as it was before a write. What was kept of it is the file itself and needs no room; else it
/// is written anew.
fn put_back(
    folder: &Folder,
    (name, number): (&FileName, u32),
    grant: &GrantFiles,
    (content, attributes): (&Secret<Vec<u8>>, &Attributes),
) -> io::Result<()> {
    // Others may write into the folder, too.
    let kept = folder.find(&name.kept(number), grant);
    if kept.is_ok_and(|kept| ledger::is_same(&kept, content, attributes)) {
        return folder.take_back(name, number);
    }
    folder.put(name, content.expose(), attributes)?;
    folder.let_go(name, number);
    Ok(())
}

/// The batch has ended well: what its files were goes.
pub(crate) fn accept(instance: &Instance) -> io::Result<()> {
    let mut backups = instance.backups();
    for (spot, number) in backups.replaced() {
        let grant = instance.powers.files.get(&spot.grant);
        if let Some(folder) = grant.and_then(|grant| Folder::open(grant).ok()) {
            folder.let_go(&spot.name, number);
        }
    }
    backups.forget()
}

fn is_as_it_was(folder: &Folder, name: &FileName, grant: &GrantFiles, prior: &Prior) -> bool {
    let found = folder.find(name, grant);
    found.is_ok_and(|found| ledger::is_same(&found, &prior.content, &prior.attributes))
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

    #[test]
    fn what_was_not_overwritten_is_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let grant = GrantFiles {
            dir: dir.path().to_owned(),
            owner: None,
            group: None,
            mode: None,
            key_mode: None,
            acl: Vec::new(),
        };
        let folder = Folder::open(&grant).expect("it is there");
        let name = FileName::parse("shop.pfx").expect("a name");
        let attributes = Attributes::wanted(&grant, true, None).expect("rights");
        folder.put(&name, b"old", &attributes).expect("written");
        let Ok(Found::File(prior)) = folder.find(&name, &grant) else {
            panic!("it was written");
        };
        assert!(is_as_it_was(&folder, &name, &grant, &prior));
        folder.put(&name, b"new", &attributes).expect("written");
        assert!(!is_as_it_was(&folder, &name, &grant, &prior));
        folder.remove(&name).expect("removed");
        assert!(!is_as_it_was(&folder, &name, &grant, &prior));
    }

    /// On a full disk there is no room to write it anew.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test looks at the folder, and is somebody else in it"
    )]
    fn what_was_kept_comes_back_as_the_same_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let grant = GrantFiles {
            dir: dir.path().to_owned(),
            owner: None,
            group: None,
            mode: None,
            key_mode: None,
            acl: Vec::new(),
        };
        let folder = Folder::open(&grant).expect("it is there");
        let name = FileName::parse("shop.key").expect("a name");
        let attributes = Attributes::wanted(&grant, true, None).expect("rights");
        let names = || {
            let all = std::fs::read_dir(dir.path()).expect("readable");
            let mut all: Vec<_> = all.map(|one| one.expect("an entry").file_name()).collect();
            all.sort();
            all
        };
        let modified = || {
            let facts = dir.path().join("shop.key").metadata().expect("it is there");
            facts.modified().expect("a time")
        };
        let begin = || {
            folder.put(&name, b"old", &attributes).expect("written");
            let file = std::fs::File::options()
                .write(true)
                .open(dir.path().join("shop.key"));
            let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
            file.expect("opened").set_modified(long_ago).expect("set");
            let Ok(Found::File(prior)) = folder.find(&name, &grant) else {
                panic!("it was written");
            };
            folder.keep(&name, 7);
            assert_eq!(names().len(), 2);
            let at = modified();
            folder.put(&name, b"new", &attributes).expect("written");
            (prior, at)
        };
        let back = |prior: &Prior| {
            let before = (&prior.content, &prior.attributes);
            put_back(&folder, (&name, 7), &grant, before).expect("put back");
            assert!(is_as_it_was(&folder, &name, &grant, prior));
            assert_eq!(names(), ["shop.key"], "and nothing beside it");
        };
        let (prior, at) = begin();
        back(&prior);
        assert_eq!(modified(), at, "not written anew");

        // Somebody else has changed what was kept.
        let (prior, at) = begin();
        std::fs::write(dir.path().join(name.kept(7).as_str()), b"other").expect("written");
        back(&prior);
        assert_ne!(modified(), at);
    }
}
