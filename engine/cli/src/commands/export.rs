//! `waxwing export`: key and chain of the current version, copied to a folder.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use waxwing_core::secret::Secret;
use waxwing_io::config::real_path;
use waxwing_io::export::{self, Form};
use waxwing_io::pkcs12::Profile;

use super::start;
use crate::args::Global;
use crate::args::export::{self as args, Export};
use crate::exit::Exit;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Export,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let now = start::now();
    let known = start::stored(&store, terminal)?;
    let written = std::slice::from_ref(&arguments.name);
    let names = start::names(written, &loaded.settings, &known, terminal)?;
    let Some(name) = names.first() else {
        return Ok(Exit::Usage);
    };
    start::must_be_stored(name, &known, terminal)?;
    if is_within(&arguments.dir, store.root()) {
        let text = format!(
            "{} is in the state folder; nothing was copied",
            arguments.dir.display()
        );
        let hint = "the state folder is the program's own; name a folder elsewhere";
        terminal.fail(&text, Some(hint));
        return Ok(Exit::Usage);
    }
    let form = form(arguments.format);
    let password = match form {
        Form::Pkcs12(_) => password(terminal)?,
        Form::Pem | Form::Combined | Form::Der => Secret::new(String::new()),
    };
    loaded.begin_records();
    let stored = store
        .stored(name)
        .map_err(|error| start::store_failed(&error, terminal))?;
    let contents = export::files(&stored, form, &password).map_err(|error| {
        terminal.fail(&format!("failed to {error}"), None);
        Exit::AllFailed
    })?;
    let version = stored.version;
    let files: Vec<PathBuf> = contents
        .iter()
        .map(|(file, _)| arguments.dir.join(file))
        .collect();
    let replaced: Vec<bool> = files.iter().map(|file| file.exists()).collect();
    store
        .hand_over((name, version), &arguments.dir, &contents)
        .map_err(|mut error| {
            if error.path.starts_with(&arguments.dir) {
                let hint = "name a folder in which you may write: waxwing export NAME DIR";
                error.hint = Some(hint.to_owned());
            }
            start::store_failed(&error, terminal)
        })?;
    if terminal.json {
        let files: Vec<_> = files
            .iter()
            .zip(&replaced)
            .map(|(path, replaced)| serde_json::json!({ "path": path, "replaced": replaced }))
            .collect();
        let result = serde_json::json!({
            "certificate": name.as_str(), "version": version, "files": files,
        });
        terminal.print(&Document::new("export", now, result).to_text());
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{name}   version {version} copied to {}, readable by you alone\n",
        arguments.dir.display()
    );
    for ((file, _), replaced) in contents.iter().zip(replaced) {
        let note = if replaced { "   (replaced)" } else { "" };
        text.push_str(&format!("  {file}{note}\n"));
    }
    text.push_str("A copy is not renewed: let an installer write the files that a server reads.");
    terminal.print(&text);
    Ok(Exit::Done)
}

/// The form of that word.
const fn form(word: args::Form) -> Form {
    match word {
        args::Form::Pem => Form::Pem,
        args::Form::Haproxy => Form::Combined,
        args::Form::Der => Form::Der,
        args::Form::Pkcs12 => Form::Pkcs12(Profile::Modern),
        args::Form::Pkcs12Legacy => Form::Pkcs12(Profile::Legacy),
    }
}

/// The first line of the standard input. A terminal would show it.
fn password(terminal: &mut Terminal) -> Result<Secret<String>, Exit> {
    let hint = "waxwing export NAME DIR --format pkcs12 < FILE, whose first line is the password; an \
                empty line means none";
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        terminal.fail("the password of the file comes on stdin", Some(hint));
        return Err(Exit::Usage);
    }
    let mut line = String::new();
    match stdin.lock().take(MOST_BYTES).read_line(&mut line) {
        Ok(0) => {
            terminal.fail("there is no password on stdin", Some(hint));
            Err(Exit::Usage)
        }
        Ok(_) => Ok(Secret::new(line.trim_end_matches(['\n', '\r']).to_owned())),
        Err(cause) => {
            let text = format!("failed to read the password from stdin: {cause}");
            terminal.fail(&text, Some(hint));
            Err(Exit::Usage)
        }
    }
}

/// No password is longer, in bytes.
const MOST_BYTES: u64 = 4096;

/// True if a folder, which need not be there yet, is below another one, whatever links lead to it.
fn is_within(folder: &Path, root: &Path) -> bool {
    let Ok(folder) = std::path::absolute(folder) else {
        return false;
    };
    let there = folder.ancestors().find_map(real_path);
    match (there, real_path(root)) {
        (Some(there), Some(root)) => there.starts_with(root),
        _ => false,
    }
}
