//! The renewal of one certificate as a pure function: what has happened goes in, what to do next
//! comes out.
//!
//! The one thing a newcomer gets wrong: there is no separate path for a resumed run or for a lost
//! answer. Whenever the state at the CA is in doubt the machine asks for the order again and goes
//! on from what the CA says.

use std::time::Duration;

use waxwing_acme::authorization::{Authorization, AuthorizationStatus};
use waxwing_acme::challenge::{ChallengeKind, ChallengeStatus};
use waxwing_acme::order::{Order, OrderStatus};
use waxwing_acme::problem::ProblemKind;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::Identifier;
use waxwing_core::time::Timestamp;

use crate::certificate::{CertificateFacts, ChainPem};
use crate::failure::{CaError, Failure};
use crate::obligation::{Obligation, ObligationState};
use crate::plugin::{PluginFailure, PropagationHint};
use crate::run::{Run, Stage};

/// How many times a run looks at the order again after something went wrong on the way.
const MOST_RECOVERIES: u32 = 4;

/// How long a run waits for a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the start, or the resumption, to the certificate.
    pub order: Duration,
    /// A longer Retry-After parks the order.
    pub retry_after_cap: Duration,
}

/// A run and what it knows only while the process lives.
#[derive(Debug, Clone)]
pub struct Machine {
    run: Run,
    patience: Patience,
    /// When this process took the run up.
    since: Timestamp,
    /// What was asked for last.
    doing: Doing,
    /// The order as last seen.
    order: Option<Order>,
    /// Challenges that have to be answered.
    challenges: Vec<DnsChallenge>,
    /// Looks at the order since something was last asked of the CA.
    polls: u32,
    /// Looks at the order because something went wrong on the way.
    recoveries: u32,
    /// The certificate between download and store.
    issued: Option<CertificateFacts>,
    /// How the run ends once the obligations are settled.
    ending: Option<(Result<Issued, Failure>, bool)>,
    notes: Vec<String>,
}

/// What was asked for last, as far as a failure of it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    PlaceOrder,
    ReadOrder,
    Finalize,
    /// Settling what an abandoned order left behind, before a new one is placed.
    Clearing,
    Settling,
    Other,
}

/// A challenge the CA offers for a name that is not yet proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsChallenge {
    /// The name, with its wildcard if it has one.
    pub identifier: Identifier,
    /// URL of the authorization.
    pub authorization: String,
    /// URL of the dns-01 challenge.
    pub url: String,
    /// Its token.
    pub token: String,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The run starts, fresh or from the journal.
    Begin,
    /// The run starts from the journal, and its certificate is in the store already.
    Stored(Issued),
    /// newOrder was answered.
    OrderPlaced {
        /// The order's URL.
        url: String,
        /// The order.
        order: Order,
    },
    /// The order was read, or came with the answer to finalize.
    OrderSeen {
        /// The order.
        order: Order,
        /// What the CA asks to wait before the next look.
        retry_after: Option<Duration>,
    },
    /// The authorizations were read, with their URLs.
    AuthorizationsSeen(Vec<(String, Authorization)>),
    /// Where the records go, and who places them.
    Located(Vec<Obligation>),
    /// The plugins have answered.
    Presented {
        /// The obligations with their receipts.
        obligations: Vec<Obligation>,
        /// What failed.
        failed: Vec<PluginFailure>,
        /// What the plugins say about propagation.
        hint: PropagationHint,
    },
    /// Every server that counts shows every value.
    Visible,
    /// The challenges were answered; the failures of those that were not.
    Answered(Vec<Failure>),
    /// The key is on disk.
    KeyReady,
    /// The certificate was fetched and belongs to the key.
    Downloaded {
        /// The chain.
        pem: ChainPem,
        /// What it says.
        facts: CertificateFacts,
    },
    /// The certificate is stored; the version. None in a rehearsal.
    Saved(Option<u32>),
    /// Clean-up was tried.
    CleanedUp {
        /// What is still there.
        left: Vec<Obligation>,
        /// Why.
        failed: Vec<PluginFailure>,
    },
    /// The last effect failed.
    Failed(Failure),
    /// Somebody wants the run to stop.
    Stopped,
}

/// What to do next. The driver writes the run to the journal before it begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// POST newOrder.
    PlaceOrder,
    /// Look at the order after a wait; none: as soon as the profile allows.
    ReadOrder {
        /// Its URL.
        url: String,
        /// Wait so long first.
        after: Wait,
    },
    /// Read these authorizations.
    ReadAuthorizations {
        /// Their URLs.
        urls: Vec<String>,
    },
    /// Find out where the records go and who places them.
    Locate(Vec<DnsChallenge>),
    /// Place the records.
    Present(Vec<Obligation>),
    /// Wait until the records can be seen.
    Watch {
        /// The records.
        obligations: Vec<Obligation>,
        /// What the plugins say.
        hint: PropagationHint,
    },
    /// Tell the CA to look.
    Answer(Vec<DnsChallenge>),
    /// Have the certificate's key on disk.
    MakeKey,
    /// POST finalize.
    Finalize {
        /// Its URL.
        url: String,
    },
    /// Fetch the certificate and check it.
    Download {
        /// Its URL.
        url: String,
    },
    /// Store it; in a rehearsal, only note that it came.
    Save {
        /// The chain.
        pem: Box<ChainPem>,
        /// What it says.
        facts: Box<CertificateFacts>,
    },
    /// Remove these records.
    CleanUp(Vec<Obligation>),
    /// The run is over.
    End(Box<Ending>),
}

/// How long to wait before a look at the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: the state is unknown, not pending.
    None,
    /// As the CA's profile says for the nth look.
    Poll {
        /// 0 for the first look after something was asked of the CA.
        nth: u32,
    },
    /// As the CA has asked.
    Asked(Duration),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The stored version and what its chain says, or the failure.
    pub result: Result<Issued, Failure>,
    /// Records that are still there, and why.
    pub owed: Vec<PluginFailure>,
    /// The journal stays open: the order can be taken up again, or records are owed.
    pub keep_journal: bool,
    /// Warnings.
    pub notes: Vec<String>,
}

/// A new certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// Its number in the store; none in a rehearsal.
    pub version: Option<u32>,
    /// What its chain says.
    pub facts: CertificateFacts,
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
            challenges: Vec::new(),
            polls: 0,
            recoveries: 0,
            issued: None,
            ending: None,
            notes: Vec::new(),
        }
    }

    /// The part that belongs into the journal.
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// Takes what has happened and says what to do next.
    #[must_use]
    pub fn step(mut self, event: Event, now: Timestamp) -> (Self, Effect) {
        let effect = match event {
            Event::Begin => self.begin(now),
            Event::Stored(issued) => self.settle(Ok(issued), false),
            Event::OrderPlaced { url, order } => {
                self.run.order_url = Some(url);
                self.run.stage = Stage::Ordered;
                self.follow(order, None, now)
            }
            Event::OrderSeen { order, retry_after } => self.follow(order, retry_after, now),
            Event::AuthorizationsSeen(authorizations) => self.prove(authorizations),
            Event::Located(obligations) => self.owe(obligations),
            Event::Presented {
                obligations,
                failed,
                hint,
            } => self.presented(obligations, failed, hint),
            Event::Visible => self.answer(),
            Event::Answered(failures) => self.answered(failures),
            Event::KeyReady => match &self.order {
                Some(order) => Effect::Finalize {
                    url: order.finalize.clone(),
                },
                None => self.look_again(Failure::Stopped),
            },
            Event::Downloaded { pem, facts } => {
                self.issued = Some(facts.clone());
                Effect::Save {
                    pem: Box::new(pem),
                    facts: Box::new(facts),
                }
            }
            Event::Saved(version) => match self.issued.take() {
                Some(facts) => self.settle(Ok(Issued { version, facts }), false),
                None => self.look_again(Failure::Stopped),
            },
            Event::CleanedUp { left, failed } => self.cleaned_up(left, failed, now),
            Event::Failed(failure) => self.failed(failure, now),
            Event::Stopped => self.stopped(),
        };
        self.doing = match &effect {
            Effect::PlaceOrder => Doing::PlaceOrder,
            Effect::ReadOrder { .. } => Doing::ReadOrder,
            Effect::Finalize { .. } => Doing::Finalize,
            Effect::CleanUp(_) if self.ending.is_none() => Doing::Clearing,
            Effect::CleanUp(_) => Doing::Settling,
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
        self.run.began = now;
        if self.run.obligations.is_empty() {
            Effect::PlaceOrder
        } else {
            Effect::CleanUp(self.run.obligations.clone())
        }
    }

    /// Goes on from what the CA says about the order.
    fn follow(&mut self, order: Order, retry_after: Option<Duration>, now: Timestamp) -> Effect {
        let status = order.status;
        self.order = Some(order.clone());
        match status {
            OrderStatus::Pending if self.run.stage < Stage::Validating => {
                Effect::ReadAuthorizations {
                    urls: order.authorizations,
                }
            }
            OrderStatus::Pending => self.poll(status, retry_after, now),
            OrderStatus::Processing => {
                self.run.stage = Stage::Finalizing;
                self.poll(status, retry_after, now)
            }
            OrderStatus::Ready => {
                self.run.stage = Stage::Finalizing;
                self.polls = 0;
                Effect::MakeKey
            }
            OrderStatus::Valid => match order.certificate {
                Some(url) => {
                    self.run.stage = Stage::Storing;
                    Effect::Download { url }
                }
                None => {
                    let ca = self.run.terms.ca.clone();
                    let what = "the order is valid but names no certificate".to_owned();
                    self.fail(Failure::Mismatch { ca, what })
                }
            },
            // The reason is in the authorizations more often than in the order.
            OrderStatus::Invalid => Effect::ReadAuthorizations {
                urls: order.authorizations,
            },
        }
    }

    fn poll(&mut self, status: OrderStatus, asked: Option<Duration>, now: Timestamp) -> Effect {
        let ca = self.run.terms.ca.clone();
        let waited = now.since(self.since);
        if waited >= self.patience.order {
            return self.fail(Failure::OrderDeadline {
                ca,
                status: name_of(status).to_owned(),
                waited,
            });
        }
        let after = match asked {
            Some(retry_after) if retry_after > self.patience.retry_after_cap => {
                return self.fail(Failure::Parked { ca, retry_after });
            }
            Some(retry_after) => Wait::Asked(retry_after),
            None => Wait::Poll { nth: self.polls },
        };
        self.polls = self.polls.saturating_add(1);
        self.read_order(after)
    }

    fn read_order(&self, after: Wait) -> Effect {
        match &self.run.order_url {
            Some(url) => Effect::ReadOrder {
                url: url.clone(),
                after,
            },
            None => Effect::PlaceOrder,
        }
    }

    /// Collects the challenges that are still to be answered.
    fn prove(&mut self, authorizations: Vec<(String, Authorization)>) -> Effect {
        let ca = self.run.terms.ca.clone();
        let over = self
            .order
            .as_ref()
            .is_some_and(|order| order.status == OrderStatus::Invalid);
        let mut refused = Vec::new();
        let mut challenges = Vec::new();
        for (url, authorization) in authorizations {
            let identifier = authorization.covers();
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending if over => {}
                AuthorizationStatus::Pending => {
                    let challenge = authorization.challenge(&ChallengeKind::Dns01);
                    let Some((challenge, token)) =
                        challenge.and_then(|found| Some((found, found.token.clone()?)))
                    else {
                        let kinds = authorization
                            .challenges
                            .iter()
                            .map(|c| c.kind.as_str().to_owned());
                        let offered = kinds.collect();
                        return self.fail(Failure::NoDnsChallenge {
                            ca,
                            identifier,
                            offered,
                        });
                    };
                    // One that the CA is looking at already must not be answered again.
                    if challenge.status == ChallengeStatus::Pending {
                        let challenge = challenge.url.clone();
                        challenges.push(DnsChallenge {
                            identifier,
                            authorization: url,
                            url: challenge,
                            token,
                        });
                    }
                }
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Revoked => {
                    refused.push((identifier, authorization.error().cloned()));
                }
            }
        }
        if over && refused.is_empty() {
            let problem = self.order.as_ref().and_then(|order| order.error.clone());
            refused = self
                .run
                .terms
                .names
                .iter()
                .map(|name| (name.clone(), problem.clone()))
                .collect();
        }
        if !refused.is_empty() {
            return self.fail(Failure::Validation { ca, refused });
        }
        self.challenges = challenges;
        if self.challenges.is_empty() {
            self.run.stage = Stage::Validating;
            self.polls = 0;
            let nth = self.polls;
            return self.read_order(Wait::Poll { nth });
        }
        if self.run.stage == Stage::Validating {
            // An answer to a challenge was lost; the records are still in place.
            return Effect::Answer(self.challenges.clone());
        }
        Effect::Locate(self.challenges.clone())
    }

    fn owe(&mut self, obligations: Vec<Obligation>) -> Effect {
        for new in obligations {
            let known = self
                .run
                .obligations
                .iter_mut()
                .find(|o| o.record.key == new.record.key);
            match known {
                // An earlier try found it there and left it alone; that stays so.
                Some(known) if known.state == ObligationState::NotOurs => {}
                Some(known) => *known = new,
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
            self.challenges
                .iter()
                .any(|challenge| o.record.key == challenge.record_key())
        };
        self.run
            .obligations
            .iter()
            .filter(wanted)
            .cloned()
            .collect()
    }

    fn presented(
        &mut self,
        obligations: Vec<Obligation>,
        failed: Vec<PluginFailure>,
        hint: PropagationHint,
    ) -> Effect {
        for answered in obligations {
            let mut known = self.run.obligations.iter_mut();
            if let Some(known) = known.find(|o| o.record.key == answered.record.key) {
                known.state = answered.state;
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

    fn answer(&mut self) -> Effect {
        self.run.stage = Stage::Validating;
        self.polls = 0;
        Effect::Answer(self.challenges.clone())
    }

    fn answered(&mut self, failures: Vec<Failure>) -> Effect {
        let Some(failure) = failures.into_iter().next() else {
            return self.read_order(Wait::Poll { nth: 0 });
        };
        if self.recoveries >= MOST_RECOVERIES {
            return self.fail(failure);
        }
        // Some challenges may have been taken up although the answer is missing.
        self.recoveries += 1;
        match &self.order {
            Some(order) => Effect::ReadAuthorizations {
                urls: order.authorizations.clone(),
            },
            None => self.look_again(failure),
        }
    }

    /// Asks for the order because its state is unknown.
    fn look_again(&mut self, failure: Failure) -> Effect {
        if self.recoveries >= MOST_RECOVERIES {
            return self.fail(failure);
        }
        self.recoveries += 1;
        self.read_order(Wait::None)
    }

    fn failed(&mut self, failure: Failure, now: Timestamp) -> Effect {
        let error = match &failure {
            Failure::Ca { error, .. } => Some(error.as_ref()),
            _ => None,
        };
        let answer = match error {
            Some(CaError::Answer(answer)) => Some(answer),
            _ => None,
        };
        let kind = answer
            .and_then(|answer| answer.problem.as_ref())
            .map(|p| &p.kind);
        let status = answer.and_then(|answer| answer.status).unwrap_or(0);
        let definite = (400..500).contains(&status)
            && !matches!(kind, Some(ProblemKind::RateLimited | ProblemKind::BadNonce));
        match self.doing {
            Doing::PlaceOrder if definite && self.run.terms.replaces.is_some() => {
                self.run.terms.replaces = None;
                self.notes
                    .push(format!("ordered again without `replaces`: {failure}"));
                Effect::PlaceOrder
            }
            Doing::PlaceOrder
                if kind == Some(&ProblemKind::InvalidProfile)
                    && self
                        .run
                        .terms
                        .profile
                        .as_ref()
                        .is_some_and(|(_, required)| !required) =>
            {
                let name = self
                    .run
                    .terms
                    .profile
                    .take()
                    .map(|(name, _)| name)
                    .unwrap_or_default();
                self.notes.push(format!(
                    "ordered without the profile {name}, which the CA refused"
                ));
                Effect::PlaceOrder
            }
            Doing::PlaceOrder
                if self.recoveries == 0 && error.is_some_and(CaError::outcome_is_unknown) =>
            {
                // Without its URL the lost order cannot be found again; a second one is placed.
                self.recoveries += 1;
                self.notes.push(format!("ordered a second time: {failure}"));
                Effect::PlaceOrder
            }
            // An order from the journal that the CA does not know any more.
            Doing::ReadOrder if definite && self.order.is_none() => {
                self.run.order_url = None;
                self.begin(now)
            }
            Doing::Finalize
                if kind == Some(&ProblemKind::OrderNotReady)
                    || error.is_some_and(CaError::outcome_is_unknown) =>
            {
                self.look_again(failure)
            }
            Doing::Clearing | Doing::Settling => {
                let left = std::mem::take(&mut self.run.obligations);
                self.cleaned_up(left, Vec::new(), now)
            }
            _ => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> Effect {
        let order_is_lost = match failure.class() {
            FailureClass::Rejected | FailureClass::Bug => true,
            FailureClass::Transient
            | FailureClass::RateLimited
            | FailureClass::Misconfigured
            | FailureClass::NeedsPerson
            | FailureClass::Cancelled => false,
        };
        if order_is_lost {
            self.run.order_url = None;
        }
        let keep = self.run.order_url.is_some();
        self.settle(Err(failure), keep)
    }

    fn settle(&mut self, result: Result<Issued, Failure>, keep_order: bool) -> Effect {
        self.run.stage = Stage::Settling;
        self.ending = Some((result, keep_order));
        if self.run.obligations.iter().any(|o| o.removal().is_some()) {
            Effect::CleanUp(self.run.obligations.clone())
        } else {
            self.run.obligations.clear();
            self.end(Vec::new())
        }
    }

    fn cleaned_up(
        &mut self,
        left: Vec<Obligation>,
        failed: Vec<PluginFailure>,
        now: Timestamp,
    ) -> Effect {
        self.run.obligations = left;
        if self.ending.is_some() {
            return self.end(failed);
        }
        self.notes.extend(
            failed
                .iter()
                .map(|failure| format!("left from an earlier run: {failure}")),
        );
        self.run.began = now;
        Effect::PlaceOrder
    }

    fn stopped(&mut self) -> Effect {
        match self.doing {
            Doing::Settling => self.end(Vec::new()),
            _ => self.fail(Failure::Stopped),
        }
    }

    fn end(&mut self, owed: Vec<PluginFailure>) -> Effect {
        self.run.stage = Stage::Done;
        let (result, keep_order) = self.ending.take().unwrap_or((Err(Failure::Stopped), true));
        Effect::End(Box::new(Ending {
            result,
            owed,
            keep_journal: keep_order || !self.run.obligations.is_empty(),
            notes: std::mem::take(&mut self.notes),
        }))
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

impl DnsChallenge {
    /// The key of the record that proves this challenge: the same on each try of the same order.
    pub fn record_key(&self) -> String {
        format!("{}#{}", self.identifier.to_wire(), self.token)
    }
}
