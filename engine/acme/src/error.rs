//! What went wrong in one exchange with the CA.
//!
//! The status is looked at before the body is parsed: a maintenance page in HTML is a 503 here and
//! never a complaint about JSON.

mod advice;

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

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
    /// True if the reply is a page or another text in the place of JSON.
    pub page: bool,
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
    /// The body is JSON, but no ACME directory: most likely the URL is another.
    NotADirectory {
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
            page: false,
            terms_of_service: None,
            help: None,
            kind,
        }
    }
}

impl AcmeError {
    /// True if the CA gave that reason.
    pub fn is(&self, kind: &ProblemKind) -> bool {
        self.problem
            .as_ref()
            .is_some_and(|problem| problem.kind == *kind)
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
            Self::NotADirectory { cause } => write!(f, "the answer is no ACME directory: {cause}"),
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
            Self::NoAccount => f.write_str("it takes an account, and none is known"),
            Self::NotSigned(_) => f.write_str("the request could not be signed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use waxwing_core::failure::FailureClass;

    use super::*;
    use crate::tests::fixture::reply;

    const URL: &str = "https://ca.example/new-order?token=secret";

    fn refused(method: Method, response: &waxwing_core::http::Response) -> AcmeError {
        let exchange = crate::exchange::Exchange::new("place the order", method, URL, response);
        exchange.success().expect_err("an error status")
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
}
