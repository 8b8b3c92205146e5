//! TXT values in quotes, as provider APIs store them.

/// The longest character string of a TXT record (RFC 1035 section 3.3), in bytes.
const STRING: usize = 255;

/// A value in quotes, in strings of at most 255 bytes with `between` between their quotes; one that
/// is in quotes already stays as it is.
pub(crate) fn quote(value: &str, between: &str) -> String {
    if value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
        return value.to_owned();
    }
    let mut strings = vec![String::new()];
    for letter in value.chars() {
        if strings
            .last()
            .is_some_and(|last| last.len() + letter.len_utf8() > STRING)
        {
            strings.push(String::new());
        }
        if let Some(last) = strings.last_mut() {
            last.push(letter);
        }
    }
    format!("\"{}\"", strings.join(&format!("\"{between}\"")))
}

/// The value that [`quote`] was given.
pub(crate) fn unquote(value: &str, between: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    inner.replace(&format!("\"{between}\""), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_several_strings_and_come_back_whole() {
        let long = "x".repeat(300);
        for between in ["", " "] {
            let stored = quote(&long, between);
            let halves = ("x".repeat(255), "x".repeat(45));
            assert_eq!(stored, format!("\"{}\"{between}\"{}\"", halves.0, halves.1));
            assert_eq!(unquote(&stored, between), long);
        }
        assert_eq!(quote("\"a\"", ""), "\"a\"");
        assert_eq!(quote("a", ""), "\"a\"");
    }
}
