//! Units of systemd (`systemd.service(5)`, `systemd.timer(5)`, `systemd.exec(5)`).

use std::path::{Path, PathBuf};

use waxwing_core::timer::{Job, Moment, Start, Whose};

use super::{File, Header, Link, Step, shown};

/// The units of the hourly run, and the one of the daemon.
const SERVICE: &str = "waxwing.service";
const TIMER: &str = "waxwing.timer";
const DAEMON: &str = "waxwing-daemon.service";

/// What nothing but root can do and what an installation needs: files of other owners.
const CAPABILITIES: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID";

/// Where programs that a grant names keep logs, pid files and caches: `nginx -t` writes two of them.
const OF_PROGRAMS: [&str; 2] = ["/run", "/var"];

pub(super) fn folder(whose: &Whose) -> PathBuf {
    match whose {
        Whose::Machine | Whose::MachineAs(_) => PathBuf::from("/etc/systemd/system"),
        Whose::User { config, .. } => config.join("systemd/user"),
    }
}

pub(super) fn paths(start: Start, whose: &Whose) -> Vec<PathBuf> {
    let folder = folder(whose);
    match start {
        Start::Hourly(_) => vec![folder.join(TIMER), folder.join(SERVICE)],
        Start::Daemon => vec![folder.join(DAEMON)],
    }
}

fn systemctl(whose: &Whose, words: &[&str]) -> Step {
    let mut argv = vec!["systemctl"];
    if whose.is_user() {
        argv.push("--user");
    }
    argv.extend(words);
    Step::new(&argv)
}

pub(super) fn begin(start: Start, whose: &Whose) -> Vec<Step> {
    let reload = systemctl(whose, &["daemon-reload"]);
    match start {
        Start::Hourly(_) => vec![reload, systemctl(whose, &["enable", "--now", TIMER])],
        // One that runs already has the old command line.
        Start::Daemon => vec![
            reload,
            systemctl(whose, &["enable", DAEMON]),
            systemctl(whose, &["restart", "--no-block", DAEMON]),
        ],
    }
}

pub(super) fn end(start: Start, whose: &Whose) -> (Vec<Step>, Vec<Step>) {
    let unit = match start {
        Start::Hourly(_) => TIMER,
        Start::Daemon => DAEMON,
    };
    (
        vec![systemctl(whose, &["disable", "--now", unit]).may_fail()],
        vec![systemctl(whose, &["daemon-reload"])],
    )
}

pub(super) fn files(job: &Job, header: Header) -> Vec<File> {
    let folder = folder(&job.whose);
    let file = |name, text| File {
        path: folder.join(name),
        text,
    };
    match job.start {
        // The service first: a timer without one is an error.
        Start::Hourly(moment) => vec![
            file(SERVICE, service(job, header)),
            file(TIMER, timer(moment, header)),
        ],
        Start::Daemon => vec![file(DAEMON, service(job, header))],
    }
}

fn timer(moment: Moment, header: Header) -> String {
    format!(
        "{}[Unit]
Description=Renew certificates every hour

[Timer]
# A minute and a second of this machine's own, so that not all come at once.
OnCalendar=*-*-* *:{:02}:{:02}
AccuracySec=1s
# What was missed while the machine was off is made good at its start.
Persistent=true

[Install]
WantedBy=timers.target
",
        header.hashed(),
        moment.minute(),
        moment.second()
    )
}

/// The moment of a timer.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("OnCalendar=*-*-* *:"))?;
    Moment::parse(line.trim()).ok()
}

/// The configuration of a service: the word behind `--config`.
pub(super) fn config(text: &str) -> Option<String> {
    let command = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    let (_, rest) = command.split_once(" --config ")?;
    let word = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (mut word, mut rest) = (String::new(), quoted.chars());
            loop {
                match rest.next()? {
                    '"' => break word,
                    '\\' => word.push(rest.next()?),
                    c => word.push(c),
                }
            }
        }
        None => rest.split(' ').next()?.to_owned(),
    };
    Some(word.replace("%%", "%"))
}

/// What `systemctl enable` makes of `WantedBy=`.
pub(super) fn link(start: Start, whose: &Whose) -> Link {
    let (unit, target) = match start {
        Start::Hourly(_) => (TIMER, "timers.target"),
        Start::Daemon => (DAEMON, wanted_by(whose)),
    };
    let folder = folder(whose);
    Link {
        path: folder.join(format!("{target}.wants")).join(unit),
        target: folder.join(unit),
    }
}

/// What has the daemon started.
const fn wanted_by(whose: &Whose) -> &'static str {
    if whose.is_user() {
        "default.target"
    } else {
        "multi-user.target"
    }
}

fn service(job: &Job, header: Header) -> String {
    let mut unit = Unit(header.hashed());
    unit.section("Unit");
    let daemon = job.start == Start::Daemon;
    unit.line(if daemon {
        "Description=Renew certificates whenever one is due"
    } else {
        "Description=Renew the certificates that are due"
    });
    if !job.whose.is_user() {
        unit.line("Wants=network-online.target");
        unit.line("After=network-online.target nss-lookup.target time-sync.target");
    }
    unit.section("Service");
    let command = command(&job.argv());
    if daemon {
        unit.line("Type=notify");
        unit.line(format!("ExecStart={command}"));
        // The shell's own `kill`: not every system has the program.
        unit.line("ExecReload=/bin/sh -c 'kill -HUP $MAINPID'");
        unit.line("# It is ready when its first look at everything is done, orders included.");
        unit.line("TimeoutStartSec=4h");
        unit.line("WatchdogSec=5min");
        unit.line("# What was tried and how often is on disk: a new start asks no CA more often.");
        unit.line("Restart=on-failure");
        unit.line("RestartSec=5min");
    } else {
        unit.line("Type=oneshot");
        unit.line(format!("ExecStart={command}"));
        unit.line("# A run by hand is at it: nothing has failed.");
        unit.line("SuccessExitStatus=7");
        unit.line("TimeoutStartSec=1h");
    }
    if let Whose::MachineAs(user) = &job.whose {
        unit.line(format!("User={}", user.replace('%', "%%")));
    }
    unit.line("UMask=0077");
    credentials(&mut unit, job);
    sandbox(&mut unit, job);
    if daemon {
        unit.section("Install");
        unit.line(format!("WantedBy={}", wanted_by(&job.whose)));
    }
    unit.0
}

fn credentials(unit: &mut Unit, job: &Job) {
    if job.needs.credentials.is_empty() {
        return;
    }
    unit.gap(
        "Secrets that the configuration has as credential:NAME. Without its file one is empty, which is told, and the run goes on.",
    );
    let store = match &job.whose {
        Whose::Machine | Whose::MachineAs(_) => PathBuf::from("/etc/credstore"),
        Whose::User { config, .. } => config.join("credstore"),
    };
    for name in &job.needs.credentials {
        let path = shown(&store.join(name)).replace('%', "%%");
        let name = name.replace('%', "%%");
        unit.line(format!("LoadCredential={name}:{path}"));
        unit.line(format!("SetCredential={name}:\\n"));
    }
}

fn sandbox(unit: &mut Unit, job: &Job) {
    let needs = &job.needs;
    let raises = needs.raises_rights();
    if !job.whose.is_user() {
        unit.gap("It sees everything and writes to these folders only.");
        unit.line("ProtectSystem=strict");
        unit.line("ProtectHome=read-only");
        if let Some(name) = own_folder(&needs.state, "/var/lib") {
            unit.line(format!("StateDirectory={name}"));
            unit.line("StateDirectoryMode=0700");
        }
        let logs = needs.logs.iter();
        let logs: Vec<&str> = logs
            .filter_map(|path| own_folder(path, "/var/log"))
            .collect();
        if !logs.is_empty() {
            unit.line(format!("LogsDirectory={}", logs.join(" ")));
            unit.line("LogsDirectoryMode=0700");
        }
        unit.line("# What was told of a state folder that cannot be written is remembered there.");
        unit.line("RuntimeDirectory=waxwing");
        unit.line("RuntimeDirectoryMode=0700");
        unit.line("RuntimeDirectoryPreserve=yes");
        for path in &needs.writable {
            unit.line(format!("ReadWritePaths=-{}", path_word(path)));
        }
        if !needs.programs.is_empty() {
            unit.line(
                "# Programs of the configuration, such as a server's own test, keep logs and",
            );
            unit.line("# pid files there.");
            for path in OF_PROGRAMS {
                unit.line(format!("ReadWritePaths=-{path}"));
            }
        }
        if needs.shared_temp {
            unit.line("# The configuration names something below /tmp.");
            unit.line("PrivateTmp=no");
        } else {
            unit.line("PrivateTmp=yes");
        }
        for line in [
            "PrivateDevices=yes",
            "ProtectClock=yes",
            "ProtectControlGroups=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
        ] {
            unit.line(line);
        }
        let root = job.whose == Whose::Machine;
        if root && needs.programs.is_empty() {
            unit.line(format!("CapabilityBoundingSet={CAPABILITIES}"));
        } else if !root && !raises {
            unit.line("CapabilityBoundingSet=");
        }
    }
    if raises && job.whose != Whose::Machine {
        // For anybody but root each of the rest would forbid that programs raise their rights.
        unit.gap("A program of the configuration raises its rights (sudo), so nothing here may");
        unit.line("# forbid that.");
        unit.line("NoNewPrivileges=no");
        return;
    }
    if job.whose.is_user() {
        unit.gap("What a unit of a user can give up. Its folders are those of the user.");
    }
    unit.line(if raises {
        "NoNewPrivileges=no"
    } else {
        "NoNewPrivileges=yes"
    });
    if needs.programs.is_empty() {
        unit.line("RestrictNamespaces=yes");
    }
    for line in [
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictRealtime=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "# Plugins are compiled to machine code at run time.",
        "MemoryDenyWriteExecute=no",
    ] {
        unit.line(line);
    }
}

/// What opens something to a run.
const OPENS: [&str; 5] = [
    "ReadWritePaths=",
    "LoadCredential=",
    "SetCredential=",
    "StateDirectory=",
    "LogsDirectory=",
];

/// What a unit of this job opens and that text does not, if it is a service.
pub(super) fn lacks(job: &Job, text: &str) -> Vec<String> {
    let has = |line: &str| text.lines().any(|other| other == line);
    // What somebody has written by hand may say the same in other words.
    let is_ours = [Header::Ours, Header::Printed]
        .iter()
        .any(|header| text.starts_with(&header.hashed()));
    if !is_ours || !has("[Service]") {
        return Vec::new();
    }
    // Without a sandbox nothing is shut.
    let shut = text.lines().any(|line| line.starts_with("ProtectSystem="));
    let wanted = service(job, Header::Printed);
    let opens = wanted.lines().filter(|line| {
        let needed = OPENS.iter().any(|key| line.starts_with(key));
        needed && (shut || line.contains("Credential="))
    });
    // A folder is open as well below one that is.
    let open: Vec<&Path> = text.lines().filter_map(opened).collect();
    // From another place, or sealed, a secret is handed over as well.
    let named = |line: &str| {
        let (key, name) = line.split_once('=')?;
        let kinds: &[&str] = match key {
            "LoadCredential" => &["Load", "Set", "Import"],
            "SetCredential" => &["Set"],
            _ => return None,
        };
        let name = name.split(':').next()?;
        let sealed = format!("LoadCredentialEncrypted={name}:");
        let handed = text.lines().any(|other| {
            let other = other.split_once("Credential");
            other.is_some_and(|(kind, rest)| {
                let rest = rest.strip_prefix("Encrypted").unwrap_or(rest);
                let other = rest
                    .strip_prefix('=')
                    .and_then(|rest| rest.split(':').next());
                kinds.contains(&kind) && other == Some(name)
            })
        });
        (handed || text.lines().any(|other| other.starts_with(&sealed))).then_some(())
    };
    let has = |line: &str| {
        let path = opened(line);
        has(line)
            || named(line).is_some()
            || path.is_some_and(|path| open.iter().any(|one| path.starts_with(one)))
    };
    opens.filter(|line| !has(line)).map(str::to_owned).collect()
}

/// The folder that a line opens, where it needs no quotes.
fn opened(line: &str) -> Option<&Path> {
    let path = line.strip_prefix("ReadWritePaths=")?;
    Some(Path::new(path.strip_prefix('-').unwrap_or(path)))
}

/// Folders that a unit of the machine opens if they are there, and that systemd does not make.
pub(super) fn to_make(job: &Job) -> Vec<&Path> {
    if job.whose.is_user() {
        return Vec::new();
    }
    let state = job.needs.state.as_path();
    let state = own_folder(state, "/var/lib").is_none().then_some(state);
    let logs = job.needs.logs.iter().map(PathBuf::as_path);
    let logs = logs.filter(|path| own_folder(path, "/var/log").is_none());
    state.into_iter().chain(logs).collect()
}

/// The name of a folder that systemd makes by itself: one directly below where such are.
fn own_folder<'p>(path: &'p Path, below: &str) -> Option<&'p str> {
    let name = path.strip_prefix(below).ok()?.to_str()?;
    (is_plain(name) && !name.contains(['/', ':'])).then_some(name)
}

/// A unit that grows line by line.
struct Unit(String);

impl Unit {
    fn section(&mut self, name: &str) {
        if self.0.contains('[') {
            self.0.push('\n');
        }
        self.line(format!("[{name}]"));
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    /// An empty line, and a comment on what follows.
    fn gap(&mut self, comment: &str) {
        self.line(format!("\n# {comment}"));
    }
}

/// A command line. A dollar sign would be the beginning of a variable, which the colon turns off.
fn command(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| exec_word(word)).collect();
    let line = words.join(" ");
    if line.contains('$') {
        format!(":{line}")
    } else {
        line
    }
}

/// True for text that means itself without quotes.
fn is_plain(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_.,:=@+-".contains(&b);
    !word.is_empty() && word.bytes().all(plain)
}

/// A word of a command line: there is quoting with escapes, and percent signs count in quotes, too.
fn exec_word(word: &str) -> String {
    if is_plain(word) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('%', "%%"))
}

/// A path of a list: there is quoting, but a backslash is a backslash, so that a quote can only stand
/// in quotes of the other kind.
fn path_word(path: &Path) -> String {
    let word = shown(path);
    if is_plain(&word) {
        return word;
    }
    let word = word.replace('%', "%%");
    let pieces = word
        .split_inclusive('"')
        .map(|piece| match piece.strip_suffix('"') {
            Some(before) => format!("\"{before}\"'\"'"),
            None => format!("\"{piece}\""),
        });
    pieces.collect()
}
