//! The search for secrets where none may be.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::guarded::Guarded;

/// A secret shorter than this would be found by chance.
const SHORTEST: usize = 8;

/// The secrets of a world, by names that may be printed.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Secret>);

#[derive(Clone)]
struct Secret {
    name: String,
    /// The spellings looked for, each with its own name.
    spellings: Vec<(&'static str, Vec<u8>)>,
}

/// What the servers of a world were told by the program, each with where that was.
#[derive(Debug, Clone, Default)]
pub struct Heard(Guarded<Vec<(String, Vec<u8>)>>);

impl Heard {
    /// Keeps a text.
    pub fn add(&self, place: &str, text: impl Into<Vec<u8>>) {
        let text = text.into();
        self.0.with(|all| all.push((place.to_owned(), text)));
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.0.with(|all| all.clone())
    }
}

/// A secret that was found, named but not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Which secret.
    pub secret: String,
    /// How it was spelt: `raw`, `base64`, `base64url` or `hex`.
    pub spelling: &'static str,
    /// The file or output it was found in.
    pub place: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is in {}, spelt {}",
            self.secret, self.place, self.spelling
        )
    }
}

impl Secrets {
    /// Adds a secret to look for: as it is, in base64 with either alphabet, and in hexadecimal.
    ///
    /// A secret of fewer than eight bytes is left out, since it would be found by chance.
    pub fn add(&mut self, name: &str, secret: impl AsRef<[u8]>) {
        let raw = secret.as_ref();
        if raw.len() < SHORTEST {
            return;
        }
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let spellings = vec![
            ("raw", raw.to_vec()),
            // Without padding, so that the padded form is found by its beginning.
            ("base64", STANDARD_NO_PAD.encode(raw).into_bytes()),
            ("base64url", URL_SAFE_NO_PAD.encode(raw).into_bytes()),
            ("hex", hex.to_uppercase().into_bytes()),
            ("hex", hex.into_bytes()),
        ];
        self.0.push(Secret {
            name: name.to_owned(),
            spellings,
        });
    }

    /// Adds a private key given as PEM: looked for by each of its lines and by its bytes.
    pub fn add_pem(&mut self, name: &str, pem: &str) {
        let lines: Vec<&str> = pem
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("-----"))
            .collect();
        for line in &lines {
            self.add(name, line);
        }
        if let Ok(der) = STANDARD.decode(lines.concat()) {
            self.add(name, der);
        }
    }

    /// Looks for all secrets in files, folders with everything below them, and named texts; answers
    /// with every leak.
    ///
    /// # Errors
    /// When a path cannot be read: what was not searched is not clean.
    pub fn scan(&self, paths: &[&Path], texts: &[(&str, &[u8])]) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        let mut open: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        while let Some(path) = open.pop() {
            if fs::symlink_metadata(&path)?.is_symlink() {
                continue;
            }
            if path.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path());
                }
                continue;
            }
            self.search(&path.display().to_string(), &fs::read(&path)?, &mut leaks);
        }
        for (place, text) in texts {
            self.search(place, text, &mut leaks);
        }
        Ok(leaks)
    }

    /// As [`Secrets::scan`], and fails the test that finds a leak.
    ///
    /// # Panics
    /// When a secret is found, or a path cannot be read.
    pub fn assert_clean(&self, paths: &[&Path], texts: &[(&str, &[u8])]) {
        let found = match self.scan(paths, texts) {
            Ok(leaks) => leaks.iter().map(Leak::to_string).collect(),
            Err(unread) => vec![format!("a path could not be searched: {unread}")],
        };
        assert!(
            found.is_empty(),
            "not clean of secrets:\n{}",
            found.join("\n")
        );
    }

    fn search(&self, place: &str, text: &[u8], leaks: &mut Vec<Leak>) {
        for secret in &self.0 {
            for (spelling, bytes) in &secret.spellings {
                if memchr::memmem::find(text, bytes).is_some() {
                    leaks.push(Leak {
                        secret: secret.name.clone(),
                        spelling,
                        place: place.to_owned(),
                    });
                }
            }
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|secret| &secret.name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("api key", "s3cr3t-\u{ff}-value?");
        secrets.add("short", "abc");
        secrets
    }

    #[test]
    fn a_secret_is_found_in_every_spelling_and_not_shown() {
        let raw = "s3cr3t-\u{ff}-value?".as_bytes();
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let table = [
            ("raw", raw.to_vec()),
            ("base64", STANDARD.encode(raw).into_bytes()),
            ("hex", hex.to_uppercase().into_bytes()),
        ];
        for (spelling, text) in table {
            let text = [b"x=", text.as_slice(), b";"].concat();
            let leaks = secrets()
                .scan(&[], &[("stdout", &text)])
                .expect("nothing to read");
            let leak = leaks
                .iter()
                .find(|leak| leak.spelling == spelling)
                .expect(spelling);
            assert_eq!(
                (leak.secret.as_str(), leak.place.as_str()),
                ("api key", "stdout")
            );
        }
        assert_eq!(format!("{:?}", secrets()), r#"["api key"]"#);
    }

    #[test]
    fn folders_are_searched_to_their_depths_and_clean_ones_are_clean() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).expect("made");
        fs::write(deep.join("clean"), "abc").expect("written");
        secrets().assert_clean(&[folder.path()], &[("stderr", b"nothing")]);
        fs::write(deep.join("leak"), "s3cr3t-\u{ff}-value?").expect("written");
        let leaks = secrets().scan(&[folder.path()], &[]).expect("read");
        assert_eq!(leaks.len(), 1);
        assert!(leaks[0].place.ends_with("leak"));
        secrets()
            .scan(&[&folder.path().join("gone")], &[])
            .expect_err("cannot be read");
    }

    #[test]
    fn a_key_is_found_by_any_line_of_its_pem() {
        let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let mut secrets = Secrets::default();
        secrets.add_pem("key", &key);
        let line = key.lines().nth(1).expect("a line");
        assert!(
            !secrets
                .scan(&[], &[("log", line.as_bytes())])
                .expect("read")
                .is_empty()
        );
    }
}
