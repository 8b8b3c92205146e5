//! What is stored and cannot be used. It counts as not there, but while it is served its end counts.

use super::{Current, Stored};
use crate::time::{Timestamp, Window};

/// Of a current version that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Its validity, if its certificate can be read.
    pub life: Option<Window>,
}

impl Stored {
    /// Validity of the current version, also of one that cannot be used.
    pub fn life(&self) -> Option<Window> {
        let life = |current: &Current| Window {
            start: current.not_before,
            end: current.not_after,
        };
        let current = self.current.as_ref().map(life);
        current.or_else(|| self.damaged?.life)
    }

    /// When the current version ends, also one that cannot be used.
    pub fn ends(&self) -> Option<Timestamp> {
        self.life().map(|life| life.end)
    }
}
