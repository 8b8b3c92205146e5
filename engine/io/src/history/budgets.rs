//! What is left of budgets, which several processes change at once.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use waxwing_core::budget::Bucket;
use waxwing_flow::ports::{BudgetKey, StoreError};

use super::{SqliteHistory, failed, time};

const KEPT: &str = "SELECT level, at FROM budget WHERE owner = ? AND kind = ? AND what = ?";

const KEEP: &str =
    "INSERT OR REPLACE INTO budget (owner, kind, what, level, at) VALUES (?, ?, ?, ?, ?)";

pub(super) fn read(connection: &Connection, key: &BudgetKey) -> rusqlite::Result<Option<Bucket>> {
    let mut statement = connection.prepare(KEPT)?;
    let bucket = statement.query_row(params![key.owner, key.kind, key.what], |row| {
        Ok(Bucket {
            level: row.get(0)?,
            at: time(row, 1)?,
        })
    });
    bucket.optional()
}

/// Reads and keeps while nobody else writes: a transaction that begins as a writer. One that begins
/// as a reader lets two processes read the same before either writes.
pub(super) fn change(
    history: &SqliteHistory,
    keys: &[BudgetKey],
    change: &mut dyn FnMut(&[Option<Bucket>]) -> Option<Vec<Bucket>>,
) -> Result<(), StoreError> {
    let mut connection = history.connection();
    let mut write = || -> rusqlite::Result<()> {
        let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let kept = keys.iter().map(|key| read(&work, key));
        let kept = kept.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(buckets) = change(&kept) else {
            return Ok(());
        };
        for (key, bucket) in keys.iter().zip(buckets) {
            let at = bucket.at.unix_ms();
            let values = params![key.owner, key.kind, key.what, bucket.level, at];
            work.execute(KEEP, values)?;
        }
        work.commit()
    };
    write().map_err(|cause| failed("write", &history.path, &cause))
}
