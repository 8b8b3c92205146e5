//! One run for one certificate: what is fixed when it begins, and what it learns on the way.
//!
//! This is the content of the journal. Tokens and challenge URLs are not in it: they are read
//! again from the CA, which is the only one that knows whether they still count.

use waxwing_core::key::KeyType;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::time::Timestamp;

use crate::obligation::Obligation;

/// An open run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id, in logs and for plugins.
    pub id: String,
    /// For which certificate.
    pub certificate: CertificateName,
    /// What is ordered, and where.
    pub terms: OrderTerms,
    /// The order's URL, once the CA has named one.
    pub order_url: Option<String>,
    /// When newOrder was sent.
    pub began: Timestamp,
    /// When finalize was sent for this order, unless the CA has said no to it: a certificate may have
    /// been made.
    pub finalized: Option<Timestamp>,
    /// How far it got.
    pub stage: Stage,
    /// How many times records were presented; the plugins are told.
    pub attempts: u32,
    /// Records still to remove.
    pub obligations: Vec<Obligation>,
}

/// What is ordered. A stored order counts only while these are what the operator still wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTerms {
    /// The CA.
    pub ca: CaName,
    /// The account's URL: an order belongs to one account.
    pub account: String,
    /// The names.
    pub names: Vec<Identifier>,
    /// The kind of the certificate's key.
    pub key: KeyType,
    /// True: the key of the current version is used again.
    pub reuse_key: bool,
    /// The ACME profile, and whether it is required.
    pub profile: Option<(String, bool)>,
    /// The certificate this one replaces (RFC 9773 section 5), if the same account ordered it.
    pub replaces: Option<String>,
    /// The same where the order does without: named after all if a limit is in the way of it. Not in the
    /// journal, which is about the order that is placed.
    pub left_out: Option<String>,
    /// True for a rehearsal: nothing is stored or installed.
    pub rehearsal: bool,
}

impl OrderTerms {
    /// True if an order made under `other` still gives what `self` asks for.
    pub fn accept_order_of(&self, other: &Self) -> bool {
        let mut ours = self.names.clone();
        let mut theirs = other.names.clone();
        ours.sort();
        theirs.sort();
        ours == theirs
            && (&self.ca, &self.account, self.key, self.rehearsal)
                == (&other.ca, &other.account, other.key, other.rehearsal)
            && self.profile.as_ref().map(|(name, _)| name)
                == other.profile.as_ref().map(|(name, _)| name)
    }
}

/// How far a run got. Each name is what is being done, not what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing exists at the CA yet.
    Planned,
    /// An order exists.
    Ordered,
    /// Records are being placed.
    Presenting,
    /// The records have to become visible.
    Propagating,
    /// The CA looks at them.
    Validating,
    /// The key is on disk; the CA makes the certificate.
    Finalizing,
    /// The certificate is there to be fetched and stored.
    Storing,
    /// Obligations are going back to zero.
    Settling,
    /// Over. Obligations may be left that could not be settled.
    Done,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 9] = [
        Self::Planned,
        Self::Ordered,
        Self::Presenting,
        Self::Propagating,
        Self::Validating,
        Self::Finalizing,
        Self::Storing,
        Self::Settling,
        Self::Done,
    ];

    /// The stable name in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Ordered => "ordered",
            Self::Presenting => "presenting",
            Self::Propagating => "propagating",
            Self::Validating => "validating",
            Self::Finalizing => "finalizing",
            Self::Storing => "storing",
            Self::Settling => "settling",
            Self::Done => "done",
        }
    }

    /// The stage of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}
