//! How revocations ended.

use rusqlite::{Row, params};
use waxwing_core::name::CertificateName;
use waxwing_flow::history::{ClosedRevocation, RevocationResult, Unrevoked};
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, certificate, failed, list};

/// One more of the same: the line before it was of the same version, class and outermost cause. `?1` is the
/// certificate, `?2` the end, `?3` version, `?4` class, `?5` the causes, `?6` the requests.
const SAME: &str = "
UPDATE revocation SET ended = ?2, times = times + 1, causes = ?5, requests = requests + ?6
WHERE id = (SELECT max(id) FROM revocation WHERE certificate = ?1)
  AND version = ?3 AND class = ?4 AND json_extract(causes, '$[0]') IS json_extract(?5, '$[0]')";

const NEW: &str = "
INSERT INTO revocation
(run, certificate, version, ca, reason, started, ended, class, causes, why, requests, times)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)";

/// What was tried in vain behind the last revocation that did not fail, oldest first; of each certificate,
/// or of one.
const UNREVOKED: &str = "
SELECT certificate, version, class, causes, times FROM revocation AS one
WHERE class IS NOT NULL
  AND id > (SELECT coalesce(max(id), 0) FROM revocation
            WHERE certificate = one.certificate AND class IS NULL)
  AND (?1 IS NULL OR certificate = ?1)
ORDER BY id";

pub(super) fn record(
    history: &SqliteHistory,
    revocation: &ClosedRevocation,
) -> Result<(), StoreError> {
    let (class, causes, why) = match &revocation.result {
        RevocationResult::Revoked => (None, "[]".to_owned(), None),
        RevocationResult::Over { why } => (None, "[]".to_owned(), Some(why)),
        RevocationResult::Failed { class, causes } => (Some(class.as_str()), list(causes), None),
    };
    let name = revocation.certificate.as_str();
    let ended = revocation.ended.unix_ms();
    if class.is_some() {
        let connection = history.connection();
        let same = params![
            name,
            ended,
            revocation.version,
            class,
            causes,
            revocation.requests
        ];
        let changed = connection.execute(SAME, same);
        let changed = changed.map_err(|cause| failed("write", &history.path, &cause))?;
        drop(connection);
        if changed > 0 {
            return Ok(());
        }
    }
    history.write(
        NEW,
        params![
            revocation.run,
            name,
            revocation.version,
            revocation.ca.as_ref().map(|ca| ca.as_str()),
            revocation.reason,
            revocation.started.unix_ms(),
            ended,
            class,
            causes,
            why,
            revocation.requests,
        ],
    )
}

/// What is owed, by certificate; the last version counts.
pub(super) fn unrevoked(
    history: &SqliteHistory,
    name: Option<&str>,
) -> Result<Vec<(CertificateName, Unrevoked)>, StoreError> {
    let mut found: Vec<(CertificateName, Unrevoked)> = Vec::new();
    for (name, one) in history.rows(UNREVOKED, [name], tried)? {
        let before = found.iter_mut().find(|(other, _)| *other == name);
        match before {
            Some((_, before)) if before.version == one.version => {
                before.tries = before.tries.saturating_add(one.tries);
                (before.class, before.causes) = (one.class, one.causes);
            }
            Some((_, before)) => *before = one,
            None => found.push((name, one)),
        }
    }
    Ok(found)
}

fn tried(row: &Row<'_>) -> rusqlite::Result<(CertificateName, Unrevoked)> {
    let causes: String = row.get(3)?;
    let one = Unrevoked {
        version: row.get(1)?,
        tries: row.get(4)?,
        class: row.get(2)?,
        causes: serde_json::from_str(&causes).unwrap_or_else(|_| vec![causes.clone()]),
    };
    Ok((certificate(row, 0)?, one))
}
