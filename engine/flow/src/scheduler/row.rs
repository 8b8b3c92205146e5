//! A CA that fails one certificate after the other is not asked for all the others of a run.
//!
//! Its directory answers, or a copy of it is used, and every order fails: each would be three requests and
//! some seconds, and thousands of certificates are due at once after an outage.

use std::time::Duration;

use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::time::Timestamp;

use crate::failure::Failure;

/// So many have to fail in a row: fewer may have a trouble of their own.
const ENOUGH: u32 = 8;

/// Behind this time one is tried again, and if that goes well, all others.
const AGAIN: Duration = Duration::from_secs(60);

/// How the last orders at a CA have ended in this run.
#[derive(Debug, Default)]
pub(super) struct Row {
    failed: u32,
    /// The last one, and when it ended, or another one was let through.
    last: Option<(Failure, Timestamp)>,
}

impl Row {
    /// Why the CA is not to be asked for another one now. If it may be asked to see whether it is better, that
    /// is told to one only.
    pub(super) fn spares(&mut self, ca: &CaName, now: Timestamp) -> Option<Failure> {
        let (last, at) = self.last.as_mut().filter(|_| self.failed >= ENOUGH)?;
        // A clock that was set back must not keep it from being asked.
        if *at > now || now.since(*at) >= AGAIN {
            *at = now;
            return None;
        }
        Some(Failure::InARow {
            ca: ca.clone(),
            failed: self.failed,
            last: Box::new(last.clone()),
        })
    }

    /// An order has ended, well if there is no failure. What another order may not meet ends the row, too.
    pub(super) fn ended(&mut self, failure: Option<&Failure>, now: Timestamp) {
        let failure = failure.filter(|failure| {
            matches!(failure, Failure::Ca { .. }) && failure.class() == FailureClass::Transient
        });
        match failure {
            Some(failure) => {
                self.failed = self.failed.saturating_add(1);
                self.last = Some((failure.clone(), now));
            }
            None => *self = Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::http::{Method, TransportError, TransportStage};
    use waxwing_core::name::Identifier;

    use super::*;
    use crate::failure::CaError;

    fn reset() -> Failure {
        let error = TransportError {
            stage: TransportStage::Exchange,
            method: Method::Post,
            url: "https://first.example/order".to_owned(),
            address: None,
            elapsed: Duration::ZERO,
            causes: Vec::new(),
        };
        Failure::Ca {
            ca: first(),
            step: "place an order",
            error: Box::new(CaError::Transport(error)),
        }
    }

    fn first() -> CaName {
        CaName::parse("first").expect("a literal name")
    }

    #[test]
    fn eight_in_a_row_spare_the_others_and_one_a_minute_looks_whether_it_is_better() {
        let at = Timestamp::from_unix;
        let mut row = Row::default();
        let asked = |row: &mut Row, now| row.spares(&first(), at(now)).is_none();
        for nth in 0..7 {
            row.ended(Some(&reset()), at(nth));
            assert!(asked(&mut row, nth), "{nth}");
        }
        row.ended(Some(&reset()), at(7));
        assert!(!asked(&mut row, 8));
        assert!(asked(&mut row, 67));
        assert!(!asked(&mut row, 68), "one only");
        row.ended(Some(&reset()), at(70));
        assert!(!asked(&mut row, 129));
        assert!(asked(&mut row, 130));
        // The clock was set back.
        assert!(asked(&mut row, 20));
        row.ended(None, at(131));
        assert!(asked(&mut row, 131));
    }

    #[test]
    fn a_trouble_of_one_certificate_ends_the_row() {
        let at = Timestamp::from_unix;
        let mut row = Row::default();
        for _ in 0..7 {
            row.ended(Some(&reset()), at(0));
        }
        let refused = Failure::NoDnsChallenge {
            ca: first(),
            identifier: Identifier::parse("example.com").expect("a literal name"),
            offered: Vec::new(),
        };
        row.ended(Some(&refused), at(1));
        row.ended(Some(&reset()), at(2));
        assert_eq!(row.spares(&first(), at(3)), None);
    }
}
