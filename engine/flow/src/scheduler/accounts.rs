//! Accounts at CAs that may have to stand in: a fallback that nobody has tried is none.

use std::collections::BTreeSet;

use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;

use super::Shift;
use crate::budget;
use crate::failure::Failure;
use crate::report::{CertificateReport, Outcome};
use crate::session::CaSession;

impl Shift<'_> {
    /// Registers, behind a run in which something was issued, at every CA that may have to stand in
    /// one day. What fails is reported and fails nothing.
    pub(super) async fn register_elsewhere(
        &self,
        certificates: &[(usize, CertificateReport)],
    ) -> Vec<(CaName, Result<(), Failure>)> {
        let issued = |(_, report): &(usize, CertificateReport)| {
            matches!(report.outcome, Outcome::Issued { .. })
        };
        if self.rehearsal || self.stop.is_requested() || !certificates.iter().any(issued) {
            return Vec::new();
        }
        let mut registered = Vec::new();
        for profile in self.missing_accounts().await {
            if !budget::may_register(self.history(), &profile.name, self.now()) {
                continue;
            }
            let ports = self.ports.session.clone();
            let opening = CaSession::open(ports, profile, &self.settings.account);
            let result = tokio::select! {
                biased;
                () = self.stop.requested() => break,
                opened = opening => opened.map(drop),
            };
            if let Err(failure) = &result {
                tracing::info!(ca = %profile.name, causes = ?failure.lines(),
                    "no account for the case that it has to stand in");
            }
            registered.push((profile.name.clone(), result));
        }
        registered
    }

    /// CAs of a `ca` list that this run has not talked to and at which there is no account.
    async fn missing_accounts(&self) -> Vec<&CaProfile> {
        let asked: BTreeSet<CaName> = self.sessions.lock().await.keys().cloned().collect();
        let mut seen = BTreeSet::new();
        let lists = self.settings.certificates.iter();
        let fallbacks = lists.flat_map(|certificate| certificate.cas.iter().skip(1));
        fallbacks
            .filter(|name| !asked.contains(*name) && seen.insert((*name).clone()))
            .filter_map(|name| self.settings.cas.get(name))
            .filter(|profile| profile.fallback && !profile.may_charge && !profile.staging)
            .filter(|profile| {
                let accounts = self.ports.session.store.accounts(&profile.name);
                accounts.is_ok_and(|all| all.iter().all(|account| account.usable().is_none()))
            })
            .collect()
    }
}
