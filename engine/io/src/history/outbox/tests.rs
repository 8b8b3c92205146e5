use std::time::Duration;

use waxwing_core::notify::event::{Change, Event, SCHEMA};

use waxwing_flow::notify::Unsent;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_795_000_000 + seconds)
}

fn told(subject: &str, step: u32) -> Told {
    Told {
        subject: subject.to_owned(),
        kind: EventKind::Failed,
        step,
        at: at(0),
        began: at(-3600),
    }
}

fn letter(to: &str) -> Letter {
    Letter {
        notifier: NotifierName::parse(to).expect("a literal name"),
        notice: Notice {
            schema: SCHEMA,
            host: "web01".to_owned(),
            version: "0".to_owned(),
            run: None,
            at: at(0),
            events: vec![Event::new(EventKind::Failed, Change::Began, "shop")],
            certificates: 1,
            nearest: None,
        },
    }
}

#[test]
fn what_is_told_and_its_letters_are_written_together_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || SqliteHistory::open(folder.path()).expect("a history");
    let (one, other) = (open(), open());
    let first = Posting {
        told: vec![told("shop", 1)],
        letters: vec![letter("mail")],
        late: vec![Unsent {
            letter: letter("chat"),
            rest: Rest {
                to: vec!["boss@example.com".to_owned()],
                refused: true,
            },
        }],
        ..Posting::default()
    };
    assert_eq!(one.post(&[], &first), Ok(true));
    // The other process has decided from what was there before.
    assert_eq!(other.post(&[], &first), Ok(false));
    let waiting = other.waiting().expect("letters");
    let rests: Vec<&Rest> = waiting.iter().map(|one| &one.rest).collect();
    assert_eq!(rests, [&first.late[0].rest, &Rest::default()]);
    let seen = other.told().expect("told");
    assert_eq!(seen, [told("shop", 1)]);
    let worse = Posting {
        told: vec![told("shop", 2)],
        ..Posting::default()
    };
    assert_eq!(other.post(&seen, &worse), Ok(true));
    let seen = one.told().expect("told");
    assert_eq!(seen, [told("shop", 2)]);
    let over = Posting {
        over: vec![("shop".to_owned(), EventKind::Failed)],
        ..Posting::default()
    };
    assert_eq!(one.post(&seen, &over), Ok(true));
    assert_eq!(open().told(), Ok(Vec::new()));
}

#[test]
fn a_letter_is_taken_by_one_process_and_stays_until_it_is_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || SqliteHistory::open(folder.path()).expect("a history");
    let (one, other) = (open(), open());
    let posting = Posting {
        letters: vec![letter("mail")],
        ..Posting::default()
    };
    assert_eq!(one.post(&[], &posting), Ok(true));
    let waiting = one.waiting().expect("letters").remove(0);
    assert_eq!(
        (&waiting.letter, waiting.attempts, waiting.next),
        (&letter("mail"), 0, at(0))
    );
    let until = at(0) + Duration::from_secs(120);
    assert!(!waiting.is_rest());
    let rest = Rest {
        to: vec!["boss@example.com".to_owned()],
        refused: true,
    };
    assert_eq!(one.take(waiting.id, waiting.next, until), Ok(true));
    assert_eq!(other.take(waiting.id, waiting.next, until), Ok(false));
    assert_eq!(one.keep(waiting.id, at(300), "refused", &rest), Ok(()));
    let kept = other.waiting().expect("letters").remove(0);
    assert_eq!(kept.rest, rest);
    assert_eq!(
        (kept.attempts, kept.next, kept.cause.as_deref()),
        (1, at(300), Some("refused"))
    );
    assert_eq!(other.forget(kept.id), Ok(()));
    assert_eq!(one.waiting(), Ok(Vec::new()));
    assert_eq!(one.take(kept.id, kept.next, until), Ok(false));
}

#[test]
fn what_a_newer_version_has_written_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a history");
    let write = |sql: &str| history.write(sql, []).expect("written");
    write("INSERT INTO told VALUES ('shop', 'a-new-kind', '1', 0, 0)");
    write("INSERT INTO outbox VALUES (7, 'mail', '{\"schema\":9}', 0, 0, 0, NULL, '{}')");
    assert_eq!(history.told(), Ok(Vec::new()));
    assert_eq!(history.waiting(), Ok(Vec::new()));
    let posting = Posting {
        told: vec![told("shop", 1)],
        ..Posting::default()
    };
    assert_eq!(history.post(&[], &posting), Ok(true));
    let rows = history.rows("SELECT count(*) FROM told", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows, Ok(vec![2]));
}

#[test]
fn what_is_told_from_a_copy_counts_as_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(SqliteHistory::open(folder.path()).expect("a history"));
    let full = failed(
        "open",
        folder.path(),
        &rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            None,
        ),
    );
    let copy = SqliteHistory {
        unwritable: Some(full.clone()),
        ..SqliteHistory::look(folder.path()).expect("a copy")
    };
    let posting = Posting {
        told: vec![told("shop", 1)],
        ..Posting::default()
    };
    assert_eq!(copy.post(&[], &posting), Err(full.clone()));
    assert_eq!(copy.take(1, at(0), at(1)), Err(full));
    assert_eq!(copy.told(), Ok(Vec::new()));
}
