//! Where output goes: stdout is data, stderr is for people.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use jiff::tz::TimeZone;
use terminal_size::{Height, Width, terminal_size_of};
use waxwing_core::time::Timestamp;

use super::page::{Context, WIDEST};
use super::progress::Live;
use super::refusal;
use crate::args::Global;
use crate::commands::start;

/// Rows of a terminal that does not say how many it has.
const USUAL_HEIGHT: usize = 24;

/// The two streams and what they can show.
pub(crate) struct Terminal {
    /// True if text on stdout may be coloured: it is a terminal and `NO_COLOR` is not set.
    pub(crate) colour: bool,
    /// True if JSON was asked for.
    pub(crate) json: bool,
    /// Columns of a text on stdout.
    pub(crate) width: usize,
    /// Progress on stderr; whatever else is written there goes through it.
    pub(crate) progress: Arc<Live>,
    /// Why data could not be written, if it could not.
    pub(crate) unwritten: Option<io::Error>,
}

impl Terminal {
    /// The streams of the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "what a terminal may show stands in the environment"
    )]
    pub(crate) fn system(global: &Global) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = is_dumb();
        let width = terminal_size_of(io::stdout()).map_or(WIDEST, |(Width(w), _)| w.into());
        Self {
            colour: io::stdout().is_terminal() && !no_colour && !dumb && !global.json,
            json: global.json,
            width,
            progress: Arc::new(Live::new(io::stderr().is_terminal() && !dumb, global.json)),
            unwritten: None,
        }
    }

    /// Streams that show nothing but text, for what is said before there is a command line.
    pub(crate) fn plain() -> Self {
        Self {
            colour: false,
            json: false,
            width: WIDEST,
            progress: Arc::new(Live::new(false, false)),
            unwritten: None,
        }
    }

    /// For whom a text on stdout is made.
    pub(crate) fn context(&self, now: Timestamp) -> Context {
        Context {
            now,
            zone: TimeZone::system(),
            width: self.width,
            colour: self.colour,
        }
    }

    /// True if there is somebody to ask: questions and answers both have a terminal.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal() && !self.json
    }

    /// Asks on stderr; true only for `y` or `yes`.
    pub(crate) fn ask(&mut self, question: &str) -> bool {
        let mut stderr = io::stderr().lock();
        let _closed = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Writes data, which brings its last line end along or gets one.
    pub(crate) fn print(&mut self, text: &str) {
        let mut stdout = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let written = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
        self.wrote(written);
    }

    /// Takes note of how writing data went. A closed pipe ends the output, not the work: whoever
    /// reads has enough. A full disk is told in the end.
    pub(crate) fn wrote(&mut self, written: io::Result<()>) {
        if let Err(cause) = written
            && cause.kind() != io::ErrorKind::BrokenPipe
        {
            self.unwritten = Some(cause);
        }
    }

    /// Writes for people.
    pub(crate) fn note(&mut self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.progress.aside(format!("{text}{end}").as_bytes());
    }

    /// Says that something went wrong and, if that is known, what to do about it. Later lines of the
    /// text keep their indentation.
    pub(crate) fn fail(&mut self, text: &str, hint: Option<&str>) {
        if self.progress.is_records() {
            tracing::error!(hint, "{text}");
            return;
        }
        let context = self.context(start::now());
        self.note(&refusal::failure(text, &[], hint, &context));
    }
}

/// True for a terminal that cannot move its cursor.
#[expect(
    clippy::disallowed_methods,
    reason = "what a terminal can show stands in the environment"
)]
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// Columns and rows of the terminal behind stderr.
pub(crate) fn stderr_size() -> (usize, usize) {
    terminal_size_of(io::stderr()).map_or((80, USUAL_HEIGHT), |(Width(width), Height(height))| {
        (width.into(), height.into())
    })
}
