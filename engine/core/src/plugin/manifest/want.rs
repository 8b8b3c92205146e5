//! `[want]`: what a plugin asks for.

use std::collections::BTreeMap;

use super::{needed, one_line};
use crate::document::Value;
use crate::document::problem::Problem;
use crate::document::section::{At, Section};
use crate::http::Method;
use crate::name::{DomainName, PluginName};
use crate::plugin::{HostPattern, Limits, WantExec, WantFiles, WantHttp, WantSecret};
use crate::settings::{pattern, units};

/// `[want]`
#[derive(Default)]
pub(super) struct Wants {
    pub(super) http: Vec<WantHttp>,
    pub(super) secrets: BTreeMap<String, WantSecret>,
    pub(super) files: BTreeMap<String, WantFiles>,
    pub(super) exec: BTreeMap<String, WantExec>,
    pub(super) limits: Limits,
}

pub(super) fn read(section: Section<'_>) -> Wants {
    let mut wants = Wants::default();
    if let Some(entry) = section.take("http") {
        match &entry.node.value {
            Value::Array(items) => {
                for item in items {
                    let path = section.path.below("http");
                    match &item.value {
                        Value::Table(table) => {
                            let inner =
                                Section::new(table, item.at.clone(), path, section.problems());
                            wants.http.extend(http(inner));
                        }
                        _ => section.problems().add(section.problem(
                            &item.at,
                            "http",
                            "each is a table",
                        )),
                    }
                }
            }
            _ => section.problems().add(
                section
                    .problem(&entry.at, "http", "there may be several, so it is a list")
                    .hint("[[want.http]] with two brackets"),
            ),
        }
    }
    wants.secrets = each(&section, "secret", secret);
    wants.files = each(&section, "files", |one| {
        let purpose = purpose(&one);
        // What may be written is up to the operator's grant; the list is for people.
        one.texts("artifacts", r#"["fullchain.pem"]"#);
        let required = one.flag("required");
        one.finish(&[]);
        Some(WantFiles {
            purpose: purpose?,
            required: required.is_none_or(|at| at.value),
        })
    });
    wants.exec = each(&section, "exec", exec);
    if let Some(limits) = section.section("limits") {
        wants.limits = Limits {
            memory: limits
                .parsed("memory", "\"32MiB\"", units::size)
                .map(|at| at.value),
            call: limits
                .parsed("call", "\"60s\"", units::duration)
                .map(|at| at.value),
            cpu: limits
                .parsed("cpu", "\"10s\"", units::duration)
                .map(|at| at.value),
            http_calls: limits
                .number("http-calls", 1..=100_000, "200")
                .map(|at| at.value),
            body: limits
                .parsed("body", "\"1MiB\"", units::size)
                .map(|at| at.value),
            rate: None,
        };
        limits.finish(&[]);
    }
    section.finish(&[
        ("secrets", "[want.secret.NAME]"),
        ("file", "[want.files.PURPOSE]"),
    ]);
    wants
}

/// Reads a table of tables whose keys are names that the plugin's author chose.
fn each<T>(
    section: &Section<'_>,
    key: &'static str,
    read: impl Fn(Section<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some(table) = section.section(key) else {
        return found;
    };
    for entry in table.named_entries() {
        let path = table.path.below(&entry.key);
        if let Err(error) = PluginName::parse(&entry.key) {
            let wrong = Problem::new(entry.at.clone(), path.as_str(), error.to_string());
            table.problems().add(wrong);
            continue;
        }
        let inner = Section::of_entry(entry, path, table.problems());
        if let Some(value) = inner.and_then(&read) {
            found.insert(entry.key.clone(), value);
        }
    }
    found
}

fn http(section: Section<'_>) -> Option<WantHttp> {
    let hosts = list(
        &section,
        "hosts",
        r#"["https://api.example.com"]"#,
        |text| HostPattern::parse(text).map_err(|error| error.to_string()),
    );
    let methods = list(&section, "methods", r#"["GET", "POST"]"#, |text| {
        Method::parse(text).ok_or_else(|| format!("no method is called `{}`", text.escape_debug()))
    });
    let paths = list(&section, "paths", r#"["/v1/zones/**"]"#, path_pattern);
    let why = section.parsed("why", "\"find the zone\"", one_line);
    section.finish(&[("host", "hosts = [...]"), ("path", "paths = [...]")]);
    Some(WantHttp {
        hosts: hosts?,
        methods: methods?,
        paths: paths?,
        why: why.map(|at| at.value),
    })
}

/// A list that must be there and must not be empty.
fn list<T>(
    section: &Section<'_>,
    key: &'static str,
    example: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    needed(section, key, example);
    let texts = section.texts(key, example)?;
    if texts.value.is_empty() {
        let empty = section.problem(&texts.at, key, "at least one is needed");
        section
            .problems()
            .add(empty.hint(format!("{key} = {example}")));
        return None;
    }
    read_all(section, key, texts, read)
}

fn read_all<T>(
    section: &Section<'_>,
    key: &str,
    texts: At<Vec<At<&str>>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let before = section.problems().count();
    let mut values = Vec::with_capacity(texts.value.len());
    for text in texts.value {
        match read(text.value) {
            Ok(value) => values.push(value),
            Err(message) => section
                .problems()
                .add(section.problem(&text.at, key, message)),
        }
    }
    (section.problems().count() == before).then_some(values)
}

/// Segments after a slash each; `*` for one, `**` for one or more at the end.
fn path_pattern(text: &str) -> Result<String, String> {
    let shown = || text.escape_debug();
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("`{}` does not begin with a slash", shown()));
    };
    let segments: Vec<_> = rest.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        let whole = matches!(*segment, "*") || (*segment == "**" && last);
        let odd = |c: char| {
            c.is_control() || c.is_whitespace() || matches!(c, '*' | '?' | '#' | '%' | '\\')
        };
        if !whole && segment.contains(odd) {
            return Err(format!(
                "`{}`: `*` is a whole segment, `**` the last one, and nothing is %-encoded",
                shown()
            ));
        }
        if matches!(*segment, "." | "..") || (segment.is_empty() && !last) {
            return Err(format!("`{}` holds an empty, `.` or `..` segment", shown()));
        }
    }
    Ok(text.to_owned())
}

/// The uses of a secret that take no further word.
const PLAIN_USES: &[&str] = &[
    "http-body",
    "http-bearer",
    "http-basic",
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "exec-stdin",
    "pkcs12",
];

fn secret(section: Section<'_>) -> Option<WantSecret> {
    let required = section.flag("required");
    let uses = list(&section, "use", r#"["http-bearer"]"#, secret_use);
    let hosts = match section.texts("hosts", r#"["api.example.com"]"#) {
        Some(texts) => read_all(&section, "hosts", texts, secret_host),
        None => Some(Vec::new()),
    };
    let description = section.parsed("description", "\"API key\"", one_line);
    let sent = |uses: &[String]| uses.iter().any(|one| one.starts_with("http-"));
    if let (Some(uses), Some(hosts)) = (&uses, &hosts)
        && sent(uses)
        && hosts.is_empty()
    {
        let message = "a secret that is sent needs the hosts it may be sent to";
        section.problems().add(
            section
                .problem(&section.at, "hosts", message)
                .hint("hosts = [\"api.example.com\"]"),
        );
    }
    section.finish(&[("uses", "use = [...]")]);
    Some(WantSecret {
        // A secret that a plugin names and can do without is the exception.
        required: required.is_none_or(|flag| flag.value),
        uses: uses?,
        hosts: hosts?,
        description: description.map(|at| at.value),
    })
}

fn secret_use(text: &str) -> Result<String, String> {
    let token = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let good = match text.split_once(':') {
        Some(("http-header" | "http-query", name)) => token(name),
        Some(_) => false,
        None => PLAIN_USES.contains(&text),
    };
    if good {
        return Ok(text.to_owned());
    }
    Err(format!(
        "no use is called `{}` (uses: http-header:NAME, http-query:NAME, {})",
        text.escape_debug(),
        PLAIN_USES.join(", ")
    ))
}

/// A host without scheme; `*.` in front for those below it.
fn secret_host(text: &str) -> Result<String, String> {
    let (star, bare) = match text.strip_prefix("*.") {
        Some(bare) => ("*.", bare),
        None => ("", text),
    };
    let name = DomainName::parse(bare).map_err(|error| error.to_string())?;
    Ok(format!("{star}{name}"))
}

fn purpose(section: &Section<'_>) -> Option<String> {
    needed(section, "purpose", "\"the certificates\"");
    let purpose = section.parsed("purpose", "\"the certificates\"", one_line);
    purpose.map(|at| at.value)
}

fn exec(section: Section<'_>) -> Option<WantExec> {
    let purpose = purpose(&section);
    let mut parameters = BTreeMap::new();
    if let Some(table) = section.section("parameters") {
        for entry in table.named_entries() {
            let wrong = |message: &str| table.problem(&entry.node.at, &entry.key, message);
            match &entry.node.value {
                Value::String(text) if !text.starts_with('^') || !text.ends_with('$') => {
                    let message = "a pattern of a whole value begins with ^ and ends with $";
                    table.problems().add(wrong(message));
                }
                Value::String(text) if pattern::matches(text, "").is_none() => {
                    table.problems().add(wrong("this is not a pattern"));
                }
                Value::String(text) => {
                    parameters.insert(entry.key.clone(), text.clone());
                }
                _ => table
                    .problems()
                    .add(wrong("a pattern in quotes belongs here")),
            }
        }
    }
    section.finish(&[]);
    Some(WantExec {
        purpose: purpose?,
        parameters,
    })
}
