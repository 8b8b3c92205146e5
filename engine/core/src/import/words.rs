//! Command lines of other clients, cut into words.

/// A line that no shell is needed for.
///
/// # Errors
/// What in it needs a shell: a sign that means something to one.
pub fn plain_words(line: &str) -> Result<Vec<String>, char> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.trim().chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('"'), '$' | '`' | '\\') => return Err(letter),
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') => match letters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err('\\'),
            },
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None, _) if "|&;<>()$`*?[]#~{}!".contains(letter) || letter.is_control() => {
                return Err(letter);
            }
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(open);
    }
    words.extend(word);
    Ok(words)
}

/// The arguments of a program of Windows: words apart by spaces, double quotes keep them together.
pub fn windows_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.trim().chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_words_unless_it_needs_a_shell() {
        let check = |line: &str, want: Result<&[&str], char>| {
            let want = want.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(plain_words(line), want, "{line}");
        };
        check(
            " systemctl  reload nginx ",
            Ok(&["systemctl", "reload", "nginx"]),
        );
        check(
            "a 'b c' \"d e\" f\\ g ''",
            Ok(&["a", "b c", "d e", "f g", ""]),
        );
        check("a && b", Err('&'));
        check("echo $HOME", Err('$'));
        check("echo \"$HOME\"", Err('$'));
        check("a 'b", Err('\''));
        check("a \\", Err('\\'));
        check("", Ok(&[]));
    }

    #[test]
    fn words_of_windows_keep_their_backslashes() {
        let line = r#"-File "C:\my scripts\x.ps1" {CertThumbprint} 'a b'"#;
        let want = [
            "-File",
            r"C:\my scripts\x.ps1",
            "{CertThumbprint}",
            "'a",
            "b'",
        ];
        assert_eq!(windows_words(line), want);
    }
}
