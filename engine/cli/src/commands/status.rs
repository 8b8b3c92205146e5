//! `waxwing status`: one line for each certificate, worst first, without a network.

use super::check::unwritable;
use super::{start, started};
use crate::args::{Global, Status};
use crate::exit::Exit;
use crate::render::json::{self, Document};
use crate::render::status::{Around, Health, StatusView, health, render, render_one};
use crate::render::terminal::Terminal;
use crate::survey::survey;
use crate::wire;
use std::collections::BTreeMap;
use waxwing_core::plan::Asker;
use waxwing_core::settings::CertificatesByName;
use waxwing_flow::notify::Waiting;
use waxwing_flow::ports::Outbox as _;

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
        certificates: CertificatesByName::new(&loaded.settings.certificates),
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
    // Who is not the owner of the folder need not be able to write it.
    let foreign = wire::by_owner(store.root()).is_some();
    let unwritable = unwritable(&store).filter(|_| !foreign);
    if let Some((text, hint)) = &unwritable {
        terminal.fail(text, Some(hint));
    }
    let waiting = history.waiting().unwrap_or_default();
    if let Some(text) = waiting_for(&waiting) {
        terminal.note(&text);
    }
    let needs_person = unwritable.is_some()
        || match one {
            Some(item) => health(item, survey.inventory.get(&item.name)) == Health::NeedsPerson,
            None => view.needs_person(),
        };
    Ok(if needs_person {
        Exit::NeedsPerson
    } else {
        Exit::Done
    })
}

/// How many messages were not delivered yet, and why; nothing if none waits.
fn waiting_for(waiting: &[Waiting]) -> Option<String> {
    let mut by_notifier: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
    for one in waiting {
        let known = by_notifier.entry(one.letter.notifier.as_str());
        let (many, cause) = known.or_default();
        *many += 1;
        *cause = cause.or(one.cause.as_deref());
    }
    let told = by_notifier.into_iter().map(|(notifier, (many, cause))| {
        let cause = cause.map(|cause| format!(" ({cause})"));
        format!("{many} for {notifier}{}", cause.unwrap_or_default())
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("messages wait to be delivered: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use waxwing_core::name::NotifierName;
    use waxwing_core::notify::event::{Notice, SCHEMA};
    use waxwing_flow::notify::Letter;

    use super::*;

    #[test]
    fn messages_that_wait_are_told_with_their_reason() {
        let letter = |to: &str, cause: Option<&str>| Waiting {
            id: 1,
            letter: Letter {
                notifier: NotifierName::parse(to).expect("a literal name"),
                notice: Notice {
                    schema: SCHEMA,
                    host: "web01".to_owned(),
                    version: "0".to_owned(),
                    run: None,
                    at: start::now(),
                    events: Vec::new(),
                    certificates: 1,
                    nearest: None,
                },
            },
            attempts: 0,
            next: start::now(),
            cause: cause.map(str::to_owned),
        };
        assert_eq!(waiting_for(&[]), None);
        let waiting = [
            letter("mail", Some("refused")),
            letter("chat", None),
            letter("mail", None),
        ];
        assert_eq!(
            waiting_for(&waiting).as_deref(),
            Some("messages wait to be delivered: 1 for chat, 2 for mail (refused)")
        );
    }
}
