//! One batch through one installer: plan, install, verify; what does not end well is undone.

use std::time::Duration;

use waxwing_core::time::Timestamp;

use crate::driver::Stop;
use crate::failure::Failure;
use crate::plugin::{Attempt, DeployStep, InstallItem, PluginFailure};
use crate::ports::{Clock, Installer};
use crate::report::{DeployStage, StageReport};

/// A batch on its way.
pub(super) struct Deploy<'a> {
    clock: &'a dyn Clock,
    installer: &'a dyn Installer,
    attempt: &'a Attempt,
    items: &'a [InstallItem],
    owed: Owed,
    /// The stage in progress and when it began.
    open: Option<(DeployStage, Timestamp)>,
    /// What the installer planned.
    pub(super) steps: Vec<DeployStep>,
    /// The stages that have ended, in order.
    pub(super) stages: Vec<StageReport>,
}

/// A batch that is in place and verified.
pub(super) struct InPlace {
    pub(super) receipt: String,
    pub(super) changed: bool,
}

/// What has to be undone if the batch does not end well.
enum Owed {
    Nothing,
    /// The receipt, if the installer lived to give one.
    Undoing(Option<String>),
}

impl<'a> Deploy<'a> {
    pub(super) fn new(
        clock: &'a dyn Clock,
        installer: &'a dyn Installer,
        attempt: &'a Attempt,
        items: &'a [InstallItem],
    ) -> Self {
        Self {
            clock,
            installer,
            attempt,
            items,
            owed: Owed::Nothing,
            open: None,
            steps: Vec::new(),
            stages: Vec::new(),
        }
    }

    /// Only plans it.
    pub(super) async fn rehearse(&mut self) -> Result<(), Failure> {
        self.plan().await.map(|_token| ())
    }

    /// Does it. If somebody asks to stop, what is begun may end for a while; then it is cut off and
    /// undone, in what is left of the time.
    pub(super) async fn run(&mut self, stop: &Stop) -> Result<InPlace, Failure> {
        let ended = tokio::select! {
            biased;
            ended = self.forward() => ended,
            () = stop.late() => Err(Failure::Stopped),
        };
        let failure = match ended {
            Ok(in_place) => return Ok(in_place),
            Err(failure) => failure,
        };
        self.close(Err(failure.clone()));
        if let Owed::Undoing(receipt) = std::mem::replace(&mut self.owed, Owed::Nothing) {
            self.undo(receipt.as_deref(), stop).await;
        }
        Err(failure)
    }

    async fn forward(&mut self) -> Result<InPlace, Failure> {
        let token = self.plan().await?;
        if self.steps.is_empty() {
            return Ok(InPlace {
                receipt: String::new(),
                changed: false,
            });
        }
        self.begin(DeployStage::Install);
        self.owed = Owed::Undoing(None);
        let installed = self
            .installer
            .install(self.attempt, self.items, &token)
            .await;
        let installed = match installed {
            Ok(installed) => installed,
            Err(failure) => {
                // The installer has undone it: that is its contract.
                self.owed = Owed::Nothing;
                return Err(because(failure));
            }
        };
        self.owed = Owed::Undoing(Some(installed.receipt.clone()));
        self.close(Ok(()));
        self.begin(DeployStage::Verify);
        let verdict = self.installer.verify(self.items, &installed.receipt).await;
        let verdict = verdict.map_err(because)?;
        if !verdict.ok {
            return Err(Failure::Plugins(verdict.problems));
        }
        self.close(Ok(()));
        // From here on an older state must not come back by itself, whatever happens.
        self.owed = Owed::Nothing;
        self.installer.accept().await.map_err(because)?;
        Ok(InPlace {
            receipt: installed.receipt,
            changed: installed.changed,
        })
    }

    async fn plan(&mut self) -> Result<String, Failure> {
        self.begin(DeployStage::Plan);
        let plan = self.installer.plan(self.items).await.map_err(because)?;
        self.close(Ok(()));
        self.steps = plan.steps;
        Ok(plan.token)
    }

    async fn undo(&mut self, receipt: Option<&str>, stop: &Stop) {
        self.begin(DeployStage::Undo);
        let undone = tokio::select! {
            biased;
            undone = self.installer.rollback(self.attempt, self.items, receipt) => {
                undone.map_err(because)
            }
            // What is left to do is on disk, and the next run begins with it.
            () = stop.over() => Err(Failure::Stopped),
        };
        self.close(undone);
    }

    fn begin(&mut self, stage: DeployStage) {
        self.open = Some((stage, self.clock.now()));
    }

    fn close(&mut self, ended: Result<(), Failure>) {
        if let Some((stage, began)) = self.open.take() {
            let took: Duration = self.clock.now().since(began);
            self.stages.push(StageReport { stage, took, ended });
        }
    }
}

fn because(failure: PluginFailure) -> Failure {
    Failure::Plugins(vec![failure])
}
