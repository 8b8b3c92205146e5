//! Commands are the operator's: the guest fills in what it may, and nothing else.

#![cfg(unix)]

use serde_json::{Value, json};
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};

use crate::log;
use crate::stage::{PRIVATE_KEY, Show, Stage, TOKEN, item};

fn show(settings: Value, argv: &[&str]) -> (tempfile::TempDir, Show) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut settings = settings;
    settings["misdeed"] = json!("run");
    settings["grant"] = json!("reload");
    let show = Stage::installer("runner", dir.path(), settings)
        .grant_command("reload", argv)
        .show();
    (dir, show)
}

fn denied(failure: &PluginFailure) -> &str {
    assert_eq!(failure.kind, PluginFailureKind::Denied, "{failure:?}");
    failure
        .message
        .strip_prefix("the host denied it: ")
        .expect("a denial")
}

#[tokio::test]
async fn a_command_runs_with_a_clean_environment_and_no_shell() {
    let (_dir, show) = show(json!({}), &["/usr/bin/env"]);
    let said = show.install().await.expect("success");
    assert_eq!(
        said,
        "Some(0) PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n  false"
    );
    assert_eq!(show.audit(), ["reload /usr/bin/env Ok(0)"]);
    let (_dir, show) = self::show(json!({}), &["/bin/echo", "$PATH;", "`id`", "*"]);
    assert_eq!(
        show.install().await.expect("success"),
        "Some(0) $PATH; `id` *\n  false"
    );
}

#[tokio::test]
async fn a_command_that_is_not_granted_is_answered_with_the_line_that_grants_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = json!({ "misdeed": "run", "grant": "format" });
    let show = Stage::installer("runner", dir.path(), settings).show();
    let failure = show.install().await.expect_err("a denial");
    assert_eq!(denied(&failure), "no command is granted for `format`");
    assert_eq!(
        failure.hint.as_deref(),
        Some("grants.exec.format = { argv = [\"/PROGRAM\", \"ARGUMENT\"] } under [plugin.runner]")
    );
    let refused = "format  Err(\"denied: no command is granted for `format`\")";
    assert_eq!(show.audit(), [refused]);
}

#[tokio::test]
async fn arguments_are_checked_and_never_split() {
    let argv = ["/bin/echo", "[{site}]"];
    let check = async |value: &str, want: Result<&str, &str>| {
        let settings = json!({ "parameter": "site", "value": value });
        let (_dir, show) = show(settings, &argv);
        match (show.install().await, want) {
            (Ok(said), Ok(want)) => assert_eq!(said, format!("Some(0) [{want}]\n  false")),
            (Err(failure), Err(want)) => {
                assert_eq!(denied(&failure), format!("arguments of `reload`: {want}"));
                let refused = format!("denied: arguments of `reload`: {want}");
                let refused = format!("reload /bin/echo Err({refused:?})");
                assert_eq!(show.audit(), [refused], "{value:?}");
            }
            (have, want) => panic!("{value:?}: {have:?} {want:?}"),
        }
    };
    let refused = "the value of `site` does not match the manifest's pattern";
    check("shop.example.com", Ok("shop.example.com")).await;
    check("a b", Err(refused)).await;
    check("a;reboot", Err(refused)).await;
    check("a\nb", Err(refused)).await;
    check("$(id)", Err(refused)).await;
    check("", Err(refused)).await;
    let (_dir, show) = show(
        json!({ "parameter": "site", "value": "-rf" }),
        &["/bin/echo", "{site}"],
    );
    let failure = show.install().await.expect_err("a denial");
    assert!(denied(&failure).contains("begins with a dash"));
    let (_dir, show) = self::show(json!({ "parameter": "other", "value": "x" }), &argv);
    let failure = show.install().await.expect_err("a denial");
    assert!(denied(&failure).ends_with("the command line has no placeholder `other`"));
}

#[tokio::test]
async fn a_path_placeholder_is_a_file_below_a_grant() {
    let argv = ["/bin/echo", "{path:pfx}"];
    let (dir, show) = show(
        json!({ "parameter": "path:pfx", "value": "certs/shop.pfx" }),
        &argv,
    );
    let path = dir.path().join("shop.pfx");
    let said = show.install().await.expect("success");
    assert_eq!(said, format!("Some(0) {}\n  false", path.display()));
    for value in [
        "certs/../x",
        "certs//etc/passwd",
        "logs/x",
        "/etc/passwd",
        "shop.pfx",
    ] {
        let (_dir, show) = self::show(json!({ "parameter": "path:pfx", "value": value }), &argv);
        let failure = show.install().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{value}");
    }
}

#[tokio::test]
async fn commands_do_not_run_while_planning() {
    let (_dir, show) = show(json!({ "where": "plan" }), &["/bin/true"]);
    let failure = show
        .installer()
        .plan(&[item("shop")])
        .await
        .expect_err("a denial");
    assert_eq!(denied(&failure), "commands cannot be run during plan");
    let refused = "reload /bin/true Err(\"denied: commands cannot be run during plan\")";
    assert_eq!(show.audit(), [refused]);
}

#[tokio::test]
async fn a_command_that_takes_too_long_dies_with_its_children() {
    let dir = tempfile::tempdir().expect("a folder");
    let mark = dir.path().join("alive");
    // The child would outlive a kill of the shell alone, and holds the output open.
    let script = format!("(/bin/sleep 1; echo > {}) & wait", mark.display());
    let settings = json!({ "misdeed": "run", "grant": "reload" });
    let mut stage = Stage::installer("slow", dir.path(), settings)
        .grant_command("reload", &["/bin/sh", "-c", &script]);
    let grant = stage
        .settings
        .grants
        .exec
        .get_mut("reload")
        .expect("just granted");
    grant.timeout = std::time::Duration::from_millis(100);
    let show = stage.show();
    let failure = show.install().await.expect_err("the guest's error");
    assert!(failure.message.contains("Timeout(100)"), "{failure:?}");
    assert_eq!(
        show.audit(),
        ["reload /bin/sh Err(\"killed after 100 ms\")"]
    );
    // Longer than the child would have taken.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(1500));
    tick.tick().await;
    tick.tick().await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_failed_command_is_an_answer_with_its_words() {
    let (_dir, show) = show(json!({}), &["/bin/sh", "-c", "echo no >&2; exit 3"]);
    assert_eq!(
        show.install().await.expect("success"),
        "Some(3)  no\n false"
    );
    let (_dir, show) = self::show(json!({}), &["/nonexistent/program"]);
    let failure = show.install().await.expect_err("the guest's error");
    assert!(failure.message.contains("NotFound"), "{failure:?}");
}

#[tokio::test]
async fn output_is_cut_from_the_front() {
    let script = "/usr/bin/head -c 100000 /dev/zero | /usr/bin/tr '\\0' x; echo end";
    let (_dir, show) = show(json!({}), &["/bin/sh", "-c", script]);
    let said = show.install().await.expect("success");
    assert!(
        said.ends_with("xend\n  true"),
        "{}",
        &said[said.len() - 20..]
    );
}

#[tokio::test]
async fn a_key_goes_to_standard_input_and_does_not_come_back() {
    log::collect();
    let (dir, show) = show(
        json!({ "stdin-artifact": "shop/privkey.pem" }),
        &["/bin/cat"],
    );
    let said = show.install().await.expect("success");
    assert!(
        !said.contains("MIGHAgEAMBMGByqG") && said.contains("[shop/privkey.pem]"),
        "{said}"
    );
    drop(dir);
    let script = format!(
        "echo '{TOKEN}'; echo '{}' >&2",
        PRIVATE_KEY.lines().nth(1).expect("a line")
    );
    let (_dir, show) = self::show(json!({}), &["/bin/sh", "-c", &script]);
    let said = show.install().await.expect("success");
    assert_eq!(said, "Some(0) [secret token]\n [shop/privkey.pem]\n false");
}
