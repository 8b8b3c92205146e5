//! `[log]`

use std::path::Path;

use super::Catalog;
use super::plugins::Plugins;
use crate::document::section::Section;
use crate::settings::raw::Raw;
use crate::settings::{LogFile, LogFormat, LogLevel, LogSettings, units};

const FILE: &str = "\"/var/log/waxwing/waxwing.log\"";
const AUDIT: &str = "\"/var/log/waxwing/audit.jsonl\"";
const SIZE: &str = "\"10MiB\"";
const KEEP: &str = "5";

/// The size at which a log is moved away by default, in bytes.
const USUAL_SIZE: u64 = 10 << 20;

/// Sizes that make sense: a smaller log would be gone before anybody reads it.
const SIZES: std::ops::RangeInclusive<u64> = (64 << 10)..=(1 << 30);

/// Logs that are kept by default, the current one included.
const USUAL_KEEP: u32 = 5;

pub(super) fn read(
    root: &Section<'_>,
    raw: &Raw,
    plugins: &Plugins,
    catalog: &Catalog,
) -> LogSettings {
    let mut log = LogSettings::default();
    let Some(section) = root.section("log") else {
        return log;
    };
    let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
    let level = section.word("level", "\"info\"", levels, |text| {
        format!("no level {text:?}; there are error, warn, info and debug")
    });
    log.level = level.map(|level| level.value);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.word("format", "\"json\"", formats, |text| {
        format!("no format {text:?}; there are text and json")
    });
    log.format = format.map_or(LogFormat::Text, |format| format.value);
    let file = section.path_value("file", FILE, |at| raw.folder(at));
    let size = section.parsed("file-size", SIZE, |text| {
        let size = units::size(text)?;
        match SIZES.contains(&size) {
            true => Ok(size),
            false => Err("64KiB to 1GiB are allowed".to_owned()),
        }
    });
    let keep = section.number("keep-files", 1..=1000, KEEP);
    log.audit = section.path_value("audit", AUDIT, |at| raw.folder(at));
    if section.take("file").is_none() && !section.is_misspelled("file") {
        for key in ["file-size", "keep-files"] {
            if let Some(entry) = section.refused(key) {
                let message = "there is no log in a file without `file`";
                let problem = section.problem(&entry.at, key, message);
                section
                    .problems()
                    .add(problem.hint(format!("file = {FILE}")));
            }
        }
    }
    if let (Some(file), Some(audit)) = (&file, &log.audit)
        && file == audit
        && let Some(entry) = section.take("audit")
    {
        let message = "this is the log, which is shortened; an audit trail must only grow";
        let problem = section.problem(&entry.at, "audit", message);
        section
            .problems()
            .add(problem.hint(format!("audit = {AUDIT}")));
    }
    for (key, path, usual) in [("file", &file, FILE), ("audit", &log.audit, AUDIT)] {
        let Some((entry, path)) = section.refused(key).zip(path.as_deref()) else {
            continue;
        };
        if let Some(plugin) = written_by(path, plugins, catalog) {
            let message = format!("[plugin.{plugin}] may write files in this folder, this one too");
            let problem = section.problem(&entry.at, key, message);
            section
                .problems()
                .add(problem.hint(format!("{key} = {usual}")));
        }
    }
    log.file = file.map(|path| LogFile {
        path,
        size: size.map_or(USUAL_SIZE, |size| size.value),
        keep: keep.map_or(USUAL_KEEP, |keep| keep.value),
    });
    section.finish(&[
        ("path", "file = \"...\""),
        ("audit-file", "audit = \"...\""),
        ("verbose", "level = \"debug\""),
        ("rotate", "file-size = \"10MiB\" and keep-files = 5"),
        ("rotation", "file-size = \"10MiB\" and keep-files = 5"),
        ("max-size", "file-size = \"10MiB\""),
        ("size", "file-size = \"10MiB\""),
        ("keep", "keep-files = 5"),
    ]);
    log
}

/// A plugin that may write files in the folder of this one.
fn written_by<'p>(path: &Path, plugins: &'p Plugins, catalog: &Catalog) -> Option<&'p str> {
    let folder = path.parent()?;
    let real = (catalog.real)(folder);
    let mut all = plugins.settings.values();
    let found = all.find(|plugin| {
        plugin.grants.files.values().any(|grant| {
            let same = || Some(real.as_deref()? == (catalog.real)(&grant.dir)?);
            grant.dir == folder || same().unwrap_or(false)
        })
    });
    found.map(|plugin| plugin.name.as_str())
}
