//! What can be done about a failed exchange: its class for the engine, its hint for people.

use waxwing_core::failure::FailureClass;

use super::{AcmeError, AcmeErrorKind};
use crate::problem::ProblemKind;

impl AcmeError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match &self.kind {
            AcmeErrorKind::Refused => self.refusal_class(),
            AcmeErrorKind::Redirected { .. }
            | AcmeErrorKind::NotADirectory { .. }
            | AcmeErrorKind::NotOffered { .. }
            | AcmeErrorKind::UnusableUrl { .. }
            | AcmeErrorKind::NotSigned(_) => FailureClass::Misconfigured,
            // A page that a proxy or a captive portal put in the CA's place goes away again.
            AcmeErrorKind::NotJson { .. } | AcmeErrorKind::BadNonces { .. } => {
                FailureClass::Transient
            }
            AcmeErrorKind::IdentifiersChanged { .. } => FailureClass::Rejected,
            AcmeErrorKind::Malformed { .. }
            | AcmeErrorKind::MissingHeader { .. }
            | AcmeErrorKind::NoAccount => FailureClass::Bug,
        }
    }

    /// What the operator can do, on one line.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            AcmeErrorKind::Refused => self.refusal_hint(),
            AcmeErrorKind::Redirected {
                location: Some(location),
            } => Some(format!(
                "if {location} is the CA's new address, put it into `directories`; it is never \
                 followed by itself"
            )),
            AcmeErrorKind::NotJson { .. } => Some(
                "a proxy or a captive portal may answer in the CA's place; open the URL from this \
                 machine to see"
                    .to_owned(),
            ),
            AcmeErrorKind::NotADirectory { .. } => {
                Some("put the URL of the CA's directory into `directories`".to_owned())
            }
            _ => None,
        }
    }

    /// The class of an answer with an error status. The type of the problem goes first where it
    /// says who is to act, then a status that says the server is in trouble, then the other types.
    fn refusal_class(&self) -> FailureClass {
        let kind = self.problem.as_ref().map(|problem| &problem.kind);
        match (kind, self.status.unwrap_or_default()) {
            (Some(ProblemKind::RateLimited), _) | (_, 429) => FailureClass::RateLimited,
            (Some(ProblemKind::UserActionRequired), _) => FailureClass::NeedsPerson,
            (_, 408 | 425 | 500..) => FailureClass::Transient,
            // Nobody's rights are looked at in an unsigned request, whatever the type says: the URL
            // is wrong, or a firewall objects.
            _ if self.method.is_safe() => FailureClass::Misconfigured,
            // A firewall or a maintenance page in the CA's place: it has refused nothing.
            (None, 400 | 402..=406 | 408..=499) if self.page => FailureClass::Transient,
            (_, 401 | 407) | (None, 403 | 405) => FailureClass::Misconfigured,
            (Some(kind), _) => problem_class(kind),
            (None, _) => FailureClass::Rejected,
        }
    }

    fn refusal_hint(&self) -> Option<String> {
        let kind = self.problem.as_ref().map(|problem| &problem.kind);
        let instance = self
            .problem
            .as_ref()
            .and_then(|problem| problem.instance.as_ref());
        let hint = match (kind, self.status.unwrap_or_default()) {
            (Some(ProblemKind::UserActionRequired), _) => {
                match instance.or(self.terms_of_service.as_ref()) {
                    Some(page) => format!("open {page}, do what it asks, then run again"),
                    None => {
                        "the CA waits for a person: log in at the CA, then run again".to_owned()
                    }
                }
            }
            (Some(ProblemKind::ExternalAccountRequired), _) => {
                "this CA wants credentials: set `eab` in its section".to_owned()
            }
            (Some(ProblemKind::AccountDoesNotExist), _) => {
                "the CA does not know this account; move its folder out of `accounts` in the \
                 state folder, and the next run makes a new one"
                    .to_owned()
            }
            (Some(ProblemKind::InvalidContact | ProblemKind::UnsupportedContact), _) => {
                "set `email` in [account] to an address that this CA accepts".to_owned()
            }
            (Some(ProblemKind::InvalidProfile), _) => {
                "`waxwing ca show` lists the profiles that the CA offers".to_owned()
            }
            (Some(ProblemKind::Caa), _) => {
                "a CAA record must name this CA; `waxwing ca show` lists the values that do"
                    .to_owned()
            }
            (Some(ProblemKind::BadPublicKey | ProblemKind::BadSignatureAlgorithm), _) => {
                "this CA wants another kind of account key".to_owned()
            }
            (Some(ProblemKind::RejectedIdentifier | ProblemKind::UnsupportedIdentifier), _) => {
                "the CA does not sign such a name; take it out of `domains`, or name another CA in \
                 `ca`"
                    .to_owned()
            }
            (_, 404 | 410) if self.method.is_safe() => {
                "nothing is there; if it is the CA's directory, put its present URL into \
                 `directories` of its section"
                    .to_owned()
            }
            (_, 407) => "the proxy on the way wants credentials".to_owned(),
            _ => format!("the CA explains it at {}", self.help.as_ref()?),
        };
        Some(hint)
    }
}

/// The class of a problem in the answer to a signed request.
fn problem_class(kind: &ProblemKind) -> FailureClass {
    match kind {
        ProblemKind::RateLimited => FailureClass::RateLimited,
        ProblemKind::UserActionRequired => FailureClass::NeedsPerson,
        ProblemKind::BadNonce | ProblemKind::OrderNotReady | ProblemKind::ServerInternal => {
            FailureClass::Transient
        }
        ProblemKind::AccountDoesNotExist
        | ProblemKind::BadPublicKey
        | ProblemKind::BadRevocationReason
        | ProblemKind::BadSignatureAlgorithm
        | ProblemKind::ExternalAccountRequired
        | ProblemKind::InvalidContact
        | ProblemKind::InvalidProfile
        | ProblemKind::UnsupportedContact => FailureClass::Misconfigured,
        ProblemKind::AlreadyReplaced
        | ProblemKind::AlreadyRevoked
        | ProblemKind::BadCsr
        | ProblemKind::Caa
        | ProblemKind::Compound
        | ProblemKind::Connection
        | ProblemKind::Dns
        | ProblemKind::IncorrectResponse
        | ProblemKind::Malformed
        | ProblemKind::RejectedIdentifier
        | ProblemKind::Tls
        | ProblemKind::Unauthorized
        | ProblemKind::UnsupportedIdentifier
        | ProblemKind::Unspecified
        | ProblemKind::Other(_) => FailureClass::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::http::Method;

    use super::*;
    use crate::tests::fixture::{problem, reply};

    const URL: &str = "https://ca.example/new-order?token=secret";

    fn refused(method: Method, response: &waxwing_core::http::Response) -> AcmeError {
        let exchange = crate::exchange::Exchange::new("place the order", method, URL, response);
        exchange.success().expect_err("an error status")
    }

    #[test]
    fn the_class_says_who_can_do_something() {
        use FailureClass::{Misconfigured, NeedsPerson, RateLimited, Rejected, Transient};
        let check = |status: u16, kind: &str, want: FailureClass| {
            let error = refused(Method::Post, &problem(status, kind, "d"));
            assert_eq!(error.class(), want, "{status} {kind}");
        };
        check(429, "rateLimited", RateLimited);
        check(503, "rateLimited", RateLimited);
        check(429, "malformed", RateLimited);
        check(403, "userActionRequired", NeedsPerson);
        check(500, "serverInternal", Transient);
        check(400, "serverInternal", Transient);
        check(500, "malformed", Transient);
        check(503, "unauthorized", Transient);
        check(403, "orderNotReady", Transient);
        check(400, "malformed", Rejected);
        check(403, "unauthorized", Rejected);
        check(401, "unauthorized", Misconfigured);
        check(403, "caa", Rejected);
        check(400, "rejectedIdentifier", Rejected);
        check(409, "alreadyReplaced", Rejected);
        check(400, "somethingNew", Rejected);
        check(400, "accountDoesNotExist", Misconfigured);
        check(400, "externalAccountRequired", Misconfigured);
        check(400, "invalidProfile", Misconfigured);
        check(400, "invalidContact", Misconfigured);
    }

    #[test]
    fn without_a_problem_document_the_status_decides() {
        use FailureClass::{Misconfigured, RateLimited, Rejected, Transient};
        let check = |status: u16, want: FailureClass| {
            let error = refused(Method::Post, &reply(status, &[], "<p>words</p>"));
            assert_eq!(error.class(), want, "{status}");
        };
        check(302, Misconfigured);
        check(401, Misconfigured);
        for page in [400, 403, 404, 405, 410] {
            check(page, Transient);
            let error = refused(Method::Post, &reply(page, &[], "{\"message\":\"no\"}"));
            assert_ne!(error.class(), Transient, "{page}");
        }
        let empty = |status| refused(Method::Post, &reply(status, &[], "")).class();
        assert_eq!((empty(404), empty(403)), (Rejected, Misconfigured));
        check(407, Misconfigured);
        check(408, Transient);
        check(425, Transient);
        check(429, RateLimited);
        check(502, Transient);
        check(999, Transient);
    }

    #[test]
    fn a_refused_unsigned_request_is_a_matter_of_its_url() {
        let check = |status: u16, want: FailureClass| {
            let error = refused(Method::Get, &problem(status, "unauthorized", "d"));
            assert_eq!(error.class(), want, "{status}");
            let hint = error
                .hint()
                .is_some_and(|hint| hint.contains("`directories`"));
            assert_eq!(hint, status == 404, "{status}");
        };
        check(403, FailureClass::Misconfigured);
        check(404, FailureClass::Misconfigured);
        check(503, FailureClass::Transient);
    }

    #[test]
    fn hints_name_what_to_change() {
        let check = |status: u16, kind: &str, want: Option<&str>| {
            let error = refused(Method::Post, &problem(status, kind, "d"));
            assert_eq!(error.hint().as_deref(), want, "{status} {kind}");
        };
        check(403, "unauthorized", None);
        check(
            400,
            "rejectedIdentifier",
            Some(
                "the CA does not sign such a name; take it out of `domains`, or name another CA in \
                 `ca`",
            ),
        );
        check(
            403,
            "userActionRequired",
            Some("the CA waits for a person: log in at the CA, then run again"),
        );
        check(
            400,
            "externalAccountRequired",
            Some("this CA wants credentials: set `eab` in its section"),
        );
        check(
            403,
            "caa",
            Some("a CAA record must name this CA; `waxwing ca show` lists the values that do"),
        );
    }
}
