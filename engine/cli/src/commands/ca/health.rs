//! `waxwing ca health`: how the CAs have answered.

use std::sync::Arc;
use std::time::Duration;

use waxwing_core::ca::CaProfile;
use waxwing_core::settings::Settings;
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::directory::remember;
use waxwing_flow::monitor::{self, Look};
use waxwing_flow::ports::{CertificateStore, History as _, StoreError};
use waxwing_flow::session::greeting;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;

use super::unknown_ca;
use crate::args::Global;
use crate::commands::start;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::ca::health::{DAYS, Watched, json, render};
use crate::render::json::Document;
use crate::render::page::list;
use crate::render::progress::Live;
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
    let (store, history, looks) = if now {
        look(&loaded, &profiles, &terminal.progress)?
    } else {
        let store = wire::look(&loaded)?;
        let history = SqliteHistory::look(store.root())?;
        (store, history, Vec::new())
    };
    let at = start::now();
    let watched = watched(
        &history,
        store.as_ref(),
        &loaded.settings,
        &profiles,
        &looks,
        at,
    )?;
    if terminal.json {
        terminal.print(&Document::new("ca health", at, json(&watched, at)).to_text());
    } else {
        terminal.print(&render(&watched, &terminal.context(at)));
    }
    let down = watched.iter().any(|one| one.is_in_trouble(at));
    Ok(if down { Exit::NeedsPerson } else { Exit::Done })
}

/// How each of these CAs has answered up to now, and what it has changed; `looks` are those of now.
pub(in crate::commands) fn watched(
    history: &SqliteHistory,
    store: &dyn CertificateStore,
    settings: &Settings,
    profiles: &[&CaProfile],
    looks: &[Look],
    now: Timestamp,
) -> Result<Vec<Watched>, StoreError> {
    let over = Window {
        start: now - DAY * DAYS,
        end: now,
    };
    let down = history.down_since()?;
    let mut fruitless = history.fruitless(settings, now)?;
    let mut one = |profile: &&CaProfile| {
        let ca = &profile.name;
        let sightings = history.sightings(ca, over.start)?;
        let health = monitor::health(&sightings, over, DAYS);
        let copy = store.directory(ca).unwrap_or_else(|error| {
            tracing::warn!(%ca, cause = %error, "what the CA has changed could not be read");
            None
        });
        let changed = copy.map_or_else(Vec::new, |copy| copy.changed);
        // Where the copy could not be kept, the look knows all the same.
        let seen = looks.iter().filter(|look| look.ca == *ca);
        let seen = seen.fold(changed, |changed, look| {
            remember(changed, &look.changes, now)
        });
        Ok(Watched {
            ca: ca.clone(),
            health: health
                .down_from(down.get(ca).map(|down| down.since))
                .with(fruitless.remove(ca)),
            changed: seen,
        })
    };
    profiles.iter().map(&mut one).collect()
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

/// Where it was noted, and what came of it.
type Looked = (Arc<FileStore>, SqliteHistory, Vec<Look>);

/// Asks each of them for its directory, all at the same time.
fn look(loaded: &Loaded, profiles: &[&CaProfile], live: &Live) -> Result<Looked, Refusal> {
    let store = wire::store(loaded)?;
    let history = SqliteHistory::open(store.root())?;
    let ports = wire::session(loaded, Arc::clone(&store))?;
    let titles: Vec<&str> = profiles.iter().map(|ca| ca.title.as_str()).collect();
    let what = format!("asking {}", list(&titles, 3));
    let most = profiles.iter().copied().map(greeting::longest).max();
    let looks = monitor::look_at_all(&ports, &history, &loaded.settings, profiles);
    let looks = start::runtime()?.block_on(live.during("ca health", &what, most, looks));
    Ok((store, history, looks))
}
