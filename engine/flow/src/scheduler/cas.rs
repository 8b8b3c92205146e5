//! One CA of the list after the other, as far as the policy of fail-over goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::Instrument;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::choose::{self, Haste, Next, PassedOver, Question};
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::outage::{self, Contact, Verdict};
use waxwing_core::plan::hold::{self, Shut};
use waxwing_core::plan::{Action, Asker, Circumstances, Stored};
use waxwing_core::retry::ladder::{self, Failed};
use waxwing_core::schedule;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::Timestamp;

use super::preflight::{Preflight, forbidden};
use super::rehearsal::stage;
use super::{Force, Job, Shift, Wanted};
use crate::budget;
use crate::certificate::StoredVersion;
use crate::driver::Driven;
use crate::failure::{CaError, Failure};
use crate::heard::Answer;
use crate::history::{ClosedAttempt, ClosedResult};
use crate::report::{CaFailure, CertificateReport, Outcome, Progress};
use crate::tally;

/// Most CAs that are asked whether the network is there.
const MOST_WITNESSES: usize = 2;

/// For so long the answer of a CA in this run proves that the network is there.
const ANSWER_COUNTS: Duration = Duration::from_secs(5);

/// For so long a CA that did not answer is not asked again whether it does. Many certificates fail at
/// once when a network goes away, and each look at a silent host takes long.
const SILENCE_COUNTS: Duration = Duration::from_secs(60);

/// What is known of a certificate before a CA is chosen.
pub(super) struct Case<'a> {
    pub(super) job: &'a Job,
    /// True if its installation does not wait for others.
    pub(super) pressing: bool,
    pub(super) current: Option<&'a StoredVersion>,
    /// Its past, to which attempts of this run are added.
    pub(super) stored: Stored,
    /// What the plan says of it.
    pub(super) action: Action,
    /// What the DNS says; none before a CA is about to be asked.
    pub(super) preflight: Option<Preflight>,
    /// Requests to CAs that the attempt took which is about to be written down.
    pub(super) requests: u32,
}

impl Case<'_> {
    /// True if a person wants it whatever holds it.
    pub(super) fn insists(&self) -> bool {
        self.job.force == Force::Anyway
    }
}

impl Shift<'_> {
    /// Asks one CA after the other. Also answers whether a run was driven at any of them.
    pub(super) async fn at_cas(
        &self,
        mut case: Case<'_>,
        report: &mut CertificateReport,
    ) -> (Outcome, bool) {
        let certificate = &case.job.certificate;
        let name = &certificate.name;
        if let Some(failure) = self.unusable_plugins(certificate) {
            return (Outcome::Failed(Some(failure)), false);
        }
        let mut driven_once = false;
        let mut tried: BTreeSet<CaName> = BTreeSet::new();
        let list = self.candidates(certificate, case.current);
        loop {
            let choice = self.choose(&list, &case, &tried);
            let (profile, instead_of) = match choice.next {
                Next::Ask { ca, instead_of } => (ca, instead_of),
                Next::Wait { until, ca } => {
                    report.next_try = Some((self.open_from(&case, until), ca));
                    let over = choice.passed_over;
                    return (
                        self.given_up(&list, &case, &tried, over, report),
                        driven_once,
                    );
                }
                Next::Nobody => {
                    let over = choice.passed_over;
                    return (
                        self.given_up(&list, &case, &tried, over, report),
                        driven_once,
                    );
                }
            };
            if self.stop.is_requested() {
                return (Outcome::Failed(Some(Failure::Stopped)), driven_once);
            }
            if case.preflight.is_none() {
                let mut preflight = tokio::select! {
                    biased;
                    () = self.stop.requested() => continue,
                    found = self.preflight(certificate, &list) => found,
                };
                self.keep_forbidden(&case, &preflight);
                report.notes.append(&mut preflight.notes);
                case.preflight = Some(preflight);
                continue;
            }
            for (ca, why) in &choice.passed_over {
                if let PassedOver::Forbidden(why) = why
                    && report.failures.is_empty()
                {
                    report.notes.push(format!("{ca} was not asked: {why}"));
                }
            }
            if let (Some((from, _)), Some(last)) = (&instead_of, report.failures.last()) {
                let progress = Progress::FailedOver {
                    from: from.clone(),
                    to: profile.name.clone(),
                    causes: last.failure.chain(),
                };
                self.ports.observer.progress(name, &progress);
            }
            let doing = Progress::Doing {
                what: format!("asking {}", profile.title),
                since: self.now(),
                until: None,
            };
            self.ports.observer.progress(name, &doing);
            let fallback = certificate.cas.first() != Some(&profile.name) && !self.rehearsal;
            report.stands_in = instead_of.or_else(|| forbidden(&choice.passed_over, certificate));
            report.asked = true;
            let started = self.now();
            let span = tracing::info_span!("renewal", certificate = %name, ca = %profile.name,
                order = tracing::field::Empty);
            let bogus = case
                .preflight
                .as_ref()
                .and_then(|found| found.bogus.clone());
            let attempt = async {
                match bogus {
                    Some(error) => Err(Failure::Lookup(error)),
                    None => {
                        self.attempt(&mut case, profile, fallback, started, report)
                            .await
                    }
                }
            };
            let attempted = attempt.instrument(span).await;
            case.requests = tally::take();
            let failure = match attempted {
                Ok(driven) => {
                    driven_once = true;
                    self.count(&case, profile, &driven);
                    if driven.ending.lost {
                        self.count_lost(&case, profile, started);
                    }
                    report.milestones.extend(driven.milestones);
                    report.notes.extend(driven.ending.notes);
                    report.owed = driven.ending.owed;
                    match driven.ending.result {
                        Ok(issued) => {
                            let issued = Outcome::Issued {
                                ca: profile.name.clone(),
                                fallback,
                                version: issued.version,
                                not_after: issued.facts.not_after,
                                first: case.current.is_none(),
                            };
                            return (issued, driven_once);
                        }
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            if failure.class() == FailureClass::Cancelled {
                return (Outcome::Failed(Some(failure)), driven_once);
            }
            let fell_silent = self.now();
            let (failure, elsewhere) = self.whose(&list, profile, failure).await;
            // Who was asked whether the network is there is not part of the attempt.
            let _of_witnesses = tally::take();
            let theirs = failure.is_about_the_ca();
            self.note_failure(&mut case, profile, report, (started, fell_silent), &failure);
            tried.insert(profile.name.clone());
            if !theirs {
                report.next_try = self.next_run(&list, &case);
                return (Outcome::Failed(Some(failure)), driven_once);
            }
            report.failures.push(CaFailure {
                ca: profile.name.clone(),
                at: self.now(),
                failure,
                elsewhere,
            });
        }
    }

    /// Why plugins that are to place records cannot be used. An order would only be lost, and no CA is
    /// to blame, so none is asked and none is held off: the next run tries again.
    fn unusable_plugins(&self, certificate: &CertificateSettings) -> Option<Failure> {
        let plugins: BTreeSet<_> = certificate
            .domains
            .iter()
            .filter_map(|identifier| certificate.validator(&identifier.domain))
            .collect();
        let reasons = plugins
            .into_iter()
            .filter_map(|plugin| self.ports.unusable.get(plugin));
        let reasons: Vec<_> = reasons.flatten().cloned().collect();
        (!reasons.is_empty()).then_some(Failure::Plugins(reasons))
    }

    /// When the runs that come by themselves try again after a failure that no CA is to blame for, and
    /// where.
    fn next_run(&self, list: &[CaName], case: &Case<'_>) -> Option<(Timestamp, CaName)> {
        if self.rehearsal {
            return None;
        }
        let choice = self.choose_as((Asker::Timer, false), list, case, &BTreeSet::new());
        let (at, ca) = match choice.next {
            Next::Wait { until, ca } => (until, ca),
            // Nothing holds it: the next one does.
            Next::Ask { ca, .. } => (self.now() + schedule::TIMER, ca.name.clone()),
            Next::Nobody => return None,
        };
        Some((self.open_from(case, at), ca))
    }

    fn choose<'s>(
        &'s self,
        list: &[CaName],
        case: &Case<'_>,
        tried: &BTreeSet<CaName>,
    ) -> choose::Choice<'s> {
        self.choose_as((self.asker, case.insists()), list, case, tried)
    }

    /// How the CAs of the list stand with a certificate. Who insists meets only what is counted here.
    fn standings(
        &self,
        list: &[CaName],
        case: &Case<'_>,
        insists: bool,
        circumstances: &Circumstances<'_>,
    ) -> BTreeMap<CaName, choose::Standing> {
        if self.rehearsal {
            return BTreeMap::new();
        }
        let mut standings = hold::standings(list, Some(&case.stored), &case.action, circumstances);
        for (ca, standing) in standings.iter_mut().filter(|_| insists) {
            let used_up = match circumstances.spent.get(ca) {
                Some(Shut::UsedUp(until)) => Some(*until),
                Some(Shut::Asked(_)) | None => None,
            };
            standing.asked = used_up;
            standing.not_before = used_up;
            standing.own_wait = false;
        }
        standings
    }

    /// The choice for such an asker, who insists or does not.
    fn choose_as<'s>(
        &'s self,
        (asker, insists): (Asker, bool),
        list: &[CaName],
        case: &Case<'_>,
        tried: &BTreeSet<CaName>,
    ) -> choose::Choice<'s> {
        let spent = self.spent(&case.job.certificate);
        let down = self.heard.down();
        let circumstances = self.circumstances(&spent, &down);
        let mut standings = self.standings(list, case, insists, &circumstances);
        for ca in tried {
            standings.entry(ca.clone()).or_default().tried = true;
        }
        for (ca, why) in case.preflight.iter().flat_map(|found| &found.forbidden) {
            standings.entry(ca.clone()).or_default().forbidden = Some(why.clone());
        }
        let first = if self.rehearsal {
            list.first()
        } else {
            case.job.certificate.cas.first()
        };
        choose::next(&Question {
            list,
            first,
            profiles: &self.settings.cas,
            names: &case.job.certificate.domains,
            key: case.job.certificate.key,
            standings: &standings,
            policy: self.settings.failover,
            haste: if self.rehearsal {
                Haste::Now
            } else {
                hold::haste(&case.action)
            },
            by_hand: asker.by_hand(),
            now: circumstances.now,
        })
    }

    /// Nobody is left to be asked.
    fn given_up(
        &self,
        list: &[CaName],
        case: &Case<'_>,
        tried: &BTreeSet<CaName>,
        passed_over: Vec<(CaName, PassedOver)>,
        report: &mut CertificateReport,
    ) -> Outcome {
        if !tried.is_empty() && (case.insists() || self.asker.by_hand()) {
            // The runs that come by themselves wait where a person does not.
            report.next_try = self.next_run(list, case);
        }
        let passed_over: Vec<(CaName, String)> = passed_over
            .into_iter()
            .map(|(ca, why)| (ca, why.to_string()))
            .collect();
        if tried.is_empty() && report.next_try.is_none() {
            return Outcome::Failed(Some(Failure::NoCa {
                certificate: case.job.certificate.name.clone(),
                cas: case.job.certificate.cas.clone(),
                passed_over,
            }));
        }
        let notes = passed_over
            .into_iter()
            .map(|(ca, why)| format!("{ca} was not asked: {why}"));
        report.notes.extend(notes);
        match &report.next_try {
            // Nobody was asked: by force it is not due, or those that could stand in may not be asked.
            Some((until, ca)) if tried.is_empty() => {
                let spent = self.spent(&case.job.certificate);
                let down = self.heard.down();
                let circumstances = self.circumstances(&spent, &down);
                let standings = self.standings(list, case, case.insists(), &circumstances);
                let standing = standings.get(ca);
                Outcome::Held(hold::waits(
                    ca,
                    *until,
                    standing,
                    Some(&case.stored),
                    &circumstances,
                ))
            }
            _ => Outcome::Failed(None),
        }
    }

    /// The CAs to choose from, in order; for a rehearsal their staging CAs.
    fn candidates(
        &self,
        certificate: &CertificateSettings,
        current: Option<&StoredVersion>,
    ) -> Vec<CaName> {
        let profiles = &self.settings.cas;
        let list = choose::in_order(
            &certificate.cas,
            current
                .map(|current| &current.origin)
                .filter(|origin| origin.fallback && !origin.staging)
                .map(|origin| &origin.ca),
            self.settings.failover.fail_back,
        );
        if !self.rehearsal {
            return list;
        }
        let mut stages: Vec<CaName> = Vec::new();
        for profile in list.iter().filter_map(|name| profiles.get(name)) {
            stages.extend(stage(profile).filter(|stage| !stages.contains(stage)));
        }
        stages
    }

    /// Asks one CA, or before that its staging.
    async fn attempt(
        &self,
        case: &mut Case<'_>,
        profile: &CaProfile,
        fallback: bool,
        started: Timestamp,
        report: &mut CertificateReport,
    ) -> Result<Driven, Failure> {
        if self.rehearsal {
            self.left_alone(case, profile)?;
        }
        self.rehearse_first(case, profile, report).await?;
        let wanted = Wanted {
            certificate: &case.job.certificate,
            profile,
            fallback,
            current: case.current,
            started,
            stands_in: report.stands_in.as_ref(),
            names_predecessor: ladder::names_predecessor(
                &case.stored.failed,
                &profile.name,
                started,
            ),
            insists: case.insists(),
            removes_late: case.pressing,
            another_order: self.allows_another(case, profile),
        };
        self.desk.obtain(self, wanted).await
    }

    /// Whether a CA that did not answer is down, or this machine is cut off. Also answers who else
    /// was reached.
    pub(super) async fn whose(
        &self,
        list: &[CaName],
        profile: &CaProfile,
        failure: Failure,
    ) -> (Failure, Option<(CaName, Duration)>) {
        let Some(silence) = failure.silence() else {
            return (failure, None);
        };
        let mut contacts = Vec::new();
        let mut hosts = match &failure {
            Failure::Directory { tried, .. } => tried
                .first()
                .map(|(url, cause)| (host_of(url).to_owned(), cause.clone()))
                .into_iter()
                .collect(),
            Failure::Ca { error, .. } => match error.as_ref() {
                CaError::Transport(transport) => {
                    vec![(host_of(&transport.url).to_owned(), error.as_ref().clone())]
                }
                CaError::Answer(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        for witness in self.witnesses(list, profile) {
            match self.contact(witness).await {
                Ok(took) => {
                    return (failure, Some((witness.name.clone(), took)));
                }
                Err(Some(cause @ CaError::Transport(_))) => {
                    let url = witness.directories.first().map_or("", String::as_str);
                    let host = host_of(url).to_owned();
                    // Two services of one machine are not unrelated.
                    let related =
                        |known: &(String, CaError)| without_port(&known.0) == without_port(&host);
                    if let CaError::Transport(error) = &cause
                        && !hosts.iter().any(related)
                    {
                        contacts.push(Contact::Silent(error.stage));
                        hosts.push((host, cause));
                    }
                }
                // An error page is an answer.
                Err(_) => return (failure, None),
            }
        }
        match outage::judge(silence, &contacts) {
            Verdict::Local => (Failure::Offline { hosts }, None),
            Verdict::Theirs | Verdict::Unknown => (failure, None),
        }
    }

    /// Other CAs on other hosts: all of the certificate's own list, since one of them may have to stand
    /// in, and a few more of the configuration.
    fn witnesses(&self, list: &[CaName], profile: &CaProfile) -> Vec<&CaProfile> {
        let host = |ca: &CaProfile| ca.directories.first().map(|url| host_of(url).to_owned());
        let own = host(profile);
        let mut hosts = BTreeSet::new();
        let mut unrelated =
            |ca: &&CaProfile| host(ca) != own && host(ca).is_some_and(|host| hosts.insert(host));
        let profiles = &self.settings.cas;
        let listed = list.iter().filter_map(|name| profiles.get(name));
        let mut witnesses: Vec<&CaProfile> = listed.filter(&mut unrelated).collect();
        let all = self.settings.certificates.iter().flat_map(|c| &c.cas);
        let others = all.filter_map(|name| profiles.get(name));
        let more = MOST_WITNESSES.saturating_sub(witnesses.len());
        let more: Vec<&CaProfile> = others.filter(unrelated).take(more).collect();
        witnesses.extend(more);
        witnesses
    }

    /// Talks to a CA, unless this run has done so a moment ago: what it answered before the network went
    /// away says nothing.
    async fn contact(&self, profile: &CaProfile) -> Result<Duration, Option<CaError>> {
        let counter = self.counter(profile).await;
        let mut unheard = counter.unheard.lock().await;
        let now = self.now();
        let fresh = |at: Timestamp, good_for| at <= now && now.since(at) <= good_for;
        let answer = self.heard.last(&profile.name);
        if let Some(answer) = answer.filter(|answer| fresh(answer.at, ANSWER_COUNTS)) {
            return Ok(answer.took);
        }
        if let Some((at, cause)) = unheard.as_ref()
            && fresh(*at, SILENCE_COUNTS)
            && answer.is_none_or(|answer| answer.at <= *at)
        {
            return Err(cause.clone());
        }
        let result = self.desk.contact(self, profile).await;
        let at = self.now();
        match &result {
            Ok(took) => {
                let (took, well) = (*took, true);
                self.heard
                    .answered(&profile.name, Answer { at, took, well });
            }
            // What keeps a witness silent may be this machine.
            Err(cause) => *unheard = Some((at, cause.clone())),
        }
        result
    }

    fn note_failure(
        &self,
        case: &mut Case<'_>,
        profile: &CaProfile,
        report: &CertificateReport,
        (started, ended): (Timestamp, Timestamp),
        failure: &Failure,
    ) {
        if self.rehearsal {
            return self.keep_what_it_asked(case, profile, failure);
        }
        let now = self.now();
        let class = failure.class();
        let failed = Failed {
            ca: profile.name.clone(),
            at: now,
            theirs: failure.is_about_the_ca(),
            rejected: class == FailureClass::Rejected,
            // What was issued and is of no use will be so again.
            firm: failure.refuses_the_name() || matches!(failure, Failure::Mismatch { .. }),
            // A secret that cannot be read is this machine's trouble: looked at again soon.
            local: matches!(failure, Failure::Offline { .. } | Failure::Secret(_))
                || failure.is_unsent(),
            until: failure.until(now),
            limited: class == FailureClass::RateLimited,
            rehearsed: false,
        };
        if failed.theirs && class == FailureClass::Transient {
            let cause = failure.lines().join(": ");
            let directory = matches!(failure, Failure::Directory { .. });
            let has_answered = failure.silence().is_none() && !directory;
            self.heard.silent(&profile.name, ended, cause, has_answered);
            if let Some(until) = failed.until {
                budget::keep_closed(self.history(), &profile.name, until, now);
            }
        }
        let result = ClosedResult::Failed {
            class,
            theirs: failed.theirs,
            firm: failed.firm,
            local: failed.local,
            until: failed.until,
            causes: failure.chain(),
        };
        self.record(case, profile, report, started, result);
        case.stored.failed.push(failed);
    }

    pub(super) fn record(
        &self,
        case: &Case<'_>,
        profile: &CaProfile,
        report: &CertificateReport,
        started: Timestamp,
        result: ClosedResult,
    ) {
        let attempt = ClosedAttempt {
            run: self.id.to_owned(),
            certificate: case.job.certificate.name.clone(),
            ca: profile.name.clone(),
            stands_in: report.stands_in.clone(),
            started,
            ended: self.now(),
            requests: case.requests,
            result,
        };
        self.keep(&attempt);
    }
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The host of a URL, with its port if there is one.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}
