//! The Task Scheduler keeps its tasks to itself, so the text that was handed to it is looked for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::User;
use crate::config;

/// The variable with the home folder.
pub(super) const HOME: &str = "USERPROFILE";

pub(super) const fn user_id() -> u32 {
    0
}

/// Nothing: the name of the machine has to do.
pub(super) const fn machine() -> String {
    String::new()
}

/// When it was made there: a copy is made anew.
pub(super) fn placed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.created().ok()
}

/// Refused: links need a right there that few have, and nothing that reads them runs there.
pub(super) fn link(_path: &Path, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The text of our own task.
pub(super) fn places(_user: Option<&User>) -> Vec<PathBuf> {
    vec![config::usual_config().with_file_name("waxwing-task.xml")]
}

/// Nothing here lists processes.
pub(super) const fn processes() -> Vec<(u32, Vec<String>)> {
    Vec::new()
}

/// Nothing here keeps stamps.
/// There are no rules for names.
pub(super) const fn is_taken(_path: &Path) -> bool {
    true
}

pub(super) const fn stamps(_user: Option<&User>, _service: &Path) -> Vec<PathBuf> {
    Vec::new()
}
