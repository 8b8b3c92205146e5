//! The host's side of each interface a guest may import. An `Err` of wasmtime would be a trap, so
//! everything a guest can cause is answered in the contract's words instead.

mod artifacts;
mod exec;
mod files;
mod http;
mod log;
mod runtime;
mod secrets;
mod settings;
mod state;

use crate::bindings::installer::waxwing::plugin::types;
use crate::call::Call;

impl types::Host for Call {}
