//! What the system starts by itself: the files in which it says so, and the commands that make them
//! count.
//!
//! What stands in the files is not known here.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the adapter of what starts programs"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use waxwing_core::time::Timestamp;
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use crate::store::{self, atomic};
use crate::{notify, outfile, permission, x509};

mod sought;
pub mod units;

use self::sought::Place;
pub use self::sought::Sought;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as os;
#[cfg(windows)]
use self::windows as os;

/// Who runs this process, and where what is theirs stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Home folder.
    pub home: PathBuf,
    /// Where programs look for what the user has configured: `$XDG_CONFIG_HOME`, or `.config`.
    pub config: PathBuf,
    /// The number of the user; 0 where users have none.
    pub id: u32,
}

/// This program, behind links: what starts it later must not depend on one.
///
/// # Errors
/// When the system does not say.
pub fn program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Who runs this process; none if there is no home.
pub fn user() -> Option<User> {
    let folder = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let home = folder(os::HOME)?;
    Some(User {
        config: folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
        home,
        id: os::user_id(),
    })
}

/// What this system has to start programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// systemd runs it.
    pub systemd: bool,
    /// cron is installed, and not only its folder, into which other packages put files, too.
    pub cron: bool,
}

/// Where the program is that reads `/etc/cron.d`.
const CRONS: [&str; 4] = [
    "/usr/sbin/cron",
    "/usr/sbin/crond",
    "/usr/bin/cron",
    "/usr/bin/crond",
];

/// Looks for what this system has to start programs.
pub fn means() -> Means {
    Means {
        // As `sd_booted(3)` finds out.
        systemd: Path::new("/run/systemd/system").is_dir(),
        cron: Path::new("/etc/cron.d").is_dir() && CRONS.iter().any(|at| Path::new(at).is_file()),
    }
}

/// What stands in a file; none if it is not there.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(store::io_error("read", path, &cause)),
    }
}

/// Writes a file that everybody may read, whole or not at all, in the place of one that is there. Its
/// folder is made.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|cause| store::io_error("create", folder, &cause))?;
    }
    outfile::check(path)?;
    atomic::replace(path, text.as_bytes())?;
    permission::let_all_read(path).map_err(|cause| store::io_error("publish", path, &cause))
}

/// Makes a folder for nobody but this user, with those above it.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    atomic::create_dir(path)
}

/// Takes a file away. True if there was one.
///
/// # Errors
/// When it cannot be taken away.
pub fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(store::io_error("remove", path, &cause)),
    }
}

/// Makes a link to a file that need not be there yet, as an image of another machine has it. True if there
/// was none.
///
/// # Errors
/// When it cannot be made, or something else is there.
pub fn link(path: &Path, target: &Path) -> Result<bool, StoreError> {
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|cause| store::io_error("create", folder, &cause))?;
    }
    match os::link(path, target) {
        Ok(()) => Ok(true),
        Err(cause) => Err(store::io_error("create", path, &cause)),
    }
}

/// True if two paths lead to one file, or are the same.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// A number of this machine and that configuration: always the same here, another one elsewhere.
pub fn lot(config: &Path) -> u64 {
    lot_of(&os::machine(), &notify::host_name(), config)
}

fn lot_of(machine: &str, host: &str, config: &Path) -> u64 {
    // A machine that was copied has its number still, but another name.
    let text = format!("{}\n{host}\n{}", machine.trim(), config.display());
    let digest = x509::sha256_hex(text.as_bytes());
    let digits = digest.get(..16).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

/// Whether systemd has started a unit; none if that cannot be known.
pub fn is_active(unit: &Path) -> Option<bool> {
    let name = unit.file_name()?;
    if !means().systemd {
        return None;
    }
    let mut command = Command::new("systemctl");
    if !units::is_of_machine(unit) {
        command.arg("--user");
    }
    command.args(["is-active", "--quiet"]).arg(name);
    let streams = command.stdin(Stdio::null()).stderr(Stdio::null());
    match streams.status().ok()?.code()? {
        0 => Some(true),
        // Not running, as `systemctl(1)` has it; anything else says nothing of the unit.
        3 => Some(false),
        _ => None,
    }
}

/// True for a refusal because of who asks.
pub fn is_refusal(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Permission
}

/// Runs a command of the system to its end.
///
/// # Errors
/// Why it failed, with what it complained of.
pub fn run(argv: &[String]) -> Result<(), Vec<String>> {
    let Some((program, arguments)) = argv.split_first() else {
        return Ok(());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| vec![format!("{program} could not be started: {cause}")])?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines = complaint.lines().filter(|line| !line.trim().is_empty());
    let mut causes = vec![format!("{program} ended with {}", output.status)];
    causes.extend(lines.take(5).map(str::to_owned));
    Err(causes)
}

/// What was found to start a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Starter {
    /// A file in which it stands.
    File(PathBuf),
    /// A process of it that stays, by its number.
    Daemon(u32),
}

/// The files that add to a unit of systemd, as `systemctl edit` makes them (`systemd.unit(5)`), beside it.
pub fn added_to(unit: &Path) -> Vec<PathBuf> {
    let mut folder = unit.as_os_str().to_owned();
    folder.push(".d");
    let mut found = files(Path::new(&folder));
    found.retain(|path| path.extension().is_some_and(|kind| kind == "conf"));
    found
}

/// When a timer, or the timer of that service, has started it last, by the stamp that systemd keeps. None: nobody
/// keeps one, or it never did.
pub fn last_start(service: &Path) -> Option<Timestamp> {
    let is_unit = |kind: &std::ffi::OsStr| kind == "service" || kind == "timer";
    if !service.extension().is_some_and(is_unit) {
        return None;
    }
    let timer = service.with_extension("timer");
    let name = timer.file_name()?.to_str()?;
    let mut stamps = os::stamps(user().as_ref(), service).into_iter();
    stamps.find_map(|folder| changed(&folder.join(format!("stamp-{name}"))))
}

/// When a file was written last.
fn changed(path: &Path) -> Option<Timestamp> {
    let at = fs::metadata(path).ok()?.modified().ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?))
}

/// The program that a starter starts: of a unit of systemd whichever it is, its drop-ins counted; of another text that
/// `is_ours` the one of that name, by its whole path. None where that is not sure.
pub fn program_in(starter: &Path, name: &str, is_ours: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let text = read(starter).ok().flatten()?;
    if starter.extension().is_some_and(|kind| kind == "service") {
        let added = added_to(starter).into_iter();
        let added = added.map(|path| read(&path).ok().flatten().unwrap_or_default());
        let all: Vec<String> = std::iter::once(text).chain(added).collect();
        let lines = all.iter().flat_map(|text| text.lines());
        let mut commands = lines.filter_map(|line| line.trim().strip_prefix("ExecStart="));
        return commands.next_back().and_then(started_by);
    }
    if !is_ours(&text) {
        return None;
    }
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.find_map(|line| {
        let mut words = line.split([' ', '\t', '<', '>', '"', '\'']);
        words.find_map(|word| {
            let path = PathBuf::from(word);
            let file = path.file_name()?.to_str()?;
            let is_it = file.strip_suffix(".exe").unwrap_or(file) == name;
            (path.is_absolute() && is_it && !path.is_dir()).then_some(path)
        })
    })
}

/// The program of an `ExecStart=` (`systemd.service(5)`), if its whole path stands there.
fn started_by(command: &str) -> Option<PathBuf> {
    let command = command.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let program = match command.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => command.split_whitespace().next()?,
    };
    // What stands for something that systemd alone knows is left to it.
    let plain = program.replace("%%", "\u{0}");
    let known = !plain.contains(['%', '$', '\\']);
    let path = PathBuf::from(plain.replace('\u{0}', "%"));
    (known && path.is_absolute()).then_some(path)
}

/// When a file came to its place, whatever it says itself of when it was made.
pub fn placed(path: &Path) -> Option<Timestamp> {
    let at = os::placed(path)?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    Some(Timestamp::from_unix(i64::try_from(at.as_secs()).ok()?))
}

/// Everything on this machine that starts it by itself, as far as this user can see.
pub fn starters(sought: &Sought<'_>) -> Vec<Starter> {
    let mut found: Vec<Starter> = os::places(user().as_ref())
        .into_iter()
        .flat_map(|place| files(&place))
        .filter(|path| os::is_taken(path) && mentions(path, sought))
        .map(Starter::File)
        .collect();
    let processes = os::processes();
    let place = Place::of(sought, &processes);
    let daemons = processes.iter();
    let daemons = daemons.filter(|(id, argv)| place.is_held_by(*id, argv, sought));
    found.extend(daemons.map(|(id, _)| Starter::Daemon(*id)));
    found
}

/// The file itself, or the files in a folder, in the order of their names.
fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// True if what is no comment in the file starts it. Files that are too long to be such a text are not
/// read.
fn mentions(path: &Path, sought: &Sought<'_>) -> bool {
    const LONGEST: u64 = 256 * 1024;
    if fs::metadata(path).map_or(true, |found| found.len() > LONGEST) {
        return false;
    }
    let bytes = fs::read(path).unwrap_or_default();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    // What it takes its variables from, if it is a file and no device that waits for somebody.
    let named = text.lines().filter_map(sought::variables_from);
    let files: Vec<PathBuf> = named.filter(|_| text.contains(sought.program)).collect();
    for file in files {
        text.push('\n');
        match fs::metadata(&file).map_err(|cause| cause.kind()) {
            Err(io::ErrorKind::NotFound) => {}
            Ok(found) if found.is_file() && found.len() <= LONGEST => match fs::read(&file) {
                Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_unreadable) => text.push_str(sought::UNKNOWN),
            },
            _ => text.push_str(sought::UNKNOWN),
        }
    }
    let kind = path.extension().and_then(|kind| kind.to_str());
    sought.is_started_by(kind, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_readable_and_taken_away_once() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a/b/unit.timer");
        assert_eq!(read(&path), Ok(None));
        for text in ["one", "two"] {
            write(&path, text).expect("written");
            assert_eq!(read(&path), Ok(Some(text.to_owned())));
        }
        assert!(permission::others_can_read(&path).expect("there"));
        assert_eq!((remove(&path), remove(&path)), (Ok(true), Ok(false)));
    }

    #[test]
    fn each_machine_and_configuration_has_a_number_that_stays() {
        let lot = |machine, host, config| lot_of(machine, host, Path::new(config));
        let one = lot("4f1b\n", "web01", "/etc/w.toml");
        assert_eq!(one, lot("4f1b", "web01", "/etc/w.toml"));
        assert_eq!(one, 13_578_525_129_813_026_403);
        for other in [
            lot("4f1c", "web01", "/etc/w.toml"),
            lot("4f1b", "web02", "/etc/w.toml"),
            lot("4f1b", "web01", "/etc/v.toml"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_made_once_and_leads_where_it_should() {
        let home = tempfile::tempdir().expect("a folder");
        let (path, target) = (home.path().join("a.wants/b"), Path::new("/nowhere/b"));
        assert_eq!(link(&path, target), Ok(true));
        assert_eq!(link(&path, target), Ok(false));
        assert_eq!(fs::read_link(&path).expect("a link"), target);
        assert!(link(&path, Path::new("/other")).is_err());
        assert_eq!(remove(&path), Ok(true));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_fails_says_why() {
        let argv = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned);
        assert_eq!(run(&argv("exit 0")), Ok(()));
        let causes = run(&argv("echo no bus >&2; exit 3")).expect_err("it fails");
        assert!(causes[0].contains("exit status: 3"), "{causes:?}");
        assert_eq!(causes[1], "no bus");
        let missing = run(&["/nowhere/systemctl".to_owned()]).expect_err("it fails");
        assert!(missing[0].contains("could not be started"), "{missing:?}");
    }
}
