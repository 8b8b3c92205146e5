//! Whether anything starts the runs by itself. A certificate that nobody renews ends.

use std::path::Path;
use std::time::Duration;

use waxwing_core::name::CertificateName;
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::{Action, Asker, Item};
use waxwing_core::settings::CertificatesByName;
use waxwing_core::time::Timestamp;
use waxwing_core::timer::Start;
use waxwing_flow::ports::StoreError;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;
use waxwing_io::timer::{self as system, Starter, units};

use crate::commands::schedule::{lacks, open_program, schedule_add, shut_to_owner, starters};
use crate::commands::started::{self, Life, Trace, Unit};
use crate::load::Loaded;
use crate::render::check::{Found, Verdict};
use crate::render::page::{Context, count, list};
use crate::render::schedule::told;
use crate::render::status::SILENT;
use crate::survey::{self, Survey};

const TOPIC: &str = "schedule";

/// A run comes every day at least, and may take its time.
const PATIENCE: Duration = SILENT;

/// What was tried in vain is tried again within a day and a half, or somebody has asked to wait, which holds it.
const TRIED: Duration = Duration::from_secs(62 * 60 * 60);

/// What waits for a window waits for a week at most.
const IN_WINDOWS: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Who has runs started each week is late after this.
const WEEKLY: Duration = Duration::from_secs(8 * 24 * 60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many certificates are named.
const NAMED: usize = 3;

/// What starts the runs, or that nothing does, or that none comes all the same.
pub(super) fn findings(loaded: &Loaded, store: &FileStore, context: &Context) -> Vec<Found> {
    let now = context.now;
    let starters = starters(&loaded.config, Some(&loaded.state));
    let trace = Trace::of(store);
    // Where runs come, a unit that somebody has written may be for those of another configuration.
    let come = trace.lately(now).is_some() || by_daemon(&starters);
    let seen: Vec<Seen> = starters
        .iter()
        .map(|starter| Seen {
            said: said(starter),
            fruitless: match starter {
                Starter::File(path) => {
                    let foreign = started::moment(path).is_none();
                    let trace = if come && foreign {
                        Trace::Unknown
                    } else {
                        trace
                    };
                    started::fruitless(path, (store.root(), trace), context)
                }
                Starter::Daemon(_) => None,
            },
            unit: match starter {
                Starter::File(path) => started::unit(path, &starters, &system::is_active),
                Starter::Daemon(_) => None,
            },
            ours: match starter {
                Starter::File(path) => started::moment(path).is_some(),
                Starter::Daemon(_) => false,
            },
        })
        .collect();
    let came = trace.lately(now).map(|at| context.ago(at));
    let add = schedule_add(&loaded.config);
    let mut found = judge(&seen, came.as_deref(), &add);
    found.extend(
        starters
            .iter()
            .filter_map(|starter| changeable(loaded, starter)),
    );
    let shut = shut_to_owner(loaded).filter(|_| !seen.is_empty());
    found.extend(shut.map(|(user, paths)| {
        let note = told::shut(&user, &paths);
        Found::new(Verdict::Error, TOPIC, note.text).hint(Some(note.hint))
    }));
    if found.iter().any(|one| one.verdict == Verdict::Ok) {
        let survey = SqliteHistory::look(store.root()).and_then(|history| {
            let survey = survey::survey(loaded, store, &history, Asker::Timer, now)?;
            Ok(left_alone(loaded, &survey, now))
        });
        // What has just been started is no dead timer; what cannot be read is told elsewhere.
        let alive = trace.has_come(now);
        let left = survey.ok().filter(|_| !alive).unwrap_or_default();
        let nobody = nobody_came(&left, now);
        let silent = starters
            .iter()
            .find_map(|starter| silent(starter, loaded, trace, now));
        // What is due and left alone says it better.
        found.extend(nobody.or(silent.filter(|_| !by_daemon(&starters))));
        for one in &seen {
            let Some(unit) = one.unit.as_ref().filter(|unit| unit.enabled) else {
                continue;
            };
            // What it starts is in the service, whoever starts that.
            let service = unit.path.with_extension("service");
            found.extend(older(&service, &lacks(loaded, &service), &add));
            let last = one.last_start().filter(|_| is_hourly(&unit.path));
            found.extend(last.and_then(|last| has_stopped(&unit.path, last, now)));
        }
    }
    found
}

/// That others can change the program that root runs there.
fn changeable(loaded: &Loaded, starter: &Starter) -> Option<Found> {
    let Starter::File(path) = starter else {
        return None;
    };
    let program = started::program_of(path)?;
    let note = told::changeable(&open_program(loaded, path, &program)?, &program);
    Some(Found::new(Verdict::Warn, TOPIC, note.text).hint(Some(note.hint)))
}

/// What is due, waits for nothing, and is not tried: since when.
fn left_alone(
    loaded: &Loaded,
    survey: &Survey,
    now: Timestamp,
) -> Vec<(CertificateName, Timestamp)> {
    let configured = CertificatesByName::new(&loaded.settings.certificates);
    let since = |item: &Item| {
        let past = survey.pasts.get(&item.name);
        let failed = past.and_then(|past| past.failed.last());
        let entry = survey.inventory.get(&item.name);
        let last = entry.and_then(|entry| entry.last.as_ref());
        let tried = failed.map(|failed| failed.at).max(last.map(|last| last.at));
        let calendar = configured.get(&item.name).map(|one| one.calendar.as_ref());
        let always = calendar.is_none_or(|it| it.windows.is_empty() && it.blackout.is_empty());
        let since = is_left_alone(item, tried, always, now)?;
        Some((item.name.clone(), since))
    };
    survey.plan.items.iter().filter_map(since).collect()
}

/// Since when nobody has come to one that was tried last at `tried`, and may be renewed `always` or in windows.
fn is_left_alone(
    item: &Item,
    tried: Option<Timestamp>,
    always: bool,
    now: Timestamp,
) -> Option<Timestamp> {
    let waits = !matches!(item.hold, None | Some(Hold::Window { .. }));
    let due = matches!(item.action, Action::Renew { .. }) && !waits;
    let at = item.moment.filter(|_| due)?.at;
    let tried = tried.filter(|tried| *tried >= at);
    let patience = match tried {
        _ if !always && !item.is_urgent() => IN_WINDOWS,
        Some(_) => TRIED,
        None => PATIENCE,
    };
    let since = tried.unwrap_or(at);
    (since + patience < now).then_some(since)
}

/// That a unit is older than what the configuration needs.
fn older(unit: &Path, lacking: &[String], add: &str) -> Option<Found> {
    let text = format!(
        "{} is older than the configuration: to what it starts it does not give {}",
        unit.display(),
        list(lacking, NAMED)
    );
    let hint = format!("`{add}` writes it anew; `schedule show` in its place prints it");
    (!lacking.is_empty()).then(|| Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)))
}

/// True if that timer elapses every hour; one that somebody has written may take its time.
fn is_hourly(timer: &Path) -> bool {
    let text = system::read(timer).ok().flatten().unwrap_or_default();
    let mut lines = text.lines();
    started::moment(timer).is_some() || lines.any(|line| line.trim() == "OnCalendar=hourly")
}

/// That a timer of every hour has started nothing for a day, by the system's own word.
fn has_stopped(service: &Path, last: Timestamp, now: Timestamp) -> Option<Found> {
    let days = now.since(last).as_secs() / DAY.as_secs();
    let days = usize::try_from(days).ok().filter(|days| *days > 0)?;
    let text = format!(
        "the timer of {} has started it last {} ago",
        service.display(),
        count(days, "day")
    );
    let timer = service.with_extension("timer");
    let timer = timer.file_name()?.to_string_lossy();
    let hint = format!("if this machine was on: `systemctl status {timer}` says why");
    Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint)))
}

fn by_daemon(starters: &[Starter]) -> bool {
    let mut all = starters.iter();
    all.any(|one| matches!(one, Starter::Daemon(_)))
}

/// That no run came by itself for a day where one is started every hour, or for more than a week where it is not known when.
/// What systemd has started last it says itself.
fn silent(starter: &Starter, loaded: &Loaded, trace: Trace, now: Timestamp) -> Option<Found> {
    let (Starter::File(path), Trace::Last { any, .. }) = (starter, trace) else {
        return None;
    };
    // Of these the system's own word is said.
    if system::last_start(path).is_some() && is_hourly(&path.with_extension("timer")) {
        return None;
    }
    // Where it, the program or the configuration is new, or the state was put back, there was no time for any.
    let program = started::program_of(path).or_else(|| system::program().ok());
    let state = loaded.state.join(FileStore::LAST_BY_ITSELF);
    let new = [
        Some(path.clone()),
        program,
        Some(loaded.config.clone()),
        Some(state),
    ];
    let new = new.into_iter().flatten();
    let new = new.filter_map(|path| system::placed(&path)).max();
    let hourly = started::moment(path).is_some();
    // A line of somebody's own may ask for each certificate by its name.
    let any = any.filter(|_| !hourly);
    let last = trace.last_by_itself().max(any);
    let text = silence(path, hourly, (last, new), now)?;
    let hint = "if this machine was on: look whether cron runs and what its log says; `waxwing renew` makes up for it";
    Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned())))
}

/// The words for it, where the last one came at `last` and something there is as `new` as that.
fn silence(
    starter: &Path,
    hourly: bool,
    (last, new): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Option<String> {
    let patience = if hourly { PATIENCE } else { WEEKLY };
    let since = last.max(new)?;
    if now.since(since) < patience {
        return None;
    }
    let often = if hourly {
        "a run every hour"
    } else {
        "the runs"
    };
    let days = |since| usize::try_from(now.since(since).as_secs() / DAY.as_secs()).ok();
    let none = match last {
        Some(last) => format!("none came by itself for {}", count(days(last)?, "day")),
        None => "none has come by itself yet".to_owned(),
    };
    Some(format!(
        "{} is to start {often}, and {none}",
        starter.display()
    ))
}

/// What there is to be said of them.
fn nobody_came(left: &[(CertificateName, Timestamp)], now: Timestamp) -> Option<Found> {
    let first = left.iter().map(|(_, at)| *at).min()?;
    let names: Vec<String> = left.iter().map(|(name, _)| name.to_string()).collect();
    let days = now.since(first).as_secs() / DAY.as_secs();
    let since = format!(
        "for {}",
        count(usize::try_from(days).unwrap_or(usize::MAX), "day")
    );
    let text = format!(
        "{} could have been tried {since}, and no run has done so",
        list(&names, NAMED)
    );
    let hint = "if this machine was on and the configuration has not just changed, nothing starts the runs: look \
                whether cron or the timer works, and at its log; `waxwing renew` makes up for it";
    Some(Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint.to_owned())))
}

/// Something that starts the runs, or could.
#[derive(Debug, Clone)]
struct Seen {
    /// What it does, in words.
    said: String,
    /// Why nothing comes of that, if it is known.
    fruitless: Option<StoreError>,
    /// What is known of it, if it is a unit of systemd. What is none starts them.
    unit: Option<Unit>,
    /// True if it is as we write such files: then nothing else is meant to start them.
    ours: bool,
}

impl Seen {
    /// When its timer has started it last, by the system's own word.
    fn last_start(&self) -> Option<Timestamp> {
        let unit = self.unit.as_ref();
        let unit = unit.filter(|unit| unit.enabled && !unit.daemon)?;
        system::last_start(&unit.path)
    }
}

/// What is to be said of them. What could start the runs and does not is an error where nothing else
/// does, because somebody relies on it. Of runs that came by themselves it is known that something starts them: `came` says
/// when the last one did, if that was lately. `add` is the command that makes a timer.
fn judge(seen: &[Seen], came: Option<&str>, add: &str) -> Vec<Found> {
    let life = |one: &Seen| one.unit.as_ref().map_or(Life::Starts, started::judge);
    let lives = |one: &&Seen| matches!(life(one), Life::Starts | Life::UntilRestart);
    let said: Vec<String> = seen
        .iter()
        .filter(|one| lives(one) && one.fruitless.is_none())
        .map(|one| one.said.clone())
        .collect();
    let mut found = Vec::new();
    // A service that somebody has written may be started by what is not seen.
    let may_be_started = |one: &Seen| !one.ours && matches!(life(one), Life::Written | Life::Once);
    if let Some(came) = came.filter(|_| seen.iter().all(may_be_started)) {
        let text = format!("a run came by itself {came}; what starts them is not seen");
        return vec![Found::new(Verdict::Ok, TOPIC, text)];
    }
    if seen.is_empty() {
        let text = "nothing on this machine starts the runs by itself";
        return vec![Found::new(Verdict::Warn, TOPIC, text).hint(Some(add.to_owned()))];
    }
    if !said.is_empty() {
        found.push(Found::new(Verdict::Ok, TOPIC, list(&said, 3)));
    }
    // Somebody relies on each of them.
    let fruitless = seen
        .iter()
        .filter(lives)
        .filter_map(|one| one.fruitless.as_ref());
    found.extend(fruitless.map(|error| {
        let found = Found::new(Verdict::Error, TOPIC, error.to_string());
        found.hint(error.hint.clone())
    }));
    let others = seen
        .iter()
        .filter_map(|one| Some((one.unit.as_ref()?, life(one))));
    for (unit, life) in others {
        let Some((what, hint)) = trouble(unit, life, add) else {
            continue;
        };
        let verdict = match (said.is_empty(), life) {
            (true, _) => Verdict::Error,
            // One of two ways that nobody has switched on is no trouble.
            (false, Life::Written | Life::Once) => continue,
            (false, _) => Verdict::Warn,
        };
        let text = format!("{} {what}", unit.path.display());
        found.push(Found::new(verdict, TOPIC, text).hint(Some(hint)));
    }
    found
}

/// What is wrong with a unit, and what to do; none if it starts the runs.
fn trouble(unit: &Unit, life: Life, add: &str) -> Option<(&'static str, String)> {
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
        Life::Once => (
            "starts a run with the machine at most: it has no timer",
            add.to_owned(),
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

    use waxwing_core::due::{Because, Due, Urgency};
    use waxwing_core::name::CaName;
    use waxwing_core::schedule::{Moment, Placed};

    use super::*;

    fn unit(name: &str, daemon: bool, enabled: bool) -> Seen {
        let path = PathBuf::from(format!("/etc/systemd/system/{name}"));
        Seen {
            said: format!("{name} starts them"),
            fruitless: None,
            unit: Some(Unit {
                path,
                daemon,
                once: false,
                enabled,
                active: None,
                process: false,
            }),
            ours: false,
        }
    }

    fn verdicts(seen: &[Seen]) -> Vec<(Verdict, String)> {
        let found = judge(seen, None, "waxwing schedule add").into_iter();
        found
            .map(|one| (one.verdict, one.hint.unwrap_or(one.text)))
            .collect()
    }

    #[test]
    fn what_is_due_and_left_alone_has_no_timer() {
        let now = Timestamp::from_unix(1_795_000_000);
        let hour = Duration::from_secs(60 * 60);
        let item = |hours: u32, held| Item {
            name: CertificateName::parse("shop").expect("a literal name"),
            action: Action::Renew {
                due: Due {
                    at: now - hour * hours,
                    because: Because::DaysAfterIssue(55),
                    safe_until: now + hour * 600,
                    warning: None,
                },
                urgency: Urgency::Due,
                not_after: now + hour * 900,
            },
            ca: None,
            moment: Some(Moment {
                at: now - hour * hours,
                placed: Placed::Spread,
            }),
            hold: held,
            install: Vec::new(),
            notes: Vec::new(),
        };
        let window = || Some(Hold::Window { until: now + hour });
        let asked = Some(Hold::Asked {
            until: now + hour,
            ca: CaName::parse("first").expect("a literal name"),
        });
        for (item, tried, always, want) in [
            (item(50, None), None, true, Some(50)),
            (item(20, None), None, true, None),
            // Tried, and then nobody came any more.
            (item(50, None), Some(40), true, None),
            (item(90, None), Some(70), true, Some(70)),
            (item(50, None), Some(90), true, Some(50)),
            (item(90, asked), Some(70), true, None),
            // In windows.
            (item(50, window()), None, false, None),
            (item(50, None), None, false, None),
            (item(200, window()), None, false, Some(200)),
        ] {
            let tried = tried.map(|hours| now - hour * hours);
            let found = is_left_alone(&item, tried, always, now);
            assert_eq!(found, want.map(|hours| now - hour * hours), "{item:?}");
        }
        let shop = CertificateName::parse("shop").expect("a literal name");
        let found = nobody_came(&[(shop, now - hour * 50)], now).map(|found| found.text);
        let text = "shop could have been tried for 2 days, and no run has done so";
        assert_eq!(found.as_deref(), Some(text));
        let stopped =
            |hours| has_stopped(Path::new("/etc/waxwing.service"), now - hour * hours, now);
        assert!(stopped(20).is_none());
        let text = "the timer of /etc/waxwing.service has started it last 1 day ago";
        assert_eq!(stopped(25).map(|found| found.text).as_deref(), Some(text));
    }

    #[test]
    fn who_starts_none_for_longer_than_he_takes_is_silent() {
        let now = Timestamp::from_unix(1_795_000_000);
        let hour = Duration::from_secs(60 * 60);
        let ago = |hours: Option<u32>| hours.map(|hours| now - hour * hours);
        let hourly =
            "/etc/cron.d/w is to start a run every hour, and none came by itself for 2 days";
        let weekly = "/etc/cron.d/w is to start the runs, and none came by itself for 9 days";
        let never = "/etc/cron.d/w is to start a run every hour, and none has come by itself yet";
        for (every_hour, last, new, want) in [
            (true, Some(20), Some(900), None),
            (true, Some(50), Some(900), Some(hourly)),
            // It, the program or the configuration is new.
            (true, Some(50), Some(20), None),
            (true, None, Some(20), None),
            (true, None, Some(30), Some(never)),
            // Nobody knows since when.
            (true, None, None, None),
            // It may be one of each week.
            (false, Some(170), Some(900), None),
            (false, Some(220), Some(900), Some(weekly)),
        ] {
            let found = silence(
                Path::new("/etc/cron.d/w"),
                every_hour,
                (ago(last), ago(new)),
                now,
            );
            assert_eq!(found.as_deref(), want, "{last:?} {new:?}");
        }
    }

    #[test]
    fn only_what_starts_the_runs_is_in_order() {
        let daemon = |enabled| unit("waxwing-daemon.service", true, enabled);
        let timer = |enabled| unit("waxwing.timer", false, enabled);
        let cron = Seen {
            fruitless: None,
            said: "cron starts them".to_owned(),
            unit: None,
            ours: true,
        };
        let error = |hint: &str| (Verdict::Error, hint.to_owned());
        let ok = |text: &str| (Verdict::Ok, text.to_owned());
        let ended = "`systemctl status waxwing-daemon.service` says why it ended; systemctl restart \
                     waxwing-daemon.service";
        let enable_daemon = "systemctl enable --now waxwing-daemon.service";
        let enable_timer = "systemctl enable --now waxwing.timer";
        assert_eq!(verdicts(&[])[0].0, Verdict::Warn);
        let came = |seen: &[Seen]| {
            let found = judge(seen, Some("12 min ago"), "waxwing schedule add");
            found.into_iter().map(|one| one.text).collect::<Vec<_>>()
        };
        let unseen = ["a run came by itself 12 min ago; what starts them is not seen"];
        assert_eq!(came(&[]), unseen);
        // One that nobody has enabled may be started by a line elsewhere; ours by nothing.
        assert_eq!(came(&[timer(false)]), unseen);
        let ours = Seen {
            ours: true,
            ..timer(false)
        };
        let off = "/etc/systemd/system/waxwing.timer is there, but not enabled: it starts nothing";
        assert_eq!(came(&[ours]), [off]);
        assert_eq!(came(std::slice::from_ref(&cron)), ["cron starts them"]);
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
