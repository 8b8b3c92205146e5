//! The way of a message from a run to whoever is told: written down first, sent second, forgotten last.
//!
//! What is worth telling is decided by [`crate::tell`]. Here it becomes one letter for each
//! notifier, which is in the outbox before it is sent and stays there until it is delivered. What a
//! newcomer gets wrong: a notifier that does not work is news itself, for the others.

mod beside;
mod letter;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use waxwing_core::alert;
use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::{Change, Event, EventKind, Nearest, Notice, SCHEMA};
use waxwing_core::retry;
use waxwing_core::time::Timestamp;

use crate::ports::{Clock, Notifier, NotifyError, Outbox, Reminder, StoreError};
use crate::tell::{self, Scene, Tale};

pub use self::beside::Unsent;
pub use self::letter::{Deferred, Delivered, Letter, Message, Rest, Waiting};

/// A letter is nobody else's for so long while it is being delivered.
const DELIVERY: Duration = Duration::from_secs(120);

/// So many letters are tried in vain in one run; behind that it is not the letters.
const FAILURES: u32 = 2;

/// How often it is decided anew because another process was faster.
const ROUNDS: u32 = 5;

/// What was told of a subject, and how bad it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A certificate, a CA, a plugin, a notifier; empty for this machine.
    pub subject: String,
    /// Of which kind.
    pub kind: EventKind,
    /// How bad it was, in the order of the kind.
    pub step: u32,
    /// When it was told last.
    pub at: Timestamp,
    /// When it began, as far as that is known; else when it was told for the first time.
    pub began: Timestamp,
}

/// What was told, or was told to be over, while the outbox could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminded {
    /// What it is.
    pub told: Told,
    /// True if it is over.
    pub over: bool,
}

impl Reminded {
    fn is_of(&self, subject: &str, kind: EventKind) -> bool {
        self.told.subject == subject && self.told.kind == kind
    }
}

/// What changes in the outbox in one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Posting {
    /// What is told from now on.
    pub told: Vec<Told>,
    /// What is over, by subject and kind.
    pub over: Vec<(String, EventKind)>,
    /// Letters to be delivered.
    pub letters: Vec<Letter>,
    /// Letters that were tried before, without an outbox.
    pub late: Vec<Unsent>,
}

impl Posting {
    /// Adds what was told without the outbox and is neither told anew nor over.
    fn carry(&mut self, reminded: Vec<Reminded>) {
        for one in reminded {
            let (subject, kind) = (&one.told.subject, one.told.kind);
            let is_it = |told: &Told| told.subject == *subject && told.kind == kind;
            if self.told.iter().any(is_it) || self.over.contains(&(subject.clone(), kind)) {
                continue;
            }
            match one.over {
                true => self.over.push((subject.clone(), kind)),
                false => self.told.push(one.told),
            }
        }
    }
}

/// What was told, by the outbox and by what was kept beside it since.
fn known(told: &[Told], reminded: &[Reminded]) -> Vec<Told> {
    let newer = |told: &&Told| {
        !reminded
            .iter()
            .any(|one| one.is_of(&told.subject, told.kind))
    };
    let mut known: Vec<Told> = told.iter().filter(newer).cloned().collect();
    let kept = reminded.iter().filter(|one| !one.over);
    known.extend(kept.map(|one| one.told.clone()));
    known
}

/// Somebody who can be told.
#[derive(Clone)]
pub struct Listener {
    /// Of what.
    pub on: BTreeSet<EventKind>,
    /// How.
    pub notifier: Arc<dyn Notifier>,
}

/// Turns a notice into words. The answer is subject, text and HTML.
pub type Words<'a> = &'a (dyn Fn(&Notice) -> (String, String, String) + Send + Sync);

/// What every notice of a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The machine.
    pub host: String,
    /// The version of this program.
    pub version: String,
    /// The run; none for one that had nothing to do.
    pub run: Option<String>,
    /// How many certificates there are.
    pub certificates: u32,
    /// The one that ends first.
    pub nearest: Option<Nearest>,
}

impl Frame {
    /// A notice with these events.
    pub fn notice(&self, at: Timestamp, events: Vec<Event>) -> Notice {
        Notice {
            schema: SCHEMA,
            host: self.host.clone(),
            version: self.version.clone(),
            run: self.run.clone(),
            at,
            events,
            certificates: self.certificates,
            nearest: self.nearest.clone(),
        }
    }
}

/// What became of one letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// To whom.
    pub notifier: NotifierName,
    /// Whom it tells, for people.
    pub to: String,
    /// True if it was written by an earlier run.
    pub late: bool,
    /// True for a heartbeat, of which nobody wants to read.
    pub heartbeat: bool,
    /// When it was written.
    pub written: Timestamp,
    /// True if everybody whom the notifier tells has it now.
    pub whole: bool,
    /// True if it was only for those who had lacked it.
    pub rest: bool,
    /// What the receiver said.
    pub outcome: Result<Delivered, NotifyError>,
}

/// The post office.
pub struct Office<'a> {
    /// Where letters wait.
    pub outbox: &'a dyn Outbox,
    /// Where it is remembered that something was told while letters cannot wait anywhere.
    pub reminder: &'a dyn Reminder,
    /// Who can be told.
    pub listeners: &'a BTreeMap<NotifierName, Listener>,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Turns a notice into words.
    pub words: Words<'a>,
    /// What every notice says.
    pub frame: Frame,
    /// True if a person is waiting: then no letter waits for its time.
    pub by_hand: bool,
}

impl Office<'_> {
    /// Tells what there is to tell of this scene, and delivers what waits from earlier runs.
    ///
    /// An outbox that cannot be used does not keep anybody from hearing: what would be written into it
    /// is sent at once, and what is not taken is kept where the [`Reminder`] keeps what was told. Where it keeps
    /// nothing, states, which would seem new to every run, are told once a day.
    pub async fn tell(&self, scene: &Scene<'_>) -> Vec<Sent> {
        let now = self.clock.now();
        let heartbeat = tell::heartbeat(scene);
        let old = self.outbox.waiting().unwrap_or_default();
        let old: BTreeSet<i64> = old.iter().map(|one| one.id).collect();
        let told = self.outbox.told().unwrap_or_default();
        let newcomers = tell::newcomers::new(&known(&told, &self.reminder.kept()), scene.settings);
        let written = self.write_down(|told| tell::tell(told, scene));
        let mut sent = match written {
            Ok(()) => self.deliver(&old, None).await,
            Err((error, told)) => {
                // Whoever cannot look has said why.
                if !scene.blind {
                    tracing::error!(cause = %error, "what is told cannot be written down; it is sent all the same");
                }
                self.tell_beside(&told, scene).await
            }
        };
        if let Some(event) = heartbeat {
            let letters = self.letters(now, &[event]);
            sent.extend(self.send_all(&letters, &[], true).await);
        }
        let silent: Vec<NotifierName> = failed(&sent).cloned().collect();
        let about = self.write_down(|told| Tale {
            newcomers: newcomers.clone(),
            ..self.about_notifiers(told, &sent, now)
        });
        match about {
            Ok(()) => {
                // One that has failed a moment ago is not tried again in the same run.
                sent.extend(self.deliver(&old, Some(&silent)).await);
            }
            Err(_) if scene.blind => {}
            Err((error, _told)) => {
                tracing::error!(cause = %error, "that a notifier fails cannot be written down");
            }
        }
        sent
    }

    /// Sends one message to each of these at once, without the outbox.
    pub async fn send_now(&self, event: &Event, to: &BTreeSet<NotifierName>) -> Vec<Sent> {
        let now = self.clock.now();
        let letters: Vec<Letter> = self
            .listeners
            .keys()
            .filter(|name| to.contains(name))
            .map(|name| Letter {
                notifier: name.clone(),
                notice: self.frame.notice(now, vec![event.clone()]),
            })
            .collect();
        self.send_all(&letters, &[], false).await
    }

    /// What ends the trouble of notifiers that have just reached everybody, as by a test: it is over, and the others hear
    /// so from the next run.
    pub fn mended(&self, told: &[Told], sent: &[Sent]) -> Posting {
        let whole = |name: &str| {
            let mut sent = sent.iter();
            sent.any(|one| one.whole && one.notifier.as_str() == name)
        };
        let of_it = |told: &&Told| told.kind == EventKind::NotifierFailed && whole(&told.subject);
        let over = |told: &Told| {
            let mut event = Event::new(told.kind, Change::Over, told.subject.clone());
            event.since = Some(told.began);
            event
        };
        let events: Vec<Event> = told.iter().filter(of_it).map(over).collect();
        Posting {
            letters: self.letters(self.clock.now(), &events),
            over: events
                .into_iter()
                .map(|event| (event.subject, event.kind))
                .collect(),
            ..Posting::default()
        }
    }

    /// Decides and writes down, and decides again if another process came between.
    ///
    /// What was told meanwhile without the outbox is written into it, too. An error comes with what was told before,
    /// as far as that can be read.
    fn write_down(&self, decide: impl Fn(&[Told]) -> Tale) -> Result<(), (StoreError, Vec<Told>)> {
        let now = self.clock.now();
        for _round in 0..ROUNDS {
            let told = match self.outbox.told() {
                Ok(told) => told,
                Err(error) => return Err((error, Vec::new())),
            };
            let reminded = self.reminder.kept();
            let tale = decide(&known(&told, &reminded));
            let mut posting = Posting {
                letters: self.letters_of(now, &tale),
                late: self.unsent(now),
                told: tale.told,
                over: tale.over,
            };
            posting.carry(reminded);
            if posting == Posting::default() {
                return Ok(());
            }
            match self.outbox.post(&told, &posting) {
                Ok(true) => {
                    self.reminder.clear();
                    return Ok(());
                }
                Ok(false) => {}
                Err(error) => return Err((error, told)),
            }
        }
        tracing::warn!("other runs tell at the same time; the next run tells what is left");
        Ok(())
    }

    /// One letter for each listener that wants to hear of some of these.
    fn letters(&self, now: Timestamp, events: &[Event]) -> Vec<Letter> {
        let events = events.to_vec();
        self.letters_of(
            now,
            &Tale {
                events,
                ..Tale::default()
            },
        )
    }

    /// One letter for each listener that wants to hear of some of it.
    fn letters_of(&self, now: Timestamp, tale: &Tale) -> Vec<Letter> {
        let of = |(name, listener): (&NotifierName, &Listener)| {
            let mut heard = tale.told_to(name);
            heard.retain(|event| {
                // Nobody is told by itself that it cannot be reached.
                let itself =
                    event.kind == EventKind::NotifierFailed && event.subject == name.as_str();
                listener.on.contains(&event.kind) && !itself
            });
            tell::drop_echoes(&mut heard);
            (!heard.is_empty()).then(|| Letter {
                notifier: name.clone(),
                notice: self.frame.notice(now, heard),
            })
        };
        self.listeners.iter().filter_map(of).collect()
    }

    /// Delivers what waits and whose time has come, each notifier by itself, letter by letter: the first
    /// one that fails keeps those behind it. `silent` are those that have failed in this run, when it delivers again.
    async fn deliver(&self, old: &BTreeSet<i64>, silent: Option<&[NotifierName]>) -> Vec<Sent> {
        // Later than what was just written down.
        let now = self.clock.now();
        let waiting = self.outbox.waiting().unwrap_or_else(|error| {
            tracing::error!(cause = %error, "what waits to be delivered cannot be read");
            Vec::new()
        });
        let mut by_notifier: BTreeMap<NotifierName, Vec<Waiting>> = BTreeMap::new();
        for one in waiting {
            if one.is_rest() && silent.is_some() {
                continue;
            }
            let known = self.listeners.contains_key(&one.letter.notifier);
            let old = one.is_given_up(now);
            if known && !old {
                let notifier = one.letter.notifier.clone();
                by_notifier.entry(notifier).or_default().push(one);
                continue;
            }
            if old {
                let to = &one.letter.notifier;
                tracing::error!(notifier = %to, cause = ?one.cause, "a message was never delivered and is given up");
            }
            self.noted(self.outbox.forget(one.id));
        }
        let all = by_notifier
            .into_iter()
            .filter(|(name, _)| !silent.is_some_and(|silent| silent.contains(name)))
            .map(|(name, letters)| self.deliver_to(name, letters, old, now));
        future::join_all(all).await.into_iter().flatten().collect()
    }

    async fn deliver_to(
        &self,
        name: NotifierName,
        letters: Vec<Waiting>,
        old: &BTreeSet<i64>,
        now: Timestamp,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        let Some(listener) = self.listeners.get(&name) else {
            return sent;
        };
        // What is new is worth a try, however long the last one of the others is to wait: the way may be free again.
        let is_due = |one: &Waiting| !one.is_rest() && one.next_try(now) <= now;
        let tries = self.by_hand
            || letters
                .iter()
                .any(|one| !old.contains(&one.id) || is_due(one));
        let mut failures = 0;
        let mut queue = VecDeque::from(letters);
        while let Some(one) = queue.pop_front() {
            // The first letter that has to wait keeps those behind it, so that they come in order. What most have,
            // or what has failed so often that it may be this very message that nobody takes, keeps nothing.
            // A person does not wait, but what is about to be free may be on its way just now.
            let waits = one.next_try(now).since(now);
            let rest = one.is_rest();
            let keeps = !rest && one.attempts < alert::AGAIN;
            let tries = if rest { self.by_hand } else { tries };
            if !waits.is_zero() && (!tries || waits <= DELIVERY) {
                match keeps {
                    true => break,
                    false => continue,
                }
            }
            let until = self.clock.now() + DELIVERY;
            match self.outbox.take(one.id, one.next, until) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::error!(notifier = %name, cause = %error, "a message cannot be taken for delivery");
                    break;
                }
            }
            // A number of the outbox comes again when its letter has gone.
            let kind = kind_of(&one.letter);
            let id = format!("{:x}-{}-{kind}", one.letter.notice.at.unix_ms(), one.id);
            let message = Message {
                only: one.rest.to.clone(),
                ..self.message(id, &one.letter)
            };
            let outcome = listener.notifier.send(&message).await;
            let again = match &outcome {
                Ok(delivered) if delivered.deferred.is_empty() => None,
                Ok(delivered) => {
                    let lack = delivered.deferred.iter();
                    let why: Vec<String> = lack.clone().map(ToString::to_string).collect();
                    let rest = Rest {
                        to: lack.map(|one| one.recipient.clone()).collect(),
                        refused: one.rest.refused || !delivered.refused.is_empty(),
                    };
                    Some((why.join("; "), None, rest))
                }
                Err(error) => Some((error.to_string(), error.retry_after, one.rest.clone())),
            };
            match again {
                None => self.noted(self.outbox.forget(one.id)),
                Some((cause, asked, rest)) => {
                    let wait = retry::resend(one.attempts.saturating_add(1), asked);
                    let next = self.clock.now() + wait;
                    self.noted(self.outbox.keep(one.id, next, &cause, &rest));
                }
            }
            let failed = outcome.is_err();
            sent.push(Sent {
                notifier: name.clone(),
                to: match rest {
                    true => one.rest.to.join(", "),
                    false => listener.notifier.to(),
                },
                late: old.contains(&one.id),
                heartbeat: false,
                written: one.letter.notice.at,
                // Nobody may be left of those who lacked it: nothing was sent then.
                whole: outcome.as_ref().is_ok_and(|delivered| {
                    delivered.is_whole() && !(rest && delivered.answers.is_empty())
                }) && !one.rest.refused,
                rest,
                outcome,
            });
            failures += u32::from(failed);
            if failed && (keeps || failures >= FAILURES) {
                break;
            }
            // It may be this very message that nobody takes. What was tried in vain again and again like it comes behind
            // what was not, and each of them has its turn.
            if failed && !rest {
                let all = queue.drain(..);
                let (fresh, mut stale): (Vec<Waiting>, Vec<Waiting>) =
                    all.partition(|one| one.is_rest() || one.attempts < alert::AGAIN);
                stale.sort_by_key(|one| one.next);
                queue = fresh.into_iter().chain(stale).collect();
            }
        }
        sent
    }

    /// Sends letters that are in no outbox; `late` is who still lacks the first of them.
    async fn send_all(&self, letters: &[Letter], late: &[Rest], heartbeat: bool) -> Vec<Sent> {
        let send = letters.iter().enumerate().map(async |(nth, letter)| {
            let listener = self.listeners.get(&letter.notifier)?;
            // Of one moment there is one letter of a kind to each of them.
            let to = letter
                .notifier
                .as_str()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let id = format!("{:x}-{to}-{}", letter.notice.at.unix_ms(), kind_of(letter));
            let rest = late.get(nth).cloned().unwrap_or_default();
            let message = Message {
                only: rest.to.clone(),
                ..self.message(id, letter)
            };
            let outcome = listener.notifier.send(&message).await;
            Some(Sent {
                notifier: letter.notifier.clone(),
                to: listener.notifier.to(),
                late: nth < late.len(),
                heartbeat,
                written: letter.notice.at,
                whole: outcome.as_ref().is_ok_and(Delivered::is_whole) && !rest.refused,
                rest: !message.only.is_empty(),
                outcome,
            })
        });
        future::join_all(send).await.into_iter().flatten().collect()
    }

    fn message(&self, id: String, letter: &Letter) -> Message {
        let (subject, text, html) = (self.words)(&letter.notice);
        Message {
            id,
            only: Vec::new(),
            notice: letter.notice.clone(),
            subject,
            text,
            html,
        }
    }

    /// What is to be told of notifiers after this delivery.
    fn about_notifiers(&self, told: &[Told], sent: &[Sent], now: Timestamp) -> Tale {
        let waiting = self.outbox.waiting().unwrap_or_default();
        let of_name = |name: &NotifierName| {
            let name = name.clone();
            let waiting = waiting.iter();
            waiting.filter(move |one| one.letter.notifier == name)
        };
        let names = self.listeners.keys();
        let states = names.map(|name| {
            let of_it = || sent.iter().filter(|one| one.notifier == *name);
            let answers = || of_it().filter_map(|one| one.outcome.as_ref().ok());
            let error = of_it().find_map(|one| one.outcome.as_ref().err());
            tell::NotifierState {
                name,
                causes: error.map(|error| {
                    let mut causes = vec![format!("failed to {}", error.what)];
                    causes.extend(error.causes.iter().cloned());
                    (causes, error.hint.clone())
                }),
                // The newest of them says how it is now.
                delivered: of_it()
                    .filter(|one| one.outcome.is_ok())
                    .max_by_key(|one| one.written)
                    .is_some_and(|one| one.whole)
                    && of_name(name).all(|one| one.attempts == 0),
                proved: of_it()
                    .filter(|one| one.whole && !one.rest)
                    .map(|one| one.written)
                    .max(),
                refused: answers().flat_map(|it| it.refused.clone()).collect(),
                deferred: answers()
                    .flat_map(|it| it.deferred.iter().map(ToString::to_string))
                    .collect(),
                waiting: of_name(name).count(),
                tries: of_name(name).map(|one| one.attempts).max().unwrap_or(0),
            }
        });
        tell::about_notifiers(told, &states.collect::<Vec<_>>(), now)
    }

    /// What cannot be noted is done twice, which is better than not at all.
    fn noted(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            tracing::error!(cause = %error, "what became of a message cannot be written down");
        }
    }
}

/// The kind of what a letter tells first.
fn kind_of(letter: &Letter) -> &'static str {
    let first = letter.notice.events.first();
    first.map_or("none", |event| event.kind.as_str())
}

/// Those that could not be reached.
fn failed(sent: &[Sent]) -> impl Iterator<Item = &NotifierName> {
    let all = sent.iter().filter(|one| one.outcome.is_err());
    all.map(|one| &one.notifier)
}
