//! What the CAs of a simulation allow, counted by themselves.

use std::collections::BTreeMap;

use waxwing_core::budget::Limit;
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::name::CaName;
use waxwing_core::time::Timestamp;

/// How far a limit was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitUse {
    /// Whose.
    pub ca: CaName,
    /// What is counted.
    pub kind: LimitKind,
    /// The limit.
    pub limit: Limit,
    /// The most that was taken out of a full bucket at one moment.
    pub most: u32,
    /// How often the CA had to refuse.
    pub exceeded: u64,
}

/// The counts of all CAs. Whole numbers of time, unlike the budgets of the engine: a bucket is the
/// moment at which it will be full again.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The parts of a key that differ most come first, because there are many.
    full_at: BTreeMap<(String, LimitKind, CaName), i64>,
    used: BTreeMap<(CaName, LimitKind), LimitUse>,
}

impl Judge {
    /// Takes one; false if there is none left.
    pub(super) fn take(
        &mut self,
        profile: &CaProfile,
        kind: LimitKind,
        what: &str,
        now: Timestamp,
    ) -> bool {
        let Some(limit) = profile.limits.get(&kind).copied() else {
            return true;
        };
        let per = i64::try_from(limit.per.as_millis()).unwrap_or(i64::MAX);
        let token = per / i64::from(limit.count.max(1));
        let key = (what.to_owned(), kind, profile.name.clone());
        let full_at = self.full_at.entry(key).or_insert(i64::MIN);
        let now = now.unix_ms();
        let later = (*full_at).max(now).saturating_add(token);
        let missing = later.saturating_sub(now);
        let used = self
            .used
            .entry((profile.name.clone(), kind))
            .or_insert_with(|| LimitUse {
                ca: profile.name.clone(),
                kind,
                limit,
                most: 0,
                exceeded: 0,
            });
        // A division that left a rest makes the bucket a little smaller than it is.
        if missing > per {
            used.exceeded += 1;
            return false;
        }
        let taken = missing.div_euclid(token.max(1)) + i64::from(missing % token.max(1) > 0);
        used.most = used
            .most
            .max(u32::try_from(taken).unwrap_or(u32::MAX).min(limit.count));
        *full_at = later;
        true
    }

    pub(super) fn uses(&self) -> Vec<LimitUse> {
        self.used.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_what_has_come_since() {
        let mut profile = waxwing_core::profiles::template();
        let limit = Limit::parse("3 per 30m").expect("a limit");
        profile.limits.insert(LimitKind::Orders, limit);
        let mut judge = Judge::default();
        let at =
            |minutes: u64| Timestamp::from_unix(1_795_000_000) + Duration::from_secs(minutes * 60);
        let mut take = |minutes| judge.take(&profile, LimitKind::Orders, "account", at(minutes));
        assert!(take(0) && take(0) && take(0));
        assert!(!take(0) && !take(9));
        assert!(take(10));
        assert!(!take(19));
        assert!(take(40) && take(40) && take(40) && !take(40));
        let used = judge.uses();
        assert_eq!((used[0].most, used[0].exceeded), (3, 4));
        // What has no limit is not counted.
        let other = waxwing_core::profiles::template();
        assert!(judge.take(&other, LimitKind::Duplicates, "x", at(0)));
        assert_eq!(judge.uses().len(), 1);
    }
}
