//! Where systemd, cron and launchd look.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::User;

/// The variable with the home folder.
pub(super) const HOME: &str = "HOME";

pub(super) fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The number that the machine was given when it was set up; empty if it has none.
pub(super) fn machine() -> String {
    let mut places = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter();
    places
        .find_map(|place| fs::read_to_string(place).ok())
        .unwrap_or_default()
}

/// When its entry was written: a package has files that are older than the machine.
pub(super) fn placed(path: &Path) -> Option<SystemTime> {
    let seconds = u64::try_from(fs::metadata(path).ok()?.ctime()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

pub(super) fn link(path: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Files and folders that name what is started.
pub(super) fn places(user: Option<&User>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/etc/systemd/user",
        "/etc/crontab",
        "/etc/anacrontab",
        "/etc/cron.d",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/etc/cron.weekly",
        "/var/spool/cron/crontabs",
        "/var/spool/cron",
        // SUSE, and Alpine.
        "/var/spool/cron/tabs",
        "/etc/crontabs",
        "/etc/periodic/15min",
        "/etc/periodic/hourly",
        "/etc/periodic/daily",
        "/etc/periodic/weekly",
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

/// True if whoever reads that folder takes a file of that name, with such rights.
pub(super) fn is_taken(path: &Path) -> bool {
    let part = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name);
        name.and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned()
    };
    let name = part(Some(path));
    let folder = path.parent();
    match part(folder).as_str() {
        // `systemd.unit(5)`; a timer starts a service.
        "system" | "user" if part(folder.and_then(Path::parent)) == "systemd" => {
            name.ends_with(".service")
        }
        "cron.d" => is_taken_by_cron(&name) && is_of_root(path),
        "cron.hourly" | "cron.daily" | "cron.weekly" | "15min" | "hourly" | "daily" | "weekly" => {
            is_taken_by_cron(&name)
                && fs::metadata(path).is_ok_and(|found| found.mode() & 0o111 != 0)
        }
        _ => true,
    }
}

/// As Debian's cron and `run-parts` have it (cron(8), run-parts(8)), or elsewhere as cronie does, which leaves out what
/// editors and packages put there.
fn is_taken_by_cron(name: &str) -> bool {
    const LEFT_OUT: [&str; 7] = [
        "~", ",v", ".rpmsave", ".rpmorig", ".rpmnew", ".swp", ".cfsaved",
    ];
    if Path::new("/etc/debian_version").exists() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        return name.chars().all(plain);
    }
    !name.starts_with('.') && !LEFT_OUT.iter().any(|end| name.ends_with(end))
}

/// cron leaves out what others can change.
fn is_of_root(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
}

/// Where systemd notes when a timer has started its service, for a machine or for a user.
pub(super) fn stamps(user: Option<&User>, service: &Path) -> Vec<PathBuf> {
    match user {
        Some(user) if service.starts_with(&user.config) => {
            vec![user.home.join(".local/share/systemd/timers")]
        }
        _ => vec![PathBuf::from("/var/lib/systemd/timers")],
    }
}

/// The processes of this machine with their command lines, without this one. Linux shows them as files;
/// elsewhere none is found.
pub(super) fn processes() -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = std::process::id();
    let mut found: Vec<(u32, Vec<String>)> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != ours)
        .map(|id| (id, command_line(id)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_beside_what_is_started_start_nothing() {
        for (path, taken) in [
            ("/etc/systemd/system/waxwing.service", true),
            ("/etc/systemd/system/waxwing.service.bak", false),
            ("/etc/systemd/system/waxwing", false),
            ("/home/ops/.config/systemd/user/waxwing.service~", false),
            ("/var/spool/cron/crontabs/root", true),
            ("/etc/crontab", true),
        ] {
            assert_eq!(is_taken(Path::new(path)), taken, "{path}");
        }
        assert!(is_taken_by_cron("waxwing"));
        for name in ["waxwing~", "waxwing.rpmsave", "waxwing.swp"] {
            assert!(!is_taken_by_cron(name), "{name}");
        }
    }
}
