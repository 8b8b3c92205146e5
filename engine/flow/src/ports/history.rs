//! What earlier runs have learnt, and what is left of limits, as a port.

use std::collections::BTreeMap;

use waxwing_core::budget::Bucket;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::outage::Down;
use waxwing_core::time::Timestamp;

use super::StoreError;
use crate::history::{
    Advice, ClosedAttempt, ClosedDeploy, ClosedRevocation, Past, Sighting, Unasked,
};

/// What earlier runs have learnt and later ones go by; see [`history`](crate::history).
///
/// Calls are short and synchronous, and MUST be complete on disk when they return. Several processes
/// MAY use it at the same time. What cannot be read any more MUST be set aside and begun anew, not
/// reported for ever: nothing in it is worth a certificate.
pub trait History: Send + Sync {
    /// Why this is an empty history, in the place of one that cannot be used now. Then nothing is known of limits,
    /// and only what is urgent MAY be ordered.
    fn missing(&self) -> Option<StoreError> {
        None
    }
    /// Writes down how an attempt ended.
    fn record(&self, attempt: &ClosedAttempt) -> Result<(), StoreError>;
    /// True if it is written down that this run has stored that version of the certificate.
    fn is_issued(
        &self,
        run: &str,
        certificate: &CertificateName,
        version: u32,
    ) -> Result<bool, StoreError>;
    /// Writes down an attempt that ended before a CA was asked. One that ended like the one before it,
    /// with nothing between them, MUST NOT become another line: a timer may meet it every hour.
    fn record_unasked(&self, attempt: &Unasked) -> Result<(), StoreError>;
    /// Writes down how an installation, or a look at what is served, ended.
    fn record_deploy(&self, deploy: &ClosedDeploy) -> Result<(), StoreError>;
    /// Writes down how a revocation ended. One that failed as the one before it did, of the same version,
    /// with the same class and the same outermost cause, SHOULD become a count of that line, with the newest
    /// causes: every run asks again.
    fn record_revocation(&self, revocation: &ClosedRevocation) -> Result<(), StoreError>;
    /// Adds to how many requests were sent to each of these CAs.
    fn count_requests(&self, sent: &BTreeMap<CaName, u64>) -> Result<(), StoreError>;
    /// What is known of every certificate of which something is known, at `now`.
    fn pasts(&self, now: Timestamp) -> Result<BTreeMap<CertificateName, Past>, StoreError>;
    /// What is known of one certificate at `now`.
    fn past(&self, name: &CertificateName, now: Timestamp) -> Result<Past, StoreError>;
    /// Keeps what a CA advises about a certificate, in place of what it advised before.
    fn save_advice(&self, name: &CertificateName, advice: &Advice) -> Result<(), StoreError>;
    /// Writes down what came of talking to a CA.
    fn sight(&self, sighting: &Sighting) -> Result<(), StoreError>;
    /// For each CA that failed the last time it was talked to: since when it has failed, and in which part
    /// of that time nobody could be talked to.
    fn down_since(&self) -> Result<BTreeMap<CaName, Down>, StoreError>;
    /// Writes down that nobody could be reached at that moment, by somebody who has asked for no certificate.
    fn cut_off(&self, at: Timestamp) -> Result<(), StoreError>;
    /// Since then: when this machine began to reach nobody (true), and when it reached somebody again
    /// (false), oldest first. Only the changes.
    fn reached(&self, since: Timestamp) -> Result<Vec<(Timestamp, bool)>, StoreError>;
    /// What is left of a budget, as it was left; none for one that was never touched.
    fn budget(&self, key: &BudgetKey) -> Result<Option<Bucket>, StoreError>;
    /// Changes budgets in one step: no other process MUST come between reading and keeping, or one of
    /// two orders at once is not counted. `change` gets what is kept of each key, in order, none for
    /// one that was never touched, and answers what is to be kept of each, or nothing to leave all as
    /// they are. It is called once at most, and not at all if they cannot be read.
    fn change_budgets(
        &self,
        keys: &[BudgetKey],
        change: ChangeBudgets<'_>,
    ) -> Result<(), StoreError>;
    /// The same for one budget.
    fn change_budget(
        &self,
        key: &BudgetKey,
        change: &mut dyn FnMut(Option<Bucket>) -> Option<Bucket>,
    ) -> Result<(), StoreError> {
        self.change_budgets(std::slice::from_ref(key), &mut |kept| {
            let bucket = change(kept.first().copied().flatten())?;
            Some(vec![bucket])
        })
    }
    /// Nothing that was noted by a clock ahead of `now` ([`Timestamp::is_ahead_of`]) counts any more, now or
    /// when the time comes that it showed. Attempts stay to be read, and MUST count for no ladder, no cap and
    /// no network; that one was issued still ends what failed before it. Budgets of the kinds that
    /// [`WAITS`](crate::budget::WAITS) names, and moments in which nobody was reached, are taken away. All
    /// else MUST stay. Where there is nothing of it this MUST NOT write: each run asks.
    fn forget_ahead(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Forgets attempts, installations and sightings from before `before`, but none that still counts.
    fn prune(&self, before: Timestamp) -> Result<(), StoreError>;
}

/// What [`History::change_budgets`] asks: what is kept goes in, what is to be kept comes out.
pub type ChangeBudgets<'a> = &'a mut dyn FnMut(&[Option<Bucket>]) -> Option<Vec<Bucket>>;

/// Which budget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetKey {
    /// Whose limit it is: a CA or a plugin, by its configured name.
    pub owner: String,
    /// What is counted: `orders`, `duplicates`, …
    pub kind: String,
    /// What it is counted for: an account, a set of names, a name.
    pub what: String,
}
