//! `waxwing history`: what was tried, at which CA or installer, and what came of it.

use waxwing_core::time::Timestamp;

use super::start;
use crate::args::{Global, History};
use crate::exit::Exit;
use crate::render::history::{HistoryView, json, render};
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &History,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let history = start::look_at_history(&store, terminal)?;
    start::say_if_missing(&store, terminal);
    let now = start::now();
    // What is told of certificates that left the configuration and the store is still worth reading.
    let mut known = start::stored(&store, terminal)?;
    known.extend(
        history
            .names()
            .map_err(|error| start::store_failed(&error, terminal))?,
    );
    let written = arguments.name.as_slice();
    let only = start::names(written, &loaded.settings, &known, terminal)?;
    let since = arguments
        .since
        .map_or(Timestamp::from_unix(0), |since| now - since);
    let wanted = waxwing_io::history::Wanted {
        certificate: only.first(),
        since,
        failed: arguments.failed,
        most: arguments.limit,
    };
    let read = history
        .records(&wanted)
        .and_then(|records| Ok((records, history.begins()?)));
    let (records, begins) = read.map_err(|error| start::store_failed(&error, terminal))?;
    let view = HistoryView {
        only: only.first(),
        records: &records,
        begins,
        full: arguments.full,
        failed: arguments.failed,
        since: arguments.since.map(|_| since),
        most: arguments.limit,
    };
    if terminal.json {
        terminal.print(&Document::new("history", now, json(&view)).to_text());
    } else {
        terminal.print(&render(&view, &terminal.context(now)));
    }
    Ok(Exit::Done)
}
