//! Challenges: one way to show control of a name (RFC 8555 sections 7.1.5, 7.5.1 and 8).
//!
//! To answer one is to say "look now": the payload is an empty *object*, while reading it takes an
//! empty payload. The value to publish comes from [`dns01_value`](crate::jws::dns01_value).

use std::fmt;

use serde_json::Value;

use crate::directory::Directory;
use crate::error::AcmeError;
use crate::excerpt::{EXCERPT, one_line};
use crate::exchange::Exchange;
use crate::jws::{SignError, Signer, is_base64url};
use crate::problem::Problem;
use crate::retry_after::RetryAfter;
use crate::session::{Call, Target};

/// A challenge as the CA sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Where it is answered.
    pub url: String,
    /// Its type.
    pub kind: ChallengeKind,
    /// How far it is.
    pub status: ChallengeStatus,
    /// The token: base64url characters only, checked. Types that need none have none.
    pub token: Option<String>,
    /// Why it failed. Some CAs give no reason.
    pub error: Option<Problem>,
}

/// The type of a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// A TXT record at `_acme-challenge` (RFC 8555 section 8.4).
    Dns01,
    /// A file on the web server (RFC 8555 section 8.3).
    Http01,
    /// A certificate in a TLS handshake (RFC 8737).
    TlsAlpn01,
    /// A TXT record at a label of the account (draft-ietf-acme-dns-account-label).
    DnsAccount01,
    /// A TXT record that stays (draft-ietf-acme-dns-persist).
    DnsPersist01,
    /// Any other, as written.
    Other(String),
}

/// How far a challenge is (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChallengeStatus {
    /// Not answered yet.
    Pending,
    /// The CA is looking.
    Processing,
    /// The CA saw what it wanted.
    Valid,
    /// The CA did not, and will not look again.
    Invalid,
}

impl ChallengeKind {
    /// Reads the `type` member.
    pub fn parse(text: &str) -> Self {
        match text {
            "dns-01" => Self::Dns01,
            "http-01" => Self::Http01,
            "tls-alpn-01" => Self::TlsAlpn01,
            "dns-account-01" => Self::DnsAccount01,
            "dns-persist-01" => Self::DnsPersist01,
            other => Self::Other(one_line(other, EXCERPT)),
        }
    }

    /// The `type` member.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dns01 => "dns-01",
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Other(text) => text,
        }
    }

    /// True if the RFC of the type builds its proof from a token.
    const fn needs_token(&self) -> bool {
        matches!(
            self,
            Self::Dns01 | Self::Http01 | Self::TlsAlpn01 | Self::DnsAccount01
        )
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reply to [`AnswerChallenge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeReply {
    /// The challenge.
    pub challenge: Challenge,
    /// When the CA wants to be asked again.
    pub retry_after: Option<RetryAfter>,
}

/// Tells the CA that the proof is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerChallenge {
    /// The challenge's URL.
    pub url: String,
}

impl Call for AnswerChallenge {
    type Reply = ChallengeReply;

    const NAME: &'static str = "answer the challenge";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(b"{}".to_vec())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<ChallengeReply, AcmeError> {
        let value: Value = exchange.object()?;
        let challenge = Challenge::read(exchange, &value)?;
        Ok(ChallengeReply {
            challenge,
            retry_after: exchange.retry_after(),
        })
    }
}

impl Challenge {
    /// Reads one of the challenges of an authorization; none for a type that we do not know in a
    /// shape that we cannot read, since it may be anything.
    pub(crate) fn read_offered(
        exchange: &Exchange<'_>,
        value: &Value,
    ) -> Result<Option<Self>, AcmeError> {
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .map(ChallengeKind::parse);
        match (kind, Self::read(exchange, value)) {
            (_, Ok(challenge)) => Ok(Some(challenge)),
            (None | Some(ChallengeKind::Other(_) | ChallengeKind::DnsPersist01), Err(_foreign)) => {
                Ok(None)
            }
            (Some(_), Err(error)) => Err(error),
        }
    }

    fn read(exchange: &Exchange<'_>, value: &Value) -> Result<Self, AcmeError> {
        let text = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| exchange.malformed(&format!("a challenge without `{name}`")))
        };
        let kind = ChallengeKind::parse(text("type")?);
        let status = match text("status")? {
            "pending" => ChallengeStatus::Pending,
            "processing" => ChallengeStatus::Processing,
            "valid" => ChallengeStatus::Valid,
            "invalid" => ChallengeStatus::Invalid,
            other => return Err(exchange.unknown_status("challenge", other)),
        };
        let token = match value.get("token").and_then(Value::as_str) {
            Some(token) if is_base64url(token) => Some(token.to_owned()),
            Some(_) if kind.needs_token() => {
                return Err(exchange.malformed(&format!(
                    "the token of a {kind} challenge holds characters outside base64url"
                )));
            }
            _ => None,
        };
        Ok(Self {
            url: exchange.followable("a challenge", text("url")?.to_owned())?,
            kind,
            status,
            token,
            error: value.get("error").and_then(Problem::from_value),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::AcmeErrorKind;
    use crate::tests::fixture::{answered, reply};

    const URL: &str = "https://ca.example/challenge/1";

    fn read(body: &Value) -> Result<ChallengeReply, AcmeError> {
        answered(
            &AnswerChallenge {
                url: URL.to_owned(),
            },
            &reply(200, &[], &body.to_string()),
        )
    }

    #[test]
    fn a_token_that_is_not_base64url_is_refused() {
        for token in ["", "a b", "a=", "../../etc", "a\u{1b}b", "é"] {
            for kind in ["dns-01", "http-01", "tls-alpn-01", "dns-account-01"] {
                let body = json!({ "type": kind, "url": URL, "status": "pending", "token": token });
                let cause =
                    format!("the token of a {kind} challenge holds characters outside base64url");
                let kind = read(&body).map_err(|error| error.kind.clone());
                assert_eq!(kind, Err(AcmeErrorKind::Malformed { cause }));
            }
        }
    }

    #[test]
    fn a_failed_challenge_says_why() {
        let body = json!({
            "type": "dns-01", "url": URL, "status": "invalid", "token": "abc",
            "error": { "type": "urn:ietf:params:acme:error:dns", "detail": "SERVFAIL" },
        });
        let challenge = read(&body).expect("a challenge").challenge;
        assert_eq!(challenge.status, ChallengeStatus::Invalid);
        assert_eq!(
            challenge.error.map(|e| e.to_string()).as_deref(),
            Some("dns: SERVFAIL")
        );
    }

    #[test]
    fn every_type_reads_back_what_it_writes() {
        for name in [
            "dns-01",
            "http-01",
            "tls-alpn-01",
            "dns-account-01",
            "dns-persist-01",
            "email-00",
        ] {
            assert_eq!(ChallengeKind::parse(name).as_str(), name);
        }
    }
}
