//! How much can still be written to the disk of a folder.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::left;
#[cfg(windows)]
pub use windows::left;

/// Fewer bytes than this are too few for a run: an order, a key and a version of a certificate.
pub const LEAST: u64 = 256 * 1024;
