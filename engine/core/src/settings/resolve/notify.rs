//! `[notify.NAME]`

use std::collections::{BTreeMap, BTreeSet};

use super::plugins::grants;
use crate::document::problem::Problem;
use crate::document::section::{At, Section};
use crate::document::{Entry, Value};
use crate::name::NotifierName;
use crate::nearest::nearest;
use crate::notify::event::EventKind;
use crate::notify::shape::{self, Shape};
use crate::notify::{
    MailLogin, MailServer, MailSettings, NotifySettings, SecretHeader, Way, WebhookSettings,
    WebhookUrl, bad_webhook_url,
};
use crate::settings::raw::Raw;
use crate::settings::{SecretRef, secret_ref};

const SERVER: &str = "\"submission://mx.example.com:587\"";
const ADDRESSES: &str = "[\"ops@example.com\"]";
const URL: &str = "\"https://hooks.example.com/...\"";
const COMMAND: &str = "[\"/usr/local/bin/tell\"]";
const ON: &str = "[\"failed\", \"expiry-near\"]";

/// The shape of a webhook that says nothing about it.
const USUAL_SHAPE: &str = "json";

pub(super) fn read(root: &Section<'_>, raw: &Raw) -> BTreeMap<NotifierName, NotifySettings> {
    let mut found = BTreeMap::new();
    let Some(section) = root.section("notify") else {
        return found;
    };
    for entry in section.named_entries() {
        let path = section.path.below(&entry.key);
        // `[notify]` itself has no keys, and `smtp = ...` below it is a common slip.
        if !matches!(entry.node.value, Value::Table(_)) {
            section.problems().add(
                Problem::new(
                    entry.at.clone(),
                    path.as_str(),
                    "a notifier has a name of its own",
                )
                .hint("[notify.mail], and the keys below it"),
            );
            continue;
        }
        let name = match NotifierName::parse(&entry.key) {
            Ok(name) => name,
            Err(reason) => {
                let problem = Problem::new(entry.at.clone(), path.as_str(), reason.to_string());
                section
                    .problems()
                    .add(problem.hint("a name as in [notify.mail]"));
                continue;
            }
        };
        let Some(inner) = Section::of_entry(entry, path, section.problems()) else {
            continue;
        };
        if let Some(settings) = notifier(&name, inner, raw) {
            found.insert(name, settings);
        }
    }
    found
}

/// The keys of which a notifier has exactly one.
const WAYS: [&str; 4] = ["smtp", "webhook", "command", "log"];

fn notifier(name: &NotifierName, section: Section<'_>, raw: &Raw) -> Option<NotifySettings> {
    let on = on(&section);
    let written: Vec<(&str, &Entry)> = WAYS
        .into_iter()
        .filter_map(|key| Some((key, section.take(key)?)))
        .collect();
    let way = match written.as_slice() {
        [("smtp", _)] => mail(&section, raw).map(Way::Mail),
        [("webhook", entry)] => webhook(&section, entry, raw).map(Way::Webhook),
        [("command", _)] => section
            .texts("command", COMMAND)
            .and_then(|argv| grants::absolute_command(&section, "command", argv))
            .map(Way::Command),
        [("log", _)] => log(&section),
        [] => {
            if !WAYS.into_iter().any(|key| section.is_misspelled(key)) {
                section.problems().add(
                    section
                        .problem(&section.at, "smtp", "how it tells somebody is missing")
                        .hint(format!(
                            "smtp = {SERVER}, webhook = {URL}, command = {COMMAND} or log = true"
                        )),
                );
            }
            take_all(&section);
            None
        }
        [(first, _), rest @ ..] => {
            for (key, entry) in rest {
                let message = format!("this notifier has `{first}` already; one is one way");
                let problem = section.problem(&entry.at, key, message);
                section
                    .problems()
                    .add(problem.hint(format!("a section [notify.NAME] of its own for `{key}`")));
            }
            take_all(&section);
            None
        }
    };
    section.finish(&[
        ("server", &format!("smtp = {SERVER}")),
        ("host", &format!("smtp = {SERVER}")),
        ("url", &format!("webhook = {URL}")),
        ("events", &format!("on = {ON}")),
        (
            "user",
            "login = { user = \"...\", password = \"file:...\" }",
        ),
        (
            "password",
            "login = { user = \"...\", password = \"file:...\" }",
        ),
        (
            "token",
            "header = { name = \"authorization\", scheme = \"Bearer\", secret = \"file:...\" }",
        ),
    ]);
    Some(NotifySettings {
        name: name.clone(),
        way: way?,
        on,
    })
}

/// Which keys count is not known, so none of them is unknown.
fn take_all(section: &Section<'_>) {
    for key in ["from", "to", "login", "trust", "shape", "header"] {
        section.take(key);
    }
}

fn on(section: &Section<'_>) -> BTreeSet<EventKind> {
    let events = EventKind::ALL.map(|kind| (kind.as_str(), kind));
    let no_event = |one: &At<&str>| {
        let all = EventKind::ALL.map(EventKind::as_str);
        let message = format!("no event \"{}\"", one.value);
        match nearest(one.value, all) {
            Some(near) => {
                let message = format!("{message}; did you mean \"{near}\"?");
                section.problem(&one.at, "on", message)
            }
            None => section
                .problem(&one.at, "on", message)
                .hint(format!("events are {}", all.join(", "))),
        }
    };
    let Some(list) = section.words("on", ON, events, no_event) else {
        return EventKind::usual().collect();
    };
    let none_written = matches!(
        section.refused("on").map(|entry| &entry.node.value),
        Some(Value::Array(items)) if items.is_empty()
    );
    if none_written {
        let problem = section.problem(&list.at, "on", "it would never tell anything");
        let hint = "leave `on` out to be told of everything that somebody may have to act upon";
        section.problems().add(problem.hint(hint));
    }
    list.value.into_iter().collect()
}

fn log(section: &Section<'_>) -> Option<Way> {
    let log = section.flag("log")?;
    if !log.value {
        let problem = section.problem(&log.at, "log", "false says how it does not tell");
        let hint = "log = true, or leave the whole section out";
        section.problems().add(problem.hint(hint));
        return None;
    }
    Some(Way::Log)
}

fn mail(section: &Section<'_>, raw: &Raw) -> Option<MailSettings> {
    let server = section.parsed("smtp", SERVER, MailServer::parse);
    let from = section.parsed("from", "\"waxwing@example.com\"", address);
    let to = section.texts("to", ADDRESSES);
    for (key, example) in [("from", "\"waxwing@example.com\""), ("to", ADDRESSES)] {
        if section.take(key).is_none() && !section.is_misspelled(key) {
            section.problems().add(
                section
                    .problem(&section.at, key, "a mail needs it")
                    .hint(format!("{key} = {example}")),
            );
        }
    }
    let mut recipients: Vec<String> = Vec::new();
    if let Some(At { at, value }) = &to
        && value.is_empty()
    {
        let problem = section.problem(at, "to", "nobody would get the mail");
        section
            .problems()
            .add(problem.hint(format!("to = {ADDRESSES}")));
    }
    let all_good = to.as_ref().is_some_and(|to| {
        to.value.iter().all(|one| match address(one.value) {
            Ok(address) => {
                if !recipients.contains(&address) {
                    recipients.push(address);
                }
                true
            }
            Err(message) => {
                let problem = section.problem(&one.at, "to", message);
                section
                    .problems()
                    .add(problem.hint(format!("to = {ADDRESSES}")));
                false
            }
        })
    });
    let login = section.section("login").map(|login| read_login(login, raw));
    let trust = section.path_value("trust", "\"mail-root.pem\"", |at| raw.folder(at));
    let login = match login {
        None => None,
        Some(Some(login)) => Some(login),
        Some(None) => return None,
    };
    Some(MailSettings {
        server: server?.value,
        from: from?.value,
        to: Some(recipients).filter(|to| all_good && !to.is_empty())?,
        login,
        trust,
    })
}

fn read_login(section: Section<'_>, raw: &Raw) -> Option<MailLogin> {
    let user = section.parsed("user", "\"waxwing\"", |text| {
        if text.is_empty() || text.contains(char::is_control) {
            return Err("this is no user".to_owned());
        }
        Ok(text.to_owned())
    });
    let password = secret(&section, "password", "smtp-password", raw);
    for key in ["user", "password"] {
        if section.lacks(key) {
            section.problems().add(
                section
                    .problem(&section.at, key, "a login needs it")
                    .hint("login = { user = \"waxwing\", password = \"file:smtp-password\" }"),
            );
        }
    }
    section.finish(&[
        ("pass", "password = \"file:smtp-password\""),
        ("username", "user = \"waxwing\""),
    ]);
    Some(MailLogin {
        user: user?.value,
        password: password?,
    })
}

fn secret(
    section: &Section<'_>,
    key: &'static str,
    store_as: &str,
    raw: &Raw,
) -> Option<SecretRef> {
    let entry = section.take(key)?;
    let folder = raw.folder(&entry.node.at);
    let path = section.path.below(key);
    secret_ref::read(entry, &path, folder, store_as, section.problems())
}

fn webhook(section: &Section<'_>, entry: &Entry, raw: &Raw) -> Option<WebhookSettings> {
    let url = url(section, entry, raw);
    let shapes = shape::names().map(|name| (name, name));
    let shape = match section.word("shape", "\"json\"", shapes, no_shape) {
        Some(name) => Shape::named(name.value),
        None if section.refused("shape").is_some() => None,
        None => Shape::named(USUAL_SHAPE),
    };
    let header = section.section("header").map(|one| read_header(one, raw));
    let trust = section.path_value("trust", "\"hook-root.pem\"", |at| raw.folder(at));
    let header = match header {
        None => None,
        Some(Some(header)) => Some(header),
        Some(None) => return None,
    };
    Some(WebhookSettings {
        url: url?,
        shape: shape?,
        header,
        trust,
    })
}

fn no_shape(text: &str) -> String {
    let all: Vec<&str> = shape::names().collect();
    match nearest(text, all.iter().copied()) {
        Some(near) => format!("no shape \"{text}\"; did you mean \"{near}\"?"),
        None => format!("no shape \"{text}\" (shapes: {})", all.join(", ")),
    }
}

/// A URL, or a reference to one. No message repeats it: it may be a credential.
fn url(section: &Section<'_>, entry: &Entry, raw: &Raw) -> Option<WebhookUrl> {
    let is_reference = match &entry.node.value {
        Value::String(text) => ["file:", "env:", "credential:"]
            .iter()
            .any(|kind| text.starts_with(kind)),
        Value::Table(_) => true,
        _ => false,
    };
    if is_reference {
        return secret(section, "webhook", "webhook-url", raw).map(WebhookUrl::Secret);
    }
    let text = section.text("webhook", URL)?;
    if let Some(wrong) = bad_webhook_url(text.value) {
        let problem = section.problem(&text.at, "webhook", wrong);
        section
            .problems()
            .add(problem.hint(format!("webhook = {URL} or webhook = \"file:webhook-url\"")));
        return None;
    }
    Some(WebhookUrl::Written(text.value.to_owned()))
}

fn read_header(section: Section<'_>, raw: &Raw) -> Option<SecretHeader> {
    let token = |text: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if text.is_empty() || !text.bytes().all(good) {
            return Err(format!("{text:?} cannot stand in a header field"));
        }
        Ok(text.to_owned())
    };
    let name = section.parsed("name", "\"authorization\"", |text| {
        token(text).map(|name| name.to_ascii_lowercase())
    });
    let scheme = section.parsed("scheme", "\"Bearer\"", token);
    let secret = secret(&section, "secret", "webhook-token", raw);
    for key in ["name", "secret"] {
        if section.lacks(key) {
            section.problems().add(
                section
                    .problem(&section.at, key, "a header field needs it")
                    .hint(
                        "header = { name = \"authorization\", scheme = \"Bearer\", secret = \
                         \"file:webhook-token\" }",
                    ),
            );
        }
    }
    section.finish(&[("value", "secret = \"file:webhook-token\"")]);
    Some(SecretHeader {
        name: name?.value,
        scheme: scheme.map(|scheme| scheme.value),
        secret: secret?,
    })
}

/// One bare address: no name beside it, no list, and nothing that ends a line of a mail.
fn address(text: &str) -> Result<String, String> {
    let parts = text.split_once('@').filter(|(user, host)| {
        let host = host.strip_suffix('.').unwrap_or(host);
        !user.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.')
    });
    let plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, ',' | ';' | '<' | '>' | '"' | '(' | ')' | '\\')
    };
    if parts.is_some() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not one bare e-mail address as ops@example.com"
        ))
    }
}
