//! Certificates whose users are refused already, or will be within a day.
//!
//! Installers work in batches when all certificates are there, so that a server is reloaded once. What a newcomer
//! gets wrong: one of them may wait for its DNS provider or its CA, and an expired one that has long been renewed
//! would wait for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::settings::CertificateSettings;

use super::{Job, Shift, WIDTH};
use crate::failure::Failure;
use crate::install::{self, Mode};
use crate::plugin::PutBack;
use crate::report::{
    CertificateReport, InstallOutcome, InstallReport, Milestone, Outcome, Reached,
};

/// What is there is installed when nothing has been added to it for so long: several that come at the same time are
/// one batch.
const QUIET: Duration = Duration::from_secs(5);

/// What is there waits for so long at most for others that keep coming.
const LONGEST: Duration = Duration::from_secs(30);

/// Records that pressing certificates of this run are still to place, so that others do not take the room that the
/// provider has for them.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<BTreeMap<CertificateName, usize>>);

impl Ahead {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<CertificateName, usize>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn expect(&self, name: &CertificateName, records: usize) {
        self.with(|all| all.insert(name.clone(), records));
    }

    /// It has placed its records, or will not.
    pub(crate) fn done(&self, name: &CertificateName) {
        self.with(|all| all.remove(name));
    }

    /// How many there are.
    pub(crate) fn records(&self) -> usize {
        self.with(|all| all.values().sum())
    }
}

impl Shift<'_> {
    /// Orders these, installs what has come of it, and then removes the records for which the provider had no room
    /// before. What is `stored` already is installed at once. `alone`: nothing else is ordered in this run, so that
    /// nobody is waited for.
    pub(super) async fn pressing(
        &self,
        (jobs, stored): (Vec<(usize, &Job)>, Vec<CertificateName>),
        (wanted, put_back): (&[&CertificateSettings], &[PutBack]),
        alone: bool,
    ) -> (Vec<(usize, CertificateReport)>, Vec<InstallReport>) {
        if jobs.is_empty() && (alone || stored.is_empty()) {
            return (Vec::new(), Vec::new());
        }
        for (_, job) in &jobs {
            let certificate = &job.certificate;
            self.ahead
                .expect(&certificate.name, certificate.domains.len());
        }
        let (sender, mut there) = mpsc::unbounded_channel();
        let ordering = async move {
            let mut reports = stream::iter(jobs)
                .map(async |(index, job)| (index, self.certificate(job, true).await))
                .buffer_unordered(WIDTH);
            while let Some(report) = reports.next().await {
                // Somebody listens until the last of them.
                let _heard = sender.send(report);
            }
        };
        let clock = self.ports.session.clock.as_ref();
        let installing = async {
            let mut reports = Vec::new();
            let mut installs = self.install_early(&stored, wanted, put_back, &[]).await;
            let mut fresh: Vec<CertificateName> = Vec::new();
            let mut latest = self.now();
            loop {
                let quiet = QUIET.min(latest.since(self.now()));
                let next = tokio::select! {
                    biased;
                    next = there.recv() => Some(next),
                    () = clock.sleep(quiet), if !fresh.is_empty() => None,
                };
                match next {
                    Some(Some((index, report))) => {
                        if matches!(report.outcome, Outcome::Issued { .. }) {
                            if fresh.is_empty() {
                                latest = self.now() + LONGEST;
                            }
                            fresh.push(report.certificate.clone());
                        }
                        reports.push((index, report));
                    }
                    // All that comes has come.
                    Some(None) => break,
                    None => {
                        let fresh = std::mem::take(&mut fresh);
                        let done = self
                            .install_early(&fresh, wanted, put_back, &installs)
                            .await;
                        installs.extend(done);
                    }
                }
            }
            let owing = reports.iter().any(|(_, report)| self.owes_records(report));
            if !alone || owing {
                let done = self
                    .install_early(&fresh, wanted, put_back, &installs)
                    .await;
                installs.extend(done);
            }
            (reports, installs)
        };
        let ((), (mut reports, installs)) = futures_util::join!(ordering, installing);
        for (_, report) in &mut reports {
            self.remove_late(report).await;
        }
        (reports, installs)
    }

    /// Tries once more, together, what an installer failed at where more of this run came behind that: its test may have
    /// needed what was not there yet. Of two reports the later one counts.
    pub(super) async fn install_again(
        &self,
        (early, rest): (Vec<InstallReport>, Vec<InstallReport>),
        wanted: &[&CertificateSettings],
        put_back: &[PutBack],
    ) -> Vec<InstallReport> {
        let mut all: Vec<InstallReport> = early.into_iter().chain(rest).collect();
        let failed: Vec<CertificateName> = failed_before_others(&all)
            .flat_map(|report| report.certificates.clone())
            .collect();
        let again = self.install_early(&failed, wanted, put_back, &[]).await;
        let done = |report: &InstallReport| matches!(report.outcome, InstallOutcome::Done { .. });
        for report in all.iter_mut().filter(|report| !done(report)) {
            report.certificates.retain(|name| {
                let mut later = again.iter();
                !later.any(|one| one.plugin == report.plugin && one.certificates.contains(name))
            });
        }
        all.retain(|report| !report.certificates.is_empty());
        all.extend(again);
        all
    }

    async fn install_early(
        &self,
        fresh: &[CertificateName],
        wanted: &[&CertificateSettings],
        put_back: &[PutBack],
        earlier: &[InstallReport],
    ) -> Vec<InstallReport> {
        let fresh = wanted
            .iter()
            .copied()
            .filter(|one| fresh.contains(&one.name));
        let fresh: Vec<&CertificateSettings> = fresh.collect();
        let before = (put_back, earlier);
        install::install(self.ports, self.id, &fresh, &Mode::Real, before, self.stop).await
    }

    /// True if a certificate is there whose records are still to be removed although nothing went wrong with them.
    fn owes_records(&self, report: &CertificateReport) -> bool {
        let issued = matches!(report.outcome, Outcome::Issued { .. }) && report.owed.is_empty();
        issued && self.records_of(report) > 0
    }

    fn records_of(&self, report: &CertificateReport) -> usize {
        let journal = self.read_journal(&self.journal_name(&report.certificate));
        let run = journal.ok().flatten();
        run.map_or(0, |run| {
            let owed = run.obligations.iter();
            owed.filter(|one| one.removal().is_some()).count()
        })
    }

    async fn remove_late(&self, report: &mut CertificateReport) {
        if !self.owes_records(report) {
            return;
        }
        let name = report.certificate.clone();
        let began = self.now();
        let records = self.records_of(report);
        let _lock = match self.ports.session.store.lock_certificate(&name) {
            Ok(lock) => lock,
            // Another run is at it, and finds the journal.
            Err(_locked) => return,
        };
        match self.settle_journal(&self.journal_name(&name)).await {
            Ok(()) => {
                let at = self.now();
                let what = Reached::Removed { records, left: 0 };
                let took = at.since(began);
                report.milestones.push(Milestone { at, took, what });
            }
            Err(Failure::Plugins(failures)) => report.owed.extend(failures),
            Err(failure) => report.notes.push(format!(
                "its records are still there, and the next run removes them: {}",
                failure.lines().join(": ")
            )),
        }
        report.ended = self.now();
    }
}

/// What installers have failed at, for those installers that had something to do behind a failure: what they failed at
/// last may have needed what came first.
fn failed_before_others(all: &[InstallReport]) -> impl Iterator<Item = &InstallReport> {
    let at_it = |report: &InstallReport| {
        let InstallOutcome::Failed(failure) = &report.outcome else {
            return false;
        };
        !matches!(failure, Failure::Store(_) | Failure::Stopped)
    };
    let had_more = move |plugin: &PluginName| {
        let mut of_it = all.iter().filter(|report| report.plugin == *plugin);
        of_it.any(at_it) && of_it.next().is_some()
    };
    let failed = all.iter().filter(move |report| at_it(report));
    failed.filter(move |report| had_more(&report.plugin))
}
