//! What is written is what is read, by several processes, and a damaged file is no end.

use waxwing_core::ca::choose::Because;
use waxwing_core::due::Suggestion;
use waxwing_core::name::PluginName;
use waxwing_core::outage::Down;
use waxwing_core::time::Window;
use waxwing_flow::history::{FailedDeploy, Fruitless, Record, Recorded, Target};

use std::fs;

use super::*;

mod deploys;
mod failures;
mod fruitless;
mod late;
mod older;
mod ours;
mod revocations;
mod turned;
mod unasked;

const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn name(text: &str) -> CertificateName {
    CertificateName::parse(text).expect("a literal name")
}

fn ca_name(text: &str) -> CaName {
    CaName::parse(text).expect("a literal name")
}

fn attempt(certificate: &str, ca: &str, hours: u32, result: ClosedResult) -> ClosedAttempt {
    ClosedAttempt {
        run: "r1".to_owned(),
        certificate: name(certificate),
        ca: ca_name(ca),
        stands_in: None,
        started: NOW + HOUR * hours,
        ended: NOW + HOUR * hours,
        requests: 7,
        result,
    }
}

fn failed_with(class: FailureClass, until: Option<Timestamp>) -> ClosedResult {
    ClosedResult::Failed {
        class,
        theirs: true,
        firm: false,
        local: false,
        until,
        causes: vec!["no \"answer\"".to_owned(), "refused".to_owned()],
    }
}

#[test]
fn failures_count_since_the_last_certificate_and_for_their_own_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let asked = Some(NOW + HOUR * 9);
    for attempt in [
        attempt("shop", "one", 0, failed_with(FailureClass::Transient, None)),
        attempt("shop", "one", 1, ClosedResult::Issued { version: 1 }),
        attempt("shop", "one", 2, failed_with(FailureClass::Rejected, None)),
        attempt(
            "shop",
            "two",
            3,
            failed_with(FailureClass::RateLimited, asked),
        ),
        attempt("mail", "one", 4, failed_with(FailureClass::Transient, None)),
    ] {
        history.record(&attempt).expect("written");
    }
    // Another process sees the same.
    let other = SqliteHistory::open(folder.path()).expect("the same");
    let past = other.past(&name("shop"), NOW + HOUR * 5).expect("read");
    let seen: Vec<_> = past
        .failed
        .iter()
        .map(|f| (f.ca.as_str(), f.rejected, f.until))
        .collect();
    assert_eq!(seen, [("one", true, None), ("two", false, asked)]);
    assert_eq!(past.issued, [NOW + HOUR]);
    let pasts = other.pasts(NOW + HOUR * 24 * 30).expect("read");
    assert_eq!(pasts.len(), 2);
    assert_eq!(pasts[&name("mail")].failed.len(), 1);
    assert!(pasts[&name("shop")].issued.is_empty(), "a month ago");
    assert_eq!(other.past(&name("new"), NOW), Ok(Past::default()));
}

#[test]
fn a_refusal_of_the_name_itself_is_known_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    for refused in [false, true] {
        let mut result = failed_with(FailureClass::Rejected, None);
        if let ClosedResult::Failed { firm, .. } = &mut result {
            *firm = refused;
        }
        history
            .record(&attempt("shop", "one", 1, result))
            .expect("written");
    }
    let past = history.past(&name("shop"), NOW + HOUR).expect("read");
    let firm: Vec<bool> = past.failed.iter().map(|failed| failed.firm).collect();
    assert_eq!(firm, [false, true]);
}

#[test]
fn a_rehearsal_that_went_well_answers_what_was_refused_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let rejected = || failed_with(FailureClass::Rejected, None);
    for attempt in [
        attempt("shop", "one", 0, rejected()),
        attempt("shop", "two", 1, rejected()),
        attempt("shop", "one", 2, ClosedResult::Rehearsed),
        attempt("mail", "one", 2, rejected()),
        attempt("shop", "one", 3, rejected()),
    ] {
        history.record(&attempt).expect("written");
    }
    let past = history.past(&name("shop"), NOW + HOUR * 5).expect("read");
    let seen: Vec<_> = past
        .failed
        .iter()
        .map(|f| (f.ca.as_str(), f.rehearsed))
        .collect();
    assert_eq!(seen, [("one", true), ("two", false), ("one", false)]);
    let mail = history.past(&name("mail"), NOW + HOUR * 5).expect("read");
    assert!(!mail.failed[0].rehearsed);
}

#[test]
fn advice_is_replaced_and_comes_back_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let mut advice = Advice {
        about: "a.b".to_owned(),
        suggestion: None,
        explanation: None,
        next: NOW,
        failures: 3,
        cause: Some("no answer".to_owned()),
    };
    history
        .save_advice(&name("shop"), &advice)
        .expect("written");
    advice.suggestion = Some(Suggestion {
        window: Window {
            start: NOW,
            end: NOW + HOUR,
        },
        chosen: NOW + HOUR / 2,
    });
    advice.explanation = Some("https://ca.example/why".to_owned());
    history
        .save_advice(&name("shop"), &advice)
        .expect("written");
    let past = history.past(&name("shop"), NOW).expect("read");
    assert_eq!(past.advice, Some(advice));
}

#[test]
fn a_ca_is_down_since_the_first_failure_behind_its_last_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let sight = |ca: &str, hours: u32, good: bool| {
        let result = if good {
            Ok(Duration::from_millis(212))
        } else {
            Err("refused".to_owned())
        };
        let (ca, at) = (ca_name(ca), NOW + HOUR * hours);
        let sighting = Sighting { ca, at, result };
        history.sight(&sighting).expect("written");
    };
    sight("one", 0, false);
    sight("one", 1, true);
    sight("one", 2, false);
    sight("one", 3, false);
    sight("two", 3, false);
    sight("two", 4, true);
    let down = history.down_since().expect("read");
    let one = Down {
        last: NOW + HOUR * 3,
        ..Down::first(NOW + HOUR * 2)
    };
    assert_eq!(down, BTreeMap::from([(ca_name("one"), one)]));
    history.prune(NOW + HOUR * 9).expect("pruned");
    assert_eq!(history.down_since().expect("read"), down);
}

#[test]
fn what_another_process_writes_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = SqliteHistory::open(folder.path()).expect("a new one");
    let other = SqliteHistory::open(folder.path()).expect("the same");
    let failed = attempt("shop", "one", 0, failed_with(FailureClass::Transient, None));
    let number = || ours.written_elsewhere().expect("read");
    let before = number();
    ours.record(&failed).expect("written");
    assert_eq!(number(), before);
    other.down_since().expect("read");
    assert_eq!(number(), before);
    other.record(&failed).expect("written");
    assert_ne!(number(), before);
}

#[test]
fn hours_in_which_nobody_was_reached_are_not_those_of_a_ca() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let record = |hours, class, local| {
        let result = ClosedResult::Failed {
            class,
            theirs: false,
            firm: false,
            local,
            until: None,
            causes: Vec::new(),
        };
        let attempt = attempt("blog", "other", hours, result);
        history.record(&attempt).expect("written");
    };
    let lasted = |hours: u32| {
        let down = history.down_since().expect("read");
        down[&ca_name("one")].lasted(NOW + HOUR * hours)
    };
    let sighting = Sighting {
        ca: ca_name("one"),
        at: NOW + HOUR,
        result: Err("refused".to_owned()),
    };
    history.sight(&sighting).expect("written");
    assert_eq!(lasted(3), HOUR * 2);
    // Another certificate at another CA found no network.
    record(3, FailureClass::Transient, true);
    assert_eq!(lasted(9), HOUR * 2);
    // So did a look at all CAs, and then at the one that answers.
    let elsewhere = SqliteHistory::open(folder.path()).expect("the same");
    elsewhere.cut_off(NOW + HOUR * 4).expect("written");
    assert_eq!(lasted(9), HOUR * 2);
    // The provider failed, so that it was reached; then a secret could not be read.
    record(9, FailureClass::Transient, false);
    record(10, FailureClass::Misconfigured, true);
    assert_eq!(lasted(11), HOUR * 4);
    elsewhere.cut_off(NOW + HOUR * 12).expect("written");
    assert_eq!(lasted(20), HOUR * 5);
    let changes = elsewhere.reached(NOW).expect("read");
    let hours = [(3, true), (9, false), (12, true)];
    assert_eq!(changes, hours.map(|(hour, away)| (NOW + HOUR * hour, away)));
}

#[test]
fn pruning_forgets_nothing_that_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    for hours in 0..4 {
        let result = if hours % 2 == 0 {
            ClosedResult::Issued { version: hours }
        } else {
            failed_with(FailureClass::Transient, None)
        };
        history
            .record(&attempt("shop", "one", hours, result))
            .expect("written");
    }
    history.prune(NOW + HOUR * 100).expect("pruned");
    let count: i64 = history
        .connection()
        .query_row("SELECT count(*) FROM attempt", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(count, 2, "the last certificate and the failure behind it");
    let past = history.past(&name("shop"), NOW).expect("read");
    assert_eq!(past.failed.len(), 1);
}

#[test]
fn a_full_disk_is_told_and_what_was_there_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let record = |hours| {
        let failed = failed_with(FailureClass::Transient, None);
        history.record(&attempt("shop", "one", hours, failed))
    };
    record(0).expect("written");
    let most = |pages: i64| {
        let connection = history.connection();
        let set = connection.pragma_update(None, "max_page_count", pages);
        set.expect("set");
    };
    let pages: i64 = history
        .connection()
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("a number");
    most(pages);
    let error = (1..1000).find_map(|hours| record(hours).err());
    let error = error.expect("the disk is full");
    assert_eq!(error.kind, StoreErrorKind::NoSpace);
    assert!(error.hint.expect("a hint").starts_with("make room"));
    let past = history.past(&name("shop"), NOW + HOUR * 5).expect("read");
    let before = past.failed.len();
    assert!(before >= 1, "what was there stays");
    most(1_000_000);
    record(2000).expect("written");
    let past = history.past(&name("shop"), NOW + HOUR * 5).expect("read");
    assert_eq!(past.failed.len(), before + 1);
    drop(SqliteHistory::open(folder.path()).expect("sound"));
}

#[test]
fn a_damaged_file_is_set_aside_and_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxwing.db");
    fs::write(
        &path,
        b"this is no database, whatever its name says, not at all",
    )
    .expect("written");
    let history = SqliteHistory::open(folder.path()).expect("begun anew");
    assert_eq!(history.pasts(NOW), Ok(BTreeMap::new()));
    assert!(folder.path().join("waxwing.db.damaged-1").exists());
    history
        .connection()
        .pragma_update(None, "user_version", SCHEMA + 1)
        .expect("written");
    let error = SqliteHistory::open(folder.path()).expect_err("too new");
    assert_eq!(error.kind, StoreErrorKind::TooNew);
}

#[test]
fn damage_behind_the_first_page_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxwing.db");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    for hours in 0..200 {
        let attempt = attempt(
            "shop",
            "one",
            hours,
            failed_with(FailureClass::Transient, None),
        );
        history.record(&attempt).expect("written");
    }
    drop(history);
    let mut bytes = fs::read(&path).expect("there");
    assert!(bytes.len() > 8192);
    bytes[4096..].fill(0xff);
    fs::write(&path, bytes).expect("written");
    let looked = SqliteHistory::look(folder.path()).expect("taken for empty");
    assert_eq!(looked.pasts(NOW), Ok(BTreeMap::new()));
    let history = SqliteHistory::open(folder.path()).expect("begun anew");
    assert_eq!(history.pasts(NOW), Ok(BTreeMap::new()));
    assert!(folder.path().join("waxwing.db.damaged-1").exists());
}

#[test]
fn the_history_says_who_stood_in_for_whom_and_what_was_not_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let alone = attempt("shop", "one", 0, ClosedResult::Issued { version: 1 });
    let mut stood_in = attempt("shop", "two", 1, ClosedResult::Issued { version: 2 });
    stood_in.stands_in = Some((ca_name("one"), Because::Failures(3)));
    for attempt in [&alone, &stood_in] {
        history.record(attempt).expect("written");
    }
    let text = |sql: &str| {
        let row = history.connection();
        row.query_row(sql, [], |row| row.get::<_, String>(0))
            .expect("one row")
    };
    assert_eq!(
        text(
            "SELECT group_concat(ca || ' for ' || instead_of || ': ' || because)
             FROM attempt WHERE instead_of IS NOT NULL"
        ),
        "two for one: failed 3 times in a row"
    );
    let mut deploy = ClosedDeploy {
        run: "r1".to_owned(),
        certificate: name("shop"),
        version: Some(2),
        target: Target::Installer(PluginName::parse("files").expect("a literal name")),
        started: NOW,
        ended: NOW + HOUR,
        failed: Some(FailedDeploy {
            stage: "verify",
            causes: vec!["no \"reload\"".to_owned()],
        }),
    };
    history.record_deploy(&deploy).expect("written");
    deploy.failed = None;
    deploy.ended = NOW + HOUR * 2;
    history.record_deploy(&deploy).expect("written");
    let failed = "SELECT group_concat(certificate || version || target || stage || causes)
        FROM deploy WHERE stage IS NOT NULL";
    assert_eq!(text(failed), "shop2filesverify[\"no \\\"reload\\\"\"]");
    history.prune(NOW + HOUR * 2).expect("pruned");
    assert_eq!(text("SELECT count(*) || '' FROM deploy"), "1");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(SqliteHistory::open(folder.path()).expect("a new one"));
    let others = permission::others_can_read(&folder.path().join("waxwing.db"));
    assert_eq!(others.ok(), Some(false));
}

#[test]
fn to_look_at_a_history_changes_nothing_whatever_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(FILE);
    let nothing = SqliteHistory::look(folder.path()).expect("an empty one");
    assert_eq!(nothing.pasts(NOW), Ok(BTreeMap::new()));
    assert!(!path.exists());
    let (_, fixture) = older::FIXTURES[0];
    let old = Connection::open(&path).expect("a new one");
    old.execute_batch(fixture).expect("well written");
    drop(old);
    let before = fs::read(&path).expect("a file");
    let seen = SqliteHistory::look(folder.path()).expect("looked at");
    let now = Timestamp::from_unix(1_795_004_000);
    let past = seen.past(&name("shop"), now).expect("read");
    assert_eq!((past.issued.len(), past.failed.len()), (1, 1));
    // What is written into the copy goes with it.
    let advice = past.advice.expect("there");
    seen.save_advice(&name("mail"), &advice).expect("written");
    drop(seen);
    assert_eq!(fs::read(&path).expect("a file"), before);
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1);
    fs::write(
        &path,
        b"this is no database, whatever its name says, not at all",
    )
    .expect("written");
    let damaged = SqliteHistory::look(folder.path()).expect("taken for empty");
    assert_eq!(damaged.pasts(NOW), Ok(BTreeMap::new()));
    assert!(path.exists(), "setting it aside is for a run");
}

#[test]
fn the_history_is_read_newest_first_with_every_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    assert_eq!(history.begins(), Ok(None));
    let until = Some(NOW + HOUR * 9);
    let mut stood_in = attempt("shop", "two", 1, ClosedResult::Issued { version: 3 });
    stood_in.stands_in = Some((ca_name("one"), Because::Failures(3)));
    for attempt in [
        attempt(
            "shop",
            "one",
            0,
            failed_with(FailureClass::RateLimited, until),
        ),
        stood_in,
        attempt("mail", "one", 2, ClosedResult::Issued { version: 1 }),
    ] {
        history.record(&attempt).expect("written");
    }
    let deploy = |plugin: &str, failed: Option<FailedDeploy>| ClosedDeploy {
        run: "r1".to_owned(),
        certificate: name("shop"),
        version: Some(3),
        target: Target::Installer(PluginName::parse(plugin).expect("a literal name")),
        started: NOW + HOUR,
        ended: NOW + HOUR,
        failed,
    };
    let failed = FailedDeploy {
        stage: "install",
        causes: vec!["outer".to_owned(), "inner".to_owned()],
    };
    history
        .record_deploy(&deploy("web", None))
        .expect("written");
    history
        .record_deploy(&deploy("mta", Some(failed)))
        .expect("written");

    let seen = |certificate: Option<&CertificateName>, since, most, failed| {
        let wanted = Wanted {
            certificate,
            since,
            failed,
            most,
        };
        let records = history.records(&wanted).expect("readable");
        let one = |record: Record| {
            let what = match record.what {
                Recorded::Attempt { ca, stands_in } => match stands_in {
                    Some((other, why)) => format!("{ca} for {other}, {why}"),
                    None => ca.to_string(),
                },
                Recorded::Deploy { target } => target,
                Recorded::Revocation { .. } => panic!("nothing was revoked"),
                Recorded::Unasked => format!("nobody, {} times", record.times),
            };
            let failed = record.failed.map(|failed| {
                format!(
                    "{} {:?} {}",
                    failed.kind,
                    failed.causes,
                    failed.until.is_some()
                )
            });
            format!(
                "{} {what} {:?} {failed:?}",
                record.certificate, record.version
            )
        };
        records.into_iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        seen(None, NOW, 9, false),
        [
            "mail one Some(1) None",
            "shop mta Some(3) Some(\"install [\\\"outer\\\", \\\"inner\\\"] false\")",
            "shop web Some(3) None",
            "shop two for one, failed 3 times in a row Some(3) None",
            "shop one None Some(\"rate-limited [\\\"no \\\\\\\"answer\\\\\\\"\\\", \\\"refused\\\"] true\")",
        ]
    );
    assert_eq!(seen(Some(&name("mail")), NOW, 9, false).len(), 1);
    assert_eq!(seen(None, NOW + HOUR, 9, false).len(), 4);
    assert_eq!(seen(None, NOW, 2, false).len(), 2);
    assert_eq!(seen(None, NOW, 9, true).len(), 2);
    assert_eq!(history.names(), Ok(vec![name("mail"), name("shop")]));
    assert_eq!(history.begins(), Ok(Some(NOW)));
    let why = "failed 3 times in a row".to_owned();
    let stood_in = (name("shop"), 3, ca_name("one"), why);
    assert_eq!(history.stand_ins(), Ok(vec![stood_in]));
}

#[test]
fn sightings_of_a_ca_are_read_oldest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let sighting = |ca: &str, hours: u32, result: Result<u64, &str>| Sighting {
        ca: ca_name(ca),
        at: NOW + HOUR * hours,
        result: result.map(Duration::from_millis).map_err(ToOwned::to_owned),
    };
    let all = [
        sighting("one", 0, Ok(240)),
        sighting("two", 1, Ok(7)),
        sighting("one", 2, Err("refused")),
        sighting("one", 3, Ok(250)),
    ];
    for one in &all {
        history.sight(one).expect("written");
    }
    let seen = history.sightings(&ca_name("one"), NOW + HOUR);
    assert_eq!(seen, Ok(all[2..].to_vec()));
    let seen = history.sightings(&ca_name("three"), NOW);
    assert_eq!(seen, Ok(Vec::new()));
}
