//! Builds the plugins that ship inside the binary and puts each one's manifest into it.
//!
//! The guests are built by a cargo of their own, into one fixed folder: under `OUT_DIR` they would
//! be built again for each of build, test, clippy and release.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads and writes what it builds"
)]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let workspace = here.join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for watched in ["plugins", "wit", "Cargo.lock"] {
        println!(
            "cargo:rerun-if-changed={}",
            workspace.join(watched).display()
        );
    }
    target_is_installed()?;
    let plugins = plugins(&workspace.join("plugins"))?;
    let components = build(&workspace, &plugins)?;
    let mut table = String::from("&[\n");
    for plugin in &plugins {
        let component = components.join(format!("{}.wasm", plugin.package.replace('-', "_")));
        let bytes = with_manifest(fs::read(&component)?, &fs::read(&plugin.manifest)?)?;
        let file = out.join(format!("{}.wasm", plugin.folder));
        fs::write(&file, bytes)?;
        writeln!(
            table,
            "    ({:?}, include_bytes!({:?})),",
            plugin.folder, file
        )?;
    }
    table.push_str("]\n");
    fs::write(out.join("embedded.rs"), table)?;
    Ok(())
}

/// A guest crate.
struct Plugin {
    /// The folder's name, which is the plugin's id.
    folder: String,
    package: String,
    manifest: PathBuf,
}

fn plugins(folder: &Path) -> Result<Vec<Plugin>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let (manifest, cargo) = (path.join("plugin.toml"), path.join("Cargo.toml"));
        if !manifest.exists() || !cargo.exists() {
            continue;
        }
        let text = fs::read_to_string(&cargo)?;
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let package = name.ok_or_else(|| format!("{} names no package", cargo.display()))?;
        let folder = path.file_name().and_then(|name| name.to_str());
        found.push(Plugin {
            folder: folder.ok_or("a plugin folder has an odd name")?.to_owned(),
            package: package.to_owned(),
            manifest,
        });
    }
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}

/// Says what to do where rustup does not install targets by itself.
fn target_is_installed() -> Result<(), Box<dyn Error>> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    if output.status.success() && folder.exists() {
        return Ok(());
    }
    Err(format!("the plugins need the target {TARGET}; run: rustup target add {TARGET}").into())
}

/// Builds all guests; answers the folder with the components.
fn build(workspace: &Path, plugins: &[Plugin]) -> Result<PathBuf, Box<dyn Error>> {
    let folder = workspace.join("target").join("guests");
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.current_dir(workspace);
    cargo.args([
        "build",
        "--locked",
        "--profile",
        "guest",
        "--target",
        TARGET,
        "--target-dir",
    ]);
    cargo.arg(&folder);
    for plugin in plugins {
        cargo.args(["--package", &plugin.package]);
    }
    // Meant for the host build; clippy and coverage set them too.
    for variable in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.output()?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the plugins could not be built:\n{log}").into());
    }
    Ok(folder.join(TARGET).join("guest"))
}

/// Appends the manifest as a custom section of the component.
fn with_manifest(mut component: Vec<u8>, manifest: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    const NAME: &str = "waxwing:manifest";
    let mut section = leb128(NAME.len())?;
    section.extend_from_slice(NAME.as_bytes());
    section.extend_from_slice(manifest);
    component.push(0);
    component.extend(leb128(section.len())?);
    component.extend(section);
    Ok(component)
}

fn leb128(value: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut rest = u32::try_from(value)?;
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = (rest & 0x7f).to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return Ok(bytes);
        }
        bytes.push(low | 0x80);
    }
}
