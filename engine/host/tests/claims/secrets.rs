//! A guest uses secrets by name, where its manifest says, and never sees one.

use serde_json::{Value, json};
use waxwing_flow::plugin::PluginFailureKind;

use crate::log;
use crate::stage::{KEY, Show, Stage, TOKEN, answer};

const ZONES: &str = "https://api.example.net/v1/zones";

fn show(settings: Value) -> Show {
    let mut settings = settings;
    settings["misdeed"] = json!("send");
    Stage::dns("secret", settings).show()
}

#[tokio::test]
async fn the_host_fills_secrets_in_where_the_manifest_says() {
    let header = show(json!({ "url": ZONES, "header": "X-Token", "header-secret": "token" }));
    header.present().await.expect("success");
    assert_eq!(
        header.sent()[0].headers,
        [("x-token".to_owned(), TOKEN.to_owned())]
    );

    let query = show(json!({ "url": format!("{ZONES}?a=b"), "query-secret": "token" }));
    query.present().await.expect("success");
    let percent = "tok%2Ben%2Fwith%20%22odd%22%20bytes";
    assert_eq!(query.sent()[0].url, format!("{ZONES}?a=b&key={percent}"));
    assert_eq!(query.audit(), ["GET api.example.net /v1/zones 200"]);

    let bearer = show(json!({ "url": ZONES, "bearer": "token" }));
    bearer.present().await.expect("success");
    let value = format!("Bearer {TOKEN}");
    assert_eq!(
        bearer.sent()[0].headers,
        [("authorization".to_owned(), value)]
    );

    let basic = show(json!({ "url": ZONES, "password": "token" }));
    basic.present().await.expect("success");
    let value = "Basic dXNlcjp0b2srZW4vd2l0aCAib2RkIiBieXRlcw==".to_owned();
    assert_eq!(
        basic.sent()[0].headers,
        [("authorization".to_owned(), value)]
    );

    let body = |encoding: &str| {
        let url = ZONES;
        show(
            json!({ "url": url, "method": "POST", "body": "k=", "body-secret": "token",
                     "encoding": encoding }),
        )
    };
    for (encoding, want) in [
        ("raw", TOKEN),
        ("base64", "dG9rK2VuL3dpdGggIm9kZCIgYnl0ZXM="),
        ("base64url", "dG9rK2VuL3dpdGggIm9kZCIgYnl0ZXM"),
        ("hex", "746f6b2b656e2f7769746820226f646422206279746573"),
        ("form", percent),
        ("json", "tok+en/with \\\"odd\\\" bytes"),
    ] {
        let show = body(encoding);
        show.present().await.expect("success");
        assert_eq!(
            show.sent()[0].body,
            format!("k={want}").as_bytes(),
            "{encoding}"
        );
    }
}

#[tokio::test]
async fn a_secret_goes_nowhere_else() {
    let check = async |settings: Value, message: &str| {
        let show = show(settings);
        let failure = show.present().await.expect_err("a denial");
        assert_eq!(failure.kind, PluginFailureKind::Denied, "{failure:?}");
        assert_eq!(failure.message, format!("the host denied it: {message}"));
        assert_eq!(show.sent(), []);
    };
    check(
        json!({ "url": ZONES, "header": "x-other", "header-secret": "token" }),
        "the secret `token` may not be used as http-header:x-other",
    )
    .await;
    check(
        json!({ "url": ZONES, "bearer": "key" }),
        "the secret `key` may not be used as http-bearer",
    )
    .await;
    check(
        json!({ "url": "https://other.example.net/v1/zones", "bearer": "token" }),
        "the secret `token` may not be sent to other.example.net",
    )
    .await;
    check(
        json!({ "url": ZONES, "bearer": "nonsense" }),
        "the plugin's manifest has no secret `nonsense`",
    )
    .await;
}

#[tokio::test]
async fn an_unbound_secret_is_answered_with_the_line_that_binds_it() {
    let mut stage = Stage::dns(
        "unbound",
        json!({ "misdeed": "send", "url": ZONES, "bearer": "token" }),
    );
    stage.secrets.clear();
    let failure = stage.show().present().await.expect_err("a denial");
    assert_eq!(
        failure.message,
        "the host denied it: the secret `token` is not bound"
    );
    assert_eq!(
        failure.hint.as_deref(),
        Some("secrets = { token = \"file:PATH\" } under [plugin.unbound]")
    );
}

#[tokio::test]
async fn the_host_signs_with_a_secret_that_stays_at_home() {
    let sign = async |secret: &str, algorithm: &str| {
        let settings = json!({ "misdeed": "sign", "secret": secret, "algorithm": algorithm });
        Stage::dns("signer", settings).show().present().await
    };
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, KEY.as_bytes());
    let want: String = aws_lc_rs::hmac::sign(&key, b"data")
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(sign("key", "hmac-sha256").await.expect("success"), want);
    let failure = sign("key", "hmac-sha1").await.expect_err("a denial");
    assert_eq!(
        failure.message,
        "the host denied it: the secret `key` may not be used as hmac-sha1"
    );
    let failure = sign("token", "hmac-sha256").await.expect_err("a denial");
    assert_eq!(failure.kind, PluginFailureKind::Denied);
    let failure = sign("key", "md5").await.expect_err("the guest's error");
    assert_eq!(failure.kind, PluginFailureKind::Other);
}

#[tokio::test]
async fn a_secret_that_the_server_sends_back_is_seen_by_nobody() {
    log::collect();
    const NAMES: [&str; 3] = ["tell", "tell-in-error", "tell-in-panic"];
    let base64 = "dXNlcjp0b2srZW4vd2l0aCAib2RkIiBieXRlcw==";
    for misdeed in NAMES {
        let settings = json!({ "misdeed": misdeed, "url": ZONES, "password": "token" });
        let show = Stage::dns(&format!("echo-{misdeed}"), settings)
            .answering(move |request| {
                let hex: String = TOKEN.bytes().map(|b| format!("{b:02X}")).collect();
                let sent = request.headers[0].1.clone();
                let body = format!("raw {TOKEN} hex {hex} {sent}");
                Ok(answer(200, &[("x-echo", TOKEN)], &body))
            })
            .show();
        let result = show.present().await;
        let said = format!("{result:?} {:?}", show.audit());
        let log = log::lines(&format!("echo-{misdeed}")).join("\n");
        for text in [&said, &log] {
            assert!(
                !text.contains("tok+en") && !text.contains(base64),
                "{misdeed}: {text}"
            );
            assert!(!text.contains("746F6B2B656E"), "{misdeed}: {text}");
        }
        assert!(said.contains("[secret token]"), "{misdeed}: {said}");
        assert_eq!(result.is_ok(), misdeed == "tell");
    }
}
