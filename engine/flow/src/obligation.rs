//! What the run owes the world: TXT records that were placed, or may have been, and are not yet
//! removed.

use waxwing_core::name::PluginName;

use crate::plugin::{ChallengeRecord, Placed, PluginFailure, Removal};

/// A TXT record that has to go away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// Who places and removes it.
    pub plugin: PluginName,
    /// Which record.
    pub record: ChallengeRecord,
    /// How far it is known to be there.
    pub state: ObligationState,
}

/// How far a record is known to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObligationState {
    /// About to be placed for the first time.
    Intended,
    /// Placed with the answer lost, or not placed. The journal has this for `Intended` too: it is
    /// only ever read after a crash, which may have come after the placing.
    Unknown,
    /// Placed; the receipt removes it.
    Placed {
        /// What the plugin needs.
        receipt: String,
    },
    /// It had been there before and is nobody's business.
    NotOurs,
    /// A try to place it has sent nothing, so it is not there. No journal has this: after a crash it is
    /// as if it had never been thought of.
    Absent,
}

impl Obligation {
    /// True if both are about the same record at the same plugin.
    pub fn is_same(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.record.key == other.record.key
    }

    /// Takes up what the plugin said of this record. One that had been there before the first try
    /// is somebody else's; on a later try it is the work of the earlier one.
    ///
    /// A receipt that is not the one of an earlier try may be of a second record, where a provider
    /// takes doubles: the answer is then what the first receipt is owed, under a key with the number of the try.
    #[must_use = "a record that is forgotten stays for ever"]
    pub fn placed(&mut self, placed: &Placed, attempt: u32) -> Option<Self> {
        let earlier = match &self.state {
            ObligationState::Placed { receipt } if *receipt != placed.receipt => {
                let mut earlier = self.clone();
                earlier.record.key = format!("{}+{attempt}", self.record.key);
                Some(earlier)
            }
            _ => None,
        };
        let ours = placed.created
            || matches!(
                self.state,
                ObligationState::Unknown | ObligationState::Placed { .. }
            );
        self.state = if ours {
            ObligationState::Placed {
                receipt: placed.receipt.clone(),
            }
        } else {
            ObligationState::NotOurs
        };
        earlier
    }

    /// Notes that a try to place it has failed.
    pub fn failed(&mut self, failure: &PluginFailure) {
        match (&self.state, failure.untouched) {
            // Nobody need look for what was never sent.
            (ObligationState::Intended, true) => self.state = ObligationState::Absent,
            _ => self.in_doubt(),
        }
    }

    /// Notes that a try to place it had no answer.
    pub fn in_doubt(&mut self) {
        if matches!(
            self.state,
            ObligationState::Intended | ObligationState::Absent
        ) {
            self.state = ObligationState::Unknown;
        }
    }

    /// Notes that it is about to be placed once more.
    pub fn again(&mut self) {
        match self.state {
            ObligationState::Absent => self.state = ObligationState::Intended,
            // An earlier try has dealt with it: what is there now may be its work.
            _ => self.in_doubt(),
        }
    }

    /// The removal that settles it; none if there is nothing to remove.
    pub fn removal(&self) -> Option<Removal> {
        let receipt = match &self.state {
            ObligationState::Intended | ObligationState::Unknown => None,
            ObligationState::Placed { receipt } => Some(receipt.clone()),
            ObligationState::NotOurs | ObligationState::Absent => return None,
        };
        Some(Removal {
            record: self.record.clone(),
            receipt,
        })
    }
}
