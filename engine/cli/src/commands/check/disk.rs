//! Whether there is room for what a run writes: its state, and the files of installers.

use std::path::{Path, PathBuf};

use waxwing_core::settings::Settings;
use waxwing_io::disk::{Room, room};

use crate::render::check::{Found, Verdict};
use crate::render::page::list;

const TOPIC: &str = "disk";

/// A run writes a few hundred kilobytes, its history and compiled plugins some megabytes: less than this
/// is a matter of days.
const SCARCE: u64 = 100 << 20;

/// Less than this and a run may fail.
const TOO_LITTLE: u64 = 10 << 20;

/// Likewise for files: each version of a certificate has five, each folder counts as one.
const FEW_FILES: u64 = 1_000;

/// Likewise.
const TOO_FEW_FILES: u64 = 50;

/// One line for each disk that is short of room, or one for all.
pub(super) fn findings(settings: &Settings, state: &Path) -> Vec<Found> {
    let mut folders: Vec<PathBuf> = vec![state.to_owned()];
    let plugins = settings.plugins.values();
    let granted = plugins.flat_map(|plugin| plugin.grants.files.values());
    folders.extend(granted.map(|grant| grant.dir.clone()));
    let mut disks: Vec<(Room, Vec<PathBuf>)> = Vec::new();
    for folder in folders {
        let Some(room) = room(&folder) else {
            continue;
        };
        match disks.iter_mut().find(|(one, _)| one.disk == room.disk) {
            Some((_, on_it)) if on_it.contains(&folder) => {}
            Some((_, on_it)) => on_it.push(folder),
            None => disks.push((room, vec![folder])),
        }
    }
    disks
        .iter()
        .map(|(room, on_it)| judge(room, on_it))
        .collect()
}

fn judge(room: &Room, folders: &[PathBuf]) -> Found {
    let shown: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    let shown = list(&shown, 3);
    let files = room.files.unwrap_or(u64::MAX);
    let verdict = if room.bytes < TOO_LITTLE || files < TOO_FEW_FILES {
        Verdict::Error
    } else if room.bytes < SCARCE || files < FEW_FILES {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    // What is plenty needs no number.
    let counted = match room.files {
        Some(files) if files < FEW_FILES => format!(" and {files} files"),
        _ => String::new(),
    };
    let text = format!("{}{counted} free for {shown}", size(room.bytes));
    let found = Found::new(verdict, TOPIC, text);
    match verdict {
        Verdict::Ok => found,
        Verdict::Warn | Verdict::Error => {
            found.hint(Some(format!("df -h {0}; df -i {0}", folders[0].display())))
        }
    }
}

/// `12 GB`, as disks are sold.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each kind.
    pub(in super::super) fn examples() -> Vec<Found> {
        let folders = [
            PathBuf::from("/var/lib/waxwing"),
            PathBuf::from("/etc/nginx/tls"),
        ];
        let rooms = [
            (500_000_000_000, None),
            (50_000_000, Some(90_000)),
            (9_000_000_000, Some(12)),
        ];
        let judged = rooms.map(|(bytes, files)| {
            let room = Room {
                disk: 1,
                bytes,
                files,
            };
            judge(&room, &folders)
        });
        judged.to_vec()
    }

    #[test]
    fn bytes_and_files_both_count() {
        let verdicts: Vec<Verdict> = examples().iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warn, Verdict::Error]);
    }
}
