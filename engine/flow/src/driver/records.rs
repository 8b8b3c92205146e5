//! The effects on the DNS: where the records go, placing them, removing them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use waxwing_acme::jws::dns01_value;
use waxwing_core::name::{DomainName, PluginName};

use super::{Pen, Work};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::machine::effect::DnsChallenge;
use crate::machine::event::Event;
use crate::obligation::{Obligation, ObligationState};
use crate::plugin::{Attempt, ChallengeRecord, PluginFailure, PluginFailureKind, PropagationHint};
use crate::report::Reached;
use crate::settle::{by_plugin, settle, unavailable};

/// Longest time for which others are let pass.
const COURTESY: Duration = Duration::from_secs(30);

/// From one look at whether they have passed to the next.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Work<'_> {
    /// Finds the name to write for each challenge, each domain looked up once.
    pub(super) async fn locate(&self, challenges: &[DnsChallenge]) -> Result<Event, Failure> {
        let domains: BTreeSet<&DomainName> = challenges
            .iter()
            .map(|challenge| &challenge.identifier.domain)
            .collect();
        let looks = domains.into_iter().map(async |domain| {
            let location = self
                .ports
                .probe
                .locate(domain)
                .await
                .map_err(Failure::Lookup)?;
            Ok::<_, Failure>((domain.clone(), location))
        });
        let locations = join_all(looks)
            .await
            .into_iter()
            .collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let jwk = self.session.jwk();
        let mut obligations = Vec::new();
        for challenge in challenges {
            let domain = &challenge.identifier.domain;
            let plugin = self
                .settings
                .validator(domain)
                .ok_or_else(|| Failure::NoValidator {
                    identifier: domain.clone(),
                })?;
            let location = locations.get(domain);
            let fqdn = location.map_or_else(|| domain.challenge_name(), |l| l.fqdn.clone());
            let value = dns01_value(&challenge.token, &jwk);
            obligations.push(Obligation {
                plugin: plugin.clone(),
                record: ChallengeRecord {
                    key: challenge.record_key(&fqdn, &value),
                    fqdn,
                    value,
                    identifier: domain.clone(),
                    zone_hint: location.and_then(|l| l.zone.clone()),
                },
                state: ObligationState::Intended,
            });
        }
        Ok(Event::Located(obligations))
    }

    /// Places all records, one call for each plugin.
    pub(super) async fn present(
        &self,
        machine: &Machine,
        mut obligations: Vec<Obligation>,
        pen: &mut Pen,
    ) -> Event {
        self.let_pass(&obligations).await;
        let attempt = Attempt {
            run: machine.run().id.clone(),
            number: machine.run().attempts,
        };
        let calls = by_plugin(&obligations)
            .into_iter()
            .map(async |(plugin, of_plugin)| {
                let records: Vec<ChallengeRecord> = of_plugin
                    .into_iter()
                    .map(|obligation| obligation.record.clone())
                    .collect();
                let answer = match self.ports.dns.get(plugin) {
                    Some(provider) => {
                        let presented = provider.present(&attempt, &records).await;
                        presented.map_err(|failure| vec![failure])
                    }
                    None => Err(unavailable(self.ports, plugin, "present")),
                };
                (plugin.clone(), answer)
            });
        let answers = join_all(calls).await;
        self.ahead.done(&self.certificate);
        let mut failed = Vec::new();
        let mut hint = PropagationHint::default();
        let mut doubles = Vec::new();
        for (plugin, answer) in answers {
            let of_plugin = obligations.iter_mut().filter(|o| o.plugin == plugin);
            match answer {
                Err(failures) => {
                    for obligation in of_plugin {
                        match failures.iter().find(|failure| !failure.untouched) {
                            Some(_in_doubt) => obligation.in_doubt(),
                            None => failures.iter().for_each(|f| obligation.failed(f)),
                        }
                    }
                    failed.extend(failures);
                }
                Ok(report) => {
                    for obligation in of_plugin {
                        let key = &obligation.record.key;
                        if let Some(placed) = report.placed.iter().find(|p| p.key == *key) {
                            doubles.extend(obligation.placed(placed, attempt.number));
                        } else {
                            match report.failed.iter().find(|(failed, _)| failed == key) {
                                Some((_, failure)) => obligation.failed(failure),
                                None => {
                                    failed.push(unanswered(&plugin, &obligation.record.fqdn));
                                    obligation.in_doubt();
                                }
                            }
                        }
                    }
                    failed.extend(report.failed.into_iter().map(|(_, failure)| failure));
                    widen(&mut hint, report.propagation);
                }
            }
        }
        if failed.is_empty() {
            let placed = obligations
                .iter()
                .map(|o| (o.record.fqdn.clone(), o.plugin.clone()))
                .collect();
            self.reach(pen, Reached::Placed(placed));
        }
        obligations.extend(doubles);
        Event::Presented {
            obligations,
            failed,
            hint,
        }
    }

    /// Removes all records, one call for each plugin. Nothing else can stop it but time.
    pub(super) async fn clean_up(
        &self,
        machine: &Machine,
        obligations: Vec<Obligation>,
        pen: &mut Pen,
    ) -> Event {
        let run = machine.run();
        if self.removes_late && machine.has_issued() && self.has_to_wait(&obligations) {
            let left = obligations.into_iter().filter(|o| o.removal().is_some());
            return Event::CleanedUp {
                left: left.collect(),
                failed: Vec::new(),
            };
        }
        let attempt = Attempt {
            run: run.id.clone(),
            number: run.attempts,
        };
        let settled = settle(self.ports, &attempt, obligations).await;
        self.reach(
            pen,
            Reached::Removed {
                records: settled.removed,
                left: settled.left.len(),
            },
        );
        Event::CleanedUp {
            left: settled.left,
            failed: settled.failed,
        }
    }
}

impl Work<'_> {
    /// Waits for those of this run that are in a hurry where a provider has no room for all, but not for long: they may
    /// be held up elsewhere.
    async fn let_pass(&self, obligations: &[Obligation]) {
        if self.removes_late {
            return;
        }
        let until = self.now() + COURTESY;
        let full = |ahead: usize| {
            by_plugin(obligations).into_iter().any(|(plugin, records)| {
                let provider = self.ports.dns.get(plugin);
                provider.is_some_and(|it| !it.waits(2 * (records.len() + ahead)).is_zero())
            })
        };
        loop {
            let ahead = self.ahead.records();
            if ahead == 0 || self.now() >= until || !full(ahead) {
                return;
            }
            self.ports.session.clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// True if a provider has no room now for what has to be done there.
    fn has_to_wait(&self, obligations: &[Obligation]) -> bool {
        by_plugin(obligations).into_iter().any(|(plugin, records)| {
            let provider = self.ports.dns.get(plugin);
            provider.is_some_and(|provider| !provider.waits(records.len()).is_zero())
        })
    }
}

/// Takes the more careful of two hints.
fn widen(hint: &mut PropagationHint, other: PropagationHint) {
    hint.nameservers.extend(other.nameservers);
    hint.min_wait = hint.min_wait.max(other.min_wait);
    hint.expected = hint.expected.max(other.expected);
    hint.give_up = hint.give_up.max(other.give_up);
}

/// The failure of a record that a plugin was given and said nothing about.
fn unanswered(plugin: &PluginName, fqdn: &DomainName) -> PluginFailure {
    PluginFailure {
        plugin: plugin.clone(),
        call: "present".to_owned(),
        kind: PluginFailureKind::Other,
        code: "plugin.no-answer".to_owned(),
        message: format!("it did not say what became of the record at {fqdn}"),
        hint: None,
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: Vec::new(),
    }
}
