//! The log on stderr: more with `-v`. Failures of a run are in its report, so without `-v` the log
//! is silent about them. `WAXWING_LOG` takes a filter for one part,
//! as in `waxwing_host=debug`.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::render::progress::Live;

/// Starts the log. A second start in one process changes nothing.
pub(crate) fn start(verbose: u8, colour: bool, live: &Arc<Live>) {
    // What a plugin warns of stands in no report.
    let (level, plugins) = match verbose {
        0 => ("error", "warn"),
        1 => ("info", "info"),
        _ => ("debug", "debug"),
    };
    let filter = EnvFilter::try_from_env("WAXWING_LOG").unwrap_or_else(|_unset| {
        EnvFilter::new(format!(
            "error,waxwing_core={level},waxwing_acme={level},waxwing_flow={level},\
             waxwing_host={level},waxwing_io={level},waxwing_cli={level},\
             waxwing::plugin={plugins},waxwing::notify=info"
        ))
    });
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveTheBoard(Arc::clone(live)))
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    // The first start stands.
    drop(started);
}

/// Writes above the live lines, so that neither erases the other.
struct AboveTheBoard(Arc<Live>);

impl MakeWriter<'_> for AboveTheBoard {
    type Writer = Record;

    fn make_writer(&self) -> Record {
        Record {
            live: Arc::clone(&self.0),
            text: Vec::new(),
        }
    }
}

/// One record, written as a whole when it is complete.
struct Record {
    live: Arc<Live>,
    text: Vec<u8>,
}

impl Write for Record {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.live.aside(&self.text);
    }
}
