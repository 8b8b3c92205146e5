//! A plugin from somebody else: the template, built as its README says, pinned and granted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use waxwing_world::dns::{RecordId, TxtRecords};
use waxwing_world::server::Https;

use crate::cases::rig::plain;

const TOKEN: &str = "a-token-of-the-invented-provider";

/// Builds the template into a folder of its own and answers the component.
fn template() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target").join("template");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root.join("examples/plugin-template"))
        .args([
            "build",
            "--locked",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--target-dir",
        ])
        .arg(&target);
    for variable in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("wasm32-wasip2/release/example_dns.wasm")
}

/// The invented provider: one zone, records by number.
struct Provider {
    dns: TxtRecords,
    records: Mutex<Vec<(String, String, RecordId)>>,
}

fn allowed(headers: &HeaderMap) -> Result<(), StatusCode> {
    let sent = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let wanted = format!("Bearer {TOKEN}");
    if sent == Some(wanted.as_str()) {
        Ok(())
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

type Shared = State<Arc<Provider>>;

async fn zones(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    allowed(&headers)?;
    Ok(Json(json!([{ "id": "z1", "name": "example.com" }])))
}

async fn list(State(provider): Shared, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    allowed(&headers)?;
    let records = provider.records.lock().expect("no test panics here");
    let shown = records.iter().enumerate().map(|(id, (name, value, _))| {
        json!({ "id": id.to_string(), "type": "TXT", "name": name, "value": value })
    });
    Ok(Json(shown.collect()))
}

async fn create(
    State(provider): Shared,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    allowed(&headers)?;
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let (name, value) = (text("name"), text("value"));
    let id = provider
        .dns
        .add(&name, &value)
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut records = provider.records.lock().expect("no test panics here");
    records.push((name, value, id));
    Ok((
        StatusCode::CREATED,
        Json(json!({ "id": (records.len() - 1).to_string() })),
    ))
}

async fn remove(
    State(provider): Shared,
    headers: HeaderMap,
    Segments((_zone, id)): Segments<(String, usize)>,
) -> Result<StatusCode, StatusCode> {
    allowed(&headers)?;
    let records = provider.records.lock().expect("no test panics here");
    let (_, _, id) = records.get(id).ok_or(StatusCode::NOT_FOUND)?;
    if provider.dns.remove(*id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

#[test]
fn a_foreign_plugin_works_when_pinned_and_granted_and_not_otherwise() {
    let component = template();
    let test = "a_foreign_plugin_works_when_pinned_and_granted_and_not_otherwise";
    plain(test, |rig, judge| {
        let provider = Arc::new(Provider {
            dns: rig.world.dns().txt_records(),
            records: Mutex::new(Vec::new()),
        });
        let router = Router::new()
            .route("/v1/zones", get(zones))
            .route("/v1/zones/{zone}/records", get(list).post(create))
            .route("/v1/zones/{zone}/records/{id}", delete(remove))
            .with_state(Arc::clone(&provider));
        let api = Https::start(&rig.world, router).expect("the provider starts");
        let sum = Command::new("sha256sum")
            .arg(&component)
            .output()
            .expect("sha256sum runs");
        let sum = String::from_utf8_lossy(&sum.stdout)
            .split(' ')
            .next()
            .map(str::to_owned);
        let sum = sum.expect("a digest");
        rig.write_secret("token", TOKEN);
        let config = |pin: &str, grant: &str| {
            let base = rig.config_without_plugins(&[("first", &judge.directory())]);
            format!(
                "{base}[plugin.other]\nuses = \"{}\"\nsha256 = \"{pin}\"\n\
             settings.endpoint = \"{}/v1\"\nsecrets.token = \"file:token\"\n{grant}\n\n\
             [[certificate]]\nname = \"shop\"\ndomains = [\"example.com\", \"*.example.com\"]\n",
                component.display(),
                api.url(),
            )
        };
        let grant = format!(
            "grants.http = {{ hosts = [\"{}\"], private = [\"127.0.0.0/8\"], trust = \"root.pem\" }}",
            api.url()
        );

        rig.write_config(&config(&"0".repeat(64), &grant));
        let refused = rig.waxwing(&["renew"]).expect(3);
        assert!(
            refused.stderr.contains(&sum),
            "names the digest it found:\n{}",
            refused.stderr
        );

        rig.write_config(&config(&sum, ""));
        let refused = rig.waxwing(&["renew"]).expect(3);
        assert!(refused.stderr.contains("grants.http"), "{}", refused.stderr);

        rig.write_config(&config(&sum, &grant));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("shop", &judge.root_pem(0));
        assert_eq!(rig.world.dns().all_txt(), [], "no record is left behind");
    });
}

#[test]
fn a_first_configuration_can_name_a_plugin_that_is_not_built_in() {
    let component = template();
    let rig = super::rig::Rig::new();
    let file = component.display().to_string();
    let flags = [
        "init",
        "--print",
        "--yes",
        "--agree-terms",
        "--email",
        "ops@example.com",
        "--domain",
        "www.example.com",
        "--plugin",
        &file,
        "--dns",
        "example-dns",
        "--secret",
        "token=file:token",
        "--install",
        "none",
        "--notify",
        "none",
    ];
    let printed = rig.waxwing(&flags).expect(0).stdout;
    let sum = Command::new("sha256sum").arg(&component).output();
    let sum = String::from_utf8_lossy(&sum.expect("sha256sum runs").stdout).into_owned();
    let sum = sum.split(' ').next().expect("a digest");
    for line in [
        "[plugin.example-dns]".to_owned(),
        format!("uses = \"{file}\""),
        format!("sha256 = \"{sum}\""),
        "grants.http = { hosts = [".to_owned(),
        "secrets.token = \"file:token\"".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line}\n{printed}");
    }
    // Two of them are no choice, and what is no component is told before anything is asked.
    let twice = [&flags[..], &["--plugin", &file]].concat();
    rig.waxwing(&twice)
        .expect(2)
        .says("two files are the plugin");
    let text = rig.path("none.wasm").display().to_string();
    rig.waxwing(&["init", "--print", "--plugin", &text])
        .expect(2)
        .says(".wasm");
}
