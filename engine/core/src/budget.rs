//! Token buckets: what a CA or a provider allows in a period, and what is left of it.
//!
//! CAs state their limits as buckets that refill evenly ("300 orders in 3 hours, one each 36
//! seconds"), so that is what is counted here. A bucket is a value: the state that is kept, the
//! limit and the time go in, the next state or the wait comes out.

use std::fmt;
use std::time::Duration;

use crate::settings::units;
use crate::time::{self, Timestamp};

/// So many in such a period: `300 per 3h`. Neither number is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many fit into a full bucket; at least 1.
    pub count: u32,
    /// How long an empty bucket takes to fill.
    pub per: Duration,
}

/// What is left of a limit at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Tokens in it at `at`.
    pub level: f64,
    /// When that was.
    pub at: Timestamp,
}

impl Limit {
    /// Reads `300 per 3h`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a limit as in 300 per 3h");
        let (count, per) = text.split_once(" per ").ok_or_else(wrong)?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && *count > 0);
        let per = units::duration(per)?;
        if per.is_zero() {
            return Err(wrong());
        }
        Ok(Self {
            count: count.ok_or_else(wrong)?,
            per,
        })
    }

    /// The time after which one more is allowed.
    pub fn refill(self) -> Duration {
        self.per / self.count.max(1)
    }

    /// The bucket of somebody who has not spent anything.
    pub fn full(&self, now: Timestamp) -> Bucket {
        Bucket {
            level: f64::from(self.count),
            at: now,
        }
    }

    /// The bucket at `now`. A clock that went back refills nothing, and takes nothing either; but what
    /// lies ahead by more than a period was written by a clock that was wrong, and would be waited for
    /// until then, so it does not count.
    pub fn refilled(&self, bucket: Bucket, now: Timestamp) -> Bucket {
        if bucket.at.since(now) > self.per {
            return self.full(now);
        }
        let most = f64::from(self.count);
        let gone = now.since(bucket.at).as_secs_f64();
        let period = self.per.as_secs_f64();
        let gained = if period > 0.0 {
            gone / period * most
        } else {
            most
        };
        let level = (bucket.level + gained).clamp(0.0, most);
        Bucket { level, at: now }
    }

    /// How many whole tokens are there at `now`.
    pub fn left(&self, bucket: Bucket, now: Timestamp) -> u32 {
        let level = self.refilled(bucket, now).level + ROUNDING;
        let mut whole = 0;
        while whole < self.count && f64::from(whole + 1) <= level {
            whole += 1;
        }
        whole
    }

    /// Takes one token.
    ///
    /// # Errors
    /// The moment at which there will be one.
    pub fn take(&self, bucket: Bucket, now: Timestamp) -> Result<Bucket, Timestamp> {
        self.take_many(bucket, 1, now)
    }

    /// Takes so many tokens, or all of a full bucket if it holds fewer.
    ///
    /// # Errors
    /// The moment at which there will be as many.
    pub fn take_many(
        &self,
        bucket: Bucket,
        number: u32,
        now: Timestamp,
    ) -> Result<Bucket, Timestamp> {
        let bucket = self.refilled(bucket, now);
        let wanted = f64::from(number.min(self.count));
        if bucket.level + ROUNDING >= wanted {
            return Ok(Bucket {
                level: (bucket.level - wanted).max(0.0),
                ..bucket
            });
        }
        let missing = (wanted - bucket.level) / f64::from(self.count.max(1));
        Err(now + self.per.mul_f64(missing) + Duration::from_millis(1))
    }

    /// Gives back tokens that were taken and not needed.
    pub fn give_back(&self, bucket: Bucket, number: u32, now: Timestamp) -> Bucket {
        let bucket = self.refilled(bucket, now);
        Bucket {
            level: (bucket.level + f64::from(number)).min(f64::from(self.count)),
            ..bucket
        }
    }

    /// Counts something that happened whether there was a token for it or not.
    pub fn spend(&self, bucket: Bucket, now: Timestamp) -> Bucket {
        let bucket = self.refilled(bucket, now);
        Bucket {
            level: (bucket.level - 1.0).max(0.0),
            ..bucket
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, time::stretch(self.per))
    }
}

/// A millionth of a token: what sums of fractions may be off by.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_bucket_empties_and_refills_evenly() {
        // Let's Encrypt's limit for one set of names: a token each 33.6 hours.
        let limit = Limit {
            count: 5,
            per: HOUR * 24 * 7,
        };
        let mut bucket = limit.full(NOW);
        for left in (0..5).rev() {
            bucket = limit.take(bucket, NOW).expect("a token");
            assert_eq!(limit.left(bucket, NOW), left);
        }
        let until = limit.take(bucket, NOW).expect_err("an empty bucket");
        assert_eq!(until.since(NOW).as_secs(), 33 * 3600 + 36 * 60);
        assert!(limit.take(bucket, until).is_ok());
        assert_eq!(limit.left(bucket, NOW + HOUR * 24 * 30), 5);
    }

    #[test]
    fn what_a_wrong_clock_has_written_is_not_waited_for() {
        let limit = Limit {
            count: 5,
            per: HOUR,
        };
        let spent = |at| Bucket { level: 0.0, at };
        // A clock that went back a little refills nothing until it is there again.
        assert_eq!(limit.left(spent(NOW + HOUR / 2), NOW), 0);
        assert_eq!(limit.left(spent(NOW + HOUR / 2), NOW + HOUR * 2), 5);
        // One that was years ahead would be waited for, whenever somebody looks.
        assert_eq!(limit.left(spent(NOW + HOUR * 24 * 400), NOW), 5);
    }

    #[test]
    fn many_are_taken_together_and_what_was_not_needed_comes_back() {
        let limit = Limit {
            count: 10,
            per: HOUR,
        };
        let check = |level: f64, number, want: Result<f64, u64>| {
            let bucket = Bucket { level, at: NOW };
            let taken = limit.take_many(bucket, number, NOW);
            let seen = taken.map(|rest| rest.level);
            let seen = seen.map_err(|until| until.since(NOW).as_secs());
            assert_eq!(seen, want, "{number} of {level}");
        };
        check(10.0, 4, Ok(6.0));
        check(4.0, 4, Ok(0.0));
        check(3.0, 4, Err(360));
        // More than there can ever be waits for a full bucket, and not for ever.
        check(10.0, 40, Ok(0.0));
        check(9.0, 40, Err(360));
        let half = Bucket {
            level: 5.0,
            at: NOW,
        };
        assert!((limit.give_back(half, 3, NOW).level - 8.0).abs() < ROUNDING);
        assert!((limit.give_back(half, 30, NOW).level - 10.0).abs() < ROUNDING);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
        let limit = Limit {
            count: 2,
            per: HOUR,
        };
        let bucket = limit.spend(limit.full(NOW), NOW);
        let earlier = limit.refilled(bucket, NOW - HOUR);
        assert!((earlier.level - bucket.level).abs() < 1e-9);
    }

    #[test]
    fn a_limit_is_a_count_and_a_stretch_and_is_written_as_it_is_read() {
        let hour = Duration::from_secs(3600);
        for (text, count, per) in [
            ("300 per 3h", 300, hour * 3),
            ("5 per 7d", 5, hour * 24 * 7),
            ("1 per 500ms", 1, Duration::from_millis(500)),
        ] {
            assert_eq!(Limit::parse(text), Ok(Limit { count, per }), "{text}");
            assert_eq!(Limit { count, per }.to_string(), text);
        }
        for wrong in [
            "",
            "300",
            "300 per",
            "300 per ",
            "0 per 3h",
            "+5 per 3h",
            "-5 per 3h",
            "5 per 0s",
            "5 per 3w",
            "5/3h",
            "1.5 per 1h",
            "5  per 1h",
            "99999999999 per 1h",
        ] {
            assert!(Limit::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_more_is_allowed_after_its_share_of_the_time() {
        let refill = |text| Limit::parse(text).map(Limit::refill);
        assert_eq!(refill("300 per 3h"), Ok(Duration::from_secs(36)));
        assert_eq!(refill("5 per 1h"), Ok(Duration::from_secs(12 * 60)));
    }

    proptest! {
        #[test]
        fn no_period_sees_more_than_twice_the_count(
            count in 1_u32..20,
            period in 1_u64..100_000,
            steps in proptest::collection::vec(0_u64..5_000, 1..200),
        ) {
            // A full bucket and what refills while it empties: the bound of any token bucket.
            let limit = Limit { count, per: Duration::from_secs(period) };
            let mut bucket = limit.full(NOW);
            let mut now = NOW;
            let mut taken: Vec<Timestamp> = Vec::new();
            for step in steps {
                now = now + Duration::from_secs(step);
                match limit.take(bucket, now) {
                    Ok(next) => {
                        bucket = next;
                        taken.push(now);
                    }
                    Err(until) => {
                        prop_assert!(until > now);
                        prop_assert!(limit.take(bucket, until).is_ok());
                    }
                }
                let recent = taken.iter().filter(|at| now.since(**at) < limit.per).count();
                prop_assert!(recent <= 2 * count as usize);
            }
        }
    }
}
