//! What starts Waxwing by itself: an hourly run, or the daemon at the start of the machine.
//!
//! Here is decided when it runs and what it may touch; the texts that a system reads are made from
//! that elsewhere. What a newcomer gets wrong: a sandbox that knows the folders of certificates only
//! stops the programs that a grant names, because `nginx -t` writes a log and a pid file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::notify::Way;
use crate::settings::{SecretRef, Settings};

/// What the system has to start programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Units of systemd.
    Systemd,
    /// A file for cron.
    Cron,
    /// A property list for launchd (macOS).
    Launchd,
    /// A task of the Windows Task Scheduler.
    TaskScheduler,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Systemd,
        Self::Cron,
        Self::Launchd,
        Self::TaskScheduler,
    ];

    /// As it is written on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Cron => "cron",
            Self::Launchd => "launchd",
            Self::TaskScheduler => "task-scheduler",
        }
    }

    /// True if it can keep a daemon running.
    pub const fn keeps_daemons(self) -> bool {
        matches!(self, Self::Systemd | Self::Launchd)
    }
}

/// What a machine usually has: `os` as [`std::env::consts::OS`] names it, and whether systemd runs it
/// and cron is there.
pub fn usual(os: &str, systemd: bool, cron: bool) -> Kind {
    match os {
        "windows" => Kind::TaskScheduler,
        "macos" => Kind::Launchd,
        _ if systemd => Kind::Systemd,
        _ if cron => Kind::Cron,
        "linux" => Kind::Systemd,
        _ => Kind::Cron,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When in each hour it runs.
///
/// Never in the first minute: that is when everybody else comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    minute: u8,
    second: u8,
}

impl Moment {
    /// One of 59 minutes and 60 seconds, by a number that was drawn.
    pub fn drawn(number: u64) -> Self {
        let of = |number: u64, many: u64| u8::try_from(number % many).unwrap_or(0);
        Self {
            minute: 1 + of(number, 59),
            second: of(number / 59, 60),
        }
    }

    /// From its parts; none if there is no such moment, or in the first minute.
    pub const fn new(minute: u8, second: u8) -> Option<Self> {
        if minute == 0 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self { minute, second })
    }

    /// Reads `37` or `37:12`.
    ///
    /// # Errors
    /// What is wrong, in words for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (minute, second) = text.split_once(':').unwrap_or((text, "0"));
        let number = |text: &str| match text.len() {
            1 | 2 if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u8>().ok(),
            _ => None,
        };
        let wrong = || format!("`{text}` is no minute from 1 to 59, as 37 or 37:12");
        match (number(minute), number(second)) {
            (Some(0), Some(0..=59)) => {
                Err("in the first minute of an hour everybody comes; take another one".to_owned())
            }
            (Some(minute), Some(second)) => Self::new(minute, second).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// From 1 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }

    /// From 0 to 59.
    pub const fn second(self) -> u8 {
        self.second
    }
}

/// `37:12`
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute, self.second)
    }
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// `renew`, once an hour.
    Hourly(Moment),
    /// `daemon`, for good.
    Daemon,
}

/// As whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of the machine, run by root.
    Machine,
    /// Of the machine, run by this user, who owns the state folder.
    MachineAs(String),
    /// Of the user who asks, in whose home it stands.
    User {
        /// The home.
        home: PathBuf,
        /// Where programs look for what the user has configured, usually `.config` there.
        config: PathBuf,
        /// The user's number, where the system has such.
        id: u32,
    },
}

impl Whose {
    /// True if it belongs to a user and not to the machine.
    pub const fn is_user(&self) -> bool {
        matches!(self, Self::User { .. })
    }
}

/// Something that starts Waxwing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program; absolute.
    pub program: PathBuf,
    /// The configuration; absolute.
    pub config: PathBuf,
    /// The state folder, if the command line names it and not the configuration; absolute.
    pub state_flag: Option<PathBuf>,
    /// What is started.
    pub start: Start,
    /// As whom.
    pub whose: Whose,
    /// What it has to be able to do.
    pub needs: Needs,
}

impl Job {
    /// The command line.
    pub fn argv(&self) -> Vec<String> {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv = vec![
            shown(&self.program),
            "--config".to_owned(),
            shown(&self.config),
        ];
        if let Some(state) = &self.state_flag {
            argv.extend(["--state-dir".to_owned(), shown(state)]);
        }
        argv.push(
            match self.start {
                Start::Hourly(_) => "renew",
                Start::Daemon => "daemon",
            }
            .to_owned(),
        );
        argv
    }

    /// The first path that no text of a system can hold: one with a control character, or one that
    /// is not Unicode.
    pub fn unwritable_path(&self) -> Option<&Path> {
        let own = [&self.program, &self.config];
        let all = own.into_iter().chain(&self.state_flag);
        let all = all.chain(&self.needs.writable);
        let bad = |path: &&Path| {
            path.to_str()
                .is_none_or(|text| text.contains(char::is_control))
        };
        all.map(PathBuf::as_path).find(bad)
    }
}

/// What a run has to be able to do on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The state folder.
    pub state: PathBuf,
    /// Folders it writes to; sorted, none inside of another one.
    pub writable: Vec<PathBuf>,
    /// Folders of the log and the audit trail, which a run makes if they are not there; sorted.
    pub logs: Vec<PathBuf>,
    /// Secrets that the system hands over, by name: `credential:NAME`.
    pub credentials: Vec<String>,
    /// Secrets in the environment, by name, which nothing that starts by itself has.
    pub environment: Vec<String>,
    /// Programs that grants, notifiers and secrets name.
    pub programs: Vec<PathBuf>,
    /// True if something that it reads is below `/tmp` or `/var/tmp`.
    pub shared_temp: bool,
}

/// Programs that give their caller more rights, which a sandbox must not forbid then.
const RAISERS: [&str; 5] = ["sudo", "doas", "su", "pkexec", "run0"];

impl Needs {
    /// True if a program is to be run that needs more rights than its caller has.
    pub fn raises_rights(&self) -> bool {
        self.programs.iter().any(|program| {
            let name = program.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| RAISERS.contains(&name))
        })
    }
}

/// What follows from a configuration.
///
/// `secrets` are the references that a run may need, `state` is the state folder, `program` the
/// binary.
pub fn needs(settings: &Settings, secrets: &[&SecretRef], state: &Path, program: &Path) -> Needs {
    let mut writable: Vec<PathBuf> = vec![state.to_owned()];
    let mut programs = Vec::new();
    let mut read: Vec<&Path> = vec![state, program];
    read.extend(settings.files.iter().map(PathBuf::as_path));
    for plugin in settings.plugins.values() {
        writable.extend(plugin.grants.files.values().map(|grant| grant.dir.clone()));
        let argv = plugin.grants.exec.values().map(|grant| &grant.argv);
        programs.extend(argv.filter_map(|argv| argv.first()).map(PathBuf::from));
        read.extend(
            plugin
                .grants
                .http
                .iter()
                .filter_map(|http| http.trust.as_deref()),
        );
        if let crate::settings::PluginSource::File { path, .. } = &plugin.source {
            read.push(path);
        }
    }
    for notifier in settings.notify.values() {
        match &notifier.way {
            Way::Command(argv) => programs.extend(argv.first().map(PathBuf::from)),
            Way::Mail(mail) => read.extend(mail.trust.as_deref()),
            Way::Webhook(hook) => read.extend(hook.trust.as_deref()),
            Way::Log => {}
        }
    }
    let (mut credentials, mut environment) = (BTreeSet::new(), BTreeSet::new());
    for reference in secrets {
        match reference {
            SecretRef::File(path) => read.push(path),
            SecretRef::Env(name) => {
                environment.insert(name.clone());
            }
            SecretRef::Credential(name) => {
                credentials.insert(name.clone());
            }
            SecretRef::Command(argv) => programs.extend(argv.first().map(PathBuf::from)),
        }
    }
    read.extend(settings.network.trust.as_deref());
    read.extend(settings.cas.values().filter_map(|ca| ca.trust.as_deref()));
    // A file is replaced by another one beside it, or moved away, so its folder is what is written.
    let textfile = settings.metrics.textfile.as_deref();
    let log = settings.log.file.as_ref().map(|file| file.path.as_path());
    let logs = log.into_iter().chain(settings.log.audit.as_deref());
    let logs: BTreeSet<PathBuf> = logs.filter_map(Path::parent).map(Path::to_owned).collect();
    writable.extend(textfile.and_then(Path::parent).map(Path::to_owned));
    writable.extend(logs.iter().cloned());
    let temp = |path: &Path| {
        ["/tmp", "/var/tmp"]
            .iter()
            .any(|temp| path.starts_with(temp))
    };
    let all = read.iter().copied();
    let all = all.chain(writable.iter().map(PathBuf::as_path));
    let shared_temp = all.chain(programs.iter().map(PathBuf::as_path)).any(temp);
    programs.sort();
    programs.dedup();
    Needs {
        state: state.to_owned(),
        writable: outermost(writable),
        logs: logs.into_iter().collect(),
        credentials: credentials.into_iter().collect(),
        environment: environment.into_iter().collect(),
        programs,
        shared_temp,
    }
}

/// The folders without those that are inside of another one.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for folder in folders {
        if !kept.iter().any(|outer| folder.starts_with(outer)) {
            kept.push(folder);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_moment_is_never_in_the_first_minute() {
        let mut minutes = BTreeSet::new();
        for number in (0..10_000).chain([u64::MAX]) {
            let moment = Moment::drawn(number);
            assert_eq!(Moment::new(moment.minute(), moment.second()), Some(moment));
            assert_eq!(Moment::parse(&moment.to_string()), Ok(moment));
            minutes.insert(moment.minute());
        }
        assert_eq!(
            minutes.into_iter().collect::<Vec<_>>(),
            (1..=59).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_machine_gets_what_it_has() {
        let check = |os, systemd, cron, kind| assert_eq!(usual(os, systemd, cron), kind, "{os}");
        check("windows", false, false, Kind::TaskScheduler);
        check("macos", false, true, Kind::Launchd);
        check("linux", true, true, Kind::Systemd);
        check("linux", false, true, Kind::Cron);
        // An image that is being built runs nothing.
        check("linux", false, false, Kind::Systemd);
        check("freebsd", false, false, Kind::Cron);
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let good = |text, minute, second| {
            assert_eq!(Moment::parse(text), Ok(Moment { minute, second }), "{text}");
        };
        good("37", 37, 0);
        good("1:5", 1, 5);
        good("59:59", 59, 59);
        for bad in ["0", "00:30", "60", "5:60", "", "5:", "+5", "1:2:3", "137"] {
            assert!(Moment::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_inside_of_another_one_is_not_named_again() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let check = |all: &[&str], kept: &[&str]| assert_eq!(outermost(paths(all)), paths(kept));
        check(&["/b", "/a/x", "/a"], &["/a", "/b"]);
        check(&["/a", "/a", "/ab"], &["/a", "/ab"]);
        check(&["/a/b-c", "/a/b/c"], &["/a/b/c", "/a/b-c"]);
    }

    #[test]
    fn programs_that_raise_rights_are_known_by_their_name() {
        let needs = |program: &str| Needs {
            programs: vec![PathBuf::from(program)],
            ..Needs::default()
        };
        assert!(needs("/usr/bin/sudo").raises_rights());
        assert!(!needs("/usr/bin/sudoku").raises_rights());
        assert!(!needs("/opt/sudo/reload").raises_rights());
    }
}
