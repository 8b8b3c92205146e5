//! The renewal of a certificate, from a plan to a report: the state machine, the ports it acts
//! through, and the driver that carries its effects out.
//!
//! This crate opens no socket and no file and runs no component: [`ports`] says what the outside
//! must offer, `waxwing-io` and `waxwing-host` offer it. It knows no CA and no plugin by name.
//!
//! Start reading at [`run`] (what a run is), then [`machine`] (how it goes on), then [`driver`].

pub mod account;
pub mod advice;
pub mod ahead;
pub mod audit;
pub mod budget;
pub mod certificate;
pub mod directory;
pub mod driver;
pub mod failure;
pub mod history;
pub mod install;
pub mod journal;
pub mod machine;
pub mod monitor;
pub mod notify;
pub mod obligation;
pub mod plugin;
pub mod ports;
pub mod replace;
pub mod report;
pub mod revoke;
pub mod run;
pub mod scheduler;
pub mod sent;
mod served;
pub mod session;
pub mod simulate;
pub mod tell;
pub mod terms;
pub mod wake;

mod abandon;
mod heard;
mod pace;
mod propagation;
mod settle;
mod tally;

#[cfg(test)]
mod tests;
