//! What a clock that was ahead has noted.

use rusqlite::{TransactionBehavior, params};
use waxwing_core::time::{SKEW, Timestamp};
use waxwing_flow::budget::WAITS;
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, failed};

const FOUND: &str = "
SELECT EXISTS (SELECT 1 FROM attempt WHERE ended > ?1 AND astray IS NULL)
    OR EXISTS (SELECT 1 FROM cut_off WHERE at > ?1)
    OR EXISTS (SELECT 1 FROM budget WHERE at > ?1 AND kind IN (?2, ?3, ?4))";

/// Lets nothing count that is noted behind `now`.
pub(super) fn forget(history: &SqliteHistory, now: Timestamp) -> Result<(), StoreError> {
    let latest = (now + SKEW).unix_ms();
    let [closed, rehearsal, forbidden] = WAITS;
    let mut connection = history.connection();
    let found = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare(FOUND)?;
        statement.query_row(params![latest, closed, rehearsal, forbidden], |row| {
            row.get(0)
        })
    };
    if !found().map_err(|cause| failed("read", &history.path, &cause))? {
        return Ok(());
    }
    let mut write = || -> rusqlite::Result<()> {
        let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work.execute(
            "UPDATE attempt SET astray = ?2 WHERE ended > ?1 AND astray IS NULL",
            [latest, now.unix_ms()],
        )?;
        work.execute("DELETE FROM cut_off WHERE at > ?1", [latest])?;
        work.execute(
            "DELETE FROM budget WHERE at > ?1 AND kind IN (?2, ?3, ?4)",
            params![latest, closed, rehearsal, forbidden],
        )?;
        work.commit()
    };
    write().map_err(|cause| failed("write", &history.path, &cause))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use waxwing_core::budget::Bucket;
    use waxwing_core::failure::FailureClass;
    use waxwing_core::name::{CaName, CertificateName};
    use waxwing_flow::history::{ClosedAttempt, ClosedResult};
    use waxwing_flow::ports::{BudgetKey, History as _};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn what_a_clock_that_was_ahead_has_noted_never_counts_and_all_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = SqliteHistory::open(folder.path()).expect("a new one");
        let name = CertificateName::parse("shop").expect("a literal name");
        let times = [NOW - HOUR, NOW + SKEW, NOW + HOUR * 22];
        let note = |ended: Timestamp, result: ClosedResult| {
            let attempt = ClosedAttempt {
                run: "r".to_owned(),
                certificate: name.clone(),
                ca: CaName::parse("one").expect("a literal name"),
                stands_in: None,
                started: ended,
                ended,
                requests: 1,
                result,
            };
            history.record(&attempt).expect("written");
        };
        let failure = |ended: Timestamp, local: bool| ClosedResult::Failed {
            class: match local {
                true => FailureClass::Transient,
                false => FailureClass::Bug,
            },
            theirs: !local,
            firm: !local,
            local,
            until: Some(ended + HOUR * 24 * 7),
            causes: vec!["503".to_owned()],
        };
        for ended in times {
            note(ended, failure(ended, false));
            note(ended, failure(ended, true));
        }
        history.cut_off(NOW + HOUR * 5).expect("written");
        let key = |kind: &str, at: Timestamp| BudgetKey {
            owner: "one".to_owned(),
            kind: kind.to_owned(),
            what: at.to_string(),
        };
        let kinds = ["closed", "rehearsal", "orders"];
        for (kind, at) in kinds.iter().flat_map(|kind| times.map(|at| (kind, at))) {
            let bucket = Bucket { level: 9.0, at };
            let kept = history.change_budget(&key(kind, at), &mut |_| Some(bucket));
            kept.expect("written");
        }
        for _ in 0..2 {
            history.forget_ahead(NOW).expect("taken away");
            // Also when its time has come.
            for now in [NOW, NOW + HOUR * 30] {
                let past = history.past(&name, now).expect("read");
                let counted: Vec<_> = past.failed.iter().map(|one| one.at).collect();
                assert_eq!(counted, [times[0], times[0], times[1], times[1]]);
                assert_eq!(past.issued, times[..2]);
                assert_eq!(past.doubtful, [(times[2], NOW)]);
            }
            let moments = history.reached(NOW - HOUR * 2).expect("read");
            assert!(moments.iter().all(|(at, _)| *at <= times[1]), "{moments:?}");
            for (kind, at) in kinds.iter().flat_map(|kind| times.map(|at| (kind, at))) {
                let is_kept = *kind == "orders" || at != times[2];
                let found = history.budget(&key(kind, at)).expect("read");
                assert_eq!(found.is_some(), is_kept, "{kind} {at}");
            }
        }
        // They stay to be read, and what is issued ends what failed before it.
        note(NOW + HOUR * 40, ClosedResult::Issued { version: 1 });
        history.forget_ahead(NOW).expect("taken away");
        let past = history.past(&name, NOW).expect("read");
        assert_eq!((past.failed.len(), past.issued.len()), (0, 2));
        assert_eq!(past.doubtful.len(), 2);
    }
}
