//! Patterns of manifests: for texts in settings, and for values that a plugin puts into a command.
//!
//! Matching takes time linear in the text, whatever a manifest writes.

use regex_lite::{Regex, RegexBuilder};

/// The largest compiled pattern; a few hundred characters fit with ease.
const MOST_BYTES: usize = 64 << 10;

/// True if the whole of `text` matches; none if `pattern` is no pattern.
///
/// A JSON Schema pattern may match anywhere; one that must cover the text begins with `^` and ends
/// with `$`, as usual.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    compile(pattern).map(|regex| regex.is_match(text))
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(MOST_BYTES)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_written() {
        assert_eq!(matches("^[a-z0-9.-]+$", "site-1.example"), Some(true));
        assert_eq!(matches("^[a-z0-9.-]+$", "a b"), Some(false));
        assert_eq!(matches("^[a-z0-9.-]+$", "a\n"), Some(false));
        assert_eq!(matches("(", "a"), None);
    }
}
