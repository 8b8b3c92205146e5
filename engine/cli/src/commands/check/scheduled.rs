//! Whether anything starts the runs by itself. A certificate that nobody renews ends.

use std::path::{Path, PathBuf};

use waxwing_core::timer::Start;
use waxwing_io::timer::Starter;

use crate::commands::schedule::starters;
use crate::commands::started;
use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::list;
use crate::render::schedule::told;

const TOPIC: &str = "schedule";

/// What starts the runs, or that nothing does.
pub(super) fn finding(loaded: &Loaded) -> Found {
    let starters = starters(&loaded.config);
    if starters.is_empty() {
        let text = "nothing on this machine starts the runs by itself";
        let hint = "waxwing schedule add";
        return Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned()));
    }
    let files: Vec<&PathBuf> = starters
        .iter()
        .filter_map(|starter| match starter {
            Starter::File(path) => Some(path),
            Starter::Daemon(_) => None,
        })
        .collect();
    if let Some(found) = files.iter().find_map(|path| not_enabled(path))
        && starters.len() == 1
    {
        return found;
    }
    let said: Vec<String> = starters.iter().map(said).collect();
    Found::new(Verdict::Ok, TOPIC, list(&said, 3))
}

/// One of them in words.
fn said(starter: &Starter) -> String {
    let path = match starter {
        Starter::Daemon(id) => return format!("`waxwing daemon` runs as process {id}"),
        Starter::File(path) => path,
    };
    match started::moment(path) {
        Some(moment) => format!("{} ({})", told::when(Start::Hourly(moment)), path.display()),
        None => format!("{} starts them", path.display()),
    }
}

/// A timer of systemd that is written and never enabled starts nothing.
fn not_enabled(service: &Path) -> Option<Found> {
    let timer = started::not_enabled(service)?;
    let name = timer.file_name()?;
    let text = format!("{} is there, but not enabled", timer.display());
    let user = if timer.starts_with("/etc") {
        ""
    } else {
        " --user"
    };
    let hint = format!("systemctl{user} enable --now {}", name.to_string_lossy());
    Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)))
}
