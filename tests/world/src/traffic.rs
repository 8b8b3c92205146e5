//! What a server was asked: requests by class, connections, and the log of both.

use std::collections::BTreeMap;

use http::{Method, StatusCode};

use crate::guarded::Guarded;

/// What a request is for, as its server understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// GET of a CA's directory.
    Directory,
    /// HEAD or GET for a nonce.
    NewNonce,
    /// POST for a new account, or to find one.
    NewAccount,
    /// POST to an account.
    Account,
    /// POST for a key change.
    KeyChange,
    /// POST for a new order.
    NewOrder,
    /// POST to an order.
    Order,
    /// POST to an authorization.
    Authorization,
    /// POST to a challenge.
    Challenge,
    /// POST to an order's finalize URL.
    Finalize,
    /// POST for a certificate chain, the default or an alternate.
    Certificate,
    /// POST for a revocation.
    Revoke,
    /// GET of a certificate's renewal information (RFC 9773).
    RenewalInfo,
    /// GET for external account credentials, which is not ACME.
    Credentials,
    /// Look-up of a zone at a DNS provider, by name or by list.
    Zone,
    /// List of a zone's records at a DNS provider.
    Records,
    /// Creation of a record at a DNS provider.
    Create,
    /// Deletion of a record at a DNS provider.
    Delete,
    /// Anything else.
    Other,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it was for.
    pub class: Class,
    /// Its method.
    pub method: Method,
    /// Its path, with the query.
    pub path: String,
    /// The status that was sent, or `None` while unanswered and for a connection that was closed
    /// instead.
    pub status: Option<StatusCode>,
}

/// A server's counters; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Guarded<Record>);

#[derive(Default)]
struct Record {
    connections: usize,
    entries: Vec<Entry>,
}

impl Traffic {
    /// The requests of one class.
    pub fn count(&self, class: Class) -> usize {
        self.0.with(|record| {
            record
                .entries
                .iter()
                .filter(|entry| entry.class == class)
                .count()
        })
    }

    /// All requests.
    pub fn total(&self) -> usize {
        self.0.with(|record| record.entries.len())
    }

    /// The requests by class, without the classes nobody asked for.
    pub fn counts(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        self.0.with(|record| {
            for entry in &record.entries {
                *counts.entry(entry.class).or_insert(0) += 1;
            }
        });
        counts
    }

    /// Connections whose TLS handshake was completed.
    pub fn connections(&self) -> usize {
        self.0.with(|record| record.connections)
    }

    /// All requests in the order of their arrival.
    pub fn log(&self) -> Vec<Entry> {
        self.0.with(|record| record.entries.clone())
    }

    /// Forgets everything counted so far.
    pub fn reset(&self) {
        self.0.with(|record| *record = Record::default());
    }

    pub(crate) fn connected(&self) {
        self.0.with(|record| record.connections += 1);
    }

    /// Notes a request and answers with its place in the log.
    pub(crate) fn asked(&self, class: Class, method: Method, path: String) -> usize {
        self.0.with(|record| {
            record.entries.push(Entry {
                class,
                method,
                path,
                status: None,
            });
            record.entries.len() - 1
        })
    }

    /// Notes the answer to the request at `place`, unless the log was reset since.
    pub(crate) fn answered(&self, place: usize, status: StatusCode) {
        self.0.with(|record| {
            if let Some(entry) = record.entries.get_mut(place) {
                entry.status = Some(status);
            }
        });
    }
}
