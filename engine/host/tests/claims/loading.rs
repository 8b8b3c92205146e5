//! What is no plugin, or not the one that was meant, is refused before it runs, with the reason.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use waxwing_core::settings::PluginSource;
use waxwing_flow::plugin::{PluginFailure, PluginFailureKind};
use waxwing_host::section::{LoadError, MANIFEST_CAP, inspect, read_manifest};

use crate::guest::{self, DNS, INSTALLER, with_manifest};
use crate::stage::Stage;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("literal WAT")
}

/// A component with these imports and the exports of a DNS plugin, all of them empty.
fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let mut text = "(component\n".to_owned();
    for import in imports {
        text.push_str(&format!("(import \"{import}\" (instance))\n"));
    }
    text.push_str("(instance $empty)\n");
    for export in exports {
        text.push_str(&format!("(export \"{export}\" (instance $empty))\n"));
    }
    wat(&(text + ")"))
}

const EXPORTS: [&str; 2] = [
    "waxwing:plugin/lifecycle@0.1.0",
    "waxwing:plugin/dns-provider@0.1.0",
];

fn refused(wasm: &[u8]) -> PluginFailure {
    let stage = Stage::new("foreign", with_manifest(wasm, DNS), DNS, json!({}));
    let failure = stage.load().map(|_| ()).expect_err("no plugin");
    assert_eq!(
        (&failure.kind, &*failure.call),
        (&PluginFailureKind::Load, "load")
    );
    failure
}

#[test]
fn a_manifest_is_read_from_the_bytes_alone() {
    let text = "manifest = 1";
    let empty = wat("(component)");
    assert_eq!(
        read_manifest(&with_manifest(&empty, text)),
        Ok(text.to_owned())
    );
    assert_eq!(read_manifest(&empty), Err(LoadError::NoManifest));
    let twice = with_manifest(&with_manifest(&empty, text), text);
    assert_eq!(read_manifest(&twice), Err(LoadError::ManyManifests(2)));
    let long = "#".repeat(MANIFEST_CAP + 1);
    let too_long = Err(LoadError::ManifestTooLong(MANIFEST_CAP + 1));
    assert_eq!(read_manifest(&with_manifest(&empty, &long)), too_long);
    let module = wat("(module (@custom \"waxwing:manifest\" \"manifest = 1\"))");
    assert_eq!(read_manifest(&module), Err(LoadError::CoreModule));
    let binary = wat("(component (@custom \"waxwing:manifest\" \"\\ff\\fe\"))");
    assert_eq!(read_manifest(&binary), Err(LoadError::ManifestNotText));
    assert!(matches!(
        read_manifest(b"hello"),
        Err(LoadError::Malformed { .. })
    ));
    assert!(matches!(
        read_manifest(&empty[..6]),
        Err(LoadError::Malformed { .. })
    ));
}

#[test]
fn a_linker_may_have_put_the_manifest_into_the_core_module() {
    let inner = "(core module (@custom \"waxwing:manifest\" \"inner\"))";
    assert_eq!(
        read_manifest(&wat(&format!("(component {inner})"))),
        Ok("inner".to_owned())
    );
    let two = wat(&format!("(component {inner} {inner})"));
    assert_eq!(read_manifest(&two), Err(LoadError::ManyManifests(2)));
    let deep = wat(&format!("(component (component {inner}))"));
    assert_eq!(read_manifest(&deep), Err(LoadError::NoManifest));
    let both = with_manifest(&wat(&format!("(component {inner})")), "outer");
    assert_eq!(read_manifest(&both), Ok("outer".to_owned()));
}

#[test]
fn an_inspection_tells_imports_exports_and_contract() {
    let wasm = with_manifest(&component(&["waxwing:host/log@0.1.0"], &EXPORTS), DNS);
    let inspection = inspect(&wasm).expect("a component");
    assert_eq!(inspection.manifest_text, DNS);
    assert_eq!(inspection.imports, ["waxwing:host/log@0.1.0"]);
    assert_eq!(inspection.exports, EXPORTS);
    assert_eq!(inspection.contract(), Some("0.1.0"));
    assert_eq!(inspection.size, wasm.len());
}

#[test]
fn a_component_of_another_world_is_refused() {
    let failure = refused(&component(&[], &EXPORTS[..1]));
    let message = "its manifest says a DNS plugin, but it does not export \
                   waxwing:plugin/dns-provider";
    assert_eq!(failure.message, message);
    let stage = Stage::new("foreign", guest::installer(DNS), DNS, json!({}))
        .load()
        .map(|_| ());
    assert_eq!(stage.expect_err("no plugin").message, message);
}

#[test]
fn another_contract_is_refused() {
    let failure = refused(&component(&["waxwing:host/log@0.2.0"], &EXPORTS));
    assert_eq!(
        failure.message,
        "it is built for contract waxwing:host/log@0.2.0; this engine speaks 0.1"
    );
    let exports = [
        "waxwing:plugin/lifecycle@1.0.0",
        "waxwing:plugin/dns-provider@1.0.0",
    ];
    let failure = refused(&component(&[], &exports));
    assert!(
        failure
            .message
            .starts_with("it is built for contract waxwing:plugin/lifecycle@1.0.0")
    );
}

#[test]
fn imports_that_the_world_does_not_have_are_named() {
    for name in ["files", "exec", "artifacts"] {
        let import = format!("waxwing:host/{name}@0.1.0");
        let failure = refused(&component(&[&import], &EXPORTS));
        let message = format!("a DNS plugin may not import {import}, which is for installers");
        assert_eq!(failure.message, message);
    }
    for import in [
        "wasi:http/outgoing-handler@0.2.0",
        "evil:corp/backdoor@1.0.0",
    ] {
        let failure = refused(&component(&[import], &EXPORTS));
        let message = format!("it imports {import}, which this host does not offer");
        assert_eq!(failure.message, message);
    }
}

#[test]
fn types_that_differ_from_the_contract_are_refused_with_the_cause() {
    let failure = refused(&component(&[], &EXPORTS));
    assert_eq!(
        failure.message,
        "its imports or exports do not have the contract's types"
    );
    assert_eq!(failure.causes.len(), 1);
}

#[test]
fn a_pinned_file_is_that_file() {
    let pinned = |sha256: &str| {
        let mut stage = Stage::dns("pinned", json!({}));
        let path = PathBuf::from("x.wasm");
        stage.settings.source = PluginSource::File {
            path,
            sha256: sha256.to_owned(),
        };
        stage.load().map(|_| ())
    };
    let right = inspect(&guest::dns(DNS)).expect("a component").sha256;
    assert_eq!(pinned(&right), Ok(()));
    assert_eq!(pinned(&right.to_uppercase()), Ok(()));
    let wrong = "00".repeat(32);
    let failure = pinned(&wrong).expect_err("another file");
    let message = format!("the file's SHA-256 is {right}, the configuration pins {wrong}");
    assert_eq!(failure.message, message);
}

#[test]
fn a_manifest_that_changed_since_the_configuration_was_read_is_refused() {
    let stage = Stage::new("changed", guest::dns(DNS), INSTALLER, json!({}));
    let failure = stage.load().map(|_| ()).expect_err("a change");
    assert_eq!(
        failure.message,
        "the manifest in the file is not the one the configuration was checked with"
    );
}

#[test]
fn a_required_secret_has_to_be_bound() {
    let manifest = DNS.replace("required = false", "required = true");
    let mut stage = Stage::new("poor", guest::dns(&manifest), &manifest, json!({}));
    stage.secrets.remove("key");
    let failure = stage.load().map(|_| ()).expect_err("a missing secret");
    assert_eq!(failure.message, "the required secret `key` is not bound");
    assert_eq!(
        failure.hint.as_deref(),
        Some("secrets = { key = \"file:PATH\" } under [plugin.poor]")
    );
}

#[tokio::test]
async fn a_compiled_component_that_was_tampered_with_is_compiled_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("components");
    let load = || {
        let mut stage = Stage::dns("cached", json!({}));
        stage.cache_dir = Some(cache.clone());
        stage.show()
    };
    let compiled = || {
        let entries = fs::read_dir(&cache).expect("a folder");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        });
        assert_eq!(paths.len(), 1);
        paths.remove(0)
    };
    load().present().await.expect("success");
    let path = compiled();
    let good = fs::read(&path).expect("a file");

    // Unchanged: taken as it is.
    load().present().await.expect("success");
    assert_eq!(fs::read(&path).expect("a file"), good);

    // One bit of machine code, the seal, the length: all are noticed, none is an error.
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut unsealed = good.clone();
    unsealed[0] ^= 1;
    for bad in [flipped, unsealed, good[..100].to_vec(), Vec::new()] {
        fs::write(&path, &bad).expect("a file");
        load().present().await.expect("success");
        assert_eq!(compiled(), path);
        assert_ne!(fs::read(&path).expect("a file"), bad);
    }

    // A lost key makes a new one, and everything is compiled again.
    let key = dir.path().join("components.key");
    fs::write(&key, "short").expect("a file");
    load().present().await.expect("success");
    assert_eq!(fs::read(&key).expect("a file").len(), 32);
    // Whoever gets the folder alone can seal nothing.
    let names = fs::read_dir(&cache).expect("a folder");
    let mut names = names.map(|entry| entry.expect("an entry").file_name());
    assert!(names.all(|name| name.to_string_lossy().ends_with(".cwasm")));
}

#[cfg(unix)]
#[tokio::test]
async fn the_cache_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("components");
    fs::create_dir(&cache).expect("a folder");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("a mode");
    let mut stage = Stage::dns("owned", json!({}));
    stage.cache_dir = Some(cache.clone());
    stage.show();
    let mode = |path: &PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    for entry in fs::read_dir(&cache).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
