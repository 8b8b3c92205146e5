//! Opening a state folder: to work with it, which makes it, or only to look at it, which changes
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use waxwing_core::access::Object;
use waxwing_core::name::CertificateName;
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::AuditTrail;
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use super::layout::Layout;
use super::{FileStore, atomic, failure, format, read};
use crate::permission::{self, Identity};

impl FileStore {
    /// Opens a state folder, and makes it if it is missing or empty.
    ///
    /// `keep_versions` counts the current version, so that 0 means the same as 1.
    ///
    /// # Errors
    /// When the folder holds something else, was written by a newer version, belongs to another
    /// user, or can be written by others.
    pub fn open(root: &Path, keep_versions: u32) -> Result<Self, StoreError> {
        let store = Self {
            layout: Layout::new(root),
            keep_versions: keep_versions.max(1),
            audit: Arc::default(),
        };
        if store.read_stamp()? {
            store.check_owner()?;
        } else {
            // One that is there already has the rights that somebody has given it.
            let is_new = !root.is_dir();
            atomic::create_dir(root)?;
            if is_new {
                permission::shield(root, Object::Folder)
                    .map_err(|cause| failure::io("protect", root, &cause))?;
            }
            store.check_owner()?;
            let stamp = format!("{}\n", format::FORMAT);
            atomic::replace(&store.layout.format(), stamp.as_bytes())?;
        }
        Ok(store)
    }

    /// Opens a state folder only to look at it: nothing is made and nothing is written, as long as
    /// nobody calls what writes. One that is missing or empty looks like one in which nothing is
    /// stored.
    ///
    /// # Errors
    /// When it cannot be read, holds something else, was written by a newer version, or can be
    /// written by others.
    pub fn look(root: &Path) -> Result<Self, StoreError> {
        let store = Self {
            layout: Layout::new(root),
            keep_versions: u32::MAX,
            audit: Arc::default(),
        };
        if store.read_stamp()? {
            store.check_others()?;
        }
        Ok(store)
    }

    /// The same folder, whose changes of keys, accounts and certificates are entered in that trail.
    #[must_use]
    pub fn audited(self, audit: Arc<AuditTrail>) -> Self {
        Self { audit, ..self }
    }

    /// False for a folder that was looked at and is not there, or empty.
    pub fn is_there(&self) -> bool {
        self.layout.format().exists()
    }

    /// What tells this folder from another one that is put in its place; none if it is not there, or empty.
    pub fn identity(&self) -> Option<Identity> {
        let there = self.is_there();
        there.then(|| permission::identity(self.root())).flatten()
    }

    /// When a certificate was put into this folder or taken out of it for the last time; none if that cannot be seen.
    pub fn listed_at(&self) -> Option<Timestamp> {
        let found = fs::metadata(self.layout.certificates()).ok()?;
        let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis())
            .ok()
            .map(Timestamp::from_unix_ms)
    }

    /// Why nothing could be stored of a certificate, of each that it is so of, as far as that is seen without writing.
    pub fn shut(&self) -> Vec<StoreError> {
        let names = read::children(&self.layout.certificates()).unwrap_or_default();
        let names = names
            .iter()
            .filter_map(|path| CertificateName::parse(path.file_name()?.to_str()?).ok());
        let folders = names.flat_map(|name| self.folders_of(&name));
        let journals = self.layout.journals();
        let folders = folders.chain(journals.exists().then_some(journals));
        let shut = folders.filter_map(|folder| {
            if let Err(error) = read::leads_somewhere(&folder) {
                return Some(error);
            }
            let cause = permission::shut(&folder)?;
            Some(failure::io("write", &folder, &cause))
        });
        shut.collect()
    }

    /// A folder for things that can be made again, private to the owner.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cache(&self, kind: &'static str) -> Result<PathBuf, StoreError> {
        let path = self.layout.cache(kind);
        atomic::create_dir(&path)?;
        Ok(path)
    }

    /// The key that seals compiled components: beside the cache, which may be shared or deleted.
    pub fn components_key(&self) -> PathBuf {
        self.layout.root().join("components.key")
    }

    /// The same folder if it is there already, and ours.
    pub fn cache_in_place(&self, kind: &'static str) -> Option<PathBuf> {
        let path = self.layout.cache(kind);
        let ours = path.is_dir() && !permission::belongs_to_others(&path).unwrap_or(true);
        ours.then_some(path)
    }

    /// How many things of that kind can be used again.
    pub fn cached(&self, kind: &'static str) -> usize {
        let entries = self.cache_in_place(kind).map(std::fs::read_dir);
        entries.into_iter().flatten().flatten().flatten().count()
    }

    /// Whether the folder has a stamp that can be read. Without one it has to be empty: a wrong
    /// `[state] dir` must not scatter keys.
    fn read_stamp(&self) -> Result<bool, StoreError> {
        let stamp = self.layout.format();
        match read::text(&stamp)? {
            // A machine that loses power can leave a file of nothing but zeros. Any other text that is
            // no stamp may be that of a newer layout.
            Some(text) if text.bytes().all(|byte| byte == 0) && self.looks_like_ours() => {
                tracing::error!(path = %stamp.display(), "the stamp of the state folder is lost");
                Ok(false)
            }
            Some(text) => {
                format::read_stamp(&text).map_err(|cause| failure::unreadable(&stamp, cause))?;
                Ok(true)
            }
            None => {
                refuse_foreign(self.root())?;
                Ok(false)
            }
        }
    }

    fn looks_like_ours(&self) -> bool {
        let layout = &self.layout;
        layout.certificates().is_dir() || layout.journals().is_dir()
    }

    /// Nobody else may put keys there.
    fn check_others(&self) -> Result<(), StoreError> {
        let root = self.root();
        let writable = permission::others_can_write_within(root);
        if writable.map_err(|cause| failure::io("check", root, &cause))? {
            let hint = format!("chmod go-w {}", root.display());
            return Err(failure::permission(
                "use",
                root,
                "others can write to it",
                hint,
            ));
        }
        Ok(())
    }

    /// Keys must not be written by one user into the folder of another.
    fn check_owner(&self) -> Result<(), StoreError> {
        self.check_others()?;
        let root = self.root();
        let probe = root.join(format!(
            "{}owner-{}",
            atomic::UNFINISHED,
            std::process::id()
        ));
        let owned = permission::open_private(&probe)
            .and_then(|file| permission::belongs_to_us(root, &file));
        let _gone = fs::remove_file(&probe);
        match owned {
            Ok(true) => Ok(()),
            Ok(false) => {
                let owner = permission::owner(root).ok().flatten();
                let owner = owner.map_or_else(|| "another user".to_owned(), |owner| owner.name);
                let cause = format!("it belongs to {owner}, and keys here are of one user");
                let hint = format!("run it as {owner}, or chown {}", root.display());
                Err(failure::permission("use", root, &cause, hint))
            }
            Err(cause) => match failure::io("use", root, &cause) {
                // What is there can still be looked at; a write will say what is wrong.
                full if full.kind == StoreErrorKind::NoSpace => Ok(()),
                refused => Err(refused),
            },
        }
    }
}

/// A folder without the stamp has to be empty: a wrong `[state] dir` must not scatter keys.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    let foreign = read::children(root)?.into_iter().find(|path| {
        !read::is_unfinished(path) && path.file_name().is_none_or(|name| name != "lost+found")
    });
    let Some(foreign) = foreign else {
        return Ok(());
    };
    let cause = format!("it is not a state folder, but holds {}", foreign.display());
    Err(StoreError {
        hint: Some("name an empty or missing folder in [state] dir".to_owned()),
        act: "use",
        ..failure::corrupt(root, cause)
    })
}
