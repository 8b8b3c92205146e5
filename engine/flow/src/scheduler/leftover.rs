//! What an interrupted run has left: its journal, and the records that it still owes.

use std::sync::PoisonError;

use waxwing_core::name::{CertificateName, REHEARSAL};
use waxwing_core::settings::CertificateSettings;

use super::{Job, Shift};
use crate::abandon;
use crate::certificate::StoredVersion;
use crate::failure::Failure;
use crate::journal;
use crate::plugin::Attempt;
use crate::ports::{StoreError, StoreErrorKind};
use crate::run::Run;
use crate::settle::settle;

/// True if a journal of that name belongs to a rehearsal and not to a certificate: no certificate of
/// a configuration can be called like this.
pub fn is_rehearsal(journal: &CertificateName) -> bool {
    journal.is_of_rehearsal()
}

impl Shift<'_> {
    /// A rehearsal has a journal of its own, so that it cannot lose a real order.
    pub(super) fn journal_name(&self, name: &CertificateName) -> CertificateName {
        if !self.rehearsal {
            return name.clone();
        }
        let text: String = name.as_str().chars().take(180).collect();
        CertificateName::parse(&format!("{text}{REHEARSAL}"))
            .unwrap_or_else(|_too_odd| name.clone())
    }

    /// Removes what earlier runs left behind for certificates that this run does not touch. Answers
    /// what is still there.
    pub(super) async fn settle_leftovers(&self, jobs: &[Job]) -> Vec<(CertificateName, Failure)> {
        let mut left = Vec::new();
        let store = &self.ports.session.store;
        let open = store.open_journals().unwrap_or_else(|error| {
            tracing::error!(cause = %error, "open journals could not be listed");
            Vec::new()
        });
        for name in open {
            if self.stop.is_requested() {
                return left;
            }
            let worked_on = jobs
                .iter()
                .any(|job| self.journal_name(&job.certificate.name) == name);
            if let Err(failure) = self.settle_leftover(&name, worked_on).await {
                let of = name.as_str().trim_end_matches(REHEARSAL);
                left.push((CertificateName::parse(of).unwrap_or(name), failure));
            }
        }
        left
    }

    /// A journal that a job of this run works on is left to the job.
    async fn settle_leftover(
        &self,
        journal: &CertificateName,
        worked_on: bool,
    ) -> Result<(), Failure> {
        let run = match self.read_journal(journal) {
            Ok(Some(_)) | Err(_) if worked_on => return Ok(()),
            Err(failure) if is_damage(&failure) => None,
            read => read?,
        };
        // A rehearsal has a journal of its own and the lock of the certificate.
        let of_journal = journal.as_str().trim_end_matches(REHEARSAL);
        let owner = match &run {
            Some(run) => run.certificate.clone(),
            None => CertificateName::parse(of_journal).unwrap_or_else(|_| journal.clone()),
        };
        let store = &self.ports.session.store;
        let _lock = match store.lock_certificate(&owner) {
            Ok(lock) => lock,
            // Another run is at it: nothing is left over.
            Err(error) if error.kind == StoreErrorKind::Locked => return Ok(()),
            Err(error) => return Err(Failure::Store(error)),
        };
        if let Some(told) = self.mend_journal(journal)? {
            tracing::error!(certificate = %owner, "{told}");
            return Ok(());
        }
        if self.read_journal(journal)?.is_none() {
            // The run was over and died while it closed its journal. Its key is still there.
            return store.close_journal(journal).map_err(Failure::Store);
        }
        self.settle_journal(journal).await
    }

    /// Sets a damaged journal aside, so that it keeps nobody from a certificate, and answers what is to
    /// be told about it. The certificate is locked.
    pub(super) fn mend_journal(
        &self,
        journal: &CertificateName,
    ) -> Result<Option<String>, Failure> {
        let failure = match self.read_journal(journal) {
            Err(failure) if is_damage(&failure) => failure,
            Ok(_) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let store = &self.ports.session.store;
        let kept = store.set_journal_aside(journal).map_err(Failure::Store)?;
        Ok(Some(format!(
            "the journal of {journal} was damaged and is kept in {}: the order of its run is \
             forgotten, and `_acme-challenge` records that it placed may be left at the DNS provider \
             ({})",
            kept.display(),
            failure.lines().join(": ")
        )))
    }

    /// The current version, if it can be used; one that is damaged counts as not there.
    pub(super) fn usable(
        &self,
        name: &CertificateName,
    ) -> Result<Option<StoredVersion>, StoreError> {
        match self.ports.session.store.current(name) {
            Err(error) if error.kind == StoreErrorKind::Corrupt => Ok(None),
            current => current,
        }
    }

    pub(super) fn read_journal(&self, journal: &CertificateName) -> Result<Option<Run>, Failure> {
        let text = self.ports.session.store.journal(journal);
        let run = text
            .map_err(Failure::Store)?
            .map(|text| journal::read(&text));
        run.transpose().map_err(|error| unreadable(journal, &error))
    }

    /// Makes good for a run that died between storing a certificate and noting it, if there is one. The
    /// certificate is locked.
    pub(super) fn look_for_what_was_stored(
        &self,
        journal: &CertificateName,
        current: Option<&StoredVersion>,
    ) -> Result<(), Failure> {
        if let (Some(run), Some(current)) = (self.read_journal(journal)?, current)
            && self.is_spent(&run, journal, Some(current))?
        {
            self.make_good(&run, current);
        }
        Ok(())
    }

    /// Gives up orders that nobody wants any more, at the CAs with which this run has talked: at others they end by
    /// themselves.
    pub(super) async fn give_up(&self) {
        let given_up = {
            let mut all = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *all)
        };
        for (ca, account, url) in given_up {
            let counter = self.sessions.lock().await.get(&ca).cloned();
            if let Some(Ok(session)) = counter.as_ref().and_then(|counter| counter.session.get())
                && session.account() == account
            {
                abandon::order(session, &url).await;
            }
        }
    }

    /// Pays back what the open run of a certificate owes, and keeps its order if it has one. The
    /// certificate is locked.
    pub(super) async fn settle_journal(&self, journal: &CertificateName) -> Result<(), Failure> {
        let store = &self.ports.session.store;
        let Some(mut run) = self.read_journal(journal)? else {
            return Ok(());
        };
        let attempt = Attempt {
            run: self.id.to_owned(),
            number: run.attempts.max(1),
        };
        let owed = std::mem::take(&mut run.obligations);
        let settled = tokio::select! {
            biased;
            settled = settle(self.ports, &attempt, owed) => settled,
            () = self.stop.over() => return Err(Failure::Stopped),
        };
        run.obligations = settled.left;
        let current = self.usable(&run.certificate).map_err(Failure::Store)?;
        let wanted = |certificate: &CertificateSettings| certificate.name == run.certificate;
        let abandoned = !self.settings.certificates.iter().any(wanted);
        let spent = self.is_spent(&run, journal, current.as_ref())?;
        let noted = match current.as_ref().filter(|_| spent) {
            Some(current) => self.make_good(&run, current),
            None => false,
        };
        if let Some(url) = run.order_url.take_if(|_| abandoned || noted)
            && abandoned
        {
            let order = (run.terms.ca.clone(), run.terms.account.clone(), url);
            let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
            given_up.push(order);
        }
        if run.order_url.is_some() || !run.obligations.is_empty() {
            let text = journal::write(&run).map_err(|error| unreadable(journal, &error))?;
            store
                .write_journal(journal, &text)
                .map_err(Failure::Store)?;
        } else {
            store.close_journal(journal).map_err(Failure::Store)?;
        }
        if settled.failed.is_empty() {
            Ok(())
        } else {
            Err(Failure::Plugins(settled.failed))
        }
    }
}

fn is_damage(failure: &Failure) -> bool {
    matches!(failure, Failure::Store(error) if error.kind == StoreErrorKind::Corrupt)
}

fn unreadable(name: &CertificateName, error: &journal::JournalError) -> Failure {
    Failure::Store(StoreError {
        kind: match error {
            journal::JournalError::TooNew(_) => StoreErrorKind::TooNew,
            journal::JournalError::Shape(_) => StoreErrorKind::Corrupt,
        },
        act: "read the journal of",
        path: name.as_str().into(),
        causes: vec![error.to_string()],
        hint: None,
    })
}
