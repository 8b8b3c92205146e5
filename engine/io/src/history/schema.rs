//! The tables of the history, and how a file of an older version is brought to those of today.

#![expect(
    clippy::disallowed_methods,
    reason = "the copy of an older database is a file"
)]

use std::fs;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use crate::permission;

/// The tables of the first version. Never changed: a new file takes every step an old one takes, so
/// that they cannot differ.
const FIRST: &str = "
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    certificate TEXT NOT NULL,
    ca TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    version INTEGER,
    class TEXT,
    theirs INTEGER NOT NULL DEFAULT 0,
    local INTEGER NOT NULL DEFAULT 0,
    until INTEGER,
    causes TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX attempt_by_certificate ON attempt (certificate, id);
CREATE TABLE advice (
    certificate TEXT PRIMARY KEY,
    about TEXT NOT NULL,
    starts INTEGER,
    ends INTEGER,
    chosen INTEGER,
    explanation TEXT,
    next INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    cause TEXT
) STRICT;
CREATE TABLE sighting (
    id INTEGER PRIMARY KEY,
    ca TEXT NOT NULL,
    at INTEGER NOT NULL,
    took INTEGER,
    cause TEXT
) STRICT;
CREATE INDEX sighting_by_ca ON sighting (ca, id);
CREATE TABLE budget (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    level REAL NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, what)
) STRICT;
";

/// What leads from each version to the next one, beginning with the first. Never changed, only added
/// to; `fixtures` has a database of each version.
const STEPS: [&str; 8] = [
    // What is pruned and what is counted is asked for by its time.
    "CREATE INDEX attempt_by_end ON attempt (ended);",
    // For which CA another one stood in, how installations ended, what people were told of, and what
    // is still to be told.
    "
ALTER TABLE attempt ADD COLUMN instead_of TEXT;
ALTER TABLE attempt ADD COLUMN because TEXT;
CREATE TABLE deploy (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    certificate TEXT NOT NULL,
    version INTEGER,
    target TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    stage TEXT,
    causes TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX deploy_by_end ON deploy (ended);
CREATE TABLE told (
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subject, kind)
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    notifier TEXT NOT NULL,
    event TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next INTEGER NOT NULL,
    cause TEXT
);
",
    // Whether a refusal was one of the name itself.
    "ALTER TABLE attempt ADD COLUMN firm INTEGER NOT NULL DEFAULT 0;",
    // How many requests an attempt took, and attempts that ended before a CA was asked.
    "
ALTER TABLE attempt ADD COLUMN requests INTEGER;
CREATE TABLE unasked (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    certificate TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    class TEXT NOT NULL,
    causes TEXT NOT NULL,
    times INTEGER NOT NULL
) STRICT;
CREATE INDEX unasked_by_certificate ON unasked (certificate, id);
CREATE INDEX unasked_by_end ON unasked (ended);
",
    // How revocations ended, how many requests were sent to each CA, and when a look at all CAs reached nobody.
    "
CREATE TABLE revocation (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    certificate TEXT NOT NULL,
    version INTEGER NOT NULL,
    ca TEXT,
    reason INTEGER,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    class TEXT,
    causes TEXT NOT NULL DEFAULT '[]',
    why TEXT,
    requests INTEGER NOT NULL,
    times INTEGER NOT NULL
) STRICT;
CREATE INDEX revocation_by_certificate ON revocation (certificate, id);
CREATE INDEX revocation_by_end ON revocation (ended);
CREATE TABLE request (
    ca TEXT PRIMARY KEY,
    sent INTEGER NOT NULL
) STRICT;
CREATE TABLE cut_off (
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX cut_off_by_time ON cut_off (at);
",
    // When an attempt was found to be noted by a clock that was ahead, so that it counts for no ladder; and
    // when what was told has begun.
    "
ALTER TABLE attempt ADD COLUMN astray INTEGER;
ALTER TABLE told ADD COLUMN began INTEGER;
",
    // How often an installation or a look failed in the same way, one after the other.
    "ALTER TABLE deploy ADD COLUMN times INTEGER NOT NULL DEFAULT 1;",
    // Which recipients still lack a message that others have.
    "ALTER TABLE outbox ADD COLUMN rest TEXT NOT NULL DEFAULT '{}';",
];

/// The version of the tables, kept in `user_version`.
pub(super) const SCHEMA: i64 = 9;

/// Makes the tables, or changes those of an older version. Answers the version, which may be newer
/// than today's.
pub(super) fn bring_forward(connection: &mut Connection) -> rusqlite::Result<i64> {
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been here meanwhile.
    let version = version_of(&work)?;
    if version == 0 {
        work.execute_batch(FIRST)?;
    }
    let done = usize::try_from(version.max(1) - 1).unwrap_or(usize::MAX);
    for step in STEPS.iter().skip(done) {
        work.execute_batch(step)?;
    }
    if version < SCHEMA {
        work.pragma_update(None, "user_version", SCHEMA)?;
    }
    work.commit()?;
    Ok(version.max(SCHEMA))
}

pub(super) fn refuse_newer(path: &Path, version: i64) -> Result<(), StoreError> {
    if version <= SCHEMA {
        return Ok(());
    }
    Err(StoreError {
        kind: StoreErrorKind::TooNew,
        act: "open",
        path: path.to_owned(),
        causes: vec![format!(
            "it has format {version}, written by a newer Waxwing"
        )],
        hint: Some("use the newer Waxwing for this state folder".to_owned()),
    })
}

pub(super) fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Keeps the database as it was before it is brought to a newer version: `waxwing.db.1`. One that is
/// there already was kept by somebody who was faster.
pub(super) fn keep_copy(
    connection: &Connection,
    path: &Path,
    version: i64,
) -> rusqlite::Result<()> {
    let copy = path.with_extension(format!("db.{version}"));
    if copy.exists() {
        return Ok(());
    }
    let unfinished = path.with_extension(format!("db.{version}.new-{}", std::process::id()));
    let _older = fs::remove_file(&unfinished);
    // SQLite writes into an empty file; made here, only the owner can read it.
    let _new = permission::open_private(&unfinished);
    connection.execute("VACUUM INTO ?1", [unfinished.display().to_string()])?;
    let moved = fs::rename(&unfinished, &copy);
    moved.map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
    tracing::info!(version, copy = %copy.display(), "the history is brought to a newer format");
    Ok(())
}
