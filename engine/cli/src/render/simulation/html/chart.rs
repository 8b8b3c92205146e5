//! The timeline: rows of bars over one axis of time.
//!
//! Each row is a drawing that is stretched to the width there is, so it holds bars and lines only;
//! what is to be read stands beside it. Every row says in words what it shows.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::disturbance::{Disturbance, Trouble};
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::simulate::{Mark, Marked, Week};

use crate::render::html::{Html, escaped};
use crate::render::page::{Context, count};
use crate::render::simulation::{SimulationView, words};
use crate::render::time::stretch;

/// Drawings are so wide, whatever the screen.
const WIDE: f64 = 1000.0;

/// Colours of CAs; a seventh CA shares the last one.
const COLOURS: usize = 6;

/// Every certificate has a row if there are no more than these.
const ALL_ROWS: usize = 60;

/// Of a larger fleet, so many that were in trouble have one.
const SOME_ROWS: usize = 20;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where things are drawn.
pub(super) struct Chart<'v> {
    view: &'v SimulationView<'v>,
    context: &'v Context,
    window: Window,
    /// A line for each tick of the axis.
    grid: String,
}

impl<'v> Chart<'v> {
    pub(super) fn new(view: &'v SimulationView<'v>, context: &'v Context) -> Self {
        let mut chart = Self {
            view,
            context,
            window: view.story.window,
            grid: String::new(),
        };
        let lines = context.ticks(chart.window);
        let lines = lines
            .iter()
            .map(|(at, _)| format!("M{} 0V100", chart.x(*at)));
        chart.grid = format!("<path class=\"grid\" d=\"{}\"/>", lines.collect::<String>());
        chart
    }

    fn x(&self, at: Timestamp) -> f64 {
        let whole = self.window.end.since(self.window.start).as_secs_f64();
        let part = at.since(self.window.start).as_secs_f64() / whole.max(1.0);
        (part.min(1.0) * WIDE * 10.0).round() / 10.0
    }

    /// The class of a CA's colour.
    pub(super) fn colour(&self, ca: &CaName) -> String {
        let place = self.view.assumed.cas.iter().position(|one| one == ca);
        format!("c{}", place.unwrap_or(COLOURS).min(COLOURS - 1))
    }

    /// The axis.
    pub(super) fn axis(&self, html: &mut Html) {
        html.raw("<div class=\"axis\" aria-hidden=\"true\"><div></div><div class=\"ticks\">");
        for (nth, (at, label)) in self.context.ticks(self.window).into_iter().enumerate() {
            let left = self.x(at) / WIDE * 100.0;
            // Labels near the end would reach over it.
            if left > 97.0 {
                continue;
            }
            let kept = if nth % 3 == 0 { " class=\"k\"" } else { "" };
            html.element(&format!("span{kept} style=\"left:{left:.2}%\""), &label);
        }
        html.raw("</div></div>\n");
    }

    /// A row: its name, what it says in words, and what is drawn.
    fn row(&self, html: &mut Html, name: &str, small: &str, shape: &str, said: &str, drawn: &str) {
        html.raw("<div class=\"row\"><div class=\"name\" title=\"");
        html.text(name).raw("\">").text(name);
        if !small.is_empty() {
            html.element("small", small);
        }
        html.raw("</div><svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\"");
        if !shape.is_empty() {
            html.raw(&format!(" class=\"{shape}\""));
        }
        html.raw(" aria-label=\"").text(said).raw("\">");
        html.raw(&self.grid).raw(drawn).raw("</svg></div>\n");
    }

    /// A bar from one moment to another, in percent of the height, with a title.
    fn bar(&self, class: &str, during: Window, high: (u32, u32), title: &str) -> String {
        let (from, to) = (self.x(during.start), self.x(during.end));
        let wide = ((to - from).max(0.1) * 10.0).round() / 10.0;
        format!(
            "<rect class=\"{class}\" x=\"{from}\" y=\"{}\" width=\"{wide}\" height=\"{}\"><title>{}\
             </title></rect>",
            high.0,
            high.1,
            escaped(title)
        )
    }

    /// A lane for each CA, and for what is wrong on this side.
    pub(super) fn lanes(&self, html: &mut Html) {
        for ca in &self.view.assumed.cas {
            let of = |one: &&Disturbance| match &one.trouble {
                Trouble::Down(who) | Trouble::Slow(who) | Trouble::Rejects(who) => who == ca,
                Trouble::Dns | Trouble::Network | Trouble::Machine => false,
            };
            self.lane(html, ca.as_str(), of);
        }
        for (name, trouble) in [
            ("DNS provider", Trouble::Dns),
            ("network", Trouble::Network),
            ("machine", Trouble::Machine),
        ] {
            let all = &self.view.story.disturbances;
            if all.iter().any(|one| one.trouble == trouble) {
                self.lane(html, name, |one| one.trouble == trouble);
            }
        }
    }

    fn lane(&self, html: &mut Html, name: &str, of: impl Fn(&&Disturbance) -> bool) {
        let all = self.view.story.disturbances.iter().filter(of);
        let all: Vec<&Disturbance> = all
            .filter(|one| one.during.start < self.window.end && one.during.end > self.window.start)
            .collect();
        let long: Duration = all
            .iter()
            .map(|one| one.during.end.since(one.during.start))
            .sum();
        let said = match all.len() {
            0 => format!("{name}: no trouble"),
            number => format!(
                "{name}: {}, {} in all",
                count(number, "disturbance"),
                stretch(long)
            ),
        };
        let drawn: String = all
            .iter()
            .map(|one| {
                let (class, high) = match one.trouble {
                    Trouble::Slow(_) => ("thin amber", (50, 50)),
                    Trouble::Rejects(_) => ("thin red", (0, 50)),
                    _ => ("thin red", (0, 100)),
                };
                let long = stretch(one.during.end.since(one.during.start));
                let from = self.context.stamp(one.during.start);
                let what = words::trouble(&one.trouble);
                self.bar(
                    class,
                    one.during,
                    high,
                    &format!("{what} for {long} from {from}"),
                )
            })
            .collect();
        self.row(html, name, "", "", &said, &drawn);
    }

    /// Week by week: what was issued, what failed, what was told.
    pub(super) fn weeks(&self, html: &mut Html) {
        let weeks = &self.view.story.weeks;
        let most = weeks.iter().map(|week| week.issued.values().sum::<u64>());
        let most = most.max().unwrap_or(0);
        let drawn: String = self
            .each_week()
            .map(|(week, during)| self.stack(week, during, most))
            .collect();
        let said = format!("Certificates issued in each week, {most} at the most");
        self.row(
            html,
            "issued",
            &format!("up to {most} a week"),
            "tall",
            &said,
            &drawn,
        );
        type Number = fn(&Week) -> u64;
        let rows: [(&str, &str, Number); 3] = [
            ("attempts failed", "red", |week| week.failed),
            ("messages", "amber", |week| week.alerts),
            ("ran out", "red", |week| week.expired),
        ];
        for (name, class, number) in rows {
            let most = weeks.iter().map(number).max().unwrap_or(0);
            if most == 0 {
                continue;
            }
            let drawn: String = self
                .each_week()
                .filter(|(week, _)| number(week) > 0)
                .map(|(week, during)| {
                    let high = share(number(week), most);
                    let title = format!("{}: {} {name}", self.week_of(during), number(week));
                    self.bar(class, during, (100 - high, high), &title)
                })
                .collect();
            let said = format!("{name} in each week, {most} at the most");
            self.row(
                html,
                name,
                &format!("up to {most} a week"),
                "low",
                &said,
                &drawn,
            );
        }
    }

    /// Each week with a little space behind it.
    fn each_week(&self) -> impl Iterator<Item = (&Week, Window)> {
        let mut start = self.window.start;
        self.view.story.weeks.iter().map(move |week| {
            let during = Window {
                start,
                end: (start + WEEK.mul_f64(0.85)).min(self.window.end),
            };
            start = start + WEEK;
            (week, during)
        })
    }

    fn week_of(&self, during: Window) -> String {
        format!("week of {}", self.context.day(during.start))
    }

    fn stack(&self, week: &Week, during: Window, most: u64) -> String {
        let mut below = 0;
        let mut drawn = String::new();
        for (ca, number) in &week.issued {
            let high = share(*number, most).min(100 - below);
            below += high;
            let title = format!("{}: {number} by {ca}", self.week_of(during));
            drawn += &self.bar(&self.colour(ca), during, (100 - below, high), &title);
        }
        drawn
    }

    /// A row for each certificate, or for those in trouble. Answers what is shown.
    pub(super) fn certificates(&self, html: &mut Html) -> String {
        let story = self.view.story;
        let mut marks: BTreeMap<&CertificateName, Vec<&Mark>> = BTreeMap::new();
        for mark in &story.marks {
            marks.entry(&mark.certificate).or_default().push(mark);
        }
        let names = &self.view.assumed.names;
        let none = Vec::new();
        let of = |name: &CertificateName| marks.get(name).unwrap_or(&none);
        if names.len() <= ALL_ROWS {
            for name in names {
                self.certificate(html, name, of(name));
            }
            return "Every certificate.".to_owned();
        }
        let trouble = |name: &CertificateName| {
            let weight = |mark: &&Mark| match mark.what {
                Marked::Expired => 1000,
                Marked::Failed { .. } => 1,
                _ => 0,
            };
            of(name).iter().map(weight).sum::<u64>()
        };
        let mut ranked: Vec<_> = names.iter().map(|name| (trouble(name), name)).collect();
        ranked.retain(|(trouble, _)| *trouble > 0);
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        ranked.truncate(SOME_ROWS);
        for (_, name) in &ranked {
            self.certificate(html, name, of(name));
        }
        match ranked.len() {
            0 => format!("None of {} was in trouble.", names.len()),
            shown => format!("The {shown} of {} that were most in trouble.", names.len()),
        }
    }

    fn certificate(&self, html: &mut Html, name: &CertificateName, marks: &[&Mark]) {
        let before = self.view.story.in_place.get(name);
        let before = before.map(|life| (*life, "before".to_owned(), "in place before".to_owned()));
        let issued = marks.iter().filter_map(|mark| match &mark.what {
            Marked::Issued {
                ca,
                fallback,
                until,
            } => {
                let life = Window {
                    start: mark.at,
                    end: *until,
                };
                let by = if *fallback { " (fallback)" } else { "" };
                let from = self.context.stamp(mark.at);
                Some((life, self.colour(ca), format!("issued {from} by {ca}{by}")))
            }
            _ => None,
        });
        let lives: Vec<_> = before.into_iter().chain(issued).collect();
        let mut drawn = String::new();
        for (nth, (life, class, title)) in lives.iter().enumerate() {
            let next = lives.get(nth + 1).map(|(next, _, _)| next.start);
            let end = next
                .map_or(life.end, |next| next.min(life.end))
                .min(self.window.end);
            let title = format!("{title}, valid until {}", self.context.stamp(life.end));
            let during = Window {
                start: life.start.max(self.window.start),
                end,
            };
            drawn += &self.bar(class, during, (15, 70), &title);
            let until = next.unwrap_or(self.window.end);
            if until > life.end && life.end < self.window.end {
                let long = stretch(until.since(life.end));
                let gap = Window {
                    start: life.end,
                    end: until,
                };
                drawn += &self.bar("thin red", gap, (0, 100), &format!("not valid for {long}"));
            }
        }
        let lines = |from: u32, to: u32, wanted: &dyn Fn(&Marked) -> bool| {
            let mut places: Vec<f64> = marks
                .iter()
                .filter(|mark| wanted(&mark.what))
                .map(|mark| (self.x(mark.at) * 2.0).round() / 2.0)
                .collect();
            places.dedup();
            let line = |x: &f64| format!("M{x} {from}V{to}");
            places.iter().map(line).collect::<String>()
        };
        let renewed = lines(0, 100, &|it| {
            matches!(
                it,
                Marked::Issued {
                    fallback: false,
                    ..
                }
            )
        });
        let elsewhere = lines(0, 100, &|it| {
            matches!(it, Marked::Issued { fallback: true, .. })
        });
        let failed = lines(55, 100, &|it| matches!(it, Marked::Failed { .. }));
        for (class, lines) in [("cut", renewed), ("other", elsewhere), ("fail", failed)] {
            if !lines.is_empty() {
                drawn += &format!("<path class=\"{class}\" d=\"{lines}\"/>");
            }
        }
        let number = |wanted: &dyn Fn(&Marked) -> bool| {
            marks.iter().filter(|mark| wanted(&mark.what)).count()
        };
        let said = format!(
            "{name}: {} issued, {} by a fallback, {} failed, ran out {}",
            number(&|it| matches!(it, Marked::Issued { .. })),
            number(&|it| matches!(it, Marked::Issued { fallback: true, .. })),
            count(number(&|it| matches!(it, Marked::Failed { .. })), "attempt"),
            count(number(&|it| matches!(it, Marked::Expired)), "time"),
        );
        self.row(html, name.as_str(), "", "", &said, &drawn);
    }
}

/// A number in percent of the most, at least 2 so that it can be seen.
fn share(number: u64, most: u64) -> u32 {
    let percent = number.saturating_mul(100) / most.max(1);
    u32::try_from(percent).unwrap_or(100).clamp(2, 100)
}
