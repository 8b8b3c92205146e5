//! `waxwing ca health`: how the CAs have answered.

use std::sync::Arc;
use std::time::Duration;

use waxwing_core::ca::CaProfile;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::monitor::{self, Look};
use waxwing_flow::ports::StoreError;
use waxwing_io::history::SqliteHistory;

use super::unknown_ca;
use crate::args::Global;
use crate::commands::start;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::ca::health::{DAYS, Watched, json, render};
use crate::render::json::Document;
use crate::render::terminal::Terminal;
use crate::wire;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the verb.
pub(super) fn run(
    global: &Global,
    written: &[String],
    now: bool,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let loaded = load::load(global)?;
    let profiles = profiles(&loaded, written)?;
    let (history, looks) = if now {
        look(&loaded, &profiles)?
    } else {
        let store = wire::look(&loaded)?;
        (SqliteHistory::look(store.root())?, Vec::new())
    };
    let at = start::now();
    let watched = watched(&history, &profiles, &looks, at)?;
    if terminal.json {
        terminal.print(&Document::new("ca health", at, json(&watched, at)).to_text());
    } else {
        terminal.print(&render(&watched, &terminal.context(at)));
    }
    let down = watched.iter().any(|one| one.health.down_since.is_some());
    Ok(if down { Exit::NeedsPerson } else { Exit::Done })
}

/// How each of these CAs has answered up to now.
pub(in crate::commands) fn watched<'a>(
    history: &SqliteHistory,
    profiles: &[&CaProfile],
    looks: &'a [Look],
    now: Timestamp,
) -> Result<Vec<Watched<'a>>, StoreError> {
    let over = Window {
        start: now - DAY * DAYS,
        end: now,
    };
    let one = |profile: &&CaProfile| {
        let sightings = history.sightings(&profile.name, over.start)?;
        Ok(Watched {
            ca: profile.name.clone(),
            health: monitor::health(&sightings, over, DAYS),
            look: looks.iter().find(|look| look.ca == profile.name),
        })
    };
    profiles.iter().map(one).collect()
}

/// The CAs of the command line, or those of the `ca` lists.
fn profiles<'l>(loaded: &'l Loaded, written: &[String]) -> Result<Vec<&'l CaProfile>, Refusal> {
    let cas = &loaded.settings.cas;
    if written.is_empty() {
        let used = loaded.settings.used_cas();
        return Ok(used.iter().filter_map(|ca| cas.get(ca)).collect());
    }
    let find = |text: &String| {
        let found = cas.values().find(|profile| profile.name.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = cas.keys().map(|name| name.as_str()).collect();
            unknown_ca(text, &names)
        })
    };
    written.iter().map(find).collect()
}

/// Asks each of them for its directory, all at the same time.
fn look(loaded: &Loaded, profiles: &[&CaProfile]) -> Result<(SqliteHistory, Vec<Look>), Refusal> {
    let store = wire::store(loaded)?;
    let history = SqliteHistory::open(store.root())?;
    let ports = wire::session(loaded, Arc::clone(&store))?;
    let looks = start::runtime()?.block_on(monitor::look_at_all(&ports, &history, profiles));
    Ok((history, looks))
}
