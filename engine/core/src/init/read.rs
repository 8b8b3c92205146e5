//! What somebody has answered, read once and into a form that cannot be wrong.

use std::collections::BTreeSet;
use std::path::Path;

use super::{
    Answer, Answers, Facts, MAIL, OWN_CA, Part, Question, Slot, WEBHOOK, cas, default, plugin_of,
    property,
};
use crate::http::has_userinfo;
use crate::import::words::{plain_words, windows_words};
use crate::name::{CaName, Identifier, PluginName};
use crate::nearest::nearest;
use crate::notify::shape;
use crate::notify::{MailServer, bad_webhook_url};
use crate::plugin::World;
use crate::secret::Secret;
use crate::settings::path::{self, is_absolute};
use crate::settings::resolve::account;
use crate::settings::resolve::plugins::grants::unknown_placeholders;
use crate::settings::schema;
use crate::settings::served_at::ServedAt;

/// Words for none.
const NONE: [&str; 2] = ["none", "-"];

/// Reads an answer.
///
/// # Errors
/// Why it is none, in words for whoever gave it. A secret is never repeated.
pub fn read(
    facts: &Facts<'_>,
    answers: &Answers,
    question: &Question,
    text: &str,
) -> Result<Answer, String> {
    let text = text.trim();
    if text.is_empty() {
        let default = default(facts, answers, question);
        return default.ok_or_else(|| wanted(question).to_owned());
    }
    let may_be_none = matches!(default(facts, answers, question), Some(Answer::Nothing))
        || matches!(question, Question::Command(_));
    if may_be_none && NONE.contains(&text) {
        return Ok(Answer::Nothing);
    }
    if !matches!(question, Question::Secret(_)) && text.chars().any(char::is_control) {
        return Err("it holds a control character".to_owned());
    }
    match question {
        Question::Domains => domains(text),
        Question::Cas => named_cas(facts, text),
        Question::Trust => roots(facts, text),
        Question::Email | Question::From => address(text).map(Answer::Text),
        Question::KeyId(_) | Question::User => Ok(Answer::Text(text.to_owned())),
        Question::Terms => yes_or_no(text).map(|said| match said {
            Some(true) => Answer::Yes,
            _ => Answer::Nothing,
        }),
        Question::Dns => one_of(
            "DNS plugin",
            text,
            facts.plugins(World::Dns).map(|one| one.id.as_str()),
        ),
        Question::Install => one_of(
            "installer",
            text,
            facts.plugins(World::Installer).map(|one| one.id.as_str()),
        ),
        Question::Setting { part, key } => setting(facts, answers, part, key, text),
        Question::Secret(slot) => secret(slot, text),
        Question::Server => match PluginName::parse(text) {
            Ok(name) if super::section(answers, &Part::Dns) == name.as_str() => {
                Err(format!("{name} is the DNS plugin; name what it serves"))
            }
            Ok(name) => Ok(Answer::Text(name.as_str().to_owned())),
            Err(error) => Err(error.to_string()),
        },
        Question::Folder(_) => folder(facts, text),
        Question::Command(purpose) => command(facts, answers, purpose, text),
        Question::ServedAt => served_at(text),
        Question::Notify => one_of("way of telling", text, [MAIL, WEBHOOK]),
        Question::Smtp => MailServer::parse(text).map(|_| Answer::Text(text.to_owned())),
        Question::To => words(text)
            .map(address)
            .collect::<Result<_, _>>()
            .map(Answer::Texts),
        Question::Shape => one_of("shape", text, shape::names()),
    }
}

/// What to answer where nothing was typed and nothing is proposed.
fn wanted(question: &Question) -> &'static str {
    match question {
        Question::Domains => "at least one name belongs here, such as www.example.com",
        Question::Secret(_) => {
            "nothing was typed; type or paste the secret, which is not shown, and then the return key"
        }
        Question::KeyId(_) => "the id belongs here, as the web page of the CA shows it",
        Question::Terms => "the answer is yes or no",
        Question::Email | Question::To | Question::From => {
            "an address belongs here, such as you@example.com"
        }
        Question::Smtp => "a server belongs here, such as submission://mx.example.com",
        Question::Dns => "one of these belongs here, by its name or its number in the list",
        Question::Folder(_) => "a folder belongs here, from the root on",
        Question::Setting { .. } => "it works only with a value here",
        _ => "there is no usual answer to this",
    }
}

/// What somebody says to a question that is answered by yes or no; none if nothing was typed.
///
/// # Errors
/// When it is neither.
pub fn yes_or_no(text: &str) -> Result<Option<bool>, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "y" | "yes" => Ok(Some(true)),
        "n" | "no" => Ok(Some(false)),
        _ => Err("the answer is yes or no".to_owned()),
    }
}

/// The parts of a list that somebody has typed: commas or spaces between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

/// Places with commas between them: a space may stand within one.
fn served_at(text: &str) -> Result<Answer, String> {
    let places = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let read = |one: &str| match ServedAt::parse(one) {
        Ok(_) => Ok(one.to_owned()),
        Err(why) => Err(format!("{one}: {why}; write www.example.com:443")),
    };
    places
        .map(read)
        .collect::<Result<_, _>>()
        .map(Answer::Texts)
}

fn domains(text: &str) -> Result<Answer, String> {
    let mut names: Vec<Identifier> = Vec::new();
    for word in words(text) {
        let name =
            Identifier::parse(word).map_err(|error| format!("{error}; write {}", error.hint()))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Answer::Names(names))
}

fn named_cas(facts: &Facts<'_>, text: &str) -> Result<Answer, String> {
    let (mut names, mut directory) = (Vec::new(), None);
    for word in words(text) {
        let name = if word.contains("://") {
            let good = word
                .strip_prefix("https://")
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            if !good || has_userinfo(word) {
                return Err(
                    "the directory of a CA is an https:// URL without a user and a password"
                        .to_owned(),
                );
            }
            if directory.replace(word.to_owned()).is_some() {
                return Err(
                    "one directory of a CA of your own; others can be written into the \
                            configuration later"
                        .to_owned(),
                );
            }
            CaName::parse(OWN_CA).map_err(|error| error.to_string())?
        } else {
            let known = || facts.profiles.keys().map(CaName::as_str);
            let found = facts.profiles.keys().find(|name| name.as_str() == word);
            found.cloned().ok_or_else(|| match nearest(word, known()) {
                Some(near) => format!("no CA {word:?} is known; did you mean {near:?}?"),
                None => format!(
                    "no CA {word:?} is known: {}, or the URL of a directory",
                    known().collect::<Vec<_>>().join(", ")
                ),
            })?
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Answer::Cas(names, directory))
}

fn address(text: &str) -> Result<String, String> {
    account::email(text)
}

fn roots(facts: &Facts<'_>, text: &str) -> Result<Answer, String> {
    path::check(text).map_err(|bad| bad.message)?;
    (facts.roots)(text).map(Answer::Text)
}

fn folder(facts: &Facts<'_>, text: &str) -> Result<Answer, String> {
    path::check(text).map_err(|bad| bad.message)?;
    if !is_absolute(text) {
        return Err(format!("{text:?} must be a whole path, from the root on"));
    }
    (facts.folder)(text)?;
    Ok(Answer::Text(text.to_owned()))
}

fn one_of<'n>(
    noun: &str,
    text: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Result<Answer, String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(found) = known.iter().find(|name| **name == text) {
        return Ok(Answer::Text((*found).to_owned()));
    }
    // People choose from a list by its numbers, too.
    let by_number = text
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    if let Some(found) = by_number.and_then(|index| known.get(index)) {
        return Ok(Answer::Text((*found).to_owned()));
    }
    Err(match nearest(text, known.iter().copied()) {
        Some(near) => format!("no {noun} {text:?}; did you mean {near:?}?"),
        None => format!("no {noun} {text:?}; there is {}", known.join(", ")),
    })
}

fn setting(
    facts: &Facts<'_>,
    answers: &Answers,
    part: &Part,
    key: &str,
    text: &str,
) -> Result<Answer, String> {
    let property = plugin_of(facts, answers, part).and_then(|manifest| property(manifest, key));
    let property = property.ok_or_else(|| format!("there is no setting {key:?}"))?;
    schema::answer(property, key, text).map(Answer::Value)
}

/// A secret as it was typed. The reader of secrets takes white space off its edges, too.
fn secret(slot: &Slot, text: &str) -> Result<Answer, String> {
    if text.chars().any(char::is_control) {
        return Err("a secret of one line has no control characters".to_owned());
    }
    if slot.part == Part::Notify
        && slot.name == super::WEBHOOK_URL
        && let Some(wrong) = bad_webhook_url(text)
    {
        return Err(wrong.to_owned());
    }
    Ok(Answer::Secret(Secret::new(text.to_owned())))
}

/// Reads a reference to a secret that a flag gives.
///
/// # Errors
/// When it is none. What was written is not repeated: it may be the secret.
pub fn reference(text: &str) -> Result<Answer, String> {
    let wrong = "only a reference may stand here, as an argument is seen by everybody on the machine: \
                 file:PATH, env:NAME or credential:NAME";
    match text.split_once(':') {
        Some(("file" | "env" | "credential", rest))
            if !rest.is_empty() && rest == rest.trim() && path::check(rest).is_ok() =>
        {
            Ok(Answer::Reference(text.to_owned()))
        }
        _ => Err(wrong.to_owned()),
    }
}

fn command(
    facts: &Facts<'_>,
    answers: &Answers,
    purpose: &str,
    text: &str,
) -> Result<Answer, String> {
    let words = if facts.windows {
        windows_words(text)
    } else {
        plain_words(&braces(text)).map_err(|sign| {
            format!(
                "{sign} needs a shell, and none is used: put the line into a script and name that"
            )
        })?
    };
    let words: Vec<String> = words.iter().map(|word| unbraced(word)).collect();
    let program = words.first().cloned().unwrap_or_default();
    let whole = whole_command(facts, &words).ok_or_else(|| match is_absolute(&program) {
        true => format!("there is no program {program:?}; put it there first, or answer none"),
        false => format!(
            "there is no program {program:?} in the folders of the system; write its whole path"
        ),
    })?;
    let path = whole.first().map_or("", String::as_str);
    if !(facts.may_run)(Path::new(path)) {
        return Err(format!(
            "{path} may not be run: `chmod +x {path}` first, or answer none"
        ));
    }
    if let Some(manifest) = super::installer(facts, answers)
        && let Some(want) = manifest.exec.get(purpose)
    {
        let written = written_files(answers);
        let files = (!manifest.files.is_empty()).then_some(written.as_slice());
        let unknown = |word: &String| unknown_placeholders(word, want, files);
        if let Some((message, hint)) = whole.iter().flat_map(unknown).next() {
            return Err(format!("{message}; {hint}"));
        }
    }
    Ok(Answer::Texts(whole))
}

/// The files that the installer writes, as far as they were answered; an empty name stands for any.
fn written_files(answers: &Answers) -> Vec<String> {
    let question = Question::Setting {
        part: Part::Installer,
        key: "files".to_owned(),
    };
    match answers.get(&question) {
        Some(Answer::Value(serde_json::Value::Object(files))) => files.keys().cloned().collect(),
        _ => vec![String::new()],
    }
}

/// Placeholders are no signs of a shell: their braces are set aside while the words are told apart.
fn braces(text: &str) -> String {
    text.replace('{', "\u{e000}").replace('}', "\u{e001}")
}

fn unbraced(word: &str) -> String {
    word.replace('\u{e000}', "{").replace('\u{e001}', "}")
}

/// The same command with the whole path of its program; none if there is no such program.
pub(super) fn whole_command(facts: &Facts<'_>, words: &[String]) -> Option<Vec<String>> {
    let (program, arguments) = words.split_first()?;
    let found = (facts.program)(program)?;
    Some(
        std::iter::once(found.to_string_lossy().into_owned())
            .chain(arguments.iter().cloned())
            .collect(),
    )
}

/// Where a setting given by a flag belongs: the part whose plugin has it. `written` is `KEY` or
/// `PLUGIN.KEY`.
///
/// # Errors
/// When no plugin that was chosen has it, or both have.
pub fn setting_of(facts: &Facts<'_>, answers: &Answers, written: &str) -> Result<Question, String> {
    let parts = [Part::Dns, Part::Installer];
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for part in parts {
        let Some(manifest) = plugin_of(facts, answers, &part) else {
            continue;
        };
        let properties = manifest
            .schema
            .get("properties")
            .and_then(|all| all.as_object());
        for key in properties.into_iter().flat_map(|all| all.keys()) {
            let whole = format!("{}.{key}", super::section(answers, &part));
            if written == key || written == whole {
                found.push(Question::Setting {
                    part: part.clone(),
                    key: key.clone(),
                });
            }
            known.insert(whole);
        }
    }
    one(found, written, "setting", &known)
}

/// Where a secret given by a flag belongs, likewise.
///
/// # Errors
/// When nothing that was chosen has it, or several have.
pub fn slot_of(facts: &Facts<'_>, answers: &Answers, written: &str) -> Result<Question, String> {
    let mut slots: Vec<Slot> = Vec::new();
    for part in [Part::Dns, Part::Installer] {
        let manifest = plugin_of(facts, answers, &part);
        let names = manifest
            .into_iter()
            .flat_map(|manifest| manifest.secrets.keys());
        slots.extend(names.map(|name| Slot {
            part: part.clone(),
            name: name.clone(),
        }));
    }
    let of_cas = cas(facts, answers).filter(|profile| super::needs_credentials(profile));
    slots.extend(of_cas.map(|profile| Slot {
        part: Part::Ca(profile.name.clone()),
        name: super::HMAC_KEY.to_owned(),
    }));
    slots.extend([super::SMTP_PASSWORD, super::WEBHOOK_URL].map(|name| Slot {
        part: Part::Notify,
        name: name.to_owned(),
    }));
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for slot in slots {
        let whole = match slot.part {
            Part::Notify => slot.name.clone(),
            _ => format!("{}.{}", super::section(answers, &slot.part), slot.name),
        };
        if written == slot.name || written == whole {
            found.push(Question::Secret(slot));
        }
        known.insert(whole);
    }
    one(found, written, "secret", &known)
}

fn one(
    mut found: Vec<Question>,
    written: &str,
    noun: &str,
    known: &BTreeSet<String>,
) -> Result<Question, String> {
    let list = || {
        known
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (found.pop(), found.is_empty()) {
        (Some(question), true) => Ok(question),
        (Some(_), false) => Err(format!("several have a {noun} {written:?}: {}", list())),
        (None, _) if known.is_empty() => Err(format!("nothing that was chosen has a {noun}")),
        (None, _) => Err(format!(
            "there is no {noun} {written:?}; there is {}",
            list()
        )),
    }
}

/// True if a file can be named like that beside the configuration.
pub fn is_file_name(text: &str) -> bool {
    let only = Path::new(text).components().count() == 1;
    only && !text.contains(['/', '\\']) && !text.starts_with('.') && path::check(text).is_ok()
}
