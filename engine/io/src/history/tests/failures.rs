//! How many attempts have failed lately, by CA and class.

use super::*;
use crate::history::FailedAttempts;

#[test]
fn failures_are_counted_by_ca_and_class_whatever_was_issued_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let offline = |class| ClosedResult::Failed {
        class,
        theirs: false,
        firm: false,
        local: true,
        until: None,
        causes: Vec::new(),
    };
    let passing = || failed_with(FailureClass::Transient, None);
    let issued = || ClosedResult::Issued { version: 1 };
    for (certificate, ca, hours, result) in [
        ("shop", "one", 0, passing()),
        ("shop", "one", 2, passing()),
        ("shop", "one", 3, issued()),
        ("mail", "one", 4, passing()),
        ("mail", "one", 5, ClosedResult::Rehearsed),
        ("mail", "one", 6, offline(FailureClass::Transient)),
        // What somebody stopped while there was no network was stopped.
        ("mail", "two", 7, offline(FailureClass::Cancelled)),
        ("mail", "two", 8, failed_with(FailureClass::Rejected, None)),
    ] {
        let attempt = attempt(certificate, ca, hours, result);
        history.record(&attempt).expect("written");
    }
    let since = |hours| {
        let found = history.failed_since(NOW + HOUR * hours).expect("read");
        let one = |one: FailedAttempts| (one.ca.to_string(), one.class, one.times);
        found.into_iter().map(one).collect::<Vec<_>>()
    };
    let of = |ca: &str, class: &str, times| (ca.to_owned(), class.to_owned(), times);
    assert_eq!(
        since(2),
        [
            of("one", "offline", 1),
            of("one", "transient", 2),
            of("two", "cancelled", 1),
            of("two", "rejected", 1),
        ]
    );
    assert_eq!(since(8), [of("two", "rejected", 1)]);
    assert_eq!(since(9), []);
}
