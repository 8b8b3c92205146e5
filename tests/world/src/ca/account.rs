//! Accounts: creation, update, key change, external account binding (RFC 8555 section 7.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::door::{Post, Reply, TERMS, Visit};
use super::jose::{Jwk, Jws};
use super::ledger::{Account, Stage, token};
use super::problem::Problem;
use super::{ExternalAccount, Office};

/// The most contacts an account may have.
const CONTACTS: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Value>,
}

#[derive(Deserialize)]
struct Update {
    contact: Option<Vec<String>>,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange {
    account: String,
    old_key: Value,
}

impl Office {
    pub(super) fn new_account(&self, visit: &Visit) -> Result<Reply, Problem> {
        let post = self.admit_key(visit)?;
        let asked: NewAccount = post.parse()?;
        let known = self
            .ledger
            .with(|ledger| ledger.account_of(&post.key).cloned());
        if let Some(known) = known {
            if known.deactivated {
                return Err(Problem::unauthorized(
                    "the account with this key is deactivated",
                ));
            }
            return Ok(show(visit, StatusCode::OK, &known));
        }
        if asked.only_return_existing {
            return Err(Problem::new(
                "accountDoesNotExist",
                StatusCode::BAD_REQUEST,
                "there is no account with this key",
            ));
        }
        if !asked.terms_of_service_agreed {
            let link = format!("<{TERMS}>;rel=\"terms-of-service\"");
            return Err(Problem::new(
                "userActionRequired",
                StatusCode::FORBIDDEN,
                "the terms of service must be agreed to",
            )
            .with_header(header::LINK, link));
        }
        let spent = self.check_binding(asked.external_account_binding.as_ref(), &post)?;
        check_contacts(&asked.contact)?;
        let account = self.ledger.with(|ledger| {
            let account = Account {
                id: ledger.fresh_id(),
                key: post.key.clone(),
                contact: asked.contact,
                deactivated: false,
                binding: asked.external_account_binding,
            };
            ledger.spent_keys.extend(spent);
            ledger.accounts.insert(account.id.clone(), account.clone());
            account
        });
        Ok(show(visit, StatusCode::CREATED, &account))
    }

    /// The key identifier of a good binding; none if there is none and none is needed.
    fn check_binding(
        &self,
        binding: Option<&Value>,
        outer: &Post,
    ) -> Result<Option<String>, Problem> {
        let single_use = match &self.options.external_account {
            ExternalAccount::NotRequired if binding.is_none() => return Ok(None),
            ExternalAccount::NotRequired => false,
            ExternalAccount::Required { single_use, .. } => *single_use,
        };
        let binding = binding.ok_or_else(|| {
            Problem::new(
                "externalAccountRequired",
                StatusCode::FORBIDDEN,
                "a new account must have an externalAccountBinding",
            )
        })?;
        let jws = Jws::from_value(binding)?;
        if jws.has("nonce") {
            return Err(Problem::malformed(
                "the external account binding must have no nonce",
            ));
        }
        if jws.text("url") != Some(&outer.url) {
            return Err(Problem::malformed(
                "the url of the external account binding differs from the request's",
            ));
        }
        let kid = jws.text("kid").unwrap_or_default().to_owned();
        let (key, spent) = self.ledger.with(|ledger| {
            (
                ledger.external_keys.get(&kid).cloned(),
                ledger.spent_keys.contains(&kid),
            )
        });
        let key = key.ok_or_else(|| {
            Problem::unauthorized(format!("there is no external account key `{kid}`"))
        })?;
        jws.verify_mac(&key)?;
        if spent && single_use {
            return Err(Problem::unauthorized(format!(
                "the external account key `{kid}` has been used already"
            )));
        }
        let bound: Value = serde_json::from_slice(&jws.payload).map_err(|wrong| {
            Problem::malformed(format!(
                "the external account binding holds no JWK: {wrong}"
            ))
        })?;
        if Jwk::parse(&bound)? != outer.key {
            return Err(Problem::bad_key(
                "the external account binding is for another key",
            ));
        }
        Ok(Some(kid))
    }

    pub(super) fn account(&self, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, mut account) = self.admit_account(visit)?;
        if account.id != id {
            return Err(Problem::unauthorized("this is another's account"));
        }
        if !post.payload.is_empty() {
            let update: Update = post.parse()?;
            match update.status.as_deref() {
                None | Some("valid") => {}
                Some("deactivated") => account.deactivated = true,
                Some(other) => {
                    return Err(Problem::malformed(format!(
                        "an account cannot become `{other}`"
                    )));
                }
            }
            if let Some(contact) = update.contact {
                check_contacts(&contact)?;
                account.contact = contact;
            }
            self.ledger
                .with(|ledger| ledger.accounts.insert(account.id.clone(), account.clone()));
        }
        Ok(show(visit, StatusCode::OK, &account))
    }

    /// The orders of an account that have not failed (RFC 8555 section 7.1.2.1).
    pub(super) fn account_orders(&self, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        post.must_be_get()?;
        if account.id != id {
            return Err(Problem::unauthorized("this is another's list of orders"));
        }
        let orders: Vec<String> = self.ledger.with(|ledger| {
            let own = ledger.orders.values().filter(|order| {
                order.account == account.id && !matches!(order.stage, Stage::Failed(_))
            });
            own.map(|order| format!("{}/order/{}", visit.base(), order.id))
                .collect()
        });
        Ok(Reply::json(StatusCode::OK, &json!({ "orders": orders })))
    }

    /// RFC 8555 section 7.3.5.
    pub(super) fn key_change(&self, visit: &Visit) -> Result<Reply, Problem> {
        let (outer, account) = self.admit_account(visit)?;
        let inner = Jws::parse(&outer.payload)?;
        if inner.has("nonce") || inner.has("kid") {
            return Err(Problem::malformed(
                "the inner JWS has a `jwk` and no `nonce` or `kid`",
            ));
        }
        let key = inner.jwk()?;
        inner.verify(&key)?;
        if inner.text("url") != Some(&outer.url) {
            return Err(Problem::malformed(
                "the inner JWS was signed for another URL",
            ));
        }
        let change: KeyChange = serde_json::from_slice(&inner.payload).map_err(|wrong| {
            Problem::malformed(format!("the inner payload is no key change: {wrong}"))
        })?;
        if change.account != format!("{}/account/{}", visit.base(), account.id) {
            return Err(Problem::malformed(
                "the inner payload names another account",
            ));
        }
        if Jwk::parse(&change.old_key)? != account.key {
            return Err(Problem::malformed(
                "the inner payload names another old key",
            ));
        }
        if key == account.key {
            return Err(Problem::malformed("the new key is the old one"));
        }
        self.ledger.with(|ledger| {
            if let Some(other) = ledger.account_of(&key) {
                let location = format!("{}/account/{}", visit.base(), other.id);
                return Err(Problem::new(
                    "malformed",
                    StatusCode::CONFLICT,
                    "the new key belongs to another account",
                )
                .with_header(header::LOCATION, location));
            }
            let changed = Account { key, ..account };
            let reply = show(visit, StatusCode::OK, &changed);
            ledger.accounts.insert(changed.id.clone(), changed);
            Ok(reply)
        })
    }

    /// An API outside ACME that makes external account keys; its answers are always 200.
    pub(super) fn credentials(&self, visit: &Visit) -> Reply {
        let refusal = |code: u16, kind: &str| {
            let error = json!({ "code": code, "type": kind });
            Reply::json(StatusCode::OK, &json!({ "success": false, "error": error }))
        };
        let Some(credentials) = &self.options.credentials else {
            return refusal(101, "missing_access_key");
        };
        let good = match &credentials.access_key {
            Some(key) => field(visit.query().as_bytes(), "access_key") == Some(key),
            None => field(visit.body(), "email").is_some_and(|email| !email.is_empty()),
        };
        if !good {
            return refusal(2902, "failed_creating_eab_account");
        }
        let kid = token(12);
        let mut key = vec![0; 32];
        if aws_lc_rs::rand::fill(&mut key).is_err() {
            return refusal(2903, "failed_saving_eab_account");
        }
        let hmac = URL_SAFE_NO_PAD.encode(&key);
        self.ledger
            .with(|ledger| ledger.external_keys.insert(kid.clone(), key));
        let made = json!({ "success": 1, "eab_kid": kid, "eab_hmac_key": hmac });
        Reply::json(StatusCode::OK, &made)
    }
}

/// A field of a form or query. No value a test needs is percent-encoded.
fn field<'a>(form: &'a [u8], name: &str) -> Option<&'a str> {
    let form = std::str::from_utf8(form).ok()?;
    form.split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn show(visit: &Visit, status: StatusCode, account: &Account) -> Reply {
    let base = visit.base();
    let mut value = json!({
        "status": if account.deactivated { "deactivated" } else { "valid" },
        "contact": account.contact,
        "orders": format!("{base}/orders/{}", account.id),
        "key": account.key.json(),
    });
    if let Some(binding) = &account.binding {
        value["externalAccountBinding"] = binding.clone();
    }
    Reply::json(status, &value).with(header::LOCATION, format!("{base}/account/{}", account.id))
}

fn check_contacts(contacts: &[String]) -> Result<(), Problem> {
    if contacts.len() > CONTACTS {
        return Err(Problem::malformed(format!(
            "an account has at most {CONTACTS} contacts"
        )));
    }
    for contact in contacts {
        let refuse = |kind: &'static str, detail: &str| {
            let detail = format!("the contact `{contact}` {detail}");
            Err(Problem::new(kind, StatusCode::BAD_REQUEST, detail))
        };
        let Some(address) = contact.strip_prefix("mailto:") else {
            return refuse("unsupportedContact", "is no mailto address");
        };
        let plain = address.is_ascii() && !address.contains([' ', ',', '?']);
        let (user, host) = address.split_once('@').unwrap_or_default();
        if !plain || user.is_empty() || host.is_empty() || host.contains('@') {
            return refuse("invalidContact", "is not one address");
        }
    }
    Ok(())
}
