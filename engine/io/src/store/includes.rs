//! Which patterns of the configuration's `include` have had files: one that has none any more has lost them, as with
//! a folder that is not mounted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, read};

/// Patterns of `include`, as earlier runs have seen them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Includes {
    /// Those that have had files.
    pub matched: BTreeSet<String>,
    /// Those that never had any.
    pub empty: BTreeSet<String>,
}

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    format: u32,
    matched: BTreeSet<String>,
    empty: BTreeSet<String>,
}

const FORMAT: u32 = 1;

impl FileStore {
    /// What is known of patterns; none if that cannot be read.
    pub fn includes(&self) -> Option<Includes> {
        let Ok(text) = read::text(&self.layout.includes()) else {
            return None;
        };
        let Some(text) = text else {
            return Some(Includes::default());
        };
        let written = toml::from_str::<Written>(&text).ok();
        let written = written.filter(|written| written.format == FORMAT)?;
        Some(Includes {
            matched: written.matched,
            empty: written.empty,
        })
    }

    /// Notes what is known of them now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_includes(&self, includes: Includes) -> Result<(), StoreError> {
        if self.includes().as_ref() == Some(&includes) {
            return Ok(());
        }
        let written = Written {
            format: FORMAT,
            matched: includes.matched,
            empty: includes.empty,
        };
        // Texts and a number can always be written.
        let text = toml::to_string(&written).unwrap_or_default();
        atomic::replace(&self.layout.includes(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::Disk;
    use super::*;

    #[test]
    fn what_has_had_files_is_known_and_damage_is_no_empty_list() {
        let disk = Disk::new();
        let store = disk.open();
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let includes = |matched: &[&str], empty: &[&str]| Includes {
            matched: names(matched),
            empty: names(empty),
        };
        let keep = |includes: &Includes| {
            store.keep_includes(includes.clone()).expect("written");
            assert_eq!(store.includes().as_ref(), Some(includes));
        };
        let file = disk.root().join("includes.toml");
        keep(&includes(&[], &[]));
        assert!(!file.exists());
        keep(&includes(&["c/*", "b/*"], &["a/*"]));
        let text = fs::read_to_string(&file).expect("there");
        let want = "format = 1\nmatched = [\"b/*\", \"c/*\"]\nempty = [\"a/*\"]\n";
        assert_eq!(text, want);
        for damaged in ["garbage", "format = 2\nmatched = []\nempty = []\n"] {
            fs::write(&file, damaged).expect("written");
            assert_eq!(store.includes(), None);
            keep(&includes(&["b/*"], &[]));
        }
    }
}
