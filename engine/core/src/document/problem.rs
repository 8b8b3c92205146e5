//! One mistake in a document, and the list of all of them.

use std::cell::RefCell;
use std::fmt;

use super::Place;

/// One mistake: where, at which key, what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; for something that is missing, where its section begins.
    pub at: Place,
    /// Other places that have a part in it.
    pub also: Vec<Place>,
    /// The key path: `plugin.nginx.uses`, or `certificate "shop", validate`.
    pub key: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to do, on one line.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at one place.
    pub(crate) fn new(at: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at,
            also: Vec::new(),
            key: key.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names another place.
    #[must_use]
    pub(crate) fn also(mut self, place: Place) -> Self {
        self.also.push(place);
        self
    }
}

/// Place and key on the first line, then the message and the hint, indented.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.at)?;
        for place in &self.also {
            write!(f, " and {place}")?;
        }
        write!(f, "  {}", self.key)?;
        for line in self.message.lines() {
            write!(f, "\n      {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n      hint: {hint}")?;
        }
        Ok(())
    }
}

/// Collects mistakes while a document is read, so that reading goes on behind each of them.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Starts with what was found before.
    pub(crate) const fn with(found: Vec<Problem>) -> Self {
        Self(RefCell::new(found))
    }

    /// Notes a mistake.
    pub(crate) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// All of them, in the order in which they were found.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}
