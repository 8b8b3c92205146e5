//! The line formats of other clients: sections with `key = value`, and assignments of a shell.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Keys and values of each section; those before any head are in the section without a name.
pub(super) type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Reads `key = value` below `[section]` and `[[section]]`. `#` and, in some of these files, `;` begin
/// a comment; a value may stand in quotes.
///
/// # Errors
/// The first line that is none of these, without what is in it: it may hold a secret.
pub(super) fn sections(text: &str) -> Result<Sections, String> {
    let mut found = Sections::new();
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = line.strip_prefix('[') {
            let end = head.trim_end_matches(|c| c != ']');
            if end.is_empty() {
                return Err(format!(
                    "line {number} begins a section and does not end it"
                ));
            }
            section = head.trim_matches(['[', ']', ' ']).to_owned();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("line {number} is no `key = value`"));
        };
        let values = found.entry(section.clone()).or_default();
        values.insert(key.trim().to_owned(), unquoted(value.trim()));
    }
    Ok(found)
}

/// A value without its quotes, or without a comment behind it.
pub(super) fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some((inner, rest)) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.split_once(quote))
            && (rest.trim().is_empty() || rest.trim_start().starts_with('#'))
        {
            return inner.to_owned();
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim_end().to_owned()
}

/// A list as in `a, b,`; one value is a list of one.
pub(super) fn list(value: &str) -> Vec<String> {
    let items = value.split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads `KEY='value'` as a shell would that assigns nothing but texts. A value between the marks of
/// base64 is decoded.
///
/// # Errors
/// The first line that is no assignment, without what is in it.
pub(super) fn assignments(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_name = |key: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            !key.is_empty() && key.chars().all(plain)
        };
        let assignment = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let Some((key, value)) = assignment.filter(|(key, _)| is_name(key.trim())) else {
            return Err(format!("line {number} is no KEY='value'"));
        };
        let value = shell_value(value.trim());
        let Some(value) = decoded(&value) else {
            return Err(format!("line {number} holds base64 that is none"));
        };
        found.insert(key.trim().to_owned(), value);
    }
    Ok(found)
}

/// A quoted value. Nothing in it is expanded.
fn shell_value(value: &str) -> String {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match (inner('\''), inner('"')) {
        // How a quote is written within quotes.
        (Some(inner), _) => inner.replace(r"'\''", "'"),
        (None, Some(inner)) => inner.to_owned(),
        (None, None) => value.to_owned(),
    }
}

/// What stands around a value that is base64.
const MARKS: (&str, &str) = ("__ACME_BASE64__START_", "__ACME_BASE64__END_");

fn decoded(value: &str) -> Option<String> {
    let inner = value
        .strip_prefix(MARKS.0)
        .and_then(|rest| rest.strip_suffix(MARKS.1));
    match inner {
        None => Some(value.to_owned()),
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_hold_values_with_and_without_quotes_and_comments() {
        let text = "# head\nversion = 2.9.0\n\n[renewalparams]\nserver = https://ca.example/dir # why\n\
                    hook = \"systemctl reload nginx\"\nnames = a, b,\n[[webroot_map]]\na = /srv\n";
        let found = sections(text).expect("sections");
        let value = |section: &str, key: &str| found[section][key].clone();
        assert_eq!(value("", "version"), "2.9.0");
        assert_eq!(value("renewalparams", "server"), "https://ca.example/dir");
        assert_eq!(value("renewalparams", "hook"), "systemctl reload nginx");
        assert_eq!(list(&value("renewalparams", "names")), ["a", "b"]);
        assert_eq!(value("webroot_map", "a"), "/srv");
    }

    #[test]
    fn what_is_no_line_of_the_format_is_named_by_its_number_and_not_quoted() {
        let check = |found: Result<(), String>, want: &str| assert_eq!(found, Err(want.to_owned()));
        let ini = |text: &str| sections(text).map(drop);
        check(ini("a = 1\nhunter2"), "line 2 is no `key = value`");
        check(ini("[a"), "line 1 begins a section and does not end it");
        let shell = |text: &str| assignments(text).map(drop);
        check(shell("rm -rf /"), "line 1 is no KEY='value'");
        let broken = "A='__ACME_BASE64__START_!__ACME_BASE64__END_'";
        check(shell(broken), "line 1 holds base64 that is none");
    }

    #[test]
    fn assignments_are_unquoted_and_decoded_and_never_expanded() {
        let text = "A='it'\\''s'\nB=\"two words\"\nC=bare\nexport D='$HOME'\nE=''\n\
                    F='__ACME_BASE64__START_c3lzdGVtY3Rs__ACME_BASE64__END_'\n";
        let found = assignments(text).expect("assignments");
        let want = [
            ("A", "it's"),
            ("B", "two words"),
            ("C", "bare"),
            ("D", "$HOME"),
            ("E", ""),
            ("F", "systemctl"),
        ];
        let want = want.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(want));
    }
}
