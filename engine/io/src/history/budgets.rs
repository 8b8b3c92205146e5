//! What is left of budgets, which several processes change at once.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use waxwing_core::budget::Bucket;
use waxwing_flow::ports::{BudgetKey, ChangeBudgets, StoreError};

use super::rows::is_damage;
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
    match bucket.optional() {
        // What nobody can read holds nobody: the CA counts for itself.
        Err(cause) if is_damage(&cause) => Ok(None),
        bucket => bucket,
    }
}

/// Reads and keeps while nobody else writes: a transaction that begins as a writer. One that begins
/// as a reader lets two processes read the same before either writes.
pub(super) fn change(
    history: &SqliteHistory,
    keys: &[BudgetKey],
    change: ChangeBudgets<'_>,
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

#[cfg(test)]
mod tests {
    use waxwing_core::time::Timestamp;
    use waxwing_flow::ports::History as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);

    #[test]
    fn budgets_come_back_as_they_were_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = SqliteHistory::open(folder.path()).expect("a new one");
        let key = BudgetKey {
            owner: "one".to_owned(),
            kind: "orders".to_owned(),
            what: "https://one.example/account/1".to_owned(),
        };
        let other = BudgetKey {
            kind: "authorizations".to_owned(),
            ..key.clone()
        };
        assert_eq!(history.budget(&key), Ok(None));
        let bucket = Bucket {
            level: 2.25,
            at: NOW,
        };
        let mut seen = Vec::new();
        let kept = history.change_budgets(&[key.clone(), other.clone()], &mut |kept| {
            seen.push(kept.to_vec());
            Some(vec![
                bucket,
                Bucket {
                    level: 7.0,
                    at: NOW,
                },
            ])
        });
        kept.expect("written");
        let kept = history.change_budget(&key, &mut |kept| {
            seen.push(vec![kept]);
            None
        });
        kept.expect("read");
        assert_eq!(seen, [vec![None, None], vec![Some(bucket)]]);
        assert_eq!(history.budget(&key), Ok(Some(bucket)), "left as it was");
        let other = history.budget(&other).expect("read").expect("kept");
        assert_eq!(other.level.total_cmp(&7.0), std::cmp::Ordering::Equal);
    }

    #[test]
    fn two_processes_that_count_at_once_lose_no_count() {
        const EACH: u32 = 40;
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ["account", "shop.example"].map(|what| BudgetKey {
            owner: "one".to_owned(),
            kind: "orders".to_owned(),
            what: what.to_owned(),
        });
        drop(SqliteHistory::open(folder.path()).expect("a new one"));
        let start = std::sync::Barrier::new(2);
        let count = || {
            let history = SqliteHistory::open(folder.path()).expect("the same");
            start.wait();
            for _ in 0..EACH {
                let counted = history.change_budgets(&keys, &mut |kept| {
                    let level = |kept: &Option<Bucket>| kept.map_or(0.0, |bucket| bucket.level);
                    let more = kept.iter().map(|kept| Bucket {
                        level: level(kept) + 1.0,
                        at: NOW,
                    });
                    Some(more.collect())
                });
                counted.expect("counted");
            }
        };
        std::thread::scope(|threads| {
            threads.spawn(count);
            threads.spawn(count);
        });
        let history = SqliteHistory::open(folder.path()).expect("the same");
        for key in &keys {
            let bucket = history.budget(key).expect("read").expect("there");
            assert!(
                (bucket.level - f64::from(2 * EACH)).abs() < f64::EPSILON,
                "{bucket:?}"
            );
        }
    }
}
