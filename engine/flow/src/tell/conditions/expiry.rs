//! That a certificate ends soon, or what is in use in its place.

use waxwing_core::alert::{self, InPlace, Step};
use waxwing_core::due;
use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::plan::Item;
use waxwing_core::settings::CertificateSettings;

use super::{
    Condition, Scene, about, chain, current_since, is_unseen, item_of, not_installed, not_served,
    patience, why,
};
use crate::history;
use crate::notify::Told;

pub(super) fn expiry(
    told: &[Told],
    certificate: &CertificateSettings,
    scene: &Scene<'_>,
) -> Option<Condition> {
    let entry = scene.inventory.get(&certificate.name)?;
    let nothing = history::Past::default();
    let past = scene.pasts.get(&certificate.name).unwrap_or(&nothing);
    let current = history::stored(entry, past).current;
    // What cannot be used any more still ends.
    let (validity, suggestion) = match &current {
        Some(current) => (
            (current.not_before, current.not_after),
            current.suggestion.as_ref(),
        ),
        None => (entry.in_place.map(|life| (life.start, life.end))?, None),
    };
    // What failed for a need of long ago says nothing about why it ends now.
    let failures = past.failures(scene.now);
    // Where no CA may be asked nothing fails, and it comes as near its end.
    let counted = failures.max(patience::uncounted(told, certificate, scene));
    // Nobody renews what the configuration has lost.
    let lost = certificate.cas.is_empty();
    let shut_out = scene.blind || lost || patience::is_shut_out(&certificate.name, scene);
    let lasting = match shut_out {
        true => failures.max(alert::AGAIN),
        false => counted,
    };
    let step_of = |failures, (not_before, not_after), suggestion| {
        let days = certificate.days_after_issue;
        let due = due::due(not_before, not_after, days, suggestion);
        let in_place = InPlace {
            not_before,
            not_after,
            due: &due,
        };
        alert::step(failures, Some(in_place), scene.now)
    };
    let stored = number(step_of(lasting, validity, suggestion));
    // What is renewed and not in its place runs out where it is used.
    let in_use = entry.in_use(certificate);
    let older = number(entry.in_use_ends(certificate, scene.now));
    let (step, is_older) = match (stored, older) {
        // Behind the end of the one the other one comes nearer to its own.
        (Some((own, step)), Some((EXPIRED, _))) => ((EXPIRED + own, step), false),
        _ => {
            let worst = stored.max(older)?;
            (worst, older == Some(worst))
        }
    };
    // What had expired, and is not seen now, may be in use all the same.
    let mut before = told.iter();
    let before = before.find(|told| {
        told.kind == EventKind::ExpiryNear && told.subject == certificate.name.as_str()
    });
    let before = before.map_or(0, |told| told.step);
    let hidden = before >= EXPIRED && older.is_none() && is_unseen(certificate, scene);
    let step = match step {
        // It may be what had expired.
        (EXPIRED, expired) if hidden && before == EXPIRED => (EXPIRED, expired),
        (own, step) if hidden => (EXPIRED + own, step),
        seen => seen,
    };
    let mut event = Event::new(
        EventKind::ExpiryNear,
        Change::Began,
        certificate.name.as_str(),
    );
    about(certificate, scene, &mut event);
    event.not_after = Some(validity.1);
    match in_use.filter(|_| is_older) {
        Some(it) => {
            let trouble =
                not_installed(certificate, scene).or_else(|| not_served(certificate, scene));
            if let Some(Condition { event: why, .. }) = trouble {
                event.causes = why.causes;
                event.hint = why.hint;
            }
            event.not_after = Some(it.not_after);
            event.what = vec![it.at];
        }
        None => {
            event.count = Some(failures);
            if lost {
                event.causes = vec![LEFT.to_owned()];
                event.hint = Some(LEFT_HINT.replace("NAME", certificate.name.as_str()));
            } else {
                why(certificate, scene, &mut event);
            }
        }
    }
    event.step = Some(step.1.as_str().to_owned());
    // What is held and has time comes by itself, as `status` has it.
    // What the configuration has lost nobody renews.
    let lost = lost && !scene.blind;
    let late = lost || item_of(&certificate.name, scene).is_some_and(Item::is_urgent);
    event.needs_person =
        is_older || counted >= alert::AGAIN || late || scene.blind || current.is_none();
    // Nothing is tried as long as that is so.
    if scene.blind {
        event.causes = chain(scene.unreadable.iter().map(ToString::to_string).collect());
        event.hint = scene.unreadable.iter().find_map(|error| error.hint.clone());
    }
    // What was told of a version before says nothing of this one, where nobody could see that it was replaced; what had
    // expired is counted on from.
    let of_this = older.is_none() && before < EXPIRED && is_unseen(certificate, scene);
    let from = entry.current.as_ref().map(|current| {
        // Until it was in its place the one before it was told of.
        let marks = entry.installed.iter();
        let here = marks.filter(|mark| mark.version == current.version);
        let here = here.map(|mark| mark.at).max();
        here.max(Some(current_since(current, scene.now)))
    });
    Some(Condition {
        from: from.flatten().filter(|from| of_this && *from <= scene.now),
        ..Condition::new(step.0, event)
    })
}

const LEFT: &str =
    "nothing in the configuration has it any more, and it may be in use where it was put";
const LEFT_HINT: &str =
    "`waxwing check` says what has become of it; `waxwing forget NAME` when nothing uses it";

/// The step of what has expired. From there on those of the current version are counted, where an older one that is in
/// use has expired.
pub(crate) const EXPIRED: u32 = u8::MAX as u32;

/// The number of a step that is about the end, and the step.
fn number(step: Option<Step>) -> Option<(u32, Step)> {
    let step = step?;
    match step {
        Step::EndsSoon(nth) => Some((1 + u32::from(nth), step)),
        Step::Expired => Some((EXPIRED, step)),
        Step::Failed | Step::FailedAgain => None,
    }
}
