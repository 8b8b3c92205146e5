//! How long an order is waited for, and when it is looked at again.

use std::time::Duration;

use waxwing_acme::order::OrderStatus;
use waxwing_core::time::Timestamp;

use super::{Effect, LOOKS_BEFORE_DOUBT, MOST_LOOKS, Machine, Wait, name_of};
use crate::failure::Failure;
use crate::run::Stage;

impl Machine {
    /// Makes the request for the certificate. A CA that has taken one and shows the order as if it had not may be
    /// slow to show it everywhere: it gets another one after some looks, and not with each.
    pub(super) fn finalize(&mut self, asked: Option<Duration>, now: Timestamp) -> Effect {
        self.run.stage = Stage::Finalizing;
        if !self.taken {
            self.polls = 0;
            return Effect::MakeKey;
        }
        if (self.polls + 1).is_multiple_of(LOOKS_BEFORE_DOUBT) {
            self.polls = self.polls.saturating_add(1);
            return Effect::MakeKey;
        }
        self.poll(OrderStatus::Ready, asked, now)
    }

    /// How long the order is waited for. A clock that was set back begins to count anew.
    pub(super) fn waited(&mut self, now: Timestamp) -> Duration {
        self.since = self.since.min(now);
        now.since(self.since)
    }

    pub(super) fn poll(
        &mut self,
        status: OrderStatus,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> Effect {
        let ca = self.run.terms.ca.clone();
        let waited = self.waited(now);
        self.looks = self.looks.saturating_add(1);
        // What the CA asks for holds, also where our patience is at its end.
        if let Some(retry_after) = asked.filter(|asked| *asked > self.patience.retry_after_cap) {
            return self.fail(Failure::Parked { ca, retry_after });
        }
        if waited >= self.patience.order || self.looks > MOST_LOOKS {
            return self.fail(Failure::OrderDeadline {
                ca,
                status: name_of(status).to_owned(),
                waited,
            });
        }
        let after = match asked {
            Some(retry_after) => Wait::Asked(retry_after),
            None => Wait::Poll { nth: self.polls },
        };
        self.polls = self.polls.saturating_add(1);
        match &self.order {
            Some(order)
                if status == OrderStatus::Pending
                    && self.polls.is_multiple_of(LOOKS_BEFORE_DOUBT) =>
            {
                Effect::ReadAuthorizations {
                    urls: order.authorizations.clone(),
                    after: Wait::None,
                }
            }
            _ => self.read_order(after),
        }
    }
}
