//! What was told, and the letters that were not delivered yet.

use rusqlite::{Row, TransactionBehavior, params};
use waxwing_core::name::NotifierName;
use waxwing_core::notify::event::{EventKind, Notice};
use waxwing_core::time::Timestamp;
use waxwing_flow::notify::{Letter, Posting, Rest, Told, Waiting};
use waxwing_flow::ports::{Outbox, StoreError};

use super::{SqliteHistory, failed, rows, time};

const TOLD: &str =
    "SELECT subject, kind, step, at, coalesce(began, at) FROM told ORDER BY subject, kind";

impl Outbox for SqliteHistory {
    fn told(&self) -> Result<Vec<Told>, StoreError> {
        let rows = self.rows(TOLD, [], told)?;
        Ok(rows.into_iter().flatten().collect())
    }

    fn post(&self, seen: &[Told], change: &Posting) -> Result<bool, StoreError> {
        self.stays()?;
        let mut connection = self.connection();
        let mut write = || -> rusqlite::Result<bool> {
            let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now: Vec<Told> = {
                let mut statement = work.prepare(TOLD)?;
                let rows = rows::sound(statement.query_map([], told)?, &self.path)?;
                rows.into_iter().flatten().collect()
            };
            if now != seen {
                return Ok(false);
            }
            for (subject, kind) in &change.over {
                work.execute(
                    "DELETE FROM told WHERE subject = ? AND kind = ?",
                    params![subject, kind.as_str()],
                )?;
            }
            for one in &change.told {
                work.execute(
                    "INSERT OR REPLACE INTO told (subject, kind, step, at, began) VALUES (?, ?, ?, ?, ?)",
                    params![
                        one.subject,
                        one.kind.as_str(),
                        one.step.to_string(),
                        one.at.unix_ms(),
                        one.began.unix_ms()
                    ],
                )?;
            }
            let nobody = Rest::default();
            let late = change.late.iter().map(|one| (&one.letter, &one.rest));
            let new = change.letters.iter().map(|letter| (letter, &nobody));
            for (letter, rest) in late.chain(new) {
                let notice = serde_json::to_string(&letter.notice)
                    .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
                let at = letter.notice.at.unix_ms();
                work.execute(
                    "INSERT INTO outbox (notifier, event, created, attempts, next, rest)
                     VALUES (?1, ?2, ?3, 0, ?3, ?4)",
                    params![
                        letter.notifier.as_str(),
                        notice,
                        at,
                        serde_json::json!(rest).to_string()
                    ],
                )?;
            }
            work.commit()?;
            Ok(true)
        };
        write().map_err(|cause| failed("write", &self.path, &cause))
    }

    fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT id, notifier, event, attempts, next, cause, rest FROM outbox ORDER BY id";
        let rows = self.rows(sql, [], waiting)?;
        Ok(rows.into_iter().flatten().collect())
    }

    fn take(&self, id: i64, seen: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        self.stays()?;
        let connection = self.connection();
        let taken = connection.execute(
            "UPDATE outbox SET next = ?3 WHERE id = ?1 AND next = ?2",
            params![id, seen.unix_ms(), until.unix_ms()],
        );
        taken
            .map(|rows| rows == 1)
            .map_err(|cause| failed("write", &self.path, &cause))
    }

    fn forget(&self, id: i64) -> Result<(), StoreError> {
        self.write("DELETE FROM outbox WHERE id = ?", [id])
    }

    fn keep(&self, id: i64, next: Timestamp, cause: &str, rest: &Rest) -> Result<(), StoreError> {
        self.write(
            "UPDATE outbox SET attempts = attempts + 1, next = ?2, cause = ?3, rest = ?4 WHERE id = ?1",
            params![id, next.unix_ms(), cause, serde_json::json!(rest).to_string()],
        )
    }
}

impl SqliteHistory {
    /// Refuses to change a copy: whoever is told would be told again by every run.
    fn stays(&self) -> Result<(), StoreError> {
        self.unwritable.clone().map_or(Ok(()), Err)
    }
}

/// None for a kind that this version does not know: a newer one has written it, and judges it.
fn told(row: &Row<'_>) -> rusqlite::Result<Option<Told>> {
    let (kind, step): (String, String) = (row.get(1)?, row.get(2)?);
    let (at, began) = (time(row, 3)?, time(row, 4)?);
    let known = EventKind::parse(&kind).zip(step.parse().ok());
    let subject = row.get(0)?;
    Ok(known.map(|(kind, step)| Told {
        subject,
        kind,
        step,
        at,
        began,
    }))
}

/// None for what this version cannot read.
fn waiting(row: &Row<'_>) -> rusqlite::Result<Option<Waiting>> {
    let id = row.get(0)?;
    let (notifier, notice): (String, String) = (row.get(1)?, row.get(2)?);
    let letter = NotifierName::parse(&notifier)
        .ok()
        .zip(serde_json::from_str::<Notice>(&notice).ok());
    let Some((notifier, notice)) = letter else {
        tracing::warn!(
            id,
            "a message in the outbox cannot be read; it is left there"
        );
        return Ok(None);
    };
    Ok(Some(Waiting {
        id,
        letter: Letter { notifier, notice },
        attempts: row.get(3)?,
        next: time(row, 4)?,
        cause: row.get(5)?,
        // Who cannot be read is everybody: twice is better than not at all.
        rest: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests;
