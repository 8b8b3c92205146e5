//! That something stored cannot be read, or cannot be right.

use waxwing_core::notify::event::{CLOCK, Change, Event, EventKind};

use super::{Condition, Scene};
use crate::ports::{StoreError, StoreErrorKind};

pub(super) fn conditions<'s>(scene: &'s Scene<'_>) -> impl Iterator<Item = Condition> + 's {
    scene.unreadable.iter().map(|error| {
        let mut event = Event::new(EventKind::Failed, Change::Began, subject(error));
        event.needs_person = true;
        event.causes = match error.kind {
            StoreErrorKind::Clock => error.causes.clone(),
            _ => vec![error.to_string()],
        };
        event.hint.clone_from(&error.hint);
        Condition { step: 1, event }
    })
}

fn subject(error: &StoreError) -> String {
    match error.kind {
        StoreErrorKind::Clock => CLOCK.to_owned(),
        _ => error.path.display().to_string(),
    }
}
