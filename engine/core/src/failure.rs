//! The class of a failure: what can be done about it.
//!
//! Every error type of the engine answers `class()`, from its typed cause; nothing decides on the
//! text of a message.

use std::fmt;

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Trouble that passes: connection, time-out, 5xx, a lock held by another run.
    Transient,
    /// Somebody asked us to come back later.
    RateLimited,
    /// The CA looked and said no: a challenge failed, CAA forbids, a name is not allowed.
    Rejected,
    /// The configuration, a grant or a credential is wrong.
    Misconfigured,
    /// Only a person can go on: new terms of service, an account that is blocked.
    NeedsPerson,
    /// The run was stopped on purpose.
    Cancelled,
    /// Something that cannot happen did, here, at the CA or in a plugin.
    Bug,
}

impl FailureClass {
    /// Every class, in the order above.
    pub const ALL: [Self; 7] = [
        Self::Transient,
        Self::RateLimited,
        Self::Rejected,
        Self::Misconfigured,
        Self::NeedsPerson,
        Self::Cancelled,
        Self::Bug,
    ];

    /// The stable name in JSON and in stored files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate-limited",
            Self::Rejected => "rejected",
            Self::Misconfigured => "misconfigured",
            Self::NeedsPerson => "needs-person",
            Self::Cancelled => "cancelled",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
