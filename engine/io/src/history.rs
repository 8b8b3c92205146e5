//! What earlier runs have learnt, in one SQLite file of the state folder.
//!
//! Attempts, the CAs' advice, sightings of CAs and budgets are small, many, written by several
//! processes and asked for by more than one key: what a database is for. Certificates, keys and
//! journals stay plain files. What a newcomer gets wrong: this file may be lost. A damaged one is set
//! aside, and a new one is begun.

#![expect(
    clippy::disallowed_methods,
    reason = "a damaged database is a file to set aside"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};
use waxwing_core::budget::Bucket;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::outage::Down;
use waxwing_core::plan::hold;
use waxwing_core::retry::ladder::{self, Failed};
use waxwing_core::retry::rehearsal;
use waxwing_core::time::{SKEW, Timestamp};
use waxwing_flow::history::{
    Advice, ClosedAttempt, ClosedDeploy, ClosedResult, ClosedRevocation, Past, Sighting, Unasked,
};
use waxwing_flow::ports::{BudgetKey, ChangeBudgets, History, StoreError, StoreErrorKind};

use crate::permission;

mod ahead;
mod budgets;
mod copied;
mod deploys;
mod failures;
mod fruitless;
mod late;
mod outbox;
mod place;
mod pruning;
mod reached;
mod records;
mod requests;
mod revocations;
mod rows;
mod schema;

pub use failures::FailedAttempts;
pub use records::Wanted;
use rows::{advice, ca, certificate, maybe_time, time};
use schema::{SCHEMA, bring_forward, keep_copy, refuse_newer, version_of};

const FILE: &str = "waxwing.db";

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The failed attempts since the last one that gave a certificate, and among them, without a class,
/// rehearsals that went well. That an order of an attempt before is denied is none.
const FAILED: &str = "
SELECT certificate, ca, ended, class, theirs, local, until, firm FROM attempt AS one
WHERE version IS NULL AND astray IS NULL AND NOT (firm AND class = 'transient')
  AND id > (SELECT coalesce(max(id), 0) FROM attempt
            WHERE certificate = one.certificate AND version IS NOT NULL)
  AND (?1 IS NULL OR certificate = ?1)
ORDER BY id";

/// When a CA has issued, be it that what came was of no use; see [`ClosedResult::has_issued`].
const ISSUED: &str = "
SELECT certificate, ended, astray FROM attempt
WHERE (version IS NOT NULL OR firm AND class IN ('bug', 'misconfigured', 'transient'))
  AND (ended > ?2 OR astray > ?2) AND (?1 IS NULL OR certificate = ?1)
ORDER BY id";

/// What came to nothing before a CA was asked, since the last attempt that gave a certificate.
const UNASKED: &str = "
SELECT certificate, sum(times) FROM unasked AS one
WHERE ended > ?2 AND ended <= ?3 AND (?1 IS NULL OR certificate = ?1)
  AND ended > (SELECT coalesce(max(ended), 0) FROM attempt
               WHERE certificate = one.certificate AND version IS NOT NULL AND astray IS NULL)
GROUP BY certificate";

const ADVICE: &str = "
SELECT certificate, about, starts, ends, chosen, explanation, next, failures, cause
FROM advice WHERE ?1 IS NULL OR certificate = ?1";

/// What keeps a history from being used, and is no fault of the file.
const MAY_PASS: [StoreErrorKind; 3] = [
    StoreErrorKind::Locked,
    StoreErrorKind::Io,
    StoreErrorKind::NoSpace,
];

/// The history of one state folder.
#[derive(Debug)]
pub struct SqliteHistory {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Why nothing that is written here stays, if that is so.
    unwritable: Option<StoreError>,
    /// Why it is empty, though there is a file.
    missing: Option<StoreError>,
}

impl SqliteHistory {
    /// Opens the history of a state folder, and begins one if there is none.
    ///
    /// # Errors
    /// When the file cannot be made or read, or was written by a newer version. A damaged one is no
    /// error: it is set aside beside the new one, and the log says so.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(FILE);
        copied::go_on(&path)?;
        copied::tidy(&path);
        let connection = match connect(&path) {
            // One that another user has left there, as from a backup, counts as damaged: the folder is ours.
            Err(error) if place::is_of_no_use(&error) || place::is_shut(&path) => {
                match copied::take_over(&path, &error) {
                    Ok(true) => {
                        tracing::warn!(cause = %error, "the history could not be written and was taken over: the folder is ours");
                        connect(&path)?
                    }
                    Ok(false) if place::is_of_no_use(&error) && place::set_aside(&path).is_ok() => {
                        tracing::error!(cause = %error, "the history was set aside and is begun anew");
                        connect(&path)?
                    }
                    Ok(false) => return Err(error),
                    // It is whole, and only cannot be put in its place now.
                    Err(kept) => return Err(kept),
                }
            }
            other => other?,
        };
        Ok(Self {
            path,
            connection: Mutex::new(connection),
            unwritable: None,
            missing: None,
        })
    }

    /// The same where the disk is full or mounted read-only, for a run that has to say so: what can be
    /// read of it as a private copy. What is written into that is lost when the run ends, and what
    /// somebody was told of counts as not written.
    ///
    /// # Errors
    /// As for [`SqliteHistory::open`], and where nothing can be read either.
    pub fn open_or_copy(state: &Path) -> Result<Self, StoreError> {
        let error = match Self::open(state) {
            Err(error) if error.kind == StoreErrorKind::NoSpace => error,
            other => return other,
        };
        let Ok(copy) = Self::look(state) else {
            return Err(error);
        };
        tracing::error!(cause = %error, "the history cannot be written; what this run learns is lost");
        Ok(Self {
            unwritable: Some(error),
            ..copy
        })
    }

    /// The same for a run that renews, which matters more than what was noted: where another process does not
    /// let go of the file, or it cannot be read for another reason that may pass, the run begins with nothing.
    ///
    /// # Errors
    /// When it was written by a newer version.
    pub fn open_or_nothing(state: &Path) -> Result<Self, StoreError> {
        let error = match Self::open_or_copy(state) {
            // Without room, not even a copy could be made.
            Err(error) if MAY_PASS.contains(&error.kind) => error,
            other => return other,
        };
        tracing::error!(cause = %error, "the history cannot be used; this run goes on without it");
        Self::instead(state, error)
    }

    /// Looks at the history of a state folder: a private copy of it, brought to the version of today,
    /// or an empty one if there is none. The file stays as it is, and what is written into the copy
    /// is lost.
    ///
    /// # Errors
    /// When the file cannot be read or was written by a newer version. A damaged one counts as empty,
    /// and the log says so.
    pub fn look(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(FILE);
        let connection = match copied::copy(&path) {
            Err(error) if place::is_of_no_use(&error) => {
                tracing::error!(cause = %error, "the history is of no use; the next run begins it anew");
                empty(&path)?
            }
            other => other?,
        };
        Ok(Self {
            path,
            connection: Mutex::new(connection),
            unwritable: None,
            missing: None,
        })
    }

    /// Frees what is kept in memory of the file, before a long sleep.
    pub fn give_back(&self) {
        // It is read again from the file, so nothing depends on it.
        let _freed_or_not = self.connection().execute_batch("PRAGMA shrink_memory");
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare(sql)
            .map_err(|cause| failed("write", &self.path, &cause))?;
        statement
            .execute(values)
            .map(drop)
            .map_err(|cause| failed("write", &self.path, &cause))
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let rows = || {
            let mut statement = connection.prepare(sql)?;
            rows::sound(statement.query_map(values, read)?, &self.path)
        };
        rows().map_err(|cause| failed("read", &self.path, &cause))
    }

    /// Everything about one certificate, or about all.
    fn read_pasts(
        &self,
        name: Option<&CertificateName>,
        now: Timestamp,
    ) -> Result<BTreeMap<CertificateName, Past>, StoreError> {
        let name = name.map(CertificateName::as_str);
        let mut pasts: BTreeMap<CertificateName, Past> = BTreeMap::new();
        let failed = self.rows(FAILED, [name], |row| {
            let failed = Failed {
                ca: ca(row, 1)?,
                at: time(row, 2)?,
                rejected: row.get::<_, Option<String>>(3)?.as_deref()
                    == Some(FailureClass::Rejected.as_str()),
                firm: row.get(7)?,
                theirs: row.get(4)?,
                local: row.get(5)?,
                until: maybe_time(row, 6)?,
                limited: row.get::<_, Option<String>>(3)?.as_deref()
                    == Some(FailureClass::RateLimited.as_str()),
                rehearsed: false,
            };
            let class: Option<String> = row.get(3)?;
            Ok((certificate(row, 0)?, class.is_some(), failed))
        })?;
        for (name, has_failed, failed) in failed {
            let past = pasts.entry(name).or_default();
            if has_failed {
                past.failed.push(failed);
            } else {
                rehearsal::went_well(&mut past.failed, &failed.ca);
            }
        }
        let since = (now - hold::MOST_ISSUED.per).unix_ms();
        let issued = self.rows(ISSUED, params![name, since], |row| {
            Ok((certificate(row, 0)?, time(row, 1)?, maybe_time(row, 2)?))
        })?;
        for (name, at, found) in issued {
            let past = pasts.entry(name).or_default();
            match found {
                None => past.issued.push(at),
                Some(found) => past.doubtful.push((at, found)),
            }
        }
        let row = (now - ladder::GAP, now + SKEW);
        let row = params![name, row.0.unix_ms(), row.1.unix_ms()];
        let unasked = self.rows(UNASKED, row, |row| Ok((certificate(row, 0)?, row.get(1)?)))?;
        for (name, times) in unasked {
            pasts.entry(name).or_default().unasked = times;
        }
        for (name, advice) in self.rows(ADVICE, [name], advice)? {
            pasts.entry(name).or_default().advice = Some(advice);
        }
        for (name, unrevoked) in revocations::unrevoked(self, name)? {
            pasts.entry(name).or_default().unrevoked = Some(unrevoked);
        }
        Ok(pasts)
    }
}

impl History for SqliteHistory {
    fn missing(&self) -> Option<StoreError> {
        self.missing.clone()
    }

    fn record(&self, attempt: &ClosedAttempt) -> Result<(), StoreError> {
        let (version, class, theirs, firm, local, until, causes) = match &attempt.result {
            ClosedResult::Issued { version } => {
                (Some(*version), None, false, false, false, None, None)
            }
            ClosedResult::Rehearsed => (None, None, false, false, false, None, None),
            ClosedResult::Failed {
                class,
                theirs,
                firm,
                local,
                until,
                causes,
            } => (
                None,
                Some(class.as_str()),
                *theirs,
                *firm,
                *local,
                until.map(Timestamp::unix_ms),
                Some(causes),
            ),
        };
        let causes = causes.map_or_else(|| "[]".to_owned(), |causes| list(causes));
        let stands_in = attempt.stands_in.as_ref();
        self.write(
            "INSERT INTO attempt
             (run, certificate, ca, started, ended, version, class, theirs, local, until, causes,
              instead_of, because, firm, requests)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                attempt.run,
                attempt.certificate.as_str(),
                attempt.ca.as_str(),
                attempt.started.unix_ms(),
                attempt.ended.unix_ms(),
                version,
                class,
                theirs,
                local,
                until,
                causes,
                stands_in.map(|(ca, _)| ca.as_str()),
                stands_in.map(|(_, because)| because.to_string()),
                firm,
                attempt.requests,
            ],
        )
    }

    fn record_unasked(&self, attempt: &Unasked) -> Result<(), StoreError> {
        let causes = list(&attempt.causes);
        let same = "UPDATE unasked SET ended = ?2, times = times + 1
             WHERE id = (SELECT max(id) FROM unasked WHERE certificate = ?1)
               AND class = ?3 AND causes = ?4
               AND NOT EXISTS (SELECT 1 FROM attempt
                               WHERE certificate = ?1 AND attempt.ended > unasked.ended)";
        let values = params![
            attempt.certificate.as_str(),
            attempt.ended.unix_ms(),
            attempt.class.as_str(),
            causes,
        ];
        let connection = self.connection();
        let changed = connection.execute(same, values);
        let changed = changed.map_err(|cause| failed("write", &self.path, &cause))?;
        drop(connection);
        if changed > 0 {
            return Ok(());
        }
        self.write(
            "INSERT INTO unasked (run, certificate, started, ended, class, causes, times)
             VALUES (?, ?, ?, ?, ?, ?, 1)",
            params![
                attempt.run,
                attempt.certificate.as_str(),
                attempt.started.unix_ms(),
                attempt.ended.unix_ms(),
                attempt.class.as_str(),
                causes,
            ],
        )
    }

    fn is_issued(
        &self,
        run: &str,
        certificate: &CertificateName,
        version: u32,
    ) -> Result<bool, StoreError> {
        let found = self.rows(
            "SELECT EXISTS (SELECT 1 FROM attempt WHERE run = ? AND certificate = ? AND version = ?)",
            params![run, certificate.as_str(), version],
            |row| row.get(0),
        )?;
        Ok(found.first().copied().unwrap_or(false))
    }

    fn record_deploy(&self, deploy: &ClosedDeploy) -> Result<(), StoreError> {
        deploys::record(self, deploy)
    }

    fn record_revocation(&self, revocation: &ClosedRevocation) -> Result<(), StoreError> {
        revocations::record(self, revocation)
    }

    fn count_requests(&self, sent: &BTreeMap<CaName, u64>) -> Result<(), StoreError> {
        requests::count(self, sent)
    }

    fn pasts(&self, now: Timestamp) -> Result<BTreeMap<CertificateName, Past>, StoreError> {
        self.read_pasts(None, now)
    }

    fn past(&self, name: &CertificateName, now: Timestamp) -> Result<Past, StoreError> {
        let mut pasts = self.read_pasts(Some(name), now)?;
        Ok(pasts.remove(name).unwrap_or_default())
    }

    fn save_advice(&self, name: &CertificateName, advice: &Advice) -> Result<(), StoreError> {
        let suggestion = advice.suggestion;
        self.write(
            "INSERT OR REPLACE INTO advice
             (certificate, about, starts, ends, chosen, explanation, next, failures, cause)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                name.as_str(),
                advice.about,
                suggestion.map(|s| s.window.start.unix_ms()),
                suggestion.map(|s| s.window.end.unix_ms()),
                suggestion.map(|s| s.chosen.unix_ms()),
                advice.explanation,
                advice.next.unix_ms(),
                advice.failures,
                advice.cause,
            ],
        )
    }

    fn sight(&self, sighting: &Sighting) -> Result<(), StoreError> {
        let (took, cause) = match &sighting.result {
            Ok(took) => (
                Some(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)),
                None,
            ),
            Err(cause) => (None, Some(cause)),
        };
        self.write(
            "INSERT INTO sighting (ca, at, took, cause) VALUES (?, ?, ?, ?)",
            params![sighting.ca.as_str(), sighting.at.unix_ms(), took, cause],
        )
    }

    fn down_since(&self) -> Result<BTreeMap<CaName, Down>, StoreError> {
        self.down()
    }

    fn cut_off(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write("INSERT INTO cut_off (at) VALUES (?)", params![at.unix_ms()])
    }

    fn reached(&self, since: Timestamp) -> Result<Vec<(Timestamp, bool)>, StoreError> {
        self.changes(since)
    }

    fn budget(&self, key: &BudgetKey) -> Result<Option<Bucket>, StoreError> {
        budgets::read(&self.connection(), key).map_err(|cause| failed("read", &self.path, &cause))
    }

    fn change_budgets(
        &self,
        keys: &[BudgetKey],
        change: ChangeBudgets<'_>,
    ) -> Result<(), StoreError> {
        budgets::change(self, keys, change)
    }

    fn forget_ahead(&self, now: Timestamp) -> Result<(), StoreError> {
        ahead::forget(self, now)
    }

    fn prune(&self, before: Timestamp) -> Result<(), StoreError> {
        pruning::prune(self, before)
    }
}

/// Causes in one column.
fn list(causes: &[String]) -> String {
    serde_json::Value::from(causes.to_vec()).to_string()
}

/// Opens the file, private to its owner, with its tables.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let error = |cause: &rusqlite::Error| failed("open", path, cause);
    place::must_be_a_file("open", path)?;
    match permission::open_private(path) {
        Ok(_new) => {}
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
        // SQLite says what is wrong, unless there is nothing to be opened.
        Err(cause) if !path.exists() => return Err(place::failure(path, &cause)),
        Err(_) => {}
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|e| error(&e))?;
    let prepare = |connection: &mut Connection| -> rusqlite::Result<i64> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        sound(connection)?;
        let before = version_of(connection)?;
        if (1..SCHEMA).contains(&before) {
            keep_copy(connection, path, before)?;
        }
        bring_forward(connection)
    };
    let version = prepare(&mut connection).map_err(|cause| error(&cause))?;
    refuse_newer(path, version)?;
    Ok(connection)
}

/// Looks through the whole file: damage behind its first page would otherwise be met by a question in
/// the middle of a run, and by every run after it.
fn sound(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

/// A history without a file.
fn empty(path: &Path) -> Result<Connection, StoreError> {
    let memory = Connection::open_in_memory().and_then(|mut memory| {
        bring_forward(&mut memory)?;
        Ok(memory)
    });
    memory.map_err(|cause| failed("begin", path, &cause))
}

fn failed(act: &'static str, path: &Path, cause: &rusqlite::Error) -> StoreError {
    let kind = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Locked,
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => StoreErrorKind::NoSpace,
        Some(ErrorCode::PermissionDenied) => StoreErrorKind::Permission,
        _ => StoreErrorKind::Io,
    };
    let hint = match kind {
        StoreErrorKind::Locked => Some("another Waxwing is writing; try again".to_owned()),
        StoreErrorKind::NoSpace => Some(crate::store::room(
            match cause.sqlite_error_code() {
                Some(ErrorCode::ReadOnly) => std::io::ErrorKind::ReadOnlyFilesystem,
                _ => std::io::ErrorKind::StorageFull,
            },
            path,
        )),
        _ => None,
    };
    StoreError {
        kind,
        act,
        path: path.to_owned(),
        causes: vec![cause.to_string()],
        hint,
    }
}

#[cfg(test)]
mod tests;
