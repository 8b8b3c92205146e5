//! Hosts as manifests and grants write them: `https://api.example.com`, `https://*.example.com`.

use std::fmt;

use super::HostPattern;
use crate::name::DomainName;

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// No `https://` or `http://` in front.
    #[error("`{0}` has no scheme; write https://{0}")]
    NoScheme(String),
    /// A scheme that no plugin can use.
    #[error("`{0}` is neither https nor http")]
    Scheme(String),
    /// A path, query or fragment.
    #[error("`{0}` has a path; a host pattern ends at the host or its port")]
    Path(String),
    /// A user or password.
    #[error("a host pattern has no user and no password")]
    UserInfo,
    /// An address: names only, so that what the operator reads is what TLS verifies.
    #[error("`{0}` is an IP address; a host is named")]
    Address(String),
    /// A wildcard anywhere but as the whole first label, or over a whole top-level domain.
    #[error("`*` may only be the whole first label above two others, as in https://*.example.com")]
    Wildcard,
    /// Not a host name.
    #[error("`{host}` is not a host name: {reason}")]
    Host {
        /// What was written.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a port.
    #[error("`{0}` is not a port")]
    Port(String),
}

impl HostPattern {
    /// Parses `scheme://host[:port]` or `scheme://*.suffix[:port]`.
    ///
    /// # Errors
    ///
    /// On addresses, paths, users, other schemes, and wildcards that cover a top-level domain.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| HostPatternError::NoScheme(text.to_owned()))?;
        let default_port =
            default_port(scheme).ok_or_else(|| HostPatternError::Scheme(scheme.to_owned()))?;
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(HostPatternError::Path(text.to_owned()));
        }
        if rest.contains('@') {
            return Err(HostPatternError::UserInfo);
        }
        if rest.starts_with('[') {
            return Err(HostPatternError::Address(rest.to_owned()));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => {
                let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                let number = port.parse().ok().filter(|n| digits && *n != 0);
                (
                    host,
                    number.ok_or_else(|| HostPatternError::Port(port.to_owned()))?,
                )
            }
            None => (rest, default_port),
        };
        let (host, below) = match host.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (host, false),
        };
        if host.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        let host = DomainName::parse(host).map_err(|error| match error {
            crate::name::NameError::Address(address) => HostPatternError::Address(address),
            other => HostPatternError::Host {
                host: host.to_owned(),
                reason: other.to_string(),
            },
        })?;
        let last = host.as_str().rsplit('.').next().unwrap_or("");
        // What URL parsers take for an address, whatever it looks like: `0x7f.1` is 127.0.0.1.
        if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
            return Err(HostPatternError::Address(host.to_string()));
        }
        if below && !host.as_str().contains('.') {
            return Err(HostPatternError::Wildcard);
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.as_str().to_owned(),
            below,
            port,
        })
    }

    /// True if a request to that scheme, host and port is meant. `host` MUST be a lower-case
    /// A-label name without a final dot, as [`DomainName`] gives it.
    pub fn matches(&self, scheme: &str, host: &str, port: u16) -> bool {
        let named = if self.below {
            host.strip_suffix(&self.host)
                .and_then(|head| head.strip_suffix('.'))
                .is_some_and(|head| !head.is_empty())
        } else {
            host == self.host
        };
        named && scheme == self.scheme && port == self.port
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{}://{star}{}", self.scheme, self.host)?;
        if default_port(&self.scheme) != Some(self.port) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_parse_and_print_the_same() {
        for text in [
            "https://api.example.com",
            "https://*.example.com",
            "https://localhost:9443",
            "http://api.example.com:8080",
        ] {
            let parsed = HostPattern::parse(text).map(|p| p.to_string());
            assert_eq!(parsed.as_deref(), Ok(text));
        }
        let parsed = HostPattern::parse("https://API.Example.com:443").map(|p| p.to_string());
        assert_eq!(parsed.as_deref(), Ok("https://api.example.com"));
    }

    #[test]
    fn what_a_host_pattern_may_not_hold() {
        use HostPatternError as E;
        let check = |text: &str, want: E| {
            assert_eq!(HostPattern::parse(text), Err(want), "{text}");
        };
        check("api.example.com", E::NoScheme("api.example.com".into()));
        check("ftp://example.com", E::Scheme("ftp".into()));
        check("https://a.com/x", E::Path("https://a.com/x".into()));
        check("https://u@a.com", E::UserInfo);
        check("https://192.0.2.1", E::Address("192.0.2.1".into()));
        check("https://0x7f.1", E::Address("0x7f.1".into()));
        check("https://x.0x7f", E::Address("x.0x7f".into()));
        check("https://[::1]:443", E::Address("[::1]:443".into()));
        check("https://a.*.com", E::Wildcard);
        check("https://*.com", E::Wildcard);
        check("https://a.com:0", E::Port("0".into()));
        check("https://a.com:+1", E::Port("+1".into()));
        check("https://a.com:", E::Port(String::new()));
    }

    #[test]
    fn matching_is_by_whole_labels_scheme_and_port() {
        let check = |pattern: &str, (scheme, host, port), want: bool| {
            let pattern = HostPattern::parse(pattern).expect("a literal pattern");
            assert_eq!(
                pattern.matches(scheme, host, port),
                want,
                "{pattern} {host}"
            );
        };
        check(
            "https://api.example.com",
            ("https", "api.example.com", 443),
            true,
        );
        check(
            "https://api.example.com",
            ("http", "api.example.com", 443),
            false,
        );
        check(
            "https://api.example.com",
            ("https", "api.example.com", 444),
            false,
        );
        check(
            "https://api.example.com",
            ("https", "api.example.com.evil", 443),
            false,
        );
        check(
            "https://*.example.com",
            ("https", "a.example.com", 443),
            true,
        );
        check(
            "https://*.example.com",
            ("https", "a.b.example.com", 443),
            true,
        );
        check(
            "https://*.example.com",
            ("https", "example.com", 443),
            false,
        );
        check(
            "https://*.example.com",
            ("https", ".example.com", 443),
            false,
        );
        check(
            "https://*.example.com",
            ("https", "aexample.com", 443),
            false,
        );
    }
}
