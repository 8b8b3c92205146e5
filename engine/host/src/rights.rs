//! Whether the rights of a grant can be given on this machine, before anything is written.

use waxwing_core::plugin::GrantFiles;

use crate::files;

/// Owner and group of a grant that this machine does not have: the key and the name. A write with
/// such a grant fails.
pub fn unknown_owners(grant: &GrantFiles) -> Vec<(&'static str, &str)> {
    files::unknown_owners(grant)
}
