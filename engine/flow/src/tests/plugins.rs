//! A DNS provider, the view of the DNS, and an installer.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_core::caa::{CaaRecord, CaaSet};
use waxwing_core::name::{CertificateName, DomainName, PluginName};
use waxwing_core::settings::served_at::ServedAt;

use super::world::{Gate, Records, World};
use crate::certificate::ServedLeaf;
use crate::plugin::{
    Attempt, ChallengeRecord, DeployPlan, DeployStep, Finding, InstallItem, Installed as Done,
    Placed, PluginFailure, PluginFailureKind, PresentReport, PropagationHint, PutBack,
    PutBackResult, Removal, Verdict, ZoneAnswer,
};
use crate::ports::{
    Clock, DeploymentProbe, DnsProvider, Installer, Location, LookupError, PropagationProbe,
    ServerView, UnseenError,
};

/// The zone, and how its provider behaves.
#[derive(Default)]
pub(crate) struct Dns {
    pub(crate) records: Records,
    /// Calls of clean-up never end.
    pub(crate) cleanup_hangs: bool,
    /// Clean-up fails.
    pub(crate) cleanup_fails: bool,
    /// The provider places nothing and asks to come back after this.
    pub(crate) busy: Option<Duration>,
    /// The provider has no room for so long.
    pub(crate) full: Duration,
    /// Nobody sees anything.
    pub(crate) blind: bool,
    /// The signatures of the zone do not hold.
    pub(crate) bogus: bool,
    /// The one CA that the owner of every name lets issue.
    pub(crate) caa: Option<String>,
    /// The name servers of this name take their time.
    pub(crate) slow: Option<String>,
}

/// Which leaf is installed for each certificate.
#[derive(Default)]
pub(crate) struct Installed {
    pub(crate) leaves: BTreeMap<CertificateName, String>,
    pub(crate) installs: usize,
    /// What was there before the open batch, on disk.
    pub(crate) before: Option<BTreeMap<CertificateName, String>>,
    /// Calls of install never end.
    pub(crate) hangs: bool,
    /// Calls of rollback never end.
    pub(crate) rollback_hangs: bool,
    /// Looks at the server until it serves what is installed.
    pub(crate) late: usize,
    /// How long each look takes.
    pub(crate) look_takes: Duration,
    /// What is installed does not last.
    pub(crate) fades: bool,
}

impl Installed {
    /// True if there was something to put back.
    fn put_back(&mut self) -> bool {
        let before = self.before.take();
        let open = before.is_some();
        self.leaves = before.unwrap_or_else(|| std::mem::take(&mut self.leaves));
        open
    }
}

pub(crate) struct Provider(pub(crate) World);
pub(crate) struct Probe(pub(crate) World);
pub(crate) struct Target(pub(crate) World);

pub(crate) fn failure(plugin: &str, call: &str) -> PluginFailure {
    PluginFailure {
        plugin: PluginName::parse(plugin).expect("a literal name"),
        call: call.to_owned(),
        kind: PluginFailureKind::Retryable,
        code: "test.simulated".to_owned(),
        message: "simulated".to_owned(),
        hint: None,
        http_status: None,
        details: Vec::new(),
        retry_after: None,
        account_wide: false,
        untouched: false,
        causes: Vec::new(),
    }
}

#[async_trait]
impl DnsProvider for Provider {
    fn waits(&self, _records: usize) -> Duration {
        self.0.state().dns.full
    }

    async fn validate(&self, _online: bool) -> Result<Vec<Finding>, PluginFailure> {
        Ok(Vec::new())
    }

    async fn preflight(&self, _names: &[DomainName]) -> Result<Vec<ZoneAnswer>, PluginFailure> {
        Ok(Vec::new())
    }

    async fn present(
        &self,
        _attempt: &Attempt,
        records: &[ChallengeRecord],
    ) -> Result<PresentReport, PluginFailure> {
        tokio::task::yield_now().await;
        for record in records {
            let state = self.0.state();
            let mut journals = state.disk.journals.values();
            assert!(
                journals.any(|journal| journal.contains(&record.value)),
                "no obligation is on disk for {record:?}"
            );
        }
        let gate = self.0.gate("present");
        if gate == Gate::Fail {
            return Err(failure("dns", "present"));
        }
        if let Some(wait) = self.0.state().dns.busy {
            return Err(PluginFailure {
                retry_after: Some(wait),
                ..failure("dns", "present")
            });
        }
        let mut report = PresentReport::default();
        for record in records {
            let entry = (record.fqdn.to_string(), record.value.clone());
            report.placed.push(Placed {
                key: record.key.clone(),
                receipt: "receipt".to_owned(),
                created: self.0.state().dns.records.insert(entry),
            });
        }
        match self.0.after(gate) {
            Ok(()) => Ok(report),
            Err(_lost) => Err(failure("dns", "present")),
        }
    }

    async fn cleanup(
        &self,
        _attempt: &Attempt,
        removals: &[Removal],
    ) -> Result<Vec<(String, PluginFailure)>, PluginFailure> {
        tokio::task::yield_now().await;
        let gate = self.0.gate("clean up");
        let (hangs, fails) = {
            let state = self.0.state();
            (state.dns.cleanup_hangs, state.dns.cleanup_fails)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let full = self.0.state().dns.full;
        Clock::sleep(&self.0, full).await;
        if fails || gate == Gate::Fail {
            return Err(failure("dns", "cleanup"));
        }
        for removal in removals {
            let entry = (
                removal.record.fqdn.to_string(),
                removal.record.value.clone(),
            );
            self.0.state().dns.records.remove(&entry);
        }
        match self.0.after(gate) {
            Ok(()) => Ok(Vec::new()),
            Err(_lost) => Err(failure("dns", "cleanup")),
        }
    }
}

fn lookup_failed(name: &DomainName) -> LookupError {
    LookupError {
        name: name.to_string(),
        bogus: false,
        silent: false,
        causes: vec!["simulated".to_owned()],
        hint: None,
    }
}

#[async_trait]
impl PropagationProbe for Probe {
    async fn locate(&self, identifier: &DomainName) -> Result<Location, LookupError> {
        if self.0.gate("locate") != Gate::Open {
            return Err(lookup_failed(identifier));
        }
        Ok(Location {
            fqdn: identifier.challenge_name(),
            zone: None,
        })
    }

    async fn caa(&self, name: &DomainName) -> Result<Option<CaaSet>, LookupError> {
        let slow = self.0.state().dns.slow.as_deref() == Some(name.as_str());
        if slow {
            crate::ports::Clock::sleep(&self.0, Duration::from_secs(20)).await;
        }
        if self.0.gate("caa") != Gate::Open {
            return Err(lookup_failed(name));
        }
        let state = self.0.state();
        if state.dns.bogus {
            return Err(LookupError {
                silent: false,
                bogus: true,
                ..lookup_failed(name)
            });
        }
        Ok(state.dns.caa.as_ref().map(|issuer| CaaSet {
            at: name.clone(),
            records: vec![CaaRecord {
                critical: false,
                tag: "issue".to_owned(),
                value: issuer.clone(),
            }],
        }))
    }

    async fn look(
        &self,
        fqdn: &DomainName,
        value: &str,
        _hint: &PropagationHint,
    ) -> Result<Vec<ServerView>, LookupError> {
        if self.0.gate("look") != Gate::Open {
            return Err(lookup_failed(fqdn));
        }
        let state = self.0.state();
        let entry = (fqdn.to_string(), value.to_owned());
        Ok(vec![ServerView {
            server: "ns1.example (192.0.2.1)".to_owned(),
            sees: Ok(!state.dns.blind && state.dns.records.contains(&entry)),
        }])
    }
}

/// A server that begins with what is installed after some looks at it.
#[async_trait]
impl DeploymentProbe for Target {
    async fn look(&self, place: &ServedAt) -> Result<ServedLeaf, UnseenError> {
        let gate = self.0.gate(&format!("look at {place}"));
        let takes = self.0.state().installed.look_takes;
        Clock::sleep(&self.0, takes).await;
        let mut state = self.0.state();
        let late = &mut state.installed.late;
        *late = late.saturating_sub(1);
        if gate != Gate::Open || *late > 0 {
            return Err(UnseenError {
                causes: vec!["simulated".to_owned()],
            });
        }
        let leaf = state.installed.leaves.values().next();
        Ok(ServedLeaf {
            sha256: leaf.cloned().unwrap_or_default(),
            not_after: None,
        })
    }
}

#[async_trait]
impl Installer for Target {
    async fn validate(&self, _online: bool) -> Result<Vec<Finding>, PluginFailure> {
        Ok(Vec::new())
    }

    async fn plan(&self, items: &[InstallItem]) -> Result<DeployPlan, PluginFailure> {
        if self.0.gate("plan") != Gate::Open {
            return Err(failure("files", "plan"));
        }
        let state = self.0.state();
        let steps = items.iter().filter(|item| {
            let known = state.installed.leaves.get(&item.version.certificate);
            known != Some(&item.version.facts.leaf_sha256)
        });
        Ok(DeployPlan {
            steps: steps
                .map(|item| DeployStep {
                    summary: format!("write {}", item.version.certificate),
                    kind: "file".to_owned(),
                    grant: None,
                    target: None,
                    certificates: vec![item.version.certificate.to_string()],
                    reversible: true,
                })
                .collect(),
            ..DeployPlan::default()
        })
    }

    async fn install(
        &self,
        _attempt: &Attempt,
        items: &[InstallItem],
        _token: &str,
    ) -> Result<Done, PluginFailure> {
        let gate = self.0.gate("install");
        if gate == Gate::Fail {
            return Err(failure("files", "install"));
        }
        {
            let installed = &mut self.0.state().installed;
            installed.before = Some(installed.leaves.clone());
        }
        for item in items {
            let mut state = self.0.state();
            state.installed.installs += 1;
            state.installed.leaves.insert(
                item.version.certificate.clone(),
                item.version.facts.leaf_sha256.clone(),
            );
        }
        if self.0.state().installed.hangs {
            std::future::pending::<()>().await;
        }
        match self.0.after(gate) {
            Ok(()) => Ok(Done {
                receipt: "receipt".to_owned(),
                changed: true,
            }),
            Err(_lost) => {
                self.0.state().installed.put_back();
                Err(failure("files", "install"))
            }
        }
    }

    async fn verify(
        &self,
        _items: &[InstallItem],
        receipt: &str,
    ) -> Result<Verdict, PluginFailure> {
        assert_eq!(receipt, "receipt");
        if self.0.gate("verify") != Gate::Open {
            return Err(failure("files", "verify"));
        }
        let ok = !self.0.state().installed.fades;
        let problems = if ok {
            Vec::new()
        } else {
            vec![failure("files", "verify")]
        };
        Ok(Verdict {
            ok,
            problems,
            evidence: Vec::new(),
        })
    }

    async fn rollback(
        &self,
        _attempt: &Attempt,
        _items: &[InstallItem],
        _receipt: Option<&str>,
    ) -> Result<(), PluginFailure> {
        let gate = self.0.gate("rollback");
        if self.0.state().installed.rollback_hangs {
            std::future::pending::<()>().await;
        }
        if gate == Gate::Fail {
            return Err(failure("files", "rollback"));
        }
        self.0.state().installed.put_back();
        self.0
            .after(gate)
            .map_err(|_lost| failure("files", "rollback"))
    }

    async fn accept(&self) -> Result<(), PluginFailure> {
        let gate = self.0.gate("accept");
        if gate == Gate::Fail {
            return Err(failure("files", "accept"));
        }
        self.0.state().installed.before = None;
        self.0
            .after(gate)
            .map_err(|_lost| failure("files", "accept"))
    }

    async fn recover(&self) -> Vec<PutBack> {
        let gate = self.0.gate("recover");
        let mut put_back = Vec::new();
        if gate != Gate::Fail && self.0.state().installed.put_back() {
            put_back.push(PutBack {
                plugin: PluginName::parse("files").expect("a literal name"),
                path: "/everything".to_owned(),
                result: PutBackResult::Restored,
            });
        }
        let _lost = self.0.after(gate);
        put_back
    }
}
