//! One file for each verb. Each answers how the program ends; an `Err` has been said already.

pub(crate) mod account;
pub(crate) mod alone;
pub(crate) mod ca;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod egress;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod forget;
pub(crate) mod generated;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod metrics;
pub(crate) mod notify;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod renew;
pub(crate) mod revoke;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod version;

mod interrupt;
mod pulse;
pub(crate) mod start;
mod started;
