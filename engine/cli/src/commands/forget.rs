//! `waxwing forget`: sets a certificate aside that is not in the configuration any more.

use waxwing_core::name::{CertificateName, Identifier};
use waxwing_core::settings::CertificateSettings;
use waxwing_flow::certificate::InventoryEntry;
use waxwing_flow::ports::CertificateStore as _;
use waxwing_io::store::FileStore;

use super::start;
use crate::args::{Forget, Global};
use crate::exit::Exit;
use crate::load::Loaded;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Forget,
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
    let configured = loaded.settings.certificates.iter();
    let mut configured = configured.map(|certificate| &certificate.name);
    let still_there = configured.any(|other| other == name);
    let question = format!("{name} is still in the configuration. Set it aside all the same?");
    let agreed = arguments.yes || (still_there && terminal.can_ask() && terminal.ask(&question));
    if still_there && !agreed {
        let hint = format!(
            "take it out of the configuration first, or `waxwing forget {name} --yes`: the next \
             run then issues it anew"
        );
        let text = format!("{name} is still in the configuration; nothing was done");
        terminal.fail(&text, Some(&hint));
        return Ok(Exit::Usage);
    }
    // What cannot be read can be set aside all the same.
    let entry = store.entry(name).ok().flatten();
    if let Some(heir) = heir(&loaded, &store, entry.as_ref()).filter(|_| !arguments.yes) {
        let text =
            format!("{heir}, which has names of {name}, is not in place yet; nothing was done");
        let hint = format!(
            "until it is there {name} is what may be in use, and its end is told; `waxwing forget {name} --yes` \
             sets it aside all the same"
        );
        terminal.fail(&text, Some(&hint));
        return Ok(Exit::Usage);
    }
    let current = entry.as_ref().and_then(|entry| entry.current.as_ref());
    let damaged = entry.as_ref().is_some_and(|entry| entry.damage.is_some());
    let left = match current.map(|current| current.revoked.is_some()) {
        None if damaged => "Whether it is revoked cannot be read, and f",
        Some(false) => "It is not revoked, and f",
        Some(true) | None => "F",
    };
    let to_revoke = entry.and_then(|entry| Some(entry.replacing?.version));
    let kept = start::open(&loaded, terminal)?
        .forget(name, arguments.yes)
        .map_err(|error| start::store_failed(&error, terminal))?;
    if terminal.json {
        let result = serde_json::json!({
            "certificate": name.as_str(),
            "archive": kept,
            "to_revoke": to_revoke,
        });
        terminal.print(&Document::new("forget", now, result).to_text());
    } else {
        let given_up = to_revoke.map_or_else(String::new, |version| {
            format!("\nVersion {version} was still to be revoked; nobody asks for that any more.")
        });
        terminal.print(&format!(
            "{name}   set aside with its keys: {}\n{left}iles that were installed stay where they are.{given_up}",
            kept.display(),
        ));
    }
    Ok(Exit::Done)
}

/// A certificate of the configuration for some of the same names that was never issued, or not installed.
fn heir<'l>(
    loaded: &'l Loaded,
    store: &FileStore,
    entry: Option<&InventoryEntry>,
) -> Option<&'l CertificateName> {
    let names = &entry?.current.as_ref()?.facts.names;
    let shares = |name: &Identifier, other: &Identifier| name.covers(other) || other.covers(name);
    let is_wanted = |one: &&CertificateSettings| {
        let mut domains = one.domains.iter();
        domains.any(|domain| names.iter().any(|name| shares(name, domain)))
    };
    let in_place = |one: &CertificateSettings| {
        let there = store.entry(&one.name).ok().flatten();
        there.is_some_and(|entry| {
            let issued = entry.current.is_some() || entry.damage.is_some();
            let missing = entry.missing(one);
            let lacks = |name: &Identifier| missing.iter().any(|one| shares(name, one));
            issued
                && !one.install.iter().any(|plugin| entry.lacks(plugin))
                && !names.iter().any(lacks)
        })
    };
    let mut wanted = loaded.settings.certificates.iter().filter(is_wanted);
    wanted.find(|one| !in_place(one)).map(|one| &one.name)
}
