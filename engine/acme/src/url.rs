//! Which URLs of a CA are followed.

/// Why a URL that came from the CA is not followed.
///
/// A URL is never repaired: RFC 8555 section 6.4 signs it octet by octet, so a changed one is a
/// refused one.
pub(crate) fn refusal(url: &str) -> Option<&'static str> {
    let Some(rest) = url
        .get(..8)
        .filter(|scheme| scheme.eq_ignore_ascii_case("https://"))
    else {
        return Some("it does not begin with https://");
    };
    if !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Some("it holds a character that no URL has");
    }
    let authority = url[rest.len()..]
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') {
        return Some("it names no host");
    }
    if authority.contains('@') {
        return Some("it holds a user name");
    }
    if url.contains('#') {
        return Some("it holds a fragment");
    }
    if url.contains('\\') {
        return Some("it holds a backslash");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_https_urls_are_followed() {
        let check = |url: &str, want: Option<&str>| assert_eq!(refusal(url), want, "{url}");
        check("https://ca.example", None);
        check("https://ca.example:14000/dir?x=1", None);
        check("HTTPS://CA.example/", None);
        check("https://[::1]:14000/dir", None);
        let scheme = Some("it does not begin with https://");
        check("http://ca.example/", scheme);
        check("//ca.example/", scheme);
        check("/order/1", scheme);
        check("", scheme);
        check("https:/", scheme);
        check("file:///etc/passwd", scheme);
        check("httpsé://x", scheme);
        check("https://", Some("it names no host"));
        check("https:///etc", Some("it names no host"));
        check("https://:443/", Some("it names no host"));
        check(
            "https://ca.example@evil.example/",
            Some("it holds a user name"),
        );
        check("https://ca.example/#top", Some("it holds a fragment"));
        check(
            "https://ca.example\\@evil.example/",
            Some("it holds a user name"),
        );
        check(
            "https://ca.example\\evil.example/",
            Some("it holds a backslash"),
        );
        let character = Some("it holds a character that no URL has");
        check("https://ca.example/ order", character);
        check("https://ca.example/\r\nx: y", character);
        check("https://bücher.example/", character);
    }
}
