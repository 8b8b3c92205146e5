//! How revocations ended, and what is owed of them.

use waxwing_flow::history::{ClosedRevocation, RevocationResult, Unrevoked};

use super::*;

fn revocation(version: u32, hours: u32, result: RevocationResult) -> ClosedRevocation {
    ClosedRevocation {
        run: format!("r{hours}"),
        certificate: name("shop"),
        version,
        ca: Some(ca_name("one")),
        reason: Some(1),
        started: NOW + HOUR * hours,
        ended: NOW + HOUR * hours,
        requests: 2,
        result,
    }
}

fn refused(cause: &str) -> RevocationResult {
    RevocationResult::Failed {
        class: FailureClass::Transient,
        causes: vec!["one: failed to revoke".to_owned(), cause.to_owned()],
    }
}

#[test]
fn a_revocation_that_fails_again_and_again_is_one_line_with_the_newest_causes() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let record = |revocation: &ClosedRevocation| {
        history.record_revocation(revocation).expect("written");
    };
    let unrevoked = || {
        let past = history.past(&name("shop"), NOW + HOUR * 99).expect("read");
        past.unrevoked
    };
    assert_eq!(unrevoked(), None);
    for hours in 1..=5 {
        record(&revocation(1, hours, refused(&format!("after {hours} ms"))));
    }
    record(&ClosedRevocation {
        certificate: name("mail"),
        ..revocation(4, 6, refused("after 6 ms"))
    });
    let owed = Unrevoked {
        version: 1,
        tries: 5,
        class: "transient".to_owned(),
        causes: vec!["one: failed to revoke".to_owned(), "after 5 ms".to_owned()],
    };
    assert_eq!(unrevoked(), Some(owed));
    // Another trouble of the same version counts on, one of another version anew.
    let other = RevocationResult::Failed {
        class: FailureClass::NeedsPerson,
        causes: vec!["one is not in the configuration any more".to_owned()],
    };
    record(&revocation(1, 7, other.clone()));
    assert_eq!(
        unrevoked().map(|owed| (owed.version, owed.tries)),
        Some((1, 6))
    );
    record(&revocation(2, 8, other));
    assert_eq!(
        unrevoked().map(|owed| (owed.version, owed.tries)),
        Some((2, 1))
    );
    record(&revocation(2, 9, RevocationResult::Revoked));
    assert_eq!(unrevoked(), None);
    let over = RevocationResult::Over {
        why: "it has expired".to_owned(),
    };
    record(&ClosedRevocation {
        ca: None,
        reason: None,
        ..revocation(3, 10, over)
    });

    let wanted = |failed| Wanted {
        certificate: None,
        since: NOW,
        failed,
        most: 20,
    };
    let records = history.records(&wanted(false)).expect("readable");
    let seen: Vec<_> = records
        .iter()
        .map(|one| {
            let Recorded::Revocation { ca, reason, over } = &one.what else {
                panic!("{one:?}");
            };
            let ca = ca.as_ref().map_or("-", CaName::as_str);
            let result = one.failed.as_ref().map(|failed| failed.kind.as_str());
            let result = result.or(over.as_deref()).unwrap_or("revoked");
            (one.version, ca, *reason, one.times, one.requests, result)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some(3), "-", None, 1, Some(2), "it has expired"),
            (Some(2), "one", Some(1), 1, Some(2), "revoked"),
            (Some(2), "one", Some(1), 1, Some(2), "needs-person"),
            (Some(1), "one", Some(1), 1, Some(2), "needs-person"),
            (Some(4), "one", Some(1), 1, Some(2), "transient"),
            (Some(1), "one", Some(1), 5, Some(10), "transient"),
        ]
    );
    let first = records.last().expect("six");
    assert_eq!((first.started, first.ended), (NOW + HOUR, NOW + HOUR * 5));
    assert_eq!(history.records(&wanted(true)).expect("readable").len(), 4);
    assert_eq!(history.begins(), Ok(Some(NOW + HOUR * 5)));
    assert_eq!(history.names(), Ok(vec![name("mail"), name("shop")]));
    history.prune(NOW + HOUR * 8).expect("pruned");
    assert_eq!(history.records(&wanted(false)).expect("readable").len(), 3);
}
