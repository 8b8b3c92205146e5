//! Accounts at CAs that may have to stand in: a fallback that nobody has tried is none.

use std::collections::BTreeSet;

use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;

use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;

use super::Shift;
use crate::budget;
use crate::failure::Failure;
use crate::ports::{CertificateStore, History};
use crate::report::{CertificateReport, Outcome};
use crate::session::CaSession;

/// True if an account for the case that a CA has to stand in is still to be made, and may be tried for today: a
/// run has something to do then, though nothing is due.
pub fn owes_accounts(
    settings: &Settings,
    store: &dyn CertificateStore,
    history: &dyn History,
    now: Timestamp,
) -> bool {
    let cold = cold(settings, store);
    let mut untried = cold.filter(|profile| budget::might_register(history, &profile.name, now));
    untried.next().is_some()
}

/// CAs that may have to stand in, and at which there is no account.
fn cold<'s>(
    settings: &'s Settings,
    store: &dyn CertificateStore,
) -> impl Iterator<Item = &'s CaProfile> {
    let mut seen = BTreeSet::new();
    let lists = settings.certificates.iter();
    let fallbacks = lists.flat_map(|certificate| certificate.cas.iter().skip(1));
    fallbacks
        .filter(move |name| seen.insert(*name))
        .filter_map(|name| settings.cas.get(name))
        .filter(|profile| profile.fallback && !profile.may_charge && !profile.staging)
        .filter(|profile| {
            let accounts = store.accounts(&profile.name);
            accounts.is_ok_and(|all| all.iter().all(|account| account.usable().is_none()))
        })
}

impl Shift<'_> {
    /// Registers, behind a run in which something was issued or nothing was to be, at every CA that may have
    /// to stand in one day. What fails is reported and fails nothing; it is tried again once a day.
    pub(super) async fn register_elsewhere(
        &self,
        certificates: &[(usize, CertificateReport)],
    ) -> Vec<(CaName, Result<(), Failure>)> {
        let issued = |(_, report): &(usize, CertificateReport)| {
            matches!(report.outcome, Outcome::Issued { .. })
        };
        let well = certificates.is_empty() || certificates.iter().any(issued);
        if self.rehearsal || self.stop.is_requested() || !well {
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
                tracing::info!(ca = %profile.name, cause = %failure.chain().join(": "),
                    "no account for the case that it has to stand in");
            }
            registered.push((profile.name.clone(), result));
        }
        registered
    }

    /// CAs of a `ca` list that this run has not talked to and at which there is no account.
    async fn missing_accounts(&self) -> Vec<&CaProfile> {
        let asked: BTreeSet<CaName> = self.sessions.lock().await.keys().cloned().collect();
        cold(self.settings, self.ports.session.store.as_ref())
            .filter(|profile| !asked.contains(&profile.name))
            .collect()
    }
}
