//! Placeholders in a granted command line: `{sha1}`, `{path:pfx}`.

/// How a placeholder begins whose value is a file of a granted folder. It needs no pattern in the
/// manifest; every other one does.
pub const PATH: &str = "path:";

/// A part of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// It stays as it is.
    Text(&'a str),
    /// The plugin says what stands here; without the braces.
    Placeholder(&'a str),
}

/// The placeholders of a command line, each once, in the order of their first occurrence.
pub fn names(argv: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in argv.iter().flat_map(|argument| pieces(argument)) {
        if let Piece::Placeholder(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// The parts of one argument. Braces around anything but a name are text, as in `awk '{print}'` with a
/// space in it.
pub fn pieces(argument: &str) -> Vec<Piece<'_>> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':' | b'.'))
    };
    let mut pieces = Vec::new();
    let mut rest = argument;
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| at + from) {
        match rest[open..].find('}').map(|at| at + open) {
            Some(close) if is_name(&rest[open + 1..close]) => {
                pieces.push(Piece::Text(&rest[..open]));
                pieces.push(Piece::Placeholder(&rest[open + 1..close]));
                rest = &rest[close + 1..];
                from = 0;
            }
            _ => from = open + 1,
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_listed_once_in_order() {
        let argv = ["import", "{path:pfx}", "{sha1}/{path:pfx}"].map(str::to_owned);
        assert_eq!(names(&argv), ["path:pfx", "sha1"]);
    }
}
