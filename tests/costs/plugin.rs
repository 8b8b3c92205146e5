//! One plugin, without a network: from the compile cache to its answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use waxwing_core::http::{Method, Request, Response, TransportError};
use waxwing_core::name::{DomainName, PluginName};
use waxwing_core::plugin::{Grants, Manifest};
use waxwing_core::secret::Secret;
use waxwing_core::settings::{PluginSettings, PluginSource};
use waxwing_core::time::Timestamp;
use waxwing_flow::audit::AuditTrail;
use waxwing_flow::plugin::{Attempt, ChallengeRecord, Removal};
use waxwing_flow::ports::{Clock, DnsProvider, HttpClient, Policy};
use waxwing_host::host::{CompileCache, HostOptions, PluginHost};
use waxwing_host::pkcs12::{Pkcs12, Pkcs12Contents};

use crate::measure::{Row, shown, timed};

/// The figures.
pub(crate) fn rows() -> Vec<Row> {
    let cache = tempfile::TempDir::new().expect("a folder");
    let manifest = read("plugins/dns-made-easy/plugin.toml");
    let bytes = component(&manifest);
    let settings = settings(&String::from_utf8_lossy(&manifest));
    let start = timed(20, || drop(host(cache.path())));
    let host = host(cache.path());
    let load = || {
        let secrets = ["api-key", "secret-key"];
        let secrets = secrets.map(|name| (name.to_owned(), Secret::new("a-secret".to_owned())));
        let loaded = host.load(&settings, &bytes, BTreeMap::from(secrets));
        loaded.unwrap_or_else(|failure| panic!("{failure}: {:?}", failure.causes))
    };
    let started = Instant::now();
    drop(load());
    let compiled = started.elapsed();
    let cached = timed(200, || drop(load()));
    let loaded = load();
    let provider = loaded.dns().expect("a DNS plugin");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let call = timed(500, || {
        runtime.block_on(place_and_remove(provider.as_ref()))
    });
    vec![
        Row::new("plugin host started", shown(start)),
        Row::new("plugin compiled, once for each version", shown(compiled)),
        Row::new("plugin loaded from the compile cache", shown(cached)).target("1 ms"),
        Row::new(
            "fresh instance, record placed and removed (two calls, canned answers)",
            shown(call),
        )
        .target("0.15 ms"),
    ]
}

fn host(cache: &Path) -> PluginHost {
    PluginHost::new(HostOptions {
        cache: Some(CompileCache {
            dir: cache.to_owned(),
            key: cache.with_extension("key"),
        }),
        backups_dir: cache.join("backups"),
        http: Arc::new(Canned),
        clock: Arc::new(Hurried::default()),
        history: None,
        audit: Arc::new(AuditTrail::default()),
        pkcs12: Arc::new(NoFiles),
        run_id: "bench".to_owned(),
    })
    .expect("this machine runs WebAssembly")
}

async fn place_and_remove(provider: &dyn DnsProvider) {
    let name = |text: &str| DomainName::parse(text).expect("a literal name");
    let attempt = Attempt {
        run: "bench".to_owned(),
        number: 1,
    };
    let record = ChallengeRecord {
        key: "1".to_owned(),
        fqdn: name("_acme-challenge.www.example.com"),
        value: "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0".to_owned(),
        identifier: name("www.example.com"),
        zone_hint: Some(name("example.com")),
    };
    let report = provider.present(&attempt, std::slice::from_ref(&record));
    let report = report.await.expect("placed");
    let receipt = report.placed.first().map(|placed| placed.receipt.clone());
    assert!(receipt.is_some(), "{report:?}");
    let removals = [Removal { record, receipt }];
    let left = provider
        .cleanup(&attempt, &removals)
        .await
        .expect("removed");
    assert_eq!(left, []);
}

/// A wall clock on which the rate that the provider allows is never used up: a minute at each look.
#[derive(Default)]
struct Hurried(AtomicI64);

#[async_trait]
impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_800_000_000 + 60 * self.0.fetch_add(1, Ordering::Relaxed))
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// The provider's answers without the provider.
struct Canned;

#[async_trait]
impl HttpClient for Canned {
    async fn send(&self, request: Request, _policy: &Policy) -> Result<Response, TransportError> {
        let (status, body) = match request.method {
            Method::Post => (
                201,
                r#"{"id":7,"name":"_acme-challenge.www","type":"TXT","value":"\"LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0\"","ttl":120}"#,
            ),
            Method::Delete => (200, ""),
            _ => (
                200,
                r#"{"totalPages":1,"totalRecords":1,"page":0,"data":[{"id":1000,"name":"example.com","folderId":7}]}"#,
            ),
        };
        Ok(Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
            elapsed: Duration::ZERO,
        })
    }
}

struct NoFiles;

impl Pkcs12 for NoFiles {
    fn make(&self, _contents: &Pkcs12Contents<'_>) -> Result<Vec<u8>, String> {
        Err("no files here".to_owned())
    }

    fn holds(&self, _file: &[u8], _contents: &Pkcs12Contents<'_>) -> bool {
        false
    }
}

fn settings(manifest: &str) -> PluginSettings {
    let manifest = Manifest::parse("dns-made-easy", manifest).expect("a shipped manifest");
    PluginSettings {
        name: PluginName::parse("dns-made-easy").expect("a literal name"),
        source: PluginSource::Embedded(manifest.id.clone()),
        manifest,
        settings: serde_json::json!({ "sandbox": false }),
        secrets: BTreeMap::new(),
        grants: Grants::default(),
    }
}

/// The component as the build has just made it, with its manifest as a custom section.
fn component(manifest: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"waxwing:manifest";
    let mut bytes = read("target/guests/wasm32-wasip2/guest/waxwing_plugin_dns_made_easy.wasm");
    let mut section = length(NAME.len());
    section.extend_from_slice(NAME);
    section.extend_from_slice(manifest);
    bytes.push(0);
    bytes.extend(length(section.len()));
    bytes.extend(section);
    bytes
}

/// LEB128.
fn length(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap_or_default());
    bytes
}

fn read(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
