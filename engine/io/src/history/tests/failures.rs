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

/// That the CA denies an order which was finalized counts as issued, and as no attempt of its own.
#[test]
fn an_order_that_is_denied_is_no_failure_and_may_be_a_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let mut lost = failed_with(FailureClass::Transient, None);
    if let ClosedResult::Failed { firm, .. } = &mut lost {
        *firm = true;
    }
    for result in [lost, failed_with(FailureClass::Rejected, None)] {
        let attempt = attempt("shop", "one", 1, result);
        history.record(&attempt).expect("written");
    }
    let past = history.past(&name("shop"), NOW + HOUR * 2).expect("read");
    assert_eq!((past.failed.len(), past.issued.len()), (1, 1));
    let failed = history.failed_since(NOW).expect("read");
    let classes: Vec<(&str, u64)> = failed
        .iter()
        .map(|one| (one.class.as_str(), one.times))
        .collect();
    assert_eq!(classes, [("rejected", 1)]);
}
