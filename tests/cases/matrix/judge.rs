//! The CAs of the matrix, and what their ledgers say.

use waxwing_world::ca::{Ca, OrderState, Status};
use waxwing_world::fault::Faults;
use waxwing_world::pebble::Front;
use waxwing_world::traffic::Class;

use super::plan::Cell;

/// A CA that a cell talks to.
pub(super) enum Office {
    World(Ca),
    /// Pebble, behind a front of the cell's own.
    Pebble(Front),
}

/// What a CA has done, by its own account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) accounts: usize,
    pub(super) orders: usize,
    /// The leaves that were made or named.
    pub(super) certificates: Vec<String>,
    /// Orders whose finalization was accepted: each is a certificate, made or about to be.
    pub(super) finalized: usize,
    /// Authorizations that wait for a client.
    pub(super) pending: usize,
}

impl Office {
    /// `https://host:port`.
    pub(super) fn url(&self) -> String {
        match self {
            Self::World(ca) => ca.url(),
            Self::Pebble(front) => front.url(),
        }
    }

    pub(super) fn directory(&self) -> String {
        match self {
            Self::World(ca) => ca.directory(),
            Self::Pebble(front) => front.directory(),
        }
    }

    pub(super) fn faults(&self) -> &Faults {
        match self {
            Self::World(ca) => ca.faults(),
            Self::Pebble(front) => front.faults(),
        }
    }

    /// Sorts requests by their paths.
    pub(super) fn classifier(&self) -> Box<dyn Fn(&str) -> Class + Send + Sync> {
        match self {
            Self::World(ca) => Box::new(ca.classifier()),
            Self::Pebble(front) => Box::new(front.classifier()),
        }
    }

    /// Whether it is looking at a record at the moment; none if nobody can know.
    pub(super) fn looking(&self) -> Option<Box<dyn Fn() -> bool + Send + Sync>> {
        match self {
            Self::World(ca) => Some(Box::new(ca.looking())),
            Self::Pebble(_) => None,
        }
    }

    /// How many requests it was sent.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::World(ca) => ca.traffic().total(),
            Self::Pebble(front) => front.traffic().total(),
        }
    }

    /// How many certificates are revoked.
    pub(super) fn revoked(&self) -> usize {
        match self {
            Self::World(ca) => {
                let all = ca.certificates();
                all.iter().filter(|one| one.revoked.is_some()).count()
            }
            Self::Pebble(front) => front.seen().revoked,
        }
    }

    pub(super) fn ledger(&self) -> Ledger {
        match self {
            Self::World(ca) => Ledger {
                accounts: ca.accounts(),
                orders: ca.orders().len(),
                finalized: {
                    let done = |order: &OrderState| {
                        matches!(order.status, Status::Processing | Status::Valid)
                    };
                    ca.orders().iter().filter(|order| done(order)).count()
                },
                certificates: ca.certificates().into_iter().map(|one| one.pem).collect(),
                pending: ca.pending_authorizations(),
            },
            Self::Pebble(front) => {
                let seen = front.seen();
                Ledger {
                    accounts: seen.accounts.len(),
                    orders: seen.orders.len(),
                    finalized: seen.finalized.len(),
                    certificates: seen.certificates.into_values().collect(),
                    // Pebble does not say.
                    pending: 0,
                }
            }
        }
    }
}

/// Whether a CA of the cell is at work, where it looks at records without being told to wait.
pub(super) fn at_work(
    cell: Cell,
    first: &Office,
    spare: Option<&Office>,
) -> Option<Box<dyn Fn() -> bool + Send + Sync>> {
    if !cell.validation_delay().is_zero() {
        return None;
    }
    let first = first.looking()?;
    let spare = match spare {
        Some(spare) => Some(spare.looking()?),
        None => None,
    };
    Some(Box::new(move || {
        first() || spare.as_ref().is_some_and(|looking| looking())
    }))
}
