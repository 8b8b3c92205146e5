//! A reply of the CA together with what was asked: status first, then media type, then JSON.

use serde::de::DeserializeOwned;
use waxwing_core::http::{Method, Response, without_query};

use crate::error::{AcmeError, AcmeErrorKind, Report};
use crate::excerpt;
use crate::link;
use crate::problem::Problem;
use crate::retry_after::RetryAfter;
use crate::url;

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    call: &'static str,
    method: Method,
    url: &'a str,
    response: &'a Response,
}

impl<'a> Exchange<'a> {
    /// Puts a reply beside what was asked. `call` completes "failed to …".
    pub(crate) const fn new(
        call: &'static str,
        method: Method,
        url: &'a str,
        response: &'a Response,
    ) -> Self {
        Self {
            call,
            method,
            url,
            response,
        }
    }

    /// The reply if its status says success.
    pub(crate) fn success(&self) -> Result<&'a Response, AcmeError> {
        match self.response.status {
            200..=299 => Ok(self.response),
            300..=399 => Err(self.error(AcmeErrorKind::Redirected {
                location: self
                    .response
                    .header("location")
                    .map(|to| excerpt::one_line(without_query(to), excerpt::EXCERPT)),
            })),
            _ => Err(self.error(AcmeErrorKind::Refused)),
        }
    }

    /// The JSON object of a successful reply.
    pub(crate) fn object<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        let response = self.success()?;
        serde_json::from_slice(&response.body).map_err(|error| {
            let cause = error.to_string();
            match error.classify() {
                serde_json::error::Category::Data => self.malformed(&cause),
                _ => self.error(AcmeErrorKind::NotJson {
                    cause: excerpt::one_line(&cause, excerpt::EXCERPT),
                }),
            }
        })
    }

    /// The URL in the `location` header.
    pub(crate) fn location(&self) -> Result<String, AcmeError> {
        let name = "location";
        match self.response.header(name) {
            Some(value) => self.followable(name, value.trim().to_owned()),
            None if self.is_page() => Err(self.error(AcmeErrorKind::NotJson {
                cause: format!("no {name} header either"),
            })),
            None => Err(self.error(AcmeErrorKind::MissingHeader { name })),
        }
    }

    /// The URL, exactly as it is, if it may be followed.
    pub(crate) fn followable(
        &self,
        field: &'static str,
        value: String,
    ) -> Result<String, AcmeError> {
        match url::refusal(&value) {
            None => Ok(value),
            Some(reason) => Err(self.error(AcmeErrorKind::UnusableUrl {
                field,
                value: excerpt::one_line(without_query(&value), excerpt::EXCERPT),
                reason,
            })),
        }
    }

    /// When the CA wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<RetryAfter> {
        RetryAfter::of(self.response)
    }

    /// A reply that is JSON, but not the object it should be. The cause may quote the reply, so it
    /// is cleaned here.
    pub(crate) fn malformed(&self, cause: &str) -> AcmeError {
        let cause = excerpt::one_line(cause, excerpt::EXCERPT);
        self.error(AcmeErrorKind::Malformed { cause })
    }

    /// An object of that kind with a status that the RFC does not know.
    pub(crate) fn unknown_status(&self, object: &str, status: &str) -> AcmeError {
        self.malformed(&format!("the unknown status `{status}` of the {object}"))
    }

    /// True for a body that is neither empty nor JSON.
    fn is_page(&self) -> bool {
        let body = &self.response.body;
        let json = || serde_json::from_slice::<serde::de::IgnoredAny>(body);
        !body.is_empty() && json().is_err()
    }

    /// An error about this exchange with everything the reply says.
    pub(crate) fn error(&self, kind: AcmeErrorKind) -> AcmeError {
        let failed = !(200..=299).contains(&self.response.status);
        let problem = if failed {
            Problem::from_body(&self.response.body)
        } else {
            None
        };
        let excerpt = if problem.is_none() {
            excerpt::of_body(&self.response.body)
        } else {
            None
        };
        let linked = |relation| {
            link::targets(self.response, relation)
                .into_iter()
                .find(|to| url::refusal(to).is_none())
        };
        Report {
            call: self.call,
            method: self.method,
            url: without_query(self.url).to_owned(),
            status: Some(self.response.status),
            problem,
            retry_after: self.retry_after(),
            elapsed: self.response.elapsed,
            excerpt,
            page: self.is_page(),
            terms_of_service: linked("terms-of-service"),
            help: linked("help"),
            kind,
        }
        .into()
    }
}
