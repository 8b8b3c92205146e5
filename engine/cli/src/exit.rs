//! Exit codes: what a script may rely on.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing was due.
    Done = 0,
    /// Somebody should look: `status`, `check`.
    NeedsPerson = 1,
    /// The command line is wrong, or, with `plan --detailed-exitcode`, there is something to do.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// Some certificates failed.
    SomeFailed = 4,
    /// All certificates failed.
    AllFailed = 5,
    /// Issued, but not installed.
    NotInstalled = 6,
    /// Another run is at work.
    Locked = 7,
    /// The state or a file must not be used by this user.
    Denied = 8,
    /// Something that cannot happen did.
    Bug = 70,
}

impl Exit {
    /// `plan --detailed-exitcode` with something to do.
    pub const CHANGES: Self = Self::Usage;
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants are the codes.
        Self::from(exit as u8)
    }
}
