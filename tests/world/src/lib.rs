//! A world on loopback: a certificate authority, name servers and DNS provider APIs that behave as
//! the real ones do, for tests and for the quickstart.
//!
//! It judges the engine, so it depends on none of it: signatures, nonces, account states and DNS
//! records are checked here from the RFCs and from what the vendors document. It is not a product:
//! nothing here is durable, and it listens on loopback only.
//!
//! Everything is synchronous to use, since a world runs on a thread of its own: a test may block on
//! a child process while the servers go on answering. Several worlds live in one process without
//! noticing each other, and what a world started ends with it.
//!
//! Start reading at [`World`], then [`ca::Ca`] and [`dns::Dns`].

#![expect(
    clippy::disallowed_methods,
    reason = "a world stands for the outside: it has real time, real files and real processes"
)]

pub mod ca;
pub mod cloudflare;
pub mod dns;
pub mod dns_made_easy;
pub mod fault;
mod guarded;
pub mod pebble;
mod pki;
mod relay;
mod runtime;
pub mod scan;
pub mod server;
pub mod shop;
pub mod smtp;
pub mod traffic;
pub mod window;
mod world;

pub use world::{Builder, World};
