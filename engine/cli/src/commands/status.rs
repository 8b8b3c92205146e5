//! `waxwing status`: one line for each certificate, worst first, without a network.

use super::check::unwritable;
use super::schedule::schedule_add;
use super::{ca, start, started};
use crate::args::{Global, Status};
use crate::exit::Exit;
use crate::render::json::{self, Document};
use crate::render::status::{
    Around, Failing, Health, SeenCa, StatusView, StoodIn, render, render_one,
};
use crate::render::terminal::Terminal;
use crate::survey::{self, foresee};
use crate::wire;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use waxwing_core::alert;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::plan::Asker;
use waxwing_core::settings::{CertificateSettings, CertificatesByName};
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::failure::Failure;
use waxwing_flow::history::Recorded;
use waxwing_flow::notify::Waiting;
use waxwing_flow::ports::{Outbox as _, Reminder as _};
use waxwing_flow::{tell, terms};
use waxwing_io::history::{SqliteHistory, Wanted};
use waxwing_io::reminder::FileReminder;

/// Lines of the history in which the last try of each installer is looked for.
const TRIES: u32 = 200;

/// A letter that every run has tried for so long was tried again and again.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

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
    let mut survey = foresee(&loaded, &store, history.as_ref(), Asker::Timer, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
    let trace = started::Trace::of(&store);
    let none = started::no_run_comes(&loaded, trace, &terminal.context(now));
    survey.broken.extend(none);
    let (used, cas) = (loaded.settings.used_cas(), &loaded.settings.cas);
    let profiles: Vec<&CaProfile> = used.iter().filter_map(|ca| cas.get(ca)).collect();
    let watched = ca::watched(
        &history,
        store.as_ref(),
        &loaded.settings,
        &profiles,
        &[],
        now,
    );
    // A line less is no reason to say nothing.
    let watched = watched.unwrap_or_else(|error| {
        tracing::warn!(cause = %error, "how the CAs are doing could not be read");
        Vec::new()
    });
    let terms = terms::all(store.as_ref(), &loaded.settings).unwrap_or_else(|error| {
        tracing::warn!(cause = %error, "the terms of the CAs could not be read");
        Vec::new()
    });
    let view = StatusView {
        pasts: &survey.pasts,
        now,
        plan: &survey.plan,
        inventory: &survey.inventory,
        certificates: CertificatesByName::new(&loaded.settings.certificates),
        failing: failing(&history, &loaded.settings.certificates, &survey.inventory),
        stood_in: stood_in(&history, &survey.inventory),
        broken: &survey.broken,
        version: env!("CARGO_PKG_VERSION"),
        around: Around {
            add: schedule_add(&loaded.config),
            started: Some(started::seen(&loaded, trace, now)),
            profiles: Around::checked(profiles.iter().copied()),
            cas: watched
                .into_iter()
                .map(|one| SeenCa::of(one.ca, &one.health, now))
                .collect(),
            terms,
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
    let waiting = waiting(history.as_ref(), store.root(), now);
    let told = history.told().unwrap_or_default();
    let unreached: Vec<_> = tell::notifiers_in_trouble(told).collect();
    if terminal.json {
        let messages = json::messages(&waiting, &unreached);
        let result = json::status(&view, &only, messages);
        terminal.print(&Document::new("status", now, result).to_text());
    } else if let Some(item) = one {
        terminal.print(&render_one(&view, item, &context));
    } else {
        terminal.print(&render(&view, &context));
    }
    for behind in survey::left_behind(&loaded, &survey.inventory, (now, false)) {
        terminal.note(&behind.sentence());
    }
    // Who is not the owner of the folder need not be able to write it.
    let foreign = wire::by_owner(store.root()).is_some();
    let unwritable = unwritable(&store).filter(|_| !foreign);
    if let Some((text, hint)) = &unwritable {
        terminal.fail(text, Some(hint));
    }
    let unheard = waiting.iter().any(|one| one.attempts >= alert::AGAIN);
    match waiting_for(&waiting) {
        Some(text) if unheard => {
            terminal.fail(&text, Some("`waxwing notify test` proves the way; what waits goes with the next message, or by later runs"))
        }
        Some(text) => terminal.note(&text),
        None => {}
    }
    let unreached = unreached.into_iter().filter(|one| {
        let mut waiting = waiting.iter();
        one.refused || waiting.all(|letter| letter.letter.notifier.as_str() != one.name)
    });
    for one in unreached {
        let (name, since) = (one.name, one.since);
        terminal.note(&format!(
            "notifier {name} does not reach everybody since {}: `waxwing notify test {name}` shows whom",
            context.moment(since)
        ));
    }
    let needs_person = unwritable.is_some()
        || unheard && one.is_none()
        || match one {
            Some(item) => view.health(item) == Health::NeedsPerson,
            None => view.needs_person(),
        };
    Ok(if needs_person {
        Exit::NeedsPerson
    } else {
        Exit::Done
    })
}

/// The installers whose last try with the stored version failed. What an installer did since, another one
/// does not hide.
pub(super) fn failing(
    history: &SqliteHistory,
    certificates: &[CertificateSettings],
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> BTreeMap<CertificateName, Vec<Failing>> {
    let mut found = BTreeMap::new();
    for certificate in certificates {
        let entry = inventory.get(&certificate.name);
        let Some((entry, current)) = entry.and_then(|e| Some((e, e.current.as_ref()?))) else {
            continue;
        };
        let has = |plugin: &PluginName| {
            let mut marks = entry.installed.iter();
            marks.any(|mark| mark.plugin == *plugin && mark.version == current.version)
        };
        let lacking: Vec<_> = certificate.install.iter().filter(|one| !has(one)).collect();
        if lacking.is_empty() {
            continue;
        }
        let records = history.records(&Wanted {
            certificate: Some(&certificate.name),
            since: current.origin.issued_at,
            failed: false,
            most: TRIES,
        });
        let records = records.unwrap_or_else(|error| {
            tracing::warn!(certificate = %certificate.name, cause = %error,
                "how its installers ended could not be read");
            Vec::new()
        });
        let last_of = |plugin: &PluginName| {
            let mut newest_first = records.iter();
            let last = newest_first.find(|record| {
                matches!(&record.what, Recorded::Deploy { target } if target == plugin.as_str())
            })?;
            let failed = last.failed.as_ref()?;
            // The next run does what one that was stopped has left.
            if failed.causes == Failure::Stopped.chain() {
                return None;
            }
            Some(Failing {
                plugin: plugin.clone(),
                at: last.ended,
                causes: failed.causes.clone(),
            })
        };
        let failing: Vec<Failing> = lacking.into_iter().filter_map(last_of).collect();
        if !failing.is_empty() {
            found.insert(certificate.name.clone(), failing);
        }
    }
    found
}

/// Why another CA than the first one of the list has issued what is stored.
pub(super) fn stood_in(
    history: &SqliteHistory,
    inventory: &BTreeMap<CertificateName, InventoryEntry>,
) -> BTreeMap<CertificateName, StoodIn> {
    let known = history.stand_ins().unwrap_or_else(|error| {
        tracing::warn!(cause = %error, "why a fallback was taken could not be read");
        Vec::new()
    });
    let is_current = |name: &CertificateName, version: u32| {
        let current = inventory.get(name).and_then(|entry| entry.current.as_ref());
        current.is_some_and(|current| current.version == version)
    };
    let current = known
        .into_iter()
        .filter(|(name, version, ..)| is_current(name, *version));
    current
        .map(|(name, _, other, why)| (name, StoodIn { other, why }))
        .collect()
}

/// Every letter that waits: in the outbox, and beside it from the time in which that could not be written.
pub(super) fn waiting(history: &SqliteHistory, state: &Path, now: Timestamp) -> Vec<Waiting> {
    let mut all = history.waiting().unwrap_or_default();
    let beside = FileReminder::new(state).unsent();
    all.extend(beside.into_iter().map(|one| Waiting {
        id: 0,
        // Each run tries it, and nobody counts.
        attempts: match now.since(one.letter.notice.at) > LONG {
            true => alert::AGAIN,
            false => 1,
        },
        letter: one.letter,
        next: now,
        cause: None,
        rest: one.rest,
    }));
    all
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
    use waxwing_flow::notify::{Letter, Rest};

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
            rest: Rest::default(),
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
