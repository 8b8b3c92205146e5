//! The text of a configuration: lines, comments of bounded width, and values on one line.

use serde_json::Value;

use super::page::{GLUE, clean};

/// Widest comment.
const WIDEST: usize = 96;

/// A configuration that grows line by line.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// A line as it is.
    pub(crate) fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// The head of a section, after an empty line.
    pub(crate) fn head(&mut self, head: &str) {
        self.line("");
        self.line(head);
    }

    /// Words as comment lines of bounded width. Nothing in them can leave the comment.
    pub(crate) fn comment(&mut self, words: &str) {
        let mut row = String::from("#");
        // A command stays on one line.
        let mut quoted = false;
        let whole = |letter: char| {
            quoted ^= letter == '`';
            if quoted && letter == ' ' {
                GLUE
            } else {
                letter
            }
        };
        let words: String = clean(words).chars().map(whole).collect();
        for word in words.split(' ') {
            if row.len() > 1 && row.chars().count() + 1 + word.chars().count() > WIDEST {
                self.line(&row.replace(GLUE, " "));
                row = String::from("#");
            }
            row.push(' ');
            row.push_str(word);
        }
        self.line(&row.replace(GLUE, " "));
    }

    /// The whole text, each line with its end.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// A key, in quotes if TOML wants that.
pub(crate) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A text in quotes, always on one line: the lines of a comment must not end within it.
pub(crate) fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON value as TOML on one line.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        // TOML has no null; a schema with such a default means that the setting is left out.
        Value::Null => "\"...\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_reads_back() {
        for text in [
            "plain",
            r"C:\pem",
            "it's \"quoted\"",
            "''' \"\"\" \\",
            "two\nlines\t\\ \" '''",
            "\u{1b}[31m",
        ] {
            let written = quoted(text);
            assert_eq!(written.lines().count(), 1, "{written}");
            let read: toml::Table = format!("a = {written}").parse().expect("TOML");
            assert_eq!(read["a"].as_str(), Some(text));
        }
    }
}
