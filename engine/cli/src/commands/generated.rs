//! `waxwing config schema`, `completions` and `man`: made from the reader of the configuration and from
//! the command line as they are, so that none of them can be out of date.

use std::io;

use clap::builder::Resettable;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Page;
use waxwing_core::settings::json_schema;
use waxwing_io::outfile;

use super::start;
use crate::args::Cli;
use crate::args::generated::{Completions, ConfigVerb, Man};
use crate::exit::Exit;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// The section of the manual for programs.
const SECTION: &str = "1";

/// Runs `config`.
pub(crate) fn config(verb: &ConfigVerb, terminal: &mut Terminal) -> Exit {
    match verb {
        ConfigVerb::Schema => {
            // It is JSON with or without --json: an editor wants nothing around it.
            terminal.print(&format!("{:#}", json_schema::schema()));
            Exit::Done
        }
    }
}

/// Runs `completions`.
pub(crate) fn completions(arguments: &Completions, terminal: &mut Terminal) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "waxwing", &mut text);
    terminal.print(&String::from_utf8_lossy(&text));
    Exit::Done
}

/// Runs `man`.
pub(crate) fn man(arguments: &Man, terminal: &mut Terminal) -> Result<Exit, Refusal> {
    let failed =
        |cause: io::Error| Refusal::new(Exit::Bug, "failed to make the man page").cause(cause);
    let pages = pages().map_err(failed)?;
    let Some(dir) = &arguments.dir else {
        terminal.print(pages.first().map_or("", |(_, text)| text));
        return Ok(Exit::Done);
    };
    let mut files = Vec::with_capacity(pages.len());
    for (name, text) in &pages {
        let path = dir.join(name);
        outfile::publish(&path, text)?;
        files.push(path);
    }
    if terminal.json {
        let json = serde_json::json!({ "files": files });
        terminal.print(&Document::new("man", start::now(), json).to_text());
    } else {
        let count = files.len();
        terminal.print(&format!("{count} man pages written to {}", dir.display()));
    }
    Ok(Exit::Done)
}

/// The page of the program and of each verb, with the names of their files.
fn pages() -> io::Result<Vec<(String, String)>> {
    let mut program = Cli::command();
    program.build();
    let mut pages = Vec::new();
    page(&program, "waxwing", &mut pages)?;
    Ok(pages)
}

fn page(command: &Command, name: &str, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    let mut text = Vec::new();
    // Names with a dash are those of pages: `man waxwing-renew`.
    let titled = command.clone().display_name(name.to_owned());
    let titled = titled.after_help(Resettable::Reset);
    let man = Page::new(titled)
        .section(SECTION)
        .source(concat!("Waxwing ", env!("CARGO_PKG_VERSION")));
    man.render(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some(help) = command.get_after_help() {
        text.push_str(&as_it_is(&help.to_string()));
    }
    pages.push((format!("{name}.{SECTION}"), text));
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        page(verb, &format!("{name}-{}", verb.get_name()), pages)?;
    }
    Ok(())
}

/// A section of text whose lines stay as they are: examples in columns.
fn as_it_is(text: &str) -> String {
    let mut section = String::from(".SH EXAMPLES\n.nf\n");
    for line in text.lines() {
        let line = line
            .replace('\\', "\\e")
            .replace('-', "\\-")
            .replace('\'', "\\(aq");
        // A dot at the beginning would be a request.
        let guard = if line.starts_with('.') { "\\&" } else { "" };
        section.push_str(guard);
        section.push_str(&line);
        section.push('\n');
    }
    section + ".fi\n"
}
