//! The host's claims, each against a guest that tries the opposite.

#![expect(
    clippy::disallowed_methods,
    reason = "what a guest has done is looked for in real files and processes"
)]
#![expect(
    clippy::result_large_err,
    reason = "the ports' error keeps everything that is known; failed calls are few"
)]

mod answers;
mod backups;
mod commands;
mod fairness;
mod files;
mod guest;
mod limits;
mod loading;
mod log;
mod network;
mod secrets;
mod stage;
