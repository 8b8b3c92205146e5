//! `waxwing plan`: what the next run would do and why, without a network.

use waxwing_core::plan::{Asker, Item, LastFailure, Note};
use waxwing_core::settings::CertificatesByName;

use super::start;
use super::status::failing;
use crate::args::{Global, Plan};
use crate::drift;
use crate::exit::Exit;
use crate::render::json::{self, Document};
use crate::render::plan::{PlanView, render};
use crate::render::status::Failing;
use crate::render::terminal::Terminal;
use crate::rights;
use crate::survey::foresee;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Plan,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let history = start::look_at_history(&store, terminal)?;
    start::say_if_missing(&store, terminal);
    let now = start::now();
    let mut survey = foresee(&loaded, &store, history.as_ref(), Asker::Timer, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
    // What is noted of a certificate is its last failure; the history knows that of each installer.
    let failing = failing(&history, &loaded.settings.certificates, &survey.inventory);
    for item in &mut survey.plan.items {
        let told = item.notes.iter().find_map(|note| match note {
            Note::Failure(failure) => failure.plugin.clone(),
            _ => None,
        });
        let others = failing.get(&item.name).into_iter().flatten();
        let others = others.filter(|one| told.as_ref() != Some(&one.plugin));
        let note = |one: &Failing| {
            Note::Failure(LastFailure {
                at: one.at,
                plugin: Some(one.plugin.clone()),
                causes: one.causes.clone(),
            })
        };
        item.notes.extend(others.map(note));
    }
    let known = survey.inventory.keys().cloned().collect();
    let only = start::names(&arguments.names, &loaded.settings, &known, terminal)?;
    for error in &survey.broken {
        terminal.fail(&error.to_string(), error.hint.as_deref());
    }
    let mut warnings = loaded.settings.warnings.clone();
    match drift::drift(&loaded, &store) {
        Ok(differs) => warnings.extend(differs.iter().map(ToString::to_string)),
        // No plan depends on an account.
        Err(error) => warnings.push(error.to_string()),
    }
    let unknown = rights::unknown(&loaded.settings).into_iter();
    warnings.extend(unknown.map(|one| format!("{}; hint: {}", one.text, one.hint)));
    let view = PlanView {
        plan: &survey.plan,
        only: &only,
        certificates: CertificatesByName::new(&loaded.settings.certificates),
        plugins: &loaded.settings.plugins,
        warnings: &warnings,
    };
    if terminal.json {
        terminal.print(&Document::new("plan", now, json::plan(&view)).to_text());
    } else {
        let text = render(&view, &terminal.context(now));
        terminal.print(&text);
    }
    if !survey.broken.is_empty() {
        return Ok(Exit::NeedsPerson);
    }
    let changes = view.items().any(Item::is_work);
    Ok(if changes && arguments.detailed_exitcode {
        Exit::CHANGES
    } else {
        Exit::Done
    })
}
