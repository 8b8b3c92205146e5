//! systemd, by the protocol of `sd_notify(3)`.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use sd_notify::NotifyState;

use super::State;

pub(super) fn tell(states: &[State<'_>]) {
    let mut told = Vec::new();
    for state in states {
        match state {
            State::Ready => told.push(NotifyState::Ready),
            State::Reloading => {
                told.push(NotifyState::Reloading);
                told.extend(NotifyState::monotonic_usec_now().ok());
            }
            State::Stopping => told.push(NotifyState::Stopping),
            State::Status(text) => told.push(NotifyState::Status(text)),
        }
    }
    if let Err(cause) = sd_notify::notify(&told) {
        tracing::debug!(%cause, "the service manager was not told");
    }
}

pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives signs of life for as long as there is some. None if the system has no room for who gives them.
pub(super) fn watch(
    every: Duration,
    lives: impl Fn() -> bool + Send + 'static,
) -> Option<Sender<()>> {
    let (watch, ended) = mpsc::channel::<()>();
    let signs = move || {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every / 2) {
            if lives() {
                let _nobody_listens = sd_notify::notify(&[NotifyState::Watchdog]);
            }
        }
    };
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    thread.spawn(signs).is_ok().then_some(watch)
}
