//! The vocabulary and the decisions of Waxwing: names, settings, CA profiles, when a certificate
//! is due, what a run would do, which failures are whose business.
//!
//! This crate reads no clock, draws no randomness, opens no file or socket and knows no async
//! runtime: time and chance are arguments, and everything it needs from outside arrives as values.
//!
//! Start reading at [`settings`]: what the operator asked for.

pub mod access;
pub mod alert;
pub mod budget;
pub mod ca;
pub mod caa;
pub mod calendar;
pub mod disturbance;
pub mod document;
pub mod due;
pub mod egress;
pub mod failure;
pub mod held;
pub mod http;
pub mod import;
pub mod include;
pub mod init;
pub mod key;
pub mod name;
pub mod nearest;
pub mod neighbour;
pub mod notify;
pub mod outage;
pub mod plan;
pub mod plugin;
pub mod profiles;
pub mod retry;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod time;
pub mod timer;
