//! The page of the daemon: how the certificates and the CAs are, what is next, and what was tried. One
//! page without a script and without a second request, so that it can be read anywhere.

use std::time::Duration;

use waxwing_core::name::Identifier;
use waxwing_core::plan::{Action, Item};
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::failure::innermost;
use waxwing_flow::history::Record;

use super::ca::health::{self, DAYS, Watched, spark};
use super::history;
use super::html::{Html, class, escaped};
use super::page::{Context, count, list};
use super::status::{self, Health, StatusView, What};
use super::time::took;

/// Rows of the timeline that are seen at once, those that are due first. The others can be unfolded.
const ROWS: usize = 60;

/// Most rows of the timeline in all: more would be too much for a browser, and for the daemon that holds them.
const MOST_ROWS: usize = 1000;

/// Tries that are shown.
pub(crate) const TRIES: u32 = 50;

/// Drawings are so wide, whatever the screen.
const WIDE: f64 = 1000.0;

/// The timeline begins at most so long before now.
const BEFORE: Duration = Duration::from_secs(60 * 86_400);

/// And ends at most so long behind it.
const BEHIND: Duration = Duration::from_secs(120 * 86_400);

/// Most domain names of a certificate that are seen at once; the others can be unfolded.
const NAMES: usize = 3;

/// Everything the page tells.
#[derive(Debug)]
pub(crate) struct OverviewView<'a> {
    /// What is stored and planned.
    pub(crate) status: StatusView<'a>,
    /// How the CAs in use have answered.
    pub(crate) watched: &'a [Watched],
    /// What was tried last, newest first.
    pub(crate) records: &'a [Record],
    /// What the daemon does next, and when.
    pub(crate) next: Option<(Timestamp, String)>,
    /// The machine.
    pub(crate) host: &'a str,
}

/// The page.
pub(crate) fn page(view: &OverviewView<'_>, context: &Context) -> String {
    // It does not read itself again: that would fold what somebody has unfolded, under their eyes.
    let mut html = Html::begin(&format!("Waxwing on {}", view.host));
    let ranked = view.status.ranked();
    header(view, &ranked, context, &mut html);
    html.section("Certificates", |html| {
        certificates(view, &ranked, context, html);
    });
    html.section("Timeline", |html| timeline(&ranked, view, context, html));
    html.section("CAs", |html| cas(view, context, html));
    html.section("What was tried", |html| tries(view, context, html));
    html.raw("<footer>");
    html.text(&format!("Waxwing {}. For machines: ", view.status.version));
    html.raw("<a href=\"/metrics\">/metrics</a>, <a href=\"/healthz\">/healthz</a>, ")
        .raw("<a href=\"/readyz\">/readyz</a>.</footer>\n</main>\n</body>\n</html>\n");
    html.finish()
}

fn header(view: &OverviewView<'_>, ranked: &[(Health, &Item)], context: &Context, html: &mut Html) {
    html.raw("<header>\n");
    let now = context.stamp(context.now);
    let as_of = format!("{}, as of {now}; reload it for what is new", view.host);
    html.element("p class=\"kind\"", &as_of);
    let (ink, text) = status::sentence(&view.status, ranked);
    html.raw("\n").element("h1", &text);
    html.raw(&format!("\n<p class=\"verdict {}\">", class(ink)));
    match &view.next {
        Some((at, cause)) => html.text(&format!("Next: {cause}, {}.", context.moment(*at))),
        None => html.text("The first pass is at work."),
    };
    html.raw("</p>\n");
    for error in view.status.broken {
        html.raw("<p class=\"verdict bad\"><strong>");
        html.text(&error.to_string()).raw("</strong>");
        if let Some(hint) = &error.hint {
            html.raw("<br>").text(&format!("Hint: {hint}"));
        }
        html.raw("</p>\n");
    }
    html.raw("</header>\n");
}

/// A word for each sign, so that nobody needs the colour.
const fn word(health: Health) -> &'static str {
    match health {
        Health::NeedsPerson => "needs you",
        Health::Watch => "look",
        Health::Good => "good",
        Health::Gone => "gone",
    }
}

fn certificates(
    view: &OverviewView<'_>,
    ranked: &[(Health, &Item)],
    context: &Context,
    html: &mut Html,
) {
    if ranked.is_empty() {
        html.element("p", "No certificate is configured.").raw("\n");
        return;
    }
    let served = view
        .status
        .certificates
        .iter()
        .any(|one| !one.served_at.is_empty());
    let mut heads = vec![
        "State",
        "Name",
        "CA",
        "Valid until",
        "Left",
        "Next",
        "Last run",
        "Installed",
    ];
    heads.extend(served.then_some("Served"));
    table(html, "All certificates, those that need you first", &heads);
    for (health, item) in ranked {
        let entry = view.status.inventory.get(&item.name);
        let current = entry.and_then(|entry| entry.current.as_ref());
        let last = entry.and_then(|entry| entry.last.as_ref());
        let (ink, _sign) = health.sign();
        let until = current.map(|current| current.facts.not_after);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        html.raw("<tr>")
            .element(&format!("td class=\"keep {}\"", class(ink)), word(*health))
            .raw("<th scope=\"row\">")
            .text(item.name.as_str());
        names(&status::names(&view.status, item), html);
        html.raw("</th>");
        let ca = current.map(|current| current.origin.ca.to_string());
        let mut cells = vec![
            or_none(ca),
            or_none(until.map(|end| context.day_in_column(end))),
            or_none(until.map(|end| status::left(end, context))),
            status::next(item, context),
            or_none(last.map(|last| status::last_run(last, context))),
            status::installed(&view.status, item, entry),
        ];
        cells.extend(served.then(|| status::served_cell(&view.status, item, context).text));
        for (head, cell) in heads.iter().skip(2).zip(cells) {
            let short = matches!(*head, "Valid until" | "Left");
            let kept = if short { " class=\"keep\"" } else { "" };
            html.element(&format!("td data-head=\"{head}\"{kept}"), &cell);
        }
        html.raw("</tr>\n");
        for trouble in status::troubles(&view.status, item, context) {
            html.raw(&format!(
                "<tr><td></td><td class=\"whole\" colspan=\"{}\">",
                heads.len().saturating_sub(1)
            ));
            match &trouble.what {
                What::Said(text) => {
                    let ink = class(trouble.ink);
                    html.element(&format!("span class=\"cause {ink}\""), text);
                }
                What::Failed { who, causes } => {
                    if let Some(who) = who {
                        html.text(&format!("{who}: "));
                    }
                    chain(causes, html);
                }
            }
            if let Some(hint) = &trouble.hint {
                html.element("div class=\"soft cause\"", &format!("Hint: {hint}"));
            }
            html.raw("</td></tr>\n");
        }
    }
    html.raw("</tbody></table></div>\n");
}

/// What a certificate is for.
fn names(names: &[Identifier], html: &mut Html) {
    let all = list(names, names.len());
    if names.len() <= NAMES {
        html.element("div class=\"names\"", &all);
        return;
    }
    html.raw("<details class=\"names\"><summary>")
        .text(&list(names, NAMES))
        .raw("</summary>")
        .text(&all)
        .raw("</details>");
}

/// The innermost cause, and the whole chain for whoever opens it.
fn chain(causes: &[String], html: &mut Html) {
    let Some(innermost) = innermost(causes) else {
        return;
    };
    if causes.len() == 1 {
        html.element("span class=\"cause\"", innermost);
        return;
    }
    html.raw("<details><summary>")
        .text(innermost)
        .raw("</summary><ol>");
    for cause in causes {
        html.element("li", cause.trim());
    }
    html.raw("</ol></details>");
}

/// Narrow, each line is a block, so that nobody has to push the table aside to see how it ended; cells
/// whose meaning would be lost then have `data-head`. The role keeps it a table for who hears it.
fn table(html: &mut Html, caption: &str, heads: &[&str]) {
    html.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"")
        .text(caption)
        .raw("\"><table class=\"stack\" role=\"table\">")
        .element("caption", caption)
        .raw("<thead><tr>");
    for head in heads {
        html.element("th scope=\"col\"", head);
    }
    html.raw("</tr></thead>\n<tbody>\n");
}

/// A life in the timeline.
struct Life<'a> {
    item: &'a Item,
    whole: Window,
    due: Timestamp,
    safe_until: Timestamp,
}

fn lives<'a>(ranked: &[(Health, &'a Item)], view: &OverviewView<'_>) -> Vec<Life<'a>> {
    let mut lives: Vec<Life<'a>> = ranked
        .iter()
        .filter_map(|(_, item)| {
            let current = view.status.inventory.get(&item.name)?.current.as_ref()?;
            let due = match &item.action {
                Action::Renew { due, .. }
                | Action::Install { due, .. }
                | Action::Keep { due, .. } => due,
                Action::Issue(_) | Action::Gone { .. } => return None,
            };
            Some(Life {
                item,
                whole: Window {
                    start: current.facts.not_before,
                    end: current.facts.not_after,
                },
                due: item.moment.map_or(due.at, |moment| moment.at),
                safe_until: due.safe_until,
            })
        })
        .collect();
    lives.sort_by_key(|life| life.due);
    lives
}

fn timeline(
    ranked: &[(Health, &Item)],
    view: &OverviewView<'_>,
    context: &Context,
    html: &mut Html,
) {
    let lives = lives(ranked, view);
    let now = context.now;
    let (Some(start), Some(end)) = (
        lives.iter().map(|life| life.whole.start).min(),
        lives.iter().map(|life| life.whole.end).max(),
    ) else {
        html.element("p", "Nothing is stored yet.").raw("\n");
        return;
    };
    let window = Window {
        start: start.max(now - BEFORE).min(now),
        end: end.min(now + BEHIND).max(now),
    };
    html.raw("<ul class=\"legend\">\n");
    for (class, what) in [
        ("c0", "valid"),
        ("amber", "time to renew"),
        ("red", "time that is kept for trouble"),
    ] {
        html.raw("<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\">")
            .raw(&format!(
                "<rect class=\"{class}\" width=\"16\" height=\"12\"/>"
            ))
            .raw("</svg>")
            .text(what)
            .raw("</li>\n");
    }
    html.raw("</ul>\n<figure>\n");
    axis(window, context, html);
    let (seen, folded) = lives.split_at(lives.len().min(ROWS));
    for life in seen {
        row(life, window, context, html);
    }
    if !folded.is_empty() {
        let more = count(folded.len(), "certificate");
        html.raw("<details>")
            .element("summary", &format!("{more} due later"));
        for life in folded.iter().take(MOST_ROWS - ROWS) {
            row(life, window, context, html);
        }
        html.raw("</details>\n");
    }
    html.raw("<figcaption>");
    let more = lives.len().saturating_sub(MOST_ROWS);
    if more > 0 {
        html.text(&format!(
            "{} that are due last are not drawn. ",
            count(more, "certificate")
        ));
    }
    html.text("The line is now. The table above says the same in words.");
    html.raw("</figcaption>\n</figure>\n");
}

/// One life as a bar.
fn row(life: &Life<'_>, window: Window, context: &Context, html: &mut Html) {
    let x = |at: Timestamp| place(window, at);
    let said = format!(
        "{}: valid until {}, next {}, safe until {}",
        life.item.name,
        context.moment(life.whole.end),
        context.moment(life.due),
        context.moment(life.safe_until)
    );
    html.raw("<div class=\"row\"><div class=\"name\" title=\"")
        .text(life.item.name.as_str())
        .raw("\">")
        .text(life.item.name.as_str())
        .raw("</div><svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\"")
        .raw(" aria-label=\"")
        .text(&said)
        .raw("\">");
    let safe = life.safe_until.max(life.due);
    for (class, from, to) in [
        ("c0", life.whole.start, life.due),
        ("amber", life.due, safe),
        ("red", safe, life.whole.end),
    ] {
        let wide = x(to) - x(from);
        if wide > 0.0 {
            html.raw(&format!(
                "<rect class=\"{class}\" x=\"{}\" y=\"15\" width=\"{wide:.1}\" height=\"70\">\
                 <title>{}</title></rect>",
                x(from),
                escaped(&said)
            ));
        }
    }
    let now = x(context.now);
    html.raw(&format!(
        "<path class=\"now\" d=\"M{now} 0V100\"/></svg></div>\n"
    ));
}

/// Where a moment is drawn, in thousandths of the width.
fn place(window: Window, at: Timestamp) -> f64 {
    let whole = window.end.since(window.start).as_secs_f64().max(1.0);
    let part = at.since(window.start).as_secs_f64() / whole;
    (part.min(1.0) * WIDE * 10.0).round() / 10.0
}

fn axis(window: Window, context: &Context, html: &mut Html) {
    html.raw("<div class=\"axis\" aria-hidden=\"true\"><div></div><div class=\"ticks\">");
    for (nth, (at, label)) in context.ticks(window).into_iter().enumerate() {
        let left = place(window, at) / WIDE * 100.0;
        // Labels near the end would reach over it.
        if left > 97.0 {
            continue;
        }
        let kept = if nth % 3 == 0 { " class=\"k\"" } else { "" };
        html.element(&format!("span{kept} style=\"left:{left:.2}%\""), &label);
    }
    html.raw("</div></div>\n");
}

fn cas(view: &OverviewView<'_>, context: &Context, html: &mut Html) {
    let days = format!("Last {DAYS} days");
    table(
        html,
        "How the CAs in use have answered",
        &["CA", "Now", "Up", &days, "Median", "Last trouble"],
    );
    for one in view.watched {
        let health = &one.health;
        let (ink, now) = health::now(health, context);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        html.raw("<tr>")
            .element("th scope=\"row\"", one.ca.as_str());
        html.element(&format!("td class=\"keep {}\"", class(ink)), &now);
        html.element(
            "td class=\"n\" data-head=\"Up\"",
            &or_none(health::up(health)),
        );
        html.element("td class=\"keep\"", &spark(&health.parts));
        let median = or_none(health.median.map(took));
        html.element("td class=\"n\" data-head=\"Median\"", &median);
        html.raw("<td data-head=\"Last trouble\">");
        if let Some((window, cause)) = &health.trouble {
            let trouble = format!("{}: {cause}", health::lasted(health, window, context));
            html.element("span class=\"cause\"", &trouble);
        }
        html.raw("</td></tr>\n");
        for text in health::orders(one, context)
            .into_iter()
            .chain(health::changes(one, context))
        {
            html.raw("<tr><td></td><td class=\"whole\" colspan=\"5\">")
                .element("span class=\"cause\"", &text)
                .raw("</td></tr>\n");
        }
    }
    html.raw("</tbody></table></div>\n");
    for (text, hint) in status::new_terms(&view.status) {
        html.raw("<p><span class=\"warn\">")
            .text(&text)
            .raw("</span><br><span class=\"soft\">")
            .text(&format!("Hint: {hint}"))
            .raw("</span></p>\n");
    }
}

fn tries(view: &OverviewView<'_>, context: &Context, html: &mut Html) {
    if view.records.is_empty() {
        html.element("p", "Nothing was tried yet.").raw("\n");
        return;
    }
    table(
        html,
        &format!(
            "The last {}, newest first",
            count(view.records.len(), "line")
        ),
        &["When", "Name", "What", "Where", "Took", "Result"],
    );
    for record in view.records {
        let (what, target) = history::subject(record);
        let (ink, result) = history::result(record);
        html.raw("<tr>")
            .element("td class=\"keep\"", &context.moment(record.ended))
            .element("th scope=\"row\"", record.certificate.as_str())
            .element(&format!("td class=\"keep {}\"", class(ink)), what)
            .element("td", &target)
            .element("td class=\"n\"", &history::duration(record))
            .raw("<td>")
            .text(&result);
        if let Some(text) = history::instead_of(record) {
            html.element("div", &text);
        }
        if let Some(failed) = &record.failed {
            html.raw("<div>");
            chain(&failed.causes, html);
            html.raw("</div>");
        }
        for text in history::more(record, context) {
            html.element("div class=\"soft\"", &text);
        }
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}
