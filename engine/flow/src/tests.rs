//! The flow in a world of its own: CAs, DNS, disk and plugins in memory, time that is simulated,
//! and a fault where a test wants one.

pub(crate) mod answers;
mod ca;
mod disk;
mod keys;
mod past;
mod plugins;
mod policy;
mod posts;
mod preflight;
pub(crate) mod world;

mod accounts;
mod budgets;
mod installs;
mod rehearsals;
mod replacements;
mod revocations;
mod row;
mod runs;
mod sessions;
mod sweep;
mod underway;
mod witnesses;
mod wrong;
