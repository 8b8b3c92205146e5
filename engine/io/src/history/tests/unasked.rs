//! Attempts that ended before a CA was asked.

use super::*;

#[test]
fn what_ended_before_a_ca_was_asked_is_one_line_until_it_ends_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let unasked = |hours: u32, cause: &str| Unasked {
        run: format!("r{hours}"),
        certificate: name("shop"),
        started: NOW + HOUR * hours,
        ended: NOW + HOUR * hours,
        class: FailureClass::Misconfigured,
        causes: vec!["plugin dns cannot be loaded".to_owned(), cause.to_owned()],
    };
    let unloadable = |hours| history.record_unasked(&unasked(hours, "no such file"));
    for hours in 1..=14 {
        unloadable(hours).expect("written");
    }
    history
        .record_unasked(&unasked(15, "another sha256"))
        .expect("written");
    unloadable(16).expect("written");
    let past = history.past(&name("shop"), NOW + HOUR * 16).expect("read");
    assert_eq!(past.unasked, 16);
    history
        .record(&attempt(
            "shop",
            "one",
            17,
            ClosedResult::Issued { version: 1 },
        ))
        .expect("written");
    unloadable(18).expect("written");
    let records = history.records(&Wanted {
        certificate: Some(&name("shop")),
        since: NOW,
        failed: false,
        most: 20,
    });
    let records = records.expect("readable");
    let seen = records
        .iter()
        .map(|one| (one.what == Recorded::Unasked, one.times, one.requests));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            (true, 1, None),
            (false, 1, Some(7)),
            (true, 1, None),
            (true, 1, None),
            (true, 14, None),
        ]
    );
    let first = records.last().expect("five");
    assert_eq!((first.started, first.ended), (NOW + HOUR, NOW + HOUR * 14));
    // No ladder is climbed: nobody was asked.
    let past = |hours| {
        history
            .past(&name("shop"), NOW + HOUR * hours)
            .expect("read")
    };
    assert_eq!(past(19).failed, []);
    // But it is known how often it came to nothing since the last certificate.
    assert_eq!(past(19).unasked, 1);
    assert_eq!(past(19 + 9 * 24).unasked, 0, "that was about another need");
    history.prune(NOW + HOUR * 17).expect("pruned");
    let left = history.records(&Wanted {
        certificate: None,
        since: NOW,
        failed: true,
        most: 20,
    });
    assert_eq!(left.expect("readable").len(), 1);
}
