//! `cache/directories/CA.toml`: the last good directory of a CA, and what the CA has changed in it.

use serde::{Deserialize, Serialize};
use waxwing_core::time::Timestamp;
use waxwing_flow::directory::{Change, Changed, DirectoryCopy};

use super::{Stamp, Unreadable, broken, parse, text};

/// The whole file.
pub fn write_directory(copy: &DirectoryCopy) -> String {
    let changed = copy.changed.iter().map(|one| ChangedTable {
        at: one.at.exact(),
        field: one.change.field.clone(),
        from: one.change.from.clone(),
        to: one.change.to.clone(),
    });
    text(&DirectoryFile {
        format: Stamp::OURS,
        at: copy.at.exact(),
        text: copy.text.clone(),
        changed: changed.collect(),
    })
}

/// The inverse of [`write_directory`].
pub fn read_directory(text: &str) -> Result<DirectoryCopy, Unreadable> {
    let file: DirectoryFile = parse(text)?;
    let changed = file.changed.into_iter().map(|one| {
        Ok(Changed {
            at: Timestamp::parse(&one.at).map_err(broken)?,
            change: Change {
                field: one.field,
                from: one.from,
                to: one.to,
            },
        })
    });
    Ok(DirectoryCopy {
        text: file.text,
        at: Timestamp::parse(&file.at).map_err(broken)?,
        changed: changed.collect::<Result<_, Unreadable>>()?,
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DirectoryFile {
    format: Stamp,
    at: String,
    text: String,
    /// Not there in a file of an older version, and not looked at by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<ChangedTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ChangedTable {
    at: String,
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}
