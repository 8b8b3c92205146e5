//! The calls a plugin gets, and which of them may change the world.

use std::fmt;

/// Which call is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Validate,
    Preflight,
    Present,
    Cleanup,
    Plan,
    Install,
    Verify,
    Rollback,
}

impl Phase {
    /// The name in the contract, in errors and in logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Preflight => "preflight",
            Self::Present => "present",
            Self::Cleanup => "cleanup",
            Self::Plan => "plan",
            Self::Install => "install",
            Self::Verify => "verify",
            Self::Rollback => "rollback",
        }
    }

    /// True if nothing outside may be changed.
    pub(crate) const fn is_read_only(self) -> bool {
        match self {
            Self::Validate | Self::Preflight | Self::Plan | Self::Verify => true,
            Self::Present | Self::Cleanup | Self::Install | Self::Rollback => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
