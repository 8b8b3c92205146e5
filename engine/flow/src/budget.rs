//! What is left of the limits that a CA states, as far as this machine has spent them.
//!
//! A CA counts for itself and says so when it is too late. What is counted here stops a run before
//! that, and tells a person what one more certificate costs. Other machines with the same account are
//! not seen, so the CA's own answer still counts.

use std::collections::BTreeMap;
use std::time::Duration;

use waxwing_core::budget::{Bucket, Limit};
use waxwing_core::ca::CaProfile;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::name::{CaName, CertificateName, Identifier};
use waxwing_core::plan::hold::Shut;
use waxwing_core::settings::CertificateSettings;
use waxwing_core::time::{self, Timestamp};

use crate::failure::Failure;
use crate::ports::{BudgetKey, History, StoreError};

/// How often an account is made where a CA may have to stand in.
const REGISTRATIONS: Limit = Limit {
    count: 1,
    per: Duration::from_secs(24 * 60 * 60),
};

/// What is left of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Whose limit.
    pub ca: CaName,
    /// What is counted.
    pub kind: LimitKind,
    /// How many certificates like this one may still come now.
    pub left: u32,
    /// The limit.
    pub limit: Limit,
    /// When the next one may come, if none may now.
    pub until: Option<Timestamp>,
}

/// What is left at a CA for one more certificate with these names, for the limits that are counted
/// here. Without names, what is counted for the account as a whole.
pub fn left(
    history: &dyn History,
    profile: &CaProfile,
    names: &[Identifier],
    now: Timestamp,
) -> Result<Vec<Left>, StoreError> {
    let mut found = Vec::new();
    for (kind, limit) in &profile.limits {
        if names.is_empty() && !kind.is_of_account() {
            continue;
        }
        let need = need(*kind, names);
        let mut least: Option<Left> = None;
        for key in keys(&profile.name, *kind, names) {
            let bucket = history.budget(&key)?.unwrap_or_else(|| limit.full(now));
            let one = Left {
                ca: profile.name.clone(),
                kind: *kind,
                left: limit.left(bucket, now) / need.min(limit.count),
                limit: *limit,
                until: limit.take_many(bucket, need, now).err(),
            };
            if least.as_ref().is_none_or(|least| one.left < least.left) {
                least = Some(one);
            }
        }
        found.extend(least);
    }
    Ok(found)
}

/// CAs of the list that may not be asked for a certificate with these names, and until when: a limit is used
/// up, or the CA has asked to be left alone.
pub fn spent(
    history: &dyn History,
    profiles: &BTreeMap<CaName, CaProfile>,
    list: &[CaName],
    names: &[Identifier],
    now: Timestamp,
) -> BTreeMap<CaName, Shut> {
    let mut spent = BTreeMap::new();
    for profile in list.iter().filter_map(|name| profiles.get(name)) {
        match left(history, profile, names, now) {
            Ok(all) => {
                let used_up = all.into_iter().filter_map(|one| one.until);
                let used_up = used_up.map(Shut::UsedUp);
                let asked = closed(history, &profile.name, now).map(Shut::Asked);
                let longest = used_up.chain(asked).max_by_key(|shut| shut.until());
                spent.extend(longest.map(|shut| (profile.name.clone(), shut)));
            }
            Err(error) => {
                tracing::warn!(ca = %profile.name, cause = %error, "a budget could not be read");
            }
        }
    }
    spent
}

/// What earlier runs have used of a CA's rate of requests; none if nothing is known.
pub(crate) fn requests(history: &dyn History, ca: &CaName) -> Option<Bucket> {
    let read = history.budget(&requests_key(ca));
    read.unwrap_or_else(|error| {
        tracing::warn!(ca = %ca, cause = %error, "a budget could not be read");
        None
    })
}

/// Keeps it for the next run: `join` gets what is kept, which another run may have changed.
pub(crate) fn keep_requests(
    history: &dyn History,
    ca: &CaName,
    join: &mut dyn FnMut(Option<Bucket>) -> Option<Bucket>,
) {
    if let Err(error) = history.change_budget(&requests_key(ca), join) {
        tracing::warn!(ca = %ca, cause = %error, "a budget could not be kept");
    }
}

fn requests_key(ca: &CaName) -> BudgetKey {
    BudgetKey {
        owner: ca.to_string(),
        kind: "requests".to_owned(),
        what: "account".to_owned(),
    }
}

fn registration(ca: &CaName) -> BudgetKey {
    BudgetKey {
        owner: ca.to_string(),
        kind: "registration".to_owned(),
        what: "stand-in".to_owned(),
    }
}

/// The same as [`may_register`], and takes nothing.
pub(crate) fn might_register(history: &dyn History, ca: &CaName, now: Timestamp) -> bool {
    match history.budget(&registration(ca)) {
        Ok(bucket) => bucket.is_none_or(|bucket| REGISTRATIONS.take(bucket, now).is_ok()),
        Err(error) => {
            tracing::warn!(ca = %ca, cause = %error, "a budget could not be read");
            false
        }
    }
}

/// Whether an account may be made for the case that a CA has to stand in: once a day, so that a CA
/// which is down, or wants something that nobody has, does not hold up every run.
pub(crate) fn may_register(history: &dyn History, ca: &CaName, now: Timestamp) -> bool {
    let key = registration(ca);
    let mut may = true;
    let taken = history.change_budget(&key, &mut |bucket| {
        let bucket = bucket.unwrap_or_else(|| REGISTRATIONS.full(now));
        let rest = REGISTRATIONS.take(bucket, now).ok();
        may = rest.is_some();
        rest
    });
    if let Err(error) = taken {
        tracing::warn!(ca = %ca, cause = %error, "a budget could not be kept");
    }
    may
}

/// Longest time for which a CA is left alone because it asked for it; see the same of the ladder.
const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Kinds of [`BudgetKey`] that are no limit but a wait that a CA has asked for: when it was asked for, and for
/// how many seconds.
pub const WAITS: [&str; 3] = [CLOSED, REHEARSAL, FORBIDDEN];

/// A CA that wants to be left alone altogether.
const CLOSED: &str = "closed";

/// A staging that wants to be left alone with a certificate.
const REHEARSAL: &str = "rehearsal";

/// A CA that CAA records do not let issue a certificate: when somebody looked, and for how long that is told.
const FORBIDDEN: &str = "caa";

/// What CAA was seen to forbid is told for so long by those who do not look themselves.
const LOOKED: Duration = Duration::from_secs(26 * 60 * 60);

/// What is kept of a wait that somebody asked for: when, and for how many seconds.
fn asked_at(now: Timestamp, until: Timestamp) -> Bucket {
    Bucket {
        level: until.since(now).min(LONGEST_ASKED).as_secs_f64(),
        at: now,
    }
}

/// Until when it lasts; none if it is over. One that was asked for in the future was noted by a clock that
/// was wrong, and nobody knows when that was.
fn lasts_until(kept: Bucket, now: Timestamp) -> Option<Timestamp> {
    if kept.at.is_ahead_of(now) {
        return None;
    }
    let asked = Duration::try_from_secs_f64(kept.level).unwrap_or_default();
    let until = kept.at.min(now) + asked.min(LONGEST_ASKED);
    (until > now).then_some(until)
}

/// Keeps until when a staging has asked not to be asked for a certificate. A rehearsal is no attempt, so no
/// ladder keeps it.
pub(crate) fn keep_asked(
    history: &dyn History,
    staging: &CaName,
    certificate: &CertificateName,
    (now, until): (Timestamp, Timestamp),
) {
    keep_wait(history, &asked_key(staging, certificate), until, now);
}

/// Until when a staging is not to be asked for a certificate; none if it may be now.
pub(crate) fn asked(
    history: &dyn History,
    staging: &CaName,
    certificate: &CertificateName,
    now: Timestamp,
) -> Option<Timestamp> {
    let kept = history.budget(&asked_key(staging, certificate));
    let kept = kept.unwrap_or_else(|error| {
        tracing::warn!(ca = %staging, cause = %error, "a budget could not be read");
        None
    });
    lasts_until(kept?, now)
}

/// Keeps until when a CA has asked to be left alone altogether, as by 503 with Retry-After: whichever
/// certificate was asked for, the others have to wait as well.
pub(crate) fn keep_closed(history: &dyn History, ca: &CaName, until: Timestamp, now: Timestamp) {
    keep_wait(history, &closed_key(ca), until, now);
}

/// Keeps a wait, unless another attempt was asked for a longer one.
fn keep_wait(history: &dyn History, key: &BudgetKey, until: Timestamp, now: Timestamp) {
    let kept = history.change_budget(key, &mut |kept| {
        let known = kept.and_then(|kept| lasts_until(kept, now));
        known
            .is_none_or(|known| known < until)
            .then(|| asked_at(now, until))
    });
    if let Err(error) = kept {
        tracing::warn!(ca = key.owner, cause = %error, "what it asked for could not be kept");
    }
}

/// Until when a CA has asked to be left alone altogether; none if it may be asked.
pub(crate) fn closed(history: &dyn History, ca: &CaName, now: Timestamp) -> Option<Timestamp> {
    let kept = history.budget(&closed_key(ca));
    let kept = kept.unwrap_or_else(|error| {
        tracing::warn!(ca = %ca, cause = %error, "a budget could not be read");
        None
    });
    lasts_until(kept?, now)
}

/// Keeps what CAA was seen to forbid or to let, of the CAs of a certificate's list.
pub(crate) fn keep_forbidden(
    history: &dyn History,
    certificate: &CertificateSettings,
    looked_at: impl Iterator<Item = (CaName, bool)>,
    now: Timestamp,
) {
    for (ca, forbidden) in looked_at {
        let key = forbidden_key(&ca, certificate);
        // What was never forbidden leaves no trace.
        let known = history.budget(&key);
        if !forbidden && matches!(known, Ok(None)) {
            continue;
        }
        let level = if forbidden { LOOKED } else { Duration::ZERO };
        let seen = Bucket {
            level: level.as_secs_f64(),
            at: now,
        };
        let kept = known.and_then(|_| history.change_budget(&key, &mut |_| Some(seen)));
        if let Err(error) = kept {
            tracing::warn!(ca = %ca, cause = %error, "what CAA says could not be kept");
        }
    }
}

/// CAs of the list that CAA did not let issue this certificate when a run last looked, and what is to be said
/// of that: for those who foresee a run without a network.
pub fn forbidden(
    history: &dyn History,
    list: &[CaName],
    certificate: &CertificateSettings,
    now: Timestamp,
) -> BTreeMap<CaName, String> {
    let seen = |ca: &CaName| {
        let kept = history.budget(&forbidden_key(ca, certificate)).ok()??;
        lasts_until(kept, now)?;
        let ago = time::about(now.since(kept.at));
        Some((
            ca.clone(),
            format!("CAA did not let it issue when a run last looked, {ago} ago"),
        ))
    };
    list.iter().filter_map(seen).collect()
}

/// Other names have other records.
fn forbidden_key(ca: &CaName, certificate: &CertificateSettings) -> BudgetKey {
    let mut names: Vec<String> = certificate
        .domains
        .iter()
        .map(ToString::to_string)
        .collect();
    names.sort();
    BudgetKey {
        owner: ca.to_string(),
        kind: FORBIDDEN.to_owned(),
        what: format!("{} {}", certificate.name, names.join(" ")),
    }
}

fn closed_key(ca: &CaName) -> BudgetKey {
    BudgetKey {
        owner: ca.to_string(),
        kind: CLOSED.to_owned(),
        what: "everything".to_owned(),
    }
}

fn asked_key(staging: &CaName, certificate: &CertificateName) -> BudgetKey {
    BudgetKey {
        owner: staging.to_string(),
        kind: REHEARSAL.to_owned(),
        what: certificate.to_string(),
    }
}

/// Takes what one more order with these names needs: all of it, or nothing. Every name may have to be
/// authorized anew; see [`spare`].
///
/// # Errors
/// The limit that is used up, and until when. A budget that cannot be read or kept holds nobody: the
/// CA counts for itself.
pub(crate) fn take_order(
    history: &dyn History,
    profile: &CaProfile,
    names: &[Identifier],
    now: Timestamp,
) -> Result<(), Failure> {
    let mut wanted: Vec<(LimitKind, Limit)> = Vec::new();
    let mut all: Vec<BudgetKey> = Vec::new();
    for kind in [LimitKind::Orders, LimitKind::Authorizations] {
        let Some(limit) = profile.limits.get(&kind) else {
            continue;
        };
        let keys = keys(&profile.name, kind, names);
        wanted.extend(keys.iter().map(|_| (kind, *limit)));
        all.extend(keys);
    }
    if all.is_empty() {
        return Ok(());
    }
    let mut taken = Ok(());
    let kept = history.change_budgets(&all, &mut |kept| {
        let rest = kept.iter().zip(&wanted).map(|(bucket, (kind, limit))| {
            let bucket = bucket.unwrap_or_else(|| limit.full(now));
            let rest = limit.take_many(bucket, need(*kind, names), now);
            rest.map_err(|until| Failure::Spent {
                ca: profile.name.clone(),
                kind: *kind,
                limit: *limit,
                until,
            })
        });
        match rest.collect::<Result<Vec<_>, Failure>>() {
            Ok(rest) => Some(rest),
            Err(spent) => {
                taken = Err(spent);
                None
            }
        }
    });
    if let Err(error) = kept {
        tracing::warn!(ca = %profile.name, cause = %error, "a budget could not be kept");
    }
    taken
}

/// Gives back what an order has taken for authorizations that need not be begun, because the CA still
/// had them.
pub(crate) fn spare(history: &dyn History, profile: &CaProfile, number: u32, now: Timestamp) {
    change(
        history,
        profile,
        LimitKind::Authorizations,
        &[],
        |limit, bucket| limit.give_back(bucket, number, now),
        now,
    );
}

/// Counts something that happened.
pub(crate) fn spend(
    history: &dyn History,
    profile: &CaProfile,
    kind: LimitKind,
    names: &[Identifier],
    now: Timestamp,
) {
    change(
        history,
        profile,
        kind,
        names,
        |limit, bucket| limit.spend(bucket, now),
        now,
    );
}

fn change(
    history: &dyn History,
    profile: &CaProfile,
    kind: LimitKind,
    names: &[Identifier],
    how: impl Fn(&Limit, Bucket) -> Bucket,
    now: Timestamp,
) {
    let Some(limit) = profile.limits.get(&kind) else {
        return;
    };
    let keys = keys(&profile.name, kind, names);
    let changed = history.change_budgets(&keys, &mut |kept| {
        let buckets = kept.iter().map(|bucket| {
            let bucket = bucket.unwrap_or_else(|| limit.full(now));
            how(limit, bucket)
        });
        Some(buckets.collect())
    });
    if let Err(error) = changed {
        tracing::warn!(ca = %profile.name, cause = %error, "a budget could not be kept");
    }
}

/// How many tokens one more certificate with these names needs.
fn need(kind: LimitKind, names: &[Identifier]) -> u32 {
    match kind {
        LimitKind::Authorizations => u32::try_from(names.len()).unwrap_or(u32::MAX).max(1),
        _ => 1,
    }
}

/// The buckets that a certificate with these names takes from. Limits by registered domain are not
/// counted: which domain is registered is in no name.
fn keys(ca: &CaName, kind: LimitKind, names: &[Identifier]) -> Vec<BudgetKey> {
    let key = |what: String| BudgetKey {
        owner: ca.to_string(),
        kind: kind.as_str().to_owned(),
        what,
    };
    match kind {
        LimitKind::Orders | LimitKind::Authorizations => vec![key("account".to_owned())],
        LimitKind::Duplicates => {
            let mut all: Vec<String> = names.iter().map(Identifier::to_wire).collect();
            all.sort_unstable();
            vec![key(all.join(" "))]
        }
        LimitKind::FailedAuthorizations => {
            let mut all: Vec<String> = names.iter().map(|name| name.domain.to_string()).collect();
            all.sort_unstable();
            all.dedup();
            all.into_iter().map(key).collect()
        }
        LimitKind::Certificates => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lasts_for_as_long_as_it_was_asked_for_by_the_clock_that_is_right() {
        const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
        const HOUR: Duration = Duration::from_secs(60 * 60);
        // Hours at which it was asked for, for how long, and how long it lasts from now on.
        for (asked, hours, want) in [
            (0, 4, Some(4)),
            (-3, 4, Some(1)),
            (-4, 4, None),
            (-500, 4, None),
            // A clock that was ahead for a run.
            (140, 4, None),
            (1, 4, None),
            // Nobody means months.
            (0, 24 * 90, Some(24 * 7)),
        ] {
            let at = Timestamp::from_unix(NOW.unix() + asked * 3600);
            let kept = asked_at(at, at + HOUR * hours);
            let until = want.map(|hours| NOW + HOUR * hours);
            assert_eq!(lasts_until(kept, NOW), until, "{asked} {hours}");
        }
        // A little ahead: as if it were asked for now.
        let kept = asked_at(NOW + HOUR / 12, NOW + HOUR);
        assert_eq!(lasts_until(kept, NOW), Some(NOW + HOUR - HOUR / 12));
    }
}
