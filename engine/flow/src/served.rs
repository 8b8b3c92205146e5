//! Is what was installed really served? Asked where `served-at` says, after the installers.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use waxwing_core::name::CertificateName;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::settings::served_at::ServedAt;

use crate::certificate::ServedMark;
use crate::driver::{Ports, Stop};
use crate::history::{self, ClosedDeploy, FailedDeploy, Target};
use crate::report::{InstallOutcome, InstallReport, Progress, ServedReport};

/// Pauses between looks at a place that something new was installed for: servers take a while to
/// begin with new files.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// How long one look takes at most, which is the adapter's to keep.
const LOOK: Duration = Duration::from_secs(10);

/// Most places that are looked at together.
const WIDTH: usize = 16;

/// Looks at every place of these certificates, once; where something new was installed, again for a
/// while. Notes what was seen.
pub(crate) async fn look(
    ports: &Ports,
    run: &str,
    certificates: &[&CertificateSettings],
    installs: &[InstallReport],
    stop: &Stop,
) -> Vec<ServedReport> {
    let fresh: BTreeSet<&CertificateName> = installs
        .iter()
        .filter(|install| matches!(install.outcome, InstallOutcome::Done { changed: true }))
        .flat_map(|install| &install.certificates)
        .collect();
    let mut places = Vec::new();
    for certificate in certificates.iter().filter(|one| !one.served_at.is_empty()) {
        // A certificate that cannot be read is told of elsewhere; nothing can be compared with it.
        let Some(entry) = ports.session.store.entry(&certificate.name).ok().flatten() else {
            continue;
        };
        let Some(current) = entry.current else {
            continue;
        };
        let wanted = (current.version, current.facts.leaf_sha256);
        let was_wrong = |place: &ServedAt| {
            let place = place.to_string();
            let mut marks = entry.served.iter();
            let mark = marks.find(|mark| mark.place == place);
            let right = |mark: &ServedMark| {
                let seen = mark.seen.as_ref();
                seen.is_ok_and(|leaf| leaf.sha256 == wanted.1)
            };
            mark.is_some_and(|mark| !right(mark))
        };
        let of_it = certificate.served_at.iter();
        let of_it = of_it.map(|place| (place, was_wrong(place)));
        places
            .extend(of_it.map(|(place, wrong)| (&certificate.name, place, wrong, wanted.clone())));
    }
    let looking = stream::iter(places)
        .map(async |(name, place, was_wrong, (version, wanted))| {
            let fresh = fresh.contains(name);
            let pauses: &[Duration] = if fresh { &PAUSES } else { &[] };
            let report = look_at(ports, name, place, &wanted, pauses).await;
            // That all is as it was the day before is nothing to write down.
            if fresh || was_wrong || !report.current {
                history::keep_deploy(ports.history.as_ref(), &closed(run, version, &report));
            }
            report
        })
        .buffered(WIDTH)
        .collect::<Vec<_>>();
    let reports = tokio::select! {
        biased;
        () = stop.requested() => return Vec::new(),
        reports = looking => reports,
    };
    note(ports, &reports);
    reports
}

/// A look as the end of an installation: what is not served is not deployed.
fn closed(run: &str, version: u32, report: &ServedReport) -> ClosedDeploy {
    let causes = match &report.seen {
        _ if report.current => None,
        Ok(leaf) => Some(vec![format!(
            "another certificate is served, with SHA-256 {}",
            leaf.sha256
        )]),
        Err(error) => Some(error.causes.clone()),
    };
    ClosedDeploy {
        run: run.to_owned(),
        certificate: report.certificate.clone(),
        version: Some(version),
        target: Target::Place(report.place.clone()),
        started: report.at - report.took,
        ended: report.at,
        failed: causes.map(|causes| FailedDeploy {
            stage: "served",
            causes,
        }),
    }
}

async fn look_at(
    ports: &Ports,
    name: &CertificateName,
    place: &ServedAt,
    wanted: &str,
    pauses: &[Duration],
) -> ServedReport {
    let clock = &ports.session.clock;
    let began = clock.now();
    // Where looks take long there are fewer of them.
    let last = began + pauses.iter().sum::<Duration>();
    let until = last + LOOK;
    let mut pauses = pauses.iter();
    let doing = Progress::Doing {
        what: format!("looking at what {place} serves"),
        since: began,
        until: Some(until),
    };
    ports.observer.progress(name, &doing);
    loop {
        let seen = ports.served.look(place).await;
        let current = seen.as_ref().is_ok_and(|leaf| leaf.sha256 == wanted);
        match pauses.next() {
            Some(pause) if !current && clock.now() < last => {
                let what = format!("{place} to serve the new certificate");
                let waiting = Progress::Waiting {
                    what,
                    since: began,
                    until,
                };
                ports.observer.progress(name, &waiting);
                clock.sleep((*pause).min(last.since(clock.now()))).await;
            }
            _ => {
                ports.observer.progress(name, &Progress::Done);
                let at = clock.now();
                return ServedReport {
                    certificate: name.clone(),
                    place: place.clone(),
                    current,
                    seen,
                    at,
                    took: at.since(began),
                };
            }
        }
    }
}

fn note(ports: &Ports, reports: &[ServedReport]) {
    let names: BTreeSet<&CertificateName> = reports.iter().map(|one| &one.certificate).collect();
    for name in names {
        let of_it = reports.iter().filter(|one| one.certificate == *name);
        let marks: Vec<ServedMark> = of_it
            .map(|one| ServedMark {
                place: one.place.to_string(),
                at: one.at,
                seen: one.seen.clone().map_err(|error| error.causes),
            })
            .collect();
        // The note is for `status`; without it the report is still right.
        if let Err(error) = ports.session.store.record_served(name, &marks) {
            tracing::warn!(certificate = %name, cause = %error, "what is served could not be noted");
        }
    }
}
