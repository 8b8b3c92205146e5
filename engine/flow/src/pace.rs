//! Keeps the requests to one CA under the rate of its profile.

use std::time::Duration;

use waxwing_core::budget::Bucket;
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

    /// Counts what an earlier run has used of the bucket.
    pub(crate) fn resume(&mut self, kept: Bucket, now: Timestamp) {
        let gone = now.since(kept.at).as_secs_f64();
        let spacing = self.spacing.as_secs_f64();
        if spacing > 0.0 {
            let full = self.slack.as_secs_f64() / spacing + 1.0;
            let level = (kept.level + gone / spacing).clamp(0.0, full);
            self.next = self.next.max(now + self.spacing.mul_f64(full - level));
        }
    }

    /// What the next run has to count; none if there is no limit.
    pub(crate) fn kept(&self, now: Timestamp) -> Option<Bucket> {
        let spacing = self.spacing.as_secs_f64();
        (spacing > 0.0).then(|| {
            let full = self.slack.as_secs_f64() / spacing + 1.0;
            let used = self.next.since(now).as_secs_f64() / spacing;
            Bucket {
                level: (full - used).max(0.0),
                at: now,
            }
        })
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
    fn the_next_run_goes_on_where_this_one_stopped() {
        let start = Timestamp::from_unix(1_000);
        let rate = Rate {
            per_second: Some(5.0),
            burst: 3,
            concurrent_orders: 1,
            concurrent_requests: 1,
        };
        let mut first = Pace::new(&rate, start);
        for _ in 0..3 {
            assert_eq!(first.take(start), Duration::ZERO);
        }
        let kept = first.kept(start).expect("a limit");
        let waits = |later: u64| {
            let now = start + Duration::from_millis(later);
            let mut next = Pace::new(&rate, now);
            next.resume(kept, now);
            [0, 1, 2].map(|_| next.take(now).as_millis())
        };
        assert_eq!(waits(0), [200, 400, 600]);
        assert_eq!(waits(400), [0, 0, 200]);
        assert_eq!(waits(60_000), [0, 0, 0]);
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
