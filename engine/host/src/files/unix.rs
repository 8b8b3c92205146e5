//! Granted folders on Unix: every step is relative to an open folder and follows no link.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of granted folders"
)]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use waxwing_core::plugin::GrantFiles;
use waxwing_core::secret::Secret;

use super::{FILE_CAP, FileName, Found, Prior};

/// An open folder.
pub(crate) struct Folder(OwnedFd);

/// Owner, group and mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Attributes {
    /// Permission bits.
    pub(crate) const fn mode(self) -> u32 {
        self.mode
    }

    /// As the ledger keeps them.
    pub(crate) fn to_json(self) -> serde_json::Value {
        serde_json::json!({ "owner": self.owner, "group": self.group, "mode": self.mode })
    }

    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        let number = |key: &str| u32::try_from(value[key].as_u64()?).ok();
        Some(Self {
            owner: number("owner")?,
            group: number("group")?,
            mode: number("mode")? & 0o7777,
        })
    }

    /// Unix has owner, group and mode instead.
    pub(crate) const fn acl(self) -> Vec<String> {
        Vec::new()
    }

    /// What a file has to have: the grant's, else what it had, else the engine's own.
    pub(crate) fn wanted(
        grant: &GrantFiles,
        private: bool,
        prior: Option<&Self>,
    ) -> io::Result<Self> {
        let own = Self {
            owner: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            mode: 0o644,
        };
        let before = prior.copied().unwrap_or(own);
        let mode = if private {
            grant.key_mode.or(grant.mode).unwrap_or(0o600)
        } else {
            grant.mode.unwrap_or(before.mode)
        };
        Ok(Self {
            owner: match &grant.owner {
                Some(owner) => user(owner)?,
                None => before.owner,
            },
            group: match &grant.group {
                Some(name) => group(name)?,
                None => before.group,
            },
            mode,
        })
    }
}

impl Folder {
    /// The folder itself may be a link: the operator wrote its path.
    pub(crate) fn open(grant: &GrantFiles) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(&grant.dir, flags, Mode::empty())?))
    }

    pub(crate) fn find(&self, name: &FileName, _grant: &GrantFiles) -> io::Result<Found> {
        // NONBLOCK: opening a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Found::Absent),
            Err(rustix::io::Errno::LOOP) => return Ok(Found::Obstacle("a symbolic link")),
            Err(rustix::io::Errno::NXIO) => return Ok(Found::Obstacle("a socket or a device")),
            Err(other) => return Err(other.into()),
        };
        let facts = file.metadata()?;
        if facts.is_dir() {
            return Ok(Found::Obstacle("a folder"));
        }
        if !facts.is_file() {
            return Ok(Found::Obstacle("a pipe or a device"));
        }
        if facts.len() > FILE_CAP {
            return Ok(Found::TooLarge);
        }
        let mut content = Vec::new();
        file.take(FILE_CAP + 1).read_to_end(&mut content)?;
        let seconds = u64::try_from(facts.mtime()).unwrap_or(0);
        let ms = u64::try_from(facts.mtime_nsec()).unwrap_or(0) / 1_000_000;
        Ok(Found::File(Prior {
            content: Secret::new(content),
            attributes: Attributes {
                owner: facts.uid(),
                group: facts.gid(),
                mode: facts.mode() & 0o7777,
            },
            modified_unix_ms: seconds.saturating_mul(1000).saturating_add(ms),
        }))
    }

    /// Whole or not at all: the new file is complete on disk before it takes the name.
    pub(crate) fn put(
        &self,
        name: &FileName,
        content: &[u8],
        attributes: &Attributes,
    ) -> io::Result<()> {
        let temporary = name.temporary();
        self.tidy(name)?;
        let written = self
            .put_temporary(&temporary, content, attributes)
            .and_then(|()| {
                rustix::fs::renameat(&self.0, &*temporary, &self.0, name.as_str())?;
                Ok(())
            });
        if written.is_err() {
            // The first error is the one that matters.
            let _ = rustix::fs::unlinkat(&self.0, &*temporary, AtFlags::empty());
        }
        written?;
        Ok(rustix::fs::fsync(&self.0)?)
    }

    pub(crate) fn remove(&self, name: &FileName) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(rustix::fs::fsync(&self.0)?),
            Err(other) => Err(other.into()),
        }
    }

    /// Takes away what a write that was cut off has left beside a file.
    pub(crate) fn tidy(&self, name: &FileName) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, &*name.temporary(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// Gives what is at a name another one besides: to come back it then needs no room on the disk. Where that
    /// cannot be, as without links, it is written anew.
    pub(crate) fn keep(&self, name: &FileName, number: u32) {
        self.let_go(name, number);
        let kept = name.kept(number);
        let linked = rustix::fs::linkat(
            &self.0,
            name.as_str(),
            &self.0,
            kept.as_str(),
            AtFlags::empty(),
        );
        if let Err(error) = linked {
            tracing::debug!(
                "{} is not kept beside its successor: {error}",
                name.as_str()
            );
        }
    }

    /// Gives the name back to what was kept.
    pub(crate) fn take_back(&self, name: &FileName, number: u32) -> io::Result<()> {
        let kept = name.kept(number);
        rustix::fs::renameat(&self.0, kept.as_str(), &self.0, name.as_str())?;
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// What was kept need not come back.
    pub(crate) fn let_go(&self, name: &FileName, number: u32) {
        let kept = name.kept(number);
        match rustix::fs::unlinkat(&self.0, kept.as_str(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => tracing::warn!("{} could not be erased: {error}", kept.as_str()),
        }
    }

    fn put_temporary(
        &self,
        temporary: &str,
        content: &[u8],
        attributes: &Attributes,
    ) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let owner_only = Mode::from_raw_mode(0o600);
        let mut file = File::from(rustix::fs::openat(&self.0, temporary, flags, owner_only)?);
        let made = file.metadata()?;
        // Only what differs: a change of owner is a privilege even if it changes nothing.
        let owner = (made.uid() != attributes.owner).then(|| Uid::from_raw(attributes.owner));
        let group = (made.gid() != attributes.group).then(|| Gid::from_raw(attributes.group));
        if owner.is_some() || group.is_some() {
            rustix::fs::fchown(&file, owner, group).map_err(|error| {
                let error = io::Error::from(error);
                io::Error::new(
                    error.kind(),
                    format!(
                        "setting owner {} and group {}: {error}",
                        attributes.owner, attributes.group
                    ),
                )
            })?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        file.write_all(content)?;
        file.sync_all()
    }
}

/// Creates a file that only the owner can read, or fails if it is there.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes a folder that only the owner can enter; one that is there is made so.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _there => {}
    }
    let facts = std::fs::symlink_metadata(path)?;
    if !facts.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
    }
    if facts.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Makes the names in a folder outlast a crash.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Owner and group of a grant that this machine does not have: the key and the name.
pub(crate) fn unknown_owners(grant: &GrantFiles) -> Vec<(&'static str, &str)> {
    let owner = grant.owner.as_deref().filter(|name| user(name).is_err());
    let group = grant.group.as_deref().filter(|name| group(name).is_err());
    let keyed = [("owner", owner), ("group", group)];
    keyed
        .into_iter()
        .filter_map(|(key, name)| Some((key, name?)))
        .collect()
}

fn user(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = uzers::get_user_by_name(name);
    found
        .map(|user| user.uid())
        .ok_or_else(|| unknown("user", name))
}

fn group(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = uzers::get_group_by_name(name);
    found
        .map(|group| group.gid())
        .ok_or_else(|| unknown("group", name))
}

fn unknown(what: &str, name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("this system has no {what} `{name}`"),
    )
}
