//! A URL as policy sees it: parsed strictly, brought to one form, and sent in that form.
//!
//! What a guest writes and what a server reads may differ (`..`, `%2e`, `//`, `%2f`). So the path
//! that is matched is the path that is sent, and a path whose escapes could be read as another
//! path has to be granted in every reading.

use waxwing_core::name::DomainName;

use crate::parts::shown;

/// Longest URL, in bytes: beyond it, servers refuse to read a request line. Nothing longer is looked at.
pub(crate) const URL_CAP: usize = 8 * 1024;
/// How often a path is decoded in search of another reading.
const READINGS: usize = 4;

/// A URL that policy can decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// Lower-case A-label host name.
    pub(crate) host: String,
    /// The port, the scheme's default filled in.
    pub(crate) port: u16,
    /// The normalised path: begins with `/`, has no dot segments and no empty ones inside.
    pub(crate) path: String,
    /// The query as written, without `?`.
    pub(crate) query: Option<String>,
}

/// A URL that is refused whatever the grants are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("the URL has more than {URL_CAP} bytes")]
    TooLong,
    #[error("the URL is not an absolute http or https URL")]
    NotAbsolute,
    #[error("the URL holds a character that must be percent-encoded")]
    Character,
    #[error("the URL holds a percent sign without two hex digits")]
    Escape,
    #[error("the URL has a user or password in front of the host")]
    Userinfo,
    #[error("the URL names an address; only host names can be granted")]
    AddressLiteral,
    #[error("the host name ends with a dot")]
    TrailingDot,
    #[error("`{0}` is not a host name")]
    Host(String),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("the URL has a fragment, which no server sees")]
    Fragment,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        if url.len() > URL_CAP {
            return Err(TargetError::TooLong);
        }
        // Control characters, spaces, backslashes and non-ASCII are read differently by different
        // parsers; nobody needs them unescaped.
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^');
        if !url.bytes().all(plain) {
            return Err(TargetError::Character);
        }
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::NotAbsolute)?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _other => return Err(TargetError::NotAbsolute),
        };
        if rest.contains('#') {
            return Err(TargetError::Fragment);
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (host, port) = parse_authority(authority)?;
        check_escapes(path)?;
        check_escapes(query.as_deref().unwrap_or_default())?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(default_port),
            path: normalise(path),
            query,
        })
    }

    /// `scheme://host`, with the port if it is not the scheme's own: how a grant writes it.
    pub(crate) fn origin(&self) -> String {
        match (self.scheme, self.port) {
            ("https", 443) | ("http", 80) => format!("{}://{}", self.scheme, self.host),
            (scheme, port) => format!("{scheme}://{}:{port}", self.host),
        }
    }

    /// True if the path matches the pattern in every reading of its escapes.
    pub(crate) fn path_matches(&self, pattern: &str) -> bool {
        let mut reading = self.path.clone();
        for _ in 0..READINGS {
            if !segments_match(pattern, &reading) {
                return false;
            }
            let next = normalise(&decode(&reading));
            if next == reading {
                return true;
            }
            reading = next;
        }
        // Still changing: somebody wrapped it on purpose.
        false
    }
}

fn parse_authority(authority: &str) -> Result<(String, Option<u16>), TargetError> {
    if authority.contains('@') {
        return Err(TargetError::Userinfo);
    }
    if authority.starts_with('[') {
        return Err(TargetError::AddressLiteral);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            match port.parse::<u16>() {
                Ok(number) if digits && number != 0 => (host, Some(number)),
                _ => return Err(TargetError::Port(shown(port))),
            }
        }
        None => (authority, None),
    };
    if host.ends_with('.') {
        return Err(TargetError::TrailingDot);
    }
    // A last label that is a number makes the whole host an IPv4 address to most URL parsers, in
    // decimal, octal or hex (`127.1`, `0x7f.1`).
    let last = host.rsplit('.').next().unwrap_or(host);
    let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    if digits || last.to_ascii_lowercase().starts_with("0x") {
        return Err(TargetError::AddressLiteral);
    }
    match DomainName::parse(host) {
        Ok(name) => Ok((name.as_str().to_owned(), port)),
        Err(_refused) => Err(TargetError::Host(shown(host))),
    }
}

fn check_escapes(text: &str) -> Result<(), TargetError> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let hex = |offset: usize| bytes.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hex(1) && hex(2)) {
            return Err(TargetError::Escape);
        }
    }
    Ok(())
}

/// Decodes escapes of unreserved characters (RFC 3986 section 6.2.2.2), then removes dot segments
/// and empty segments. A final slash stays.
fn normalise(path: &str) -> String {
    let decoded = decode_where(path, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
    });
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let folder = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    let tail = if folder && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{tail}", segments.join("/"))
}

/// The path as a server that decodes before it splits would read it.
fn decode(path: &str) -> String {
    decode_where(path, |byte| byte.is_ascii_graphic()).replace('\\', "/")
}

fn decode_where(text: &str, wanted: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or(&rest[at..]);
        match escape.get(1..).map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) if wanted(byte) => out.push(char::from(byte)),
            Some(Ok(_reserved)) => out.push_str(&escape.to_ascii_uppercase()),
            _broken => out.push_str(escape),
        }
        rest = &rest[at + escape.len()..];
    }
    out.push_str(rest);
    out
}

/// `*` stands for one segment, `**` at the end for one or more.
fn segments_match(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.trim_start_matches('/').split('/').peekable();
    let mut have = path.trim_start_matches('/').split('/');
    while let Some(want) = wanted.next() {
        if want == "**" && wanted.peek().is_none() {
            return have.next().is_some();
        }
        match have.next() {
            Some(segment) if want == "*" && !segment.is_empty() => {}
            Some(segment) if want == segment => {}
            _ => return false,
        }
    }
    have.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_one_form() {
        let check = |url: &str, want: Result<&str, TargetError>| {
            let have = Target::parse(url).map(|t| format!("{}{}", t.origin(), t.path));
            assert_eq!(have, want.map(str::to_owned), "{url}");
        };
        check("https://API.example.net", Ok("https://api.example.net/"));
        check("HTTPS://a.example:443/x", Ok("https://a.example/x"));
        check(
            "https://a.example:8443/x?y=/../z",
            Ok("https://a.example:8443/x"),
        );
        check("http://a.example/a/./b/../c", Ok("http://a.example/a/c"));
        check("https://a.example/a/%2e%2E/b", Ok("https://a.example/b"));
        check("https://a.example/a//b/", Ok("https://a.example/a/b/"));
        check("https://a.example/../../x", Ok("https://a.example/x"));
        check("https://a.example/%41%2fb", Ok("https://a.example/A%2Fb"));
        check("https://a.example/a/..", Ok("https://a.example/"));
        check("https://bücher.example/", Err(TargetError::Character));
        check("https://u:p@a.example/", Err(TargetError::Userinfo));
        check("https://a.example@b.example/", Err(TargetError::Userinfo));
        check("https://127.0.0.1/", Err(TargetError::AddressLiteral));
        check("https://127.1/", Err(TargetError::AddressLiteral));
        check("https://0x7f.1/", Err(TargetError::AddressLiteral));
        check("https://x.0x7f/", Err(TargetError::AddressLiteral));
        check("https://2130706433/", Err(TargetError::AddressLiteral));
        check("https://[::1]/", Err(TargetError::AddressLiteral));
        check("https://a.example./", Err(TargetError::TrailingDot));
        check("https://a.example:/", Err(TargetError::Port(String::new())));
        check("https://a.example:0/", Err(TargetError::Port("0".into())));
        check(
            "https://a.example:+443/",
            Err(TargetError::Port("+443".into())),
        );
        check(
            "https://a.example:65536/",
            Err(TargetError::Port("65536".into())),
        );
        check("https://a.example/x#y", Err(TargetError::Fragment));
        check("https://a.example/%zz", Err(TargetError::Escape));
        check("https://a.example/%4", Err(TargetError::Escape));
        check(
            "https://a.example\\@b.example/",
            Err(TargetError::Character),
        );
        check("https://a.example/\r\nx", Err(TargetError::Character));
        check("ftp://a.example/", Err(TargetError::NotAbsolute));
        check("/relative", Err(TargetError::NotAbsolute));
        let long = |bytes: usize| format!("https://a.example/{}", "x".repeat(bytes - 18));
        check(&long(URL_CAP), Ok(&long(URL_CAP)));
        check(&long(URL_CAP + 1), Err(TargetError::TooLong));
        check("https:///x", Err(TargetError::Host(String::new())));
        check(
            "https://%61.example/",
            Err(TargetError::Host("%61.example".into())),
        );
    }

    #[test]
    fn paths_match_in_every_reading() {
        let check = |pattern: &str, path: &str, want: bool| {
            let target = Target::parse(&format!("https://a.example{path}")).expect("a URL");
            assert_eq!(target.path_matches(pattern), want, "{pattern} {path}");
        };
        check("/v1/zones", "/v1/zones", true);
        check("/v1/zones", "/v1/zones/", false);
        check("/v1/zones", "/v1/zonesx", false);
        check("/v1/zones/*", "/v1/zones/7", true);
        check("/v1/zones/*", "/v1/zones/", false);
        check("/v1/zones/*", "/v1/zones/7/records", false);
        check("/v1/zones/**", "/v1/zones/7/records", true);
        check("/v1/zones/**", "/v1/zones", false);
        check("/v1/zones/**", "/v1/zones/../users", false);
        check("/v1/zones/**", "/v1/zones/%2e%2e/users", false);
        check("/v1/zones/**", "/v1/zones/..%2fusers", false);
        check("/v1/zones/**", "/v1/zones/%252e%252e%252fusers", false);
        check("/v1/zones/**", "/v1/zones/..%5cusers", false);
        check("/v1/zones/*", "/v1/zones/a%2fb", false);
        check("/v1/zones/**", "/v1/zones/a%2fb", true);
        check("/v1/zones/*", "/v1/zones/a%20b", true);
        check("/v1/*/x", "/v1//x", false);
        check("/**", "/", true);
        check("/**", "/anything/at/all", true);
        check("/v1/zones/**", "/v1/zones/%2525252525252e", false);
    }
}
