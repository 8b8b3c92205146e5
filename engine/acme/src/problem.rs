//! Problem documents (RFC 7807 as RFC 8555 section 6.7 uses it) with subproblems.
//!
//! Read tolerantly: they are the CA's explanation, and a small flaw in it must not hide the rest.
//! All text is cleaned when it is read, so that it can go to a terminal.

use std::fmt;

use serde_json::Value;

use crate::excerpt::{SENTENCE, one_line};

/// What the CA says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The type.
    pub kind: ProblemKind,
    /// The CA's sentence; its title if there is no detail.
    pub detail: Option<String>,
    /// The status in the document, which is not always that of the reply.
    pub status: Option<u16>,
    /// A URL about this occurrence, for instance where to agree to new terms of service.
    pub instance: Option<String>,
    /// Problems of single names (RFC 8555 section 6.7.1).
    pub subproblems: Vec<Subproblem>,
}

/// A problem of one name in a request for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subproblem {
    /// The name as the CA wrote it, if the problem is about one.
    pub identifier: Option<String>,
    /// The type.
    pub kind: ProblemKind,
    /// The CA's sentence.
    pub detail: Option<String>,
}

impl Problem {
    /// Reads a body; none if it is no problem document at all.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        Self::from_value(&serde_json::from_slice(body).ok()?)
    }

    /// Reads a JSON value; none for anything but an object with something to say. Some CAs send
    /// `"error": {}`, which says no more than no error object.
    pub fn from_value(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let kind = object
            .get("type")
            .and_then(Value::as_str)
            .map(ProblemKind::parse);
        let detail = text(value, "detail").or_else(|| text(value, "title"));
        let subproblems: Vec<Subproblem> = value
            .get("subproblems")
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(Subproblem::from_value).collect())
            .unwrap_or_default();
        if kind.is_none() && detail.is_none() && subproblems.is_empty() {
            return None;
        }
        Some(Self {
            kind: kind.unwrap_or(ProblemKind::Unspecified),
            detail,
            status: value.get("status").and_then(status),
            instance: text(value, "instance"),
            subproblems,
        })
    }

    /// True if a name itself is refused, or one of several, and not what was seen in its DNS: another
    /// try gets the same answer until the CA's rules or the name's CAA records are others.
    pub fn is_about_the_name(&self) -> bool {
        let kinds = self.subproblems.iter().map(|one| &one.kind);
        std::iter::once(&self.kind)
            .chain(kinds)
            .any(ProblemKind::is_about_the_name)
    }
}

/// `type: detail; name: type: detail; …`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_problem(f, &self.kind, self.detail.as_deref())?;
        for subproblem in &self.subproblems {
            write!(f, "; {subproblem}")?;
        }
        Ok(())
    }
}

impl Subproblem {
    fn from_value(value: &Value) -> Option<Self> {
        value.as_object()?;
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .map(ProblemKind::parse);
        let detail = text(value, "detail").or_else(|| text(value, "title"));
        let identifier = value.get("identifier").and_then(|id| text(id, "value"));
        if kind.is_none() && detail.is_none() && identifier.is_none() {
            return None;
        }
        Some(Self {
            identifier,
            kind: kind.unwrap_or(ProblemKind::Unspecified),
            detail,
        })
    }
}

impl fmt::Display for Subproblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier}: ")?;
        }
        write_problem(f, &self.kind, self.detail.as_deref())
    }
}

fn write_problem(
    f: &mut fmt::Formatter<'_>,
    kind: &ProblemKind,
    detail: Option<&str>,
) -> fmt::Result {
    match (kind, detail) {
        (ProblemKind::Unspecified, Some(detail)) => f.write_str(detail),
        (kind, Some(detail)) => write!(f, "{kind}: {detail}"),
        (kind, None) => write!(f, "{kind}"),
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    let line = one_line(value.get(name)?.as_str()?, SENTENCE);
    Some(line).filter(|line| !line.is_empty())
}

/// A number, or a number in quotes.
fn status(value: &Value) -> Option<u16> {
    match value {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The type of a problem: the registry of RFC 8555 section 6.7 and its additions.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $variant,)*
            /// The document names no type.
            Unspecified,
            /// A type outside the registry, as written.
            Other(String),
        }

        impl ProblemKind {
            /// Reads the `type` member. The prefix that CAs used before the RFC is understood too.
            pub fn parse(uri: &str) -> Self {
                let name = uri
                    .strip_prefix("urn:ietf:params:acme:error:")
                    .or_else(|| uri.strip_prefix("urn:acme:error:"));
                match name {
                    $(Some($name) => Self::$variant,)*
                    _ if uri.is_empty() || uri == "about:blank" => Self::Unspecified,
                    _ => Self::Other(one_line(uri, SENTENCE)),
                }
            }

            /// The last part of the type's URN, or the whole of a foreign type.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unspecified => "an error without a type",
                    Self::Other(uri) => uri,
                }
            }

            /// See [`Problem::is_about_the_name`].
            const fn is_about_the_name(&self) -> bool {
                matches!(
                    self,
                    Self::Caa | Self::RejectedIdentifier | Self::UnsupportedIdentifier
                )
            }

            /// Every type of the registry.
            #[cfg(test)]
            const REGISTERED: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

kinds! {
    /// The account does not exist.
    AccountDoesNotExist = "accountDoesNotExist",
    /// The certificate is revoked already.
    AlreadyRevoked = "alreadyRevoked",
    /// The predecessor named in `replaces` has a successor already (RFC 9773 section 7.4).
    AlreadyReplaced = "alreadyReplaced",
    /// The CSR is not acceptable, for instance a weak key.
    BadCsr = "badCSR",
    /// The nonce is not acceptable; send again with a fresh one.
    BadNonce = "badNonce",
    /// The account key is not acceptable.
    BadPublicKey = "badPublicKey",
    /// The reason for the revocation is not allowed.
    BadRevocationReason = "badRevocationReason",
    /// The algorithm of the account key is not supported.
    BadSignatureAlgorithm = "badSignatureAlgorithm",
    /// CAA records forbid the CA to issue.
    Caa = "caa",
    /// Several problems; see the subproblems.
    Compound = "compound",
    /// The CA could not connect to the validation target.
    Connection = "connection",
    /// A DNS query of the CA failed during validation.
    Dns = "dns",
    /// The request needs an external account binding.
    ExternalAccountRequired = "externalAccountRequired",
    /// The challenge was answered with the wrong value.
    IncorrectResponse = "incorrectResponse",
    /// A contact URL is invalid.
    InvalidContact = "invalidContact",
    /// The CA does not offer the profile (draft-ietf-acme-profiles).
    InvalidProfile = "invalidProfile",
    /// The request is malformed.
    Malformed = "malformed",
    /// Finalize came before the order was ready.
    OrderNotReady = "orderNotReady",
    /// Too many requests, or the CA is overloaded.
    RateLimited = "rateLimited",
    /// The CA does not issue for this name.
    RejectedIdentifier = "rejectedIdentifier",
    /// The CA has an internal error.
    ServerInternal = "serverInternal",
    /// The CA got a TLS error during validation.
    Tls = "tls",
    /// The account may not do that.
    Unauthorized = "unauthorized",
    /// A contact URL has a scheme that the CA does not support.
    UnsupportedContact = "unsupportedContact",
    /// The CA does not issue for that kind of identifier.
    UnsupportedIdentifier = "unsupportedIdentifier",
    /// Somebody has to visit the URL in `instance`.
    UserActionRequired = "userActionRequired",
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn some_problems_are_about_the_name_and_the_others_about_the_moment() {
        let about = |kind: &str, below: &[&str]| {
            let below = below
                .iter()
                .map(|kind| json!({ "type": urn(kind), "detail": "d" }));
            let below: Vec<_> = below.collect();
            let problem = json!({ "type": urn(kind), "detail": "d", "subproblems": below });
            let problem = Problem::from_value(&problem).expect("a problem");
            problem.is_about_the_name()
        };
        let firm = ["caa", "rejectedIdentifier", "unsupportedIdentifier"];
        for kind in ProblemKind::REGISTERED {
            let kind = kind.as_str();
            assert_eq!(about(kind, &[]), firm.contains(&kind), "{kind}");
        }
        assert!(!about("somethingNew", &[]));
        assert!(about("compound", &["caa"]));
        // One name of several is enough: the order would fail again.
        assert!(about("compound", &["dns", "rejectedIdentifier"]));
        assert!(!about(
            "compound",
            &["dns", "unauthorized", "incorrectResponse"]
        ));
        assert!(!about("compound", &[]));
    }

    fn urn(kind: &str) -> String {
        format!("urn:ietf:params:acme:error:{kind}")
    }

    #[test]
    fn every_registered_type_reads_back_what_it_writes() {
        for kind in ProblemKind::REGISTERED {
            let name = kind.as_str();
            for prefix in ["urn:ietf:params:acme:error:", "urn:acme:error:"] {
                assert_eq!(ProblemKind::parse(&format!("{prefix}{name}")), *kind);
            }
        }
        assert_eq!(ProblemKind::parse("about:blank"), ProblemKind::Unspecified);
        let foreign = "https://ca.example/errors/7";
        assert_eq!(
            ProblemKind::parse(foreign),
            ProblemKind::Other(foreign.to_owned())
        );
    }

    #[test]
    fn a_flaw_in_a_problem_does_not_hide_the_rest() {
        let check = |value: Value, want: Option<&str>| {
            let problem = Problem::from_value(&value).map(|problem| problem.to_string());
            assert_eq!(problem.as_deref(), want, "{value}");
        };
        check(json!({}), None);
        check(json!(null), None);
        check(json!("malformed"), None);
        check(json!({ "status": 500 }), None);
        check(
            json!({ "detail": "no\u{1b}[31m\nway" }),
            Some("no [31m way"),
        );
        check(json!({ "title": "No" }), Some("No"));
        check(
            json!({ "type": "urn:ietf:params:acme:error:caa" }),
            Some("caa"),
        );
        check(
            json!({ "type": 7, "detail": "d", "status": "x", "subproblems": "none" }),
            Some("d"),
        );
        check(
            json!({
                "type": "urn:ietf:params:acme:error:compound",
                "subproblems": [{}, null, { "identifier": { "value": "a.example" } },
                    { "type": "urn:ietf:params:acme:error:dns", "detail": "SERVFAIL" }],
            }),
            Some("compound; a.example: an error without a type; dns: SERVFAIL"),
        );
    }

    #[test]
    fn the_status_may_be_a_number_or_a_text() {
        let check = |status: Value, want: Option<u16>| {
            let problem = Problem::from_value(&json!({ "detail": "d", "status": status }));
            assert_eq!(problem.and_then(|problem| problem.status), want);
        };
        check(json!(403), Some(403));
        check(json!("403"), Some(403));
        check(json!(70000), None);
        check(json!(null), None);
    }
}
