//! The log in a file: it grows at its end, and when it has its size it is moved away.
//!
//! `waxwing.log` becomes `waxwing.log.1`, that one `waxwing.log.2`, and so on; the oldest is
//! overwritten. What a newcomer gets wrong: a timer's run and one by hand write to the same file. It is
//! opened for each record and its size is looked at anew, so whoever is second finds a small file. If
//! two of them move it away at the same moment, one generation is short; nothing but the oldest is lost.

#![expect(clippy::disallowed_methods, reason = "this is an adapter of the disk")]

use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::settings::LogFile;

use crate::append::{self, AppendError, Missing};

/// Writes a record, which brings its line end along.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &LogFile, record: &[u8]) -> Result<(), AppendError> {
    let failed = |cause: std::io::Error| AppendError {
        path: file.path.clone(),
        cause: cause.into(),
    };
    let mut log = append::open(&file.path, Missing::Made, None)?;
    let size = log.metadata().map_err(failed)?.len();
    let new = size.saturating_add(record.len() as u64);
    if size > 0 && new > file.size {
        drop(log);
        shift(file).map_err(failed)?;
        log = append::open(&file.path, Missing::Made, None)?;
    }
    append::add(&mut log, record).map_err(failed)
}

/// The same for a process that only looks and may be anybody's: a log that is there and ours gets the
/// record, and nothing else happens.
pub fn write_if_ours(file: &LogFile, record: &[u8]) {
    if let Ok(mut log) = append::open(&file.path, Missing::Refused, None) {
        // Whoever writes for good says what is wrong.
        let _untold = append::add(&mut log, record);
    }
}

/// Moves every log one place on, the oldest first.
fn shift(file: &LogFile) -> std::io::Result<()> {
    let oldest = file.keep.saturating_sub(1);
    if oldest == 0 {
        return fs::remove_file(&file.path);
    }
    for number in (1..oldest).rev() {
        match fs::rename(old(&file.path, number), old(&file.path, number + 1)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
    }
    fs::rename(&file.path, old(&file.path, 1))
}

/// The name of the log that was moved away so many times ago.
fn old(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_full_is_moved_away_and_the_oldest_one_goes() {
        for (keep, want) in [
            (1, vec![("log", "6\n")]),
            (2, vec![("log", "6\n"), ("log.1", "4\n5\n")]),
            (
                3,
                vec![("log", "6\n"), ("log.1", "4\n5\n"), ("log.2", "2\n3\n")],
            ),
            (
                9,
                vec![
                    ("log", "6\n"),
                    ("log.1", "4\n5\n"),
                    ("log.2", "2\n3\n"),
                    ("log.3", "0\n1\n"),
                ],
            ),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = LogFile {
                path: folder.path().join("log"),
                size: 4,
                keep,
            };
            for record in ["0\n", "1\n", "2\n", "3\n", "4\n", "5\n", "6\n"] {
                write(&file, record.as_bytes()).expect("written");
            }
            let mut found: Vec<(String, String)> = fs::read_dir(folder.path())
                .expect("listed")
                .map(|entry| {
                    let entry = entry.expect("one");
                    let text = fs::read_to_string(entry.path()).expect("text");
                    (entry.file_name().to_string_lossy().into_owned(), text)
                })
                .collect();
            found.sort();
            let want: Vec<(String, String)> = want
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect();
            assert_eq!(found, want, "{keep}");
        }
    }

    #[test]
    fn who_only_looks_makes_no_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = LogFile {
            path: folder.path().join("log"),
            size: 4,
            keep: 2,
        };
        write_if_ours(&file, b"a\n");
        assert!(!file.path.exists());
        write(&file, b"b\n").expect("written");
        write_if_ours(&file, b"c\n");
        assert_eq!(fs::read_to_string(&file.path).expect("text"), "b\nc\n");
    }

    #[test]
    fn a_record_that_is_longer_than_a_log_has_one_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = LogFile {
            path: folder.path().join("log"),
            size: 4,
            keep: 2,
        };
        for record in ["a long one\n", "b\n"] {
            write(&file, record.as_bytes()).expect("written");
        }
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("text");
        assert_eq!(
            (text("log"), text("log.1")),
            ("b\n".to_owned(), "a long one\n".to_owned())
        );
    }
}
