//! Behind a run: whoever wants to hear of it is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::key::KeyType;
use waxwing_core::name::CertificateName;
use waxwing_core::plan::Asker;
use waxwing_core::plan::in_place::LONG_AGO;
use waxwing_core::settings::{CertificateSettings, DaysAfterIssue, Settings};
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::history::Sighting;
use waxwing_flow::notify::{Frame, Office, Sent, Told};
use waxwing_flow::ports::{
    CertificateStore as _, Clock as _, History, Outbox as _, StoreError, StoreErrorKind,
};
use waxwing_flow::report::RunReport;
use waxwing_flow::tell::{self, Scene};
use waxwing_flow::terms;
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_io::notify::host_name;
use waxwing_io::reminder::FileReminder;
use waxwing_io::store::FileStore;

use super::super::{interrupt, start};
use crate::args::Global;
use crate::exit::Exit;
use crate::load::{self, LoadError, Loaded};
use crate::render::notice;
use crate::render::outcome::exit_of;
use crate::render::page::Context;
use crate::render::terminal::Terminal;
use crate::survey::{self, Survey};
use crate::wire;

/// All messages together are waited for so long; what was not sent by then waits for the next run.
const MOST: Duration = Duration::from_secs(130);

/// The same for a run that somebody has stopped.
const MOST_IF_STOPPED: Duration = Duration::from_secs(2);

/// Tells that a run could not even look at what is stored, which nobody sees whom a timer works for. Where it is
/// remembered that somebody was told, it is told once.
pub(in crate::commands) fn blind(
    loaded: &Loaded,
    error: &StoreError,
    asker: Asker,
    terminal: &mut Terminal,
) {
    if asker == Asker::Person || error.kind == StoreErrorKind::Locked {
        return;
    }
    let memory = SqliteHistory::instead(&loaded.state, error.clone());
    let seen = Survey::of_nothing(vec![error.clone()]);
    in_the_dark(loaded, memory, &seen, asker, terminal);
}

/// Tells it with what is known all the same.
fn in_the_dark(
    loaded: &Loaded,
    memory: Result<SqliteHistory, StoreError>,
    seen: &Survey,
    asker: Asker,
    terminal: &mut Terminal,
) {
    match memory {
        Ok(memory) => {
            let report = super::nothing(start::now());
            let sent = tell(loaded, None, &memory, &report, seen, asker, terminal);
            for one in &sent {
                if let Err(error) = &one.outcome {
                    terminal.fail(&format!("{}: {error}", one.notifier), error.hint.as_deref());
                }
            }
        }
        Err(error) => tracing::error!(cause = %error, "nobody can be told"),
    }
}

/// Tells that a configuration cannot be used, so that a timer renews nothing with it: as far as those who are told can be
/// read from it.
pub(in crate::commands) fn misconfigured(
    global: &Global,
    error: &LoadError,
    asker: Asker,
    terminal: &mut Terminal,
) {
    if asker == Asker::Person {
        return;
    }
    // Whoever can change it must not choose who is told, and how.
    if let LoadError::File(_) | LoadError::Writable(_) = error {
        tracing::error!("nobody is told that the configuration cannot be used");
        return;
    }
    let Some((mut loaded, names)) = load::load_to_tell(global) else {
        tracing::error!("nobody can be told that the configuration cannot be used");
        return;
    };
    // It was here, and says why it can do nothing.
    if let Ok(store) = wire::look(&loaded) {
        let _unwritten = store.ran(start::now(), asker);
    }
    let error = unusable(&loaded.config, error);
    let (inventory, unreadable) = ending(&loaded, names.as_deref());
    loaded.settings.certificates = inventory.values().map(unplanned).collect();
    let memory = SqliteHistory::apart(&loaded.state, error.clone());
    let broken = std::iter::once(error).chain(unreadable).collect();
    let seen = Survey {
        inventory,
        ..Survey::of_nothing(broken)
    };
    in_the_dark(&loaded, memory, &seen, asker, terminal);
}

/// That a configuration cannot be used, and why.
pub(in crate::commands) fn unusable(config: &Path, error: &LoadError) -> StoreError {
    let causes = match error {
        LoadError::Config(errors) => errors
            .0
            .iter()
            .map(|problem| format!("{}: {}: {}", problem.at, problem.key, problem.message))
            .collect(),
        error => error.to_string().lines().map(str::to_owned).collect(),
    };
    StoreError {
        kind: StoreErrorKind::Io,
        act: "use",
        path: std::path::absolute(config).unwrap_or_else(|_| config.to_owned()),
        causes,
        hint: Some("waxwing check".to_owned()),
    }
}

/// What is stored, as far as it can be read, and why the rest cannot: of these names, or if they are not known of what
/// has not run out long ago.
fn ending(
    loaded: &Loaded,
    names: Option<&[CertificateName]>,
) -> (BTreeMap<CertificateName, InventoryEntry>, Vec<StoreError>) {
    let store = wire::look(loaded);
    let all = match store.as_ref() {
        Ok(store) => store.inventory(),
        Err(error) => Err(error.clone()),
    };
    let all = all.unwrap_or_else(|error| vec![Err(error)]);
    let readable = all.iter().filter_map(|entry| entry.as_ref().ok());
    let readable = readable.map(|entry| (entry.certificate.clone(), entry.clone()));
    let lost = store
        .as_ref()
        .map(|store| survey::lost(loaded, store, &readable.collect()));
    let lost = lost.unwrap_or_default();
    let mut unreadable = Vec::new();
    let wanted = |entry: &InventoryEntry| {
        let current = entry.current.as_ref();
        let ends = current.map(|current| current.facts.not_after);
        match names {
            Some(names) if names.contains(&entry.certificate) => true,
            Some(_) if !lost.iter().any(|lost| lost.may_have(&entry.certificate)) => false,
            _ => ends.is_none_or(|ends| start::now().since(ends) < LONG_AGO),
        }
    };
    let mut inventory = BTreeMap::new();
    for entry in all {
        match entry {
            Ok(entry) if wanted(&entry) => {
                unreadable.extend(entry.damage.clone());
                inventory.insert(entry.certificate.clone(), entry);
            }
            Ok(_unwanted) => {}
            Err(error) => unreadable.push(error),
        }
    }
    (inventory, unreadable)
}

/// The settings with those certificates whose files the configuration has lost, and with those that were renamed and lie
/// where they were, so that somebody hears when they end; none if there are none.
fn with_the_lost(loaded: &Loaded, after: &Survey, told: &[Told]) -> Option<Settings> {
    let lost = after.lost.iter();
    let lost = lost.filter_map(|name| after.inventory.get(name));
    let mut left: Vec<&InventoryEntry> = lost.collect();
    for behind in survey::left_behind(loaded, &after.inventory, (start::now(), false)) {
        if !left.contains(&behind.entry) {
            left.push(behind.entry);
        }
    }
    if left.is_empty() {
        return None;
    }
    let mut settings = loaded.settings.clone();
    let now = start::now();
    let told = |entry: &InventoryEntry| {
        let mut told = told.iter();
        told.any(|told| told.subject == entry.certificate.as_str())
    };
    let ends = |entry: &InventoryEntry| entry.ends().is_some_and(|end| end + LONG_AGO > now);
    let left = left.into_iter().filter(|entry| ends(entry) || told(entry));
    let left: Vec<CertificateSettings> = left.map(unplanned).collect();
    settings.certificates.extend(left);
    Some(settings)
}

/// As much of a certificate as is needed to tell when it ends, where nobody knows what is wanted of it.
fn unplanned(entry: &InventoryEntry) -> CertificateSettings {
    let current = entry.current.as_ref();
    CertificateSettings {
        name: entry.certificate.clone(),
        domains: current.map_or_else(Vec::new, |current| current.facts.names.clone()),
        cas: Vec::new(),
        key: KeyType::EcdsaP256,
        reuse_key: false,
        validate: Vec::new(),
        install: entry
            .marks_in_use()
            .map(|mark| mark.plugin.clone())
            .collect(),
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue::default(),
        calendar: Arc::default(),
    }
}

/// Tells what there is to tell, and delivers what waits from earlier runs. Nothing here changes how
/// the run ends: what was to be done is done.
pub(in crate::commands) fn tell(
    loaded: &Loaded,
    store: Option<&FileStore>,
    history: &SqliteHistory,
    report: &RunReport,
    after: &Survey,
    asker: Asker,
    terminal: &mut Terminal,
) -> Vec<Sent> {
    if loaded.settings.notify.is_empty() {
        return Vec::new();
    }
    let listeners = match wire::listeners(loaded, &terminal.progress) {
        Ok(listeners) => listeners,
        Err(error) => {
            terminal.fail(&format!("nobody could be told of this run: {error}"), None);
            return Vec::new();
        }
    };
    let now = start::now();
    let told = history.told().unwrap_or_default();
    let keeper: &dyn History = history;
    let budgets = tell::budgets(keeper, &loaded.settings, report, &told, now);
    // What cannot be read is told of by whoever needs it.
    let terms = store.and_then(|store| terms::all(store, &loaded.settings).ok());
    let terms = terms.unwrap_or_default();
    // Of a CA that answers it need not be known when it last did.
    let last_seen: Vec<Sighting> = after
        .down_since
        .keys()
        .filter_map(|ca| history.last_sighting(ca).ok().flatten())
        .collect();
    let fruitless = history
        .fruitless(&loaded.settings, now)
        .unwrap_or_else(|error| {
            tracing::warn!(cause = %error, "what became of attempts could not be read");
            BTreeMap::new()
        });
    let config = std::path::absolute(&loaded.config).unwrap_or_else(|_| loaded.config.clone());
    let with_the_lost = with_the_lost(loaded, after, &told);
    let scene = Scene {
        settings: with_the_lost.as_ref().unwrap_or(&loaded.settings),
        report,
        plan: &after.plan,
        inventory: &after.inventory,
        pasts: &after.pasts,
        down_since: &after.down_since,
        fruitless: &fruitless,
        terms: &terms,
        last_seen: &last_seen,
        budgets: &budgets,
        unreadable: &after.broken,
        places: [&loaded.state, &config],
        daemon: asker == Asker::Daemon,
        blind: store.is_none(),
        well: exit_of(report) == Exit::Done && after.broken.is_empty() && !after.runs_out(),
        now,
    };
    let context = terminal.context(now);
    let words = move |notice: &_| {
        let context = Context {
            now: start::now(),
            ..context.clone()
        };
        notice::words(notice, &context)
    };
    let office = Office {
        outbox: history,
        reminder: &FileReminder::new(&loaded.state),
        listeners: &listeners,
        clock: &SystemClock,
        words: &words,
        frame: Frame {
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: (!report.id.is_empty()).then(|| report.id.clone()),
            certificates: u32::try_from(loaded.settings.certificates.len()).unwrap_or(u32::MAX),
            nearest: tell::nearest(&scene),
        },
        by_hand: asker == Asker::Person,
    };
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(refused) => {
            refused.show(terminal);
            return Vec::new();
        }
    };
    let clock = SystemClock;
    let most = if report.stopped {
        MOST_IF_STOPPED
    } else {
        MOST
    };
    let sent = runtime.block_on(async {
        tokio::select! {
            sent = office.tell(&scene) => Some(sent),
            () = clock.sleep(most) => None,
            () = interrupt::asked() => None,
        }
    });
    sent.unwrap_or_else(|| {
        let hint = "what was not delivered waits, and the next run tries again";
        terminal.fail("not everybody was told of this run in time", Some(hint));
        Vec::new()
    })
}
