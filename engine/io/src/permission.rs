//! Who may read and write a file: the few acts that differ between operating systems.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{
    belongs_to_others, let_all_read, may_write_within, open_to_others, others_can_read,
    others_can_write, others_can_write_within,
};
#[cfg(windows)]
pub use windows::{
    belongs_to_others, let_all_read, may_write_within, open_to_others, others_can_read,
    others_can_write, others_can_write_within,
};

#[cfg(unix)]
pub(crate) use unix::{belongs_to_us, create_private_dir, open_private, sync_dir};
#[cfg(windows)]
pub(crate) use windows::{belongs_to_us, create_private_dir, open_private, sync_dir};
