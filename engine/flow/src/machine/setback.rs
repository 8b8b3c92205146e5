//! What becomes of an effect that failed: done once more, done differently, looked at again, or the
//! end of the run.
//!
//! An order is given up only when the CA or the certificate says that it is of no use. Trouble on
//! our side, a plugin that crashes for one, leaves the order for the next run. So does an answer to a
//! mere look at an order that was placed a moment ago: what was there then is there still.

use std::time::Duration;

use waxwing_acme::problem::ProblemKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::time::Timestamp;

use crate::failure::{CaError, Failure};
use crate::machine::effect::{Effect, Wait};
use crate::machine::{DENIED, Doing, FETCHING, MOST_RECOVERIES, Machine};
use crate::plugin::{PluginFailure, PluginFailureKind};

impl Machine {
    pub(super) fn failed(&mut self, failure: Failure, now: Timestamp) -> Effect {
        let refusal = Refusal::of(&failure);
        if self.doing == Doing::Finalize && refusal.is_definite() {
            self.run.finalized = None;
        }
        match self.doing {
            Doing::Abandoning => self.end(),
            Doing::Clearing | Doing::Settling => {
                self.notes.push(failure.to_string());
                let left = std::mem::take(&mut self.run.obligations);
                self.cleaned_up(left, Vec::new(), now)
            }
            // So many requests were refused already that no other one is worth a try.
            _ if refusal.is_for_want_of_a_nonce() => self.fail_with_the_order(failure),
            Doing::PlaceOrder if self.limit.is_some() => {
                self.notes.push(failure.lines().join(": "));
                match self.limit.take() {
                    Some(limit) => self.fail(*limit),
                    None => self.fail(failure),
                }
            }
            Doing::PlaceOrder
                if refusal.is_for(&ProblemKind::InvalidProfile) && self.prefers_profile() =>
            {
                self.drop_profile();
                Effect::PlaceOrder { after: Wait::None }
            }
            Doing::PlaceOrder if refusal.is_definite() && self.run.terms.replaces.is_some() => {
                let after = match refusal.retry_after(now) {
                    Some(asked) if asked > self.patience.retry_after_cap => {
                        return self.fail(failure);
                    }
                    Some(asked) => Wait::Asked(asked),
                    None => Wait::None,
                };
                // It has said no to it, so it is not named again.
                self.run.terms.replaces = None;
                let cause = failure.lines().join(": ");
                self.notes
                    .push(format!("ordered again without `replaces`: {cause}"));
                Effect::PlaceOrder { after }
            }
            // An order that names its predecessor is another request: it may be exempt from that limit. If it
            // fails, the limit is what is left.
            Doing::PlaceOrder
                if refusal.is_for(&ProblemKind::RateLimited)
                    && self.limit.is_none()
                    && self.run.terms.left_out.is_some() =>
            {
                self.run.terms.replaces = self.run.terms.left_out.take();
                let cause = failure.lines().join(": ");
                self.notes
                    .push(format!("ordered again with `replaces`: {cause}"));
                self.limit = Some(Box::new(failure));
                Effect::PlaceOrder { after: Wait::None }
            }
            Doing::PlaceOrder
                if self.recoveries == 0 && !self.hopeless && refusal.outcome_is_unknown() =>
            {
                match self.pause(&failure, now) {
                    Some(after) => {
                        // Without its URL the lost order cannot be found again. And there are CAs that
                        // stumble over a predecessor each time they are told of it.
                        let stumbled = refusal.status() == Some(500);
                        let how = if stumbled && self.run.terms.replaces.is_some() {
                            self.run.terms.left_out = self.run.terms.replaces.take();
                            ", without `replaces`"
                        } else {
                            ""
                        };
                        self.recoveries += 1;
                        let cause = failure.lines().join(": ");
                        self.notes
                            .push(format!("ordered a second time{how}: {cause}"));
                        Effect::PlaceOrder { after }
                    }
                    None => self.fail(failure),
                }
            }
            // An order that the CA may have made a certificate of, and does not admit to.
            Doing::ReadOrder if refusal.says_gone() && self.may_be_denied(&refusal, now) => {
                self.fail_with_the_order(failure)
            }
            // An order from the journal that the CA does not have any more.
            Doing::ReadOrder if self.order.is_none() && refusal.says_gone() => {
                if self.run.finalized.is_some() {
                    self.lost = true;
                    self.notes.push(format!(
                        "the order that was finalized is denied; {} may have issued a certificate for it",
                        self.run.terms.ca
                    ));
                }
                self.run.order_url = None;
                self.begin(now)
            }
            Doing::Finalize
                if refusal.is_for(&ProblemKind::InvalidProfile) && self.prefers_profile() =>
            {
                self.drop_profile();
                self.run.order_url = None;
                self.begin(now)
            }
            Doing::Finalize
                if refusal.is_for(&ProblemKind::OrderNotReady) || refusal.outcome_is_unknown() =>
            {
                self.look_again(failure, now)
            }
            Doing::Download
                if refusal.is_from_the_ca() || matches!(failure, Failure::Unreadable { .. }) =>
            {
                self.not_fetched(failure, now)
            }
            Doing::ReadOrder if refusal.passes() => self.look_again(failure, now),
            Doing::ReadOrder | Doing::ReadAuthorizations
                if refusal.is_from_the_ca() && self.placed =>
            {
                self.fail_with_the_order(failure)
            }
            _ => self.fail(failure),
        }
    }

    /// Some challenges may have been taken up although the answer is missing.
    pub(super) fn answered(
        &mut self,
        mut failures: Vec<Failure>,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> Effect {
        // The one that asks for the longest wait speaks for all.
        let weight = |failure: &Failure| {
            let refusal = Refusal::of(failure);
            (refusal.is_for_want_of_a_nonce(), refusal.retry_after(now))
        };
        failures.sort_by_key(weight);
        let Some(failure) = failures.pop() else {
            return match asked {
                Some(retry_after) if retry_after > self.patience.retry_after_cap => {
                    let ca = self.run.terms.ca.clone();
                    self.fail(Failure::Parked { ca, retry_after })
                }
                Some(retry_after) => self.read_order(Wait::Asked(retry_after)),
                None => self.read_order(Wait::Poll { nth: 0 }),
            };
        };
        let authorizations = self
            .order
            .as_ref()
            .map(|order| order.authorizations.clone());
        let refusal = Refusal::of(&failure);
        let hopeless = refusal.is_for_want_of_a_nonce() || refusal.is_of_a_limit(now);
        match (authorizations, self.pause(&failure, now)) {
            (Some(urls), Some(after)) if self.recoveries < MOST_RECOVERIES && !hopeless => {
                self.recoveries += 1;
                Effect::ReadAuthorizations { urls, after }
            }
            _ => {
                for other in failures {
                    self.notes.push(other.lines().join(": "));
                }
                if hopeless {
                    self.fail_with_the_order(failure)
                } else {
                    self.look_again(failure, now)
                }
            }
        }
    }

    /// True if the order was finalized so lately that a denial of it is not believed. One that is not in the words
    /// of ACME may come from whatever stands between us and the CA, and is believed as late as a certificate is given
    /// up that cannot be fetched; where no other may be ordered, it is not believed at all.
    fn may_be_denied(&self, refusal: &Refusal<'_>, now: Timestamp) -> bool {
        let in_its_words = refusal.kind().is_some();
        let long = if in_its_words { DENIED } else { FETCHING };
        let all_there_is = !in_its_words && !self.patience.another_order;
        let finalized = self.run.finalized;
        finalized.is_some_and(|at| at <= now && (all_there_is || now.since(at) < long))
    }

    /// The certificate is there and was not to be had. The order says whether that is still so.
    fn not_fetched(&mut self, failure: Failure, now: Timestamp) -> Effect {
        if self.recoveries < MOST_RECOVERIES {
            return self.look_again(failure, now);
        }
        if now.since(self.run.began) >= FETCHING && self.patience.another_order {
            self.run.order_url = None;
            // Another one is ordered, and this one was made.
            self.lost = true;
        }
        self.fail_with_the_order(failure)
    }

    /// Asks for the order because its state is unknown.
    pub(super) fn look_again(&mut self, failure: Failure, now: Timestamp) -> Effect {
        // A limit that the CA speaks of is not over in seconds.
        if self.recoveries >= MOST_RECOVERIES || Refusal::of(&failure).is_of_a_limit(now) {
            return self.fail(failure);
        }
        match self.pause(&failure, now) {
            Some(after) => {
                self.recoveries += 1;
                self.read_order(after)
            }
            None => self.fail(failure),
        }
    }

    /// The wait before the next request after a failure: none on the first, unless the CA asks for
    /// one. No answer if it asks for more than a run waits.
    fn pause(&self, failure: &Failure, now: Timestamp) -> Option<Wait> {
        match Refusal::of(failure).retry_after(now) {
            Some(asked) if asked > self.patience.retry_after_cap => None,
            Some(asked) => Some(Wait::Asked(asked)),
            None if self.recoveries == 0 => Some(Wait::None),
            None => Some(Wait::Poll {
                nth: self.recoveries,
            }),
        }
    }

    /// True if there is an ACME profile and the run may do without.
    const fn prefers_profile(&self) -> bool {
        matches!(self.run.terms.profile, Some((_, false)))
    }

    fn drop_profile(&mut self) {
        if let Some((name, _)) = self.run.terms.profile.take() {
            self.notes.push(format!(
                "ordered without the profile {name}, which the CA refused"
            ));
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) -> Effect {
        let order_is_lost = match &failure {
            Failure::Validation { .. } | Failure::Mismatch { .. } => true,
            Failure::Ca { error, .. } => {
                matches!(error.class(), FailureClass::Rejected | FailureClass::Bug)
            }
            _ => false,
        };
        if order_is_lost {
            self.run.order_url = None;
        }
        self.fail_with_the_order(failure)
    }

    /// The end of the run, but not of the order, if there is one.
    fn fail_with_the_order(&mut self, failure: Failure) -> Effect {
        let keep = self.run.order_url.is_some();
        self.settle(Err(failure), keep)
    }

    pub(super) fn stopped(&mut self) -> Effect {
        match self.doing {
            Doing::Settling => {}
            Doing::Abandoning => return self.end(),
            _ => return self.fail(Failure::Stopped),
        }
        let owed = self.run.obligations.iter();
        let owed = owed
            .filter(|o| o.removal().is_some())
            .map(|o| PluginFailure {
                plugin: o.plugin.clone(),
                call: "cleanup".to_owned(),
                kind: PluginFailureKind::Cancelled,
                code: "plugin.stopped".to_owned(),
                message: format!("the run was stopped before {} was removed", o.record.fqdn),
                hint: Some("the next run removes it".to_owned()),
                http_status: None,
                details: Vec::new(),
                retry_after: None,
                account_wide: false,
                untouched: false,
                causes: Vec::new(),
            })
            .collect();
        self.owed = owed;
        self.end()
    }
}

/// A failure as the CA's answer to a request, as far as it is one.
struct Refusal<'a>(Option<&'a CaError>);

impl<'a> Refusal<'a> {
    fn of(failure: &'a Failure) -> Self {
        match failure {
            Failure::Ca { error, .. } => Self(Some(error)),
            _ => Self(None),
        }
    }

    fn status(&self) -> Option<u16> {
        match self.0 {
            Some(CaError::Answer(answer)) => answer.status,
            _ => None,
        }
    }

    fn kind(&self) -> Option<&ProblemKind> {
        match self.0 {
            Some(CaError::Answer(answer)) => answer.problem.as_ref().map(|problem| &problem.kind),
            _ => None,
        }
    }

    const fn is_from_the_ca(&self) -> bool {
        self.0.is_some()
    }

    fn is_for_want_of_a_nonce(&self) -> bool {
        self.0.is_some_and(CaError::is_for_want_of_a_nonce)
    }

    /// True if the CA speaks of a limit and not of when to come again.
    fn is_of_a_limit(&self, now: Timestamp) -> bool {
        let a_page = self.status() == Some(429) && self.kind().is_none();
        (a_page || self.is_for(&ProblemKind::RateLimited)) && self.retry_after(now).is_none()
    }

    fn is_for(&self, kind: &ProblemKind) -> bool {
        self.kind() == Some(kind)
    }

    /// True if the CA has said no to what was asked, not to when or how often it was asked.
    fn is_definite(&self) -> bool {
        let about_the_moment = matches!(
            self.kind(),
            Some(ProblemKind::RateLimited | ProblemKind::BadNonce)
        );
        self.status()
            .is_some_and(|s| (400..500).contains(&s) && s != 429)
            && !about_the_moment
    }

    /// True if what was asked for is not there any more, or not ours. A page of some firewall in
    /// between says nothing about that.
    fn says_gone(&self) -> bool {
        match (self.status(), self.kind()) {
            (Some(404 | 410), _) => !self.is_a_page(),
            (_, Some(ProblemKind::Malformed | ProblemKind::Unauthorized)) => self.is_definite(),
            _ => false,
        }
    }

    fn is_a_page(&self) -> bool {
        matches!(self.0, Some(CaError::Answer(answer)) if answer.page)
    }

    fn outcome_is_unknown(&self) -> bool {
        self.0.is_some_and(CaError::outcome_is_unknown)
    }

    fn passes(&self) -> bool {
        let class = self.0.map(CaError::class);
        matches!(
            class,
            Some(FailureClass::Transient | FailureClass::RateLimited)
        )
    }

    fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        self.0.and_then(|error| error.retry_after(now))
    }
}
