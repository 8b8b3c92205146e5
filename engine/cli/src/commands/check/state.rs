//! Whether the state folder is there and can be used. Nothing is made and nothing is written to find
//! out.

use std::collections::BTreeSet;
use std::path::Path;

use waxwing_core::name::CertificateName;
use waxwing_core::plan::{Asker, Item, Note};
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::{CertificateStore as _, StoreErrorKind};
use waxwing_flow::scheduler;
use waxwing_io::history::SqliteHistory;
use waxwing_io::permission::{self, Exposed};
use waxwing_io::room;
use waxwing_io::store::FileStore;

use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::count;
use crate::render::schedule::quote;
use crate::survey;
use crate::wire;

const TOPIC: &str = "state";

/// What is to be said of the state folder.
pub(super) fn findings(loaded: &Loaded, store: &FileStore, now: Timestamp) -> Vec<Found> {
    let found = finding(store);
    if let Some(shut) = shut(store) {
        return vec![found, shut];
    }
    if let Some(damaged) = damaged(loaded, store).or_else(|| unreadable(loaded, store)) {
        return vec![found, damaged];
    }
    let mut open = store.open_journals().unwrap_or_default();
    // A rehearsal that ended badly is begun anew by the next one; only what it has left somewhere is to be finished.
    open.retain(|name| {
        let owes = || store.entry(name).ok().flatten().is_none_or(|it| it.owes);
        !scheduler::is_rehearsal(name) || owes()
    });
    if open.is_empty() || found.verdict != Verdict::Ok {
        return vec![found];
    }
    // What the plan says of them; where there is none, that is told elsewhere.
    let history = SqliteHistory::look(store.root());
    let planned = history
        .and_then(|history| survey::survey(loaded, store, &history, Asker::Person, now))
        .map_or_else(|_| Vec::new(), |survey| survey.plan.items);
    let mut all = vec![found];
    all.extend(unfinished(&open, &planned));
    all
}

/// Files of the configuration that were there and are not any more.
pub(super) fn lost(loaded: &Loaded, store: &FileStore) -> Vec<Found> {
    let entries = store.inventory().unwrap_or_default().into_iter().flatten();
    let inventory = entries.map(|entry| (entry.certificate.clone(), entry));
    let inventory = inventory.collect();
    let lost = survey::stored_of_the_lost(&inventory, loaded, store);
    let lost = survey::emptied(&lost, loaded).into_iter();
    let said = lost.map(|error| {
        let found = Found::new(Verdict::Error, "config", error.to_string());
        found.hint(error.hint)
    });
    said.collect()
}

/// Certificates of which nothing could be stored, so that nothing is ordered for them.
fn shut(store: &FileStore) -> Option<Found> {
    // Who is not the owner writes nothing there.
    if wire::by_owner(store.root()).is_some() {
        return None;
    }
    let shut = store.shut();
    let hint = shut.first()?.hint.clone();
    let text = "nothing can be stored of some certificates, so they are not renewed";
    let causes = shut.iter().take(MOST_SHUT).map(ToString::to_string);
    Some(
        Found::new(Verdict::Error, TOPIC, text)
            .causes(causes)
            .hint(hint),
    )
}

/// So many of them are named.
const MOST_SHUT: usize = 20;

/// So many certificates are read whole; of more it would take too long.
const READ_WHOLE: usize = 1_000;

/// Certificates whose files do not belong together, which nobody notices before they are installed.
fn damaged(loaded: &Loaded, store: &FileStore) -> Option<Found> {
    let entries = store.inventory().ok()?;
    let configured = loaded.settings.certificates.iter().map(|one| &one.name);
    let configured: BTreeSet<&CertificateName> = configured.collect();
    // What nobody wants any more is kept as it is, and needs nobody.
    let entries = entries.into_iter().flatten();
    let entries = entries.filter(|entry| configured.contains(&entry.certificate));
    let mut names = Vec::new();
    let mut causes = Vec::new();
    // Only who reads all of it sees what no run looks at before it is due.
    let mut hidden = "";
    for (nth, entry) in entries.enumerate() {
        let damage = match entry.damage {
            None if entry.current.is_some() && nth < READ_WHOLE => {
                let damage = store.current(&entry.certificate).err();
                if damage.is_some() {
                    hidden = " --force";
                }
                damage
            }
            damage => damage,
        };
        if let Some(error) = damage.filter(|error| error.kind == StoreErrorKind::Corrupt) {
            causes.push(error.to_string());
            names.push(entry.certificate.to_string());
        }
    }
    let text = format!("what is stored cannot be used: {}", names.join(", "));
    let hint = format!(
        "`waxwing renew {}{hidden}` gets a new one; what is served stays as it is",
        names.join(" ")
    );
    let found = || {
        Found::new(Verdict::Error, TOPIC, text)
            .causes(causes)
            .hint(Some(hint))
    };
    (!names.is_empty()).then(found)
}

/// Certificates that may not be read, or that a newer version has written: no run can do anything about them.
fn unreadable(loaded: &Loaded, store: &FileStore) -> Option<Found> {
    let mut configured = loaded.settings.certificates.iter();
    let (name, error) = configured.find_map(|one| match store.entry(&one.name) {
        Ok(entry) => Some((&one.name, entry?.damage?)),
        Err(error) => Some((&one.name, error)),
    })?;
    let text = format!("what is stored of {name} cannot be read, so that no run renews it");
    let found = Found::new(Verdict::Error, TOPIC, text).causes([error.to_string()]);
    Some(found.hint(error.hint))
}

/// What runs have left that did not end, by who finishes it.
fn unfinished(open: &[CertificateName], planned: &[Item]) -> Vec<Found> {
    let (mut by_run, mut by_force) = (Vec::new(), Vec::new());
    for name in open {
        let item = planned.iter().find(|item| item.name == *name);
        match item {
            Some(item) if item.notes.contains(&Note::Unfetched) => by_force.push(name.as_str()),
            // The order of an earlier run, which the next renewal looks at.
            Some(item) if !item.notes.contains(&Note::Unfinished) => {}
            _ => by_run.push(name.as_str()),
        }
    }
    let mut found = Vec::new();
    if !by_run.is_empty() {
        let text = format!(
            "unfinished, or with records still to remove: {}",
            by_run.join(", ")
        );
        let hint = "`waxwing renew` finishes them".to_owned();
        found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
    }
    if !by_force.is_empty() {
        let names = by_force.join(" ");
        let text = format!(
            "signed by the CA and not fetched, because a forced run was interrupted: {}",
            by_force.join(", ")
        );
        let hint = format!("waxwing renew {names} --force");
        found.push(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)));
    }
    found
}

fn finding(store: &FileStore) -> Found {
    let root = store.root();
    if !root.is_dir() {
        return missing(root);
    }
    let wrong = not_ours(root).or_else(|| open_to_others(root));
    if let Some(found) = wrong.or_else(|| no_room(root)) {
        return found;
    }
    let shown = root.display();
    if !store.is_there() {
        let text = format!("{shown} is empty; the first run begins in it");
        return Found::new(Verdict::Ok, TOPIC, text);
    }
    let root = shown;
    match (store.inventory(), store.open_journals()) {
        (Ok(entries), Ok(open)) => {
            let broken: Vec<String> = entries
                .iter()
                .filter_map(|entry| entry.as_ref().err().map(ToString::to_string))
                .collect();
            let text = format!("{root} holds {}", count(entries.len(), "certificate"));
            if !broken.is_empty() {
                return Found::new(Verdict::Error, TOPIC, text).causes(broken);
            }
            if open.is_empty() {
                return Found::new(Verdict::Ok, TOPIC, format!("{text}; no run is unfinished"));
            }
            Found::new(Verdict::Ok, TOPIC, text)
        }
        (Err(error), _) | (_, Err(error)) => {
            Found::new(Verdict::Error, TOPIC, error.to_string()).hint(error.hint)
        }
    }
}

/// That the clock of this machine is behind, if what is stored proves it.
pub(super) fn clock(loaded: &Loaded, store: &FileStore, now: Timestamp) -> Option<Found> {
    // That it cannot be read is told by the finding above.
    let entries = store.inventory().ok()?.into_iter().flatten();
    let entries = entries.map(|entry| (entry.certificate.clone(), entry));
    let error = survey::behind(&entries.collect(), loaded, store, now)?;
    let text = "the clock of this machine is behind";
    let found = Found::new(Verdict::Error, "clock", text);
    Some(found.causes(error.causes).hint(error.hint))
}

/// Keys that others may read, and a folder that lets them look into it. What Waxwing makes is its
/// owner's alone, so somebody has changed it, or copied it from elsewhere.
pub(super) fn exposed(store: &FileStore) -> Vec<Found> {
    let root = store.root();
    match permission::exposed_within(root, CACHE) {
        Ok(Some(all)) => judge(root, &all),
        Ok(None) => {
            let text = format!(
                "who may read {} follows from its access list, which is not looked at",
                root.display()
            );
            let hint = format!("icacls \"{}\" shows it", root.display());
            vec![Found::new(Verdict::Ok, TOPIC, text).hint(Some(hint))]
        }
        // That it is not there, or cannot be read, is told by the finding above.
        Err(_) => Vec::new(),
    }
}

/// What can be made again, holds no secret and may be shared.
const CACHE: &str = "cache";

/// Paths that are shown of one kind.
const SHOWN: usize = 5;

/// What is to be said of what others may read below a state folder.
fn judge(root: &Path, all: &[Exposed]) -> Vec<Found> {
    let (keys, others): (Vec<&Exposed>, Vec<&Exposed>) =
        all.iter().partition(|one| is_key(root, &one.path));
    let mut found = Vec::new();
    if !keys.is_empty() {
        let text = format!("others may read {}", count(keys.len(), "private key"));
        found.push(named(Verdict::Error, &text, root, &keys));
    }
    if !others.is_empty() {
        let text = "the state folder is not its owner's alone";
        found.push(named(Verdict::Warn, text, root, &others));
    }
    found
}

/// One finding about several paths, with the command that mends it.
fn named(verdict: Verdict, text: &str, root: &Path, paths: &[&Exposed]) -> Found {
    let line = |one: &&Exposed| format!("{} has mode {:04o}", one.path.display(), one.mode);
    let mut causes: Vec<String> = paths.iter().take(SHOWN).map(line).collect();
    if let Some(more) = paths.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        causes.push(format!("and {more} more"));
    }
    let word = |path: &Path| quote(&path.to_string_lossy());
    let hint = match paths {
        [one] => format!("chmod go= {}", word(&one.path)),
        _ => format!("chmod -R go= {}", word(root)),
    };
    Found::new(verdict, TOPIC, text)
        .causes(causes)
        .hint(Some(hint))
}

/// True for files that hold a private key, or may: what installers have overwritten can be one.
fn is_key(root: &Path, path: &Path) -> bool {
    let of_backups = path.starts_with(root.join("backups")) && path.is_file();
    let named = path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        matches!(&*name, "privkey.pem" | "key.pem") || name.ends_with(".key")
    });
    named || of_backups
}

/// A state folder in the wrong place looks like one that is new.
fn missing(root: &Path) -> Found {
    let shown = root.display();
    let mut above = root.ancestors();
    // A relative path ends in the empty one, which is where we are.
    let there = above.find(|path| path.is_dir() || path.as_os_str().is_empty());
    let there = there.filter(|path| !path.as_os_str().is_empty());
    let there = there.unwrap_or(Path::new("."));
    if let Err(cause) = permission::may_write_within(there) {
        let text = format!("{shown} is not there and cannot be made");
        let why = format!("{} cannot be written: {cause}", there.display());
        let hint = "make it for the user that renews, or name another: [state] dir, --state-dir or \
                    WAXWING_STATE";
        return Found::new(Verdict::Error, TOPIC, text)
            .causes([why])
            .hint(Some(hint.to_owned()));
    }
    let text = format!("{shown} is not there; the first run makes it");
    let hint = "if there is one elsewhere, name it: [state] dir, --state-dir or WAXWING_STATE";
    Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned()))
}

/// A folder in which this user must not or cannot write: a run would be refused.
fn not_ours(root: &Path) -> Option<Found> {
    let text = format!("{} cannot be used by this user", root.display());
    let why = if permission::belongs_to_others(root).unwrap_or(false) {
        match permission::owner(root).ok().flatten() {
            Some(owner) => format!("it belongs to {}", owner.name),
            None => "it belongs to another user".to_owned(),
        }
    } else {
        permission::may_write_within(root).err()?.to_string()
    };
    let hint = wire::by_owner(root)
        .unwrap_or_else(|| format!("let this user write to {}", root.display()));
    Some(
        Found::new(Verdict::Error, TOPIC, text)
            .causes([why])
            .hint(Some(hint)),
    )
}

/// A disk on which a run could write nothing.
fn no_room(root: &Path) -> Option<Found> {
    let text = full(root, room::left(root).ok().flatten()?)?;
    let hint = format!("make room on the disk of {}", root.display());
    Some(Found::new(Verdict::Error, TOPIC, text).hint(Some(hint)))
}

/// What is to be said of a disk with so many bytes left; nothing if they are enough.
fn full(root: &Path, left: u64) -> Option<String> {
    (left < room::LEAST).then(|| {
        let left = left / 1024;
        format!(
            "the disk of {} is full: {left} KiB are left",
            root.display()
        )
    })
}

/// Why nothing can be written into a state folder that is there, and what to do.
pub(crate) fn unwritable(store: &FileStore) -> Option<(String, String)> {
    let root = store.root();
    if !store.is_there() {
        return None;
    }
    if let Err(cause) = permission::may_write_within(root) {
        let text = format!(
            "the state folder {} cannot be written: {cause}",
            root.display()
        );
        let hint =
            wire::by_owner(root).unwrap_or_else(|| "`waxwing check` says what is wrong".to_owned());
        return Some((text, hint));
    }
    if let Some(error) = store.shut().first() {
        let text = format!("nothing is renewed there: {error}");
        let hint = error.hint.clone().unwrap_or_default();
        return Some((text, hint));
    }
    let text = full(root, room::left(root).ok().flatten()?)?;
    Some((
        format!("{text}, so no run can renew anything or note what it did"),
        format!("make room on the disk of {}", root.display()),
    ))
}

/// A folder in which a run would be refused, because others could put their keys there.
fn open_to_others(root: &Path) -> Option<Found> {
    let others = permission::others_can_write_within(root).unwrap_or(false);
    others.then(|| {
        let text = format!("others can write to {}", root.display());
        let hint = format!("chmod go-w {}", root.display());
        Found::new(Verdict::Error, TOPIC, text).hint(Some(hint))
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is judged here are folders")]
mod tests {
    use waxwing_core::plan::{Action, IssueReason};

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let home = tempfile::tempdir().expect("a folder");
        let state = home.path().join("var/state");
        let store = FileStore::look(&state).expect("looked at");
        let found = finding(&store);
        assert_eq!(found.verdict, Verdict::Warn);
        assert_eq!(
            found.text,
            format!("{} is not there; the first run makes it", state.display())
        );
        assert_eq!(std::fs::read_dir(home.path()).expect("listed").count(), 0);
        // Below a file nothing can be made.
        std::fs::write(home.path().join("var"), "").expect("written");
        let below = FileStore::look(&state);
        assert!(below.is_err(), "{below:?}");
    }

    #[test]
    fn what_is_unfinished_is_named_with_the_command_that_finishes_it() {
        let item = |name: &str, notes: &[Note]| Item {
            name: CertificateName::parse(name).expect("a literal name"),
            ca: None,
            action: Action::Issue(IssueReason::Never),
            moment: None,
            hold: None,
            install: Vec::new(),
            notes: notes.to_vec(),
        };
        let planned = [
            item("due", &[Note::Unfinished]),
            item("forced", &[Note::Unfetched]),
            item("other", &[Note::Unfetched]),
            item("old", &[]),
        ];
        let names = ["due", "forced", "old", "other", "gone"];
        let names = names.map(|name| CertificateName::parse(name).expect("a literal name"));
        let found = unfinished(&names, &planned);
        let said = found
            .iter()
            .map(|one| (one.text.as_str(), one.hint.as_deref()));
        let want = [
            (
                "unfinished, or with records still to remove: due, gone",
                Some("`waxwing renew` finishes them"),
            ),
            (
                "signed by the CA and not fetched, because a forced run was interrupted: forced, other",
                Some("waxwing renew forced other --force"),
            ),
        ];
        assert_eq!(said.collect::<Vec<_>>(), want);
        assert_eq!(unfinished(&names[2..3], &planned).len(), 0);
    }

    #[test]
    fn a_disk_with_too_little_room_is_full() {
        let root = Path::new("/state");
        assert_eq!(full(root, room::LEAST), None);
        let told = full(root, 12 * 1024 + 1);
        assert_eq!(
            told.as_deref(),
            Some("the disk of /state is full: 12 KiB are left")
        );
        let home = tempfile::tempdir().expect("a folder");
        let left = room::left(home.path()).expect("asked");
        assert!(left.is_none_or(|left| left > 0));
        assert!(room::left(&home.path().join("missing")).is_err());
    }

    #[test]
    fn a_folder_that_is_empty_is_there() {
        let home = tempfile::tempdir().expect("a folder");
        let store = FileStore::look(home.path()).expect("looked at");
        let found = finding(&store);
        assert_eq!(found.verdict, Verdict::Ok, "{}", found.text);
        assert!(found.text.ends_with("is empty; the first run begins in it"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_an_error_with_the_command_that_mends_it() {
        let root = Path::new("/state");
        let exposed = |path: &str, mode| Exposed {
            path: root.join(path),
            mode,
        };
        assert_eq!(judge(root, &[]), vec![]);
        let key = exposed("certificates/shop/versions/0001/privkey.pem", 0o644);
        let found = judge(root, std::slice::from_ref(&key));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Error);
        assert_eq!(found[0].text, "others may read 1 private key");
        let path = "/state/certificates/shop/versions/0001/privkey.pem";
        assert_eq!(found[0].causes, [format!("{path} has mode 0644")]);
        assert_eq!(found[0].hint, Some(format!("chmod go= {path}")));

        // The folder alone, and many of both.
        let found = judge(root, &[exposed("", 0o755)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Warn);
        let account = exposed("accounts/first/ca.example-0d5eb258/key.pem", 0o640);
        let mut all = vec![
            exposed("", 0o750),
            account,
            exposed("components.key", 0o640),
        ];
        all.extend(vec![key; 6]);
        let found = judge(root, &all);
        let verdicts: Vec<Verdict> = found.iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Error, Verdict::Warn]);
        assert_eq!(found[0].text, "others may read 8 private keys");
        assert_eq!(
            found[0].causes.last().map(String::as_str),
            Some("and 3 more")
        );
        assert_eq!(found[0].hint.as_deref(), Some("chmod -R go= /state"));
    }

    #[cfg(unix)]
    #[test]
    fn an_empty_folder_of_everybody_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a folder");
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(home.path(), all).expect("changed");
        let store = FileStore::look(home.path()).expect("looked at");
        let found = finding(&store);
        assert_eq!(found.verdict, Verdict::Error);
        assert!(
            found.text.starts_with("others can write to"),
            "{}",
            found.text
        );
    }
}
