//! `[renewal]`, which may stand in a certificate too, and `[failover]`.

use std::sync::Arc;
use std::time::Duration;

use super::Catalog;
use crate::ca::choose::{FailBack, FailOver};
use crate::calendar::{self, Blackout, Calendar, OffPeak};
use crate::document::section::{At, Section};
use crate::schedule;
use crate::settings::{DaysAfterIssue, units};

/// What was written; none for what was not.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewal {
    days: Option<u32>,
    windows: Option<Vec<OffPeak>>,
    blackout: Option<Vec<Blackout>>,
}

/// The renewal settings of one certificate.
pub(super) struct Chosen {
    pub(super) days: DaysAfterIssue,
    pub(super) calendar: Arc<Calendar>,
}

impl Renewal {
    /// `renewal` of the first level or of a certificate.
    pub(super) fn read(
        section: &Section<'_>,
        catalog: &Catalog,
        warnings: &mut Vec<String>,
    ) -> Self {
        let Some(section) = section.section("renewal") else {
            return Self::default();
        };
        let days = section.number("days-after-issue", 1..=365, "55");
        let windows = texts(&section, "windows", WINDOW, |text| {
            calendar::parse_window(text, &catalog.zones, &catalog.here)
        });
        for window in windows.iter().flatten().filter(|w| {
            // It may lie between two runs.
            Duration::from_secs(u64::from(w.minutes) * 60) < schedule::TIMER
        }) {
            warnings.push(format!(
                "the window \"{}\" is shorter than the hour between two runs of the timer, which \
                 may never fall into it; the last run before it renews then, outside of it",
                window.text
            ));
        }
        let blackout = texts(&section, "blackout", BLACKOUT, |text| {
            calendar::parse_blackout(text, &catalog.zones, &catalog.here)
        });
        section.finish(&[
            ("days", "days-after-issue = 55"),
            (
                "days-before-expiry",
                "days-after-issue = 55; life times shrink, so it counts from the start",
            ),
            (
                "window",
                "windows = [\"Mon-Fri 01:00-05:00 Europe/Berlin\"]",
            ),
        ]);
        Self {
            days: days.map(|at| at.value),
            windows,
            blackout,
        }
    }

    /// What was written of windows and of days without work.
    pub(super) fn calendar(&self) -> Calendar {
        Calendar {
            windows: self.windows.clone().unwrap_or_default(),
            blackout: self.blackout.clone().unwrap_or_default(),
        }
    }

    /// These, and those of `defaults` where nothing was written; `calendar` is theirs.
    pub(super) fn or(self, defaults: &Self, calendar: &Arc<Calendar>) -> Chosen {
        let written = self.days.or(defaults.days);
        let own = self.windows.is_some() || self.blackout.is_some();
        let own = own.then(|| Self {
            days: None,
            windows: self.windows.or_else(|| defaults.windows.clone()),
            blackout: self.blackout.or_else(|| defaults.blackout.clone()),
        });
        Chosen {
            days: DaysAfterIssue {
                days: written.unwrap_or(DaysAfterIssue::default().days),
                written: written.is_some(),
            },
            // Most have none of their own, and there may be ten thousand.
            calendar: match own {
                Some(own) => Arc::new(own.calendar()),
                None => Arc::clone(calendar),
            },
        }
    }
}

const WINDOW: &str = "[\"Mon-Fri 01:00-05:00 Europe/Berlin\"]";
const BLACKOUT: &str = "[\"2026-12-18..2027-01-04\"]";

/// Every text of a list, read; those that cannot be are noted.
fn texts<T>(
    section: &Section<'_>,
    key: &'static str,
    example: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let list = section.texts(key, example)?;
    let mut good = Vec::with_capacity(list.value.len());
    for At { at, value } in list.value {
        match read(value) {
            Ok(one) => good.push(one),
            Err(message) => {
                let problem = section.problem(&at, key, message);
                section
                    .problems()
                    .add(problem.hint(format!("{key} = {example}")));
            }
        }
    }
    Some(good)
}

/// `[failover]`
pub(super) fn failover(root: &Section<'_>) -> FailOver {
    let mut policy = FailOver::default();
    let Some(section) = root.section("failover") else {
        return policy;
    };
    if let Some(failures) = section.number("after-failures", 1..=100, "3") {
        policy.after_failures = failures.value;
    }
    if let Some(after) = section.parsed("after", "\"12h\"", units::duration) {
        if after.value < Duration::from_secs(60) {
            let problem = section.problem(&after.at, "after", "less than a minute is no outage");
            section.problems().add(problem.hint("after = \"12h\""));
        }
        policy.after = after.value;
    }
    let words = [
        ("next-renewal", FailBack::NextRenewal),
        ("never", FailBack::Never),
    ];
    let back = section.word("fail-back", "\"next-renewal\"", words, |text| {
        format!("`{text}` is neither \"next-renewal\" nor \"never\"")
    });
    if let Some(back) = back {
        policy.fail_back = back.value;
    }
    section.finish(&[
        ("failures", "after-failures = 3"),
        ("attempts", "after-failures = 3"),
        ("time", "after = \"12h\""),
    ]);
    policy
}
