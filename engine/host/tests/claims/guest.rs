//! The hostile guests, built once in a process, with whatever manifest a test needs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

/// What the DNS guest asks for.
pub(crate) const DNS: &str = r#"
manifest = 1
id = "hostile"
version = "0.1.0"
world = "waxwing:plugin/dns-plugin@0.1"
summary = "misbehaves"
[[want.http]]
hosts = ["https://api.example.net", "https://other.example.net"]
methods = ["GET", "POST"]
paths = ["/v1/zones", "/v1/zones/**"]
[want.secret.token]
required = false
use = ["http-header:x-token", "http-query:key", "http-bearer", "http-basic", "http-body"]
hosts = ["api.example.net"]
[want.secret.key]
required = false
use = ["hmac-sha256"]
[dns]
batch = 2
"#;

/// What the installer asks for.
pub(crate) const INSTALLER: &str = r#"
manifest = 1
id = "hostile-installer"
version = "0.1.0"
world = "waxwing:plugin/installer-plugin@0.1"
summary = "misbehaves"
[want.files.certs]
purpose = "certificates"
[want.exec.reload]
purpose = "reload"
parameters = { site = "^[a-z0-9.-]+$" }
[want.secret.token]
required = false
use = ["exec-stdin"]
"#;

static GUESTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(build);

/// The DNS guest with this manifest.
pub(crate) fn dns(manifest: &str) -> Arc<[u8]> {
    with_manifest(&GUESTS[0], manifest)
}

/// The installer with this manifest.
pub(crate) fn installer(manifest: &str) -> Arc<[u8]> {
    with_manifest(&GUESTS[1], manifest)
}

/// Appends a custom section, as the build of a plugin does.
pub(crate) fn with_manifest(wasm: &[u8], manifest: &str) -> Arc<[u8]> {
    let name = b"waxwing:manifest";
    let mut section = leb128(name.len());
    section.extend_from_slice(name);
    section.extend_from_slice(manifest.as_bytes());
    let mut file = wasm.to_vec();
    file.push(0);
    file.extend(leb128(section.len()));
    file.extend(section);
    file.into()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn build() -> [Vec<u8>; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target: PathBuf = root.join("target/guests");
    let packages = ["waxwing-guest-hostile", "waxwing-guest-hostile-installer"];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&root)
        .args(["build", "--locked", "--quiet", "--profile", "guest"])
        .args(["--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target);
    for package in packages {
        cargo.args(["-p", package]);
    }
    // Of the build that runs these tests, and wrong for a guest.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs, since it runs this test");
    assert!(
        status.success(),
        "the guests cannot be built; is the target there? rustup target add wasm32-wasip2"
    );
    packages.map(|package| {
        let file = format!("wasm32-wasip2/guest/{}.wasm", package.replace('-', "_"));
        let path = target.join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}
