//! What `init` has written, and what comes next.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::page::{Context, Ink, Line, Page};
use crate::args::init::Target;
use crate::render::schedule::quote;

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Files with secrets.
    pub(crate) secrets: Vec<PathBuf>,
    /// Folders that were made.
    pub(crate) folders: Vec<PathBuf>,
    /// Files that were there, each with where it is now.
    pub(crate) kept: Vec<(PathBuf, PathBuf)>,
    /// Files that are named as those of secrets and are not there.
    pub(crate) absent: Vec<PathBuf>,
    /// Variables of the environment in which secrets are, by name.
    pub(crate) variables: Vec<String>,
}

/// Why nothing is rehearsed, if nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rehearsal {
    /// It comes now, at these CAs.
    Now(Vec<String>),
    /// Nobody wants one.
    Unwanted,
    /// There is nowhere to rehearse.
    Nowhere(String),
}

/// For people: what there is now.
pub(crate) fn text(target: &Target, written: &Written, context: &Context) -> String {
    let mut page = Page::new(context);
    let config = target.config.display().to_string();
    page.line(
        &Line::indented(0)
            .ink(Ink::Good, "written")
            .column(9, 1)
            .text(config),
    );
    for path in &written.secrets {
        let line = Line::indented(0).ink(Ink::Good, "secret").column(9, 1);
        page.line(&line.text(path.display().to_string()));
    }
    for path in &written.folders {
        let line = Line::indented(0).ink(Ink::Good, "folder").column(9, 1);
        page.line(&line.text(path.display().to_string()));
    }
    for (path, aside) in &written.kept {
        let line = Line::indented(0).ink(Ink::Quiet, "kept").column(9, 1);
        let text = format!("{} is {} now", path.display(), aside.display());
        page.line(&line.hang_here().text(text));
    }
    for path in &written.absent {
        let line = Line::indented(0).ink(Ink::Warn, "missing").column(9, 1);
        let text = format!("{} is named for a secret and is not there", path.display());
        page.line(&line.hang_here().text(text));
        page.hint(9, "write the secret into it before the next run");
    }
    for name in &written.variables {
        let line = Line::indented(0).ink(Ink::Warn, "note").column(9, 1);
        let text = format!("env:{name} is there for you, and not for a run that starts by itself");
        page.line(&line.hang_here().text(text));
        page.hint(
            9,
            &format!("waxwing secret set NAME, then \"file:NAME\" instead of \"env:{name}\""),
        );
    }
    page.finish()
}

/// What is about to be rehearsed, or why nothing is.
pub(crate) fn rehearsal(rehearsal: &Rehearsal, context: &Context) -> String {
    let mut page = Page::new(context);
    let text = match rehearsal {
        Rehearsal::Now(cas) => format!(
            "Rehearsal at {}: real DNS records, nothing is stored, and installers only plan.",
            cas.join(", ")
        ),
        Rehearsal::Unwanted => return String::new(),
        Rehearsal::Nowhere(why) => format!("Nothing is rehearsed: {why}."),
    };
    page.line(&Line::indented(0).hang_here().text(text));
    page.finish()
}

/// What comes next.
pub(crate) fn next(target: &Target, good: bool, context: &Context) -> String {
    let mut page = Page::new(context);
    let commands = commands(target, good);
    page.line(&Line::indented(0).ink(Ink::Strong, "Next:"));
    let widest = commands
        .iter()
        .map(|(line, _)| line.len())
        .max()
        .unwrap_or(0);
    for (line, what) in &commands {
        let line = Line::indented(2).text(line).column(widest + 5, 3);
        page.line(&line.hang_here().ink(Ink::Quiet, what));
    }
    page.finish()
}

fn commands(target: &Target, good: bool) -> Vec<(String, &'static str)> {
    let named = if target.usual {
        String::new()
    } else {
        format!(" -c {}", quote(&target.config.display().to_string()))
    };
    let line = |verb: &str| format!("waxwing{named} {verb}");
    if good {
        vec![
            (line("renew"), "issues and installs it"),
            (line("schedule add"), "from then on by itself"),
        ]
    } else {
        vec![
            (line("check"), "looks at everything that a renewal needs"),
            (
                line("renew --dry-run"),
                "rehearses again, once that is mended",
            ),
        ]
    }
}

/// For machines.
pub(crate) fn json(target: &Target, written: &Written) -> Value {
    let shown = |path: &Path| path.display().to_string();
    let all = |paths: &[PathBuf]| -> Vec<String> { paths.iter().map(|path| shown(path)).collect() };
    let kept = written.kept.iter();
    let kept: Vec<Value> = kept
        .map(|(path, aside)| json!({ "path": shown(path), "kept_as": shown(aside) }))
        .collect();
    let next: Vec<String> = commands(target, true)
        .into_iter()
        .map(|(line, _)| line)
        .collect();
    json!({
        "config": shown(&target.config),
        "secrets": all(&written.secrets),
        "folders": all(&written.folders),
        "kept": kept,
        "missing": all(&written.absent),
        "not_for_timers": written.variables.iter().map(|name| format!("env:{name}")).collect::<Vec<_>>(),
        "next": next,
    })
}
