//! What this plugin asks of its host, as a trait that tests can play.

use crate::bindings::waxwing::host::http::{HttpError, Request, Response};

/// The host's interfaces, as far as this plugin uses them. `wit/` has the contract of each.
pub(crate) trait Host {
    /// Milliseconds until the call is stopped.
    fn remaining_ms(&self) -> u64;
    /// Sends one request.
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
    /// A value of an earlier call of this run, if the host still has it.
    fn remembered(&self, key: &str) -> Option<Vec<u8>>;
    /// Keeps a value for later calls of this run, if the host has room.
    fn remember(&self, key: &str, value: &[u8]);
}
