//! No scenario leaves a secret where none belongs: not in the state, not in what is installed, not in
//! the log or the audit trail, not in anything that was printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use waxwing_world::scan::Secrets;

use super::Run;

/// The secrets of a scenario and what it has printed; dropped, it looks at all that is left.
pub(super) struct Watch {
    folder: PathBuf,
    secrets: Mutex<Secrets>,
    heard: Mutex<Vec<(String, String)>>,
}

impl Watch {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            secrets: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    pub(super) fn secret(&self, name: &str, value: &str) {
        let mut secrets = self.secrets.lock().expect("a lock");
        secrets.add(name, value.trim());
    }

    pub(super) fn heard(&self, arguments: &[&str], run: &Run) {
        let verb = arguments.join(" ");
        let mut heard = self.heard.lock().expect("a lock");
        heard.push((format!("stdout of {verb}"), run.stdout.clone()));
        heard.push((format!("stderr of {verb}"), run.stderr.clone()));
    }

    /// Files of the state, of what is installed and of the log. Compiled components are large and not ours to read.
    fn files(&self) -> Vec<PathBuf> {
        let mut open: Vec<PathBuf> = ["state", "tls", "log"]
            .map(|folder| self.folder.join(folder))
            .to_vec();
        let mut found = Vec::new();
        while let Some(path) = open.pop() {
            if path.ends_with("cache/components") {
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
        let mut secrets = self.secrets.lock().expect("a lock").clone();
        let mut others = Vec::new();
        for path in self.files() {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // A key may be where keys are, and nowhere else.
            let keys = private_keys(&text);
            if keys.is_empty() {
                others.push(path);
            } else {
                let name = path.display().to_string();
                keys.iter().for_each(|key| secrets.add_pem(&name, key));
            }
        }
        let others: Vec<&Path> = others.iter().map(PathBuf::as_path).collect();
        let heard = self.heard.lock().expect("a lock");
        let heard: Vec<(&str, &[u8])> = heard
            .iter()
            .map(|(place, text)| (place.as_str(), text.as_bytes()))
            .collect();
        secrets.assert_clean(&others, &heard);
    }
}
