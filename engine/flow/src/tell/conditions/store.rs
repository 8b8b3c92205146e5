//! That something stored cannot be read, or cannot be right.

use waxwing_core::alert::{self, Step};
use waxwing_core::notify::event::{CLOCK, Change, Event, EventKind};

use super::{Condition, Scene};
use crate::notify::Told;
use crate::ports::{StoreError, StoreErrorKind};

/// How near an end is nobody sees who cannot look, so each goes on by its age.
pub(super) fn conditions<'s>(
    told: &'s [Told],
    scene: &'s Scene<'_>,
) -> impl Iterator<Item = Condition> + 's {
    scene.unreadable.iter().map(|error| {
        let mut event = Event::new(EventKind::Failed, Change::Began, subject(error));
        let before = told
            .iter()
            .find(|told| told.kind == event.kind && told.subject == event.subject);
        let began = before.map(|before| before.began);
        let step = match before {
            // Told by a clock that was wrong: its age is not known, so it begins anew, once more.
            Some(before) if before.began.is_ahead_of(scene.now) => before.step.saturating_add(1),
            _ => began.map_or(1, |began| alert::unseen_step(scene.now.since(began))),
        };
        let began = began.filter(|began| !began.is_ahead_of(scene.now));
        event.needs_person = true;
        event.causes = match error.kind {
            StoreErrorKind::Clock => error.causes.clone(),
            _ => vec![error.to_string()],
        };
        event.hint.clone_from(&error.hint);
        if step > 1 {
            event.step = Some(Step::FailedAgain.as_str().to_owned());
            event.since = began;
        }
        Condition::new(step, event)
    })
}

fn subject(error: &StoreError) -> String {
    match error.kind {
        StoreErrorKind::Clock => CLOCK.to_owned(),
        _ => error.path.display().to_string(),
    }
}
