//! Certificates whose users are refused already, or will be within a day.
//!
//! Installers work in batches when all certificates are there, so that a server is reloaded once. What a newcomer
//! gets wrong: one of them may wait for its DNS provider or its CA, and an expired one that has long been renewed
//! would wait for it.

use waxwing_core::settings::CertificateSettings;

use super::{Job, Shift};
use crate::driver::Stop;
use crate::failure::Failure;
use crate::install::{self, Mode};
use crate::plugin::PutBack;
use crate::report::{CertificateReport, InstallReport, Milestone, Outcome, Reached};

impl Shift<'_> {
    /// Orders these, installs what has come of it, and then removes the records for which the provider had no room
    /// before. `alone`: nothing else is ordered in this run, so that nobody is waited for.
    pub(super) async fn pressing(
        &self,
        jobs: Vec<(usize, &Job)>,
        (wanted, put_back): (&[&CertificateSettings], &[PutBack]),
        alone: bool,
    ) -> (Vec<(usize, CertificateReport)>, Vec<InstallReport>) {
        if jobs.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut reports = self.all(jobs, true).await;
        let issued = |one: &&CertificateSettings| {
            let mut reports = reports.iter().map(|(_, report)| report);
            reports.any(|report| {
                report.certificate == one.name && matches!(report.outcome, Outcome::Issued { .. })
            })
        };
        let owing = reports.iter().any(|(_, report)| self.owes_records(report));
        let mut installs = Vec::new();
        if !alone || owing {
            let issued: Vec<&CertificateSettings> = wanted.iter().copied().filter(issued).collect();
            let (ports, stop): (_, &Stop) = (self.ports, self.stop);
            installs = install::install(ports, self.id, &issued, &Mode::Real, put_back, stop).await;
        }
        for (_, report) in &mut reports {
            self.remove_late(report).await;
        }
        (reports, installs)
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
