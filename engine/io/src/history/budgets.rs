//! What is left of budgets, which several processes change at once.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use waxwing_core::budget::Bucket;
use waxwing_core::time::{SKEW, Timestamp};
use waxwing_flow::budget::WAITS;
use waxwing_flow::ports::{BudgetKey, ChangeBudgets, StoreError};

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

const AHEAD: &str = "SELECT EXISTS (SELECT 1 FROM attempt WHERE ended > ?1 AND until IS NOT NULL)
     OR EXISTS (SELECT 1 FROM budget WHERE at > ?1 AND kind IN (?2, ?3))";

/// Takes away the waits that were noted behind `now`. An attempt stays what it was, but for its wait.
pub(super) fn forget_waits_ahead(
    history: &SqliteHistory,
    now: Timestamp,
) -> Result<(), StoreError> {
    let latest = (now + SKEW).unix_ms();
    let [closed, rehearsal] = WAITS;
    let mut connection = history.connection();
    let found = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare(AHEAD)?;
        statement.query_row(params![latest, closed, rehearsal], |row| row.get(0))
    };
    if !found().map_err(|cause| failed("read", &history.path, &cause))? {
        return Ok(());
    }
    let mut write = || -> rusqlite::Result<()> {
        let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work.execute(
            "UPDATE attempt SET until = NULL WHERE ended > ?1 AND until IS NOT NULL",
            [latest],
        )?;
        work.execute(
            "DELETE FROM budget WHERE at > ?1 AND kind IN (?2, ?3)",
            params![latest, closed, rehearsal],
        )?;
        work.commit()
    };
    write().map_err(|cause| failed("write", &history.path, &cause))
}

#[cfg(test)]
mod tests {
    use waxwing_core::failure::FailureClass;
    use waxwing_core::name::{CaName, CertificateName};
    use waxwing_flow::history::{ClosedAttempt, ClosedResult};
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

    #[test]
    fn waits_of_a_clock_that_was_ahead_are_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = SqliteHistory::open(folder.path()).expect("a new one");
        let hour = std::time::Duration::from_secs(60 * 60);
        let name = CertificateName::parse("shop").expect("a literal name");
        let ca = CaName::parse("one").expect("a literal name");
        let times = [NOW - hour, NOW + SKEW, NOW + hour * 22];
        for ended in times {
            let attempt = ClosedAttempt {
                run: "r".to_owned(),
                certificate: name.clone(),
                ca: ca.clone(),
                stands_in: None,
                started: ended,
                ended,
                requests: 1,
                result: ClosedResult::Failed {
                    class: FailureClass::RateLimited,
                    theirs: true,
                    firm: false,
                    local: false,
                    until: Some(ended + hour * 24 * 7),
                    causes: vec!["503".to_owned()],
                },
            };
            history.record(&attempt).expect("written");
        }
        let key = |kind: &str, at: Timestamp| BudgetKey {
            owner: "one".to_owned(),
            kind: kind.to_owned(),
            what: at.to_string(),
        };
        let kinds = ["closed", "rehearsal", "orders"];
        for (kind, at) in kinds.iter().flat_map(|kind| times.map(|at| (kind, at))) {
            let kept =
                history.change_budget(&key(kind, at), &mut |_| Some(Bucket { level: 9.0, at }));
            kept.expect("written");
        }
        for _ in 0..2 {
            history.forget_waits_ahead(NOW).expect("taken away");
            let past = history.past(&name, NOW).expect("read");
            let waits: Vec<_> = past.failed.iter().map(|one| one.until.is_some()).collect();
            assert_eq!(waits, [true, true, false]);
            for (kind, at) in kinds.iter().flat_map(|kind| times.map(|at| (kind, at))) {
                let is_kept = *kind == "orders" || at != times[2];
                let found = history.budget(&key(kind, at)).expect("read");
                assert_eq!(found.is_some(), is_kept, "{kind} {at}");
            }
        }
    }
}
