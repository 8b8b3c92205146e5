//! The Task Scheduler keeps each task in a file of its name, which administrators can see.

use std::path::Path;

use waxwing_core::neighbour::{By, Start};

use super::entries;

/// Where tasks are.
const TASKS: &str = r"C:\Windows\System32\Tasks";

/// Folders of programs that stay and renew by themselves.
const SERVICES: [(&str, &str); 1] = [("Certify", r"C:\Program Files\CertifyTheWeb")];

pub(super) fn starts(_root: &Path) -> Vec<Start> {
    let tasks = entries(Path::new(TASKS)).into_iter().filter_map(|place| {
        let text = place.file_name()?.to_str()?.to_owned();
        Some(Start {
            place,
            by: By::Task,
            text,
        })
    });
    let services = SERVICES
        .iter()
        .filter(|(_, folder)| Path::new(folder).is_dir());
    let services = services.map(|(name, folder)| Start {
        place: Path::new(folder).to_owned(),
        by: By::Task,
        text: (*name).to_owned(),
    });
    tasks.chain(services).collect()
}
