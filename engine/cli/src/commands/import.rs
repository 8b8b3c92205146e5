//! `waxwing import`: come over from another client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::import as core_import;
use waxwing_core::plugin::{Manifest, World};
use waxwing_core::profiles;
use waxwing_io::config::usual_state;
use waxwing_io::import as io_import;
use waxwing_io::store::FileStore;
use waxwing_io::timer::is_same_file;

use super::start;
use crate::args::Global;
use crate::args::import::Import;
use crate::exit::Exit;
use crate::import::draft::{self, Catalog};
use crate::import::{Surroundings, write};
use crate::load;
use crate::refusal::Refusal;
use crate::render::import::{self as page, View, config};
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Versions that are kept until the new configuration says else.
const KEEP_VERSIONS: u32 = 3;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Import,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let client = arguments.client;
    let manifests = load::embedded_manifests();
    let manifests: Vec<Manifest> = manifests.into_values().filter_map(Result::ok).collect();
    if let Some(dns) = &arguments.dns {
        known_plugin(dns, &manifests)?;
    }
    let out = arguments.out.as_deref().map(whole).transpose()?;
    let (tree, mut unread) = io_import::folder(client, &arguments.path).map_err(|error| {
        let exit = if error.denied {
            Exit::Denied
        } else {
            Exit::Usage
        };
        let hint = if error.denied {
            "run it as the user that the other client runs as, or as root"
        } else {
            "name the folder in which the other client keeps its files, or a copy of it"
        };
        Refusal::new(exit, error.to_string()).hint(hint)
    })?;
    let mut imported = core_import::read(client, &tree);
    imported.unread.append(&mut unread);
    let nothing = imported.certificates.is_empty() && imported.accounts.is_empty();
    if nothing && imported.unread.is_empty() && imported.remarks.is_empty() {
        let text = format!(
            "there is nothing of {client} in {}",
            arguments.path.display()
        );
        let hint = "name the folder in which it keeps its files: `waxwing import --help`";
        return Err(Refusal::new(Exit::Usage, text).hint(hint));
    }
    let catalog = Catalog {
        profiles: profiles::shipped(),
        manifests,
        dns: arguments.dns.as_deref(),
    };
    let around = Surroundings {
        rights: &|path| io_import::rights(Path::new(path)),
        program: &io_import::program,
        variable: &io_import::variable,
        windows: cfg!(windows),
    };
    let mut draft = draft::draft(client, &imported, &catalog, &around);
    let own_state = global.state_dir.as_deref().map(whole).transpose()?;
    let text = config::text(client, &arguments.path, &draft, own_state.as_deref());
    let place = out.clone().unwrap_or_else(waxwing_io::config::usual_config);
    if draft.certificates.iter().all(|one| one.off.is_some()) {
        draft.remarks.push(draft::empty());
    } else {
        let mistakes = load::mistakes(&place, &text);
        let remarks = mistakes.iter().map(|mistake| draft::refused(mistake));
        draft.remarks.extend(remarks);
    }
    let dry = arguments.dry_run || out.is_none();
    let state = own_state.unwrap_or_else(usual_state);
    let store = if out.is_none() {
        // Who only prints may be somebody who must not look into the state folder.
        FileStore::look(&state).ok()
    } else if dry {
        Some(FileStore::look(&state)?)
    } else {
        let out = out.as_deref().unwrap_or(&place);
        must_be_free(out, &text)?;
        Some(audited(global, FileStore::open(&state, KEEP_VERSIONS)?))
    };
    let done = write::carry_out(&draft, &text, out.as_deref(), store.as_ref(), dry);
    let view = View {
        client,
        from: &arguments.path,
        draft: &draft,
        done: &done,
        dry,
        printed: out.is_none(),
        state: &state,
    };
    let now = start::now();
    if terminal.json {
        let result = page::json(&view, &text);
        terminal.print(&Document::new("import", now, result).to_text());
    } else {
        let report = page::text(&view, &terminal.context(now));
        if out.is_none() {
            // A configuration that is printed can be piped; what is said of it is for people.
            terminal.print(&text);
            terminal.note(&report);
        } else {
            terminal.print(&report);
        }
    }
    Ok(view.exit())
}

/// The store with the audit trail of the configuration that works in it, if there is one already. One that
/// is written now has no trail yet.
fn audited(global: &Global, store: FileStore) -> FileStore {
    let there = load::load_if_any(global).ok().flatten();
    match there.filter(|there| is_same_file(&there.state, store.root())) {
        Some(loaded) => {
            loaded.begin_records();
            store.audited(Arc::clone(&loaded.audit))
        }
        None => store,
    }
}

/// A path from the root on.
fn whole(path: &Path) -> Result<PathBuf, Refusal> {
    std::path::absolute(path).map_err(|cause| {
        Refusal::new(Exit::Usage, format!("{} is no path", path.display())).cause(cause)
    })
}

/// Refuses a DNS plugin that this program does not have.
fn known_plugin(name: &str, manifests: &[Manifest]) -> Result<(), Refusal> {
    let dns = manifests.iter().filter(|it| it.world == World::Dns);
    let known: Vec<&str> = dns.map(|manifest| manifest.id.as_str()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let hint = format!("there are {}", known.join(", "));
    Err(Refusal::new(Exit::Usage, format!("no DNS plugin \"{name}\" is built in")).hint(hint))
}

/// Refuses to work for a file that cannot be written, or that is another one.
fn must_be_free(out: &Path, text: &str) -> Result<(), Refusal> {
    if waxwing_io::outfile::same(out, text) == Some(false) {
        let message = format!("{} is there already; nothing was written", out.display());
        let hint = "name another file; what is there is never overwritten";
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    waxwing_io::outfile::check(out).map_err(|error| {
        let refusal = Refusal::from(error);
        Refusal {
            exit: Exit::Usage,
            ..refusal
        }
    })
}
