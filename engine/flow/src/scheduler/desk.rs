//! What a run does at CAs, so that everything around it, the plan, the choice of the CA, the ladder
//! and the budgets, can be tried without any.

use std::time::Duration;

use async_trait::async_trait;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::Because;
use waxwing_core::name::CaName;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::Timestamp;

use super::Shift;
use crate::certificate::StoredVersion;
use crate::driver::Driven;
use crate::failure::{CaError, Failure};
use crate::session::greeting;

/// One certificate that is wanted of one CA.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) certificate: &'a CertificateSettings,
    pub(crate) profile: &'a CaProfile,
    /// True if the CA is not the first of the list.
    pub(crate) fallback: bool,
    pub(crate) current: Option<&'a StoredVersion>,
    /// When this attempt began.
    pub(crate) started: Timestamp,
    /// The CA for which this one stands in, and why.
    pub(crate) stands_in: Option<&'a (CaName, Because)>,
    /// Whether the order may name the certificate that it replaces.
    pub(crate) names_predecessor: bool,
    /// True if the CA is asked although it asks to be left alone: a person wants that.
    pub(crate) insists: bool,
    /// True if records for whose removal the provider has no room now are left for later: others wait for what comes
    /// behind it.
    pub(crate) removes_late: bool,
    /// Whether another order could follow one that is given up.
    pub(crate) another_order: bool,
}

/// Where CAs are talked to.
#[async_trait]
pub(crate) trait Desk: Send + Sync {
    /// Gets a certificate. An order of an earlier run is taken up if it fits; the budget for another
    /// one MUST be taken before it is placed. What comes of it MUST be in the store, and noted by
    /// [`Shift::note_issued`], when this returns.
    async fn obtain(&self, shift: &Shift<'_>, wanted: Wanted<'_>) -> Result<Driven, Failure>;

    /// Whether a CA answers at all, and how fast; if not, why, as far as it can be told.
    async fn contact(
        &self,
        shift: &Shift<'_>,
        profile: &CaProfile,
    ) -> Result<Duration, Option<CaError>>;
}

/// By ACME.
pub(super) struct Acme;

#[async_trait]
impl Desk for Acme {
    async fn obtain(&self, shift: &Shift<'_>, wanted: Wanted<'_>) -> Result<Driven, Failure> {
        shift.at_ca(wanted).await
    }

    async fn contact(
        &self,
        shift: &Shift<'_>,
        profile: &CaProfile,
    ) -> Result<Duration, Option<CaError>> {
        match greeting::greet(&shift.ports.session, profile).await {
            Ok(greeting) => Ok(greeting.took),
            Err(Failure::Directory { tried, .. }) => {
                Err(tried.into_iter().next().map(|(_, cause)| cause))
            }
            Err(_) => Err(None),
        }
    }
}
