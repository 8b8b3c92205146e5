//! `waxwing export`: key and chain of the current version, copied to a folder.

use std::path::{Path, PathBuf};

use waxwing_io::config::real_path;

use super::start;
use crate::args::{Export, Global};
use crate::exit::Exit;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// What is written, in the order of writing.
const FILES: [&str; 4] = ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"];

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
    let files: Vec<PathBuf> = FILES.iter().map(|file| arguments.dir.join(file)).collect();
    let replaced: Vec<bool> = files.iter().map(|file| file.exists()).collect();
    let version = store.export(name, &arguments.dir).map_err(|mut error| {
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
    for (file, replaced) in FILES.iter().zip(replaced) {
        let note = if replaced { "   (replaced)" } else { "" };
        text.push_str(&format!("  {file}{note}\n"));
    }
    text.push_str("A copy is not renewed: let an installer write the files that a server reads.");
    terminal.print(&text);
    Ok(Exit::Done)
}

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
