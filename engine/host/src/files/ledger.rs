//! What an installer's writes replace, on disk from before the first write until the batch has ended
//! well: whoever comes after a process that was killed can put the files back.
//!
//! ```text
//! <dir>/lock        held by the process whose batch is open
//! <dir>/open/0001   one write: a line of JSON, then the content that was there before
//! <dir>/ended/      a batch that has ended well and is not erased yet
//! ```
//!
//! The contents may be private keys, so everything here is the owner's alone.

#![expect(
    clippy::disallowed_methods,
    reason = "the ledger is the host's own record of what its files were"
)]

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waxwing_core::plugin::GrantFiles;
use waxwing_core::secret::Secret;
use waxwing_flow::plugin::PutBackResult;

use super::{Attributes, FileName, Folder, Found, Prior, os};
use crate::section::sha256_hex;

/// Part of each entry: to be raised when its form changes.
const FORMAT: u64 = 1;

/// The ledger of one plugin.
pub(crate) struct Ledger {
    dir: PathBuf,
    /// Held while there are entries of this process.
    lock: Option<File>,
    last: u32,
}

/// One write, as it is entered before it happens.
pub(crate) struct Entry<'a> {
    /// The granted folder.
    pub(crate) dir: &'a Path,
    pub(crate) name: &'a FileName,
    pub(crate) prior: Option<&'a Prior>,
    /// SHA-256 of what is about to be written: by it a later process knows the file as ours.
    pub(crate) written: &'a str,
}

impl Ledger {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            lock: None,
            last: 0,
        }
    }

    /// True if another process is in the middle of a batch; if not, none can begin one before this one ends.
    /// What is wrong with the folder the first write will tell.
    pub(crate) fn is_busy(&mut self) -> bool {
        let held = self.hold();
        held.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Enters a write. When this answers, the entry outlasts the process.
    pub(crate) fn enter(&mut self, entry: &Entry<'_>) -> io::Result<u32> {
        self.hold()?;
        let open = self.open();
        if !open.is_dir() {
            os::create_private_dir(&open)?;
            os::sync_dir(&self.dir)?;
        }
        let number = self.last + 1;
        let path = open.join(file_name(number));
        let beside = open.join(format!(".new-{number}"));
        let _none = fs::remove_file(&beside);
        let mut file = super::create_private(&beside)?;
        file.write_all(&entry.to_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        os::sync_dir(&open)?;
        self.last = number;
        Ok(number)
    }

    /// The write was undone, or did not happen.
    pub(crate) fn strike(&self, number: u32) -> io::Result<()> {
        match fs::remove_file(self.open().join(file_name(number))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _gone => os::sync_dir(&self.open()),
        }
    }

    /// Lets go of a batch of which everything was undone.
    pub(crate) fn leave(&mut self) {
        self.lock = None;
    }

    /// The batch has ended well: all entries go, or none.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let ended = self.ended();
        if self.lock.is_some() && self.open().is_dir() {
            remove_all(&ended)?;
            fs::rename(self.open(), &ended)?;
            os::sync_dir(&self.dir)?;
            // Of no consequence any more; the next batch tries again to erase it.
            if let Err(error) = remove_all(&ended) {
                tracing::warn!(dir = %ended.display(), "backups could not be erased: {error}");
            }
        }
        self.lock = None;
        Ok(())
    }

    /// Puts back what a process that is gone has overwritten, newest first. Answers each file's path
    /// and what became of it. A folder that is `granted` and not there may come back, as one that is mounted late: what
    /// belongs there is kept for it.
    pub(crate) fn recover(&mut self, granted: &[PathBuf]) -> Vec<(PathBuf, PutBackResult)> {
        if self.lock.is_some() || !self.dir.is_dir() {
            return Vec::new();
        }
        match self.hold() {
            Ok(()) => {}
            // Somebody is in the middle of a batch.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Vec::new(),
            // Nobody was cut off: what is wrong with the folder the first write will tell.
            Err(_) if numbers(&self.open()).is_ok_and(|open| open.is_empty()) => return Vec::new(),
            Err(error) => return vec![(self.dir.clone(), failed(&error))],
        }
        let all = self.recover_held(granted);
        self.lock = None;
        all
    }

    fn recover_held(&self, granted: &[PathBuf]) -> Vec<(PathBuf, PutBackResult)> {
        if let Err(error) = remove_all(&self.ended()) {
            tracing::warn!(dir = %self.dir.display(), "backups could not be erased: {error}");
        }
        let numbers = match numbers(&self.open()) {
            Ok(numbers) => numbers,
            Err(error) => return vec![(self.open(), failed(&error))],
        };
        let mut all = Vec::new();
        for number in numbers.into_iter().rev() {
            let path = self.open().join(file_name(number));
            let left = match fs::read(&path).and_then(|bytes| Left::parse(&bytes)) {
                Ok(left) => left,
                Err(error) => {
                    all.push((path, failed(&error)));
                    continue;
                }
            };
            let target = left.dir.join(left.name.as_str());
            let comes_back = granted.contains(&left.dir);
            let result = left.put_back(number, comes_back).and_then(|result| {
                self.strike(number)?;
                Ok(result)
            });
            match result {
                Ok(None) => {}
                Ok(Some(result)) => all.push((target, result)),
                Err(error) => all.push((target, failed(&error))),
            }
        }
        all
    }

    /// Takes the lock, and goes on counting where an earlier process stopped.
    fn hold(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        make_dir(&self.dir)?;
        let path = self.dir.join("lock");
        let _exists = super::create_private(&path);
        let file = File::options().read(true).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let busy = "another run is installing with this plugin now";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, busy));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.last = numbers(&self.open())?.last().copied().unwrap_or(0);
        self.lock = Some(file);
        Ok(())
    }

    fn open(&self) -> PathBuf {
        self.dir.join("open")
    }

    fn ended(&self) -> PathBuf {
        self.dir.join("ended")
    }
}

impl Entry<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let content = self.prior.map(|prior| prior.content.expose().as_slice());
        let content = content.unwrap_or_default();
        let head = json!({
            "format": FORMAT,
            "dir": self.dir,
            "name": self.name.as_str(),
            "written": self.written,
            "before": self.prior.map(|prior| json!({
                "sha256": sha256_hex(prior.content.expose()),
                "attributes": prior.attributes.to_json(),
            })),
        });
        let mut bytes = head.to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(content);
        bytes
    }
}

/// An entry of a process that is gone.
struct Left {
    dir: PathBuf,
    name: FileName,
    written: String,
    before: Option<(Secret<Vec<u8>>, Attributes)>,
}

impl Left {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (head, content) = bytes.split_at(end.ok_or_else(|| odd("it has no first line"))?);
        let content = &content[1..];
        let head: Value =
            serde_json::from_slice(head).map_err(|_error| odd("its first line is not JSON"))?;
        match head["format"].as_u64() {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => {
                return Err(odd("it was written by a newer version of Waxwing"));
            }
            _ => return Err(odd("it has no format")),
        }
        let text = |key: &str| head[key].as_str().ok_or_else(|| odd("a field is missing"));
        let before = &head["before"];
        let before = if before.is_null() {
            None
        } else {
            if before["sha256"].as_str() != Some(&*sha256_hex(content)) {
                return Err(odd("its content is damaged"));
            }
            let attributes = Attributes::from_json(&before["attributes"]);
            let attributes = attributes.ok_or_else(|| odd("its attributes cannot be read"))?;
            Some((Secret::new(content.to_vec()), attributes))
        };
        Ok(Self {
            dir: PathBuf::from(text("dir")?),
            name: FileName::parse(text("name")?).map_err(odd)?,
            written: text("written")?.to_owned(),
            before,
        })
    }

    /// None if there is nothing to put back: the write never happened, or was undone.
    fn put_back(&self, number: u32, comes_back: bool) -> io::Result<Option<PutBackResult>> {
        let grant = GrantFiles {
            dir: self.dir.clone(),
            owner: None,
            group: None,
            mode: None,
            key_mode: None,
            acl: self.before.as_ref().map_or_else(Vec::new, |(_, a)| a.acl()),
        };
        let folder = match Folder::open(&grant) {
            Ok(folder) => folder,
            // Whoever took the folder away took the file with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !comes_back => {
                return Ok(Some(PutBackResult::LeftAlone));
            }
            Err(error) => return Err(error),
        };
        folder.tidy(&self.name)?;
        let found = folder.find(&self.name, &grant)?;
        let is = |found: &Found, sha256: &str| matches!(found, Found::File(file) if super::digest(file) == sha256);
        match &self.before {
            None if matches!(found, Found::Absent) => Ok(None),
            Some((content, attributes)) if is_same(&found, content, attributes) => {
                folder.let_go(&self.name, number);
                Ok(None)
            }
            _ if !is(&found, &self.written) => {
                folder.let_go(&self.name, number);
                Ok(Some(PutBackResult::LeftAlone))
            }
            None => {
                folder.remove(&self.name)?;
                Ok(Some(PutBackResult::Restored))
            }
            Some((content, attributes)) => {
                let before = (content, attributes);
                super::put_back(&folder, (&self.name, number), &grant, before)?;
                Ok(Some(PutBackResult::Restored))
            }
        }
    }
}

/// Whether a file is as it was, so that there is nothing to put back.
pub(super) fn is_same(found: &Found, content: &Secret<Vec<u8>>, attributes: &Attributes) -> bool {
    matches!(found, Found::File(file)
        if file.content.expose() == content.expose() && file.attributes == *attributes)
}

/// The numbers of the entries, in order. Half-written ones have none.
fn numbers(open: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(open) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn file_name(number: u32) -> String {
    format!("{number:04}")
}

/// Makes the folder and the one above it.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        os::create_private_dir(above)?;
        os::create_private_dir(dir)?;
        os::sync_dir(above)?;
    }
    Ok(())
}

fn remove_all(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _gone => Ok(()),
    }
}

fn failed(error: &io::Error) -> PutBackResult {
    PutBackResult::Failed(error.to_string())
}

fn odd(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write over a file of two lines, entered on this system.
    fn entered() -> Vec<u8> {
        let shape = json!({ "owner": 1, "group": 2, "mode": 0o640, "acl": ["Users:read"] });
        let prior = Prior {
            content: Secret::new(b"old\nkey".to_vec()),
            attributes: Attributes::from_json(&shape).expect("attributes of this system"),
            modified_unix_ms: 0,
        };
        let entry = Entry {
            dir: Path::new("/etc/tls"),
            name: &FileName::parse("shop.key").expect("a literal name"),
            prior: Some(&prior),
            written: "aa",
        };
        entry.to_bytes()
    }

    #[test]
    fn a_damaged_entry_is_refused_or_gives_back_what_was_there() {
        let sound = entered();
        let left = Left::parse(&sound).expect("as it was entered");
        assert_eq!((left.name.as_str(), &*left.written), ("shop.key", "aa"));
        let check = |bytes: &[u8]| {
            if let Ok(left) = Left::parse(bytes)
                && let Some((content, _)) = left.before
            {
                assert_eq!(content.expose(), b"old\nkey", "{bytes:?}");
            }
        };
        check(&sound);
        for place in 0..sound.len() {
            check(&sound[..place]);
            for byte in 0..=u8::MAX {
                let mut damaged = sound.clone();
                damaged[place] = byte;
                check(&damaged);
            }
            let mut longer = sound.clone();
            longer.insert(place, b'\n');
            check(&longer);
        }
    }
}
