//! A question in words: what is asked, what it is for, and what counts if nothing is typed.

use waxwing_core::ca::CaProfile;
use waxwing_core::init::{
    Answer, Answers, Facts, Part, Question, Slot, cas, default, file_of, plugin_of, property,
    section,
};
use waxwing_core::notify::shape;
use waxwing_core::plugin::{Manifest, World};

use super::super::page::{Context, Ink, Line, Page};
use super::super::toml::inline;

/// The text above the line on which somebody types.
pub(crate) fn text(
    facts: &Facts<'_>,
    answers: &Answers,
    question: &Question,
    context: &Context,
) -> String {
    let mut page = Page::new(context);
    page.plain(0, "");
    let (asked, about) = words(facts, answers, question);
    page.line(&Line::indented(0).ink(Ink::Strong, asked));
    for line in about {
        page.line(&Line::indented(2).hang_here().text(line));
    }
    page.finish()
}

/// The beginning of the line on which somebody types, with what counts if nothing is typed.
pub(crate) fn prompt(facts: &Facts<'_>, answers: &Answers, question: &Question) -> String {
    match default(facts, answers, question).map(|answer| shown(&answer)) {
        Some(usual) => format!("  [{}] ", super::super::page::clean(&usual)),
        None => "  > ".to_owned(),
    }
}

/// A question that is answered by yes or no, with what counts if nothing is typed in a capital.
pub(crate) fn yes_or_no(question: &str, usual: bool) -> String {
    let words = if usual { "[Y/n]" } else { "[y/N]" };
    format!("{question} {words} ")
}

/// Why an answer is none.
pub(crate) fn refused(why: &str, context: &Context) -> String {
    let mut page = Page::new(context);
    let line = Line::indented(2).ink(Ink::Bad, "no:").text(" ");
    page.line(&line.hang_here().text(why));
    page.finish()
}

/// An answer as it would be typed.
fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Names(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            names.join(" ")
        }
        Answer::Cas(names, _) => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            names.join(", ")
        }
        Answer::Text(text) | Answer::Reference(text) => text.clone(),
        Answer::Texts(all) => all.join(" "),
        Answer::Value(value) => match value {
            serde_json::Value::String(text) => text.clone(),
            other => inline(other),
        },
        Answer::Yes => "yes".to_owned(),
        Answer::Nothing => "none".to_owned(),
        Answer::Secret(_) => String::new(),
    }
}

fn words(facts: &Facts<'_>, answers: &Answers, question: &Question) -> (String, Vec<String>) {
    let said = |asked: &str, about: &[&str]| {
        let about = about.iter().map(|line| (*line).to_owned());
        (asked.to_owned(), about.collect())
    };
    match question {
        Question::Domains => said(
            "Which names shall the certificate have?",
            &["With spaces between them: www.example.com *.example.com"],
        ),
        Question::Cas => cas_words(facts),
        Question::Trust => said(
            "Which root has signed the HTTPS certificate of that CA?",
            &["A PEM file; none, if it is one that every machine trusts."],
        ),
        Question::Email => said(
            "Which address may the CAs write to?",
            &["They use it for the account, and for warnings."],
        ),
        Question::KeyId(ca) => (
            format!(
                "What is the key id of the credentials from {}?",
                title(facts, ca.as_str())
            ),
            vec![
                "It gives accounts only to those who have credentials from its web page."
                    .to_owned(),
            ],
        ),
        Question::Terms => (
            "Do you agree to the terms of these CAs?".to_owned(),
            terms(facts, answers),
        ),
        Question::Dns => (
            "Where is the DNS of these names?".to_owned(),
            plugins(facts, World::Dns),
        ),
        Question::Setting { part, key } => {
            let manifest = plugin_of(facts, answers, part);
            setting(manifest, &section(answers, part), key)
        }
        Question::Secret(slot) => secret(facts, answers, slot),
        Question::Install => {
            let mut about = plugins(facts, World::Installer);
            about.push("none: it is only stored.".to_owned());
            (
                "What brings the certificate to where it is used?".to_owned(),
                about,
            )
        }
        Question::Server => said(
            "What serves it there?",
            &["One word, which names its section: nginx, haproxy, mail."],
        ),
        Question::Folder(purpose) => {
            let installer = plugin_of(facts, answers, &Part::Installer);
            let want = installer.and_then(|manifest| manifest.files.get(purpose));
            let about = want.map(|want| format!("It is {}.", want.purpose));
            let more =
                "The whole path; it is made if it is not there. Nothing else in it is touched.";
            (
                format!(
                    "Into which folder may {} write?",
                    section(answers, &Part::Installer)
                ),
                about.into_iter().chain([more.to_owned()]).collect(),
            )
        }
        Question::Command(purpose) => {
            let installer = plugin_of(facts, answers, &Part::Installer);
            let want = installer.and_then(|manifest| manifest.exec.get(purpose));
            let mut about: Vec<String> = want
                .map(|want| format!("It {}.", want.purpose))
                .into_iter()
                .collect();
            if let Some(want) = want.filter(|want| !want.parameters.is_empty()) {
                let names: Vec<String> = want
                    .parameters
                    .keys()
                    .map(|name| format!("{{{name}}}"))
                    .collect();
                about.push(format!("It may hold {}.", names.join(", ")));
            }
            about.push("No shell; none for no command.".to_owned());
            (format!("Which command is the {purpose}?"), about)
        }
        Question::ServedAt => said(
            "Where is it served?",
            &[
                "www.example.com:443, or mail.example.com:25 starttls=smtp, with commas between them.",
                "After each renewal it is looked at whether the new one is there; none, if nobody shall.",
            ],
        ),
        Question::Notify => said(
            "How are you told when a renewal fails?",
            &["mail, webhook, or none: then `waxwing status` is all there is."],
        ),
        Question::Smtp => said(
            "Which server takes the mail?",
            &[
                "submission://mx.example.com (STARTTLS), smtps://mx.example.com (TLS), or \
               smtp://localhost",
            ],
        ),
        Question::To => said("Who gets the mail?", &["With spaces between them."]),
        Question::From => said("Whom is it from?", &[]),
        Question::User => said(
            "Who are we at the mail server?",
            &["The name of the user; none, if it asks nobody."],
        ),
        Question::Shape => (
            "What does the receiver want to see?".to_owned(),
            vec![shape::names().collect::<Vec<_>>().join(", ")],
        ),
    }
}

fn title(facts: &Facts<'_>, name: &str) -> String {
    let found = facts
        .profiles
        .values()
        .find(|profile| profile.name.as_str() == name);
    found.map_or_else(|| name.to_owned(), |profile| profile.title.clone())
}

fn cas_words(facts: &Facts<'_>) -> (String, Vec<String>) {
    let mut about = vec![
        "In their order, with spaces between them: the second one stands in while the first one fails."
            .to_owned(),
    ];
    let real = facts.profiles.values().filter(|profile| !profile.staging);
    about.extend(real.map(|profile| {
        let mut marks = Vec::new();
        if profile.may_charge {
            marks.push("may charge");
        }
        if profile.eab.required && profile.eab.offers.is_empty() {
            marks.push("wants credentials from its web page");
        }
        match marks.is_empty() {
            true => format!("{}: {}", profile.name, profile.title),
            false => format!("{}: {} ({})", profile.name, profile.title, marks.join(", ")),
        }
    }));
    about.push("Or the URL of a directory, for a CA of your own.".to_owned());
    ("Which CAs shall sign it?".to_owned(), about)
}

/// Where the terms are: of the CAs that are named, and of those at which they are rehearsed.
fn terms(facts: &Facts<'_>, answers: &Answers) -> Vec<String> {
    let named: Vec<&CaProfile> = cas(facts, answers).collect();
    let rehearsed = named.iter().filter_map(|profile| {
        let at = profile.rehearse_at.as_ref()?;
        facts.profiles.get(at)
    });
    let mut lines: Vec<String> = Vec::new();
    let mut urls: Vec<&str> = Vec::new();
    for profile in named.iter().copied().chain(rehearsed) {
        match profile.notes.get("terms") {
            Some(url) if urls.contains(&url.as_str()) => {}
            Some(url) => {
                urls.push(url);
                lines.push(format!("{}: {url}", profile.title));
            }
            None if !profile.staging => {
                lines.push(format!("{}: it names them itself", profile.title));
            }
            None => {}
        }
    }
    if let Some(Answer::Cas(_, Some(directory))) = answers.get(&Question::Cas) {
        lines.push(format!("{directory}: it names them itself"));
    }
    lines
}

fn plugins(facts: &Facts<'_>, world: World) -> Vec<String> {
    let all = facts.plugins(world);
    let mut all: Vec<String> = all
        .map(|manifest| format!("{}: {}", manifest.id, manifest.summary))
        .collect();
    if world == World::Dns && facts.files.is_empty() {
        all.push(
            "One that is not built in: begin with `waxwing init --plugin FILE.wasm`.".to_owned(),
        );
    }
    all
}

fn setting(manifest: Option<&Manifest>, name: &str, key: &str) -> (String, Vec<String>) {
    let property = manifest.and_then(|manifest| property(manifest, key));
    let text = |word: &str| property.and_then(|it| it.get(word)?.as_str().map(str::to_owned));
    let mut about: Vec<String> = text("description").into_iter().collect();
    if let Some(example) = property.and_then(|it| it.get("examples")?.as_array()?.first()) {
        about.push(format!("For example: {}", typed(example)));
    }
    let choices = property.and_then(|it| it.get("enum")?.as_array());
    if let Some(choices) = choices {
        let all: Vec<String> = choices
            .iter()
            .map(|one| shown(&Answer::Value(one.clone())))
            .collect();
        about.push(all.join(", "));
    }
    let asked = match text("title") {
        Some(title) => format!("{title} ({key} of {name})"),
        None => format!("{key} of {name}?"),
    };
    (asked, about)
}

/// The value of a setting as it may be typed: the braces around a table can be left out.
fn typed(value: &serde_json::Value) -> String {
    let text = shown(&Answer::Value(value.clone()));
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner
        .filter(|_| value.is_object())
        .map_or(text.clone(), |inner| inner.trim().to_owned())
}

fn secret(facts: &Facts<'_>, answers: &Answers, slot: &Slot) -> (String, Vec<String>) {
    let manifest = plugin_of(facts, answers, &slot.part);
    let want = manifest.and_then(|manifest| manifest.secrets.get(&slot.name));
    let mut about: Vec<String> = want
        .and_then(|want| want.description.clone())
        .into_iter()
        .collect();
    about.push(format!(
        "It is not shown. It goes into the file {}, which its owner alone can read.",
        file_of(answers, slot)
    ));
    let whose = match &slot.part {
        Part::Notify => String::new(),
        Part::Ca(ca) => format!(" of {}", title(facts, ca.as_str())),
        part => format!(" of {}", section(answers, part)),
    };
    (format!("The secret {}{whose}?", slot.name), about)
}

#[cfg(test)]
mod tests {
    use waxwing_core::init::read::read;

    use super::*;
    use crate::init::tests::world;

    #[test]
    fn an_example_can_be_typed_as_it_is_shown() {
        world(|facts| {
            let mut seen = 0;
            for manifest in facts.manifests {
                let (part, question) = match manifest.world {
                    World::Dns => (Part::Dns, Question::Dns),
                    World::Installer => (Part::Installer, Question::Install),
                };
                let answers = Answers::from([(question, Answer::Text(manifest.id.clone()))]);
                let properties = manifest.schema.get("properties");
                let properties = properties.and_then(|all| all.as_object());
                for (key, property) in properties.into_iter().flatten() {
                    let examples = property.get("examples").and_then(|all| all.as_array());
                    for example in examples.into_iter().flatten() {
                        let part = part.clone();
                        let question = Question::Setting {
                            part,
                            key: key.clone(),
                        };
                        let answer = read(facts, &answers, &question, &typed(example));
                        assert_eq!(answer, Ok(Answer::Value(example.clone())), "{key}");
                        seen += 1;
                    }
                }
            }
            assert!(seen > 0);
        });
    }
}
