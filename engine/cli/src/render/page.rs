//! A text for people, line by line: wrapped at its indentation, safe to print, coloured last.
//!
//! Colour only repeats what a word says already. Text from outside (answers of servers, messages of
//! plugins) passes [`clean`] here, so that nothing in it can steer the terminal.

use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;
use waxwing_core::time::Timestamp;

/// Widest text, whatever the terminal offers: longer lines are hard to read.
pub(crate) const WIDEST: usize = 120;

/// A space at which no line is broken: within `41 s`.
pub(crate) const GLUE: char = '\u{a0}';

/// Narrower than this nothing could be told apart.
const NARROWEST: usize = 40;

/// For whom a text is made.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Times are shown with their distance from here.
    pub(crate) now: Timestamp,
    /// Times are shown as they are on this clock.
    pub(crate) zone: TimeZone,
    /// Columns.
    pub(crate) width: usize,
    /// True if colour may repeat the words.
    pub(crate) colour: bool,
}

/// What a word means, for those who see colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Works, but should be looked at.
    Warn,
    /// Does not work.
    Bad,
    /// Less important than the rest of its line.
    Quiet,
    /// The verdict.
    Strong,
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
            Self::Quiet => Some("2"),
            Self::Strong => Some("1"),
        }
    }

    /// The text in this ink.
    fn paint(self, text: &str, colour: bool) -> String {
        match self.code().filter(|_| colour && !text.trim().is_empty()) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }
}

/// One logical line, which may take several on the screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    spans: Vec<(Ink, String)>,
    hang: usize,
}

impl Line {
    /// A line that begins after `indent` columns and goes on there when it wraps.
    pub(crate) fn indented(indent: usize) -> Self {
        Self {
            spans: vec![(Ink::Plain, " ".repeat(indent))],
            hang: indent,
        }
    }

    /// A line whose later rows begin where `text` ends now.
    #[must_use]
    pub(crate) fn hang_here(mut self) -> Self {
        self.hang = self.width();
        self
    }

    /// Adds text as it is.
    #[must_use]
    pub(crate) fn text(self, text: impl AsRef<str>) -> Self {
        self.ink(Ink::Plain, text)
    }

    /// Adds text in an ink.
    #[must_use]
    pub(crate) fn ink(mut self, ink: Ink, text: impl AsRef<str>) -> Self {
        self.spans.push((ink, clean(text.as_ref())));
        self
    }

    /// Adds spaces up to a column, and at least `gap` of them.
    #[must_use]
    pub(crate) fn column(mut self, column: usize, gap: usize) -> Self {
        let spaces = column.saturating_sub(self.width()).max(gap);
        self.spans.push((Ink::Plain, " ".repeat(spaces)));
        self
    }

    /// Columns so far.
    pub(crate) fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| text.width()).sum()
    }

    /// The rows, each without spaces at its end.
    fn rows(&self, context: &Context) -> Vec<String> {
        let width = context.width.clamp(NARROWEST, WIDEST);
        if self.width() <= width {
            let row = self
                .spans
                .iter()
                .map(|(ink, text)| ink.paint(text, context.colour));
            return vec![row.collect::<String>().trim_end().replace(GLUE, " ")];
        }
        let hang = self.hang.min(width / 2);
        let mut rows = Vec::new();
        let (mut row, mut used, mut gap) = (String::new(), 0, String::new());
        let mut empty = true;
        for word in self.words() {
            let wide: usize = word.iter().map(|(_, text)| text.width()).sum();
            let blank = word.iter().all(|(_, text)| text.trim().is_empty());
            if blank {
                gap.extend(word.iter().map(|(_, text)| *text));
                continue;
            }
            let space = gap.width();
            if !empty && used + space + wide > width {
                rows.push(std::mem::take(&mut row));
                row.push_str(&" ".repeat(hang));
                used = hang;
            } else {
                row.push_str(&gap);
                used += space;
            }
            gap.clear();
            for (ink, text) in word {
                row.push_str(&ink.paint(text, context.colour));
            }
            used += wide;
            empty = false;
        }
        rows.push(row);
        rows.into_iter().map(|row| row.replace(GLUE, " ")).collect()
    }

    /// Stretches of spaces and stretches of anything else, each with its inks.
    fn words(&self) -> Vec<Vec<(Ink, &str)>> {
        let mut words: Vec<Vec<(Ink, &str)>> = Vec::new();
        let mut in_space = None;
        for (ink, text) in &self.spans {
            let mut rest = text.as_str();
            while let Some(first) = rest.chars().next() {
                let space = first == ' ';
                let end = rest
                    .find(|c: char| (c == ' ') != space)
                    .unwrap_or(rest.len());
                let (piece, behind) = rest.split_at(end);
                match words.last_mut().filter(|_| in_space == Some(space)) {
                    Some(word) => word.push((*ink, piece)),
                    None => words.push(vec![(*ink, piece)]),
                }
                in_space = Some(space);
                rest = behind;
            }
        }
        words
    }
}

/// A text that grows line by line.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    context: &'a Context,
    text: String,
}

impl<'a> Page<'a> {
    /// An empty page.
    pub(crate) const fn new(context: &'a Context) -> Self {
        Self {
            context,
            text: String::new(),
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &Line) {
        for row in line.rows(self.context) {
            self.text.push_str(&row);
            self.text.push('\n');
        }
    }

    /// Adds a line of plain text behind an indentation.
    pub(crate) fn plain(&mut self, indent: usize, text: impl AsRef<str>) {
        self.line(&Line::indented(indent).text(text));
    }

    /// Adds what to do, on a line of its own.
    pub(crate) fn hint(&mut self, indent: usize, hint: &str) {
        self.line(
            &Line::indented(indent)
                .ink(Ink::Strong, "hint:")
                .text(" ")
                .hang_here()
                .text(hint),
        );
    }

    /// The whole text, each line with its end.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text without anything that a terminal would obey: control characters become a visible mark,
/// and so do the marks that turn the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            c if steers(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `1 name`, `2 names`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Names with commas; those beyond `most` are only counted.
pub(crate) fn list<T: std::fmt::Display>(names: &[T], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(ToString::to_string).collect();
    let rest = names.len().saturating_sub(most);
    match rest {
        0 => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Monday 23 November 2026, 22:40:00 in Berlin.
    pub(crate) const NOW: i64 = 1_795_470_000;

    /// A context at a fixed moment, one hour east of Greenwich.
    pub(crate) fn context(width: usize, colour: bool) -> Context {
        Context {
            now: Timestamp::from_unix(NOW),
            zone: TimeZone::fixed(jiff::tz::offset(1)),
            width,
            colour,
        }
    }

    fn page(width: usize, colour: bool, line: &Line) -> String {
        let context = context(width, colour);
        let mut page = Page::new(&context);
        page.line(line);
        page.finish()
    }

    #[test]
    fn a_long_line_goes_on_where_its_text_began() {
        let line = Line::indented(2)
            .ink(Ink::Bad, "error")
            .text("  ")
            .hang_here();
        let line = line.text("the words behind the label are wrapped below the first of them");
        let want =
            "  error  the words behind the label are\n         wrapped below the first of them\n";
        assert_eq!(page(40, false, &line), want);
    }

    #[test]
    fn a_word_that_cannot_fit_stays_whole() {
        let url = "https://ca.example/a/very/long/path/that/must/stay/copyable";
        let line = Line::indented(4).text(format!("at {url} it failed"));
        assert_eq!(
            page(40, false, &line),
            format!("    at\n    {url}\n    it failed\n")
        );
    }

    #[test]
    fn colour_changes_no_column() {
        let line = Line::indented(0)
            .ink(Ink::Good, "ok")
            .column(7, 1)
            .text("config");
        assert_eq!(page(80, false, &line), "ok     config\n");
        assert_eq!(page(80, true, &line), "\u{1b}[32mok\u{1b}[0m     config\n");
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[2Jb\r\nc\u{202e}d\u{7}"),
            "a\u{fffd}[2Jb\u{fffd} c\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn long_lists_are_counted() {
        assert_eq!(list(&["a", "b"], 3), "a, b");
        assert_eq!(list(&["a", "b", "c", "d"], 2), "a, b and 2 more");
    }
}
