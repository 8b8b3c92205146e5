//! Whether a CA that refused a name is asked again before its staging had nothing against it: failed
//! validations are few at the real one.
//!
//! What a newcomer gets wrong: it is not the last failure that counts. A rejection stays behind a
//! certificate until a rehearsal goes well, however many tries have failed for other reasons since.

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
    /// It is asked although nothing was rehearsed: there is no time to wait for the staging.
    AskUnrehearsed,
    /// It is not asked: it would refuse again.
    Leave,
    /// It is not asked for now. The next try is that of the ladder, but not before this.
    Park {
        /// Until when the staging asked to be left alone, as far as there is time.
        until: Option<Timestamp>,
    },
}

/// Decides.
pub fn judge(rehearsed: Rehearsed, haste: Haste) -> Verdict {
    match (rehearsed, haste) {
        (Rehearsed::Well, _) => Verdict::Ask,
        (Rehearsed::Refused, _) => Verdict::Leave,
        (Rehearsed::NotAtAll { .. }, Haste::Now) => Verdict::AskUnrehearsed,
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
            assert_eq!(judge(rehearsed, haste), verdict, "{rehearsed:?} {haste:?}");
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
}
