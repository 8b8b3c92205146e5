//! What was noted while the file could not be used.

use super::*;

#[test]
fn what_was_noted_without_the_file_is_in_it_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = |version| ClosedResult::Issued { version };
    let sighting = Sighting {
        ca: ca_name("one"),
        at: NOW,
        result: Ok(Duration::from_millis(9)),
    };
    let count = |history: &SqliteHistory| {
        let requests = history.requests().expect("read");
        let issued = history.pasts(NOW + HOUR * 9).expect("read");
        let issued = issued.values().map(|past| past.issued.len()).sum::<usize>();
        let seen = history.sightings(&ca_name("one"), NOW).expect("read").len();
        (issued, seen, requests)
    };
    let all = |history: &SqliteHistory, number: u32| {
        history
            .record(&attempt("shop", "one", number, issued(number)))
            .expect("noted");
        history.sight(&sighting).expect("noted");
        let sent = BTreeMap::from([(ca_name("one"), 7)]);
        history.count_requests(&sent).expect("noted");
    };
    let first = SqliteHistory::open(folder.path()).expect("opens");
    all(&first, 1);
    // Nothing is to be written late.
    assert!(first.unwritable().is_none());
    let held = first.connection();
    held.execute_batch("BEGIN EXCLUSIVE").expect("held");
    let alone = SqliteHistory {
        missing: Some(locked()),
        unwritable: Some(locked()),
        path: first.path.clone(),
        connection: Mutex::new(empty(&first.path).expect("a new one")),
    };
    all(&alone, 2);
    let still = alone.written_late(folder.path()).expect_err("held");
    assert_eq!(still.kind, StoreErrorKind::Locked);
    // It goes on as before.
    all(&alone, 3);
    held.execute_batch("ROLLBACK").expect("let go");
    drop(held);
    let found = alone.written_late(folder.path()).expect("written");
    assert!(found.unwritable().is_none());
    let want = |times: u64| {
        (
            times as usize,
            times as usize,
            vec![(ca_name("one"), 7 * times)],
        )
    };
    assert_eq!((count(&found), count(&first)), (want(3), want(3)));
    // Of a copy only what came behind it.
    let copy = SqliteHistory {
        unwritable: Some(locked()),
        ..SqliteHistory::look(folder.path()).expect("a copy")
    };
    all(&copy, 4);
    let found = copy.written_late(folder.path()).expect("written");
    assert_eq!(count(&found), want(4));
}

fn locked() -> StoreError {
    StoreError {
        kind: StoreErrorKind::Locked,
        act: "open",
        path: "/state/waxwing.db".into(),
        causes: Vec::new(),
        hint: None,
    }
}
