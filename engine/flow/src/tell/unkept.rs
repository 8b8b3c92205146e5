//! What is told when it cannot be kept that it was told: on a full or read-only disk, or beside a
//! database that cannot be written.
//!
//! A state would seem new to every run then, and be told every hour. So it is told once a day, until
//! it can be kept again. What a newcomer gets wrong: silence is the worse mistake of the two.

use std::time::Duration;

use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::plan::Action;
use waxwing_core::time::Timestamp;

use super::Scene;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The same for whoever remembers: runs do not come to the second.
const NEARLY_A_DAY: Duration = Duration::from_secs(23 * 60 * 60 + 30 * 60);

/// From one run of a timer to the next. Whoever remembers nothing speaks in the first of these of
/// each day.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// True for what comes only once, so that it needs no memory: it is told in any case.
pub(crate) fn comes_once(event: &Event) -> bool {
    event.change == Change::Once && event.kind != EventKind::WeeklyDigest
}

/// Whether a day has gone by since `last`, the moment that was remembered. One that lies ahead was
/// written by a wrong clock and does not count.
pub(crate) fn is_over(last: Timestamp, now: Timestamp) -> bool {
    last > now || now.since(last) >= NEARLY_A_DAY
}

/// Whether it is the hour of the day in which these are told when nothing at all can be remembered.
///
/// Days are counted from the moment at which the first of the certificates concerned became due, which
/// is stored and the same for every run: the first run behind it speaks, and then one a day.
pub(crate) fn is_its_hour(events: &[Event], scene: &Scene<'_>) -> bool {
    let began = events.iter().map(|event| began(event, scene)).min();
    began.is_some_and(|began| {
        let into = scene.now.since(began).as_secs() % DAY.as_secs();
        into < HOUR.as_secs()
    })
}

/// A moment behind which an event can have come, from what is stored.
fn began(event: &Event, scene: &Scene<'_>) -> Timestamp {
    let mut items = scene.plan.items.iter();
    let item = items.find(|item| item.name.as_str() == event.subject);
    let due = item.and_then(|item| match &item.action {
        Action::Keep { due, .. } | Action::Install { due, .. } | Action::Renew { due, .. } => {
            Some(due.at)
        }
        Action::Issue(_) | Action::Gone { .. } => None,
    });
    let mut entries = scene.inventory.values();
    let entry = entries.find(|entry| entry.certificate.as_str() == event.subject);
    let issued = entry.and_then(|entry| Some(entry.current.as_ref()?.origin.issued_at));
    let past = |at: &Timestamp| *at <= scene.now;
    let of_certificate = due.filter(past).or(issued.filter(past));
    let midnight = Timestamp::from_unix(0);
    of_certificate
        .or(event.since.filter(past))
        .unwrap_or(midnight)
}
