//! Why there are no credentials.

use std::fmt;
use std::time::Duration;

use waxwing_core::failure::FailureClass;

use super::HmacKeyError;
use crate::retry_after::RetryAfter;

/// Credentials that could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EabError {
    /// The URL without its query.
    pub url: String,
    /// The status of the reply; none if nothing was sent.
    pub status: Option<u16>,
    /// When the API wants to be asked again.
    pub retry_after: Option<RetryAfter>,
    /// From sending to the last byte of the reply; zero if nothing was sent.
    pub elapsed: Duration,
    /// What is wrong.
    pub kind: EabErrorKind,
}

/// What is wrong with fetching credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EabErrorKind {
    /// A template needs a value that the configuration does not have.
    Missing(Placeholder),
    /// The profile describes a request that cannot be made.
    Description(String),
    /// The API answered with an error status or without success.
    Refused {
        /// What the API says about it.
        reason: Option<String>,
    },
    /// The answer is not JSON.
    NotJson,
    /// The answer holds no text at that JSON pointer.
    Absent(String),
    /// The MAC key is not base64.
    Key(HmacKeyError),
}

/// A value that fields are filled in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// `{email}`
    Email,
    /// `{api-key}`
    ApiKey,
}

impl EabError {
    /// What can be done about it.
    pub fn class(&self) -> FailureClass {
        match (&self.kind, self.status) {
            (EabErrorKind::Missing(_) | EabErrorKind::Description(_), _) => {
                FailureClass::Misconfigured
            }
            (_, Some(429)) => FailureClass::RateLimited,
            (EabErrorKind::NotJson, _) | (_, Some(408 | 500..)) => FailureClass::Transient,
            (EabErrorKind::Refused { .. }, _) => FailureClass::Misconfigured,
            (EabErrorKind::Absent(_) | EabErrorKind::Key(_), _) => FailureClass::Bug,
        }
    }

    /// What the operator can do, on one line.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            EabErrorKind::Missing(Placeholder::Email) => "set email in [account]",
            EabErrorKind::Missing(Placeholder::ApiKey) => {
                "set eab = { api-key = \"file:…\" } in the CA's section"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl std::error::Error for EabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            EabErrorKind::Key(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for EabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch credentials from the CA: {}", self.url)?;
        if let Some(status) = self.status {
            write!(
                f,
                " answered {status} after {} ms",
                self.elapsed.as_millis()
            )?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl fmt::Display for EabErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(Placeholder::Email) => f.write_str("it needs an e-mail address"),
            Self::Missing(Placeholder::ApiKey) => f.write_str("it needs an API key"),
            Self::Description(what) => write!(f, "the profile cannot be used: {what}"),
            Self::Refused {
                reason: Some(reason),
            } => write!(f, "refused: {reason}"),
            Self::Refused { reason: None } => f.write_str("refused without a reason"),
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::Absent(pointer) => write!(f, "the answer holds no text at `{pointer}`"),
            Self::Key(_) => f.write_str("the MAC key in the answer cannot be used"),
        }
    }
}
