//! Authorizations, challenges and their validation (RFC 8555 sections 7.5 and 8.4).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use http::{StatusCode, header};
use serde::Deserialize;

use super::Office;
use super::door::{Reply, Visit};
use super::ledger::{Account, Authorization, Challenge, Ledger, Status, token};
use super::problem::Problem;
use crate::dns::{self, ask};

/// Life of an authorization nobody has acted on.
const PENDING_LIFE: Duration = Duration::from_secs(3600);

/// Life of a valid authorization.
const VALID_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Deserialize)]
struct Update {
    status: String,
}

impl Office {
    /// The authorization for a name of a new order: a valid one again, by chance, or a new one.
    pub(super) fn authorize(&self, ledger: &mut Ledger, account: &Account, name: &str) -> String {
        let (bare, wildcard) = match name.strip_prefix("*.") {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        let reuse = ledger.draw.chance(self.options.authz_reuse);
        let valid = ledger.authorizations.values().find(|authorization| {
            authorization.account == account.id
                && authorization.name == bare
                && authorization.wildcard == wildcard
                && authorization.status() == Status::Valid
        });
        if let Some(valid) = valid.filter(|_valid| reuse) {
            return valid.id.clone();
        }
        // Types a client does not know, and one without a token, are part of every real offer.
        let kinds: &[&'static str] = match wildcard {
            true => &["dns-01", "dns-persist-01"],
            false => &["http-01", "tls-alpn-01", "dns-01", "dns-persist-01"],
        };
        let challenges = kinds
            .iter()
            .map(|kind| Challenge {
                id: ledger.fresh_id(),
                kind,
                token: (*kind != "dns-persist-01").then(|| token(32)),
                status: Status::Pending,
                validated: None,
                error: None,
            })
            .collect();
        let authorization = Authorization {
            id: ledger.fresh_id(),
            account: account.id.clone(),
            name: bare.to_owned(),
            wildcard,
            status: Status::Pending,
            expires: SystemTime::now() + PENDING_LIFE,
            challenges,
        };
        let id = authorization.id.clone();
        ledger.authorizations.insert(id.clone(), authorization);
        id
    }

    pub(super) fn authorization(&self, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        let update: Option<Update> = match post.payload.is_empty() {
            true => None,
            false => Some(post.parse()?),
        };
        self.ledger.with(|ledger| {
            let mut authorization =
                ledger.authorizations.get(id).cloned().ok_or_else(|| {
                    Problem::not_found(format!("there is no authorization `{id}`"))
                })?;
            if authorization.account != account.id {
                return Err(Problem::unauthorized(
                    "this is another account's authorization",
                ));
            }
            match update {
                None => {}
                Some(update) if update.status == "deactivated" => {
                    authorization.status = Status::Deactivated;
                    ledger
                        .authorizations
                        .insert(id.to_owned(), authorization.clone());
                }
                Some(update) => {
                    return Err(Problem::malformed(format!(
                        "an authorization can only become deactivated, not `{}`",
                        update.status
                    )));
                }
            }
            let at_work = authorization.status() == Status::Pending
                && authorization
                    .challenges
                    .iter()
                    .any(|challenge| challenge.status == Status::Processing);
            let value = authorization.json(&visit.base(), &mut ledger.draw);
            let reply = Reply::json(StatusCode::OK, &value);
            Ok(reply.retry_after(self.options.retry_after.filter(|_wait| at_work)))
        })
    }

    pub(super) fn challenge(self: &Arc<Self>, visit: &Visit, id: &str) -> Result<Reply, Problem> {
        let (post, account) = self.admit_account(visit)?;
        let start = !post.payload.is_empty();
        if start {
            let fields: serde_json::Map<String, serde_json::Value> = post.parse()?;
            if fields.contains_key("keyAuthorization") {
                return Err(Problem::malformed("a challenge is answered with `{}`"));
            }
        }
        let (authorization, challenge) = self.ledger.with(|ledger| {
            let (authorization, challenge) = ledger
                .challenge(id)
                .ok_or_else(|| Problem::not_found(format!("there is no challenge `{id}`")))?;
            if authorization.account != account.id {
                return Err(Problem::unauthorized("this is another account's challenge"));
            }
            let (authorization, mut challenge) = (authorization.clone(), challenge.clone());
            if start {
                check_start(&authorization, &challenge)?;
                challenge.status = Status::Processing;
                replace(ledger, &authorization.id, &challenge);
            }
            Ok((authorization, challenge))
        })?;
        let value = challenge.json(&visit.base());
        let up = format!(
            "<{}/authorization/{}>;rel=\"up\"",
            visit.base(),
            authorization.id
        );
        if start {
            let office = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(office.options.validation_delay).await;
                let outcome = office.validate(&account, &authorization, &challenge).await;
                office.settle(&authorization.id, challenge, outcome);
            });
        }
        Ok(Reply::json(StatusCode::OK, &value).with(header::LINK, up))
    }

    async fn validate(
        &self,
        account: &Account,
        authorization: &Authorization,
        challenge: &Challenge,
    ) -> Result<(), Problem> {
        let (kind, name) = (challenge.kind, &authorization.name);
        if kind != "dns-01" {
            return Err(Problem::new(
                "connection",
                StatusCode::BAD_REQUEST,
                format!("nobody answers {kind} for {name} in this world"),
            ));
        }
        let token = challenge.token.as_deref().unwrap_or_default();
        let proof = format!("{token}.{}", account.key.thumbprint());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, proof.as_bytes());
        let expected = URL_SAFE_NO_PAD.encode(digest.as_ref());
        let at = dns::parse(&format!("_acme-challenge.{name}"))
            .map_err(|wrong| dns_problem(wrong.to_string()))?;
        for server in &self.name_servers {
            let answer = ask(*server, &at, RecordType::TXT)
                .await
                .map_err(|failed| txt_problem(format!("{server} about TXT of {at}: {failed}")))?;
            let found = answer.txt();
            match answer.code {
                _ if found.contains(&expected) => {}
                ResponseCode::NoError | ResponseCode::NXDomain if found.is_empty() => {
                    return Err(Problem::unauthorized(format!(
                        "{server} has no TXT record at {at}"
                    )));
                }
                ResponseCode::NoError => {
                    return Err(Problem::unauthorized(format!(
                        "{server} has {} TXT records at {at}, none of them the right one, such as \
                         `{}`",
                        found.len(),
                        found.first().map_or("", String::as_str)
                    )));
                }
                code => {
                    return Err(txt_problem(format!("{server} about TXT of {at}: {code}")));
                }
            }
        }
        self.check_caa(name, authorization.wildcard).await
    }

    /// RFC 8659 section 3: the closest name with CAA records decides.
    async fn check_caa(&self, name: &str, wildcard: bool) -> Result<(), Problem> {
        let (Some(server), false) = (self.name_servers.first(), self.options.caa.is_empty()) else {
            return Ok(());
        };
        let mut at = dns::parse(name).map_err(|wrong| dns_problem(wrong.to_string()))?;
        while !at.is_root() {
            let answer = ask(*server, &at, RecordType::CAA)
                .await
                .map_err(|failed| dns_problem(format!("{server} about CAA of {at}: {failed}")))?;
            if !matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain) {
                return Err(dns_problem(format!(
                    "{server} about CAA of {at}: {}",
                    answer.code
                )));
            }
            let records: Vec<(String, String)> = answer
                .records
                .iter()
                .filter_map(|record| match &record.data {
                    RData::CAA(caa) => Some((
                        caa.tag.to_ascii_lowercase(),
                        String::from_utf8_lossy(&caa.value).into_owned(),
                    )),
                    _ => None,
                })
                .collect();
            if !records.is_empty() {
                return self.judge_caa(&at, &records, wildcard);
            }
            at = at.base_name();
        }
        Ok(())
    }

    fn judge_caa(
        &self,
        at: &Name,
        records: &[(String, String)],
        wildcard: bool,
    ) -> Result<(), Problem> {
        let of = |tag: &str| -> Vec<&str> {
            records
                .iter()
                .filter(|(found, _value)| found == tag)
                .map(|(_tag, value)| value.split(';').next().unwrap_or_default().trim())
                .collect()
        };
        let mut issuers = of("issuewild");
        if !wildcard || issuers.is_empty() {
            issuers = of("issue");
        }
        let allowed = issuers.is_empty()
            || issuers
                .iter()
                .any(|issuer| self.options.caa.iter().any(|own| own == issuer));
        match allowed {
            true => Ok(()),
            false => Err(Problem::new(
                "caa",
                StatusCode::FORBIDDEN,
                format!(
                    "CAA records at {at} forbid issuance: {}",
                    issuers.join(", ")
                ),
            )),
        }
    }

    fn settle(&self, authorization: &str, mut challenge: Challenge, outcome: Result<(), Problem>) {
        self.ledger.with(|ledger| {
            let Some(entry) = ledger.authorizations.get_mut(authorization) else {
                return;
            };
            // Deactivated meanwhile: what was found no longer matters.
            if entry.status != Status::Pending {
                return;
            }
            match outcome {
                Ok(()) => {
                    challenge.status = Status::Valid;
                    challenge.validated = Some(SystemTime::now());
                    entry.status = Status::Valid;
                    entry.expires = SystemTime::now() + VALID_LIFE;
                }
                Err(problem) => {
                    challenge.status = Status::Invalid;
                    challenge.error = Some(problem);
                    entry.status = Status::Invalid;
                }
            }
            replace(ledger, authorization, &challenge);
        });
    }
}

fn check_start(authorization: &Authorization, challenge: &Challenge) -> Result<(), Problem> {
    if challenge.status != Status::Pending {
        return Err(Problem::malformed(format!(
            "the challenge is {}, not pending",
            challenge.status.as_str()
        )));
    }
    let status = authorization.status();
    match status {
        Status::Pending => Ok(()),
        _ => Err(Problem::malformed(format!(
            "the authorization is {}",
            status.as_str()
        ))),
    }
}

fn replace(ledger: &mut Ledger, authorization: &str, challenge: &Challenge) {
    let Some(entry) = ledger.authorizations.get_mut(authorization) else {
        return;
    };
    for held in &mut entry.challenges {
        if held.id == challenge.id {
            held.clone_from(challenge);
        }
    }
}

/// As Pebble says it; Boulder says `dns` here, too.
fn txt_problem(detail: String) -> Problem {
    Problem::unauthorized(format!("a DNS look-up failed: {detail}"))
}

fn dns_problem(detail: String) -> Problem {
    Problem::new(
        "dns",
        StatusCode::BAD_REQUEST,
        format!("a DNS look-up failed: {detail}"),
    )
}
