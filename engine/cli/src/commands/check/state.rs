//! Whether the state folder is there and can be used. Nothing is made and nothing is written to find
//! out.

use std::path::Path;

use waxwing_core::name::CertificateName;
use waxwing_flow::ports::CertificateStore as _;
use waxwing_io::permission;
use waxwing_io::room;
use waxwing_io::store::FileStore;

use crate::render::check::{Found, Verdict};
use crate::render::page::count;
use crate::wire;

const TOPIC: &str = "state";

/// What is to be said of the state folder.
pub(super) fn finding(store: &FileStore) -> Found {
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
            let names: Vec<&str> = open.iter().map(CertificateName::as_str).collect();
            let text = format!(
                "{text}; unfinished, or with records still to remove: {}",
                names.join(", ")
            );
            Found::new(Verdict::Warn, TOPIC, text)
                .hint(Some("`waxwing renew` finishes them".to_owned()))
        }
        (Err(error), _) | (_, Err(error)) => {
            Found::new(Verdict::Error, TOPIC, error.to_string()).hint(error.hint)
        }
    }
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
