//! What a clock that was ahead has noted counts for nothing: neither now, when it lies ahead, nor when the
//! time comes that it showed. Every run sees to that, also one with nothing to do: nobody else will notice.

use waxwing_core::name::CertificateName;
use waxwing_core::time::Timestamp;

use crate::certificate::InventoryEntry;
use crate::ports::{CertificateStore, History, StoreErrorKind};

/// Lets nothing count that lies ahead of `now`: in the history attempts, waits, and moments in which nobody
/// was reached; in the store, of which these are the entries, how attempts ended.
///
/// If it is the clock of now that is wrong, which a certificate shows that is valid from later on, all is
/// left as it is.
pub fn forget(
    history: &dyn History,
    store: &dyn CertificateStore,
    entries: &mut [&mut InventoryEntry],
    now: Timestamp,
) {
    if let Some(name) = is_behind(entries.iter().map(|entry| &**entry), now) {
        tracing::warn!(certificate = %name,
            "the clock is behind: a certificate that is stored is valid from later on");
        return;
    }
    if let Err(error) = history.forget_ahead(now) {
        tracing::warn!(cause = %error, "what a clock that was ahead has noted could not be taken away");
    }
    let is_ahead = |entry: &&mut &mut InventoryEntry| {
        let last = entry.last.as_ref();
        last.is_some_and(|last| last.at.is_ahead_of(now))
    };
    for entry in entries.iter_mut().filter(is_ahead) {
        let name = &entry.certificate;
        let lock = match store.lock_certificate(name) {
            Ok(lock) => Ok(lock),
            // Whoever holds it notes how it ends.
            Err(error) if error.kind == StoreErrorKind::Locked => continue,
            Err(error) => Err(error),
        };
        let forgotten = lock.and_then(|_lock| store.forget_attempt(name));
        match forgotten {
            Ok(()) => entry.last = None,
            Err(error) => tracing::warn!(certificate = %name, cause = %error,
                "what a clock that was ahead has noted could not be taken away"),
        }
    }
}

/// The certificate that shows that the clock of now is behind, if one does: by the CA's clock it is valid from
/// later on.
pub fn is_behind<'e>(
    entries: impl IntoIterator<Item = &'e InventoryEntry>,
    now: Timestamp,
) -> Option<&'e CertificateName> {
    let mut entries = entries.into_iter();
    let found = entries.find(|entry| {
        let current = entry.current.as_ref();
        current.is_some_and(|current| current.facts.not_before.is_ahead_of(now))
    });
    found.map(|entry| &entry.certificate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::certificate::{
        AttemptResult, CertificateFacts, InventoryVersion, LastAttempt, Origin,
    };
    use crate::tests::world::{World, certificate};

    #[tokio::test(start_paused = true)]
    async fn how_an_attempt_ended_is_forgotten_only_where_it_lies_ahead() {
        let world = World::new(&["first"]);
        let store = world.ports().session.store;
        let now = world.now();
        let day = Duration::from_secs(86_400);
        let entry = |name: &str, at| {
            let last = LastAttempt {
                replaces: false,
                at,
                ca: None,
                result: AttemptResult::Installed,
            };
            let name = certificate(name, &["shop.example"], &["first"]).name;
            store.record_attempt(&name, &last).expect("noted");
            InventoryEntry {
                in_place: None,
                damage: None,
                certificate: name,
                current: None,
                installed: Vec::new(),
                last: Some(last),
                served: Vec::new(),
                unfinished: false,
                replacing: None,
                owes: false,
                finalized: None,
            }
        };
        let mut entries = [
            entry("late", now - day),
            entry("now", now),
            entry("ahead", now + day),
        ];
        let history = world.ports().history;
        let mut all: Vec<_> = entries.iter_mut().collect();
        // By a clock that is behind nothing is forgotten.
        all[0].current = Some(version(now));
        forget(history.as_ref(), store.as_ref(), &mut all, now - day);
        assert!(all.iter().all(|entry| entry.last.is_some()));
        forget(history.as_ref(), store.as_ref(), &mut all, now);
        assert_eq!(
            entries.map(|entry| entry.last.is_some()),
            [true, true, false]
        );
        let state = world.state();
        let noted: Vec<_> = state.disk.last.keys().map(ToString::to_string).collect();
        assert_eq!(noted, ["late", "now"]);
    }

    /// One that is valid from then on.
    fn version(from: Timestamp) -> InventoryVersion {
        InventoryVersion {
            version: 1,
            facts: CertificateFacts {
                names: Vec::new(),
                serial: vec![4],
                authority_key_id: None,
                not_before: from,
                not_after: from + Duration::from_secs(90 * 86_400),
                leaf_sha256: "aa".to_owned(),
                leaf_sha1: "bb".to_owned(),
                public_key_sha256: "cc".to_owned(),
                key_type: None,
                issuers: Vec::new(),
            },
            origin: Origin {
                ca: certificate("shop", &["shop.example"], &["first"]).cas[0].clone(),
                account: "https://first.example/account/1".to_owned(),
                issued_at: from,
                fallback: false,
                staging: false,
            },
            revoked: None,
        }
    }
}
