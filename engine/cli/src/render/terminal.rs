//! Where output goes: stdout is data, stderr is for people.

use std::io::{self, IsTerminal as _, Write as _};

use crate::args::Global;

/// The two streams and what they can show.
pub(crate) struct Terminal {
    /// True if text may be coloured: stdout is a terminal and `NO_COLOR` is not set.
    pub(crate) colour: bool,
    /// True if JSON was asked for.
    pub(crate) json: bool,
    /// True if stderr is a terminal, so that progress can be shown and taken back.
    pub(crate) live: bool,
}

impl Terminal {
    /// The streams of the process.
    pub(crate) fn system(global: &Global) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: io::stdout().is_terminal() && !plain && !global.json,
            json: global.json,
            live: io::stderr().is_terminal(),
        }
    }

    /// Writes data. A closed pipe ends the output, not the work.
    pub(crate) fn print(&mut self, text: &str) {
        let _closed = writeln!(io::stdout().lock(), "{text}");
    }

    /// Writes for people.
    pub(crate) fn note(&mut self, text: &str) {
        let _closed = writeln!(io::stderr().lock(), "{text}");
    }
}
