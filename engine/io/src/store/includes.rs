//! Which patterns of the configuration's `include` have had files, and what was configured in these: a pattern that has
//! none any more has lost them, as with a folder that is not mounted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use waxwing_core::include::Known;
use waxwing_core::name::CertificateName;
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, read};

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    format: u32,
    #[serde(default)]
    empty: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    missed: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    blank: BTreeSet<String>,
    /// Those of which it is not known what was in their files.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unknown: BTreeSet<String>,
    #[serde(alias = "patterns")]
    matched: Matched,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Matched {
    /// Since format 2.
    Names(BTreeMap<String, BTreeSet<String>>),
    Patterns(BTreeSet<String>),
}

const FORMAT: u32 = 2;

impl FileStore {
    /// What is known of patterns; none if that cannot be read.
    pub fn includes(&self) -> Option<Known> {
        let Ok(text) = read::text(&self.layout.includes()) else {
            return None;
        };
        let Some(text) = text else {
            return Some(Known::default());
        };
        let written = toml::from_str::<Written>(&text).ok();
        let written = written.filter(|written| written.format <= FORMAT)?;
        let names = |all: BTreeSet<String>| {
            let names = all.iter();
            names
                .filter_map(|one| CertificateName::parse(one).ok())
                .collect()
        };
        let matched = match written.matched {
            Matched::Names(all) => all
                .into_iter()
                .map(|(pattern, all)| (pattern, Some(names(all))))
                .chain(written.unknown.into_iter().map(|pattern| (pattern, None)))
                .collect(),
            Matched::Patterns(all) => all.into_iter().map(|pattern| (pattern, None)).collect(),
        };
        Some(Known {
            matched,
            empty: written.empty,
            own: written.own.map(names),
            missed: written.missed,
            blank: written.blank,
        })
    }

    /// Notes what is known of them now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_includes(&self, includes: Known) -> Result<(), StoreError> {
        if self.includes().as_ref() == Some(&includes) {
            return Ok(());
        }
        let names = |all: BTreeSet<CertificateName>| all.iter().map(ToString::to_string).collect();
        let unknown = includes.matched.iter().filter(|(_, names)| names.is_none());
        let unknown = unknown.map(|(pattern, _)| pattern.clone()).collect();
        let matched = includes.matched.into_iter();
        let written = Written {
            format: FORMAT,
            empty: includes.empty,
            own: includes.own.map(names),
            missed: includes.missed,
            blank: includes.blank,
            unknown,
            matched: Matched::Names(
                matched
                    .filter_map(|(pattern, all)| Some((pattern, names(all?))))
                    .collect(),
            ),
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
        let includes = |matched: &[(&str, &[&str])], empty: &[&str]| Known {
            matched: matched
                .iter()
                .map(|(pattern, names)| {
                    let names = names.iter().map(|one| CertificateName::parse(one));
                    let names = names.map(Result::unwrap).collect();
                    ((*pattern).to_owned(), Some(names))
                })
                .collect(),
            empty: empty.iter().map(|one| (*one).to_owned()).collect(),
            own: None,
            missed: BTreeSet::new(),
            blank: BTreeSet::new(),
        };
        let keep = |includes: &Known| {
            store.keep_includes(includes.clone()).expect("written");
            assert_eq!(store.includes().as_ref(), Some(includes));
        };
        let file = disk.root().join("includes.toml");
        keep(&includes(&[], &[]));
        assert!(!file.exists());
        keep(&includes(
            &[("c/*", &["two", "one"]), ("b/*", &[])],
            &["a/*"],
        ));
        let text = fs::read_to_string(&file).expect("there");
        let want = "format = 2\nempty = [\"a/*\"]\n\n[matched]\n\"b/*\" = []\n\"c/*\" = [\"one\", \"two\"]\n";
        assert_eq!(text, want);
        let with_own = Known {
            blank: ["b/*".to_owned()].into(),
            own: Some([CertificateName::parse("three").expect("a name")].into()),
            ..includes(&[("b/*", &[])], &[])
        };
        keep(&with_own);
        // As it was written before names were noted.
        fs::write(&file, "format = 1\nmatched = [\"b/*\"]\nempty = []\n").expect("written");
        let mut unknown = includes(&[], &[]);
        unknown.matched.insert("b/*".to_owned(), None);
        assert_eq!(store.includes().as_ref(), Some(&unknown));
        fs::remove_file(&file).expect("taken away");
        keep(&unknown);
        for damaged in ["garbage", "format = 3\nmatched = []\nempty = []\n"] {
            fs::write(&file, damaged).expect("written");
            assert_eq!(store.includes(), None);
            keep(&includes(&[("b/*", &[])], &[]));
        }
    }
}
