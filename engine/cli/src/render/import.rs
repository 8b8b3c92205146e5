//! What came over from another client, what did not, and what to do then.

use std::path::Path;

use serde_json::{Value, json};
use waxwing_core::import::{self, Client};
use waxwing_core::name::CertificateName;

use super::page::{Context, Ink, Line, Page, count, list};
use crate::exit::Exit;
use crate::import::Draft;
use crate::import::write::{Done, Outcome};

pub(crate) mod config;

/// An import that has been decided, and carried out unless it is only said.
pub(crate) struct View<'a> {
    /// From which client.
    pub(crate) client: Client,
    /// Its folder.
    pub(crate) from: &'a Path,
    /// What was decided.
    pub(crate) draft: &'a Draft,
    /// What became of it.
    pub(crate) done: &'a Done,
    /// True if nothing was written.
    pub(crate) dry: bool,
    /// True if the configuration was printed and not written.
    pub(crate) printed: bool,
    /// The state folder.
    pub(crate) state: &'a Path,
}

impl View<'_> {
    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        let some = !self.draft.unread.is_empty() || self.done.outcomes().any(failed);
        let all = self.draft.certificates.is_empty() && self.draft.accounts.is_empty();
        match (some, all) {
            (false, _) => Exit::Done,
            (true, false) => Exit::SomeFailed,
            (true, true) => Exit::AllFailed,
        }
    }

    fn ready(&self) -> usize {
        let certificates = self.draft.certificates.iter();
        certificates.filter(|one| one.off.is_none()).count()
    }
}

/// Where the second column begins.
const WHAT: usize = 13;

/// For people.
pub(crate) fn text(view: &View<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    let (draft, done) = (view.draft, view.done);
    let verdict = format!(
        "{}: {} of {} can be renewed by Waxwing, {}",
        view.client,
        view.ready(),
        count(
            draft.certificates.len() + draft.left_out.len(),
            "certificate"
        ),
        match draft.remarks.len() + draft.unread.len() {
            0 => "nothing is left to do".to_owned(),
            left => format!("{} to look at", count(left, "thing")),
        },
    );
    page.line(&Line::indented(0).hang_here().ink(Ink::Strong, verdict));
    if view.dry {
        let why = if view.printed {
            "Nothing was written; --out FILE writes the configuration and what belongs to it."
        } else {
            "Nothing was written: --dry-run."
        };
        page.line(&Line::indented(0).hang_here().text(why));
    }
    if let Some((path, outcome)) = &done.config {
        row(&mut page, "config", &path.display().to_string(), outcome);
    }
    for (path, outcome) in &done.secrets {
        row(&mut page, "secret", &path.display().to_string(), outcome);
    }
    for (ca, url, file, outcome) in &done.accounts {
        let what = match url {
            Some(url) => format!("{ca}, {url}, from {file}"),
            None => format!("{ca}, from {file}"),
        };
        row(&mut page, "account", &what, outcome);
    }
    for (name, file, outcome) in &done.versions {
        row(
            &mut page,
            "certificate",
            &format!("{name}, from {file}"),
            outcome,
        );
    }
    if !draft.unread.is_empty() {
        page.line(&Line::indented(0).ink(
            Ink::Bad,
            "These files cannot be read; the others came over:",
        ));
        for one in &draft.unread {
            let line = Line::indented(2).ink(Ink::Strong, &one.file);
            page.line(&line.text(": ").text(&one.cause));
        }
        let refused = draft
            .unread
            .iter()
            .any(|one| one.cause.contains("ermission denied"));
        let next = match refused {
            true => {
                "they are another user's: run the import as that user, mostly root (`sudo waxwing import …`)"
            }
            false => {
                "mend them or take them away, then import again: what is there already stays as it is"
            }
        };
        page.hint(2, next);
    }
    if !draft.remarks.is_empty() {
        page.line(&Line::indented(0).ink(Ink::Warn, "To look at:"));
        for one in &draft.remarks {
            let line = Line::indented(2).hang_here().ink(Ink::Strong, &one.about);
            page.line(&line.text(": ").text(&one.what));
            page.line(&Line::indented(4).hang_here().text("-> ").text(&one.next));
        }
    }
    let certificates = draft.certificates.iter();
    let nowhere = certificates.filter(|one| one.off.is_none() && one.install.is_empty());
    let nowhere: Vec<&CertificateName> = nowhere.map(|one| &one.name).collect();
    if !nowhere.is_empty() {
        let line = Line::indented(0)
            .ink(Ink::Warn, "Only stored, and brought to no server yet: ")
            .hang_here()
            .text(list(&nowhere, NAMED));
        page.line(&line);
        let next = format!(
            "a server that reads {}'s files serves what is there until it ends: write an installer and point it to \
             its files, or `waxwing export`, before you stop {}",
            view.client, view.client
        );
        page.hint(2, &next);
    }
    let others = stays(draft);
    let client = view.client;
    let then =
        "Then: `waxwing check`, `waxwing plan`, `waxwing renew --dry-run`. When all is well,";
    let last = match others.is_empty() {
        true => format!("{then} stop {client}: {}.", import::farewell(client)),
        // Who stopped it would let these run out.
        false => format!(
            "{then} take what came over out of {client}, one client for each name, and let it go on for {}, \
             which nothing here renews. With nothing left there, stop it: {}.",
            others.join(" and "),
            import::farewell(client)
        ),
    };
    page.line(&Line::indented(0).hang_here().text(last));
    page.line(&Line::indented(0).hang_here().ink(
        Ink::Quiet,
        format!("Nothing of {} was changed.", view.client),
    ));
    page.finish()
}

/// What the other client alone renews, in words.
fn stays(draft: &Draft) -> Vec<String> {
    let off = draft.certificates.iter().filter(|one| one.off.is_some());
    let off = off.map(|one| one.name.as_str());
    let out = draft.left_out.iter().map(String::as_str);
    let left: Vec<&str> = off.chain(out).collect();
    let named = (!left.is_empty()).then(|| list(&left, NAMED));
    let unread = (!draft.unread.is_empty()).then(|| "what could not be read".to_owned());
    named.into_iter().chain(unread).collect()
}

/// So many certificates are named.
const NAMED: usize = 4;

fn row(page: &mut Page<'_>, kind: &str, what: &str, outcome: &Outcome) {
    let (ink, word) = words(outcome);
    let line = Line::indented(2).text(kind).column(WHAT + 2, 1).hang_here();
    page.line(&line.text(what).text(": ").ink(ink, word));
}

fn words(outcome: &Outcome) -> (Ink, String) {
    match outcome {
        Outcome::Written => (Ink::Good, "written".to_owned()),
        Outcome::Would => (Ink::Good, "would be written".to_owned()),
        Outcome::There => (Ink::Quiet, "there already".to_owned()),
        Outcome::Other(why) => (Ink::Warn, format!("left alone, {why}")),
        Outcome::Failed(why) => (Ink::Bad, format!("failed: {why}")),
    }
}

/// For machines.
pub(crate) fn json(view: &View<'_>, config: &str) -> Value {
    let (draft, done) = (view.draft, view.done);
    let certificates: Vec<Value> = draft
        .certificates
        .iter()
        .map(|one| {
            let domains: Vec<String> = one.domains.iter().map(ToString::to_string).collect();
            json!({
                "name": one.name.as_str(),
                "domains": domains,
                "ca": one.ca.as_ref().map(ToString::to_string),
                "key": one.key.as_str(),
                "install": one.install,
                "not_renewed": one.off,
            })
        })
        .collect();
    let secrets: Vec<Value> = done
        .secrets
        .iter()
        .map(|(path, outcome)| merged(json!({ "path": path }), outcome))
        .collect();
    let accounts: Vec<Value> = done
        .accounts
        .iter()
        .map(|(ca, url, file, outcome)| {
            merged(
                json!({ "ca": ca.as_str(), "url": url, "from": file }),
                outcome,
            )
        })
        .collect();
    let stored: Vec<Value> = done
        .versions
        .iter()
        .map(|(name, file, outcome)| {
            merged(
                json!({ "certificate": name.as_str(), "from": file }),
                outcome,
            )
        })
        .collect();
    let written = done
        .config
        .as_ref()
        .map(|(path, outcome)| merged(json!({ "path": path }), outcome));
    let left: Vec<Value> = draft
        .remarks
        .iter()
        .map(|one| json!({ "about": one.about, "what": one.what, "next": one.next }))
        .collect();
    let unread: Vec<Value> = draft
        .unread
        .iter()
        .map(|one| json!({ "file": one.file, "cause": one.cause }))
        .collect();
    json!({
        "client": view.client.as_str(),
        "from": view.from,
        "state": view.state,
        "written": !view.dry,
        "config": config,
        "config_file": written,
        "certificates": certificates,
        "secrets": secrets,
        "accounts": accounts,
        "stored": stored,
        "left": left,
        "unread": unread,
        // Who stopped it would let the rest run out.
        "stop_the_other": stays(draft).is_empty().then(|| import::farewell(view.client)),
        "left_out": draft.left_out,
    })
}

/// An object with its outcome: a word, and a sentence if there is more to say.
fn merged(mut object: Value, outcome: &Outcome) -> Value {
    let (word, why) = match outcome {
        Outcome::Written => ("written", None),
        Outcome::Would => ("would-be-written", None),
        Outcome::There => ("there-already", None),
        Outcome::Other(why) => ("left-alone", Some(why)),
        Outcome::Failed(why) => ("failed", Some(why)),
    };
    object["outcome"] = word.into();
    object["why"] = json!(why);
    object
}
