//! Mode bits. Every mode is set after creation too, so that no umask changes it.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use waxwing_core::access::Object;

use super::{Exposed, Identity, Owner};

/// Lets every user of the machine read a file, and only its owner write it.
///
/// # Errors
/// When the system does not let us.
pub fn let_all_read(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

/// True for a file that somebody may run. One whose metadata cannot be read may be.
pub fn may_be_run(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Files directly in a folder that hold a private key as PEM and that everybody can read; the first of them, if there
/// are more than `most` files. None of a folder that cannot be read.
pub fn keys_of_everybody(folder: &Path, most: usize) -> Vec<PathBuf> {
    let is_open_key = |path: &PathBuf| {
        let open = fs::metadata(path).is_ok_and(|it| it.is_file() && it.mode() & 0o004 != 0);
        open && begins_with_a_key(path)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .take(most)
        .map(|entry| entry.path())
        .filter(is_open_key)
        .collect();
    found.sort_unstable();
    found
}

/// True if there is a private key in the first part of a file, where also one that stands behind a chain is.
fn begins_with_a_key(path: &Path) -> bool {
    const PART: u64 = 64 * 1024;
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PART).read_to_end(&mut text));
    let mark = b"PRIVATE KEY-----";
    read.is_ok() && text.windows(mark.len()).any(|part| part == mark)
}

/// True if anyone but the owner can read the file.
///
/// # Errors
/// When the file is not there or its metadata cannot be read.
pub fn others_can_read(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o044 != 0)
}

/// True if anyone but the owner can write the file, or put another in its place.
///
/// A directory with the sticky bit, as `/tmp`, keeps others from replacing files that are not
/// theirs, so the bits of the file alone count there.
///
/// # Errors
/// When the file is not there or its metadata cannot be read.
pub fn others_can_write(path: &Path) -> io::Result<bool> {
    if fs::metadata(path)?.mode() & 0o022 != 0 {
        return Ok(true);
    }
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(false);
    };
    let mode = fs::metadata(parent)?.mode();
    Ok(mode & 0o022 != 0 && mode & 0o1000 == 0)
}

/// What lets others than root and this process's user change a file, or put another in its place:
/// the file itself, or a folder on the way to it, links and what they lead through included. None if
/// nothing does.
///
/// # Errors
/// When the file is not there, its metadata cannot be read, or its links lead in a circle.
pub fn open_to_others(file: &Path) -> io::Result<Option<PathBuf>> {
    let real = fs::canonicalize(file)?;
    if fs::metadata(&real)?.mode() & 0o022 != 0 || belongs_to_others(&real)? {
        return Ok(Some(real));
    }
    // Step by step as the system goes: a folder in the middle of a chain of links is on the way, too.
    let whole = std::path::absolute(file)?;
    let mut todo: Vec<PathBuf> = steps(&whole);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(step) = todo.pop() {
        match step.components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                at.pop();
            }
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let found = fs::symlink_metadata(&next)?;
                if found.is_symlink() {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(io::Error::other("its links lead in a circle"));
                    }
                    todo.extend(steps(&fs::read_link(&next)?));
                    continue;
                }
                at = next;
            }
            _ => continue,
        }
        let here = fs::metadata(&at)?;
        if here.is_dir() && (is_open(&here) || belongs_to_others(&at)?) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// More links than the system follows itself.
const MOST_LINKS: usize = 40;

/// The components of a path, the last one first.
fn steps(path: &Path) -> Vec<PathBuf> {
    let components = path.components().rev();
    components
        .map(|one| PathBuf::from(one.as_os_str()))
        .collect()
}

/// True for a folder in which others can replace what is not theirs; with the sticky bit, as in
/// `/tmp`, they cannot.
fn is_open(folder: &fs::Metadata) -> bool {
    let mode = folder.mode();
    mode & 0o022 != 0 && mode & 0o1000 == 0
}

/// Whether this process may make files in a directory. Nothing is made to find out.
///
/// # Errors
/// The reason why it may not.
pub fn may_write_within(directory: &Path) -> io::Result<()> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(
        CWD,
        directory,
        wanted,
        AtFlags::EACCESS,
    )?)
}

/// Why this process may not make files in a directory, as far as that is seen without making one.
pub fn shut(directory: &Path) -> Option<io::Error> {
    may_write_within(directory).err()
}

/// True if anyone but the owner can make or remove files in a directory.
///
/// # Errors
/// When the directory is not there or its metadata cannot be read.
pub fn others_can_write_within(directory: &Path) -> io::Result<bool> {
    Ok(fs::metadata(directory)?.mode() & 0o022 != 0)
}

/// What gives any right to others than its owner: the folder itself and everything below it but
/// `without`, a name directly in it. Links are not followed; what cannot be looked into is left out.
/// Some on every system with permission bits.
///
/// # Errors
/// When the folder is not there or its metadata cannot be read.
pub fn exposed_within(folder: &Path, without: &str) -> io::Result<Option<Vec<Exposed>>> {
    let mut found = Vec::new();
    let mut todo = vec![(folder.to_owned(), fs::metadata(folder)?)];
    while let Some((path, facts)) = todo.pop() {
        if facts.is_symlink() {
            continue;
        }
        if facts.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let entries = entries.filter(|entry| path != folder || entry.file_name() != without);
            todo.extend(entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))));
        }
        let mode = facts.mode() & 0o7777;
        if mode & 0o077 != 0 {
            found.push(Exposed { path, mode });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Some(found))
}

/// Nothing: the mode bits of what is made here have shut others out already.
#[expect(clippy::unnecessary_wraps, reason = "its twin on Windows fails")]
pub(crate) const fn shield(_path: &Path, _object: Object) -> io::Result<()> {
    Ok(())
}

/// Gives a file or a folder another name, in the place of what has it.
pub(crate) fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// A new file that its owner alone can read and write. Fails if it exists.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// A new directory that its owner alone can enter, with a name of its own, for as long as the answer lives.
pub(crate) fn private_tempdir(prefix: &str, within: &Path) -> io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(within)
}

/// A directory that its owner alone can enter. One that exists is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700)),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// A directory, and those above it, that everybody can look into and only the owner can change.
pub(crate) fn create_open_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Writes the names in a directory through to the disk.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// True if the file belongs to neither this process's user nor root.
///
/// # Errors
/// When the file is not there or its metadata cannot be read.
pub fn belongs_to_others(path: &Path) -> io::Result<bool> {
    let owner = fs::metadata(path)?.uid();
    Ok(owner != 0 && owner != rustix::process::geteuid().as_raw())
}

/// What tells a folder from another one that lies in its place: its device and number. None if nothing is there.
pub fn identity(path: &Path) -> Option<Identity> {
    let found = fs::metadata(path).ok()?;
    Some(Identity(found.dev(), found.ino()))
}

/// The user whom a file belongs to.
///
/// # Errors
/// When the file is not there or its metadata cannot be read.
pub fn owner(path: &Path) -> io::Result<Option<Owner>> {
    let id = fs::metadata(path)?.uid();
    let user = uzers::get_user_by_uid(id);
    let name = user.map(|user| user.name().to_string_lossy().into_owned());
    Ok(Some(Owner {
        name: name.unwrap_or_else(|| id.to_string()),
        is_root: id == 0,
        is_us: id == rustix::process::geteuid().as_raw(),
    }))
}

/// What keeps a user from reading a file by its mode: the file, or a folder on the way to it. None if nothing does, or
/// nothing is known of that user or of the file. Lists of access beyond the mode are not looked at.
pub fn shut_to(file: &Path, user: &str) -> Option<PathBuf> {
    let user = uzers::get_user_by_name(user)?;
    let groups = uzers::get_user_groups(user.name(), user.primary_group_id());
    let groups: Vec<u32> = groups?.iter().map(uzers::Group::gid).collect();
    let shut = |path: &Path, needed: u32| {
        let found = fs::metadata(path).ok()?;
        let bits = if found.uid() == user.uid() {
            found.mode() >> 6
        } else if groups.contains(&found.gid()) {
            found.mode() >> 3
        } else {
            found.mode()
        };
        (bits & needed == 0).then(|| path.to_owned())
    };
    if user.uid() == 0 {
        return None;
    }
    let folders: Vec<&Path> = file.ancestors().skip(1).collect();
    let folders = folders.into_iter().rev();
    let mut found = folders.filter_map(|folder| shut(folder, 0o1));
    found.next().or_else(|| shut(file, 0o4))
}

/// The user of this process: the name, or the number where there is none, and the number.
pub fn user() -> (String, Option<u32>) {
    let id = rustix::process::geteuid().as_raw();
    let user = uzers::get_user_by_uid(id);
    let name = user.map(|user| user.name().to_string_lossy().into_owned());
    (name.unwrap_or_else(|| id.to_string()), Some(id))
}

/// True if the directory belongs to the user of `probe`, a file that this process has made.
pub(crate) fn belongs_to_us(directory: &Path, probe: &File) -> io::Result<bool> {
    Ok(fs::metadata(directory)?.uid() == probe.metadata()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_user_from_a_file_is_named() {
        let other = uzers::get_user_by_name("nobody");
        let Some(other) = other.filter(|other| other.uid() != rustix::process::geteuid().as_raw())
        else {
            return;
        };
        let name = other.name().to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let path = std::fs::canonicalize(folder.path()).expect("it is there");
        let file = path.join("key");
        fs::write(&file, "k").expect("written");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
        };
        mode(&path, 0o700);
        mode(&file, 0o644);
        // Whoever has put the folder for temporary files into a home sees that one first.
        let found = shut_to(&file, &name).expect("shut");
        assert!(path.starts_with(&found), "{found:?}");
        if found == path {
            mode(&path, 0o711);
            assert_eq!(shut_to(&file, &name), None);
            mode(&file, 0o600);
            assert_eq!(shut_to(&file, &name), Some(file.clone()));
        }
        assert_eq!(shut_to(&file, "root"), None);
        assert_eq!(shut_to(&file, "no such user"), None);
    }
}
