//! Certificates: issue, download, revocation (RFC 8555 sections 7.4.2 and 7.6) and renewal
//! information (RFC 9773).

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, header};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::Leaf;
use super::door::{Reply, Visit};
use super::jose::{Jwk, decode};
use super::ledger::{Certificate, Ledger, Order, Status};
use super::order::parse_date;
use super::problem::Problem;
use super::{Office, RenewalInfo, RetryAfter};

/// Bytes of a serial number.
const SERIAL: usize = 16;

/// Half of the renewal window suggested by default.
const HALF_WINDOW: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
struct Revocation {
    certificate: String,
    reason: Option<u64>,
}

impl Office {
    /// Issues for an order and answers with the certificate's name in the ledger.
    pub(super) fn issue(
        &self,
        ledger: &mut Ledger,
        order: &Order,
        public_key: &[u8],
    ) -> Result<String, Problem> {
        let failed = |what: &str| Problem::internal(format!("issuance failed: {what}"));
        let asked = |date: &Option<String>| date.as_deref().and_then(parse_date);
        let now = SystemTime::now() - ledger.behind;
        let not_before = asked(&order.not_before).unwrap_or(now);
        let not_after = asked(&order.not_after).unwrap_or_else(|| not_before + self.life(order));
        let mut serial = [0; SERIAL];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_none| failed("no randomness"))?;
        // Every second serial starts with a set bit, so that its encoding starts with a zero byte
        // that a renewal identifier must keep (RFC 9773 section 4.1).
        let high = if ledger.certificates.len().is_multiple_of(2) {
            0x80
        } else {
            0x01
        };
        serial[0] = (serial[0] & 0x7f) | high;
        let leaf = Leaf {
            names: &order.names,
            public_key,
            not_before,
            not_after,
            serial: &serial,
        };
        let (der, pem) = self
            .authority
            .issue(&leaf)
            .map_err(|wrong| failed(&wrong.to_string()))?;
        let (key, renewal_id) = {
            let (_rest, parsed) =
                X509Certificate::from_der(&der).map_err(|wrong| failed(&wrong.to_string()))?;
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let id = format!(
                "{}.{}",
                encode(self.authority.key_identifier()),
                encode(parsed.raw_serial())
            );
            (Jwk::of(parsed.public_key()), id)
        };
        if let Some(replaces) = &order.replaces {
            for old in ledger.certificates.values_mut() {
                old.replaced |= old.renewal_id == *replaces;
            }
        }
        let certificate = Certificate {
            account: order.account.clone(),
            names: order.names.clone(),
            der,
            pem,
            key,
            renewal_id,
            not_before,
            not_after,
            revoked: None,
            replaced: false,
        };
        let id = ledger.fresh_id();
        ledger.certificates.insert(id.clone(), certificate);
        Ok(id)
    }

    fn life(&self, order: &Order) -> Duration {
        let profile = order.profile.as_deref().and_then(|profile| {
            self.options
                .profiles
                .iter()
                .find(|offered| offered.name == profile)
        });
        let life = profile.map_or(self.options.lifetime, |profile| profile.lifetime);
        // The last second is part of the validity (RFC 5280 section 4.1.2.5).
        life.saturating_sub(Duration::from_secs(1))
    }

    pub(super) fn certificate(&self, visit: &Visit, path: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        post.must_be_get()?;
        let (id, chain) = match path.split_once("/alternate/") {
            Some((id, nth)) => (id, nth.parse().ok()),
            None => (path, Some(0)),
        };
        let missing = || Problem::not_found(format!("there is no certificate `{path}`"));
        let certificate = self
            .ledger
            .with(|ledger| ledger.certificates.get(id).cloned())
            .ok_or_else(missing)?;
        if certificate.account != account.id {
            return Err(Problem::unauthorized(
                "this is another account's certificate",
            ));
        }
        let chain: usize = chain.ok_or_else(missing)?;
        let intermediate = self.authority.intermediate_pem(chain).ok_or_else(missing)?;
        let own = format!("{}/certificate/{id}", visit.base());
        let mut reply = Reply::text(
            "application/pem-certificate-chain",
            format!("{}{intermediate}", certificate.pem),
        );
        for other in (0..self.authority.chains()).filter(|other| *other != chain) {
            let url = match other {
                0 => own.clone(),
                other => format!("{own}/alternate/{other}"),
            };
            reply = reply.with(header::LINK, format!("<{url}>;rel=\"alternate\""));
        }
        Ok(reply)
    }

    pub(super) fn revoke(&self, visit: &Visit) -> Result<Reply, Problem> {
        let (post, account) = self.admit_either(visit)?;
        let asked: Revocation = post.parse()?;
        let reason = asked.reason.unwrap_or(0);
        if reason == 7 || reason > 10 {
            return Err(Problem::new(
                "badRevocationReason",
                StatusCode::BAD_REQUEST,
                format!("{reason} is no reason code"),
            ));
        }
        let der = decode(&asked.certificate, "the certificate")?;
        self.ledger.with(|ledger| {
            let found = ledger
                .certificates
                .iter()
                .find(|(_id, held)| held.der == der);
            let Some((id, certificate)) = found else {
                return Err(Problem::malformed("this CA has not issued the certificate"));
            };
            let may = match &account {
                Some(account) => {
                    certificate.account == account.id
                        || certificate.names.iter().all(|name| {
                            ledger.authorizations.values().any(|authorization| {
                                authorization.account == account.id
                                    && authorization.status() == Status::Valid
                                    && name.strip_prefix("*.").unwrap_or(name) == authorization.name
                                    && name.starts_with("*.") == authorization.wildcard
                            })
                        })
                }
                None => certificate.key.as_ref() == Some(&post.key),
            };
            if !may {
                return Err(Problem::unauthorized(
                    "neither the certificate's key nor an account that holds its names has signed",
                ));
            }
            if certificate.revoked.is_some() {
                return Err(Problem::new(
                    "alreadyRevoked",
                    StatusCode::BAD_REQUEST,
                    "the certificate has been revoked already",
                ));
            }
            let id = id.clone();
            if let Some(certificate) = ledger.certificates.get_mut(&id) {
                certificate.revoked = Some(reason);
            }
            Ok(Reply::empty(StatusCode::OK))
        })
    }

    pub(super) fn renewal_info(&self, id: &str) -> Result<Reply, Problem> {
        let (issuer, serial) = id
            .split_once('.')
            .ok_or_else(|| Problem::malformed(format!("`{id}` is not two parts and a dot")))?;
        decode(serial, "the serial number")?;
        if decode(issuer, "the key identifier")? != self.authority.key_identifier() {
            return Err(Problem::malformed(format!("`{id}` is of another issuer")));
        }
        let certificate = self
            .ledger
            .with(|ledger| ledger.certificate_of(id).cloned());
        let certificate = certificate
            .ok_or_else(|| Problem::not_found(format!("there is no certificate `{id}`")))?;
        let chosen = self
            .renewal_info
            .with(|answers| answers.by_id.get(id).or(answers.for_all.as_ref()).cloned());
        let answer = chosen.unwrap_or_else(|| usual_answer(&certificate));
        Ok(Reply::text("application/json", answer.body).retry_after(answer.retry_after))
    }
}

/// Two days around two thirds of its life; in the past for a revoked certificate.
fn usual_answer(certificate: &Certificate) -> RenewalInfo {
    if certificate.revoked.is_some() {
        let start = SystemTime::now() - Duration::from_secs(3600);
        return RenewalInfo::window(start, start + Duration::from_secs(60));
    }
    let life = certificate
        .not_after
        .duration_since(certificate.not_before)
        .unwrap_or(Duration::ZERO);
    let ideal = certificate.not_after - life / 3;
    let start = (ideal - HALF_WINDOW).max(certificate.not_before);
    let end = (ideal + HALF_WINDOW).min(certificate.not_after);
    let mut answer = RenewalInfo::window(start, end);
    answer.retry_after = Some(RetryAfter::Seconds(6 * 3600));
    answer
}
