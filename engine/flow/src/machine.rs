//! The renewal of one certificate as a pure function: what has happened goes in, what to do next
//! comes out.
//!
//! The one thing a newcomer gets wrong: there is no separate path for a resumed run or for a lost
//! answer. Whenever the state at the CA is in doubt the machine asks for the order again and goes
//! on from what the CA says.
//!
//! Read [`effect`] and [`event`] first: they are the whole vocabulary. `setback` decides what
//! becomes of an effect that failed.

pub mod effect;
pub mod event;

mod setback;
mod wait;

use std::time::Duration;

use waxwing_acme::authorization::{Authorization, AuthorizationStatus};
use waxwing_acme::challenge::{ChallengeKind, ChallengeStatus};
use waxwing_acme::order::{Order, OrderStatus};
use waxwing_core::ca::ChallengeRetry;
use waxwing_core::name::{Identifier, PluginName};
use waxwing_core::time::Timestamp;

use crate::certificate::CertificateFacts;
use crate::failure::Failure;
use crate::machine::effect::{DnsChallenge, Effect, Ending, Issued, Wait};
use crate::machine::event::Event;
use crate::obligation::Obligation;
use crate::plugin::{PluginFailure, PropagationHint};
use crate::run::{Run, Stage};

/// How many times a run goes back to the order after something went wrong on the way.
const MOST_RECOVERIES: u32 = 4;

/// After so many looks at a pending order the authorizations are read too: there are CAs that
/// leave an order pending although one of its names was refused.
const LOOKS_BEFORE_DOUBT: u32 = 8;

/// A certificate that is there and cannot be fetched is waited for so long, from the order on. Until
/// then another order would give a second certificate. It is waited for longer where no other may be ordered.
const FETCHING: Duration = Duration::from_secs(24 * 60 * 60);

/// An order that was finalized and is denied is looked for so long: it may be a part of the CA that does
/// not know yet what another part has done, and another order would give a second certificate. A CA that
/// denies it for longer has lost it.
const DENIED: Duration = Duration::from_secs(15 * 60);

/// Looks at an order in one process, if the deadline never comes because the clock goes backwards.
const MOST_LOOKS: u32 = 2_000;

/// How long a run waits for a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the start, from the resumption or from the moment the records were seen, to the
    /// certificate: the time that is the CA's.
    pub order: Duration,
    /// A longer Retry-After parks the order.
    pub retry_after_cap: Duration,
    /// What an error at a challenge means that the CA still shows as open.
    pub challenge_retry: ChallengeRetry,
    /// Whether another order could be placed for one that is given up. Where limits forbid it, the order is
    /// all there is.
    pub another_order: bool,
}

/// A run and what it knows only while the process lives.
#[derive(Debug, Clone)]
pub struct Machine {
    run: Run,
    patience: Patience,
    /// Since when the CA has had time.
    since: Timestamp,
    /// What was asked for last.
    doing: Doing,
    /// The order as last seen.
    order: Option<Order>,
    /// True if this process has placed the order.
    placed: bool,
    /// Challenges whose records are needed.
    challenges: Vec<DnsChallenge>,
    /// The records for them: who places each, and its key.
    records: Vec<(PluginName, String)>,
    /// Looks at the order since something was last asked of the CA.
    polls: u32,
    /// Looks at the order in all.
    looks: u32,
    /// Returns to the order because something went wrong on the way.
    recoveries: u32,
    /// True if the CA fails one request after the other, whichever certificate it is for.
    hopeless: bool,
    /// True if the CA has said that it makes the certificate.
    taken: bool,
    /// True if it denies an order that was finalized.
    lost: bool,
    /// What was in the way of the order without its predecessor, if it is named after all.
    limit: Option<Box<Failure>>,
    /// Authorizations of the order that were last seen to be pending.
    open: Vec<String>,
    /// What clean-up has left, between clean-up and the end.
    owed: Vec<PluginFailure>,
    /// The certificate between download and store.
    issued: Option<CertificateFacts>,
    /// How the run ends once the obligations are settled, and whether the order is kept.
    ending: Option<(Result<Issued, Failure>, bool)>,
    notes: Vec<String>,
}

/// What was asked for last, as far as a failure of it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    PlaceOrder,
    ReadOrder,
    ReadAuthorizations,
    Answer,
    Finalize,
    Download,
    /// Settling what an abandoned order left behind, before a new one is placed.
    Clearing,
    Settling,
    /// Giving up what is open of an order that is of no use any more.
    Abandoning,
    Other,
}

impl Machine {
    /// A machine for a new run, or for one from the journal.
    pub const fn new(run: Run, patience: Patience, now: Timestamp) -> Self {
        Self {
            run,
            patience,
            since: now,
            doing: Doing::Other,
            order: None,
            placed: false,
            challenges: Vec::new(),
            records: Vec::new(),
            polls: 0,
            looks: 0,
            recoveries: 0,
            hopeless: false,
            taken: false,
            lost: false,
            limit: None,
            open: Vec::new(),
            owed: Vec::new(),
            issued: None,
            ending: None,
            notes: Vec::new(),
        }
    }

    /// The part that belongs into the journal.
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// The same, with whether the CA fails one request after the other: then an order that may be lost is not
    /// placed again.
    #[must_use]
    pub(crate) const fn at_a_ca_that_fails(mut self, hopeless: bool) -> Self {
        self.hopeless = hopeless;
        self
    }

    /// Takes what has happened and says what to do next.
    #[must_use]
    pub fn step(mut self, event: Event, now: Timestamp) -> (Self, Effect) {
        let effect = match event {
            Event::Begin => self.begin(now),
            Event::OrderPlaced { url, order } => {
                self.run.order_url = Some(url);
                self.run.stage = Stage::Ordered;
                self.placed = true;
                self.follow(order, None, now)
            }
            Event::OrderSeen { order, retry_after } => self.follow(order, retry_after, now),
            Event::AuthorizationsSeen(authorizations) => self.prove(authorizations, now),
            Event::Located(obligations) => self.owe(obligations),
            Event::Presented {
                obligations,
                failed,
                hint,
            } => self.presented(obligations, failed, hint),
            Event::Visible => self.answer(now),
            Event::Answered {
                failures,
                retry_after,
            } => self.answered(failures, retry_after, now),
            Event::KeyReady => match &self.order {
                Some(order) => {
                    self.run.finalized = self.run.finalized.or(Some(now));
                    Effect::Finalize {
                        url: order.finalize.clone(),
                    }
                }
                None => self.look_again(Failure::Stopped, now),
            },
            Event::Downloaded { pem, facts, note } => {
                self.notes.extend(note);
                self.issued = Some(facts.clone());
                Effect::Save {
                    pem: Box::new(pem),
                    facts: Box::new(facts),
                }
            }
            Event::Saved(version) => match self.issued.take() {
                Some(facts) => self.settle(Ok(Issued { version, facts }), false),
                None => self.look_again(Failure::Stopped, now),
            },
            Event::CleanedUp { left, failed } => self.cleaned_up(left, failed, now),
            Event::Abandoned => self.end(),
            Event::Failed(failure) => self.failed(failure, now),
            Event::Stopped => self.stopped(),
        };
        self.doing = match &effect {
            Effect::PlaceOrder { .. } => Doing::PlaceOrder,
            Effect::ReadOrder { .. } => Doing::ReadOrder,
            Effect::ReadAuthorizations { .. } => Doing::ReadAuthorizations,
            Effect::Answer(_) => Doing::Answer,
            Effect::Finalize { .. } => Doing::Finalize,
            Effect::Download { .. } => Doing::Download,
            Effect::CleanUp(_) if self.ending.is_none() => Doing::Clearing,
            Effect::CleanUp(_) => Doing::Settling,
            Effect::Abandon { .. } => Doing::Abandoning,
            _ => Doing::Other,
        };
        (self, effect)
    }

    fn begin(&mut self, now: Timestamp) -> Effect {
        if let Some(url) = &self.run.order_url {
            // Whether the challenges were answered is for the authorizations to say.
            self.run.stage = Stage::Ordered;
            return Effect::ReadOrder {
                url: url.clone(),
                after: Wait::None,
            };
        }
        self.run.stage = Stage::Planned;
        self.run.finalized = None;
        self.order = None;
        self.open.clear();
        if self.owes() {
            Effect::CleanUp(self.run.obligations.clone())
        } else {
            self.run.obligations.clear();
            self.run.began = now;
            Effect::PlaceOrder { after: Wait::None }
        }
    }

    /// Goes on from what the CA says about the order.
    fn follow(&mut self, order: Order, retry_after: Option<Duration>, now: Timestamp) -> Effect {
        let status = order.status;
        let finalized = self.doing == Doing::Finalize;
        self.order = Some(order.clone());
        if !matches!(status, OrderStatus::Pending | OrderStatus::Invalid) {
            self.open.clear();
        }
        match status {
            OrderStatus::Pending if self.run.stage < Stage::Validating => {
                Effect::ReadAuthorizations {
                    urls: order.authorizations,
                    after: Wait::None,
                }
            }
            OrderStatus::Pending => self.poll(status, retry_after, now),
            OrderStatus::Processing => {
                self.taken |= finalized;
                self.run.stage = Stage::Finalizing;
                self.poll(status, retry_after, now)
            }
            // The CA took the request and shows the order unchanged. One look later this is over,
            // or the request is made again.
            OrderStatus::Ready if finalized => {
                let failure = Failure::OrderDeadline {
                    ca: self.run.terms.ca.clone(),
                    status: name_of(status).to_owned(),
                    waited: self.waited(now),
                };
                self.look_again(failure, now)
            }
            OrderStatus::Ready => self.finalize(retry_after, now),
            OrderStatus::Valid => match order.certificate {
                Some(url) => {
                    self.run.stage = Stage::Storing;
                    Effect::Download { url }
                }
                // RFC 8555 section 7.1.3 has the URL come with the status. Giving such an order up
                // would make a second certificate.
                None => {
                    self.run.stage = Stage::Finalizing;
                    self.poll(status, retry_after, now)
                }
            },
            // The reason is in the authorizations more often than in the order.
            OrderStatus::Invalid => Effect::ReadAuthorizations {
                urls: order.authorizations,
                after: Wait::None,
            },
        }
    }

    fn read_order(&self, after: Wait) -> Effect {
        match &self.run.order_url {
            Some(url) => Effect::ReadOrder {
                url: url.clone(),
                after,
            },
            None => Effect::PlaceOrder { after },
        }
    }

    /// Collects the challenges whose records are needed.
    fn prove(&mut self, authorizations: Vec<(String, Authorization)>, now: Timestamp) -> Effect {
        let ca = self.run.terms.ca.clone();
        let order = self.order.as_ref();
        let over = order.is_some_and(|order| order.status == OrderStatus::Invalid);
        let overall = order.and_then(|order| order.error.clone());
        let mut refused = Vec::new();
        let mut challenges = Vec::new();
        let failed =
            |(_, one): &(String, Authorization)| one.status == AuthorizationStatus::Invalid;
        let failed = authorizations.iter().any(failed);
        let pending = |(_, authorization): &&(String, Authorization)| {
            authorization.status == AuthorizationStatus::Pending
        };
        let pending = authorizations.iter().filter(pending);
        // Every name is waited for, so the one that asks for most decides (RFC 8555 section 7.5.1).
        let asked = pending
            .clone()
            .filter_map(|(_, one)| one.retry_after.map(|at| at.wait(now)))
            .max();
        self.open = pending.map(|(url, _)| url.clone()).collect();
        for (url, authorization) in authorizations {
            let identifier = authorization.covers();
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending if over => {}
                AuthorizationStatus::Pending if self.gave_up(&authorization) => {
                    refused.push((identifier, authorization.error().cloned()));
                }
                AuthorizationStatus::Pending => {
                    match dns_challenge(url, identifier, &authorization) {
                        Ok(challenge) => challenges.push(challenge),
                        Err((identifier, offered)) => {
                            return self.fail(Failure::NoDnsChallenge {
                                ca,
                                identifier,
                                offered,
                            });
                        }
                    }
                }
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Revoked => {
                    let problem = authorization.error().cloned();
                    refused.push((identifier, problem.or_else(|| overall.clone())));
                }
            }
        }
        // An order from the journal that ended by itself, as one that nobody came back for in time: no
        // name was refused, so it is placed anew.
        if over && overall.is_none() && !failed && !self.placed {
            self.run.order_url = None;
            return self.begin(now);
        }
        if over && refused.is_empty() {
            let names = self.run.terms.names.iter();
            refused = names.map(|name| (name.clone(), overall.clone())).collect();
        }
        if !refused.is_empty() {
            if self.placed && self.run.stage < Stage::Presenting {
                self.notes.push(format!(
                    "{ca} has given out the refusal of an earlier order again: no record was looked at for this one"
                ));
            }
            return self.fail(Failure::Validation { ca, refused });
        }
        let answering = self.run.stage == Stage::Validating;
        self.challenges = challenges;
        if self.challenges.is_empty() || (answering && self.unanswered().is_empty()) {
            self.run.stage = Stage::Validating;
            return self.poll(OrderStatus::Pending, asked, now);
        }
        if answering {
            // An answer to a challenge was lost; the records are still in place.
            return Effect::Answer(self.unanswered());
        }
        // A challenge that an earlier run has answered needs its record too: that run took it away.
        Effect::Locate(self.challenges.clone())
    }

    /// True if a challenge that was answered has an error, and the CA does not look again.
    fn gave_up(&self, authorization: &Authorization) -> bool {
        let challenge = authorization.challenge(&ChallengeKind::Dns01);
        self.patience.challenge_retry == ChallengeRetry::Never
            && challenge.is_some_and(|challenge| {
                challenge.status != ChallengeStatus::Pending && challenge.error.is_some()
            })
    }

    fn unanswered(&self) -> Vec<DnsChallenge> {
        let open = self.challenges.iter().filter(|c| !c.answered);
        open.cloned().collect()
    }

    fn owe(&mut self, obligations: Vec<Obligation>) -> Effect {
        self.records.clear();
        for new in obligations {
            self.records
                .push((new.plugin.clone(), new.record.key.clone()));
            let mut known = self.run.obligations.iter_mut();
            match known.find(|known| known.is_same(&new)) {
                Some(known) => known.again(),
                None => self.run.obligations.push(new),
            }
        }
        self.run.stage = Stage::Presenting;
        self.run.attempts = self.run.attempts.saturating_add(1);
        Effect::Present(self.needed())
    }

    /// The obligations of the challenges at hand, without those of an earlier order.
    fn needed(&self) -> Vec<Obligation> {
        let wanted = |o: &&Obligation| {
            let mut records = self.records.iter();
            records.any(|(plugin, key)| o.plugin == *plugin && o.record.key == *key)
        };
        let all = self.run.obligations.iter();
        all.filter(wanted).cloned().collect()
    }

    fn presented(
        &mut self,
        obligations: Vec<Obligation>,
        failed: Vec<PluginFailure>,
        hint: PropagationHint,
    ) -> Effect {
        for answered in obligations {
            let mut known = self.run.obligations.iter_mut();
            match known.find(|known| known.is_same(&answered)) {
                Some(known) => known.state = answered.state,
                // A double of a record that an earlier try has placed.
                None => self.run.obligations.push(answered),
            }
        }
        if !failed.is_empty() {
            return self.fail(Failure::Plugins(failed));
        }
        self.run.stage = Stage::Propagating;
        Effect::Watch {
            obligations: self.needed(),
            hint,
        }
    }

    fn answer(&mut self, now: Timestamp) -> Effect {
        self.run.stage = Stage::Validating;
        self.polls = 0;
        // The time until now was the name servers', not the CA's.
        self.since = now;
        let open = self.unanswered();
        if open.is_empty() {
            return self.read_order(Wait::Poll { nth: 0 });
        }
        Effect::Answer(open)
    }

    fn settle(&mut self, result: Result<Issued, Failure>, keep_order: bool) -> Effect {
        self.run.stage = Stage::Settling;
        self.ending = Some((result, keep_order));
        if self.owes() {
            Effect::CleanUp(self.run.obligations.clone())
        } else {
            self.run.obligations.clear();
            self.leave(Vec::new())
        }
    }

    /// What is open of an order that nobody will go on with is given up at the CA, where it would
    /// count and, at some, be tried again and again (RFC 8555 section 7.5.2).
    fn leave(&mut self, owed: Vec<PluginFailure>) -> Effect {
        self.owed = owed;
        let failed = matches!(self.ending, Some((Err(_), _)));
        if failed && self.run.order_url.is_none() && !self.open.is_empty() {
            return Effect::Abandon {
                authorizations: std::mem::take(&mut self.open),
            };
        }
        self.end()
    }

    /// True if it has come to its end with a certificate.
    pub(crate) const fn has_issued(&self) -> bool {
        matches!(self.ending, Some((Ok(_), _)))
    }

    /// True if a record may be there that has to go away again.
    fn owes(&self) -> bool {
        self.run.obligations.iter().any(|o| o.removal().is_some())
    }

    fn cleaned_up(
        &mut self,
        left: Vec<Obligation>,
        failed: Vec<PluginFailure>,
        now: Timestamp,
    ) -> Effect {
        self.run.obligations = left;
        if self.ending.is_some() {
            return self.leave(failed);
        }
        let late = failed
            .iter()
            .map(|failure| format!("left from an earlier run: {failure}"));
        self.notes.extend(late);
        self.run.began = now;
        Effect::PlaceOrder { after: Wait::None }
    }

    fn end(&mut self) -> Effect {
        self.run.stage = Stage::Done;
        let owed = std::mem::take(&mut self.owed);
        let (result, keep_order) = self.ending.take().unwrap_or((Err(Failure::Stopped), true));
        Effect::End(Box::new(Ending {
            result,
            owed,
            keep_journal: keep_order || !self.run.obligations.is_empty(),
            notes: std::mem::take(&mut self.notes),
            lost: self.lost,
        }))
    }
}

/// The challenge to answer for an authorization; else its name and the kinds it offers instead.
fn dns_challenge(
    authorization_url: String,
    identifier: Identifier,
    authorization: &Authorization,
) -> Result<DnsChallenge, (Identifier, Vec<String>)> {
    let found = authorization
        .challenge(&ChallengeKind::Dns01)
        .and_then(|found| Some((found, found.token.clone()?)));
    match found {
        Some((challenge, token)) => Ok(DnsChallenge {
            identifier,
            authorization: authorization_url,
            url: challenge.url.clone(),
            token,
            answered: challenge.status != ChallengeStatus::Pending,
        }),
        None => {
            let kinds = authorization.challenges.iter();
            let offered = kinds.map(|c| c.kind.as_str().to_owned()).collect();
            Err((identifier, offered))
        }
    }
}

/// The status as the RFC writes it.
const fn name_of(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::Ready => "ready",
        OrderStatus::Processing => "processing",
        OrderStatus::Valid => "valid",
        OrderStatus::Invalid => "invalid",
    }
}

#[cfg(test)]
mod tests;
