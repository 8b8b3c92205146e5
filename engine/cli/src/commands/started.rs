//! What starts the runs by itself, as it can be told: when, and when it did so last.
//!
//! A unit of systemd that is written starts nothing by that, and a daemon that was started may have
//! ended since.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use waxwing_core::name::CertificateName;
use waxwing_core::plan::Asker;
use waxwing_core::time::Timestamp;
use waxwing_core::timer::{Kind, Moment};
use waxwing_flow::ports::{StoreError, StoreErrorKind};
use waxwing_io::permission;
use waxwing_io::store::{ByItself, FileStore};
use waxwing_io::timer::{self as system, Starter, units};

use super::check::unwritable;
use super::schedule::{PROGRAM, starters};
use crate::load::Loaded;
use crate::render::page::Context;
use crate::render::schedule;
use crate::render::status::{SILENT, Started, When};

/// Everything that starts the runs of this configuration. What only could start them is not among it. Runs that come by
/// themselves have something that starts them, whether it is found or not.
pub(super) fn seen(loaded: &Loaded, trace: Trace, now: Timestamp) -> Vec<Started> {
    let last = trace.last_by_itself().or(trace.at());
    let all = starters(&loaded.config, Some(&loaded.state));
    let files = all.iter().filter_map(|starter| {
        let Starter::File(path) = starter else {
            return None;
        };
        let life = unit(path, &all, &|_| None).map_or(Life::Starts, |unit| judge(&unit));
        matches!(life, Life::Starts | Life::UntilRestart).then(|| Started {
            when: moment(path).map_or(When::Unknown, When::Hourly),
            // That it was started says nothing of a run.
            last,
            place: Some(path.clone()),
        })
    });
    let daemons = all.iter().filter(|one| matches!(one, Starter::Daemon(_)));
    let daemons = daemons.map(|_| Started {
        when: When::Always,
        place: None,
        last: None,
    });
    let mut seen: Vec<Started> = files.chain(daemons).collect();
    if seen.is_empty() {
        seen.extend(trace.lately(now).map(|at| Started {
            when: When::Unknown,
            place: None,
            last: Some(at),
        }));
    }
    seen
}

/// Who wants a run of these certificates, or of all, as far as that tells whether runs come by themselves: a line of cron may
/// ask as a person does.
pub(super) fn who(asker: Asker, names: &[CertificateName]) -> Asker {
    let typed = !names.is_empty() || std::io::stdin().is_terminal();
    match asker {
        Asker::Person if !typed => Asker::Timer,
        asker => asker,
    }
}

/// Between a start and the trace of its run may lie so much.
const GRACE: Duration = Duration::from_secs(2 * 60 * 60);

/// What is known of when a run was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nothing can be known: a run could not write it down either.
    Unknown,
    /// Then; none if there was none since runs write it down.
    Last {
        /// Any of them.
        any: Option<Timestamp>,
        /// Those that nobody has typed.
        by_itself: Option<ByItself>,
    },
}

impl Trace {
    /// That of a state folder.
    pub(super) fn of(store: &FileStore) -> Self {
        match unwritable(store) {
            Some(_) => Self::Unknown,
            None => Self::Last {
                any: store.last_run(),
                by_itself: store.by_itself(),
            },
        }
    }

    /// When that was, if it is known.
    pub(super) const fn at(self) -> Option<Timestamp> {
        match self {
            Self::Unknown => None,
            Self::Last { any, .. } => any,
        }
    }

    /// When the last one came by itself, if that is known.
    pub(super) fn last_by_itself(self) -> Option<Timestamp> {
        match self {
            Self::Unknown => None,
            Self::Last { by_itself, .. } => by_itself.map(|it| it.last),
        }
    }

    /// What is known of runs that came by themselves, if the last one did lately.
    fn fresh(self, now: Timestamp) -> Option<ByItself> {
        let Self::Last { by_itself, .. } = self else {
            return None;
        };
        let is_fresh = |it: &ByItself| !it.last.is_ahead_of(now) && now.since(it.last) < SILENT;
        by_itself.filter(is_fresh)
    }

    /// True if one came by itself lately, be it the only one.
    pub(super) fn has_come(self, now: Timestamp) -> bool {
        self.fresh(now).is_some()
    }

    /// When one came by itself, if they come at least daily and the next one may come likewise. That of a unit which
    /// somebody has tried is the only one.
    pub(super) fn lately(self, now: Timestamp) -> Option<Timestamp> {
        let it = self.fresh(now)?;
        let often = |before: Timestamp| it.last.since(before) < SILENT;
        let proved = it.by_daemon || it.before.is_some_and(often);
        (it.goes_on && proved).then_some(it.last)
    }
}

/// The program of a starter, as far as that is sure.
pub(super) fn program_of(starter: &Path) -> Option<PathBuf> {
    system::program_in(starter, PROGRAM, &schedule::is_made_here)
}

/// Why nothing comes of what a timer starts; none if something does, as far as that can be seen.
pub(super) fn fruitless(
    starter: &Path,
    (state, trace): (&Path, Trace),
    context: &Context,
) -> Option<StoreError> {
    let trouble = |act, path, cause, hint| StoreError {
        kind: StoreErrorKind::Io,
        act,
        path,
        causes: vec![cause],
        hint: Some(hint),
    };
    let program = program_of(starter);
    if let Some(program) = program.clone() {
        let why = match program.try_exists() {
            Ok(false) => Some("it is not there"),
            _ if !permission::may_be_run(&program) => Some("it may not be executed"),
            _ => None,
        };
        if let Some(why) = why {
            let cause = format!("{why}, and {} starts it", starter.display());
            let hint = "put it back, or `waxwing schedule add` with the one that is to run";
            return Some(trouble("start", program, cause, hint.to_owned()));
        }
    }
    let started = system::last_start(starter)?;
    let Trace::Last { any: last, .. } = trace else {
        return None;
    };
    // A timer that is new, a program that is, or a state that was put back had no run yet, and that is no wonder.
    let timer = starter.with_extension("timer");
    let new = [Some(timer), program, Some(state.join(FileStore::LAST_RUN))];
    let new = new.into_iter().flatten();
    let new = new.filter_map(|path| system::placed(&path)).max();
    if last
        .max(new)
        .is_none_or(|since| started.since(since) < GRACE)
    {
        return None;
    }
    let name = starter.file_name()?.to_string_lossy().into_owned();
    let user = match units::is_of_machine(starter) {
        true => "",
        false => " --user",
    };
    let last = match last {
        Some(last) => format!("the last run that was here came {}", context.ago(last)),
        None => "no run was ever here".to_owned(),
    };
    let cause = format!(
        "its timer has started it {}, and {last}",
        context.ago(started)
    );
    let hint = format!(
        "`systemctl{user} status {name}` and `journalctl{user} -u {name}` say why it ends before it works"
    );
    Some(trouble("see a run of", starter.to_owned(), cause, hint))
}

/// Why no run comes although one is started, if nothing else starts them either.
pub(super) fn no_run_comes(loaded: &Loaded, trace: Trace, context: &Context) -> Option<StoreError> {
    let all = starters(&loaded.config, Some(&loaded.state));
    let mut why = None;
    for starter in &all {
        let Starter::File(path) = starter else {
            return None;
        };
        let life = unit(path, &all, &|_| None).map_or(Life::Starts, |unit| judge(&unit));
        if !matches!(life, Life::Starts | Life::UntilRestart) {
            continue;
        }
        why = Some(fruitless(path, (&loaded.state, trace), context)?);
    }
    why
}

/// The minute that stands in a file, or in the timer beside a service.
pub(super) fn moment(path: &Path) -> Option<Moment> {
    let timer = path.with_extension("timer");
    let text = |path: &Path| system::read(path).ok().flatten().unwrap_or_default();
    Kind::ALL.into_iter().find_map(|kind| {
        let file = if kind == Kind::Systemd { &timer } else { path };
        schedule::moment(kind, &text(file))
    })
}

/// A service of systemd that starts the runs, if it is started itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// What has to be enabled: the service, or the timer beside it.
    pub(super) path: PathBuf,
    /// True if the service keeps `waxwing daemon` running.
    pub(super) daemon: bool,
    /// True if no timer starts a service that ends: it comes with the machine, at the most.
    pub(super) once: bool,
    /// True if systemd starts it by itself.
    pub(super) enabled: bool,
    /// Whether systemd has started it; none: it was not asked, or does not run here.
    pub(super) active: Option<bool>,
    /// True if a process of the daemon is seen.
    pub(super) process: bool,
}

/// How a unit stands to the runs that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It starts them.
    Starts,
    /// It does until the machine starts again.
    UntilRestart,
    /// It will, once the machine starts again.
    AfterRestart,
    /// It was to keep a daemon running, and there is none.
    Ended,
    /// Nothing starts it.
    Written,
    /// Nothing starts it again.
    Once,
}

/// Judges a unit by what is known of it.
pub(super) const fn judge(unit: &Unit) -> Life {
    if unit.once {
        return Life::Once;
    }
    let runs = match (unit.daemon, unit.active) {
        (true, active) => unit.process || matches!(active, Some(true)),
        // What is enabled was started with the machine, as far as nobody says otherwise.
        (false, Some(active)) => active,
        (false, None) => unit.enabled,
    };
    match (unit.enabled, runs) {
        (true, true) => Life::Starts,
        (false, true) => Life::UntilRestart,
        (true, false) if unit.daemon => Life::Ended,
        (true, false) => Life::AfterRestart,
        (false, false) => Life::Written,
    }
}

/// What is known of a service that is among `all` that starts the runs; none for files of others than
/// systemd. `active` asks systemd.
pub(super) fn unit(
    service: &Path,
    all: &[Starter],
    active: &dyn Fn(&Path) -> Option<bool>,
) -> Option<Unit> {
    if service.extension().is_none_or(|kind| kind != "service") {
        return None;
    }
    let timer = service.with_extension("timer");
    let path = if timer.exists() {
        timer
    } else {
        service.to_owned()
    };
    let text = system::read(service).ok().flatten().unwrap_or_default();
    let text = text.replace("\\\n", " ");
    let mut commands = text.lines().filter_map(|line| {
        let command = line.trim_start().strip_prefix("ExecStart")?;
        command.trim_start().strip_prefix('=')
    });
    let stays = |line: &str| {
        let mut words = line.split([' ', '"', '\'']);
        words.any(|word| word == "daemon")
    };
    let config = system::user().map(|user| user.config);
    let daemon = commands.any(stays);
    let link = units::link_to(service, config.as_deref());
    let by_timer = |link: &PathBuf| link.extension().is_some_and(|kind| kind == "timer");
    let timed = path != service || link.as_ref().is_some_and(by_timer);
    Some(Unit {
        daemon,
        once: !daemon && !timed,
        enabled: link.is_some(),
        active: active(&path),
        process: all.iter().any(|one| matches!(one, Starter::Daemon(_))),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_starts_nothing_and_a_daemon_may_have_ended() {
        let (yes, no) = (Some(true), Some(false));
        // Daemon or timer, enabled, what systemd says, a process.
        for (daemon, enabled, active, process, life) in [
            (false, false, None, false, Life::Written),
            (false, false, no, false, Life::Written),
            (false, false, yes, false, Life::UntilRestart),
            (false, true, None, false, Life::Starts),
            (false, true, yes, false, Life::Starts),
            (false, true, no, false, Life::AfterRestart),
            // A daemon beside it is another matter.
            (false, false, None, true, Life::Written),
            (true, false, None, false, Life::Written),
            (true, false, None, true, Life::UntilRestart),
            (true, true, None, true, Life::Starts),
            (true, true, yes, false, Life::Starts),
            (true, true, None, false, Life::Ended),
            (true, true, no, false, Life::Ended),
        ] {
            let unit = Unit {
                path: PathBuf::from("/etc/systemd/system/waxwing.service"),
                daemon,
                once: false,
                enabled,
                active,
                process,
            };
            assert_eq!(judge(&unit), life, "{unit:?}");
            let alone = Unit { once: true, ..unit };
            assert_eq!(judge(&alone), Life::Once, "{alone:?}");
        }
    }
}
