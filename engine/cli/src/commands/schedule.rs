//! `waxwing schedule`: has the system start the runs by itself.
//!
//! The texts are made by `render::schedule`; what they have to allow follows from the configuration
//! (`core::timer`). Here they are brought to their places.

use std::path::{Path, PathBuf};

use waxwing_core::timer::{Kind, Moment, Start, Whose};
use waxwing_flow::ports::StoreError;
use waxwing_io::config::usual_config;
use waxwing_io::permission;
use waxwing_io::timer as system;

use super::start;
use crate::args::Global;
use crate::args::schedule::{Add, Remove, ScheduleVerb, Show};
use crate::exit::Exit;
use crate::load;
use crate::refusal::Refusal;
use crate::render::json::Document;
use crate::render::schedule::told::{self, Act, Added, Became, Note};
use crate::render::schedule::{self, File, Header, Step};
use crate::render::terminal::Terminal;
use crate::wire;

mod planned;

use planned::{Planned, absolute, plan, user};
pub(super) use planned::{lacks, open_program, shut_to_owner};

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    verb: &ScheduleVerb,
    terminal: &mut Terminal,
) -> Result<Exit, Refusal> {
    match verb {
        ScheduleVerb::Add(arguments) => add(global, arguments, terminal),
        ScheduleVerb::Show(arguments) => show(global, arguments, terminal),
        ScheduleVerb::Remove(arguments) => remove(global, arguments, terminal),
    }
}

fn add(global: &Global, arguments: &Add, terminal: &mut Terminal) -> Result<Exit, Refusal> {
    let loaded = load::load(global)?;
    load::refuse_foreign_programs(&loaded.settings)?;
    let root = arguments.root.as_deref();
    let planned = plan(global, &loaded, &arguments.what, root)?;
    let Planned { kind, job } = &planned;
    if *kind == Kind::Cron && job.whose.is_user() {
        return Err(
            Refusal::new(Exit::Usage, "cron has no folder for files of users").hint(
                "`waxwing schedule show --kind cron --user` prints the line for `crontab -e`",
            ),
        );
    }
    let files = schedule::files(*kind, job, Header::Ours);
    let steps = match root {
        None => schedule::begin(*kind, job.start, &job.whose),
        Some(_) => Vec::new(),
    };
    let foreign = files.iter().find_map(|file| {
        let path = below(root, &file.path);
        let there = system::read(&path).ok().flatten()?;
        (!schedule::is_ours(&there)).then_some(path)
    });
    let other = files.iter().find_map(|file| {
        let path = below(root, &file.path);
        Some((of_another(*kind, &path, &job.config, root)?, path))
    });
    if let Some((other, path)) = other.filter(|_| !arguments.replace) {
        let what = format!(
            "{} starts the runs of another configuration, {}",
            path.display(),
            other.display()
        );
        let hint = format!(
            "`{} schedule remove` takes it away; --replace puts this one in its place, and nothing \
             starts the runs of the other one any more",
            with_config(&other)
        );
        return Err(Refusal::new(Exit::Usage, what).hint(hint));
    }
    if let Some(path) = foreign.filter(|_| !arguments.replace) {
        let what = format!(
            "{} is there, and `waxwing schedule add` has not written it",
            path.display()
        );
        return Err(
            Refusal::new(Exit::Usage, what).hint("look at it; --replace puts ours in its place")
        );
    }
    if arguments.dry_run {
        if terminal.json {
            let json = told::files_json(*kind, job.start, &files);
            terminal.print(&Document::new("schedule add", start::now(), json).to_text());
        } else {
            terminal.print(&told::files(&files));
            terminal.note(&told::would_run(&steps));
        }
        return Ok(Exit::Done);
    }
    if root.is_none() && (job.whose.is_user() || !loaded.state.exists()) {
        // What runs later can make no folder beside those that it may write to.
        wire::store(&loaded)?;
    }
    let mut missing = schedule::to_make(*kind, job);
    missing.retain(|folder| !below(root, folder).is_dir());
    // Of another user's folders nothing is known but that they are missing.
    if root.is_none() && job.whose == Whose::Machine {
        for folder in missing.drain(..) {
            system::make_folder(folder)?;
        }
    }
    let mut acts = Vec::new();
    for file in &files {
        acts.push(write(file, root).map_err(|error| not_written(error, &job.whose))?);
    }
    let ran = run_all(&steps, &mut acts);
    let mut notes = notes(&planned, root);
    let shut = root.is_none().then(|| shut_to_owner(&loaded)).flatten();
    notes.extend(shut.map(|(user, paths)| told::shut(&user, &paths)));
    let by_root = root.is_none() && job.whose == Whose::Machine;
    let open = by_root.then(|| permission::open_to_others(&job.program));
    let open = open.and_then(|open| open.ok().flatten());
    notes.extend(open.map(|open| told::changeable(&open, &job.program)));
    if let Some(root) = root {
        notes.extend(begin_below(root, &planned, &mut acts));
    }
    notes.extend(told::folders(&missing));
    let view = Added {
        kind: *kind,
        job,
        root,
        acts: &acts,
        notes: &notes,
    };
    let now = start::now();
    let text = if terminal.json {
        Document::new("schedule add", now, told::added_json(&view)).to_text()
    } else {
        told::added(&view, &terminal.context(now))
    };
    terminal.print(&text);
    Ok(if ran { Exit::Done } else { Exit::SomeFailed })
}

/// Has the machine whose root that is start the job, without asking it: by the link that it would make
/// itself. Where that cannot be done, what is left to do.
fn begin_below(root: &Path, planned: &Planned, acts: &mut Vec<Act>) -> Option<Note> {
    let Planned { kind, job } = planned;
    if let Some(link) = schedule::link(*kind, job.start, &job.whose) {
        let path = below(Some(root), &link.path);
        let cause = match system::link(&path, &link.target) {
            Ok(new) => {
                let became = if new {
                    Became::Written
                } else {
                    Became::Unchanged
                };
                acts.push(act(became, &path));
                return None;
            }
            Err(cause) => cause,
        };
        let unit = link.target.file_name().unwrap_or_default();
        let words = ["systemctl", "--root", &root.to_string_lossy(), "enable"].map(str::to_owned);
        let words = [&words[..], &[unit.to_string_lossy().into_owned()]].concat();
        return Some(Note {
            text: format!("nothing starts it there yet: {cause}"),
            hint: told::command(&words),
        });
    }
    // cron and launchd look at their folders when they start.
    if *kind != Kind::TaskScheduler {
        return None;
    }
    let steps = schedule::begin(*kind, job.start, &job.whose);
    let steps: Vec<String> = steps.iter().map(|step| told::command(&step.argv)).collect();
    Some(Note {
        text: "nothing starts it there yet".to_owned(),
        hint: format!("on that machine: {}", steps.join("; ")),
    })
}

fn show(global: &Global, arguments: &Show, terminal: &mut Terminal) -> Result<Exit, Refusal> {
    let loaded = load::load(global)?;
    let Planned { kind, job } = plan(global, &loaded, &arguments.what, None)?;
    let files = schedule::files(kind, &job, Header::Printed);
    let text = if terminal.json {
        let json = told::files_json(kind, job.start, &files);
        Document::new("schedule show", start::now(), json).to_text()
    } else {
        told::files(&files)
    };
    terminal.print(&text);
    let mut folders = schedule::to_make(kind, &job);
    folders.retain(|folder| !folder.is_dir());
    if let Some(note) = told::folders(&folders) {
        terminal.note(&note.line());
    }
    Ok(Exit::Done)
}

fn remove(global: &Global, arguments: &Remove, terminal: &mut Terminal) -> Result<Exit, Refusal> {
    let root = arguments.root.as_deref();
    let config = absolute(&global.config.clone().unwrap_or_else(usual_config))?;
    let whose = if arguments.user {
        user()?
    } else {
        Whose::Machine
    };
    let kinds = match arguments.kind {
        Some(name) => vec![name.kind()],
        None => Kind::ALL.to_vec(),
    };
    let mut acts = Vec::new();
    let mut good = true;
    for kind in kinds {
        if whose.is_user() && matches!(kind, Kind::Cron | Kind::TaskScheduler) {
            continue;
        }
        for start in [Start::Hourly(Moment::drawn(0)), Start::Daemon] {
            if start == Start::Daemon && !kind.keeps_daemons() {
                continue;
            }
            let one = Written {
                kind,
                start,
                whose: &whose,
                root,
            };
            good &= remove_one(one, &config, &mut acts)?;
        }
    }
    let now = start::now();
    let text = if terminal.json {
        Document::new("schedule remove", now, told::removed_json(&acts)).to_text()
    } else {
        told::removed(&acts, &terminal.context(now))
    };
    terminal.print(&text);
    let any = |became| acts.iter().any(|act: &Act| act.result == became);
    Ok(if !good {
        Exit::SomeFailed
    } else if any(Became::Left) && !any(Became::TakenAway) {
        Exit::Usage
    } else {
        Exit::Done
    })
}

/// What `add` may have written.
#[derive(Clone, Copy)]
struct Written<'a> {
    kind: Kind,
    start: Start,
    whose: &'a Whose,
    root: Option<&'a Path>,
}

/// Takes away what `add` has written for one start of that configuration. False if a command failed.
fn remove_one(
    Written {
        kind,
        start,
        whose,
        root,
    }: Written<'_>,
    config: &Path,
    acts: &mut Vec<Act>,
) -> Result<bool, Refusal> {
    let paths = schedule::paths(kind, start, whose);
    let paths: Vec<PathBuf> = paths.iter().map(|path| below(root, path)).collect();
    let left = |path: &Path, why: String| Act {
        causes: vec![why],
        ..act(Became::Left, path)
    };
    let mut others = paths.iter();
    let other = others.find_map(|path| of_another(kind, path, config, root));
    let mut ours = Vec::new();
    for path in paths {
        match (system::read(&path)?, &other) {
            (None, _) => {}
            (Some(text), _) if !schedule::is_ours(&text) => {
                let why = "`waxwing schedule add` has not written it";
                acts.push(left(&path, why.to_owned()));
            }
            (Some(_), Some(other)) => {
                let why = format!(
                    "it is for {}: `{} schedule remove` takes it away",
                    other.display(),
                    with_config(other)
                );
                acts.push(left(&path, why));
            }
            (Some(_), None) => ours.push(path),
        }
    }
    if ours.is_empty() {
        return Ok(true);
    }
    if let (Some(root), Some(link)) = (root, schedule::link(kind, start, whose)) {
        let path = below(Some(root), &link.path);
        if system::remove(&path)? {
            acts.push(act(Became::TakenAway, &path));
        }
    }
    let (before, behind) = match root {
        None => schedule::end(kind, start, whose),
        Some(_) => (Vec::new(), Vec::new()),
    };
    let stopped = run_all(&before, acts);
    for path in &ours {
        system::remove(path).map_err(|error| not_written(error, whose))?;
        acts.push(act(Became::TakenAway, path));
    }
    Ok(run_all(&behind, acts) && stopped)
}

/// The other configuration whose runs a file of ours starts; none if it is this one's, or the other one is
/// not there any more, so that nothing is lost with the file.
fn of_another(kind: Kind, path: &Path, config: &Path, root: Option<&Path>) -> Option<PathBuf> {
    let text = system::read(path).ok().flatten()?;
    let other = schedule::config(kind, &text).filter(|_| schedule::is_ours(&text))?;
    // What is on the machine of another root is not known here.
    let there = root.is_some() || other.exists();
    (there && !system::is_same_file(&other, config)).then_some(other)
}

/// The program with that configuration, as it is typed.
fn with_config(config: &Path) -> String {
    told::command(&["waxwing", "-c", &config.to_string_lossy()].map(str::to_owned))
}

/// The command that makes a timer for it.
pub(super) fn schedule_add(config: &Path) -> String {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    match config == usual_config() {
        true => "waxwing schedule add".to_owned(),
        false => format!("{} schedule add", with_config(&config)),
    }
}

/// The path below another root.
fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match (root, path.strip_prefix("/")) {
        (Some(root), Ok(relative)) => root.join(relative),
        _ => path.to_owned(),
    }
}

fn act(result: Became, path: &Path) -> Act {
    Act {
        result,
        what: path.display().to_string(),
        causes: Vec::new(),
    }
}

fn write(file: &File, root: Option<&Path>) -> Result<Act, StoreError> {
    let path = below(root, &file.path);
    if system::read(&path)?.is_some_and(|there| there == file.text) {
        return Ok(act(Became::Unchanged, &path));
    }
    system::write(&path, &file.text)?;
    Ok(act(Became::Written, &path))
}

/// Runs commands until one fails. False if one did.
fn run_all(steps: &[Step], acts: &mut Vec<Act>) -> bool {
    for step in steps {
        let what = told::command(&step.argv);
        match system::run(&step.argv) {
            Ok(()) => acts.push(Act {
                result: Became::Ran,
                what,
                causes: Vec::new(),
            }),
            Err(_) if step.may_fail => {}
            Err(causes) => {
                acts.push(Act {
                    result: Became::Failed,
                    what,
                    causes,
                });
                return false;
            }
        }
    }
    true
}

fn not_written(error: StoreError, whose: &Whose) -> Refusal {
    let hint = match whose {
        Whose::User { .. } => None,
        _ if cfg!(windows) => Some("run it as an administrator"),
        _ => Some("run it as root, or with --user for what this user may do"),
    };
    let refused = system::is_refusal(&error);
    let refusal = Refusal::from(error);
    match hint.filter(|_| refused) {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// How the program is called wherever it is started.
pub(super) const PROGRAM: &str = "waxwing";

/// Everything that starts the runs of this configuration by itself.
pub(super) fn starters(config: &Path, state: Option<&Path>) -> Vec<system::Starter> {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    system::starters(&system::Sought {
        program: PROGRAM,
        stays: "daemon",
        usual: config == usual_config(),
        state,
        config: &config,
    })
}

/// What is to be looked at once it is there.
fn notes(planned: &Planned, root: Option<&Path>) -> Vec<Note> {
    let Planned { kind, job } = planned;
    let mut notes = Vec::new();
    let mut note = |text: String, hint: String| notes.push(Note { text, hint });
    for name in &job.needs.environment {
        note(
            format!("env:{name} will not be there"),
            format!(
                "write the secret to a file that only its owner can read, and name it: file:{name}"
            ),
        );
    }
    if !job.needs.credentials.is_empty() {
        let names = job.needs.credentials.join(", ");
        match kind {
            Kind::Systemd => note(
                format!(
                    "systemd hands over the credentials {names}; without its file each is empty, and what needs it fails"
                ),
                match &job.whose {
                    Whose::User { config, .. } => {
                        format!(
                            "put each into {} (mode 0600)",
                            config.join("credstore").display()
                        )
                    }
                    _ => "put each into /etc/credstore (mode 0600)".to_owned(),
                },
            ),
            _ => note(
                format!("{kind} hands over no credentials, and the configuration names {names}"),
                "file:PATH for each of them".to_owned(),
            ),
        }
    }
    if let Some(command) = schedule::switch_log_on(*kind) {
        note(
            "the Event Log that has each run is switched off, unless somebody has switched it on"
                .to_owned(),
            command.to_owned(),
        );
    }
    if root.is_some() {
        return notes;
    }
    if job.whose.is_user() && *kind == Kind::Systemd {
        note(
            "it runs while this user is logged in".to_owned(),
            "`loginctl enable-linger` has it run without that, too".to_owned(),
        );
    }
    let paths = schedule::paths(*kind, job.start, &job.whose);
    for starter in starters(&job.config, None) {
        match starter {
            system::Starter::File(path) if !paths.contains(&path) => note(
                format!("{} starts it, too", path.display()),
                match installed_by(&path, &job.whose) {
                    Some(kind) => {
                        format!(
                            "`waxwing schedule remove --kind {kind}` before `schedule add` leaves this one only"
                        )
                    }
                    None => "take one of the two away; running both does no harm".to_owned(),
                },
            ),
            system::Starter::File(_) | system::Starter::Daemon(_) => {}
        }
    }
    notes
}

/// Which system a file of ours is for.
fn installed_by(path: &Path, whose: &Whose) -> Option<Kind> {
    let starts = [Start::Hourly(Moment::drawn(0)), Start::Daemon];
    let found = Kind::ALL.into_iter().find(|kind| {
        starts.iter().any(|start| {
            schedule::paths(*kind, *start, whose)
                .iter()
                .any(|one| one == path)
        })
    });
    let ours = system::read(path).ok().flatten();
    found.filter(|_| ours.is_some_and(|text| schedule::is_ours(&text)))
}
