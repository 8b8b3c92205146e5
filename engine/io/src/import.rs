//! The files of another client, read from its folder. Nothing in it is ever written.

#![expect(clippy::disallowed_methods, reason = "this is an adapter of the disk")]

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use waxwing_core::import::tree::Tree;
use waxwing_core::import::{self, Client, Unread};

#[cfg(unix)]
pub use unix::rights;
#[cfg(windows)]
pub use windows::rights;

/// No file of a client that says something is longer, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Folders within folders.
const DEEPEST: usize = 10;

/// Entries of all folders together, so that a wrong path is no walk through a whole disk.
const MOST_ENTRIES: usize = 200_000;

/// Who may do what with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The user that it belongs to, by name, or by number if it has none.
    pub owner: String,
    /// The group, likewise.
    pub group: String,
    /// Mode bits.
    pub mode: u32,
}

/// A folder that is no client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {}: {cause}", .path.display())]
pub struct FolderError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub cause: String,
    /// True if this user may not read it.
    pub denied: bool,
}

/// The files of a client that say something, and what could not be looked at.
///
/// # Errors
/// When the folder itself is not there or cannot be read.
pub fn folder(client: Client, root: &Path) -> Result<(Tree, Vec<Unread>), FolderError> {
    let failed = |cause: &io::Error| FolderError {
        path: root.to_owned(),
        cause: cause.to_string(),
        denied: cause.kind() == io::ErrorKind::PermissionDenied,
    };
    let whole = std::path::absolute(root).map_err(|cause| failed(&cause))?;
    fs::read_dir(&whole).map_err(|cause| failed(&cause))?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let mut tree = Tree::of(&name);
    let mut unread = Vec::new();
    let mut left = MOST_ENTRIES;
    walk(client, &whole, &mut tree, &mut unread, &mut left)?;
    if let Some(more) = import::also(client, &tree) {
        let there = Path::new(&more);
        if there.is_absolute() && there.is_dir() {
            if there != whole {
                walk(client, there, &mut tree, &mut unread, &mut left)?;
            }
        } else {
            unread.push(Unread {
                file: more,
                cause: "the certificates are to be there, and it is no folder here".to_owned(),
            });
        }
    }
    for path in import::outside(client, &tree) {
        let file = Path::new(&path);
        if file.is_absolute() && file.exists() {
            tree.add(&path, content(file));
        }
    }
    unread.sort_by(|a, b| a.file.cmp(&b.file));
    Ok((tree, unread))
}

/// Reads a folder and those in it, as far as their files say something.
fn walk(
    client: Client,
    root: &Path,
    tree: &mut Tree,
    unread: &mut Vec<Unread>,
    left: &mut usize,
) -> Result<(), FolderError> {
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, below, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) => {
                unread.push(Unread {
                    file: folder.display().to_string(),
                    cause: cause.to_string(),
                });
                continue;
            }
        };
        for entry in entries.flatten() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(FolderError {
                    path: root.to_owned(),
                    cause: format!("it holds more than {MOST_ENTRIES} files"),
                    denied: false,
                });
            }
            let path = entry.path();
            let name = entry.file_name();
            let below = format!("{below}{}", name.to_string_lossy());
            // Links are followed: some clients have a folder of links to their files.
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => {
                    let inside = (path, format!("{below}/"), depth + 1);
                    folders.extend(Some(inside).filter(|(.., depth)| *depth <= DEEPEST));
                }
                // What lies in the first folder counts.
                _ if import::is_wanted(client, &below) && !tree.has(&below) => {
                    tree.add(&below, content(&path));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What is in a file; a pipe or a device is none.
fn content(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Result<Vec<u8>, String>> {
        let found = fs::metadata(path)?;
        if !found.is_file() {
            return Ok(Err("it is not a file".to_owned()));
        }
        if found.len() > MOST_BYTES {
            return Ok(Err(format!("it is longer than {MOST_BYTES} bytes")));
        }
        fs::read(path).map(Ok)
    };
    read().unwrap_or_else(|cause| Err(cause.to_string()))
}

/// Where programs of the system are. `PATH` is not asked: it is this shell's, and what comes of it is
/// written down for good.
const PROGRAMS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The whole path of a program of the system.
pub fn program(name: &str) -> Option<PathBuf> {
    let written = Path::new(name);
    if written.is_absolute() {
        return Some(written.to_owned());
    }
    if name.is_empty() || name.contains(['/', '\\']) {
        return None;
    }
    let mut places = PROGRAMS.iter().map(|place| Path::new(place).join(name));
    places.find(|path| path.is_file())
}

/// The value of a variable of this process, if it is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_through_links_and_without_what_says_nothing() {
        let folder_of = tempfile::tempdir().expect("a folder");
        let root = folder_of.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("written");
        };
        write(
            "renewal/a.conf",
            "[renewalparams]\nauthenticator = dns-x\ndns_x_credentials = x.ini\n",
        );
        write("archive/a/fullchain1.pem", "chain");
        write("archive/a/README", "words");
        fs::create_dir_all(root.join("live/a")).expect("folders");
        #[cfg(unix)]
        std::os::unix::fs::symlink(
            "../../archive/a/fullchain1.pem",
            root.join("live/a/fullchain.pem"),
        )
        .expect("a link");
        let (tree, unread) = folder(Client::Certbot, root).expect("a tree");
        assert_eq!(unread, []);
        let mut want = vec!["archive/a/fullchain1.pem", "renewal/a.conf"];
        if cfg!(unix) {
            want.insert(1, "live/a/fullchain.pem");
            assert_eq!(tree.text("live/a/fullchain.pem"), Some(Ok("chain")));
        }
        assert_eq!(tree.paths().collect::<Vec<_>>(), want);
        let none = folder(Client::Certbot, &root.join("none")).expect_err("refused");
        assert!(!none.denied);
    }

    #[test]
    fn programs_are_named_by_their_whole_paths() {
        assert_eq!(program("/opt/x"), Some(PathBuf::from("/opt/x")));
        assert_eq!(program("./x"), None);
        assert_eq!(program(""), None);
        assert_eq!(program("surely-no-such-program"), None);
        if cfg!(unix) {
            assert!(program("sh").is_some_and(|path| path.is_absolute()));
        }
    }
}
