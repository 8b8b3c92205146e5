//! The first configuration of a machine, as its text, and what is said behind it.

pub(crate) mod done;
pub(crate) mod question;

use serde_json::Value as Json;
use waxwing_core::init::{
    self, Answer, Answers, Facts, HMAC_KEY, MAIL, OWN_CA, Part, Question, SMTP_PASSWORD, Slot,
    WEBHOOK, WEBHOOK_URL,
};
use waxwing_core::name::Identifier;
use waxwing_core::plugin::{Manifest, World};

use super::plugin::hosts;
use super::toml::{Text, inline, key, quoted};
use crate::init::more::More;

/// The text of the configuration.
pub(crate) fn text(facts: &Facts<'_>, answers: &Answers, mut more: More) -> String {
    let mut text = Text::default();
    text.comment(
        "Written by `waxwing init`. `waxwing check` looks at it, `waxwing plan` says what it means, \
         `waxwing renew --dry-run` rehearses it.",
    );
    lines(&mut text, more.take(&[]));
    text.head("[account]");
    match word(answers, &Question::Email) {
        Some(email) => text.line(&format!("email = {}", quoted(email))),
        None => text.comment("email = \"you@example.com\"   # whom the CAs write to"),
    }
    text.comment("To the terms of every CA that is named below: `waxwing ca list` links them.");
    text.line("agree-terms = true");
    lines(&mut text, more.take(&["account"]));

    text.head("[defaults]");
    let names: Vec<String> = named_cas(answers)
        .map(|name| quoted(name.as_str()))
        .collect();
    if names.len() > 1 {
        text.comment("In this order: the next one stands in while the one before it fails.");
    } else {
        text.comment("A second CA in this list stands in while the first one fails.");
    }
    text.line(&format!("ca = [{}]", names.join(", ")));
    lines(&mut text, more.take(&["defaults"]));
    for name in named_cas(answers) {
        ca(&mut text, answers, name.as_str(), &mut more);
    }
    if let Some(manifest) = init::dns(facts, answers) {
        plugin(&mut text, facts, answers, &Part::Dns, manifest, &mut more);
    }
    match init::installer(facts, answers) {
        Some(manifest) => plugin(
            &mut text,
            facts,
            answers,
            &Part::Installer,
            manifest,
            &mut more,
        ),
        None => {
            text.line("");
            let how = match facts.plugins(World::Installer).next() {
                Some(some) => format!("`waxwing plugin inspect {} --example` prints", some.id),
                None => "an installer is".to_owned(),
            };
            text.comment(&format!(
                "The certificate is stored and not installed anywhere: {how} the section that does it."
            ));
        }
    }
    notifier(&mut text, answers, &mut more);
    certificate(&mut text, answers, &mut more);
    for (head, rest) in more.rest() {
        text.head(&format!("[{head}]"));
        lines(&mut text, rest);
    }
    text.finish()
}

fn lines(text: &mut Text, lines: Vec<String>) {
    for line in lines {
        text.line(&line);
    }
}

fn word<'a>(answers: &'a Answers, question: &Question) -> Option<&'a str> {
    match answers.get(question) {
        Some(Answer::Text(text)) => Some(text),
        _ => None,
    }
}

/// The CAs in their order.
fn named_cas(answers: &Answers) -> impl Iterator<Item = &waxwing_core::name::CaName> {
    let names = match answers.get(&Question::Cas) {
        Some(Answer::Cas(names, _)) => names.as_slice(),
        _ => &[],
    };
    names.iter()
}

/// The names of the certificate.
pub(super) fn domains(answers: &Answers) -> &[Identifier] {
    match answers.get(&Question::Domains) {
        Some(Answer::Names(names)) => names,
        _ => &[],
    }
}

/// The reference that stands for a secret, if there is one.
fn reference(answers: &Answers, part: &Part, name: &str) -> Option<String> {
    let slot = Slot {
        part: part.clone(),
        name: name.to_owned(),
    };
    let file = init::file_of(answers, &slot);
    match answers.get(&Question::Secret(slot))? {
        Answer::Secret(_) => Some(quoted(&format!("file:{file}"))),
        Answer::Reference(text) => Some(quoted(text)),
        _ => None,
    }
}

fn ca(text: &mut Text, answers: &Answers, name: &str, more: &mut More) {
    let mut section = Vec::new();
    if name == OWN_CA
        && let Some(Answer::Cas(_, Some(directory))) = answers.get(&Question::Cas)
    {
        section.push(format!("directories = [{}]", quoted(directory)));
        if let Some(root) = word(answers, &Question::Trust) {
            section.push(format!("trust = {}", quoted(root)));
        }
    }
    let Ok(parsed) = waxwing_core::name::CaName::parse(name) else {
        return;
    };
    let part = Part::Ca(parsed.clone());
    if let (Some(id), Some(secret)) = (
        word(answers, &Question::KeyId(parsed)),
        reference(answers, &part, HMAC_KEY),
    ) {
        section.push(format!(
            "eab = {{ key-id = {}, hmac-key = {secret} }}",
            quoted(id)
        ));
    }
    section.extend(more.take(&["ca", name]));
    if !section.is_empty() {
        text.head(&format!("[ca.{}]", key(name)));
        lines(text, section);
    }
}

fn plugin(
    text: &mut Text,
    facts: &Facts<'_>,
    answers: &Answers,
    part: &Part,
    manifest: &Manifest,
    more: &mut More,
) {
    let name = init::section(answers, part);
    text.line("");
    text.comment(&manifest.summary);
    text.line(&format!("[plugin.{}]", key(&name)));
    let rest = more.take(&["plugin", &name]);
    if let Some(file) = facts.files.get(&manifest.id) {
        text.line(&format!("uses = {}", quoted(&file.path)));
        text.line(&format!("sha256 = {}", quoted(&file.sha256)));
        let granted = rest.iter().any(|line| line.starts_with("grants.http"));
        if !granted && !manifest.http.is_empty() {
            let hosts = inline(&Json::from(hosts(&manifest.http)));
            text.line(&format!("grants.http = {{ hosts = {hosts} }}"));
        }
    } else if name != manifest.id {
        text.line(&format!("uses = {}", quoted(&manifest.id)));
    }
    for (question, answer) in answers {
        if let Question::Setting {
            part: whose,
            key: setting,
        } = question
            && whose == part
            && let Answer::Value(value) = answer
        {
            let property = init::property(manifest, setting);
            let usual = property.and_then(|property| property.get("default")) == Some(value);
            let line = format!("settings.{} = {}", key(setting), inline(value));
            // What is usual is shown and left to be usual.
            text.line(&if usual { format!("# {line}") } else { line });
        }
    }
    for secret in manifest.secrets.keys() {
        if let Some(reference) = reference(answers, part, secret) {
            text.line(&format!("secrets.{} = {reference}", key(secret)));
        }
    }
    for (purpose, want) in &manifest.files {
        if let Some(dir) = word(answers, &Question::Folder(purpose.clone())) {
            let mut grant = vec![format!("dir = {}", quoted(dir))];
            if facts.windows {
                grant.push("acl = [\"SYSTEM:full\", \"Administrators:full\"]".to_owned());
            } else {
                text.comment(&format!(
                    "{}; group = \"NAME\", mode = \"0640\" in it let others read",
                    want.purpose
                ));
            }
            text.line(&format!(
                "grants.files.{} = {{ {} }}",
                key(purpose),
                grant.join(", ")
            ));
        }
    }
    for (purpose, want) in &manifest.exec {
        match answers.get(&Question::Command(purpose.clone())) {
            Some(Answer::Texts(words)) => {
                let words = Json::from(words.clone());
                text.line(&format!(
                    "grants.exec.{} = {{ argv = {} }}",
                    key(purpose),
                    inline(&words)
                ));
            }
            _ => text.comment(&format!(
                "grants.exec.{} = {{ argv = [\"/path/to/command\"] }}   # {}",
                key(purpose),
                want.purpose
            )),
        }
    }
    lines(text, rest);
}

fn notifier(text: &mut Text, answers: &Answers, more: &mut More) {
    let way = word(answers, &Question::Notify);
    let Some(way) = way else {
        text.line("");
        text.comment(
            "Nobody is told when a renewal fails: [notify.mail], and below it smtp, from and to.",
        );
        return;
    };
    text.line("");
    text.comment("Of failures, of what ends soon, and of what is not served; `waxwing notify test` proves it.");
    text.line(&format!("[notify.{}]", key(way)));
    match way {
        MAIL => {
            if let Some(server) = word(answers, &Question::Smtp) {
                text.line(&format!("smtp = {}", quoted(server)));
            }
            if let Some(from) = word(answers, &Question::From) {
                text.line(&format!("from = {}", quoted(from)));
            }
            if let Some(Answer::Texts(to)) = answers.get(&Question::To) {
                text.line(&format!("to = {}", inline(&Json::from(to.clone()))));
            }
            let password = reference(answers, &Part::Notify, SMTP_PASSWORD);
            if let (Some(user), Some(password)) = (word(answers, &Question::User), password) {
                text.line(&format!(
                    "login = {{ user = {}, password = {password} }}",
                    quoted(user)
                ));
            }
        }
        WEBHOOK => {
            if let Some(url) = reference(answers, &Part::Notify, WEBHOOK_URL) {
                text.line(&format!("webhook = {url}"));
            }
            if let Some(shape) = word(answers, &Question::Shape) {
                text.line(&format!("shape = {}", quoted(shape)));
            }
        }
        _ => {}
    }
    lines(text, more.take(&["notify", way]));
}

fn certificate(text: &mut Text, answers: &Answers, more: &mut More) {
    let names: Vec<String> = domains(answers)
        .iter()
        .map(|name| quoted(&name.to_string()))
        .collect();
    text.head("[[certificate]]");
    text.line(&format!("domains = [{}]", names.join(", ")));
    let own = more.take(&["certificate"]);
    let looked_at = own.iter().any(|line| line.starts_with("served-at"));
    let places = match answers.get(&Question::ServedAt) {
        Some(Answer::Texts(places)) if !looked_at => places.as_slice(),
        _ => &[],
    };
    if !places.is_empty() {
        let places = inline(&Json::from(places.to_vec()));
        text.line(&format!("served-at = {places}"));
    } else if let Some(first) = domains(answers).first()
        && !looked_at
    {
        text.comment(&format!(
            "served-at = [{}]   # afterwards: is the new one really served there?",
            quoted(&format!("{}:443", first.domain))
        ));
    }
    lines(text, own);
}

#[cfg(test)]
mod tests;
