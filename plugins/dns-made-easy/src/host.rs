//! What this plugin asks of its host, as a trait that tests can play.

use crate::bindings::waxwing::host::http::{HttpError, Request, Response};
use crate::bindings::waxwing::host::log::Level;
use crate::bindings::waxwing::host::secrets::SecretError;

/// The host's interfaces, as far as this plugin uses them. `wit/` has the contract of each.
pub(crate) trait Host {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_unix_ms(&self) -> u64;
    /// Milliseconds until the call is stopped.
    fn remaining_ms(&self) -> u64;
    /// HMAC-SHA1 of `data` under the secret of this name.
    fn hmac_sha1(&self, secret: &str, data: &[u8]) -> Result<Vec<u8>, SecretError>;
    /// Sends one request.
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
    /// A value of an earlier call of this run, if the host still has it.
    fn remembered(&self, key: &str) -> Option<Vec<u8>>;
    /// Keeps a value for later calls of this run. False: it was not kept.
    fn remember(&self, key: &str, value: &[u8]) -> bool;
    /// Writes to the operator's log.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
}
