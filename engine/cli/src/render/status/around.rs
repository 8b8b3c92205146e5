//! The last line of `status`: what starts the runs, this program, and how old is what it knows.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::time::{Timestamp, Window};
use waxwing_core::timer::Moment;
use waxwing_flow::monitor::Health;
use waxwing_flow::terms::NewTerms;

use super::StatusView;
use crate::render::page::{Context, list};

/// What is known of the program besides its certificates. Nothing of it, where nobody looks at it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Around {
    /// What starts the runs by itself; none: it was not looked for.
    pub(crate) started: Option<Vec<Started>>,
    /// The command that has them started.
    pub(crate) add: String,
    /// When what is known of the CAs in use was checked last; of several the earliest.
    pub(crate) profiles: Option<Date>,
    /// The CAs in use, as far as somebody has looked.
    pub(crate) cas: Vec<SeenCa>,
    /// Terms that are not those that were agreed to.
    pub(crate) terms: Vec<NewTerms>,
}

/// How a CA in use is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenCa {
    /// Which.
    pub(crate) ca: CaName,
    /// What is known of now.
    pub(crate) now: CaNow,
    /// The last time in which it did not answer.
    pub(crate) was_down: Option<Window>,
}

/// What is known of a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaNow {
    /// It answers.
    Up,
    /// It answers, and has issued nothing since then although it was asked again and again.
    IssuesNothing(Timestamp),
    /// It has not answered since then.
    Down(Timestamp),
    /// It had not answered since then when somebody looked last, which is some time ago.
    WasDown(Timestamp),
    /// Nobody has looked lately.
    Unknown,
}

impl SeenCa {
    /// What many looks at it say.
    pub(crate) fn of(ca: CaName, health: &Health, now: Timestamp) -> Self {
        let fruitless = health.fruitless.as_ref();
        let fruitless = fruitless.filter(|fruitless| fruitless.is_current(now));
        Self {
            ca,
            now: match (health.is_current(now), health.down_since, fruitless) {
                (true, Some(since), _) => CaNow::Down(since),
                (_, _, Some(fruitless)) => CaNow::IssuesNothing(fruitless.since),
                (false, Some(since), _) => CaNow::WasDown(since),
                (false, None, _) => CaNow::Unknown,
                (true, None, _) => CaNow::Up,
            },
            was_down: health.trouble.as_ref().map(|(window, _)| *window),
        }
    }
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

/// So long a CA that was down is told of.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);

/// How the CAs in use are doing; none if nobody has looked lately.
pub(super) fn cas(view: &StatusView<'_>, context: &Context) -> Option<String> {
    let cas = &view.around.cas;
    let known = cas.iter().filter(|one| one.now != CaNow::Unknown).count();
    if known == 0 {
        return None;
    }
    let mut said = Vec::new();
    if cas.iter().all(|one| one.now == CaNow::Up) {
        said.push("all up".to_owned());
    }
    for one in cas {
        let lately = |window: &Window| context.now.since(window.end) <= LATELY;
        match (one.now, one.was_down.filter(lately)) {
            (CaNow::Down(since), _) => {
                said.push(format!("{} down since {}", one.ca, context.moment(since)));
            }
            (CaNow::IssuesNothing(since), _) => said.push(format!(
                "{} answers and issues nothing since {}",
                one.ca,
                context.moment(since)
            )),
            (CaNow::WasDown(since), _) => said.push(format!(
                "{} did not answer from {} on, and nobody has looked lately",
                one.ca,
                context.moment(since)
            )),
            (CaNow::Up, Some(window)) => said.push(format!(
                "{} was down from {} until {}",
                one.ca,
                context.moment(window.start),
                context.moment(window.end)
            )),
            (CaNow::Up | CaNow::Unknown, _) => {}
        }
    }
    let of = |now: CaNow| {
        let of = cas.iter().filter(move |one| one.now == now);
        of.map(|one| &one.ca).collect::<Vec<_>>()
    };
    let (up, unknown) = (of(CaNow::Up), of(CaNow::Unknown));
    if !unknown.is_empty() {
        if said.is_empty() {
            said.push(format!("{} up", list(&up, up.len())));
        }
        let unknown = list(&unknown, unknown.len());
        said.push(format!("nobody has looked at {unknown} lately"));
    }
    Some(format!("CAs: {}.", said.join("; ")))
}

/// Terms that wait for a person: a line for each CA.
pub(in crate::render) fn terms(view: &StatusView<'_>) -> impl Iterator<Item = (String, String)> {
    view.around.terms.iter().map(|new| {
        let ca = &new.ca;
        let text = format!("{ca} has new terms: {}", new.now);
        (
            text,
            format!("when you have read them: waxwing account agree {ca}"),
        )
    })
}

/// The last line: what starts the runs, this program, and how old is what it knows.
pub(super) fn line(view: &StatusView<'_>, context: &Context) -> String {
    let mut said = Vec::new();
    match view.around.started.as_deref() {
        None => {}
        Some([]) => {
            said.push(format!(
                "Timer: none; `{}` has the runs started.",
                view.around.add
            ));
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

/// Where a run comes every hour, so long a silence is none of them being late.
pub(crate) const SILENT: Duration = Duration::from_secs(26 * 60 * 60);

fn started(one: &Started, context: &Context) -> String {
    let last = one
        .last
        .map_or_else(String::new, |at| format!(", last ran {}", context.ago(at)));
    let silent = one.last.filter(|at| context.now.since(*at) > SILENT);
    match (one.when, &one.place) {
        (When::Hourly(moment), _) if silent.is_some() => format!(
            "hourly at :{:02}, and no run came since {}: `waxwing check`",
            moment.minute(),
            silent.map_or_else(String::new, |at| context.ago(at))
        ),
        (When::Hourly(moment), _) => format!("hourly at :{:02}{last}", moment.minute()),
        (When::Always, _) => "the daemon runs".to_owned(),
        (When::Unknown, Some(place)) => format!("{}{last}", place.display()),
        (When::Unknown, None) => format!("not seen{last}"),
    }
}
