//! The provider's rate, as the manifest states it: so many requests in any stretch of so much time,
//! over all calls of a plugin instance.

use std::collections::VecDeque;
use std::time::Duration;

use waxwing_core::budget::Bucket;
use waxwing_core::plugin::ProviderRate;
use waxwing_core::time::Timestamp;

/// Longest wait inside a call. Whoever needs longer is told so, and the engine decides.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at whether there is room.
const POLL: Duration = Duration::from_secs(1);

/// The requests of the last stretch of time.
#[derive(Debug)]
pub(crate) struct Rate {
    requests: usize,
    per: Duration,
    /// When each request was or will be sent, in order; at most `requests` of them.
    sent: VecDeque<Timestamp>,
    /// What was read or kept last; what differs from it was used by another process.
    base: Option<Bucket>,
    /// Requests of calls that are being made, sent or not.
    reserved: usize,
    /// The header that says how many are left.
    remaining: Option<String>,
}

/// What a request has to do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Wait so long, which may be nothing. The request is counted.
    In(Duration),
    /// Come again after so long. The request is not counted.
    TooFar(Duration),
}

impl Rate {
    fn new(requests: u32, per: Duration) -> Self {
        Self {
            requests: usize::try_from(requests).unwrap_or(usize::MAX).max(1),
            per,
            sent: VecDeque::new(),
            base: None,
            reserved: 0,
            remaining: None,
        }
    }

    /// Goes on where another process has stopped: what it had used counts as used at its last request.
    pub(crate) fn resume(known: &ProviderRate, kept: Option<Bucket>, now: Timestamp) -> Self {
        let mut rate = Self::new(known.requests, known.per);
        rate.remaining.clone_from(&known.remaining);
        let used = rate.used(kept, now);
        rate.count(used, kept, now);
        rate.base = kept;
        rate
    }

    /// What another process has to know; none if nothing is used. `found` is what is kept already: what
    /// another process has used since this one looked last counts here from now on.
    pub(crate) fn keep(&mut self, found: Option<Bucket>, now: Timestamp) -> Option<Bucket> {
        if found != self.base {
            let theirs = self
                .used(found, now)
                .saturating_sub(self.used(self.base, now));
            self.count(theirs, found, now);
        }
        let at = self.sent.back().copied()?;
        let used = self
            .sent
            .iter()
            .filter(|sent| **sent + self.per > now)
            .count();
        let left = self.requests.saturating_sub(used);
        let level = u32::try_from(left).map_or(f64::MAX, f64::from);
        self.base = Some(Bucket { level, at });
        self.base
    }

    /// How many requests of the last stretch of time a bucket tells of.
    fn used(&self, kept: Option<Bucket>, now: Timestamp) -> usize {
        let Some(kept) = kept.filter(|kept| kept.at + self.per > now) else {
            return 0;
        };
        let all = u32::try_from(self.requests).map_or(f64::MAX, f64::from);
        let used = usize::try_from((all - kept.level.clamp(0.0, all)).ceil() as u64);
        used.unwrap_or(self.requests).min(self.requests)
    }

    /// Counts requests of another process as sent when it last wrote.
    fn count(&mut self, number: usize, kept: Option<Bucket>, now: Timestamp) {
        let Some(kept) = kept else { return };
        // A clock that was set back must not hold anybody up for long.
        let at = kept.at.min(now + PATIENCE);
        let place = self.sent.partition_point(|sent| *sent <= at);
        for _ in 0..number {
            self.sent.insert(place, at);
        }
        while self.sent.len() > self.requests {
            self.sent.pop_front();
        }
    }

    /// Keeps so many requests free for a call, or answers how long to wait until that is tried again. A call may
    /// need more than there ever are: then it gets all.
    pub(crate) fn reserve(&mut self, requests: usize, now: Timestamp) -> Result<usize, Duration> {
        let requests = requests.min(self.requests);
        match self.free_in(requests, now) {
            Duration::ZERO => {
                self.reserved += requests;
                Ok(requests)
            }
            wait => Err(wait),
        }
    }

    /// What a call was given is free again, but for what it has sent.
    pub(crate) fn release(&mut self, requests: usize) {
        self.reserved = self.reserved.saturating_sub(requests);
    }

    /// How long to wait before so many requests may be free.
    pub(crate) fn free_in(&self, requests: usize, now: Timestamp) -> Duration {
        let taken: Vec<Timestamp> = self
            .sent
            .iter()
            .map(|at| (*at).min(now + PATIENCE) + self.per)
            .filter(|free| *free > now)
            .collect();
        let wanted = requests.min(self.requests) + self.reserved;
        match (wanted + taken.len()).checked_sub(self.requests) {
            None | Some(0) => Duration::ZERO,
            Some(short) => match taken.get(short - 1) {
                Some(free) => free.since(now).max(POLL),
                // Others have to end their calls first.
                None => POLL,
            },
        }
    }

    /// What the provider says is left counts, if it is less than is known here: others use the account, too.
    pub(crate) fn heard(&mut self, headers: &[(String, String)], now: Timestamp) {
        let Some(name) = &self.remaining else { return };
        let mut all = headers.iter();
        let said = all.find(|(header, _)| header.eq_ignore_ascii_case(name));
        let Some(left) = said.and_then(|(_, value)| value.trim().parse::<usize>().ok()) else {
            return;
        };
        let known = self.sent.iter().filter(|at| **at + self.per > now).count();
        let used = self.requests.saturating_sub(left);
        for _ in known..used {
            self.sent.push_back(now);
        }
        while self.sent.len() > self.requests {
            self.sent.pop_front();
        }
    }

    /// The turn of a request that comes now and can wait for `most`.
    ///
    /// Nothing is ever planned further ahead than [`PATIENCE`], so a request that seems to be is one
    /// from before the clock was set back, and counts as if it were sent that far ahead.
    pub(crate) fn turn(&mut self, now: Timestamp, most: Duration) -> Turn {
        let furthest = now + PATIENCE;
        for at in &mut self.sent {
            *at = (*at).min(furthest);
        }
        let free = match self.sent.front() {
            Some(oldest) if self.sent.len() >= self.requests => *oldest + self.per,
            _ => now,
        };
        let latest = self.sent.back().copied().unwrap_or(now);
        let at = free.max(now).max(latest.min(furthest));
        let wait = at.since(now);
        if wait > most.min(PATIENCE) {
            return Turn::TooFar(wait);
        }
        if self.sent.len() >= self.requests {
            self.sent.pop_front();
        }
        self.sent.push_back(at);
        Turn::In(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn second(second: i64) -> Timestamp {
        Timestamp::from_unix(1_795_000_000 + second)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_two_processes_use_at_once_is_counted_together() {
        let per = Duration::from_secs(300);
        let level = |kept: Option<Bucket>| kept.map(|kept| kept.level.round());
        let [mut one, mut two] = [0, 1].map(|_| Rate::new(10, per));
        for at in [0, 1, 2] {
            one.turn(second(at), LONG);
            two.turn(second(at), LONG);
        }
        let kept = one.keep(None, second(3));
        assert_eq!(level(kept), Some(7.0));
        let kept = two.keep(kept, second(3));
        assert_eq!(level(kept), Some(4.0), "six of both");
        one.turn(second(4), LONG);
        let kept = one.keep(kept, second(4));
        assert_eq!(level(kept), Some(3.0));
        assert_eq!(level(one.keep(kept, second(4))), Some(3.0), "counted once");
        // From now on it leaves room for the other: three, and then none for a while.
        for _ in 0..3 {
            assert_eq!(one.turn(second(5), LONG), Turn::In(Duration::ZERO));
        }
        assert!(matches!(one.turn(second(5), LONG), Turn::TooFar(_)));
        // What was used long ago is nobody's.
        let kept = two.keep(kept, second(1000));
        assert_eq!(level(kept), Some(10.0));
    }

    #[test]
    fn another_process_goes_on_where_the_first_one_stopped() {
        let per = Duration::from_secs(300);
        let mut first = Rate::new(5, per);
        assert_eq!(first.keep(None, second(0)), None, "nothing is used");
        for at in [0, 1, 2] {
            assert_eq!(first.turn(second(at), LONG), Turn::In(Duration::ZERO));
        }
        let kept = first.keep(None, second(2));
        let five = ProviderRate {
            requests: 5,
            per,
            remaining: None,
        };
        let mut next = Rate::resume(&five, kept, second(10));
        assert_eq!(next.turn(second(10), LONG), Turn::In(Duration::ZERO));
        assert_eq!(next.turn(second(10), LONG), Turn::In(Duration::ZERO));
        let wait = Duration::from_secs(292);
        assert_eq!(next.turn(second(10), LONG), Turn::TooFar(wait));
        // After the stretch all of it is there again.
        let mut later = Rate::resume(&five, kept, second(302));
        for _ in 0..5 {
            assert_eq!(later.turn(second(302), LONG), Turn::In(Duration::ZERO));
        }
        // A clock that was set back by a day holds nobody up for a day.
        let mut back = Rate::resume(&five, kept, second(-86_400));
        for _ in 0..2 {
            assert!(matches!(back.turn(second(-86_400), LONG), Turn::In(_)));
        }
        let Turn::TooFar(wait) = back.turn(second(-86_400), LONG) else {
            panic!("five are used");
        };
        assert!(wait <= per + PATIENCE, "{wait:?}");
    }

    #[test]
    fn no_stretch_of_time_has_more_requests_than_it_may() {
        let mut rate = Rate::new(3, seconds(30));
        let mut sent = Vec::new();
        for now in 0..200 {
            // Two requests every second, each as patient as it may be.
            for _ in 0..2 {
                if let Turn::In(wait) = rate.turn(second(now), LONG) {
                    sent.push(now + i64::try_from(wait.as_secs()).expect("short"));
                }
            }
        }
        for from in 0..200 {
            let within = sent.iter().filter(|at| (from..from + 30).contains(*at));
            assert!(within.count() <= 3, "from {from}: {sent:?}");
        }
        assert_eq!(sent.len(), 21, "and not fewer than it may: {sent:?}");
    }

    #[test]
    fn a_call_waits_until_there_is_room_for_all_of_it() {
        let mut rate = Rate::new(10, seconds(300));
        assert_eq!(rate.reserve(4, second(0)), Ok(4));
        assert_eq!(rate.reserve(4, second(0)), Ok(4));
        // Two are left, and those of the others are not sent yet.
        assert_eq!(rate.reserve(4, second(0)), Err(POLL));
        for at in 0..4 {
            rate.turn(second(at), LONG);
        }
        rate.release(4);
        assert_eq!(
            rate.reserve(4, second(4)),
            Err(seconds(297)),
            "two of the first are over"
        );
        assert_eq!(rate.reserve(2, second(4)), Ok(2));
        rate.release(2);
        rate.release(4);
        assert_eq!(rate.reserve(6, second(4)), Ok(6));
        rate.release(6);
        // More than there ever are: all, when all are there.
        assert_eq!(rate.reserve(60, second(4)), Err(seconds(299)));
        assert_eq!(rate.reserve(60, second(303)), Ok(10));
    }

    #[test]
    fn what_others_have_used_of_the_account_counts() {
        let known = ProviderRate {
            requests: 10,
            per: seconds(300),
            remaining: Some("x-left".to_owned()),
        };
        let mut rate = Rate::resume(&known, None, second(0));
        let says = |value: &str| vec![("X-Left".to_owned(), value.to_owned())];
        rate.turn(second(0), LONG);
        // More than is known here, or nonsense: nothing to learn.
        for said in ["9", "500", "-1", "many"] {
            rate.heard(&says(said), second(1));
        }
        assert_eq!(rate.free_in(9, second(1)), Duration::ZERO);
        rate.heard(&says("2"), second(1));
        assert_eq!(rate.free_in(2, second(1)), Duration::ZERO);
        assert_eq!(rate.free_in(3, second(1)), seconds(299));
        rate.heard(&says("0"), second(2));
        assert!(matches!(rate.turn(second(2), LONG), Turn::TooFar(_)));
        assert_eq!(rate.free_in(10, second(302)), Duration::ZERO);
    }

    #[test]
    fn short_waits_are_waited_and_long_ones_are_named() {
        let mut rate = Rate::new(2, seconds(30));
        assert_eq!(rate.turn(second(0), LONG), Turn::In(Duration::ZERO));
        assert_eq!(rate.turn(second(5), LONG), Turn::In(Duration::ZERO));
        assert_eq!(rate.turn(second(5), LONG), Turn::TooFar(seconds(25)));
        assert_eq!(rate.turn(second(21), seconds(8)), Turn::TooFar(seconds(9)));
        assert_eq!(rate.turn(second(21), seconds(9)), Turn::In(seconds(9)));
        // The first waits until 30, so the one behind it waits for the one of 5.
        assert_eq!(rate.turn(second(26), LONG), Turn::In(seconds(9)));
        assert_eq!(rate.turn(second(27), LONG), Turn::TooFar(seconds(33)));
    }

    #[test]
    fn a_clock_that_is_set_back_blocks_nobody_for_years() {
        let mut rate = Rate::new(1, seconds(30));
        assert_eq!(
            rate.turn(second(90_000_000), LONG),
            Turn::In(Duration::ZERO)
        );
        assert_eq!(rate.turn(second(0), LONG), Turn::TooFar(seconds(40)));
        assert_eq!(rate.turn(second(40), LONG), Turn::In(Duration::ZERO));
    }
}
