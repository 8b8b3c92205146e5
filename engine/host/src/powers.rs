//! What one plugin instance may do: the manifest's wishes, bounded by the operator's grants.

use std::collections::BTreeMap;
use std::path::PathBuf;

use waxwing_core::name::PluginName;
use waxwing_core::plugin::{
    GrantExec, GrantFiles, Grants, Manifest, WantExec, WantHttp, WantSecret,
};
use waxwing_core::settings::{AddressRange, PluginSource};

use crate::limits::Bounds;
use crate::target::Target;

/// What one plugin instance may do.
#[derive(Debug, Clone)]
pub(crate) struct Powers {
    /// Its name in the configuration, for hints.
    pub(crate) plugin: PluginName,
    /// What it may send.
    pub(crate) http: Vec<WantHttp>,
    /// Private ranges that granted hosts may resolve to.
    pub(crate) private: Vec<AddressRange>,
    /// Roots trusted besides the system's.
    pub(crate) trust: Option<PathBuf>,
    /// Secrets it may name.
    pub(crate) secrets: BTreeMap<String, WantSecret>,
    /// Folders by purpose.
    pub(crate) files: BTreeMap<String, GrantFiles>,
    /// Commands by purpose, with the patterns of their placeholders.
    pub(crate) exec: BTreeMap<String, (GrantExec, WantExec)>,
    /// Bounds of one call.
    pub(crate) bounds: Bounds,
}

impl Powers {
    pub(crate) fn new(
        plugin: PluginName,
        source: &PluginSource,
        manifest: &Manifest,
        grants: &Grants,
    ) -> Self {
        let granted = grants.http.as_ref();
        let secrets = manifest.secrets.keys().filter_map(|name| {
            let want = manifest.effective_secret(name, grants)?;
            Some((name.clone(), want))
        });
        let exec = grants.exec.iter().map(|(purpose, grant)| {
            let want = manifest.exec.get(purpose).cloned().unwrap_or(WantExec {
                purpose: String::new(),
                parameters: BTreeMap::new(),
            });
            (purpose.clone(), (grant.clone(), want))
        });
        Self {
            plugin,
            http: manifest.effective_http(source, grants),
            private: granted.map(|http| http.private.clone()).unwrap_or_default(),
            trust: granted.and_then(|http| http.trust.clone()),
            secrets: secrets.collect(),
            files: grants.files.clone(),
            exec: exec.collect(),
            bounds: Bounds::of(&manifest.limits, &grants.limits),
        }
    }

    /// The rules that cover a host.
    pub(crate) fn rules_for<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = &'a WantHttp> {
        self.http.iter().filter(|rule| {
            let mut hosts = rule.hosts.iter();
            hosts.any(|host| host.matches(target.scheme, &target.host, target.port))
        })
    }

    /// Every host that may be reached, as the configuration writes it, without doubles.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for pattern in self.http.iter().flat_map(|rule| &rule.hosts) {
            let text = pattern.to_string();
            if !hosts.contains(&text) {
                hosts.push(text);
            }
        }
        hosts
    }
}
