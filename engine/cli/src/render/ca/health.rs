//! How the CAs have answered: a line for each, with a sign for each day.

use std::time::Duration;

use serde_json::{Value, json as value};
use waxwing_core::name::CaName;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::directory::Changed;
use waxwing_flow::history::Fruitless;
use waxwing_flow::monitor::{Health, Part};

use crate::render::page::{Context, Ink, Line, Page, count, list};
use crate::render::table::{Align, Cell, Table};
use crate::render::time::{stretch, took};

/// Days that are shown.
pub(crate) const DAYS: u32 = 30;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Bars by the time to answer.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns that can be left out.
const UP: usize = 2;
const MEDIAN: usize = 4;

/// One CA.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Which.
    pub(crate) ca: CaName,
    /// What all looks say together.
    pub(crate) health: Health,
    /// The last change of each field of its directory, oldest first.
    pub(crate) changed: Vec<Changed>,
}

impl Watched {
    /// True if it does not answer, as far as is known, or issues nothing.
    pub(crate) fn is_in_trouble(&self, now: Timestamp) -> bool {
        self.health.down_since.is_some() || fruitless(&self.health, now).is_some()
    }
}

/// For people.
pub(crate) fn render(watched: &[Watched], context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(&verdict(watched, context));
    if watched.iter().all(|one| one.health.last.is_none()) {
        page.hint(2, "waxwing ca health --now");
        return page.finish();
    }
    let columns = [
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
        Align::Right,
    ];
    let mut table = Table::new(2, &columns).gap(2);
    let days = format!("LAST {DAYS} DAYS");
    let heads = ["CA", "NOW", "UP", &days, "MEDIAN"];
    table.row(heads.map(|head| Cell::of(Ink::Quiet, head)).into());
    for one in watched {
        let health = &one.health;
        let (ink, now) = now(health, context);
        table.row(vec![
            Cell::of(Ink::Strong, one.ca.as_str()),
            Cell::of(ink, now),
            Cell::plain(up(health).unwrap_or_else(|| "-".to_owned())),
            Cell::plain(spark(&health.parts)),
            Cell::plain(health.median.map_or_else(|| "-".to_owned(), took)),
        ]);
    }
    table.fit(context.width, &[MEDIAN, UP]);
    table.lines().iter().for_each(|line| page.line(line));
    for one in watched {
        troubles(one, context, &mut page);
    }
    if watched
        .iter()
        .any(|one| !one.health.is_current(context.now))
    {
        page.hint(2, "waxwing ca health --now");
    }
    page.finish()
}

/// How a CA is doing now, as far as that is known. A look that is old says how it was then.
pub(in crate::render) fn now(health: &Health, context: &Context) -> (Ink, String) {
    let Some(last) = &health.last else {
        return (Ink::Quiet, "not looked at".to_owned());
    };
    if let Some(fruitless) = fruitless(health, context.now) {
        let since = context.moment(fruitless.since);
        return (Ink::Bad, format!("issues nothing since {since}"));
    }
    match (health.is_current(context.now), health.down_since) {
        (true, Some(since)) => (Ink::Bad, format!("down since {}", context.moment(since))),
        (true, None) => (Ink::Good, format!("answers, {}", context.ago(last.at))),
        (false, Some(_)) => (
            Ink::Warn,
            format!("did not answer {}", context.relative(last.at)),
        ),
        (false, None) => (
            Ink::Quiet,
            format!("answered {}", context.relative(last.at)),
        ),
    }
}

/// What is known of a CA that answers, if every attempt to get a certificate fails there.
fn fruitless(health: &Health, now: Timestamp) -> Option<&Fruitless> {
    // That nobody answers says more.
    let down = health.is_current(now) && health.down_since.is_some();
    let fruitless = health.fruitless.as_ref();
    fruitless.filter(|fruitless| !down && fruitless.is_current(now))
}

/// Of less time than this a part says nothing: the first look would be 100 % of a second.
const WORTH_A_PART: Duration = Duration::from_secs(60 * 60);

/// The part of the time in which it answered, and of how much time that is known if it is not nearly all;
/// none if hardly any is known.
pub(in crate::render) fn up(health: &Health) -> Option<String> {
    let part = percent(health.up.filter(|_| health.known >= WORTH_A_PART)?);
    let nearly_all = (DAY * DAYS).mul_f64(0.95);
    Some(if health.known >= nearly_all {
        part
    } else {
        format!("{part} of {}", stretch(health.known))
    })
}

fn verdict(watched: &[Watched], context: &Context) -> Line {
    let all = count(watched.len(), "CA");
    let names = |current: bool| {
        let down = watched.iter().filter(|one| one.health.down_since.is_some());
        let of_then = down.filter(|one| one.health.is_current(context.now) == current);
        of_then.map(|one| one.ca.as_str()).collect::<Vec<&str>>()
    };
    let (down, was_down) = (names(true), names(false));
    let seen = watched.iter().filter_map(|one| one.health.last.as_ref());
    let last_look = seen.map(|last| last.at).max();
    let unknown = watched
        .iter()
        .filter(|one| !one.health.is_current(context.now));
    let unknown: Vec<&CaName> = unknown.map(|one| &one.ca).collect();
    if !down.is_empty() {
        let (does, it) = match down.len() {
            1 => ("does", "it"),
            _ => ("do", "they"),
        };
        return Line::indented(0).ink(
            Ink::Bad,
            format!(
                "{} of {all} in use {does} not answer as {it} should: {}",
                down.len(),
                down.join(", ")
            ),
        );
    }
    let fruitless = watched
        .iter()
        .filter(|one| fruitless(&one.health, context.now).is_some());
    let fruitless: Vec<&str> = fruitless.map(|one| one.ca.as_str()).collect();
    if !fruitless.is_empty() {
        let (does, issue) = match fruitless.len() {
            1 => ("answers", "issues"),
            _ => ("answer", "issue"),
        };
        let text = format!(
            "{} of {all} in use {does} and {issue} nothing: {}",
            fruitless.len(),
            fruitless.join(", ")
        );
        return Line::indented(0).ink(Ink::Bad, text);
    }
    if !was_down.is_empty() {
        let text = format!(
            "{} of {all} in use did not answer as it should when somebody looked last: {}",
            was_down.len(),
            was_down.join(", ")
        );
        return Line::indented(0).ink(Ink::Warn, text);
    }
    match (watched.len(), unknown.len()) {
        (all_of_them, unknown) if unknown == all_of_them => {
            Line::indented(0).text(match last_look {
                None => format!("{all} in use, nobody has looked within 30 days"),
                Some(at) => format!(
                    "{all} in use, nobody has looked since {}",
                    context.moment(at)
                ),
            })
        }
        (1, 0) => Line::indented(0).ink(Ink::Good, format!("{all} in use, it answers")),
        (_, 0) => Line::indented(0).ink(Ink::Good, format!("{all} in use, all answer")),
        (_, _) => Line::indented(0).ink(
            Ink::Good,
            format!(
                "{all} in use, none is known to be down; nobody has looked at {} lately",
                list(&unknown, unknown.len())
            ),
        ),
    }
}

/// `99.2 %`, and 100 only if it is all.
fn percent(part: f64) -> String {
    let tenths = (part * 1000.0).floor() / 10.0;
    if tenths >= 100.0 {
        "100 %".to_owned()
    } else {
        format!("{tenths:.1} %")
    }
}

/// A sign for each part of the time.
pub(in crate::render) fn spark(parts: &[Part]) -> String {
    let slowest = parts.iter().filter_map(|part| part.median).max();
    let sign = |part: &Part| match (part.down, part.median, slowest) {
        (1.., _, _) => '!',
        (0, Some(median), Some(slowest)) => {
            let level = median.as_secs_f64() / slowest.as_secs_f64().max(f64::MIN_POSITIVE);
            let steps = BARS.len() - 1;
            // The highest bar is for the slowest day, if it is slow at all.
            let top = if slowest.as_millis() < 1_000 {
                steps / 2
            } else {
                steps
            };
            let nth = (0..=top)
                .rev()
                .find(|nth| level * top as f64 >= *nth as f64);
            BARS[nth.unwrap_or(0)]
        }
        _ => '.',
    };
    parts.iter().map(sign).collect()
}

/// When a CA was in trouble last, or since when it is.
pub(in crate::render) fn lasted(health: &Health, window: &Window, context: &Context) -> String {
    match health.down_since {
        Some(since) => format!("since {}", context.moment(since)),
        None if window.start == window.end => context.moment(window.start),
        None => format!(
            "{} until {}",
            context.moment(window.start),
            context.moment(window.end)
        ),
    }
}

fn troubles(one: &Watched, context: &Context, page: &mut Page<'_>) {
    if let Some((window, cause)) = &one.health.trouble {
        let when = lasted(&one.health, window, context);
        page.plain(2, format!("{}: in trouble {when}: {cause}", one.ca));
    }
    for text in orders(one, context)
        .into_iter()
        .chain(changes(one, context))
    {
        page.plain(2, text);
    }
}

/// What came of asking it for certificates, if that has failed again and again.
pub(in crate::render) fn orders(one: &Watched, context: &Context) -> Option<String> {
    let fruitless = one.health.fruitless.as_ref()?;
    let all = count(fruitless.attempts as usize, "attempt");
    let since = context.moment(fruitless.since);
    let last = context.relative(fruitless.last);
    let cause = fruitless.causes.join(": ");
    Some(format!(
        "{}: every attempt to get a certificate has failed since {since}, {all}, the last one {last}: {cause}",
        one.ca
    ))
}

/// What it has changed in its directory in the time that is shown, oldest first.
pub(in crate::render) fn changes(one: &Watched, context: &Context) -> Vec<String> {
    let over = context.now - DAY * DAYS;
    let lately = one.changed.iter().filter(|one| one.at >= over);
    let said = lately.map(|changed| {
        let seen = context.moment(changed.at);
        let change = &changed.change;
        format!(
            "{} has changed its directory, seen {seen}: {change}",
            one.ca
        )
    });
    said.collect()
}

/// For machines.
pub(crate) fn json(watched: &[Watched], now: Timestamp) -> Value {
    let one = |one: &Watched| {
        let health = &one.health;
        let last = health.last.as_ref();
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let days: Vec<Value> = health
            .parts
            .iter()
            .map(|part| {
                value!({
                    "up": part.up,
                    "down": part.down,
                    "median_ms": part.median.map(ms),
                })
            })
            .collect();
        value!({
            "ca": one.ca.as_str(),
            "last": last.map(|last| value!({
                "at": last.at.to_string(),
                "took_ms": last.result.clone().ok().map(ms),
                "cause": last.result.clone().err(),
            })),
            "down_since": health.down_since.map(|at| at.to_string()),
            "up": health.up,
            "known_ms": ms(health.known),
            "is_current": health.is_current(now),
            "median_ms": health.median.map(ms),
            "issues_nothing": health.fruitless.as_ref().map(|fruitless| value!({
                "since": fruitless.since.to_string(),
                "last": fruitless.last.to_string(),
                "attempts": fruitless.attempts,
                "causes": fruitless.causes,
                "is_current": fruitless.is_current(now),
            })),
            "trouble": health.trouble.as_ref().map(|(window, cause)| value!({
                "from": window.start.to_string(),
                "until": window.end.to_string(),
                "cause": cause,
            })),
            "days": days,
            "changes": one.changed.iter().map(|changed| value!({
                "at": changed.at.to_string(),
                "field": changed.change.field,
                "from": changed.change.from,
                "to": changed.change.to,
            })).collect::<Vec<_>>(),
        })
    };
    value!({ "cas": watched.iter().map(one).collect::<Vec<_>>() })
}

#[cfg(test)]
pub(in crate::render) mod tests {
    use waxwing_core::time::Window;
    use waxwing_flow::directory::Change;
    use waxwing_flow::history::Sighting;
    use waxwing_flow::monitor::health;

    use super::*;
    use crate::render::fixture::{at, ca, days, golden, golden_json};
    use crate::render::json::Document;

    pub(in crate::render) fn watched(
        name: &str,
        looks: &[(i64, Result<u64, &str>)],
        changed: &[(i64, &str, &str)],
    ) -> Watched {
        let sighting = |(ago, result): &(i64, Result<u64, &str>)| Sighting {
            ca: ca(name),
            at: at(-3600 * ago),
            result: result.map(Duration::from_millis).map_err(ToOwned::to_owned),
        };
        let sightings: Vec<Sighting> = looks.iter().map(sighting).collect();
        let change = |(ago, field, version): &(i64, &str, &str)| Changed {
            at: at(-3600 * ago),
            change: Change {
                field: (*field).to_owned(),
                from: Some(format!("https://{name}.example/v1")),
                to: Some(format!("https://{name}.example/{version}")),
            },
        };
        let over = Window {
            start: days(-i64::from(DAYS)),
            end: at(0),
        };
        Watched {
            ca: ca(name),
            health: health(&sightings, over, DAYS),
            changed: changed.iter().map(change).collect(),
        }
    }

    #[test]
    fn of_hardly_any_time_no_part_is_told() {
        let check = |part: Option<f64>, known: u64, want: Option<&str>| {
            let health = Health {
                up: part,
                known: Duration::from_secs(known),
                ..watched("first", &[(0, Ok(90))], &[]).health
            };
            assert_eq!(up(&health).as_deref(), want, "{part:?} of {known} s");
        };
        check(None, 0, None);
        check(Some(1.0), 0, None);
        check(Some(1.0), 9, None);
        check(Some(0.0), 3_599, None);
        check(Some(1.0), 3_600, Some("100 % of 60 min"));
        check(Some(0.5), 2 * 3_600, Some("50.0 % of 2 h"));
        check(Some(1.0), 30 * 86_400, Some("100 %"));
    }

    #[test]
    fn where_nobody_has_looked_lately_is_said() {
        let all = [
            watched("first", &[(1, Ok(90))], &[]),
            watched("second", &[(90, Ok(90))], &[]),
            watched("third", &[], &[]),
        ];
        let context = crate::render::page::tests::context(120, false);
        let text = render(&all, &context);
        let want =
            "3 CAs in use, none is known to be down; nobody has looked at second, third lately";
        assert_eq!(text.lines().next(), Some(want));
    }

    #[test]
    fn a_line_for_each_ca_says_how_it_has_answered() {
        let steady: Vec<_> = (0..28)
            .rev()
            .map(|day| (day * 24, Ok(200 + day as u64 * 9)))
            .collect();
        // What was changed long ago is of no interest any more.
        let changed = [
            (31 * 24, "renewalInfo", "v2"),
            (26, "newOrder", "v9"),
            (0, "termsOfService", "v2"),
        ];
        let refused = "https://second.example/directory: connect to 198.51.100.7:443 refused";
        let all = [
            watched("first", &steady, &changed),
            watched(
                "second",
                &[
                    (60, Ok(90)),
                    (40, Ok(2_000)),
                    (5, Err(refused)),
                    (2, Err(refused)),
                ],
                &[],
            ),
            watched(
                "third",
                &[(50, Err("timed out after 10 s")), (40, Ok(80)), (1, Ok(90))],
                &[],
            ),
            watched("fourth", &[], &[]),
        ];
        golden("ca-health.txt", |context| render(&all, context));
        golden_json(
            "ca-health.json",
            &Document::new("ca health", at(0), json(&all[..3], at(0))).to_text(),
        );
        golden("ca-health-good.txt", |context| render(&all[..1], context));
        golden("ca-health-none.txt", |context| render(&all[3..], context));
        let mut fruitless = [
            watched("first", &steady, &[]),
            watched("second", &[(1, Ok(90))], &[]),
        ];
        fruitless[0].health.fruitless = Some(Fruitless {
            since: at(-3600 * 20),
            last: at(-3600 * 3),
            attempts: 5,
            until: None,
            is_of_one: false,
            causes: vec![
                "newOrder at First: HTTP 500".to_owned(),
                "https://first.example/order".to_owned(),
            ],
        });
        golden("ca-health-fruitless.txt", |context| {
            render(&fruitless, context)
        });
        assert!(fruitless[0].is_in_trouble(at(0)) && !fruitless[1].is_in_trouble(at(0)));
        let old = [
            watched("first", &[(100, Ok(90)), (76, Ok(90))], &[]),
            watched("second", &[(90, Ok(90)), (80, Err(refused))], &[]),
        ];
        golden("ca-health-old.txt", |context| {
            let [alone, both] = [&old[..1], &old[..]].map(|some| render(some, context));
            format!("{alone}\n{both}")
        });
    }
}
