//! The effects on the certificate: its key, its download, its place in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use waxwing_acme::certificate::DownloadCertificate;
use waxwing_core::http::without_query;
use waxwing_core::name::Identifier;
use waxwing_core::secret::Secret;
use waxwing_core::time::Timestamp;

use super::{Pen, Work};
use crate::certificate::{CertificateFacts, ChainPem, Origin, RevokedMark, StoredVersion};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::machine::event::Event;
use crate::ports::{CryptoError, StoreError, StoreErrorKind};
use crate::report::Reached;
use crate::session::Repeat;

impl Work<'_> {
    /// Takes the key of the open run, or the current one if it is to be kept, or makes one.
    pub(super) async fn make_key(
        &self,
        key: &mut Option<Secret<String>>,
    ) -> Result<Event, Failure> {
        let ports = &self.ports.session;
        let kind = self.settings.key;
        let pending = match ports.store.pending_key(&self.journal) {
            // Nothing was ordered with it, or its order is given up.
            Err(error) if error.kind == StoreErrorKind::Corrupt => None,
            pending => pending.map_err(Failure::Store)?,
        };
        let usable = |candidate: &Secret<String>| matches!(ports.keys.kind(candidate), Ok(Some(found)) if found == kind);
        let pending = pending.filter(usable);
        let current = if self.settings.reuse_key || pending.is_some() {
            match ports.store.current(&self.certificate) {
                // What is damaged counts as not there.
                Err(error) if error.kind == StoreErrorKind::Corrupt => None,
                current => current.map_err(Failure::Store)?,
            }
        } else {
            None
        };
        // A key that others may have is the one thing that is never kept.
        let kept = current
            .as_ref()
            .filter(|current| self.settings.reuse_key && !is_compromised(current))
            .map(|current| current.key.clone())
            .filter(usable);
        // An earlier run may have meant to keep what is not to be kept any more.
        let pending = pending.filter(|pending| {
            let public = ports.keys.public_key_sha256(pending).ok();
            let old = current
                .as_ref()
                .is_some_and(|it| public.as_ref() == Some(&it.facts.public_key_sha256));
            !old || kept.is_some()
        });
        let found = match pending {
            Some(pending) => pending,
            None => {
                let new = match kept {
                    Some(kept) => kept,
                    None => {
                        // RSA takes seconds; the other certificates go on meanwhile.
                        let keys = Arc::clone(&ports.keys);
                        tokio::task::spawn_blocking(move || keys.certificate_key(kind))
                            .await
                            .map_err(|error| {
                                Failure::Crypto(CryptoError {
                                    what: format!("making a key of type {kind}"),
                                    causes: vec![error.to_string()],
                                })
                            })?
                            .map_err(Failure::Crypto)?
                    }
                };
                ports
                    .store
                    .save_pending_key(&self.journal, &new)
                    .map_err(Failure::Store)?;
                new
            }
        };
        *key = Some(found);
        Ok(Event::KeyReady)
    }

    /// Fetches the certificate, chooses the chain and checks that it is the one ordered.
    pub(super) async fn download(&self, url: String) -> Result<Event, Failure> {
        let ca = &self.session.profile().name;
        let keys = &self.ports.session.keys;
        let first = self
            .session
            .call(&DownloadCertificate { url: url.clone() }, Repeat::Freely)
            .await?;
        let read = keys.read_chain(&first.pem);
        let (mut pem, mut facts) = read.map_err(|error| Failure::Unreadable {
            ca: ca.clone(),
            url: without_query(&url).to_owned(),
            error,
        })?;
        let mut note = None;
        if let Some(wanted) = &self.session.profile().preferred_chain
            && !facts.issuers.contains(wanted)
        {
            // The chain is a preference: a certificate with another one is better than none.
            match self.other_chain(wanted, first.alternates).await {
                Ok(Some(other)) => (pem, facts) = other,
                Ok(None) => note = Some(format!("{ca} offers no chain by {wanted}")),
                Err(failure) => {
                    let cause = failure.lines().join(": ");
                    note = Some(format!("the chain by {wanted} was not to be had: {cause}"));
                }
            }
        }
        let key = self
            .ports
            .session
            .store
            .pending_key(&self.journal)
            .map_err(Failure::Store)?;
        let key = match key {
            Some(key) => Some(keys.public_key_sha256(&key).map_err(Failure::Crypto)?),
            None => None,
        };
        match mismatch(&self.settings.domains, key.as_deref(), &facts, self.now()) {
            Some((what, clock)) => Err(Failure::Mismatch {
                ca: ca.clone(),
                what,
                clock,
            }),
            None => Ok(Event::Downloaded { pem, facts, note }),
        }
    }

    /// The first of these chains that `wanted` has issued.
    async fn other_chain(
        &self,
        wanted: &String,
        alternates: Vec<String>,
    ) -> Result<Option<(ChainPem, CertificateFacts)>, Failure> {
        for url in alternates {
            let call = DownloadCertificate { url };
            let other = self.session.call(&call, Repeat::Freely).await?;
            let keys = &self.ports.session.keys;
            let (pem, facts) = keys.read_chain(&other.pem).map_err(Failure::Crypto)?;
            if facts.issuers.contains(wanted) {
                return Ok(Some((pem, facts)));
            }
        }
        Ok(None)
    }

    pub(super) fn save(
        &self,
        machine: &Machine,
        pem: &ChainPem,
        facts: &CertificateFacts,
        pen: &mut Pen,
    ) -> Result<Event, Failure> {
        let terms = &machine.run().terms;
        let store = &self.ports.session.store;
        let profile = self.session.profile();
        let origin = Origin {
            ca: profile.name.clone(),
            account: terms.account.clone(),
            issued_at: self.now(),
            fallback: self.fallback,
            staging: profile.staging,
        };
        let key = store
            .pending_key(&self.journal)
            .map_err(Failure::Store)?
            .ok_or_else(|| {
                Failure::Store(StoreError {
                    kind: StoreErrorKind::Corrupt,
                    act: "find the key of the open run of",
                    path: self.certificate.as_str().into(),
                    causes: Vec::new(),
                    hint: None,
                })
            })?;
        if terms.rehearsal {
            pen.rehearsed = Some(StoredVersion {
                certificate: self.certificate.clone(),
                version: 0,
                key,
                pem: pem.clone(),
                facts: facts.clone(),
                origin,
                revoked: None,
            });
            self.reach(pen, Reached::Received);
            return Ok(Event::Saved(None));
        }
        let version = store
            .save(&self.certificate, &key, pem, facts, &origin)
            .map_err(Failure::Store)?;
        pen.unnoted = !(self.stored)(version);
        self.reach(pen, Reached::Received);
        Ok(Event::Saved(Some(version)))
    }
}

/// True if others may have the key.
fn is_compromised(version: &StoredVersion) -> bool {
    version
        .revoked
        .as_ref()
        .is_some_and(RevokedMark::is_key_compromise)
}

/// What differs between the certificate and what was ordered; none if nothing does.
fn mismatch(
    ordered: &[Identifier],
    public_key: Option<&str>,
    facts: &CertificateFacts,
    now: Timestamp,
) -> Option<(String, bool)> {
    if public_key != Some(facts.public_key_sha256.as_str()) {
        let what = "it is for another key than the one of this run";
        return Some((what.to_owned(), false));
    }
    let ours: BTreeSet<&Identifier> = ordered.iter().collect();
    let theirs: BTreeSet<&Identifier> = facts.names.iter().collect();
    if ours != theirs {
        let list = |names: BTreeSet<&Identifier>| {
            names
                .into_iter()
                .map(Identifier::to_wire)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let what = format!("it is for {}, ordered was {}", list(theirs), list(ours));
        return Some((what, false));
    }
    if facts.not_after <= now {
        let what = format!(
            "it has expired on {}, by the clock of this machine, which shows {now}",
            facts.not_after
        );
        return Some((what, true));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(names: &[&str]) -> Vec<Identifier> {
        let parse = |name: &&str| Identifier::parse(name).expect("a literal name");
        names.iter().map(parse).collect()
    }

    fn now() -> Timestamp {
        Timestamp::from_unix(1_795_000_000)
    }

    fn issued(to: &[&str], key: &str) -> CertificateFacts {
        CertificateFacts {
            names: names(to),
            serial: vec![1],
            authority_key_id: None,
            not_before: now(),
            not_after: now() + HOUR,
            leaf_sha256: "leaf".to_owned(),
            leaf_sha1: "leaf".to_owned(),
            public_key_sha256: key.to_owned(),
            key_type: None,
            issuers: vec!["an issuer".to_owned()],
        }
    }

    #[test]
    fn what_was_not_ordered_is_told_apart() {
        let other_key = Some("it is for another key than the one of this run");
        let ordered = ["example.com", "*.example.com"];
        let rows: [(&str, Option<&str>, CertificateFacts, Option<&str>); 9] = [
            ("as ordered", Some("ours"), issued(&ordered, "ours"), None),
            (
                "in another order",
                Some("ours"),
                issued(&["*.example.com", "example.com"], "ours"),
                None,
            ),
            (
                "a name twice",
                Some("ours"),
                issued(&["example.com", "example.com", "*.example.com"], "ours"),
                None,
            ),
            (
                "another key",
                Some("ours"),
                issued(&ordered, "theirs"),
                other_key,
            ),
            (
                "no key of the run",
                None,
                issued(&ordered, "ours"),
                other_key,
            ),
            (
                "a name fewer",
                Some("ours"),
                issued(&["example.com"], "ours"),
                Some("it is for example.com, ordered was example.com, *.example.com"),
            ),
            (
                "a name more",
                Some("ours"),
                issued(&["example.com", "*.example.com", "example.org"], "ours"),
                Some(
                    "it is for example.com, *.example.com, example.org, ordered was example.com, \
                     *.example.com",
                ),
            ),
            (
                "other names, as many",
                Some("ours"),
                issued(&["example.com", "www.example.com"], "ours"),
                Some(
                    "it is for example.com, www.example.com, ordered was example.com, *.example.com",
                ),
            ),
            (
                "over",
                Some("ours"),
                CertificateFacts {
                    not_after: now(),
                    ..issued(&ordered, "ours")
                },
                Some(
                    "it has expired on 2026-11-18T11:06:40Z, by the clock of this machine, which \
                     shows 2026-11-18T11:06:40Z",
                ),
            ),
        ];
        for (what, key, facts, want) in rows {
            let found = mismatch(&names(&ordered), key, &facts, now());
            assert_eq!(
                found.as_ref().map(|(what, _)| what.as_str()),
                want,
                "{what}"
            );
        }
    }

    #[test]
    fn a_ca_whose_clock_is_ahead_has_issued_what_was_ordered() {
        // Storing it loses nothing; refusing it would order another one that is no better.
        let facts = CertificateFacts {
            not_before: now() + HOUR / 2,
            ..issued(&["example.com"], "ours")
        };
        assert_eq!(
            mismatch(&names(&["example.com"]), Some("ours"), &facts, now()),
            None
        );
    }
}
