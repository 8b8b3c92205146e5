//! Runs plugins: WebAssembly components behind the contract in `wit/`.
//!
//! A guest is not trusted. It gets a fresh instance for each call, bounded in memory, time and
//! talk; it reaches the world only through the imports of the contract, each of which asks the
//! policy first; it knows secrets by name only. What it did is in the audit trail, and why it
//! failed is said by the host where the guest cannot know.
//!
//! This crate knows no plugin, no CA and no concrete client: requests go through the port
//! `HttpClient`, time comes from the port `Clock`. It does not decide when a call is worth
//! repeating.
//!
//! Start reading at [`host`], then `call` (one call from store to verdict), `policy` (may it?),
//! `imports` (what guests see) and `judge` (what people see).

#![expect(
    clippy::result_large_err,
    reason = "the ports' error keeps everything that is known; failed calls are few"
)]

mod artifacts;
mod bindings;
mod cache;
mod call;
mod command;
mod component;
mod dns;
mod engine;
mod files;
pub mod host;
mod imports;
mod install;
mod instance;
mod judge;
pub mod limits;
mod parts;
mod phase;
pub mod pkcs12;
mod policy;
mod powers;
mod rate;
mod redact;
pub mod rights;
pub mod section;
mod state;
mod target;
pub mod trial;
mod wasi;
