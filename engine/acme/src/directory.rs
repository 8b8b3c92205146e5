//! The directory of a CA: where everything else is (RFC 8555 section 7.1.1).
//!
//! Unknown members are ignored: some CAs add a random one to each reply, so two replies that differ
//! need not mean a changed directory. Compare values of this type instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waxwing_core::http::{Method, Request, Response};

use crate::error::{AcmeError, AcmeErrorKind};
use crate::excerpt::{SENTENCE, one_line};
use crate::exchange::Exchange;
use crate::session;
use crate::user_agent::UserAgent;

/// Where a CA's resources are. Every URL in it is https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where the directory itself was read.
    pub url: String,
    /// Nonces.
    pub new_nonce: String,
    /// Accounts.
    pub new_account: String,
    /// Orders.
    pub new_order: String,
    /// Pre-authorization, seldom offered.
    pub new_authz: Option<String>,
    /// Revocation.
    pub revoke_cert: Option<String>,
    /// Account key rollover.
    pub key_change: Option<String>,
    /// Renewal information (RFC 9773), often at another host.
    pub renewal_info: Option<String>,
    /// About the CA.
    pub meta: Meta,
}

/// What a CA says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Where the current terms of service are.
    pub terms_of_service: Option<String>,
    /// The CA's page about its ACME server.
    pub website: Option<String>,
    /// Values of CAA records by which the CA recognises itself.
    pub caa_identities: Vec<String>,
    /// True if newAccount fails without an external account binding.
    pub external_account_required: bool,
    /// Certificate profiles on offer: name and description (draft-ietf-acme-profiles).
    pub profiles: BTreeMap<String, String>,
}

/// Why a stored directory is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored directory cannot be used: {cause}")]
pub struct StoredDirectoryError {
    /// What is wrong with it.
    pub cause: String,
}

impl Directory {
    /// The request for the directory at that URL.
    pub fn request(url: &str, user_agent: &UserAgent) -> Request {
        Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: session::headers(user_agent, session::JSON),
            body: Vec::new(),
        }
    }

    /// Reads the reply to [`Directory::request`].
    pub fn read(url: &str, response: &Response) -> Result<Self, AcmeError> {
        let exchange = Exchange::new("read the directory", Method::Get, url, response);
        let wire: DirectoryWire = exchange.object().map_err(|error| match &error.kind {
            AcmeErrorKind::Malformed { cause } => {
                let cause = cause.clone();
                exchange.error(AcmeErrorKind::NotADirectory { cause })
            }
            _ => error,
        })?;
        wire.checked(url, |field, value| exchange.followable(field, value))
    }

    /// The directory as JSON for a cache.
    pub fn to_stored(&self) -> String {
        let wire = DirectoryWire::from(self);
        let stored = Stored {
            url: self.url.clone(),
            directory: wire,
        };
        serde_json::to_string(&stored).expect("strings, lists and maps of strings are always JSON")
    }

    /// Reads what [`Directory::to_stored`] wrote, with the same checks as for a reply.
    pub fn from_stored(text: &str) -> Result<Self, StoredDirectoryError> {
        let stored: Stored = serde_json::from_str(text).map_err(|error| StoredDirectoryError {
            cause: error.to_string(),
        })?;
        stored.directory.checked(&stored.url, |field, value| {
            match crate::url::refusal(&value) {
                None => Ok(value),
                Some(reason) => Err(StoredDirectoryError {
                    cause: format!("{field}: {reason}"),
                }),
            }
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    directory: DirectoryWire,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DirectoryWire {
    new_nonce: String,
    new_account: String,
    new_order: String,
    new_authz: Option<String>,
    revoke_cert: Option<String>,
    key_change: Option<String>,
    renewal_info: Option<String>,
    #[serde(default)]
    meta: Value,
}

impl DirectoryWire {
    fn checked<E>(
        self,
        url: &str,
        check: impl Fn(&'static str, String) -> Result<String, E>,
    ) -> Result<Directory, E> {
        // Servers that build the object from a template send an empty text for "not offered".
        let optional = |field, value: Option<String>| {
            value
                .filter(|value| !value.is_empty())
                .map(|value| check(field, value))
                .transpose()
        };
        Ok(Directory {
            url: url.to_owned(),
            new_nonce: check("newNonce", self.new_nonce)?,
            new_account: check("newAccount", self.new_account)?,
            new_order: check("newOrder", self.new_order)?,
            new_authz: optional("newAuthz", self.new_authz)?,
            revoke_cert: optional("revokeCert", self.revoke_cert)?,
            key_change: optional("keyChange", self.key_change)?,
            renewal_info: optional("renewalInfo", self.renewal_info)?,
            meta: Meta::from_value(&self.meta),
        })
    }
}

impl From<&Directory> for DirectoryWire {
    fn from(directory: &Directory) -> Self {
        Self {
            new_nonce: directory.new_nonce.clone(),
            new_account: directory.new_account.clone(),
            new_order: directory.new_order.clone(),
            new_authz: directory.new_authz.clone(),
            revoke_cert: directory.revoke_cert.clone(),
            key_change: directory.key_change.clone(),
            renewal_info: directory.renewal_info.clone(),
            meta: directory.meta.to_value(),
        }
    }
}

impl Meta {
    /// Reads what can be read: no flaw in here is worth losing the CA for. The texts are for
    /// people, so they are cleaned.
    fn from_value(value: &Value) -> Self {
        let line = |value: &Value| value.as_str().map(|text| one_line(text, SENTENCE));
        let caa_identities = value.get("caaIdentities").and_then(Value::as_array);
        let profiles = value.get("profiles").and_then(Value::as_object);
        Self {
            terms_of_service: value.get("termsOfService").and_then(line),
            website: value.get("website").and_then(line),
            caa_identities: caa_identities
                .into_iter()
                .flatten()
                .filter_map(line)
                .collect(),
            external_account_required: value
                .get("externalAccountRequired")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            profiles: profiles
                .into_iter()
                .flatten()
                .map(|(name, text)| (one_line(name, SENTENCE), line(text).unwrap_or_default()))
                .collect(),
        }
    }

    fn to_value(&self) -> Value {
        json!({
            "termsOfService": self.terms_of_service,
            "website": self.website,
            "caaIdentities": self.caa_identities,
            "externalAccountRequired": self.external_account_required,
            "profiles": self.profiles,
        })
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::failure::FailureClass;

    use super::*;
    use crate::tests::fixture::{directory, reply};

    const URL: &str = "https://ca.example/directory";

    fn body() -> Value {
        json!({
            "newNonce": "https://ca.example/new-nonce",
            "newAccount": "https://ca.example/new-account",
            "newOrder": "https://ca.example/new-order",
        })
    }

    fn read(body: &Value) -> Result<Directory, AcmeError> {
        Directory::read(URL, &reply(200, &[], &body.to_string()))
    }

    #[test]
    fn the_meta_object_is_read_as_far_as_it_can_be() {
        let mut body = body();
        body["meta"] = json!({
            "termsOfService": "https://ca.example/terms",
            "website": "https://ca.example/\u{1b}[31m",
            "caaIdentities": ["ca.example", 7, "ca.example.net"],
            "externalAccountRequired": true,
            "profiles": { "short": "a week", "odd": 7 },
        });
        let meta = read(&body).expect("a directory").meta;
        assert_eq!(
            meta.terms_of_service.as_deref(),
            Some("https://ca.example/terms")
        );
        assert_eq!(meta.website.as_deref(), Some("https://ca.example/ [31m"));
        assert_eq!(meta.caa_identities, ["ca.example", "ca.example.net"]);
        assert!(meta.external_account_required);
        let profiles = [("odd", ""), ("short", "a week")].map(|(n, d)| (n.into(), d.into()));
        assert_eq!(meta.profiles, BTreeMap::from(profiles));
        for flaw in [
            json!(null),
            json!([]),
            json!("meta"),
            json!({ "profiles": ["short"] }),
        ] {
            body["meta"] = flaw;
            assert_eq!(
                read(&body).map(|directory| directory.meta),
                Ok(Meta::default())
            );
        }
    }

    #[test]
    fn every_url_is_https() {
        for field in [
            "newNonce",
            "newAccount",
            "newOrder",
            "revokeCert",
            "renewalInfo",
        ] {
            let mut body = body();
            body[field] = json!("http://ca.example/x?y");
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
    fn an_empty_text_offers_nothing() {
        let mut body = body();
        body["newAuthz"] = json!("");
        body["keyChange"] = json!(null);
        let directory = read(&body).expect("a directory");
        assert_eq!((directory.new_authz, directory.key_change), (None, None));
    }

    #[test]
    fn a_page_with_status_200_is_no_directory() {
        let page = reply(
            200,
            &[],
            "<html>Please log in to the hotel's network</html>",
        );
        let error = Directory::read(URL, &page).expect_err("no directory");
        let cause = "expected value at line 1 column 1".to_owned();
        assert_eq!(error.kind, AcmeErrorKind::NotJson { cause });
        assert_eq!(
            error.excerpt.as_deref(),
            Some("Please log in to the hotel's network")
        );
        let error = read(&json!({ "status": "ok" })).expect_err("no directory");
        let cause = "missing field `newNonce` at line 1 column 15".to_owned();
        assert_eq!(error.kind, AcmeErrorKind::NotADirectory { cause });
        assert_eq!(error.class(), FailureClass::Misconfigured);
    }

    #[test]
    fn a_stored_directory_is_the_same_directory() {
        assert_eq!(
            Directory::from_stored(&directory().to_stored()),
            Ok(directory())
        );
        let spoiled = directory()
            .to_stored()
            .replace("https://ca.example/new-order", "file:///x");
        let cause = "newOrder: it does not begin with https://".to_owned();
        assert_eq!(
            Directory::from_stored(&spoiled),
            Err(StoredDirectoryError { cause })
        );
    }
}
