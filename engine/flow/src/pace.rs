//! Keeps the requests to one CA under the rate of its profile.

use std::time::Duration;

use waxwing_core::ca::Rate;
use waxwing_core::time::Timestamp;

/// A token bucket that hands out moments instead of refusing.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Time between two requests; zero for no limit.
    spacing: Duration,
    /// How far ahead of the spacing requests may run.
    slack: Duration,
    /// When the next request is due if all come as fast as they may.
    next: Timestamp,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(rate: &Rate, now: Timestamp) -> Self {
        let spacing = match rate.per_second {
            Some(per_second) if per_second > 0.0 => {
                Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::ZERO)
            }
            _ => Duration::ZERO,
        };
        let slack = spacing.saturating_mul(rate.burst.saturating_sub(1));
        Self {
            spacing,
            slack,
            next: now,
        }
    }

    /// Takes the next place; the wait until it may be used.
    pub(crate) fn take(&mut self, now: Timestamp) -> Duration {
        let due = self.next.max(now);
        self.next = due + self.spacing;
        due.since(now).saturating_sub(self.slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_spacing_holds() {
        let start = Timestamp::from_unix(1_000);
        let rate = Rate {
            per_second: Some(5.0),
            burst: 3,
            concurrent_orders: 1,
            concurrent_requests: 1,
        };
        let mut pace = Pace::new(&rate, start);
        let waits: Vec<u128> = (0..5).map(|_| pace.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 200, 400]);
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.take(later), Duration::ZERO);
    }

    #[test]
    fn no_rate_means_no_wait() {
        let now = Timestamp::from_unix(0);
        let rate = Rate {
            per_second: None,
            burst: 1,
            concurrent_orders: 1,
            concurrent_requests: 1,
        };
        let mut pace = Pace::new(&rate, now);
        assert!((0..100).all(|_| pace.take(now) == Duration::ZERO));
    }
}
