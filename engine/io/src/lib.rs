//! The adapters between the engine and the world: clock, disk, HTTP, DNS look-ups, keys and
//! certificates.
//!
//! Each module implements one port of `waxwing_flow::ports` and nothing above it: no adapter
//! decides when to try again, picks a CA or knows one by name. Code that differs between operating
//! systems stands in files called `unix.rs` and `windows.rs` only.
//!
//! Start reading at [`store`] for what is on disk, at [`http`] for what goes over the wire.

pub mod append;
pub mod audit;
pub mod export;
pub mod history;
pub mod outfile;
pub mod store;

pub mod http;
pub mod propagation;

pub mod notify;
pub mod reminder;

pub mod installed;
pub mod keys;
pub mod pem;
pub mod pkcs12;
pub mod x509;

pub mod import;
pub mod secrets;
pub mod served;
pub mod service;
pub mod timer;

pub mod permission;
pub mod room;

pub mod clock;
pub mod config;
pub mod entropy;
pub mod listen;
pub mod logfile;
pub mod memory;
pub mod prompt;

pub mod contract;
pub mod disk;
pub mod neighbours;
