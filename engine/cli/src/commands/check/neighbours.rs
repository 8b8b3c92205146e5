//! Other ACME clients that this machine starts, and which of our names they renew, too.

use std::collections::BTreeSet;
use std::path::Path;

use waxwing_core::neighbour::{Neighbour, Start, started, stopped_by};
use waxwing_core::settings::Settings;
use waxwing_io::{neighbours, timer};

use crate::render::check::{Found, Verdict};
use crate::render::page::{count, list};

const TOPIC: &str = "neighbours";

/// One line for each of them.
pub(super) fn findings(settings: &Settings) -> Vec<Found> {
    let root = Path::new("/");
    let starts = neighbours::starts(root);
    let ours: BTreeSet<String> = settings
        .certificates
        .iter()
        .flat_map(|certificate| certificate.domains.iter().map(ToString::to_string))
        .collect();
    let found: Vec<Found> = started(&starts, timer::means().systemd)
        .into_iter()
        .map(|(one, start)| {
            judge(
                one,
                start,
                neighbours::names(one.keeps, root).as_ref(),
                &ours,
            )
        })
        .collect();
    if found.is_empty() {
        let text = "no other ACME client is started here, as far as this user can see";
        return vec![Found::new(Verdict::Ok, TOPIC, text)];
    }
    found
}

/// What one of them means for the names that are ours. `theirs`: none if that cannot be known.
fn judge(
    one: &Neighbour,
    start: &Start,
    theirs: Option<&BTreeSet<String>>,
    ours: &BTreeSet<String>,
) -> Found {
    let place = start.place.display();
    let Some(theirs) = theirs else {
        let text = format!(
            "{} is started here, too ({place}); which names it renews is not known",
            one.name
        );
        let hint = format!("if any of them is here: {}", stopped_by(start));
        return Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint));
    };
    let both: Vec<&String> = theirs.intersection(ours).collect();
    if both.is_empty() {
        let text = format!(
            "{} is started here ({place}) and renews {}, none of them ours",
            one.name,
            count(theirs.len(), "name")
        );
        return Found::new(Verdict::Ok, TOPIC, text);
    }
    let text = format!(
        "{} is started here ({place}) and renews {}, too",
        one.name,
        list(&both, 3)
    );
    let hint = format!(
        "one client for each name: take it out there, or, when it has no others: {}",
        stopped_by(start)
    );
    Found::new(Verdict::Warn, TOPIC, text).hint(Some(hint))
}

#[cfg(test)]
pub(super) mod tests {
    use waxwing_core::neighbour::{self, By};

    use super::*;

    /// One of each kind.
    pub(in super::super) fn examples() -> Vec<Found> {
        let one = &neighbour::ALL[0];
        let start = Start {
            place: "/etc/systemd/system/timers.target.wants/certbot.timer".into(),
            by: By::Unit,
            text: "certbot.timer".to_owned(),
        };
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let ours: BTreeSet<String> = names(&["mail.example.com", "www.example.com"]);
        let theirs = [
            Some(names(&["mail.example.com", "x.example.org"])),
            Some(names(&["x.example.org"])),
            None,
        ];
        let found = theirs.map(|theirs| judge(one, &start, theirs.as_ref(), &ours));
        found.to_vec()
    }

    #[test]
    fn only_what_two_clients_renew_or_what_is_not_known_is_worth_a_warning() {
        let verdicts: Vec<Verdict> = examples().iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Warn, Verdict::Ok, Verdict::Warn]);
    }
}
