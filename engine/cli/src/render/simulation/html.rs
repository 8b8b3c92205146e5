//! The page of `simulate --html`: one file that needs nothing else, no script and no network.

mod chart;

use waxwing_core::ca::choose::Because;
use waxwing_core::time;
use waxwing_flow::simulate::Marked;

use self::chart::Chart;
use super::words::{self, LEFT_OUT, MODEL, figure, times, verdict};
use super::{SimulationView, at_ca, each_year, length, steps, sum, trouble};
use crate::render::html::{Html, class};
use crate::render::page::{Context, count, list};
use crate::render::time::stretch;

/// Longer tables are cut.
const ROWS: usize = 200;

/// Longer tables are folded.
const UNFOLDED: usize = 12;

/// The page.
pub(crate) fn page(view: &SimulationView<'_>, context: &Context) -> String {
    let mut html = Html::begin(&format!("Waxwing simulation: {}", sum(view)));
    header(view, context, &mut html);
    figures(view, context, &mut html);
    timeline(view, context, &mut html);
    html.section("Requests and limits", |html| {
        issued(view, html);
        limits(view, html);
    });
    html.section("What went wrong", |html| {
        failures(view, html);
        expiries(view, context, html);
        stand_ins(view, context, html);
    });
    html.section("What would have been told", |html| {
        messages(view, context, html)
    });
    html.section("What was assumed", |html| assumed(view, context, html));
    html.raw("<footer>");
    html.text(&format!("Waxwing {}. ", view.version));
    html.text(&format!("Left out: {}. {MODEL}", LEFT_OUT.join("; ")));
    html.raw("</footer>\n</main>\n</body>\n</html>\n");
    html.finish()
}

fn header(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let window = view.story.window;
    let (from, to) = (context.stamp(window.start), context.stamp(window.end));
    html.raw("<header>\n");
    html.element(
        "p class=\"kind\"",
        &format!("waxwing simulate, {from} to {to}"),
    );
    html.raw("\n").element("h1", &sum(view));
    let verdict = verdict(view);
    html.raw(&format!(
        "\n<p class=\"verdict {}\"><strong>",
        class(verdict.ink)
    ));
    html.text(&verdict.text).raw("</strong>");
    if let Some(hint) = verdict.hint {
        html.raw("<br>").text(&format!("Hint: {hint}"));
    }
    html.raw("</p>\n</header>\n");
}

fn figures(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let story = view.story;
    let failed: u64 = story.failures.values().sum();
    let closest = story.closest.as_ref();
    let figures = [
        ("certificates", story.certificates.to_string()),
        ("issued", story.all_issued().to_string()),
        ("of them by a fallback", story.by_fallback().to_string()),
        ("attempts failed", failed.to_string()),
        ("messages to somebody", story.alerts.len().to_string()),
        ("ran out", story.expired.len().to_string()),
        (
            "left at the closest call",
            closest.map_or("-".to_owned(), |it| stretch(it.left)),
        ),
        (
            "requests for each certificate and year",
            figure(story.requests_a_year()),
        ),
    ];
    html.section("Key figures", |html| {
        html.raw("<dl class=\"figures\">");
        for (what, number) in figures {
            html.raw("<div>")
                .element("dt", what)
                .element("dd", &number)
                .raw("</div>");
        }
        html.raw("</dl>\n");
        if let Some(closest) = closest {
            html.element(
                "p class=\"soft\"",
                &format!(
                    "The closest call was {}, renewed {} with {} of its {} left.",
                    closest.certificate,
                    context.stamp(closest.at),
                    stretch(closest.left),
                    stretch(closest.life)
                ),
            );
        }
    });
}

fn timeline(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let chart = Chart::new(view, context);
    html.section("Timeline", |html| {
        legend(view, &chart, html);
        html.raw("<figure>\n").element("h3", "Trouble").raw("\n");
        chart.axis(html);
        chart.lanes(html);
        html.element("h3", "Week by week").raw("\n");
        chart.weeks(html);
        html.element("h3", "Certificates").raw("\n");
        let shown = chart.certificates(html);
        chart.axis(html);
        html.raw("<figcaption>");
        html.text(&format!(
            "{shown} Rest on a bar to read what it is; the tables below say the same."
        ));
        html.raw("</figcaption>\n</figure>\n");
        weeks(view, context, html);
    });
}

fn legend(view: &SimulationView<'_>, chart: &Chart<'_>, html: &mut Html) {
    let swatch = |html: &mut Html, drawn: &str, what: &str| {
        html.raw("<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\">")
            .raw(drawn)
            .raw("</svg>");
        html.text(what).raw("</li>\n");
    };
    let whole = |class: &str| format!("<rect class=\"{class}\" width=\"16\" height=\"12\"/>");
    html.raw("<ul class=\"legend\">\n");
    for ca in &view.assumed.cas {
        swatch(html, &whole(&chart.colour(ca)), &format!("issued by {ca}"));
    }
    if !view.story.in_place.is_empty() {
        swatch(html, &whole("before"), "in place before");
    }
    swatch(html, &whole("red"), "down, off, or not valid");
    let half = |class: &str, y: u32| {
        format!("<rect class=\"{class}\" y=\"{y}\" width=\"16\" height=\"6\"/>")
    };
    swatch(html, &half("amber", 6), "too slow");
    swatch(html, &half("red", 0), "refuses names");
    swatch(
        html,
        "<path class=\"other\" d=\"M8 0V12\"/>",
        "renewed by a fallback",
    );
    swatch(
        html,
        "<path class=\"fail\" d=\"M8 5V12\"/>",
        "failed attempt",
    );
    html.raw("</ul>\n");
}

/// A cell: its class and what it says.
type Cell = (&'static str, String);

fn cell(text: impl Into<String>) -> Cell {
    ("", text.into())
}

fn number(text: impl ToString) -> Cell {
    ("n", text.to_string())
}

/// A table, folded if it is long; heads that are figures end with `#`.
fn table(html: &mut Html, caption: &str, heads: &[&str], rows: &[Vec<Cell>]) {
    if rows.len() <= UNFOLDED {
        return unfolded(html, caption, heads, rows);
    }
    let summary = format!("{caption}: {} rows", rows.len());
    html.raw("<details>").element("summary", &summary);
    unfolded(html, caption, heads, rows);
    html.raw("</details>\n");
}

fn unfolded(html: &mut Html, caption: &str, heads: &[&str], rows: &[Vec<Cell>]) {
    html.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    html.text(caption).raw("\"><table>");
    html.element("caption", caption).raw("<thead><tr>");
    for head in heads {
        match head.strip_suffix('#') {
            Some(head) => html.element("th scope=\"col\" class=\"n\"", head),
            None => html.element("th scope=\"col\"", head),
        };
    }
    html.raw("</tr></thead>\n<tbody>\n");
    for row in rows.iter().take(ROWS) {
        html.raw("<tr>");
        for (class, text) in row {
            match *class {
                "" => html.element("td", text),
                class => html.element(&format!("td class=\"{class}\""), text),
            };
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></div>\n");
    if rows.len() > ROWS {
        let rest = format!("And {} more; `--json` has all of them.", rows.len() - ROWS);
        html.element("p class=\"soft\"", &rest).raw("\n");
    }
}

fn weeks(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    let mut from = view.story.window.start;
    let mut rows = Vec::new();
    for one in &view.story.weeks {
        let mut row = vec![("keep", context.day(from))];
        let of = |ca| one.issued.get(ca).copied().unwrap_or(0);
        row.extend(view.assumed.cas.iter().map(|ca| number(of(ca))));
        row.extend([number(one.failed), number(one.alerts), number(one.expired)]);
        rows.push(row);
        from = from + week;
    }
    let cas = view.assumed.cas.iter().map(|ca| format!("by {ca}#"));
    let mut heads: Vec<String> = vec!["Week of".to_owned()];
    heads.extend(cas);
    heads.extend(["Failed#", "Messages#", "Ran out#"].map(str::to_owned));
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    table(html, "Week by week, in figures", &heads, &rows);
}

fn issued(view: &SimulationView<'_>, html: &mut Html) {
    let rows: Vec<Vec<Cell>> = view
        .assumed
        .cas
        .iter()
        .map(|ca| {
            let [issued, fallback, requests] = at_ca(view.story, ca);
            vec![
                cell(ca.as_str()),
                number(issued),
                number(fallback),
                number(requests),
                number(figure(each_year(view, requests))),
            ]
        })
        .collect();
    let heads = [
        "CA",
        "Issued#",
        "As fallback#",
        "Requests#",
        "For each certificate and year#",
    ];
    table(html, "What was issued by whom", &heads, &rows);
}

fn limits(view: &SimulationView<'_>, html: &mut Html) {
    let used = &view.story.limits;
    if used.is_empty() {
        html.element(
            "p class=\"soft\"",
            "These CAs state no limits that were touched.",
        );
        return;
    }
    let rows: Vec<Vec<Cell>> = used
        .iter()
        .map(|used| {
            let exceeded = match used.exceeded {
                0 => cell("never"),
                number => ("bad", times(number)),
            };
            vec![
                cell(used.ca.as_str()),
                cell(words::limit(used.kind)),
                ("keep", used.limit.to_string()),
                number(format!("{} of {}", used.most, used.limit.count)),
                exceeded,
            ]
        })
        .collect();
    let heads = ["CA", "What", "Limit", "Most used#", "Exceeded"];
    table(html, "Limits of the CAs, by their own count", &heads, &rows);
}

fn failures(view: &SimulationView<'_>, html: &mut Html) {
    let story = view.story;
    if story.failures.is_empty() {
        html.element("p class=\"soft\"", "No attempt failed.");
        return;
    }
    let rows: Vec<Vec<Cell>> = story
        .failures
        .iter()
        .map(|(key, attempts)| {
            let example = story.examples.get(key).map(|lines| lines.join(": "));
            vec![
                cell(words::place(key.0.as_ref())),
                ("keep", words::class(key.1).to_owned()),
                number(attempts),
                cell(example.unwrap_or_default()),
            ]
        })
        .collect();
    let heads = ["CA", "What it is", "Attempts#", "The first one"];
    table(html, "Failed attempts and their causes", &heads, &rows);
}

fn expiries(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let expired = &view.story.expired;
    if expired.is_empty() {
        html.element("p class=\"soft\"", "No certificate ran out.");
        return;
    }
    let rows: Vec<Vec<Cell>> = expired
        .iter()
        .map(|one| {
            let (ours, why) = words::preventable(one);
            let long = one.until.map(|until| stretch(until.since(one.life.end)));
            vec![
                ("keep", one.certificate.to_string()),
                ("keep", context.stamp(one.life.end)),
                ("keep", long.unwrap_or_else(|| "the rest".to_owned())),
                (if ours { "bad" } else { "" }, why),
            ]
        })
        .collect();
    let heads = ["Name", "Ran out", "For", "Could it have been prevented?"];
    table(html, "Certificates that ran out", &heads, &rows);
}

fn stand_ins(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let stood_in = view.story.marks.iter().filter_map(|mark| match &mark.what {
        Marked::StoodIn {
            ca,
            instead_of,
            because,
        } => Some(vec![
            ("keep", context.stamp(mark.at)),
            ("keep", mark.certificate.to_string()),
            cell(format!("{ca} for {instead_of}")),
            cell(why(because)),
        ]),
        _ => None,
    });
    let rows: Vec<Vec<Cell>> = stood_in.collect();
    if !rows.is_empty() {
        let heads = ["When", "Name", "Who stood in", "Why"];
        table(html, "Fallbacks that stood in", &heads, &rows);
    }
}

/// By which rule a fallback stood in.
fn why(because: &Because) -> String {
    match because {
        Because::Failures(number) => {
            format!("it had failed {} in a row", times(u64::from(*number)))
        }
        Because::Failing(long) => format!("it had been failing for {}", stretch(*long)),
        Because::Down(long) => format!("it had been down for {}", stretch(*long)),
        Because::Late(_) => "it asked for more time than there was".to_owned(),
        Because::Haste => "there was no time to wait for it".to_owned(),
        Because::Forbidden => "CAA did not let it issue".to_owned(),
    }
}

fn messages(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let alerts = &view.story.alerts;
    if alerts.is_empty() {
        html.element("p class=\"soft\"", "Nobody had to be told anything.");
        return;
    }
    let counted = steps(view).into_iter();
    let counted: Vec<Vec<Cell>> = counted
        .map(|(step, times)| vec![cell(words::step(step)), number(times)])
        .collect();
    table(html, "Messages by kind", &["What", "Times#"], &counted);
    let rows: Vec<Vec<Cell>> = alerts
        .iter()
        .map(|alert| {
            vec![
                ("keep", context.stamp(alert.at)),
                ("keep", alert.certificate.to_string()),
                cell(words::step(alert.step)),
            ]
        })
        .collect();
    table(html, "Each message", &["When", "About", "What"], &rows);
}

fn assumed(view: &SimulationView<'_>, context: &Context, html: &mut Html) {
    let (story, assumed) = (view.story, view.assumed);
    html.raw("<dl class=\"facts\">");
    let long = format!(
        "{}, a run each {}",
        stretch(length(story)),
        time::stretch(assumed.every)
    );
    let runs = usize::try_from(story.runs).unwrap_or(usize::MAX);
    let facts = [
        ("Time", long),
        ("Seed", story.seed.to_string()),
        ("CAs", list(&assumed.cas, usize::MAX)),
        ("In place", assumed.beginning.said(story.certificates)),
        (
            "Runs",
            format!(
                "{} with something to look at, {} that ordered, {} that were killed (rate {})",
                count(runs, "run"),
                story.busy_runs,
                story.crashes,
                assumed.crash_rate
            ),
        ),
    ];
    for (what, said) in facts {
        html.element("dt", what).element("dd", &said);
    }
    for warning in &assumed.warnings {
        html.element("dt", "Warning").element("dd", warning);
    }
    html.raw("</dl>\n");
    if story.disturbances.is_empty() {
        html.element("p class=\"soft\"", "There was no trouble.");
        return;
    }
    let rows: Vec<Vec<Cell>> = story
        .disturbances
        .iter()
        .enumerate()
        .map(|(nth, one)| {
            let [what, from, long] = trouble(one, context);
            let origin = if nth < assumed.scripted {
                "asked for"
            } else {
                "drawn"
            };
            vec![cell(what), ("keep", from), ("keep", long), cell(origin)]
        })
        .collect();
    let drawn = story.disturbances.len().saturating_sub(assumed.scripted);
    let caption = format!("Trouble ({drawn} drawn)");
    table(html, &caption, &["What", "From", "For", "Origin"], &rows);
}
