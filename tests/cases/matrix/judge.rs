//! The CAs of the matrix, and what their ledgers say.

use waxwing_world::ca::Ca;
use waxwing_world::fault::Faults;
use waxwing_world::traffic::Class;

/// A CA that a cell talks to.
pub(super) enum Office {
    World(Ca),
}

/// What a CA has done, by its own account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) accounts: usize,
    pub(super) orders: usize,
    /// The leaves.
    pub(super) certificates: Vec<String>,
    /// Authorizations that wait for a client.
    pub(super) pending: usize,
}

impl Office {
    /// `https://host:port`.
    pub(super) fn url(&self) -> String {
        match self {
            Self::World(ca) => ca.url(),
        }
    }

    pub(super) fn directory(&self) -> String {
        match self {
            Self::World(ca) => ca.directory(),
        }
    }

    pub(super) fn faults(&self) -> &Faults {
        match self {
            Self::World(ca) => ca.faults(),
        }
    }

    /// Sorts requests by their paths.
    pub(super) fn classifier(&self) -> Box<dyn Fn(&str) -> Class + Send + Sync> {
        match self {
            Self::World(ca) => Box::new(ca.classifier()),
        }
    }

    /// How many requests it was sent.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::World(ca) => ca.traffic().total(),
        }
    }

    /// How many certificates are revoked, where that can be known.
    pub(super) fn revoked(&self) -> Option<usize> {
        match self {
            Self::World(ca) => {
                let all = ca.certificates();
                Some(all.iter().filter(|one| one.revoked.is_some()).count())
            }
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        match self {
            Self::World(ca) => Ledger {
                accounts: ca.accounts(),
                orders: ca.orders().len(),
                certificates: ca.certificates().into_iter().map(|one| one.pem).collect(),
                pending: ca.pending_authorizations(),
            },
        }
    }
}
