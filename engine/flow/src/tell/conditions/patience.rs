//! Whether a certificate waits for its CA: it has neither failed nor gone well.

use waxwing_core::failure::FailureClass;
use waxwing_core::plan::Action;
use waxwing_core::retry::ladder;
use waxwing_core::settings::CertificateSettings;

use super::{Outcome, Scene, item_of, last_failure, report_of, stored_failure};

/// The class of what failed last, if nothing has succeeded since.
pub(super) fn class_of<'s>(
    certificate: &CertificateSettings,
    scene: &'s Scene<'_>,
) -> Option<&'s str> {
    let report = report_of(&certificate.name, scene);
    let here = report.and_then(last_failure);
    let here = here.map(|failure| failure.class().as_str());
    let entry = scene.inventory.get(&certificate.name);
    here.or_else(|| Some(stored_failure(entry?, scene.now)?.0))
}

/// True if it ended because a CA is waited for, or somebody stopped it: it has neither failed nor gone well.
pub(super) fn waits(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let waits = [FailureClass::RateLimited, FailureClass::Cancelled].map(FailureClass::as_str);
    class_of(certificate, scene).is_some_and(|class| waits.contains(&class))
}

/// True if it waits so since this run, or for something that is needed now. A wait of long ago, or for what nobody wants any
/// more, ends nothing and keeps nothing.
pub(super) fn still_waits(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let entry = scene.inventory.get(&certificate.name);
    let last = entry.and_then(|entry| entry.last.as_ref());
    let recent = last.is_none_or(|last| ladder::is_of_now(last.at, scene.now));
    let wanted = item_of(&certificate.name, scene)
        .is_some_and(|item| matches!(item.action, Action::Renew { .. } | Action::Issue(_)));
    let report = report_of(&certificate.name, scene);
    let here = report.is_some_and(|report| matches!(report.outcome, Outcome::Failed(_)));
    (here || wanted && recent) && waits(certificate, scene)
}
