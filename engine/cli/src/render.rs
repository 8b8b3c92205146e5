//! How things look: for people on a terminal, for machines as JSON.
//!
//! Each module turns values into a text and asks nobody for anything, so that every output can be
//! compared with what it should be. Only [`terminal`] and [`progress`] write.

pub(crate) mod html;
pub(crate) mod page;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod toml;

pub(crate) mod account;
pub(crate) mod ca;
pub(crate) mod check;
pub(crate) mod egress;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod plugin;
pub(crate) mod plugin_example;
pub(crate) mod refusal;
pub(crate) mod revocation;
pub(crate) mod schedule;
pub(crate) mod version;

pub(crate) mod notice;
pub(crate) mod notified;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod renewal;
pub(crate) mod simulation;
pub(crate) mod status;

pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod metrics;
pub(crate) mod overview;

pub(crate) mod terminal;

#[cfg(test)]
pub(crate) mod fixture;
