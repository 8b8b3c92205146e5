//! `grants`: what the operator lets one plugin touch.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use crate::budget::Limit;
use crate::document::problem::Problem;
use crate::document::section::{At, Section, one_of};
use crate::nearest::nearest;
use crate::plugin::placeholder::{self, Piece};
use crate::plugin::{
    GrantExec, GrantFiles, GrantHttp, Grants, HostPattern, Limits, Manifest, WantExec,
};
use crate::settings::raw::Raw;
use crate::settings::{PluginSource, path, units};

/// Time for a granted command unless the operator says else.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// What the operator may say: a command that takes longer would hold up every installation.
const COMMAND_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60 * 60);

pub(super) fn read(
    plugin: &Section<'_>,
    source: &PluginSource,
    manifest: &Manifest,
    settings: &Json,
    raw: &Raw,
) -> Grants {
    let mut grants = Grants::default();
    let section = plugin.section("grants");
    if let Some(section) = &section {
        if let Some(http) = section.section("http") {
            grants.http = Some(http_grant(http, manifest, raw));
        }
        grants.files = by_purpose(section, "files", &manifest.files, |one, _want| {
            files_grant(one, raw)
        });
        grants.exec = by_purpose(section, "exec", &manifest.exec, |one, want| {
            exec_grant(one, want, files_in_commands(manifest, settings).as_deref())
        });
        if let Some(limits) = section.section("limits") {
            grants.limits = limits_grant(limits);
        }
    }
    let hosts_granted = section
        .as_ref()
        .is_some_and(|section| section.take("http").is_some());
    if matches!(source, PluginSource::File { .. })
        && !manifest.http.is_empty()
        && !hosts_granted
        && !plugin.is_misspelled("grants")
    {
        let wants: Vec<_> = manifest.http.iter().flat_map(|want| &want.hosts).collect();
        let mut hosts: Vec<_> = wants.iter().map(|host| format!("\"{host}\"")).collect();
        hosts.dedup();
        let path = plugin.path.below("grants").below("http");
        let message = format!(
            "{} asks to reach the network; a plugin from a file may not unless its hosts are granted",
            manifest.id
        );
        let line = format!("grants.http = {{ hosts = [{}] }}", hosts.join(", "));
        let problem = Problem::new(plugin.at.clone(), path.as_str(), message);
        plugin.problems().add(problem.hint(line));
    }
    if let Some(section) = section {
        section.finish(&[]);
    }
    grants
}

/// One grant for each purpose; the purposes are the manifest's.
fn by_purpose<W, T>(
    grants: &Section<'_>,
    kind: &'static str,
    wants: &BTreeMap<String, W>,
    read: impl Fn(Section<'_>, &W) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some(section) = grants.section(kind) else {
        return found;
    };
    for entry in section.named_entries() {
        let path = section.path.below(&entry.key);
        let names = || wants.keys().map(String::as_str);
        let Some(want) = wants.get(&entry.key) else {
            let list: Vec<_> = names().collect();
            let message = match nearest(&entry.key, names()) {
                Some(near) => format!("unknown purpose; did you mean `{near}`?"),
                None if list.is_empty() => format!("this plugin asks for no {kind}"),
                None => "unknown purpose".to_owned(),
            };
            let problem = Problem::new(entry.at.clone(), path.as_str(), message);
            let hint = one_of("this plugin asks for", &list);
            grants.problems().add(problem.hint(hint));
            continue;
        };
        let inner = Section::of_entry(entry, path, grants.problems());
        if let Some(grant) = inner.and_then(|inner| read(inner, want)) {
            found.insert(entry.key.clone(), grant);
        }
    }
    found
}

fn files_grant(section: Section<'_>, raw: &Raw) -> Option<GrantFiles> {
    let dir = section.path_value("dir", "\"/etc/nginx/tls\"", |at| raw.folder(at));
    if section.lacks("dir") {
        section.problems().add(
            section
                .problem(&section.at, "dir", "the folder is missing")
                .hint("dir = \"/etc/nginx/tls\""),
        );
    }
    let account = |key: &'static str| {
        let read = section.parsed(key, "\"nginx\"", account_name);
        read.map(|at| at.value)
    };
    let mode = |key: &'static str| {
        section
            .parsed(key, "\"0640\"", units::mode)
            .map(|at| at.value)
    };
    let (owner, group) = (account("owner"), account("group"));
    let (mode, key_mode) = (mode("mode"), mode("key-mode"));
    let mut acl = Vec::new();
    for entry in section
        .texts("acl", r#"["SYSTEM:full", "Administrators:full"]"#)
        .map(|list| list.value)
        .unwrap_or_default()
    {
        let right = entry
            .value
            .rsplit_once(':')
            .map(|(who, right)| (who.is_empty(), right));
        match right {
            Some((false, "full" | "modify" | "read")) => acl.push(entry.value.to_owned()),
            _ => section.problems().add(
                section
                    .problem(
                        &entry.at,
                        "acl",
                        "an entry is WHO:full, WHO:modify or WHO:read",
                    )
                    .hint("acl = [\"SYSTEM:full\", \"Administrators:full\"]"),
            ),
        }
    }
    section.finish(&[
        ("path", "dir = \"...\""),
        ("user", "owner = \"...\""),
        ("permissions", "mode = \"0640\""),
    ]);
    Some(GrantFiles {
        dir: dir?,
        owner,
        group,
        mode,
        key_mode,
        acl,
    })
}

/// A user or group by name or number.
fn account_name(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/');
    if text.is_empty() || text.starts_with('-') || text.contains(bad) {
        return Err(format!("{text:?} is no user or group"));
    }
    Ok(text.to_owned())
}

/// The files whose paths a command line can hold: none for a plugin that asks for no folder, and an
/// empty name for one whose settings do not say which files it writes.
fn files_in_commands(manifest: &Manifest, settings: &Json) -> Option<Vec<String>> {
    if manifest.files.is_empty() {
        return None;
    }
    match settings.get("files") {
        Some(Json::Object(files)) => Some(files.keys().cloned().collect()),
        _ => Some(vec![String::new()]),
    }
}

/// `files` are those whose paths a command line can hold.
fn exec_grant(
    section: Section<'_>,
    want: &WantExec,
    files: Option<&[String]>,
) -> Option<GrantExec> {
    let argv = section.texts("argv", r#"["/usr/bin/systemctl", "reload", "nginx"]"#);
    if section.lacks("argv") {
        section.problems().add(
            section
                .problem(&section.at, "argv", "the command is missing")
                .hint("argv = [\"/usr/bin/systemctl\", \"reload\", \"nginx\"]"),
        );
    }
    let timeout = section.parsed("timeout", "\"30s\"", command_timeout);
    let argv = argv.and_then(|argv| {
        known_placeholders(&section, &argv, want, files);
        absolute_command(&section, "argv", argv)
    });
    section.finish(&[
        (
            "command",
            "argv = [\"/usr/bin/systemctl\", \"reload\", \"nginx\"]",
        ),
        (
            "cmd",
            "argv = [\"/usr/bin/systemctl\", \"reload\", \"nginx\"]",
        ),
    ]);
    Some(GrantExec {
        argv: argv?,
        timeout: timeout.map_or(COMMAND_TIMEOUT, |at| at.value),
    })
}

fn command_timeout(text: &str) -> Result<Duration, String> {
    let timeout = units::duration(text)?;
    if COMMAND_TIMEOUTS.contains(&timeout) {
        Ok(timeout)
    } else {
        Err(format!(
            "`{text}` is out of bounds; 100ms to 1h are allowed"
        ))
    }
}

/// A placeholder that nobody fills would be found out behind the order.
fn known_placeholders(
    section: &Section<'_>,
    argv: &At<Vec<At<&str>>>,
    want: &WantExec,
    files: Option<&[String]>,
) {
    for word in &argv.value {
        for (message, hint) in unknown_placeholders(word.value, want, files) {
            let problem = section.problem(&word.at, "argv", message);
            section.problems().add(problem.hint(hint));
        }
    }
}

/// Placeholders of an argument that nobody fills: why, and what to do. `files` are those whose paths a command
/// line can hold, and an empty name stands for any; none if the plugin has no folder.
pub(crate) fn unknown_placeholders(
    word: &str,
    want: &WantExec,
    files: Option<&[String]>,
) -> Vec<(String, String)> {
    let known = || want.parameters.keys().map(String::as_str);
    let mut found = Vec::new();
    for piece in placeholder::pieces(word) {
        let Piece::Placeholder(name) = piece else {
            continue;
        };
        if known().any(|one| one == name) {
            continue;
        }
        if let (Some(files), Some(extension)) = (files, name.strip_prefix(placeholder::PATH)) {
            if let Err((message, hint)) = one_file(files, extension) {
                found.push((format!("{{{name}}}: {message}"), hint));
            }
            continue;
        }
        let mut there: Vec<_> = known().map(|one| format!("{{{one}}}")).collect();
        if files.is_some() {
            there.push("{path:EXTENSION}".to_owned());
        }
        let message = match nearest(name, known()) {
            Some(near) => format!("unknown placeholder {{{name}}}; did you mean {{{near}}}?"),
            None => format!("unknown placeholder {{{name}}}"),
        };
        let hint = match there.as_slice() {
            [] => "this command has no placeholders".to_owned(),
            there => format!("the plugin fills {}", there.join(", ")),
        };
        found.push((message, hint));
    }
    found
}

/// Whether exactly one file has that extension; else why not and what to do.
fn one_file(files: &[String], extension: &str) -> Result<(), (String, String)> {
    let is_word = |text: &str| !text.is_empty() && !text.contains(':');
    if !is_word(extension) {
        let hint = "{path:pem} is the path of the file whose name ends in .pem";
        return Err(("an extension belongs here".to_owned(), hint.to_owned()));
    }
    if files.iter().any(String::is_empty) {
        return Ok(());
    }
    let ending = format!(".{extension}");
    let with: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|file| file.ends_with(&ending))
        .collect();
    match with.as_slice() {
        [_] => Ok(()),
        [] if files.is_empty() => Err((
            "settings.files names no file".to_owned(),
            "a command without files has no paths; leave the placeholder out".to_owned(),
        )),
        [] => Err((
            format!("no file of settings.files ends in {ending}"),
            format!("the files are {}", files.join(", ")),
        )),
        several => Err((
            format!("{} end in {ending}", several.join(" and ")),
            "give the files of settings.files different extensions".to_owned(),
        )),
    }
}

/// The command below `key` if its program is named by its whole path.
pub(in crate::settings::resolve) fn absolute_command(
    section: &Section<'_>,
    key: &str,
    argv: At<Vec<At<&str>>>,
) -> Option<Vec<String>> {
    let Some(program) = argv.value.first() else {
        let empty = section.problem(&argv.at, key, "the command is empty");
        let hint = format!("{key} = [\"/usr/bin/systemctl\", \"reload\", \"nginx\"]");
        section.problems().add(empty.hint(hint));
        return None;
    };
    if let Err(bad) = path::check(program.value) {
        let mut problem = section.problem(&program.at, key, bad.message);
        problem.hint = bad.hint;
        section.problems().add(problem);
        return None;
    }
    if !path::is_absolute(program.value) {
        let words: Vec<_> = argv
            .value
            .iter()
            .skip(1)
            .map(|word| format!("{:?}", word.value))
            .collect();
        let rest: String = words.iter().map(|word| format!(", {word}")).collect();
        let hint = if program.value.contains(char::is_whitespace) {
            "one list item for each word: no shell reads the line".to_owned()
        } else if program.value.ends_with(".exe") {
            format!(
                "its full path, as `where.exe {}` prints it, in single quotes",
                program.value
            )
        } else {
            format!(
                "{key} = [\"/usr/bin/{}\"{rest}] if `command -v {}` says so",
                program.value, program.value
            )
        };
        section.problems().add(
            section
                .problem(
                    &program.at,
                    key,
                    format!(
                        "`{}` is not an absolute path, so PATH would decide what runs",
                        program.value
                    ),
                )
                .hint(hint),
        );
        return None;
    }
    Some(
        argv.value
            .iter()
            .map(|word| word.value.to_owned())
            .collect(),
    )
}

fn http_grant(section: Section<'_>, manifest: &Manifest, raw: &Raw) -> GrantHttp {
    let mut grant = GrantHttp::default();
    for host in section
        .texts("hosts", r#"["https://api.example.com"]"#)
        .map(|list| list.value)
        .unwrap_or_default()
    {
        match HostPattern::parse(host.value) {
            Ok(pattern) => grant.hosts.push(pattern),
            Err(reason) => section.problems().add(
                section
                    .problem(&host.at, "hosts", reason.to_string())
                    .hint("hosts = [\"https://api.example.com\"]"),
            ),
        }
    }
    if manifest.http.is_empty() {
        let message = format!("{} asks for no network", manifest.id);
        section.problems().add(
            section
                .problem(&section.at, "hosts", message)
                .hint("leave grants.http out"),
        );
    }
    for range in section
        .texts("private", r#"["127.0.0.0/8"]"#)
        .map(|list| list.value)
        .unwrap_or_default()
    {
        let address = || {
            range
                .value
                .parse::<std::net::IpAddr>()
                .map(ipnet::IpNet::from)
        };
        match range.value.parse().or_else(|_not_a_range| address()) {
            Ok(net) => grant.private.push(net),
            Err(_neither) => section.problems().add(
                section
                    .problem(
                        &range.at,
                        "private",
                        format!("`{}` is not a range of addresses", range.value),
                    )
                    .hint("private = [\"10.0.0.0/8\"]"),
            ),
        }
    }
    grant.trust = section.path_value("trust", "\"ca.pem\"", |at| raw.folder(at));
    section.finish(&[]);
    grant
}

fn limits_grant(section: Section<'_>) -> Limits {
    let limits = Limits {
        memory: section
            .parsed("memory", "\"64MiB\"", units::size)
            .map(|at| at.value),
        call: section
            .parsed("call", "\"120s\"", units::duration)
            .map(|at| at.value),
        cpu: section
            .parsed("cpu", "\"10s\"", units::duration)
            .map(|at| at.value),
        http_calls: section
            .number("http-calls", 1..=100_000, "200")
            .map(|at| at.value),
        body: section
            .parsed("body", "\"1MiB\"", units::size)
            .map(|at| at.value),
        rate: section
            .parsed("rate", "\"150 per 5m\"", Limit::parse)
            .map(|at| at.value),
    };
    section.finish(&[]);
    limits
}

/// Where the files of an installer go if it has exactly one folder.
pub(in crate::settings::resolve) fn only_folder(grants: &Grants) -> Option<&PathBuf> {
    let mut folders = grants.files.values();
    match (folders.next(), folders.next()) {
        (Some(only), None) => Some(&only.dir),
        _ => None,
    }
}
