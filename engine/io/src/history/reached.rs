//! When this machine has reached nobody.

use rusqlite::params;
use waxwing_core::failure::FailureClass;
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::SqliteHistory;
use super::rows::{maybe_time, time};

/// The first time since a moment that this machine reached nobody.
const CUT_OFF: &str = "
SELECT min(at) FROM (
    SELECT min(ended) AS at FROM attempt
    WHERE ended >= ?1 AND version IS NULL AND local AND class = ?2 AND astray IS NULL
    UNION ALL SELECT min(at) FROM cut_off WHERE at >= ?1)";

/// Since a moment: when this machine reached nobody (1), and when it reached somebody (0).
const REACHED: &str = "
SELECT ended AS at, version IS NULL AND local AND class = ?2 AS away FROM attempt
WHERE ended >= ?1 AND astray IS NULL
UNION ALL SELECT at, 0 FROM sighting WHERE at >= ?1
UNION ALL SELECT at, 1 FROM cut_off WHERE at >= ?1
ORDER BY at, away";

impl SqliteHistory {
    /// Since then: when this machine began to reach nobody, and when it reached somebody again.
    pub(super) fn changes(&self, since: Timestamp) -> Result<Vec<(Timestamp, bool)>, StoreError> {
        let class = FailureClass::Transient.as_str();
        let values = params![since.unix_ms(), class];
        // Most machines never are, and need not read on.
        let first = self.rows(CUT_OFF, values, |row| maybe_time(row, 0))?;
        let Some(first) = first.into_iter().flatten().next() else {
            return Ok(Vec::new());
        };
        let values = params![first.unix_ms(), class];
        let mut moments = self.rows(REACHED, values, |row| Ok((time(row, 0)?, row.get(1)?)))?;
        moments.dedup_by_key(|(_, away)| *away);
        Ok(moments)
    }
}
