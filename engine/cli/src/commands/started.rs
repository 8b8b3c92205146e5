//! What starts the runs by itself, as it can be told: when, and when it did so last.

use std::path::{Path, PathBuf};

use waxwing_core::timer::{Kind, Moment};
use waxwing_io::timer::{self as system, Starter};

use super::schedule::starters;
use crate::render::schedule;
use crate::render::status::{Started, When};

/// Everything that starts the runs of this configuration. A timer that was never enabled starts none.
pub(super) fn seen(config: &Path) -> Vec<Started> {
    let all = starters(config).into_iter();
    all.filter(|starter| match starter {
        Starter::File(path) => not_enabled(path).is_none(),
        Starter::Daemon(_) => true,
    })
    .map(|starter| match starter {
        Starter::Daemon(_) => Started {
            when: When::Always,
            place: None,
            last: None,
        },
        Starter::File(path) => Started {
            when: moment(&path).map_or(When::Unknown, When::Hourly),
            last: system::last_start(&path),
            place: Some(path),
        },
    })
    .collect()
}

/// The minute that stands in a file, or in the timer beside a service.
pub(super) fn moment(path: &Path) -> Option<Moment> {
    let timer = path.with_extension("timer");
    let text = |path: &Path| system::read(path).ok().flatten().unwrap_or_default();
    Kind::ALL.into_iter().find_map(|kind| {
        let file = if kind == Kind::Systemd { &timer } else { path };
        schedule::moment(kind, &text(file))
    })
}

/// The timer of a service, if there is one and systemd does not start it.
pub(super) fn not_enabled(service: &Path) -> Option<PathBuf> {
    let timer = service.with_extension("timer");
    let name = timer.file_name()?;
    let wants = timer.with_file_name("timers.target.wants").join(name);
    (timer.exists() && !wants.exists()).then_some(timer)
}
