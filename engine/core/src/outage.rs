//! Whether a CA is down or this machine has no network.
//!
//! A CA that cannot be reached says nothing about itself as long as nobody else can be reached
//! either. So when one host fails before it has answered anything, an unrelated one is asked, and
//! this module judges what came of both. Some failures need no comparison: where no resolver answers,
//! or there is no route, the host was never reached. What a newcomer gets wrong: an error page is an
//! answer; it proves the network.

use std::time::Duration;

use crate::http::TransportStage;
use crate::time::Timestamp;

/// What came of talking to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It answered, with whatever status.
    Answered,
    /// It did not.
    Silent(TransportStage),
}

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This machine's: unrelated hosts fail in the same way, or nothing has left it.
    Local,
    /// The host's own: others can be reached.
    Theirs,
    /// Nobody else was there to be asked.
    Unknown,
}

/// Judges the failure of one host by what came of talking to others, each of another operator.
pub fn judge(failed: TransportStage, others: &[Contact]) -> Verdict {
    // What never left this machine cannot be anybody else's fault.
    if matches!(
        failed,
        TransportStage::Request
            | TransportStage::Setup
            | TransportStage::Roots
            | TransportStage::Address
    ) {
        return Verdict::Local;
    }
    if others.contains(&Contact::Answered) {
        return Verdict::Theirs;
    }
    if is_local(failed) {
        return Verdict::Local;
    }
    // A request that could not even be made is a mistake in the configuration of that host, and one
    // that this machine could not send says nothing about the others.
    let unmade = |other: &&Contact| match other {
        Contact::Answered => false,
        Contact::Silent(stage) => {
            is_local(*stage)
                || matches!(
                    stage,
                    TransportStage::Request
                        | TransportStage::Setup
                        | TransportStage::Roots
                        | TransportStage::Address
                )
        }
    };
    let others: Vec<Contact> = others.iter().filter(|o| !unmade(o)).copied().collect();
    // Somebody else who was found and refuses at another depth is a second, independent trouble,
    // unless all of it is the same layer of this machine's way out.
    let same = |other: &Contact| match other {
        Contact::Answered => false,
        Contact::Silent(stage) => layer(*stage) == layer(failed),
    };
    if others.is_empty() {
        Verdict::Unknown
    } else if others.iter().all(same) {
        Verdict::Local
    } else {
        Verdict::Theirs
    }
}

/// True if such a failure is this machine's as long as nobody else has answered it. That a connection
/// is refused is no such failure: whoever refuses was reached.
pub const fn is_local(stage: TransportStage) -> bool {
    matches!(stage, TransportStage::Resolver | TransportStage::Route)
}

/// The part of a time in which this machine was cut off, so that it does not know how others fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Away {
    /// As far as it has ended.
    pub total: Duration,
    /// Since when it is cut off, if it still is.
    pub since: Option<Timestamp>,
}

impl Away {
    /// What of the time behind `start` that was, by moments in their order: true where nobody could be
    /// reached, false where somebody was.
    pub fn behind(start: Timestamp, moments: impl IntoIterator<Item = (Timestamp, bool)>) -> Self {
        let mut away = Self::default();
        for (at, cut_off) in moments {
            let at = at.max(start);
            match (cut_off, away.since) {
                (true, None) => away.since = Some(at),
                (false, Some(since)) => {
                    away.total += at.since(since);
                    away.since = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        away
    }

    /// How much of the time from `start` to `now` is known.
    pub fn known(&self, start: Timestamp, now: Timestamp) -> Duration {
        let end = self.since.map_or(now, |since| since.min(now));
        end.since(start).saturating_sub(self.total)
    }
}

/// So long a failed look counts: whoever still needs a certificate asks about once a day. Behind that
/// nobody knows how the CA is doing.
pub const HOLDS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// True if what a look has found still says at `now` how the CA is doing.
pub fn holds(look: Timestamp, now: Timestamp) -> bool {
    now.since(look) <= HOLDS
}

/// A CA that has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down {
    /// Since when, without a time of more than [`HOLDS`] in which nobody looked.
    pub since: Timestamp,
    /// When somebody looked last.
    pub last: Timestamp,
    /// What of the time since then is not known.
    pub away: Away,
}

impl Down {
    /// The first look that failed.
    pub const fn first(at: Timestamp) -> Self {
        Self {
            since: at,
            last: at,
            away: Away {
                total: Duration::ZERO,
                since: None,
            },
        }
    }

    /// With one more look that failed. What failed long before it may have been well in between.
    pub fn again(&mut self, at: Timestamp) {
        if !holds(self.last, at) || at < self.since {
            self.since = at;
        }
        self.last = at;
    }

    /// True if the last look still says how it is.
    pub fn is_current(&self, now: Timestamp) -> bool {
        holds(self.last, now)
    }

    /// How long it has been seen to be down.
    pub fn lasted(&self, now: Timestamp) -> Duration {
        self.away.known(self.since, now)
    }
}

/// The part of the way on which it failed.
#[derive(PartialEq, Eq)]
enum Layer {
    Resolver,
    Route,
    Tls,
    Answer,
}

const fn layer(stage: TransportStage) -> Layer {
    match stage {
        TransportStage::Dns | TransportStage::Resolver => Layer::Resolver,
        TransportStage::Request
        | TransportStage::Route
        | TransportStage::Setup
        | TransportStage::Roots
        | TransportStage::Address
        | TransportStage::Connect => Layer::Route,
        // A proxy that inspects TLS, or a clock that is years off, fails every handshake.
        TransportStage::Tls => Layer::Tls,
        TransportStage::Exchange | TransportStage::Timeout | TransportStage::TooLarge => {
            Layer::Answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_without_a_network_are_not_known() {
        const START: Timestamp = Timestamp::from_unix(1_795_000_000);
        const HOUR: Duration = Duration::from_secs(60 * 60);
        // Hours, and whether nobody could be reached; how much of 20 hours is known.
        type Row<'a> = (&'a [(u32, bool)], u32);
        let table: [Row<'_>; 8] = [
            (&[], 20),
            (&[(1, false), (9, false)], 20),
            // A blip takes only itself away.
            (&[(11, true), (12, false)], 19),
            (&[(1, true), (5, true), (12, false), (13, false)], 9),
            (&[(1, true), (2, false), (4, true), (7, false)], 16),
            // Still cut off.
            (&[(1, true), (2, false), (15, true), (19, true)], 14),
            (&[(0, true)], 0),
            // A clock that was ahead.
            (&[(5, true), (4, false)], 20),
        ];
        for (moments, known) in table {
            let all = moments.iter().map(|(at, away)| (START + HOUR * *at, *away));
            let down = Down {
                away: Away::behind(START, all),
                ..Down::first(START)
            };
            assert_eq!(down.lasted(START + HOUR * 20), HOUR * known, "{moments:?}");
        }
        // What was before does not count.
        let before = Away::behind(START, [(START - HOUR, true), (START + HOUR, false)]);
        assert_eq!(before.known(START, START + HOUR * 3), HOUR * 2);
    }

    #[test]
    fn what_failed_before_a_long_time_without_a_look_is_another_outage() {
        const START: Timestamp = Timestamp::from_unix(1_795_000_000);
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let after = |hours: &[u32]| {
            let mut looks = hours.iter().map(|at| START + HOUR * *at);
            let mut down = Down::first(looks.next().expect("a first look"));
            looks.for_each(|at| down.again(at));
            down
        };
        let since = |hours: &[u32]| after(hours).since.since(START) / 3_600;
        assert_eq!(since(&[0, 2, 20, 44, 92]).as_secs(), 0);
        // Once at the last renewal, once at this one.
        assert_eq!(since(&[0, 2, 1_344]).as_secs(), 1_344);
        assert_eq!(since(&[0, 1_344, 1_346]).as_secs(), 1_344);
        // A clock that was ahead.
        assert_eq!(since(&[9_000, 20, 22]).as_secs(), 20);
        let down = after(&[0, 2]);
        assert!(down.is_current(START + HOUR * 50));
        assert!(!down.is_current(START + HOUR * 51));
    }

    #[test]
    fn the_same_trouble_everywhere_is_ours() {
        use Contact::{Answered, Silent};
        use TransportStage::{
            Address, Connect, Dns, Exchange, Request, Resolver, Route, Setup, Timeout, Tls,
            TooLarge,
        };
        let check = |failed, others: &[Contact], want| {
            assert_eq!(judge(failed, others), want, "{failed:?} {others:?}");
        };
        check(Dns, &[Silent(Dns)], Verdict::Local);
        check(Dns, &[Silent(Dns), Silent(Dns)], Verdict::Local);
        check(Connect, &[Silent(Connect)], Verdict::Local);
        check(Tls, &[Silent(Tls)], Verdict::Local);
        check(Timeout, &[Silent(Exchange)], Verdict::Local);
        // One answer, whatever it says, proves the network.
        check(Connect, &[Answered], Verdict::Theirs);
        check(Dns, &[Silent(Dns), Answered], Verdict::Theirs);
        // Different depths are different troubles.
        check(Connect, &[Silent(Dns)], Verdict::Theirs);
        check(Tls, &[Silent(Connect)], Verdict::Theirs);
        // Nobody to compare with.
        check(Connect, &[], Verdict::Unknown);
        check(Connect, &[Silent(Request)], Verdict::Unknown);
        // It never left this machine.
        check(Request, &[Answered], Verdict::Local);
        // No resolver, no route: nobody is needed to compare with.
        for stage in [Resolver, Route] {
            check(stage, &[], Verdict::Local);
            check(stage, &[Silent(Connect)], Verdict::Local);
            check(stage, &[Silent(stage)], Verdict::Local);
            check(stage, &[Silent(stage), Answered], Verdict::Theirs);
            // And it is no witness for or against anybody.
            check(Connect, &[Silent(stage)], Verdict::Unknown);
            check(Dns, &[Silent(stage), Silent(Dns)], Verdict::Local);
            check(Tls, &[Silent(stage), Silent(Connect)], Verdict::Theirs);
        }
        // Nothing else is local by itself, a refused connection for one.
        let told = [Request, Setup, Address, Resolver, Route];
        for stage in [Dns, Connect, Tls, Exchange, Timeout, TooLarge] {
            assert!(!told.contains(&stage) && !is_local(stage), "{stage:?}");
            check(stage, &[], Verdict::Unknown);
        }
    }
}
