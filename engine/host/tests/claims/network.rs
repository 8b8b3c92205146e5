//! Requests go where they are granted, as they are granted, and nowhere else.

use std::time::Duration;

use serde_json::{Value, json};
use waxwing_core::http::{Response, TransportStage};
use waxwing_core::secret::Secret;
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};
use waxwing_flow::ports::Addresses;

use crate::stage::{Show, Stage, answer, transport_error};

const ZONES: &str = "https://api.example.net/v1/zones";
const BEYOND: &str = "the plugin goes beyond its own manifest or contract; tell its author";

/// Sends one request; nothing may have reached the wire.
async fn refused(settings: Value) -> (PluginFailure, Vec<String>) {
    let mut with_misdeed = settings;
    with_misdeed["misdeed"] = json!("send");
    let show = Stage::dns("net", with_misdeed.clone()).show();
    let failure = show.present().await.expect_err("a denial");
    assert_eq!(show.sent(), [], "{with_misdeed}");
    assert_eq!(failure.kind, PluginFailureKind::Denied, "{failure:?}");
    assert_eq!(failure.code, "plugin.denied");
    (failure, show.audit())
}

#[tokio::test]
async fn a_granted_request_is_sent_with_a_policy_of_public_addresses() {
    let show = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES })).show();
    assert_eq!(show.present().await.expect("success"), "200  fine");
    assert_eq!(show.audit(), ["GET api.example.net /v1/zones 200"]);
    let sent = show.wire.sent.lock().expect("no panic");
    let (request, policy) = &sent[0];
    assert_eq!(request.url, ZONES);
    assert_eq!(policy.addresses, Addresses::PublicAnd(Vec::new()));
    assert!(!policy.plain_http && policy.trust.is_empty());
}

#[tokio::test]
async fn what_is_outside_the_grant_never_reaches_the_wire() {
    let check = async |method: &str, url: &str, message: &str| {
        let (failure, audit) = refused(json!({ "method": method, "url": url })).await;
        assert_eq!(
            failure.message,
            format!("the host denied it: {message}"),
            "{url}"
        );
        assert_eq!(audit.len(), 1, "{url}");
    };
    let outside = |method: &str, path: &str| {
        format!(
            "{method} {path} at https://api.example.net is outside what the plugin's manifest \
             asks for"
        )
    };
    check(
        "GET",
        "https://evil.example.net/v1/zones",
        "https://evil.example.net is not granted",
    )
    .await;
    check(
        "GET",
        "https://api.example.net.evil.example/v1/zones",
        "https://api.example.net.evil.example is not granted",
    )
    .await;
    check(
        "GET",
        "https://api.example.net:8443/v1/zones",
        "https://api.example.net:8443 is not granted",
    )
    .await;
    check(
        "GET",
        "http://api.example.net/v1/zones",
        "http://api.example.net is not encrypted and not granted",
    )
    .await;
    check("DELETE", ZONES, &outside("DELETE", "/v1/zones")).await;
    check(
        "GET",
        "https://api.example.net/v2/users",
        &outside("GET", "/v2/users"),
    )
    .await;
    for hidden in ["../users", "%2e%2e/users", "x/../../users", "/../users"] {
        let url = format!("{ZONES}/{hidden}");
        check("GET", &url, &outside("GET", "/v1/users")).await;
    }
    let url = format!("{ZONES}/..%2fusers");
    check("GET", &url, &outside("GET", "/v1/zones/..%2Fusers")).await;
    let userinfo = "the URL has a user or password in front of the host";
    check(
        "GET",
        "https://api.example.net@evil.example/v1/zones",
        userinfo,
    )
    .await;
    check("GET", "https://user:pw@api.example.net/v1/zones", userinfo).await;
    let literal = "the URL names an address; only host names can be granted";
    check("GET", "https://127.0.0.1/v1/zones", literal).await;
    check("GET", "https://[::1]/v1/zones", literal).await;
    check("GET", "https://0x7f.1/v1/zones", literal).await;
    check(
        "GET",
        "https://api.example.net./v1/zones",
        "the host name ends with a dot",
    )
    .await;
}

#[tokio::test]
async fn a_denied_host_is_answered_with_the_line_that_grants_it() {
    let (failure, _) = refused(json!({ "url": "https://new.example.net/v1/zones" })).await;
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "if the plugin may talk to it: grants.http = { hosts = [\"https://api.example.net\", \
             \"https://other.example.net\", \"https://new.example.net\"] } under [plugin.net]"
        )
    );
    assert_eq!(failure.causes.len(), 1, "the guest's own words");
    assert!(failure.causes[0].starts_with("the plugin says: denied: https://new.example.net"));
}

#[tokio::test]
async fn granted_hosts_replace_those_of_the_manifest() {
    let url = "https://localhost:9443/v1/zones";
    let stage = || Stage::dns("net", json!({ "misdeed": "send", "url": url }));
    let show = stage().grant_hosts(&["https://localhost:9443"]).show();
    show.present().await.expect("success");
    let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    let show = stage.grant_hosts(&["https://localhost:9443"]).show();
    assert_eq!(
        show.present().await.expect_err("a denial").kind,
        PluginFailureKind::Denied
    );
}

#[tokio::test]
async fn granted_private_ranges_and_roots_reach_the_client() {
    let mut stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    stage = stage.grant_hosts(&["https://api.example.net"]);
    let http = stage.settings.grants.http.as_mut().expect("just granted");
    let range = "127.0.0.0/8".parse().expect("a literal range");
    http.private = vec![range];
    http.trust = Some("/etc/ca.pem".into());
    let show = stage.show();
    show.present().await.expect("success");
    let sent = show.wire.sent.lock().expect("no panic");
    assert_eq!(sent[0].1.addresses, Addresses::PublicAnd(vec![range]));
    assert_eq!(sent[0].1.trust, [std::path::PathBuf::from("/etc/ca.pem")]);
}

#[tokio::test]
async fn a_name_with_a_private_address_is_a_denial() {
    let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    let show = stage
        .answering(|request| Err(transport_error(request, TransportStage::Address)))
        .show();
    let failure = show.present().await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "if the host is meant to be inside your network: grants.http = { private = \
             [\"ADDRESS/32\"] } under [plugin.net]"
        )
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_each_hop_passes_the_policy() {
    let redirect = |to: &'static str| {
        let stage = Stage::dns("net", json!({ "misdeed": "follow", "url": ZONES }));
        stage.answering(move |request| {
            Ok(if request.url == ZONES {
                answer(302, &[("location", to)], "")
            } else {
                answer(200, &[], "there")
            })
        })
    };
    let show = redirect("https://other.example.net/v1/zones").show();
    assert_eq!(show.present().await.expect("success"), "200  there");
    let forbidden = [
        "https://evil.example/v1/zones",
        "https://127.0.0.1/v1/zones",
        "https://localhost/v1/zones",
        "http://api.example.net/v1/zones",
    ];
    for to in forbidden {
        let show = redirect(to).show();
        let failure = show.present().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{to}");
        assert_eq!(show.sent().len(), 1, "{to}");
    }
}

#[tokio::test]
async fn headers_that_belong_to_the_host_are_refused() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "Proxy-Authorization",
    ] {
        let settings = json!({ "url": ZONES, "header": name, "header-value": "x" });
        let (failure, _) = refused(settings).await;
        let lower = name.to_ascii_lowercase();
        let message = format!("the host denied it: the header `{lower}` belongs to the host");
        assert_eq!(failure.message, message);
        assert_eq!(failure.hint.as_deref(), Some(BEYOND));
    }
}

#[tokio::test]
async fn line_breaks_in_headers_are_refused() {
    for (name, value) in [
        ("x-a", "b\r\nhost: evil"),
        ("x-a", "b\nc"),
        ("x-a\r\nhost", "b"),
    ] {
        let settings = json!({ "url": ZONES, "header": name, "header-value": value });
        let (failure, _) = refused(settings).await;
        assert!(
            failure
                .message
                .ends_with("holds a line break or another control character")
        );
    }
}

#[tokio::test]
async fn nothing_is_changed_in_a_read_only_phase() {
    let settings = json!({ "misdeed": "send", "url": ZONES, "method": "POST" });
    let show = Stage::dns("net", settings).show();
    let failure = show.dns().validate(true).await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    assert_eq!(
        failure.message,
        "the host denied it: POST during validate, when nothing may be changed"
    );
    assert!(failure.details.is_empty(), "the outcome is known");
    assert_eq!(show.sent(), []);
    show.present()
        .await
        .expect("success: present may change things");
}

#[tokio::test]
async fn a_denial_that_the_guest_hides_is_still_the_reason() {
    let beyond = "https://evil.example/v1/zones";
    let quiet = Stage::dns("net", json!({ "misdeed": "send-quietly", "url": beyond })).show();
    quiet.present().await.expect("success: it did without");
    let panics = Stage::dns("net", json!({ "misdeed": "send-and-panic", "url": beyond })).show();
    let failure = panics.present().await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    assert!(
        failure
            .causes
            .iter()
            .any(|cause| cause.contains("no answer")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn transport_errors_keep_their_causes() {
    let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    let show = stage
        .answering(|request| Err(transport_error(request, TransportStage::Tls)))
        .show();
    let failure = show.present().await.expect_err("the guest's error");
    assert_eq!(failure.kind, PluginFailureKind::Other);
    assert_eq!(
        failure.causes,
        ["GET https://api.example.net/v1/zones: TLS handshake failed after 1 ms: because"]
    );
}

#[tokio::test]
async fn an_exchange_that_breaks_says_what_an_operator_can_write() {
    let hint = async |at: TransportStage| {
        let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
        let show = stage
            .answering(move |request| Err(transport_error(request, at)))
            .show();
        let failure = show.present().await.expect_err("the guest's error");
        failure.hint.unwrap_or_default()
    };
    for (stage, words) in [
        (TransportStage::Dns, "own resolver knows api.example.net"),
        (
            TransportStage::Tls,
            "grants.http = { trust = \"ca.pem\" } under [plugin.net]",
        ),
        (
            TransportStage::Connect,
            "whether https://api.example.net can be reached",
        ),
        (
            TransportStage::Timeout,
            "whether https://api.example.net can be reached",
        ),
        (TransportStage::Setup, "[network] trust names PEM files"),
        (TransportStage::Roots, "install the package ca-certificates"),
    ] {
        let hint = hint(stage).await;
        assert!(hint.contains(words), "{stage:?}: {hint}");
    }
}

#[tokio::test]
async fn a_call_that_has_changed_nothing_is_told_from_one_that_may_have() {
    for (method, stage, untouched) in [
        ("GET", TransportStage::Exchange, true),
        ("POST", TransportStage::Connect, true),
        ("POST", TransportStage::Tls, true),
        ("POST", TransportStage::Exchange, false),
        ("POST", TransportStage::Timeout, false),
    ] {
        let settings = json!({ "misdeed": "send", "url": ZONES, "method": method });
        let stage_of = Stage::dns("net", settings);
        let show = stage_of
            .answering(move |request| Err(transport_error(request, stage)))
            .show();
        let failure = show.present().await.expect_err("the guest's error");
        assert_eq!(failure.untouched, untouched, "{method} {stage:?}");
    }
    // What the host has refused has changed nothing either.
    let (denied, _) = refused(json!({ "url": "https://evil.example/v1/zones" })).await;
    assert!(denied.untouched);
}

#[tokio::test]
async fn an_oversized_answer_is_a_limit_unless_the_guest_asked_for_less() {
    let big = |settings: Value| -> Show {
        let stage = Stage::dns("net", settings);
        stage
            .answering(|_| Ok(answer(200, &[], &"x".repeat((1 << 20) + 1))))
            .show()
    };
    let show = big(json!({ "misdeed": "send", "url": ZONES }));
    let failure = show.present().await.expect_err("a limit");
    assert_eq!(
        failure.kind,
        PluginFailureKind::Limit {
            key: "body".to_owned()
        }
    );
    let show = big(json!({ "misdeed": "send", "url": ZONES, "max-response-bytes": 100 }));
    let failure = show.present().await.expect_err("the guest's error");
    assert_eq!(failure.kind, PluginFailureKind::Other);
    assert_eq!(show.wire.sent.lock().expect("no panic")[0].1.body_cap, 100);
}

#[tokio::test]
async fn garbage_answers_reach_the_guest_as_bytes() {
    let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    let show = stage
        .answering(|_| {
            Ok(Response {
                body: vec![0xff, 0, 0x1b],
                ..answer(599, &[], "")
            })
        })
        .show();
    assert_eq!(
        show.present().await.expect("success"),
        "599  \u{fffd}\0\u{1b}"
    );
}

#[tokio::test]
async fn many_headers_are_too_much() {
    let stage = Stage::dns("net", json!({ "misdeed": "send", "url": ZONES }));
    let show = stage
        .answering(|_| Ok(answer(200, &[("x-long", &"y".repeat(40_000))], "")))
        .show();
    let failure = show.present().await.expect_err("the guest's error");
    assert!(
        failure.message.contains("ResponseTooLarge(32768)"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn the_providers_rate_holds_over_all_calls_of_a_run() {
    let manifest = format!(
        "{}[dns.rate]\nrequests = 2\nper = \"1h\"\n",
        crate::guest::DNS
    );
    let bytes = crate::guest::dns(&manifest);
    let settings = json!({ "misdeed": "send", "url": ZONES });
    let show = Stage::new("paced", bytes, &manifest, settings).show();
    for _ in 0..2 {
        show.present().await.expect("success");
    }
    assert_eq!(show.clock.passed(), Duration::ZERO);
    // An hour is too long to wait for.
    let failure = show.present().await.expect_err("it is throttled");
    let said = format!("{failure} {:?}", failure.causes);
    assert!(said.to_lowercase().contains("throttled"), "{said}");
    assert!(said.contains("3600000"), "{said}");
    // Eight seconds are not.
    show.clock.pass(Duration::from_secs(3_592));
    show.present().await.expect("success");
    assert_eq!(show.clock.passed(), Duration::from_secs(3_600));
    let good = "GET api.example.net /v1/zones 200";
    let not_sent = "GET api.example.net /v1/zones not sent: throttled for 3600000 ms";
    assert_eq!(show.audit(), [good, good, not_sent, good]);
    assert_eq!(show.sent().len(), 3);
}

#[tokio::test]
async fn a_secret_that_breaks_a_header_is_the_operators_to_mend() {
    let header = json!({ "header": "x-token", "header-secret": "token" });
    let bearer = json!({ "bearer": "token" });
    for (mut settings, name) in [(header, "x-token"), (bearer, "authorization")] {
        settings["misdeed"] = json!("send");
        settings["url"] = json!(ZONES);
        let mut stage = Stage::dns("broken", settings);
        let value = Secret::new("one\ntwo".to_owned());
        stage.secrets.insert("token".to_owned(), value);
        let show = stage.show();
        let failure = show.present().await.expect_err("a denial");
        assert_eq!(show.sent(), []);
        assert_eq!(
            failure.message,
            format!(
                "the host denied it: the header `{name}` would hold a line break or another \
                 control character out of the secret `token`"
            )
        );
        let hint =
            "write what secrets.token under [plugin.broken] names again, without a line break";
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
}
