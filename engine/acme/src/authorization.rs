//! Authorizations: the CA's view of one name (RFC 8555 sections 7.1.4 and 7.5).
//!
//! They are not in the order of the identifiers, and that of a wildcard names the domain without
//! `*.`: match them by [`Authorization::covers`], never by position.

use serde::Deserialize;
use serde_json::{Value, json};
use waxwing_core::name::{DomainName, Identifier};
use waxwing_core::time::Timestamp;

use crate::challenge::{Challenge, ChallengeKind};
use crate::directory::Directory;
use crate::error::AcmeError;
use crate::exchange::Exchange;
use crate::identifier::IdentifierWire;
use crate::jws::{SignError, Signer};
use crate::problem::Problem;
use crate::retry_after::RetryAfter;
use crate::session::{Call, Target};

/// An authorization as the CA sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The name, without `*.`.
    pub identifier: DomainName,
    /// True if it is for everything one label below the name.
    pub wildcard: bool,
    /// Whether control of the name is shown.
    pub status: AuthorizationStatus,
    /// The ways to show it. After success some CAs list only the one that was used.
    pub challenges: Vec<Challenge>,
    /// When the CA forgets it.
    pub expires: Option<Timestamp>,
    /// When the CA wants to be asked again.
    pub retry_after: Option<RetryAfter>,
}

/// Whether control of a name is shown (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationStatus {
    /// Not yet.
    Pending,
    /// It is; nothing is left to do for this name.
    Valid,
    /// It failed.
    Invalid,
    /// The account gave it up.
    Deactivated,
    /// It was shown too long ago.
    Expired,
    /// The CA took it back.
    Revoked,
}

impl Authorization {
    /// The name as an order writes it.
    pub fn covers(&self) -> Identifier {
        Identifier {
            domain: self.identifier.clone(),
            wildcard: self.wildcard,
        }
    }

    /// The challenge of that kind, if the CA offers it.
    pub fn challenge(&self, kind: &ChallengeKind) -> Option<&Challenge> {
        self.challenges
            .iter()
            .find(|challenge| challenge.kind == *kind)
    }

    /// Why it failed: the first reason that any of its challenges gives.
    pub fn error(&self) -> Option<&Problem> {
        self.challenges
            .iter()
            .find_map(|challenge| challenge.error.as_ref())
    }
}

/// Reads an authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAuthorization {
    /// Its URL.
    pub url: String,
}

impl Call for ReadAuthorization {
    type Reply = Authorization;

    const NAME: &'static str = "read the authorization";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(Vec::new())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Authorization, AcmeError> {
        read_authorization(exchange)
    }
}

/// Gives an authorization up, so that the CA stops trying and a later order starts afresh (RFC 8555
/// section 7.5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivateAuthorization {
    /// Its URL.
    pub url: String,
}

impl Call for DeactivateAuthorization {
    type Reply = Authorization;

    const NAME: &'static str = "deactivate the authorization";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(json!({ "status": "deactivated" }).to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Authorization, AcmeError> {
        read_authorization(exchange)
    }
}

#[derive(Deserialize)]
struct AuthorizationWire {
    identifier: IdentifierWire,
    wildcard: Option<bool>,
    status: String,
    challenges: Option<Vec<Value>>,
    expires: Option<String>,
}

fn read_authorization(exchange: &Exchange<'_>) -> Result<Authorization, AcmeError> {
    let wire: AuthorizationWire = exchange.object()?;
    let status = match wire.status.as_str() {
        // `processing` is no status of an authorization in the RFC, but CAs that retry by
        // themselves have sent it; nothing is decided yet.
        "pending" | "processing" => AuthorizationStatus::Pending,
        "valid" => AuthorizationStatus::Valid,
        "invalid" => AuthorizationStatus::Invalid,
        "deactivated" => AuthorizationStatus::Deactivated,
        "expired" => AuthorizationStatus::Expired,
        "revoked" => AuthorizationStatus::Revoked,
        other => return Err(exchange.unknown_status("authorization", other)),
    };
    let name = wire.identifier.dns(exchange)?;
    let (name, starred) = match name.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let identifier =
        DomainName::parse(name).map_err(|error| exchange.malformed(&error.to_string()))?;
    let mut challenges = Vec::new();
    for value in wire.challenges.unwrap_or_default() {
        challenges.extend(Challenge::read_offered(exchange, &value)?);
    }
    Ok(Authorization {
        identifier,
        wildcard: starred || wire.wildcard.unwrap_or_default(),
        status,
        challenges,
        expires: wire.expires.and_then(|text| Timestamp::parse(&text).ok()),
        retry_after: exchange.retry_after(),
    })
}
