//! The last line of `status`: what starts the runs, this program, and how old is what it knows.

use std::path::PathBuf;

use jiff::civil::Date;
use waxwing_core::ca::CaProfile;
use waxwing_core::time::Timestamp;
use waxwing_core::timer::Moment;

use super::StatusView;
use crate::render::page::Context;

/// What is known of the program besides its certificates. Nothing of it, where nobody looks at it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Around {
    /// What starts the runs by itself; none: it was not looked for.
    pub(crate) started: Option<Vec<Started>>,
    /// When what is known of the CAs in use was checked last; of several the earliest.
    pub(crate) profiles: Option<Date>,
}

/// Something that starts the runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    /// When.
    pub(crate) when: When,
    /// The file in which it stands; none for a process.
    pub(crate) place: Option<PathBuf>,
    /// When it did so last, if that can be known.
    pub(crate) last: Option<Timestamp>,
}

/// When runs are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At that minute of every hour.
    Hourly(Moment),
    /// The daemon does it, whenever there is something to do.
    Always,
    /// As somebody has written it.
    Unknown,
}

impl Around {
    /// When what is known of these CAs was checked, by their profiles; of several the earliest.
    pub(crate) fn checked<'a>(profiles: impl Iterator<Item = &'a CaProfile>) -> Option<Date> {
        let dates = profiles.filter_map(|profile| profile.notes.get("checked")?.parse().ok());
        dates.min()
    }
}

/// The last line: what starts the runs, this program, and how old is what it knows.
pub(super) fn line(view: &StatusView<'_>, context: &Context) -> String {
    let mut said = Vec::new();
    match view.around.started.as_deref() {
        None => {}
        Some([]) => {
            said.push("Timer: none; `waxwing schedule add` has the runs started.".to_owned())
        }
        Some(all) => {
            let all: Vec<String> = all.iter().map(|one| started(one, context)).collect();
            said.push(format!("Timer: {}.", all.join("; ")));
        }
    }
    said.push(match view.around.profiles {
        Some(date) => {
            let year = context.local_date().year() != date.year();
            let form = if year { "%-d %b %Y" } else { "%-d %b" };
            format!(
                "Waxwing {}, profiles of {}.",
                view.version,
                date.strftime(form)
            )
        }
        None => format!("Waxwing {}.", view.version),
    });
    said.join(" ")
}

fn started(one: &Started, context: &Context) -> String {
    let last = one
        .last
        .map_or_else(String::new, |at| format!(", last ran {}", context.ago(at)));
    match (one.when, &one.place) {
        (When::Hourly(moment), _) => format!("hourly at :{:02}{last}", moment.minute()),
        (When::Always, _) => "the daemon runs".to_owned(),
        (When::Unknown, Some(place)) => format!("{}{last}", place.display()),
        (When::Unknown, None) => "something".to_owned(),
    }
}
