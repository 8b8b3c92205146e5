//! The log on stderr: warnings always, more with `-v`. `WAXWING_LOG` takes a filter for one part,
//! as in `waxwing_host=debug`.

use tracing_subscriber::EnvFilter;

/// Starts the log. A second start in one process changes nothing.
pub(crate) fn start(verbose: u8, colour: bool) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WAXWING_LOG").unwrap_or_else(|_unset| {
        EnvFilter::new(format!(
            "warn,waxwing_core={level},waxwing_acme={level},waxwing_flow={level},\
             waxwing_host={level},waxwing_io={level},waxwing_cli={level}"
        ))
    });
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    // The first start stands.
    drop(started);
}
