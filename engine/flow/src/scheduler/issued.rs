//! That a certificate was issued is noted as soon as it is stored: ladders, budgets, fail-over and what
//! people are told are computed from the record of attempts, and removing the DNS records may take
//! long.
//!
//! What a newcomer gets wrong: between the two the process may die. The journal is still open then, and
//! whoever finds it there makes good for it.

use waxwing_core::ca::limits::LimitKind;

use super::{Shift, Wanted};
use crate::budget;
use crate::certificate::{AttemptResult, LastAttempt, StoredVersion};
use crate::history::{ClosedAttempt, ClosedResult};
use crate::run::Run;
use crate::tally;

impl Shift<'_> {
    /// Notes that what was wanted has been stored under this number. False if it could not be noted: the
    /// journal is kept then, so that a later run makes good for it.
    pub(crate) fn note_issued(&self, wanted: &Wanted<'_>, version: u32) -> bool {
        let attempt = ClosedAttempt {
            run: self.id.to_owned(),
            certificate: wanted.certificate.name.clone(),
            ca: wanted.profile.name.clone(),
            stands_in: wanted.stands_in.cloned(),
            started: wanted.started,
            ended: self.now(),
            requests: tally::take(),
            result: ClosedResult::Issued { version },
        };
        let history = self.ports.history.as_ref();
        let names = &wanted.certificate.domains;
        let kind = LimitKind::Duplicates;
        budget::spend(history, wanted.profile, kind, names, attempt.ended);
        self.keep(&attempt)
    }

    /// Notes what a run that died had stored and could not note any more: the order of its journal has
    /// given the current version. The certificate is locked. False if it cannot be noted now either.
    pub(super) fn make_good(&self, died: &Run, current: &StoredVersion) -> bool {
        let attempt = ClosedAttempt {
            run: died.id.clone(),
            certificate: died.certificate.clone(),
            ca: died.terms.ca.clone(),
            stands_in: None,
            started: died.began,
            ended: self.now(),
            // Nobody knows any more.
            requests: 0,
            result: ClosedResult::Issued {
                version: current.version,
            },
        };
        let history = self.ports.history.as_ref();
        match history.is_issued(&died.id, &died.certificate, current.version) {
            Ok(false) => {}
            Ok(true) => return true,
            Err(error) => {
                tracing::warn!(certificate = %died.certificate, cause = %error,
                    "whether the last issue was noted cannot be told");
                return false;
            }
        }
        if let Some(profile) = self.settings.cas.get(&died.terms.ca) {
            let kind = LimitKind::Duplicates;
            budget::spend(history, profile, kind, &died.terms.names, attempt.ended);
        }
        if !self.keep(&attempt) {
            return false;
        }
        tracing::info!(certificate = %died.certificate, ca = %attempt.ca, version = current.version,
            "renewed by a run that was cut off");
        let last = LastAttempt {
            replaces: false,
            at: attempt.ended,
            ca: Some(attempt.ca),
            result: AttemptResult::Renewed,
        };
        let store = &self.ports.session.store;
        if let Err(error) = store.record_attempt(&died.certificate, &last) {
            tracing::warn!(certificate = %died.certificate, cause = %error,
                "the result could not be noted");
        }
        true
    }

    /// Writes an attempt down, if that is possible.
    pub(super) fn keep(&self, attempt: &ClosedAttempt) -> bool {
        let kept = self.ports.history.record(attempt);
        if let Err(error) = &kept {
            tracing::warn!(certificate = %attempt.certificate, cause = %error,
                "the attempt could not be noted");
        }
        kept.is_ok()
    }
}
