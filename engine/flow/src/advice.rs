//! Asking CAs when they would like their certificates to be renewed (RFC 9773).
//!
//! Advice never delays a renewal and is never worth a retry inside a run: what was not answered is
//! asked for again later, and until then the other rules decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use waxwing_acme::ari::{self, RenewalInfo, Term};
use waxwing_acme::directory::Directory;
use waxwing_acme::error::AcmeError;
use waxwing_acme::retry_after::RetryAfter;
use waxwing_core::ca::CaProfile;
use waxwing_core::due::Suggestion;
use waxwing_core::http::{TransportError, without_query};
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::settings::{CertificatesByName, Settings};
use waxwing_core::time::{Timestamp, Window};

use crate::certificate::{CertificateFacts, InventoryEntry};
use crate::directory;
use crate::failure::CaError;
use crate::history::{Advice, Past};
use crate::monitor;
use crate::ports::History;
use crate::session::{self, SessionPorts, greeting};

/// Requests for advice at the same time, at all CAs together.
const WIDTH: usize = 8;

/// The first wait after an error that is likely to pass; it doubles from failure to failure.
const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);

/// A certificate whose CA is to be asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The certificate.
    pub name: CertificateName,
    /// Who issued it.
    pub ca: CaName,
    /// What it is.
    pub facts: CertificateFacts,
    /// What was advised before.
    pub known: Option<Advice>,
}

/// The certificates whose CAs are to be asked at `now`: those of CAs that give advice, that are
/// still valid, and for which the time has come.
pub fn questions<'a>(
    settings: &Settings,
    inventory: impl IntoIterator<Item = &'a InventoryEntry>,
    pasts: &BTreeMap<CertificateName, Past>,
    now: Timestamp,
) -> Vec<Question> {
    let wanted = CertificatesByName::new(&settings.certificates);
    let mut questions = Vec::new();
    for entry in inventory {
        let Some(current) = &entry.current else {
            continue;
        };
        let Some(id) = current.facts.ari_id() else {
            continue;
        };
        let ca = &current.origin.ca;
        let asked = settings.cas.get(ca).is_some_and(|ca| ca.ari.enabled);
        let valid = now < current.facts.not_after;
        let known = pasts
            .get(&entry.certificate)
            .and_then(|past| past.advice.clone())
            .filter(|advice| advice.about == id);
        // No question is put off for longer than a day: later is from a clock that was wrong.
        let due = |advice: &Advice| advice.next <= now || advice.next > now + RenewalInfo::LATEST;
        let time = known.as_ref().is_none_or(due);
        if asked && valid && time && wanted.get(&entry.certificate).is_some() {
            questions.push(Question {
                name: entry.certificate.clone(),
                ca: ca.clone(),
                facts: current.facts.clone(),
                known,
            });
        }
    }
    questions
}

/// Asks, and keeps what came of it. Trouble is kept with the advice and told to nobody else: it
/// changes nothing about the latest safe moment.
pub async fn ask(
    ports: &SessionPorts,
    history: &dyn History,
    settings: &Settings,
    questions: Vec<Question>,
) {
    let cas: BTreeSet<&CaName> = questions.iter().map(|question| &question.ca).collect();
    let profiles = cas.into_iter().filter_map(|ca| settings.cas.get(ca));
    let profiles: Vec<&CaProfile> = profiles.collect();
    let offices = offices(ports, history, settings, &profiles).await;
    let answered = |question: Question, answer: Result<RenewalInfo, Trouble>| {
        let Some(id) = question.facts.ari_id() else {
            return;
        };
        let (chance, now) = (ports.entropy.number(), ports.clock.now());
        let advice = after(id, question.known.as_ref(), answer, now, chance);
        keep(history, &question.name, &advice);
    };
    let ask = async |question: &Question, base: Option<&str>| {
        let profile = settings.cas.get(&question.ca)?;
        let id = question.facts.ari_id()?;
        Some(match (base, offices.get(&question.ca)?) {
            (Some(base), _) => fetch(ports, profile, base, &id).await,
            (None, Ok(base)) => fetch(ports, profile, base, &id).await,
            (None, Err(cause)) => Err(Trouble::unasked(cause.clone())),
        })
    };
    // Where nothing is any more the CA may have moved it, which its directory says.
    let gone: Mutex<Vec<(Question, Trouble)>> = Mutex::default();
    stream::iter(questions)
        .for_each_concurrent(WIDTH, async |question| match ask(&question, None).await {
            Some(Err(trouble)) if trouble.gone => {
                let mut gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
                gone.push((question, trouble));
            }
            Some(answer) => answered(question, answer),
            None => {}
        })
        .await;
    let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut moved: BTreeMap<CaName, Option<String>> = BTreeMap::new();
    for (question, trouble) in gone {
        let ca = &question.ca;
        if !moved.contains_key(ca)
            && let Some(profile) = settings.cas.get(ca)
        {
            let old = offices.get(ca).and_then(|office| office.as_ref().ok());
            let new = read_anew(ports, profile).await;
            let new = new.and_then(|directory| base_of(profile, directory));
            let new = new.ok().filter(|new| Some(new) != old);
            moved.insert(ca.clone(), new);
        }
        let base = moved.get(ca).and_then(Option::as_deref);
        match base {
            Some(base) => {
                if let Some(answer) = ask(&question, Some(base)).await {
                    answered(question, answer);
                }
            }
            None => answered(question, Err(trouble)),
        }
    }
    ports.sent.keep(history);
}

/// Keeps the answer of a CA to a question that was asked within a session.
pub(crate) fn keep(history: &dyn History, name: &CertificateName, advice: &Advice) {
    tracing::debug!(certificate = %name, next = %advice.next, cause = advice.cause, "advice");
    if let Err(error) = history.save_advice(name, advice) {
        tracing::warn!(certificate = %name, cause = %error, "the CA's advice could not be kept");
    }
}

/// What is known after an answer, or after none.
pub fn after(
    about: String,
    known: Option<&Advice>,
    answer: Result<RenewalInfo, Trouble>,
    now: Timestamp,
    chance: u64,
) -> Advice {
    match answer {
        Ok(info) => {
            // A moment is drawn once for each window (RFC 9773 section 4.2).
            let drawn = known
                .and_then(|known| known.suggestion)
                .filter(|old| old.window == info.window);
            Advice {
                about,
                suggestion: Some(drawn.unwrap_or_else(|| draw(info.window, chance, now))),
                next: now + info.next(now),
                failures: 0,
                cause: info
                    .retry_after
                    .is_none()
                    .then(|| "the answer says not when to ask again".to_owned()),
                explanation: info.explanation_url,
            }
        }
        Err(trouble) => {
            let failures = known.map_or(0, |known| known.failures).saturating_add(1);
            Advice {
                about,
                suggestion: known.and_then(|known| known.suggestion),
                explanation: known.and_then(|known| known.explanation.clone()),
                next: now + trouble.wait(failures, now),
                failures,
                cause: Some(trouble.cause),
            }
        }
    }
}

/// Why a question gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How long it is likely to last.
    term: Term,
    /// When the CA asks to come back.
    retry_after: Option<RetryAfter>,
    /// True if nothing is there any more, or never was.
    gone: bool,
    /// The cause.
    cause: String,
}

impl Trouble {
    /// A question that cannot be asked.
    const fn unasked(cause: String) -> Self {
        Self {
            term: Term::LongTerm,
            retry_after: None,
            gone: false,
            cause,
        }
    }

    /// How long nothing is asked after so many failures in a row. What the CA asks for counts within
    /// the bounds of an answer (RFC 9773 section 4.3.2), but shortens no wait that grows.
    fn wait(&self, failures: u32, now: Timestamp) -> Duration {
        let asked = self.retry_after.map(|retry_after| {
            let wait = retry_after.wait(now);
            wait.clamp(RenewalInfo::SOONEST, RenewalInfo::LATEST)
        });
        match self.term {
            Term::LongTerm => asked.unwrap_or(ari::LONG_TERM_WAIT),
            Term::Temporary => {
                let doublings = failures.saturating_sub(1).min(16);
                let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings));
                asked.unwrap_or_default().max(own.min(RenewalInfo::LATEST))
            }
        }
    }
}

impl From<AcmeError> for Trouble {
    fn from(error: AcmeError) -> Self {
        Self {
            term: Term::of(&error),
            retry_after: error.retry_after,
            gone: matches!(error.status, Some(404 | 405 | 410)),
            cause: error.to_string(),
        }
    }
}

impl From<TransportError> for Trouble {
    fn from(error: TransportError) -> Self {
        Self {
            term: Term::of_transport(&error),
            retry_after: None,
            gone: false,
            cause: CaError::Transport(error).to_string(),
        }
    }
}

impl From<CaError> for Trouble {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Transport(error) => error.into(),
            CaError::Answer(error) => error.into(),
        }
    }
}

/// A moment of the window, each as likely as the other; for one that has passed, now.
fn draw(window: Window, chance: u64, now: Timestamp) -> Suggestion {
    if window.end < now {
        let chosen = now;
        return Suggestion { window, chosen };
    }
    let length = window.end.since(window.start).as_secs();
    let chosen = window.start + Duration::from_secs(chance % length.saturating_add(1));
    Suggestion { window, chosen }
}

/// Where each CA answers such questions: from its directory, as it was stored not long ago or as it is now. That it was
/// looked at is noted, as of every look.
async fn offices(
    ports: &SessionPorts,
    history: &dyn History,
    settings: &Settings,
    profiles: &[&CaProfile],
) -> BTreeMap<CaName, Result<String, String>> {
    let now = ports.clock.now();
    let fresh = |at: Timestamp| at <= now && now.since(at) < session::FRESH;
    let (known, unknown): (Vec<_>, Vec<_>) = profiles
        .iter()
        .map(|profile| {
            (
                *profile,
                directory::stored(ports, profile, &profile.directories),
            )
        })
        .partition(|(_, stored)| stored.as_ref().is_some_and(|stored| fresh(stored.at)));
    let asked: Vec<&CaProfile> = unknown.iter().map(|(profile, _)| *profile).collect();
    let looks = match asked.is_empty() {
        true => Vec::new(),
        false => monitor::look_at_all(ports, history, settings, &asked).await,
    };
    let anew = unknown
        .into_iter()
        .zip(looks)
        .map(|((profile, stored), look)| {
            // One that is old is better than none.
            let directory = look.directory.or(stored.map(|stored| stored.directory));
            let base = match (directory, look.result) {
                (Some(directory), _) => base_of(profile, directory),
                (None, Err(failure)) => Err(failure.lines().join(": ")),
                (None, Ok(_)) => Err(format!("{} shows no directory", profile.name)),
            };
            (profile.name.clone(), base)
        });
    let known = known.into_iter().filter_map(|(profile, stored)| {
        Some((profile.name.clone(), base_of(profile, stored?.directory)))
    });
    known.chain(anew).collect()
}

/// Reads the directory and keeps it.
async fn read_anew(ports: &SessionPorts, profile: &CaProfile) -> Result<Directory, String> {
    let greeting = greeting::greet(ports, profile).await;
    let directory = greeting
        .map_err(|failure| failure.lines().join(": "))?
        .directory;
    directory::keep(ports, &profile.name, &profile.directories, &directory);
    Ok(directory)
}

/// Where that directory says that such questions are answered.
fn base_of(profile: &CaProfile, directory: Directory) -> Result<String, String> {
    let base = directory
        .renewal_info
        .ok_or_else(|| format!("{} gives no renewal information", profile.name))?;
    if profile.ari.allows(&directory.url, &base) {
        Ok(base)
    } else {
        Err(format!(
            "{} gives it at {}, which its profile does not name in ari.hosts",
            profile.name,
            without_query(&base)
        ))
    }
}

async fn fetch(
    ports: &SessionPorts,
    profile: &CaProfile,
    base: &str,
    id: &str,
) -> Result<RenewalInfo, Trouble> {
    let request = ari::request(base, id, &ports.user_agent);
    let url = request.url.clone();
    ports.sent.count(&profile.name);
    let response = ports.http.send(request, &session::policy(profile)).await?;
    Ok(ari::read(&url, &response)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn info(start: u32, end: u32, retry_after: Option<Duration>) -> RenewalInfo {
        RenewalInfo {
            window: Window {
                start: NOW + HOUR * start,
                end: NOW + HOUR * end,
            },
            explanation_url: None,
            retry_after: retry_after.map(RetryAfter::After),
        }
    }

    fn wait(advice: &Advice) -> u64 {
        advice.next.since(NOW).as_secs()
    }

    #[test]
    fn a_moment_is_drawn_once_for_each_window() {
        let id = || "a.b".to_owned();
        let first = after(id(), None, Ok(info(10, 20, Some(HOUR))), NOW, 7 * 3600);
        let chosen = |advice: &Advice| advice.suggestion.map(|s| s.chosen);
        assert_eq!(chosen(&first), Some(NOW + HOUR * 17));
        let same = after(id(), Some(&first), Ok(info(10, 20, Some(HOUR))), NOW, 1);
        assert_eq!(chosen(&same), chosen(&first));
        let moved = after(id(), Some(&first), Ok(info(2, 4, Some(HOUR))), NOW, 3600);
        assert_eq!(chosen(&moved), Some(NOW + HOUR * 3));
        // An end is as likely as every other second.
        let last = after(id(), None, Ok(info(10, 20, Some(HOUR))), NOW, 10 * 3600);
        assert_eq!(chosen(&last), Some(NOW + HOUR * 20));
    }

    #[test]
    fn the_wait_is_what_the_ca_asks_within_bounds_and_grows_with_errors() {
        let id = || "a.b".to_owned();
        let answered = |retry| after(id(), None, Ok(info(1, 2, retry)), NOW, 0);
        assert_eq!(wait(&answered(Some(HOUR * 6))), 6 * 3600);
        assert_eq!(wait(&answered(Some(Duration::ZERO))), 60);
        assert_eq!(wait(&answered(Some(HOUR * 99))), 24 * 3600);
        assert_eq!(wait(&answered(None)), 6 * 3600);
        let asked = |known: &Advice, term, retry_after: Option<u64>| {
            let trouble = Trouble {
                gone: false,
                term,
                retry_after: retry_after.map(|wait| RetryAfter::After(Duration::from_secs(wait))),
                cause: "no".to_owned(),
            };
            after(id(), Some(known), Err(trouble), NOW, 0)
        };
        let failed = |known: &Advice, term| asked(known, term, None);
        let mut advice = answered(Some(HOUR));
        let mut waits = Vec::new();
        for _nth in 0..12 {
            advice = failed(&advice, Term::Temporary);
            waits.push(wait(&advice) / 60);
        }
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[11], 24 * 60);
        assert!(advice.suggestion.is_some(), "the last good answer stays");
        assert_eq!(wait(&failed(&advice, Term::LongTerm)), 6 * 3600);
        // What the CA asks for, within the bounds of an answer.
        let advice = answered(Some(HOUR));
        let waits = |term| {
            let all = [1, 900, 7200, 999_999].into_iter();
            all.map(|asks| wait(&asked(&advice, term, Some(asks))))
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(Term::LongTerm), [60, 900, 7200, 86_400]);
        assert_eq!(waits(Term::Temporary), [300, 900, 7200, 86_400]);
    }
}
