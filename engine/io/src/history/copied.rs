//! A private copy of the file, for those who only look.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use waxwing_flow::ports::{StoreError, StoreErrorKind};

use super::schema::{bring_forward, refuse_newer, version_of};
use super::{FILE, PATIENCE, empty, failed, place, sound};
use crate::permission;

/// Copies the file into memory; where there is none, an empty history.
///
/// It is opened for writing, though nothing is written: where a process was killed in the middle of a
/// change, SQLite has to undo that before anybody can read. Without the right to write it reads, and
/// what is to be undone is undone elsewhere.
pub(super) fn copy(path: &Path) -> Result<Connection, StoreError> {
    let error = |cause: &rusqlite::Error| failed("read", path, cause);
    let taken = place::taken(path);
    let path = match counts(path) {
        true => &taken,
        false => path,
    };
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
    if !place::companions(path).iter().any(|file| file.exists()) {
        return None;
    }
    let elsewhere = elsewhere(path, tempfile::tempdir()).ok()?;
    into_memory(&elsewhere.path().join(FILE)).ok()
}

/// So old is what a process has left that was killed while it made a copy.
const STALE: Duration = Duration::from_secs(60 * 60);

/// How the names of copies begin that are being made beside the file.
fn unfinished(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}.new-")
}

/// Takes away what was left of copies.
pub(super) fn tidy(path: &Path) {
    let folder = path.parent().unwrap_or(path);
    let name = unfinished(path);
    for one in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = one.file_name().to_string_lossy().starts_with(&name);
        let age = one
            .metadata()
            .and_then(|found| found.modified())
            .map(|at| at.elapsed());
        if ours && matches!(age, Ok(Ok(age)) if age > STALE) {
            let path = one.path();
            let _gone = fs::remove_dir_all(&path).or_else(|_a_file| fs::remove_file(&path));
        }
    }
}

/// A folder for a copy: in the state folder, for among the temporary files there may be no room, or none may be made.
fn beside(path: &Path) -> std::io::Result<tempfile::TempDir> {
    let folder = path.parent().unwrap_or(path);
    permission::private_tempdir(&unfinished(path), folder)
}

/// A copy of the file and of what SQLite keeps beside it. An error names what failed.
fn elsewhere(
    path: &Path,
    folder: std::io::Result<tempfile::TempDir>,
) -> Result<tempfile::TempDir, String> {
    let folder = folder.map_err(|cause| format!("no copy can be made: {cause}"))?;
    let copy = folder.path().join(FILE);
    let own = place::companions(path)
        .into_iter()
        .zip(place::companions(&copy));
    let pairs = own.chain([(path.to_owned(), copy)]);
    for (from, to) in pairs {
        let bytes = match fs::read(&from) {
            Err(cause) if cause.kind() == ErrorKind::NotFound && from != path => continue,
            read => read.map_err(|cause| format!("{}: {cause}", from.display()))?,
        };
        // The rights of the file must not come with it.
        fs::write(&to, bytes).map_err(|cause| {
            format!(
                "no copy can be made in {}: {cause}",
                folder.path().display()
            )
        })?;
    }
    Ok(folder)
}

/// Puts a copy that is ours in the place of a file that can be read and not written, or of which that is so of what
/// SQLite keeps beside it: another user has left it there, as from a backup, or has taken the right to write it away.
/// False where it cannot be read either, or is damaged.
pub(super) fn take_over(path: &Path, why: &StoreError) -> Result<bool, StoreError> {
    let shut = why.kind == StoreErrorKind::Permission || place::is_shut(path);
    if !shut || fs::File::open(path).is_err() {
        return Ok(false);
    }
    let kept = |cause: String| StoreError {
        kind: StoreErrorKind::NoSpace,
        causes: vec![cause],
        hint: Some("make room there, or let this user read and write it: it is whole".to_owned()),
        ..why.clone()
    };
    // A change that was cut off is undone in the copy.
    let elsewhere = elsewhere(path, self::beside(path)).map_err(kept)?;
    let beside = elsewhere.path().join("whole");
    let put = || -> rusqlite::Result<()> {
        let whole = Connection::open(elsewhere.path().join(FILE))?;
        sound(&whole)?;
        // SQLite writes into an empty file; made here, only the owner can read it.
        let _new = permission::open_private(&beside);
        whole.execute("VACUUM INTO ?1", [beside.display().to_string()])?;
        Ok(())
    };
    if let Err(cause) = put() {
        let failed = failed("open", path, &cause);
        return match failed.kind {
            StoreErrorKind::Corrupt => Ok(false),
            _ => Err(kept(cause.to_string())),
        };
    }
    // From here on whoever comes goes on with it.
    let ready = fs::File::open(&beside)
        .and_then(|file| file.sync_all())
        .and_then(|()| permission::put_in_place(&beside, &place::taken(path)));
    ready.map_err(|cause| kept(cause.to_string()))?;
    go_on(path)?;
    Ok(true)
}

/// True if the copy of [`take_over`] is there, can be used, and nobody has put another file there since.
fn counts(path: &Path) -> bool {
    let taken = place::taken(path);
    let is_sound = |file: &Path| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(file, flags);
        let whole =
            |file: Connection| version_of(&file).is_ok_and(|it| it > 0) && sound(&file).is_ok();
        opened.is_ok_and(whole)
    };
    let written = |file: &Path| fs::metadata(file).and_then(|found| found.modified()).ok();
    if !taken.is_file() || !is_sound(&taken) {
        return false;
    }
    let newer = written(path) > written(&taken);
    !(newer && place::may_be_written(path) && is_sound(path))
}

/// Puts the copy of [`take_over`] in place, if there is one that is not yet: what SQLite keeps beside the file belongs to
/// the one before, and would destroy the new one.
pub(super) fn go_on(path: &Path) -> Result<(), StoreError> {
    let taken = place::taken(path);
    if fs::symlink_metadata(&taken).is_err() {
        return Ok(());
    }
    if !counts(path) {
        let aside = path.with_extension("db.taken-unused");
        tracing::warn!(kept = %aside.display(), "a copy of the history that was made before is not used");
        let _moved = fs::rename(&taken, aside);
        return Ok(());
    }
    tracing::warn!("the history could not be written, and a whole copy takes its place");
    let failed = |file: &Path, cause: &std::io::Error| StoreError {
        kind: StoreErrorKind::NoSpace,
        act: "put a copy in the place of",
        path: path.to_owned(),
        causes: vec![format!("{}: {cause}", file.display())],
        hint: Some(
            "let this user write and remove it: what is known is whole, and the next run goes on"
                .to_owned(),
        ),
    };
    for file in place::companions(path) {
        match fs::remove_file(&file) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(failed(&file, &cause)),
            _ => {}
        }
    }
    match permission::put_in_place(&taken, path) {
        // Another process was faster.
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        placed => placed.map_err(|cause| failed(path, &cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_copy_that_was_not_put_in_place_yet_is_not_destroyed_by_what_belonged_to_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let mut connection = Connection::open(&path).expect("a new one");
        bring_forward(&mut connection).expect("tables");
        connection
            .execute_batch("INSERT INTO cut_off (at) VALUES (1), (2)")
            .expect("written");
        drop(connection);
        // Where a process dies that has made the copy: the file half written, and how it was.
        permission::put_in_place(&path, &place::taken(&path)).expect("moved");
        fs::write(&path, "half written").expect("written");
        let [journal, wal, _] = place::companions(&path);
        fs::write(&journal, "stale").expect("written");
        fs::write(&wal, "stale").expect("written");
        let looked = copy(&path).expect("the whole one");
        let count = |connection: &Connection| -> i64 {
            let counted =
                connection.query_row("SELECT count(*) FROM cut_off", [], |row| row.get(0));
            counted.expect("read")
        };
        assert_eq!(count(&looked), 2);
        go_on(&path).expect("in place");
        assert!(!journal.exists() && !wal.exists() && !place::taken(&path).exists());
        assert_eq!(count(&Connection::open(&path).expect("the new one")), 2);
        go_on(&path).expect("nothing to do");
        // What somebody has put there since, and is whole, stays; and what is no history is none.
        for text in [None, Some("garbage")] {
            let taken = place::taken(&path);
            match text {
                None => drop(fs::copy(&path, &taken)),
                Some(text) => fs::write(&taken, text).expect("written"),
            }
            let file = fs::File::options().write(true).open(&taken);
            let old = std::time::SystemTime::now() - STALE;
            file.and_then(|file| file.set_modified(old)).expect("set");
            let before = fs::metadata(&path)
                .and_then(|found| found.modified())
                .expect("a time");
            go_on(&path).expect("set aside");
            let after = fs::metadata(&path)
                .and_then(|found| found.modified())
                .expect("a time");
            assert_eq!(before, after, "{text:?}");
            assert!(!taken.exists() && path.with_extension("db.taken-unused").exists());
        }
    }

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
        let [journal, ..] = place::companions(&file);
        let [from, ..] = place::companions(&path);
        fs::copy(from, journal).expect("copied");
        let before = fs::read(&file).expect("read");
        let (memory, _) = undone(&file).expect("undone");
        assert_eq!(count(&memory), 2);
        assert_eq!(fs::read(&file).expect("read"), before, "and left as it is");
    }
}
