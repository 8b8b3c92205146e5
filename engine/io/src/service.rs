//! The service manager that has started this process, if one did and wants to hear of it.

use std::time::Duration;

#[cfg(unix)]
#[path = "service/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "service/windows.rs"]
mod os;

pub use os::Pulse;

/// What a service manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// It works.
    Ready,
    /// It reads its configuration again; [`State::Ready`] follows.
    Reloading,
    /// It is about to end.
    Stopping,
    /// What it is doing, in one line for people.
    Status(&'a str),
}

/// Tells the service manager. Without one, or if it does not listen, nothing happens: no work depends
/// on it.
pub fn tell(states: &[State<'_>]) {
    os::tell(states);
}

/// How often the service manager wants a sign of life, if it wants one.
pub fn watchdog() -> Option<Duration> {
    os::watchdog()
}
