//! Accounts: creation with external account binding, look-up by key, contact update, key rollover,
//! deactivation (RFC 8555 section 7.3).
//!
//! Creation is idempotent because a known key gets its account back, but only for a caller that
//! stored the key before it sent the call.

use serde::Deserialize;
use serde_json::{Value, json};
use waxwing_core::secret::Secret;

use crate::directory::Directory;
use crate::error::AcmeError;
use crate::exchange::Exchange;
use crate::jws::{self, SignError, SignedBy, Signer};
use crate::session::{Call, Identity, Target};

/// An account as the CA sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its URL, which names it in every later request.
    pub kid: String,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// The contact URLs that the CA keeps; some CAs keep none.
    pub contact: Vec<String>,
    /// True if this call made it; false if it was there before.
    pub created: bool,
}

/// Whether an account can be used (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// It can.
    Valid,
    /// Its holder gave it up.
    Deactivated,
    /// The CA took it away.
    Revoked,
}

/// What binds a new account to a customer of the CA (RFC 8555 section 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The CA's name of the MAC key.
    pub kid: String,
    /// The MAC key, decoded.
    pub hmac_key: Secret<Vec<u8>>,
}

impl ExternalAccount {
    /// A name for these very credentials from which they cannot be told: SHA-256 of both parts, as
    /// lower-case hex.
    pub fn fingerprint(&self) -> String {
        // The id has no line breaks, so that no two pairs give one text.
        let mut text = self.kid.clone().into_bytes();
        text.push(b'\n');
        text.extend_from_slice(self.hmac_key.expose());
        jws::sha256_hex(&text)
    }
}

/// Creates an account, or finds the one of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Contact URLs: `mailto:ops@example.com`.
    pub contact: Vec<String>,
    /// True if the operator agreed to the terms of service.
    pub terms_agreed: bool,
    /// The binding, where the CA wants one.
    pub external: Option<ExternalAccount>,
    /// True to find only: a key without an account is refused with `accountDoesNotExist`.
    pub only_existing: bool,
}

impl Call for NewAccount {
    type Reply = Account;

    const NAME: &'static str = "register the account";

    const IDENTITY: Identity = Identity::Key;

    fn target<'a>(&'a self, directory: &'a Directory) -> Target<'a> {
        Target::Url(&directory.new_account)
    }

    fn payload(&self, url: &str, account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let mut payload = json!({});
        if self.only_existing {
            payload["onlyReturnExisting"] = Value::Bool(true);
        }
        if self.terms_agreed {
            payload["termsOfServiceAgreed"] = Value::Bool(true);
        }
        if !self.contact.is_empty() {
            payload["contact"] = json!(self.contact);
        }
        if let Some(external) = &self.external {
            let bound = jws::bind(&account_key.jwk(), &external.kid, &external.hmac_key, url)?;
            payload["externalAccountBinding"] =
                serde_json::from_str(&bound).map_err(|e| SignError {
                    cause: e.to_string(),
                })?;
        }
        Ok(payload.to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Account, AcmeError> {
        let response = exchange.success()?;
        let created = response.status == 201;
        read_account(exchange, exchange.location()?, created)
    }
}

/// Replaces the contact URLs of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateContact {
    /// The account's URL.
    pub account: String,
    /// The new contact URLs; none to remove all.
    pub contact: Vec<String>,
}

impl Call for UpdateContact {
    type Reply = Account;

    const NAME: &'static str = "update the account's contact";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.account)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(json!({ "contact": self.contact }).to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Account, AcmeError> {
        read_account(exchange, self.account.clone(), false)
    }
}

/// Gives an account up. There is no way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivateAccount {
    /// The account's URL.
    pub account: String,
}

impl Call for DeactivateAccount {
    type Reply = Account;

    const NAME: &'static str = "deactivate the account";

    fn target<'a>(&'a self, _directory: &'a Directory) -> Target<'a> {
        Target::Url(&self.account)
    }

    fn payload(&self, _url: &str, _account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        Ok(json!({ "status": "deactivated" }).to_string().into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<Account, AcmeError> {
        read_account(exchange, self.account.clone(), false)
    }
}

/// Gives an account another key (RFC 8555 section 7.3.5). The credentials of the call are those of
/// the old key.
///
/// The new key MUST be stored before the call is sent: if the reply is lost, only a look-up by the
/// new key ([`NewAccount::only_existing`]) tells which of the two the CA knows.
#[derive(Clone, Copy)]
pub struct KeyChange<'a> {
    /// The account's URL.
    pub account: &'a str,
    /// The new key.
    pub new_signer: &'a dyn Signer,
}

impl Call for KeyChange<'_> {
    type Reply = ();

    const NAME: &'static str = "change the account's key";

    fn target<'a>(&'a self, directory: &'a Directory) -> Target<'a> {
        Target::optional("keyChange", directory.key_change.as_ref())
    }

    fn payload(&self, url: &str, account_key: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let old_key = account_key.jwk().to_canonical_json();
        let old_key: Value = serde_json::from_str(&old_key).map_err(|error| SignError {
            cause: error.to_string(),
        })?;
        let payload = json!({ "account": self.account, "oldKey": old_key }).to_string();
        let inner = jws::sign(
            self.new_signer,
            &SignedBy::Key,
            None,
            url,
            payload.as_bytes(),
        )?;
        Ok(inner.into_bytes())
    }

    fn read(&self, exchange: &Exchange<'_>) -> Result<(), AcmeError> {
        exchange.success().map(|_| ())
    }
}

#[derive(Deserialize)]
struct AccountWire {
    status: Option<String>,
    contact: Option<Vec<String>>,
}

fn read_account(exchange: &Exchange<'_>, kid: String, created: bool) -> Result<Account, AcmeError> {
    let wire: AccountWire = exchange.object()?;
    let status = match wire.status.as_deref() {
        // The RFC demands a status; a CA that sends none has just accepted the request.
        None | Some("valid") => AccountStatus::Valid,
        Some("deactivated") => AccountStatus::Deactivated,
        Some("revoked") => AccountStatus::Revoked,
        Some(other) => return Err(exchange.unknown_status("account", other)),
    };
    Ok(Account {
        kid,
        status,
        contact: wire.contact.unwrap_or_default(),
        created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AcmeErrorKind;
    use crate::tests::fixture::{KID, TestKey, answered, directory, opened, reply, requested};

    fn register() -> NewAccount {
        NewAccount {
            contact: vec!["mailto:ops@example.com".to_owned()],
            terms_agreed: true,
            external: None,
            only_existing: false,
        }
    }

    #[test]
    fn registration_says_only_what_is_meant() {
        let payload = |call: &NewAccount| opened(&requested(call).body).payload_json();
        assert_eq!(
            payload(&register()),
            json!({ "contact": ["mailto:ops@example.com"], "termsOfServiceAgreed": true })
        );
        let find = NewAccount {
            contact: Vec::new(),
            terms_agreed: false,
            external: None,
            only_existing: true,
        };
        assert_eq!(payload(&find), json!({ "onlyReturnExisting": true }));
    }

    #[test]
    fn an_account_is_read_with_little_or_much_in_it() {
        let check = |body: &str, want: Result<AccountStatus, &str>| {
            let read = answered(&register(), &reply(200, &[("location", KID)], body));
            let read = read
                .map(|account| account.status)
                .map_err(|error| error.kind.clone());
            let want = want.map_err(|cause| AcmeErrorKind::Malformed {
                cause: cause.to_owned(),
            });
            assert_eq!(read, want, "{body}");
        };
        check("{}", Ok(AccountStatus::Valid));
        check(
            r#"{"status":"valid","orders":"http://x"}"#,
            Ok(AccountStatus::Valid),
        );
        check(
            r#"{"status":"deactivated"}"#,
            Ok(AccountStatus::Deactivated),
        );
        check(r#"{"status":"revoked"}"#, Ok(AccountStatus::Revoked));
        check(
            r#"{"status":"asleep"}"#,
            Err("the unknown status `asleep` of the account"),
        );
    }

    #[test]
    fn contact_and_status_are_changed_at_the_account_itself() {
        let update = UpdateContact {
            account: KID.to_owned(),
            contact: Vec::new(),
        };
        let request = requested(&update);
        assert_eq!(request.url, KID);
        assert_eq!(
            opened(&request.body).payload_json(),
            json!({ "contact": [] })
        );
        let request = requested(&DeactivateAccount {
            account: KID.to_owned(),
        });
        assert_eq!(request.url, KID);
        assert_eq!(
            opened(&request.body).payload_json(),
            json!({ "status": "deactivated" })
        );
    }

    #[test]
    fn a_key_change_is_signed_by_both_keys() {
        let new_key = TestKey::new();
        let request = requested(&KeyChange {
            account: KID,
            new_signer: &new_key,
        });
        let outer = opened(&request.body);
        assert!(outer.is_by_test_key());
        assert_eq!(outer.header["kid"], KID);
        let inner = opened(&outer.payload);
        assert!(inner.is_by_test_key());
        let jwk: Value =
            serde_json::from_str(&new_key.jwk().to_canonical_json()).expect("a JSON object");
        let url = directory().key_change;
        assert_eq!(
            inner.header,
            json!({ "alg": "ES256", "jwk": jwk, "url": url })
        );
        assert_eq!(
            inner.payload_json(),
            json!({ "account": KID, "oldKey": jwk })
        );
    }

    #[test]
    fn a_fingerprint_tells_credentials_apart_and_nothing_of_them() {
        let print = |kid: &str, key: &[u8]| {
            let external = ExternalAccount {
                kid: kid.to_owned(),
                hmac_key: Secret::new(key.to_vec()),
            };
            external.fingerprint()
        };
        assert_eq!(print("a", b"key"), print("a", b"key"));
        assert_ne!(print("a", b"key"), print("b", b"key"));
        assert_ne!(print("a", b"key"), print("a", b"yek"));
        assert_eq!(print("a", b"key").len(), 64);
    }

    #[test]
    fn debug_shows_nothing_of_a_mac_key() {
        let external = ExternalAccount {
            kid: "k".to_owned(),
            hmac_key: Secret::new(b"hunter2".to_vec()),
        };
        assert_eq!(
            format!("{external:?}"),
            "ExternalAccount { kid: \"k\", hmac_key: Secret(..) }"
        );
    }
}
