//! What is to be started and by whom, as it follows from the configuration and from this machine.

use std::path::{Path, PathBuf};

use waxwing_core::settings::SecretRef;
use waxwing_core::timer::{self, Job, Kind, Moment, Start, Whose};
use waxwing_flow::ports::Entropy as _;
use waxwing_io::entropy::SystemEntropy;
use waxwing_io::permission;
use waxwing_io::timer::{self as system, units};

use super::below;
use crate::args::Global;
use crate::args::schedule::What;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::schedule;

/// What is to be started, and by whom.
pub(super) struct Planned {
    pub(super) kind: Kind,
    pub(super) job: Job,
}

/// Decides what is started and by whom.
pub(super) fn plan(
    global: &Global,
    loaded: &Loaded,
    what: &What,
    root: Option<&Path>,
) -> Result<Planned, Refusal> {
    // What this machine has says nothing of another one.
    let here = root.is_none().then(system::means);
    let (systemd, cron) = here.map_or((false, false), |here| (here.systemd, here.cron));
    let usual = timer::usual(std::env::consts::OS, systemd, cron);
    let kind = what.kind.map_or(usual, |name| name.kind());
    if what.daemon && !kind.keeps_daemons() {
        let text = format!("{kind} starts what ends, and the daemon stays");
        return Err(Refusal::new(Exit::Usage, text)
            .hint("leave --daemon out, or --kind systemd or --kind launchd"));
    }
    if what.user && kind == Kind::TaskScheduler {
        return Err(
            Refusal::new(Exit::Usage, "the task runs as SYSTEM, and not for a user")
                .hint("leave --user out"),
        );
    }
    let program = system::program().map_err(|cause| {
        Refusal::new(Exit::Bug, "failed to find out where this program is").cause(cause)
    })?;
    let state = absolute(&loaded.state)?;
    let whose = if what.user { user()? } else { machine(&state) };
    let config = absolute(&loaded.config)?;
    let start = if what.daemon {
        Start::Daemon
    } else {
        let installed = || installed_moment(kind, &whose, root);
        let moment = what.at.or_else(installed);
        // One image becomes many machines, so its minute is drawn; a machine has one of its own.
        Start::Hourly(moment.unwrap_or_else(|| {
            Moment::drawn(match root {
                Some(_) => SystemEntropy.number(),
                None => system::lot(&config),
            })
        }))
    };
    let secrets: Vec<(String, &SecretRef)> = load::secrets(&loaded.settings);
    let secrets: Vec<&SecretRef> = secrets.iter().map(|(_, reference)| *reference).collect();
    let job = Job {
        needs: timer::needs(&loaded.settings, &secrets, &state, &program),
        config,
        state_flag: global.state_dir.as_deref().map(absolute).transpose()?,
        program,
        start,
        whose,
    };
    if let Some(path) = unwritable(kind, &job) {
        let text = format!("no text for {kind} can hold the path {path:?}");
        return Err(Refusal::new(Exit::Usage, text)
            .hint("give it a name without quotes, backslashes and control characters"));
    }
    Ok(Planned { kind, job })
}

/// The first path that the texts of that system cannot hold. cron takes backslashes away in its own
/// way, and systemd starts no program with a quote in its path.
fn unwritable(kind: Kind, job: &Job) -> Option<&Path> {
    let has = |path: &Path, bad: &[char]| path.to_string_lossy().contains(bad);
    let all = [&job.program, &job.config];
    let mut all = all.into_iter().chain(&job.state_flag);
    let refused = match kind {
        Kind::Systemd => Some(&job.program).filter(|path| has(path, &['"', '\'', '\\'])),
        Kind::Cron => all.find(|path| has(path, &['\\'])),
        Kind::Launchd | Kind::TaskScheduler => None,
    };
    job.unwritable_path().or(refused.map(PathBuf::as_path))
}

/// Whoever owns the state folder runs it: root, if it is not there yet.
fn machine(state: &Path) -> Whose {
    match permission::owner(state) {
        Ok(Some(owner)) if !owner.is_root => Whose::MachineAs(owner.name),
        _ => Whose::Machine,
    }
}

pub(super) fn user() -> Result<Whose, Refusal> {
    let user = system::user().ok_or_else(|| {
        Refusal::new(Exit::Usage, "whose home this is cannot be known").hint("set HOME")
    })?;
    Ok(Whose::User {
        home: user.home,
        config: user.config,
        id: user.id,
    })
}

/// The moment of what is there already, so that adding it again does not move it.
fn installed_moment(kind: Kind, whose: &Whose, root: Option<&Path>) -> Option<Moment> {
    let start = Start::Hourly(Moment::drawn(0));
    let paths = schedule::paths(kind, start, whose);
    let texts = paths
        .iter()
        .filter_map(|path| system::read(&below(root, path)).ok().flatten());
    texts
        .filter_map(|text| schedule::moment(kind, &text))
        .next()
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, Refusal> {
    std::path::absolute(path).map_err(|cause| {
        Refusal::new(Exit::Usage, format!("{} names no file", path.display())).cause(cause)
    })
}

/// What the text of a unit of systemd lacks of what the configuration needs by now: lines that open folders and hand
/// over credentials. None of it if the file is not there or is something else.
pub(in crate::commands) fn lacks(loaded: &Loaded, unit: &Path) -> Vec<String> {
    let found = || {
        let mut text = system::read(unit).ok().flatten()?;
        // What `systemctl edit` has added counts.
        for more in system::added_to(unit) {
            text += &system::read(&more).ok().flatten().unwrap_or_default();
        }
        let state = absolute(&loaded.state).ok()?;
        let program = system::program().ok()?;
        let whose = match units::is_of_machine(unit) {
            true => machine(&state),
            false => user().ok()?,
        };
        let secrets: Vec<(String, &SecretRef)> = load::secrets(&loaded.settings);
        let secrets: Vec<&SecretRef> = secrets.iter().map(|(_, reference)| *reference).collect();
        let job = Job {
            needs: timer::needs(&loaded.settings, &secrets, &state, &program),
            config: absolute(&loaded.config).ok()?,
            state_flag: None,
            program,
            start: Start::Daemon,
            whose,
        };
        Some(schedule::lacks(&job, &text))
    };
    found().unwrap_or_default()
}

/// What lets others than root change a program that a file of the machine has root run; none if nothing does.
pub(in crate::commands) fn open_program(
    loaded: &Loaded,
    starter: &Path,
    program: &Path,
) -> Option<PathBuf> {
    let home = system::user().map(|user| user.home);
    let is_users = home.is_some_and(|home| starter.starts_with(home));
    let by_root = machine(&absolute(&loaded.state).ok()?) == Whose::Machine && !is_users;
    let open = || permission::open_to_others(program).ok().flatten();
    by_root.then(open).flatten()
}

/// Who runs what is started, if that is somebody else than root, and what of the configuration, of its secrets and of
/// the program that user may not read.
pub(in crate::commands) fn shut_to_owner(loaded: &Loaded) -> Option<(String, Vec<PathBuf>)> {
    let Whose::MachineAs(user) = machine(&absolute(&loaded.state).ok()?) else {
        return None;
    };
    let secrets = load::secrets(&loaded.settings).into_iter();
    let secrets = secrets.filter_map(|(_, reference)| match reference {
        SecretRef::File(path) => Some(path.clone()),
        SecretRef::Env(_) | SecretRef::Credential(_) | SecretRef::Command(_) => None,
    });
    let files = loaded.settings.files.iter().cloned().chain(secrets);
    let files = files.chain(system::program());
    let mut shut: Vec<PathBuf> = files
        .filter_map(|file| permission::shut_to(&absolute(&file).ok()?, &user))
        .collect();
    shut.sort();
    shut.dedup();
    (!shut.is_empty()).then_some((user, shut))
}
