//! `waxwing version`: this program, the contract it speaks, what is built into it.

use waxwing_core::profiles;
use waxwing_core::settings::PluginSource;

use super::start;
use crate::exit::Exit;
use crate::load;
use crate::render::json::Document;
use crate::render::terminal::Terminal;
use crate::render::version::{self, BuiltIn, Program};

/// Runs the verb.
pub(crate) fn run(terminal: &mut Terminal) -> Exit {
    let program = program();
    let now = start::now();
    let text = if terminal.json {
        Document::new("version", now, version::json(&program)).to_text()
    } else {
        version::text(&program, &terminal.context(now))
    };
    terminal.print(&text);
    Exit::Done
}

fn program() -> Program {
    let plugins = load::embedded_manifests()
        .into_iter()
        .map(|(source, read)| {
            let (PluginSource::Embedded(name) | PluginSource::File { sha256: name, .. }) = source;
            BuiltIn {
                name,
                version: read.map_or_else(|_| "unreadable".to_owned(), |manifest| manifest.version),
            }
        });
    let cas = profiles::shipped().into_values().map(|profile| BuiltIn {
        name: profile.name.to_string(),
        version: profile.notes.get("checked").cloned().unwrap_or_default(),
    });
    Program {
        version: env!("CARGO_PKG_VERSION"),
        contract: waxwing_core::plugin::manifest::CONTRACT,
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        plugins: plugins.collect(),
        cas: cas.collect(),
    }
}
