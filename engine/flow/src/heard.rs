//! When each CA has answered in a run, for whoever has to know whether it is down or this machine cut off.
//!
//! An answer is noted in the moment in which it is heard, not when the attempt ends that it was given to:
//! between the two another attempt may meet a silence and ask whether the CA was there. What a newcomer
//! gets wrong: a session opens from a copy of the directory and a known account, so that an open one proves
//! nothing, and a CA that answers "try again later" is reached, which is not the same as being up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use waxwing_core::name::CaName;
use waxwing_core::outage::Down;
use waxwing_core::retry::ladder;
use waxwing_core::time::Timestamp;

use crate::history::Sighting;
use crate::ports::History;

/// So long an answer that was well says that a CA is not down.
const WELL: Duration = Duration::from_secs(5 * 60);

/// An answer of a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// When it was there.
    pub(crate) at: Timestamp,
    /// From the start of sending to the last byte.
    pub(crate) took: Duration,
    /// True if the CA does its work; false if it says that it does not.
    pub(crate) well: bool,
}

/// What is known of CAs in a run; shared by all of its sessions.
pub(crate) struct Heard {
    history: Arc<dyn History>,
    cas: Mutex<BTreeMap<CaName, Known>>,
    /// When this machine has reached nobody, as earlier runs left it.
    reached: Vec<(Timestamp, bool)>,
}

#[derive(Default)]
struct Known {
    /// Since when it has been down, as earlier runs left it; none once it has answered.
    down: Option<Down>,
    /// The last answer of any kind.
    answer: Option<Answer>,
    /// The last one that was well.
    well: Option<Answer>,
    /// True if the last line of the history about it says that it answers, and this run has written it.
    noted: bool,
}

impl Heard {
    /// What earlier runs have left.
    pub(crate) fn new(history: Arc<dyn History>, now: Timestamp) -> Self {
        let down = history.down_since().unwrap_or_else(|error| {
            // Nobody's standing suffers.
            tracing::warn!(cause = %error, "what is known of CAs could not be read");
            BTreeMap::new()
        });
        let known = |down| Known {
            down: Some(down),
            ..Known::default()
        };
        let cas = down.into_iter().map(|(ca, down)| (ca, known(down)));
        let reached = history.reached(now - ladder::GAP).unwrap_or_else(|error| {
            tracing::warn!(cause = %error, "when the network was away could not be read");
            Vec::new()
        });
        Self {
            cas: Mutex::new(cas.collect()),
            reached,
            history,
        }
    }

    /// When this machine began to reach nobody (true), and when it reached somebody again, before this run.
    pub(crate) fn reached(&self) -> &[(Timestamp, bool)] {
        &self.reached
    }

    /// CAs that have been down since before this run.
    pub(crate) fn down(&self) -> BTreeMap<CaName, Down> {
        let cas = self.cas();
        let down = |(ca, known): (&CaName, &Known)| Some((ca.clone(), known.down?));
        cas.iter().filter_map(down).collect()
    }

    /// The last answer of a CA in this run.
    pub(crate) fn last(&self, ca: &CaName) -> Option<Answer> {
        self.cas().get(ca)?.answer
    }

    /// A CA has answered.
    pub(crate) fn answered(&self, ca: &CaName, answer: Answer) {
        let mut cas = self.cas();
        let known = cas.entry(ca.clone()).or_default();
        known.answer = later(known.answer, answer);
        if !answer.well {
            return;
        }
        known.well = later(known.well, answer);
        known.down = None;
        if !std::mem::replace(&mut known.noted, true) {
            self.note(ca, answer.at, Ok(answer.took));
        }
    }

    /// A CA did not answer at that moment, or not as it should; whether that is this machine's fault was
    /// looked at since. One that has answered well a moment ago, and fails what it is asked for with an answer, is not
    /// down: what comes of attempts is seen from the attempts.
    pub(crate) fn silent(&self, ca: &CaName, at: Timestamp, cause: String, has_answered: bool) {
        let mut cas = self.cas();
        let known = cas.entry(ca.clone()).or_default();
        let well = |answer: Answer| answer.at <= at && at.since(answer.at) <= WELL;
        if has_answered && known.well.is_some_and(well) {
            return;
        }
        self.note(ca, at, Err(cause));
        known.noted = false;
        // Somebody else has had an answer of it since.
        if let Some(answer) = known.well.filter(|answer| answer.at > at) {
            self.note(ca, answer.at, Ok(answer.took));
            known.noted = true;
        }
    }

    fn note(&self, ca: &CaName, at: Timestamp, result: Result<Duration, String>) {
        let sighting = Sighting {
            ca: ca.clone(),
            at,
            result,
        };
        if let Err(error) = self.history.sight(&sighting) {
            tracing::warn!(ca = %ca, cause = %error, "what a CA answered could not be noted");
        }
    }

    fn cas(&self) -> MutexGuard<'_, BTreeMap<CaName, Known>> {
        self.cas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(known: Option<Answer>, answer: Answer) -> Option<Answer> {
    known.filter(|known| known.at > answer.at).or(Some(answer))
}
