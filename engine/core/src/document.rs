//! A TOML document in which every key and value knows its line, and the problems found in it.
//!
//! The configuration, the CA profiles and the plugin manifests are all read through this tree, so
//! that each of them reports *every* mistake at once and at its place. The usual way, serde with
//! `deny_unknown_fields`, stops at the first.

pub mod problem;
pub(crate) mod section;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use self::problem::{Problem, Problems};

/// A place in a file, as editors count: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it is shown to people.
    pub file: Arc<Path>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The first character of a file: the place of what is missing altogether.
    pub fn start_of(file: impl Into<PathBuf>) -> Self {
        let file: PathBuf = file.into();
        Self {
            file: Arc::from(file),
            line: 1,
            column: 1,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// The kind of value, with its article, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The same value as JSON; dates become text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::String(text) | Self::Datetime(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Boolean(flag) => (*flag).into(),
            Self::Array(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Table(table) => table.to_json(),
        }
    }
}

/// A table whose entries stand in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// A key, where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Place,
    pub(crate) node: Node,
}

impl Table {
    /// The entry of that key.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The same table as a JSON object.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let fields = self.entries.iter();
        fields
            .map(|entry| (entry.key.clone(), entry.node.value.to_json()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// What stands in place of the key path of a [`Problem`] if the text is not TOML at all.
pub(crate) const NOT_TOML: &str = "not TOML";

/// Reads a document. What is not TOML is reported; the rest is returned as far as it goes.
pub(crate) fn parse(file: &Arc<Path>, text: &str, problems: &Problems) -> Table {
    let lines = Lines::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut last_line = None;
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let at = lines.place(offset);
        // What follows on the same line is seldom a mistake of its own.
        if last_line == Some(at.line) {
            continue;
        }
        last_line = Some(at.line);
        let message = error.message().trim();
        let mut problem = Problem::new(at, NOT_TOML, message).hint(match message {
            "duplicate key" => "a key stands once in its section; one of the two must go",
            _ => "KEY = \"text\", KEY = 5, KEY = [\"a\", \"b\"], or a section as in [renewal]",
        });
        if text
            .get(..offset)
            .is_some_and(|before| before.ends_with('\\'))
        {
            problem = problem.hint(
                "a backslash means something in double quotes; single quotes keep it as it is: \
                 'C:\\ProgramData\\x'",
            );
        }
        problems.add(problem);
    }
    lines.table(table.get_ref())
}

/// Turns byte offsets into places.
struct Lines<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: &'a Arc<Path>, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(breaks.map(|(index, _)| index + 1))
            .collect();
        Self { file, text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        Place {
            file: Arc::clone(self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let mut spanned: Vec<_> = table.iter().collect();
        spanned.sort_by_key(|(key, _)| key.span().start);
        let entries = spanned.into_iter().map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            at: self.place(key.span().start),
            node: self.node(value),
        });
        Table {
            entries: entries.collect(),
        }
    }

    fn node(&self, value: &toml::Spanned<DeValue<'_>>) -> Node {
        let inner = match value.get_ref() {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            // A number that does not fit is a text of digits from here on: the field that wants a
            // number then says so at its place.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::String(number.to_string()), Value::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Value::String(number.to_string()), Value::Float),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(date) => Value::Datetime(date.to_string()),
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| self.node(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node {
            at: self.place(value.span().start),
            value: inner,
        }
    }
}
