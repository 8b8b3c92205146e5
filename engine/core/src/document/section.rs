//! Reading a table key by key.
//!
//! Each accessor takes note of the key it asks for, so that [`Section::finish`] knows which keys
//! exist and can name the nearest one for each that does not.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::problem::{Form, Problem, Problems};
use super::{Entry, Node, Place, Table, Value};
use crate::nearest::nearest;
use crate::settings::path;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) at: Place,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) const fn new(at: Place, value: T) -> Self {
        Self { at, value }
    }
}

/// How messages name a key: `plugin.nginx.uses`, or `certificate "shop", validate`.
#[derive(Debug, Clone)]
pub(crate) struct KeyPath {
    text: String,
    /// Where the last key begins in it.
    last: usize,
}

impl KeyPath {
    /// The path of a document's first level.
    pub(crate) const fn root() -> Self {
        Self {
            text: String::new(),
            last: 0,
        }
    }

    /// The path of an element that people know by its name: `certificate "shop"`.
    pub(crate) fn named(kind: &str, name: &str) -> Self {
        let text = match name {
            "" => kind.to_owned(),
            name => format!("{kind} \"{name}\""),
        };
        // Behind a name comes no dot.
        let last = text.len();
        Self { text, last }
    }

    /// The path of `key` below this, quoted if TOML wants it quoted. `[0]` is an element.
    pub(crate) fn below(&self, key: &str) -> Self {
        let named = self.text.ends_with('"') && self.last == self.text.len();
        let joint = match (self.text.is_empty(), named, key.starts_with('[')) {
            (true, ..) | (_, false, true) => "",
            (_, true, _) => ", ",
            (_, false, false) => ".",
        };
        let bare = |c: char| c.is_alphanumeric() || "-_[]".contains(c);
        let quote = if key.chars().all(bare) { "" } else { "\"" };
        let start = format!("{}{joint}", self.text);
        Self {
            text: format!("{start}{quote}{key}{quote}"),
            last: start.len(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The last key as somebody would write it.
    pub(crate) fn key(&self) -> &str {
        self.text.get(self.last..).unwrap_or_default()
    }
}

/// What may stand in a place: `keys here: a, b`.
pub(crate) fn one_of(what: &str, names: &[&str]) -> String {
    match names {
        [] => "nothing can stand here; leave it out".to_owned(),
        names => format!("{what}: {}", names.join(", ")),
    }
}

/// A table that is being read.
pub(crate) struct Section<'a> {
    table: &'a Table,
    /// Where it begins.
    pub(crate) at: Place,
    /// Its path.
    pub(crate) path: KeyPath,
    problems: &'a Problems,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// Begins to read `table`.
    pub(crate) const fn new(
        table: &'a Table,
        at: Place,
        path: KeyPath,
        problems: &'a Problems,
    ) -> Self {
        Self {
            table,
            at,
            path,
            problems,
            known: RefCell::new(Vec::new()),
        }
    }

    /// Begins to read the table of an entry; says so if it is none.
    pub(crate) fn of_entry(
        entry: &'a Entry,
        path: KeyPath,
        problems: &'a Problems,
    ) -> Option<Self> {
        let Value::Table(table) = &entry.node.value else {
            let message = format!("this is a section, not {}", entry.node.value.kind());
            problems.add(
                Problem::new(entry.node.at.clone(), path.as_str(), message)
                    .hint(format!("{} = {{ KEY = ... }}", entry.key)),
            );
            return None;
        };
        Some(Self::new(table, entry.at.clone(), path, problems))
    }

    /// Where mistakes are noted.
    pub(crate) const fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Notes a mistake about `key`, at the place `at`.
    pub(crate) fn problem(&self, at: &Place, key: &str, message: impl Into<String>) -> Problem {
        Problem::new(at.clone(), self.path.below(key).as_str(), message)
    }

    /// The entry of `key`, which from now on is known.
    pub(crate) fn take(&self, key: &'static str) -> Option<&'a Entry> {
        self.asks(key, Form::Unsaid, "");
        self.refused(key)
    }

    /// The same for a key that is read by nothing but its caller, who takes these forms.
    pub(crate) fn take_as(&self, key: &'static str, forms: &[Form]) -> Option<&'a Entry> {
        for form in forms {
            self.asks(key, *form, "");
        }
        self.refused(key)
    }

    /// The same for a key that is only known to be refused.
    pub(crate) fn refused(&self, key: &'static str) -> Option<&'a Entry> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    fn asks(&self, key: &str, form: Form, example: &str) {
        let path = || self.path.below(key).as_str().to_owned();
        self.problems.ask(path, form, example);
    }

    fn asks_for<T>(&self, key: &str, form: Form, example: &str, words: &[(&'static str, T)]) {
        let path = || self.path.below(key).as_str().to_owned();
        let words: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        self.problems.ask_for(path, form, example, &words);
    }

    /// True if `key`, without which this section is never good, is not there and nothing that looks like
    /// it is.
    pub(crate) fn lacks(&self, key: &'static str) -> bool {
        self.asks(key, Form::Needed, "");
        self.refused(key).is_none() && !self.is_misspelled(key)
    }

    /// True if `key` is not there but a near miss of it is: then the near miss is the mistake to
    /// report, and not that `key` is missing.
    pub(crate) fn is_misspelled(&self, key: &'static str) -> bool {
        let mut known = self.known.borrow().clone();
        known.push(key);
        self.table.get(key).is_none()
            && self.table.entries.iter().any(|entry| {
                !known.contains(&entry.key.as_str())
                    && nearest(&entry.key, known.iter().copied()) == Some(key)
            })
    }

    /// Every entry, for sections whose keys are names that the author chose.
    pub(crate) fn named_entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let path = || self.path.as_str().to_owned();
        self.problems.ask(path, Form::Named, "");
        self.table.entries.iter()
    }

    fn wrong(&self, node: &Node, key: &str, wanted: &str, example: &str) {
        let message = format!("{wanted} belongs here, not {}", node.value.kind());
        let example = format!("{key} = {example}");
        self.problems
            .add(self.problem(&node.at, key, message).hint(example));
    }

    /// A text. `example` is the right-hand side of a good line.
    pub(crate) fn text(&self, key: &'static str, example: &str) -> Option<At<&'a str>> {
        self.asks(key, Form::Text, example);
        let node = &self.take(key)?.node;
        let Value::String(text) = &node.value else {
            self.wrong(node, key, "a text in quotes", example);
            return None;
        };
        Some(At::new(node.at.clone(), text))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        self.asks(key, Form::Flag, "");
        let node = &self.take(key)?.node;
        let Value::Boolean(flag) = node.value else {
            self.wrong(node, key, "true or false", "true");
            return None;
        };
        Some(At::new(node.at.clone(), flag))
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<u32>,
        example: &str,
    ) -> Option<At<u32>> {
        self.asks(key, Form::Number(*bounds.start(), *bounds.end()), example);
        let node = &self.take(key)?.node;
        let Value::Integer(number) = node.value else {
            self.wrong(node, key, "a whole number", example);
            return None;
        };
        let fits = u32::try_from(number).ok().filter(|n| bounds.contains(n));
        if fits.is_none() {
            let message = format!(
                "{number} is out of bounds; {} to {} are allowed",
                bounds.start(),
                bounds.end()
            );
            let problem = self.problem(&node.at, key, message);
            self.problems
                .add(problem.hint(format!("{key} = {example}")));
        }
        fits.map(|value| At::new(node.at.clone(), value))
    }

    /// A number that may have a fraction.
    pub(crate) fn fraction(&self, key: &'static str, example: &str) -> Option<At<f64>> {
        self.asks(key, Form::Fraction, example);
        let node = &self.take(key)?.node;
        match node.value {
            Value::Float(number) if number.is_finite() && number > 0.0 => {
                Some(At::new(node.at.clone(), number))
            }
            Value::Integer(number @ 1..=1_000_000) => {
                let small = u32::try_from(number).unwrap_or(1_000_000);
                Some(At::new(node.at.clone(), f64::from(small)))
            }
            Value::Integer(_) | Value::Float(_) => {
                let message = "this must be more than zero and at most a million";
                let problem = self.problem(&node.at, key, message);
                self.problems
                    .add(problem.hint(format!("{key} = {example}")));
                None
            }
            _ => {
                self.wrong(node, key, "a number above zero", example);
                None
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &'static str, example: &str) -> Option<At<Vec<At<&'a str>>>> {
        self.asks(key, Form::Texts, example);
        self.list(key, example)
    }

    fn list(&self, key: &'static str, example: &str) -> Option<At<Vec<At<&'a str>>>> {
        let node = &self.refused(key)?.node;
        let Value::Array(items) = &node.value else {
            let shown = match &node.value {
                Value::String(text) => format!("[{text:?}]"),
                _ => example.to_owned(),
            };
            self.wrong(node, key, "a list", &shown);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::String(text) => texts.push(At::new(item.at.clone(), text.as_str())),
                _ => self.wrong(item, key, "a list of texts in quotes", example),
            }
        }
        Some(At::new(node.at.clone(), texts))
    }

    /// A text with a meaning of its own: `read` says what, or why not.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let text = self.text(key, example)?;
        match read(text.value) {
            Ok(value) => Some(At::new(text.at, value)),
            Err(message) => {
                let problem = self.problem(&text.at, key, message);
                self.problems
                    .add(problem.hint(format!("{key} = {example}")));
                None
            }
        }
    }

    /// One word of a closed set: `words` are all of them, each with what it means. `wrong` says what to
    /// say of another one.
    pub(crate) fn word<T>(
        &self,
        key: &'static str,
        example: &str,
        words: impl IntoIterator<Item = (&'static str, T)>,
        wrong: impl FnOnce(&str) -> String,
    ) -> Option<At<T>> {
        let words: Vec<(&'static str, T)> = words.into_iter().collect();
        self.asks_for(key, Form::Word, example, &words);
        let node = &self.refused(key)?.node;
        let Value::String(text) = &node.value else {
            self.wrong(node, key, "a text in quotes", example);
            return None;
        };
        let near = nearest(text, words.iter().map(|(word, _)| *word));
        let found = words.into_iter().find(|(word, _)| word == text);
        if found.is_none() {
            let problem = self.problem(&node.at, key, wrong(text));
            let good = near.map_or_else(|| example.to_owned(), |word| format!("\"{word}\""));
            self.problems.add(problem.hint(format!("{key} = {good}")));
        }
        found.map(|(_, meaning)| At::new(node.at.clone(), meaning))
    }

    /// A list of words of a closed set. `wrong` is the whole problem with another one, at its place.
    pub(crate) fn words<T: Copy>(
        &self,
        key: &'static str,
        example: &str,
        words: impl IntoIterator<Item = (&'static str, T)>,
        wrong: impl Fn(&At<&str>) -> Problem,
    ) -> Option<At<Vec<T>>> {
        let words: Vec<(&'static str, T)> = words.into_iter().collect();
        self.asks_for(key, Form::Words, example, &words);
        let list = self.list(key, example)?;
        let mut found = Vec::with_capacity(list.value.len());
        for text in list.value {
            match words.iter().find(|(word, _)| *word == text.value) {
                Some((_, meaning)) => found.push(*meaning),
                None => self.problems.add(wrong(&text)),
            }
        }
        Some(At::new(list.at, found))
    }

    /// A path, from the folder that `folder` names for the place of the value.
    pub(crate) fn path_value<'f>(
        &self,
        key: &'static str,
        example: &str,
        folder: impl FnOnce(&Place) -> &'f Path,
    ) -> Option<PathBuf> {
        let text = self.text(key, example)?;
        match path::check(text.value) {
            Ok(()) => Some(path::from_folder(folder(&text.at), text.value)),
            Err(bad) => {
                let mut problem = self.problem(&text.at, key, bad.message);
                problem.hint = bad.hint;
                self.problems.add(problem);
                None
            }
        }
    }

    /// A section below this one.
    pub(crate) fn section(&self, key: &'static str) -> Option<Self> {
        self.asks(key, Form::Section, "");
        let entry = self.take(key)?;
        Self::of_entry(entry, self.path.below(key), self.problems)
    }

    /// Reports every key that nothing asked for.
    ///
    /// `meant` says what some of them are for: keys of other programs, or of later versions.
    pub(crate) fn finish(self, meant: &[(&str, &str)]) {
        let known = self.known.borrow();
        for entry in &self.table.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let told = meant.iter().find(|(key, _)| *key == entry.key);
            let near = nearest(&entry.key, known.iter().copied());
            let problem = match (told, near) {
                (Some((_, hint)), _) => self
                    .problem(&entry.at, &entry.key, "unknown key")
                    .hint(*hint),
                (None, Some(near)) => self.problem(
                    &entry.at,
                    &entry.key,
                    format!("unknown key; did you mean `{near}`?"),
                ),
                (None, None) => {
                    let mut names: Vec<_> = known.iter().copied().collect();
                    names.sort_unstable();
                    self.problem(&entry.at, &entry.key, "unknown key")
                        .hint(one_of("keys here", &names))
                }
            };
            self.problems.add(problem);
        }
    }
}
