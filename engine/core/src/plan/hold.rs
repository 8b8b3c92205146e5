//! What holds a certificate back that is to be ordered: a window, its ladder, a CA, a loop.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Circumstances, Current, IssueReason, Stored};
use crate::budget::Limit;
use crate::ca::choose::{self, Haste, Next, Question, Standing};
use crate::due::{self, Urgency};
use crate::name::CaName;
use crate::outage::Away;
use crate::retry::ladder::{self, Deadline};
use crate::schedule::{self, Moment};
use crate::settings::{CertificateSettings, Settings};
use crate::time::Timestamp;

/// Most certificates that are issued under one name in a period, whoever asks and whichever CA
/// signs: whatever goes wrong here or in a configuration must not end in a loop of orders.
pub const MOST_ISSUED: Limit = Limit {
    count: 5,
    per: Duration::from_secs(7 * 24 * 60 * 60),
};

/// Why a certificate that is to be ordered is not ordered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// An off-peak window is waited for.
    Window {
        /// Its beginning, or a moment in it.
        until: Timestamp,
    },
    /// It failed, and the next try is later.
    Ladder {
        /// Where it is tried next.
        ca: CaName,
        /// When.
        until: Timestamp,
        /// How often it failed there.
        failures: u32,
    },
    /// The CA has asked for a wait.
    Asked {
        /// Which.
        ca: CaName,
        /// Until then.
        until: Timestamp,
    },
    /// What the CA allows is used up, as it is counted here: it was not asked, and has not said so.
    UsedUp {
        /// Which.
        ca: CaName,
        /// Until then.
        until: Timestamp,
    },
    /// So many were issued lately that something must be wrong.
    TooMany {
        /// When the next one may be.
        until: Timestamp,
        /// How many in the period of [`MOST_ISSUED`].
        issued: usize,
    },
    /// No CA of the list may be asked.
    NoCa {
        /// Each, and why not.
        passed_over: Vec<(CaName, String)>,
    },
}

impl Hold {
    /// When it ends; none if only the configuration can end it.
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Window { until }
            | Self::Ladder { until, .. }
            | Self::Asked { until, .. }
            | Self::UsedUp { until, .. }
            | Self::TooMany { until, .. } => Some(*until),
            Self::NoCa { .. } => None,
        }
    }

    /// True if something has gone wrong before, or no CA may be asked: it waits for no window.
    pub const fn is_behind_a_failure(&self) -> bool {
        match self {
            Self::Window { .. } => false,
            Self::Ladder { .. }
            | Self::Asked { .. }
            | Self::UsedUp { .. }
            | Self::TooMany { .. }
            | Self::NoCa { .. } => true,
        }
    }

    /// That a CA may not be asked before that moment, by its word or by what is counted here.
    pub fn shut(ca: CaName, until: Timestamp, spent: &BTreeMap<CaName, Shut>) -> Self {
        match spent.get(&ca) {
            Some(Shut::UsedUp(at)) if *at + COUNTED >= until => Self::UsedUp { ca, until },
            _ => Self::Asked { ca, until },
        }
    }
}

/// What is counted here is read more than once, a moment apart.
const COUNTED: Duration = Duration::from_secs(60);

/// Until when a CA may not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// What it allows is used up, as it is counted here.
    UsedUp(Timestamp),
    /// It has asked to be left alone.
    Asked(Timestamp),
}

impl Shut {
    /// The end of it.
    pub const fn until(self) -> Timestamp {
        match self {
            Self::UsedUp(until) | Self::Asked(until) => until,
        }
    }
}

/// The CA that would be asked, and what holds it.
pub(super) fn asked(
    settings: &Settings,
    certificate: &CertificateSettings,
    stored: Option<&Stored>,
    action: &Action,
    circumstances: &Circumstances<'_>,
) -> (Option<CaName>, Option<Hold>) {
    let current = stored.and_then(|stored| stored.current.as_ref());
    let list = choose::in_order(
        &certificate.cas,
        current.and_then(Current::stood_in),
        settings.failover.fail_back,
    );
    let standings = standings(&list, stored, action, circumstances);
    let choice = choose::next(&Question {
        list: &list,
        first: certificate.cas.first(),
        profiles: &settings.cas,
        names: &certificate.domains,
        key: certificate.key,
        standings: &standings,
        policy: settings.failover,
        haste: haste(action),
        by_hand: circumstances.asker.by_hand(),
        now: circumstances.now,
    });
    match choice.next {
        Next::Ask { ca, .. } => (Some(ca.name.clone()), None),
        Next::Wait { until, ca } => {
            let hold = waits(&ca, until, standings.get(&ca), stored, circumstances);
            (Some(ca), Some(hold))
        }
        Next::Nobody => {
            let passed_over = choice.passed_over.into_iter();
            let passed_over = passed_over.map(|(ca, why)| (ca, why.to_string())).collect();
            (None, Some(Hold::NoCa { passed_over }))
        }
    }
}

/// Whose word it is that this CA, which stands like this with the certificate, is not asked before `until`.
pub fn waits(
    ca: &CaName,
    until: Timestamp,
    standing: Option<&Standing>,
    stored: Option<&Stored>,
    circumstances: &Circumstances<'_>,
) -> Hold {
    let own = |standing: &&Standing| standing.own_wait && standing.asked != Some(until);
    match standing.filter(own) {
        Some(_) => Hold::Ladder {
            until,
            failures: failures(stored, ca, circumstances.now),
            ca: ca.clone(),
        },
        None => Hold::shut(ca.clone(), until, circumstances.spent),
    }
}

/// What holds a certificate back whichever CA is asked.
pub(super) fn held_back(
    certificate: &CertificateSettings,
    stored: Option<&Stored>,
    action: &Action,
    moment: Option<Moment>,
    circumstances: &Circumstances<'_>,
) -> Option<Hold> {
    let now = circumstances.now;
    if let Some(hold) = stored.and_then(|stored| too_many(stored, action, now)) {
        return Some(hold);
    }
    let Action::Renew { due, urgency, .. } = action else {
        return None;
    };
    let current = stored.and_then(|stored| stored.current.as_ref());
    let suggestion = current.and_then(|current| current.suggestion);
    let at_once = suggestion.is_some_and(|it| it.is_a_revocation());
    if circumstances.asker.by_hand() || at_once || *urgency >= Urgency::Emergency {
        return None;
    }
    let version = current.map_or(0, |current| current.version);
    let chance = schedule::chance(&certificate.name, version);
    if stored.is_some_and(|stored| is_in_trouble(stored, now)) {
        // Days without work are a promise to somebody, as long as there is time behind them.
        let run = (now, circumstances.asker.next_run());
        let days = certificate.calendar.without_windows();
        let until = schedule::held(due, *urgency, &days, run, chance);
        return until.map(|until| Hold::Window { until });
    }
    let last = |moment: &Moment| {
        schedule::last_run(
            moment,
            &certificate.calendar,
            now,
            circumstances.asker.next_run(),
        )
    };
    let later = moment.filter(|moment| moment.at > now && !last(moment));
    let later = later.map(|moment| moment.at);
    let now = (now, circumstances.asker.next_run());
    let until = later.or_else(|| schedule::held(due, *urgency, &certificate.calendar, now, chance));
    until.map(|until| Hold::Window { until })
}

/// A renewal that has failed for so long waits for no window any more: a CA that is back for a day has
/// to be met, and one that is open for an hour a week would miss it.
const TROUBLE: Duration = Duration::from_secs(24 * 60 * 60);

fn is_in_trouble(stored: &Stored, now: Timestamp) -> bool {
    let failed: Vec<_> = stored
        .failed
        .iter()
        .filter_map(|one| one.as_of(now))
        .collect();
    let mut failed = ladder::in_a_row(&failed, now).iter();
    failed.any(|one| now.since(one.at) >= TROUBLE)
}

/// Most certificates in the period of [`MOST_ISSUED`] for one that lives so long: three times what it
/// needs, where that is more.
pub fn most_issued(life: Duration) -> u32 {
    let every = due::renewed_after(life).as_secs().max(1);
    let needed = MOST_ISSUED.per.as_secs().div_ceil(every);
    u32::try_from(needed.saturating_mul(3))
        .unwrap_or(u32::MAX)
        .max(MOST_ISSUED.count)
}

/// Whether so many were issued in the period of [`MOST_ISSUED`] that no more may be, unless a person
/// insists.
///
/// What was issued by a clock that was ahead counts too, by that clock and from when it was found: a clock that
/// jumps must not order for ever. But where the time runs out, half of what was issued may be of that kind: a
/// certificate must not run out over it.
pub fn too_many(stored: &Stored, action: &Action, now: Timestamp) -> Option<Hold> {
    let life = stored.current.as_ref();
    let life = life.map(|current| current.not_after.since(current.not_before));
    let most = life.map_or(MOST_ISSUED.count, most_issued);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    // What is later than now is from a clock that was wrong.
    let counts = |at: &Timestamp| *at <= now && now.since(*at) < MOST_ISSUED.per;
    let sure: Vec<Timestamp> = stored.issued.iter().copied().filter(counts).collect();
    let doubtful = stored.doubtful.iter();
    let doubtful =
        doubtful.filter_map(|(at, found)| [*at, *found].into_iter().filter(counts).max());
    let all: Vec<Timestamp> = sure.iter().copied().chain(doubtful).collect();
    let urgent = matches!(action, Action::Renew { urgency, .. } if *urgency >= Urgency::Emergency);
    let most_of_all = if urgent { most.saturating_mul(2) } else { most };
    more_than(sure, most).or_else(|| more_than(all, most_of_all))
}

fn more_than(mut moments: Vec<Timestamp>, most: usize) -> Option<Hold> {
    moments.sort_unstable();
    let first = moments.len().checked_sub(most)?;
    moments.get(first).map(|at| Hold::TooMany {
        until: *at + MOST_ISSUED.per,
        issued: moments.len(),
    })
}

/// How much time an act leaves.
pub const fn haste(action: &Action) -> Haste {
    match action {
        Action::Renew {
            due,
            urgency: Urgency::None | Urgency::Due,
            ..
        }
        | Action::Keep { due, .. }
        | Action::Install { due, .. } => Haste::Until(due.safe_until),
        Action::Renew { .. } | Action::Issue(_) | Action::Gone { .. } => Haste::Now,
    }
}

/// How each CA of the list stands with a certificate.
pub fn standings(
    list: &[CaName],
    stored: Option<&Stored>,
    action: &Action,
    circumstances: &Circumstances<'_>,
) -> BTreeMap<CaName, Standing> {
    let failed = stored.map_or(&[][..], |stored| &stored.failed);
    let current = stored.and_then(|stored| stored.current.as_ref());
    let suggestion = current.and_then(|current| current.suggestion);
    let revokes = suggestion.is_some_and(|it| it.is_a_revocation());
    let deadline = match (action, current) {
        (Action::Renew { due, not_after, .. }, _) if !revokes => Some(Deadline {
            safe_until: due.safe_until,
            not_after: *not_after,
        }),
        // What is revoked, or is about to be, serves nobody: there is no time at all.
        (Action::Renew { .. } | Action::Issue(IssueReason::Revoked), Some(current)) => {
            Some(Deadline {
                safe_until: current.not_before,
                not_after: current.not_before,
            })
        }
        // Until the other one is had, the one in place has to last.
        (
            Action::Issue(
                IssueReason::Names { .. }
                | IssueReason::Replaced
                | IssueReason::Damaged
                | IssueReason::Unreadable
                | IssueReason::Never,
            ),
            _,
        ) => {
            let life = stored.and_then(Stored::life);
            life.map(|life| Deadline {
                safe_until: life.end - due::safe_floor(life.end.since(life.start)),
                not_after: life.end,
            })
        }
        _ => None,
    };
    let standing = |ca: &CaName| {
        let here = failed.iter().filter(|one| one.ca == *ca);
        let here: Vec<_> = here
            .filter_map(|one| one.as_of(circumstances.now))
            .collect();
        let here = ladder::in_a_row(&here, circumstances.now);
        let troubles = ladder::troubles(here);
        let version = current.map_or(0, |current| current.version);
        let mut standing = Standing {
            down_since: circumstances.down_since.get(ca).copied(),
            forbidden: circumstances.forbidden.get(ca).cloned(),
            ..Standing::default()
        };
        if let Some((all, theirs)) = troubles {
            let salt = u64::from(all.failures).rotate_left(40);
            let chance = stored.map_or(0, |s| schedule::chance(&s.name, version)) ^ salt;
            let next = ladder::next_try(&all, deadline, chance);
            let asked = theirs.and_then(|theirs| theirs.until);
            standing.trouble = theirs;
            standing.offline = all.local;
            if let Some(theirs) = theirs {
                // Whichever certificate was to be had of whichever CA when this machine was cut off.
                let own = failed.iter().filter_map(|one| one.as_of(circumstances.now));
                let own = own.map(|one| (one.at, one.local));
                let mut moments: Vec<_> =
                    own.chain(circumstances.reached.iter().copied()).collect();
                moments.sort_by_key(|(at, _)| *at);
                standing.away = Away::behind(theirs.first, moments);
            }
            // A network that was down is no reason to pass over a CA when there is no time.
            let at_once = all.local && haste(action) == Haste::Now && all.until.is_none();
            standing.not_before = (!at_once).then_some(next);
            standing.own_wait = asked.is_none_or(|until| until < next);
            standing.asked = asked;
        }
        let shut = circumstances.spent.get(ca).map(|shut| shut.until());
        standing.asked = standing.asked.max(shut);
        if shut.is_some() && standing.not_before < shut {
            standing.not_before = shut;
            standing.own_wait = false;
        }
        standing
    };
    let all = list.iter().map(|ca| (ca.clone(), standing(ca)));
    all.filter(|(_, standing)| *standing != Standing::default())
        .collect()
}

fn failures(stored: Option<&Stored>, ca: &CaName, now: Timestamp) -> u32 {
    let failed = stored.map_or(&[][..], |stored| &stored.failed);
    let failed: Vec<_> = failed.iter().filter(|one| one.ca == *ca).cloned().collect();
    ladder::count(&failed, now)
}
