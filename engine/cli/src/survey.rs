//! What is configured, what is stored, and what follows: the plan that `plan`, `status` and
//! `renew` share. Nothing here needs a network.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::plan::{self, Action, Current, Installed, LastFailure, Plan, Stored};
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::certificate::{AttemptResult, InventoryEntry};
use waxwing_flow::ports::{CertificateStore as _, StoreError};
use waxwing_flow::scheduler::{self, Job, Orders};
use waxwing_io::store::FileStore;

use crate::load::Loaded;
use crate::wire;

/// The plan and what it was made from.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What a run would do.
    pub(crate) plan: Plan,
    /// What is stored, by name.
    pub(crate) inventory: BTreeMap<CertificateName, InventoryEntry>,
    /// Certificates that cannot be read; a run leaves them alone.
    pub(crate) broken: Vec<StoreError>,
}

/// Reads the store and plans.
pub(crate) fn survey(
    loaded: &Loaded,
    store: &FileStore,
    now: Timestamp,
) -> Result<Survey, StoreError> {
    let mut inventory = BTreeMap::new();
    let mut broken = Vec::new();
    for entry in store.inventory()? {
        match entry {
            // The journal of a rehearsal is no certificate.
            Ok(entry) if entry.current.is_none() && scheduler::is_rehearsal(&entry.certificate) => {
            }
            Ok(entry) => {
                inventory.insert(entry.certificate.clone(), entry);
            }
            Err(error) => broken.push(error),
        }
    }
    let stored: Vec<Stored> = inventory.values().map(stored).collect();
    let plan = plan::plan(&loaded.settings, &stored, &digests(&loaded.settings), now);
    Ok(Survey {
        plan,
        inventory,
        broken,
    })
}

/// Digest of each installer's configuration.
pub(crate) fn digests(settings: &Settings) -> BTreeMap<PluginName, String> {
    settings
        .plugins
        .iter()
        .map(|(name, plugin)| (name.clone(), wire::digest(plugin)))
        .collect()
}

/// What a run does about a plan. `names` limits it; none means all. With `force` every named
/// certificate is ordered although it is not due.
pub(crate) fn orders(
    survey: &Survey,
    settings: &Settings,
    names: &BTreeSet<CertificateName>,
    force: bool,
    rehearsal: bool,
) -> Orders {
    let wanted = |name: &CertificateName| names.is_empty() || names.contains(name);
    let due: BTreeSet<&CertificateName> = survey
        .plan
        .items
        .iter()
        .filter(|item| {
            let asked = (force || rehearsal) && !matches!(item.action, Action::Gone { .. });
            asked || matches!(item.action, Action::Issue(_) | Action::Renew { .. })
        })
        .map(|item| &item.name)
        .collect();
    let jobs = settings
        .certificates
        .iter()
        .filter(|certificate| wanted(&certificate.name) && due.contains(&certificate.name))
        .map(|certificate| Job {
            certificate: certificate.clone(),
            seen: survey
                .inventory
                .get(&certificate.name)
                .and_then(|entry| entry.current.as_ref())
                .map(|current| current.version),
        })
        .collect();
    let install = settings
        .certificates
        .iter()
        .map(|certificate| certificate.name.clone())
        .filter(|name| wanted(name))
        .collect();
    Orders {
        jobs,
        install,
        rehearsal,
    }
}

/// The part of an entry that planning needs.
fn stored(entry: &InventoryEntry) -> Stored {
    let failure = entry.last.as_ref().and_then(|last| match &last.result {
        AttemptResult::Renewed | AttemptResult::Installed => None,
        AttemptResult::NotInstalled { plugin, causes } => Some(LastFailure {
            at: last.at,
            plugin: Some(plugin.clone()),
            causes: causes.clone(),
        }),
        AttemptResult::Failed { causes, .. } => Some(LastFailure {
            at: last.at,
            plugin: None,
            causes: causes.clone(),
        }),
    });
    Stored {
        name: entry.certificate.clone(),
        current: entry.current.as_ref().map(|current| Current {
            version: current.version,
            names: current.facts.names.clone(),
            ca: current.origin.ca.clone(),
            fallback: current.origin.fallback,
            staging: current.origin.staging,
            key: current.facts.key_type,
            not_before: current.facts.not_before,
            not_after: current.facts.not_after,
            revoked: current.revoked.is_some(),
            suggestion: None,
        }),
        installed: entry
            .installed
            .iter()
            .map(|mark| Installed {
                plugin: mark.plugin.clone(),
                version: mark.version,
                settings: mark.settings.clone(),
            })
            .collect(),
        failure,
        unfinished: entry.unfinished,
    }
}
