//! Databases of older versions, each brought to that of today.

use std::fs;

use super::*;

#[test]
fn a_history_of_each_older_version_is_read_and_a_copy_is_kept() {
    for (version, fixture) in FIXTURES {
        bring_one_forward(version, fixture);
    }
}

/// A database of each older version.
pub(super) const FIXTURES: [(i64, &str); 8] = [
    (1, include_str!("../../../fixtures/history-1.sql")),
    (2, include_str!("../../../fixtures/history-2.sql")),
    (3, include_str!("../../../fixtures/history-3.sql")),
    (4, include_str!("../../../fixtures/history-4.sql")),
    (5, include_str!("../../../fixtures/history-5.sql")),
    (6, include_str!("../../../fixtures/history-6.sql")),
    (7, include_str!("../../../fixtures/history-7.sql")),
    (8, include_str!("../../../fixtures/history-8.sql")),
];

fn bring_one_forward(version: i64, fixture: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxwing.db");
    let old = Connection::open(&path).expect("a new one");
    old.execute_batch(fixture).expect("well written");
    drop(old);
    let history = SqliteHistory::open(folder.path()).expect("brought forward");
    let now = Timestamp::from_unix(1_795_004_000);
    let past = history.past(&name("shop"), now).expect("read");
    let until = past.failed.first().and_then(|failed| failed.until);
    assert_eq!((past.issued.len(), past.failed.len()), (1, 1));
    assert_eq!(until, Some(Timestamp::from_unix(1_795_007_200)));
    let suggestion = past.advice.and_then(|advice| advice.suggestion);
    let chosen = suggestion.map(|it| it.chosen);
    assert_eq!(chosen, Some(Timestamp::from_unix(1_799_050_000)));
    let down = history.down_since().expect("read");
    assert_eq!(
        down.get(&ca_name("first")).map(|down| down.since),
        Some(Timestamp::from_unix(1_795_003_601))
    );
    let key = BudgetKey {
        owner: "first".to_owned(),
        kind: "orders".to_owned(),
        what: "account".to_owned(),
    };
    let budget = history.budget(&key).expect("read").expect("there");
    assert!((budget.level - 298.5).abs() < f64::EPSILON);
    // The tables are those of a new one, and what was there before is kept as it was.
    let fresh = tempfile::tempdir().expect("a folder");
    let new = SqliteHistory::open(fresh.path()).expect("a new one");
    assert_eq!(tables(&history.connection()), tables(&new.connection()));
    let copy = folder.path().join(format!("waxwing.db.{version}"));
    let copy = Connection::open(copy).expect("kept");
    assert_eq!(version_of(&copy).ok(), Some(version));
    // Once is enough.
    drop(history);
    drop(SqliteHistory::open(folder.path()).expect("the same"));
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 2);
}

/// Every table and index, as it was made.
fn tables(connection: &Connection) -> Vec<String> {
    let mut all = connection
        .prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        .expect("prepared");
    let rows = all.query_map([], |row| row.get(0)).expect("asked");
    rows.map(|row| row.expect("a text")).collect()
}
