//! Granted folders on Windows. Access is the folder's own, unless the grant has an `acl`, which is
//! set with `icacls` on the new file before it takes the name.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of granted folders, and icacls sets their rights"
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use waxwing_core::access;
use waxwing_core::held;
use waxwing_core::plugin::GrantFiles;
use waxwing_core::secret::Secret;

use super::{FILE_CAP, FileName, Found, Prior};

/// A granted folder.
pub(crate) struct Folder(PathBuf);

/// The access list of a file, if the grant has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<String>);

impl Attributes {
    /// Windows has no permission bits.
    pub(crate) fn mode(&self) -> u32 {
        0
    }

    /// As the ledger keeps them.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "acl": self.0 })
    }

    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        let entries = value["acl"].as_array()?.iter();
        let texts: Option<_> = entries
            .map(|entry| entry.as_str().map(str::to_owned))
            .collect();
        Some(Self(texts?))
    }

    /// The access list.
    pub(crate) fn acl(&self) -> Vec<String> {
        self.0.clone()
    }

    /// What a file has to have. Files are not asked for what they have, so this never differs.
    pub(crate) fn wanted(
        grant: &GrantFiles,
        _private: bool,
        _prior: Option<&Self>,
    ) -> io::Result<Self> {
        Ok(Self(grant.acl.clone()))
    }
}

impl Folder {
    pub(crate) fn open(grant: &GrantFiles) -> io::Result<Self> {
        let facts = fs::metadata(&grant.dir)?;
        if !facts.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        Ok(Self(grant.dir.clone()))
    }

    pub(crate) fn find(&self, name: &FileName, grant: &GrantFiles) -> io::Result<Found> {
        let path = self.0.join(name.as_str());
        let facts = match fs::symlink_metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        if facts.is_symlink() {
            return Ok(Found::Obstacle("a symbolic link"));
        }
        if !facts.is_file() {
            return Ok(Found::Obstacle("a folder or a device"));
        }
        if facts.len() > FILE_CAP {
            return Ok(Found::TooLarge);
        }
        let mut content = Vec::new();
        File::open(&path)?
            .take(FILE_CAP + 1)
            .read_to_end(&mut content)?;
        let modified = facts
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Found::File(Prior {
            content: Secret::new(content),
            attributes: Attributes(grant.acl.clone()),
            modified_unix_ms: u64::try_from(modified.as_millis()).unwrap_or(u64::MAX),
        }))
    }

    /// Whole or not at all: the new file is complete on disk before it takes the name.
    pub(crate) fn put(
        &self,
        name: &FileName,
        content: &[u8],
        attributes: &Attributes,
    ) -> io::Result<()> {
        let temporary = self.0.join(name.temporary());
        self.tidy(name)?;
        let written = put_temporary(&temporary, content, attributes)
            .and_then(|()| put_in_place(&temporary, &self.0.join(name.as_str())));
        if written.is_err() {
            // The first error is the one that matters.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// Takes away what a write that was cut off has left beside a file.
    pub(crate) fn tidy(&self, name: &FileName) -> io::Result<()> {
        match fs::remove_file(self.0.join(name.temporary())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _gone => Ok(()),
        }
    }

    /// Gives what is at a name another one besides: to come back it then needs no room on the disk. Where that
    /// cannot be, as without links, it is written anew.
    pub(crate) fn keep(&self, name: &FileName, number: u32) {
        self.let_go(name, number);
        let kept = self.0.join(name.kept(number).as_str());
        if let Err(error) = fs::hard_link(self.0.join(name.as_str()), kept) {
            tracing::debug!(
                "{} is not kept beside its successor: {error}",
                name.as_str()
            );
        }
    }

    /// Gives the name back to what was kept.
    pub(crate) fn take_back(&self, name: &FileName, number: u32) -> io::Result<()> {
        let kept = self.0.join(name.kept(number).as_str());
        put_in_place(&kept, &self.0.join(name.as_str()))
    }

    /// What was kept need not come back.
    pub(crate) fn let_go(&self, name: &FileName, number: u32) {
        let kept = self.0.join(name.kept(number).as_str());
        match fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{} could not be erased: {error}", kept.display());
            }
            _gone => {}
        }
    }

    pub(crate) fn remove(&self, name: &FileName) -> io::Result<()> {
        match fs::remove_file(self.0.join(name.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _gone => Ok(()),
        }
    }
}

fn put_temporary(path: &Path, content: &[u8], attributes: &Attributes) -> io::Result<()> {
    // The access list is set while the file is empty.
    let mut file = create_private(path)?;
    if !attributes.0.is_empty() {
        let done = Command::new(system_program("icacls.exe"))
            .arg(path)
            .args(access::listed(&attributes.0))
            .stdin(Stdio::null())
            .output()?;
        if !done.status.success() {
            let told = String::from_utf8_lossy(&done.stdout).into_owned();
            let told = format!("{told} {}", String::from_utf8_lossy(&done.stderr));
            let list = attributes.0.join(", ");
            let message = format!("acl [{list}] cannot be set: icacls: {}", told.trim());
            return Err(io::Error::other(message));
        }
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file another name, in the place of what has it. One that a scanner has open is waited for.
fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    let mut pauses = held::PAUSES.into_iter();
    loop {
        let Err(cause) = fs::rename(from, to) else {
            return Ok(());
        };
        let Some(number) = cause.raw_os_error().filter(|number| held::is_held(*number)) else {
            return Err(cause);
        };
        let Some(pause) = pauses.next() else {
            let told = held::told(number, &cause.to_string());
            return Err(io::Error::new(cause.kind(), told));
        };
        std::thread::sleep(pause);
    }
}

/// A program of the system, wherever Windows is: another one of its name may come first in PATH.
pub(crate) fn system_program(name: &str) -> PathBuf {
    let root = std::env::var_os("SystemRoot").unwrap_or_else(|| OsString::from(r"C:\Windows"));
    Path::new(&root).join("System32").join(name)
}

/// Creates a file, or fails if it is there. Who can read it is the folder's matter.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

/// Makes a folder; who can enter it is the matter of the folder above it.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _there => Ok(()),
    }
}

/// NTFS keeps the names in a folder by itself.
#[expect(clippy::unnecessary_wraps, reason = "its twin on Unix fails")]
pub(crate) const fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is neither owner nor group on Windows, and a configuration that names one is refused.
pub(crate) const fn unknown_owners(_grant: &GrantFiles) -> Vec<(&'static str, &str)> {
    Vec::new()
}
