//! What is forgotten of the history.

use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::SqliteHistory;

/// Forgets what ended before, but nothing that still counts.
pub(super) fn prune(history: &SqliteHistory, before: Timestamp) -> Result<(), StoreError> {
    // What still counts: the last certificate of each name, and every failure behind it.
    history.write(
        "DELETE FROM attempt WHERE ended < ?1
         AND id < (SELECT coalesce(max(id), 0) FROM attempt AS other
                   WHERE other.certificate = attempt.certificate
                     AND other.version IS NOT NULL)",
        [before.unix_ms()],
    )?;
    history.write(
        "DELETE FROM sighting WHERE at < ?1
         AND id < (SELECT coalesce(max(id), 0) FROM sighting AS other
                   WHERE other.ca = sighting.ca AND other.cause IS NULL)",
        [before.unix_ms()],
    )?;
    history.write("DELETE FROM unasked WHERE ended < ?1", [before.unix_ms()])?;
    history.write(
        "DELETE FROM revocation WHERE ended < ?1",
        [before.unix_ms()],
    )?;
    history.write("DELETE FROM deploy WHERE ended < ?1", [before.unix_ms()])
}
