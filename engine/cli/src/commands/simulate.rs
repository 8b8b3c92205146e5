//! `waxwing simulate`: the time ahead of this configuration, with trouble of the operator's choice.
//!
//! It uses no network and writes nothing but the page that was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tracing::subscriber::{NoSubscriber, with_default};
use waxwing_acme::directory::Directory;
use waxwing_core::disturbance::{self, Disturbance, Trouble};
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::nearest::nearest;
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::Window;
use waxwing_flow::certificate::InventoryVersion;
use waxwing_flow::ports::{CertificateStore as _, StoreError};
use waxwing_flow::simulate::{Scenario, Story, fleet, simulate};
use waxwing_io::config;
use waxwing_io::outfile;
use waxwing_io::store::FileStore;

use super::start;
use crate::args::Global;
use crate::args::simulate::Simulate;
use crate::exit::Exit;
use crate::load;
use crate::refusal::Refusal;
use crate::render::html::BEGINNING;
use crate::render::json::{self, Document};
use crate::render::page::count;
use crate::render::simulation::{Assumed, Beginning, SimulationView, html, render};
use crate::render::terminal::Terminal;

/// What `--outage` may name besides CAs.
const HOME: [&str; 3] = ["dns", "network", "machine"];

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Simulate,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    if arguments.lives.is_some() && arguments.fleet.is_none() {
        let text =
            "--lives says how long the certificates of a fleet live, and no fleet is asked for";
        let hint =
            "add --fleet 500, or leave --lives out: the lives of your own certificates are known";
        return Err(Refusal::new(Exit::Usage, text).hint(hint));
    }
    let loaded = load::load(global)?;
    let mut settings = loaded.settings;
    if let Some(path) = &arguments.html {
        let wrong = |error: StoreError| Refusal {
            exit: Exit::Usage,
            ..Refusal::from(error)
        };
        outfile::check(path).map_err(wrong)?;
        refuse_to_replace(path, &settings.files, &loaded.state)?;
    }
    let cas = match arguments.fleet {
        Some(_) => settings.certificates.first().map(|one| one.cas.clone()),
        None => Some(settings.used_cas()),
    };
    let cas = cas.unwrap_or_default();
    let scripted = script(&arguments.outage, &cas)?;
    let now = start::now();
    let from = arguments.from.unwrap_or(now);
    let mut scenario = Scenario {
        window: Window {
            start: from,
            end: from + arguments.length,
        },
        every: arguments.every,
        seed: arguments.seed,
        crash_rate: arguments.crash_rate,
        disturbances: scripted.clone(),
        lives: BTreeMap::new(),
        ages: BTreeMap::new(),
    };
    if arguments.random_outages {
        let drawn = disturbance::random(&cas, scenario.window, arguments.seed);
        scenario.disturbances.extend(drawn);
    }
    let beginning = match arguments.fleet {
        Some(size) => {
            let lives = arguments.lives_of_the_fleet();
            fleet(&mut settings, &mut scenario, size, &lives);
            Beginning::Fleet(lives)
        }
        None => {
            without_advice(&mut settings, &loaded.state);
            in_place(&settings, &loaded.state, &mut scenario)
        }
    };
    let assumed = Assumed {
        beginning,
        names: settings
            .certificates
            .iter()
            .map(|one| one.name.clone())
            .collect(),
        alone: alone(&settings),
        every: scenario.every,
        crash_rate: scenario.crash_rate,
        warnings: beside(&scripted, scenario.window),
        scripted: scripted.len(),
        cas,
    };
    let story = play(&settings, &scenario, global.verbose)?;
    let view = SimulationView {
        story: &story,
        assumed: &assumed,
        version: env!("CARGO_PKG_VERSION"),
    };
    let context = terminal.context(now);
    if let Some(path) = &arguments.html {
        outfile::write(path, &html::page(&view, &context))?;
        let path = path.display();
        terminal.note(&format!(
            "The timeline is in {path}, readable by you alone."
        ));
    }
    if terminal.json {
        terminal.print(&Document::new("simulate", now, json::simulation(&view)).to_text());
    } else {
        terminal.print(&render(&view, &context));
    }
    Ok(match story.broken_promises() {
        0 => Exit::Done,
        _ => Exit::NeedsPerson,
    })
}

/// Refuses to draw the timeline in the place of something else: a simulation changes nothing.
fn refuse_to_replace(path: &Path, configuration: &[PathBuf], state: &Path) -> Result<(), Refusal> {
    let real = |path: &Path| config::real_path(path).unwrap_or_else(|| path.to_owned());
    let page = real(path);
    let folder = path.parent().map(real).unwrap_or_default();
    let refuse = |why: &str| {
        let text = format!("{} {why}; nothing was written", path.display());
        Err(Refusal::new(Exit::Usage, text).hint("--html timeline.html, in a folder of your own"))
    };
    if configuration.iter().any(|one| real(one) == page) {
        return refuse("is a file of the configuration");
    }
    let state = real(state);
    if page.starts_with(&state) || folder.starts_with(&state) {
        return refuse("is in the state folder");
    }
    if outfile::holds_something_else(path, BEGINNING) {
        return refuse("is there already and is no such page");
    }
    Ok(())
}

/// What the engine would log is in the story, and its times are not those of the log.
fn play(settings: &Settings, scenario: &Scenario, verbose: u8) -> Result<Story, Refusal> {
    let runtime = start::runtime()?;
    let play = || runtime.block_on(simulate(settings, scenario));
    Ok(match verbose {
        0 => with_default(NoSubscriber::default(), play),
        _ => play(),
    })
}

/// Reads every outage, or says everything that is wrong with them.
fn script(written: &[String], cas: &[CaName]) -> Result<Vec<Disturbance>, Refusal> {
    let mut read = Vec::new();
    let mut wrong = Vec::new();
    for text in written {
        let known = Disturbance::parse(text).and_then(|one| match stranger(&one, cas) {
            Some(cause) => Err(format!("`{text}`: {cause}")),
            None => Ok(one),
        });
        match known {
            Ok(one) => read.push(one),
            Err(cause) => wrong.push(cause),
        }
    }
    if wrong.is_empty() {
        return Ok(read);
    }
    let message = match wrong.len() {
        1 => "an outage cannot be simulated".to_owned(),
        number => format!("{} cannot be simulated", count(number, "outage")),
    };
    let refusal = Refusal::new(Exit::Usage, message);
    let refusal = wrong.into_iter().fold(refusal, Refusal::cause);
    Err(refusal.hint("`waxwing simulate --help` has examples"))
}

/// Why a CA cannot be out of order: nobody asks it.
fn stranger(one: &Disturbance, cas: &[CaName]) -> Option<String> {
    let (Trouble::Down(ca) | Trouble::Slow(ca) | Trouble::Rejects(ca)) = &one.trouble else {
        return None;
    };
    if cas.contains(ca) {
        return None;
    }
    let names = cas.iter().map(CaName::as_str);
    Some(match nearest(ca.as_str(), names.clone().chain(HOME)) {
        Some(near) => format!("no `ca` list names {ca}; did you mean {near}?"),
        None => {
            let names: Vec<&str> = names.collect();
            format!("no `ca` list names {ca}, only {}", names.join(", "))
        }
    })
}

/// Outages that make no difference.
fn beside(scripted: &[Disturbance], window: Window) -> Vec<String> {
    let outside =
        |one: &&Disturbance| one.during.end <= window.start || one.during.start >= window.end;
    let said = scripted.iter().filter(outside);
    said.map(|one| format!("{one} lies outside of the time that is simulated"))
        .collect()
}

/// Certificates that no other CA could stand in for.
fn alone(settings: &Settings) -> BTreeSet<CertificateName> {
    let all = settings.certificates.iter();
    let alone = all.filter(|certificate| certificate.cas.len() < 2);
    alone.map(|certificate| certificate.name.clone()).collect()
}

/// Leaves out the advice of CAs whose directory, as it is known, gives none.
fn without_advice(settings: &mut Settings, state: &Path) {
    let Ok(store) = FileStore::look(state) else {
        return;
    };
    for (name, profile) in &mut settings.cas {
        let copy = store.directory(name).ok().flatten();
        let known = copy.and_then(|copy| Directory::from_stored(&copy.text).ok());
        if known.is_some_and(|directory| directory.renewal_info.is_none()) {
            profile.ari.enabled = false;
        }
    }
}

/// Takes over what is stored, as far as it still fits.
fn in_place(settings: &Settings, state: &Path, scenario: &mut Scenario) -> Beginning {
    let entries = match FileStore::look(state) {
        Err(error) => return Beginning::Nothing(error.to_string()),
        Ok(store) if !store.is_there() => {
            let path = state.display();
            return Beginning::Nothing(format!("there is no state folder at {path}"));
        }
        Ok(store) => store.inventory(),
    };
    let entries = match entries {
        Err(error) => return Beginning::Nothing(error.to_string()),
        Ok(entries) => entries,
    };
    let stored: BTreeMap<_, _> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.certificate, entry.current?)))
        .collect();
    let mut first = Vec::new();
    for certificate in &settings.certificates {
        let name = &certificate.name;
        match stored
            .get(name)
            .filter(|it| fits(it, certificate, scenario))
        {
            Some(current) => {
                let (begin, end) = (current.facts.not_before, current.facts.not_after);
                let age = scenario.window.start.since(begin);
                scenario.ages.insert(name.clone(), age);
                scenario.lives.insert(name.clone(), end.since(begin));
            }
            None => first.push(name.clone()),
        }
    }
    Beginning::Stored { first }
}

/// True if it is worth something when the simulation begins.
fn fits(
    current: &InventoryVersion,
    certificate: &CertificateSettings,
    scenario: &Scenario,
) -> bool {
    let names: BTreeSet<_> = current.facts.names.iter().collect();
    let wanted: BTreeSet<_> = certificate.domains.iter().collect();
    names == wanted && current.revoked.is_none() && current.facts.not_after > scenario.window.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_outage_is_said_at_once() {
        let ca = |name| CaName::parse(name).expect("a literal name");
        let cas = [ca("first"), ca("second")];
        let texts = [
            "first=2026-12-01..+14d",
            "secund=2026-12-01..+14d",
            "elsewhere:slow=2026-12-01..+14d",
            "dns=2026-12-01",
            "machin=2026-12-01..+1d",
        ];
        let refusal = script(&texts.map(str::to_owned), &cas).expect_err("refused");
        assert_eq!(refusal.exit, Exit::Usage);
        assert_eq!(refusal.message, "4 outages cannot be simulated");
        let want = [
            "`secund=2026-12-01..+14d`: no `ca` list names secund; did you mean second?",
            "`elsewhere:slow=2026-12-01..+14d`: no `ca` list names elsewhere, only first, second",
            "`dns=2026-12-01` is not an outage as in CA=2026-12-01..+14d or \
             machine=2026-12-24..2026-12-26",
            "`machin=2026-12-01..+1d`: no `ca` list names machin; did you mean machine?",
        ];
        assert_eq!(refusal.causes, want);
        let right = ["first=2026-12-01..+1d", "network=2027-12-01..+1h"].map(str::to_owned);
        let read = script(&right, &cas).expect("well written");
        let window = Window {
            start: read[0].during.start,
            end: read[0].during.end,
        };
        let said = beside(&read, window);
        assert_eq!(
            said,
            ["network=2027-12-01T00:00:00Z..+1h lies outside of the time that is simulated"]
        );
    }
}
