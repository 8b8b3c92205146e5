//! What the run owes the world: TXT records that were placed, or may have been, and are not yet
//! removed.

use waxwing_core::name::PluginName;

use crate::plugin::{ChallengeRecord, Placed, Removal};

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
    /// About to be placed, or placed with the answer lost.
    Unknown,
    /// Placed; the receipt removes it.
    Placed {
        /// What the plugin needs.
        receipt: String,
    },
    /// It had been there before and is nobody's business.
    NotOurs,
}

impl Obligation {
    /// Takes up what the plugin said of this record.
    pub fn placed(&mut self, placed: &Placed) {
        self.state = if placed.created {
            ObligationState::Placed {
                receipt: placed.receipt.clone(),
            }
        } else {
            ObligationState::NotOurs
        };
    }

    /// The removal that settles it; none if there is nothing to remove.
    pub fn removal(&self) -> Option<Removal> {
        let receipt = match &self.state {
            ObligationState::Unknown => None,
            ObligationState::Placed { receipt } => Some(receipt.clone()),
            ObligationState::NotOurs => return None,
        };
        Some(Removal {
            record: self.record.clone(),
            receipt,
        })
    }
}
