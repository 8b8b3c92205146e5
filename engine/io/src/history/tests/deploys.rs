//! Installations and looks that fail again and again.

use super::*;

#[test]
fn what_fails_in_the_same_way_again_is_one_line_with_a_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = SqliteHistory::open(folder.path()).expect("a new one");
    let at = |hours: i64| Timestamp::from_unix(NOW.unix() - 50 * 3600 + hours * 3600);
    let record = |hours, version, failed: Option<&str>| {
        let failed = failed.map(|cause| FailedDeploy {
            stage: "verify",
            causes: vec![cause.to_owned(), format!("behind {hours} ms")],
        });
        let deploy = ClosedDeploy {
            run: format!("run-{hours}"),
            certificate: name("shop"),
            version: Some(version),
            target: Target::Installer(PluginName::parse("web").expect("a literal name")),
            started: at(hours),
            ended: at(hours),
            failed,
        };
        history.record_deploy(&deploy).expect("written");
    };
    for hours in 0..24 {
        record(hours, 1, Some("another certificate is served"));
    }
    record(24, 1, Some("no answer"));
    record(25, 1, None);
    record(26, 1, Some("no answer"));
    record(27, 2, Some("no answer"));
    let wanted = Wanted {
        certificate: None,
        since: at(-1),
        failed: false,
        most: 20,
    };
    let found = history.records(&wanted).expect("read");
    let found: Vec<(u32, Timestamp, Timestamp)> = found
        .iter()
        .map(|one| (one.times, one.started, one.ended))
        .collect();
    let one = |hours| (1, at(hours), at(hours));
    let want = [one(27), one(26), one(25), one(24), (24, at(0), at(23))];
    assert_eq!(found, want);
}
