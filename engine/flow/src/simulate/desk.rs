//! CAs that issue, or do not, as the script says.

use std::time::Duration;

use async_trait::async_trait;
use waxwing_acme::error::{AcmeErrorKind, Report};
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::disturbance::{Disturbance, Trouble};
use waxwing_core::http::{Method, TransportError, TransportStage};
use waxwing_core::name::{CaName, CertificateName, PluginName};
use waxwing_core::time::Timestamp;

use super::world::World;
use crate::budget;
use crate::driver::Driven;
use crate::failure::{CaError, Failure};
use crate::heard::Answer;
use crate::machine::effect::{Ending, Issued};
use crate::plugin::{PluginFailure, PluginFailureKind};
use crate::scheduler::{Desk, Shift, Wanted};

/// What every attempt has to reckon with.
#[derive(Debug)]
pub(super) struct Market {
    pub(super) disturbances: Vec<Disturbance>,
    pub(super) crash_rate: f64,
}

/// An order that an attempt has left behind.
#[derive(Debug, Clone)]
pub(super) struct OpenOrder {
    ca: CaName,
    /// True if the CA has issued already and only the download is missing.
    issued: bool,
}

/// The CAs.
pub(super) struct Stage(World);

impl World {
    pub(super) fn desk(&self) -> Stage {
        Stage(self.clone())
    }
}

/// Requests of a session before its first order: directory and nonce.
const OPENING: u64 = 2;

/// Requests of an order for one name, and for each name more, as they are counted at a CA that
/// finalizes behind the request.
const FIRST_NAME: u64 = 7;
const NEXT_NAME: u64 = 2;

impl Stage {
    fn holds(&self, wanted: impl Fn(&Trouble) -> bool, at: Timestamp) -> Option<&Disturbance> {
        let all = &self.0.market().disturbances;
        all.iter().find(|one| one.holds(at) && wanted(&one.trouble))
    }

    /// Counts requests to a CA; one that cannot leave this machine is none.
    fn asked(&self, ca: &CaName, requests: u64) {
        let offline = self.holds(|it| *it == Trouble::Network, self.0.now());
        if offline.is_some() {
            return;
        }
        *self.0.state().requests.entry(ca.clone()).or_default() += requests;
    }

    /// Why a CA cannot be talked to, if it cannot.
    fn silence(&self, profile: &CaProfile) -> Option<CaError> {
        let now = self.0.now();
        if self.holds(|it| *it == Trouble::Network, now).is_some() {
            return Some(transport(
                profile,
                TransportStage::Resolver,
                "this machine is offline",
            ));
        }
        let down = Trouble::Down(profile.name.clone());
        let outage = self.holds(|it| *it == down, now)?;
        // Every outage has its own face, the same for as long as it lasts.
        Some(match outage.during.start.unix().rem_euclid(4) {
            0 => transport(profile, TransportStage::Connect, "connection refused"),
            1 => transport(profile, TransportStage::Timeout, "no answer within 30 s"),
            2 => answer(profile, "read the directory", 503),
            _ => answer(profile, "read the directory", 403),
        })
    }

    /// True if the process dies here.
    fn unlucky(&self) -> bool {
        let rate = self.0.market().crash_rate;
        rate > 0.0 && self.0.state().dice.part() < rate
    }

    async fn die(&self) -> Failure {
        self.0.die();
        std::future::pending().await
    }

    fn open_at(&self, name: &CertificateName, ca: &CaName) -> Option<OpenOrder> {
        let state = self.0.state();
        state.open.get(name).filter(|open| open.ca == *ca).cloned()
    }
}

#[async_trait]
impl Desk for Stage {
    async fn obtain(&self, shift: &Shift<'_>, wanted: Wanted<'_>) -> Result<Driven, Failure> {
        let Wanted {
            certificate,
            profile,
            fallback,
            ..
        } = wanted;
        let (name, ca) = (&certificate.name, &profile.name);
        let now = self.0.now();
        self.asked(ca, 1);
        if let Some(cause) = self.silence(profile) {
            let url = profile.directories.first().cloned().unwrap_or_default();
            return Err(Failure::Directory {
                ca: ca.clone(),
                tried: vec![(url, cause)],
            });
        }
        // Whoever could be talked to is not down any more, as a session notes it.
        let answer = Answer {
            at: now,
            took: Duration::from_millis(200),
            well: true,
        };
        shift.heard().answered(ca, answer);
        self.asked(ca, OPENING - 1);
        let names: Vec<String> = certificate
            .domains
            .iter()
            .map(ToString::to_string)
            .collect();
        let open = self.open_at(name, ca);
        let issued = open.as_ref().is_some_and(|open| open.issued);
        if open.is_none() {
            budget::take_order(shift.history(), profile, &certificate.domains, now)?;
            self.asked(ca, 1);
            let mut state = self.0.state();
            if !state.judge.take(profile, LimitKind::Orders, "account", now) {
                return Err(refused(profile, "place the order", 429));
            }
            // No authorization of another order is taken up.
            for _name in &names {
                let kind = LimitKind::Authorizations;
                if !state.judge.take(profile, kind, "account", now) {
                    return Err(refused(profile, "place the order", 429));
                }
            }
            let order = OpenOrder {
                ca: ca.clone(),
                issued: false,
            };
            state.open.insert(name.clone(), order);
        }
        if self.unlucky() {
            return Err(self.die().await);
        }
        if !issued {
            if self.holds(|it| *it == Trouble::Dns, now).is_some() {
                return Ok(ended(Err(provider())));
            }
            let slow = Trouble::Slow(ca.clone());
            if self.holds(|it| *it == slow, now).is_some() {
                let waited = profile.poll.order;
                return Ok(ended(Err(Failure::OrderDeadline {
                    ca: ca.clone(),
                    status: "processing".to_owned(),
                    waited,
                })));
            }
            let rejects = Trouble::Rejects(ca.clone());
            let mut state = self.0.state();
            if self.holds(|it| *it == rejects, now).is_some() {
                state.open.remove(name);
                for one in &names {
                    let kind = LimitKind::FailedAuthorizations;
                    state.judge.take(profile, kind, one, now);
                }
                let refused = certificate.domains.iter().map(|one| (one.clone(), None));
                return Ok(ended(Err(Failure::Validation {
                    ca: ca.clone(),
                    refused: refused.collect(),
                })));
            }
            if !state
                .judge
                .take(profile, LimitKind::Duplicates, &names.join(" "), now)
            {
                return Err(refused(profile, "finalize the order", 429));
            }
            if let Some(open) = state.open.get_mut(name) {
                open.issued = true;
            }
        }
        if self.unlucky() {
            return Err(self.die().await);
        }
        let more = u64::try_from(names.len().saturating_sub(1)).unwrap_or(0);
        self.asked(ca, FIRST_NAME - 1 + more * NEXT_NAME);
        if shift.is_rehearsal() {
            // Received, and nothing else: nobody stores it.
            self.0.state().open.remove(name);
            return Ok(ended(Ok(Issued {
                version: None,
                facts: self.0.sample(certificate, ca, now),
            })));
        }
        let version = self.0.issue(certificate, ca, fallback, now);
        shift.note_issued(&wanted, version.version);
        self.0.state().open.remove(name);
        Ok(ended(Ok(Issued {
            version: Some(version.version),
            facts: version.facts,
        })))
    }

    async fn contact(
        &self,
        _shift: &Shift<'_>,
        profile: &CaProfile,
    ) -> Result<Duration, Option<CaError>> {
        self.asked(&profile.name, 1);
        match self.silence(profile) {
            Some(cause) => Err(Some(cause)),
            None => Ok(Duration::from_millis(200)),
        }
    }
}

fn ended(result: Result<Issued, Failure>) -> Driven {
    Driven {
        rehearsed: None,
        ending: Ending {
            result,
            owed: Vec::new(),
            keep_journal: false,
            notes: Vec::new(),
            lost: false,
        },
        milestones: Vec::new(),
    }
}

fn directory(profile: &CaProfile) -> String {
    profile.directories.first().cloned().unwrap_or_default()
}

fn transport(profile: &CaProfile, stage: TransportStage, cause: &str) -> CaError {
    CaError::Transport(TransportError {
        stage,
        method: Method::Get,
        url: directory(profile),
        address: None,
        elapsed: Duration::from_secs(1),
        causes: vec![cause.to_owned()],
    })
}

fn answer(profile: &CaProfile, call: &'static str, status: u16) -> CaError {
    let report = Report {
        page: false,
        call,
        method: Method::Get,
        url: directory(profile),
        status: Some(status),
        problem: None,
        retry_after: None,
        elapsed: Duration::from_secs(1),
        excerpt: Some("simulated".to_owned()),
        terms_of_service: None,
        help: None,
        kind: AcmeErrorKind::Refused,
    };
    CaError::Answer(report.into())
}

fn refused(profile: &CaProfile, step: &'static str, status: u16) -> Failure {
    Failure::Ca {
        ca: profile.name.clone(),
        step,
        error: Box::new(answer(profile, step, status)),
    }
}

/// The DNS provider takes nothing for the time being.
fn provider() -> Failure {
    let Ok(plugin) = PluginName::parse("dns") else {
        return Failure::Stopped;
    };
    Failure::Plugins(vec![PluginFailure {
        plugin,
        call: "present".to_owned(),
        kind: PluginFailureKind::Retryable,
        code: "simulated".to_owned(),
        message: "the API takes no records".to_owned(),
        hint: None,
        http_status: Some(429),
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: Vec::new(),
    }])
}
