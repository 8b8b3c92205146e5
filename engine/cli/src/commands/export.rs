//! `waxwing export`: key and chain of the current version, copied to a folder.

use std::path::PathBuf;

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
    let files: Vec<PathBuf> = FILES.iter().map(|file| arguments.dir.join(file)).collect();
    let replaced: Vec<bool> = files.iter().map(|file| file.exists()).collect();
    let version = store
        .export(name, &arguments.dir)
        .map_err(|error| start::store_failed(&error, terminal))?;
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
