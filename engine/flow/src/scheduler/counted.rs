//! What an order counts against limits, besides itself.

use waxwing_core::ca::CaProfile;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::Identifier;
use waxwing_core::plan::hold::too_many;
use waxwing_core::time::Timestamp;

use super::Shift;
use super::cas::Case;
use crate::budget;
use crate::driver::Driven;
use crate::failure::Failure;
use crate::history::{ClosedAttempt, ClosedResult};

impl Shift<'_> {
    /// Counts against the CA's limits what came of an order; the order itself is counted before it
    /// is placed.
    pub(super) fn count(&self, case: &Case<'_>, profile: &CaProfile, driven: &Driven) {
        let history = self.ports.history.as_ref();
        let names = &case.job.certificate.domains;
        let now = self.now();
        match &driven.ending.result {
            // What we do not take was issued all the same.
            Err(Failure::Mismatch { .. }) => {
                budget::spend(history, profile, LimitKind::Duplicates, names, now);
            }
            Err(Failure::Validation { refused, .. }) => {
                let refused: Vec<Identifier> =
                    refused.iter().map(|(name, _)| name.clone()).collect();
                let kind = LimitKind::FailedAuthorizations;
                budget::spend(history, profile, kind, &refused, now);
            }
            // What is taken was counted when it was stored.
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether limits allow another order if one is given up that may have given a certificate.
    pub(super) fn allows_another(&self, case: &Case<'_>, profile: &CaProfile) -> bool {
        let now = self.now();
        let mut after = case.stored.clone();
        after.issued.push(now);
        let names = &case.job.certificate.domains;
        let left = budget::left(self.ports.history.as_ref(), profile, names, now);
        // A budget that cannot be read holds nobody.
        let enough = left.unwrap_or_default().iter().all(|one| match one.kind {
            // The one that is given up is counted then, see [`Shift::count_lost`].
            LimitKind::Duplicates => one.left > 1,
            _ => one.left > 0,
        });
        enough && too_many(&after, &case.action, now).is_none()
    }

    /// Counts a certificate that may have been issued for an order which was given up: it is one of those that a
    /// loop makes.
    pub(super) fn count_lost(&self, case: &Case<'_>, profile: &CaProfile, started: Timestamp) {
        let (history, now) = (self.ports.history.as_ref(), self.now());
        let certificate = &case.job.certificate;
        budget::spend(
            history,
            profile,
            LimitKind::Duplicates,
            &certificate.domains,
            now,
        );
        let cause = format!(
            "an order that was finalized at {} is given up, and there may be a certificate of it",
            profile.name
        );
        self.keep(&ClosedAttempt {
            run: self.id.to_owned(),
            certificate: certificate.name.clone(),
            ca: profile.name.clone(),
            stands_in: None,
            started,
            ended: now,
            requests: 0,
            result: ClosedResult::Failed {
                class: FailureClass::Transient,
                theirs: true,
                firm: true,
                local: false,
                until: None,
                causes: vec![cause],
            },
        });
    }
}
