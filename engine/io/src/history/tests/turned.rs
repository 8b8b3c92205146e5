//! Bits that have turned on the disk.

use super::*;

/// The file as a whole is sound, and nobody would look for it.
#[test]
fn a_value_that_is_damaged_hides_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    for of in ["shop", "mail"] {
        let failed = failed_with(FailureClass::Transient, None);
        let failed = attempt(of, "one", 0, failed);
        history.record(&failed).expect("written");
    }
    let turn = |sql: &str| {
        let connection = history.connection();
        assert_eq!(connection.execute(sql, []).expect("written"), 1, "{sql}");
    };
    turn("UPDATE attempt SET certificate = CAST(x'73ff6f70' AS TEXT) WHERE certificate = 'shop'");
    let pasts = history.pasts(NOW + HOUR).expect("read");
    assert_eq!(
        pasts
            .keys()
            .map(CertificateName::as_str)
            .collect::<Vec<_>>(),
        ["mail"]
    );
    assert_eq!(pasts[&name("mail")].failed.len(), 1);
    drop(history);
    let again = SqliteHistory::open(folder.path()).expect("sound as a whole");
    assert_eq!(again.pasts(NOW + HOUR).expect("read").len(), 1);
}
