//! The block of a configuration that makes a plugin usable: every setting with its default, every
//! secret as a reference, every grant with its purpose.

use std::fmt::Write as _;

use serde_json::Value;
use waxwing_core::plugin::{WantSecret, World};

use super::plugin::{Inspected, Origin, hosts};
use super::toml::{Text, inline, key, quoted};

/// The block. What has a default or may be left out is a comment.
pub(crate) fn block(plugin: &Inspected) -> String {
    let manifest = &plugin.manifest;
    let mut text = Text::default();
    text.comment(&manifest.summary);
    // An installer is named after what it serves, since there may be many of one kind.
    let name = match manifest.world {
        World::Dns => manifest.id.as_str(),
        World::Installer => "server",
    };
    text.line(&format!("[plugin.{}]", key(name)));
    match &plugin.from {
        Origin::BuiltIn if name == manifest.id => {}
        Origin::BuiltIn => text.line(&format!("uses = {}", quoted(&manifest.id))),
        Origin::File(path) => {
            text.line(&format!(
                "uses = {}",
                quoted(&as_file(&path.display().to_string()))
            ));
            text.line(&format!("sha256 = {}", quoted(&plugin.inspection.sha256)));
        }
    }
    settings(&mut text, &manifest.schema);
    for (secret, want) in &manifest.secrets {
        secret_line(&mut text, name, secret, want);
    }
    if matches!(plugin.from, Origin::File(_)) && !manifest.http.is_empty() {
        text.comment("what it may call; a plugin from a file gets nothing unless it is named here");
        let hosts: Vec<String> = hosts(&manifest.http)
            .iter()
            .map(|host| quoted(host))
            .collect();
        text.line(&format!(
            "grants.http = {{ hosts = [{}] }}",
            hosts.join(", ")
        ));
    }
    for (purpose, want) in &manifest.files {
        text.comment(&want.purpose);
        let needed = if want.required { "" } else { "# " };
        text.line(&format!(
            "{needed}grants.files.{} = {{ dir = \"/path/to/folder\" }}",
            key(purpose)
        ));
    }
    for (purpose, want) in &manifest.exec {
        let mut about = want.purpose.clone();
        if !want.parameters.is_empty() {
            let names: Vec<String> = want
                .parameters
                .keys()
                .map(|name| format!("{{{name}}}"))
                .collect();
            let _infallible = write!(about, "; it may hold {}", names.join(", "));
        }
        text.comment(&about);
        text.line(&format!(
            "# grants.exec.{} = {{ argv = [\"/path/to/command\"] }}",
            key(purpose)
        ));
    }
    text.finish()
}

fn settings(text: &mut Text, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |names| {
            names.iter().filter_map(Value::as_str).collect()
        });
    let mut properties: Vec<(&String, &Value)> = properties.iter().collect();
    properties.sort_by_key(|(name, schema)| {
        (
            schema
                .get("x-order")
                .and_then(Value::as_u64)
                .unwrap_or(u64::MAX),
            *name,
        )
    });
    for (name, schema) in properties {
        if let Some(about) = schema.get("description").and_then(Value::as_str) {
            text.comment(about);
        }
        let value = match schema.get("default") {
            Some(default) => inline(default),
            None => placeholder(schema),
        };
        let off = if required.contains(&name.as_str()) {
            ""
        } else {
            "# "
        };
        text.line(&format!("{off}settings.{} = {value}", key(name)));
    }
}

/// A value of the right kind, where there is no default.
fn placeholder(schema: &Value) -> String {
    if let Some(first) = schema.pointer("/enum/0") {
        return inline(first);
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ => "string",
    };
    match kind {
        "integer" | "number" => schema.get("minimum").map_or_else(|| "1".to_owned(), inline),
        "boolean" => "true".to_owned(),
        "array" => "[]".to_owned(),
        "object" => "{}".to_owned(),
        _ => "\"...\"".to_owned(),
    }
}

fn secret_line(text: &mut Text, plugin: &str, name: &str, want: &WantSecret) {
    if let Some(about) = &want.description {
        text.comment(about);
    }
    let off = if want.required { "" } else { "# " };
    let reference = quoted(&format!("file:{plugin}-{name}"));
    text.line(&format!("{off}secrets.{} = {reference}", key(name)));
}

/// A path that the configuration takes for a file and not for a built-in plugin.
fn as_file(path: &str) -> String {
    if path.ends_with(".wasm") || path.contains(['/', '\\']) {
        path.to_owned()
    } else {
        format!("./{path}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use waxwing_core::plugin::Manifest;
    use waxwing_core::profiles;
    use waxwing_core::settings::raw::{self, SourceFile};
    use waxwing_core::settings::resolve::{Catalog, resolve};
    use waxwing_host::limits::Bounds;
    use waxwing_host::section;

    use super::super::plugin::tests::{built_in_installer, foreign};
    use super::*;
    use crate::embedded::EMBEDDED;
    use crate::load::embedded_manifests;

    #[test]
    fn the_block_of_a_foreign_plugin_pins_it_and_names_what_it_may_call() {
        let want = r#"# TXT records at CheapDNS
[plugin.cheapdns]
uses = "plugins/cheapdns-1.2.0.wasm"
sha256 = "0d2f6a9c6f1e4b0e8f4b5a77d8f5f6c3f1b2a4958c7e6d5f4a3b2c1d0e9f8a7b"
# The zone that takes every name.
# settings.zone = "..."
# Time to live of the records, in seconds.
# settings.ttl = 60
# token with the right to edit zones
secrets.token = "file:cheapdns-token"
# what it may call; a plugin from a file gets nothing unless it is named here
grants.http = { hosts = ["https://api.cheapdns.example"] }
"#;
        assert_eq!(block(&foreign()), want);
    }

    #[test]
    fn the_block_of_an_installer_has_a_name_of_its_own() {
        let want = r#"# Writes files, then runs a command
[plugin.server]
uses = "write-files"
# File names, and what goes into each.
# settings.files = { "{name}.crt" = "fullchain.pem", "{name}.key" = "privkey.pem" }
# the folder that the server reads
grants.files.certs = { dir = "/path/to/folder" }
# makes the server use the new files; it may hold {name}, {sha1}
# grants.exec.reload = { argv = ["/path/to/command"] }
"#;
        assert_eq!(block(&built_in_installer()), want);
    }

    #[test]
    fn the_block_of_every_built_in_plugin_is_a_configuration_that_resolves() {
        for (id, bytes) in EMBEDDED {
            let inspection = section::inspect(bytes).expect("a component");
            let manifest = Manifest::parse(id, &inspection.manifest_text).expect("a manifest");
            let world = manifest.world;
            let inspected = Inspected {
                bounds: Bounds::of(&manifest.limits, &Default::default()),
                manifest,
                inspection,
                from: Origin::BuiltIn,
                configured: None,
                used_by: Default::default(),
            };
            let mut text = "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n\
                            [[certificate]]\ndomains = [\"example.com\"]\n"
                .to_owned();
            // Both the block as it is and the block with every comment taken up.
            let block = block(&inspected);
            let all: String = block
                .lines()
                .map(|line| {
                    let option = line.strip_prefix("# ").filter(|line| {
                        line.starts_with("settings.files") || line.starts_with("settings.ttl")
                    });
                    format!("{}\n", option.unwrap_or(line))
                })
                .collect();
            text.push_str(&all);
            if world == World::Installer {
                let dns = EMBEDDED.iter().map(|(id, _)| *id).find(|other| other != id);
                let dns = dns.expect("another plugin");
                text.push_str(&format!("[plugin.{dns}]\n"));
                let manifests = embedded_manifests();
                let other = waxwing_core::settings::PluginSource::Embedded(dns.to_owned());
                let other = manifests[&other].as_ref().expect("a manifest");
                for secret in other.secrets.keys() {
                    text.push_str(&format!("secrets.{secret} = \"file:{secret}\"\n"));
                }
            }
            let file = SourceFile {
                path: PathBuf::from("/etc/waxwing/waxwing.toml"),
                shown: "waxwing.toml".to_owned(),
                text: text.clone(),
            };
            let catalog = Catalog {
                may_be_empty: false,
                profiles: profiles::shipped(),
                template: profiles::template(),
                manifests: embedded_manifests(),
                zones: jiff::tz::TimeZoneDatabase::bundled(),
                here: jiff::tz::TimeZone::UTC,
                real: |_| None,
            };
            if let Err(errors) = resolve(&raw::parse(&[file]), &catalog) {
                panic!("{id}: {errors}\n{text}");
            }
        }
    }
}
