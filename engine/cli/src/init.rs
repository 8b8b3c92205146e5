//! The first configuration: what flags and a person answer.
//!
//! Which question is next is decided in `waxwing_core::init`; here answers come in, and go on to
//! `render::init`, which makes a configuration of them.

pub(crate) mod more;

use std::io;

use waxwing_core::init::read::{self, read};
use waxwing_core::init::{Answer, Answers, Facts, Part, Question, installer, next, settle};
use waxwing_core::secret::Secret;

use crate::args::init::Init;
use crate::render::init::question;
use crate::render::page::Context;

/// Somebody who can be asked.
pub(crate) trait Person {
    /// Asks for a line; none if nobody is there any more.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;
    /// Asks for what must not be shown, likewise.
    fn secret(&mut self, prompt: &str) -> io::Result<Option<Secret<String>>>;
    /// Tells something.
    fn tell(&mut self, text: &str);
}

/// Why there are no answers.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Somebody stopped, or is gone.
    Stopped,
    /// The terminal cannot be used.
    Terminal(io::Error),
}

/// Takes over what flags answer.
///
/// # Errors
/// Every flag that says what cannot be, with why.
pub(crate) fn from_flags(flags: &Init, facts: &Facts<'_>) -> Result<Answers, Vec<String>> {
    let mut taken = Taken {
        facts,
        answers: Answers::new(),
        wrong: Vec::new(),
    };
    let joined = |all: &[String]| (!all.is_empty()).then(|| all.join(" "));
    taken.take("--domain", Question::Domains, joined(&flags.domains));
    taken.take("--ca", Question::Cas, joined(&flags.cas));
    taken.take("--ca-trust", Question::Trust, flags.ca_trust.clone());
    taken.take("--email", Question::Email, flags.email.clone());
    let agreed = flags.agree_terms.then(|| "yes".to_owned());
    taken.take("--agree-terms", Question::Terms, agreed);
    taken.take("--dns", Question::Dns, flags.dns.clone());
    taken.take("--install", Question::Install, flags.install.clone());
    taken.take("--server", Question::Server, flags.server.clone());
    let served = (!flags.served_at.is_empty()).then(|| flags.served_at.join(", "));
    taken.take("--served-at", Question::ServedAt, served);
    taken.take("--notify", Question::Notify, flags.notify.clone());
    taken.take("--smtp", Question::Smtp, flags.smtp.clone());
    taken.take("--to", Question::To, joined(&flags.to));
    taken.take("--from", Question::From, flags.from.clone());
    taken.take("--smtp-user", Question::User, flags.smtp_user.clone());
    taken.take("--shape", Question::Shape, flags.shape.clone());
    for flag in &flags.key_ids {
        taken.named("--key-id", flag, |_, _, ca| {
            let ca = waxwing_core::name::CaName::parse(ca);
            ca.map(Question::KeyId).map_err(|error| error.to_string())
        });
    }
    for flag in &flags.folders {
        // The purpose may be left out: there is hardly an installer with two folders.
        let purpose = taken.folder();
        let named = flag
            .split_once('=')
            .is_some_and(|(word, _)| Some(word) == purpose.as_deref());
        match purpose.filter(|_| !named) {
            Some(purpose) => {
                taken.take("--folder", Question::Folder(purpose), Some(flag.clone()));
            }
            None => taken.named("--folder", flag, |_, _, it| {
                Ok(Question::Folder(it.to_owned()))
            }),
        }
    }
    // Which files there are decides what a command may name.
    for flag in &flags.settings {
        taken.named("--set", flag, read::setting_of);
    }
    for flag in &flags.commands {
        taken.named("--run", flag, |facts, answers, purpose| {
            let known = installer(facts, answers).map(|manifest| &manifest.exec);
            match known {
                Some(known) if known.contains_key(purpose) => {
                    Ok(Question::Command(purpose.to_owned()))
                }
                Some(known) => {
                    let all: Vec<&str> = known.keys().map(String::as_str).collect();
                    Err(format!("the installer runs {}", all.join(" and ")))
                }
                None => Err("there is no installer; --install names one".to_owned()),
            }
        });
    }
    for flag in &flags.secrets {
        taken.named("--secret", flag, read::slot_of);
    }
    if taken.wrong.is_empty() {
        Ok(taken.answers)
    } else {
        Err(taken.wrong)
    }
}

/// Answers of flags as they come in.
struct Taken<'a, 'f> {
    facts: &'a Facts<'f>,
    answers: Answers,
    wrong: Vec<String>,
}

impl Taken<'_, '_> {
    fn take(&mut self, flag: &str, question: Question, text: Option<String>) {
        let Some(text) = text else {
            return;
        };
        let probe = self.probe();
        let answer = match &question {
            Question::Secret(_) => read::reference(&text),
            _ if text.trim().is_empty() => Err("nothing stands behind it".to_owned()),
            question => read(self.facts, &probe, question, &text),
        };
        match answer {
            Ok(answer) => {
                self.answers.insert(question, answer);
            }
            Err(why) => self.wrong.push(format!("{flag}: {why}")),
        }
    }

    /// A flag that names what it is about: `NAME=VALUE`.
    fn named(
        &mut self,
        flag: &str,
        written: &str,
        question: impl FnOnce(&Facts<'_>, &Answers, &str) -> Result<Question, String>,
    ) {
        let Some((name, value)) = written.split_once('=') else {
            // What stands there may be a secret.
            self.wrong.push(format!("{flag} takes NAME=VALUE"));
            return;
        };
        let probe = self.probe();
        match question(self.facts, &probe, name.trim()) {
            Ok(question) => self.take(&format!("{flag} {name}"), question, Some(value.to_owned())),
            Err(why) => self.wrong.push(format!("{flag} {name}: {why}")),
        }
    }

    /// The answers, with the usual ones in place of those that are not there: what a flag is about
    /// depends on them.
    fn probe(&self) -> Answers {
        let mut probe = self.answers.clone();
        settle(self.facts, &mut probe);
        probe
    }

    /// The purpose of the only folder that the installer needs.
    fn folder(&self) -> Option<String> {
        let probe = self.probe();
        let files = installer(self.facts, &probe)?.files.iter();
        let mut needed = files.filter(|(_, want)| want.required);
        let first = needed.next().map(|(purpose, _)| purpose.clone());
        first.filter(|_| needed.next().is_none())
    }
}

/// Asks until all is known. With `usual` only for what has no usual answer.
///
/// # Errors
/// When somebody stops.
pub(crate) fn ask(
    facts: &Facts<'_>,
    answers: &mut Answers,
    usual: bool,
    person: &mut dyn Person,
    context: &Context,
) -> Result<(), Unanswered> {
    loop {
        let open = if usual {
            settle(facts, answers).into_iter().next()
        } else {
            next(facts, answers)
        };
        let Some(question) = open else {
            return Ok(());
        };
        person.tell(&question::text(facts, answers, &question, context));
        let prompt = question::prompt(facts, answers, &question);
        let answer = loop {
            let text = if matches!(question, Question::Secret(_)) {
                let typed = person.secret(&prompt).map_err(Unanswered::Terminal)?;
                typed.map(|secret| secret.expose().clone())
            } else {
                person.line(&prompt).map_err(Unanswered::Terminal)?
            };
            let text = text.ok_or(Unanswered::Stopped)?;
            match read(facts, answers, &question, &text) {
                Ok(answer) => break answer,
                Err(why) => person.tell(&question::refused(&why, context)),
            }
        };
        let refused = question == Question::Terms && answer == Answer::Nothing;
        answers.insert(question, answer);
        if refused {
            return Ok(());
        }
    }
}

/// Whether somebody agrees. The return key says what `usual` says; any other word than yes and no is
/// asked about again.
///
/// # Errors
/// When somebody stops.
pub(crate) fn agrees(
    question: &str,
    usual: bool,
    person: &mut dyn Person,
    context: &Context,
) -> Result<bool, Unanswered> {
    let prompt = question::yes_or_no(question, usual);
    loop {
        let text = person.line(&prompt).map_err(Unanswered::Terminal)?;
        let text = text.ok_or(Unanswered::Stopped)?;
        match read::yes_or_no(&text) {
            Ok(said) => return Ok(said.unwrap_or(usual)),
            Err(why) => person.tell(&question::refused(&why, context)),
        }
    }
}

/// True if somebody has said no to the terms.
pub(crate) fn are_refused(answers: &Answers) -> bool {
    answers.get(&Question::Terms) == Some(&Answer::Nothing)
}

/// The flag that answers a question.
pub(crate) fn flag(answers: &Answers, question: &Question) -> String {
    let whose = |part: &Part, name: &str| match part {
        Part::Notify => name.to_owned(),
        part => format!("{}.{name}", waxwing_core::init::section(answers, part)),
    };
    match question {
        Question::Domains => "--domain NAME".to_owned(),
        Question::Cas => "--ca CA".to_owned(),
        Question::Trust => "--ca-trust FILE".to_owned(),
        Question::Email => "--email ADDRESS".to_owned(),
        Question::KeyId(ca) => format!("--key-id {ca}=ID"),
        Question::Terms => "--agree-terms".to_owned(),
        Question::Dns => "--dns PLUGIN".to_owned(),
        Question::Setting { part, key } => format!("--set {}=VALUE", whose(part, key)),
        Question::Secret(slot) => format!("--secret {}=file:PATH", whose(&slot.part, &slot.name)),
        Question::Install => "--install PLUGIN".to_owned(),
        Question::Server => "--server NAME".to_owned(),
        Question::Folder(_) => "--folder DIR".to_owned(),
        Question::Command(purpose) => format!("--run {purpose}=COMMAND"),
        Question::ServedAt => "--served-at HOST:PORT".to_owned(),
        Question::Notify => "--notify WAY".to_owned(),
        Question::Smtp => "--smtp URL".to_owned(),
        Question::To => "--to ADDRESS".to_owned(),
        Question::From => "--from ADDRESS".to_owned(),
        Question::User => "--smtp-user USER".to_owned(),
        Question::Shape => "--shape SHAPE".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
