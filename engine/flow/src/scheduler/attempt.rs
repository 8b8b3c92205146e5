//! One certificate at one CA.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use waxwing_acme::ari::RenewalInfo;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CertificateName;
use waxwing_core::settings::CertificateSettings;

use super::desk::Wanted;
use super::{Shift, WIDTH};
use crate::abandon;
use crate::advice::{self, Trouble};
use crate::budget;
use crate::certificate::{CertificateFacts, StoredVersion};
use crate::driver::{Driven, Work};
use crate::failure::Failure;
use crate::heard::Answer;
use crate::machine::{Machine, Patience};
use crate::ports::StoreErrorKind;
use crate::run::{OrderTerms, Run, Stage};
use crate::session::CaSession;

/// An order of an earlier run is taken up for so long. What an older one has given, or would give, is no
/// new certificate any more: a forced renewal that failed leaves one until the next one is due. Longer than
/// a CA may ask to wait.
const OLDEST_ORDER: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// A CA that has answered so short a time ago is worth a question although another one stands in for it.
const ANSWERS_STILL: Duration = Duration::from_secs(60);

impl Shift<'_> {
    /// One certificate at one CA, resumed if the journal has an order that still fits.
    pub(super) async fn at_ca(&self, wanted: Wanted<'_>) -> Result<Driven, Failure> {
        let profile = wanted.profile;
        let counter = self.counter(profile).await;
        let _room = counter.room.acquire().await;
        let opened = counter.session.get_or_init(async || {
            let ports = self.ports.session.clone();
            let heard = Some(Arc::clone(&self.heard));
            let account = &self.settings.account;
            let opened = CaSession::open_heard(ports, profile, account, heard).await;
            if let Ok(session) = &opened
                && let Some(kept) = budget::requests(self.history(), &profile.name)
            {
                session.resume_pace(kept);
            }
            opened
        });
        let session = tokio::select! {
            biased;
            () = self.stop.requested() => return Err(Failure::Stopped),
            opened = opened => opened.as_ref().map_err(Clone::clone)?,
        };
        self.with(session, wanted).await
    }

    /// The same in a session.
    async fn with(&self, session: &CaSession, wanted: Wanted<'_>) -> Result<Driven, Failure> {
        let Wanted {
            certificate,
            profile,
            fallback,
            current,
            names_predecessor,
            insists,
            another_order,
            removes_late,
            ..
        } = wanted;
        let name = &certificate.name;
        let journal = self.journal_name(name);
        let old = self.read_journal(&journal)?;
        let mut notes = session.notes();
        let terms = self.terms(
            certificate,
            session,
            (current, names_predecessor),
            &mut notes,
        )?;
        let mut run = Run {
            id: self.id.to_owned(),
            certificate: name.clone(),
            terms,
            order_url: None,
            began: self.now(),
            stage: Stage::Planned,
            finalized: None,
            attempts: 0,
            obligations: Vec::new(),
        };
        let mut keyless = false;
        if let Some(old) = old {
            let young = self.now().since(old.began) < OLDEST_ORDER;
            keyless = old.finalized.is_some() && self.pending_key(&journal)?.is_none();
            if keyless {
                notes.push(format!(
                    "the key of the order that was sent to {} cannot be read, so another one is ordered",
                    old.terms.ca
                ));
            }
            let fits = young && !keyless && run.terms.accept_order_of(&old.terms);
            if let Some(url) = old.order_url.as_deref().filter(|_| !fits) {
                self.leave(session, &old, url).await;
            }
            let usable = fits
                && !self.is_spent(&old, &journal, current)?
                && !self.has_old_key(&old, &journal, certificate, current)?;
            if usable {
                run.order_url = old.order_url;
                // A clock that was ahead began nothing in the future.
                run.began = old.began.min(run.began);
                run.finalized = old.finalized;
                run.stage = old.stage;
            }
            run.attempts = old.attempts;
            run.obligations = old.obligations;
        }
        let paid = run.order_url.is_none();
        if paid {
            // Another certificate may have been told so since this one was chosen.
            let closed = budget::closed(self.history(), &profile.name, self.now());
            if let Some(until) = closed.filter(|_| !insists) {
                return Err(Failure::LeftAlone {
                    ca: profile.name.clone(),
                    until,
                });
            }
            budget::take_order(self.history(), profile, &certificate.domains, self.now())?;
        }
        let stored = |version| self.note_issued(&wanted, version);
        let work = Work {
            ports: self.ports,
            session,
            certificate: name.clone(),
            journal,
            settings: certificate,
            propagation: self.settings.network.propagation,
            observer: self.ports.observer.as_ref(),
            stop: self.stop,
            fallback,
            paid,
            removes_late,
            ahead: &self.ahead,
            stored: &stored,
        };
        let patience = Patience {
            order: profile.poll.order,
            retry_after_cap: profile.poll.retry_after_cap,
            challenge_retry: profile.quirks.challenge_retry,
            another_order,
        };
        let mut driven = work.drive(Machine::new(run, patience, self.now())).await;
        driven.ending.notes.splice(0..0, notes);
        // What the CA has signed with it is of no use to anybody.
        driven.ending.lost |= keyless;
        if let Some(received) = driven.rehearsed.take() {
            let mut all = self
                .rehearsed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.push(received);
        }
        if let Ok(issued) = &driven.ending.result
            && issued.version.is_some()
        {
            self.fresh(name, profile, &issued.facts);
        }
        Ok(driven)
    }

    /// Gives up an order with which nobody goes on: of an earlier run, or at a CA for which this one stands in. One at
    /// a CA that this run has not talked to a moment ago is left: its authorizations end by themselves.
    async fn leave(&self, session: &CaSession, old: &Run, url: &str) {
        if old.terms.ca == session.profile().name {
            if old.terms.account == session.account() {
                abandon::order(session, url).await;
            }
            return;
        }
        let now = self.now();
        let answers = |answer: Answer| now.since(answer.at) <= ANSWERS_STILL;
        if !self.heard.last(&old.terms.ca).is_some_and(answers) {
            return;
        }
        let counter = self.sessions.lock().await.get(&old.terms.ca).cloned();
        if let Some(Ok(other)) = counter.as_ref().and_then(|counter| counter.session.get())
            && other.account() == old.terms.account
        {
            abandon::order(other, url).await;
        }
    }

    /// True if the order of an interrupted run has given the current version already. What is
    /// wanted now is a newer one.
    pub(super) fn is_spent(
        &self,
        old: &Run,
        journal: &CertificateName,
        current: Option<&StoredVersion>,
    ) -> Result<bool, Failure> {
        let Some(current) = current.filter(|current| current.origin.ca == old.terms.ca) else {
            return Ok(false);
        };
        let Some(key) = self.pending_key(journal)? else {
            return Ok(false);
        };
        // A key that is kept over renewals says nothing about which of them it was.
        Ok(current.facts.public_key_sha256 == key
            && (!old.terms.reuse_key || current.origin.issued_at >= old.began))
    }

    /// True if the CA was asked to sign a key that was to be kept then and is not to be kept any more.
    fn has_old_key(
        &self,
        old: &Run,
        journal: &CertificateName,
        certificate: &CertificateSettings,
        current: Option<&StoredVersion>,
    ) -> Result<bool, Failure> {
        let Some(current) = current
            .filter(|_| old.finalized.is_some() && old.terms.reuse_key && !certificate.reuse_key)
        else {
            return Ok(false);
        };
        let public = self.pending_key(journal)?;
        Ok(public.as_ref() == Some(&current.facts.public_key_sha256))
    }

    /// SHA-256 of the public key of an interrupted run; none if it has none that can be used.
    fn pending_key(&self, journal: &CertificateName) -> Result<Option<String>, Failure> {
        let ports = &self.ports.session;
        match ports.store.pending_key(journal) {
            Ok(Some(key)) => Ok(ports.keys.public_key_sha256(&key).ok()),
            Ok(None) => Ok(None),
            Err(error) if error.kind == StoreErrorKind::Corrupt => Ok(None),
            Err(error) => Err(Failure::Store(error)),
        }
    }

    fn terms(
        &self,
        certificate: &CertificateSettings,
        session: &CaSession,
        (current, names_predecessor): (Option<&StoredVersion>, bool),
        notes: &mut Vec<String>,
    ) -> Result<OrderTerms, Failure> {
        let profile = session.profile();
        let directory = session.directory();
        let mut wanted = profile
            .profile
            .as_ref()
            .map(|p| (p.name.clone(), p.required));
        if let Some((name, required)) = &wanted
            && !directory.meta.profiles.contains_key(name)
        {
            let offered: Vec<&str> = directory.meta.profiles.keys().map(String::as_str).collect();
            let offered = if offered.is_empty() {
                "none".to_owned()
            } else {
                offered.join(", ")
            };
            if *required {
                return Err(Failure::NoProfile {
                    ca: profile.name.clone(),
                    profile: name.clone(),
                    offered,
                });
            }
            notes.push(format!(
                "{} does not offer the profile {name} (offered: {offered}); ordered without",
                profile.name
            ));
            wanted = None;
        }
        let same_account = |version: &&StoredVersion| {
            version.origin.ca == profile.name && version.origin.account == session.account()
        };
        let known_to_ari =
            profile.ari.enabled && profile.ari.replaces && directory.renewal_info.is_some();
        let predecessor = current
            .filter(|_| known_to_ari && !self.rehearsal)
            .filter(same_account)
            .and_then(|version| version.facts.ari_id());
        let (replaces, left_out) = match names_predecessor {
            true => (predecessor, None),
            false => (None, predecessor),
        };
        Ok(OrderTerms {
            ca: profile.name.clone(),
            account: session.account().to_owned(),
            names: certificate.domains.clone(),
            key: certificate.key,
            reuse_key: certificate.reuse_key,
            profile: wanted,
            replaces,
            left_out,
            rehearsal: self.rehearsal,
        })
    }

    /// Keeps in mind that a certificate is new, and who issued it.
    fn fresh(&self, name: &CertificateName, profile: &CaProfile, facts: &CertificateFacts) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.push((name.clone(), profile.name.clone(), facts.clone()));
    }

    /// What CAs advise about the certificates that they have just issued. Nothing waits for it; a CA
    /// that says nothing is asked again later.
    pub(super) async fn first_advices(&self) {
        let fresh = {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *fresh)
        };
        let questions = fresh.iter().map(async |(name, ca, facts)| {
            let counter = {
                let counters = self.sessions.lock().await;
                counters.get(ca).map(Arc::clone)
            };
            if let Some(Ok(session)) = counter.as_ref().and_then(|it| it.session.get()) {
                self.first_advice(name, session, facts).await;
            }
        });
        let all = stream::iter(questions).buffer_unordered(WIDTH);
        all.collect::<()>().await;
    }

    async fn first_advice(
        &self,
        name: &CertificateName,
        session: &CaSession,
        facts: &CertificateFacts,
    ) {
        let Some(id) = facts.ari_id() else { return };
        let answer: Result<RenewalInfo, Trouble> = tokio::select! {
            biased;
            () = self.stop.requested() => return,
            answer = session.renewal_info(facts) => match answer {
                Ok(Some(info)) => Ok(info),
                Ok(None) => return,
                Err(error) => Err(error.into()),
            },
        };
        let ports = &self.ports.session;
        let advice = advice::after(id, None, answer, self.now(), ports.entropy.number());
        advice::keep(self.ports.history.as_ref(), name, &advice);
    }
}
