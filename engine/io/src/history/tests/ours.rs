//! A file that is not ours, or not ours to write.

use super::*;

#[cfg(unix)]
#[test]
fn a_file_of_another_user_is_set_aside() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxwing.db");
    drop(SqliteHistory::open(folder.path()).expect("a new one"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("a mode");
    if fs::File::open(&path).is_ok() {
        // Root may read every file.
        return;
    }
    let look = SqliteHistory::look(folder.path()).expect("as if there were none");
    assert_eq!(look.pasts(NOW), Ok(BTreeMap::new()));
    drop(SqliteHistory::open(folder.path()).expect("begun anew"));
    assert!(folder.path().join("waxwing.db.damaged-1").exists());
}

#[test]
fn what_can_be_read_and_not_written_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waxwing.db");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let sighting = Sighting {
        ca: ca_name("one"),
        at: NOW,
        result: Err("no connection".to_owned()),
    };
    history.sight(&sighting).expect("noted");
    drop(history);
    let denied = StoreError {
        kind: StoreErrorKind::Permission,
        act: "open",
        path: path.clone(),
        causes: Vec::new(),
        hint: None,
    };
    assert_eq!(copied::take_over(&path, &denied), Ok(true));
    let others = permission::others_can_read(&path);
    assert_eq!(others.ok(), Some(false));
    let history = SqliteHistory::open(folder.path()).expect("the same");
    let seen = history.sightings(&ca_name("one"), NOW).expect("read");
    assert_eq!(seen.len(), 1);
    drop(history);
    // What is damaged is not.
    fs::write(&path, "damaged, damaged, damaged").expect("written");
    assert_eq!(copied::take_over(&path, &denied), Ok(false));
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1);
}
