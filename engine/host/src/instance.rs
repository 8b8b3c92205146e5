//! A loaded plugin as calls see it: its powers, secrets, settings and memory over one run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use waxwing_core::name::PluginName;
use waxwing_core::plugin::ProviderRate;
use waxwing_core::secret::Secret;
use waxwing_flow::audit::AuditTrail;
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};
use waxwing_flow::ports::{BudgetKey, Clock, History, HttpClient};

use crate::engine::GuestEngine;
use crate::files::Backups;
use crate::phase::Phase;
use crate::pkcs12::Pkcs12;
use crate::powers::Powers;
use crate::rate::{Rate, Turn};
use crate::redact::Redactor;
use crate::state::State;

/// What all plugins of a process share.
pub(crate) struct Shared {
    pub(crate) engine: GuestEngine,
    pub(crate) http: Arc<dyn HttpClient>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Keeps providers' rates over processes.
    pub(crate) history: Option<Arc<dyn History>>,
    pub(crate) audit: Arc<AuditTrail>,
    pub(crate) pkcs12: Arc<dyn Pkcs12>,
    pub(crate) run_id: String,
}

/// A loaded plugin.
pub(crate) struct Instance {
    pub(crate) name: PluginName,
    pub(crate) powers: Powers,
    /// Settings without secrets.
    pub(crate) settings: serde_json::Value,
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    /// Knows every secret of this instance.
    pub(crate) redactor: Redactor,
    pub(crate) state: Mutex<State>,
    pub(crate) backups: Mutex<Backups>,
    /// The provider's rate, if the manifest states one.
    pub(crate) rate: Option<Mutex<Rate>>,
    pub(crate) host: Arc<Shared>,
    /// Present if calls must not overlap.
    pub(crate) turns: Option<Arc<tokio::sync::Mutex<()>>>,
}

/// Requests of a call besides those about its records: to find the zone.
const AROUND: usize = 1;

/// How long a call waits for its provider's rate at most, before it is made all the same and told so.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Requests that are kept free for a call.
pub(crate) struct Room<'i> {
    rate: &'i Mutex<Rate>,
    requests: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.release(self.requests);
    }
}

/// Where the rate of a plugin's provider is kept.
fn rate_key(plugin: &PluginName) -> BudgetKey {
    BudgetKey {
        owner: plugin.to_string(),
        kind: "plugin-requests".to_owned(),
        what: "all".to_owned(),
    }
}

impl Shared {
    /// The rate of a plugin's provider, as far as earlier processes have used it.
    pub(crate) fn rate(&self, plugin: &PluginName, rate: &ProviderRate) -> Rate {
        let kept = self.history.as_ref().and_then(|history| {
            let read = history.budget(&rate_key(plugin));
            read.unwrap_or_else(|error| {
                tracing::warn!(plugin = %plugin, cause = %error, "a budget could not be read");
                None
            })
        });
        Rate::resume(rate, kept, self.clock.now())
    }
}

impl Instance {
    /// Waits until no other call is in progress, if the plugin wants it so.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        match &self.turns {
            Some(turns) => Some(Arc::clone(turns).lock_owned().await),
            None => None,
        }
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a request may be sent that can wait for `most`.
    pub(crate) fn request_turn(&self, most: Duration) -> Turn {
        let now = self.host.clock.now();
        self.rate.as_ref().map_or(Turn::In(Duration::ZERO), |rate| {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.turn(now, most)
        })
    }

    /// Waits until the provider has room for calls about so many records, at most so long as nobody would wonder
    /// whether the run hangs. The room is theirs until the answer is dropped.
    pub(crate) async fn room(&self, records: usize) -> Option<Room<'_>> {
        let rate = self.rate.as_ref()?;
        let lock = || rate.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waited = Duration::ZERO;
        loop {
            let now = self.host.clock.now();
            let wait = match lock().reserve(records + AROUND, now) {
                Ok(requests) => return Some(Room { rate, requests }),
                Err(wait) => wait,
            };
            if waited.is_zero() {
                tracing::info!(plugin = %self.name, wait_s = wait.as_secs(),
                    "waiting until the provider takes requests again");
            }
            if waited + wait > LONGEST_WAIT {
                return None;
            }
            self.host.clock.sleep(wait).await;
            waited += wait;
        }
    }

    /// How long the next call about so many records has to wait for the provider.
    pub(crate) fn wait_for_room(&self, records: usize) -> Duration {
        let now = self.host.clock.now();
        self.rate.as_ref().map_or(Duration::ZERO, |rate| {
            let rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.free_in(records + AROUND, now)
        })
    }

    /// Takes note of how many requests the provider says are left.
    pub(crate) fn heard(&self, headers: &[(String, String)]) {
        let Some(rate) = &self.rate else { return };
        let now = self.host.clock.now();
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.heard(headers, now);
    }

    /// Lets the next process know what this one has used of the provider's rate.
    pub(crate) fn keep_rate(&self) {
        let Some(rate) = &self.rate else { return };
        let Some(history) = &self.host.history else {
            return;
        };
        let now = self.host.clock.now();
        let kept = history.change_budget(&rate_key(&self.name), &mut |found| {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.keep(found, now)
        });
        if let Err(error) = kept {
            tracing::warn!(plugin = %self.name, cause = %error, "a budget could not be kept");
        }
    }

    pub(crate) fn backups(&self) -> std::sync::MutexGuard<'_, Backups> {
        self.backups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's own code failed under a call.
    pub(crate) fn broken(&self, phase: Phase, cause: &str) -> PluginFailure {
        PluginFailure {
            plugin: self.name.clone(),
            call: phase.as_str().to_owned(),
            kind: PluginFailureKind::Crashed,
            code: "plugin.host-defect".to_owned(),
            message: "the plugin host stopped in the middle of the call".to_owned(),
            hint: Some("a defect of this program; please report it".to_owned()),
            http_status: None,
            details: vec![("outcome".to_owned(), "unknown".to_owned())],
            retry_after: None,
            account_wide: false,
            untouched: false,
            causes: vec![self.redactor.text(cause)],
        }
    }
}
