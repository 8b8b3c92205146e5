//! The service manager that has started this process, if one did and wants to hear of it.

#![expect(
    clippy::disallowed_methods,
    reason = "signs of life are counted by a thread of their own, whatever the clock shows"
)]

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(unix)]
#[path = "service/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "service/windows.rs"]
mod os;

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

/// Signs of life of this process, for whoever watches it.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// When it hangs, if there is no other sign by then.
    until: Arc<Mutex<Instant>>,
    /// Tells the service manager no more when it is dropped.
    _watch: Option<Sender<()>>,
}

impl Pulse {
    /// Begins; the next sign comes within that time. The service manager hears of it, if it wants to: until one is
    /// missing. Then the process hangs, and the manager may start another one.
    pub fn begin(within: Duration) -> Self {
        let until = Arc::new(Mutex::new(Instant::now() + within));
        let seen = Arc::clone(&until);
        let lives = move || is_ahead(&seen);
        let _watch = watchdog().and_then(|every| os::watch(every, lives));
        Self { until, _watch }
    }

    /// There is life, and the next sign of it comes within that time.
    pub fn beat(&self, within: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + within;
    }

    /// False if a sign is missing.
    pub fn lives(&self) -> bool {
        is_ahead(&self.until)
    }
}

fn is_ahead(until: &Mutex<Instant>) -> bool {
    Instant::now() < *until.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the service manager wants a sign of life, if it wants one.
pub fn watchdog() -> Option<Duration> {
    os::watchdog()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_sign_in_time_it_does_not_live() {
        let pulse = Pulse::begin(Duration::from_secs(600));
        assert!(pulse.lives());
        let other = pulse.clone();
        other.beat(Duration::ZERO);
        assert!(!pulse.lives());
        other.beat(Duration::from_secs(600));
        assert!(pulse.lives());
    }
}
