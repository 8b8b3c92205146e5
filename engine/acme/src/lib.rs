//! The ACME protocol as values: RFC 8555, external account binding, renewal information (RFC 9773),
//! profiles, alternate chains.
//!
//! This crate contains no networking code. A [`session::Call`] becomes a
//! [`Request`](waxwing_core::http::Request); whoever owns a connection sends it and hands the
//! [`Response`](waxwing_core::http::Response) back; a typed reply or a typed error comes out. There
//! is no async, no clock, no sleep and no randomness here, and nothing is retried behind the
//! caller's back: even a refused nonce is only the advice to send the call once more.
//!
//! Private keys stay outside too: [`jws::Signer`] is a trait.
//!
//! Start reading at [`session`] (one exchange with the CA, from call to reply), then [`order`] (the
//! object everything else serves) and [`error`] (what an operator gets to read).

pub mod account;
pub mod ari;
pub mod authorization;
pub mod certificate;
pub mod challenge;
pub mod directory;
pub mod eab;
pub mod error;
pub mod exchange;
pub mod jws;
pub mod order;
pub mod problem;
pub mod retry_after;
pub mod session;
pub mod user_agent;

mod excerpt;
mod identifier;
mod link;
mod nonce;
mod url;

#[cfg(test)]
mod tests;
