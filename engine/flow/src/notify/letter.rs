//! A letter on its way, and what became of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::Notice;
use waxwing_core::retry;
use waxwing_core::time::Timestamp;

/// A letter that could not be delivered for so long is given up: nobody wants to read it any more.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A notice on its way to one notifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// To whom.
    pub notifier: NotifierName,
    /// What.
    pub notice: Notice,
}

/// A letter that was not delivered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its number in the outbox.
    pub id: i64,
    /// The letter.
    pub letter: Letter,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub next: Timestamp,
    /// Why it could not be delivered the last time.
    pub cause: Option<String>,
    /// Who still lacks it, if others have it.
    pub rest: Rest,
}

/// The recipients that still lack a letter which others have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    /// Those that are tried again. Nobody named: the letter is for everybody.
    pub to: Vec<String>,
    /// True if others were refused for good, so that not everybody has it when these do.
    pub refused: bool,
}

impl Waiting {
    /// True if others have it already. Such a letter keeps nobody from what comes behind it.
    pub const fn is_rest(&self) -> bool {
        !self.rest.to.is_empty()
    }

    /// When it is tried next, seen from `now`. A moment further ahead than any wait was written by a
    /// wrong clock and means now.
    pub fn next_try(&self, now: Timestamp) -> Timestamp {
        if self.next.since(now) > retry::LONGEST_RESEND {
            return now;
        }
        self.next
    }

    /// True if nobody wants to read it any more. The age of one that was written by a clock that was
    /// ahead is not known, so its tries are counted.
    pub(super) fn is_given_up(&self, now: Timestamp) -> bool {
        let written = self.letter.notice.at;
        let tries = GIVEN_UP.as_secs() / retry::LONGEST_RESEND.as_secs();
        let often = u64::from(self.attempts) > tries;
        now.since(written) > GIVEN_UP || written > now && often
    }
}

/// A notice as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The same for every try, so that a receiver can drop a double; letters, digits and `-`.
    pub id: String,
    /// The recipients that it is for, of those of the notifier; all, if nobody is named.
    pub only: Vec<String>,
    /// What it says.
    pub notice: Notice,
    /// One line.
    pub subject: String,
    /// For people.
    pub text: String,
    /// The same with markup.
    pub html: String,
}

/// A message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivered {
    /// What the receiver answered, a line each.
    pub answers: Vec<String>,
    /// Recipients that the receiver refused, and why, while it took others.
    pub refused: Vec<String>,
    /// Recipients that the receiver does not take it for now, while it took others.
    pub deferred: Vec<Deferred>,
}

impl Delivered {
    /// True if everybody has it.
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty() && self.deferred.is_empty()
    }

    /// Whom it did not reach, and why.
    pub fn lacking(&self) -> impl Iterator<Item = String> + '_ {
        let deferred = self.deferred.iter().map(ToString::to_string);
        self.refused.iter().cloned().chain(deferred)
    }
}

/// A recipient that is to be tried again (RFC 5321 section 4.2.1, replies of 4yz).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// Who.
    pub recipient: String,
    /// What the receiver said.
    pub why: String,
}

impl fmt::Display for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.recipient, self.why)
    }
}
