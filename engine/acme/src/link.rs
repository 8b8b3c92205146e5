//! `Link` headers (RFC 8288 section 3).

use waxwing_core::http::Response;

/// The targets of all links of that relation, in order, as written.
pub(crate) fn targets(response: &Response, relation: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in response.headers_named("link") {
        let mut rest = field;
        while let Some((target, parameters, after)) = next_link(rest) {
            if has_relation(parameters, relation) {
                found.push(target.to_owned());
            }
            rest = after;
        }
    }
    found
}

/// Splits off the first link: its target, its parameters and what follows the comma.
fn next_link(field: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = field.split_once('<')?;
    let (target, rest) = rest.split_once('>')?;
    let end = outside_quotes(rest, ',').unwrap_or(rest.len());
    Some((
        target.trim(),
        &rest[..end],
        rest.get(end + 1..).unwrap_or_default(),
    ))
}

/// True if the first `rel` parameter names the relation; only the first counts (RFC 8288 section
/// 3.3), and it may hold several, separated by spaces.
fn has_relation(parameters: &str, relation: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let end = outside_quotes(rest, ';').unwrap_or(rest.len());
        if let Some((name, value)) = rest[..end].split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let value = value.trim().trim_matches('"');
            return value
                .split_ascii_whitespace()
                .any(|one| one.eq_ignore_ascii_case(relation));
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    false
}

/// Where the separator stands first outside a quoted string.
fn outside_quotes(text: &str, separator: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (position, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        } else if character == separator && !quoted {
            return Some(position);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::reply;

    #[test]
    fn links_are_found_by_relation_in_one_field_or_many() {
        let check = |fields: &[&str], want: &[&str]| {
            let headers: Vec<(&str, &str)> = fields.iter().map(|field| ("link", *field)).collect();
            assert_eq!(
                targets(&reply(200, &headers, ""), "alternate"),
                want,
                "{fields:?}"
            );
        };
        check(&[], &[]);
        check(&["<a>;rel=\"alternate\"", "<b>;rel=alternate"], &["a", "b"]);
        check(&["<a>; rel=\"index\", <b>; rel=\"alternate\""], &["b"]);
        check(
            &["<a>;title=\"x, <y>; rel=alternate\";rel=up, <b>;REL=\"Alternate\""],
            &["b"],
        );
        check(
            &["<a>;title=\"q\\\"; rel=up\"; rel=\"up alternate\""],
            &["a"],
        );
        check(&["<a,b;c>;rel=alternate"], &["a,b;c"]);
        check(&["<a>;rel=up;rel=alternate"], &[]);
        check(&["<a>;rev=alternate"], &[]);
        check(&["a;rel=alternate", "<a", "<>", ">;rel=alternate<"], &[]);
    }
}
