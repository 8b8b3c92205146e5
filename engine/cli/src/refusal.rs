//! Why a verb did not do what it was asked: one sentence, every cause, what to do next, and the
//! exit code.

use waxwing_flow::failure::Failure;
use waxwing_flow::ports::{StoreError, StoreErrorKind};

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

    /// Tells it on stderr and answers the exit code.
    pub(crate) fn show(&self, terminal: &mut Terminal) -> Exit {
        let context = terminal.context(start::now());
        terminal.note(&refusal::text(self, &context));
        self.exit
    }
}

/// What a failed access to the state folder means for the exit code.
const fn store_exit(kind: StoreErrorKind) -> Exit {
    match kind {
        StoreErrorKind::Locked => Exit::Locked,
        StoreErrorKind::Permission => Exit::Denied,
        StoreErrorKind::NoSpace
        | StoreErrorKind::Corrupt
        | StoreErrorKind::TooNew
        | StoreErrorKind::Io => Exit::AllFailed,
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
            LoadError::Config(_) | LoadError::Writable(_) => refusal,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self {
            exit: store_exit(error.kind),
            message: format!("failed to {} {}", error.act, error.path.display()),
            causes: error.causes,
            hint: error.hint,
        }
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        match error {
            WireError::State(error) => error.into(),
            WireError::Machine { what, cause } => Self::new(Exit::AllFailed, what).cause(cause),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let exit = match &failure {
            Failure::Store(error) => store_exit(error.kind),
            _ => Exit::AllFailed,
        };
        let hint = failure.hint();
        let mut lines = failure.lines().into_iter();
        Self {
            exit,
            message: lines.next().unwrap_or_default(),
            causes: lines.collect(),
            hint,
        }
    }
}
