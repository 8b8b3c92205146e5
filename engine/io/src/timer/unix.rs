//! Where systemd, cron and launchd look.

use std::fs;
use std::path::{Path, PathBuf};

use super::User;

/// The variable with the home folder.
pub(super) const HOME: &str = "HOME";

pub(super) fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Files and folders that name what is started.
pub(super) fn places(user: Option<&User>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/user",
        "/etc/crontab",
        "/etc/cron.d",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/var/spool/cron/crontabs",
        "/var/spool/cron",
        "/Library/LaunchDaemons",
    ]
    .map(PathBuf::from)
    .into();
    if let Some(user) = user {
        places.push(user.config.join("systemd/user"));
        places.push(user.home.join("Library/LaunchAgents"));
    }
    places
}

/// Processes of that program with that argument. Linux shows them as files; elsewhere none is found.
pub(super) fn processes(word: &str, argument: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = std::process::id();
    let mut found: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != ours && runs(&command_line(*id), word, argument))
        .collect();
    found.sort_unstable();
    found
}

fn command_line(id: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// True if that command line is one of the program with that argument.
fn runs(argv: &[String], word: &str, argument: &str) -> bool {
    let Some((program, arguments)) = argv.split_first() else {
        return false;
    };
    let named = Path::new(program)
        .file_name()
        .is_some_and(|name| name == word);
    named && arguments.iter().any(|one| one == argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_program_and_argument() {
        let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let daemon = |line| runs(&argv(line), "waxwing", "daemon");
        assert!(daemon("/usr/bin/waxwing -c /etc/w.toml daemon"));
        assert!(!daemon("/usr/bin/waxwing renew"));
        assert!(!daemon("vi /etc/waxwing daemon"));
        assert!(!runs(&[], "waxwing", "daemon"));
    }
}
