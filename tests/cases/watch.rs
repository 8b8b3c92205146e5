//! No scenario leaves a secret where none belongs: not in the state, not in what is installed, not in
//! the log or the audit trail, not in anything that was printed or told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use waxwing_world::scan::{Heard, Secrets};

use super::child::HEARD;

thread_local! {
    /// Folders of the rigs of this test.
    static FOLDERS: RefCell<BTreeSet<PathBuf>> = const { RefCell::new(BTreeSet::new()) };
    /// Private keys that were seen there, each with the file that it was in first.
    static KEYS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// The secrets of a scenario; dropped, it looks at all that is left, and at all that was said.
pub(super) struct Watch {
    folder: PathBuf,
    secrets: Mutex<Secrets>,
    /// Where secrets are by the wish of the scenario.
    sources: Mutex<BTreeSet<PathBuf>>,
    told: Heard,
}

impl Watch {
    pub(super) fn new(folder: &Path, told: Heard) -> Self {
        FOLDERS.with_borrow_mut(|all| all.insert(folder.to_owned()));
        Self {
            folder: folder.to_owned(),
            secrets: Mutex::default(),
            sources: Mutex::default(),
            told,
        }
    }

    pub(super) fn secret(&self, name: &str, value: &str) {
        // A key that is brought along may be where keys are.
        let keys = private_keys(value);
        if !keys.is_empty() {
            KEYS.with_borrow_mut(|all| {
                all.extend(keys.iter().map(|key| ((*key).to_owned(), name.to_owned())));
            });
            return;
        }
        let mut secrets = self.secrets.lock().expect("a lock");
        secrets.add(name, value.trim());
    }

    pub(super) fn source(&self, place: PathBuf) {
        self.sources.lock().expect("a lock").insert(place);
    }
}

/// Takes down the keys that are there now: some are erased before the scenario ends.
pub(super) fn learn() {
    let folders = FOLDERS.with_borrow(Clone::clone);
    for folder in folders {
        for below in ["state", "tls"] {
            for path in files(&folder.join(below)) {
                if may_hold_keys(&path) {
                    keys_in(&path);
                }
            }
        }
    }
}

/// The private keys in a file, which are known from then on.
fn keys_in(path: &Path) -> BTreeSet<String> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let found = private_keys(&text).into_iter().map(str::to_owned);
    let found: BTreeSet<String> = found.collect();
    KEYS.with_borrow_mut(|keys| {
        for key in &found {
            let place = || path.display().to_string();
            keys.entry(key.clone()).or_insert_with(place);
        }
    });
    found
}

/// True for a file in which a key is in its place: the state has keys in files that are called so, and installers put them
/// into such files or, with their chain, into one of another name. Where certificates alone belong, or anything else, there is none.
fn may_hold_keys(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    let parts = || path.components().map(|part| part.as_os_str());
    if parts().any(|part| part == "log") {
        return false;
    }
    // What is damaged is set aside whole, under a number.
    if parts().any(|part| part == "damaged") {
        return true;
    }
    if parts().any(|part| part == "state") {
        // That of a pending order is in the journal; what is being written has more behind its name.
        let pending = parts().any(|part| part == "journal");
        return name.contains("key") && (pending || name.contains(".pem"));
    }
    let of_certificates = ["cert", "chain", "fullchain"];
    let is_chain = of_certificates.iter().any(|start| name.starts_with(start));
    [".key", ".pem"].iter().any(|end| name.ends_with(end)) && !is_chain
}

/// The files below a folder. Compiled components are large and not ours to read.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.ends_with("cache/components") || path.is_symlink() {
            continue;
        }
        match fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
            Err(_file) if path.is_file() => found.push(path),
            Err(_gone) => {}
        }
    }
    found
}

/// The blocks of a PEM file that hold private keys.
fn private_keys(text: &str) -> Vec<&str> {
    let blocks = text.split("-----BEGIN ").skip(1);
    let keys = blocks.filter_map(|block| {
        let (kind, rest) = block.split_once("-----")?;
        let (key, _end) = rest.split_once("-----END ")?;
        kind.ends_with("PRIVATE KEY").then_some(key)
    });
    keys.collect()
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A claim that has failed has said what is wrong.
        if std::thread::panicking() {
            return;
        }
        let sources = self.sources.lock().expect("a lock");
        let secrets = self.secrets.lock().expect("a lock");
        // A file that has keys of its own may have nothing else.
        let mut others = Vec::new();
        let mut with_keys = Vec::new();
        for path in files(&self.folder) {
            if sources.iter().any(|one| path.starts_with(one)) {
                continue;
            }
            let own = match may_hold_keys(&path) {
                true => keys_in(&path),
                false => BTreeSet::new(),
            };
            match own.is_empty() {
                true => others.push(path),
                false => with_keys.push((path, own)),
            }
        }
        let keys = KEYS.with_borrow(Clone::clone);
        let but = |own: &BTreeSet<String>| {
            let mut all = secrets.clone();
            for (key, place) in keys.iter().filter(|(key, _)| !own.contains(*key)) {
                all.add_pem(place, key);
            }
            all
        };
        for (path, own) in &with_keys {
            but(own).assert_clean(&[path], &[]);
        }
        let others: Vec<&Path> = others.iter().map(PathBuf::as_path).collect();
        let mut heard = self.told.all();
        HEARD.with_borrow(|said| {
            let said = said.iter();
            heard.extend(said.map(|(place, text)| (place.clone(), text.clone().into_bytes())));
        });
        let heard: Vec<(&str, &[u8])> = heard
            .iter()
            .map(|(place, text)| (place.as_str(), text.as_slice()))
            .collect();
        but(&BTreeSet::new()).assert_clean(&others, &heard);
    }
}
