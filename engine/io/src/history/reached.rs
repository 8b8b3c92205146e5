//! When this machine has reached nobody, and since when a CA has not answered.

use std::collections::BTreeMap;

use rusqlite::params;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::outage::{Away, Down};
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::SqliteHistory;
use super::rows::{ca, maybe_time, time};

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

/// The looks at each CA that failed since the last one that was answered.
const FAILED: &str = "
SELECT ca, at FROM sighting AS one
WHERE cause IS NOT NULL
  AND id > (SELECT coalesce(max(id), 0) FROM sighting
            WHERE ca = one.ca AND cause IS NULL)
ORDER BY id";

impl SqliteHistory {
    /// The CAs that failed when somebody last talked to them.
    pub(super) fn down(&self) -> Result<BTreeMap<CaName, Down>, StoreError> {
        let mut down: BTreeMap<CaName, Down> = BTreeMap::new();
        for (ca, at) in self.rows(FAILED, [], |row| Ok((ca(row, 0)?, time(row, 1)?)))? {
            let first = Down::first(at);
            down.entry(ca)
                .and_modify(|one| one.again(at))
                .or_insert(first);
        }
        let Some(first) = down.values().map(|one| one.since).min() else {
            return Ok(BTreeMap::new());
        };
        let moments = self.changes(first)?;
        for one in down.values_mut() {
            one.away = Away::behind(one.since, moments.iter().copied());
        }
        Ok(down)
    }

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
