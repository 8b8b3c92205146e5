//! One row for each way in which files of an include can go.

use super::*;
use crate::name::CaName;
use crate::settings::DaysAfterIssue;

/// A certificate: its name, its domains, its installers, its key. Short forms: [`plain`], [`of`].
#[derive(Debug, Clone, Copy)]
struct One {
    name: &'static str,
    domains: &'static [&'static str],
    install: &'static [&'static str],
    key: KeyType,
}

const fn of(name: &'static str, domains: &'static [&'static str]) -> One {
    let (install, key) = (&["web"], KeyType::EcdsaP256);
    One {
        name,
        domains,
        install,
        key,
    }
}

impl One {
    const fn by(self, install: &'static [&'static str]) -> Self {
        Self { install, ..self }
    }

    const fn key(self, key: KeyType) -> Self {
        Self { key, ..self }
    }
}

const A: One = of("a", &["a.example.com"]);
const B: One = of("b", &["b.example.com"]);
const OWN: One = of("own", &["own.example.com"]);
const RENAMED: One = of("renamed", &["a.example.com"]);
const WILD: One = of("wild", &["*.example.com"]);

const MAIN: &str = "";
const C: &str = "c/*.toml";
const D: &str = "d/*.toml";

/// The main file (`MAIN`) and patterns, each with what is configured there; nothing there means that no file matches.
type Files = &'static [(&'static str, &'static [One])];

fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> BTreeSet<CertificateName> {
    let names = all.into_iter().map(CertificateName::parse);
    names.collect::<Result<_, _>>().expect("literal names")
}

fn settings(one: &One) -> CertificateSettings {
    let domains = one.domains.iter().map(|name| Identifier::parse(name));
    let install = one.install.iter().map(|name| PluginName::parse(name));
    CertificateSettings {
        name: CertificateName::parse(one.name).expect("a literal name"),
        domains: domains.collect::<Result<_, _>>().expect("literal names"),
        cas: vec![CaName::parse("first").expect("a literal name")],
        key: one.key,
        reuse_key: false,
        validate: Vec::new(),
        install: install.collect::<Result<_, _>>().expect("literal names"),
        served_at: Vec::new(),
        days_after_issue: DaysAfterIssue {
            days: 55,
            written: false,
        },
        calendar: std::sync::Arc::default(),
    }
}

/// A configuration, and a state in which all that was ever configured is stored.
#[derive(Default)]
struct World {
    known: Known,
    stored: BTreeMap<&'static str, One>,
}

impl World {
    /// A run with these files: what it misses, as `pattern: names`.
    fn run(&mut self, files: Files, unlike: &[(&str, &[&str])]) -> Vec<String> {
        self.run_with(files, unlike, &[])
    }

    /// The same where nothing stands in files of these patterns.
    fn run_with(
        &mut self,
        files: Files,
        unlike: &[(&str, &[&str])],
        blank: &[&str],
    ) -> Vec<String> {
        let blank: BTreeSet<String> = blank.iter().map(|one| (*one).to_owned()).collect();
        let mut matched: BTreeMap<String, BTreeSet<CertificateName>> = BTreeMap::new();
        let mut unmatched = Vec::new();
        for (pattern, all) in files.iter().filter(|(pattern, _)| *pattern != MAIN) {
            if all.is_empty() && !blank.contains(*pattern) {
                unmatched.push((*pattern).to_owned());
            } else {
                matched.insert((*pattern).to_owned(), names(all.iter().map(|one| one.name)));
            }
        }
        let unlike = unlike
            .iter()
            .map(|(pattern, all)| ((*pattern).to_owned(), names(all.iter().copied())))
            .collect();
        let ones: Vec<One> = files.iter().flat_map(|(_, all)| *all).copied().collect();
        let certificates: Vec<_> = ones.iter().map(settings).collect();
        let written = Written {
            matched: &matched,
            unmatched: &unmatched,
            unlike: &unlike,
            blank: &blank,
            certificates: &certificates,
        };
        let stored: Vec<_> = self.stored.values().map(settings).collect();
        let kept: BTreeMap<_, _> = stored
            .iter()
            .map(|one| {
                let current = KeptVersion {
                    names: &one.domains,
                    key: Some(one.key),
                };
                let kept = Kept {
                    current: Some(current),
                    places: one.install.iter().collect(),
                };
                (&one.name, kept)
            })
            .collect();
        let lost = lost(written, Some(&self.known), &kept);
        let said = lost.iter().map(|lost| {
            let names: Vec<_> = lost.names.iter().map(ToString::to_string).collect();
            format!("{}: {}", lost.pattern, names.join(" "))
        });
        let said = said.collect();
        self.known = note(written, lost);
        self.stored
            .extend(ones.into_iter().map(|one| (one.name, one)));
        said
    }
}

struct Row {
    what: &'static str,
    before: Files,
    now: Files,
    lost: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        what: "all files of a pattern are gone",
        before: &[(MAIN, &[OWN]), (C, &[A, B])],
        now: &[(MAIN, &[OWN]), (C, &[])],
        lost: &["c/*.toml: a b"],
    },
    Row {
        what: "some are: they were taken away on purpose",
        before: &[(C, &[A, B])],
        now: &[(C, &[B])],
        lost: &[],
    },
    Row {
        what: "they moved into another folder, one of them into the main file",
        before: &[(C, &[A, B]), (D, &[])],
        now: &[(MAIN, &[A]), (C, &[]), (D, &[B])],
        lost: &[],
    },
    Row {
        what: "one of them did not",
        before: &[(C, &[A, B]), (D, &[])],
        now: &[(C, &[]), (D, &[B])],
        lost: &["c/*.toml: a"],
    },
    Row {
        what: "the pattern went with its files: it was given up",
        before: &[(MAIN, &[OWN]), (C, &[A])],
        now: &[(MAIN, &[OWN])],
        lost: &[],
    },
    Row {
        what: "a pattern that never had files has lost none",
        before: &[(MAIN, &[OWN]), (C, &[])],
        now: &[(MAIN, &[OWN]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "another pattern is in the place of one with files, and matches none",
        before: &[(MAIN, &[OWN]), (C, &[A])],
        now: &[(MAIN, &[OWN]), (D, &[])],
        lost: &["d/*.toml: a"],
    },
    Row {
        what: "a new pattern was to have what was in the main file",
        before: &[(MAIN, &[OWN, A])],
        now: &[(MAIN, &[OWN]), (C, &[])],
        lost: &["c/*.toml: a"],
    },
    Row {
        what: "a new pattern, and nothing has gone",
        before: &[(MAIN, &[OWN])],
        now: &[(MAIN, &[OWN]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "it is called otherwise in the main file by now",
        before: &[(C, &[A])],
        now: &[(MAIN, &[RENAMED]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "it had been in the main file under another name before",
        before: &[(MAIN, &[RENAMED]), (C, &[A])],
        now: &[(MAIN, &[RENAMED]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "with a key of another kind it is another one side by side",
        before: &[(MAIN, &[RENAMED.key(KeyType::Rsa2048)]), (C, &[A])],
        now: &[(MAIN, &[RENAMED.key(KeyType::Rsa2048)]), (C, &[])],
        lost: &["c/*.toml: a"],
    },
    Row {
        what: "the new one is not installed where the old one is in use",
        before: &[(C, &[A.by(&["web", "mail"])])],
        now: &[(MAIN, &[RENAMED]), (C, &[])],
        lost: &["c/*.toml: a"],
    },
    Row {
        what: "it is, and elsewhere, too",
        before: &[(C, &[A])],
        now: &[(MAIN, &[RENAMED.by(&["mail", "web"])]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "a wildcard that was there side by side may be served elsewhere",
        before: &[(MAIN, &[WILD]), (C, &[A])],
        now: &[(MAIN, &[WILD]), (C, &[])],
        lost: &["c/*.toml: a"],
    },
    Row {
        what: "a wildcard comes as the others go",
        before: &[(MAIN, &[OWN]), (C, &[A, B])],
        now: &[(MAIN, &[OWN, WILD]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "one name of two is dropped by who takes its place",
        before: &[(C, &[of("two", &["a.example.com", "b.example.com"])])],
        now: &[(MAIN, &[RENAMED]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "one name of two was in another one all the time",
        before: &[
            (MAIN, &[RENAMED]),
            (C, &[of("two", &["a.example.com", "b.example.com"])]),
        ],
        now: &[(MAIN, &[RENAMED]), (C, &[])],
        lost: &["c/*.toml: two"],
    },
    Row {
        what: "two take its place together, one of them was there before",
        before: &[
            (MAIN, &[RENAMED]),
            (C, &[of("two", &["a.example.com", "b.example.com"])]),
        ],
        now: &[(MAIN, &[RENAMED, of("rest", &["b.example.com"])]), (C, &[])],
        lost: &[],
    },
    Row {
        what: "two patterns, each with losses of its own",
        before: &[(C, &[A]), (D, &[B])],
        now: &[(MAIN, &[OWN]), (C, &[]), (D, &[])],
        lost: &["c/*.toml: a", "d/*.toml: b"],
    },
];

#[test]
fn who_loses_files_is_missed_unless_something_stands_in() {
    for row in ROWS {
        let mut world = World::default();
        assert_eq!(world.run(row.before, &[]), [""; 0], "before {}", row.what);
        let lost = world.run(row.now, &[]);
        assert_eq!(lost, row.lost, "{}", row.what);
        // The next run says the same.
        assert_eq!(world.run(row.now, &[]), row.lost, "again {}", row.what);
    }
}

#[test]
fn what_is_missed_stays_missed_until_it_is_back_or_forgotten() {
    let mut world = World::default();
    let gone: Files = &[(MAIN, &[OWN]), (C, &[])];
    world.run(&[(MAIN, &[OWN]), (C, &[A, B])], &[]);
    assert_eq!(world.run(gone, &[]), ["c/*.toml: a b"]);
    // What comes days later with one of its names was not put in its place.
    let later: Files = &[(MAIN, &[OWN, WILD]), (C, &[])];
    assert_eq!(world.run(later, &[]), ["c/*.toml: a b"]);
    // Unless it has all of them.
    let renamed: Files = &[(MAIN, &[OWN, WILD, RENAMED]), (C, &[])];
    assert_eq!(world.run(renamed, &[]), ["c/*.toml: b"]);
    world.stored.remove("b");
    assert_eq!(world.run(renamed, &[]), [""; 0]);
    // And a folder that is mounted again is as it was.
    let mut world = World::default();
    world.run(&[(MAIN, &[OWN]), (C, &[A, B])], &[]);
    world.run(gone, &[]);
    assert_eq!(world.run(&[(MAIN, &[OWN]), (C, &[A, B])], &[]), [""; 0]);
    assert_eq!(world.run(gone, &[]), ["c/*.toml: a b"]);
}

#[test]
fn files_with_other_names_in_the_folder_of_a_pattern_are_those_that_it_was_to_have() {
    let before: Files = &[(MAIN, &[OWN, A]), (C, &[])];
    let now: Files = &[(MAIN, &[OWN]), (C, &[])];
    for (unlike, lost) in [
        (&[][..], &[][..]),
        (&[(C, &["a"][..])][..], &["c/*.toml: a"][..]),
        (&[(C, &["b"][..])][..], &[][..]),
    ] {
        let mut world = World::default();
        world.run(before, &[]);
        assert_eq!(world.run(now, unlike), lost, "{unlike:?}");
    }
}

/// A full disk, or a template that rendered nothing.
#[test]
fn files_in_which_nothing_stands_have_lost_what_was_in_them() {
    let mut world = World::default();
    world.run(&[(MAIN, &[OWN]), (C, &[A, B])], &[]);
    // One of two.
    let one: Files = &[(MAIN, &[OWN]), (C, &[B])];
    assert_eq!(world.run_with(one, &[], &[C]), ["c/*.toml: a"]);
    assert_eq!(world.run_with(one, &[], &[C]), ["c/*.toml: a"]);
    // It is taken away: it was given up.
    assert_eq!(world.run(one, &[]), [""; 0]);
    // All of them.
    let none: Files = &[(MAIN, &[OWN]), (C, &[])];
    assert_eq!(world.run_with(none, &[], &[C]), ["c/*.toml: b"]);
    assert_eq!(world.run_with(none, &[], &[C]), ["c/*.toml: b"]);
    assert_eq!(world.run(one, &[]), [""; 0]);
    // There was one all the time.
    let mut world = World::default();
    world.run_with(&[(MAIN, &[OWN]), (C, &[A, B])], &[], &[C]);
    assert_eq!(world.run_with(one, &[], &[C]), [""; 0]);
    // It never had any.
    let mut world = World::default();
    world.run_with(none, &[], &[C]);
    assert_eq!(world.run_with(none, &[], &[C]), [""; 0]);
}

#[test]
fn what_was_moved_beside_the_files_of_a_pattern_is_missed_and_what_was_put_out_of_use_there_is_not()
{
    let now: Files = &[(MAIN, &[OWN]), (C, &[B])];
    let beside: &[(&str, &[&str])] = &[(C, &["a"])];
    let mut world = World::default();
    world.run(&[(MAIN, &[OWN, A]), (C, &[B])], &[]);
    assert_eq!(world.run(now, beside), ["c/*.toml: a"]);
    assert_eq!(world.run(now, beside), ["c/*.toml: a"]);
    assert_eq!(world.run(&[(MAIN, &[OWN]), (C, &[A, B])], &[]), [""; 0]);
    // Another name for its file.
    assert_eq!(world.run(now, beside), [""; 0]);
    assert_eq!(world.run(now, beside), [""; 0]);
    // Of a file of another pattern that looks into the same folder.
    let mut world = World::default();
    world.run(&[(MAIN, &[OWN]), (C, &[B]), (D, &[A, WILD])], &[]);
    let both: &[(&str, &[&str])] = &[(C, &["a"]), (D, &["a"])];
    let now: Files = &[(MAIN, &[OWN]), (C, &[B]), (D, &[WILD])];
    assert_eq!(world.run(now, both), [""; 0]);
    assert_eq!(world.run(now, both), [""; 0]);
}

#[test]
fn what_is_not_known_is_told_of_all() {
    let unmatched = [C.to_owned(), D.to_owned()];
    let (matched, unlike) = (BTreeMap::new(), BTreeMap::new());
    let written = Written {
        matched: &matched,
        unmatched: &unmatched,
        unlike: &unlike,
        blank: &BTreeSet::new(),
        certificates: &[],
    };
    let patterns = |known: Option<&Known>| -> Vec<String> {
        let lost = lost(written, known, &BTreeMap::new()).into_iter();
        let all = |lost: &Lost| {
            lost.names.is_empty() && lost.may_have(&names(["a"]).pop_first().expect("one"))
        };
        lost.inspect(|lost| assert!(all(lost)))
            .map(|lost| lost.pattern)
            .collect()
    };
    assert_eq!(patterns(None), [C, D]);
    assert_eq!(patterns(Some(&Known::default())), [""; 0]);
    // As it was noted before there were names.
    let mut known = Known::default();
    known.matched.insert(C.to_owned(), None);
    known.empty.insert(D.to_owned());
    assert_eq!(patterns(Some(&known)), [C]);
    // It is there itself, so that no other one is in its place.
    known.empty = BTreeSet::new();
    assert_eq!(patterns(Some(&known)), [C]);
    // A pattern in whose place the new one D may be.
    known.matched = [("e/*.toml".to_owned(), None)].into();
    known.empty = [C.to_owned()].into();
    assert_eq!(patterns(Some(&known)), [D]);
}

#[test]
fn what_cannot_be_used_has_no_heirs() {
    let certificates = [settings(&RENAMED)];
    let kept = Kept {
        current: None,
        places: Vec::new(),
    };
    assert!(!kept.has_heirs(&certificates, |_| true));
}
