//! How many attempts have failed lately, at which CA and of which class.

use rusqlite::params;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::time::Timestamp;
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, ca};

/// What failed since `?1`. An attempt in which this machine reached nobody says nothing about a CA.
const LATELY: &str = "
SELECT ca, CASE WHEN local AND class = ?2 THEN ?3 ELSE class END AS of_class, count(*)
FROM attempt WHERE ended >= ?1 AND class IS NOT NULL AND astray IS NULL AND NOT (firm AND class = ?2)
GROUP BY ca, of_class ORDER BY ca, of_class";

/// So many attempts failed alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempts {
    /// At which CA.
    pub ca: CaName,
    /// The class of the failure ([`FailureClass::as_str`]), or [`OFFLINE`](Self::OFFLINE).
    pub class: String,
    /// How many; at least 1.
    pub times: u64,
}

impl FailedAttempts {
    /// What stands in the place of a class if this machine reached nobody.
    pub const OFFLINE: &'static str = "offline";
}

impl SqliteHistory {
    /// The attempts that have failed since then, each kind of failure at each CA once. Attempts that
    /// ended before a CA was asked are not among them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn failed_since(&self, then: Timestamp) -> Result<Vec<FailedAttempts>, StoreError> {
        let passing = FailureClass::Transient.as_str();
        let values = params![then.unix_ms(), passing, FailedAttempts::OFFLINE];
        self.rows(LATELY, values, |row| {
            let times: i64 = row.get(2)?;
            Ok(FailedAttempts {
                ca: ca(row, 0)?,
                class: row.get(1)?,
                times: u64::try_from(times).unwrap_or(0),
            })
        })
    }
}
