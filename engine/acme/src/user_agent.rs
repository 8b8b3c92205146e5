//! Who we say we are (RFC 8555 section 6.1: a MUST; some CAs refuse requests without it).

use std::fmt;

/// The value of the `user-agent` header: `product/version (+url) os; arch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent(String);

/// Why a text is no user agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserAgentError {
    /// Empty, or longer than [`UserAgent::LONGEST`].
    #[error("a user agent has 1 to {max} characters; this one has {0}", max = UserAgent::LONGEST)]
    Length(usize),
    /// A character outside visible ASCII and the space.
    #[error("a user agent is visible ASCII and spaces")]
    Character,
}

impl UserAgent {
    /// What CAs keep of it in their logs.
    pub const LONGEST: usize = 100;

    /// Takes a complete text.
    pub fn new(text: &str) -> Result<Self, UserAgentError> {
        if text.is_empty() || text.len() > Self::LONGEST {
            return Err(UserAgentError::Length(text.len()));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(UserAgentError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_fits_into_a_log_line_and_a_header() {
        let check = |text: &str, want: Result<&str, UserAgentError>| {
            let got = UserAgent::new(text);
            assert_eq!(
                got.as_ref().map(UserAgent::as_str).map_err(Clone::clone),
                want,
                "{text}"
            );
        };
        check(
            "waxwing/1 (+https://w.example) linux; x86_64",
            Ok("waxwing/1 (+https://w.example) linux; x86_64"),
        );
        check("", Err(UserAgentError::Length(0)));
        check(&"a".repeat(101), Err(UserAgentError::Length(101)));
        check("a\r\nx: y", Err(UserAgentError::Character));
    }
}
