//! Limits of CAs that are nearly used up.

use std::collections::BTreeMap;

use waxwing_core::notify::event::{Change, Event, EventKind};
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;

use super::Condition;
use crate::budget::{self, Left};
use crate::notify::Told;
use crate::ports::History;
use crate::report::RunReport;

/// What is left of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What it is called in messages: `ca orders`, `ca duplicates of shop`.
    pub subject: String,
    /// What is left.
    pub left: Left,
}

/// How near the end of a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// Used up (2) or nearly so (1).
    At(u32),
    /// Neither near nor far: what was told is not over yet.
    Between,
    /// Far.
    Far,
}

/// What is left of the limits that this run has used, and of those that were told: no other one can
/// have changed. A limit that cannot be read is left out.
pub fn budgets(
    history: &dyn History,
    settings: &Settings,
    report: &RunReport,
    told: &[Told],
    now: Timestamp,
) -> Vec<Budget> {
    let mut found: BTreeMap<String, Left> = BTreeMap::new();
    for certificate in &settings.certificates {
        let used = report
            .certificates
            .iter()
            .any(|one| one.certificate == certificate.name);
        let mentioned = told.iter().any(|told| {
            told.kind == EventKind::BudgetNear && {
                let of_it = format!(" of {}", certificate.name);
                told.subject.ends_with(&of_it) || !told.subject.contains(" of ")
            }
        });
        if !used && !mentioned {
            continue;
        }
        let profiles = certificate.cas.iter().filter_map(|ca| settings.cas.get(ca));
        for profile in profiles {
            let left = budget::left(history, profile, &certificate.domains, now);
            for one in left.unwrap_or_default() {
                let counted = one.kind.as_str();
                let subject = if one.kind.is_of_account() {
                    format!("{} {counted}", one.ca)
                } else {
                    format!("{} {counted} of {}", one.ca, certificate.name)
                };
                found.entry(subject).or_insert(one);
            }
        }
    }
    let all = found.into_iter();
    all.map(|(subject, left)| Budget { subject, left })
        .collect()
}

pub(super) fn conditions(budgets: &[Budget]) -> impl Iterator<Item = Condition> {
    budgets.iter().filter_map(|budget| {
        let Near::At(step) = how_near(&budget.left) else {
            return None;
        };
        let mut event = Event::new(EventKind::BudgetNear, Change::Began, budget.subject.clone());
        event.ca = Some(budget.left.ca.to_string());
        event.what = vec![budget.left.limit.to_string()];
        event.count = Some(budget.left.left);
        event.next_try = budget.left.until;
        Some(Condition::new(step, event))
    })
}

/// How near the end of that limit is; none if it does not matter any more.
pub(super) fn near(budgets: &[Budget], subject: &str) -> Option<Near> {
    let budget = budgets.iter().find(|budget| budget.subject == subject)?;
    Some(how_near(&budget.left))
}

/// Near is the last fifth; far is more than half, so that one order more or less is not told.
const fn how_near(left: &Left) -> Near {
    let (rest, all) = (left.left, left.limit.count);
    if rest == 0 {
        Near::At(2)
    } else if rest.saturating_mul(5) <= all {
        Near::At(1)
    } else if rest.saturating_mul(2) <= all {
        Near::Between
    } else {
        Near::Far
    }
}
