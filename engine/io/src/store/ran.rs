//! The trace of a timer's run: that a timer starts something says nothing of what becomes of it.

use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::{FileStore, atomic, read};

impl FileStore {
    /// The file of it in the state folder.
    pub const LAST_RUN: &str = "last-run";

    /// Notes that a run is here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ran(&self, now: Timestamp) -> Result<(), StoreError> {
        atomic::replace(&self.layout.last_run(), format!("{now}\n").as_bytes())
    }

    /// When a run was here last; none if that is not known.
    pub fn last_run(&self) -> Option<Timestamp> {
        let text = read::text(&self.layout.last_run()).ok().flatten()?;
        Timestamp::parse(text.trim()).ok()
    }
}
