//! What stands in a row.

use std::path::Path;

use rusqlite::Row;
use rusqlite::types::Type;
use waxwing_core::due::Suggestion;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::time::{Timestamp, Window};
use waxwing_flow::history::Advice;

fn broken(column: usize, cause: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))
}

/// What can be read of it. A bit that has turned in a value leaves the file as a whole sound, and one line must not
/// hide all others.
pub(super) fn sound<T>(
    rows: impl Iterator<Item = rusqlite::Result<T>>,
    path: &Path,
) -> rusqlite::Result<Vec<T>> {
    let passed = |row: rusqlite::Result<T>| match row {
        Err(cause) if is_damage(&cause) => {
            tracing::error!(file = %path.display(), cause = %cause,
                "a line of the history cannot be read and is passed over");
            None
        }
        row => Some(row),
    };
    rows.filter_map(passed).collect()
}

/// True for a value that is not what was written.
pub(super) const fn is_damage(cause: &rusqlite::Error) -> bool {
    matches!(
        cause,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnType(..)
    )
}

pub(super) fn certificate(row: &Row<'_>, column: usize) -> rusqlite::Result<CertificateName> {
    let text: String = row.get(column)?;
    CertificateName::parse(&text).map_err(|cause| broken(column, cause))
}

pub(super) fn ca(row: &Row<'_>, column: usize) -> rusqlite::Result<CaName> {
    let text: String = row.get(column)?;
    CaName::parse(&text).map_err(|cause| broken(column, cause))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_unix_ms)
}

pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ms: Option<i64> = row.get(column)?;
    Ok(ms.map(Timestamp::from_unix_ms))
}

pub(super) fn advice(row: &Row<'_>) -> rusqlite::Result<(CertificateName, Advice)> {
    let (start, end, chosen) = (
        maybe_time(row, 2)?,
        maybe_time(row, 3)?,
        maybe_time(row, 4)?,
    );
    let suggestion = match (start, end, chosen) {
        (Some(start), Some(end), Some(chosen)) => Some(Suggestion {
            window: Window { start, end },
            chosen,
        }),
        _ => None,
    };
    let advice = Advice {
        about: row.get(1)?,
        suggestion,
        explanation: row.get(5)?,
        next: time(row, 6)?,
        failures: row.get(7)?,
        cause: row.get(8)?,
    };
    Ok((certificate(row, 0)?, advice))
}
