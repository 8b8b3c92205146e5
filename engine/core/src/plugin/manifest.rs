//! Reading a manifest, the `waxwing:manifest` section of a component.
//!
//! Strict: an unknown key is a mistake, because a wish that is silently ignored is a plugin that
//! fails later, and a limit that is silently ignored is one that does not hold.

mod known_as;
mod want;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{DnsFacts, Manifest, ProviderRate, World};
use crate::document::problem::{Problem, Problems};
use crate::document::section::{KeyPath, Section};
use crate::document::{self, Place, Value};
use crate::name::PluginName;
use crate::settings::{pattern, units};

/// The longest manifest, in bytes.
pub const MOST_BYTES: usize = 64 << 10;

/// The contract that this engine speaks.
pub const CONTRACT: &str = "0.1";

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestErrors(pub Vec<Problem>);

impl std::error::Error for ManifestErrors {}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in the plugin's manifest")?;
        for problem in &self.0 {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

impl Manifest {
    /// Parses the text of a manifest. `shown` is how messages name it: a file, or a component.
    ///
    /// # Errors
    ///
    /// Every mistake, with line and key.
    pub fn parse(shown: &str, text: &str) -> Result<Self, ManifestErrors> {
        let problems = Problems::default();
        let file: Arc<Path> = Arc::from(Path::new(shown));
        let start = Place::start_of(shown);
        if text.len() > MOST_BYTES {
            let message = format!(
                "{} bytes are too many; {MOST_BYTES} are allowed",
                text.len()
            );
            return Err(ManifestErrors(vec![Problem::new(
                start, "manifest", message,
            )]));
        }
        let table = document::parse(&file, text, &problems);
        if problems.count() > 0 {
            return Err(ManifestErrors(problems.into_list()));
        }
        let manifest = read(Section::new(&table, start, KeyPath::root(), &problems));
        let mut found = problems.into_list();
        found.sort_by(|a, b| a.at.cmp(&b.at));
        match manifest {
            Some(manifest) if found.is_empty() => Ok(manifest),
            _ => Err(ManifestErrors(found)),
        }
    }
}

fn read(root: Section<'_>) -> Option<Manifest> {
    needed(&root, "manifest", "1");
    if let Some(form) = root.take("manifest")
        && form.node.value != Value::Integer(1)
    {
        let message = "this form of manifest is not known; it is 1 today";
        root.problems()
            .add(root.problem(&form.node.at, "manifest", message));
    }
    let id = root.parsed("id", "\"example-dns\"", |text| {
        let name = PluginName::parse(text).map_err(|error| error.to_string())?;
        Ok(name.as_str().to_owned())
    });
    let version = root.parsed("version", "\"1.2.0\"", version);
    let world = root.parsed("world", "\"waxwing:plugin/dns-plugin@0.1\"", world);
    let summary = root.parsed("summary", "\"DNS-01 with Example DNS\"", one_line);
    for (key, example) in [
        ("id", "\"example-dns\""),
        ("version", "\"1.2.0\""),
        ("world", "\"waxwing:plugin/dns-plugin@0.1\""),
        ("summary", "\"DNS-01 with Example DNS\""),
    ] {
        needed(&root, key, example);
    }
    let optional = |key: &'static str| root.parsed(key, "\"...\"", one_line).map(|at| at.value);
    let (license, source) = (optional("license"), optional("source"));
    let wants = root.section("want").map(want::read).unwrap_or_default();
    let dns = root.section("dns").map(dns).unwrap_or_default();
    let schema = root.section("settings").map_or(Json::Null, schema);
    let known_as = known_as::read(&root, &wants.secrets, &schema);
    root.finish(&[]);
    let (world, contract) = world?.value;
    Some(Manifest {
        id: id?.value,
        version: version?.value,
        world,
        contract,
        summary: summary?.value,
        license,
        source,
        http: wants.http,
        secrets: wants.secrets,
        files: wants.files,
        exec: wants.exec,
        limits: wants.limits,
        dns,
        known_as,
        schema,
    })
}

fn needed(section: &Section<'_>, key: &'static str, example: &str) {
    if section.lacks(key) {
        section.problems().add(
            section
                .problem(&section.at, key, "is missing")
                .hint(format!("{key} = {example}")),
        );
    }
}

/// Text that is shown to people: one line without control characters, so that it cannot draw on a
/// terminal.
fn one_line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        Err("one line of plain text belongs here".to_owned())
    } else if text.chars().count() > 200 {
        Err("longer than 200 characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn version(text: &str) -> Result<String, String> {
    let core = text.split(['-', '+']).next().unwrap_or("");
    let parts: Vec<_> = core.split('.').collect();
    let numbers = parts
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b));
    if parts.len() == 3 && numbers && rest && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{}` is not a version as in 1.2.0",
            text.escape_debug()
        ))
    }
}

fn world(text: &str) -> Result<(World, String), String> {
    let (world, track) = text.split_once('@').unwrap_or((text, ""));
    let kind = match world {
        "waxwing:plugin/dns-plugin" => World::Dns,
        "waxwing:plugin/installer-plugin" => World::Installer,
        _ => return Err(format!("no world is called `{}`", text.escape_debug())),
    };
    if track == CONTRACT {
        Ok((kind, track.to_owned()))
    } else {
        Err(format!(
            "built for contract `{}`; this version of Waxwing speaks {CONTRACT}",
            track.escape_debug()
        ))
    }
}

fn dns(section: Section<'_>) -> DnsFacts {
    let batch = section
        .number("batch", 1..=100_000, "50")
        .map(|at| at.value);
    let serial = section.flag("serial").is_some_and(|at| at.value);
    // The contract knows it; nothing depends on the time to live of a record yet.
    section.number("min-ttl", 1..=86_400, "30");
    let rate = section.section("rate").and_then(|rate| {
        let requests = rate.number("requests", 1..=1_000_000, "150");
        let per = rate.parsed("per", "\"5m\"", units::duration);
        needed(&rate, "requests", "150");
        needed(&rate, "per", "\"5m\"");
        let remaining = rate.text("header-remaining", "\"x-requests-remaining\"");
        rate.finish(&[]);
        Some(ProviderRate {
            requests: requests?.value,
            per: per?.value,
            remaining: remaining.map(|at| at.value.to_ascii_lowercase()),
        })
    });
    section.finish(&[]);
    DnsFacts {
        batch,
        serial,
        rate,
    }
}

/// `[settings.schema]`: kept as it is, after its patterns were tried.
fn schema(section: Section<'_>) -> Json {
    let schema = section
        .take("schema")
        .map(|entry| (&entry.at, entry.node.value.to_json()));
    let value = match schema {
        Some((at, value @ Json::Object(_))) => {
            let mut bad = Vec::new();
            bad_patterns(&value, &mut bad);
            for text in bad {
                let message = format!("`{}` is not a pattern", text.escape_debug());
                section
                    .problems()
                    .add(section.problem(at, "schema", message));
            }
            value
        }
        Some((at, _)) => {
            section
                .problems()
                .add(section.problem(at, "schema", "a table belongs here"));
            Json::Null
        }
        None => Json::Null,
    };
    section.finish(&[("properties", "[settings.schema.properties]")]);
    value
}

fn bad_patterns(schema: &Json, bad: &mut Vec<String>) {
    let Json::Object(fields) = schema else {
        return;
    };
    if let Some(Json::String(text)) = fields.get("pattern")
        && pattern::matches(text, "").is_none()
    {
        bad.push(text.clone());
    }
    for key in ["items", "additionalProperties", "propertyNames"] {
        if let Some(inner) = fields.get(key) {
            bad_patterns(inner, bad);
        }
    }
    if let Some(Json::Object(properties)) = fields.get("properties") {
        for inner in properties.values() {
            bad_patterns(inner, bad);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GOOD: &str = r#"manifest = 1
id       = "example-dns"
version  = "1.2.0"
world    = "waxwing:plugin/dns-plugin@0.1"
summary  = "DNS-01 with Example DNS"

[[want.http]]
hosts   = ["https://api.example.com", "https://*.zones.example.com"]
methods = ["GET", "DELETE"]
paths   = ["/v1/zones", "/v1/zones/*/records", "/v1/**"]

[want.secret.token]
use   = ["http-header:x-key", "hmac-sha1"]
hosts = ["api.example.com"]

[want.exec.reload]
purpose = "reload"
parameters = { site = "^[a-z]+$" }

[want.limits]
memory = "32MiB"
call = "60s"

[dns]
batch = 50
min-ttl = 30
[dns.rate]
requests = 150
per = "5m"
header-remaining = "X-Left"
[[known-as]]
client = "lego"
names = ["example"]
secrets = { token = ["EXAMPLE_TOKEN"] }
settings = { sandbox = ["EXAMPLE_SANDBOX"] }

[settings.schema]
type = "object"
[settings.schema.properties.sandbox]
type = "boolean"
default = false
"#;

    #[test]
    fn a_manifest_is_read() {
        let manifest = Manifest::parse("plugin.toml", GOOD).expect("a good manifest");
        assert_eq!(manifest.id, "example-dns");
        assert_eq!(
            (manifest.world, manifest.contract.as_str()),
            (World::Dns, CONTRACT)
        );
        assert_eq!(
            manifest.http[0].hosts[1].to_string(),
            "https://*.zones.example.com"
        );
        assert!(manifest.secrets["token"].required);
        assert_eq!(manifest.limits.memory, Some(32 << 20));
        let rate = ProviderRate {
            requests: 150,
            per: Duration::from_secs(300),
            remaining: Some("x-left".to_owned()),
        };
        assert_eq!(manifest.dns.rate, Some(rate));
        assert_eq!(manifest.known_as[0].names, ["example"]);
        assert_eq!(manifest.known_as[0].secrets["token"], ["EXAMPLE_TOKEN"]);
        assert_eq!(
            manifest.known_as[0].settings["sandbox"],
            ["EXAMPLE_SANDBOX"]
        );
        assert_eq!(manifest.schema["properties"]["sandbox"]["default"], false);
    }

    /// The manifest above with one line replaced, and what is said about it.
    fn check(line: &str, by: &str, want: &[&str]) {
        assert!(GOOD.contains(line), "{line} stands in the manifest");
        let text = GOOD.replacen(line, by, 1);
        let found = match Manifest::parse("plugin.toml", &text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0,
        };
        let found: Vec<_> = found
            .iter()
            .map(|p| format!("{}:{} {}: {}", p.at.line, p.at.column, p.key, p.message))
            .collect();
        assert_eq!(found, want, "{by}");
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        check("manifest = 1", "", &["1:1 manifest: is missing"]);
        check(
            "manifest = 1",
            "manifest = 2",
            &["1:12 manifest: this form of manifest is not known; it is 1 today"],
        );
        check(
            "id       = \"example-dns\"",
            "id = \"../x\"\nidd = 1",
            &[
                "2:6 id: `../x` may hold letters, digits, `.`, `-` and `_`, and begins with a \
                 letter, digit or `_`",
                "3:1 idd: unknown key; did you mean `id`?",
            ],
        );
        check(
            "\"1.2.0\"",
            "\"1.2\"",
            &["3:12 version: `1.2` is not a version as in 1.2.0"],
        );
        check(
            "dns-plugin@0.1",
            "dns-plugin@0.2",
            &["4:12 world: built for contract `0.2`; this version of Waxwing speaks 0.1"],
        );
        check(
            "dns-plugin@0.1",
            "shell@0.1",
            &["4:12 world: no world is called `waxwing:plugin/shell@0.1`"],
        );
        check(
            "Example DNS\"",
            "\\u001B[2J\"",
            &["5:12 summary: one line of plain text belongs here"],
        );
        check(
            "https://api.example.com",
            "https://192.0.2.1",
            &["8:12 want.http.hosts: `192.0.2.1` is an IP address; a host is named"],
        );
        check(
            "https://*.zones.example.com",
            "https://*.com",
            &[
                "8:39 want.http.hosts: `*` may only be the whole first label above two others, as in \
               https://*.example.com",
            ],
        );
        check(
            "\"DELETE\"",
            "\"PURGE\"",
            &["9:19 want.http.methods: no method is called `PURGE`"],
        );
        check(
            "/v1/zones/*/records",
            "/v1/../x",
            &["10:25 want.http.paths: `/v1/../x` holds an empty, `.` or `..` segment"],
        );
        check(
            "/v1/zones/*/records",
            "/v1/z*",
            &[
                "10:25 want.http.paths: `/v1/z*`: `*` is a whole segment, `**` the last one, and \
               nothing is %-encoded",
            ],
        );
        check(
            "hosts = [\"api.example.com\"]",
            "",
            &[
                "12:14 want.secret.token.hosts: a secret that is sent needs the hosts it may be sent \
               to",
            ],
        );
        check(
            "\"^[a-z]+$\"",
            "\"[a-z]+\"",
            &[
                "18:23 want.exec.reload.parameters.site: a pattern of a whole value begins with ^ \
               and ends with $",
            ],
        );
        check(
            "\"32MiB\"",
            "\"32MB\"",
            &["21:10 want.limits.memory: `32MB` is not a size as in 64KiB or 32MiB"],
        );
        check(
            "batch = 50",
            "batch = 0",
            &["25:9 dns.batch: 0 is out of bounds; 1 to 100000 are allowed"],
        );
        check(
            "type = \"boolean\"",
            "pattern = \"(\"",
            &["37:11 settings.schema: `(` is not a pattern"],
        );
        check(
            "client = \"lego\"",
            "client = \"leggo\"",
            &[
                "32:10 known-as.client: `leggo` is none of simple-acme, win-acme, certbot, acme.sh, \
                 lego",
            ],
        );
        check(
            "names = [\"example\"]",
            "",
            &["31:1 known-as.names: is missing"],
        );
        check(
            "{ token = [\"EXAMPLE_TOKEN\"] }",
            "{ tokn = [\"A\"], token = \"A\" }",
            &[
                "34:13 known-as.secrets.tokn: the plugin has nothing of that name",
                "34:27 known-as.secrets.token: a list of names belongs here",
            ],
        );
    }

    #[test]
    fn what_is_not_toml_or_too_long_is_refused() {
        assert!(Manifest::parse("plugin.toml", "id = ").is_err());
        let long = format!("# {}", "x".repeat(MOST_BYTES));
        assert!(Manifest::parse("plugin.toml", &long).is_err());
    }
}
