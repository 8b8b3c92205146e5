//! `waxwing status`: one line for each certificate, worst first, without a network.

use super::{start, started};
use crate::args::{Global, Status};
use crate::exit::Exit;
use crate::render::json::{self, Document};
use crate::render::status::{Around, Health, StatusView, health, render, render_one};
use crate::render::terminal::Terminal;
use crate::survey::survey;
use waxwing_core::plan::Asker;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Status,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let history = start::look_at_history(&store, terminal)?;
    start::say_if_missing(&store, terminal);
    let now = start::now();
    let survey = survey(&loaded, &store, history.as_ref(), Asker::Timer, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
    let (used, cas) = (loaded.settings.used_cas(), &loaded.settings.cas);
    let view = StatusView {
        plan: &survey.plan,
        inventory: &survey.inventory,
        certificates: &loaded.settings.certificates,
        broken: &survey.broken,
        version: env!("CARGO_PKG_VERSION"),
        around: Around {
            started: Some(started::seen(&loaded.config)),
            profiles: Around::checked(used.iter().filter_map(|ca| cas.get(ca))),
        },
    };
    let known = survey.inventory.keys().cloned().collect();
    let written = arguments.name.as_slice();
    let only = start::names(written, &loaded.settings, &known, terminal)?;
    let one = survey
        .plan
        .items
        .iter()
        .find(|item| only.contains(&item.name));
    let context = terminal.context(now);
    if terminal.json {
        terminal.print(&Document::new("status", now, json::status(&view, &only)).to_text());
    } else if let Some(item) = one {
        terminal.print(&render_one(&view, item, &context));
    } else {
        terminal.print(&render(&view, &context));
    }
    let needs_person = match one {
        Some(item) => health(item, survey.inventory.get(&item.name)) == Health::NeedsPerson,
        None => view.needs_person(),
    };
    Ok(if needs_person {
        Exit::NeedsPerson
    } else {
        Exit::Done
    })
}
