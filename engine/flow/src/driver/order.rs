//! The effects that talk to the CA about an order.

use futures_util::future::join_all;
use waxwing_acme::authorization::{AuthorizationStatus, ReadAuthorization};
use waxwing_acme::challenge::AnswerChallenge;
use waxwing_acme::order::{Finalize, NewOrder, ReadOrder};
use waxwing_core::retry;
use waxwing_core::secret::Secret;

use super::{Pen, Work};
use crate::budget;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::machine::effect::{DnsChallenge, Wait};
use crate::machine::event::Event;
use crate::ports::CryptoError;
use crate::report::{Progress, Reached};
use crate::session::Repeat;

impl Work<'_> {
    pub(super) async fn place_order(
        &self,
        machine: &Machine,
        after: Wait,
        pen: &mut Pen,
    ) -> Result<Event, Failure> {
        self.pause(after, "take the order", pen).await;
        // Every order counts at the CA, also one that is placed again.
        if !std::mem::take(&mut pen.paid) {
            let history = self.ports.history.as_ref();
            let names = &self.settings.domains;
            budget::take_order(history, self.session.profile(), names, self.now())?;
        }
        pen.ordered = self.settings.domains.len();
        let terms = &machine.run().terms;
        let call = NewOrder {
            identifiers: terms.names.clone(),
            profile: terms.profile.as_ref().map(|(name, _)| name.clone()),
            replaces: terms.replaces.clone(),
            not_after: self
                .session
                .profile()
                .lifetime
                .ask
                .map(|life| self.now() + life),
        };
        let reply = self.session.call(&call, Repeat::IfUnseen).await?;
        self.reach(pen, self.ordered(false));
        Ok(Event::OrderPlaced {
            url: reply.url,
            order: reply.order,
        })
    }

    pub(super) fn ordered(&self, resumed: bool) -> Reached {
        let ca = self.session.profile().name.clone();
        Reached::Ordered {
            ca,
            names: self.settings.domains.len(),
            resumed,
        }
    }

    pub(super) async fn read_order(
        &self,
        url: String,
        after: Wait,
        doing: &str,
        pen: &Pen,
    ) -> Result<Event, Failure> {
        self.pause(after, doing, pen).await;
        let state = self
            .session
            .call(&ReadOrder { url }, Repeat::Freely)
            .await?;
        let retry_after = state.retry_after.map(|at| at.wait(self.now()));
        Ok(Event::OrderSeen {
            order: state.order,
            retry_after,
        })
    }

    /// Waits before a request to the CA, which `doing` says what for.
    async fn pause(&self, after: Wait, doing: &str, pen: &Pen) {
        let poll = &self.session.profile().poll;
        let wait = match after {
            Wait::None => return,
            Wait::Asked(wait) => wait.max(poll.first),
            Wait::Poll { nth } => retry::poll(
                poll.first,
                poll.max,
                nth,
                self.ports.session.entropy.number(),
            ),
        };
        // The machine's patience with an order, which begins with its last step forward.
        let until = (pen.last + poll.order).max(self.now() + wait);
        let waiting = Progress::Waiting {
            what: format!("{} to {doing}", self.session.profile().title),
            since: pen.last,
            until,
        };
        self.observer.progress(&self.certificate, &waiting);
        self.ports.session.clock.sleep(wait).await;
    }

    pub(super) async fn read_authorizations(
        &self,
        urls: Vec<String>,
        after: Wait,
        pen: &mut Pen,
    ) -> Result<Event, Failure> {
        self.pause(after, "look at the records", pen).await;
        let reads = urls.into_iter().map(async |url| {
            let call = ReadAuthorization { url: url.clone() };
            let authorization = self.session.call(&call, Repeat::Freely).await?;
            Ok::<_, Failure>((url, authorization))
        });
        let authorizations = join_all(reads)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, Failure>>()?;
        let began = authorizations
            .iter()
            .filter(|(_, one)| one.status == AuthorizationStatus::Pending)
            .count();
        let spared = std::mem::take(&mut pen.ordered).saturating_sub(began);
        if let Ok(spared @ 1..) = u32::try_from(spared) {
            let history = self.ports.history.as_ref();
            budget::spare(history, self.session.profile(), spared, self.now());
        }
        Ok(Event::AuthorizationsSeen(authorizations))
    }

    pub(super) async fn answer(&self, challenges: &[DnsChallenge]) -> Event {
        let answers = challenges.iter().map(async |challenge| {
            let call = AnswerChallenge {
                url: challenge.url.clone(),
            };
            self.session.call(&call, Repeat::IfUnseen).await
        });
        let (mut failures, mut retry_after) = (Vec::new(), None);
        for answered in join_all(answers).await {
            match answered {
                Ok(reply) => {
                    let asked = reply.retry_after.map(|at| at.wait(self.now()));
                    retry_after = retry_after.max(asked);
                }
                Err(failure) => failures.push(failure),
            }
        }
        Event::Answered {
            failures,
            retry_after,
        }
    }

    pub(super) async fn finalize(
        &self,
        url: String,
        key: Option<&Secret<String>>,
    ) -> Result<Event, Failure> {
        let keys = &self.ports.session.keys;
        let key = key.ok_or_else(|| {
            Failure::Crypto(CryptoError {
                what: "making the certification request".to_owned(),
                causes: vec!["the key of the run is missing".to_owned()],
            })
        })?;
        let csr_der = keys
            .request(key, &self.settings.domains)
            .map_err(Failure::Crypto)?;
        let state = self
            .session
            .call(&Finalize { url, csr_der }, Repeat::IfUnseen)
            .await?;
        let retry_after = state.retry_after.map(|at| at.wait(self.now()));
        Ok(Event::OrderSeen {
            order: state.order,
            retry_after,
        })
    }
}
