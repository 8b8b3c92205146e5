//! Bringing stored certificates to where they are used: one batch for each installer and run.
//!
//! Installing follows the state, not the event: whatever is stored and not yet installed is
//! installed, so a failed installation is tried again on the next run without a new order.

use std::collections::BTreeMap;

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::Timestamp;

use crate::certificate::{
    AttemptResult, InstalledMark, InventoryEntry, LastAttempt, StoredVersion,
};
use crate::driver::{ConfiguredInstaller, Ports, Stop};
use crate::failure::Failure;
use crate::history::{self, ClosedDeploy, FailedDeploy, Target};
use crate::plugin::{Attempt, DeployStep, InstallItem, PutBack};
use crate::ports::{CertificateStore, LockGuard, StoreError, StoreErrorKind};
use crate::report::{InstallOutcome, InstallReport, Progress, StageReport};
use crate::settle::unavailable;

mod deploy;

use deploy::{Deploy, InPlace};

/// True if an installer has something to do for a certificate.
pub fn is_needed(entry: &InventoryEntry, plugin: &PluginName, settings: &str) -> bool {
    let Some(current) = &entry.current else {
        return false;
    };
    // A real certificate is not replaced by one that nobody trusts, whichever installer has put it
    // in place: two of them may write to the same files.
    if current.origin.staging && entry.installed.iter().any(|mark| !mark.staging) {
        return false;
    }
    let mark = entry.installed.iter().find(|mark| mark.plugin == *plugin);
    mark.is_none_or(|mark| mark.version != current.version || mark.settings != settings)
}

/// What one installer has to do in this run.
struct Batch<'a> {
    plugin: &'a PluginName,
    configured: Option<&'a ConfiguredInstaller>,
    items: Vec<InstallItem>,
    /// True if this installer has failed with one of them.
    tried: bool,
    /// Held until the batch is done, so that no other run changes the certificates meanwhile.
    _locks: Vec<Box<dyn LockGuard>>,
}

/// What is to be done.
pub(crate) enum Mode {
    /// What is stored and not installed is installed.
    Real,
    /// What was received and not stored is planned, and nothing is done.
    Rehearsal(Vec<StoredVersion>),
}

/// Installs what is stored and not installed among these certificates, or only plans it; `earlier` is what was installed
/// before in this run.
pub(crate) async fn install(
    ports: &Ports,
    run: &str,
    settings: &[&CertificateSettings],
    mode: &Mode,
    (put_back, earlier): (&[PutBack], &[InstallReport]),
    stop: &Stop,
) -> Vec<InstallReport> {
    // What has failed in this run does not disturb the others.
    let has_failed = |plugin: &PluginName, name: &CertificateName| {
        earlier.iter().any(|install| {
            let failed = !matches!(install.outcome, InstallOutcome::Done { .. });
            failed && install.plugin == *plugin && install.certificates.contains(name)
        })
    };
    let rehearsal = matches!(mode, Mode::Rehearsal(_));
    let mut wanted: BTreeMap<&PluginName, Vec<&CertificateName>> = BTreeMap::new();
    let mut order: Vec<&PluginName> = Vec::new();
    for certificate in settings {
        for plugin in &certificate.install {
            if has_failed(plugin, &certificate.name) {
                continue;
            }
            if !order.contains(&plugin) {
                order.push(plugin);
            }
            wanted.entry(plugin).or_default().push(&certificate.name);
        }
    }
    let mut reports = Vec::new();
    for plugin in order {
        if stop.is_requested() {
            break;
        }
        let names = wanted.remove(plugin).unwrap_or_default();
        let started = ports.session.clock.now();
        let report = |certificates: Vec<CertificateName>, steps, stages, outcome| InstallReport {
            plugin: plugin.clone(),
            certificates,
            started,
            took: ports.session.clock.now().since(started),
            steps,
            stages,
            outcome,
        };
        let (batch, not_ready) = gather(ports, plugin, &names, mode);
        for (name, error) in not_ready {
            // What another run installs now is no failure of this one, and nothing to be told.
            if error.kind == StoreErrorKind::Locked {
                reports.push(report(
                    vec![name],
                    Vec::new(),
                    Vec::new(),
                    InstallOutcome::Locked(error),
                ));
                continue;
            }
            let failure = Failure::Store(error);
            if !rehearsal {
                let failed = FailedDeploy {
                    stage: "read",
                    causes: failure.chain(),
                };
                record(
                    ports,
                    run,
                    plugin,
                    (name.clone(), None),
                    started,
                    Some(failed),
                );
            }
            reports.push(report(
                vec![name],
                Vec::new(),
                Vec::new(),
                InstallOutcome::Failed(failure),
            ));
        }
        if batch.items.is_empty() {
            continue;
        }
        let certificates: Vec<CertificateName> = batch
            .items
            .iter()
            .map(|item| item.version.certificate.clone())
            .collect();
        let attempt = Attempt {
            run: run.to_owned(),
            // Files that were put back come from a try that was cut off.
            number: if batch.tried || put_back.iter().any(|one| one.plugin == *plugin) {
                2
            } else {
                1
            },
        };
        for certificate in &certificates {
            let what = match (rehearsal, certificates.len()) {
                (true, _) => format!("{plugin}: planning what it would install"),
                (false, 1) => format!("{plugin}: installing, testing and reloading"),
                (false, all) => {
                    format!("{plugin}: installing, testing and reloading for {all} certificates")
                }
            };
            let since = ports.session.clock.now();
            let longest = batch.configured.and_then(|one| one.installer.longest());
            let until = longest.map(|longest| since + longest);
            let doing = Progress::Doing { what, since, until };
            ports.observer.progress(certificate, &doing);
        }
        let (steps, stages, outcome) = carry_out(ports, &attempt, &batch, rehearsal, stop).await;
        if matches!(outcome, InstallOutcome::Done { .. }) {
            forget_exchanged(ports, &batch, settings);
        }
        for certificate in &certificates {
            ports.observer.progress(certificate, &Progress::Done);
        }
        // One that was stopped is no failure: it is still to be done, and the next run does it.
        if let InstallOutcome::Failed(failure) = &outcome
            && !rehearsal
            && !matches!(failure, Failure::Stopped)
        {
            note_failure(ports, plugin, &certificates, failure);
        }
        if !rehearsal {
            let failed = failed(&stages, &outcome);
            for item in &batch.items {
                let version = &item.version;
                let of = (version.certificate.clone(), Some(version.version));
                record(ports, run, plugin, of, started, failed.clone());
            }
        }
        reports.push(report(certificates, steps, stages, outcome));
    }
    reports
}

/// Collects what an installer has to do. A certificate that cannot be read or locked does not keep
/// the others from being installed.
fn gather<'a>(
    ports: &'a Ports,
    plugin: &'a PluginName,
    names: &[&CertificateName],
    mode: &Mode,
) -> (Batch<'a>, Vec<(CertificateName, StoreError)>) {
    let configured = ports.installers.get(plugin);
    let settings = configured.map_or("", |installer| installer.settings.as_str());
    let mut batch = Batch {
        plugin,
        configured,
        items: Vec::new(),
        tried: false,
        _locks: Vec::new(),
    };
    let mut failed = Vec::new();
    for &name in names {
        let found = match mode {
            Mode::Real => item(ports, plugin, settings, name),
            Mode::Rehearsal(received) => rehearsed(ports, plugin, settings, name, received),
        };
        match found {
            Ok(None) => {}
            Ok(Some(locked)) => {
                batch.tried |= locked.tried;
                batch.items.push(locked.item);
                batch._locks.push(locked.lock);
            }
            Err(error) => failed.push((name.clone(), error)),
        }
    }
    (batch, failed)
}

/// A certificate of a batch, locked.
struct Locked {
    item: InstallItem,
    /// True if this installer has failed with it.
    tried: bool,
    lock: Box<dyn LockGuard>,
}

/// The current version of one certificate with its lock, if the installer is to have it.
fn item(
    ports: &Ports,
    plugin: &PluginName,
    settings: &str,
    name: &CertificateName,
) -> Result<Option<Locked>, StoreError> {
    let store = &ports.session.store;
    let wanted = |entry: &InventoryEntry| is_needed(entry, plugin, settings);
    if !store.entry(name)?.as_ref().is_some_and(&wanted) {
        return Ok(None);
    }
    let lock = store.lock_certificate(name)?;
    let Some(entry) = store.entry(name)?.filter(wanted) else {
        return Ok(None);
    };
    let version = match store.current(name) {
        // What can be worked out again is; else the next run orders another one, and nobody has to.
        Err(error) if error.kind == StoreErrorKind::Corrupt => {
            store.mend_stored(name)?;
            let hint = Some("the next run orders another one; nothing has to be done".to_owned());
            store
                .current(name)
                .map_err(|_again| StoreError { hint, ..error })?
        }
        version => version?,
    };
    let Some(version) = version else {
        return Ok(None);
    };
    Ok(Some(Locked {
        item: install_item(store.as_ref(), version, Some(&entry), plugin, settings),
        tried: entry.last.is_some_and(|last| {
            matches!(last.result, AttemptResult::NotInstalled { plugin: failed, .. } if failed == *plugin)
        }),
        lock,
    }))
}

/// What a rehearsal has received for one certificate, in the place of the version that a real run
/// would have stored.
fn rehearsed(
    ports: &Ports,
    plugin: &PluginName,
    settings: &str,
    name: &CertificateName,
    received: &[StoredVersion],
) -> Result<Option<Locked>, StoreError> {
    let store = &ports.session.store;
    let Some(version) = received.iter().find(|version| version.certificate == *name) else {
        return Ok(None);
    };
    let lock = store.lock_certificate(name)?;
    let entry = store.entry(name)?;
    let last = entry.as_ref().and_then(|entry| entry.current.as_ref());
    let version = StoredVersion {
        version: last.map_or(0, |last| last.version).saturating_add(1),
        ..version.clone()
    };
    Ok(Some(Locked {
        item: install_item(store.as_ref(), version, entry.as_ref(), plugin, settings),
        tried: false,
        lock,
    }))
}

/// So many numbers below the current one may have been given to versions that are erased, or were never stored.
const NUMBERS: u32 = 5;

/// SHA-1 of the leaf that may be in use where this installer has put nothing in place: what it had put there before it was
/// exchanged; else what was brought over from another client; else the newest version before this one.
fn before(
    store: &dyn CertificateStore,
    version: &StoredVersion,
    plugin: &PluginName,
) -> Option<String> {
    if let Some(mark) = store.was_installed(&version.certificate, plugin) {
        return Some(mark.leaf_sha1);
    }
    let last = version.version;
    let numbers = (last.saturating_sub(NUMBERS).max(1)..last).rev();
    let older = numbers.filter_map(|number| {
        let older = store.version(&version.certificate, number).ok().flatten();
        older.filter(|older| !older.origin.staging)
    });
    let older: Vec<StoredVersion> = older.collect();
    // When it was received nobody knows.
    let imported = |one: &&StoredVersion| one.origin.issued_at == one.facts.not_before;
    let found = older.iter().find(imported).or_else(|| older.first())?;
    Some(found.facts.leaf_sha1.clone())
}

fn install_item(
    store: &dyn CertificateStore,
    version: StoredVersion,
    entry: Option<&InventoryEntry>,
    plugin: &PluginName,
    settings: &str,
) -> InstallItem {
    let mut marks = entry.iter().flat_map(|entry| &entry.installed);
    let mark = marks.find(|mark| mark.plugin == *plugin);
    let before = match mark {
        Some(_) => None,
        None => before(store, &version, plugin),
    };
    InstallItem {
        version,
        before,
        previous: mark.map(|mark| (mark.leaf_sha256.clone(), mark.leaf_sha1.clone())),
        reconfigured: mark.is_some_and(|mark| mark.settings != settings),
    }
}

/// One batch from its plan to the note that it is in place.
async fn carry_out(
    ports: &Ports,
    attempt: &Attempt,
    batch: &Batch<'_>,
    rehearsal: bool,
    stop: &Stop,
) -> (Vec<DeployStep>, Vec<StageReport>, InstallOutcome) {
    let Some(configured) = batch.configured else {
        let failure = Failure::Plugins(unavailable(ports, batch.plugin, "install"));
        return (Vec::new(), Vec::new(), InstallOutcome::Failed(failure));
    };
    let clock = ports.session.clock.as_ref();
    let mut deploy = Deploy::new(clock, &*configured.installer, attempt, &batch.items);
    let outcome = if rehearsal {
        let planned = deploy.rehearse().await;
        planned.map(|()| InstallOutcome::Planned)
    } else {
        deploy.run(stop).await.and_then(|in_place| {
            note_installed(ports, batch, configured, &in_place).map_err(Failure::Store)?;
            let changed = in_place.changed;
            Ok(InstallOutcome::Done { changed })
        })
    };
    let outcome = outcome.unwrap_or_else(InstallOutcome::Failed);
    (deploy.steps, deploy.stages, outcome)
}

/// Puts back files that a run which was cut off left half-installed, before anything else is done.
/// A rehearsal changes nothing, so it leaves them.
pub(crate) async fn recover(ports: &Ports, rehearsal: bool) -> Vec<PutBack> {
    let mut put_back = Vec::new();
    if !rehearsal {
        for configured in ports.installers.values() {
            put_back.extend(configured.installer.recover().await);
        }
    }
    put_back
}

/// Notes what is in place, so that it is not installed again.
fn note_installed(
    ports: &Ports,
    batch: &Batch<'_>,
    configured: &ConfiguredInstaller,
    in_place: &InPlace,
) -> Result<(), StoreError> {
    let at = ports.session.clock.now();
    for item in &batch.items {
        let mark = InstalledMark {
            plugin: batch.plugin.clone(),
            version: item.version.version,
            leaf_sha256: item.version.facts.leaf_sha256.clone(),
            leaf_sha1: item.version.facts.leaf_sha1.clone(),
            settings: configured.settings.clone(),
            at,
            receipt: in_place.receipt.clone(),
            staging: item.version.origin.staging,
            not_after: Some(item.version.facts.not_after),
            older: None,
        };
        let store = &ports.session.store;
        store.record_installed(&item.version.certificate, &mark)?;
        note_success(ports, batch.plugin, item, at);
    }
    Ok(())
}

/// Where all that are wanted have put something newer in place, what an installer did that is not wanted any more does
/// not count, should it ever be wanted again. Without this the state is right as well, until then.
fn forget_exchanged(ports: &Ports, batch: &Batch<'_>, settings: &[&CertificateSettings]) {
    let store = &ports.session.store;
    for item in &batch.items {
        let name = &item.version.certificate;
        let mut settings = settings.iter();
        let certificate = settings.find(|certificate| certificate.name == *name);
        let Some((certificate, Ok(Some(entry)))) = certificate.map(|it| (it, store.entry(name)))
        else {
            continue;
        };
        for plugin in entry.exchanged(certificate) {
            if let Err(error) = store.forget_installed(name, &plugin) {
                tracing::warn!(certificate = %name, %plugin, cause = %error, "that it was exchanged could not be noted");
            }
        }
    }
}

fn note_failure(
    ports: &Ports,
    plugin: &PluginName,
    certificates: &[CertificateName],
    failure: &Failure,
) {
    let last = LastAttempt {
        replaces: false,
        at: ports.session.clock.now(),
        ca: None,
        result: AttemptResult::NotInstalled {
            plugin: plugin.clone(),
            causes: failure.chain(),
        },
    };
    for certificate in certificates {
        note(ports, certificate, &last);
    }
}

/// Which stage failed, and why; none if it ended well. What had to be undone failed before that.
fn failed(stages: &[StageReport], outcome: &InstallOutcome) -> Option<FailedDeploy> {
    let InstallOutcome::Failed(failure) = outcome else {
        return None;
    };
    let stage = stages.iter().find(|stage| stage.ended.is_err());
    // Nothing was begun: the plugin is not there. All stages ended well: it could not be noted.
    let otherwise = if stages.is_empty() { "load" } else { "note" };
    Some(FailedDeploy {
        stage: stage.map_or(otherwise, |stage| stage.stage.as_str()),
        causes: failure.chain(),
    })
}

/// Writes down how it ended; without that the state is still right.
fn record(
    ports: &Ports,
    run: &str,
    plugin: &PluginName,
    (certificate, version): (CertificateName, Option<u32>),
    started: Timestamp,
    failed: Option<FailedDeploy>,
) {
    let deploy = ClosedDeploy {
        run: run.to_owned(),
        certificate,
        version,
        target: Target::Installer(plugin.clone()),
        started,
        ended: ports.session.clock.now(),
        failed,
    };
    history::keep_deploy(ports.history.as_ref(), &deploy);
}

/// Notes that what was missing is installed, unless there is something worse or better to know.
fn note_success(ports: &Ports, plugin: &PluginName, item: &InstallItem, at: Timestamp) {
    let name = &item.version.certificate;
    let known = ports.session.store.entry(name).ok().flatten();
    let worth_noting = match known.and_then(|entry| entry.last).map(|last| last.result) {
        None | Some(AttemptResult::Installed) => true,
        Some(AttemptResult::NotInstalled { plugin: failed, .. }) => failed == *plugin,
        Some(AttemptResult::Renewed | AttemptResult::Failed { .. }) => false,
    };
    if worth_noting {
        let last = LastAttempt {
            replaces: false,
            at,
            ca: Some(item.version.origin.ca.clone()),
            result: AttemptResult::Installed,
        };
        note(ports, name, &last);
    }
}

/// The note is for `status`; without it the state is still right.
fn note(ports: &Ports, certificate: &CertificateName, last: &LastAttempt) {
    if let Err(error) = ports.session.store.record_attempt(certificate, last) {
        tracing::warn!(certificate = %certificate, cause = %error, "the result could not be noted");
    }
}
