//! The renewal of a certificate, from a plan to a report: the state machine, the ports it acts
//! through, and the driver that carries its effects out.
//!
//! This crate opens no socket and no file and runs no component: [`ports`] says what the outside
//! must offer, `waxwing-io` and `waxwing-host` offer it. It knows no CA and no plugin by name.
//!
//! Start reading at [`ports`].

pub mod audit;
pub mod certificate;
pub mod plugin;
pub mod ports;
