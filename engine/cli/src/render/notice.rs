//! What a message says: a subject with the verdict, a text for every mail reader, and the same with
//! markup.
//!
//! All of it is made when it is sent and not when it is written down, so that distances in time are
//! right in a message that had to wait. The subject says what happened and whether there is something
//! to do; that is all that many people read.

use std::time::Duration;

use waxwing_core::notify::event::{CLOCK, Change, Event, EventKind, Notice};

use super::html::Html;
use super::page::{Context, Ink, Line, Page, clean};

mod words;

use words::{block, headline};

/// Columns of the text: what every mail reader shows without breaking it.
const WIDTH: usize = 72;

/// Where the text of a row begins.
const LABEL: usize = 15;

/// Longest subject, in characters.
const SUBJECT: usize = 160;

/// Most events that are told at length; of the others only the headline.
const AT_LENGTH: usize = 8;

/// Most events that are told at all.
const MOST: usize = 60;

/// A message that is older than this when it is sent says so.
const LATE: Duration = Duration::from_secs(10 * 60);

/// What is said of one event.
#[derive(Debug, Default)]
struct Block {
    /// What it means, in sentences.
    says: String,
    /// More, each under a label.
    rows: Vec<(&'static str, Vec<String>)>,
}

/// Subject, text and HTML of a notice that is sent now.
pub(crate) fn words(notice: &Notice, context: &Context) -> (String, String, String) {
    let context = Context {
        width: WIDTH,
        colour: false,
        ..context.clone()
    };
    let blocks: Vec<Block> = notice
        .events
        .iter()
        .take(AT_LENGTH)
        .map(|event| block(event, &context))
        .collect();
    (
        subject(notice, &context),
        text(notice, &blocks, &context),
        html(notice, &blocks, &context),
    )
}

/// `[waxwing web01] shop renewed by second, because first failed; nothing to do`
fn subject(notice: &Notice, context: &Context) -> String {
    let mut subject = format!("[waxwing {}] ", notice.host);
    if let Some(first) = notice.events.first() {
        subject.push_str(&headline(first, context));
    }
    match notice.events.len() {
        0 | 1 => {}
        more => subject.push_str(&format!(", and {} more", more - 1)),
    }
    let lasts = |event: &Event| {
        let digest = event.kind == EventKind::WeeklyDigest && event.count > Some(0);
        digest || matches!(event.change, Change::Began | Change::Worse)
    };
    subject.push_str(if notice.needs_person() {
        "; needs you"
    } else if notice.events.iter().any(lasts) {
        "; nothing to do yet"
    } else {
        "; nothing to do"
    });
    clean(&subject).chars().take(SUBJECT).collect()
}

fn text(notice: &Notice, blocks: &[Block], context: &Context) -> String {
    let mut page = Page::new(context);
    if let Some(late) = late(notice, context) {
        page.plain(0, late);
        page.plain(0, "");
    }
    for block in blocks {
        page.plain(0, &block.says);
        if !block.rows.is_empty() {
            page.plain(0, "");
        }
        for (label, lines) in &block.rows {
            row(label, lines, &mut page);
        }
        page.plain(0, "");
    }
    let others = others(notice, context);
    if !others.is_empty() {
        row("Besides", &others, &mut page);
    }
    for (label, line) in closing(notice, context) {
        row(label, &[line], &mut page);
    }
    page.plain(0, "");
    page.plain(0, foot(notice));
    page.finish()
}

fn row(label: &str, lines: &[String], page: &mut Page<'_>) {
    for (nth, line) in lines.iter().enumerate() {
        let label = if nth == 0 { label } else { "" };
        let line = Line::indented(0)
            .ink(Ink::Strong, label)
            .column(LABEL, 1)
            .hang_here()
            .text(line);
        page.line(&line);
    }
}

/// The same for readers of HTML. Nothing is loaded from anywhere, and lines stay short, so that the
/// mail needs no encoding.
fn html(notice: &Notice, blocks: &[Block], context: &Context) -> String {
    let colour = if notice.needs_person() {
        "#a11"
    } else {
        "#171"
    };
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.element("title", &subject(notice, context));
    html.raw("\n</head>\n<body style=\"font:15px/1.5 sans-serif;margin:1em;\n max-width:44em\">\n");
    if let Some(late) = late(notice, context) {
        html.element("p", &late).raw("\n");
    }
    for block in blocks {
        html.raw(&format!(
            "<p style=\"border-left:4px solid {colour};\n padding-left:.7em\">\n"
        ));
        html.text(&block.says).raw("</p>\n<table>\n");
        for (label, lines) in &block.rows {
            html_row(label, lines, &mut html);
        }
        html.raw("</table>\n");
    }
    html.raw("<table>\n");
    let others = others(notice, context);
    if !others.is_empty() {
        html_row("Besides", &others, &mut html);
    }
    for (label, line) in closing(notice, context) {
        html_row(label, &[line], &mut html);
    }
    html.raw("</table>\n<p style=\"color:#666;font-size:12px\">\n");
    html.text(&foot(notice)).raw("</p>\n</body>\n</html>\n");
    html.finish()
}

fn html_row(label: &str, lines: &[String], html: &mut Html) {
    html.raw("<tr style=\"vertical-align:top\">\n");
    html.element("th align=\"left\"", label).raw("\n<td>");
    for (nth, line) in lines.iter().enumerate() {
        if nth > 0 {
            html.raw("<br>\n");
        }
        html.text(line);
    }
    html.raw("</td></tr>\n");
}

/// That it had to wait.
fn late(notice: &Notice, context: &Context) -> Option<String> {
    (context.now.since(notice.at) > LATE).then(|| {
        format!(
            "This was written {} ({}) and could not be sent before.",
            context.moment(notice.at),
            context.relative(notice.at)
        )
    })
}

/// Events for which there is one line only.
fn others(notice: &Notice, context: &Context) -> Vec<String> {
    let rest: Vec<&Event> = notice.events.iter().skip(AT_LENGTH).collect();
    let mut lines: Vec<String> = rest
        .iter()
        .take(MOST)
        .map(|event| headline(event, context))
        .collect();
    if rest.len() > MOST {
        lines.push(format!("and {} more", rest.len() - MOST));
    }
    lines
}

/// What holds for the whole machine.
fn closing(notice: &Notice, context: &Context) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(nearest) = &notice.nearest {
        let due = match nearest.due {
            Some(due) if due > context.now => format!(", renewed {}", context.moment(due)),
            Some(_) => ", due".to_owned(),
            None => String::new(),
        };
        rows.push((
            "Ends first",
            format!(
                "{}, {}{due}",
                nearest.certificate,
                context.until(nearest.not_after)
            ),
        ));
    }
    let certificate = notice.events.iter().find(|event| {
        matches!(
            event.kind,
            EventKind::Renewed
                | EventKind::Failed
                | EventKind::FailedOver
                | EventKind::NotInstalled
                | EventKind::NotServed
                | EventKind::NotRevoked
                | EventKind::ExpiryNear
        )
    });
    let look = match certificate {
        Some(event) if words::is_path(&event.subject) => "waxwing check".to_owned(),
        Some(event) if event.subject != CLOCK => format!("waxwing status {}", event.subject),
        _ => "waxwing status".to_owned(),
    };
    rows.push(("Look closer", look));
    rows
}

fn foot(notice: &Notice) -> String {
    let run = notice.run.as_ref();
    let run = run.map_or_else(String::new, |run| format!(", run {run}"));
    format!(
        "{}, Waxwing {}{run}. You get one message for each change of state, never the same one twice; \
         `on` of [notify.NAME] silences a kind.",
        notice.host, notice.version
    )
}

#[cfg(test)]
mod tests;
