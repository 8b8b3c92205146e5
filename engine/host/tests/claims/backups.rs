//! What an installer overwrites is kept until its batch has ended well, and put back if it has not.

use std::fs;

use serde_json::json;
use waxwing_flow::plugin::{PluginFailureKind, PutBack, PutBackResult};

use crate::files::{dir, names, text};
use crate::stage::{Show, Stage, attempt, item};

/// What is in the ledger of the plugin.
pub(crate) fn entries(show: &Show) -> Vec<String> {
    let dir = show.backups().join(show.loaded.name().as_str());
    let open = dir.join("open");
    if open.is_dir() {
        names(&open)
    } else {
        Vec::new()
    }
}

#[tokio::test]
async fn what_a_dead_process_has_overwritten_is_put_back_by_the_next_one() {
    let dir = dir();
    fs::write(dir.path().join("shop.crt"), "old").expect("a file");
    let stage = || Stage::installer("dead", dir.path(), json!({}));
    let first = stage().show();
    let kept = first.backups_of();
    first.install().await.expect("success");
    assert_eq!(text(&dir, "shop.crt"), "leaf\nissuer\n");
    assert_eq!(entries(&first), ["0001", "0002"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let plugin = first.backups().join("dead");
        let below = ["", "open", "open/0001", "open/0002"].map(|below| plugin.join(below));
        for path in below.iter().chain([&first.backups()]) {
            let mode = fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }

    // While it lives, its batch is its own.
    let other = stage().coming_back_to(&kept).show();
    assert_eq!(other.installer().recover().await, []);
    let failure = other.install().await;
    assert!(failure.is_ok(), "there is nothing to write: {failure:?}");
    assert_eq!(text(&dir, "shop.crt"), "leaf\nissuer\n");

    drop(first);
    let put_back = other.installer().recover().await;
    let file = |name: &str| PutBack {
        plugin: other.loaded.name().clone(),
        path: dir.path().join(name).display().to_string(),
        result: PutBackResult::Restored,
    };
    assert_eq!(put_back, [file("shop.key"), file("shop.crt")]);
    assert_eq!(text(&dir, "shop.crt"), "old");
    assert_eq!(names(dir.path()), ["shop.crt"]);
    assert_eq!(other.installer().recover().await, [], "once");

    // A batch that has ended well leaves nothing to put back.
    other.install().await.expect("success");
    other.installer().accept().await.expect("erased");
    assert_eq!(entries(&other), Vec::<String>::new());
    let ended = other.backups().join("dead/ended");
    assert!(!ended.exists(), "keys of the past are erased");
    drop(other);
    let last = stage().coming_back_to(&kept).show();
    assert_eq!(last.installer().recover().await, []);
    assert_eq!(text(&dir, "shop.crt"), "leaf\nissuer\n");
}

/// As one that is mounted late, behind the very power cut.
#[tokio::test]
async fn what_belongs_into_a_folder_that_is_not_there_is_kept_for_it() {
    let dir = dir();
    fs::write(dir.path().join("shop.crt"), "old").expect("a file");
    let stage = || Stage::installer("late", dir.path(), json!({}));
    let first = stage().show();
    let kept = first.backups_of();
    first.install().await.expect("success");
    drop(first);
    let away = dir.path().with_extension("away");
    fs::rename(dir.path(), &away).expect("taken away");
    let next = stage().coming_back_to(&kept).show();
    let put_back = next.installer().recover().await;
    assert_eq!(put_back.len(), 2);
    for file in put_back {
        assert!(matches!(file.result, PutBackResult::Failed(_)), "{file:?}");
    }
    fs::rename(&away, dir.path()).expect("back");
    let put_back = next.installer().recover().await;
    let restored = |file: &PutBack| file.result == PutBackResult::Restored;
    assert!(
        put_back.len() == 2 && put_back.iter().all(restored),
        "{put_back:?}"
    );
    assert_eq!(text(&dir, "shop.crt"), "old");
    assert_eq!(next.installer().recover().await, []);
}

#[tokio::test]
async fn a_file_that_somebody_has_changed_since_is_not_put_back() {
    let dir = dir();
    let stage = || Stage::installer("changed", dir.path(), json!({}));
    let first = stage().show();
    let kept = first.backups_of();
    first.install().await.expect("success");
    drop(first);
    fs::write(dir.path().join("shop.crt"), "by hand").expect("a file");
    let next = stage().coming_back_to(&kept).show();
    let results: Vec<PutBackResult> = next
        .installer()
        .recover()
        .await
        .into_iter()
        .map(|file| file.result)
        .collect();
    assert_eq!(results, [PutBackResult::Restored, PutBackResult::LeftAlone]);
    assert_eq!(names(dir.path()), ["shop.crt"]);
    assert_eq!(text(&dir, "shop.crt"), "by hand");
    assert_eq!(next.installer().recover().await, []);
}

#[tokio::test]
async fn two_processes_do_not_install_with_one_plugin_at_a_time() {
    let (one, two) = (dir(), dir());
    let first = Stage::installer("busy", one.path(), json!({})).show();
    first.install().await.expect("success");
    let stage = Stage::installer("busy", two.path(), json!({}));
    let second = stage.coming_back_to(&first.backups_of()).show();
    let failure = second.install().await.expect_err("the other is not done");
    let busy = "another run is installing with this plugin now";
    assert!(failure.message.contains(busy), "{failure:?}");
    assert_eq!(names(two.path()), Vec::<String>::new());
    first.installer().accept().await.expect("erased");
    second.install().await.expect("success");
}

#[tokio::test]
async fn what_cannot_be_entered_in_the_ledger_is_not_written() {
    let dir = dir();
    let show = Stage::installer("unwritable", dir.path(), json!({})).show();
    fs::write(show.backups(), "in the way").expect("a file");
    let failure = show.install().await.expect_err("no backup, no write");
    assert_eq!(names(dir.path()), Vec::<String>::new(), "{failure:?}");
}

#[tokio::test]
async fn verify_looks_and_rollback_finds_the_files_back() {
    let dir = dir();
    fs::write(dir.path().join("shop.crt"), "old").expect("a file");
    let verdict = |word: &str| {
        let settings = json!({ "verdict": word });
        Stage::installer("verifier", dir.path(), settings)
    };
    let show = verdict("fine").show();
    let good = show.installer().verify(&[item("shop")], "r").await;
    let good = good.expect("a verdict");
    assert!(good.ok);
    assert_eq!(good.evidence, [("receipt".to_owned(), "r".to_owned())]);
    for (word, said) in [
        ("bad", "the server still has the old one"),
        ("good but", "the server still has the old one"),
        (
            "bad and silent",
            "it is not in place, and the plugin does not say why",
        ),
    ] {
        let show = verdict(word).show();
        let bad = show.installer().verify(&[item("shop")], "r").await;
        let bad = bad.expect("a verdict");
        let said_so = bad.problems.first().map(|problem| problem.message.as_str());
        assert_eq!((bad.ok, said_so), (false, Some(said)), "{word}");
        assert_eq!(bad.problems[0].call, "verify");
    }
    let settings = json!({ "misdeed": "write", "where": "verify", "name": "x" });
    let show = Stage::installer("verifier", dir.path(), settings).show();
    let denied = show.installer().verify(&[item("shop")], "r").await;
    let denied = denied.expect_err("a look that writes");
    assert_eq!(denied.kind, PluginFailureKind::Denied);

    let show = verdict("bad").show();
    let receipt = show.install().await.expect("success");
    let rolled_back = show
        .installer()
        .rollback(&attempt(), &[item("shop")], Some(&receipt))
        .await;
    rolled_back.expect("the files are back");
    assert_eq!(text(&dir, "shop.crt"), "old");
    assert_eq!(names(dir.path()), ["shop.crt"]);
    assert_eq!(entries(&show), Vec::<String>::new());
}
