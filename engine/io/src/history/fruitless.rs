//! CAs that answer and issue nothing.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;
use waxwing_core::retry::ladder;
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::history::Fruitless;
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, ca, maybe_time, time};

/// CAs at which an attempt has failed by their own fault since `?1`, none of it behind `?2`.
const CANDIDATES: &str = "
SELECT DISTINCT ca FROM attempt
WHERE ended BETWEEN ?1 AND ?2 AND class = ?3 AND theirs AND NOT local AND astray IS NULL";

/// Attempts at `?1` that failed by its own fault, by hours, newest first: since it issued last, or said no
/// with a reason, which is work as well.
const HOURS: &str = "
SELECT min(ended), max(ended), count(*), min(certificate), max(certificate), max(until) FROM attempt
WHERE ca = ?1 AND class = ?2 AND theirs AND NOT local AND NOT firm AND astray IS NULL AND ended <= ?3
  AND id > coalesce((SELECT id FROM attempt WHERE ca = ?1 AND (version IS NOT NULL OR class = ?4)
                     ORDER BY id DESC LIMIT 1), 0)
GROUP BY ended / 3600000 ORDER BY 1 DESC";

const CAUSES: &str = "
SELECT causes FROM attempt WHERE ca = ?1 AND ended = ?2 AND class = ?3 ORDER BY id DESC LIMIT 1";

const ANSWERED: &str = "
SELECT 1 FROM sighting WHERE ca = ?1 AND cause IS NULL AND at > ?2 AND at < ?3 LIMIT 1";

impl SqliteHistory {
    /// CAs that have answered, and at which every attempt since then has failed by their own fault, as far as that
    /// is about the CA and not about one certificate of several.
    ///
    /// One that has not answered in between is down, which the looks at it tell, and also when that is over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fruitless(
        &self,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<BTreeMap<CaName, Fruitless>, StoreError> {
        let mut found = self.all_fruitless(now)?;
        found.retain(|ca, fruitless| fruitless.is_of_the_ca(ca, settings));
        Ok(found)
    }

    pub(super) fn all_fruitless(
        &self,
        now: Timestamp,
    ) -> Result<BTreeMap<CaName, Fruitless>, StoreError> {
        let passing = FailureClass::Transient.as_str();
        let lately = params![(now - ladder::GAP).unix_ms(), now.unix_ms(), passing];
        let candidates = self.rows(CANDIDATES, lately, |row| ca(row, 0))?;
        let mut found = BTreeMap::new();
        for ca in candidates {
            if let Some(fruitless) = self.fruitless_at(&ca, now)? {
                found.insert(ca, fruitless);
            }
        }
        Ok(found)
    }

    fn fruitless_at(&self, ca: &CaName, now: Timestamp) -> Result<Option<Fruitless>, StoreError> {
        let (name, passing) = (ca.as_str(), FailureClass::Transient.as_str());
        let rejected = FailureClass::Rejected.as_str();
        let values = params![name, passing, now.unix_ms(), rejected];
        let hours = self.rows(HOURS, values, |row| {
            let times: i64 = row.get(2)?;
            let names: [String; 2] = [row.get(3)?, row.get(4)?];
            Ok((
                time(row, 0)?,
                time(row, 1)?,
                times,
                names,
                maybe_time(row, 5)?,
            ))
        })?;
        let Some((_, last, _, _, until)) = hours.first().cloned() else {
            return Ok(None);
        };
        let (mut since, mut attempts) = (last, 0_u32);
        let mut certificates = BTreeSet::new();
        for (first, end, times, names, _) in hours {
            // What failed before such a gap was another trouble.
            if since.since(end) > ladder::GAP {
                break;
            }
            since = first;
            certificates.extend(names);
            attempts = attempts.saturating_add(u32::try_from(times).unwrap_or(u32::MAX));
        }
        if last.since(since) < Fruitless::A_STATE {
            return Ok(None);
        }
        let between = params![name, since.unix_ms(), last.unix_ms()];
        let answered = self.rows(ANSWERED, between, |row| row.get::<_, i64>(0))?;
        if answered.is_empty() {
            return Ok(None);
        }
        let values = params![name, last.unix_ms(), passing];
        let causes = self.rows(CAUSES, values, |row| row.get::<_, String>(0))?;
        let causes = causes.first().map_or_else(Vec::new, |text| {
            serde_json::from_str(text).unwrap_or_else(|_| vec![text.clone()])
        });
        Ok(Some(Fruitless {
            since,
            last,
            until,
            attempts,
            is_of_one: certificates.len() < 2,
            causes,
        }))
    }
}
