//! The manifests of the plugins that ship with the engine.

#![expect(clippy::disallowed_methods, reason = "the manifests are files")]

use std::fs;
use std::path::Path;

use waxwing_core::plugin::Manifest;

#[test]
fn every_shipped_manifest_is_read_without_a_mistake() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    for entry in fs::read_dir(plugins).expect("a folder of the checkout") {
        let folder = entry.expect("a readable folder").path();
        // A crate without a manifest is no plugin yet; building the binary complains about it.
        let Ok(text) = fs::read_to_string(folder.join("plugin.toml")) else {
            continue;
        };
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.expect("a plain name");
        match Manifest::parse(&format!("{name}/plugin.toml"), &text) {
            Ok(manifest) => assert_eq!(manifest.id, name),
            Err(errors) => panic!("{errors}"),
        }
    }
}
