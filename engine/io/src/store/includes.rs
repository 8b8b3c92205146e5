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
    /// Patterns that have had files in an earlier run. What cannot be read is known of none.
    pub fn includes(&self) -> BTreeSet<String> {
        let text = read::text(&self.layout.includes()).ok().flatten();
        let known = text.and_then(|text| toml::from_str::<Known>(&text).ok());
        let known = known.filter(|known| known.format == FORMAT);
        known.map(|known| known.patterns).unwrap_or_default()
    }

    /// Notes those that have some now; those of which neither is true are in the configuration no more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_includes(
        &self,
        matched: &[String],
        unmatched: &[String],
    ) -> Result<(), StoreError> {
        let known = self.includes();
        let lost = unmatched.iter().filter(|one| known.contains(*one));
        let patterns: BTreeSet<String> = matched.iter().chain(lost).cloned().collect();
        if patterns == known {
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
    fn a_pattern_is_known_until_it_leaves_the_configuration() {
        let disk = Disk::new();
        let store = disk.open();
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let keep = |matched: &[&str], unmatched: &[&str]| {
            let kept = store.keep_includes(&names(matched), &names(unmatched));
            kept.expect("written");
            store.includes().into_iter().collect::<Vec<_>>()
        };
        let file = disk.root().join("includes.toml");
        assert!(keep(&[], &["a/*"]).is_empty() && !file.exists());
        assert_eq!(keep(&["b/*", "c/*"], &["a/*"]), ["b/*", "c/*"]);
        assert_eq!(keep(&["b/*"], &["a/*", "c/*"]), ["b/*", "c/*"]);
        assert_eq!(keep(&["b/*"], &["a/*"]), ["b/*"]);
        let text = fs::read_to_string(&file).expect("there");
        assert_eq!(text, "format = 1\npatterns = [\"b/*\"]\n");
        for damaged in ["garbage", "format = 2\npatterns = []\n"] {
            fs::write(&file, damaged).expect("written");
            assert!(store.includes().is_empty());
            assert_eq!(keep(&["b/*"], &[]), ["b/*"]);
        }
    }
}
