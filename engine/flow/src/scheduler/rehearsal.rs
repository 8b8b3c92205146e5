//! The staging of a CA that refused a name is asked first; only what goes well there spends an
//! attempt at the CA itself.

use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::Haste;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::plan::hold;
use waxwing_core::retry::rehearsal::{self, Rehearsed, Verdict};

use super::cas::Case;
use super::{Shift, Wanted};
use crate::budget;
use crate::failure::Failure;
use crate::history::ClosedResult;
use crate::report::CertificateReport;
use crate::tally;

impl Shift<'_> {
    /// Rehearses if that is owed. An error means that the CA is not to be asked now.
    pub(super) async fn rehearse_first(
        &self,
        case: &mut Case<'_>,
        profile: &CaProfile,
        report: &mut CertificateReport,
    ) -> Result<(), Failure> {
        if self.rehearsal || !rehearsal::is_owed(&case.stored.failed, &profile.name) {
            return Ok(());
        }
        let staging = stage(profile).and_then(|stage| self.settings.cas.get(&stage));
        let Some(staging) = staging.filter(|staging| staging.name != profile.name) else {
            return Ok(());
        };
        let mut preflight = case.preflight.iter();
        if let Some(why) = preflight.find_map(|found| found.forbidden.get(&staging.name)) {
            // It would refuse whatever the CA would do, so its answer says nothing.
            report.notes.push(format!(
                "{} refused it before, and it was ordered again without asking {} first: {why}",
                profile.name, staging.name
            ));
            return Ok(());
        }
        let started = self.now();
        let wanted = Wanted {
            certificate: &case.job.certificate,
            profile: staging,
            fallback: true,
            current: None,
            started,
            stands_in: None,
            names_predecessor: false,
            insists: false,
            removes_late: false,
            another_order: true,
        };
        let obtained = match self.left_alone(case, staging) {
            Ok(()) => self.desk.obtain(&self.rehearsing(), wanted).await,
            Err(failure) => Err(failure),
        };
        let mut failure = match obtained {
            Ok(driven) => {
                report.owed.extend(driven.ending.owed);
                driven.ending.result.err()
            }
            Err(failure) => Some(failure),
        };
        if let Some(silent) = failure.take() {
            let silent = self
                .whose(&case.job.certificate.cas, staging, silent)
                .await
                .0;
            self.keep_what_it_asked(case, staging, &silent);
            failure = Some(silent);
        }
        let rehearsed = match &failure {
            None => Rehearsed::Well,
            // What is not the staging's own trouble would be met at the CA as well.
            Some(failure) if !failure.is_about_the_ca() => return Err(failure.clone()),
            Some(failure) if failure.class() == FailureClass::Rejected => Rehearsed::Refused,
            Some(failure) => Rehearsed::NotAtAll {
                until: failure.until(self.now()),
            },
        };
        // Somebody who wants it whatever holds it has been told what that may cost.
        let insists = case.insists();
        let haste = if insists {
            Haste::Now
        } else {
            hold::haste(&case.action)
        };
        let now = self.now();
        let believed = !insists && !rehearsal::is_stale(&case.stored.failed, &profile.name, now);
        let because = |failure: Option<Failure>| Box::new(failure.unwrap_or(Failure::Stopped));
        match rehearsal::judge(rehearsed, haste, believed) {
            Verdict::Ask => {
                // Whatever comes next, it need not be rehearsed again.
                case.requests = tally::take();
                self.record(case, profile, report, started, ClosedResult::Rehearsed);
                rehearsal::went_well(&mut case.stored.failed, &profile.name);
                report.notes.push(format!(
                    "{} refused it before; {} had nothing against it, so it was ordered again",
                    profile.name, staging.name
                ));
                Ok(())
            }
            Verdict::AskUnrehearsed => {
                let causes = failure.map(|failure| failure.lines().join(": "));
                report.notes.push(format!(
                    "{} refused it before, and it was ordered again all the same, without waiting for \
                     {} any longer: {}",
                    profile.name,
                    staging.name,
                    causes.unwrap_or_default()
                ));
                Ok(())
            }
            Verdict::Leave => Err(Failure::Rehearsal {
                ca: profile.name.clone(),
                staging: staging.name.clone(),
                failure: because(failure),
            }),
            Verdict::Park { until } => Err(Failure::Unrehearsed {
                ca: profile.name.clone(),
                staging: staging.name.clone(),
                until,
                failure: because(failure),
            }),
        }
    }
}

impl Shift<'_> {
    /// An error if a staging has asked for a wait that is not over.
    pub(super) fn left_alone(&self, case: &Case<'_>, staging: &CaProfile) -> Result<(), Failure> {
        let certificate = &case.job.certificate.name;
        match budget::asked(self.history(), &staging.name, certificate, self.now()) {
            None => Ok(()),
            Some(until) => Err(Failure::LeftAlone {
                ca: staging.name.clone(),
                until,
            }),
        }
    }

    /// Keeps what a staging has asked for, so that the next rehearsal knows it.
    pub(super) fn keep_what_it_asked(
        &self,
        case: &Case<'_>,
        staging: &CaProfile,
        failure: &Failure,
    ) {
        let counted_here = matches!(failure, Failure::Spent { .. });
        let until = failure.until(self.now()).filter(|_| !counted_here);
        if let Some(until) = until.filter(|_| failure.is_about_the_ca()) {
            let certificate = &case.job.certificate.name;
            let times = (self.now(), until);
            budget::keep_asked(self.history(), &staging.name, certificate, times);
        }
    }
}

/// Where a renewal at that CA is rehearsed.
pub(super) fn stage(profile: &CaProfile) -> Option<CaName> {
    if profile.staging {
        Some(profile.name.clone())
    } else {
        profile.rehearse_at.clone()
    }
}
