//! How many requests were sent to each CA, over all runs.

use std::collections::BTreeMap;

use rusqlite::{TransactionBehavior, params};
use waxwing_core::name::CaName;
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, ca, failed};

const ADD: &str = "
INSERT INTO request (ca, sent) VALUES (?1, ?2)
ON CONFLICT (ca) DO UPDATE SET sent = sent + excluded.sent";

/// Adds to what is kept, in one step, so that two processes do not lose each other's.
pub(super) fn count(
    history: &SqliteHistory,
    sent: &BTreeMap<CaName, u64>,
) -> Result<(), StoreError> {
    let mut connection = history.connection();
    let mut write = || -> rusqlite::Result<()> {
        let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (ca, number) in sent {
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            work.execute(ADD, params![ca.as_str(), number])?;
        }
        work.commit()
    };
    write().map_err(|cause| failed("write", &history.path, &cause))
}

impl SqliteHistory {
    /// How many requests were sent to each CA since the history began. It only grows, and is not pruned.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn requests(&self) -> Result<Vec<(CaName, u64)>, StoreError> {
        self.rows("SELECT ca, sent FROM request ORDER BY ca", [], |row| {
            let sent: i64 = row.get(1)?;
            Ok((ca(row, 0)?, u64::try_from(sent).unwrap_or(0)))
        })
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::time::Timestamp;
    use waxwing_flow::ports::History as _;

    use super::*;

    #[test]
    fn what_two_processes_have_sent_is_added_and_is_never_less() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || SqliteHistory::open(folder.path()).expect("the same");
        let ca = |name: &str| CaName::parse(name).expect("a literal name");
        let (one, two) = (open(), open());
        assert_eq!(one.requests(), Ok(Vec::new()));
        let sent = BTreeMap::from([(ca("first"), 3), (ca("second"), 1)]);
        one.count_requests(&sent).expect("written");
        let sent = BTreeMap::from([(ca("first"), 4)]);
        two.count_requests(&sent).expect("written");
        two.prune(Timestamp::from_unix(4_000_000_000))
            .expect("pruned");
        let all = vec![(ca("first"), 7), (ca("second"), 1)];
        assert_eq!(one.requests(), Ok(all));
    }
}
