//! How long to wait before the same thing is tried again.
//!
//! Here is what one run does: trouble that passes in seconds, a connection that breaks, a 503. What
//! is still wrong after that is a later run's business, and [`ladder`] says which run's.

pub mod ladder;
pub mod rehearsal;

use std::time::Duration;

/// A bounded number of tries with growing, jittered waits between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failure, before jitter.
    pub first: Duration,
    /// Longest wait, before jitter.
    pub most: Duration,
    /// Tries in all; 1 means that nothing is repeated.
    pub tries: u32,
    /// Longest Retry-After that is waited for; a longer one ends the tries.
    pub patience: Duration,
}

impl Backoff {
    /// For requests to a CA.
    pub const CA: Self = Self {
        first: Duration::from_millis(500),
        most: Duration::from_secs(8),
        tries: 3,
        patience: Duration::from_secs(20),
    };

    /// The wait before the next try, after `failed` tries have failed; none to give up.
    ///
    /// Waits triple from try to try. `asked` is the Retry-After of the failure: never waited less
    /// than that. `chance` is any random number; it spreads the wait over ±25 %, upwards only
    /// where a Retry-After must be kept.
    pub fn wait(&self, failed: u32, asked: Option<Duration>, chance: u64) -> Option<Duration> {
        if failed >= self.tries {
            return None;
        }
        let grown = self
            .first
            .saturating_mul(3_u32.saturating_pow(failed.saturating_sub(1)));
        let grown = spread(grown.min(self.most), chance);
        match asked {
            Some(asked) if asked > self.patience => None,
            Some(asked) => Some(grown.max(asked)),
            None => Some(grown),
        }
    }
}

/// `wait` moved by up to a quarter in either direction.
pub fn spread(wait: Duration, chance: u64) -> Duration {
    let per_mille = 750 + u32::try_from(chance % 501).unwrap_or(0);
    wait.saturating_mul(per_mille) / 1000
}

/// The wait before look number `nth` (from 0) at something that a CA is working on.
pub fn poll(first: Duration, most: Duration, nth: u32, chance: u64) -> Duration {
    let mut wait = first;
    for _ in 0..nth.min(32) {
        wait = (wait.saturating_mul(3) / 2).min(most);
    }
    // The first look is not spread: it is tuned to the CA, and too early costs a request.
    if nth == 0 {
        wait.min(most)
    } else {
        spread(wait.min(most), chance)
    }
}

/// After how long a message that could not be delivered is tried again, for each try.
const RESENDS: [Duration; 5] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(8 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// The wait before a message is tried again that could not be delivered `failed` times, at least once.
/// The first waits are shorter than the hour between two runs of the timer, so that what passes in
/// minutes costs one run; a receiver that is gone is asked once a day. Whoever asks for a longer wait gets it,
/// up to the longest of these.
pub fn resend(failed: u32, asked: Option<Duration>) -> Duration {
    let nth = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = RESENDS[nth.min(RESENDS.len() - 1)];
    wait.max(asked.unwrap_or_default()).min(LONGEST_RESEND)
}

/// The longest of these waits.
pub const LONGEST_RESEND: Duration = RESENDS[RESENDS.len() - 1];

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn waits_grow_end_and_keep_what_was_asked() {
        let policy = Backoff::CA;
        let middle = 250;
        let check = |failed, asked, want| {
            assert_eq!(
                policy.wait(failed, asked, middle),
                want,
                "{failed} {asked:?}"
            );
        };
        check(1, None, Some(MS(500)));
        check(2, None, Some(MS(1500)));
        check(3, None, None);
        check(1, Some(MS(5000)), Some(MS(5000)));
        check(1, Some(MS(100)), Some(MS(500)));
        check(1, Some(MS(20_001)), None);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        for chance in [0, 1, 250, 500, 501, u64::MAX] {
            let wait = spread(MS(1000), chance);
            assert!(wait >= MS(750) && wait <= MS(1250), "{chance}: {wait:?}");
        }
    }

    #[test]
    fn messages_wait_longer_each_time_up_to_a_day() {
        let minutes =
            [0, 1, 2, 3, 4, 5, u32::MAX].map(|failed| resend(failed, None).as_secs() / 60);
        assert_eq!(minutes, [5, 5, 30, 120, 480, 1440, 1440]);
        let asked = [1, 30 * 60, 7 * 24 * 60 * 60].map(|secs| Some(Duration::from_secs(secs)));
        let minutes = asked.map(|asked| resend(1, asked).as_secs() / 60);
        assert_eq!(minutes, [5, 30, 24 * 60]);
    }

    #[test]
    fn polls_slow_down_to_the_ceiling() {
        assert_eq!(poll(MS(25), MS(1000), 0, 7), MS(25));
        assert_eq!(poll(MS(1000), MS(3000), 9, 250), MS(3000));
        assert!(poll(MS(1000), MS(3000), u32::MAX, u64::MAX) <= MS(3750));
    }
}
