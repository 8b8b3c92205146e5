//! What starts Waxwing by itself, as the system that does it reads it.
//!
//! Each system quotes in its own way, and each of these texts is run by root: a path with a space, a
//! percent sign or a quote must be the same path behind it. What a newcomer gets wrong: in the texts
//! of systemd a percent sign means something inside of quotes, too, and in those of cron it ends the
//! command.

pub(crate) mod told;

mod cron;
mod launchd;
mod systemd;
mod task;

use std::path::{Path, PathBuf};

use waxwing_core::timer::{Job, Kind, Moment, Start, Whose};

/// How the first line of a text begins that `schedule add` has written. Only such files are
/// replaced and taken away without being asked.
pub(crate) const OURS: &str = "Written by `waxwing schedule add`";

/// A file that a system reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Where it belongs.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
}

/// For whom the texts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// For files that `schedule add` writes and `schedule remove` takes away.
    Ours,
    /// For files of somebody else, who has printed them.
    Printed,
}

/// True for a text that one of these verbs has made.
pub(crate) fn is_made_here(text: &str) -> bool {
    let headers = [Header::Ours, Header::Printed].into_iter();
    headers
        .flat_map(Header::lines)
        .step_by(2)
        .any(|line| text.contains(line))
}

impl Header {
    /// The lines without the marks of a comment.
    const fn lines(self) -> [&'static str; 2] {
        match self {
            Self::Ours => [
                "Written by `waxwing schedule add`, which writes it anew when the configuration has",
                "changed; `waxwing schedule remove` takes it away.",
            ],
            Self::Printed => [
                "Printed by `waxwing schedule show`. It follows from the configuration: print it anew",
                "when folders, programs or credentials have changed there.",
            ],
        }
    }

    /// As comments that begin with `#`.
    fn hashed(self) -> String {
        let [first, second] = self.lines();
        format!("# {first}\n# {second}\n")
    }

    /// As a comment of XML.
    fn xml(self) -> String {
        let [first, second] = self.lines();
        format!("<!-- {first}\n     {second} -->\n")
    }
}

/// The files of a job, in the order in which they are written.
pub(crate) fn files(kind: Kind, job: &Job, header: Header) -> Vec<File> {
    match kind {
        Kind::Systemd => systemd::files(job, header),
        Kind::Cron => vec![cron::file(job, header)],
        Kind::Launchd => vec![launchd::file(job, header)],
        Kind::TaskScheduler => vec![task::file(job, header)],
    }
}

/// Folders that have to be there before the job is started for the first time: in its sandbox it can make none.
pub(crate) fn to_make(kind: Kind, job: &Job) -> Vec<&Path> {
    match kind {
        Kind::Systemd => systemd::to_make(job),
        Kind::Cron | Kind::Launchd | Kind::TaskScheduler => Vec::new(),
    }
}

/// Lines of a unit of systemd for this job that an older text of it lacks: what they open is shut to its runs.
pub(crate) fn lacks(job: &Job, text: &str) -> Vec<String> {
    systemd::lacks(job, text)
}

/// A command of the system that makes files count, or stops what they have started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The program, found by the system's search path, and its arguments.
    pub(crate) argv: Vec<String>,
    /// True if it is no trouble when it fails: what is to be stopped may not run.
    pub(crate) may_fail: bool,
}

impl Step {
    fn new(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            may_fail: false,
        }
    }

    const fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }
}

/// What is done behind the writing of the files.
pub(crate) fn begin(kind: Kind, start: Start, whose: &Whose) -> Vec<Step> {
    match kind {
        Kind::Systemd => systemd::begin(start, whose),
        // It looks at its folder by itself.
        Kind::Cron => Vec::new(),
        Kind::Launchd => launchd::begin(start, whose),
        Kind::TaskScheduler => task::begin(),
    }
}

/// The command that switches on the log of a system, where that is off and has each run.
pub(crate) const fn switch_log_on(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::TaskScheduler => Some(task::SWITCH_LOG_ON),
        Kind::Systemd | Kind::Cron | Kind::Launchd => None,
    }
}

/// What is done before the files are taken away, and behind it.
pub(crate) fn end(kind: Kind, start: Start, whose: &Whose) -> (Vec<Step>, Vec<Step>) {
    match kind {
        Kind::Systemd => systemd::end(start, whose),
        Kind::Cron => (Vec::new(), Vec::new()),
        Kind::Launchd => (launchd::end(start, whose), Vec::new()),
        Kind::TaskScheduler => (task::end(), Vec::new()),
    }
}

/// Where the files of a job are, the one first that says when it runs.
pub(crate) fn paths(kind: Kind, start: Start, whose: &Whose) -> Vec<PathBuf> {
    match kind {
        Kind::Systemd => systemd::paths(start, whose),
        Kind::Cron => vec![cron::path()],
        Kind::Launchd => vec![launchd::path(start, whose)],
        Kind::TaskScheduler => vec![task::path()],
    }
}

/// The moment that an installed file names; none if it is not one of ours any more.
pub(crate) fn moment(kind: Kind, text: &str) -> Option<Moment> {
    match kind {
        Kind::Systemd => systemd::moment(text),
        Kind::Cron => cron::moment(text),
        Kind::Launchd => launchd::moment(text),
        Kind::TaskScheduler => task::moment(text),
    }
}

/// The configuration that an installed file names; none if it is not one of ours any more, or a file
/// that names none, as a timer does.
pub(crate) fn config(kind: Kind, text: &str) -> Option<PathBuf> {
    let config = match kind {
        Kind::Systemd => systemd::config(text),
        Kind::Cron => cron::config(text),
        Kind::Launchd => launchd::config(text),
        Kind::TaskScheduler => task::config(text),
    };
    config.map(PathBuf::from)
}

/// A link that has a system start something, where nobody can be asked to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where it belongs.
    pub(crate) path: PathBuf,
    /// Where it leads.
    pub(crate) target: PathBuf,
}

/// The link that has a system start a job: what `systemctl enable` makes. The others look at their
/// folders by themselves.
pub(crate) fn link(kind: Kind, start: Start, whose: &Whose) -> Option<Link> {
    (kind == Kind::Systemd).then(|| systemd::link(start, whose))
}

/// True if `schedule add` has written the file.
pub(crate) fn is_ours(text: &str) -> bool {
    let mut first = text.lines().take(3);
    first.any(|line| line.contains(OURS))
}

/// The path as text. Paths that are none are refused before anything is written.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Words for a POSIX shell.
fn shell(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

/// One word for a POSIX shell: what is between single quotes is taken as it is.
pub(crate) fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_.,:=@+-".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Text within an element of XML. What is not ASCII becomes a reference, so that no reader can take
/// the file for one in another encoding.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    out
}

/// Text of an element of XML, as [`xml`] has written it.
fn plain(xml: &str) -> String {
    let (mut out, mut rest) = (String::new(), xml);
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, behind)) = behind.split_once(';') else {
            rest = behind;
            break;
        };
        rest = behind;
        match name {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            number => {
                let number = number
                    .strip_prefix('#')
                    .and_then(|digits| digits.parse().ok());
                out.extend(number.and_then(char::from_u32));
            }
        }
    }
    out + rest
}

/// A number of at most two digits behind `before`.
fn number_behind(text: &str, before: &str) -> Option<u8> {
    let (_, rest) = text.split_once(before)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests;
