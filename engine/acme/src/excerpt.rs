//! What an operator sees of a text that somebody else wrote.

/// How much of a body an error quotes, in characters.
pub(crate) const EXCERPT: usize = 300;

/// How much of a sentence of the CA an error quotes, in characters.
pub(crate) const SENTENCE: usize = 1000;

/// The readable part of a body: no tags, no control characters, white space collapsed.
pub(crate) fn of_body(body: &[u8]) -> Option<String> {
    // A tag can be far longer than what it leaves, a body of a megabyte need not be read for it.
    let head = &body[..body.len().min(64 * 1024)];
    let text = String::from_utf8_lossy(head);
    let text = if looks_like_markup(&text) {
        without_tags(&text)
    } else {
        text.into_owned()
    };
    Some(one_line(&text, EXCERPT)).filter(|line| !line.is_empty())
}

/// The text on one line of at most `longest` characters: no control or direction characters, white
/// space collapsed, an ellipsis where it was cut.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || is_unprintable(c)) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let Some((end, _)) = line.char_indices().nth(longest) else {
        return line;
    };
    line.truncate(end);
    line.pop();
    line.truncate(line.trim_end().len());
    line.push('…');
    line
}

/// Characters that move the cursor, hide text or turn its direction.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

fn looks_like_markup(text: &str) -> bool {
    text.trim_start_matches('\u{FEFF}')
        .trim_start()
        .starts_with('<')
}

/// Drops tags and the contents of `script` and `style`.
fn without_tags(markup: &str) -> String {
    let mut text = String::new();
    let mut rest = markup;
    while let Some((before, tag_on)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let hidden = ["script", "style"].into_iter().find(|name| {
            tag_on
                .get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name))
        });
        let tag_on = match hidden {
            Some(name) => after_closing(tag_on, name),
            None => tag_on,
        };
        rest = tag_on.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

/// What follows `</name`, or nothing.
fn after_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name))
        {
            return after;
        }
        rest = after;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_reduced_to_its_words() {
        let check = |body: &str, want: Option<&str>| {
            assert_eq!(of_body(body.as_bytes()).as_deref(), want, "{body}");
        };
        check("", None);
        check(" \r\n", None);
        check("plain  words\n here", Some("plain words here"));
        check("a < b", Some("a < b"));
        check(
            "<html><title>Down</title><p>for <b>repairs</b></html>",
            Some("Down for repairs"),
        );
        check(
            "<style>p { x: y }</style><script>if (a<b) {}</SCRIPT>ok",
            Some("ok"),
        );
        check("<p>cut off <b", Some("cut off"));
        check("<script>never closed", None);
        check("\u{1b}[2Jcleared\u{7}", Some("[2Jcleared"));
        check("abc\u{202e}cba", Some("abc cba"));
    }

    #[test]
    fn an_excerpt_ends_with_an_ellipsis_at_its_length() {
        let check = |text: &str, want: &str| assert_eq!(one_line(text, 4), want, "{text}");
        check("", "");
        check("éééé", "éééé");
        check("ééééé", "ééé…");
        check("é é é", "é é…");
        check("éé é é", "éé…");
        check("ééé é", "ééé…");
        check("éééé \n", "éééé");
        assert_eq!(
            of_body(&[b'x'; EXCERPT + 1]).map(|line| line.chars().count()),
            Some(EXCERPT)
        );
        assert_eq!(
            of_body(&[0xff, 0xfe, b'x']).as_deref(),
            Some("\u{fffd}\u{fffd}x")
        );
    }
}
