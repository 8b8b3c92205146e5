//! A private copy of the file, for those who only look.

use std::fs;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use super::schema::{bring_forward, refuse_newer};
use super::{FILE, PATIENCE, empty, failed, place, sound};
use crate::permission;

/// Copies the file into memory; where there is none, an empty history.
///
/// It is opened for writing, though nothing is written: where a process was killed in the middle of a
/// change, SQLite has to undo that before anybody can read. Without the right to write it reads, and
/// what is to be undone is undone elsewhere.
pub(super) fn copy(path: &Path) -> Result<Connection, StoreError> {
    let error = |cause: &rusqlite::Error| failed("read", path, cause);
    place::must_be_a_file("read", path)?;
    if !path.exists() {
        return empty(path);
    }
    let copied = into_memory(path).map_err(|cause| error(&cause));
    let (mut memory, whole) = match copied {
        Err(error) if error.kind == StoreErrorKind::NoSpace => undone(path).ok_or(error)?,
        other => other?,
    };
    if !matches!(whole, StepResult::Done) {
        return Err(StoreError {
            kind: StoreErrorKind::Locked,
            act: "read",
            path: path.to_owned(),
            causes: vec!["another process is writing".to_owned()],
            hint: Some("another Waxwing is writing; try again".to_owned()),
        });
    }
    let version = bring_forward(&mut memory).map_err(|cause| error(&cause))?;
    refuse_newer(path, version)?;
    Ok(memory)
}

fn into_memory(path: &Path) -> rusqlite::Result<(Connection, StepResult)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    file.busy_timeout(PATIENCE)?;
    let mut memory = Connection::open_in_memory()?;
    sound(&file)?;
    let whole = Backup::new(&file, &mut memory)?.step(-1)?;
    Ok((memory, whole))
}

/// What the file was before a change that a power cut has left half done, where the disk does not let anybody
/// undo it. None if there is nothing to be undone, or no other place for it.
fn undone(path: &Path) -> Option<(Connection, StepResult)> {
    let journal = place::journal(path);
    if !journal.exists() {
        return None;
    }
    let attempt = || -> std::io::Result<tempfile::TempDir> {
        let elsewhere = tempfile::tempdir()?;
        let copy = elsewhere.path().join(FILE);
        fs::copy(&journal, place::journal(&copy))?;
        fs::copy(path, copy)?;
        Ok(elsewhere)
    };
    let elsewhere = attempt().ok()?;
    into_memory(&elsewhere.path().join(FILE)).ok()
}

/// Puts a copy that is ours in the place of a file that can be read and not written: another user has left it there, as
/// from a backup, or has taken the right to write it away. False where it cannot be read either, or is damaged.
pub(super) fn take_over(path: &Path, why: &StoreError) -> Result<bool, StoreError> {
    if why.kind != StoreErrorKind::Permission || fs::File::open(path).is_err() {
        return Ok(false);
    }
    // A change that was cut off is undone in the copy.
    let journal = place::journal(path);
    let copied = || -> std::io::Result<tempfile::TempDir> {
        let elsewhere = tempfile::tempdir()?;
        let copy = elsewhere.path().join(FILE);
        // The rights of the file must not come with it.
        if journal.exists() {
            fs::write(place::journal(&copy), fs::read(&journal)?)?;
        }
        fs::write(copy, fs::read(path)?)?;
        Ok(elsewhere)
    };
    let beside = path.with_extension(format!("db.new-{}", std::process::id()));
    let kept = |cause: String| StoreError {
        kind: StoreErrorKind::NoSpace,
        causes: vec![cause],
        hint: Some("make room, or let this user write it".to_owned()),
        ..why.clone()
    };
    let elsewhere = copied().map_err(|cause| kept(cause.to_string()))?;
    let put = || -> rusqlite::Result<()> {
        let whole = Connection::open(elsewhere.path().join(FILE))?;
        sound(&whole)?;
        let _older = fs::remove_file(&beside);
        // SQLite writes into an empty file; made here, only the owner can read it.
        let _new = permission::open_private(&beside);
        whole.execute("VACUUM INTO ?1", [beside.display().to_string()])?;
        Ok(())
    };
    if let Err(cause) = put() {
        let _leftover = fs::remove_file(&beside);
        let failed = failed("open", path, &cause);
        return match failed.kind {
            StoreErrorKind::Corrupt => Ok(false),
            _ => Err(kept(cause.to_string())),
        };
    }
    let placed = permission::put_in_place(&beside, path);
    placed.map_err(|cause| kept(cause.to_string()))?;
    // It was that of the file before.
    let _none = fs::remove_file(&journal);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a power cut leaves in the middle of a change: the file half written, and how it was.
    #[test]
    fn a_change_that_was_cut_off_is_undone_in_another_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let mut connection = Connection::open(&path).expect("a new one");
        bring_forward(&mut connection).expect("tables");
        let count = |connection: &Connection| -> i64 {
            let counted = "SELECT count(*) FROM cut_off";
            let counted = connection.query_row(counted, [], |row| row.get(0));
            counted.expect("read")
        };
        let begin = "INSERT INTO cut_off (at) VALUES (1), (2);
                     PRAGMA cache_size = 1; PRAGMA cache_spill = 1;
                     BEGIN IMMEDIATE;
                     WITH RECURSIVE n(x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM n WHERE x < 50000)
                     INSERT INTO cut_off (at) SELECT x FROM n;";
        connection.execute_batch(begin).expect("begun");
        assert!(count(&connection) > 40_000);

        let cut = tempfile::tempdir().expect("a folder");
        let file = cut.path().join(FILE);
        fs::copy(&path, &file).expect("copied");
        assert!(undone(&file).is_none(), "nothing is known to be undone");
        fs::copy(place::journal(&path), place::journal(&file)).expect("copied");
        let before = fs::read(&file).expect("read");
        let (memory, _) = undone(&file).expect("undone");
        assert_eq!(count(&memory), 2);
        assert_eq!(fs::read(&file).expect("read"), before, "and left as it is");
    }
}
