//! What was told while the database could not be written, and when: a small file in the state folder, and the time
//! stamp of it where not even that can be written. On a disk that is mounted read-only it lies in the folder for
//! run time that a service manager gives (`RuntimeDirectory=` of `systemd.exec(5)`, for there the temporary files
//! of one run are gone in the next one), or among the temporary files.
//!
//! What a newcomer gets wrong: a full disk still takes it. A name in a folder and the time of a file
//! need no new room nearly everywhere, and once the file is there only its time changes. Only a disk that
//! is mounted read-only refuses it.

#![expect(clippy::disallowed_methods, reason = "this is the adapter of the disk")]

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::{EventKind, Notice};
use waxwing_core::time::Timestamp;
use waxwing_flow::notify::{Letter, Reminded, Rest, Told, Unsent};
use waxwing_flow::ports::Reminder;

use crate::permission::{belongs_to_others, open_private};
use crate::x509::sha256_hex;

const FILE: &str = "told-at";

/// More than this is not read: nobody is told of so much.
const MOST: u64 = 1024 * 1024;

/// Bytes of it for letters.
const MOST_LETTERS: usize = 512 * 1024;

/// Something that was told, as a line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    subject: String,
    kind: String,
    step: u32,
    at: i64,
    began: i64,
    over: bool,
}

impl Line {
    fn of(one: &Reminded) -> Self {
        Self {
            subject: one.told.subject.clone(),
            kind: one.told.kind.as_str().to_owned(),
            step: one.told.step,
            at: one.told.at.unix_ms(),
            began: one.told.began.unix_ms(),
            over: one.over,
        }
    }

    fn read(text: &str) -> Option<Reminded> {
        let line: Self = serde_json::from_str(text).ok()?;
        let told = Told {
            kind: EventKind::parse(&line.kind)?,
            subject: line.subject,
            step: line.step,
            at: Timestamp::from_unix_ms(line.at),
            began: Timestamp::from_unix_ms(line.began),
        };
        Some(Reminded {
            told,
            over: line.over,
        })
    }
}

/// The reminder of one state folder.
#[derive(Debug)]
pub struct FileReminder {
    /// In the state folder, and where it lies if that cannot be written.
    paths: [PathBuf; 2],
}

/// A letter that was not delivered, as a line of the file.
#[derive(Serialize, Deserialize)]
struct LetterLine {
    notifier: String,
    notice: Notice,
    #[serde(default)]
    rest: Rest,
}

impl LetterLine {
    fn of(one: &Unsent) -> Self {
        Self {
            notifier: one.letter.notifier.to_string(),
            notice: one.letter.notice.clone(),
            rest: one.rest.clone(),
        }
    }

    fn read(text: &str) -> Option<Unsent> {
        let line: Self = serde_json::from_str(text).ok()?;
        Some(Unsent {
            letter: Letter {
                notifier: NotifierName::parse(&line.notifier).ok()?,
                notice: line.notice,
            },
            rest: line.rest,
        })
    }
}

impl FileReminder {
    /// The one of this state folder. Nothing is read or made yet.
    pub fn new(state: &Path) -> Self {
        let name = sha256_hex(state.to_string_lossy().as_bytes());
        let name = format!("waxwing-{FILE}-{}", name.get(..16).unwrap_or_default());
        Self {
            paths: [state.join(FILE), elsewhere().join(name)],
        }
    }

    /// What was kept last. A disk that is full makes a file and has no room for its text, or leaves the text of
    /// before.
    fn text(&self) -> String {
        let texts = self.paths.iter().filter_map(|path| {
            let text = read(path).filter(|text| !text.trim().is_empty())?;
            Some((last(path), text))
        });
        let newest = texts.max_by_key(|(at, _)| *at);
        newest.map(|(_, text)| text).unwrap_or_default()
    }
}

/// Where else it may lie: in the folder for run time, or among the temporary files.
fn elsewhere() -> PathBuf {
    let given = std::env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
    let first = std::env::split_paths(&given).next();
    first
        .filter(|path| path.is_absolute())
        .unwrap_or_else(std::env::temp_dir)
}

/// Opens it to be written, if the state folder is ours: its owner could not change what another user has put there.
/// What lies there and is no file of ours, as among temporary files, is refused.
fn open(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(path);
    if path.ends_with(FILE) && belongs_to_others(folder)? {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match open_private(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path)?;
            if !found.is_file() || belongs_to_others(path)? {
                return Err(cause);
            }
            File::options().write(true).open(path)
        }
        new => new,
    }
}

fn last(path: &Path) -> Option<Timestamp> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    let ms = i64::try_from(since.as_millis()).ok()?;
    Some(Timestamp::from_unix_ms(ms))
}

fn read(path: &Path) -> Option<String> {
    let ours = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if !ours || belongs_to_others(path).unwrap_or(true) {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(path)?;
    // In its place: a full disk may have no room for another one.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}

impl Reminder for FileReminder {
    fn last(&self) -> Option<Timestamp> {
        self.paths.iter().filter_map(|path| last(path)).max()
    }

    fn set(&self, at: Timestamp) -> bool {
        let Some(time) = time(at) else {
            return false;
        };
        self.paths.iter().any(|path| {
            let set = open(path).and_then(|file| file.set_modified(time));
            // Some file systems keep whole seconds.
            set.is_ok() && last(path).is_some_and(|last| last.unix() == at.unix())
        })
    }

    fn clear(&self) {
        for path in &self.paths {
            let _mostly_not_there = fs::remove_file(path);
        }
    }

    fn kept(&self) -> Vec<Reminded> {
        self.text().lines().filter_map(Line::read).collect()
    }

    fn unsent(&self) -> Vec<Unsent> {
        self.text().lines().filter_map(LetterLine::read).collect()
    }

    fn keep(&self, all: &[Reminded], unsent: &[Unsent]) -> bool {
        let mut lines: Vec<String> = all
            .iter()
            .filter_map(|one| serde_json::to_string(&Line::of(one)).ok())
            .collect();
        // The newest letters say how it is now.
        let mut room = MOST_LETTERS;
        let letters = unsent.iter().rev().filter_map(|one| {
            let line = serde_json::to_string(&LetterLine::of(one)).ok()?;
            room = room.checked_sub(line.len())?;
            Some(line)
        });
        let mut letters: Vec<String> = letters.collect();
        letters.reverse();
        lines.append(&mut letters);
        let text = lines.join("\n") + "\n";
        let kept = |path: &PathBuf| {
            write(path, &text).is_ok() && read(path).is_some_and(|found| found == text)
        };
        self.paths.iter().any(kept)
    }
}

fn time(at: Timestamp) -> Option<SystemTime> {
    let ms = u64::try_from(at.unix_ms()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_kept_changed_and_forgotten() {
        let state = tempfile::tempdir().expect("a folder");
        let reminder = FileReminder::new(state.path());
        assert_eq!(reminder.last(), None);
        for seconds in [1_795_000_000, 1_795_090_000] {
            let at = Timestamp::from_unix(seconds);
            assert!(reminder.set(at));
            assert_eq!(FileReminder::new(state.path()).last(), Some(at));
        }
        reminder.clear();
        assert_eq!(reminder.last(), None);
        // Where the folder cannot be written, it lies among the temporary files.
        let nowhere = FileReminder::new(&state.path().join("missing"));
        let at = Timestamp::from_unix(1_795_000_000);
        assert!(nowhere.set(at));
        assert_eq!(nowhere.last(), Some(at));
        nowhere.clear();
        assert_eq!(nowhere.last(), None);
    }

    #[test]
    fn what_was_told_is_kept_until_it_is_cleared() {
        let state = tempfile::tempdir().expect("a folder");
        let one = |subject: &str, over| Reminded {
            told: Told {
                subject: subject.to_owned(),
                kind: EventKind::ExpiryNear,
                step: 3,
                at: Timestamp::from_unix(1_795_000_000),
                began: Timestamp::from_unix(1_794_000_000),
            },
            over,
        };
        let all = [one("shop", false), one("a \"name\"\nof two lines", true)];
        let at = Timestamp::from_unix(1_795_000_000);
        let letters = [Unsent {
            letter: Letter {
                notifier: NotifierName::parse("mail").expect("a literal name"),
                notice: Notice {
                    schema: 1,
                    host: "web01".to_owned(),
                    version: "0".to_owned(),
                    run: None,
                    at,
                    events: Vec::new(),
                    certificates: 1,
                    nearest: None,
                },
            },
            rest: Rest {
                to: vec!["boss@example.com".to_owned()],
                refused: true,
            },
        }];
        for folder in [state.path().to_owned(), state.path().join("missing")] {
            let reminder = FileReminder::new(&folder);
            assert_eq!(reminder.kept(), []);
            assert!(reminder.keep(&all, &letters) && reminder.keep(&all[..1], &[]));
            assert_eq!(FileReminder::new(&folder).kept(), all[..1]);
            assert!(reminder.keep(&all, &letters));
            assert_eq!(reminder.kept(), all);
            assert_eq!(reminder.unsent(), letters);
            reminder.clear();
            assert_eq!(reminder.kept(), []);
        }
    }

    #[test]
    fn the_newest_text_counts_wherever_it_lies() {
        let state = tempfile::tempdir().expect("a folder");
        let reminder = FileReminder::new(state.path());
        let one = |step| Reminded {
            told: Told {
                subject: "shop".to_owned(),
                kind: EventKind::Failed,
                step,
                at: Timestamp::from_unix(1_795_000_000),
                began: Timestamp::from_unix(1_795_000_000),
            },
            over: false,
        };
        let line = |step| serde_json::to_string(&Line::of(&one(step))).expect("a line");
        let put = |nth: usize, text: &str, at: i64| {
            fs::write(&reminder.paths[nth], text).expect("written");
            let file = File::options().write(true).open(&reminder.paths[nth]);
            let time = time(Timestamp::from_unix(at)).expect("a time");
            file.and_then(|file| file.set_modified(time)).expect("set");
        };
        put(0, "", 1_795_000_009);
        put(1, &line(2), 1_795_000_001);
        assert_eq!(reminder.kept(), [one(2)]);
        put(0, &line(1), 1_795_000_000);
        assert_eq!(reminder.kept(), [one(2)]);
        put(0, &line(3), 1_795_000_002);
        assert_eq!(reminder.kept(), [one(3)]);
        reminder.clear();
    }

    #[cfg(unix)]
    #[test]
    fn what_somebody_has_laid_among_the_temporary_files_is_not_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let reminder = FileReminder::new(&home.path().join("missing"));
        let victim = home.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        std::os::unix::fs::symlink(&victim, &reminder.paths[1]).expect("a link");
        assert!(!reminder.keep(&[], &[]) && !reminder.set(Timestamp::from_unix(1_795_000_000)));
        assert_eq!(reminder.kept(), []);
        assert_eq!(fs::read_to_string(&victim).expect("read"), "precious");
        reminder.clear();
    }
}
