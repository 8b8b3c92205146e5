//! What a run asks for: one act at a time, each complete with what it needs.

use std::time::Duration;

use waxwing_core::name::{DomainName, Identifier};

use crate::certificate::{CertificateFacts, ChainPem};
use crate::failure::Failure;
use crate::obligation::Obligation;
use crate::plugin::{PluginFailure, PropagationHint};

/// What to do next. The driver writes the run to the journal before it begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// POST newOrder.
    PlaceOrder {
        /// Wait so long first.
        after: Wait,
    },
    /// Look at the order.
    ReadOrder {
        /// Its URL.
        url: String,
        /// Wait so long first.
        after: Wait,
    },
    /// Read these authorizations.
    ReadAuthorizations {
        /// Their URLs.
        urls: Vec<String>,
        /// Wait so long first.
        after: Wait,
    },
    /// Find out where the records go and who places them.
    Locate(Vec<DnsChallenge>),
    /// Place the records.
    Present(Vec<Obligation>),
    /// Wait until the records can be seen.
    Watch {
        /// The records.
        obligations: Vec<Obligation>,
        /// What the plugins say.
        hint: PropagationHint,
    },
    /// Tell the CA to look.
    Answer(Vec<DnsChallenge>),
    /// Have the certificate's key on disk.
    MakeKey,
    /// POST finalize.
    Finalize {
        /// Its URL.
        url: String,
    },
    /// Fetch the certificate and check it.
    Download {
        /// Its URL.
        url: String,
    },
    /// Store it; in a rehearsal, only note that it came.
    Save {
        /// The chain.
        pem: Box<ChainPem>,
        /// What it says.
        facts: Box<CertificateFacts>,
    },
    /// Remove these records.
    CleanUp(Vec<Obligation>),
    /// Give up these authorizations of an order that is of no use any more. Nothing hangs on it.
    Abandon {
        /// Their URLs.
        authorizations: Vec<String>,
    },
    /// The run is over.
    End(Box<Ending>),
}

impl Effect {
    /// The name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PlaceOrder { .. } => "place the order",
            Self::ReadOrder { .. } => "read the order",
            Self::ReadAuthorizations { .. } => "read the authorizations",
            Self::Locate(_) => "locate the records",
            Self::Present(_) => "place the records",
            Self::Watch { .. } => "watch the records",
            Self::Answer(_) => "answer the challenges",
            Self::MakeKey => "make the key",
            Self::Finalize { .. } => "finalize the order",
            Self::Download { .. } => "download the certificate",
            Self::Save { .. } => "store the certificate",
            Self::CleanUp(_) => "remove the records",
            Self::Abandon { .. } => "give up the authorizations",
            Self::End(_) => "end",
        }
    }
}

/// How long to wait before something is asked of the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    None,
    /// As the CA's profile says for the nth look.
    Poll {
        /// 0 for the first look after something was asked of the CA.
        nth: u32,
    },
    /// As the CA has asked, and never less than the profile says for a first look.
    Asked(Duration),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The stored version and what its chain says, or the failure.
    pub result: Result<Issued, Failure>,
    /// Records that are still there, and why.
    pub owed: Vec<PluginFailure>,
    /// The journal stays open: the order can be taken up again, or records are owed.
    pub keep_journal: bool,
    /// Warnings.
    pub notes: Vec<String>,
    /// True if the CA denies an order of this certificate that was finalized: what it may have made of it counts.
    pub lost: bool,
}

/// A new certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// Its number in the store; none in a rehearsal.
    pub version: Option<u32>,
    /// What its chain says.
    pub facts: CertificateFacts,
}

/// A challenge the CA offers for a name that is not yet proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsChallenge {
    /// The name, with its wildcard if it has one.
    pub identifier: Identifier,
    /// URL of the authorization.
    pub authorization: String,
    /// URL of the dns-01 challenge.
    pub url: String,
    /// Its token.
    pub token: String,
    /// True if the CA is looking already: the record is needed, another answer is not.
    pub answered: bool,
}

impl DnsChallenge {
    /// The key of a record that proves this challenge: the same on each try of the same order, and
    /// another one wherever the record is another one.
    pub fn record_key(&self, fqdn: &DomainName, value: &str) -> String {
        format!("{} {fqdn} {value}", self.identifier.to_wire())
    }
}
