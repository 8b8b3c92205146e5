//! The `waxwing` program as a library: arguments, wiring, output, exit codes.
//!
//! Nothing is decided here. A command reads the configuration, has the ports wired, calls the flow
//! and renders what comes back. `wire` is the only file that names concrete adapters.
//!
//! Start reading at [`run`].

mod args;
mod commands;
mod drift;
mod embedded;
mod exit;
mod load;
mod log;
mod refusal;
mod render;
mod rights;
mod survey;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

use crate::args::{Cli, Verb};
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;

pub use crate::exit::Exit;

/// Runs the program with these arguments, the program's name first. Writes to stdout and stderr.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            match foreign_verb(&error) {
                Some((verb, hint)) => {
                    let mut terminal = Terminal::plain();
                    terminal.fail(&format!("no verb \"{verb}\""), Some(hint));
                }
                // A broken pipe is all that can fail here.
                None => drop(error.print()),
            }
            return code.into();
        }
    };
    let mut terminal = Terminal::system(&cli.global);
    log::start(cli.global.verbose, terminal.colour, &terminal.progress);
    let exit = match cli.verb {
        Verb::Plan(arguments) => commands::plan::run(&cli.global, &arguments, &mut terminal),
        Verb::Ca(verb) => conclude(
            commands::ca::run(&cli.global, &verb, &mut terminal),
            &mut terminal,
        ),
        Verb::Plugin(verb) => conclude(
            commands::plugin::run(&cli.global, &verb, &mut terminal),
            &mut terminal,
        ),
        Verb::Check(arguments) => commands::check::run(&cli.global, &arguments, &mut terminal),
        Verb::Export(arguments) => commands::export::run(&cli.global, &arguments, &mut terminal),
        Verb::Forget(arguments) => commands::forget::run(&cli.global, &arguments, &mut terminal),
        Verb::Account(arguments) => conclude(
            commands::account::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Revoke(arguments) => conclude(
            commands::revoke::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Simulate(arguments) => conclude(
            commands::simulate::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Version => Ok(commands::version::run(&mut terminal)),
        Verb::Renew(arguments) => commands::renew::run(&cli.global, &arguments, &mut terminal),
        Verb::Status(arguments) => commands::status::run(&cli.global, &arguments, &mut terminal),
    };
    exit.unwrap_or_else(|exit| exit).into()
}

/// The verb of another client that was typed, and what to type instead.
fn foreign_verb(error: &clap::Error) -> Option<(String, &'static str)> {
    match error.get(ContextKind::InvalidSubcommand)? {
        ContextValue::String(verb) => Some((verb.clone(), args::instead_of(verb)?)),
        _ => None,
    }
}

/// The exit code of a verb, after telling why it was not done.
fn conclude(ended: Result<Exit, Refusal>, terminal: &mut Terminal) -> Result<Exit, Exit> {
    ended.map_err(|refusal| refusal.show(terminal))
}
