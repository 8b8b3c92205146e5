//! CAs that answer and issue nothing.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_ca_issues_nothing_if_it_has_answered_between_attempts_that_all_failed() {
    /// What happened, in minutes: an answer, an attempt that failed so, one that issued.
    #[derive(Clone, Copy)]
    enum Did {
        Answered,
        Silent,
        Failed(FailureClass),
        /// One for another certificate, at which the CA asked for three hours.
        Other,
        Cut,
        Issued,
    }
    use Did::{Answered, Cut, Failed, Issued, Other, Silent};
    let passing = Failed(FailureClass::Transient);
    let day = 24 * 60;
    /// Events, the minute of now; since when, until when, how many.
    type Row<'a> = (&'a [(u32, Did)], u32, Option<(u32, u32, u32)>);
    let table: &[Row<'_>] = &[
        (&[], 100, None),
        (
            &[(0, passing), (5, Answered), (70, passing)],
            100,
            Some((0, 70, 2)),
        ),
        (
            &[(0, passing), (5, Answered), (70, Other)],
            100,
            Some((0, 70, 2)),
        ),
        // A blip of several certificates is no state.
        (
            &[(0, passing), (1, Answered), (2, passing), (12, passing)],
            100,
            None,
        ),
        // Nobody has answered in between: it is down, and the next look says when that is over.
        (
            &[(0, passing), (30, Silent), (70, passing), (80, Answered)],
            100,
            None,
        ),
        // What was issued before, and what is refused for a reason, is work.
        (
            &[
                (0, passing),
                (5, Answered),
                (6, Issued),
                (70, passing),
                (80, passing),
            ],
            100,
            None,
        ),
        (
            &[
                (0, passing),
                (5, Failed(FailureClass::Rejected)),
                (6, Answered),
                (70, passing),
            ],
            100,
            None,
        ),
        (
            &[(0, passing), (5, Answered), (70, passing), (71, Issued)],
            100,
            None,
        ),
        // A machine without a network knows nothing.
        (&[(0, passing), (5, Answered), (70, Cut)], 100, None),
        // What failed long ago was another trouble.
        (
            &[
                (0, passing),
                (20 * day, passing),
                (20 * day + 1, Answered),
                (21 * day, passing),
                (22 * day, passing),
            ],
            23 * day,
            Some((20 * day, 22 * day, 3)),
        ),
        // So it is for as long as anybody may still be about it.
        (
            &[(0, passing), (5, Answered), (70, passing)],
            8 * day,
            Some((0, 70, 2)),
        ),
        (&[(0, passing), (5, Answered), (70, passing)], 9 * day, None),
        // A clock that was ahead.
        (&[(0, passing), (5, Answered), (70, passing)], 60, None),
    ];
    for (nth, (events, now, want)) in table.iter().enumerate() {
        let dir = tempfile::tempdir().expect("a folder");
        let history = SqliteHistory::open(dir.path()).expect("opens");
        for (minute, did) in *events {
            let at = NOW + MINUTE * *minute;
            let sighting = |result: Result<u64, &str>| Sighting {
                ca: ca_name("one"),
                at,
                result: result.map(Duration::from_millis).map_err(ToOwned::to_owned),
            };
            let closed = |result| ClosedAttempt {
                started: at,
                ended: at,
                ..attempt("shop", "one", 0, result)
            };
            let cut = || match failed_with(FailureClass::Transient, None) {
                ClosedResult::Failed { class, causes, .. } => ClosedResult::Failed {
                    class,
                    theirs: false,
                    firm: false,
                    local: true,
                    until: None,
                    causes,
                },
                other => other,
            };
            match did {
                Answered => history.sight(&sighting(Ok(9))),
                Silent => history.sight(&sighting(Err("refused"))),
                Failed(class) => history.record(&closed(failed_with(*class, None))),
                Other => history.record(&ClosedAttempt {
                    certificate: name("mail"),
                    ..closed(failed_with(FailureClass::Transient, Some(at + HOUR * 3)))
                }),
                Cut => history.record(&closed(cut())),
                Issued => history.record(&closed(ClosedResult::Issued { version: 1 })),
            }
            .expect("written");
        }
        let other = events.iter().any(|(_, did)| matches!(did, Other));
        let found = history.all_fruitless(NOW + MINUTE * *now).expect("read");
        let want = want.map(|(since, last, attempts)| Fruitless {
            since: NOW + MINUTE * since,
            last: NOW + MINUTE * last,
            attempts,
            until: other.then(|| NOW + MINUTE * last + HOUR * 3),
            is_of_one: !other,
            causes: vec!["no \"answer\"".to_owned(), "refused".to_owned()],
        });
        assert_eq!(found.into_values().next(), want, "row {nth}");
    }
}
