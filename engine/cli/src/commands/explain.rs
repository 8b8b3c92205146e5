//! `waxwing explain`: why a certificate is due or not, what happens next, when, and at which CA.

use waxwing_core::ca::limits::LimitKind;
use waxwing_core::due;
use waxwing_core::plan::Asker;
use waxwing_core::settings::CertificatesByName;
use waxwing_flow::budget;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::history::Past;
use waxwing_flow::ports::{AccountRecord, CertificateStore as _, StoreErrorKind};

use super::start;
use super::status::{failing, stood_in};
use crate::args::{Explain, Global};
use crate::exit::Exit;
use crate::render::explain::{AccountState, CaView, ExplainView, json, render};
use crate::render::json::Document;
use crate::render::status::{Around, StatusView};
use crate::render::terminal::Terminal;
use crate::survey::{self, foresee};

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Explain,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let history = start::look_at_history(&store, terminal)?;
    start::say_if_missing(&store, terminal);
    let now = start::now();
    let survey = foresee(&loaded, &store, history.as_ref(), Asker::Timer, now)
        .map_err(|error| start::store_failed(&error, terminal))?;
    let known = survey.inventory.keys().cloned().collect();
    let written = std::slice::from_ref(&arguments.name);
    let names = start::names(written, &loaded.settings, &known, terminal)?;
    let mut items = survey.plan.items.iter();
    let Some(item) = items.find(|item| names.contains(&item.name)) else {
        for error in &survey.broken {
            terminal.fail(&error.to_string(), error.hint.as_deref());
        }
        return Ok(Exit::NeedsPerson);
    };
    let settings = &loaded.settings;
    let mut certificates = settings.certificates.iter();
    let certificate = certificates.find(|one| one.name == item.name);
    let entry = survey.inventory.get(&item.name);
    let current = entry.and_then(|entry| entry.current.as_ref());
    let none = Past::default();
    let past = survey.pasts.get(&item.name).unwrap_or(&none);
    let stored = survey.stored(&item.name);
    let suggestion = stored
        .and_then(|stored| stored.current)
        .and_then(|current| current.suggestion);
    let rules = current.zip(certificate).map(|(current, certificate)| {
        due::rules(
            current.facts.not_before,
            current.facts.not_after,
            certificate.days_after_issue,
            suggestion.as_ref(),
        )
    });
    let asking = certificate.and_then(|certificate| {
        let who = (Asker::Timer, now);
        survey::asking(&loaded, &survey, history.as_ref(), certificate, who)
    });
    let cas = asking.iter().flat_map(|asking| {
        asking.list.iter().map(|name| {
            let profile = settings.cas.get(name);
            let names = certificate.map_or(&[][..], |certificate| &certificate.domains);
            let stands_in =
                profile.is_some_and(|one| one.fallback && !one.may_charge && !one.staging);
            let left = profile.map(|profile| budget::left(history.as_ref(), profile, names, now));
            CaView {
                name: name.clone(),
                standing: asking.standings.get(name).cloned().unwrap_or_default(),
                passed_over: asking.never.get(name).map(ToString::to_string),
                left: left.and_then(Result::ok).unwrap_or_default(),
                uncounted: profile
                    .and_then(|profile| profile.limits.get(&LimitKind::Certificates))
                    .map(ToString::to_string),
                account: store
                    .accounts(name)
                    .ok()
                    .map(|all| account(&all, stands_in)),
            }
        })
    });
    let cas: Vec<CaView> = cas.collect();
    let certificates = certificate.map_or(&[][..], std::slice::from_ref);
    let status = StatusView {
        pasts: &survey.pasts,
        now,
        plan: &survey.plan,
        inventory: &survey.inventory,
        certificates: CertificatesByName::new(certificates),
        failing: failing(&history, certificates, &survey.inventory),
        stood_in: stood_in(&history, &survey.inventory),
        broken: &survey.broken,
        version: env!("CARGO_PKG_VERSION"),
        around: Around::default(),
    };
    let view = ExplainView {
        item,
        certificate,
        current,
        rules,
        advice: past.advice.as_ref(),
        failed: &past.failed,
        cas: &cas,
        next: asking.as_ref().map(|asking| &asking.choice.next),
        failover: settings.failover,
        plugins: &settings.plugins,
        notifiers: &settings.notify,
        status: &status,
    };
    // Whatever it says counts by a clock that cannot be right.
    let mut broken = survey.broken.iter();
    let behind = broken.find(|error| error.kind == StoreErrorKind::Clock);
    if let Some(error) = behind {
        terminal.fail(&error.to_string(), error.hint.as_deref());
    }
    if terminal.json {
        terminal.print(&Document::new("explain", now, json(&view)).to_text());
    } else {
        terminal.print(&render(&view, &terminal.context(now)));
    }
    let of_it = survey::left_behind(&loaded, &survey.inventory, (now, false)).into_iter();
    for behind in of_it.filter(|behind| behind.entry.certificate == item.name) {
        terminal.note(&behind.sentence());
    }
    // What is gone because a file is, nobody has taken out.
    let is_lost = survey.lost.contains(&item.name);
    if is_lost {
        let lost = survey::stored_of_the_lost(&survey.inventory, &loaded, &store);
        let of_it = |(_, entries): &(_, Vec<&InventoryEntry>)| {
            entries.iter().any(|entry| entry.certificate == item.name)
        };
        let lost: Vec<_> = lost.into_iter().filter(of_it).collect();
        for error in survey::emptied(&lost, &loaded) {
            terminal.fail(&error.to_string(), error.hint.as_deref());
        }
    }
    Ok(match behind {
        None if !is_lost => Exit::Done,
        _ => Exit::NeedsPerson,
    })
}

fn account(all: &[AccountRecord], stands_in: bool) -> AccountState {
    let mut usable = all.iter().filter(|one| one.usable().is_some());
    match usable.next() {
        Some(one) => AccountState::Registered(one.terms.as_ref().map(|(_, at)| *at)),
        None if stands_in => AccountState::Missing,
        None => AccountState::NotAhead,
    }
}
