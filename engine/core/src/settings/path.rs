//! Paths in the configuration: what they may hold, and which folder they start from.

use std::path::{Path, PathBuf};

/// True for an absolute path of any platform, so that a configuration reads the same everywhere.
pub(crate) fn is_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    let drive = bytes.len() >= 3
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    text.starts_with('/') || text.starts_with(r"\\") || drive
}

/// `text` seen from `folder`; an absolute one as it stands.
pub(crate) fn from_folder(folder: &Path, text: &str) -> PathBuf {
    if is_absolute(text) {
        PathBuf::from(text)
    } else {
        folder.join(text)
    }
}

/// What is wrong with a path, and what to do.
pub(crate) struct BadPath {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Refuses an empty path, and control characters: `"C:\temp\new"` is TOML for a tab and a line
/// break, which nobody means.
pub(crate) fn check(text: &str) -> Result<(), BadPath> {
    if text.is_empty() {
        return Err(BadPath {
            message: "the path is empty".to_owned(),
            hint: Some(
                "the path of a file or folder; leave the key out for the usual one".to_owned(),
            ),
        });
    }
    let mut kinds = Vec::new();
    for kind in text.chars().filter(|c| c.is_control()).map(control_name) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return Ok(());
    }
    let kinds = match kinds.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        kinds => kinds.concat(),
    };
    let written = as_written(text);
    Err(BadPath {
        message: format!("the path holds {kinds}: \"{written}\" means that in TOML"),
        hint: Some(format!("single quotes keep it as it is: '{written}'")),
    })
}

fn control_name(c: char) -> &'static str {
    match c {
        '\t' => "a tab",
        '\n' => "a line break",
        '\r' => "a carriage return",
        '\u{8}' => "a backspace",
        '\u{c}' => "a form feed",
        '\u{1b}' => "an escape character",
        _ => "a control character",
    }
}

/// The escapes as they stood in the file.
fn as_written(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '\t' => written.push_str("\\t"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            '\u{1b}' => written.push_str("\\e"),
            c if c.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_is_what_any_platform_calls_so() {
        for yes in ["/etc", r"C:\x", "c:/x", r"\\server\share"] {
            assert!(is_absolute(yes), "{yes}");
        }
        for no in ["etc", "C:x", "", "./a", "nginx", "ä:/x"] {
            assert!(!is_absolute(no), "{no}");
        }
    }

    #[test]
    fn control_characters_are_named_and_shown_as_written() {
        let bad = check("C:\temp\new")
            .err()
            .map(|bad| (bad.message, bad.hint));
        let message = r#"the path holds a tab and a line break: "C:\temp\new" means that in TOML"#;
        let hint = r"single quotes keep it as it is: 'C:\temp\new'";
        assert_eq!(bad, Some((message.to_owned(), Some(hint.to_owned()))));
    }
}
