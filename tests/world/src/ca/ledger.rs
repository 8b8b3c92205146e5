//! What the CA remembers: accounts, orders, authorizations, certificates and nonces.
//!
//! An order's status is never stored: it follows from its authorizations and from how far
//! issuance is, as RFC 8555 section 7.1.6 draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jose::Jwk;
use super::problem::Problem;

/// Everything a CA remembers.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) nonces: BTreeSet<String>,
    pub(crate) draw: Draw,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) orders: BTreeMap<String, Order>,
    pub(crate) authorizations: BTreeMap<String, Authorization>,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    /// External account keys by identifier.
    pub(crate) external_keys: BTreeMap<String, Vec<u8>>,
    /// External account keys that have made an account.
    pub(crate) spent_keys: BTreeSet<String>,
    /// How far the clock by which certificates are dated is behind.
    pub(crate) behind: Duration,
    next: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) key: Jwk,
    pub(crate) contact: Vec<String>,
    pub(crate) deactivated: bool,
    pub(crate) binding: Option<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) names: Vec<String>,
    pub(crate) authorizations: Vec<String>,
    pub(crate) not_before: Option<String>,
    pub(crate) not_after: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) replaces: Option<String>,
    pub(crate) expires: SystemTime,
    pub(crate) stage: Stage,
}

/// How far issuance is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Not asked for.
    Open,
    /// Asked for; the request's public key is kept until the certificate is signed.
    Processing { ends: Ends, public_key: Vec<u8> },
    /// Done: the certificate's name in the ledger.
    Issued(String),
    /// Failed for good.
    Failed(Problem),
}

/// When processing ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    At(Instant),
    /// After so many reads of the order that still show it in processing.
    AfterReads(usize),
    Never,
}

#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    pub(crate) id: String,
    pub(crate) account: String,
    /// Without `*.`.
    pub(crate) name: String,
    pub(crate) wildcard: bool,
    pub(crate) status: Status,
    pub(crate) expires: SystemTime,
    pub(crate) challenges: Vec<Challenge>,
}

#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) status: Status,
    pub(crate) validated: Option<SystemTime>,
    pub(crate) error: Option<Problem>,
}

/// The states of authorizations, challenges and orders (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Waiting for the client.
    Pending,
    /// All authorizations are valid.
    Ready,
    /// The CA is at work.
    Processing,
    /// Done.
    Valid,
    /// Failed for good.
    Invalid,
    /// Given up by the client.
    Deactivated,
}

impl Status {
    /// The word of the RFC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) account: String,
    pub(crate) names: Vec<String>,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key: Option<Jwk>,
    /// Its identifier at the renewal information endpoint (RFC 9773 section 4.1).
    pub(crate) renewal_id: String,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The reason code of its revocation.
    pub(crate) revoked: Option<u64>,
    pub(crate) replaced: bool,
}

impl Ledger {
    pub(crate) fn new(seed: u64, external_keys: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            nonces: BTreeSet::new(),
            draw: Draw(seed),
            accounts: BTreeMap::new(),
            orders: BTreeMap::new(),
            authorizations: BTreeMap::new(),
            certificates: BTreeMap::new(),
            external_keys,
            spent_keys: BTreeSet::new(),
            behind: Duration::ZERO,
            next: 1,
        }
    }

    /// A name nobody else has; not guessable, so that a test cannot rely on its shape.
    pub(crate) fn fresh_id(&mut self) -> String {
        let id = format!("{}{}", token(6), self.next);
        self.next += 1;
        id
    }

    pub(crate) fn fresh_nonce(&mut self) -> String {
        let nonce = token(16);
        self.nonces.insert(nonce.clone());
        nonce
    }

    pub(crate) fn account_of(&self, key: &Jwk) -> Option<&Account> {
        self.accounts.values().find(|account| account.key == *key)
    }

    pub(crate) fn certificate_of(&self, renewal_id: &str) -> Option<&Certificate> {
        self.certificates
            .values()
            .find(|certificate| certificate.renewal_id == renewal_id)
    }

    pub(crate) fn challenge(&self, id: &str) -> Option<(&Authorization, &Challenge)> {
        self.authorizations.values().find_map(|authorization| {
            let challenge = authorization
                .challenges
                .iter()
                .find(|challenge| challenge.id == id)?;
            Some((authorization, challenge))
        })
    }

    pub(crate) fn status(&self, order: &Order) -> Status {
        match &order.stage {
            Stage::Issued(_certificate) => return Status::Valid,
            Stage::Processing { .. } => return Status::Processing,
            Stage::Failed(_problem) => return Status::Invalid,
            Stage::Open => {}
        }
        if order.expires < SystemTime::now() {
            return Status::Invalid;
        }
        let mut status = Status::Ready;
        for id in &order.authorizations {
            match self
                .authorizations
                .get(id)
                .map(|authorization| authorization.status())
            {
                Some(Status::Valid) => {}
                Some(Status::Pending) => status = Status::Pending,
                _ => return Status::Invalid,
            }
        }
        status
    }
}

impl Authorization {
    /// Its status now; one that has run out is no longer good for anything.
    pub(crate) fn status(&self) -> Status {
        match self.expires < SystemTime::now() {
            true => Status::Invalid,
            false => self.status,
        }
    }

    /// As its URL shows it. `base` is the URL's beginning, `turn` shuffles the challenges.
    pub(crate) fn json(&self, base: &str, draw: &mut Draw) -> Value {
        let mut challenges: Vec<_> = self
            .challenges
            .iter()
            .filter(|challenge| {
                // A settled authorization shows only what settled it.
                self.status == Status::Pending
                    || challenge.status == Status::Valid
                    || challenge.error.is_some()
            })
            .map(|challenge| challenge.json(base))
            .collect();
        draw.shuffle(&mut challenges);
        let mut value = json!({
            "status": self.status().as_str(),
            "identifier": { "type": "dns", "value": self.name },
            "challenges": challenges,
            "expires": rfc3339(self.expires),
        });
        if self.wildcard {
            value["wildcard"] = json!(true);
        }
        value
    }
}

impl Challenge {
    pub(crate) fn json(&self, base: &str) -> Value {
        let mut value = json!({
            "type": self.kind,
            "url": format!("{base}/challenge/{}", self.id),
            "status": self.status.as_str(),
        });
        if let Some(token) = &self.token {
            value["token"] = json!(token);
        }
        if self.kind == "dns-persist-01" {
            value["issuer-domain-names"] = json!(["ca.world.test"]);
        }
        if let Some(validated) = self.validated {
            value["validated"] = json!(rfc3339(validated));
        }
        if let Some(error) = &self.error {
            value["error"] = error.json();
        }
        value
    }
}

/// RFC 3339 with whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "9999-12-31T23:59:59Z".to_owned(),
            |time| time.to_string(),
        )
}

/// So many random bytes in base64url.
pub(crate) fn token(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    // Fails only where the operating system has no randomness, where no TLS could start either.
    let _filled = aws_lc_rs::rand::fill(&mut random);
    URL_SAFE_NO_PAD.encode(random)
}

/// Chance that repeats with its seed (the SplitMix64 generator).
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.next() % 100 < u64::from(percent)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(u64::MAX) + 1;
            let other = usize::try_from(self.next() % bound).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_repeats_with_its_seed_and_keeps_its_rate() {
        let hits = |seed: u64, percent: u8| {
            let mut draw = Draw(seed);
            (0..1000).filter(|_nth| draw.chance(percent)).count()
        };
        assert_eq!(hits(1, 0), 0);
        assert_eq!(hits(1, 100), 1000);
        assert_eq!(hits(7, 50), hits(7, 50));
        assert!((400..600).contains(&hits(7, 50)));
    }

    #[test]
    fn times_are_written_in_utc_with_whole_seconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_999);
        assert_eq!(rfc3339(time), "2026-11-18T11:06:40Z");
    }
}
