//! Revocations that are owed: another certificate has the place, and the CA has not revoked the old one.

use waxwing_core::alert::{self, Step};
use waxwing_core::failure::FailureClass;
use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::settings::CertificateSettings;

use super::conditions::{about, chain};
use super::{Condition, Scene, Standing};
use crate::certificate::Replacing;
use crate::report::Replaced;
use crate::revoke::RevokeError;

/// What is told of a revocation that has failed: like a renewal, the first time and when it has failed
/// several times. What is not in its place yet is told as not installed or not served.
pub(super) fn not_revoked(
    certificate: &CertificateSettings,
    scene: &Scene<'_>,
) -> Option<Condition> {
    let wish = owed(certificate, scene)?;
    let past = scene.pasts.get(&certificate.name);
    let stored = past
        .and_then(|past| past.unrevoked.as_ref())
        .filter(|unrevoked| unrevoked.version == wish.version);
    let here = failed_here(certificate, wish, scene);
    // On a full disk only this run knows.
    let tries = stored.map_or(0, |stored| stored.tries);
    let tries = tries.max(u32::from(here.is_some()));
    let step = alert::step(tries, None, scene.now)?;
    let class = here
        .map(|error| error.class().as_str())
        .or_else(|| stored.map(|stored| stored.class.as_str()));
    let is = |wanted: FailureClass| class == Some(wanted.as_str());
    // To wait for a CA is no failure, until it has become many.
    if step == Step::Failed && (is(FailureClass::RateLimited) || is(FailureClass::Cancelled)) {
        return None;
    }
    let mut event = Event::new(
        EventKind::NotRevoked,
        Change::Began,
        certificate.name.as_str(),
    );
    about(certificate, scene, &mut event);
    // That of the old one is not known here.
    event.not_after = None;
    event.step = Some(step.as_str().to_owned());
    event.count = Some(tries);
    event.since = Some(wish.since);
    event.what = vec![format!("version {}", wish.version)];
    event.causes = chain(match here {
        Some(error) => error.lines(),
        None => stored.map_or_else(Vec::new, |stored| stored.causes.clone()),
    });
    event.hint = here.and_then(RevokeError::hint).or_else(|| {
        let name = &certificate.name;
        Some(format!("`waxwing revoke {name} --replace` asks at once"))
    });
    event.needs_person = step > Step::Failed || !is(FailureClass::Transient);
    let step = if step == Step::Failed { 1 } else { 2 };
    Some(Condition::new(step, event))
}

/// How it stands with a revocation that was told and is no condition now.
pub(super) fn standing(certificate: &CertificateSettings, scene: &Scene<'_>) -> Standing {
    match owed(certificate, scene) {
        None => Standing::Good,
        Some(_) => Standing::Unknown,
    }
}

/// What is to be revoked and has another one in its place.
fn owed<'s>(certificate: &CertificateSettings, scene: &Scene<'s>) -> Option<&'s Replacing> {
    let entry = scene.inventory.get(&certificate.name)?;
    let current = entry.current.as_ref()?;
    let wish = entry.replacing.as_ref()?;
    (wish.version < current.version).then_some(wish)
}

/// Why this run could not have it revoked, if it tried.
fn failed_here<'s>(
    certificate: &CertificateSettings,
    wish: &Replacing,
    scene: &Scene<'s>,
) -> Option<&'s RevokeError> {
    let mut replaced = scene.report.replaced.iter();
    let report =
        replaced.find(|one| one.certificate == certificate.name && one.version == wish.version)?;
    match &report.ended {
        Replaced::Failed(error) => Some(error),
        _ => None,
    }
}
