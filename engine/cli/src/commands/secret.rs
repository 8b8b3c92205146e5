//! `waxwing secret`: secrets in files of their own.

use std::io::IsTerminal as _;
use std::path::Path;

use waxwing_core::init::read::is_file_name;
use waxwing_io::config::usual_config;
use waxwing_io::{outfile, permission, prompt};

use super::start;
use crate::args::Global;
use crate::args::init::SecretVerb;
use crate::exit::Exit;
use crate::load;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::schedule::quote;
use crate::render::terminal::Terminal;
use crate::wire;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    verb: &SecretVerb,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let SecretVerb::Set { name, replace } = verb;
    if !is_file_name(name) {
        let message = format!("{name:?} cannot be the name of a secret's file");
        let hint = "a plain name, which does not begin with a dot: api-key";
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    let config = global.config.clone().unwrap_or_else(usual_config);
    let config = std::path::absolute(&config).map_err(|cause| {
        Refusal::new(Exit::Usage, format!("{} is no path", config.display())).cause(cause)
    })?;
    let path = config.with_file_name(name);
    must_be_read_by_the_runs(global, &path)?;
    if path.exists() && !replace {
        let message = format!("{} is there already; nothing was written", path.display());
        let hint = format!("waxwing secret set {name} --replace");
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    outfile::may_be_made(&path)?;
    let typed = if std::io::stdin().is_terminal() {
        prompt::secret(&format!("{name}: "))
    } else {
        prompt::piped_secret()
    };
    let typed = typed.map_err(|cause| {
        Refusal::new(
            Exit::Usage,
            "the secret cannot be read; nothing was written",
        )
        .cause(cause)
    })?;
    let secret = typed.map(|secret| secret.expose().trim().to_owned());
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        let message = "there is no secret; nothing was written";
        let hint = "type it, or let a program write it to the standard input";
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    };
    if secret.chars().any(char::is_control) {
        let message = "a secret of one line has no control characters; nothing was written";
        return Err(Refusal::new(Exit::Usage, message));
    }
    if let Some(folder) = path.parent() {
        outfile::make_folder(folder)?;
    }
    let text = format!("{secret}\n");
    if *replace {
        outfile::write(&path, &text)?;
    } else {
        outfile::write_new(&path, &text)?;
    }
    if terminal.json {
        let result = serde_json::json!({
            "path": path.display().to_string(),
            "reference": format!("file:{name}"),
        });
        terminal.print(&Document::new("secret", start::now(), result).to_text());
    } else {
        terminal.print(&format!(
            "{} is written; in the configuration it is \"file:{name}\".",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

/// Refuses a secret of a user whom the state folder does not belong to: it would be that user's alone, and
/// the runs are another one's. Where there is no configuration or no state yet, nobody knows better.
fn must_be_read_by_the_runs(global: &Global, path: &Path) -> Result<(), Refusal> {
    let Some(loaded) = load::load_if_any(global).ok().flatten() else {
        return Ok(());
    };
    let owner = permission::owner(&loaded.state).ok().flatten();
    let Some((owner, by_owner)) = owner.zip(wire::by_owner(&loaded.state)) else {
        return Ok(());
    };
    let message = format!(
        "the runs are those of {}, who could not read a secret of this user; nothing was written",
        owner.name
    );
    let folder = path
        .parent()
        .and_then(|folder| permission::owner(folder).ok().flatten());
    let may_write = folder.is_some_and(|folder| folder.name == owner.name) || owner.is_root;
    let hint = if may_write {
        by_owner
    } else {
        // The owner may not write there, and root cannot be somebody else.
        let (user, path) = (quote(&owner.name), quote(&path.to_string_lossy()));
        format!("install -m 0600 -o {user} /dev/stdin {path}")
    };
    Err(Refusal::new(Exit::Denied, message).hint(hint))
}
