//! Answers that go wrong on purpose.
//!
//! A fault names the class of requests it hits, so that the same list serves every server of the
//! world; what a server answers when no fault is left is its own business.

use std::time::Duration;

use http::StatusCode;

use crate::guarded::Guarded;
use crate::traffic::Class;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing is done; the answer has this status, these headers and this body.
    Status {
        /// The status code.
        status: StatusCode,
        /// Header names and values; ones that HTTP does not allow are left out.
        headers: Vec<(String, String)>,
        /// The body, sent as it is.
        body: String,
    },
    /// Nothing is done; the answer is a problem document (RFC 7807) of the ACME name space.
    Problem {
        /// The error type without its URN, such as `rateLimited`.
        kind: String,
        /// The status code.
        status: StatusCode,
        /// The text for people.
        detail: String,
        /// The `Retry-After` header, if any.
        retry_after: Option<String>,
    },
    /// Nothing is done; the answer is an HTML page, as load balancers write them.
    Html(StatusCode),
    /// Nothing is done; the answer is 200 with this body.
    Body(String),
    /// Nothing is done; the connection is closed.
    CloseBefore,
    /// It is done, and the connection is closed in place of the answer.
    CloseAfter,
    /// It is done, and this status and body are sent in place of the answer.
    After(StatusCode, String),
    /// Nothing is done and nothing is answered, until the client gives up.
    Hang,
    /// It is done, and nothing is answered, until the client gives up.
    HangAfter,
    /// It is done, and the answer's body comes one byte at a time, with this pause before each.
    Drip(Duration),
    /// It is done, and the answer is spoilt on its way.
    Spoilt(Spoilt),
    /// It is done after this wait.
    Slow(Duration),
}

/// What becomes of an answer whose status and other headers stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoilt {
    /// It has no body.
    Empty,
    /// Its body is the first half of what it was; its length is right.
    Half,
    /// It is the first half of what it was, and then the connection is closed.
    CutOff,
    /// Its body is a text that nobody can parse.
    Garbage,
    /// So many spaces follow its body.
    Padded(usize),
    /// Its content type is this one.
    Kind(String),
}

/// A fault and when it strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    on: Class,
    skip: usize,
    times: usize,
    what: What,
}

impl Fault {
    /// Strikes the next request of the class, once.
    pub fn once(on: Class, what: What) -> Self {
        Self {
            on,
            skip: 0,
            times: 1,
            what,
        }
    }

    /// Strikes every request of the class from now on.
    pub fn always(on: Class, what: What) -> Self {
        Self {
            on,
            skip: 0,
            times: usize::MAX,
            what,
        }
    }

    /// Strikes so many requests in a row.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Lets so many requests of the class pass first.
    #[must_use]
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }
}

/// The faults a server still owes; clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Faults(Guarded<Vec<Fault>>);

impl Faults {
    /// Adds a fault behind those already there; of two for one class, the first strikes until it
    /// is used up.
    pub fn add(&self, fault: Fault) {
        self.0.with(|faults| faults.push(fault));
    }

    /// Drops all faults.
    pub fn clear(&self) {
        self.0.with(Vec::clear);
    }

    /// Whether every fault with an end has struck as often as it should.
    pub fn spent(&self) -> bool {
        self.0
            .with(|faults| faults.iter().all(|fault| fault.times == usize::MAX))
    }

    /// What strikes this request.
    pub(crate) fn strike(&self, class: Class) -> Option<What> {
        self.0.with(|faults| {
            let place = faults.iter().position(|fault| fault.on == class)?;
            let fault = &mut faults[place];
            if fault.skip > 0 {
                fault.skip -= 1;
                return None;
            }
            if fault.times == 0 {
                faults.remove(place);
                return None;
            }
            let what = fault.what.clone();
            if fault.times != usize::MAX {
                fault.times -= 1;
            }
            if fault.times == 0 {
                faults.remove(place);
            }
            Some(what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_class_after_the_skipped_ones_and_then_no_more() {
        let faults = Faults::default();
        faults.add(Fault::once(Class::NewOrder, What::Hang).after(1).times(2));
        let struck: Vec<_> = (0..4)
            .map(|_nth| faults.strike(Class::NewOrder).is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(faults.strike(Class::Order), None);
        assert!(faults.spent());
    }

    #[test]
    fn two_faults_of_one_class_strike_one_after_the_other() {
        let faults = Faults::default();
        faults.add(Fault::once(Class::Zone, What::CloseBefore));
        faults.add(Fault::always(Class::Zone, What::Hang));
        assert_eq!(faults.strike(Class::Zone), Some(What::CloseBefore));
        assert_eq!(faults.strike(Class::Zone), Some(What::Hang));
        assert_eq!(faults.strike(Class::Zone), Some(What::Hang));
    }
}
