//! What can happen to a run: the answers to its effects, and a wish to stop.

use std::time::Duration;

use waxwing_acme::authorization::Authorization;
use waxwing_acme::order::Order;

use crate::certificate::{CertificateFacts, ChainPem};
use crate::failure::Failure;
use crate::obligation::Obligation;
use crate::plugin::{PluginFailure, PropagationHint};

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The run starts, fresh or from the journal.
    Begin,
    /// newOrder was answered.
    OrderPlaced {
        /// The order's URL.
        url: String,
        /// The order.
        order: Order,
    },
    /// The order was read, or came with the answer to finalize.
    OrderSeen {
        /// The order.
        order: Order,
        /// What the CA asks to wait before the next look.
        retry_after: Option<Duration>,
    },
    /// The authorizations were read, with their URLs.
    AuthorizationsSeen(Vec<(String, Authorization)>),
    /// Where the records go, and who places them.
    Located(Vec<Obligation>),
    /// The plugins have answered.
    Presented {
        /// The obligations with their receipts.
        obligations: Vec<Obligation>,
        /// What failed.
        failed: Vec<PluginFailure>,
        /// What the plugins say about propagation.
        hint: PropagationHint,
    },
    /// Every server that counts shows every value, or the time that was to be waited is over.
    Visible,
    /// The challenges were answered.
    Answered {
        /// The failures of those that were not.
        failures: Vec<Failure>,
        /// The longest wait before the next look that the CA asks for with an answer.
        retry_after: Option<Duration>,
    },
    /// The key is on disk.
    KeyReady,
    /// The certificate was fetched and belongs to the key.
    Downloaded {
        /// The chain.
        pem: ChainPem,
        /// What it says.
        facts: CertificateFacts,
        /// What should be looked at: the wanted chain was not to be had.
        note: Option<String>,
    },
    /// The certificate is stored; the version. None in a rehearsal.
    Saved(Option<u32>),
    /// Clean-up was tried.
    CleanedUp {
        /// What is still there.
        left: Vec<Obligation>,
        /// Why.
        failed: Vec<PluginFailure>,
    },
    /// What was open of the order was given up, as far as the CA took it.
    Abandoned,
    /// The last effect failed.
    Failed(Failure),
    /// Somebody wants the run to stop.
    Stopped,
}
