//! The first configuration of a machine: which question comes next, what may be answered, and what
//! counts where nobody answers.
//!
//! Answers are values and questions follow from them, so that a person at a terminal and a script with
//! flags take the same way: a flag is an answer that is there before the question. Nothing here asks
//! anybody, and nothing here knows what a question looks like.
//!
//! What a newcomer gets wrong: an answer may be there for a question that is not asked. Settings and
//! secrets that have a sensible default are never asked for, but a flag may give them.

pub mod read;
pub mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use self::server::Server;
use crate::ca::{CaProfile, EabSource};
use crate::name::{CaName, Identifier};
use crate::plugin::{Manifest, WantSecret, World};
use crate::secret::Secret;

/// What a CA of the operator's own is called here.
pub const OWN_CA: &str = "internal";

/// The MAC key of credentials that a CA has handed out.
pub const HMAC_KEY: &str = "hmac-key";

/// The password of a mail server.
pub const SMTP_PASSWORD: &str = "smtp-password";

/// The URL of a webhook, which is a credential at many receivers.
pub const WEBHOOK_URL: &str = "webhook-url";

/// What is known before anybody answers.
pub struct Facts<'a> {
    /// The CAs that may be named.
    pub profiles: &'a BTreeMap<CaName, CaProfile>,
    /// The plugins that may be named.
    pub manifests: &'a [Manifest],
    /// Those of them that come from a file, by their id.
    pub files: &'a BTreeMap<String, PluginFile>,
    /// The whole path of a program of this machine, by its name or by that path.
    pub program: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// True if that program may be run.
    pub may_run: &'a dyn Fn(&Path) -> bool,
    /// Whether a file holds certificates, as somebody names it who stands beside the configuration or where the
    /// command was typed: what the configuration calls it; else why it gives no roots.
    pub roots: &'a dyn Fn(&str) -> Result<String, String>,
    /// Whether a folder is there or can be made, as far as files in its place say; else why not.
    pub folder: &'a dyn Fn(&str) -> Result<(), String>,
    /// True if a file of that name is beside the configuration already.
    pub is_there: &'a dyn Fn(&str) -> bool,
    /// True where command lines are those of Windows.
    pub windows: bool,
}

/// Where a plugin is that is not built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFile {
    /// The path of its component, as the configuration names it.
    pub path: String,
    /// The SHA-256 digest of the component, in lower-case hexadecimal digits: the pin.
    pub sha256: String,
}

impl Facts<'_> {
    /// The plugins of a kind.
    pub fn plugins(&self, world: World) -> impl Iterator<Item = &Manifest> {
        let all = self.manifests.iter();
        all.filter(move |manifest| manifest.world == world)
    }

    fn plugin(&self, world: World, id: &str) -> Option<&Manifest> {
        self.plugins(world).find(|manifest| manifest.id == id)
    }

    /// The CAs that are asked when nobody names one, in their order.
    pub fn default_cas(&self) -> Vec<CaName> {
        let ranked = self.profiles.values();
        let mut ranked: Vec<(u32, &CaName)> = ranked
            .filter_map(|profile| Some((profile.default_rank?, &profile.name)))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which names the certificate has.
    Domains,
    /// Which CAs sign it, in their order.
    Cas,
    /// What the endpoint of a CA of the operator's own is verified with.
    Trust,
    /// Whom the CAs write to.
    Email,
    /// The id of the credentials that a CA has handed out.
    KeyId(CaName),
    /// Whether the terms of the CAs are agreed to.
    Terms,
    /// Which plugin places the records.
    Dns,
    /// A setting of a plugin.
    Setting {
        /// Of which.
        part: Part,
        /// Its key.
        key: String,
    },
    /// A secret.
    Secret(Slot),
    /// Which plugin brings the certificate to where it is used.
    Install,
    /// What that serves, in one word.
    Server,
    /// A folder that the installer may write to, by the manifest's purpose.
    Folder(String),
    /// A command that the installer may run, by the manifest's purpose.
    Command(String),
    /// Where it is served, to be looked at after each renewal.
    ServedAt,
    /// How somebody is told when a renewal fails.
    Notify,
    /// The mail server.
    Smtp,
    /// Who gets the mail.
    To,
    /// Whom it is from.
    From,
    /// Who we are at the mail server.
    User,
    /// What the receiver of a webhook wants to see.
    Shape,
}

/// Which section of the configuration something belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The DNS plugin.
    Dns,
    /// The installer.
    Installer,
    /// A CA.
    Ca(CaName),
    /// The notifier.
    Notify,
}

/// A place for a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Whose.
    pub part: Part,
    /// Its name there.
    pub name: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Names, without doubles.
    Names(Vec<Identifier>),
    /// CAs, and the directory of [`OWN_CA`] if it is among them.
    Cas(Vec<CaName>, Option<String>),
    /// A text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// The value of a setting.
    Value(Json),
    /// Yes.
    Yes,
    /// No, or none.
    Nothing,
    /// A secret that is still to be stored.
    Secret(Secret<String>),
    /// A reference to one that is somewhere.
    Reference(String),
}

impl Answer {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The answers so far.
pub type Answers = BTreeMap<Question, Answer>;

/// Ways of telling somebody.
pub const MAIL: &str = "mail";
/// Likewise.
pub const WEBHOOK: &str = "webhook";

/// The first question that has no answer yet; none when all is known.
pub fn next(facts: &Facts<'_>, answers: &Answers) -> Option<Question> {
    let mut all = questions(facts, answers).into_iter();
    all.find(|question| !answers.contains_key(question))
}

/// Takes the default for every question that has one. Answers what cannot be known without somebody, as
/// far as it can be told by now: what is asked behind one of these depends on the answer.
pub fn settle(facts: &Facts<'_>, answers: &mut Answers) -> Vec<Question> {
    loop {
        let open: Vec<Question> = questions(facts, answers)
            .into_iter()
            .filter(|question| !answers.contains_key(question))
            .collect();
        let with_default = open
            .iter()
            .find_map(|question| Some((question.clone(), default(facts, answers, question)?)));
        match with_default {
            Some((question, answer)) => {
                answers.insert(question, answer);
            }
            None => return open,
        }
    }
}

/// Everything that has to be known, as far as it follows from the answers so far, in the order in which
/// it is asked.
pub fn questions(facts: &Facts<'_>, answers: &Answers) -> Vec<Question> {
    let mut all = vec![Question::Domains, Question::Cas];
    if let Some(Answer::Cas(_, Some(_))) = answers.get(&Question::Cas) {
        all.push(Question::Trust);
    }
    all.push(Question::Email);
    for profile in cas(facts, answers) {
        if needs_credentials(profile) {
            all.push(Question::KeyId(profile.name.clone()));
            all.push(Question::Secret(Slot {
                part: Part::Ca(profile.name.clone()),
                name: HMAC_KEY.to_owned(),
            }));
        }
    }
    all.push(Question::Terms);
    all.push(Question::Dns);
    if let Some(manifest) = dns(facts, answers) {
        all.extend(settings(&Part::Dns, manifest));
        all.extend(secrets(&Part::Dns, manifest));
    }
    all.push(Question::Install);
    if let Some(manifest) = installer(facts, answers) {
        all.push(Question::Server);
        all.extend(settings(&Part::Installer, manifest));
        let needed = manifest.files.iter().filter(|(_, want)| want.required);
        all.extend(needed.map(|(purpose, _)| Question::Folder(purpose.clone())));
        all.extend(manifest.exec.keys().cloned().map(Question::Command));
        all.extend(secrets(&Part::Installer, manifest));
        all.push(Question::ServedAt);
    }
    all.push(Question::Notify);
    let secret = |name: &str| {
        Question::Secret(Slot {
            part: Part::Notify,
            name: name.to_owned(),
        })
    };
    match answers.get(&Question::Notify).and_then(Answer::text) {
        Some(MAIL) => {
            use Question::{From, Smtp, To, User};
            all.extend([Smtp, To, From, User]);
            if matches!(answers.get(&User), Some(Answer::Text(_))) {
                all.push(secret(SMTP_PASSWORD));
            }
        }
        Some(WEBHOOK) => all.extend([secret(WEBHOOK_URL), Question::Shape]),
        _ => {}
    }
    all
}

/// What counts if nobody answers; none if somebody has to.
pub fn default(facts: &Facts<'_>, answers: &Answers, question: &Question) -> Option<Answer> {
    let text = |text: &str| Some(Answer::Text(text.to_owned()));
    match question {
        Question::Domains | Question::KeyId(_) | Question::Terms | Question::Smtp => None,
        Question::Cas => {
            let cas = facts.default_cas();
            (!cas.is_empty()).then_some(Answer::Cas(cas, None))
        }
        Question::Trust
        | Question::Install
        | Question::ServedAt
        | Question::Notify
        | Question::User => Some(Answer::Nothing),
        Question::Email => {
            let nobody_asks = !cas(facts, answers).any(needs_email);
            (nobody_asks && answers.contains_key(&Question::Cas)).then_some(Answer::Nothing)
        }
        Question::Dns => {
            let mut all = facts.plugins(World::Dns);
            let first = all.next()?;
            all.next().is_none().then(|| Answer::Text(first.id.clone()))
        }
        Question::Setting { part, key } => {
            let manifest = plugin_of(facts, answers, part)?;
            let known = server(answers).filter(|_| *part == Part::Installer);
            if let Some(files) = known.and_then(|known| known.setting(key)) {
                return Some(Answer::Value(files));
            }
            match property(manifest, key)?.get("default") {
                Some(Json::Null) | None if !is_required(manifest, key) => Some(Answer::Nothing),
                Some(value) => Some(Answer::Value(value.clone())),
                None => None,
            }
        }
        Question::Secret(slot) => {
            let file = file_of(answers, slot);
            (facts.is_there)(&file).then(|| Answer::Reference(format!("file:{file}")))
        }
        Question::Server => {
            let here = |server: &&Server| (facts.program)(server.program).is_some();
            let known = server::ALL.iter().find(here);
            text(known.map_or(server::SOME, |server| server.name))
        }
        Question::Folder(_) => text(server(answers)?.folder),
        Question::Command(purpose) => {
            let known = server(answers).and_then(|known| known.command(purpose));
            let words = known.and_then(|words| read::whole_command(facts, &words));
            Some(words.map_or(Answer::Nothing, Answer::Texts))
        }
        Question::To => match answers.get(&Question::Email)? {
            Answer::Text(email) => Some(Answer::Texts(vec![email.clone()])),
            _ => None,
        },
        Question::From => match answers.get(&Question::To)? {
            Answer::Texts(all) => all.first().cloned().map(Answer::Text),
            _ => None,
        },
        Question::Shape => text("json"),
    }
}

/// The variables of the environment that secrets were said to be in. Nothing that starts by itself has
/// them.
pub fn variables(answers: &Answers) -> Vec<&str> {
    let references = answers.values().filter_map(|answer| match answer {
        Answer::Reference(text) => text.strip_prefix("env:"),
        _ => None,
    });
    let mut names: Vec<&str> = references.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The CAs that were named.
pub fn cas<'a>(facts: &'a Facts<'_>, answers: &'a Answers) -> impl Iterator<Item = &'a CaProfile> {
    let names = match answers.get(&Question::Cas) {
        Some(Answer::Cas(names, _)) => names.as_slice(),
        _ => &[],
    };
    names.iter().filter_map(|name| facts.profiles.get(name))
}

/// The DNS plugin that was named.
pub fn dns<'a>(facts: &'a Facts<'_>, answers: &Answers) -> Option<&'a Manifest> {
    facts.plugin(World::Dns, answers.get(&Question::Dns)?.text()?)
}

/// The installer that was named.
pub fn installer<'a>(facts: &'a Facts<'_>, answers: &Answers) -> Option<&'a Manifest> {
    facts.plugin(World::Installer, answers.get(&Question::Install)?.text()?)
}

/// The plugin of that part.
pub fn plugin_of<'a>(facts: &'a Facts<'_>, answers: &Answers, part: &Part) -> Option<&'a Manifest> {
    match part {
        Part::Dns => dns(facts, answers),
        Part::Installer => installer(facts, answers),
        Part::Ca(_) | Part::Notify => None,
    }
}

/// What is known of the server that was named.
fn server(answers: &Answers) -> Option<&'static Server> {
    let name = answers.get(&Question::Server)?.text()?;
    server::ALL.iter().find(|server| server.name == name)
}

/// The name of the section of that part.
pub fn section(answers: &Answers, part: &Part) -> String {
    let text = |question| answers.get(&question).and_then(Answer::text);
    match part {
        Part::Dns => text(Question::Dns).unwrap_or_default().to_owned(),
        Part::Installer => text(Question::Server).unwrap_or(server::SOME).to_owned(),
        Part::Ca(name) => name.as_str().to_owned(),
        Part::Notify => text(Question::Notify).unwrap_or_default().to_owned(),
    }
}

/// The file beside the configuration in which a secret is stored.
pub fn file_of(answers: &Answers, slot: &Slot) -> String {
    match slot.part {
        Part::Notify => slot.name.clone(),
        _ => format!("{}-{}", section(answers, &slot.part), slot.name),
    }
}

/// The settings of a plugin that are asked for, in the order of its form.
fn settings(part: &Part, manifest: &Manifest) -> Vec<Question> {
    let properties = manifest.schema.get("properties").and_then(Json::as_object);
    let mut asked: Vec<(u64, &String)> = properties
        .into_iter()
        .flatten()
        .filter(|(key, property)| {
            let advanced = property.get("x-advanced").and_then(Json::as_bool);
            advanced != Some(true) || is_required(manifest, key)
        })
        .map(|(key, property)| {
            let order = property.get("x-order").and_then(Json::as_u64);
            (order.unwrap_or(u64::MAX), key)
        })
        .collect();
    asked.sort_unstable();
    let question = |(_, key): (u64, &String)| Question::Setting {
        part: part.clone(),
        key: key.clone(),
    };
    asked.into_iter().map(question).collect()
}

/// The secrets that a plugin cannot work without.
fn secrets(part: &Part, manifest: &Manifest) -> Vec<Question> {
    let needed = |(_, want): &(&String, &WantSecret)| want.required;
    let slot = |(name, _): (&String, &WantSecret)| {
        Question::Secret(Slot {
            part: part.clone(),
            name: name.clone(),
        })
    };
    manifest.secrets.iter().filter(needed).map(slot).collect()
}

/// What a manifest says of a setting.
pub fn property<'a>(manifest: &'a Manifest, key: &str) -> Option<&'a Json> {
    manifest.schema.get("properties")?.get(key)
}

fn is_required(manifest: &Manifest, key: &str) -> bool {
    let required = manifest.schema.get("required").and_then(Json::as_array);
    required.is_some_and(|all| all.iter().any(|one| one == key))
}

/// True for a CA that gives accounts only with credentials which nobody but the operator can get.
fn needs_credentials(profile: &CaProfile) -> bool {
    profile.eab.required && profile.eab.source == EabSource::None && !by_email(profile)
}

/// True for a CA that hands its credentials out to an address.
fn by_email(profile: &CaProfile) -> bool {
    let mut offers = profile.eab.offers.iter();
    offers.any(|offer| !offer.wants("{api-key}"))
}

/// True for a CA that wants to know an address.
fn needs_email(profile: &CaProfile) -> bool {
    profile.quirks.contact_required || profile.eab.required && by_email(profile)
}

#[cfg(test)]
mod tests;
