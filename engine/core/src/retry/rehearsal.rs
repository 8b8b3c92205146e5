//! Whether a CA that refused a name is asked again before its staging had nothing against it: failed
//! validations are few at the real one.
//!
//! What a newcomer gets wrong: it is not the last failure that counts. A rejection stays behind a
//! certificate until a rehearsal goes well, however many tries have failed for other reasons since.

use std::time::Duration;

use super::ladder::Failed;
use crate::ca::choose::Haste;
use crate::name::CaName;
use crate::time::Timestamp;

/// True if a rejection at this CA lies behind without a rehearsal that has gone well since.
pub fn is_owed(failed: &[Failed], ca: &CaName) -> bool {
    let here = |one: &&Failed| one.ca == *ca;
    let mut here = failed.iter().filter(here);
    here.any(|one| one.rejected && !one.rehearsed)
}

/// A staging may have reasons of its own: another organization, another CAA record. Where there is no
/// time it is not believed for longer than this.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);

/// True if this CA's first rejection without a rehearsal that has gone well since is so old that its
/// staging is not believed any more. One from a clock that was ahead may be of any age, so it counts as
/// old: it would never grow a day old otherwise.
pub fn is_stale(failed: &[Failed], ca: &CaName, now: Timestamp) -> bool {
    let owed = failed.iter().filter(|one| one.ca == *ca);
    let mut owed = owed.filter(|one| one.rejected && !one.rehearsed);
    owed.any(|one| {
        one.as_of(now)
            .is_none_or(|one| now.since(one.at) >= BELIEVED)
    })
}

/// A rehearsal for this CA has gone well: what it refused before is answered.
pub fn went_well(failed: &mut [Failed], ca: &CaName) {
    for one in failed.iter_mut().filter(|one| one.ca == *ca) {
        one.rehearsed = true;
    }
}

/// What came of asking the staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsed {
    /// It had nothing against the names.
    Well,
    /// It refused a name, too.
    Refused,
    /// It could not be asked: it is down, or it has asked for a wait.
    NotAtAll {
        /// Until when it asked to be left alone.
        until: Option<Timestamp>,
    },
}

/// What follows for the CA itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is asked.
    Ask,
    /// It is asked although nothing has gone well at the staging: there is no time to wait for it, it has
    /// been waited for long enough, or somebody insists.
    AskUnrehearsed,
    /// It is not asked: it would refuse again.
    Leave,
    /// It is not asked for now. The next try is that of the ladder, but not before this.
    Park {
        /// Until when the staging asked to be left alone, as far as there is time.
        until: Option<Timestamp>,
    },
}

/// Decides. `believed`: what the staging refuses the CA would refuse, too, and it is waited for.
pub fn judge(rehearsed: Rehearsed, haste: Haste, believed: bool) -> Verdict {
    match (rehearsed, haste) {
        (Rehearsed::Well, _) => Verdict::Ask,
        (Rehearsed::Refused, Haste::Now) if !believed => Verdict::AskUnrehearsed,
        (Rehearsed::Refused, _) => Verdict::Leave,
        (Rehearsed::NotAtAll { .. }, Haste::Now) => Verdict::AskUnrehearsed,
        // A staging that is down must not hold its CA for weeks: the CA may be down when it is back.
        (Rehearsed::NotAtAll { .. }, _) if !believed => Verdict::AskUnrehearsed,
        (Rehearsed::NotAtAll { until }, Haste::Until(safe)) => Verdict::Park {
            until: until.map(|until| until.min(safe)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const SAFE: Timestamp = Timestamp::from_unix(1_795_900_000);
    const LATER: Timestamp = Timestamp::from_unix(1_796_000_000);

    #[test]
    fn a_rejection_is_behind_until_a_rehearsal_goes_well() {
        // Each failure as CA, whether it was rejected, whether a rehearsal has gone well since.
        let check = |failed: &[(&str, bool, bool)], owed: bool| {
            let all: Vec<Failed> = failed
                .iter()
                .map(|(ca, rejected, rehearsed)| Failed {
                    ca: CaName::parse(ca).expect("a literal name"),
                    at: NOW,
                    theirs: true,
                    rejected: *rejected,
                    firm: false,
                    local: false,
                    until: None,
                    limited: false,
                    rehearsed: *rehearsed,
                })
                .collect();
            let one = CaName::parse("one").expect("a literal name");
            assert_eq!(is_owed(&all, &one), owed, "{failed:?}");
        };
        check(&[], false);
        check(&[("one", false, false)], false);
        check(&[("one", true, false)], true);
        check(&[("two", true, false)], false);
        // Whatever failed after the rejection.
        check(&[("one", true, false), ("one", false, false)], true);
        check(&[("one", true, true), ("one", false, false)], false);
        check(&[("one", true, true), ("one", true, false)], true);
    }

    #[test]
    fn what_cannot_be_rehearsed_waits_while_there_is_time() {
        let check = |rehearsed, haste, verdict| {
            let found = judge(rehearsed, haste, true);
            assert_eq!(found, verdict, "{rehearsed:?} {haste:?}");
        };
        let down = Rehearsed::NotAtAll { until: None };
        let asked = |until| Rehearsed::NotAtAll { until: Some(until) };
        let time = Haste::Until(SAFE);
        check(Rehearsed::Well, time, Verdict::Ask);
        check(Rehearsed::Well, Haste::Now, Verdict::Ask);
        check(Rehearsed::Refused, time, Verdict::Leave);
        check(Rehearsed::Refused, Haste::Now, Verdict::Leave);
        check(down, time, Verdict::Park { until: None });
        check(asked(NOW), time, Verdict::Park { until: Some(NOW) });
        check(asked(LATER), time, Verdict::Park { until: Some(SAFE) });
        check(down, Haste::Now, Verdict::AskUnrehearsed);
        check(asked(LATER), Haste::Now, Verdict::AskUnrehearsed);
    }

    #[test]
    fn a_staging_that_refuses_does_not_lock_its_ca_for_ever() {
        let time = Haste::Until(SAFE);
        let refused = Rehearsed::Refused;
        assert_eq!(judge(refused, time, false), Verdict::Leave);
        assert_eq!(judge(refused, Haste::Now, true), Verdict::Leave);
        assert_eq!(judge(refused, Haste::Now, false), Verdict::AskUnrehearsed);
        let down = Rehearsed::NotAtAll { until: None };
        assert_eq!(judge(down, time, true), Verdict::Park { until: None });
        assert_eq!(judge(down, time, false), Verdict::AskUnrehearsed);
        let one = CaName::parse("one").expect("a literal name");
        let rejected = |ago: u64, rehearsed| Failed {
            ca: one.clone(),
            at: NOW - Duration::from_secs(ago),
            theirs: true,
            rejected: true,
            firm: false,
            local: false,
            limited: false,
            until: None,
            rehearsed,
        };
        let ahead = Failed {
            at: NOW + Duration::from_secs(86_400 * 400),
            ..rejected(0, false)
        };
        for (failed, stale) in [
            (vec![], false),
            (vec![rejected(86_399, false)], false),
            (vec![rejected(86_400, false), rejected(60, false)], true),
            (vec![rejected(90_000, true), rejected(60, false)], false),
            (vec![ahead.clone()], true),
            (vec![rejected(60, false), ahead], true),
        ] {
            assert_eq!(is_stale(&failed, &one, NOW), stale, "{failed:?}");
        }
    }
}
