//! The Task Scheduler and the service manager of Windows ask for no signs of life.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::State;

pub(super) fn tell(_states: &[State<'_>]) {}

pub(super) fn watchdog() -> Option<Duration> {
    None
}

/// Nobody asks for signs of life.
pub(super) fn watch(
    _every: Duration,
    _lives: impl Fn() -> bool + Send + 'static,
) -> Option<Sender<()>> {
    None
}
