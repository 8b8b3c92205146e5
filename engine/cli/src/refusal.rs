//! Why a verb did not do what it was asked: one sentence, every cause, what to do next, and the
//! exit code.

use waxwing_flow::ports::StoreError;

use crate::commands::start;
use crate::exit::Exit;
use crate::load::LoadError;
use crate::render::refusal;
use crate::render::terminal::Terminal;
use crate::wire::WireError;

/// A verb that ended before it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What was tried and did not work. Later lines belong to it, each with its own indentation.
    pub(crate) message: String,
    /// The chain of causes, outermost first.
    pub(crate) causes: Vec<String>,
    /// What to do, on one line.
    pub(crate) hint: Option<String>,
}

impl Refusal {
    /// A refusal without causes: the sentence says it all.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a cause.
    #[must_use]
    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// All of it but what to do, in one text.
    pub(crate) fn chain(&self) -> String {
        let causes = self.causes.iter().map(String::as_str);
        let all: Vec<&str> = [self.message.as_str()].into_iter().chain(causes).collect();
        all.join(": ")
    }

    /// Tells it on stderr and answers the exit code.
    pub(crate) fn show(&self, terminal: &mut Terminal) -> Exit {
        let context = terminal.context(start::now());
        terminal.note(&refusal::text(self, &context));
        self.exit
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        let refusal = Self::new(Exit::Config, error.to_string());
        match error {
            LoadError::File(error) => Self {
                hint: error.hint,
                ..refusal
            },
            LoadError::Config(_)
            | LoadError::Writable(_)
            | LoadError::Programs(_)
            | LoadError::Rights(_) => refusal,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let refusal = Self::new(start::store_exit(&error), error.to_string());
        Self {
            hint: error.hint,
            ..refusal
        }
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::new(Exit::AllFailed, error.what).cause(error.cause)
    }
}
