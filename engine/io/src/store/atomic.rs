//! Writes that are there whole or not at all, whenever the machine stops.
//!
//! A file is written beside its place, flushed, renamed over it, and then the directory is flushed,
//! because a rename is durable only when its directory is. No file is edited in place.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use waxwing_core::access::Object;
use waxwing_flow::ports::StoreError;

use super::failure;
use crate::permission::{create_private_dir, open_private, put_in_place, shield, sync_dir};

/// What unfinished files and folders begin with. Readers skip them.
pub(super) const UNFINISHED: &str = ".new-";

/// Puts `content` at `path`, in the place of what was there. Only the owner can read it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    put(path, |beside| create(beside, content))
}

/// The same outside of the state folder, where a folder may give what is in it to others.
pub(crate) fn replace_shielded(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    put(path, |beside| {
        let mut file = open_private(beside)?;
        shield(beside, Object::File)?;
        file.write_all(content)?;
        file.sync_all()
    })
}

fn put(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), StoreError> {
    let directory = parent(path);
    let beside = unused(path);
    let write = || -> io::Result<()> {
        create(&beside)?;
        step()?;
        put_in_place(&beside, path)
    };
    if let Err(cause) = write() {
        // The old content is still in place; a leftover is skipped by every reader.
        let _leftover = fs::remove_file(&beside);
        return Err(failure::io("write", path, &cause));
    }
    flush(directory)
}

/// A new file, flushed. Its directory is not.
pub(super) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    step()?;
    let mut file = open_private(path)?;
    step()?;
    file.write_all(content)?;
    step()?;
    file.sync_all()
}

/// Makes a directory and what is missing above it, each durable.
pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create_dir(above)?;
    let make = || -> io::Result<()> {
        step()?;
        create_private_dir(path)
    };
    make().map_err(|cause| failure::io("create", path, &cause))?;
    flush(above)
}

/// Files that a certificate needs until it is there: its journal twice, its key, a version with all that is in it.
const FILES: usize = 9;

/// Bytes of each, at least: a block of most file systems.
const BLOCK: usize = 4096;

/// Whether there is room for what is to be written in the course of an order beside this journal: one whose address
/// cannot be noted is lost. What a process leaves that dies meanwhile counts as an unfinished journal.
pub(super) fn room(journal: &Path) -> Result<(), StoreError> {
    let directory = parent(journal);
    create_dir(directory)?;
    let paths: Vec<PathBuf> = (0..FILES).map(|_| unused(journal)).collect();
    let fill = |path: &PathBuf| {
        let filled = open_private(path).and_then(|mut file| file.write_all(&[b'.'; BLOCK]));
        filled.map_err(|cause| failure::io("write", journal, &cause))
    };
    let filled = paths.iter().try_for_each(fill);
    for path in &paths {
        let _mostly_there = fs::remove_file(path);
    }
    filled
}

/// Moves a file or directory within the state folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    let act = || -> io::Result<()> {
        step()?;
        put_in_place(from, to)
    };
    act().map_err(|cause| failure::io("write", to, &cause))?;
    flush(parent(to))?;
    if parent(from) != parent(to) {
        flush(parent(from))?;
    }
    Ok(())
}

/// Takes a file away; one that is not there counts as taken away.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    let act = || -> io::Result<()> {
        step()?;
        fs::remove_file(path)
    };
    match act() {
        Ok(()) => flush(parent(path)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(failure::io("remove", path, &cause)),
    }
}

/// Writes the names in a directory through to the disk.
pub(super) fn flush(directory: &Path) -> Result<(), StoreError> {
    let act = || -> io::Result<()> {
        step()?;
        sync_dir(directory)
    };
    act().map_err(|cause| failure::io("write", directory, &cause))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A name beside `path` that no other process and no other thread uses.
fn unused(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(
        "{UNFINISHED}{name}-{}-{number}",
        std::process::id()
    ));
    // A process of the same id may have died here.
    let _none = fs::remove_file(&beside);
    beside
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "the tests' twin fails")]
const fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use fault::step;

/// Lets the tests stop the disk after any number of steps.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Every step after the next `steps` fails, until [`repair`].
    pub(in super::super) fn break_after(steps: u32) {
        LEFT.set(Some(steps));
    }

    /// True if a step has failed since [`break_after`].
    pub(in super::super) fn repair() -> bool {
        LEFT.take() == Some(0)
    }

    pub(in super::super) fn step() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
