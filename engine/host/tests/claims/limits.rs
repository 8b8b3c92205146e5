//! No guest takes more than its share, and each that tries is told apart from the others.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_core::plugin::Limits;
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};

use crate::log;
use crate::stage::{Show, Stage, attempt, item};

fn show(name: &str, misdeed: &str, limits: Limits) -> Show {
    let settings = json!({ "misdeed": misdeed, "url": "https://api.example.net/v1/zones" });
    let mut stage = Stage::dns(name, settings);
    stage.settings.grants.limits = limits;
    stage.show()
}

fn limit(failure: &PluginFailure) -> (&str, &str) {
    match &failure.kind {
        PluginFailureKind::Limit { key } => (key, &failure.code),
        _ => panic!("{failure:?}"),
    }
}

/// Stopped before it could do anything: nothing has to be looked for.
fn is_harmless(failure: &PluginFailure) -> bool {
    let unknown = ("outcome".to_owned(), "unknown".to_owned());
    failure.untouched && !failure.details.contains(&unknown)
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_processor_time() {
    let cpu = Some(Duration::from_millis(200));
    let show = show(
        "spinner",
        "spin",
        Limits {
            cpu,
            ..Limits::default()
        },
    );
    let failure = show.present().await.expect_err("a limit");
    assert_eq!(limit(&failure), ("cpu", "plugin.cpu-budget"));
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "if that is not a defect of the plugin: grants.limits.cpu = \"400ms\" under \
             [plugin.spinner] (now 200ms)"
        )
    );
    assert!(is_harmless(&failure));
}

#[tokio::test]
async fn a_guest_asleep_in_a_host_call_ends_with_its_time() {
    let call = Some(Duration::from_millis(200));
    let show = show(
        "sleeper",
        "sleep",
        Limits {
            call,
            ..Limits::default()
        },
    );
    let failure = show.present().await.expect_err("a limit");
    assert_eq!(limit(&failure), ("call", "plugin.timeout"));
    assert_eq!(failure.message, "the plugin did not finish within 200ms");
    assert!(is_harmless(&failure));
}

#[tokio::test]
async fn a_memory_bomb_ends_at_its_memory() {
    let memory = Some(8 << 20);
    let show = show(
        "hoarder",
        "hoard",
        Limits {
            memory,
            ..Limits::default()
        },
    );
    let failure = show.present().await.expect_err("a limit");
    assert_eq!(limit(&failure), ("memory", "plugin.out-of-memory"));
    assert_eq!(
        failure.message,
        "the plugin needs more memory than its 8MiB"
    );
}

#[tokio::test]
async fn deep_recursion_is_a_crash_of_the_guest_alone() {
    let show = show("recurser", "recurse", Limits::default());
    let failure = show.present().await.expect_err("a crash");
    assert_eq!(failure.kind, PluginFailureKind::Crashed);
    assert_eq!(
        failure.message,
        "the plugin crashed: its call stack overflowed"
    );
    assert!(is_harmless(&failure));
}

#[tokio::test]
async fn a_panic_is_a_crash_with_the_guests_last_words() {
    let show = show("panicker", "panic", Limits::default());
    let failure = show.present().await.expect_err("a crash");
    assert_eq!(
        (&failure.kind, &*failure.code),
        (&PluginFailureKind::Crashed, "plugin.crashed")
    );
    assert!(
        failure
            .causes
            .iter()
            .any(|cause| cause.contains("out of \u{fffd}[31mluck"))
    );
    // The next call gets a new instance, and crashes for itself.
    assert_eq!(
        show.present().await.expect_err("a crash").kind,
        PluginFailureKind::Crashed
    );
}

#[tokio::test]
async fn leaving_the_process_leaves_only_the_guest() {
    let show = show("leaver", "exit", Limits::default());
    let failure = show.present().await.expect_err("a crash");
    assert_eq!(failure.kind, PluginFailureKind::Crashed);
    assert_eq!(failure.message, "the plugin ended itself");
}

#[tokio::test]
async fn a_flood_of_messages_is_cut_and_the_call_goes_on() {
    log::collect();
    show("chatterer", "chatter", Limits::default())
        .present()
        .await
        .expect("success");
    let lines = log::lines("chatterer");
    assert_eq!(lines.len(), 201, "two hundred and a note");
    assert!(lines[199].contains("message 199") && lines[200].contains("logs too much"));
}

#[tokio::test]
async fn a_long_message_is_cut() {
    log::collect();
    show("shouter", "shout", Limits::default())
        .present()
        .await
        .expect("success");
    let lines = log::lines("shouter");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 9000, "{}", lines[0].len());
}

#[tokio::test]
async fn what_does_not_fit_into_one_host_call_is_a_crash() {
    let failure = show("screamer", "scream", Limits::default())
        .present()
        .await;
    assert_eq!(
        failure.expect_err("a crash").kind,
        PluginFailureKind::Crashed
    );
}

#[tokio::test]
async fn a_flood_on_stderr_harms_nobody() {
    show("babbler", "babble", Limits::default())
        .present()
        .await
        .expect("success");
}

#[tokio::test]
async fn requests_are_counted() {
    let show = show(
        "hammerer",
        "hammer",
        Limits {
            http_calls: Some(3),
            ..Limits::default()
        },
    );
    let failure = show.present().await.expect_err("a limit");
    assert_eq!(limit(&failure), ("http-calls", "plugin.http-calls"));
    assert_eq!(show.sent().len(), 3);
}

const WENT_ON: &str = "the plugin went on after 100 refusals in one call";

/// A guest that hears no refusal is stopped, and what it leaves behind is small.
async fn deaf(name: &str, settings: Value, http_calls: u32) -> (PluginFailure, Vec<String>) {
    log::collect();
    let mut stage = Stage::dns(name, settings);
    stage.settings.grants.limits.http_calls = Some(http_calls);
    let show = stage.show();
    let failure = show.present().await.expect_err("a refusal");
    assert_eq!(show.sent(), []);
    let said: usize = failure.causes.iter().map(String::len).sum();
    assert!(said < 4096 && failure.message.len() < 512, "{failure:?}");
    let lines = log::lines(name);
    assert!(lines.len() < 20, "{} lines in the log", lines.len());
    let audit = show.audit();
    let kept: usize = audit.iter().map(String::len).sum();
    assert!(kept < 32 * 1024, "{kept} bytes in the audit trail");
    (failure, audit)
}

#[tokio::test]
async fn refused_requests_count_and_long_addresses_are_not_read() {
    let settings = json!({ "misdeed": "flood-with-paths", "url": "https://api.example.net/v9/" });
    let (failure, audit) = deaf("refused-paths", settings.clone(), 200).await;
    let message = "the host denied it: the URL has more than 8192 bytes";
    assert_eq!(failure.message, message);
    assert_eq!(failure.causes, [WENT_ON], "and the reason once");
    assert_eq!(audit.len(), 100);
    let (failure, audit) = deaf("counted-paths", settings, 3).await;
    assert_eq!(limit(&failure), ("http-calls", "plugin.http-calls"));
    let why = "denied: the URL has more than 8192 bytes";
    assert_eq!(failure.causes, [WENT_ON, why], "the reason of so many");
    assert_eq!(audit.len(), 3, "what is beyond the limit is not looked at");
}

#[tokio::test]
async fn a_guest_that_hears_no_refusal_is_stopped() {
    let settings = json!({ "misdeed": "flood-with-hosts", "url": "https://evil.example.net/" });
    let (failure, _) = deaf("refused-hosts", settings, 200).await;
    let message = "the host denied it: https://evil.example.net is not granted";
    assert_eq!(failure.message, message);
    assert_eq!(failure.causes, [WENT_ON]);
    let settings = json!({ "misdeed": "flood-with-secrets", "secret": "nothing" });
    let (failure, _) = deaf("refused-secrets", settings, 200).await;
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    let message = "the host denied it: the plugin's manifest has no secret `nothing`";
    assert_eq!(failure.message, message);
    assert_eq!(failure.causes, [WENT_ON]);
}

#[tokio::test]
async fn what_a_name_stands_for_is_not_joined_without_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = json!({
        "misdeed": "write-many-parts", "name": "big", "artifact": "shop/fullchain.pem"
    });
    let mut item = item("shop");
    item.version.pem.fullchain = "leaf\n".repeat(100_000);
    let show = Stage::installer("joiner", dir.path(), settings).show();
    let attempt = attempt();
    let installer = show.installer();
    let installed = installer.install(&attempt, &[item], "").await;
    let said = installed.expect("success").receipt;
    assert_eq!(said, "Err(FileError::TooLarge(1048576))");
}

#[tokio::test]
async fn a_call_makes_a_few_artifacts_with_short_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = json!({ "misdeed": "bundle-flood" });
    let show = Stage::installer("bundler", dir.path(), settings).show();
    assert_eq!(
        show.install().await.expect("success"),
        "8: ArtifactError::InvalidInput(\"a call makes 8 files of one certificate at most\")"
    );
}

#[tokio::test]
async fn state_has_a_quota() {
    let learnt = show("grower", "grow-state", Limits::default())
        .present()
        .await;
    assert_eq!(learnt.expect("success"), "15: StateError::Quota(262144)");
}

#[tokio::test]
async fn a_guest_finds_nothing_around_it() {
    let learnt = show("looker", "look-around", Limits::default())
        .present()
        .await;
    assert_eq!(
        learnt.expect("success"),
        "vars 0 args 0 root false listen false stdin 0"
    );
}
