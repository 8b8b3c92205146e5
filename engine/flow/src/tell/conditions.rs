//! States that are worth telling, as they are after a run, and how it stands with those that were told.

mod cas;
mod expiry;
mod patience;
mod store;
mod terms;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use waxwing_core::alert::{self, Step};
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::notify::event::{CLOCK, Change, Event, EventKind};
use waxwing_core::plan::{Action, InstallReason, Item};
use waxwing_core::retry::ladder;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::Timestamp;

pub(super) use self::expiry::EXPIRED;
use self::expiry::expiry;
use self::patience::{
    class_of, fails_without_a_word, is_as_it_failed, is_awaited, is_needless, is_still_wanted,
    still_waits, waits,
};
use super::budgets::{self, Near};
use super::revocations;
use super::{Condition, Scene, Standing};
use crate::certificate::{AttemptResult, InventoryEntry, InventoryVersion};
use crate::failure::{Failure, plain};
use crate::history;
use crate::notify::Told;
use crate::plugin::{PluginFailure, PluginFailureKind};
use crate::ports::UnseenError;
use crate::report::{CertificateReport, InstallOutcome, Outcome, Reached, ServedReport, by_hand};

/// Why nobody looks at something any more.
pub(super) const UNCONFIGURED: &str = "it is not configured any more";

/// Where an installer failed and is not there any more.
const INSTALLER_GONE: &str = "the installer that failed is not configured any more; what it has put in place is not \
                              renewed there";

/// What failed was forced, or for names that are not configured any more.
const NEEDLESS: &str = "nothing has to be renewed now, so nobody tries it again";

/// What another configuration was said to lack is forgotten if nothing was heard of it for so long.
const UNHEARD: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Lines of a chain of causes that a message has room for.
const MOST_CAUSES: usize = 24;

/// Every state that is worth telling.
pub(super) fn all(told: &[Told], scene: &Scene<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    if scene.blind {
        // Of certificates nothing is known then but, in some cases, when they end.
        let certificates = scene.settings.certificates.iter();
        found.extend(certificates.filter_map(|one| expiry(told, one, scene)));
        found.extend(store::conditions(told, scene));
        return found;
    }
    for certificate in &scene.settings.certificates {
        found.extend(failed(told, certificate, scene));
        found.extend(expiry(told, certificate, scene));
        let not_installed = not_installed(certificate, scene);
        // What is not installed cannot be served.
        if not_installed.is_none() {
            found.extend(not_served(certificate, scene));
        }
        found.extend(not_installed);
        found.extend(revocations::not_revoked(certificate, scene));
    }
    found.extend(store::conditions(told, scene));
    found.extend(cas::outages(scene));
    found.extend(scene.terms.iter().map(|new| terms::changed(told, new)));
    found.extend(denied(scene));
    found.extend(budgets::conditions(scene.budgets));
    found
}

/// How it stands with what was told and is not among the conditions.
pub(super) fn standing(told: &Told, scene: &Scene<'_>) -> Standing {
    let mut certificates = scene.settings.certificates.iter();
    let certificate = certificates.find(|one| one.name.as_str() == told.subject);
    match told.kind {
        // The configuration has lost it, and nobody works on it.
        EventKind::Failed | EventKind::NotInstalled | EventKind::NotServed
            if certificate.is_some_and(|one| one.cas.is_empty()) =>
        {
            Standing::Unknown
        }
        EventKind::Failed | EventKind::ExpiryNear => match certificate {
            None if told.subject == CLOCK => Standing::Good,
            None if told.subject.contains(['/', '\\']) => {
                let [state, config] = scene.places;
                let path = Path::new(&told.subject);
                let is_pattern = told.subject.contains(['*', '?', '[']);
                match path.starts_with(state) || path == config || is_pattern {
                    true => Standing::Good,
                    // What a daemon could not do for itself is named by what it is configured by.
                    false if scene.daemon && path.starts_with(config) => Standing::Good,
                    // Another configuration with the same state folder. Its runs say each week that it is so.
                    false if scene.now.since(told.at) < UNHEARD => Standing::Unknown,
                    false => Standing::Gone,
                }
            }
            None => Standing::Left(UNCONFIGURED),
            Some(_) if told.kind == EventKind::Failed && worked_on(&told.subject, scene) => {
                Standing::Unknown
            }
            Some(certificate)
                if told.kind == EventKind::Failed && is_needless(certificate, scene) =>
            {
                Standing::Left(NEEDLESS)
            }
            Some(certificate)
                if told.kind == EventKind::Failed
                    && (still_waits(certificate, scene)
                        || fails_without_a_word(certificate, scene)) =>
            {
                Standing::Unknown
            }
            // What is still to be renewed is as near its end as before, whoever counts from when it failed; and so is what
            // cannot be read any more.
            Some(certificate)
                if told.kind == EventKind::ExpiryNear
                    && (is_out_of_sight(certificate, scene)
                        || is_awaited(&told.subject, scene)
                        || is_unseen(certificate, scene)) =>
            {
                Standing::Unknown
            }
            // What is in use there still ends.
            Some(certificate)
                if told.kind == EventKind::ExpiryNear && lost_its_installer(certificate, scene) =>
            {
                Standing::Left(INSTALLER_GONE)
            }
            // Nobody has tried again, so nobody knows whether it still fails.
            Some(_) if told.kind == EventKind::Failed && is_as_it_failed(&told.subject, scene) => {
                Standing::Gone
            }
            // What an installer has done since hides how the last try ended.
            Some(certificate)
                if told.kind == EventKind::Failed && is_still_wanted(certificate, told, scene) =>
            {
                Standing::Unknown
            }
            Some(_) => Standing::Good,
        },
        EventKind::NotInstalled => match certificate {
            None => Standing::Left(UNCONFIGURED),
            Some(certificate) if waits_for_installer(certificate, scene) => Standing::Unknown,
            Some(certificate) if lost_its_installer(certificate, scene) => {
                Standing::Left(INSTALLER_GONE)
            }
            Some(_) => Standing::Good,
        },
        EventKind::NotServed => match certificate {
            None => Standing::Left(UNCONFIGURED),
            Some(certificate) if certificate.served_at.is_empty() => Standing::Left(UNCONFIGURED),
            Some(certificate) => match served(certificate, scene) {
                Some(bad) if bad.is_empty() => Standing::Good,
                _ => Standing::Unknown,
            },
        },
        EventKind::NotRevoked => match certificate {
            // What is owed is owed all the same, and `status` says so.
            None => Standing::Gone,
            Some(certificate) => revocations::standing(certificate, scene),
        },
        EventKind::CaOutage => {
            let mut used = scene.settings.used_cas().into_iter();
            match used.find(|ca| ca.as_str() == told.subject) {
                None => Standing::Left(UNCONFIGURED),
                Some(ca) => cas::standing(&ca, scene),
            }
        }
        EventKind::TermsChanged => {
            let used = scene.settings.used_cas();
            match used.iter().any(|ca| ca.as_str() == told.subject) {
                true => Standing::Good,
                false => Standing::Gone,
            }
        }
        EventKind::PluginDenied => {
            let mut plugins = scene.settings.plugins.keys();
            if !plugins.any(|plugin| plugin.as_str() == told.subject) {
                Standing::Left(UNCONFIGURED)
            } else if has_worked(&told.subject, scene) {
                Standing::Good
            } else {
                Standing::Unknown
            }
        }
        EventKind::BudgetNear => match budgets::near(scene.budgets, &told.subject) {
            None => Standing::Gone,
            Some(Near::Far) => Standing::Good,
            Some(Near::Between | Near::At(_)) => Standing::Unknown,
        },
        EventKind::NotifierFailed
        | EventKind::WeeklyDigest
        | EventKind::Renewed
        | EventKind::FailedOver
        | EventKind::RunOk
        | EventKind::Test => Standing::Unknown,
    }
}

/// True if another run is at this certificate, or if it waits for its CA: whether it fails is not known.
fn worked_on(subject: &str, scene: &Scene<'_>) -> bool {
    let mut reports = scene.report.certificates.iter();
    let report = reports.find(|report| report.certificate.as_str() == subject);
    report
        .is_some_and(|report| matches!(report.outcome, Outcome::Locked(_)) || waits_for_ca(report))
}

fn waits_for_ca(report: &CertificateReport) -> bool {
    matches!(
        last_failure(report),
        Some(Failure::Parked { .. } | Failure::Stopped)
    )
}

pub(super) fn report_of<'r>(
    name: &CertificateName,
    scene: &'r Scene<'_>,
) -> Option<&'r CertificateReport> {
    let mut reports = scene.report.certificates.iter();
    reports.find(|report| report.certificate == *name)
}

fn item_of<'p>(name: &CertificateName, scene: &'p Scene<'_>) -> Option<&'p Item> {
    scene.plan.items.iter().find(|item| item.name == *name)
}

/// Why the CAs that were tried did not give a certificate, and what else went wrong.
pub(super) fn every_failure(report: &CertificateReport) -> Vec<&Failure> {
    let at_cas = report.failures.iter().map(|at_ca| &at_ca.failure);
    let mut all: Vec<&Failure> = at_cas.collect();
    if let Outcome::Failed(Some(failure)) = &report.outcome {
        all.push(failure);
    }
    all
}

fn last_failure(report: &CertificateReport) -> Option<&Failure> {
    match &report.outcome {
        Outcome::Failed(_) => every_failure(report).pop(),
        _ => None,
    }
}

/// A whole chain, cut where nobody reads on.
pub(super) fn chain(mut causes: Vec<String>) -> Vec<String> {
    if causes.len() > MOST_CAUSES {
        let more = causes.len() - MOST_CAUSES;
        causes.truncate(MOST_CAUSES);
        causes.push(format!("and {more} more"));
    }
    causes
}

/// What is known of a certificate besides the event itself.
pub(super) fn about(certificate: &CertificateSettings, scene: &Scene<'_>, event: &mut Event) {
    event.names = certificate
        .domains
        .iter()
        .map(ToString::to_string)
        .collect();
    let entry = scene.inventory.get(&certificate.name);
    event.not_after = entry.and_then(InventoryEntry::ends);
}

/// The last failure as the store has it, if nothing has succeeded since.
///
/// One that lies ahead is from a clock that was wrong.
fn stored_failure(entry: &InventoryEntry, now: Timestamp) -> Option<(&str, &[String])> {
    let last = entry.last.as_ref()?;
    if last.at.is_ahead_of(now) {
        return None;
    }
    match &last.result {
        AttemptResult::Failed { class, causes } => Some((class, causes)),
        _ => None,
    }
}

/// What is told of a failure: why, and what comes next.
fn why(certificate: &CertificateSettings, scene: &Scene<'_>, event: &mut Event) {
    let report = report_of(&certificate.name, scene);
    let failed = report.filter(|report| matches!(report.outcome, Outcome::Failed(_)));
    let item = item_of(&certificate.name, scene);
    event.next_try = item
        .and_then(|item| item.hold.as_ref())
        .and_then(|hold| hold.until());
    if let Some(report) = failed {
        let all = every_failure(report);
        event.causes = chain(all.iter().flat_map(|failure| failure.lines()).collect());
        event.hint = all.iter().rev().find_map(|failure| failure.hint());
        if let Some((at, ca)) = &report.next_try {
            event.next_try = Some(*at);
            event.ca = Some(ca.to_string());
        }
    } else if let Some(Outcome::Locked(error)) = report.map(|report| &report.outcome) {
        // Whoever is at it may hang, and then it is the reason.
        event.causes = chain(vec![
            "another run is at it, and this one has left it alone".to_owned(),
            error.to_string(),
        ]);
        event.hint =
            Some("if that process hangs: kill it, and the next run takes the order up".to_owned());
    } else if let Some((_, causes)) = scene
        .inventory
        .get(&certificate.name)
        .and_then(|entry| stored_failure(entry, scene.now))
    {
        event.causes = chain(plain(causes));
    }
    let last = scene.inventory.get(&certificate.name);
    let last = last.and_then(|entry| entry.last.as_ref());
    let replaces = match failed {
        Some(report) => report.replaces,
        None => last.is_some_and(|last| last.replaces),
    };
    event.by_hand = item.and_then(|item| by_hand(item, replaces));
    if event.by_hand.is_some() {
        event.next_try = None;
    }
}

fn failed(
    told: &[Told],
    certificate: &CertificateSettings,
    scene: &Scene<'_>,
) -> Option<Condition> {
    let entry = scene.inventory.get(&certificate.name);
    let past = scene.pasts.get(&certificate.name);
    let stored = entry.and_then(|entry| stored_failure(entry, scene.now));
    let last = entry.and_then(|entry| entry.last.as_ref());
    let recent = last.is_some_and(|last| ladder::is_of_now(last.at, scene.now));
    let report = report_of(&certificate.name, scene);
    let known = past.map_or(0, |past| past.failures(scene.now));
    // On a full disk nothing is known of it.
    let here = report.is_some_and(|report| matches!(report.outcome, Outcome::Failed(_)));
    let failures = known.max(u32::from(here || stored.is_some() && recent));
    let looped = patience::looped(&certificate.name, scene);
    // What it was is not known any more: a clock that was ahead has noted something else. The next try tells.
    if !here && stored.is_none() && looped.is_none() {
        return None;
    }
    let failures = failures.max(patience::uncounted(told, certificate, scene));
    // Nothing has failed of what is held because too many were issued, and it is not renewed all the same.
    let failures = failures.max(u32::from(looped.is_some()));
    if is_needless(certificate, scene) {
        return None;
    }
    let step = alert::step(failures, None, scene.now)?;
    let class = class_of(certificate, scene);
    // To wait for a CA is no failure, until it has become many.
    let asked = past.and_then(|past| past.failed.last());
    let asked = asked.is_none_or(|last| last.until.is_some() || !last.limited);
    // What is refused already wherever somebody looks does not wait in silence.
    let nothing = history::Past::default();
    let current = entry.and_then(|entry| history::stored(entry, past.unwrap_or(&nothing)).current);
    let suggestion = current.and_then(|current| current.suggestion);
    let revoked = suggestion.is_some_and(|suggestion| suggestion.is_a_revocation());
    if step == Step::Failed && waits(certificate, scene) && asked && !revoked {
        return None;
    }
    let passes = class == Some(FailureClass::Transient.as_str());
    // What is in place for some of its names has not all of them.
    let never = entry.is_none_or(|entry| entry.current.is_none() && entry.damage.is_none());
    let mut event = Event::new(EventKind::Failed, Change::Began, certificate.name.as_str());
    about(certificate, scene, &mut event);
    why(certificate, scene, &mut event);
    event.step = Some(step.as_str().to_owned());
    event.count = Some(failures);
    event.needs_person = step > Step::Failed || !passes || never;
    if let Some((cause, hint)) = looped {
        event.causes.push(cause);
        event.hint = Some(hint);
        let late = item_of(&certificate.name, scene).is_some_and(Item::is_urgent);
        event.needs_person = step > Step::Failed || never || late;
    }
    let step = if step == Step::Failed { 1 } else { 2 };
    Some(Condition::new(step, event))
}

/// An installer that failed for this certificate in this run.
fn not_installed(certificate: &CertificateSettings, scene: &Scene<'_>) -> Option<Condition> {
    let failed = scene.report.installs.iter().filter_map(|install| {
        let of_it = install.certificates.contains(&certificate.name);
        match &install.outcome {
            // Whoever stops a run knows it, and the next one installs.
            InstallOutcome::Failed(Failure::Stopped) => None,
            InstallOutcome::Failed(failure) if of_it => Some((&install.plugin, failure)),
            _ => None,
        }
    });
    let failed: Vec<_> = failed.collect();
    let (_, first) = failed.first()?;
    let mut event = Event::new(
        EventKind::NotInstalled,
        Change::Began,
        certificate.name.as_str(),
    );
    about(certificate, scene, &mut event);
    event.what = failed
        .iter()
        .map(|(plugin, _)| plugin.to_string())
        .collect();
    event.causes = chain(failed.iter().flat_map(|(_, one)| one.lines()).collect());
    event.hint = first.hint();
    event.needs_person = true;
    Some(Condition::new(1, event))
}

/// True if something stored is still to be installed.
fn waits_for_installer(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    item_of(&certificate.name, scene).is_some_and(|item| {
        item.install
            .iter()
            .any(|install| install.because != InstallReason::NewVersion)
    })
}

/// True if an installer that is not configured any more has failed with the current version, or has left an older one
/// in place, and no other one has put the current one anywhere.
fn lost_its_installer(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let Some(entry) = scene.inventory.get(&certificate.name) else {
        return false;
    };
    let is_gone = |plugin: &PluginName| !certificate.install.contains(plugin);
    let failed = entry.last.as_ref().is_some_and(|last| match &last.result {
        AttemptResult::NotInstalled { plugin, .. } => is_gone(plugin),
        _ => false,
    });
    let current = entry.current.as_ref().map(|current| current.version);
    let mut marks = entry.installed.iter();
    let installed = marks.any(|mark| Some(mark.version) == current && !is_gone(&mark.plugin));
    let mut older = entry.installed.iter();
    failed || !installed && older.any(|mark| Some(mark.version) != current && is_gone(&mark.plugin))
}

/// Places that serve something else than the current version, with what was seen there; none if that
/// was not looked at since it is current. What this run has seen counts before what is stored, which
/// is older where nothing could be written.
fn served(certificate: &CertificateSettings, scene: &Scene<'_>) -> Option<Vec<(String, String)>> {
    let entry = scene.inventory.get(&certificate.name)?;
    let current = entry.current.as_ref()?;
    let mut bad = Vec::new();
    for place in &certificate.served_at {
        let mut looks = scene.report.served.iter();
        let here = looks.find(|look| look.certificate == certificate.name && look.place == *place);
        let (at, seen) = if let Some(look) = here {
            let causes = |error: &UnseenError| error.causes.clone();
            (look.at, look.seen.as_ref().map_err(causes))
        } else {
            let place = place.to_string();
            let mark = entry.served.iter().find(|mark| mark.place == place)?;
            (mark.at, mark.seen.as_ref().map_err(Clone::clone))
        };
        if at < current_since(current, scene.now) {
            return None;
        }
        let place = place.to_string();
        match seen {
            Ok(leaf) if leaf.sha256 == current.facts.leaf_sha256 => {}
            Ok(leaf) => {
                let until = leaf.not_after.map(|at| format!(", valid until {at}"));
                let seen = format!("another certificate is served{}", until.unwrap_or_default());
                bad.push((place, seen));
            }
            Err(causes) => bad.push((place, causes.join(": "))),
        }
    }
    Some(bad)
}

/// True if nobody can see when what is in use ends.
fn is_out_of_sight(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let entry = scene.inventory.get(&certificate.name);
    entry.is_none_or(|entry| entry.current.is_none())
}

/// True if it is not seen at each place where it is to be served: what ends there may still be in use.
fn is_unseen(certificate: &CertificateSettings, scene: &Scene<'_>) -> bool {
    let seen = served(certificate, scene);
    let entry = scene.inventory.get(&certificate.name);
    let nowhere = entry.is_some_and(|entry| entry.is_out_of_place(certificate));
    nowhere || !certificate.served_at.is_empty() && seen.is_none_or(|bad| !bad.is_empty())
}

/// Since when a version is the current one. Where the clock was ahead when it was issued, the CA's word
/// counts.
fn current_since(current: &InventoryVersion, now: Timestamp) -> Timestamp {
    if current.origin.issued_at > now {
        return current.facts.not_before;
    }
    current.origin.issued_at
}

fn not_served(certificate: &CertificateSettings, scene: &Scene<'_>) -> Option<Condition> {
    if certificate.served_at.is_empty() || waits_for_installer(certificate, scene) {
        return None;
    }
    let bad = served(certificate, scene).filter(|bad| !bad.is_empty())?;
    let mut event = Event::new(
        EventKind::NotServed,
        Change::Began,
        certificate.name.as_str(),
    );
    about(certificate, scene, &mut event);
    event.causes = bad
        .iter()
        .map(|(place, seen)| format!("{place}: {seen}"))
        .collect();
    event.what = bad.into_iter().map(|(place, _)| place).collect();
    event.needs_person = true;
    event.hint = Some(ServedReport::HINT.to_owned());
    let step = u32::try_from(event.what.len()).unwrap_or(u32::MAX);
    Some(Condition::new(step, event))
}

/// Every failure of a plugin in this run.
fn plugin_failures<'r>(scene: &'r Scene<'_>) -> Vec<&'r PluginFailure> {
    let mut all: Vec<&PluginFailure> = Vec::new();
    let mut of = |failure: &'r Failure| {
        if let Failure::Plugins(failures) = failure {
            all.extend(failures);
        }
    };
    for report in &scene.report.certificates {
        every_failure(report).into_iter().for_each(&mut of);
    }
    for install in &scene.report.installs {
        if let InstallOutcome::Failed(failure) = &install.outcome {
            of(failure);
        }
    }
    all.extend(scene.report.certificates.iter().flat_map(|one| &one.owed));
    all
}

fn denied(scene: &Scene<'_>) -> Vec<Condition> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for failure in plugin_failures(scene) {
        if failure.kind != PluginFailureKind::Denied || !told.insert(&failure.plugin) {
            continue;
        }
        let mut event = Event::new(
            EventKind::PluginDenied,
            Change::Began,
            failure.plugin.as_str(),
        );
        event.causes = vec![failure.to_string()];
        event.causes.extend(failure.causes.iter().cloned());
        event.hint.clone_from(&failure.hint);
        event.needs_person = true;
        found.push(Condition::new(1, event));
    }
    found
}

/// True if the plugin did in this run what it is for.
fn has_worked(plugin: &str, scene: &Scene<'_>) -> bool {
    let mut milestones = scene
        .report
        .certificates
        .iter()
        .flat_map(|report| &report.milestones);
    let placed = milestones.any(|milestone| match &milestone.what {
        Reached::Placed(records) => records.iter().any(|(_, by)| by.as_str() == plugin),
        _ => false,
    });
    let mut installs = scene.report.installs.iter();
    placed
        || installs.any(|install| {
            let done = matches!(install.outcome, InstallOutcome::Done { .. });
            install.plugin.as_str() == plugin && done
        })
}

/// When the certificate is renewed, if it is in place.
pub(super) fn renewal_of(item: &Item) -> Option<Timestamp> {
    match &item.action {
        Action::Keep { due, .. } | Action::Install { due, .. } | Action::Renew { due, .. } => {
            Some(item.moment.map_or(due.at, |moment| moment.at))
        }
        Action::Issue(_) | Action::Gone { .. } => None,
    }
}
