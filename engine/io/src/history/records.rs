//! Reading the history as somebody wants to see it: newest first.

use std::time::Duration;

use rusqlite::{Row, params};
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::time::Timestamp;
use waxwing_flow::history::{Record, Recorded, RecordedFailure, Sighting};
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, ca, certificate, maybe_time, time};

/// Attempts, installations and revocations in one list. `?1` is a certificate or null, `?2` the earliest end, `?3`
/// the most lines, `?4` whether only failures are wanted.
const RECORDS: &str = "
SELECT run, certificate, started, ended, version, ca, instead_of, because, NULL AS target,
       class AS kind, until, causes, id, 0 AS later, requests, 1 AS times,
       0 AS is_revocation, NULL AS reason, NULL AS why
FROM attempt WHERE ended >= ?2 AND (?1 IS NULL OR certificate = ?1) AND (NOT ?4 OR class IS NOT NULL)
UNION ALL
SELECT run, certificate, started, ended, version, NULL, NULL, NULL, target,
       stage, NULL, causes, id, 1, NULL, times, 0, NULL, NULL
FROM deploy WHERE ended >= ?2 AND (?1 IS NULL OR certificate = ?1) AND (NOT ?4 OR stage IS NOT NULL)
UNION ALL
SELECT run, certificate, started, ended, NULL, NULL, NULL, NULL, NULL,
       class, NULL, causes, id, 0, NULL, times, 0, NULL, NULL
FROM unasked WHERE ended >= ?2 AND (?1 IS NULL OR certificate = ?1)
UNION ALL
SELECT run, certificate, started, ended, version, ca, NULL, NULL, NULL,
       class, NULL, causes, id, 2, requests, times, 1, reason, why
FROM revocation WHERE ended >= ?2 AND (?1 IS NULL OR certificate = ?1) AND (NOT ?4 OR class IS NOT NULL)
ORDER BY ended DESC, later DESC, id DESC LIMIT ?3";

/// Which lines of the history are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of this certificate only; none for all.
    pub certificate: Option<&'a CertificateName>,
    /// None that ended before.
    pub since: Timestamp,
    /// Only failures.
    pub failed: bool,
    /// So many at most, the newest.
    pub most: u32,
}

impl SqliteHistory {
    /// Attempts, installations and revocations, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn records(&self, wanted: &Wanted<'_>) -> Result<Vec<Record>, StoreError> {
        let values = params![
            wanted.certificate.map(CertificateName::as_str),
            wanted.since.unix_ms(),
            wanted.most,
            wanted.failed
        ];
        self.rows(RECORDS, values, record)
    }

    /// Every certificate of which something was tried.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn names(&self) -> Result<Vec<CertificateName>, StoreError> {
        let sql = "SELECT certificate FROM attempt UNION SELECT certificate FROM deploy
                   UNION SELECT certificate FROM unasked UNION SELECT certificate FROM revocation";
        self.rows(sql, [], |row| certificate(row, 0))
    }

    /// Certificates of CAs that stood in for another one, oldest first: the certificate, its version, the
    /// other CA, and why that one was not taken.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stand_ins(&self) -> Result<Vec<(CertificateName, u32, CaName, String)>, StoreError> {
        let sql = "SELECT certificate, version, instead_of, coalesce(because, '') FROM attempt
                   WHERE version IS NOT NULL AND instead_of IS NOT NULL ORDER BY id";
        self.rows(sql, [], |row| {
            Ok((certificate(row, 0)?, row.get(1)?, ca(row, 2)?, row.get(3)?))
        })
    }

    /// What came of talking to a CA, oldest first, no older than `since`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sightings(&self, name: &CaName, since: Timestamp) -> Result<Vec<Sighting>, StoreError> {
        let sql =
            "SELECT ca, at, took, cause FROM sighting WHERE ca = ?1 AND at >= ?2 ORDER BY at, id";
        let values = params![name.as_str(), since.unix_ms()];
        self.rows(sql, values, sighting)
    }

    /// A number that is another one after anybody else has written to this history: another process.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn written_elsewhere(&self) -> Result<i64, StoreError> {
        let found = self.rows("PRAGMA data_version", [], |row| row.get(0))?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// The last time a CA was talked to.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_sighting(&self, name: &CaName) -> Result<Option<Sighting>, StoreError> {
        let sql = "SELECT ca, at, took, cause FROM sighting WHERE ca = ?1 ORDER BY id DESC LIMIT 1";
        let found = self.rows(sql, [name.as_str()], sighting)?;
        Ok(found.into_iter().next())
    }

    /// How long a CA took to answer the last time it did.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_took(&self, name: &CaName) -> Result<Option<Duration>, StoreError> {
        let sql =
            "SELECT took FROM sighting WHERE ca = ?1 AND took IS NOT NULL ORDER BY id DESC LIMIT 1";
        let found = self.rows(sql, [name.as_str()], |row| row.get::<_, i64>(0))?;
        let took = found.first().and_then(|ms| u64::try_from(*ms).ok());
        Ok(took.map(Duration::from_millis))
    }

    /// When the oldest line was written; none if there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn begins(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(at) FROM (SELECT min(ended) AS at FROM attempt
                   UNION ALL SELECT min(ended) FROM deploy
                   UNION ALL SELECT min(ended) FROM unasked
                   UNION ALL SELECT min(ended) FROM revocation)";
        let found = self.rows(sql, [], |row| maybe_time(row, 0))?;
        Ok(found.into_iter().flatten().next())
    }
}

fn sighting(row: &Row<'_>) -> rusqlite::Result<Sighting> {
    let took: Option<i64> = row.get(2)?;
    Ok(Sighting {
        ca: ca(row, 0)?,
        at: time(row, 1)?,
        result: match took {
            Some(ms) => Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
            None => Err(row.get::<_, Option<String>>(3)?.unwrap_or_default()),
        },
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let at = row.get::<_, Option<String>>(5)?;
    let is_revocation: bool = row.get(16)?;
    let what = match at {
        at if is_revocation => Recorded::Revocation {
            ca: at.map(|_| ca(row, 5)).transpose()?,
            reason: row.get(17)?,
            over: row.get(18)?,
        },
        Some(_) => Recorded::Attempt {
            ca: ca(row, 5)?,
            stands_in: match row.get::<_, Option<String>>(6)? {
                Some(_) => Some((
                    ca(row, 6)?,
                    row.get::<_, Option<String>>(7)?.unwrap_or_default(),
                )),
                None => None,
            },
        },
        None => match row.get(8)? {
            Some(target) => Recorded::Deploy { target },
            None => Recorded::Unasked,
        },
    };
    let kind: Option<String> = row.get(9)?;
    let causes: String = row.get(11)?;
    let until = maybe_time(row, 10)?;
    Ok(Record {
        run: row.get(0)?,
        certificate: certificate(row, 1)?,
        started: time(row, 2)?,
        ended: time(row, 3)?,
        version: row.get(4)?,
        what,
        requests: row.get(14)?,
        times: row.get(15)?,
        failed: kind.map(|kind| RecordedFailure {
            kind,
            // What cannot be read as a list is shown as it is.
            causes: serde_json::from_str(&causes).unwrap_or_else(|_| vec![causes.clone()]),
            until,
        }),
    })
}
