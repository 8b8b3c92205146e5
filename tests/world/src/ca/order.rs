//! Orders: from identifiers to a certificate (RFC 8555 section 7.4).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::door::{Reply, Visit};
use super::jose::{Jwk, decode};
use super::ledger::{Account, Ends, Ledger, Order, Stage, Status, rfc3339};
use super::problem::Problem;
use super::{Dates, Finalize, Office};

/// Life of an order.
const ORDER_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The longest domain name as text (RFC 1035 section 2.3.4).
const NAME_LENGTH: usize = 253;

/// The sizes of RSA keys it signs for, in bits.
const RSA_BITS: [usize; 3] = [2048, 3072, 4096];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrder {
    #[serde(default)]
    identifiers: Vec<Identifier>,
    not_before: Option<String>,
    not_after: Option<String>,
    profile: Option<String>,
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Deserialize)]
struct FinalizeRequest {
    csr: String,
}

impl Office {
    pub(super) fn new_order(self: &Arc<Self>, visit: &Visit) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        let asked: NewOrder = post.parse()?;
        self.check_profile(asked.profile.as_deref())?;
        let names = self.check_names(&asked.identifiers)?;
        self.check_dates(&asked)?;
        self.ledger.with(|ledger| {
            if self.options.repeats_orders
                && let Some(order) = repeated(ledger, &account, &names, &asked)
            {
                return Ok(self.show(ledger, visit, &order, StatusCode::CREATED));
            }
            if let Some(replaces) = &asked.replaces {
                self.check_replaces(ledger, &account, &names, replaces)?;
            }
            let authorizations = names
                .iter()
                .map(|name| self.authorize(ledger, &account, name))
                .collect();
            let order = Order {
                id: ledger.fresh_id(),
                account: account.id.clone(),
                names,
                authorizations,
                not_before: asked.not_before,
                not_after: asked.not_after,
                profile: asked.profile,
                replaces: asked.replaces,
                expires: SystemTime::now() + ORDER_LIFE,
                stage: Stage::Open,
            };
            ledger.orders.insert(order.id.clone(), order.clone());
            Ok(self.show(ledger, visit, &order, StatusCode::CREATED))
        })
    }

    pub(super) fn order(&self, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        post.must_be_get()?;
        self.ledger.with(|ledger| {
            let mut order = own(ledger, &account, id)?;
            self.proceed(ledger, &mut order)?;
            let processing = matches!(order.stage, Stage::Processing { .. });
            let reply = self.show(ledger, visit, &order, StatusCode::OK);
            Ok(reply.retry_after(self.options.retry_after.filter(|_wait| processing)))
        })
    }

    pub(super) fn finalize(&self, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        let asked: FinalizeRequest = post.parse()?;
        self.ledger.with(|ledger| {
            let mut order = own(ledger, &account, id)?;
            let status = ledger.status(&order);
            if status != Status::Ready {
                return Err(Problem::new(
                    "orderNotReady",
                    StatusCode::FORBIDDEN,
                    format!("the order is {}, not ready", status.as_str()),
                ));
            }
            let csr = decode(&asked.csr, "the CSR")?;
            let public_key = self.check_csr(ledger, &order, &csr)?;
            let ends = match self.options.finalize {
                Finalize::AtOnce => Ends::At(Instant::now()),
                Finalize::Processing(wait) => Ends::At(Instant::now() + wait),
                Finalize::ProcessingReads(reads) => Ends::AfterReads(reads),
                Finalize::Never => Ends::Never,
                Finalize::Fails { .. } => Ends::AfterReads(0),
            };
            order.stage = Stage::Processing { ends, public_key };
            match self.options.finalize {
                Finalize::AtOnce => self.proceed(ledger, &mut order)?,
                _ => {
                    ledger.orders.insert(order.id.clone(), order.clone());
                }
            }
            let processing = matches!(order.stage, Stage::Processing { .. });
            let reply = self.show(ledger, visit, &order, StatusCode::OK);
            Ok(reply.retry_after(self.options.retry_after.filter(|_wait| processing)))
        })
    }

    /// Ends processing if its time has come, and stores the order as it is then.
    fn proceed(&self, ledger: &mut Ledger, order: &mut Order) -> Result<(), Problem> {
        let Stage::Processing { ends, public_key } = &mut order.stage else {
            return Ok(());
        };
        let over = match ends {
            Ends::At(end) => Instant::now() >= *end,
            Ends::AfterReads(0) => true,
            Ends::AfterReads(reads) => {
                *reads -= 1;
                false
            }
            Ends::Never => false,
        };
        if over {
            let public_key = std::mem::take(public_key);
            order.stage = match self.options.finalize {
                Finalize::Fails { .. } => Stage::Failed(Problem::internal(
                    "issuance failed and will not be tried again",
                )),
                _ => Stage::Issued(self.issue(ledger, order, &public_key)?),
            };
        }
        ledger.orders.insert(order.id.clone(), order.clone());
        Ok(())
    }

    fn show(&self, ledger: &mut Ledger, visit: &Visit, order: &Order, status: StatusCode) -> Reply {
        let base = visit.base();
        let mut identifiers: Vec<Value> = order
            .names
            .iter()
            .map(|name| json!({ "type": "dns", "value": name }))
            .collect();
        let mut authorizations: Vec<String> = order
            .authorizations
            .iter()
            .map(|id| format!("{base}/authorization/{id}"))
            .collect();
        // Neither list has a sequence a client may rely on (RFC 8555 section 7.4).
        ledger.draw.shuffle(&mut identifiers);
        ledger.draw.shuffle(&mut authorizations);
        let mut value = json!({
            "status": ledger.status(order).as_str(),
            "expires": rfc3339(order.expires),
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": format!("{base}/finalize/{}", order.id),
        });
        for (name, text) in [
            ("notBefore", &order.not_before),
            ("notAfter", &order.not_after),
            ("profile", &order.profile),
            ("replaces", &order.replaces),
        ] {
            if let Some(text) = text {
                value[name] = json!(text);
            }
        }
        match &order.stage {
            Stage::Issued(certificate) => {
                value["certificate"] = json!(format!("{base}/certificate/{certificate}"));
            }
            Stage::Failed(problem)
                if self.options.finalize != (Finalize::Fails { with_error: false }) =>
            {
                value["error"] = problem.json();
            }
            _ => {}
        }
        let reply = Reply::json(status, &value);
        match status {
            // Only here: a client that needs it later must have kept it.
            StatusCode::CREATED => {
                reply.with(header::LOCATION, format!("{base}/order/{}", order.id))
            }
            _ => reply,
        }
    }

    fn check_profile(&self, profile: Option<&str>) -> Result<(), Problem> {
        let Some(profile) = profile else {
            return Ok(());
        };
        match self
            .options
            .profiles
            .iter()
            .any(|offered| offered.name == profile)
        {
            true => Ok(()),
            false => Err(Problem::new(
                "invalidProfile",
                StatusCode::BAD_REQUEST,
                format!("there is no profile `{profile}`"),
            )),
        }
    }

    fn check_dates(&self, asked: &NewOrder) -> Result<(), Problem> {
        let dates = [
            ("notBefore", &asked.not_before),
            ("notAfter", &asked.not_after),
        ];
        for (name, date) in dates {
            let Some(date) = date else { continue };
            if self.options.dates == Dates::Refused {
                return Err(Problem::malformed(format!("{name} is not supported")));
            }
            if parse_date(date).is_none() {
                return Err(Problem::malformed(format!(
                    "{name} `{date}` is not RFC 3339"
                )));
            }
        }
        Ok(())
    }

    /// The names of an order, in lower case, without repetition and sorted.
    fn check_names(&self, identifiers: &[Identifier]) -> Result<Vec<String>, Problem> {
        if identifiers.is_empty() {
            return Err(Problem::malformed("the order has no identifiers"));
        }
        let mut names = Vec::new();
        for identifier in identifiers {
            if identifier.kind != "dns" {
                return Err(Problem::new(
                    "unsupportedIdentifier",
                    StatusCode::BAD_REQUEST,
                    format!(
                        "identifiers of type `{}` are not supported",
                        identifier.kind
                    ),
                ));
            }
            let name = identifier.value.to_ascii_lowercase();
            check_name(&name)?;
            let blocked = self
                .options
                .blocked
                .iter()
                .any(|blocked| name == *blocked || name.ends_with(&format!(".{blocked}")));
            if blocked {
                return Err(Problem::new(
                    "rejectedIdentifier",
                    StatusCode::BAD_REQUEST,
                    format!("policy forbids to issue for `{name}`"),
                )
                .about(&name, "the name is blocked by policy"));
            }
            names.push(name);
        }
        names.sort();
        names.dedup();
        if names.len() > self.options.max_names {
            return Err(Problem::malformed(format!(
                "the order has {} names; at most {} may be in one",
                names.len(),
                self.options.max_names
            )));
        }
        Ok(names)
    }

    /// RFC 9773 section 5.
    fn check_replaces(
        &self,
        ledger: &Ledger,
        account: &Account,
        names: &[String],
        replaces: &str,
    ) -> Result<(), Problem> {
        let key_identifier = replaces.split_once('.').map(|(issuer, _serial)| issuer);
        let issuer = decode(key_identifier.unwrap_or_default(), "the key identifier")?;
        if issuer != self.authority.key_identifier() {
            return Err(Problem::malformed(format!(
                "`{replaces}` is of a certificate this CA has not issued"
            )));
        }
        let Some(old) = ledger.certificate_of(replaces) else {
            return Err(Problem::internal(format!(
                "no certificate is known as `{replaces}`"
            )));
        };
        let open = |order: &Order| {
            order.replaces.as_deref() == Some(replaces) && ledger.status(order) != Status::Invalid
        };
        let blocked = self.options.blocks_second_replacement && ledger.orders.values().any(open);
        if old.replaced || blocked {
            return Err(Problem::new(
                "alreadyReplaced",
                StatusCode::CONFLICT,
                format!("the certificate `{replaces}` has been replaced already"),
            ));
        }
        if old.account != account.id {
            return Err(Problem::unauthorized(
                "the certificate to be replaced belongs to another account",
            ));
        }
        match names.iter().any(|name| old.names.contains(name)) {
            true => Ok(()),
            false => Err(Problem::internal(
                "the certificate to be replaced shares no name with this order",
            )),
        }
    }

    /// The public key of a good request, as DER.
    fn check_csr(&self, ledger: &Ledger, order: &Order, der: &[u8]) -> Result<Vec<u8>, Problem> {
        let (rest, csr) = X509CertificationRequest::from_der(der)
            .map_err(|wrong| Problem::malformed(format!("the CSR cannot be read: {wrong}")))?;
        if !rest.is_empty() {
            return Err(Problem::bad_csr("something follows the CSR"));
        }
        csr.verify_signature()
            .map_err(|_wrong| Problem::bad_csr("the CSR's signature does not verify"))?;
        let info = &csr.certification_request_info;
        let mut names: Vec<String> = info
            .subject
            .iter_common_name()
            .filter_map(|name| Some(name.as_str().ok()?.to_ascii_lowercase()))
            .collect();
        for extension in csr.requested_extensions().into_iter().flatten() {
            match extension {
                ParsedExtension::SubjectAlternativeName(san) => {
                    for name in &san.general_names {
                        let GeneralName::DNSName(name) = name else {
                            return Err(Problem::unauthorized(
                                "the CSR holds a name that is no domain name",
                            ));
                        };
                        names.push(name.to_ascii_lowercase());
                    }
                }
                ParsedExtension::ExtendedKeyUsage(usage)
                    if usage.client_auth && self.options.refuses_client_auth =>
                {
                    return Err(Problem::bad_csr("only the serverAuth key usage is issued"));
                }
                _ => {}
            }
        }
        names.sort();
        names.dedup();
        if names != order.names {
            return Err(Problem::unauthorized(format!(
                "the CSR is for {names:?}, the order for {:?}",
                order.names
            )));
        }
        let key = &info.subject_pki;
        let known_size = match key.parsed() {
            Ok(PublicKey::EC(point)) => [256, 384].contains(&point.key_size()),
            Ok(PublicKey::RSA(key)) => RSA_BITS.contains(&key.key_size()),
            _ => false,
        };
        if !known_size {
            return Err(Problem::bad_csr(
                "keys are P-256, P-384 or RSA of 2048, 3072 or 4096 bits",
            ));
        }
        if Jwk::of(key).is_some_and(|key| ledger.account_of(&key).is_some()) {
            return Err(Problem::bad_csr("the CSR's key is the key of an account"));
        }
        Ok(key.raw.to_vec())
    }
}

/// The order a CA that repeats orders answers with.
fn repeated(
    ledger: &Ledger,
    account: &Account,
    names: &[String],
    asked: &NewOrder,
) -> Option<Order> {
    let same = |order: &&Order| {
        order.account == account.id
            && order.names == names
            && order.profile == asked.profile
            && order.replaces == asked.replaces
            && matches!(ledger.status(order), Status::Pending | Status::Ready)
    };
    ledger.orders.values().find(same).cloned()
}

fn own(ledger: &Ledger, account: &Account, id: &str) -> Result<Order, Problem> {
    let order = ledger
        .orders
        .get(id)
        .cloned()
        .ok_or_else(|| Problem::not_found(format!("there is no order `{id}`")))?;
    match order.account == account.id {
        true => Ok(order),
        false => Err(Problem::unauthorized("this is another account's order")),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let refuse = |why: &str| Err(Problem::malformed(format!("the identifier `{name}` {why}")));
    if name.len() > NAME_LENGTH {
        return refuse("is too long");
    }
    if name.parse::<IpAddr>().is_ok() {
        return refuse("is an IP address");
    }
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if bare.contains('*') {
        return refuse("has a wildcard in the wrong place");
    }
    if !bare.contains('.') {
        return refuse("has too few labels");
    }
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match bare.split('.').all(good) {
        true => Ok(()),
        false => refuse("is not a host name in A-labels"),
    }
}

pub(super) fn parse_date(text: &str) -> Option<SystemTime> {
    let seconds = text.parse::<jiff::Timestamp>().ok()?.as_second();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}
