//! Orders: placing, reading, finalizing (RFC 8555 sections 7.1.3 and 7.4).
//!
//! Only the reply to newOrder is sure to say where the order is. Its URL is the one thing to store
//! before anything else: the CA's list of orders exists at hardly any CA.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use waxwing_core::name::Identifier;
use waxwing_core::time::Timestamp;

use crate::directory::Directory;
use crate::error::{AcmeError, AcmeErrorKind};
use crate::exchange::Exchange;
use crate::identifier::IdentifierWire;
use crate::jws::{SignError, Signer, base64url};
use crate::problem::Problem;
use crate::retry_after::RetryAfter;
use crate::session::{Call, Target};

/// An order as the CA sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// How far it is.
    pub status: OrderStatus,
    /// When the CA forgets it.
    pub expires: Option<Timestamp>,
    /// The names, in the CA's order.
    pub identifiers: Vec<Identifier>,
    /// The start of validity that was asked for, if the CA repeats it.
    pub not_before: Option<Timestamp>,
    /// The end of validity that was asked for, if the CA repeats it.
    pub not_after: Option<Timestamp>,
    /// Why it is invalid. Some CAs give no reason here; the authorizations may know it.
    pub error: Option<Problem>,
    /// URLs of the authorizations, in no promised order.
    pub authorizations: Vec<String>,
    /// Where the CSR goes.
    pub finalize: String,
    /// Where the certificate is, once the order is valid.
    pub certificate: Option<String>,
    /// The profile that applies, if the CA repeats it.
    pub profile: Option<String>,
    /// The predecessor. RFC 9773 wants it repeated; not all CAs do.
    pub replaces: Option<String>,
}

/// How far an order is (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// Waits for the CSR.
    Ready,
    /// The certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// Failed, expired or given up.
    Invalid,
}

/// The reply to [`NewOrder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderReply {
    /// Where the order is.
    pub url: String,
    /// The order.
    pub order: Order,
    /// When the CA wants to be asked again.
    pub retry_after: Option<RetryAfter>,
}

/// The reply to [`ReadOrder`] and [`Finalize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderState {
    /// The order.
    pub order: Order,
    /// When the CA wants to be asked again.
    pub retry_after: Option<RetryAfter>,
}

/// Places an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The names.
    pub identifiers: Vec<Identifier>,
    /// A profile of [`Meta::profiles`](crate::directory::Meta::profiles).
    pub profile: Option<String>,
    /// The predecessor's [`certificate_id`](crate::ari::certificate_id). Only for a certificate
    /// that this account got from this CA; else the order is refused for it.
    pub replaces: Option<String>,
    /// The wanted end of validity, for CAs that allow the wish.
    pub not_after: Option<Timestamp>,
}

impl Call for NewOrder {
    type Reply = OrderReply;

    const NAME: &'static str = "place the order";

    fn target<'a>(&'a self, directory: &'a Directory) -> Target<'a> {
        Target::Url(&directory.new_order)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let identifiers: Vec<Value> = self
            .identifiers
            .iter()
            .map(|identifier| json!({ "type": "dns", "value": identifier.to_wire() }))
            .collect();
        let mut payload = json!({ "identifiers": identifiers });
        if let Some(profile) = &self.profile {
            payload["profile"] = json!(profile);
        }
        if let Some(replaces) = &self.replaces {
            payload["replaces"] = json!(replaces);
        }
        if let Some(not_after) = self.not_after {
            payload["notAfter"] = json!(not_after.to_string());
        }
        Ok(payload.to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<OrderReply, AcmeError> {
        exchange.success()?;
        let order = read_order(exchange)?;
        let url = exchange.location()?;
        let asked: BTreeSet<&Identifier> = self.identifiers.iter().collect();
        let answered: BTreeSet<&Identifier> = order.identifiers.iter().collect();
        if asked != answered {
            let names = |one: &BTreeSet<&Identifier>, other: &BTreeSet<&Identifier>| {
                one.difference(other)
                    .map(|identifier| identifier.to_wire())
                    .collect()
            };
            return Err(exchange.error(AcmeErrorKind::IdentifiersChanged {
                missing: names(&asked, &answered),
                added: names(&answered, &asked),
            }));
        }
        Ok(OrderReply {
            url,
            order,
            retry_after: exchange.retry_after(),
        })
    }
}

/// Reads an order, also to take it up again after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOrder {
    /// Its URL.
    pub url: String,
}

impl Call for ReadOrder {
    type Reply = OrderState;

    const NAME: &'static str = "read the order";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(Vec::new())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<OrderState, AcmeError> {
        Ok(OrderState {
            order: read_order(exchange)?,
            retry_after: exchange.retry_after(),
        })
    }
}

/// Hands in the CSR. The reply is often an order that is still processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalize {
    /// The order's `finalize` URL.
    pub url: String,
    /// The CSR in DER. Its names must be the order's.
    pub csr_der: Vec<u8>,
}

impl Call for Finalize {
    type Reply = OrderState;

    const NAME: &'static str = "finalize the order";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.url)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(json!({ "csr": base64url(&self.csr_der) })
            .to_string()
            .into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<OrderState, AcmeError> {
        Ok(OrderState {
            order: read_order(exchange)?,
            retry_after: exchange.retry_after(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderWire {
    status: String,
    expires: Option<String>,
    identifiers: Vec<IdentifierWire>,
    not_before: Option<String>,
    not_after: Option<String>,
    error: Option<Value>,
    authorizations: Option<Vec<String>>,
    finalize: String,
    certificate: Option<String>,
    profile: Option<String>,
    replaces: Option<String>,
}

fn read_order(exchange: &Exchange<'_>) -> Result<Order, AcmeError> {
    let wire: OrderWire = exchange.object()?;
    let status = match wire.status.as_str() {
        "pending" => OrderStatus::Pending,
        "ready" => OrderStatus::Ready,
        "processing" => OrderStatus::Processing,
        "valid" => OrderStatus::Valid,
        "invalid" => OrderStatus::Invalid,
        other => return Err(exchange.unknown_status("order", other)),
    };
    let identifiers = wire
        .identifiers
        .into_iter()
        .map(|identifier| read_identifier(exchange, &identifier))
        .collect::<Result<_, _>>()?;
    let authorizations = wire
        .authorizations
        .unwrap_or_default()
        .into_iter()
        .map(|url| exchange.followable("authorizations", url))
        .collect::<Result<Vec<_>, _>>()?;
    if status == OrderStatus::Pending && authorizations.is_empty() {
        return Err(exchange.malformed("a pending order without authorizations"));
    }
    let certificate = wire
        .certificate
        .map(|url| exchange.followable("certificate", url))
        .transpose()?;
    Ok(Order {
        status,
        expires: time(wire.expires),
        identifiers,
        not_before: time(wire.not_before),
        not_after: time(wire.not_after),
        error: wire.error.as_ref().and_then(Problem::from_value),
        authorizations,
        finalize: exchange.followable("finalize", wire.finalize)?,
        certificate,
        profile: wire.profile,
        replaces: wire.replaces,
    })
}

fn read_identifier(
    exchange: &Exchange<'_>,
    wire: &IdentifierWire,
) -> Result<Identifier, AcmeError> {
    Identifier::parse(wire.dns(exchange)?).map_err(|error| exchange.malformed(&error.to_string()))
}

/// A time nobody can read is no reason to lose the order.
fn time(text: Option<String>) -> Option<Timestamp> {
    Timestamp::parse(&text?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::{ORDER_URL, answered, opened, order_json, reply, requested};

    fn read(body: &Value) -> Result<OrderState, AcmeError> {
        let call = ReadOrder {
            url: ORDER_URL.to_owned(),
        };
        answered(&call, &reply(200, &[], &body.to_string()))
    }

    #[test]
    fn all_of_an_order_is_read() {
        let mut body = order_json("valid", &["example.com", "*.example.com"]);
        body["certificate"] = json!("https://ca.example/cert/1");
        body["profile"] = json!("short");
        body["replaces"] = json!("a.b");
        body["notAfter"] = json!("2026-12-31T00:00:00.5Z");
        body["error"] = json!({ "type": "urn:ietf:params:acme:error:caa", "detail": "no" });
        let order = read(&body).expect("an order").order;
        let name = |text| Identifier::parse(text).expect("a literal name");
        let time = |text| Timestamp::parse(text).expect("a literal time");
        assert_eq!(
            order,
            Order {
                status: OrderStatus::Valid,
                expires: Some(time("2026-12-01T00:00:00Z")),
                identifiers: vec![name("example.com"), name("*.example.com")],
                not_before: None,
                not_after: Some(time("2026-12-31T00:00:00.5Z")),
                error: Problem::from_value(&body["error"]),
                authorizations: vec!["https://ca.example/authz/1".to_owned()],
                finalize: "https://ca.example/order/1/finalize".to_owned(),
                certificate: Some("https://ca.example/cert/1".to_owned()),
                profile: Some("short".to_owned()),
                replaces: Some("a.b".to_owned()),
            }
        );
    }

    #[test]
    fn an_order_that_cannot_be_worked_with_is_refused() {
        let check = |field: &str, value: Value, want: &str| {
            let mut body = order_json("pending", &["example.com"]);
            body[field] = value;
            let error = read(&body).expect_err("a flaw");
            let AcmeErrorKind::Malformed { cause } = &error.kind else {
                panic!("{error}")
            };
            assert_eq!(cause, want);
        };
        check(
            "status",
            json!("done"),
            "the unknown status `done` of the order",
        );
        check(
            "authorizations",
            json!([]),
            "a pending order without authorizations",
        );
        check(
            "authorizations",
            json!(null),
            "a pending order without authorizations",
        );
        let address = json!([{ "type": "ip", "value": "192.0.2.1" }]);
        check("identifiers", address, "an identifier of the type `ip`");
        let odd = json!([{ "type": "dns", "value": "a\u{1b}.example" }]);
        check(
            "identifiers",
            odd,
            "`a ` holds a character that a domain name cannot have",
        );
    }

    #[test]
    fn every_url_of_an_order_is_https() {
        for field in ["finalize", "certificate"] {
            let mut body = order_json("valid", &["example.com"]);
            body[field] = json!("http://ca.example/x");
            let kind = read(&body).map_err(|error| error.kind.clone());
            let reason = "it does not begin with https://";
            let value = "http://ca.example/x".to_owned();
            assert_eq!(
                kind,
                Err(AcmeErrorKind::UnusableUrl {
                    field,
                    value,
                    reason
                })
            );
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_does_not_cost_the_order() {
        let mut body = order_json("ready", &["example.com"]);
        body["expires"] = json!("next week");
        assert_eq!(read(&body).expect("an order").order.expires, None);
    }

    #[test]
    fn a_profile_is_asked_for_by_name() {
        let call = NewOrder {
            identifiers: vec![Identifier::parse("*.example.com").expect("a literal name")],
            profile: Some("short".to_owned()),
            replaces: None,
            not_after: None,
        };
        assert_eq!(
            opened(&requested(&call).body).payload_json(),
            json!({
                "identifiers": [{ "type": "dns", "value": "*.example.com" }],
                "profile": "short",
            })
        );
    }
}
