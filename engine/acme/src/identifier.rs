//! Identifiers as they are written (RFC 8555 section 9.7.7).

use serde::Deserialize;

use crate::error::AcmeError;
use crate::exchange::Exchange;

/// An identifier of an order or an authorization.
#[derive(Deserialize)]
pub(crate) struct IdentifierWire {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

impl IdentifierWire {
    /// The name. Other types than `dns` are never asked for, so an answer about one is wrong.
    pub(crate) fn dns(&self, exchange: &Exchange<'_>) -> Result<&str, AcmeError> {
        if self.kind == "dns" {
            Ok(&self.value)
        } else {
            Err(exchange.malformed(&format!("an identifier of the type `{}`", self.kind)))
        }
    }
}
