//! What the DNS says before a CA is asked: which CAs the owner of a name lets sign it (CAA, RFC
//! 8659), and whether anybody can believe what the zone says (DNSSEC).
//!
//! The look costs a few DNS questions; without it the same news costs an order and one of the few
//! failed authorizations that a CA allows.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::{Because, PassedOver};
use waxwing_core::caa::{self, CaaSet};
use waxwing_core::name::{CaName, DomainName};
use waxwing_core::settings::{CertificateSettings, Propagation};

use super::Shift;
use super::cas::Case;
use super::rehearsal::stage;
use crate::budget;
use crate::ports::LookupError;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Preflight {
    /// CAs of the list and their stagings that may not sign one of the names, and the record that would let them.
    pub(super) forbidden: BTreeMap<CaName, String>,
    /// A name whose signatures do not hold: no CA will sign it.
    pub(super) bogus: Option<LookupError>,
    /// Look-ups that failed otherwise. The CA's may do better, so that nothing hangs on them.
    pub(super) notes: Vec<String>,
}

/// The first CA of a certificate, if it is passed over for what CAA says: then the next one stands in for it.
pub(super) fn forbidden(
    passed_over: &[(CaName, PassedOver)],
    certificate: &CertificateSettings,
) -> Option<(CaName, Because)> {
    let mut passed_over = passed_over.iter();
    let (first, _) = passed_over.find(|(ca, why)| {
        certificate.cas.first() == Some(ca) && matches!(why, PassedOver::Forbidden(_))
    })?;
    Some((first.clone(), Because::Forbidden))
}

impl Shift<'_> {
    /// Keeps what CAA forbids for those who foresee a run. What could not be looked up says nothing.
    pub(super) fn keep_forbidden(&self, case: &Case<'_>, found: &Preflight) {
        if self.rehearsal || !found.notes.is_empty() || found.bogus.is_some() {
            return;
        }
        let certificate = &case.job.certificate;
        let cas = certificate.cas.iter();
        let looked_at = cas.map(|ca| (ca.clone(), found.forbidden.contains_key(ca)));
        budget::keep_forbidden(self.history(), certificate, looked_at, self.now());
    }

    /// Looks, once for each domain. In a closed network, where the operator waits blindly, what is to
    /// be seen of the DNS is not what a CA sees: nothing is looked at.
    pub(super) async fn preflight(
        &self,
        certificate: &CertificateSettings,
        list: &[CaName],
    ) -> Preflight {
        if matches!(self.settings.network.propagation, Propagation::Wait(_)) {
            return Preflight::default();
        }
        let names = &certificate.domains;
        let domains: BTreeSet<&DomainName> = names.iter().map(|name| &name.domain).collect();
        let looks = domains
            .into_iter()
            .map(async |domain| (domain, self.ports.probe.caa(domain).await));
        let mut found = Preflight::default();
        let mut sets: BTreeMap<&DomainName, CaaSet> = BTreeMap::new();
        for (domain, look) in join_all(looks).await {
            match look {
                Ok(Some(set)) => {
                    sets.insert(domain, set);
                }
                Ok(None) => {}
                Err(error) if error.bogus => found.bogus = found.bogus.or(Some(error)),
                Err(error) => found.notes.push(error.to_string()),
            }
        }
        let asked = list.iter().filter_map(|ca| self.settings.cas.get(ca));
        // A staging is asked in the place of its CA, and may be of another organization.
        let staging = |profile: &&CaProfile| self.settings.cas.get(&stage(profile)?);
        let stages: Vec<_> = asked.clone().filter_map(|ca| staging(&ca)).collect();
        for profile in asked.chain(stages) {
            let forbidden = names.iter().find_map(|name| {
                let set = sets.get(&name.domain)?;
                let forbidden = caa::forbids(set, name, &profile.caa)?;
                let remedy = forbidden.remedy(profile.caa.first()?);
                Some(format!("{forbidden} (what lets it: {remedy})"))
            });
            if let Some(why) = forbidden {
                found.forbidden.insert(profile.name.clone(), why);
            }
        }
        found
    }
}
