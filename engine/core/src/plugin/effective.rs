//! What a plugin may really ask of the network: its wishes under the operator's grants.

use super::{GrantHttp, Grants, HostPattern, Manifest, WantHttp, WantSecret};
use crate::settings::PluginSource;

impl Manifest {
    /// The requests that the plugin may send.
    ///
    /// Methods and paths are always the manifest's. The hosts are the operator's where
    /// `grants.http.hosts` names any; else the manifest's for a plugin inside the binary, and none
    /// for one from a file. A port that the grant opens is not open for other hosts.
    pub fn effective_http(&self, source: &PluginSource, grants: &Grants) -> Vec<WantHttp> {
        match (granted_hosts(grants.http.as_ref()), source) {
            (Some(hosts), _) => {
                let wants = self.http.iter().cloned();
                wants
                    .map(|want| WantHttp {
                        hosts: hosts.to_vec(),
                        ..want
                    })
                    .collect()
            }
            (None, PluginSource::Embedded(_)) => self.http.clone(),
            (None, PluginSource::File { .. }) => Vec::new(),
        }
    }

    /// The secret `name` with the hosts that it may really be sent to.
    ///
    /// Granted hosts replace those of a secret that may be sent at all; a secret that only signs
    /// stays at home.
    pub fn effective_secret(&self, name: &str, grants: &Grants) -> Option<WantSecret> {
        let mut want = self.secrets.get(name)?.clone();
        if let Some(hosts) = granted_hosts(grants.http.as_ref())
            && !want.hosts.is_empty()
        {
            want.hosts = hosts.iter().map(bare).collect();
            want.hosts.dedup();
        }
        Some(want)
    }
}

fn granted_hosts(grant: Option<&GrantHttp>) -> Option<&[HostPattern]> {
    grant
        .map(|grant| grant.hosts.as_slice())
        .filter(|hosts| !hosts.is_empty())
}

/// The host as `want.secret.NAME.hosts` has it.
fn bare(pattern: &HostPattern) -> String {
    let star = if pattern.below { "*." } else { "" };
    format!("{star}{}", pattern.host)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn manifest() -> Manifest {
        let text = r#"manifest = 1
id = "example-dns"
version = "1.0.0"
world = "waxwing:plugin/dns-plugin@0.1"
summary = "an example"
[[want.http]]
hosts = ["https://api.example.com"]
methods = ["GET"]
paths = ["/v1/**"]
[want.secret.token]
use = ["http-bearer"]
hosts = ["api.example.com"]
[want.secret.key]
use = ["hmac-sha1"]
"#;
        Manifest::parse("plugin.toml", text).expect("a literal manifest")
    }

    #[test]
    fn who_grants_which_hosts() {
        let embedded = PluginSource::Embedded("example-dns".to_owned());
        let foreign = PluginSource::File {
            path: PathBuf::from("x.wasm"),
            sha256: "00".repeat(32),
        };
        let check = |source: &PluginSource, granted: &[&str], want: &[&str]| {
            let hosts = granted.iter().map(|text| HostPattern::parse(text));
            let grants = Grants {
                http: Some(GrantHttp {
                    hosts: hosts.collect::<Result<_, _>>().expect("literal hosts"),
                    ..GrantHttp::default()
                }),
                ..Grants::default()
            };
            let manifest = manifest();
            let wants = manifest.effective_http(source, &grants);
            let hosts: Vec<_> = wants.iter().flat_map(|want| &want.hosts).collect();
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            assert_eq!(hosts, want, "{source:?} {granted:?}");
            assert!(wants.iter().all(|want| want.paths == ["/v1/**"]));
            let hosts = |name| {
                manifest
                    .effective_secret(name, &grants)
                    .map(|want| want.hosts)
            };
            assert_eq!(hosts("key"), Some(Vec::new()));
            let sent = if granted.is_empty() {
                "api.example.com"
            } else {
                "localhost"
            };
            assert_eq!(hosts("token"), Some(vec![sent.to_owned()]));
        };
        check(&embedded, &[], &["https://api.example.com"]);
        check(&foreign, &[], &[]);
        let local = "https://localhost:9443";
        check(&embedded, &[local], &[local]);
        check(&foreign, &[local], &[local]);
    }
}
