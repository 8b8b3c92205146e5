//! What is worth telling after a run: a function of what was told before, of the run, and of the state
//! that it left.
//!
//! States are told when they begin, when they become worse, and when they are over; never in between.
//! They are read from what is stored, so a run with nothing to do notices them, too: that a certificate
//! ends soon although nobody has tried to renew it is the most important message of all. What happens
//! once, such as a renewal, comes from the report.

mod budgets;
mod conditions;
pub(crate) mod newcomers;
mod news;
mod revocations;
pub(crate) mod unkept;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use waxwing_core::alert;
use waxwing_core::name::{CaName, CertificateName, NotifierName};
use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::outage::Down;
use waxwing_core::plan::Plan;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;

use crate::ahead;
use crate::certificate::InventoryEntry;
use crate::history::{Fruitless, Past, Sighting};
use crate::notify::Told;
use crate::ports::StoreError;
use crate::report::RunReport;
use crate::terms::NewTerms;

pub use budgets::{Budget, budgets};
pub use news::nearest;

/// From one digest to the next.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A run, and the state that it left.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What the operator wants.
    pub settings: &'a Settings,
    /// What was done.
    pub report: &'a RunReport,
    /// What is to be done next.
    pub plan: &'a Plan,
    /// What is stored.
    pub inventory: &'a BTreeMap<CertificateName, InventoryEntry>,
    /// What earlier runs have learnt, this one included.
    pub pasts: &'a BTreeMap<CertificateName, Past>,
    /// Since when CAs have been seen to be down.
    pub down_since: &'a BTreeMap<CaName, Down>,
    /// CAs that answer, and at which every attempt fails.
    pub fruitless: &'a BTreeMap<CaName, Fruitless>,
    /// CAs that have other terms than those that were agreed to.
    pub terms: &'a [NewTerms],
    /// The last time that somebody talked to each of these CAs, whoever it was.
    pub last_seen: &'a [Sighting],
    /// What is left of limits that matter here.
    pub budgets: &'a [Budget],
    /// Certificates that cannot be read.
    pub unreadable: &'a [StoreError],
    /// The state folder and the main file of the configuration, whole paths.
    pub places: [&'a Path; 2],
    /// True in a daemon: what concerns itself only it knows.
    pub daemon: bool,
    /// True if nobody could look at what is stored: nothing is known to be over then.
    pub blind: bool,
    /// True if the run ended well.
    pub well: bool,
    /// The time.
    pub now: Timestamp,
}

/// What is told, and what counts as told from now on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tale {
    /// What is told, worst first.
    pub events: Vec<Event>,
    /// What counts as told.
    pub told: Vec<Told>,
    /// What is over, by subject and kind.
    pub over: Vec<(String, EventKind)>,
    /// What was told before and is so still.
    pub open: Vec<Event>,
    /// Notifiers that were not there when that was told.
    pub newcomers: BTreeSet<NotifierName>,
}

impl Tale {
    /// What this notifier is told, worst first.
    pub fn told_to(&self, name: &NotifierName) -> Vec<Event> {
        let mut events = self.events.clone();
        if self.newcomers.contains(name) {
            events.extend(self.open.iter().cloned());
            sort(&mut events);
        }
        events
    }
}

/// Worst first.
fn sort(events: &mut [Event]) {
    events.sort_by_key(|event| {
        let change = match event.change {
            Change::Worse => 0,
            Change::Began => 1,
            Change::Once => 2,
            Change::Over => 3,
        };
        // What it does to a certificate says more than the file that is in trouble.
        let file = event.subject.contains(['/', '\\']);
        (!event.needs_person, file, change, event.subject.clone())
    });
}

/// A state that is worth telling, under the key of its event's subject and kind.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    /// How bad it is, in the order of its kind.
    step: u32,
    /// The event that tells it; its `change` is filled in.
    event: Event,
    /// What was told before that was of something else.
    from: Option<Timestamp>,
}

impl Condition {
    const fn new(step: u32, event: Event) -> Self {
        Self {
            step,
            event,
            from: None,
        }
    }
}

/// What is in trouble, as a week sums it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failing {
    /// How many certificates; if there is none, how much else.
    count: usize,
    /// True if any of it needs a person.
    needs_person: bool,
}

impl Failing {
    /// Of what is in trouble now, and of what was told and is not over.
    fn of(now: &[Condition], open: &[&Told], settings: &Settings) -> Self {
        let subjects = now.iter().map(|one| one.event.subject.as_str());
        let open_ones = open.iter().map(|told| told.subject.as_str());
        let subjects: BTreeSet<&str> = subjects.chain(open_ones).collect();
        let names = settings.certificates.iter().map(|one| one.name.as_str());
        let certificates = names.filter(|name| subjects.contains(name)).count();
        Self {
            count: if certificates > 0 {
                certificates
            } else {
                subjects.len()
            },
            needs_person: now.iter().any(|one| one.event.needs_person)
                || open.iter().any(|told| told.kind == EventKind::ExpiryNear),
        }
    }
}

/// How it stands with something that was told and is no condition now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is good again.
    Good,
    /// This run has not seen it.
    Unknown,
    /// There is no such thing any more.
    Gone,
    /// Nobody looks at it any more, for this reason.
    Left(&'static str),
    /// The clock of now is behind, so that what was told lies ahead although it is right.
    Unknowable,
}

/// Decides what is told of this scene, if `told` was told before.
pub fn tell(told: &[Told], scene: &Scene<'_>) -> Tale {
    let conditions = conditions::all(told, scene);
    let seen = conditions.clone();
    let behind = ahead::is_behind(scene.inventory.values(), scene.now).is_some();
    let mut tale = compare(told, conditions, (scene.now, behind), |told| match behind {
        true => Standing::Unknowable,
        false if scene.blind => Standing::Unknown,
        false => conditions::standing(told, scene),
    });
    let is_open = |told: &&Told| {
        let trouble = matches!(
            told.kind,
            EventKind::Failed
                | EventKind::ExpiryNear
                | EventKind::NotInstalled
                | EventKind::NotServed
        );
        let now =
            |one: &Condition| one.event.kind == told.kind && one.event.subject == told.subject;
        let over = tale.over.contains(&(told.subject.clone(), told.kind));
        trouble && !over && !seen.iter().any(now)
    };
    let open: Vec<&Told> = told.iter().filter(is_open).collect();
    let failing = Failing::of(&seen, &open, scene.settings);
    tale.events.extend(news::of_run(scene));
    news::digest(told, scene, &failing, &mut tale);
    newcomers::meet(told, scene, &mut tale);
    sort(&mut tale.events);
    tale
}

/// The heartbeat of a run that ended well. It is not written down: late, it would say nothing.
pub fn heartbeat(scene: &Scene<'_>) -> Option<Event> {
    scene
        .well
        .then(|| Event::new(EventKind::RunOk, Change::Once, ""))
}

/// What became of a notifier in this run.
#[derive(Debug, Clone)]
pub struct NotifierState<'a> {
    /// Which.
    pub name: &'a NotifierName,
    /// Why it could not be reached, and what to do.
    pub causes: Option<(Vec<String>, Option<String>)>,
    /// True if everybody has something of it.
    pub delivered: bool,
    /// When the newest letter was written that has just reached everybody at once.
    pub proved: Option<Timestamp>,
    /// Recipients that it did not take.
    pub refused: Vec<String>,
    /// Recipients that it does not take for now. Some servers let everybody wait who is new to them, so it is
    /// no failure until it has happened again and again.
    pub deferred: Vec<String>,
    /// Letters that wait for it.
    pub waiting: usize,
    /// How often one of them was tried in vain.
    pub tries: u32,
}

/// Decides what is told of notifiers that could not be reached, or can be again.
pub fn about_notifiers(told: &[Told], states: &[NotifierState<'_>], now: Timestamp) -> Tale {
    let conditions = states.iter().filter_map(|state| {
        let mut event = Event::new(
            EventKind::NotifierFailed,
            Change::Began,
            state.name.as_str(),
        );
        // What passes is tried again and again.
        let often = state.tries >= alert::AGAIN;
        // Who is refused for good stays so until somebody sees to it.
        let refused = state.causes.is_none() && !state.refused.is_empty();
        event.needs_person = often || refused;
        event.count = u32::try_from(state.waiting).ok();
        match &state.causes {
            Some((causes, hint)) => {
                event.causes.clone_from(causes);
                event.hint.clone_from(hint);
            }
            None if !state.refused.is_empty() || often && !state.deferred.is_empty() => {
                event.causes.clone_from(&state.refused);
                event.causes.extend(state.deferred.iter().cloned());
            }
            None => return None,
        }
        let step = match (refused, often) {
            (true, _) => REFUSED,
            (false, true) => 2,
            (false, false) => 1,
        };
        Some(Condition::new(step, event))
    });
    let of_notifiers: Vec<Told> = told
        .iter()
        .filter(|told| told.kind == EventKind::NotifierFailed)
        .cloned()
        .collect();
    compare(&of_notifiers, conditions.collect(), (now, false), |told| {
        let state = states.iter().find(|one| one.name.as_str() == told.subject);
        match state {
            None => Standing::Left(conditions::UNCONFIGURED),
            // Who was refused for good has none of the letters that come to others later.
            Some(state) if state.delivered && told.step >= REFUSED => {
                match state.proved.is_some_and(|at| at > told.at) {
                    true => Standing::Good,
                    false => Standing::Unknown,
                }
            }
            Some(state) if state.delivered => Standing::Good,
            Some(_) => Standing::Unknown,
        }
    })
}

/// A notifier of which it was told that it does not reach everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTrouble {
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
    /// True if a recipient was refused for good, so that nothing waits for that one.
    pub refused: bool,
}

/// Notifiers of which it was told that they do not reach everybody.
pub fn notifiers_in_trouble(told: Vec<Told>) -> impl Iterator<Item = InTrouble> {
    let of_it = |told: &Told| told.kind == EventKind::NotifierFailed;
    let of_them = told.into_iter().filter(of_it);
    of_them.map(|told| InTrouble {
        name: told.subject,
        since: told.began,
        refused: told.step >= REFUSED,
    })
}

/// The step of a notifier of which a recipient is refused for good.
const REFUSED: u32 = 3;

/// True if it was told by a clock that was wrong: how bad it was then says nothing about now, and must not
/// keep anybody from being told.
fn is_ahead(told: &Told, now: Timestamp) -> bool {
    told.at.is_ahead_of(now)
}

/// What is new, worse or over.
fn compare(
    told: &[Told],
    conditions: Vec<Condition>,
    (now, behind): (Timestamp, bool),
    standing: impl Fn(&Told) -> Standing,
) -> Tale {
    let mut tale = Tale::default();
    let mut seen: BTreeSet<(String, EventKind)> = BTreeSet::new();
    for Condition {
        step,
        mut event,
        from,
    } in conditions
    {
        let key = (event.subject.clone(), event.kind);
        let before = told
            .iter()
            .find(|told| told.kind == event.kind && told.subject == event.subject)
            .filter(|told| behind || told.step <= step || !is_ahead(told, now))
            .filter(|told| from.is_none_or(|from| told.at >= from));
        // What had expired is replaced, or the other one is renewed, which comes nearer to its end by steps of its own.
        let expired = conditions::EXPIRED;
        let replaced = |before: &&Told| {
            event.kind == EventKind::ExpiryNear && before.step >= expired && step < before.step
        };
        let replaced = before.filter(replaced);
        let left = if step < expired { expired } else { 0 };
        event.change = match before {
            None => Change::Began,
            Some(before) if step > replaced.map_or(before.step, |it| it.step - left) => {
                Change::Worse
            }
            Some(before) => {
                tale.told.extend(replaced.map(|before| Told {
                    step,
                    ..before.clone()
                }));
                event.change = Change::Began;
                event.since = event.since.or(Some(before.began).filter(|at| *at <= now));
                tale.open.push(event);
                seen.insert(key);
                continue;
            }
        };
        seen.insert(key);
        tale.told.push(Told {
            subject: event.subject.clone(),
            kind: event.kind,
            step,
            at: now,
            began: before
                .map(|before| before.began)
                .filter(|began| behind || !began.is_ahead_of(now))
                .unwrap_or_else(|| event.since.filter(|at| *at <= now).unwrap_or(now)),
        });
        tale.events.push(event);
    }
    for one in told {
        if newcomers::is_met(one) || seen.contains(&(one.subject.clone(), one.kind)) {
            continue;
        }
        match standing(one) {
            Standing::Unknown if is_ahead(one, now) => {
                tale.over.push((one.subject.clone(), one.kind));
            }
            Standing::Unknown | Standing::Unknowable => {}
            Standing::Gone => tale.over.push((one.subject.clone(), one.kind)),
            // Whoever keeps a list of what is wrong has to close it.
            Standing::Left(why) => {
                tale.over.push((one.subject.clone(), one.kind));
                let mut event = Event::new(one.kind, Change::Over, one.subject.clone());
                event.causes = vec![why.to_owned()];
                event.since = Some(one.began).filter(|_| !is_ahead(one, now));
                tale.events.push(event);
            }
            Standing::Good => {
                tale.over.push((one.subject.clone(), one.kind));
                let mut event = Event::new(one.kind, Change::Over, one.subject.clone());
                // One of two clocks was wrong, and from here nobody knows which.
                if is_ahead(one, now) {
                    event.hint = Some(format!(
                        "it was told on {} by the clock of then, and it is earlier now: `waxwing check` \
                         compares the clock with those of the CAs",
                        one.at.to_string().split('T').next().unwrap_or_default()
                    ));
                } else {
                    event.since = Some(one.began);
                }
                tale.events.push(event);
            }
        }
    }
    tale
}

/// Takes out what the same message says better: that a failure is over, of a certificate that it says
/// was renewed; that it fails, of one that it says ends soon.
pub(crate) fn drop_echoes(events: &mut Vec<Event>) {
    let renewed: BTreeSet<String> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Renewed | EventKind::FailedOver))
        .map(|event| event.subject.clone())
        .collect();
    events.retain(|event| {
        let ended = event.change == Change::Over
            && matches!(event.kind, EventKind::Failed | EventKind::ExpiryNear);
        !(ended && renewed.contains(&event.subject))
    });
}

#[cfg(test)]
mod tests;
