//! What is written down of work that ended before a CA was asked.

use waxwing_core::failure::FailureClass;

use super::Shift;
use crate::history::Unasked;
use crate::report::{CertificateReport, Outcome};

impl Shift<'_> {
    /// Writes down why nobody was asked, if that was no choice.
    pub(super) fn note_unasked(&self, report: &CertificateReport) {
        if self.rehearsal || report.asked {
            return;
        }
        let (class, causes) = match &report.outcome {
            Outcome::Locked(error) => (error.class(), vec![error.to_string()]),
            Outcome::Failed(Some(failure)) => (failure.class(), failure.chain()),
            _ => return,
        };
        // What somebody stopped has not failed.
        if class == FailureClass::Cancelled {
            return;
        }
        let unasked = Unasked {
            run: self.id.to_owned(),
            certificate: report.certificate.clone(),
            started: report.started,
            ended: report.ended,
            class,
            causes,
        };
        if let Err(error) = self.ports.history.record_unasked(&unasked) {
            tracing::warn!(certificate = %report.certificate, cause = %error,
                "why nobody was asked could not be noted");
        }
    }
}
