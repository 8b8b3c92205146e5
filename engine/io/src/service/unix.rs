//! systemd, by the protocol of `sd_notify(3)`.

#![expect(
    clippy::disallowed_methods,
    reason = "signs of life come from a thread of their own, so that a long step does not stop them"
)]

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Signs of life for the service manager, for as long as there is some.
#[derive(Debug)]
pub struct Pulse {
    beaten: Arc<Mutex<Instant>>,
    /// Ends the thread when it is dropped.
    _alive: Option<Sender<()>>,
}

impl Pulse {
    /// Begins, if the service manager wants it. Signs are given until [`Pulse::beat`] has not been
    /// called for `longest`: then the process hangs, and the manager may start another one.
    pub fn begin(longest: Duration) -> Self {
        let beaten = Arc::new(Mutex::new(Instant::now()));
        let alive = watchdog().and_then(|every| {
            let (alive, ended) = mpsc::channel::<()>();
            let last = Arc::clone(&beaten);
            let signs = move || {
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every / 2) {
                    let last = *last.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.elapsed() < longest {
                        let _nobody_listens = sd_notify::notify(&[NotifyState::Watchdog]);
                    }
                }
            };
            let thread = std::thread::Builder::new().name("watchdog".to_owned());
            let begun = thread.spawn(signs);
            begun.is_ok().then_some(alive)
        });
        Self {
            beaten,
            _alive: alive,
        }
    }

    /// There is life.
    pub fn beat(&self) {
        *self.beaten.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}
