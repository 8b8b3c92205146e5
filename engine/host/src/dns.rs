//! The port `DnsProvider` over a component of the world `dns-plugin`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_core::name::DomainName;
use waxwing_flow::plugin::{
    Attempt, ChallengeRecord, Finding, Placed, PluginFailure, PluginFailureKind, PresentReport,
    PropagationHint, Removal, ZoneAnswer,
};
use waxwing_flow::ports::DnsProvider;

use crate::artifacts::Artifacts;
use crate::bindings::dns::DnsPluginPre;
use crate::bindings::dns::exports::waxwing::plugin::dns_provider as wit;
use crate::bindings::installer::waxwing::plugin::types;
use crate::call::{Call, call};
use crate::instance::Instance;
use crate::judge::Judge;
use crate::limits::{DNS_RECEIPT, ITEMS, WORD};
use crate::phase::Phase;

/// A loaded DNS plugin.
pub(crate) struct DnsPlugin {
    pub(crate) instance: Arc<Instance>,
    pub(crate) component: DnsPluginPre<Call>,
    /// Most records in one call.
    pub(crate) batch: usize,
}

#[async_trait]
impl DnsProvider for DnsPlugin {
    fn waits(&self, records: usize) -> Duration {
        self.instance.wait_for_room(records.min(self.batch))
    }

    fn longest(&self, records: usize) -> Option<Duration> {
        let calls = u32::try_from(records.div_ceil(self.batch.max(1))).ok()?;
        let wait = self.waits(records);
        let calls = self.instance.powers.bounds.call.checked_mul(calls)?;
        calls.checked_add(wait)
    }

    async fn validate(&self, online: bool) -> Result<Vec<Finding>, PluginFailure> {
        let component = self.component.clone();
        call(
            &self.instance,
            Phase::Validate,
            Artifacts::default(),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    plugin
                        .waxwing_plugin_lifecycle()
                        .call_validate(store, online)
                        .await
                })
            }),
            |findings, judge| Ok(judge.findings(findings)),
        )
        .await
    }

    async fn preflight(&self, names: &[DomainName]) -> Result<Vec<ZoneAnswer>, PluginFailure> {
        let mut answers = Vec::new();
        for names in names.chunks(self.batch) {
            let component = self.component.clone();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let asked = names.clone();
            let some = call(
                &self.instance,
                Phase::Preflight,
                Artifacts::default(),
                Box::new(move |store| {
                    Box::pin(async move {
                        let plugin = component.instantiate_async(&mut *store).await?;
                        plugin
                            .waxwing_plugin_dns_provider()
                            .call_preflight(store, &names)
                            .await
                    })
                }),
                move |answers, judge| zone_answers(&asked, answers, judge),
            );
            answers.extend(some.await?);
        }
        Ok(answers)
    }

    async fn present(
        &self,
        attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginFailure> {
        let mut report = PresentReport::default();
        let mut batches = records.chunks(self.batch);
        while let Some(batch) = batches.next() {
            let _room = self.instance.room(batch.len()).await;
            match self.present_batch(attempt, batch).await {
                Ok(some) => {
                    report.placed.extend(some.placed);
                    report.failed.extend(some.failed);
                    report.propagation = longer(report.propagation, some.propagation);
                }
                // With receipts in hand the whole call is no failure: they would be lost.
                Err(failure) if !report.placed.is_empty() => {
                    let rest = batch.iter().chain(batches.by_ref().flatten());
                    report
                        .failed
                        .extend(rest.map(|r| (r.key.clone(), failure.clone())));
                    return Ok(report);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(report)
    }

    async fn cleanup(
        &self,
        attempt: &Attempt,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginFailure)>, PluginFailure> {
        let mut left = Vec::new();
        let mut batches = removals.chunks(self.batch);
        let mut first = true;
        while let Some(batch) = batches.next() {
            let _room = self.instance.room(batch.len()).await;
            match self.cleanup_batch(attempt, batch).await {
                Ok(some) => left.extend(some),
                // What an earlier batch removed is settled, so only the rest is left.
                Err(failure) if !first => {
                    let rest = batch.iter().chain(batches.by_ref().flatten());
                    left.extend(rest.map(|r| (r.record.key.clone(), failure.clone())));
                    return Ok(left);
                }
                Err(failure) => return Err(failure),
            }
            first = false;
        }
        Ok(left)
    }
}

impl DnsPlugin {
    async fn present_batch(
        &self,
        attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginFailure> {
        let component = self.component.clone();
        let attempt = wit_attempt(attempt);
        let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
        let records: Vec<wit::ChallengeRecord> = records.iter().map(wit_record).collect();
        call(
            &self.instance,
            Phase::Present,
            Artifacts::default(),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    let provider = plugin.waxwing_plugin_dns_provider();
                    provider.call_present(store, &attempt, &records).await
                })
            }),
            move |report, judge| Ok(present_report(&keys, report, judge)),
        )
        .await
    }

    async fn cleanup_batch(
        &self,
        attempt: &Attempt,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginFailure)>, PluginFailure> {
        let component = self.component.clone();
        let attempt = wit_attempt(attempt);
        let keys: Vec<String> = removals.iter().map(|r| r.record.key.clone()).collect();
        let removals: Vec<wit::Removal> = removals
            .iter()
            .map(|removal| wit::Removal {
                challenge: wit_record(&removal.record),
                receipt: removal.receipt.clone(),
            })
            .collect();
        call(
            &self.instance,
            Phase::Cleanup,
            Artifacts::default(),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    let provider = plugin.waxwing_plugin_dns_provider();
                    provider.call_cleanup(store, &attempt, &removals).await
                })
            }),
            move |left, judge| still_there(&keys, left, judge),
        )
        .await
    }
}

pub(crate) fn wit_attempt(attempt: &Attempt) -> types::Attempt {
    types::Attempt {
        run_id: attempt.run.clone(),
        number: attempt.number,
        extra: Vec::new(),
    }
}

/// The contract writes names that are places in the DNS with a final dot.
fn wit_record(record: &ChallengeRecord) -> wit::ChallengeRecord {
    wit::ChallengeRecord {
        key: record.key.clone(),
        fqdn: format!("{}.", record.fqdn),
        value: record.value.clone(),
        identifier: record.identifier.to_string(),
        zone_hint: record.zone_hint.as_ref().map(|zone| format!("{zone}.")),
    }
}

/// Each name once, in the order they were asked.
fn zone_answers(
    asked: &[String],
    answers: Vec<wit::ZoneAnswer>,
    judge: &Judge,
) -> Result<Vec<ZoneAnswer>, PluginFailure> {
    let one = |name: &String| {
        let mut found = answers.iter().filter(|answer| answer.name == *name);
        let (Some(answer), None) = (found.next(), found.next()) else {
            return Err(judge.bad_answer(format!("the plugin does not answer {name} once")));
        };
        Ok(ZoneAnswer {
            name: name.clone(),
            zone: answer
                .zone
                .as_deref()
                .map(|zone| judge.text(zone.trim_end_matches('.'), WORD)),
            problem: answer
                .problem
                .clone()
                .map(|problem| judge.note(problem, PluginFailureKind::NotFound)),
        })
    };
    asked.iter().map(one).collect()
}

/// Each key of the call in exactly one of the lists, whatever the guest says. A key in doubt is a
/// failed one: clean-up then looks for the record by name and value.
fn present_report(keys: &[String], report: wit::PresentReport, judge: &Judge) -> PresentReport {
    let mut answer = PresentReport {
        propagation: hint(report.propagation, judge),
        ..PresentReport::default()
    };
    let mut failed = report.failed;
    for key in keys {
        let placed: Vec<&wit::Placed> = report.placed.iter().filter(|p| p.key == *key).collect();
        let failure = failed.iter().position(|(failed, _)| failed == key);
        match (placed.as_slice(), failure) {
            ([placed], None) if placed.receipt.len() > DNS_RECEIPT => {
                let message = format!("the receipt has more than {DNS_RECEIPT} bytes");
                answer.failed.push((key.clone(), judge.bad_answer(message)));
            }
            ([placed], None) => answer.placed.push(Placed {
                key: key.clone(),
                receipt: judge.redactor.text(&placed.receipt),
                created: placed.created,
            }),
            ([], Some(at)) => {
                let (_, error) = failed.swap_remove(at);
                answer.failed.push((key.clone(), judge.guest(error)));
            }
            _ => {
                let message = "the plugin does not say whether the record is placed".to_owned();
                answer.failed.push((key.clone(), judge.bad_answer(message)));
            }
        }
    }
    answer
}

/// The keys that the guest says are left, and no others.
fn still_there(
    keys: &[String],
    left: Vec<(String, types::PluginError)>,
    judge: &Judge,
) -> Result<Vec<(String, PluginFailure)>, PluginFailure> {
    if left.iter().any(|(key, _)| !keys.contains(key)) {
        return Err(judge.bad_answer("the plugin names a record it was not asked about".to_owned()));
    }
    Ok(left
        .into_iter()
        .map(|(key, error)| (key, judge.guest(error)))
        .collect())
}

fn hint(propagation: wit::Propagation, judge: &Judge) -> PropagationHint {
    let ms = |ms: u32| Duration::from_millis(ms.into());
    let names = propagation.nameservers.into_iter().take(ITEMS.min(32));
    PropagationHint {
        nameservers: names.map(|name| judge.text(&name, WORD)).collect(),
        min_wait: ms(propagation.min_wait_ms),
        expected: ms(propagation.expected_ms),
        give_up: ms(propagation.give_up_ms),
    }
}

/// Two batches of one provider: the slower one counts.
fn longer(one: PropagationHint, other: PropagationHint) -> PropagationHint {
    let mut nameservers = one.nameservers;
    for name in other.nameservers {
        if !nameservers.contains(&name) {
            nameservers.push(name);
        }
    }
    PropagationHint {
        nameservers,
        min_wait: one.min_wait.max(other.min_wait),
        expected: one.expected.max(other.expected),
        give_up: one.give_up.max(other.give_up),
    }
}
