//! `simulate`: what was assumed, what happened, and whether it was what is promised.

pub(crate) mod html;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use waxwing_core::alert::Step;
use waxwing_core::disturbance::Disturbance;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::time;
use waxwing_flow::simulate::Story;

use self::words::{LEFT_OUT, MODEL, figure, times, verdict};
use super::page::{Context, Ink, Line, Page, count, list};
use super::table::{Align, Cell, Table};
use super::time::stretch;

/// So much trouble is listed.
const TROUBLE: usize = 12;

/// So many messages are listed.
const MESSAGES: usize = 6;

/// So many expiries are listed.
const EXPIRIES: usize = 12;

/// So many names are listed.
const NAMES: usize = 6;

/// Where the facts of a section begin.
const FACTS: usize = 14;

/// What is shown.
pub(crate) struct SimulationView<'a> {
    /// What happened.
    pub(crate) story: &'a Story,
    /// What it started from.
    pub(crate) assumed: &'a Assumed,
    /// Of this program.
    pub(crate) version: &'static str,
}

/// What a simulation started from.
#[derive(Debug)]
pub(crate) struct Assumed {
    /// The CAs that can be asked, in the order of the lists.
    pub(crate) cas: Vec<CaName>,
    /// Every certificate.
    pub(crate) names: Vec<CertificateName>,
    /// Those that have one CA only.
    pub(crate) alone: BTreeSet<CertificateName>,
    /// What is in place.
    pub(crate) beginning: Beginning,
    /// How often a run is started.
    pub(crate) every: Duration,
    /// The chance that one is killed.
    pub(crate) crash_rate: f64,
    /// So many disturbances of the story, from its first, were asked for by the operator.
    pub(crate) scripted: usize,
    /// What is odd about it.
    pub(crate) warnings: Vec<String>,
}

/// What is in place at the beginning.
#[derive(Debug)]
pub(crate) enum Beginning {
    /// A generated fleet with these lives.
    Fleet(Vec<Duration>),
    /// What is stored.
    Stored {
        /// Certificates of which nothing usable is stored, so that they are issued first.
        first: Vec<CertificateName>,
    },
    /// Nothing, and why.
    Nothing(String),
}

impl Beginning {
    /// In one line.
    fn said(&self, certificates: usize) -> String {
        match self {
            Self::Fleet(lives) => {
                let lives: Vec<String> = lives.iter().map(|life| time::stretch(*life)).collect();
                let lives = lives.join(", ");
                format!(
                    "a generated fleet with lives of {lives} in turn, in place since random moments"
                )
            }
            Self::Stored { first } if first.is_empty() => "what is stored".to_owned(),
            Self::Stored { first } => format!(
                "what is stored, {} of {certificates}; issued first: {}",
                certificates.saturating_sub(first.len()),
                list(first, NAMES)
            ),
            Self::Nothing(why) => format!("nothing, so everything is issued first: {why}"),
        }
    }
}

/// The text for people.
pub(crate) fn render(view: &SimulationView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(&Line::indented(0).ink(Ink::Strong, sum(view)));
    assumed(view, context, &mut page);
    issued(view, &mut page);
    failures(view, &mut page);
    messages(view, context, &mut page);
    expiries(view, context, &mut page);
    limits(view, &mut page);
    let left_out = fact("Left out")
        .text(LEFT_OUT.join("; "))
        .text(". ")
        .text(MODEL);
    page.line(&left_out);
    let verdict = verdict(view);
    page.line(&Line::indented(0).ink(verdict.ink, verdict.text));
    if let Some(hint) = verdict.hint {
        page.hint(2, &hint);
    }
    page.finish()
}

/// `4 certificates, 365 days: 28 issued, 3 of them by a fallback; 17 attempts failed; 1 ran out`
fn sum(view: &SimulationView<'_>) -> String {
    let story = view.story;
    let mut said = match (story.all_issued(), story.by_fallback()) {
        (issued, 0) => format!("{issued} issued"),
        (issued, fallback) => format!("{issued} issued, {fallback} of them by a fallback"),
    };
    let failed: u64 = story.failures.values().sum();
    if failed > 0 {
        let failed = usize::try_from(failed).unwrap_or(usize::MAX);
        said += &format!("; {} failed", count(failed, "attempt"));
    }
    said += &match story.expired.len() {
        0 => "; nothing ran out".to_owned(),
        number => format!("; {number} ran out"),
    };
    let all = count(story.certificates, "certificate");
    format!("{all}, {}: {said}", stretch(length(story)))
}

fn length(story: &Story) -> Duration {
    story.window.end.since(story.window.start)
}

/// Requests for each certificate and year.
fn each_year(view: &SimulationView<'_>, requests: u64) -> f64 {
    let all: u64 = view.story.requests.values().sum();
    if all == 0 {
        return 0.0;
    }
    view.story.requests_a_year() * requests as f64 / all as f64
}

/// A line of facts, with what they are about in front.
fn fact(about: &str) -> Line {
    Line::indented(0)
        .ink(Ink::Strong, about)
        .column(FACTS, 1)
        .hang_here()
}

/// The rows of a table behind what they are about.
fn rows(about: &str, table: &Table, page: &mut Page<'_>) {
    page.line(&Line::indented(0).ink(Ink::Strong, about));
    for line in table.lines() {
        page.line(&line);
    }
}

fn assumed(view: &SimulationView<'_>, context: &Context, page: &mut Page<'_>) {
    let (story, assumed) = (view.story, view.assumed);
    let window = story.window;
    let (from, to) = (context.stamp(window.start), context.stamp(window.end));
    page.line(&fact("Time").text(format!(
        "{from} to {to}, a run each {}, seed {}",
        time::stretch(assumed.every),
        story.seed
    )));
    page.line(&fact("CAs").text(list(&assumed.cas, NAMES)));
    page.line(&fact("In place").text(assumed.beginning.said(story.certificates)));
    if assumed.crash_rate > 0.0 {
        let killed = format!(
            "{} of {}, at a rate of {}",
            story.crashes,
            count(
                usize::try_from(story.busy_runs).unwrap_or(usize::MAX),
                "run"
            ),
            assumed.crash_rate
        );
        page.line(&fact("Killed").text(killed));
    }
    match story.disturbances.as_slice() {
        [] => page.line(&fact("Trouble").text("none")),
        all => {
            let drawn = all.len().saturating_sub(assumed.scripted);
            let drawn = match drawn {
                0 => String::new(),
                number => format!(" ({number} drawn)"),
            };
            let mut table = Table::new(2, &[Align::Left, Align::Left, Align::Left]);
            for one in all.iter().take(TROUBLE) {
                table.row(trouble(one, context).map(Cell::plain).into());
            }
            if all.len() > TROUBLE {
                let rest = format!("and {} more", all.len() - TROUBLE);
                table.row(vec![Cell::of(Ink::Quiet, rest)]);
            }
            rows(&format!("Trouble{drawn}"), &table, page);
        }
    }
    for warning in &assumed.warnings {
        let line = Line::indented(0).ink(Ink::Warn, "warning:").text(" ");
        page.line(&line.hang_here().text(warning));
    }
}

/// What, when and for how long.
fn trouble(one: &Disturbance, context: &Context) -> [String; 3] {
    let long = one.during.end.since(one.during.start);
    [
        words::trouble(&one.trouble),
        context.minute_in_column(one.during.start),
        stretch(long),
    ]
}

fn heads(heads: &[&str]) -> Vec<Cell> {
    let cell = |head: &&str| Cell::of(Ink::Quiet, *head);
    heads.iter().map(cell).collect()
}

/// Certificates of a CA, those of them as a fallback, and requests to it.
fn at_ca(story: &Story, ca: &CaName) -> [u64; 3] {
    let of = |map: &BTreeMap<CaName, u64>| map.get(ca).copied().unwrap_or(0);
    [of(&story.issued), of(&story.fallbacks), of(&story.requests)]
}

fn issued(view: &SimulationView<'_>, page: &mut Page<'_>) {
    let story = view.story;
    let align = [
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Right,
    ];
    let mut table = Table::new(2, &align);
    table.row(heads(&[
        "CA",
        "ISSUED",
        "AS FALLBACK",
        "REQUESTS",
        "A YEAR EACH",
    ]));
    let number = |number: u64| match number {
        0 => "-".to_owned(),
        number => number.to_string(),
    };
    let row = |name: &str, issued: u64, fallback: u64, requests: u64| {
        vec![
            Cell::plain(name),
            Cell::plain(number(issued)),
            Cell::of(
                if fallback > 0 { Ink::Warn } else { Ink::Plain },
                number(fallback),
            ),
            Cell::plain(number(requests)),
            Cell::plain(figure(each_year(view, requests))),
        ]
    };
    for ca in &view.assumed.cas {
        let [issued, fallback, requests] = at_ca(story, ca);
        table.row(row(ca.as_str(), issued, fallback, requests));
    }
    if view.assumed.cas.len() > 1 {
        let requests = story.requests.values().sum();
        let (issued, fallback) = (story.all_issued(), story.by_fallback());
        table.row(row("all", issued, fallback, requests));
    }
    rows("Issued", &table, page);
}

fn failures(view: &SimulationView<'_>, page: &mut Page<'_>) {
    let story = view.story;
    if story.failures.is_empty() {
        page.line(&fact("Failed").text("no attempt"));
        return;
    }
    let align = [Align::Left, Align::Left, Align::Right, Align::Left];
    let mut table = Table::new(2, &align);
    table.row(heads(&["CA", "WHAT IT IS", "ATTEMPTS", "THE FIRST ONE"]));
    for (key, number) in &story.failures {
        let (ca, class) = key;
        let mut chain = story.examples.get(key).into_iter().flatten();
        let first = chain.next().map_or("", String::as_str);
        table.row(vec![
            Cell::plain(words::place(ca.as_ref())),
            Cell::of(Ink::Bad, words::class(*class)),
            Cell::plain(number.to_string()),
            Cell::plain(first),
        ]);
        for cause in chain {
            let empty = || Cell::plain("");
            table.row(vec![empty(), empty(), empty(), Cell::plain(cause)]);
        }
    }
    rows("Failed", &table, page);
}

fn messages(view: &SimulationView<'_>, context: &Context, page: &mut Page<'_>) {
    let alerts = &view.story.alerts;
    if alerts.is_empty() {
        page.line(&fact("Told").text("nobody had to be told anything"));
    } else {
        let said: Vec<String> = steps(view)
            .into_iter()
            .map(|(step, number)| format!("{}: {number}", words::step(step)))
            .collect();
        page.line(&fact("Told").text(said.join("; ")));
        let mut table = Table::new(2, &[Align::Left, Align::Left, Align::Left]);
        for alert in alerts.iter().take(MESSAGES) {
            table.row(vec![
                Cell::plain(context.minute_in_column(alert.at)),
                Cell::of(Ink::Strong, alert.certificate.as_str()),
                Cell::plain(words::step(alert.step)),
            ]);
        }
        if alerts.len() > MESSAGES {
            let rest = format!("and {} more", alerts.len() - MESSAGES);
            table.row(vec![Cell::of(Ink::Quiet, rest)]);
        }
        for line in table.lines() {
            page.line(&line);
        }
    }
    if let Some(closest) = &view.story.closest {
        page.line(&fact("Closest call").text(format!(
            "{}, renewed {} with {} of its {} left",
            closest.certificate,
            context.stamp(closest.at),
            stretch(closest.left),
            stretch(closest.life),
        )));
    }
}

/// How often which step was told.
fn steps(view: &SimulationView<'_>) -> BTreeMap<Step, u64> {
    let mut steps = BTreeMap::new();
    for alert in &view.story.alerts {
        *steps.entry(alert.step).or_default() += 1;
    }
    steps
}

fn expiries(view: &SimulationView<'_>, context: &Context, page: &mut Page<'_>) {
    let expired = &view.story.expired;
    if expired.is_empty() {
        return;
    }
    let align = [Align::Left; 4];
    let mut table = Table::new(2, &align);
    table.row(heads(&[
        "NAME",
        "RAN OUT",
        "FOR",
        "COULD IT HAVE BEEN PREVENTED?",
    ]));
    for one in expired.iter().take(EXPIRIES) {
        let (ours, why) = words::preventable(one);
        let long = one.until.map(|until| stretch(until.since(one.life.end)));
        table.row(vec![
            Cell::of(Ink::Strong, one.certificate.as_str()),
            Cell::plain(context.minute_in_column(one.life.end)),
            Cell::plain(long.unwrap_or_else(|| "the rest".to_owned())),
            Cell::of(if ours { Ink::Bad } else { Ink::Plain }, why),
        ]);
    }
    if expired.len() > EXPIRIES {
        let rest = format!("and {} more", expired.len() - EXPIRIES);
        table.row(vec![Cell::of(Ink::Quiet, rest)]);
    }
    rows("Ran out", &table, page);
}

fn limits(view: &SimulationView<'_>, page: &mut Page<'_>) {
    let limits = &view.story.limits;
    if limits.is_empty() {
        page.line(&fact("Limits").text("these CAs state none that was touched"));
        return;
    }
    let align = [
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
    ];
    let mut table = Table::new(2, &align);
    table.row(heads(&["CA", "WHAT", "LIMIT", "MOST USED", "EXCEEDED"]));
    for used in limits {
        let (ink, exceeded) = match used.exceeded {
            0 => (Ink::Plain, "never".to_owned()),
            number => (Ink::Bad, times(number)),
        };
        table.row(vec![
            Cell::plain(used.ca.as_str()),
            Cell::plain(words::limit(used.kind)),
            Cell::plain(used.limit.to_string()),
            Cell::plain(format!("{} of {}", used.most, used.limit.count)),
            Cell::of(ink, exceeded),
        ]);
    }
    rows("Limits", &table, page);
}

#[cfg(test)]
mod tests;
