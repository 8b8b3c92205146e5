//! Whether anything starts the runs by itself. A certificate that nobody renews ends.

use std::path::Path;

use waxwing_core::timer::Start;
use waxwing_io::timer::{self as system, Starter, units};

use crate::commands::schedule::starters;
use crate::commands::started::{self, Life, Unit};
use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::list;
use crate::render::schedule::told;

const TOPIC: &str = "schedule";

/// What starts the runs, or that nothing does.
pub(super) fn findings(loaded: &Loaded) -> Vec<Found> {
    let starters = starters(&loaded.config, Some(&loaded.state));
    let seen: Vec<Seen> = starters
        .iter()
        .map(|starter| Seen {
            said: said(starter),
            unit: match starter {
                Starter::File(path) => started::unit(path, &starters, &system::is_active),
                Starter::Daemon(_) => None,
            },
        })
        .collect();
    judge(&seen)
}

/// Something that starts the runs, or could.
#[derive(Debug, Clone)]
struct Seen {
    /// What it does, in words.
    said: String,
    /// What is known of it, if it is a unit of systemd. What is none starts them.
    unit: Option<Unit>,
}

/// What is to be said of them. What could start the runs and does not is an error where nothing else
/// does, because somebody relies on it.
fn judge(seen: &[Seen]) -> Vec<Found> {
    let life = |one: &Seen| one.unit.as_ref().map_or(Life::Starts, started::judge);
    let lives = |one: &&Seen| matches!(life(one), Life::Starts | Life::UntilRestart);
    let said: Vec<String> = seen
        .iter()
        .filter(lives)
        .map(|one| one.said.clone())
        .collect();
    let mut found = Vec::new();
    if seen.is_empty() {
        let text = "nothing on this machine starts the runs by itself";
        let hint = "waxwing schedule add";
        return vec![Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned()))];
    }
    if !said.is_empty() {
        found.push(Found::new(Verdict::Ok, TOPIC, list(&said, 3)));
    }
    let others = seen
        .iter()
        .filter_map(|one| Some((one.unit.as_ref()?, life(one))));
    for (unit, life) in others {
        let Some((what, hint)) = trouble(unit, life) else {
            continue;
        };
        let verdict = match (said.is_empty(), life) {
            (true, _) => Verdict::Error,
            // One of two ways that nobody has switched on is no trouble.
            (false, Life::Written) => continue,
            (false, _) => Verdict::Warn,
        };
        let text = format!("{} {what}", unit.path.display());
        found.push(Found::new(verdict, TOPIC, text).hint(Some(hint)));
    }
    found
}

/// What is wrong with a unit, and what to do; none if it starts the runs.
fn trouble(unit: &Unit, life: Life) -> Option<(&'static str, String)> {
    let name = unit.path.file_name()?.to_string_lossy().into_owned();
    let user = match units::is_of_machine(&unit.path) {
        true => "",
        false => " --user",
    };
    let systemctl = |words: &str| format!("systemctl{user} {words} {name}");
    Some(match life {
        Life::Starts => return None,
        Life::UntilRestart => (
            "works now, and nothing starts it when the machine starts again",
            systemctl("enable"),
        ),
        Life::AfterRestart => (
            "is enabled, and does not work before the machine starts again",
            systemctl("start"),
        ),
        Life::Ended => (
            "is enabled, but no `waxwing daemon` of this configuration runs",
            format!(
                "`{}` says why it ended; {}",
                systemctl("status"),
                systemctl("restart")
            ),
        ),
        Life::Written => (
            "is there, but not enabled: it starts nothing",
            systemctl("enable --now"),
        ),
    })
}

/// One of them in words.
fn said(starter: &Starter) -> String {
    let path: &Path = match starter {
        Starter::Daemon(id) => return format!("`waxwing daemon` runs as process {id}"),
        Starter::File(path) => path,
    };
    match started::moment(path) {
        Some(moment) => format!("{} ({})", told::when(Start::Hourly(moment)), path.display()),
        None => format!("{} starts them", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn unit(name: &str, daemon: bool, enabled: bool) -> Seen {
        let path = PathBuf::from(format!("/etc/systemd/system/{name}"));
        Seen {
            said: format!("{name} starts them"),
            unit: Some(Unit {
                path,
                daemon,
                enabled,
                active: None,
                process: false,
            }),
        }
    }

    fn verdicts(seen: &[Seen]) -> Vec<(Verdict, String)> {
        let found = judge(seen).into_iter();
        found
            .map(|one| (one.verdict, one.hint.unwrap_or(one.text)))
            .collect()
    }

    #[test]
    fn only_what_starts_the_runs_is_in_order() {
        let daemon = |enabled| unit("waxwing-daemon.service", true, enabled);
        let timer = |enabled| unit("waxwing.timer", false, enabled);
        let cron = Seen {
            said: "cron starts them".to_owned(),
            unit: None,
        };
        let error = |hint: &str| (Verdict::Error, hint.to_owned());
        let ok = |text: &str| (Verdict::Ok, text.to_owned());
        let ended = "`systemctl status waxwing-daemon.service` says why it ended; systemctl restart \
                     waxwing-daemon.service";
        let enable_daemon = "systemctl enable --now waxwing-daemon.service";
        let enable_timer = "systemctl enable --now waxwing.timer";
        assert_eq!(verdicts(&[])[0].0, Verdict::Warn);
        assert_eq!(verdicts(&[daemon(false)]), [error(enable_daemon)]);
        assert_eq!(
            verdicts(&[daemon(false), timer(false)]),
            [error(enable_daemon), error(enable_timer)]
        );
        assert_eq!(verdicts(&[daemon(true)]), [error(ended)]);
        assert_eq!(verdicts(&[timer(true)]), [ok("waxwing.timer starts them")]);
        assert_eq!(
            verdicts(&[daemon(false), timer(true)]),
            [ok("waxwing.timer starts them")]
        );
        assert_eq!(
            verdicts(&[daemon(true), cron.clone()]),
            [ok("cron starts them"), (Verdict::Warn, ended.to_owned())]
        );
        assert_eq!(verdicts(&[daemon(false), cron]), [ok("cron starts them")]);
    }
}
