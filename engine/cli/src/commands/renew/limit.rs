//! What is left of the limits of CAs, for what a person orders although it is not due.

use std::collections::BTreeMap;

use waxwing_core::ca::limits::LimitKind;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_flow::budget;
use waxwing_flow::ports::History;
use waxwing_flow::scheduler::Orders;

use super::super::start;
use crate::exit::Exit;
use crate::load::Loaded;
use crate::render::terminal::Terminal;
use crate::survey::{self, Survey};

/// What limits are looked up in.
pub(in super::super) struct Asked<'a> {
    pub(in super::super) loaded: &'a Loaded,
    pub(in super::super) survey: &'a Survey,
    pub(in super::super) history: &'a dyn History,
}

/// Shows what is left of the CA's limits for what is forced. Answers an exit code if one more would be
/// the last that a limit allows, and nobody said yes to that; `command` is how it is said.
pub(in super::super) fn last_of_one(
    asked: &Asked<'_>,
    orders: &Orders,
    yes: bool,
    command: &dyn Fn(&CertificateName) -> String,
    terminal: &mut Terminal,
) -> Option<Exit> {
    let Asked {
        loaded,
        survey,
        history,
    } = *asked;
    let mut refused = None;
    // Every certificate of this run takes from the same limits of the account.
    let mut ordered: BTreeMap<&CaName, u32> = BTreeMap::new();
    for job in &orders.jobs {
        let certificate = &job.certificate;
        let asked = survey::asked_first(loaded, survey, history, certificate, start::now());
        let Some(profile) = asked else {
            continue;
        };
        let left = budget::left(history, profile, &certificate.domains, start::now());
        let before = ordered.entry(&profile.name).or_default();
        for one in left.unwrap_or_default() {
            let shared = matches!(one.kind, LimitKind::Orders | LimitKind::Authorizations);
            let used = if shared { *before } else { 0 };
            let rest = one.left.saturating_sub(used);
            let text = format!(
                "{}: {rest} of {} left at {} ({})",
                certificate.name,
                one.limit,
                one.ca,
                one.kind.as_str()
            );
            if rest <= 1 && !yes {
                let hint = match one.until.filter(|_| rest == 0) {
                    // No word of a person gives more.
                    Some(until) => {
                        let until = terminal.context(start::now()).moment(until);
                        format!("the next one may be ordered {until}")
                    }
                    None => command(&certificate.name),
                };
                terminal.fail(&text, Some(&hint));
                refused = Some(Exit::Usage);
            } else {
                terminal.note(&text);
            }
        }
        *before += 1;
    }
    refused
}
