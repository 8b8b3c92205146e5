//! Plugins: the list, and what one of them may do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_core::plugin::{Grants, Manifest, WantHttp, WantSecret, World};
use waxwing_host::limits::Bounds;
use waxwing_host::section::Inspection;

use super::page::{Context, Ink, Line, Page, count, list as names};
use super::table::{Align, Cell, Table};
use super::time;

/// Columns of the list that can be left out.
const KIND: usize = 2;
const SHA256: usize = 3;
const FROM: usize = 4;

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is inside the program.
    BuiltIn,
    /// It is a file.
    File(PathBuf),
}

impl Origin {
    fn shown(&self) -> String {
        match self {
            Self::BuiltIn => "built in".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// A line of the list.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its name in the configuration; none if it is only there.
    pub(crate) name: Option<PluginName>,
    /// What the component calls itself.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
    /// Its kind; none if its manifest cannot be read.
    pub(crate) world: Option<World>,
    /// Digest of the component.
    pub(crate) sha256: String,
    /// Where it comes from.
    pub(crate) from: Origin,
    /// Certificates that need it.
    pub(crate) used_by: Vec<CertificateName>,
}

/// One plugin, looked at from outside.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// What its bytes show.
    pub(crate) inspection: Inspection,
    /// Where it comes from.
    pub(crate) from: Origin,
    /// The bounds of each of its calls.
    pub(crate) bounds: Bounds,
    /// What the configuration makes of it.
    pub(crate) configured: Option<Configured>,
    /// The plugins of the configuration that are this component, and what needs them.
    pub(crate) used_by: BTreeMap<PluginName, Vec<CertificateName>>,
}

/// What the configuration makes of a component.
#[derive(Debug)]
pub(crate) struct Configured {
    /// Its name there.
    pub(crate) name: PluginName,
    /// What it may really call.
    pub(crate) http: Vec<WantHttp>,
    /// The digest that the configuration pins.
    pub(crate) pin: Option<String>,
    /// What it may touch.
    pub(crate) grants: Grants,
}

/// All plugins, for people.
pub(crate) fn list(plugins: &[Listed], context: &Context) -> String {
    let mut page = Page::new(context);
    let configured = plugins
        .iter()
        .filter(|plugin| plugin.name.is_some())
        .count();
    let rest = plugins.len() - configured;
    let head = format!(
        "{} configured, {rest} more built in",
        count(configured, "plugin")
    );
    page.line(&Line::indented(0).ink(Ink::Strong, head));
    let mut table = Table::new(2, &[Align::Left; 6]).gap(2);
    let head = ["NAME", "COMPONENT", "KIND", "SHA256", "FROM", "USED BY"];
    table.row(head.map(|text| Cell::of(Ink::Quiet, text)).into());
    for plugin in plugins {
        table.row(vec![
            Cell::plain(plugin.name.as_ref().map_or("-", PluginName::as_str)),
            Cell::plain(format!("{} {}", plugin.id, plugin.version)),
            Cell::plain(plugin.world.map_or("unreadable", kind)),
            Cell::plain(plugin.sha256.get(..8).unwrap_or("-")),
            Cell::plain(plugin.from.shown()),
            match (&plugin.name, plugin.used_by.as_slice()) {
                (None, _) => Cell::of(Ink::Quiet, "not configured"),
                (Some(_), []) => Cell::of(Ink::Warn, "no certificate"),
                (Some(_), some) => Cell::plain(names(some, 3)),
            },
        ]);
    }
    // What is left out where it does not fit is in `inspect`; a file is told below its row.
    let gone = table.fit(context.width, &[SHA256, FROM, KIND]);
    let below = table.begin(1);
    for (nth, line) in table.lines().iter().enumerate() {
        page.line(line);
        let plugin = nth.checked_sub(1).and_then(|nth| plugins.get(nth));
        if let Some(Origin::File(path)) = plugin.map(|plugin| &plugin.from)
            && gone.contains(&FROM)
        {
            page.plain(below, format!("from {}", path.display()));
        }
    }
    page.hint(
        0,
        "`waxwing plugin inspect NAME` tells what one may do, `--example` prints the block to paste",
    );
    page.finish()
}

/// All plugins, for machines.
pub(crate) fn list_json(plugins: &[Listed]) -> Value {
    let one = |plugin: &Listed| {
        let used_by: Vec<&str> = plugin.used_by.iter().map(CertificateName::as_str).collect();
        json!({
            "name": plugin.name.as_ref().map(PluginName::as_str),
            "id": plugin.id,
            "version": plugin.version,
            "kind": plugin.world.map(kind_word),
            "sha256": plugin.sha256,
            "file": file(&plugin.from),
            "used_by": used_by,
        })
    };
    let plugins: Vec<Value> = plugins.iter().map(one).collect();
    json!({ "plugins": plugins })
}

const fn kind(world: World) -> &'static str {
    match world {
        World::Dns => "DNS",
        World::Installer => "installer",
    }
}

const fn kind_word(world: World) -> &'static str {
    match world {
        World::Dns => "dns",
        World::Installer => "installer",
    }
}

fn file(from: &Origin) -> Option<String> {
    match from {
        Origin::BuiltIn => None,
        Origin::File(path) => Some(path.display().to_string()),
    }
}

/// One plugin, for people.
pub(crate) fn inspect(plugin: &Inspected, context: &Context) -> String {
    let manifest = &plugin.manifest;
    let mut page = Page::new(context);
    let kind = match manifest.world {
        World::Dns => "DNS plugin",
        World::Installer => "installer",
    };
    page.line(
        &Line::indented(0)
            .ink(Ink::Strong, format!("{} {}", manifest.id, manifest.version))
            .text(format!(
                "   {kind}, contract {}, {}   ",
                manifest.contract,
                bytes(plugin.inspection.size as u64)
            ))
            .ink(Ink::Quiet, "(read without running it)"),
    );
    let mut say = |label: &str, lines: Vec<(Ink, String)>| {
        let mut label = label;
        for (ink, text) in lines {
            let line = Line::indented(2).ink(Ink::Quiet, label).column(12, 1);
            page.line(&line.hang_here().ink(ink, text));
            label = "";
        }
    };
    let plain = |text: String| (Ink::Plain, text);
    say("is", vec![plain(manifest.summary.clone())]);
    say("sha256", sha256(plugin));
    say("from", vec![plain(whence(plugin))]);
    let asks = plugin.from != Origin::BuiltIn && plugin.configured.is_none();
    say(
        if asks { "asks to" } else { "may" },
        powers(plugin).into_iter().map(plain).collect(),
    );
    say("may not", vec![plain(powerless(plugin))]);
    say("limits", vec![plain(limits(plugin))]);
    say(
        "settings",
        settings(manifest).into_iter().map(plain).collect(),
    );
    say(
        "secrets",
        secrets(manifest).into_iter().map(plain).collect(),
    );
    say("used by", users(plugin).into_iter().map(plain).collect());
    if plugin.configured.is_none() {
        let what = match &plugin.from {
            Origin::BuiltIn => manifest.id.clone(),
            Origin::File(path) => path.display().to_string(),
        };
        page.hint(
            2,
            &format!("`waxwing plugin inspect {what} --example` prints the block to paste"),
        );
    }
    page.finish()
}

fn sha256(plugin: &Inspected) -> Vec<(Ink, String)> {
    let found = &plugin.inspection.sha256;
    let pin = plugin.configured.as_ref().and_then(|configured| {
        let pin = configured.pin.as_ref()?;
        Some((&configured.name, pin))
    });
    let verdict = match pin {
        Some((name, pin)) if pin == found => (Ink::Good, format!("as pinned in [plugin.{name}]")),
        Some((name, pin)) => (
            Ink::Bad,
            format!("NOT the one pinned in [plugin.{name}]: {pin}"),
        ),
        None if plugin.from == Origin::BuiltIn => return vec![(Ink::Plain, found.clone())],
        None => (Ink::Warn, "not pinned by the configuration".to_owned()),
    };
    vec![(Ink::Plain, found.clone()), verdict]
}

fn whence(plugin: &Inspected) -> String {
    let mut parts = vec![plugin.from.shown()];
    parts.extend(plugin.manifest.source.clone());
    parts.extend(plugin.manifest.license.clone());
    parts.join(", ")
}

/// What it may do, a line each.
fn powers(plugin: &Inspected) -> Vec<String> {
    let manifest = &plugin.manifest;
    let configured = plugin.configured.as_ref();
    let http = configured.map_or(&manifest.http, |configured| &configured.http);
    let mut lines: Vec<String> = http.iter().map(call).collect();
    if http.is_empty() && !manifest.http.is_empty() {
        let wanted: Vec<String> = hosts(&manifest.http);
        lines.push(format!(
            "call nothing until grants.http.hosts names {}",
            wanted.join(", ")
        ));
    }
    for (name, want) in &manifest.secrets {
        let want = configured
            .and_then(|configured| manifest.effective_secret(name, &configured.grants))
            .unwrap_or_else(|| want.clone());
        lines.push(secret_use(name, &want));
    }
    for (name, want) in &manifest.files {
        let granted = configured.map(|configured| {
            let grant = configured.grants.files.get(name);
            let none = match want.required {
                true => " (not granted)",
                false => " (not granted, not needed)",
            };
            grant.map_or_else(
                || none.to_owned(),
                |grant| format!(" (granted: {})", grant.dir.display()),
            )
        });
        lines.push(format!(
            "write files under grants.files.{name}: {}{}",
            want.purpose,
            granted.unwrap_or_default()
        ));
    }
    for (name, want) in &manifest.exec {
        let granted = configured.map(|configured| {
            let grant = configured.grants.exec.get(name);
            grant.map_or_else(
                || " (not granted)".to_owned(),
                |grant| format!(" (granted: {})", grant.argv.join(" ")),
            )
        });
        lines.push(format!(
            "run the command grants.exec.{name}: {}{}",
            want.purpose,
            granted.unwrap_or_default()
        ));
    }
    if lines.is_empty() {
        lines.push("do nothing outside of itself".to_owned());
    }
    lines
}

fn call(want: &WantHttp) -> String {
    let methods: Vec<&str> = want.methods.iter().map(|method| method.as_str()).collect();
    let hosts: Vec<String> = want.hosts.iter().map(ToString::to_string).collect();
    let why = want
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!("  \"{why}\""));
    format!(
        "call {}  {}  {}{why}",
        hosts.join(" "),
        methods.join(" "),
        want.paths.join(" ")
    )
}

/// Hosts, each once.
pub(crate) fn hosts(wants: &[WantHttp]) -> Vec<String> {
    let mut hosts: Vec<String> = wants
        .iter()
        .flat_map(|want| want.hosts.iter().map(ToString::to_string))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

fn secret_use(name: &str, want: &WantSecret) -> String {
    let how: Vec<String> = want.uses.iter().map(|way| way_of_use(way)).collect();
    let to = if want.hosts.is_empty() {
        String::new()
    } else {
        format!(", only to {}", want.hosts.join(" "))
    };
    format!(
        "have Waxwing use the secret `{name}` {}{to}; it never sees it",
        how.join(" and ")
    )
}

fn way_of_use(way: &str) -> String {
    match way.split_once(':').unwrap_or((way, "")) {
        ("http-header", name) => format!("in the header {name}"),
        ("http-query", name) => format!("in the query as {name}"),
        ("http-body", _) => "in the body of a request".to_owned(),
        ("http-bearer", _) => "as a bearer token".to_owned(),
        ("http-basic", _) => "as a password".to_owned(),
        ("exec-stdin", _) => "as a command's input".to_owned(),
        ("pkcs12", _) => "to protect PKCS#12 files".to_owned(),
        (hmac, _) if hmac.starts_with("hmac-") => {
            format!("to sign ({})", hmac.to_ascii_uppercase())
        }
        (other, _) => format!("for {other}"),
    }
}

fn powerless(plugin: &Inspected) -> String {
    let manifest = &plugin.manifest;
    let private = plugin
        .configured
        .as_ref()
        .and_then(|configured| configured.grants.http.as_ref())
        .map_or(&[][..], |http| http.private.as_slice());
    let mut not = Vec::new();
    if manifest.files.is_empty() {
        not.push("open files");
    }
    if manifest.exec.is_empty() {
        not.push("run commands");
    }
    match (manifest.http.is_empty(), private.is_empty()) {
        (true, _) => not.push("use the network"),
        (false, true) => not.push("reach other hosts or private addresses"),
        (false, false) => not.push("reach other hosts"),
    }
    not.push("see private keys or secrets");
    not.push("change anything while it checks or plans");
    not.join(", ")
}

fn limits(plugin: &Inspected) -> String {
    let bounds = &plugin.bounds;
    let dns = &plugin.manifest.dns;
    let mut text = format!(
        "{}, {} ({} of its own work), {} and {} of an answer for each call",
        bytes(bounds.memory),
        time::stretch(bounds.call),
        time::stretch(bounds.cpu),
        count(bounds.http_calls as usize, "request"),
        bytes(bounds.body),
    );
    if let Some(rate) = &dns.rate {
        text.push_str(&format!(
            "; {} in {} for the account",
            count(rate.requests as usize, "request"),
            time::stretch(rate.per)
        ));
    }
    if dns.serial {
        text.push_str("; one call at a time");
    }
    text
}

/// `ttl (integer, 120)`
fn settings(manifest: &Manifest) -> Vec<String> {
    let Some(properties) = manifest.schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut settings: Vec<(u64, String)> = properties
        .iter()
        .map(|(name, schema)| {
            let kind = match schema.get("type") {
                Some(Value::String(kind)) => kind.clone(),
                _ => "any".to_owned(),
            };
            let default = schema
                .get("default")
                .map_or_else(String::new, |default| format!(", {default}"));
            let order = schema.get("x-order").and_then(Value::as_u64);
            (
                order.unwrap_or(u64::MAX),
                format!("{name} ({kind}{default})"),
            )
        })
        .collect();
    settings.sort();
    settings.into_iter().map(|(_, text)| text).collect()
}

fn secrets(manifest: &Manifest) -> Vec<String> {
    let one = |(name, want): (&String, &WantSecret)| {
        let needed = if want.required {
            "required"
        } else {
            "optional"
        };
        let about = want.description.as_ref();
        let about = about.map_or_else(String::new, |about| format!(": {about}"));
        format!("{name} ({needed}){about}")
    };
    manifest.secrets.iter().map(one).collect()
}

fn users(plugin: &Inspected) -> Vec<String> {
    plugin
        .used_by
        .iter()
        .map(|(name, certificates)| match certificates.as_slice() {
            [] => format!("{name}: no certificate"),
            some => format!("{name}: {}", names(some, 5)),
        })
        .collect()
}

/// `144 kB`, `64 MiB`
fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// One plugin, for machines.
pub(crate) fn inspect_json(plugin: &Inspected) -> Value {
    let manifest = &plugin.manifest;
    let configured = plugin.configured.as_ref();
    let http = configured.map_or(&manifest.http, |configured| &configured.http);
    let http: Vec<Value> = http
        .iter()
        .map(|want| {
            json!({
                "hosts": want.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "methods": want.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
                "paths": want.paths,
                "why": want.why,
            })
        })
        .collect();
    let secrets: BTreeMap<&String, Value> = manifest
        .secrets
        .iter()
        .map(|(name, want)| {
            let value = json!({
                "required": want.required,
                "uses": want.uses,
                "hosts": want.hosts,
                "description": want.description,
            });
            (name, value)
        })
        .collect();
    let files: BTreeMap<&String, &String> = manifest
        .files
        .iter()
        .map(|(name, want)| (name, &want.purpose))
        .collect();
    let exec: BTreeMap<&String, &String> = manifest
        .exec
        .iter()
        .map(|(name, want)| (name, &want.purpose))
        .collect();
    let used_by: BTreeMap<&str, Vec<&str>> = plugin
        .used_by
        .iter()
        .map(|(name, used)| {
            (
                name.as_str(),
                used.iter().map(CertificateName::as_str).collect(),
            )
        })
        .collect();
    let bounds = &plugin.bounds;
    json!({
        "id": manifest.id,
        "version": manifest.version,
        "kind": kind_word(manifest.world),
        "contract": manifest.contract,
        "summary": manifest.summary,
        "license": manifest.license,
        "source": manifest.source,
        "file": file(&plugin.from),
        "size": plugin.inspection.size,
        "sha256": plugin.inspection.sha256,
        "pin": configured.and_then(|configured| configured.pin.clone()),
        "imports": plugin.inspection.imports,
        "exports": plugin.inspection.exports,
        "http": http,
        "secrets": secrets,
        "files": files,
        "exec": exec,
        "limits": {
            "memory": bounds.memory,
            "call_ms": u64::try_from(bounds.call.as_millis()).unwrap_or(u64::MAX),
            "cpu_ms": u64::try_from(bounds.cpu.as_millis()).unwrap_or(u64::MAX),
            "http_calls": bounds.http_calls,
            "body": bounds.body,
        },
        "settings": manifest.schema,
        "used_by": used_by,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use waxwing_core::plugin::{GrantFiles, Limits};

    use super::super::fixture::{golden, golden_at, name, plugin as plugin_name};
    use super::*;

    const DNS: &str = r#"manifest = 1
id       = "cheapdns"
version  = "1.2.0"
world    = "waxwing:plugin/dns-plugin@0.1"
summary  = "TXT records at CheapDNS"
license  = "MIT"
source   = "https://code.example/cheapdns"
[[want.http]]
hosts   = ["https://api.cheapdns.example"]
methods = ["GET", "POST", "DELETE"]
paths   = ["/v1/zones/**"]
why     = "find the zone, add and remove TXT"
[want.secret.token]
required    = true
use         = ["http-bearer"]
hosts       = ["api.cheapdns.example"]
description = "token with the right to edit zones"
[dns]
batch = 50
serial = true
[dns.rate]
requests = 150
per = "5m"
[settings.schema]
type = "object"
[settings.schema.properties.ttl]
type = "integer"
default = 60
description = "Time to live of the records, in seconds."
x-order = 2
[settings.schema.properties.zone]
type = "string"
description = "The zone that takes every name."
x-order = 1
"#;

    const INSTALLER: &str = r#"manifest = 1
id       = "write-files"
version  = "0.1.0"
world    = "waxwing:plugin/installer-plugin@0.1"
summary  = "Writes files, then runs a command"
[want.files.certs]
purpose = "the folder that the server reads"
[want.exec.reload]
purpose = "makes the server use the new files"
parameters = { name = "^[a-z]+$", sha1 = "^[0-9a-f]{40}$" }
[settings.schema]
type = "object"
[settings.schema.properties.files]
type = "object"
description = "File names, and what goes into each."
[settings.schema.properties.files.default]
"{name}.crt" = "fullchain.pem"
"{name}.key" = "privkey.pem"
"#;

    fn inspected(text: &str, from: Origin) -> Inspected {
        let manifest = Manifest::parse("plugin.toml", text).expect("a good manifest");
        Inspected {
            bounds: Bounds::of(&manifest.limits, &Limits::default()),
            inspection: Inspection {
                manifest_text: text.to_owned(),
                sha256: "0d2f6a9c6f1e4b0e8f4b5a77d8f5f6c3f1b2a4958c7e6d5f4a3b2c1d0e9f8a7b"
                    .to_owned(),
                imports: vec!["waxwing:host/http@0.1.0".to_owned()],
                exports: vec!["waxwing:plugin/dns-provider@0.1.0".to_owned()],
                size: 144_321,
            },
            manifest,
            from,
            configured: None,
            used_by: BTreeMap::new(),
        }
    }

    pub(crate) fn foreign() -> Inspected {
        inspected(
            DNS,
            Origin::File(PathBuf::from("plugins/cheapdns-1.2.0.wasm")),
        )
    }

    pub(crate) fn built_in_installer() -> Inspected {
        inspected(INSTALLER, Origin::BuiltIn)
    }

    fn configured() -> Inspected {
        let mut plugin = built_in_installer();
        let certs = GrantFiles {
            dir: Path::new("/etc/web/tls").to_owned(),
            owner: None,
            group: None,
            mode: None,
            key_mode: None,
            acl: Vec::new(),
        };
        let mut grants = Grants::default();
        grants.files.insert("certs".to_owned(), certs);
        plugin.configured = Some(Configured {
            name: plugin_name("web"),
            http: Vec::new(),
            pin: None,
            grants,
        });
        plugin.used_by = BTreeMap::from([(plugin_name("web"), vec![name("shop"), name("mail")])]);
        plugin
    }

    #[test]
    fn a_foreign_plugin_shows_what_it_asks_for_and_that_nobody_pinned_it() {
        golden("plugin-foreign.txt", |context| inspect(&foreign(), context));
    }

    #[test]
    fn a_configured_plugin_shows_what_it_was_granted() {
        golden("plugin-configured.txt", |context| {
            inspect(&configured(), context)
        });
    }

    #[test]
    fn another_file_than_the_pinned_one_is_said_aloud() {
        let mut plugin = foreign();
        let pinned = |pin: String| Configured {
            name: plugin_name("cheapdns"),
            http: Vec::new(),
            pin: Some(pin),
            grants: Grants::default(),
        };
        plugin.configured = Some(pinned(plugin.inspection.sha256.clone()));
        assert_eq!(sha256(&plugin)[1].0, Ink::Good);
        plugin.configured = Some(pinned("ab".repeat(32)));
        assert_eq!(sha256(&plugin)[1].0, Ink::Bad);
        let nothing_granted = &powers(&plugin)[0];
        assert_eq!(
            nothing_granted,
            "call nothing until grants.http.hosts names https://api.cheapdns.example"
        );
    }

    #[test]
    fn the_list_tells_what_needs_each_plugin() {
        let listed = |text: Option<&str>, id: &str, world, from, used: &[&str]| Listed {
            name: text.map(plugin_name),
            id: id.to_owned(),
            version: "1.2.0".to_owned(),
            world: Some(world),
            sha256: "0d2f6a9c6f1e4b0e8f4b5a77d8f5f6c3".to_owned(),
            from,
            used_by: used.iter().map(|text| name(text)).collect(),
        };
        let file = Origin::File(PathBuf::from("plugins/cheapdns-1.2.0.wasm"));
        let plugins = [
            listed(
                Some("cheapdns"),
                "cheapdns",
                World::Dns,
                file,
                &["shop", "mail"],
            ),
            listed(
                Some("web"),
                "write-files",
                World::Installer,
                Origin::BuiltIn,
                &[],
            ),
            listed(None, "example-dns", World::Dns, Origin::BuiltIn, &[]),
        ];
        golden_at("plugin-list.txt", &[120, 100, 80, 60], |context| {
            list(&plugins, context)
        });
    }

    #[test]
    fn machines_get_the_whole_manifest() {
        let found = inspect_json(&foreign());
        assert_eq!(
            found["http"][0]["hosts"],
            json!(["https://api.cheapdns.example"])
        );
        assert_eq!(found["secrets"]["token"]["required"], true);
        assert_eq!(found["limits"]["call_ms"], 120_000);
        assert_eq!(found["pin"], Value::Null);
    }
}
