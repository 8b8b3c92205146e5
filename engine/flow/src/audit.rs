//! What was done to the outside world, event by event, for the report and the audit log.

use std::sync::Mutex;

use waxwing_core::http::Method;
use waxwing_core::name::PluginName;

/// One act of a plugin in the outside world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditEvent {
    /// A request of a plugin, allowed or not.
    Request {
        /// Which plugin.
        plugin: PluginName,
        /// The method.
        method: Method,
        /// The host asked for.
        host: String,
        /// The path; the query, which may hold a credential, is left out.
        path: String,
        /// The status of the answer, or why there is none.
        result: Result<u16, String>,
        /// Milliseconds.
        ms: u64,
    },
    /// A file written, or put back.
    File {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The whole path.
        path: String,
        /// `written`, `unchanged`, `restored` or why it failed.
        result: String,
    },
    /// A command run.
    Command {
        /// Which plugin.
        plugin: PluginName,
        /// The grant it used.
        grant: String,
        /// The program.
        program: String,
        /// The exit code, or why there is none.
        result: Result<i32, String>,
        /// Milliseconds.
        ms: u64,
    },
}

/// Collects the events of one run.
#[derive(Debug, Default)]
pub struct AuditTrail(Mutex<Vec<AuditEvent>>);

impl AuditTrail {
    /// Adds an event.
    pub fn record(&self, event: AuditEvent) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event);
    }

    /// The events so far, in order.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}
