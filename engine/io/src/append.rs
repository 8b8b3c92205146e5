//! Files that grow at their end and that an operator reads: the log and the audit trail.
//!
//! A file is opened for each record and closed behind it, so that one that was moved away is left to
//! whoever moved it. It belongs to the user of this process, is no link, and nobody else can write it.
//! Root adds to the files of the user whose state it is, too, and gives that user what it makes: a file
//! of root's own would be in the way of every run behind it.

#![expect(clippy::disallowed_methods, reason = "this is an adapter of the disk")]

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use waxwing_core::access::Object;

use crate::permission;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// A file at whose end nothing can be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}: {cause}", .path.display())]
pub struct AppendError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: AppendCause,
}

impl AppendError {
    /// True if there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(&self.cause, AppendCause::Io(cause) if cause.kind() == io::ErrorKind::NotFound)
    }

    /// One line on what to do.
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.cause {
            AppendCause::Link => format!("name the file itself, not the link {path}"),
            AppendCause::NoFile => "name a file".to_owned(),
            AppendCause::Foreign(owner) => {
                format!("run it as {owner}, or move {path} away: a new one is made")
            }
            AppendCause::Open => format!("chmod go-w {path}"),
            AppendCause::Io(cause) => match cause.kind() {
                io::ErrorKind::NotFound => format!(
                    "make the folder {}",
                    self.path.parent().unwrap_or(Path::new("/")).display()
                ),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    format!("make room on the disk of {path}")
                }
                _ => format!("let the user that renews write {path}"),
            },
        }
    }
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum AppendCause {
    /// The path is a link.
    #[error("it is a link, which somebody could turn elsewhere")]
    Link,
    /// A folder, a pipe or a device.
    #[error("it is no file")]
    NoFile,
    /// It belongs to this user.
    #[error("it belongs to {0}")]
    Foreign(String),
    /// Others can write it.
    #[error("others can write to it")]
    Open,
    /// Whatever the system says.
    #[error("{0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for AppendCause {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// Whether a file that is missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made for its owner alone, and the folder right above it, too.
    Made,
    /// It is an error.
    Refused,
}

/// Opens a file to write at its end. `home` is the folder whose owner it is for, such as the state folder;
/// without one that is whoever owns the folder that it is in.
///
/// # Errors
/// When it is none of ours, or cannot be opened.
pub(crate) fn open(
    path: &Path,
    missing: Missing,
    home: Option<&Path>,
) -> Result<File, AppendError> {
    let failed = |cause| AppendError {
        path: path.to_owned(),
        cause,
    };
    if missing == Missing::Made
        && let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        permission::create_private_dir(folder)
            .and_then(|()| permission::shield(folder, Object::Folder))
            .map_err(|cause| failed(cause.into()))?;
        if let Some(home) = home {
            system::hand_over(folder, home).map_err(|cause| failed(cause.into()))?;
        }
    }
    let home = home.or_else(|| path.parent());
    system::open(path, missing, home).map_err(failed)
}

/// Writes records, each of which is one line, at the end of a file. A line that a full disk has cut
/// off stays one of its own.
///
/// # Errors
/// When they cannot be written; a part of them may be there then.
pub(crate) fn add(file: &mut File, records: &[u8]) -> io::Result<()> {
    if ends_within_a_line(file)? {
        file.write_all(b"\n")?;
    }
    // One call of the system, so that two processes do not mix their lines.
    file.write_all(records)
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Whether a run could write there. Nothing is made to find out.
///
/// # Errors
/// Why it could not.
pub fn look(path: &Path, home: Option<&Path>) -> Result<(), AppendError> {
    match open(path, Missing::Refused, home) {
        Err(error) if error.is_missing() => {}
        other => return other.map(drop),
    }
    // The folder above may be missing, too; it is made then.
    let mut above = path.ancestors().skip(1).take(2);
    let there = above.find(|folder| folder.is_dir() || folder.as_os_str().is_empty());
    let there = there.map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    });
    let may = match there {
        Some(folder) => permission::may_write_within(folder),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    may.map_err(|cause| AppendError {
        path: path.to_owned(),
        cause: cause.into(),
    })
}

/// True for a file in whose place somebody else could put another one.
pub fn can_be_replaced(path: &Path) -> bool {
    matches!(permission::open_to_others(path), Ok(Some(_)))
}

/// The content of a file of records, as far as it goes up to `most` bytes; none if it is not there.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(most).read_to_end(&mut bytes).map(|_| Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Files in the same folder whose names begin so, sorted.
pub(crate) fn beside(path: &Path, beginning: &str) -> Vec<PathBuf> {
    let Some(folder) = path.parent() else {
        return Vec::new();
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(beginning))
        })
        .collect();
    found.sort();
    found
}

/// Gives a file another name in the same folder; one of that name is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Takes a file away.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_stays_one_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/trail");
        for (before, want) in [
            (None, "one\n"),
            (Some("zero\n"), "zero\none\n"),
            (Some("ze"), "ze\none\n"),
        ] {
            if let Some(before) = before {
                fs::write(&path, before).expect("written");
            }
            let mut file = open(&path, Missing::Made, None).expect("opened");
            add(&mut file, b"one\n").expect("written");
            assert_eq!(fs::read_to_string(&path).expect("text"), want);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_its_owners_alone_and_what_is_not_is_refused() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        open(&at("trail"), Missing::Made, None).expect("made");
        let made = fs::metadata(at("trail")).expect("there").permissions();
        assert_eq!(made.mode() & 0o777, 0o600);
        symlink(at("trail"), at("link")).expect("a link");
        symlink(at("nothing"), at("loose")).expect("a link");
        fs::write(at("open"), "").expect("written");
        mode(&at("open"), 0o620);
        fs::write(at("read"), "").expect("written");
        mode(&at("read"), 0o640);
        let mut rows = vec![
            ("trail", None),
            ("read", None),
            (
                "link",
                Some("it is a link, which somebody could turn elsewhere"),
            ),
            (
                "loose",
                Some("it is a link, which somebody could turn elsewhere"),
            ),
            ("open", Some("others can write to it")),
        ];
        fs::write(at("foreign"), "").expect("written");
        // Only root can give a file away.
        if std::os::unix::fs::chown(at("foreign"), Some(54_321), None).is_ok() {
            rows.push(("foreign", Some("it belongs to 54321")));
        }
        for (name, want) in rows {
            for missing in [Missing::Made, Missing::Refused] {
                let found = open(&at(name), missing, None).err();
                let cause = found.map(|error| error.cause.to_string());
                assert_eq!(cause.as_deref(), want, "{name}");
            }
            let seen = look(&at(name), None)
                .err()
                .map(|error| error.cause.to_string());
            assert_eq!(seen.as_deref(), want, "{name}");
        }
        assert!(
            open(folder.path(), Missing::Made, None).is_err(),
            "a folder"
        );
        assert!(!at("nothing").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_in_a_folder_of_everybody_can_be_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trail");
        assert!(!can_be_replaced(&path), "it is not there");
        open(&path, Missing::Made, None).expect("made");
        for (mode, open) in [(0o755, false), (0o775, true), (0o1777, false)] {
            let rights = fs::Permissions::from_mode(mode);
            fs::set_permissions(folder.path(), rights).expect("a mode");
            assert_eq!(can_be_replaced(&path), open, "{mode:o}");
        }
    }

    #[test]
    fn a_look_makes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert!(look(&at("trail"), None).is_ok());
        assert!(
            look(&at("new/trail"), None).is_ok(),
            "its folder is made then"
        );
        let error = look(&at("a/b/c"), None).expect_err("no folder for the folder");
        let hint = format!("make the folder {}", at("a/b").display());
        assert_eq!(error.hint(), hint);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
    }
}
