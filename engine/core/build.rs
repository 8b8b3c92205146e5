//! Embeds every file of `profiles/` and `shapes/`, so that no CA and no product is named in source.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads and writes what it builds"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    embed("profiles");
    embed("shapes");
}

/// Writes the name and text of each file of a folder as a Rust expression, in the order of names.
fn embed(kind: &str) {
    println!("cargo::rerun-if-changed={kind}");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let folder = Path::new(&root).join(kind);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is part of the crate")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.expect("the files have plain names");
        writeln!(list, "    ({stem:?}, include_str!({path:?})),").expect("a String takes any text");
    }
    list.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it for build scripts");
    let file = Path::new(&out).join(format!("{kind}.rs"));
    fs::write(file, list).expect("OUT_DIR is writable");
}
