//! The end of `revoke --replace`, at the end of every run: what has another one in its place is revoked.

use waxwing_core::plan::hold::Hold;
use waxwing_core::settings::CertificateSettings;

use super::Shift;
use crate::failure::Failure;
use crate::history::Chronicle;
use crate::replace::{self, Chance};
use crate::report::{CertificateReport, Outcome, ReplacedReport, ServedReport};

impl Shift<'_> {
    /// Goes on with every wish of these certificates, one after the other: there are few.
    pub(super) async fn end_replacements(
        &self,
        wanted: &[&CertificateSettings],
        reports: &[(usize, CertificateReport)],
        served: &[ServedReport],
    ) -> Vec<ReplacedReport> {
        let mut replaced = Vec::new();
        for certificate in wanted {
            let report = reports.iter().map(|(_, report)| report);
            let report = report
                .into_iter()
                .find(|one| one.certificate == certificate.name);
            let chance = chance(report);
            let ending = replace::end(
                &self.ports.session,
                self.settings,
                certificate,
                served,
                chance,
                Chronicle {
                    history: self.history(),
                    run: self.id,
                },
            );
            let ended = tokio::select! {
                biased;
                () = self.stop.requested() => return replaced,
                ended = ending => ended,
            };
            replaced.extend(ended);
        }
        replaced
    }
}

/// Whether a later run may still get the certificate that this one did not get.
fn chance(report: Option<&CertificateReport>) -> Chance {
    let Some(report) = report else {
        return Chance::Left;
    };
    let failure = match &report.outcome {
        Outcome::Held(Hold::TooMany { .. }) => return Chance::None,
        Outcome::Issued { .. } | Outcome::Overtaken | Outcome::Locked(_) | Outcome::Held(_) => None,
        Outcome::Failed(failure) => Some(
            failure
                .as_ref()
                .or_else(|| report.failures.last().map(|last| &last.failure)),
        ),
    };
    match failure {
        None => Chance::Left,
        Some(Some(Failure::Parked { .. } | Failure::OrderDeadline { .. } | Failure::Stopped)) => {
            Chance::Left
        }
        Some(_) => Chance::None,
    }
}
