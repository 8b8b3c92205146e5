//! There are no owners and mode bits that a configuration could name.

use std::path::Path;

use super::Rights;

/// Nothing that could be taken over.
pub const fn rights(_path: &Path) -> Option<Rights> {
    None
}
