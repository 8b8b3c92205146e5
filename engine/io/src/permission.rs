//! Who may read and write a file: the few acts that differ between operating systems.

use std::path::PathBuf;

/// What tells a folder from another one that lies in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity(u64, u64);

/// Whom a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name, or the number of a user without one.
    pub name: String,
    /// True for root.
    pub is_root: bool,
    /// True for the user of this process.
    pub is_us: bool,
}

/// Something in a folder that users other than its owner may read or enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// What.
    pub path: PathBuf,
    /// Its permission bits, as `chmod` takes them.
    pub mode: u32,
}

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{
    belongs_to_others, exposed_within, identity, keys_of_everybody, let_all_read, may_be_run,
    may_write_within, open_to_others, others_can_read, others_can_write, others_can_write_within,
    owner, shut, shut_to, user,
};
#[cfg(windows)]
pub use windows::{
    belongs_to_others, exposed_within, identity, keys_of_everybody, let_all_read, may_be_run,
    may_write_within, open_to_others, others_can_read, others_can_write, others_can_write_within,
    owner, shut, shut_to, user,
};

#[cfg(windows)]
pub(crate) use windows::system_program;

#[cfg(unix)]
pub(crate) use unix::{
    belongs_to_us, create_open_dirs, create_private_dir, open_private, private_tempdir,
    put_in_place, shield, sync_dir,
};
#[cfg(windows)]
pub(crate) use windows::{
    belongs_to_us, create_open_dirs, create_private_dir, open_private, private_tempdir,
    put_in_place, shield, sync_dir,
};
