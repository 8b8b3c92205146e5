//! What went wrong in one exchange with the CA.
//!
//! The status is looked at before the body is parsed: a maintenance page in HTML is a 503 here and
//! never a complaint about JSON.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use waxwing_core::failure::FailureClass;
use waxwing_core::http::{Method, without_query};

use crate::jws::SignError;
use crate::problem::{Problem, ProblemKind};
use crate::retry_after::RetryAfter;

/// An exchange that did not bring the reply it was for. Dereferences to its [`Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeError(Box<Report>);

/// All that is known about a failed exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was tried, completing "failed to …": `place the order`.
    pub call: &'static str,
    /// The method.
    pub method: Method,
    /// The URL without its query.
    pub url: String,
    /// The status of the reply; none if nothing was sent.
    pub status: Option<u16>,
    /// The problem document, if the reply has one.
    pub problem: Option<Problem>,
    /// When the CA wants to be asked again.
    pub retry_after: Option<RetryAfter>,
    /// From sending to the last byte of the reply; zero if nothing was sent.
    pub elapsed: Duration,
    /// The readable beginning of a body that is no problem document; at most 300 characters, on one
    /// line, without tags.
    pub excerpt: Option<String>,
    /// Where to read the terms of service, if the reply links them (RFC 8555 section 7.3.3).
    pub terms_of_service: Option<String>,
    /// The CA's page about this error, if the reply links one.
    pub help: Option<String>,
    /// What is wrong with the exchange.
    pub kind: AcmeErrorKind,
}

/// What is wrong with an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcmeErrorKind {
    /// The CA answered with an error status.
    Refused,
    /// The CA answered with a redirect, which ACME does not have and which is never followed.
    Redirected {
        /// Where it points, without the query.
        location: Option<String>,
    },
    /// The CA refused so many nonces in a row that there is no point in going on.
    BadNonces {
        /// How often the call was sent.
        attempts: u32,
    },
    /// The status says success, but the body is not JSON.
    NotJson {
        /// What the parser said.
        cause: String,
    },
    /// The body is JSON, but not the object that the RFC describes.
    Malformed {
        /// What is missing or wrong.
        cause: String,
    },
    /// The reply lacks a header that the RFC demands.
    MissingHeader {
        /// The name of the header.
        name: &'static str,
    },
    /// The reply holds a URL that is not followed.
    UnusableUrl {
        /// Where it stood: a member or a header.
        field: &'static str,
        /// The URL without its query.
        value: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// The order in the reply is for other names than those asked for.
    IdentifiersChanged {
        /// The names asked for and missing.
        missing: Vec<String>,
        /// The names that nobody asked for.
        added: Vec<String>,
    },
    /// The CA's directory has no such resource.
    NotOffered {
        /// Its name in the directory.
        resource: &'static str,
    },
    /// The call needs an account, and the credentials name none.
    NoAccount,
    /// The account key did not sign; the source says why.
    NotSigned(SignError),
}

impl Report {
    /// About a request that was not sent.
    pub(crate) fn unsent(
        call: &'static str,
        method: Method,
        url: &str,
        kind: AcmeErrorKind,
    ) -> Self {
        Self {
            call,
            method,
            url: without_query(url).to_owned(),
            status: None,
            problem: None,
            retry_after: None,
            elapsed: Duration::ZERO,
            excerpt: None,
            terms_of_service: None,
            help: None,
            kind,
        }
    }
}

impl AcmeError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match &self.kind {
            AcmeErrorKind::Refused => self.refusal_class(),
            AcmeErrorKind::Redirected { .. }
            | AcmeErrorKind::NotOffered { .. }
            | AcmeErrorKind::UnusableUrl { .. }
            | AcmeErrorKind::NotSigned(_) => FailureClass::Misconfigured,
            // A page that a proxy or a captive portal put in the CA's place goes away again.
            AcmeErrorKind::NotJson { .. } | AcmeErrorKind::BadNonces { .. } => {
                FailureClass::Transient
            }
            AcmeErrorKind::IdentifiersChanged { .. } => FailureClass::Rejected,
            // What an unsigned request asked for was named by the configuration.
            AcmeErrorKind::Malformed { .. } if self.method.is_safe() => FailureClass::Misconfigured,
            AcmeErrorKind::Malformed { .. }
            | AcmeErrorKind::MissingHeader { .. }
            | AcmeErrorKind::NoAccount => FailureClass::Bug,
        }
    }

    /// True if the CA gave that reason.
    pub fn is(&self, kind: &ProblemKind) -> bool {
        self.problem
            .as_ref()
            .is_some_and(|problem| problem.kind == *kind)
    }

    /// What the operator can do, on one line.
    pub fn hint(&self) -> Option<String> {
        let in_between = "a proxy or a captive portal may answer in the CA's place; open the URL \
                          from this machine to see";
        match &self.kind {
            AcmeErrorKind::Refused => self.refusal_hint(),
            AcmeErrorKind::Redirected {
                location: Some(location),
            } => Some(format!(
                "if {location} is the CA's new address, put it into `directories`; it is never \
                 followed by itself"
            )),
            AcmeErrorKind::NotJson { .. } => Some(in_between.to_owned()),
            AcmeErrorKind::Malformed { .. } if self.method.is_safe() => {
                Some("the URL may not be that of an ACME directory; see `directories`".to_owned())
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
                "the CA does not know this account; `waxwing account register` makes a new one"
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
            (_, 407) => "the proxy on the way wants credentials".to_owned(),
            _ => format!("the CA explains it at {}", self.help.as_ref()?),
        };
        Some(hint)
    }
}

impl From<Report> for AcmeError {
    fn from(report: Report) -> Self {
        Self(Box::new(report))
    }
}

impl Deref for AcmeError {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.0
    }
}

impl std::error::Error for AcmeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            AcmeErrorKind::NotSigned(cause) => Some(cause),
            _ => None,
        }
    }
}

/// `place the order: POST https://… answered 403 after 120 ms: rejectedIdentifier: …; name: …`
impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.call, self.method, self.url)?;
        if let Some(status) = self.status {
            write!(
                f,
                " answered {status} after {} ms",
                self.elapsed.as_millis()
            )?;
        }
        if self.kind != AcmeErrorKind::Refused {
            write!(f, ": {}", self.kind)?;
        }
        if let Some(problem) = &self.problem {
            write!(f, ": {problem}")?;
        } else if let Some(excerpt) = &self.excerpt {
            write!(f, ": \"{excerpt}\"")?;
        }
        Ok(())
    }
}

impl fmt::Display for AcmeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Redirected {
                location: Some(location),
            } => {
                write!(f, "a redirect to {location}, which is not followed")
            }
            Self::Redirected { location: None } => f.write_str("a redirect to nowhere"),
            Self::BadNonces { attempts } => write!(f, "{attempts} nonces in a row were refused"),
            Self::NotJson { cause } => write!(f, "the answer is not JSON ({cause})"),
            Self::Malformed { cause } => write!(f, "the answer has the wrong shape: {cause}"),
            Self::MissingHeader { name } => write!(f, "the answer lacks the header {name}"),
            Self::UnusableUrl {
                field,
                value,
                reason,
            } => {
                write!(f, "the URL `{value}` in {field} is not followed: {reason}")
            }
            Self::IdentifiersChanged { missing, added } => {
                f.write_str("the order is for other names than those asked for")?;
                if !missing.is_empty() {
                    write!(f, "; missing: {}", missing.join(", "))?;
                }
                if !added.is_empty() {
                    write!(f, "; not asked for: {}", added.join(", "))?;
                }
                Ok(())
            }
            Self::NotOffered { resource } => {
                write!(f, "the CA's directory offers no `{resource}`")
            }
            Self::NoAccount => f.write_str("no account is known to sign for"),
            Self::NotSigned(_) => f.write_str("the request could not be signed"),
        }
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
    use std::error::Error as _;

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
        check(400, Rejected);
        check(401, Misconfigured);
        check(403, Misconfigured);
        check(404, Rejected);
        check(405, Misconfigured);
        check(407, Misconfigured);
        check(408, Transient);
        check(429, RateLimited);
        check(502, Transient);
        check(999, Transient);
    }

    #[test]
    fn a_refused_unsigned_request_is_a_matter_of_its_url() {
        let check = |status: u16, want: FailureClass| {
            let error = refused(Method::Get, &problem(status, "unauthorized", "d"));
            assert_eq!(error.class(), want, "{status}");
        };
        check(403, FailureClass::Misconfigured);
        check(404, FailureClass::Misconfigured);
        check(503, FailureClass::Transient);
    }

    #[test]
    fn what_was_never_sent_has_no_answer_to_tell_of() {
        let cause = SignError {
            cause: "the token was pulled out".to_owned(),
        };
        let kind = AcmeErrorKind::NotSigned(cause.clone());
        let error = AcmeError::from(Report::unsent("place the order", Method::Post, URL, kind));
        assert_eq!(
            error.to_string(),
            "place the order: POST https://ca.example/new-order: the request could not be signed"
        );
        let source = error.source().expect("the signer's cause");
        assert_eq!(source.to_string(), cause.to_string());
        assert_eq!(error.class(), FailureClass::Misconfigured);
    }

    #[test]
    fn a_redirect_is_shown_and_not_followed() {
        let location = "https://login.example/portal?session=secret";
        let error = refused(Method::Get, &reply(302, &[("location", location)], ""));
        assert_eq!(
            error.to_string(),
            "place the order: GET https://ca.example/new-order answered 302 after 120 ms: a \
             redirect to https://login.example/portal, which is not followed"
        );
        assert_eq!(
            error.hint().as_deref(),
            Some(
                "if https://login.example/portal is the CA's new address, put it into \
                 `directories`; it is never followed by itself"
            )
        );
    }

    #[test]
    fn hints_name_what_to_change() {
        let check = |status: u16, kind: &str, want: Option<&str>| {
            let error = refused(Method::Post, &problem(status, kind, "d"));
            assert_eq!(error.hint().as_deref(), want, "{status} {kind}");
        };
        check(403, "unauthorized", None);
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
