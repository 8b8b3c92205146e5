//! What every verb begins with: the configuration, the state folder, the names on the command line.

use std::collections::BTreeSet;
use std::sync::Arc;

use waxwing_core::name::{CertificateName, Identifier};
use waxwing_core::plan::Asker;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::ports::{CertificateStore as _, Clock as _, StoreError, StoreErrorKind};
use waxwing_flow::scheduler;
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;

use super::{pulse, renew};
use crate::args::Global;
use crate::exit::Exit;
use crate::load::{self, LoadError, Loaded};
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;
use crate::wire;

/// The time at which the program looks at its world.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Reads the configuration, or says everything that is wrong with it.
pub(crate) fn load(global: &Global, terminal: &mut Terminal) -> Result<Loaded, Exit> {
    or_say(load::load(global), terminal)
}

fn or_say(loaded: Result<Loaded, LoadError>, terminal: &mut Terminal) -> Result<Loaded, Exit> {
    loaded.map_err(|error| {
        let hint = match &error {
            LoadError::File(error) => error.hint.clone(),
            LoadError::Config(_)
            | LoadError::Writable(_)
            | LoadError::Programs(_)
            | LoadError::Rights(_) => None,
        };
        terminal.fail(&error.to_string(), hint.as_deref());
        Exit::Config
    })
}

/// Reads the configuration and the state folder, for verbs that only look. One that is not there is
/// not made.
pub(crate) fn look(
    global: &Global,
    terminal: &mut Terminal,
) -> Result<(Loaded, Arc<FileStore>), Exit> {
    let loaded = or_say(load::load_to_look(global), terminal)?;
    let store = wire::look(&loaded).map_err(|error| store_failed(&error, terminal))?;
    Ok((loaded, store))
}

/// Says that there is no state folder, or nothing in it: it may stand elsewhere.
pub(crate) fn say_if_missing(store: &FileStore, terminal: &mut Terminal) {
    if store.is_there() {
        return;
    }
    let root = store.root();
    let what = if root.is_dir() {
        format!("the state folder {} is empty", root.display())
    } else {
        format!("there is no state folder at {}", root.display())
    };
    terminal.note(&format!("{what}: nothing was issued yet"));
}

/// Opens the state folder to change what is in it.
pub(crate) fn open(loaded: &Loaded, terminal: &mut Terminal) -> Result<Arc<FileStore>, Exit> {
    wire::store(loaded).map_err(|error| store_failed(&error, terminal))
}

/// Opens what earlier runs have learnt, for a run that goes on without it if another process does not let go of it.
pub(crate) fn history_or_nothing(
    store: &FileStore,
    terminal: &mut Terminal,
) -> Result<Arc<SqliteHistory>, Exit> {
    let opened = SqliteHistory::open_or_nothing(store.root());
    opened
        .map(Arc::new)
        .map_err(|error| store_failed(&error, terminal))
}

/// Writes down what was noted while the history could not be used, if it can be now. Answers the one to go on with.
pub(crate) fn note_late(store: &FileStore, history: &SqliteHistory) -> Option<Arc<SqliteHistory>> {
    history.unwritable()?;
    match history.written_late(store.root()) {
        Ok(found) => {
            tracing::info!("the history can be used again, and has what was noted meanwhile");
            Some(Arc::new(found))
        }
        Err(error) => {
            tracing::error!(cause = %error, "the history still cannot be used, and lacks what was noted meanwhile");
            None
        }
    }
}

/// Looks at what earlier runs have learnt.
pub(crate) fn look_at_history(
    store: &FileStore,
    terminal: &mut Terminal,
) -> Result<Arc<SqliteHistory>, Exit> {
    let seen = SqliteHistory::look(store.root());
    seen.map(Arc::new)
        .map_err(|error| store_failed(&error, terminal))
}

/// Reads the configuration for verbs that run what it names: refused if others can change that.
pub(crate) fn load_to_run(global: &Global, terminal: &mut Terminal) -> Result<Loaded, Exit> {
    load_for(None, global, terminal)
}

/// The same for runs that nobody may be looking at: whoever wants to hear of failures is told of a configuration that
/// cannot be used.
pub(crate) fn load_for(
    asker: Option<Asker>,
    global: &Global,
    terminal: &mut Terminal,
) -> Result<Loaded, Exit> {
    let loaded = load::load(global).and_then(|loaded| {
        load::refuse_foreign_programs(&loaded.settings)?;
        Ok(loaded)
    });
    if let (Err(error), Some(asker)) = (&loaded, asker) {
        renew::misconfigured(global, error, asker, terminal);
    }
    match loaded {
        Err(refused @ LoadError::Programs(_)) => Err(Refusal::from(refused).show(terminal)),
        loaded => or_say(loaded, terminal),
    }
}

/// The same as [`look`] for verbs that run what the configuration names: refused if others can
/// change it.
pub(crate) fn look_to_run(
    global: &Global,
    terminal: &mut Terminal,
) -> Result<(Loaded, Arc<FileStore>), Exit> {
    let loaded = load_to_run(global, terminal)?;
    let store = wire::look(&loaded).map_err(|error| store_failed(&error, terminal))?;
    Ok((loaded, store))
}

/// Says what is wrong with the state folder.
pub(crate) fn store_failed(error: &StoreError, terminal: &mut Terminal) -> Exit {
    terminal.fail(&error.to_string(), error.hint.as_deref());
    store_exit(error)
}

/// How the program ends when the state folder is not as it should be.
pub(crate) const fn store_exit(error: &StoreError) -> Exit {
    match error.kind {
        StoreErrorKind::Locked => Exit::Locked,
        StoreErrorKind::Permission => Exit::Denied,
        _ => Exit::AllFailed,
    }
}

/// The runtime of a verb that talks to somebody.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Refusal> {
    pulse::runtime()
        .map_err(|cause| Refusal::new(Exit::Bug, "failed to start the runtime").cause(cause))
}

/// The names under which something is stored.
pub(crate) fn stored(
    store: &FileStore,
    terminal: &mut Terminal,
) -> Result<BTreeSet<CertificateName>, Exit> {
    known(store).map_err(|error| store_failed(&error, terminal))
}

/// The same for who says himself what is wrong.
pub(crate) fn known(store: &FileStore) -> Result<BTreeSet<CertificateName>, StoreError> {
    let entries = store.inventory()?;
    // The journal of a rehearsal is no certificate.
    let is_one = |entry: &InventoryEntry| {
        entry.current.is_some() || !scheduler::is_rehearsal(&entry.certificate)
    };
    Ok(entries
        .into_iter()
        .flatten()
        .filter(is_one)
        .map(|entry| entry.certificate)
        .collect())
}

/// Refuses a name that is configured and under which nothing is stored yet.
pub(crate) fn must_be_stored(
    name: &CertificateName,
    known: &BTreeSet<CertificateName>,
    terminal: &mut Terminal,
) -> Result<(), Exit> {
    if known.contains(name) {
        return Ok(());
    }
    let hint = format!("`waxwing renew {name}` issues it");
    terminal.fail(
        &format!("no certificate is stored under {name}"),
        Some(&hint),
    );
    Err(Exit::Usage)
}

/// The certificates of the command line; each must be among `known` or configured.
pub(crate) fn names(
    written: &[String],
    settings: &Settings,
    known: &BTreeSet<CertificateName>,
    terminal: &mut Terminal,
) -> Result<Vec<CertificateName>, Exit> {
    let mut all: BTreeSet<&CertificateName> = known.iter().collect();
    all.extend(
        settings
            .certificates
            .iter()
            .map(|certificate| &certificate.name),
    );
    let mut found = Vec::new();
    for text in written {
        // People write a name as they read it; what is stored goes by its A-labels (RFC 5890).
        let ascii = Identifier::parse(text).map(|name| name.to_string());
        let named = |name: &&&CertificateName| {
            name.as_str() == text || ascii.as_deref().is_ok_and(|ascii| name.as_str() == ascii)
        };
        match all.iter().find(named) {
            Some(name) => found.push((*name).clone()),
            None => {
                let names: Vec<&str> = all.iter().map(|name| name.as_str()).collect();
                let hint = match nearest(text, &names) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("configured: {}", names.join(", ")),
                };
                terminal.fail(&format!("no certificate \"{text}\""), Some(&hint));
                return Err(Exit::Usage);
            }
        }
    }
    Ok(found)
}

/// The name that was probably meant: a near miss, else one that contains what was written, or the
/// other way round. A letter or two are in every name.
fn nearest<'n>(written: &str, names: &[&'n str]) -> Option<&'n str> {
    let telling = |part: &str| part.chars().count() >= 3;
    let related = |name: &&&str| {
        telling(written) && name.contains(written) || telling(name) && written.contains(**name)
    };
    let near = waxwing_core::nearest::nearest(written, names.iter().copied());
    near.or_else(|| names.iter().find(related).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_no_near_miss() {
        let names = ["example.com", "shop"];
        assert_eq!(nearest("a", &names), None);
        assert_eq!(nearest("shp", &names), Some("shop"));
        assert_eq!(nearest("example", &names), Some("example.com"));
        assert_eq!(nearest("www.example.com", &names), Some("example.com"));
    }
}
