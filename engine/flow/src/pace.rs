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
    /// The latest moment that it has heard of.
    latest: Timestamp,
    /// What was read or kept last; what differs from it was used by another process.
    base: Option<Bucket>,
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
            latest: now,
            base: None,
        }
    }

    /// A clock that was set back takes with it what was planned by it: nobody waits for a time of the past
    /// to come again.
    fn hear(&mut self, now: Timestamp) {
        self.next = self.next - self.latest.since(now);
        self.latest = now;
    }

    /// Counts what an earlier run has used of the bucket.
    pub(crate) fn resume(&mut self, kept: Bucket, now: Timestamp) {
        self.hear(now);
        if let Some((full, level)) = self.level(kept, now) {
            self.next = self.next.max(now + self.spacing.mul_f64(full - level));
            self.base = Some(kept);
        }
    }

    /// What the next run has to count; none if there is no limit. `found` is what is kept of it: what
    /// another run has used since this one looked last is counted here, too.
    pub(crate) fn keep(&mut self, found: Option<Bucket>, now: Timestamp) -> Option<Bucket> {
        self.hear(now);
        if let Some(found) = found
            && let Some((full, level)) = self.level(found, now)
        {
            let before = self.base.and_then(|base| self.level(base, now));
            let before = before.map_or(full, |(_, level)| level);
            self.next = self.next.max(now) + self.spacing.mul_f64((before - level).max(0.0));
        }
        let spacing = self.spacing.as_secs_f64();
        let kept = (spacing > 0.0).then(|| {
            let full = self.slack.as_secs_f64() / spacing + 1.0;
            let used = self.next.since(now).as_secs_f64() / spacing;
            Bucket {
                level: (full - used).max(0.0),
                at: now,
            }
        });
        self.base = kept;
        kept
    }

    /// How much is in a full bucket and how much is left in this one by now; none if there is no limit.
    fn level(&self, kept: Bucket, now: Timestamp) -> Option<(f64, f64)> {
        let spacing = self.spacing.as_secs_f64();
        (spacing > 0.0).then(|| {
            let full = self.slack.as_secs_f64() / spacing + 1.0;
            let gone = now.since(kept.at).as_secs_f64();
            (full, (kept.level + gone / spacing).clamp(0.0, full))
        })
    }

    /// Takes the next place; the wait until it may be used.
    pub(crate) fn take(&mut self, now: Timestamp) -> Duration {
        self.hear(now);
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
        let kept = first.keep(None, start).expect("a limit");
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
    fn what_two_runs_at_once_have_used_is_counted_together() {
        let start = Timestamp::from_unix(1_000);
        let rate = Rate {
            per_second: Some(1.0),
            burst: 10,
            concurrent_orders: 1,
            concurrent_requests: 1,
        };
        let level = |kept: Option<Bucket>| kept.map(|kept| kept.level.round());
        let [mut one, mut two] = [0, 1].map(|_| Pace::new(&rate, start));
        for _ in 0..3 {
            one.take(start);
            two.take(start);
        }
        let kept = one.keep(None, start);
        assert_eq!(level(kept), Some(7.0));
        let kept = two.keep(kept, start);
        assert_eq!(level(kept), Some(4.0), "six of both");
        // The first one meets what the second one has written, and counts only what is new in it.
        one.take(start);
        let kept = one.keep(kept, start);
        assert_eq!(level(kept), Some(3.0));
        assert_eq!(level(one.keep(kept, start)), Some(3.0));
        // From now on it leaves room for the other.
        let waits = [0, 1, 2, 3].map(|_| one.take(start).as_secs());
        assert_eq!(waits, [0, 0, 0, 1]);
        // What was used long ago is nobody's.
        let later = start + Duration::from_secs(60);
        assert_eq!(level(two.keep(kept, later)), Some(10.0));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up() {
        let start = Timestamp::from_unix(1_795_000_000);
        let rate = Rate {
            per_second: Some(5.0),
            burst: 3,
            concurrent_orders: 1,
            concurrent_requests: 1,
        };
        let mut pace = Pace::new(&rate, start);
        let waits = [0, 1, 2, 3].map(|_| pace.take(start).as_millis());
        assert_eq!(waits, [0, 0, 0, 200]);
        // What is spaced stays spaced.
        let back = start - Duration::from_secs(6 * 86_400);
        let waits = [0, 1].map(|_| pace.take(back).as_millis());
        assert_eq!(waits, [400, 600]);
        // And set right again it goes on from there.
        assert_eq!(pace.take(start), Duration::ZERO);
        let kept = pace.keep(None, back).expect("a limit");
        assert_eq!(kept.at, back);
        assert_eq!(pace.take(back + Duration::from_secs(60)), Duration::ZERO);
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
