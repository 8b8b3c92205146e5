//! CAs that do not answer, or answer and issue nothing.

use std::time::Duration;

use waxwing_core::name::CaName;
use waxwing_core::notify::event::{Change, Event, EventKind, ISSUES_NOTHING};
use waxwing_core::retry::ladder;
use waxwing_core::time::Timestamp;

use super::{Condition, Scene, Standing, chain};
use crate::failure::Failure;

/// Behind these times a CA that is down is told again, after `[failover] after` for the first time.
const LONG_DOWN: [Duration; 2] = [
    Duration::from_secs(3 * 24 * 60 * 60),
    Duration::from_secs(7 * 24 * 60 * 60),
];

/// A look that failed says for so long that a CA is down: the monitor looks about once an hour.
const LOOK_HOLDS: Duration = Duration::from_secs(2 * 60 * 60);

/// Why a CA did not answer when somebody last talked to it, if that is not long ago and was not the only
/// time: one look is no state.
fn seen_lately(ca: &CaName, since: Timestamp, scene: &Scene<'_>) -> Option<Vec<String>> {
    let mut looks = scene.last_seen.iter();
    let look = looks.find(|look| look.ca == *ca)?;
    let cause = look.result.as_ref().err()?;
    let counts = look.at > since && look.at <= scene.now && scene.now.since(look.at) < LOOK_HOLDS;
    counts.then(|| vec![cause.clone()])
}

/// CAs that this run, or the monitor a short while ago, has seen to be down, or that issue nothing, and that
/// have been so for long.
pub(super) fn outages(scene: &Scene<'_>) -> Vec<Condition> {
    let failures = scene
        .report
        .certificates
        .iter()
        .flat_map(|one| &one.failures);
    // A cut-off machine says nothing about a CA.
    let seen: Vec<(&CaName, &Failure)> = failures
        .filter(|at_ca| at_ca.failure.silence().is_some() || is_directory(&at_ca.failure))
        .map(|at_ca| (&at_ca.ca, &at_ca.failure))
        .collect();
    let mut found = Vec::new();
    for ca in scene.settings.used_cas() {
        let down = scene.down_since.get(&ca).and_then(|outage| {
            let failure = seen.iter().find(|(failed, _)| **failed == ca);
            let causes = match failure {
                Some((_, failure)) => failure.lines(),
                None => seen_lately(&ca, outage.since, scene)?,
            };
            let hint = failure.and_then(|(_, failure)| failure.hint());
            Some((outage.since, outage.lasted(scene.now), causes, hint))
        });
        let is_long = |lasted: Duration| lasted >= scene.settings.failover.after;
        let down = down.filter(|(_, lasted, ..)| is_long(*lasted));
        let issues_nothing = down.is_none();
        let Some((since, lasted, causes, hint)) =
            down.or_else(|| fruitless(&ca, scene).filter(|(_, lasted, ..)| is_long(*lasted)))
        else {
            continue;
        };
        let longer = LONG_DOWN.iter().filter(|long| lasted >= **long).count();
        let mut event = Event::new(EventKind::CaOutage, Change::Began, ca.as_str());
        event.since = Some(since);
        event.causes = chain(causes);
        event.hint = hint;
        event.step = issues_nothing.then(|| ISSUES_NOTHING.to_owned());
        let of_list = scene.settings.certificates.iter();
        let users = of_list.filter(|one| one.cas.contains(&ca));
        event.what = users.map(|one| one.name.to_string()).collect();
        // Others of the list stand in, where there are others.
        event.needs_person = scene
            .settings
            .certificates
            .iter()
            .any(|one| one.cas.as_slice() == [ca.clone()]);
        let step = 1 + u32::try_from(longer).unwrap_or(0);
        found.push(Condition::new(step, event));
    }
    found
}

/// Since when, and for how long, every attempt has failed at a CA that answers; why, and what to do.
fn fruitless(
    ca: &CaName,
    scene: &Scene<'_>,
) -> Option<(Timestamp, Duration, Vec<String>, Option<String>)> {
    let fruitless = scene.fruitless.get(ca)?;
    if !fruitless.is_current(scene.now) {
        return None;
    }
    let of = match fruitless.is_of_one {
        true => ", all of them for one certificate,",
        false => "",
    };
    let mut causes = vec![format!(
        "each of {} attempts{of} to get a certificate there has failed",
        fruitless.attempts
    )];
    causes.extend(fruitless.causes.iter().cloned());
    let hint =
        "`waxwing history --failed` shows them; `waxwing explain NAME` says who is asked next"
            .to_owned();
    let lasted = scene.now.since(fruitless.since);
    Some((fruitless.since, lasted, causes, Some(hint)))
}

/// How it stands with a CA in use that was told to be down and is not among the conditions.
pub(super) fn standing(ca: &CaName, scene: &Scene<'_>) -> Standing {
    if let Some(down) = scene.down_since.get(ca) {
        // It may have asked for a long wait.
        return match scene.now.since(down.last) > ladder::GAP {
            true => Standing::Left(
                "nobody has asked it for anything since, so nobody knows whether it answers",
            ),
            false => Standing::Unknown,
        };
    }
    match scene.fruitless.get(ca) {
        None => Standing::Good,
        Some(fruitless) if fruitless.is_current(scene.now) => Standing::Unknown,
        Some(_) => Standing::Left("it answers, and nobody has asked it for a certificate since"),
    }
}

const fn is_directory(failure: &Failure) -> bool {
    matches!(failure, Failure::Directory { .. })
}
