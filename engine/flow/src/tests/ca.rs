//! A CA in memory. It checks what a client has to get right about nonces, accounts and the order of
//! things, and looks at the DNS only after the challenge was answered, when it is next asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use waxwing_acme::jws::{Jwk, dns01_value};
use waxwing_core::http::{Method, Request, Response};
use waxwing_core::time::Timestamp;

use super::keys;
use super::plugins::Dns;

/// One CA and its ledger.
pub(crate) struct Ca {
    pub(crate) base: String,
    nonces: BTreeSet<String>,
    given: usize,
    pub(crate) accounts: Vec<Jwk>,
    pub(crate) orders: Vec<Order>,
    /// Certificates that were issued, over all orders.
    pub(crate) issued: usize,
    /// Nothing listens.
    pub(crate) down: bool,
    /// So many requests are answered until nothing listens any more.
    pub(crate) left: Option<usize>,
    /// When it has answered.
    pub(crate) answers: Vec<Timestamp>,
    /// These names are authorized already.
    pub(crate) proved: BTreeSet<String>,
    /// These names are refused when they are looked at.
    pub(crate) refused: BTreeSet<String>,
    /// Orders are refused with a problem of this type.
    pub(crate) refuses_orders: Option<&'static str>,
    /// These names are looked at for ever.
    pub(crate) slow: BTreeSet<String>,
    /// Orders with `replaces` that came in.
    pub(crate) replaced: usize,
    /// These are answered so, each time.
    pub(crate) stumbles: Option<u16>,
    /// The URL of its advice on renewal, if that is not on its own host.
    pub(crate) advice: Option<String>,
    /// A new account needs credentials, each good for one.
    pub(crate) wants_credentials: bool,
    /// Ids of credentials that have made an account.
    pub(crate) spent: Vec<String>,
    /// The last contact of each account.
    pub(crate) contacts: BTreeMap<usize, Value>,
    /// Accounts that were given up.
    pub(crate) closed: BTreeSet<usize>,
    /// Orders whose certificate is revoked, with the reason.
    pub(crate) revoked: BTreeMap<usize, Value>,
    /// Whoever asks for a certificate gets the one of this order.
    pub(crate) hands_out: Option<usize>,
    /// What a certificate says instead of what was ordered.
    pub(crate) says: BTreeMap<&'static str, Value>,
}

pub(crate) struct Order {
    account: usize,
    names: Vec<String>,
    proofs: Vec<Proof>,
    status: &'static str,
    csr: Option<Value>,
    pem: Option<String>,
}

struct Proof {
    token: String,
    answered: bool,
    status: &'static str,
}

/// A signed request taken apart.
struct Signed {
    account: Option<usize>,
    jwk: Option<Jwk>,
    payload: Value,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            base: format!("https://{name}.example"),
            nonces: BTreeSet::new(),
            given: 0,
            accounts: Vec::new(),
            orders: Vec::new(),
            issued: 0,
            down: false,
            left: None,
            answers: Vec::new(),
            proved: BTreeSet::new(),
            refused: BTreeSet::new(),
            refuses_orders: None,
            slow: BTreeSet::new(),
            replaced: 0,
            stumbles: None,
            wants_credentials: false,
            advice: None,
            spent: Vec::new(),
            contacts: BTreeMap::new(),
            closed: BTreeSet::new(),
            revoked: BTreeMap::new(),
            hands_out: None,
            says: BTreeMap::new(),
        }
    }

    /// The status of each authorization of an order.
    pub(crate) fn proofs(&self, order: usize) -> Vec<&'static str> {
        let proofs = self.orders[order].proofs.iter();
        proofs.map(|proof| proof.status).collect()
    }

    /// Answers one request.
    pub(crate) fn answer(&mut self, request: &Request, dns: &Dns, now: Timestamp) -> Response {
        let path = request.url.strip_prefix(&self.base).unwrap_or_default();
        if path == "/page" {
            // Something of this host that is no ACME endpoint.
            return Response {
                status: 200,
                headers: vec![("content-type".to_owned(), "text/html".to_owned())],
                body: b"<html>Welcome</html>".to_vec(),
                elapsed: Duration::from_millis(1),
            };
        }
        let (status, location, body) = match (request.method, path) {
            (Method::Get, "/directory") => (200, None, self.directory().to_string()),
            (Method::Head, "/nonce") => (200, None, String::new()),
            (Method::Get, path) if path.starts_with("/ari/") => {
                let window =
                    json!({ "start": "2026-11-20T00:00:00Z", "end": "2026-11-22T00:00:00Z" });
                (200, None, json!({ "suggestedWindow": window }).to_string())
            }
            (Method::Post, path) => match self.open(request) {
                Ok(signed) => self.posted(path, &signed, dns, now),
                Err(problem) => refusal(400, problem),
            },
            _ => refusal(404, "malformed"),
        };
        self.given += 1;
        let nonce = format!("nonce-{}", self.given);
        self.nonces.insert(nonce.clone());
        let kind = if status >= 400 {
            "application/problem+json"
        } else {
            "application/json"
        };
        let mut headers = vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("replay-nonce".to_owned(), nonce),
        ];
        headers.extend(location.map(|url| ("location".to_owned(), url)));
        Response {
            status,
            headers,
            body: body.into_bytes(),
            elapsed: Duration::from_millis(1),
        }
    }

    fn directory(&self) -> Value {
        let base = &self.base;
        json!({
            "newNonce": format!("{base}/nonce"),
            "newAccount": format!("{base}/account"),
            "newOrder": format!("{base}/order"),
            "renewalInfo": self.advice.clone().unwrap_or_else(|| format!("{base}/ari")),
            "keyChange": format!("{base}/key"),
            "revokeCert": format!("{base}/revoke"),
            "meta": { "externalAccountRequired": self.wants_credentials },
        })
    }

    fn open(&mut self, request: &Request) -> Result<Signed, &'static str> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_shape| "malformed")?;
        let part = |name: &str| {
            let text = body[name].as_str().ok_or("malformed")?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_shape| "malformed")
        };
        let header: Value =
            serde_json::from_slice(&part("protected")?).map_err(|_shape| "malformed")?;
        if !self
            .nonces
            .remove(header["nonce"].as_str().unwrap_or_default())
        {
            return Err("badNonce");
        }
        if header["url"].as_str() != Some(&request.url) {
            return Err("unauthorized");
        }
        let payload = part("payload")?;
        let payload = if payload.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&payload).map_err(|_shape| "malformed")?
        };
        let account = match header["kid"].as_str() {
            Some(kid) => {
                let number = kid.rsplit('/').next().and_then(|n| n.parse::<usize>().ok());
                let known = number.filter(|number| *number < self.accounts.len());
                let known = known.ok_or("accountDoesNotExist")?;
                // A signature of this world is the number of its key.
                let by = part("signature")?.first().copied();
                if self.closed.contains(&known) || by != number_of(&self.accounts[known]) {
                    return Err("unauthorized");
                }
                Some(known)
            }
            None => None,
        };
        Ok(Signed {
            account,
            jwk: jwk_in(&header),
            payload,
        })
    }

    fn posted(
        &mut self,
        path: &str,
        signed: &Signed,
        dns: &Dns,
        now: Timestamp,
    ) -> (u16, Option<String>, String) {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let number = |nth: usize| parts.get(nth).and_then(|n| n.parse::<usize>().ok());
        if parts == ["account"] {
            return self.account(signed);
        }
        if parts == ["revoke"] {
            return self.revoke(signed);
        }
        let Some(account) = signed.account else {
            return refusal(400, "malformed");
        };
        if parts == ["order"] {
            return self.place(account, &signed.payload);
        }
        if parts == ["key"] {
            return self.change_key(account, &signed.payload);
        }
        if parts[0] == "account" {
            return self.update(account, &signed.payload);
        }
        let Some(nth) = number(1).filter(|nth| *nth < self.orders.len()) else {
            return refusal(404, "malformed");
        };
        if self.orders[nth].account != account {
            return refusal(403, "unauthorized");
        }
        match parts[0] {
            "order" => {
                self.progress(nth, dns, now);
                (200, None, self.order(nth).to_string())
            }
            "authz" | "chall" => {
                let Some(which) = number(2).filter(|n| *n < self.orders[nth].proofs.len()) else {
                    return refusal(404, "malformed");
                };
                if parts[0] == "chall" && signed.payload.is_object() {
                    let proof = &mut self.orders[nth].proofs[which];
                    if proof.answered || proof.status != "pending" {
                        return refusal(400, "malformed");
                    }
                    proof.answered = true;
                } else {
                    self.progress(nth, dns, now);
                }
                let proof = &mut self.orders[nth].proofs[which];
                if signed.payload["status"] == json!("deactivated") && proof.status == "pending" {
                    proof.status = "deactivated";
                }
                let authorization = self.authorization(nth, which);
                let body = match parts[0] {
                    "chall" => authorization["challenges"][0].to_string(),
                    _ => authorization.to_string(),
                };
                (200, None, body)
            }
            "finalize" => {
                self.progress(nth, dns, now);
                if self.orders[nth].status != "ready" {
                    return refusal(403, "orderNotReady");
                }
                let csr = signed.payload["csr"].as_str().unwrap_or_default();
                let csr = URL_SAFE_NO_PAD.decode(csr).unwrap_or_default();
                let order = &mut self.orders[nth];
                order.csr = serde_json::from_slice(&csr).ok();
                order.status = "processing";
                (200, None, self.order(nth).to_string())
            }
            "cert" => match &self.orders[self.hands_out.unwrap_or(nth)].pem {
                Some(pem) => (200, None, pem.clone()),
                None => refusal(404, "malformed"),
            },
            _ => refusal(404, "malformed"),
        }
    }

    fn account(&mut self, signed: &Signed) -> (u16, Option<String>, String) {
        let Some(jwk) = &signed.jwk else {
            return refusal(400, "malformed");
        };
        let bound = protected(&signed.payload["externalAccountBinding"]);
        let kid = bound["kid"].as_str().map(str::to_owned);
        // Some CAs look at the credentials before they look at the key.
        if kid.as_ref().is_some_and(|kid| self.spent.contains(kid)) {
            return refusal(403, "unauthorized");
        }
        let known = self.accounts.iter().position(|known| known == jwk);
        let (status, number) = match known {
            Some(number) => (200, number),
            None if signed.payload["onlyReturnExisting"] == json!(true) => {
                return refusal(400, "accountDoesNotExist");
            }
            None => {
                if self.wants_credentials && kid.is_none() {
                    return refusal(400, "externalAccountRequired");
                }
                self.spent.extend(kid);
                self.accounts.push(jwk.clone());
                (201, self.accounts.len() - 1)
            }
        };
        if status == 201 {
            let contact = signed.payload["contact"].clone();
            self.contacts.insert(number, contact);
        }
        let url = format!("{}/account/{number}", self.base);
        (status, Some(url), self.shown(number))
    }

    fn shown(&self, account: usize) -> String {
        let status = if self.closed.contains(&account) {
            "deactivated"
        } else {
            "valid"
        };
        json!({ "status": status, "contact": self.contacts.get(&account) }).to_string()
    }

    fn update(&mut self, account: usize, payload: &Value) -> (u16, Option<String>, String) {
        if payload["contact"].is_array() {
            self.contacts.insert(account, payload["contact"].clone());
        }
        if payload["status"] == json!("deactivated") {
            self.closed.insert(account);
        }
        (200, None, self.shown(account))
    }

    fn change_key(&mut self, account: usize, inner: &Value) -> (u16, Option<String>, String) {
        let Some(new) = jwk_in(&protected(inner)) else {
            return refusal(400, "malformed");
        };
        if self.accounts.contains(&new) {
            return refusal(409, "malformed");
        }
        self.accounts[account] = new;
        (200, None, self.shown(account))
    }

    fn revoke(&mut self, signed: &Signed) -> (u16, Option<String>, String) {
        let der = signed.payload["certificate"].as_str().unwrap_or_default();
        let der = URL_SAFE_NO_PAD.decode(der).unwrap_or_default();
        let issued = |order: &Order| order.pem.as_ref().is_some_and(|pem| pem.as_bytes() == der);
        let Some(nth) = self.orders.iter().position(issued) else {
            return refusal(404, "malformed");
        };
        let order = &self.orders[nth];
        let own_key = order.csr.as_ref().and_then(|csr| csr["key"].as_str());
        let own_key = own_key.and_then(|key| key.split(' ').next()?.parse::<u8>().ok());
        let may = match (signed.account, &signed.jwk) {
            (Some(account), _) => account == order.account,
            (None, Some(jwk)) => own_key.is_some() && number_of(jwk) == own_key,
            (None, None) => false,
        };
        if !may {
            return refusal(403, "unauthorized");
        }
        if self.revoked.contains_key(&nth) {
            return refusal(400, "alreadyRevoked");
        }
        self.revoked.insert(nth, signed.payload["reason"].clone());
        (200, None, String::new())
    }

    fn place(&mut self, account: usize, payload: &Value) -> (u16, Option<String>, String) {
        if let Some(kind) = self.refuses_orders {
            return refusal(400, kind);
        }
        if payload["replaces"].is_string() {
            self.replaced += 1;
            if let Some(status) = self.stumbles {
                return (status, None, String::new());
            }
            return refusal(409, "alreadyReplaced");
        }
        let wanted = payload["identifiers"].as_array().into_iter().flatten();
        let names: Vec<String> = wanted
            .filter_map(|identifier| Some(identifier["value"].as_str()?.to_owned()))
            .collect();
        let nth = self.orders.len();
        let proof = |(which, name): (usize, &String)| Proof {
            token: format!("token-{nth}-{which}"),
            answered: false,
            status: if self.proved.contains(name) {
                "valid"
            } else {
                "pending"
            },
        };
        self.orders.push(Order {
            account,
            proofs: names.iter().enumerate().map(proof).collect(),
            names,
            status: "pending",
            csr: None,
            pem: None,
        });
        let url = format!("{}/order/{nth}", self.base);
        (201, Some(url), self.order(nth).to_string())
    }

    /// What the CA has done by the time somebody asks.
    fn progress(&mut self, nth: usize, dns: &Dns, now: Timestamp) {
        let jwk = self.accounts[self.orders[nth].account].clone();
        let order = &mut self.orders[nth];
        for (name, proof) in order.names.iter().zip(&mut order.proofs) {
            if !proof.answered || proof.status != "pending" || self.slow.contains(name) {
                continue;
            }
            let at = format!("_acme-challenge.{}", name.trim_start_matches("*."));
            let there = dns.records.contains(&(at, dns01_value(&proof.token, &jwk)));
            proof.status = match there && !self.refused.contains(name) {
                true => "valid",
                false => "invalid",
            };
        }
        if order.status == "pending" {
            if order.proofs.iter().any(|proof| proof.status == "invalid") {
                order.status = "invalid";
            } else if order.proofs.iter().all(|proof| proof.status == "valid") {
                order.status = "ready";
            }
        } else if order.status == "processing" {
            let csr = order.csr.clone().unwrap_or_default();
            self.issued += 1;
            let mut says = json!({
                "serial": format!("{} {}", self.base, self.issued),
                "key": csr["key"],
                "names": csr["names"],
                "issuer": self.base,
                "not_before": now.unix_ms(),
                "not_after": (now + Duration::from_secs(90 * 86_400)).unix_ms(),
            });
            for (what, instead) in &self.says {
                says[*what] = instead.clone();
            }
            order.pem = Some(keys::pem(&says));
            order.status = "valid";
        }
    }

    fn order(&self, nth: usize) -> Value {
        let (base, order) = (&self.base, &self.orders[nth]);
        let identifiers = order.names.iter();
        let mut body = json!({
            "status": order.status,
            "identifiers": identifiers
                .map(|name| json!({ "type": "dns", "value": name }))
                .collect::<Vec<_>>(),
            "authorizations": (0..order.proofs.len())
                .map(|which| format!("{base}/authz/{nth}/{which}"))
                .collect::<Vec<_>>(),
            "finalize": format!("{base}/finalize/{nth}"),
        });
        if order.status == "valid" {
            body["certificate"] = json!(format!("{base}/cert/{nth}"));
        }
        body
    }

    fn authorization(&self, nth: usize, which: usize) -> Value {
        let (name, proof) = (
            &self.orders[nth].names[which],
            &self.orders[nth].proofs[which],
        );
        let looking = proof.answered && proof.status == "pending";
        let mut challenge = json!({
            "type": "dns-01",
            "url": format!("{}/chall/{nth}/{which}", self.base),
            "status": if looking { "processing" } else { proof.status },
            "token": proof.token,
        });
        if proof.status == "invalid" {
            challenge["error"] =
                json!({ "type": "urn:ietf:params:acme:error:dns", "detail": "no record" });
        }
        let mut body = json!({
            "identifier": { "type": "dns", "value": name.trim_start_matches("*.") },
            "status": proof.status,
            "challenges": [challenge],
        });
        if name.starts_with("*.") {
            body["wildcard"] = json!(true);
        }
        body
    }
}

/// The number of a key of this world.
fn number_of(jwk: &Jwk) -> Option<u8> {
    match jwk {
        Jwk::P256 { x, .. } => x.first().copied(),
        _ => None,
    }
}

/// The key in the header of a signature.
fn jwk_in(header: &Value) -> Option<Jwk> {
    let coordinate = |name: &str| {
        let text = header["jwk"][name].as_str()?;
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
    };
    let (x, y) = coordinate("x").zip(coordinate("y"))?;
    Some(Jwk::P256 { x, y })
}

/// The header of a signature within a payload; nothing if there is none.
fn protected(jws: &Value) -> Value {
    let header = jws["protected"].as_str().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice(&header).unwrap_or_default()
}

fn refusal(status: u16, kind: &str) -> (u16, Option<String>, String) {
    let problem =
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "simulated" });
    (status, None, problem.to_string())
}
