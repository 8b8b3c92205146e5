//! `waxwing init`: the first configuration, from questions or flags.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use waxwing_core::init::{
    Answer, Answers, Facts, PluginFile, Question, file_of, settle, variables,
};
use waxwing_core::plugin::Manifest;
use waxwing_core::secret::Secret;
use waxwing_io::config::{real_path, roots, usual_config};
use waxwing_io::{import as io_import, outfile, permission, prompt};

use super::{plugin, renew, start};
use crate::args::init::{Init, Target};
use crate::args::{Global, Renew};
use crate::exit::Exit;
use crate::init::more::More;
use crate::init::{self, Person, Unanswered};
use crate::load;
use crate::refusal::Refusal;
use crate::render::init::done::{self, Rehearsal, Written};
use crate::render::init::text;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Init,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let target = target(global)?;
    let place = &target.config;
    if !arguments.print {
        must_be_free(place, arguments.replace)?;
    }
    let mut more = More::read(&arguments.more).map_err(flags_refused)?;
    if let Some(dir) = &global.state_dir {
        let dir = whole(dir)?.display().to_string();
        outfile::folder_may_be_made(&dir).map_err(|why| {
            Refusal::new(
                Exit::Usage,
                format!("--state-dir cannot be the state folder: {why}"),
            )
            .hint("name a folder that is empty or not there")
        })?;
        more.set("state", "dir", &dir);
    }
    let profiles = more.profiles();
    let (manifests, files) = plugins(&arguments.plugins)?;
    let folder = place.parent().unwrap_or(Path::new("")).to_owned();
    let facts = Facts {
        profiles: &profiles,
        manifests: &manifests,
        files: &files,
        program: &|name| io_import::program(name).filter(|path| path.is_file()),
        may_run: &permission::may_be_run,
        folder: &outfile::folder_may_be_made,
        roots: &|path| named_roots(&folder, path),
        is_there: &|name| folder.join(name).is_file(),
        windows: cfg!(windows),
    };
    let mut answers = init::from_flags(arguments, &facts).map_err(flags_refused)?;
    let asks = terminal.can_ask();
    if asks {
        let context = terminal.context(start::now());
        let mut somebody = AtTerminal { terminal };
        init::ask(&facts, &mut answers, arguments.yes, &mut somebody, &context)
            .map_err(unanswered)?;
    } else {
        let missing = settle(&facts, &mut answers);
        if !missing.is_empty() {
            return Err(incomplete(&answers, &missing));
        }
    }
    if init::are_refused(&answers) {
        let message = "no CA issues anything without agreement to its terms; nothing was written";
        return Err(Refusal::new(Exit::Usage, message).hint("`waxwing ca list` links them"));
    }
    let text = text(&facts, &answers, more);
    let mistakes = load::mistakes(place, &text);
    if !mistakes.is_empty() {
        let message = "the configuration would be wrong; nothing was written";
        let hint = if asks {
            // None of what somebody has answered shall be lost.
            terminal.note(&format!("\n{text}"));
            if secrets(place, &answers).is_empty() {
                "the text above is what was answered"
            } else {
                "the text above is what was answered, without the secrets that you typed"
            }
        } else {
            "--print shows its text"
        };
        let refusal = Refusal::new(Exit::Config, message).hint(hint);
        return Err(mistakes.into_iter().fold(refusal, Refusal::cause));
    }
    if arguments.print {
        terminal.print(&text);
        return Ok(Exit::Done);
    }
    if asks && !arguments.yes {
        terminal.note(&format!("\n{text}"));
        let question = format!("Write this to {}?", place.display());
        let usual = !sets_aside(place, &text, &answers);
        let context = terminal.context(start::now());
        let said = init::agrees(&question, usual, &mut AtTerminal { terminal }, &context);
        if !matches!(said, Ok(true)) {
            let typed = !secrets(place, &answers).is_empty();
            return Err(not_written(said.err(), &text, typed, terminal));
        }
    }
    let mut written = write(place, &text, &answers, arguments.replace)?;
    written.absent = absent(&folder, &answers);
    written.variables = variables(&answers).into_iter().map(str::to_owned).collect();
    let context = terminal.context(start::now());
    if terminal.json {
        let result = done::json(&target, &written);
        terminal.print(&Document::new("init", context.now, result).to_text());
        return Ok(Exit::Done);
    }
    terminal.print(&done::text(&target, &written, &context));
    let exit = rehearse(global, arguments, &target, terminal)?;
    let next = done::next(&target, exit == Exit::Done, &context);
    terminal.print(&next);
    Ok(exit)
}

/// What the configuration calls a file with roots: one that is beside it by the name that was typed, one that lies
/// where the command was typed by its whole path.
fn named_roots(folder: &Path, typed: &str) -> Result<String, String> {
    let beside = folder.join(typed);
    let here = whole(Path::new(typed)).ok().filter(|here| *here != beside);
    match here.filter(|here| !beside.exists() && here.exists()) {
        Some(here) => roots(&here).map(|()| here.display().to_string()),
        None => roots(&beside).map(|()| typed.to_owned()),
    }
}

/// Where the configuration is to stand.
fn target(global: &Global) -> Result<Target, Refusal> {
    let usual = usual_config();
    let config = match &global.config {
        Some(path) => whole(path)?,
        None => usual.clone(),
    };
    let same = real_path(&config).is_some_and(|real| Some(real) == real_path(&usual));
    Ok(Target {
        usual: config == usual || same,
        config,
    })
}

/// A path from the root on.
fn whole(path: &Path) -> Result<PathBuf, Refusal> {
    std::path::absolute(path).map_err(|cause| {
        Refusal::new(Exit::Usage, format!("{} is no path", path.display())).cause(cause)
    })
}

/// Refuses before anybody has answered anything if the file could not be written in the end.
/// The plugins that may be named: those that are built in, and those of files, which take the place of a
/// built-in one with the same id.
fn plugins(paths: &[PathBuf]) -> Result<(Vec<Manifest>, BTreeMap<String, PluginFile>), Refusal> {
    let mut files = BTreeMap::new();
    let mut manifests = Vec::new();
    for path in paths {
        let path = whole(path)?;
        let found = plugin::read_file(&path)?;
        let file = PluginFile {
            path: path.display().to_string(),
            sha256: found.inspection.sha256,
        };
        if files.insert(found.manifest.id.clone(), file).is_some() {
            let id = &found.manifest.id;
            let message = format!("--plugin: two files are the plugin {id}");
            return Err(Refusal::new(Exit::Usage, message).hint("name the one that you want"));
        }
        manifests.push(found.manifest);
    }
    let embedded = load::embedded_manifests().into_values();
    let embedded = embedded.filter_map(Result::ok);
    manifests.extend(embedded.filter(|one| !files.contains_key(&one.id)));
    Ok((manifests, files))
}

fn must_be_free(place: &Path, replace: bool) -> Result<(), Refusal> {
    if place.is_dir() {
        let inside = place.join(waxwing_io::config::FILE_NAME);
        let message = format!("{} is a folder", place.display());
        let hint = format!("name the file in it: -c {}", inside.display());
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    if place.exists() && !replace {
        let message = format!("{} is there already; nothing was done", place.display());
        let hint = "edit it, or --replace sets it aside; `waxwing plan` says what it means";
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    outfile::may_be_made(place).map_err(|error| {
        let by_root = if cfg!(windows) {
            "run it as an administrator"
        } else {
            "sudo waxwing init, or -c FILE in a folder of yours"
        };
        Refusal::from(error).hint(by_root)
    })
}

fn flags_refused(wrong: Vec<String>) -> Refusal {
    let (message, causes) = match <[String; 1]>::try_from(wrong) {
        Ok([one]) => (one, Vec::new()),
        Err(several) => {
            let message = format!("{} options cannot be used; nothing was done", several.len());
            (message, several)
        }
    };
    let refusal = Refusal::new(Exit::Usage, message).hint("`waxwing init --help` has examples");
    causes.into_iter().fold(refusal, Refusal::cause)
}

fn incomplete(answers: &Answers, missing: &[Question]) -> Refusal {
    let message = "there is no terminal to ask at, and this is missing; nothing was done";
    let refusal = Refusal::new(Exit::Usage, message)
        .hint("give these options, or run it at a terminal; `waxwing init --help` has an example");
    let flags = missing.iter().map(|question| init::flag(answers, question));
    flags.fold(refusal, Refusal::cause)
}

fn unanswered(why: Unanswered) -> Refusal {
    match why {
        Unanswered::Stopped => Refusal::new(Exit::Usage, "stopped; nothing was written"),
        Unanswered::Terminal(cause) => Refusal::new(
            Exit::Usage,
            "the terminal cannot be used; nothing was written",
        )
        .cause(cause)
        .hint("every question has an option: `waxwing init --help`"),
    }
}

/// Somebody has answered everything and then not wanted it written: none of it shall be lost. A terminal
/// shows the configuration already. `typed` is true if there are secrets among the answers, which are in
/// no text.
fn not_written(
    why: Option<Unanswered>,
    text: &str,
    typed: bool,
    terminal: &mut Terminal,
) -> Refusal {
    let refusal = match why {
        Some(why) => unanswered(why),
        None => Refusal::new(Exit::Usage, "nothing was written"),
    };
    let where_it_is = if io::stdout().is_terminal() {
        "the text above is the configuration"
    } else {
        terminal.print(text);
        "the configuration is on stdout"
    };
    let secrets = if typed {
        ", without the secrets that you typed: `waxwing secret set NAME` stores each"
    } else {
        ""
    };
    refusal.hint(format!("{where_it_is}{secrets}"))
}

/// The person who typed the command.
struct AtTerminal<'a> {
    terminal: &'a mut Terminal,
}

impl Person for AtTerminal<'_> {
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        prompt::line(prompt)
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Option<Secret<String>>> {
        prompt::secret(prompt)
    }

    fn tell(&mut self, text: &str) {
        self.terminal.note(text);
    }
}

/// Files that are named as those of secrets and are not there.
fn absent(folder: &Path, answers: &Answers) -> Vec<PathBuf> {
    let files = answers.values().filter_map(|answer| match answer {
        Answer::Reference(text) => text.strip_prefix("file:"),
        _ => None,
    });
    let files = files.map(|file| folder.join(file));
    files.filter(|path| !path.exists()).collect()
}

/// The secrets that are still to be stored, each with its file.
fn secrets<'a>(place: &Path, answers: &'a Answers) -> Vec<(PathBuf, &'a Secret<String>)> {
    let folder = place.parent().unwrap_or(Path::new(""));
    let secret = |(question, answer): (&Question, &'a Answer)| match (question, answer) {
        (Question::Secret(slot), Answer::Secret(secret)) => {
            Some((folder.join(file_of(answers, slot)), secret))
        }
        _ => None,
    };
    answers.iter().filter_map(secret).collect()
}

/// True if a file is there that holds something else than what would be written.
fn sets_aside(place: &Path, text: &str, answers: &Answers) -> bool {
    let other = |path: &Path, text: &str| outfile::same(path, text) == Some(false);
    let secrets = secrets(place, answers);
    let mut secrets = secrets.iter();
    other(place, text) || secrets.any(|(path, secret)| other(path, &line(secret)))
}

/// Writes everything, the secrets first: a configuration whose secrets are missing is a mistake.
fn write(place: &Path, text: &str, answers: &Answers, replace: bool) -> Result<Written, Refusal> {
    let folder = place.parent().unwrap_or(Path::new(""));
    let secrets = secrets(place, answers);
    let other = |(path, secret): &&(PathBuf, &Secret<String>)| {
        outfile::same(path, &line(secret)) == Some(false)
    };
    if let Some((path, _)) = secrets.iter().find(other).filter(|_| !replace) {
        let message = format!(
            "{} holds another secret; nothing was written",
            path.display()
        );
        let hint = "take it away, or --replace sets it aside";
        return Err(Refusal::new(Exit::Usage, message).hint(hint));
    }
    let mut written = Written::default();
    outfile::make_folder(folder)?;
    for (path, secret) in secrets {
        store(&path, &line(secret), &mut written)?;
        written.secrets.push(path);
    }
    for (question, answer) in answers {
        if let (Question::Folder(_), Answer::Text(dir)) = (question, answer)
            && outfile::make_folder(Path::new(dir))?
        {
            written.folders.push(PathBuf::from(dir));
        }
    }
    store(place, text, &mut written)?;
    Ok(written)
}

/// The line of a file with a secret.
fn line(secret: &Secret<String>) -> String {
    format!("{}\n", secret.expose())
}

/// A file that its owner alone can read; another one that is there is set aside.
fn store(path: &Path, text: &str, written: &mut Written) -> Result<(), Refusal> {
    if outfile::same(path, text) == Some(true) {
        return Ok(());
    }
    let aside = outfile::set_aside(path)?;
    written
        .kept
        .extend(aside.map(|aside| (path.to_owned(), aside)));
    outfile::write_new(path, text).map_err(Refusal::from)
}

/// Rehearses what was written, if anybody wants that and there is a place for it.
fn rehearse(
    global: &Global,
    arguments: &Init,
    target: &Target,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    let global = Global {
        config: Some(target.config.clone()),
        state_dir: global.state_dir.clone(),
        json: false,
        verbose: global.verbose,
        process: global.process.clone(),
    };
    let rehearsal = if arguments.no_rehearsal {
        Rehearsal::Unwanted
    } else {
        where_to(&load::load(&global)?)
    };
    let context = terminal.context(start::now());
    let said = done::rehearsal(&rehearsal, &context);
    if !said.is_empty() {
        terminal.print(&said);
    }
    if !matches!(rehearsal, Rehearsal::Now(_)) {
        return Ok(Exit::Done);
    }
    let dry_run = Renew {
        names: Vec::new(),
        force: false,
        now: true,
        yes: false,
        dry_run: true,
    };
    // What went wrong has been said.
    Ok(renew::run(&global, &dry_run, terminal).unwrap_or_else(|exit| exit))
}

/// Where the first CA of the list is rehearsed.
fn where_to(loaded: &load::Loaded) -> Rehearsal {
    let cas = &loaded.settings.cas;
    let used = loaded.settings.used_cas();
    let mut places = Vec::new();
    for profile in used.iter().filter_map(|name| cas.get(name)) {
        let place = match &profile.rehearse_at {
            Some(place) => cas.get(place),
            None => Some(profile).filter(|profile| profile.staging),
        };
        let title = place.map(|place| place.title.clone());
        places.extend(title.filter(|title| !places.contains(title)));
    }
    if places.is_empty() {
        let names: Vec<&str> = used.iter().map(|name| name.as_str()).collect();
        return Rehearsal::Nowhere(format!(
            "{} has no staging (`rehearse-at` in its section names one)",
            names.join(", ")
        ));
    }
    Rehearsal::Now(places)
}
