//! What happened once: renewals, fail-overs, and the digest of a week.

use waxwing_core::ca::choose::{Because, FailBack};
use waxwing_core::notify::event::{Change, Event, EventKind, Nearest};
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time;

use super::conditions::{about, every_failure, renewal_of, report_of};
use super::{Failing, Scene, Tale, WEEK};
use crate::certificate::InventoryEntry;
use crate::notify::Told;
use crate::report::{CertificateReport, Outcome};

/// What this run has renewed, and who stood in for whom.
pub(super) fn of_run(scene: &Scene<'_>) -> Vec<Event> {
    let certificates = scene.settings.certificates.iter();
    let renewed = certificates.filter_map(|certificate| {
        let report = report_of(&certificate.name, scene)?;
        renewed(certificate, report, scene)
    });
    renewed.collect()
}

fn renewed(
    certificate: &CertificateSettings,
    report: &CertificateReport,
    scene: &Scene<'_>,
) -> Option<Event> {
    let Outcome::Issued {
        ca,
        fallback,
        not_after,
        first,
        ..
    } = &report.outcome
    else {
        return None;
    };
    let kind = if *fallback {
        EventKind::FailedOver
    } else {
        EventKind::Renewed
    };
    let mut event = Event::new(kind, Change::Once, certificate.name.as_str());
    about(certificate, scene, &mut event);
    event.ca = Some(ca.to_string());
    event.not_after = Some(*not_after);
    event.step = Some(if *first { "issued" } else { "renewed" }.to_owned());
    let served = scene.report.served.iter();
    let served = served.filter(|one| one.certificate == certificate.name && one.current);
    event.what = served.map(|one| one.place.to_string()).collect();
    let mut items = scene.plan.items.iter();
    let item = items.find(|item| item.name == certificate.name);
    event.next_try = item.and_then(renewal_of);
    if *fallback {
        let first = certificate.cas.first();
        let stood_in = report.stands_in.as_ref();
        let instead_of = stood_in.map(|(ca, _)| ca).or(first);
        event.instead_of = instead_of.map(ToString::to_string);
        let failures = every_failure(report);
        event.causes = failures.iter().flat_map(|one| one.lines()).collect();
        let last = report.failures.last();
        if let Some((ca, took)) = last.and_then(|last| last.elsewhere.as_ref()) {
            event.causes.push(format!(
                "{ca} answered in {} ms, so the network here is fine",
                took.as_millis()
            ));
        }
        event.hint = stood_in.map(|(_, because)| rule(because));
        if stood_in.is_some_and(|(_, because)| *because == Because::Forbidden) {
            // It was not asked, so it has not failed.
            event.count = Some(0);
            event.causes.extend(report.notes.iter().cloned());
        }
        if scene.settings.failover.fail_back == FailBack::Never {
            // Nothing is to come: it is the first from now on.
            event.instead_of = None;
        }
    }
    Some(event)
}

/// The rule by which another CA was asked.
fn rule(because: &Because) -> String {
    match because {
        Because::Failures(failures) => {
            format!("{failures} failures in a row: [failover] after-failures")
        }
        Because::Failing(time) | Because::Down(time) => {
            format!("failing for {}: [failover] after", time::about(*time))
        }
        Because::Late(_) => {
            "it is not to be asked in the time that this certificate has".to_owned()
        }
        Because::Haste => "there was no time to wait for it".to_owned(),
        Because::Forbidden => "what CAA does not let issue is passed over".to_owned(),
    }
}

/// Once a week what there is. The first time only the clock is set.
pub(super) fn digest(told: &[Told], scene: &Scene<'_>, failing: &Failing, tale: &mut Tale) {
    let wanted = scene
        .settings
        .notify
        .values()
        .any(|one| one.on.contains(&EventKind::WeeklyDigest));
    if !wanted {
        return;
    }
    let last = told
        .iter()
        .find(|told| told.kind == EventKind::WeeklyDigest);
    let due = match last {
        // A clock that was ahead does not hold it for ever.
        Some(last) => scene.now.since(last.at) >= WEEK || last.at > scene.now,
        None => true,
    };
    if !due {
        return;
    }
    tale.told.push(Told {
        subject: String::new(),
        kind: EventKind::WeeklyDigest,
        step: 0,
        at: scene.now,
        began: scene.now,
    });
    let Some(last) = last else { return };
    let mut event = Event::new(EventKind::WeeklyDigest, Change::Once, "");
    event.since = Some(last.at);
    let issued = |entry: &&InventoryEntry| {
        let current = entry.current.as_ref();
        current.is_some_and(|current| current.origin.issued_at > last.at)
    };
    let renewed: Vec<&InventoryEntry> = scene.inventory.values().filter(issued).collect();
    event.count = u32::try_from(failing.count).ok();
    event.needs_person = failing.needs_person;
    event.names = renewed
        .iter()
        .map(|entry| entry.certificate.to_string())
        .collect();
    tale.events.push(event);
}

/// The certificate that ends first, of those that are configured.
pub fn nearest(scene: &Scene<'_>) -> Option<Nearest> {
    let certificates = scene.settings.certificates.iter();
    let ends = certificates.filter_map(|certificate| {
        let entry = scene.inventory.get(&certificate.name)?;
        let stored = entry.ends()?;
        let in_use = entry.in_use(certificate).map(|it| it.not_after);
        Some((
            in_use.map_or(stored, |it| it.min(stored)),
            &certificate.name,
        ))
    });
    let (not_after, name) = ends.min()?;
    let mut items = scene.plan.items.iter();
    Some(Nearest {
        certificate: name.to_string(),
        not_after,
        due: items.find(|item| item.name == *name).and_then(renewal_of),
    })
}
