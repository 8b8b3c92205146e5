//! Names of files that a guest may give: one path segment on every system.

/// One path segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName(String);

/// Beginning of the names of half-written files.
pub(crate) const TEMPORARY: &str = ".waxwing-";

impl FileName {
    /// The reason is a fragment that follows the name.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > 255 {
            return Err("has to have 1 to 255 bytes");
        }
        if matches!(text, "." | "..") || text.contains(['/', '\\']) {
            return Err("leads out of the granted folder");
        }
        // A colon names a drive or a hidden stream on Windows.
        if text.contains(|c: char| {
            c.is_control() || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')
        }) {
            return Err("has a character that file names cannot have everywhere");
        }
        if text.ends_with(['.', ' ']) || is_device(text) {
            return Err("means something else on Windows");
        }
        if text.starts_with(TEMPORARY) {
            return Err("is kept for half-written files");
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The file that is renamed over this one: the same for each write, so that what a crash left
    /// behind is replaced by the next one.
    pub(crate) fn temporary(&self) -> String {
        let digest = crate::section::sha256_hex(self.0.as_bytes());
        format!("{TEMPORARY}{}", &digest[..16])
    }

    /// Where the file stays that this one replaces, until it is certain that it need not come back. The number
    /// is that of the write in its batch.
    pub(crate) fn kept(&self, number: u32) -> Self {
        Self(format!("{}-{number}", self.temporary()))
    }
}

fn is_device(text: &str) -> bool {
    let stem = text
        .split('.')
        .next()
        .unwrap_or(text)
        .trim_end()
        .to_ascii_lowercase();
    let numbered = |head: &str| {
        let digit = stem
            .strip_prefix(head)
            .and_then(|rest| rest.parse::<u8>().ok());
        stem.len() == head.len() + 1 && digit.is_some_and(|n| n > 0)
    };
    matches!(
        stem.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) || numbered("com")
        || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_segment_on_every_system() {
        for good in [
            "shop.crt",
            "*.example.com.crt".trim_start_matches("*."),
            ".hidden",
            "a b",
        ] {
            assert_eq!(FileName::parse(good).map(|n| n.0), Ok(good.to_owned()));
        }
        let outside = "leads out of the granted folder";
        for bad in [
            "..",
            ".",
            "../x",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "..\\x",
            "C:\\x",
        ] {
            assert_eq!(FileName::parse(bad), Err(outside), "{bad}");
        }
        let character = "has a character that file names cannot have everywhere";
        for bad in ["a\0b", "a\nb", "x:stream", "C:", "a*"] {
            assert_eq!(FileName::parse(bad), Err(character), "{bad:?}");
        }
        let windows = "means something else on Windows";
        for bad in ["nul", "CON.txt", "com1", "lpt9.pem", "x.", "x "] {
            assert_eq!(FileName::parse(bad), Err(windows), "{bad:?}");
        }
        assert!(FileName::parse("com10").is_ok());
        assert!(FileName::parse(&"a".repeat(256)).is_err());
        assert!(FileName::parse(".waxwing-0123").is_err());
    }
}
