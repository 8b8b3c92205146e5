//! The port `Installer` over a component of the world `installer-plugin`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use waxwing_flow::plugin::{
    Attempt, DeployPlan, DeployStep, Finding, InstallItem, Installed, PluginFailure,
    PluginFailureKind, PutBack, Verdict,
};
use waxwing_flow::ports::Installer;

use crate::artifacts::Artifacts;
use crate::bindings::installer::InstallerPluginPre;
use crate::bindings::installer::exports::waxwing::plugin::installer as wit;
use crate::call::{Call, call};
use crate::dns::wit_attempt;
use crate::files::{accept, undo_all};
use crate::instance::Instance;
use crate::judge::Judge;
use crate::limits::{INSTALL_RECEIPT, ITEMS, SENTENCE, WORD};
use crate::phase::Phase;
use crate::section::hex;

/// Longest token of a plan, in bytes.
const TOKEN: usize = 4 * 1024;

/// A loaded installer.
pub(crate) struct InstallerPlugin {
    pub(crate) instance: Arc<Instance>,
    pub(crate) component: InstallerPluginPre<Call>,
}

#[async_trait]
impl Installer for InstallerPlugin {
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

    async fn plan(&self, items: &[InstallItem]) -> Result<DeployPlan, PluginFailure> {
        let component = self.component.clone();
        let certificates: Vec<wit::Certificate> = items.iter().map(certificate).collect();
        call(
            &self.instance,
            Phase::Plan,
            Artifacts::of(items),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    plugin
                        .waxwing_plugin_installer()
                        .call_plan(store, &certificates)
                        .await
                })
            }),
            deploy_plan,
        )
        .await
    }

    async fn install(
        &self,
        attempt: &Attempt,
        items: &[InstallItem],
        token: &str,
    ) -> Result<Installed, PluginFailure> {
        self.wait_for_others().await;
        let component = self.component.clone();
        let certificates: Vec<wit::Certificate> = items.iter().map(certificate).collect();
        let wit_attempt = wit_attempt(attempt);
        let token = token.to_owned();
        let installed = call(
            &self.instance,
            Phase::Install,
            Artifacts::of(items),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    let installer = plugin.waxwing_plugin_installer();
                    installer
                        .call_install(store, &wit_attempt, &certificates, &token)
                        .await
                })
            }),
            installed,
        )
        .await;
        let installed = match installed {
            // The guest had no chance to undo what is not a file, such as a reload.
            Err(mut failure) if did_not_return(&failure) => {
                if let Err(also) = self.call_rollback(attempt, items, None).await {
                    let also: Vec<_> = std::iter::once(also.to_string())
                        .chain(also.causes)
                        .collect();
                    let also = also.join(": ");
                    failure
                        .causes
                        .push(format!("then rolling back failed: {also}"));
                }
                Err(failure)
            }
            other => other,
        };
        if installed.is_err() {
            self.instance.backups().leave();
        }
        installed
    }

    async fn verify(&self, items: &[InstallItem], receipt: &str) -> Result<Verdict, PluginFailure> {
        let component = self.component.clone();
        let certificates: Vec<wit::Certificate> = items.iter().map(certificate).collect();
        let receipt = receipt.to_owned();
        call(
            &self.instance,
            Phase::Verify,
            Artifacts::of(items),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    plugin
                        .waxwing_plugin_installer()
                        .call_verify(store, &certificates, &receipt)
                        .await
                })
            }),
            |answer, judge| Ok(verdict(answer, judge)),
        )
        .await
    }

    async fn rollback(
        &self,
        attempt: &Attempt,
        items: &[InstallItem],
        receipt: Option<&str>,
    ) -> Result<(), PluginFailure> {
        // A call that was dropped gives its turn back when its guest is gone and its files are back.
        let turn = self.instance.turn().await;
        let troubles = undo_all(&self.instance);
        drop(turn);
        let rolled_back = self.call_rollback(attempt, items, receipt).await;
        self.instance.backups().leave();
        match rolled_back {
            Ok(()) if troubles.is_empty() => Ok(()),
            Ok(()) => Err(self.trouble("plugin.files-not-restored", troubles)),
            Err(mut failure) => {
                failure.causes.extend(troubles);
                Err(failure)
            }
        }
    }

    fn longest(&self) -> Option<Duration> {
        // What is done is planned, installed and looked at.
        self.instance.powers.bounds.call.checked_mul(3)
    }

    async fn accept(&self) -> Result<(), PluginFailure> {
        accept(&self.instance).map_err(|error| {
            let cause = format!("the files from before could not be given up: {error}");
            self.trouble("plugin.backups", vec![cause])
        })
    }

    async fn recover(&self) -> Vec<PutBack> {
        let _turn = self.instance.turn().await;
        let granted = self.instance.powers.files.values();
        let granted: Vec<PathBuf> = granted.map(|grant| grant.dir.clone()).collect();
        let all = self.instance.backups().recover(&granted);
        all.into_iter()
            .map(|(path, result)| PutBack {
                plugin: self.instance.name.clone(),
                path: path.display().to_string(),
                result,
            })
            .collect()
    }
}

/// From one look at whether another process installs with the same plugin to the next, and how many there are
/// at most: longer than a test and a reload take.
const TURN: (Duration, u32) = (Duration::from_millis(250), 480);

impl InstallerPlugin {
    /// Waits while another process is in the middle of a batch: two at once could not be undone. If that takes
    /// too long, the first write says so.
    async fn wait_for_others(&self) {
        let (pause, most) = TURN;
        for _ in 0..most {
            if !self.instance.backups().is_busy() {
                return;
            }
            self.instance.host.clock.sleep(pause).await;
        }
    }

    async fn call_rollback(
        &self,
        attempt: &Attempt,
        items: &[InstallItem],
        receipt: Option<&str>,
    ) -> Result<(), PluginFailure> {
        let component = self.component.clone();
        let certificates: Vec<wit::Certificate> = items.iter().map(certificate).collect();
        let attempt = wit_attempt(attempt);
        let receipt = receipt.map(str::to_owned);
        call(
            &self.instance,
            Phase::Rollback,
            Artifacts::of(items),
            Box::new(move |store| {
                Box::pin(async move {
                    let plugin = component.instantiate_async(&mut *store).await?;
                    let installer = plugin.waxwing_plugin_installer();
                    installer
                        .call_rollback(store, &attempt, &certificates, receipt.as_deref())
                        .await
                })
            }),
            |(), _judge| Ok(()),
        )
        .await
    }

    /// The host's own part of an installation went wrong.
    fn trouble(&self, code: &str, causes: Vec<String>) -> PluginFailure {
        let mut causes = causes.into_iter();
        PluginFailure {
            plugin: self.instance.name.clone(),
            call: "install".to_owned(),
            kind: PluginFailureKind::Other,
            code: code.to_owned(),
            message: causes.next().unwrap_or_default(),
            hint: None,
            http_status: None,
            details: Vec::new(),
            retry_after: None,
            account_wide: false,
            untouched: false,
            causes: causes.collect(),
        }
    }
}

/// True if the guest came to no end, or to one that nobody can make use of: then it has undone nothing itself.
fn did_not_return(failure: &PluginFailure) -> bool {
    let mut details = failure.details.iter();
    details.any(|(name, value)| name == "outcome" && value == "unknown")
}

fn certificate(item: &InstallItem) -> wit::Certificate {
    let facts = &item.version.facts;
    let ms = |time: waxwing_core::time::Timestamp| u64::try_from(time.unix_ms()).unwrap_or(0);
    let (sha256, sha1) = item.previous.clone().unzip();
    wit::Certificate {
        name: item.version.certificate.to_string(),
        identifiers: facts.names.iter().map(|name| name.to_wire()).collect(),
        leaf_sha256: facts.leaf_sha256.clone(),
        leaf_sha1: facts.leaf_sha1.clone(),
        serial: hex(&facts.serial),
        not_before_unix_ms: ms(facts.not_before),
        not_after_unix_ms: ms(facts.not_after),
        key_type: facts
            .key_type
            .map_or("unknown", |kind| kind.as_str())
            .to_owned(),
        previous_leaf_sha256: sha256,
        previous_leaf_sha1: sha1.or_else(|| item.before.clone()),
        reconfigured: item.reconfigured,
        extra: Vec::new(),
    }
}

fn deploy_plan(plan: wit::DeployPlan, judge: &Judge) -> Result<DeployPlan, PluginFailure> {
    if plan.token.len() > TOKEN {
        return Err(judge.bad_answer(format!("the plan's token has more than {TOKEN} bytes")));
    }
    if plan.steps.len() > ITEMS * 10 {
        return Err(judge.bad_answer("the plan has too many steps".to_owned()));
    }
    let step = |step: wit::Step| DeployStep {
        summary: judge.text(&step.summary, SENTENCE),
        kind: judge.text(&step.kind, WORD),
        grant: step.grant.map(|grant| judge.text(&grant, WORD)),
        target: step.target.map(|target| judge.text(&target, SENTENCE)),
        certificates: step
            .certificates
            .iter()
            .map(|name| judge.text(name, WORD))
            .collect(),
        reversible: step.reversible,
    };
    Ok(DeployPlan {
        steps: plan.steps.into_iter().map(step).collect(),
        findings: judge.findings(plan.findings),
        token: plan.token,
    })
}

fn verdict(answer: wit::Verdict, judge: &Judge) -> Verdict {
    let problems = answer.problems.into_iter().take(ITEMS);
    let mut problems: Vec<PluginFailure> = problems
        .map(|problem| judge.note(problem, PluginFailureKind::Other))
        .collect();
    if problems.is_empty() && !answer.ok {
        let message = "it is not in place, and the plugin does not say why".to_owned();
        problems.push(judge.bad_answer(message));
    }
    let evidence = answer.evidence.into_iter().take(ITEMS);
    Verdict {
        ok: answer.ok && problems.is_empty(),
        problems,
        evidence: evidence
            .map(|detail| {
                let name = judge.text(&detail.name, WORD);
                (name, judge.text(&detail.value, SENTENCE))
            })
            .collect(),
    }
}

fn installed(answer: wit::Installed, judge: &Judge) -> Result<Installed, PluginFailure> {
    if answer.receipt.len() > INSTALL_RECEIPT {
        let message = format!("the receipt has more than {INSTALL_RECEIPT} bytes");
        return Err(judge.bad_answer(message));
    }
    Ok(Installed {
        receipt: judge.redactor.text(&answer.receipt),
        changed: answer.changed,
    })
}
