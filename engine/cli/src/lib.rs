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
mod import;
mod init;
mod load;
mod log;
mod process;
mod refusal;
mod render;
mod rights;
mod survey;
mod wire;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Verb};
use crate::log::{Log, Manner};
use crate::process::Process;
use crate::refusal::Refusal;
use crate::render::terminal::Terminal;

pub use crate::exit::Exit;

/// Runs the program with these arguments, the program's name first. Writes to stdout and stderr.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = Cli::command().try_get_matches_from(&arguments);
    let read = |matches| Ok((Cli::from_arg_matches(&matches)?, process::verbs(&matches)));
    let (mut cli, verbs) = match parsed.and_then(read) {
        Ok(read) => read,
        Err(mut error) => {
            let code = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            let mut terminal = Terminal::plain();
            match unknown_verb(&error) {
                Some((verb, hint)) => {
                    terminal.fail(&format!("no verb \"{verb}\""), Some(&hint));
                }
                None if code == Exit::Usage => {
                    keep_to_options(&mut error);
                    let (what, hint) = misused(&error, &arguments);
                    terminal.fail(&what, Some(&hint));
                }
                // Help is no mistake.
                None => terminal.wrote(error.print()),
            }
            return heard(code, &mut terminal).into();
        }
    };
    let mut terminal = Terminal::system(&cli.global);
    cli.global.process = Process {
        verb: verbs,
        log: Log::start(Manner {
            verbose: cli.global.verbose,
            daemon: matches!(cli.verb, Verb::Daemon(_)),
            terminal: std::io::stderr().is_terminal(),
            colour: terminal.colour,
            live: Arc::clone(&terminal.progress),
        }),
    };
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
        Verb::Import(arguments) => conclude(
            commands::import::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Init(arguments) => conclude(
            commands::init::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Secret(verb) => conclude(
            commands::secret::run(&cli.global, &verb, &mut terminal),
            &mut terminal,
        ),
        Verb::Account(arguments) => conclude(
            commands::account::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Revoke(arguments) => conclude(
            commands::revoke::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Daemon(arguments) => commands::alone::hold(&cli.global, &mut terminal)
            .and_then(|_held| commands::daemon::run(&cli.global, &arguments, &mut terminal)),
        Verb::Metrics => commands::metrics::run(&cli.global, &mut terminal),
        Verb::Explain(arguments) => commands::explain::run(&cli.global, &arguments, &mut terminal),
        Verb::History(arguments) => commands::history::run(&cli.global, &arguments, &mut terminal),
        Verb::Simulate(arguments) => conclude(
            commands::simulate::run(&cli.global, &arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Notify(verb) => commands::notify::run(&cli.global, &verb, &mut terminal),
        Verb::Schedule(verb) => conclude(
            commands::schedule::run(&cli.global, &verb, &mut terminal),
            &mut terminal,
        ),
        Verb::Egress => commands::egress::run(&cli.global, &mut terminal),
        Verb::Config(verb) => Ok(commands::generated::config(&verb, &mut terminal)),
        Verb::Completions(arguments) => {
            Ok(commands::generated::completions(&arguments, &mut terminal))
        }
        Verb::Man(arguments) => conclude(
            commands::generated::man(&arguments, &mut terminal),
            &mut terminal,
        ),
        Verb::Version => Ok(commands::version::run(&mut terminal)),
        Verb::Renew(arguments) => commands::renew::run(&cli.global, &arguments, &mut terminal),
        Verb::Status(arguments) => commands::status::run(&cli.global, &arguments, &mut terminal),
    };
    heard(exit.unwrap_or_else(|exit| exit), &mut terminal).into()
}

/// The exit code, unless all was well but for an answer that could not be written.
fn heard(exit: Exit, terminal: &mut Terminal) -> Exit {
    match terminal.unwritten.take() {
        Some(cause) => {
            let hint = "stdout leads to a file or a device that takes no more";
            terminal.fail(&format!("failed to write the answer: {cause}"), Some(hint));
            if exit == Exit::Done {
                Exit::SomeFailed
            } else {
                exit
            }
        }
        None => exit,
    }
}

/// A verb that does not exist, and what to type instead.
fn unknown_verb(error: &clap::Error) -> Option<(String, String)> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let ContextValue::String(verb) = error.get(ContextKind::InvalidSubcommand)? else {
        return None;
    };
    // Below a verb, the words of other clients mean something else: `plugin new`.
    if let Some(hint) = args::instead_of(verb).filter(|_| level(error) == "waxwing") {
        return Some((verb.clone(), hint.to_owned()));
    }
    let hint = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(near)) if !near.is_empty() => {
            format!("did you mean {}?", near.join(" or "))
        }
        Some(ContextValue::String(near)) => format!("did you mean {near}?"),
        _ => format!("`{} --help` lists the verbs", level(error)),
    };
    Some((verb.clone(), hint))
}

/// The program and the verbs before the one that does not exist: `waxwing account`.
fn level(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage
        .split_whitespace()
        .skip_while(|word| *word != "waxwing");
    let verbs: Vec<&str> = words
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    if verbs.is_empty() {
        "waxwing".to_owned()
    } else {
        verbs.join(" ")
    }
}

/// What is wrong with the arguments, and what to type instead: the words of clap in the shape of
/// every other error.
fn misused(error: &clap::Error, arguments: &[OsString]) -> (String, String) {
    let text = error.render().to_string();
    let mut parts = text.split("\n\n").map(str::trim);
    let what = parts.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let tips: Vec<&str> = parts
        .filter_map(|part| part.strip_prefix("tip: "))
        .collect();
    let verb = match level(error).as_str() {
        "waxwing" => verb_of(arguments),
        verb => verb.to_owned(),
    };
    let help = format!("`{verb} --help` shows what it takes");
    let hint = match tips.is_empty() {
        true => help,
        false => tips.join("; "),
    };
    // A list of what is missing or possible stands on lines of its own there.
    let lines: Vec<&str> = what.lines().map(str::trim).collect();
    (lines.join(" "), hint)
}

/// The verb that somebody has typed, where an error does not know it: `waxwing history`.
fn verb_of(arguments: &[OsString]) -> String {
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let mut known = words.filter(|word| Cli::command().find_subcommand(word).is_some());
    match known.next() {
        Some(verb) => format!("waxwing {verb}"),
        None => "waxwing".to_owned(),
    }
}

/// Takes back the advice to pass an unknown option as a value: no name here begins with a dash.
fn keep_to_options(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested)
        && tips
            .iter()
            .any(|tip| tip.to_string().contains("as a value"))
    {
        error.remove(ContextKind::Suggested);
    }
}

/// The exit code of a verb, after telling why it was not done.
fn conclude(ended: Result<Exit, Refusal>, terminal: &mut Terminal) -> Result<Exit, Exit> {
    ended.map_err(|refusal| refusal.show(terminal))
}
