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

/// Collects mistakes while a document is read, so that reading goes on behind each of them. If somebody
/// wants to know, also which keys were asked for.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: RefCell<Vec<Problem>>,
    asked: Option<RefCell<Vec<Asked>>>,
}

/// A key that the reader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its path, as in messages.
    pub(crate) path: String,
    /// What may stand there.
    pub(crate) form: Form,
    /// The right-hand side of a good line, if the reader has one.
    pub(crate) example: String,
    /// The words of a closed set, if nothing else may stand there.
    pub(crate) words: Vec<&'static str>,
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Whatever another reader of the same key says.
    Unsaid,
    /// It must stand there; what it is another reader of the same key says.
    Needed,
    /// A text.
    Text,
    /// One word of a closed set.
    Word,
    /// True or false.
    Flag,
    /// A whole number within these bounds.
    Number(u32, u32),
    /// A number.
    Fraction,
    /// A list of texts.
    Texts,
    /// A list of words of a closed set.
    Words,
    /// A section with keys that are known.
    Section,
    /// A section whose keys are names that the author chose.
    Named,
    /// A section that somebody else judges.
    Open,
    /// A list of sections.
    Sections,
    /// A reference to a secret.
    Secret,
}

impl Problems {
    /// Starts with what was found before.
    pub(crate) const fn with(found: Vec<Problem>) -> Self {
        Self {
            found: RefCell::new(found),
            asked: None,
        }
    }

    /// Takes note of every key that is asked for.
    pub(crate) const fn listening() -> Self {
        Self {
            found: RefCell::new(Vec::new()),
            asked: Some(RefCell::new(Vec::new())),
        }
    }

    /// Notes a mistake.
    pub(crate) fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// Notes that a key was asked for, if somebody wants to know.
    pub(crate) fn ask(&self, path: impl FnOnce() -> String, form: Form, example: &str) {
        self.ask_for(path, form, example, &[]);
    }

    /// The same with the words of a closed set.
    pub(crate) fn ask_for(
        &self,
        path: impl FnOnce() -> String,
        form: Form,
        example: &str,
        words: &[&'static str],
    ) {
        if let Some(asked) = &self.asked {
            asked.borrow_mut().push(Asked {
                path: path(),
                form,
                example: example.to_owned(),
                words: words.to_vec(),
            });
        }
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// All of them, in the order in which they were found.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.found.into_inner()
    }

    /// Every key that was asked for, and the mistakes.
    pub(crate) fn into_asked(self) -> (Vec<Asked>, Vec<Problem>) {
        let asked = self.asked.map(RefCell::into_inner);
        (asked.unwrap_or_default(), self.found.into_inner())
    }
}
