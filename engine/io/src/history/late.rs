//! What was noted while the file could not be used, written down when it can be again.

use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, params};
use waxwing_flow::ports::StoreError;

use super::{SqliteHistory, failed};

/// What a run learns that later ones count: no messages, which whoever could not note them has told in another
/// way, and no budgets, which cannot be added.
const TABLES: [&str; 5] = ["attempt", "unasked", "deploy", "revocation", "sighting"];

impl SqliteHistory {
    /// An empty one, for as long as this process lives, where the state folder is gone.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(super::FILE);
        Ok(Self {
            connection: Mutex::new(super::empty(&path)?),
            path,
            unwritable: None,
            missing: None,
        })
    }

    /// The same for a run that cannot use what is there.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn instead(state: &Path, error: StoreError) -> Result<Self, StoreError> {
        Ok(Self {
            unwritable: Some(error.clone()),
            missing: Some(error),
            ..Self::in_memory(state)?
        })
    }

    /// The same with what can be read of the file: for somebody who does not work with it, and whose words do not
    /// belong into it.
    ///
    /// # Errors
    /// As for [`SqliteHistory::instead`].
    pub fn apart(state: &Path, error: StoreError) -> Result<Self, StoreError> {
        match Self::look(state) {
            Ok(copy) => Ok(Self {
                unwritable: Some(error),
                ..copy
            }),
            Err(_unreadable) => Self::instead(state, error),
        }
    }

    /// Why nothing that is written here stays; none for one that is in its file.
    pub fn unwritable(&self) -> Option<&StoreError> {
        self.unwritable.as_ref()
    }

    /// Whether another process lets this one read and write; it is waited for a few seconds. Nothing is written.
    ///
    /// # Errors
    /// Why not.
    pub fn may_write(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        let tried = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        tried.map_err(|cause| failed("write", &self.path, &cause))
    }

    /// The history in its file, with what was noted in the meantime in place of it. What is noted here from now on
    /// is lost.
    ///
    /// # Errors
    /// When the file still cannot be used: then this goes on in place of it.
    pub fn written_late(&self, state: &Path) -> Result<Self, StoreError> {
        let found = Self::open(state)?;
        if self.unwritable.is_some() {
            let connection = self.connection();
            hand_over(&connection, &found.path, self.missing.is_some())
                .map_err(|cause| failed("write", &found.path, &cause))?;
        }
        Ok(found)
    }
}

/// Writes what is new into that file. In a copy that is what came behind the last line of the file; where nothing
/// was known, it is all.
fn hand_over(from: &Connection, to: &Path, all: bool) -> rusqlite::Result<()> {
    from.busy_timeout(super::PATIENCE)?;
    from.execute(
        "ATTACH DATABASE ?1 AS file",
        params![to.to_string_lossy().as_ref()],
    )?;
    let copied = from.unchecked_transaction().and_then(|transaction| {
        for table in TABLES {
            let sql = "SELECT name FROM pragma_table_info(?1) WHERE name <> 'id' ORDER BY cid";
            let mut statement = transaction.prepare(sql)?;
            let columns = statement.query_map([table], |row| row.get::<_, String>(0))?;
            let columns = columns.collect::<rusqlite::Result<Vec<String>>>()?.join(", ");
            let sql = format!(
                "INSERT INTO file.{table} ({columns}) SELECT {columns} FROM main.{table}
                 WHERE ?1 OR id > (SELECT coalesce(max(id), 0) FROM file.{table}) ORDER BY id"
            );
            transaction.execute(&sql, [all])?;
        }
        transaction.execute(
            "INSERT INTO file.request (ca, sent) SELECT ca, sent FROM main.request WHERE true
             ON CONFLICT (ca) DO UPDATE SET sent = CASE WHEN ?1 THEN sent ELSE 0 END + excluded.sent",
            [all],
        )?;
        transaction.commit()
    });
    let _gone_with_the_connection = from.execute("DETACH DATABASE file", []);
    copied
}
