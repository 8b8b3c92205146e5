//! How many requests were sent to each CA: a figure that only grows, over all processes.
//!
//! It is counted where a request is sent and added to the history now and then, at the latest behind the
//! work. What a newcomer gets wrong: this limits nobody. A CA's rate is kept by the budgets, and what one
//! certificate took is counted for itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use waxwing_core::name::CaName;

use crate::ports::History;

/// What was sent and is not written down yet.
#[derive(Debug, Default)]
pub struct Sent(Mutex<BTreeMap<CaName, u64>>);

impl Sent {
    /// Counts a request that is about to be sent.
    pub(crate) fn count(&self, ca: &CaName) {
        self.add(ca, 1);
    }

    /// Adds what was sent to the history. What cannot be written stays for the next time.
    pub fn keep(&self, history: &dyn History) {
        let sent = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if sent.is_empty() {
            return;
        }
        if let Err(error) = history.count_requests(&sent) {
            tracing::warn!(cause = %error, "how many requests were sent could not be noted");
            for (ca, number) in &sent {
                self.add(ca, *number);
            }
        }
    }

    fn add(&self, ca: &CaName, number: u64) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sent.entry(ca.clone()).or_default();
        *before = before.saturating_add(number);
    }
}
