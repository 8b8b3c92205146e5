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
