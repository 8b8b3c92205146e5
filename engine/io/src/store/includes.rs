//! Which patterns of the configuration's `include` have had files: one that has none any more has lost them, as with
//! a folder that is not mounted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, read};

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    format: u32,
    patterns: BTreeSet<String>,
}

const FORMAT: u32 = 1;

impl FileStore {
    /// Patterns that have had files in an earlier run; none if that cannot be read.
    pub fn includes(&self) -> Option<BTreeSet<String>> {
        let Ok(text) = read::text(&self.layout.includes()) else {
            return None;
        };
        let Some(text) = text else {
            return Some(BTreeSet::new());
        };
        let known = toml::from_str::<Known>(&text).ok();
        let known = known.filter(|known| known.format == FORMAT);
        known.map(|known| known.patterns)
    }

    /// Notes those that have some now, or are still missed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_includes(&self, matched: &[String], missed: &[String]) -> Result<(), StoreError> {
        let patterns: BTreeSet<String> = matched.iter().chain(missed).cloned().collect();
        if self.includes().as_ref() == Some(&patterns) {
            return Ok(());
        }
        let known = Known {
            format: FORMAT,
            patterns,
        };
        // Texts and a number can always be written.
        let text = toml::to_string(&known).unwrap_or_default();
        atomic::replace(&self.layout.includes(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::Disk;

    #[test]
    fn what_has_had_files_is_known_and_damage_is_no_empty_list() {
        let disk = Disk::new();
        let store = disk.open();
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let keep = |matched: &[&str], missed: &[&str]| {
            let kept = store.keep_includes(&names(matched), &names(missed));
            kept.expect("written");
            let known = store.includes().expect("readable");
            known.into_iter().collect::<Vec<_>>()
        };
        let file = disk.root().join("includes.toml");
        assert!(keep(&[], &[]).is_empty() && !file.exists());
        assert_eq!(keep(&["c/*"], &["b/*"]), ["b/*", "c/*"]);
        let text = fs::read_to_string(&file).expect("there");
        assert_eq!(text, "format = 1\npatterns = [\"b/*\", \"c/*\"]\n");
        for damaged in ["garbage", "format = 2\npatterns = []\n"] {
            fs::write(&file, damaged).expect("written");
            assert_eq!(store.includes(), None);
            assert_eq!(keep(&["b/*"], &[]), ["b/*"]);
        }
    }
}
