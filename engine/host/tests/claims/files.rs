//! Files are written where the operator said, whole or not at all, and put back on failure.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use waxwing_flow::plugin::{DeployStep, PluginFailureKind};

use crate::backups::entries;
use crate::stage::{PRIVATE_KEY, Show, Stage, attempt, folder, item};

const BEYOND: &str = "the plugin goes beyond its own manifest or contract; tell its author";

pub(crate) fn dir() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn text(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect("a file")
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
fn mode(dir: &TempDir, name: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let facts = fs::metadata(dir.path().join(name)).expect("a file");
    facts.permissions().mode() & 0o7777
}

#[tokio::test]
async fn an_installer_plans_writes_and_then_has_nothing_to_do() {
    let dir = dir();
    let show = Stage::installer("files", dir.path(), json!({})).show();
    let plan = show
        .installer()
        .plan(&[item("shop")])
        .await
        .expect("a plan");
    let step = |name: &str| DeployStep {
        summary: format!("write {name}"),
        kind: "file".to_owned(),
        grant: Some("certs".to_owned()),
        target: Some(name.to_owned()),
        certificates: vec!["shop".to_owned()],
        reversible: true,
    };
    assert_eq!(plan.steps, [step("shop.crt"), step("shop.key")]);
    assert_eq!(
        names(dir.path()),
        Vec::<String>::new(),
        "a plan changes nothing"
    );

    let installed = show
        .installer()
        .install(&attempt(), &[item("shop")], &plan.token)
        .await;
    assert!(installed.expect("success").changed);
    assert_eq!(names(dir.path()), ["shop.crt", "shop.key"]);
    assert_eq!(text(&dir, "shop.crt"), "leaf\nissuer\n");
    assert_eq!(text(&dir, "shop.key"), PRIVATE_KEY);
    assert_eq!(
        show.audit(),
        ["certs shop.crt written", "certs shop.key written"]
    );

    let plan = show
        .installer()
        .plan(&[item("shop")])
        .await
        .expect("a plan");
    assert_eq!(plan.steps, []);
    let again = show
        .installer()
        .install(&attempt(), &[item("shop")], "")
        .await;
    assert!(!again.expect("success").changed);
    assert_eq!(
        show.audit()[2..],
        ["certs shop.crt unchanged", "certs shop.key unchanged"]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn modes_are_the_grants_and_keys_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let check = async |grant: [Option<u32>; 2], before: Option<u32>, want: [u32; 2]| {
        let dir = dir();
        if let Some(before) = before {
            for name in ["shop.crt", "shop.key"] {
                let path = dir.path().join(name);
                fs::write(&path, "old").expect("a file");
                fs::set_permissions(&path, fs::Permissions::from_mode(before)).expect("a mode");
            }
        }
        let mut stage = Stage::installer("modes", dir.path(), json!({}));
        let mut folder = folder(dir.path());
        [folder.mode, folder.key_mode] = grant;
        stage
            .settings
            .grants
            .files
            .insert("certs".to_owned(), folder);
        stage.show().install().await.expect("success");
        assert_eq!(
            [mode(&dir, "shop.crt"), mode(&dir, "shop.key")],
            want,
            "{grant:?} {before:?}"
        );
    };
    check([None, None], None, [0o644, 0o600]).await;
    check([None, None], Some(0o640), [0o640, 0o600]).await;
    check([Some(0o640), None], Some(0o600), [0o640, 0o640]).await;
    check([Some(0o644), Some(0o440)], None, [0o644, 0o440]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn owner_and_group_are_the_grants_or_stay_as_they_were() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let owner = |dir: &TempDir, name: &str| {
        let facts = fs::metadata(dir.path().join(name)).expect("a file");
        (facts.uid(), facts.gid())
    };
    let own = owner(&dir(), ".");
    let (theirs, granted) = ((54_321, 54_322), (54_323, 54_324));
    if chown(dir().path(), Some(theirs.0), Some(theirs.1)).is_err() {
        // Not by a macro, whose output the test harness would hide.
        let text = b"SKIPPED: owner_and_group_are_the_grants: only root may give files away\n";
        let _unheard = std::io::stderr().write_all(text);
        return;
    }
    // A file that was there, then the grant, then what both files have in the end.
    for (before, grant, want) in [
        (None, None, [own, own]),
        (Some(theirs), None, [theirs, own]),
        (Some(theirs), Some(granted), [granted, granted]),
    ] {
        let dir = dir();
        if let Some((user, group)) = before {
            let path = dir.path().join("shop.crt");
            fs::write(&path, "old").expect("a file");
            chown(&path, Some(user), Some(group)).expect("root");
        }
        let mut stage = Stage::installer("owners", dir.path(), json!({}));
        let mut folder = folder(dir.path());
        folder.owner = grant.map(|(user, _)| user.to_string());
        folder.group = grant.map(|(_, group)| group.to_string());
        let grants = &mut stage.settings.grants.files;
        grants.insert("certs".to_owned(), folder);
        let show = stage.show();
        show.install().await.expect("success");
        let found = ["shop.crt", "shop.key"].map(|name| owner(&dir, name));
        assert_eq!(found, want, "{before:?} {grant:?}");

        // A wrong owner alone is a change, if the grant has one.
        chown(dir.path().join("shop.crt"), Some(7), None).expect("root");
        let plan = show.installer().plan(&[item("shop")]).await;
        let steps = plan.expect("a plan").steps.len();
        assert_eq!(steps, usize::from(grant.is_some()), "{before:?} {grant:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_group_that_nobody_knows_is_named_and_nothing_is_written() {
    let dir = dir();
    let mut stage = Stage::installer("nobody", dir.path(), json!({}));
    let mut folder = folder(dir.path());
    folder.group = Some("no-such-group".to_owned());
    let grants = &mut stage.settings.grants.files;
    grants.insert("certs".to_owned(), folder);
    let failure = stage.show().install().await.expect_err("a failure");
    assert!(
        failure
            .message
            .contains("this system has no group `no-such-group`"),
        "{failure:?}"
    );
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn a_wrong_mode_alone_is_a_change() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = dir();
    let show = Stage::installer("modes", dir.path(), json!({})).show();
    show.install().await.expect("success");
    let key = dir.path().join("shop.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let plan = show
        .installer()
        .plan(&[item("shop")])
        .await
        .expect("a plan");
    let targets: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| step.target.as_deref())
        .collect();
    assert_eq!(targets, ["shop.key"]);
}

#[tokio::test]
async fn names_that_leave_the_folder_are_denied() {
    let dir = dir();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).expect("a folder");
    for name in [
        "../x", "..", "/etc/x", "a/b", "a\\b", "C:\\x", "nul", "x\0y", "",
    ] {
        let settings = json!({ "misdeed": "write", "name": name, "content": "x" });
        let show = Stage::installer("names", &inner, settings).show();
        let failure = show.install().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{name:?}");
        assert_eq!(failure.hint.as_deref(), Some(BEYOND));
        assert_eq!(names(dir.path()), ["inner"], "{name:?}");
        assert_eq!(names(&inner), Vec::<String>::new(), "{name:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed() {
    for misdeed in ["write", "read", "stat"] {
        let (dir, other) = (dir(), dir());
        let outside = other.path().join("outside");
        fs::write(&outside, "untouched").expect("a file");
        std::os::unix::fs::symlink(&outside, dir.path().join("link")).expect("a link");
        let settings = json!({ "misdeed": misdeed, "name": "link", "content": "x" });
        let show = Stage::installer("links", dir.path(), settings).show();
        let failure = show.install().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{misdeed}");
        assert!(
            failure.message.ends_with("link is a symbolic link"),
            "{failure:?}"
        );
        assert_eq!(text(&other, "outside"), "untouched");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_granted_is_answered_with_the_line_that_grants_it() {
    let dir = dir();
    let settings = json!({ "misdeed": "write", "grant": "logs", "name": "x" });
    let show = Stage::installer("ungranted", dir.path(), settings).show();
    let failure = show.install().await.expect_err("a denial");
    assert_eq!(
        failure.message,
        "the host denied it: no folder is granted for `logs`"
    );
    assert_eq!(
        show.audit(),
        ["logs x denied: no folder is granted for `logs`"]
    );
    assert_eq!(
        failure.hint.as_deref(),
        Some("grants.files.logs = { dir = \"/FOLDER\" } under [plugin.ungranted]")
    );
}

#[tokio::test]
async fn nothing_is_written_while_planning() {
    let dir = dir();
    for misdeed in ["write", "restore"] {
        let settings = json!({ "misdeed": misdeed, "where": "plan", "name": "x", "backup": "b" });
        let show = Stage::installer("planner", dir.path(), settings).show();
        let failure = show
            .installer()
            .plan(&[item("shop")])
            .await
            .expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{misdeed}");
        assert!(failure.message.ends_with("during plan"), "{failure:?}");
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }
}

/// Writes both files of the guest, then fails in some way.
async fn half_done(misdeed: &str, dir: &TempDir) -> Show {
    let settings = json!({ "misdeed": misdeed, "after": "writing" });
    let mut stage = Stage::installer("half", dir.path(), settings);
    stage.settings.grants.limits.cpu = Some(std::time::Duration::from_millis(100));
    stage.show()
}

#[tokio::test]
async fn a_failed_call_leaves_the_files_as_they_were() {
    for misdeed in ["fail", "panic", "spin"] {
        let dir = dir();
        fs::write(dir.path().join("shop.crt"), "old").expect("a file");
        let show = half_done(misdeed, &dir).await;
        let failure = show.install().await.expect_err("a failure");
        assert_eq!(names(dir.path()), ["shop.crt"], "{misdeed} {failure:?}");
        assert_eq!(text(&dir, "shop.crt"), "old", "{misdeed}");
        let undone = [
            "certs shop.crt written",
            "certs shop.key written",
            "certs shop.key restored",
            "certs shop.crt restored",
        ];
        assert_eq!(show.audit(), undone, "{misdeed}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_installer_that_did_not_return_is_rolled_back() {
    // A receipt that nobody can keep is no end, either.
    for (misdeed, rolled_back) in [("panic", true), ("fail", false), ("long-receipt", true)] {
        let dir = dir();
        let settings = json!({ "misdeed": misdeed, "after": "writing" });
        let stage = Stage::installer("rollback", dir.path(), settings);
        let show = stage.grant_command("rolled-back", &["/bin/true"]).show();
        show.install().await.expect_err("a failure");
        let ran = show
            .audit()
            .contains(&"rolled-back /bin/true Ok(0)".to_owned());
        assert_eq!(ran, rolled_back, "{misdeed}");
    }
}

#[tokio::test]
async fn a_dropped_call_leaves_the_files_as_they_were() {
    let dir = dir();
    let settings = json!({ "misdeed": "spin", "after": "writing" });
    let mut stage = Stage::installer("dropped", dir.path(), settings);
    stage.settings.grants.limits.cpu = Some(std::time::Duration::from_secs(3600));
    let show = stage.show();
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
    tokio::select! {
        _ = show.install() => panic!("it spins for an hour"),
        () = async { while show.audit().len() < 2 { tick.tick().await; } } => {}
    }
    show.installer()
        .rollback(&attempt(), &[item("shop")], None)
        .await
        .expect("nothing is in the way");
    // At once, not some time later.
    assert_eq!(show.audit().len(), 4);
    assert_eq!(names(dir.path()), Vec::<String>::new());
    assert_eq!(entries(&show), Vec::<String>::new());
}

#[tokio::test]
async fn a_guest_can_put_back_what_it_wrote_and_nothing_else() {
    let dir = dir();
    fs::write(dir.path().join("x"), "old").expect("a file");
    let settings = json!({ "misdeed": "write-and-restore", "name": "x", "content": "new" });
    let show = Stage::installer("restorer", dir.path(), settings).show();
    show.install().await.expect("success");
    assert_eq!(text(&dir, "x"), "old");
    let settings = json!({ "misdeed": "restore", "backup": "backup-1" });
    let show = Stage::installer("restorer", dir.path(), settings).show();
    let failure = show.install().await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
}

#[tokio::test]
async fn private_keys_are_not_read_back() {
    let dir = dir();
    Stage::installer("reader", dir.path(), json!({}))
        .show()
        .install()
        .await
        .expect("success");
    let read = async |name: &str| {
        let settings = json!({ "misdeed": "read", "name": name });
        Stage::installer("reader", dir.path(), settings)
            .show()
            .install()
            .await
    };
    assert_eq!(read("shop.crt").await.expect("success"), "leaf\nissuer\n");
    let failure = read("shop.key").await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    assert!(
        failure
            .message
            .ends_with("shop.key holds or may hold a private key")
    );
    let failure = read("nothing").await.expect_err("the guest's error");
    assert_eq!(failure.kind, PluginFailureKind::Other);
}

#[tokio::test]
async fn private_keys_are_not_written_in_an_encoding() {
    for encoding in ["base64", "base64url", "hex", "form", "json"] {
        let dir = dir();
        let settings = json!({
            "misdeed": "write-artifact", "name": "x",
            "artifact": "shop/privkey.pem", "encoding": encoding,
        });
        let show = Stage::installer("encoder", dir.path(), settings).show();
        let failure = show.install().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{encoding}");
        assert_eq!(names(dir.path()), Vec::<String>::new(), "{encoding}");
    }
}

#[tokio::test]
async fn secrets_are_not_written_to_files() {
    let dir = dir();
    let settings = json!({ "misdeed": "write-secret", "name": "x", "secret": "token" });
    let show = Stage::installer("secretive", dir.path(), settings).show();
    let failure = show.install().await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn artifacts_are_listed_by_name() {
    let dir = dir();
    let show = Stage::installer("lister", dir.path(), json!({ "misdeed": "list" })).show();
    assert_eq!(
        show.install().await.expect("success"),
        "shop/cert.pem false, shop/chain.pem false, shop/fullchain.pem false, \
         shop/privkey.pem true"
    );
}

#[tokio::test]
async fn an_equal_pkcs12_file_with_other_salts_is_left_alone() {
    let dir = dir();
    let settings = json!({ "misdeed": "bundle", "name": "shop.p12" });
    let show = Stage::installer("bundler", dir.path(), settings).show();
    assert_eq!(show.install().await.expect("success"), "true");
    let first = text(&dir, "shop.p12");
    assert_eq!(show.install().await.expect("success"), "false");
    assert_eq!(text(&dir, "shop.p12"), first);
    #[cfg(unix)]
    assert_eq!(mode(&dir, "shop.p12"), 0o600);
}
