//! Paying back what is owed: records are removed, each by the plugin that placed it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use waxwing_core::name::PluginName;

use crate::driver::Ports;
use crate::obligation::Obligation;
use crate::plugin::{Attempt, PluginFailure, PluginFailureKind};

/// What came of a try to settle.
pub(crate) struct Settled {
    /// How many records are gone.
    pub(crate) removed: usize,
    /// What is still there.
    pub(crate) left: Vec<Obligation>,
    /// Why.
    pub(crate) failed: Vec<PluginFailure>,
}

/// Removes all records, one call for each plugin.
pub(crate) async fn settle(ports: &Ports, attempt: &Attempt, owed: Vec<Obligation>) -> Settled {
    let owed: Vec<Obligation> = owed.into_iter().filter(|o| o.removal().is_some()).collect();
    let calls = by_plugin(&owed)
        .into_iter()
        .map(async |(plugin, of_plugin)| {
            let removals: Vec<_> = of_plugin
                .into_iter()
                .filter_map(Obligation::removal)
                .collect();
            let result = match ports.dns.get(plugin) {
                Some(provider) => {
                    let cleaned = provider.cleanup(attempt, &removals).await;
                    cleaned.map_err(|failure| vec![failure])
                }
                None => Err(unavailable(ports, plugin, "cleanup")),
            };
            (plugin, result)
        });
    let results = join_all(calls).await;
    let mut left = BTreeSet::new();
    let mut failed = Vec::new();
    for (plugin, result) in results {
        match result {
            Ok(still_there) => {
                for (key, failure) in still_there {
                    left.insert((plugin.clone(), key));
                    failed.push(failure);
                }
            }
            Err(failures) => {
                let of_plugin = owed.iter().filter(|o| o.plugin == *plugin);
                left.extend(of_plugin.map(|o| (plugin.clone(), o.record.key.clone())));
                failed.extend(failures);
            }
        }
    }
    let records = owed.len();
    let left: Vec<Obligation> = owed
        .iter()
        // One record may be owed by two plugins: a configuration that was changed in between.
        .filter(|o| left.contains(&(o.plugin.clone(), o.record.key.clone())))
        .cloned()
        .collect();
    Settled {
        removed: records.saturating_sub(left.len()),
        left,
        failed,
    }
}

/// The obligations of each plugin.
pub(crate) fn by_plugin(obligations: &[Obligation]) -> BTreeMap<&PluginName, Vec<&Obligation>> {
    let mut groups: BTreeMap<&PluginName, Vec<&Obligation>> = BTreeMap::new();
    for obligation in obligations {
        groups
            .entry(&obligation.plugin)
            .or_default()
            .push(obligation);
    }
    groups
}

/// Why a plugin is not there: the configuration has it and it cannot be used, for every reason that
/// was found, or the configuration does not have it.
pub(crate) fn unavailable(ports: &Ports, plugin: &PluginName, call: &str) -> Vec<PluginFailure> {
    match ports.unusable.get(plugin) {
        Some(reasons) => reasons.clone(),
        None => vec![not_configured(plugin, call)],
    }
}

/// The failure of a call to a plugin that the configuration does not have.
fn not_configured(plugin: &PluginName, call: &str) -> PluginFailure {
    PluginFailure {
        plugin: plugin.clone(),
        call: call.to_owned(),
        kind: PluginFailureKind::Load,
        code: "plugin.not-configured".to_owned(),
        message: "it is not in the configuration any more".to_owned(),
        hint: Some(format!(
            "put [plugin.{plugin}] back until its records are removed"
        )),
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: true,
        causes: Vec::new(),
    }
}
