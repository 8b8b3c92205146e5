//! What earlier runs have learnt, in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use waxwing_core::budget::Bucket;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::outage::{Away, Down};
use waxwing_core::plan::hold;
use waxwing_core::retry::ladder::Failed;
use waxwing_core::retry::{ladder, rehearsal};
use waxwing_core::time::Timestamp;

use super::world::World;
use crate::budget::WAITS;
use crate::history::{
    Advice, ClosedAttempt, ClosedDeploy, ClosedResult, ClosedRevocation, Past, RevocationResult,
    Sighting, Unasked, Unrevoked,
};
use crate::ports::{BudgetKey, ChangeBudgets, History, StoreError};

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) attempts: Vec<ClosedAttempt>,
    pub(crate) unasked: Vec<Unasked>,
    pub(crate) deploys: Vec<ClosedDeploy>,
    pub(crate) revocations: Vec<ClosedRevocation>,
    pub(crate) sent: BTreeMap<CaName, u64>,
    pub(crate) advice: BTreeMap<CertificateName, Advice>,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) cut_off: Vec<Timestamp>,
    pub(crate) budgets: BTreeMap<BudgetKey, Bucket>,
    /// What was issued by a clock that was ahead, when by that clock, and when it was found.
    pub(crate) doubtful: Vec<(CertificateName, Timestamp, Timestamp)>,
}

impl Memory {
    fn reached(&self, since: Timestamp) -> Vec<(Timestamp, bool)> {
        let attempts = self.attempts.iter();
        let mut moments: Vec<_> = attempts
            .map(|attempt| (attempt.ended, attempt.result.is_cut_off()))
            .chain(self.sightings.iter().map(|seen| (seen.at, false)))
            .chain(self.cut_off.iter().map(|at| (*at, true)))
            .filter(|(at, _)| *at >= since)
            .collect();
        moments.sort_unstable();
        moments.dedup_by_key(|(_, away)| *away);
        moments
    }

    pub(crate) fn past(&self, name: &CertificateName, now: Timestamp) -> Past {
        let mut past = Past {
            advice: self.advice.get(name).cloned(),
            ..Past::default()
        };
        let doubtful = self.doubtful.iter().filter(|(of, ..)| of == name);
        past.doubtful = doubtful.map(|(_, at, found)| (*at, *found)).collect();
        for one in self.revocations.iter().filter(|r| r.certificate == *name) {
            let before = past.unrevoked.take().filter(|u| u.version == one.version);
            past.unrevoked = match &one.result {
                RevocationResult::Failed { class, causes } => Some(Unrevoked {
                    version: one.version,
                    tries: before.map_or(0, |before| before.tries) + 1,
                    class: class.as_str().to_owned(),
                    causes: causes.clone(),
                }),
                RevocationResult::Revoked | RevocationResult::Over { .. } => None,
            };
        }
        let issued = self.attempts.iter().filter(|a| a.certificate == *name);
        let issued = issued.filter(|a| matches!(a.result, ClosedResult::Issued { .. }));
        let issued = issued.map(|a| a.ended).max();
        let unasked = self.unasked.iter().filter(|u| u.certificate == *name);
        let since = unasked.filter(|u| ladder::is_of_now(u.ended, now) && Some(u.ended) > issued);
        past.unasked = u32::try_from(since.count()).expect("few");
        for attempt in self.attempts.iter().filter(|a| a.certificate == *name) {
            if attempt.result.has_issued() && now.since(attempt.ended) < hold::MOST_ISSUED.per {
                past.issued.push(attempt.ended);
            }
            match &attempt.result {
                ClosedResult::Issued { .. } => past.failed.clear(),
                // That an order of an attempt before is denied is no failure of this one.
                ClosedResult::Failed {
                    class: FailureClass::Transient,
                    firm: true,
                    ..
                } => {}
                ClosedResult::Rehearsed => rehearsal::went_well(&mut past.failed, &attempt.ca),
                ClosedResult::Failed {
                    class,
                    theirs,
                    firm,
                    local,
                    until,
                    ..
                } => past.failed.push(Failed {
                    ca: attempt.ca.clone(),
                    at: attempt.ended,
                    theirs: *theirs,
                    rejected: *class == FailureClass::Rejected,
                    firm: *firm,
                    local: *local,
                    until: *until,
                    limited: *class == FailureClass::RateLimited,
                    rehearsed: false,
                }),
            }
        }
        past
    }
}

impl History for World {
    fn record(&self, attempt: &ClosedAttempt) -> Result<(), StoreError> {
        self.disk(
            "record an attempt of",
            attempt.certificate.as_str(),
            |state| {
                state.memory.attempts.push(attempt.clone());
            },
        )
    }

    fn is_issued(
        &self,
        run: &str,
        certificate: &CertificateName,
        version: u32,
    ) -> Result<bool, StoreError> {
        self.disk("look for an issue of", certificate.as_str(), |state| {
            let issued = ClosedResult::Issued { version };
            let mut attempts = state.memory.attempts.iter();
            attempts.any(|one| {
                (one.run.as_str(), &one.certificate) == (run, certificate) && one.result == issued
            })
        })
    }

    fn record_unasked(&self, attempt: &Unasked) -> Result<(), StoreError> {
        self.disk(
            "record what came to nothing for",
            attempt.certificate.as_str(),
            |state| state.memory.unasked.push(attempt.clone()),
        )
    }

    fn record_deploy(&self, deploy: &ClosedDeploy) -> Result<(), StoreError> {
        self.disk(
            "record an installation of",
            deploy.certificate.as_str(),
            |state| {
                state.memory.deploys.push(deploy.clone());
            },
        )
    }

    fn record_revocation(&self, revocation: &ClosedRevocation) -> Result<(), StoreError> {
        let name = revocation.certificate.as_str();
        self.disk("record a revocation of", name, |state| {
            state.memory.revocations.push(revocation.clone());
        })
    }

    fn count_requests(&self, sent: &BTreeMap<CaName, u64>) -> Result<(), StoreError> {
        self.disk("count requests to", "all CAs", |state| {
            for (ca, number) in sent {
                *state.memory.sent.entry(ca.clone()).or_default() += number;
            }
        })
    }

    fn pasts(&self, now: Timestamp) -> Result<BTreeMap<CertificateName, Past>, StoreError> {
        self.disk("read the history of", "everything", |state| {
            let memory = &state.memory;
            let names = memory.attempts.iter().map(|attempt| &attempt.certificate);
            let names = names.chain(memory.advice.keys());
            names
                .map(|name| (name.clone(), memory.past(name, now)))
                .collect()
        })
    }

    fn past(&self, name: &CertificateName, now: Timestamp) -> Result<Past, StoreError> {
        self.disk("read the history of", name.as_str(), |state| {
            state.memory.past(name, now)
        })
    }

    fn save_advice(&self, name: &CertificateName, advice: &Advice) -> Result<(), StoreError> {
        self.disk("keep the advice on", name.as_str(), |state| {
            state.memory.advice.insert(name.clone(), advice.clone());
        })
    }

    fn sight(&self, sighting: &Sighting) -> Result<(), StoreError> {
        self.disk("note a sighting of", sighting.ca.as_str(), |state| {
            state.memory.sightings.push(sighting.clone());
        })
    }

    fn down_since(&self) -> Result<BTreeMap<CaName, Down>, StoreError> {
        self.disk("read the sightings of", "all CAs", |state| {
            let mut down = BTreeMap::new();
            for sighting in &state.memory.sightings {
                match &sighting.result {
                    Ok(_) => {
                        down.remove(&sighting.ca);
                    }
                    Err(_) => {
                        let at = sighting.at;
                        let down: Entry<'_, _, Down> = down.entry(sighting.ca.clone());
                        down.and_modify(|one| one.again(at))
                            .or_insert(Down::first(at));
                    }
                }
            }
            let moments = state.memory.reached(Timestamp::from_unix(0));
            let down = down.into_iter().map(|(ca, down)| {
                let away = Away::behind(down.since, moments.iter().copied());
                (ca, Down { away, ..down })
            });
            down.collect()
        })
    }

    fn cut_off(&self, at: Timestamp) -> Result<(), StoreError> {
        self.disk("note that nobody was reached by", "all CAs", |state| {
            state.memory.cut_off.push(at);
        })
    }

    fn reached(&self, since: Timestamp) -> Result<Vec<(Timestamp, bool)>, StoreError> {
        self.disk("read the history of", "the network", |state| {
            state.memory.reached(since)
        })
    }

    fn budget(&self, key: &BudgetKey) -> Result<Option<Bucket>, StoreError> {
        self.disk("read the budget of", &key.owner, |state| {
            state.memory.budgets.get(key).copied()
        })
    }

    fn change_budgets(
        &self,
        keys: &[BudgetKey],
        change: ChangeBudgets<'_>,
    ) -> Result<(), StoreError> {
        let owner = keys.first().map_or("nobody", |key| key.owner.as_str());
        self.disk("change the budgets of", owner, |state| {
            let budgets = &mut state.memory.budgets;
            let kept: Vec<_> = keys.iter().map(|key| budgets.get(key).copied()).collect();
            for (key, bucket) in keys.iter().zip(change(&kept).unwrap_or_default()) {
                budgets.insert(key.clone(), bucket);
            }
        })
    }

    fn forget_ahead(&self, now: Timestamp) -> Result<(), StoreError> {
        self.disk("forget what is ahead in", "the history", |state| {
            let memory = &mut state.memory;
            for attempt in &memory.attempts {
                if attempt.result.has_issued() && attempt.ended.is_ahead_of(now) {
                    let of = attempt.certificate.clone();
                    memory.doubtful.push((of, attempt.ended, now));
                }
            }
            // Nobody reads here what does not count.
            memory.attempts.retain(|attempt| {
                matches!(attempt.result, ClosedResult::Issued { .. })
                    || !attempt.ended.is_ahead_of(now)
            });
            for attempt in &mut memory.attempts {
                if attempt.ended.is_ahead_of(now) {
                    attempt.ended = Timestamp::from_unix(0);
                }
            }
            memory.cut_off.retain(|at| !at.is_ahead_of(now));
            memory.budgets.retain(|key, bucket| {
                !WAITS.contains(&key.kind.as_str()) || !bucket.at.is_ahead_of(now)
            });
        })
    }

    fn prune(&self, before: Timestamp) -> Result<(), StoreError> {
        self.disk("prune", "the history", |state| {
            state
                .memory
                .attempts
                .retain(|attempt| attempt.ended >= before);
        })
    }
}
