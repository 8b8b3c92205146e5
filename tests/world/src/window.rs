//! A limit on requests per scrolling window, by a clock the test may turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a server takes for the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(SystemTime::now)
}

/// The requests of the last while.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    length: Duration,
    seen: VecDeque<SystemTime>,
}

impl Window {
    pub(crate) fn new(limit: usize, length: Duration) -> Self {
        Self {
            limit,
            length,
            seen: VecDeque::new(),
        }
    }

    /// Counts a request at `now`: how many more may follow, or how long until one may.
    pub(crate) fn take(&mut self, now: SystemTime) -> Result<usize, Duration> {
        self.seen.retain(|time| *time + self.length > now);
        match self.seen.front() {
            Some(first) if self.seen.len() >= self.limit => Err((*first + self.length)
                .duration_since(now)
                .unwrap_or(Duration::ZERO)),
            _ => {
                self.seen.push_back(now);
                Ok(self.limit - self.seen.len())
            }
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_scrolls() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut window = Window::new(2, Duration::from_secs(10));
        assert_eq!(window.take(at(0)), Ok(1));
        assert_eq!(window.take(at(4)), Ok(0));
        assert_eq!(window.take(at(6)), Err(Duration::from_secs(4)));
        assert_eq!(window.take(at(10)), Ok(0));
        assert_eq!(window.take(at(11)), Err(Duration::from_secs(3)));
    }
}
