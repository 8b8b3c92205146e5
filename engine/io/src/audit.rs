//! The audit trail on disk: a file that only grows, one act a line.
//!
//! Nothing that is done waits for it. What cannot be written is kept in the state folder and moved
//! into the trail as soon as that can be written again; what cannot be kept there either is in the log.

mod line;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use waxwing_flow::audit::{Act, AuditLog};
use waxwing_flow::ports::Clock;

use crate::append::{self, AppendError, Missing};

pub use line::{LINE_CAP, SCHEMA};

/// In the state folder: acts that could not be written where they belong.
const KEPT: &str = "audit-unwritten.jsonl";

/// What its name begins with, and that of a file in which a process has taken it.
const KEPT_STEM: &str = "audit-unwritten.";

/// So much is kept there. A run writes about a kilobyte for each certificate.
const KEPT_CAP: u64 = 16 << 20;

/// Who does what is entered, the same for a whole process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The user of the process, by name.
    pub user: String,
    /// The same by number, where the system has such.
    pub uid: Option<u32>,
    /// Who became that user by `sudo`, as the environment says.
    pub sudo: Option<String>,
    /// The process.
    pub pid: u32,
    /// Who started it.
    pub by: Launch,
    /// What was typed: `renew`, `account rollover`.
    pub verb: String,
}

/// Who started a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// Somebody at a terminal.
    Terminal,
    /// systemd, as the service of our timer.
    Service,
    /// Something else without a terminal: cron, a scheduled task, a script.
    Program,
    /// It is the daemon.
    Daemon,
}

/// What every line says besides the act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Who.
    pub who: Who,
    /// The version of this program.
    pub version: String,
    /// SHA-256 over all files of the configuration, lower-case hex.
    pub config: String,
}

/// Where the trail is, and where its lines are kept that cannot be written there.
#[derive(Debug, Clone)]
pub struct Place {
    /// The trail.
    pub file: PathBuf,
    /// The state folder.
    pub state: PathBuf,
}

impl Place {
    fn kept(&self) -> PathBuf {
        self.state.join(KEPT)
    }

    /// Every file with lines that are kept, those included that a process which has died had taken.
    fn kept_files(&self) -> Vec<PathBuf> {
        append::beside(&self.kept(), KEPT_STEM)
    }

    /// How many lines could not be written yet.
    pub fn unwritten(&self) -> usize {
        let lines = self.kept_files().into_iter().filter_map(|path| {
            let kept = append::read(&path, KEPT_CAP).ok().flatten()?;
            Some(kept.iter().filter(|byte| **byte == b'\n').count())
        });
        lines.sum()
    }

    /// Files with lines that are kept which this user cannot read, so that they stay there.
    pub fn unreadable(&self) -> Vec<PathBuf> {
        let mut files = self.kept_files();
        files.retain(|path| append::read(path, 0).is_err());
        files
    }

    /// Whether it can be written. Nothing is made to find out.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn look(&self) -> Result<(), AppendError> {
        append::look(&self.file, Some(&self.state))
    }
}

/// A trail that is being written.
pub struct AuditFile {
    place: Place,
    header: Header,
    clock: Arc<dyn Clock>,
    /// Whether a trail that is not there is made.
    begins: AtomicBool,
    /// True if the last line could not be written: that is said once and not for each.
    failing: Mutex<bool>,
}

impl std::fmt::Debug for AuditFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditFile")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl AuditFile {
    /// Nothing is opened before there is something to write. A trail that is there is added to, but
    /// none is made: this process may only look.
    pub fn new(place: Place, header: Header, clock: Arc<dyn Clock>) -> Self {
        Self {
            place,
            header,
            clock,
            begins: AtomicBool::new(false),
            failing: Mutex::new(false),
        }
    }

    /// This process changes something: from now on a trail that is not there is made. What could not
    /// be written before is written now, if that is possible.
    pub fn begin(&self) {
        self.begins.store(true, Ordering::Relaxed);
        if !self.place.kept_files().is_empty() {
            // If not, there is nothing new to say.
            let _later = self.add("", true);
        }
    }

    fn missing(&self) -> Missing {
        match self.begins.load(Ordering::Relaxed) {
            true => Missing::Made,
            false => Missing::Refused,
        }
    }

    /// Where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Writes lines where they belong, after those that could not be written before.
    fn add(&self, lines: &str, must_last: bool) -> Result<(), AppendError> {
        let path = &self.place.file;
        let mut file = append::open(path, self.missing(), Some(&self.place.state))?;
        let failed = |cause: std::io::Error| AppendError {
            path: path.clone(),
            cause: cause.into(),
        };
        let taken = self.take_kept(lines.is_empty());
        for (_, kept) in &taken {
            append::add(&mut file, kept).map_err(failed)?;
        }
        if !lines.is_empty() {
            append::add(&mut file, lines.as_bytes()).map_err(failed)?;
        }
        if must_last || !taken.is_empty() {
            file.sync_data().map_err(failed)?;
        }
        for (from, _) in taken {
            // Doubled lines are better than lost ones.
            let _left = append::remove(&from);
        }
        Ok(())
    }

    /// What was kept, under a name by which no other process takes it; with `all` also what one that has
    /// died had taken. One that lives may be at it just then, and doubles it.
    fn take_kept(&self, all: bool) -> Vec<(PathBuf, Vec<u8>)> {
        let kept = self.place.kept();
        if !all && !kept.exists() {
            return Vec::new();
        }
        let ours = kept.with_extension(format!("{}.jsonl", self.header.who.pid));
        // What cannot be read is left to whoever can, under the name by which it is looked for.
        if append::read(&kept, 0).is_ok() {
            // Another process may have been faster.
            let _gone = append::rename(&kept, &ours);
        }
        let files = self.place.kept_files().into_iter();
        let taken = files.filter_map(|path| {
            let bytes = append::read(&path, KEPT_CAP).ok().flatten()?;
            Some((path, bytes))
        });
        taken.collect()
    }

    /// Keeps a line that could not be written.
    fn keep(&self, line: &str) -> Result<(), AppendError> {
        let kept = self.place.kept();
        let failed = |cause: std::io::Error| AppendError {
            path: kept.clone(),
            cause: cause.into(),
        };
        // Without a state there is nothing to keep it in, and none is begun by this.
        let missing = match self.place.state.join("format").exists() {
            true => self.missing(),
            false => Missing::Refused,
        };
        let mut file = append::open(&kept, missing, Some(&self.place.state))?;
        let size = file.metadata().map_err(failed)?.len();
        if size.saturating_add(line.len() as u64) > KEPT_CAP {
            return Err(failed(std::io::ErrorKind::StorageFull.into()));
        }
        append::add(&mut file, line.as_bytes()).map_err(failed)?;
        file.sync_data().map_err(failed)
    }

    /// Says what became of a line that could not be written: that it is kept once, that it is lost each
    /// time, because the log is all that has it then.
    fn tell(&self, line: &str, error: &AppendError, kept: Result<(), AppendError>, first: bool) {
        let hint = error.hint();
        match (kept, self.missing()) {
            (Ok(()), Missing::Made) if first => {
                tracing::error!(cause = %error, hint, "the audit trail cannot be written; acts are \
                    kept in the state folder");
            }
            (Ok(()), _) => {}
            (Err(also), Missing::Made) => {
                tracing::error!(cause = %error, hint, %also, line = line.trim_end(), "an act is in no \
                    audit trail but this log");
            }
            // Somebody who only looks, and who may not belong here. `check` tells it as a finding.
            (Err(also), Missing::Refused) => {
                tracing::debug!(cause = %error, %also, line = line.trim_end(), "an act is in no trail");
            }
        }
    }
}

impl AuditLog for AuditFile {
    fn write(&self, run: Option<&str>, act: &Act) {
        let line = line::line(&self.header, self.clock.now(), run, act);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.add(&line, act.must_last()) {
            Ok(()) => *failing = false,
            Err(error) if error.is_missing() && self.missing() == Missing::Refused => {}
            Err(error) => {
                let kept = self.keep(&line);
                self.tell(&line, &error, kept, !*failing);
                *failing = true;
            }
        }
    }
}

/// The digest of a configuration: SHA-256 over a line for each file, as `sha256sum` prints them for
/// whole paths. `sha256sum FILES | sha256sum` gives the same.
pub fn digest_of_files<'f>(files: impl Iterator<Item = (&'f Path, &'f str)>) -> String {
    let lines = files.map(|(path, text)| {
        let digest = crate::x509::sha256_hex(text.as_bytes());
        format!("{digest}  {}\n", path.display())
    });
    crate::x509::sha256_hex(lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests;
