//! What `schedule` has done, and what is left to do.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waxwing_core::timer::{Job, Kind, Start, Whose};

use super::{File, Step, quote};
use crate::render::page::{Context, Ink, Line, Page, list};

/// One act, with how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    /// What became of it.
    pub(crate) result: Became,
    /// A path, or a command.
    pub(crate) what: String,
    /// The chain of causes, if it failed.
    pub(crate) causes: Vec<String>,
}

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    /// A file was written.
    Written,
    /// A file was as it should be.
    Unchanged,
    /// A file was taken away.
    TakenAway,
    /// A file is somebody else's.
    Left,
    /// A command was run.
    Ran,
    /// A command failed.
    Failed,
}

impl Became {
    const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::TakenAway => "taken away",
            Self::Left => "left alone",
            Self::Ran => "done",
            Self::Failed => "failed",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Self::Written | Self::TakenAway | Self::Ran => Ink::Good,
            Self::Unchanged => Ink::Plain,
            Self::Left => Ink::Warn,
            Self::Failed => Ink::Bad,
        }
    }
}

/// Something to look at, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// What.
    pub(crate) text: String,
    /// What to do.
    pub(crate) hint: String,
}

impl Note {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!("{}; {}", self.text, self.hint)
    }
}

/// Folders that somebody has to make on a machine, if there are some.
pub(crate) fn folders(missing: &[&Path]) -> Option<Note> {
    let missing = missing.iter().map(|folder| folder.display().to_string());
    let missing: Vec<String> = missing.collect();
    let make = ["mkdir", "-p", "-m", "0700"].map(str::to_owned);
    (!missing.is_empty()).then(|| Note {
        text: "the unit opens folders that are there, and can make none".to_owned(),
        hint: format!(
            "as the user that it runs as, before its first run: {}",
            command(&[&make[..], &missing].concat())
        ),
    })
}

/// That whoever runs it may not read what a run needs.
pub(crate) fn shut(user: &str, paths: &[PathBuf]) -> Note {
    let all: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Note {
        text: format!(
            "{user}, who owns the state and runs it, may not read {}",
            list(&all, PATHS)
        ),
        hint: format!(
            "`chown {user}` for files, `chmod o+x` for folders on the way; `sudo -u {user} waxwing check` proves it"
        ),
    }
}

/// That others can change, at that path, the program that root runs.
pub(crate) fn changeable(open: &Path, program: &Path) -> Note {
    let program = program.display();
    Note {
        text: format!(
            "others than root can change {}, and root runs {program}",
            open.display()
        ),
        hint: match open.starts_with("/usr") || open.starts_with("/opt") || open.starts_with("/srv")
        {
            true => format!(
                "chown root {open}; chmod go-w {open}",
                open = open.display()
            ),
            // A home is its owner's.
            false => format!(
                "sudo install -m 0755 {program} /usr/local/bin/, then `/usr/local/bin/waxwing schedule add`"
            ),
        },
    }
}

/// So many paths are said.
const PATHS: usize = 4;

/// What was added.
#[derive(Debug)]
pub(crate) struct Added<'a> {
    /// For which system.
    pub(crate) kind: Kind,
    /// What it starts.
    pub(crate) job: &'a Job,
    /// The root of another machine, below which everything was written.
    pub(crate) root: Option<&'a Path>,
    /// What was done for it.
    pub(crate) acts: &'a [Act],
    /// What is to be looked at.
    pub(crate) notes: &'a [Note],
}

impl Added<'_> {
    fn failed(&self) -> bool {
        self.acts.iter().any(|act| act.result == Became::Failed)
    }

    fn verdict(&self) -> String {
        if self.failed() {
            return format!(
                "the files are written, but {} does not run them yet",
                system(self.kind)
            );
        }
        let said = format!(
            "{}, by {}, as {}",
            when(self.job.start),
            system(self.kind),
            who(&self.job.whose)
        );
        match self.root {
            Some(root) => format!("on the machine of {}: {said}", root.display()),
            None => said,
        }
    }
}

/// For people.
pub(crate) fn added(view: &Added<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(&Line::indented(0).ink(Ink::Strong, view.verdict()));
    for act in view.acts {
        line(&mut page, act);
    }
    if view.failed() {
        page.hint(2, "run it by hand when what it complains of is mended");
    }
    for note in view.notes {
        page.line(
            &Line::indented(2)
                .ink(Ink::Warn, "note")
                .column(14, 1)
                .hang_here()
                .text(&note.text),
        );
        page.hint(14, &note.hint);
    }
    page.finish()
}

/// For machines.
pub(crate) fn added_json(view: &Added<'_>) -> Value {
    let notes = view.notes.iter();
    json!({
        "kind": view.kind.as_str(),
        "starts": starts(view.job.start),
        "at": at(view.job.start),
        "as": who(&view.job.whose),
        "acts": acts(view.acts),
        "notes": notes.map(|note| json!({ "text": note.text, "hint": note.hint })).collect::<Vec<_>>(),
    })
}

/// What was taken away.
pub(crate) fn removed(acts: &[Act], context: &Context) -> String {
    let mut page = Page::new(context);
    let any = |result| acts.iter().any(|act| act.result == result);
    let verdict = if any(Became::TakenAway) {
        "nothing that `waxwing schedule add` has written starts Waxwing any more"
    } else if any(Became::Left) {
        "nothing was taken away: what is there belongs to somebody else"
    } else {
        "nothing was there to be taken away"
    };
    page.line(&Line::indented(0).ink(Ink::Strong, verdict));
    for act in acts {
        line(&mut page, act);
    }
    page.finish()
}

/// For machines.
pub(crate) fn removed_json(acts_: &[Act]) -> Value {
    json!({ "acts": acts(acts_) })
}

/// The texts, as `systemctl cat` shows them: each below a comment with its path, unless there is only
/// one, which can be sent to its place as it is.
pub(crate) fn files(files: &[File]) -> String {
    if let [only] = files {
        return only.text.clone();
    }
    let shown = files
        .iter()
        .map(|file| format!("# {}\n{}", file.path.display(), file.text));
    shown.collect::<Vec<_>>().join("\n")
}

/// For machines.
pub(crate) fn files_json(kind: Kind, start: Start, files: &[File]) -> Value {
    let files = files
        .iter()
        .map(|file| json!({ "path": file.path, "text": file.text }));
    json!({
        "kind": kind.as_str(),
        "starts": starts(start),
        "at": at(start),
        "files": files.collect::<Vec<_>>(),
    })
}

/// What `add` would do, below the texts.
pub(crate) fn would_run(steps: &[Step]) -> String {
    let lines = steps
        .iter()
        .map(|step| format!("would run: {}\n", command(&step.argv)));
    lines.collect::<String>() + "nothing was written and nothing was started"
}

/// A command line that can be copied.
pub(crate) fn command(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

fn line(page: &mut Page<'_>, act: &Act) {
    let line = Line::indented(2).ink(act.result.ink(), act.result.word());
    page.line(&line.column(14, 1).hang_here().text(&act.what));
    for cause in &act.causes {
        page.line(&Line::indented(14).hang_here().text(cause));
    }
}

fn acts(acts: &[Act]) -> Vec<Value> {
    let acts = acts.iter();
    acts.map(|act| json!({ "act": act.result.word(), "what": act.what, "causes": act.causes }))
        .collect()
}

const fn system(kind: Kind) -> &'static str {
    match kind {
        Kind::Systemd => "systemd",
        Kind::Cron => "cron",
        Kind::Launchd => "launchd",
        Kind::TaskScheduler => "the Task Scheduler",
    }
}

const fn starts(start: Start) -> &'static str {
    match start {
        Start::Hourly(_) => "renew",
        Start::Daemon => "daemon",
    }
}

fn at(start: Start) -> Option<String> {
    match start {
        Start::Hourly(moment) => Some(moment.to_string()),
        Start::Daemon => None,
    }
}

/// How often it is started.
pub(crate) fn when(start: Start) -> String {
    match start {
        Start::Hourly(moment) => format!("`waxwing renew` runs every hour at xx:{moment}"),
        Start::Daemon => "`waxwing daemon` runs all the time".to_owned(),
    }
}

fn who(whose: &Whose) -> String {
    match whose {
        Whose::Machine if cfg!(windows) => "SYSTEM".to_owned(),
        Whose::Machine => "root".to_owned(),
        Whose::MachineAs(user) => user.clone(),
        Whose::User { .. } => "the user who asked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use waxwing_core::timer::{Moment, Needs};

    use super::*;
    use crate::render::fixture::{at, golden, golden_json};
    use crate::render::json::Document;

    fn job(start: Start) -> Job {
        Job {
            program: PathBuf::from("/usr/local/bin/waxwing"),
            config: PathBuf::from("/etc/waxwing/waxwing.toml"),
            state_flag: None,
            start,
            whose: Whose::MachineAs("certs".to_owned()),
            needs: Needs::default(),
        }
    }

    fn act(result: Became, what: &str) -> Act {
        Act {
            result,
            what: what.to_owned(),
            causes: Vec::new(),
        }
    }

    #[test]
    fn each_act_is_a_line_and_what_failed_has_its_causes() {
        let hourly = job(Start::Hourly(Moment::new(37, 12).expect("a moment")));
        let daemon = job(Start::Daemon);
        let acts = [
            act(Became::Unchanged, "/etc/systemd/system/waxwing.service"),
            act(Became::Written, "/etc/systemd/system/waxwing.timer"),
            act(Became::Ran, "systemctl daemon-reload"),
        ];
        let mut failed = acts.to_vec();
        failed.push(Act {
            causes: vec![
                "systemctl ended with exit status: 1".to_owned(),
                "Failed to connect to bus: No such file or directory".to_owned(),
            ],
            ..act(Became::Failed, "systemctl enable --now waxwing.timer")
        });
        let notes = [Note {
            text: "env:TOKEN will not be there".to_owned(),
            hint: "write the secret to a file that only its owner can read".to_owned(),
        }];
        let view = |job, acts, notes| Added {
            kind: Kind::Systemd,
            job,
            root: None,
            acts,
            notes,
        };
        let good = view(&hourly, &acts, &notes);
        let image = Added {
            root: Some(Path::new("/srv/image")),
            ..view(&hourly, &acts[..2], &[])
        };
        golden("schedule-added.txt", |context| {
            added(&good, context)
                + &added(&view(&daemon, &acts, &[]), context)
                + &added(&view(&hourly, &failed, &[]), context)
                + &added(&image, context)
        });
        let document = Document::new("schedule add", at(0), added_json(&good));
        golden_json("schedule-added.json", &document.to_text());
    }

    #[test]
    fn what_is_somebody_elses_is_said_to_be_left() {
        let gone = [act(Became::TakenAway, "/etc/cron.d/waxwing")];
        let mut left = [act(Became::Left, "/etc/systemd/system/waxwing.timer")];
        left[0].causes = vec!["`waxwing schedule add` has not written it".to_owned()];
        golden("schedule-removed.txt", |context| {
            removed(&gone, context) + &removed(&left, context) + &removed(&[], context)
        });
    }
}
