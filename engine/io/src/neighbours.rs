//! What this machine starts by itself, and what other ACME clients have noted of the names that they
//! renew. Only files are read.
//!
//! Which of it belongs to a client is decided in `waxwing_core::neighbour`.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::import;
use waxwing_core::neighbour::{Keeps, Start};

use crate::import as files;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;

/// Longer files say something else.
const LONGEST: u64 = 256 * 1024;

/// Everything that the machine with this root starts by itself, as far as this user can see.
pub fn starts(root: &Path) -> Vec<Start> {
    os::starts(root)
}

/// The names that a client renews, by its own files; none if they cannot be read.
pub fn names(keeps: Keeps, root: &Path) -> Option<BTreeSet<String>> {
    match keeps {
        Keeps::Unknown => None,
        Keeps::Files(client, folders) => {
            let mut there = folders.iter().map(|folder| below(root, folder));
            let folder = there.find(|folder| folder.is_dir())?;
            let (tree, _unread) = files::folder(client, &folder).ok()?;
            let found = import::read(client, &tree);
            let certificates = found.certificates.into_iter();
            let names = certificates.flat_map(|one| one.names.unwrap_or_else(|| vec![one.name]));
            Some(names.collect())
        }
        Keeps::Folders(folders) => {
            let places: Vec<PathBuf> = folders
                .iter()
                .flat_map(|folder| match folder.strip_suffix("/*") {
                    Some(above) => entries(&below(root, above)),
                    None => vec![below(root, folder)],
                })
                .filter(|place| place.is_dir())
                .collect();
            if places.is_empty() {
                return None;
            }
            let names = places.iter().flat_map(|place| entries(place));
            let names = names.filter(|path| path.is_dir()).filter_map(|path| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                // A star cannot stand in every file name.
                Some(name.replacen("wildcard_", "*", 1))
            });
            Some(names.filter(|name| name.contains('.')).collect())
        }
    }
}

/// A path below another root; `~` is the home of root.
fn below(root: &Path, path: &str) -> PathBuf {
    let path = path.replacen('~', "/root", 1);
    match path.strip_prefix('/') {
        Some(relative) => root.join(relative),
        None => PathBuf::from(path),
    }
}

/// What is in a folder, in the order of its names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// The lines of a text that are no comments.
#[cfg_attr(not(unix), expect(dead_code, reason = "Windows starts no lines"))]
fn lines(path: &Path) -> Vec<String> {
    let short = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
    let bytes = short.then(|| fs::read(path).unwrap_or_default());
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use waxwing_core::import::Client;
    use waxwing_core::neighbour::started;

    use super::*;

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        root
    }

    #[cfg(unix)]
    #[test]
    fn timers_lines_and_scripts_are_found_and_comments_are_not() {
        let unit = "[Service]\nExecStart=/opt/bin/lego renew\n";
        let root = machine(&[
            ("lib/certbot.timer", "[Timer]\n"),
            ("etc/systemd/system/nightly.service", unit),
            ("etc/systemd/system/nightly.timer", "[Timer]\n"),
            ("etc/cron.d/uacme", "# 1 1 * * * root uacme issue\n"),
            (
                "etc/cron.daily/dehydrated",
                "#!/bin/sh\nexec /usr/bin/dehydrated -c\n",
            ),
            (
                "var/spool/cron/crontabs/root",
                "0 0 * * * /root/.acme.sh/acme.sh --cron\n",
            ),
        ]);
        let wants = root.path().join("etc/systemd/system/timers.target.wants");
        fs::create_dir_all(&wants).expect("made");
        for (to, name) in [
            ("../../../../lib/certbot.timer", "certbot.timer"),
            ("../nightly.timer", "nightly.timer"),
        ] {
            std::os::unix::fs::symlink(to, wants.join(name)).expect("a link");
        }
        let starts = starts(root.path());
        let found: BTreeMap<&str, PathBuf> = started(&starts, true)
            .into_iter()
            .map(|(one, start)| {
                let place = start.place.strip_prefix(root.path()).expect("below");
                (one.name, place.to_owned())
            })
            .collect();
        let want = [
            (
                "certbot",
                "etc/systemd/system/timers.target.wants/certbot.timer",
            ),
            ("lego", "etc/systemd/system/nightly.service"),
            ("dehydrated", "etc/cron.daily/dehydrated"),
            ("acme.sh", "var/spool/cron/crontabs/root"),
        ];
        assert_eq!(
            found,
            want.map(|(name, path)| (name, PathBuf::from(path))).into()
        );
    }

    #[test]
    fn names_are_read_from_the_files_of_each_client() {
        let root = machine(&[
            (
                "etc/letsencrypt/renewal/mail.example.com.conf",
                "[renewalparams]\nauthenticator = standalone\n",
            ),
            ("var/lib/dehydrated/certs/www.example.com/cert.pem", ""),
            (
                "data/certificates/acme.example/wildcard_.example.org/x.crt",
                "",
            ),
            ("data/certificates/acme.example/notes", ""),
        ]);
        let of = |keeps| {
            let names = names(keeps, root.path());
            names.map(|names| names.into_iter().collect::<Vec<_>>())
        };
        let certbot = Keeps::Files(Client::Certbot, &["/nowhere", "/etc/letsencrypt"]);
        assert_eq!(of(certbot), Some(vec!["mail.example.com".to_owned()]));
        let folders = Keeps::Folders(&["/var/lib/dehydrated/certs", "/data/certificates/*"]);
        let want = ["*.example.org", "www.example.com"].map(str::to_owned);
        assert_eq!(of(folders), Some(want.to_vec()));
        assert_eq!(of(Keeps::Folders(&["/nowhere"])), None);
        assert_eq!(of(Keeps::Unknown), None);
    }
}
