//! Notifiers that are new: they hear of what is open, which was told to others before they were there, or to nobody.

use std::collections::BTreeSet;

use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::EventKind;
use waxwing_core::settings::Settings;

use super::{Scene, Tale};
use crate::notify::Told;

/// Under this kind, of which nothing else is written down, it is known which notifiers have been there.
const MET: EventKind = EventKind::RunOk;

/// True if it says that a notifier has been there.
pub(super) fn is_met(told: &Told) -> bool {
    told.kind == MET
}

/// Notifiers of these settings that were not there before. Of the first of all nobody knows whether they are new.
pub(crate) fn new(told: &[Told], settings: &Settings) -> BTreeSet<NotifierName> {
    let met = met(told);
    let names = settings.notify.keys().filter(|_| !met.is_empty());
    names
        .filter(|name| !met.contains(name.as_str()))
        .cloned()
        .collect()
}

/// Those that have been there.
fn met(told: &[Told]) -> BTreeSet<&str> {
    let met = told.iter().filter(|told| is_met(told));
    met.map(|told| told.subject.as_str()).collect()
}

/// Who is new, and is known from now on; who has been taken out is new if it comes back.
pub(super) fn meet(told: &[Told], scene: &Scene<'_>, tale: &mut Tale) {
    let met = met(told);
    let notify = &scene.settings.notify;
    let new = notify.keys().filter(|name| !met.contains(name.as_str()));
    tale.told.extend(new.map(|name| Told {
        subject: name.to_string(),
        kind: MET,
        step: 0,
        at: scene.now,
        began: scene.now,
    }));
    tale.newcomers = self::new(told, scene.settings);
    // Of a configuration that cannot be used only some are known.
    if !scene.blind {
        let there = |name: &&str| notify.keys().any(|one| one.as_str() == *name);
        let gone = met.iter().filter(|name| !there(name));
        tale.over.extend(gone.map(|name| ((*name).to_owned(), MET)));
    }
}
