//! A value that the test and the servers share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A shared value, reached only through [`Guarded::with`], so that no guard is held across an
/// `await` and none is kept by accident.
pub(crate) struct Guarded<T>(Arc<Mutex<T>>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// Runs `act` with the value locked.
    ///
    /// A panic in an earlier `act` is that test's failure; the others still get their answers.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Guarded<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Guarded<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}
