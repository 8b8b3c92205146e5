//! The CAs' endpoints, watched: one look at a directory, what has changed there since the last look,
//! and what many looks say together.
//!
//! What a newcomer gets wrong: a look says how it was at one moment. Between two looks the state is
//! taken to be that of the earlier one, but only for two hours; behind that nobody knows.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use waxwing_acme::directory::Directory;
use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::outage::{self, Contact, Verdict};
use waxwing_core::settings::Settings;
use waxwing_core::time::{Timestamp, Window};

use crate::directory::{self, Change};
use crate::failure::Failure;
use crate::history::{Fruitless, Sighting};
use crate::ports::History;
use crate::scheduler::cas::{host_of, without_port};
use crate::session::SessionPorts;
use crate::session::greeting::greet;

/// For so long a look says how a CA is doing: for as long as a failed one counts as a sign that it is down.
/// The daemon looks more often, so that only time in which nobody looks is unknown.
pub const HOLDS: Duration = Duration::from_secs(2 * 60 * 60);

/// One look at a CA.
#[derive(Debug)]
pub struct Look {
    /// Which.
    pub ca: CaName,
    /// How long the directory took, or every cause of every candidate.
    pub result: Result<Duration, Failure>,
    /// What is not as it was at the last look.
    pub changes: Vec<Change>,
    /// What it answered.
    pub directory: Option<Directory>,
}

/// Looks at the directory of a CA, notes what came of it and keeps a copy. Nothing else is asked.
pub async fn look(ports: &SessionPorts, history: &dyn History, profile: &CaProfile) -> Look {
    let (look, at) = peek(ports, profile).await;
    note(history, &look, at, &[]);
    ports.sent.keep(history);
    look
}

/// Looks at several CAs at the same time. If all of them are silent in the same way, it is this machine
/// that is cut off, and nobody is noted to be down. Where nobody unrelated is among them, another CA in use is
/// looked at before a silence is held against one.
pub async fn look_at_all(
    ports: &SessionPorts,
    history: &dyn History,
    settings: &Settings,
    profiles: &[&CaProfile],
) -> Vec<Look> {
    let looks = profiles.iter().map(|profile| peek(ports, profile));
    let mut looks = join_all(looks).await;
    let wanted = profiles.len();
    let host = |profile: &CaProfile| {
        let url = profile.directories.first();
        url.map(|url| without_port(host_of(url)).to_owned())
    };
    let mut profiles = profiles.to_vec();
    let hosts: BTreeSet<Option<String>> = profiles.iter().map(|one| host(one)).collect();
    let silent = |(look, _): &(Look, Timestamp)| matches!(contact(look), Contact::Silent(_));
    if hosts.len() == 1 && looks.iter().any(silent) {
        let used = settings.used_cas();
        let mut used = used.iter().filter_map(|ca| settings.cas.get(ca));
        if let Some(witness) = used.find(|other| !hosts.contains(&host(other))) {
            looks.push(peek(ports, witness).await);
            profiles.push(witness);
        }
    }
    for (nth, (look, at)) in looks.iter().enumerate() {
        let own = profiles.get(nth).and_then(|profile| host(profile));
        let others = looks.iter().zip(&profiles);
        // Two services of one machine are not unrelated.
        let others = others.filter(|(_, profile)| host(profile) != own);
        let others = others.map(|((other, _), _)| contact(other));
        note(history, look, *at, &others.collect::<Vec<_>>());
    }
    ports.sent.keep(history);
    looks.truncate(wanted);
    looks.into_iter().map(|(look, _)| look).collect()
}

/// Looks, and notes nothing. Also answers when.
async fn peek(ports: &SessionPorts, profile: &CaProfile) -> (Look, Timestamp) {
    let seen = greet(ports, profile).await;
    let changes = seen.as_ref().map_or_else(
        |_silent| Vec::new(),
        |greeting| {
            directory::keep(
                ports,
                &profile.name,
                &profile.directories,
                &greeting.directory,
            )
        },
    );
    let look = Look {
        ca: profile.name.clone(),
        directory: seen.as_ref().ok().map(|it| it.directory.clone()),
        result: seen.map(|greeting| greeting.took),
        changes,
    };
    (look, ports.clock.now())
}

/// What a look at one CA says about the network.
fn contact(look: &Look) -> Contact {
    match look.result.as_ref().err().and_then(Failure::silence) {
        // An error page is an answer.
        None => Contact::Answered,
        Some(stage) => Contact::Silent(stage),
    }
}

/// Notes a look. A machine that is cut off has not seen that the CA is down.
fn note(history: &dyn History, look: &Look, at: Timestamp, others: &[Contact]) {
    if let Contact::Silent(stage) = contact(look)
        && outage::judge(stage, others) == Verdict::Local
    {
        if let Err(error) = history.cut_off(at) {
            tracing::warn!(cause = %error, "that nobody was reached could not be noted");
        }
        return;
    }
    let result = look.result.as_ref();
    let sighting = Sighting {
        ca: look.ca.clone(),
        at,
        result: result
            .copied()
            .map_err(|failure| failure.lines().join(": ")),
    };
    if let Err(error) = history.sight(&sighting) {
        tracing::warn!(ca = %look.ca, cause = %error, "the look could not be noted");
    }
}

/// What many looks at one CA say together.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The last look.
    pub last: Option<Sighting>,
    /// Since when every look has failed, if the last one did.
    pub down_since: Option<Timestamp>,
    /// The part of the time of which something is known in which it answered: 0 to 1.
    pub up: Option<f64>,
    /// How long of the time that was asked about something is known.
    pub known: Duration,
    /// The middle one of all times to answer.
    pub median: Option<Duration>,
    /// The last time in which it did not answer, and why it did not at its end.
    pub trouble: Option<(Window, String)>,
    /// The time in parts of the same length, oldest first.
    pub parts: Vec<Part>,
    /// What came of asking it for certificates, if every attempt has failed although it answers.
    pub fruitless: Option<Fruitless>,
}

impl Health {
    /// The same, with what came of asking it for certificates.
    #[must_use]
    pub fn with(mut self, fruitless: Option<Fruitless>) -> Self {
        self.fruitless = fruitless;
        self
    }

    /// The same, with when an outage that is not over has begun, if more looks are known than were summed
    /// up: it may be longer than the time that was asked about.
    #[must_use]
    pub fn down_from(mut self, since: Option<Timestamp>) -> Self {
        if let (Some(down), Some(since)) = (&mut self.down_since, since) {
            *down = since;
            if let Some((window, _)) = &mut self.trouble {
                window.start = since;
            }
        }
        self
    }

    /// True if the last look still says how the CA is doing at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| now.since(last.at) <= HOLDS)
    }
}

/// A part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// Looks that were answered.
    pub up: u32,
    /// Looks that were not.
    pub down: u32,
    /// The middle one of the times to answer.
    pub median: Option<Duration>,
}

/// Sums up looks at one CA, oldest first, over a time that is cut into `parts`.
pub fn health(sightings: &[Sighting], over: Window, parts: u32) -> Health {
    let within: Vec<&Sighting> = sightings
        .iter()
        .filter(|one| over.start <= one.at && one.at <= over.end)
        .collect();
    let (mut known, mut answered) = (Duration::ZERO, Duration::ZERO);
    let mut trouble: Option<(Window, String)> = None;
    let mut down_since = None;
    for (nth, one) in within.iter().enumerate() {
        let next = within.get(nth + 1).map_or(over.end, |next| next.at);
        let time = next.since(one.at).min(HOLDS);
        known += time;
        match &one.result {
            Ok(_) => {
                answered += time;
                if let (Some(_), Some((window, _))) = (down_since.take(), &mut trouble)
                    && outage::holds(window.end, one.at)
                {
                    window.end = one.at;
                }
            }
            Err(cause) => {
                let before = trouble.as_ref().map(|(window, _)| window.end);
                let goes_on = before.is_some_and(|last| outage::holds(last, one.at));
                let start = *down_since.filter(|_| goes_on).get_or_insert(one.at);
                down_since = Some(start);
                let window = Window { start, end: one.at };
                trouble = Some((window, cause.clone()));
            }
        }
    }
    let up = (known > Duration::ZERO).then(|| answered.as_secs_f64() / known.as_secs_f64());
    let length = over.end.since(over.start) / parts.max(1);
    let part = |nth: u32| {
        let (start, end) = (over.start + length * nth, over.start + length * (nth + 1));
        let last = nth + 1 == parts;
        let here = within
            .iter()
            .filter(|one| start <= one.at && (one.at < end || (last && one.at <= over.end)));
        let mut took: Vec<Duration> = Vec::new();
        let mut part = Part::default();
        for one in here {
            match &one.result {
                Ok(time) => {
                    part.up += 1;
                    took.push(*time);
                }
                Err(_) => part.down += 1,
            }
        }
        part.median = median(took);
        part
    };
    Health {
        last: within.last().map(|one| (*one).clone()),
        down_since,
        up,
        known,
        median: median(
            within
                .iter()
                .filter_map(|one| one.result.clone().ok())
                .collect(),
        ),
        trouble,
        parts: (0..parts).map(part).collect(),
        fruitless: None,
    }
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn over(hours: u32) -> Window {
        Window {
            start: FROM,
            end: FROM + HOUR * hours,
        }
    }

    fn seen(looks: &[(u32, Result<u64, &str>)]) -> Vec<Sighting> {
        let one = |(hours, result): &(u32, Result<u64, &str>)| Sighting {
            ca: CaName::parse("first").expect("a literal name"),
            at: FROM + HOUR * *hours,
            result: result.map(Duration::from_millis).map_err(ToOwned::to_owned),
        };
        looks.iter().map(one).collect()
    }

    #[test]
    fn the_state_between_two_looks_is_that_of_the_earlier_one() {
        /// Looks, and what is to be found: the part that is up, since when it is down, the trouble.
        type Row<'a> = (
            &'a [(u32, Result<u64, &'a str>)],
            Option<f64>,
            Option<u32>,
            Option<(u32, u32)>,
        );
        let table: &[Row<'_>] = &[
            (&[], None, None, None),
            (&[(0, Ok(7))], Some(1.0), None, None),
            (
                &[(0, Ok(7)), (6, Err("no")), (7, Ok(9))],
                Some(0.8),
                None,
                Some((6, 7)),
            ),
            (
                &[(0, Err("no")), (6, Err("nope"))],
                Some(0.0),
                Some(0),
                Some((0, 6)),
            ),
            (
                &[(0, Err("no")), (3, Ok(1)), (11, Err("nope"))],
                Some(0.4),
                Some(11),
                Some((11, 11)),
            ),
        ];
        for (looks, up, down, trouble) in table {
            let found = health(&seen(looks), over(12), 4);
            assert_eq!(found.up, *up, "{looks:?}");
            assert_eq!(
                found.down_since,
                down.map(|hours| FROM + HOUR * hours),
                "{looks:?}"
            );
            let window = found.trouble.map(|(window, _)| window);
            let want = trouble.map(|(from, to)| Window {
                start: FROM + HOUR * from,
                end: FROM + HOUR * to,
            });
            assert_eq!(window, want, "{looks:?}");
        }
    }

    #[test]
    fn what_nobody_has_looked_at_for_days_is_no_outage_of_days() {
        let day = |days: u32| days * 24;
        let trouble = |looks: &[(u32, Result<u64, &'static str>)]| {
            let found = health(&seen(looks), over(day(30)), 30);
            let window = found.trouble.map(|(window, _)| window).expect("one failed");
            let hours = |at: Timestamp| at.since(FROM).as_secs() / 3_600;
            let down = found.down_since.map(hours);
            (hours(window.start), hours(window.end), down)
        };
        let (no, good) = (Err("no"), Ok(7));
        assert_eq!(trouble(&[(0, no), (5, no), (day(8), good)]), (0, 5, None));
        assert_eq!(trouble(&[(0, no), (5, no), (40, good)]), (0, 40, None));
        let again = u64::from(day(20));
        let two = [(0, no), (5, no), (day(20), no)];
        assert_eq!(trouble(&two), (again, again, Some(again)));
    }

    #[test]
    fn an_outage_is_as_old_as_it_is_not_as_what_was_summed_up() {
        let looks = [(0, Ok(1)), (2, Err("no")), (9, Err("nope"))];
        let found = health(&seen(&looks), over(12), 4);
        let earlier = Some(FROM - HOUR * 100);
        let whole = found.clone().down_from(earlier);
        let began = whole.trouble.as_ref().map(|(window, _)| window.start);
        assert_eq!((whole.down_since, began), (earlier, earlier));
        assert_eq!(whole.up, found.up);
        // One that is over is over.
        let over = health(&seen(&[(0, Err("no")), (1, Ok(1))]), over(12), 4);
        assert_eq!(over.clone().down_from(earlier), over);
    }

    #[test]
    fn nobody_knows_how_it_was_long_after_a_look() {
        // Two of 100 hours are known, both of them good; then two bad ones.
        let found = health(&seen(&[(0, Ok(1)), (100, Err("no"))]), over(200), 1);
        assert_eq!((found.up, found.known), (Some(0.5), HOLDS * 2));
        let is_current = |hours| found.is_current(FROM + HOUR * hours);
        assert!(is_current(102) && !is_current(103));
        let none = health(&[], over(200), 1);
        assert!(!none.is_current(FROM) && none.known.is_zero());
    }

    #[test]
    fn each_look_counts_in_its_part_of_the_time() {
        let looks = seen(&[
            (0, Ok(4)),
            (1, Ok(9)),
            (2, Ok(5)),
            (6, Err("no")),
            (12, Ok(8)),
        ]);
        let found = health(&looks, over(12), 4);
        let shown: Vec<_> = found.parts.iter().map(|p| (p.up, p.down)).collect();
        assert_eq!(shown, [(3, 0), (0, 0), (0, 1), (1, 0)]);
        let ms = Duration::from_millis;
        assert_eq!(found.parts[0].median, Some(ms(5)));
        assert_eq!(found.median, Some(ms(5)));
        assert_eq!(found.last.map(|last| last.at), Some(FROM + HOUR * 12));
        // What lies outside does not count.
        assert_eq!(health(&looks, over(1), 1).parts[0].up, 2);
    }
}
