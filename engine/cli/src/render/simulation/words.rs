//! What a simulation is told in, whether on a terminal or on a page.

use std::collections::BTreeSet;

use waxwing_core::alert::Step;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::disturbance::Trouble;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_flow::simulate::{Expired, Marked};

use super::SimulationView;
use crate::render::page::{Ink, count, list};
use crate::render::time::stretch;

/// More names than these are only counted.
const NAMES: usize = 4;

/// A timer has to look so often within the shortest life, or its runs are too rare.
const RUNS_IN_A_LIFE: u32 = 12;

/// What a simulation leaves out.
pub(super) const LEFT_OUT: [&str; 6] = [
    "installers and what servers serve",
    "advice of a CA that changes after it has issued (ARI)",
    "failures, advice and used up limits from before the beginning",
    "other machines with the same account",
    "how many requests a DNS provider allows",
    "messages about fail-overs, outages and the end of a trouble, which are sent besides those told here",
];

/// How requests are counted.
pub(super) const MODEL: &str = "Requests are counted by a model of an order, not sent.";

/// `first is down`
pub(super) fn trouble(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Down(ca) => format!("{ca} is down"),
        Trouble::Slow(ca) => format!("{ca} is too slow"),
        Trouble::Rejects(ca) => format!("{ca} refuses every name"),
        Trouble::Dns => "the DNS provider takes no records".to_owned(),
        Trouble::Network => "this machine is offline".to_owned(),
        Trouble::Machine => "this machine is off".to_owned(),
    }
}

/// What somebody is told.
pub(super) fn step(step: Step) -> String {
    match step {
        Step::Failed => "a renewal has failed".to_owned(),
        Step::FailedAgain => "renewals keep failing".to_owned(),
        Step::EndsSoon(nth) => format!("it ends soon (warning {} of 5)", nth + 1),
        Step::Expired => "it is not valid any more".to_owned(),
    }
}

/// Where an attempt failed; without a CA it was on this side.
pub(super) fn place(ca: Option<&CaName>) -> &str {
    ca.map_or("here", CaName::as_str)
}

/// What can be done about a failure.
pub(super) const fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "passes by itself",
        FailureClass::RateLimited => "has to wait",
        FailureClass::Rejected => "refused",
        FailureClass::Misconfigured => "configuration",
        FailureClass::NeedsPerson => "needs a person",
        FailureClass::Cancelled => "stopped",
        FailureClass::Bug => "a bug",
    }
}

/// What a CA counts.
pub(super) const fn limit(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Orders => "orders",
        LimitKind::Certificates => "certificates of a domain",
        LimitKind::Duplicates => "certificates of the same names",
        LimitKind::Authorizations => "names to prove",
        LimitKind::FailedAuthorizations => "names refused",
    }
}

/// Whether an expiry could have been prevented, and why.
pub(super) fn preventable(expired: &Expired) -> (bool, String) {
    let free = stretch(expired.free);
    if expired.is_our_fault() {
        let why =
            format!("yes: a CA could be asked for {free} on end in the last third of its life");
        return (true, why);
    }
    let why = if expired.free.is_zero() {
        "no: no CA could be asked in the last third of its life".to_owned()
    } else {
        format!("no: no CA could be asked for longer than {free} in the last third of its life")
    };
    (false, why)
}

/// `3 times`
pub(super) fn times(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "time")
}

/// `57.8`, `-` for nothing.
pub(super) fn figure(number: f64) -> String {
    if number == 0.0 {
        "-".to_owned()
    } else {
        format!("{number:.1}")
    }
}

/// Whether the promises were kept.
pub(super) struct Verdict {
    /// How good it is.
    pub(super) ink: Ink,
    /// In one sentence.
    pub(super) text: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

/// The verdict.
pub(super) fn verdict(view: &SimulationView<'_>) -> Verdict {
    let story = view.story;
    let ours = story.expired.iter().filter(|one| one.is_our_fault());
    let ours = ours.count();
    let exceeded: u64 = story.limits.iter().map(|limit| limit.exceeded).sum();
    let never = never_issued(view);
    if story.broken_promises() > 0 {
        let mut said = Vec::new();
        if ours > 0 {
            said.push(format!(
                "{} ran out, though a CA could have been asked for a day or longer in the last third of its life",
                count(ours, "certificate")
            ));
        }
        if exceeded > 0 {
            said.push(format!(
                "a CA had to refuse {} by a limit of its own",
                times(exceeded)
            ));
        }
        return Verdict {
            ink: Ink::Bad,
            text: format!("A promise was broken: {}.", said.join("; ")),
            hint: Some(mend(view, ours > 0)),
        };
    }
    if !story.expired.is_empty() || !never.is_empty() {
        let mut said = Vec::new();
        if !story.expired.is_empty() {
            said.push(format!(
                "{} ran out, but no CA of its list could have been asked for a whole day in the last third of its life",
                count(story.expired.len(), "certificate")
            ));
        }
        if !never.is_empty() {
            said.push(format!("never issued: {}", list(&never, NAMES)));
        }
        let lonely = story.expired.iter().map(|one| &one.certificate);
        let lonely = lonely
            .chain(never)
            .filter(|name| view.assumed.alone.contains(*name));
        return Verdict {
            ink: Ink::Warn,
            text: format!("No promise was broken. {}.", capital(&said.join("; "))),
            hint: second_ca(lonely),
        };
    }
    Verdict {
        ink: Ink::Good,
        text: "No promise was broken: nothing ran out, and no limit of a CA was exceeded."
            .to_owned(),
        hint: None,
    }
}

/// What to do about a promise that was broken.
fn mend(view: &SimulationView<'_>, ran_out: bool) -> String {
    let story = view.story;
    let shortest = story
        .expired
        .iter()
        .map(|one| one.life.end.since(one.life.start));
    let rare = shortest
        .min()
        .is_some_and(|life| view.assumed.every > life / RUNS_IN_A_LIFE);
    if ran_out && rare {
        return format!(
            "a run each {} is too rare for such a life: let the timer start one each hour",
            waxwing_core::time::stretch(view.assumed.every)
        );
    }
    if ran_out && view.assumed.crash_rate >= 0.5 {
        return "most runs were killed: a smaller --crash-rate tells more".to_owned();
    }
    let ours = story.expired.iter().filter(|one| one.is_our_fault());
    let lonely = ours.map(|one| &one.certificate);
    let lonely = lonely.filter(|name| view.assumed.alone.contains(*name));
    if let Some(hint) = second_ca(lonely).filter(|_| ran_out) {
        return hint;
    }
    format!(
        "this should not happen: report it with the configuration, the command line and seed {}",
        story.seed
    )
}

fn second_ca<'n>(names: impl Iterator<Item = &'n CertificateName>) -> Option<String> {
    let names: BTreeSet<&CertificateName> = names.collect();
    let names: Vec<_> = names.into_iter().collect();
    (!names.is_empty()).then(|| {
        format!(
            "a second CA in `ca` could have stood in for {}",
            list(&names, NAMES)
        )
    })
}

/// Certificates that were never there, as far as that is known.
pub(super) fn never_issued<'v>(view: &SimulationView<'v>) -> Vec<&'v CertificateName> {
    let story = view.story;
    if story.marks_left_out > 0 {
        return Vec::new();
    }
    let issued = story.marks.iter().filter_map(|mark| match mark.what {
        Marked::Issued { .. } => Some(&mark.certificate),
        _ => None,
    });
    let issued: BTreeSet<_> = issued.collect();
    let all = view.assumed.names.iter();
    all.filter(|name| !story.in_place.contains_key(*name) && !issued.contains(name))
        .collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
