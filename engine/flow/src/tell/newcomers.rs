//! Notifiers that are new: they hear of what is open, which was told to others before they were there, or to nobody.

use std::collections::BTreeSet;

use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::EventKind;

use super::{Scene, Tale};
use crate::notify::Told;

/// Under this kind, of which nothing else is written down, it is known which notifiers have been there.
const MET: EventKind = EventKind::RunOk;

/// True if it says that a notifier has been there.
pub(super) fn is_met(told: &Told) -> bool {
    told.kind == MET
}

/// Who is new, and is known from now on.
pub(super) fn meet(told: &[Told], scene: &Scene<'_>, tale: &mut Tale) {
    let met: BTreeSet<&str> = told
        .iter()
        .filter(|told| is_met(told))
        .map(|told| told.subject.as_str())
        .collect();
    let names = scene.settings.notify.keys();
    let new: Vec<&NotifierName> = names.filter(|name| !met.contains(name.as_str())).collect();
    tale.told.extend(new.iter().map(|name| Told {
        subject: name.to_string(),
        kind: MET,
        step: 0,
        at: scene.now,
        began: scene.now,
    }));
    // Of the first of all nobody knows whether they are new.
    if !met.is_empty() {
        tale.newcomers = new.into_iter().cloned().collect();
    }
}
