//! Whether a certificate waits for its CA: it has neither failed nor gone well.

use std::time::Duration;

use waxwing_core::alert;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CertificateName;
use waxwing_core::notify::event::EventKind;
use waxwing_core::plan::Action;
use waxwing_core::plan::hold::{Hold, MOST_ISSUED, most_issued};
use waxwing_core::retry::ladder;
use waxwing_core::settings::CertificateSettings;

use crate::failure::Failure;
use crate::notify::Told;

use super::{Outcome, Scene, by_hand, item_of, last_failure, report_of, stored_failure};

/// The class of what failed last, if nothing has succeeded since.
pub(super) fn class_of<'s>(
    certificate: &CertificateSettings,
    scene: &'s Scene<'_>,
) -> Option<&'s str> {
    let report = report_of(&certificate.name, scene);
    let here = report.and_then(last_failure);
    let here = here.map(|failure| failure.class().as_str());
    let entry = scene.inventory.get(&certificate.name);
    here.or_else(|| Some(stored_failure(entry?, scene.now)?.0))
}

/// True if it ended because a CA is waited for, or somebody stopped it: it has neither failed nor gone well.
pub(super) fn waits(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let waits = [FailureClass::RateLimited, FailureClass::Cancelled].map(FailureClass::as_str);
    class_of(certificate, scene).is_some_and(|class| waits.contains(&class))
}

/// True if it waits so since this run, or for something that is needed now. A wait of long ago, or for what nobody wants any
/// more, ends nothing and keeps nothing.
pub(super) fn still_waits(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let entry = scene.inventory.get(&certificate.name);
    let last = entry.and_then(|entry| entry.last.as_ref());
    let recent = last.is_none_or(|last| ladder::is_of_now(last.at, scene.now));
    let wanted = item_of(&certificate.name, scene)
        .is_some_and(|item| matches!(item.action, Action::Renew { .. } | Action::Issue(_)));
    let report = report_of(&certificate.name, scene);
    let here = report.is_some_and(|report| matches!(report.outcome, Outcome::Failed(_)));
    (here || wanted && recent) && waits(certificate, scene)
}

/// True if what is in place is what is wanted, and no run will try again what has failed. What has just failed is told
/// all the same, and so is a replacement of what is to be revoked.
pub(super) fn is_needless(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let entry = scene.inventory.get(&certificate.name);
    let last = entry.and_then(|entry| entry.last.as_ref());
    let replaces = last.is_some_and(|last| last.replaces);
    let report = report_of(&certificate.name, scene);
    let here = report.is_some_and(|report| matches!(report.outcome, Outcome::Failed(_)));
    let item = item_of(&certificate.name, scene);
    let failed = fails_without_a_word(certificate, scene)
        || entry.is_some_and(|entry| stored_failure(entry, scene.now).is_some());
    failed && !here && !replaces && item.is_some_and(|item| by_hand(item, false).is_some())
}

/// True if attempts have failed and nothing is noted of the last one.
pub(super) fn fails_without_a_word(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let entry = scene.inventory.get(&certificate.name);
    let past = scene.pasts.get(&certificate.name);
    entry.is_none_or(|entry| stored_failure(entry, scene.now).is_none())
        && past.is_some_and(|past| ladder::count(&past.failed, scene.now) > 0)
}

/// True if the last thing that is known of it is that it failed.
pub(super) fn is_as_it_failed(subject: &str, scene: &Scene<'_>) -> bool {
    let mut entries = scene.inventory.values();
    let entry = entries.find(|entry| entry.certificate.as_str() == subject);
    entry.is_some_and(|entry| stored_failure(entry, scene.now).is_some())
}

/// True if a renewal is due that has not come.
pub(super) fn is_awaited(subject: &str, scene: &Scene<'_>) -> bool {
    let mut items = scene.plan.items.iter();
    let item = items.find(|item| item.name.as_str() == subject);
    item.is_some_and(|item| matches!(item.action, Action::Renew { .. }))
}

/// So long a certificate fails before it is said to fail again and again where nobody counts.
const UNCOUNTED: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Failures in a row of which only the last is known, because no run before could note its own: many if the first of them
/// was told so long ago.
pub(super) fn uncounted(
    told: &[Told],
    certificate: &CertificateSettings,
    scene: &Scene<'_>,
) -> u32 {
    let name = &certificate.name;
    let counted = scene
        .pasts
        .get(name)
        .is_some_and(|past| past.failures(scene.now) > 0);
    // Where no CA was asked because none may be, nothing is counted anywhere.
    let report = report_of(name, scene);
    let fails = report.is_some_and(|report| match last_failure(report) {
        Some(Failure::Store(_)) => true,
        Some(_) => report.asked,
        None => false,
    });
    let mut told = told.iter();
    let first = told.find(|one| one.kind == EventKind::Failed && one.subject == name.as_str());
    let lasts = first
        .is_some_and(|first| first.began <= scene.now && scene.now.since(first.began) >= UNCOUNTED);
    match !counted && fails && lasts {
        true => alert::AGAIN,
        false => 0,
    }
}

/// True if it is still to be issued, and was not since that was told, or so often that it looks like a loop.
pub(super) fn is_still_wanted(
    certificate: &CertificateSettings,
    told: &Told,
    scene: &Scene<'_>,
) -> bool {
    let wanted = item_of(&certificate.name, scene)
        .is_some_and(|item| matches!(item.action, Action::Renew { .. } | Action::Issue(_)));
    let entry = scene.inventory.get(&certificate.name);
    let current = entry.and_then(|entry| entry.current.as_ref());
    let right = !told.at.is_ahead_of(scene.now);
    let since = |at| scene.now.since(at) < MOST_ISSUED.per && at <= scene.now;
    let past = scene.pasts.get(&certificate.name);
    let lately = past.map_or(0, |past| {
        past.issued.iter().filter(|at| since(**at)).count()
    });
    let life = current.map(|current| current.facts.not_after.since(current.facts.not_before));
    let most = life.map_or(MOST_ISSUED.count, most_issued);
    let again = lately + 1 >= most as usize;
    wanted
        && right
        && (again || current.is_none_or(|current| current.origin.issued_at <= told.began))
}

/// Why it is not renewed, and what to do, if so many were issued that it looks like a loop.
pub(super) fn looped(name: &CertificateName, scene: &Scene<'_>) -> Option<(String, String)> {
    let item = item_of(name, scene)?;
    let Some(Hold::TooMany { issued, .. }) = item.hold else {
        return None;
    };
    Some((
        format!("{issued} were issued under this name within a week, which looks like a loop"),
        format!(
            "`waxwing history {name}` shows them; `waxwing check` compares the clock of this machine with those of \
             the CAs; one more all the same: waxwing renew {name} --force --yes"
        ),
    ))
}

/// True if it is due, and no CA may be asked for it.
pub(super) fn is_shut_out(name: &CertificateName, scene: &Scene<'_>) -> bool {
    let report = report_of(name, scene).and_then(last_failure);
    let hold = item_of(name, scene).and_then(|item| item.hold.as_ref());
    // Whom CAA forbids to sign, only a run knows, and each of them looks.
    matches!(report, Some(Failure::NoCa { .. }))
        || hold.is_some_and(|hold| {
            matches!(
                hold,
                Hold::Asked { .. } | Hold::UsedUp { .. } | Hold::TooMany { .. } | Hold::NoCa { .. }
            )
        })
}
