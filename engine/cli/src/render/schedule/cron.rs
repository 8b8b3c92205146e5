//! A file for cron (`crontab(5)`).
//!
//! A percent sign is the end of the command there, unless a backslash stands before it, also within
//! quotes.

use std::path::PathBuf;

use waxwing_core::timer::{Job, Moment, Start, Whose};

use super::{File, Header, number_behind, shell};

/// Where a whole line per file is read, with the user in it.
pub(super) fn path() -> PathBuf {
    PathBuf::from("/etc/cron.d/waxwing")
}

pub(super) fn file(job: &Job, header: Header) -> File {
    let (minute, second) = match job.start {
        Start::Hourly(moment) => (moment.minute(), moment.second()),
        // Refused before: cron starts nothing that stays.
        Start::Daemon => (1, 0),
    };
    let user = match &job.whose {
        Whose::Machine => "root ",
        Whose::MachineAs(user) => &format!("{user} "),
        // The table of a user has no such column.
        Whose::User { .. } => "",
    };
    let command = shell(&job.argv());
    let line =
        format!("sleep {second}; said=$(timeout 3600 {command} 2>&1) || printf '%s\\n' \"$said\"");
    File {
        path: path(),
        text: format!(
            "{}# What a run that failed has said is sent by cron to MAILTO; a good one says nothing.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{minute} * * * * {user}{}
",
            header.hashed(),
            line.replace('%', r"\%")
        ),
    }
}

/// The configuration of a line: the word behind `--config`.
pub(super) fn config(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(" * * * * "))?;
    let (_, rest) = line.split_once(" --config ")?;
    let mut word = String::new();
    let Some(mut quoted) = rest.strip_prefix('\'') else {
        return rest
            .split(' ')
            .next()
            .map(|plain| plain.replace(r"\%", "%"));
    };
    // A quote within is the end, an escaped one, and a new beginning.
    loop {
        let (part, behind) = quoted.split_once('\'')?;
        word.push_str(part);
        match behind.strip_prefix(r"\''") {
            Some(more) => {
                word.push('\'');
                quoted = more;
            }
            None => return Some(word.replace(r"\%", "%")),
        }
    }
}

/// The moment of a line.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let line = text.lines().find(|line| line.contains(" * * * * "))?;
    let minute = line.split(' ').next()?.parse().ok()?;
    Moment::new(minute, number_behind(line, "sleep ")?)
}
