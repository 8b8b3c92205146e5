//! No scenario leaves a secret where none belongs: not in the state, not in what is installed, not in
//! the log or the audit trail, not in anything that was printed or told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use waxwing_world::scan::{Heard, Secrets};

use super::child::HEARD;

/// The secrets of a scenario; dropped, it looks at all that is left, and at all that was said.
pub(super) struct Watch {
    folder: PathBuf,
    secrets: Mutex<Secrets>,
    /// Where secrets are by the wish of the scenario.
    sources: Mutex<BTreeSet<PathBuf>>,
    /// Private keys that were there at the end of a run, each with the file that it was in.
    keys: Mutex<BTreeSet<(String, String)>>,
    told: Heard,
}

impl Watch {
    pub(super) fn new(folder: &Path, told: Heard) -> Self {
        Self {
            folder: folder.to_owned(),
            secrets: Mutex::default(),
            sources: Mutex::default(),
            keys: Mutex::default(),
            told,
        }
    }

    pub(super) fn secret(&self, name: &str, value: &str) {
        let mut secrets = self.secrets.lock().expect("a lock");
        secrets.add(name, value.trim());
    }

    pub(super) fn source(&self, place: PathBuf) {
        self.sources.lock().expect("a lock").insert(place);
    }

    /// Takes down the keys that are there: some are erased before the scenario ends.
    pub(super) fn learn(&self) {
        for folder in ["state", "tls"] {
            for path in files(&self.folder.join(folder)) {
                self.keys_in(&path);
            }
        }
    }

    /// True if private keys are in that file.
    fn keys_in(&self, path: &Path) -> bool {
        let text = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let found = private_keys(&text);
        let mut keys = self.keys.lock().expect("a lock");
        for key in &found {
            keys.insert((path.display().to_string(), (*key).to_owned()));
        }
        !found.is_empty()
    }
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
        let log = self.folder.join("log");
        let mut others = Vec::new();
        for path in files(&self.folder) {
            // A key may be where keys are, and in no log.
            let is_source = sources.iter().any(|one| path.starts_with(one));
            if !is_source && (path.starts_with(&log) || !self.keys_in(&path)) {
                others.push(path);
            }
        }
        let mut secrets = self.secrets.lock().expect("a lock").clone();
        for (path, key) in self.keys.lock().expect("a lock").iter() {
            secrets.add_pem(path, key);
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
        secrets.assert_clean(&others, &heard);
    }
}
