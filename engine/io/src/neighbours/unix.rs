//! systemd and cron.

use std::path::{Path, PathBuf};

use waxwing_core::neighbour::{By, Start};

use super::{entries, lines};

/// Folders whose files are run or have lines that are run, and such files.
const CRON: [&str; 9] = [
    "etc/crontab",
    "etc/anacrontab",
    "etc/cron.d",
    "etc/cron.hourly",
    "etc/cron.daily",
    "etc/cron.weekly",
    "etc/cron.monthly",
    "var/spool/cron/crontabs",
    "var/spool/cron",
];

pub(super) fn starts(root: &Path) -> Vec<Start> {
    let mut found = Vec::new();
    let units = entries(&root.join("etc/systemd/system"));
    let wants = units
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "wants"));
    for unit in wants.flat_map(|folder| entries(folder)) {
        let Some(name) = unit.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let real = crate::config::real_path(&unit).unwrap_or_else(|| unit.clone());
        // What a timer starts stands beside it.
        let service = real.with_extension("service");
        found.push(Start {
            text: name.to_owned(),
            by: By::Unit,
            place: unit,
        });
        let runs = lines(&service).into_iter();
        found.extend(
            runs.filter(|line| line.starts_with("ExecStart"))
                .map(|text| Start {
                    place: near(root, &service),
                    by: By::Line,
                    text,
                }),
        );
    }
    for place in CRON.map(|place| root.join(place)) {
        let files = if place.is_dir() {
            entries(&place)
        } else {
            vec![place]
        };
        for file in files {
            found.extend(lines(&file).into_iter().map(|text| Start {
                place: file.clone(),
                by: By::Line,
                text,
            }));
        }
    }
    found
}

/// The path as it was asked for: behind links the root may have another name.
fn near(root: &Path, path: &Path) -> PathBuf {
    let real = crate::config::real_path(root);
    let below = real.and_then(|real| path.strip_prefix(real).ok().map(Path::to_owned));
    below.map_or_else(|| path.to_owned(), |below| root.join(below))
}
