//! Messages on their way: an outbox in memory, receivers that fail when they are told to, and a clock
//! that goes on by a moment at each look.

mod letters;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::time::Timestamp;

use self::shelf::Memory;
use super::world::{certificate, profile, settings};
use crate::notify::{
    Deferred, Delivered, Frame, Listener, Message, Office, Posting, Reminded, Sent, Unsent, Waiting,
};
use crate::ports::{Clock, Notifier, NotifyError, Outbox, Reminder, StoreError, StoreErrorKind};
use crate::report::RunReport;
use crate::tell::Scene;

fn name(text: &str) -> NotifierName {
    NotifierName::parse(text).expect("a literal name")
}

/// A moment that can be kept, or a disk on which nothing can.
#[derive(Default)]
struct Knot {
    at: Mutex<Option<Timestamp>>,
    read_only: bool,
    /// True if it keeps more than a moment.
    keeps: bool,
    kept: Mutex<(Vec<Reminded>, Vec<Unsent>)>,
}

impl Reminder for Knot {
    fn last(&self) -> Option<Timestamp> {
        *self.at.lock().expect("a lock")
    }

    fn set(&self, at: Timestamp) -> bool {
        if !self.read_only {
            *self.at.lock().expect("a lock") = Some(at);
        }
        !self.read_only
    }

    fn clear(&self) {
        *self.at.lock().expect("a lock") = None;
        *self.kept.lock().expect("a lock") = Default::default();
    }

    fn kept(&self) -> Vec<Reminded> {
        self.kept.lock().expect("a lock").0.clone()
    }

    fn unsent(&self) -> Vec<Unsent> {
        self.kept.lock().expect("a lock").1.clone()
    }

    fn keep(&self, all: &[Reminded], unsent: &[Unsent]) -> bool {
        if self.keeps {
            *self.kept.lock().expect("a lock") = (all.to_vec(), unsent.to_vec());
        }
        self.keeps
    }
}

#[derive(Default)]
struct Receiver {
    down: Mutex<bool>,
    got: Mutex<Vec<String>>,
    tries: Mutex<u32>,
    ids: Mutex<BTreeSet<String>>,
    /// What it never takes.
    poison: Mutex<Option<&'static str>>,
    /// What a mail server answers to each recipient; nobody: there is but one.
    people: Mutex<BTreeMap<&'static str, u16>>,
}

#[async_trait]
impl Notifier for Receiver {
    fn to(&self) -> String {
        "somebody".to_owned()
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        *self.tries.lock().expect("a lock") += 1;
        let poison = *self.poison.lock().expect("a lock");
        let poisoned = |text: &str| message.subject.starts_with(text);
        if *self.down.lock().expect("a lock") || poison.is_some_and(poisoned) {
            return Err(NotifyError {
                retry_after: None,
                what: "send".to_owned(),
                causes: vec!["refused".to_owned()],
                hint: None,
            });
        }
        let people = self.people.lock().expect("a lock").clone();
        if !people.is_empty() {
            return self.send_to(&people, message);
        }
        let mut got = self.got.lock().expect("a lock");
        got.push(format!("{}{}", message.subject, self.ids(&message.id)));
        Ok(Delivered::default())
    }
}

impl Receiver {
    fn send_to(
        &self,
        people: &BTreeMap<&'static str, u16>,
        message: &Message,
    ) -> Result<Delivered, NotifyError> {
        let mut delivered = Delivered::default();
        let all = message.only.is_empty();
        let is_for = |who: &str| all || message.only.iter().any(|one| one == who);
        for (who, code) in people.iter().filter(|(who, _)| is_for(who)) {
            let recipient = (*who).to_owned();
            match code {
                250 => delivered.answers.push(recipient),
                451 => delivered.deferred.push(Deferred {
                    recipient,
                    why: "451".to_owned(),
                }),
                _ => delivered.refused.push(recipient),
            }
        }
        let mut got = self.got.lock().expect("a lock");
        let heard = delivered.answers.iter();
        got.extend(heard.map(|who| format!("{who}: {}", message.subject)));
        Ok(delivered)
    }

    /// Nothing for a message that is new, else a mark.
    fn ids(&self, id: &str) -> &'static str {
        let mut ids = self.ids.lock().expect("a lock");
        if ids.insert(id.to_owned()) {
            ""
        } else {
            " (again)"
        }
    }
}

struct Ticking(Mutex<Timestamp>);

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        // Nobody sees the same moment twice.
        let mut now = self.0.lock().expect("a lock");
        *now = *now + Duration::from_millis(1);
        *now
    }

    async fn sleep(&self, _wait: Duration) {}
}

/// Two receivers, one outbox, and a certificate that cannot be read or can.
struct Town {
    outbox: Memory,
    reminder: Knot,
    receivers: BTreeMap<NotifierName, Arc<Receiver>>,
    listeners: BTreeMap<NotifierName, Listener>,
    clock: Ticking,
    by_hand: bool,
    broken: bool,
}

impl Town {
    fn new() -> Self {
        let receivers: BTreeMap<NotifierName, Arc<Receiver>> = ["chat", "mail"]
            .map(|text| (name(text), Arc::default()))
            .into();
        let listeners = receivers
            .iter()
            .map(|(name, receiver)| {
                let listener = Listener {
                    on: EventKind::usual().collect(),
                    notifier: Arc::clone(receiver) as Arc<dyn Notifier>,
                };
                (name.clone(), listener)
            })
            .collect();
        Self {
            outbox: Memory::default(),
            reminder: Knot::default(),
            receivers,
            listeners,
            clock: Ticking(Mutex::new(Timestamp::from_unix(1_795_000_000))),
            by_hand: false,
            broken: false,
        }
    }

    fn set_down(&self, who: &str, down: bool) {
        *self.receivers[&name(who)].down.lock().expect("a lock") = down;
    }

    fn got(&self, who: &str) -> Vec<String> {
        self.receivers[&name(who)]
            .got
            .lock()
            .expect("a lock")
            .clone()
    }

    fn tries(&self, who: &str) -> u32 {
        *self.receivers[&name(who)].tries.lock().expect("a lock")
    }

    fn wait(&self, minutes: u64) {
        let mut now = self.clock.0.lock().expect("a lock");
        *now = *now + Duration::from_secs(60 * minutes);
    }

    fn frame(&self) -> Frame {
        Frame {
            host: "web01".to_owned(),
            version: "0".to_owned(),
            run: None,
            certificates: 1,
            nearest: None,
        }
    }

    async fn run(&self) -> Vec<Sent> {
        let settings = settings(
            vec![profile("first")],
            vec![certificate("shop", &["example.com"], &["first"])],
        );
        let now = self.clock.now();
        let report = RunReport {
            id: String::new(),
            started: now,
            ended: now,
            certificates: Vec::new(),
            left_over: Vec::new(),
            put_back: Vec::new(),
            installs: Vec::new(),
            served: Vec::new(),
            replaced: Vec::new(),
            audit: Vec::new(),
            requests: BTreeMap::new(),
            accounts: Vec::new(),
            stopped: false,
        };
        let error = StoreError {
            kind: StoreErrorKind::Corrupt,
            act: "read",
            path: "/state/certificates/blog".into(),
            causes: Vec::new(),
            hint: None,
        };
        let unreadable: &[StoreError] = if self.broken { &[error] } else { &[] };
        let scene = Scene {
            settings: &settings,
            report: &report,
            plan: &waxwing_core::plan::Plan { items: Vec::new() },
            inventory: &BTreeMap::new(),
            pasts: &BTreeMap::new(),
            down_since: &BTreeMap::new(),
            fruitless: &BTreeMap::new(),
            terms: &[],
            last_seen: &[],
            budgets: &[],
            unreadable,
            places: [Path::new("/state"), Path::new("/etc/waxwing.toml")],
            daemon: false,
            blind: false,
            well: !self.broken,
            now,
        };
        let office = Office {
            outbox: &self.outbox,
            reminder: &self.reminder,
            listeners: &self.listeners,
            clock: &self.clock,
            words: &|notice| {
                let events = notice.events.iter();
                let events = events.map(|event| format!("{} {:?}", event.kind, event.change));
                let subject = events.collect::<Vec<_>>().join(", ");
                (subject, String::new(), String::new())
            },
            frame: self.frame(),
            by_hand: self.by_hand,
        };
        office.tell(&scene).await
    }
}

#[tokio::test]
async fn what_is_told_is_written_down_sent_and_forgotten() {
    let mut town = Town::new();
    assert_eq!(town.run().await, [], "nothing to tell");
    town.broken = true;
    assert_eq!(town.run().await.len(), 2);
    assert_eq!(town.got("mail"), ["failed Began"]);
    assert_eq!(town.outbox.waiting().expect("letters"), []);
    assert_eq!(town.run().await, [], "told already");
}

#[tokio::test]
async fn a_letter_waits_longer_each_time_and_the_others_hear_of_it_once() {
    let mut town = Town::new();
    town.broken = true;
    town.set_down("mail", true);
    town.run().await;
    assert_eq!(town.got("chat"), ["failed Began", "notifier-failed Began"]);
    assert_eq!(town.tries("mail"), 1, "once in a run");
    town.wait(4);
    town.run().await;
    assert_eq!(town.tries("mail"), 1, "it is too early");
    town.wait(2);
    town.run().await;
    assert_eq!(town.tries("mail"), 2);
    town.wait(20);
    town.run().await;
    assert_eq!(town.tries("mail"), 2);
    assert_eq!(town.got("chat").len(), 2, "that it fails is known");
    // A person does not wait.
    town.set_down("mail", false);
    town.by_hand = true;
    let sent = town.run().await;
    assert!(sent.iter().any(|one| one.late && one.outcome.is_ok()));
    assert_eq!(town.got("mail"), ["failed Began"]);
    assert_eq!(
        town.got("chat").last().map(String::as_str),
        Some("notifier-failed Over")
    );
    assert_eq!(town.outbox.waiting().expect("letters"), []);
    town.wait(600);
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began"], "once");
}

#[tokio::test]
async fn letters_come_in_order_and_the_first_that_fails_keeps_the_others() {
    let mut town = Town::new();
    town.by_hand = true;
    town.set_down("mail", true);
    town.set_down("chat", true);
    town.broken = true;
    town.run().await;
    town.broken = false;
    town.run().await;
    let waiting = town.outbox.waiting().expect("letters");
    assert!(waiting.len() >= 3, "{waiting:?}");
    assert_eq!(town.tries("mail"), 2, "one letter in each run");
    town.set_down("mail", false);
    town.set_down("chat", false);
    town.run().await;
    // What could not be read is gone; nothing is known under its name any more, so nothing is over.
    let first = town.got("mail");
    assert_eq!(first.first().map(String::as_str), Some("failed Began"));
    assert!(
        first.contains(&"notifier-failed Began".to_owned()),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_clock_that_was_ahead_silences_no_notifier() {
    let mut town = Town::new();
    town.broken = true;
    town.set_down("mail", true);
    let years = 9 * 365 * 24 * 60;
    town.wait(years);
    town.run().await;
    assert_eq!(town.tries("mail"), 1);
    {
        let mut now = town.clock.0.lock().expect("a lock");
        *now = *now - Duration::from_secs(60 * years);
    }
    town.set_down("mail", false);
    town.run().await;
    // Since when it is so is not known any more, so it begins anew.
    assert_eq!(town.got("mail"), ["failed Began", "failed Worse"]);
    assert_eq!(town.outbox.waiting().expect("letters"), []);
    // One that nobody takes is given up all the same.
    let notice = town.frame().notice(
        town.clock.now() + Duration::from_secs(60 * years),
        vec![Event::new(EventKind::Failed, Change::Began, "x")],
    );
    let letters = vec![crate::notify::Letter {
        notifier: name("mail"),
        notice,
    }];
    let told = town.outbox.told().expect("what was told");
    let posting = Posting {
        letters,
        ..Posting::default()
    };
    assert_eq!(town.outbox.post(&told, &posting), Ok(true));
    town.set_down("mail", true);
    for _day in 0..120 {
        town.run().await;
        town.wait(25 * 60);
    }
    let waiting = town.outbox.waiting().expect("letters");
    let ahead = |one: &&Waiting| one.letter.notice.at > town.clock.now();
    assert_eq!(waiting.iter().filter(ahead).count(), 0);
}

#[tokio::test]
async fn a_letter_that_nobody_can_get_any_more_is_given_up() {
    let mut town = Town::new();
    town.broken = true;
    town.set_down("mail", true);
    town.run().await;
    let first = town.outbox.waiting().expect("letters");
    assert_eq!(first.len(), 1);
    town.wait(31 * 24 * 60);
    town.run().await;
    let waiting = town.outbox.waiting().expect("letters");
    let old = waiting.iter().filter(|one| one.id == first[0].id);
    assert_eq!(old.count(), 0, "too old");
    // The notifier has left the configuration.
    let mut town = Town::new();
    town.broken = true;
    town.set_down("mail", true);
    town.run().await;
    town.listeners.remove(&name("mail"));
    town.run().await;
    assert_eq!(town.outbox.waiting().expect("letters"), []);
}

#[tokio::test]
async fn an_outbox_that_cannot_be_used_keeps_nobody_from_hearing() {
    let mut town = Town::new();
    town.broken = true;
    town.outbox.0.lock().expect("a lock").broken = true;
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began"]);
    // Another run was faster, and then not.
    let mut town = Town::new();
    town.broken = true;
    town.outbox.0.lock().expect("a lock").overtaken = 2;
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began"]);
    // What another process has taken is not sent by this one.
    let mut town = Town::new();
    let now = town.clock.now();
    let posting = Posting {
        letters: vec![crate::notify::Letter {
            notifier: name("mail"),
            notice: Frame {
                host: String::new(),
                version: String::new(),
                run: None,
                certificates: 0,
                nearest: None,
            }
            .notice(now, vec![Event::new(EventKind::Failed, Change::Began, "x")]),
        }],
        ..Posting::default()
    };
    assert_eq!(town.outbox.post(&[], &posting), Ok(true));
    let later = now + Duration::from_secs(60);
    assert_eq!(town.outbox.take(1, now, later), Ok(true));
    assert_eq!(town.outbox.take(1, now, later), Ok(false));
    town.run().await;
    town.by_hand = true;
    town.run().await;
    assert_eq!(town.got("mail"), [""; 0]);
    town.outbox.0.lock().expect("a lock").taken = true;
    town.broken = true;
    town.run().await;
    assert_eq!(town.got("chat"), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_once_a_day_and_anew_when_it_can() {
    for read_only in [false, true] {
        let mut town = Town::new();
        town.broken = true;
        town.reminder.read_only = read_only;
        town.outbox.0.lock().expect("a lock").broken = true;
        // Every hour of five days; an hour and a day are no more exact than a timer is.
        for _hour in 0..5 * 24 {
            town.run().await;
            town.wait(60);
        }
        let got = town.got("mail");
        assert_eq!(got, ["failed Began"; 5], "read only: {read_only}");
        // There is room again: it is kept, and told once more at most.
        town.outbox.0.lock().expect("a lock").broken = false;
        for _hour in 0..2 * 24 {
            town.run().await;
            town.wait(60);
        }
        assert_eq!(town.got("mail").len(), 6);
        assert_eq!(town.reminder.last(), None);
    }
    // What a clock that was years ahead has left is no reason to be silent.
    let mut town = Town::new();
    town.broken = true;
    town.outbox.0.lock().expect("a lock").broken = true;
    town.reminder.set(Timestamp::from_unix(2_500_000_000));
    town.run().await;
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began"]);
}

#[tokio::test]
async fn a_process_may_die_at_any_moment_and_nobody_misses_a_message() {
    let mut died = 0;
    for dies_at in 0.. {
        let mut town = Town::new();
        town.broken = true;
        town.outbox.0.lock().expect("a lock").dies_at = Some(dies_at);
        let first = AssertUnwindSafe(town.run()).catch_unwind().await;
        town.outbox
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .dies_at = None;
        // What was taken for delivery is free again after a while.
        town.wait(3);
        town.run().await;
        town.wait(3);
        town.run().await;
        for who in ["chat", "mail"] {
            let got = town.got(who);
            let news = got.iter().filter(|one| !one.ends_with("(again)"));
            assert_eq!(
                news.collect::<Vec<_>>(),
                ["failed Began"],
                "died at {dies_at}: {got:?}"
            );
            // What comes a second time says so by its id.
            assert!(got.len() <= 2, "died at {dies_at}: {got:?}");
        }
        assert_eq!(town.outbox.waiting().expect("letters"), []);
        if first.is_ok() {
            break;
        }
        died += 1;
    }
    assert!(died >= 6, "the sweep met {died} calls only");
}

#[tokio::test]
async fn a_heartbeat_goes_to_whoever_wants_it_and_never_waits() {
    let mut town = Town::new();
    let on = BTreeSet::from([EventKind::RunOk]);
    town.listeners.get_mut(&name("mail")).expect("known").on = on;
    town.run().await;
    assert_eq!(town.got("mail"), ["run-ok Once"]);
    assert_eq!(town.got("chat"), [""; 0]);
    town.set_down("mail", true);
    town.run().await;
    assert_eq!(town.got("chat"), ["notifier-failed Began"]);
    assert_eq!(town.outbox.waiting().expect("letters"), []);
}
