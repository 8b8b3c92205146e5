//! HTML that grows piece by piece, for pages that need nothing else: no script and no network. What
//! is text stays text, whatever stands in it.

use std::fmt::Write as _;

use super::page::{Ink, clean};

/// How each page begins.
pub(crate) const BEGINNING: &str =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";

/// What a page may do: nothing but show itself.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole look of the pages.
const STYLE: &str = include_str!("html/style.css");

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup of our own.
    pub(super) fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&escaped(text));
        self
    }

    /// Adds an element with nothing but text in it; `open` is its name, perhaps with attributes.
    pub(super) fn element(&mut self, open: &str, text: &str) -> &mut Self {
        let name = open.split(' ').next().unwrap_or(open);
        // Writing to a string does not fail.
        let _written = write!(self.0, "<{open}>{}</{name}>", escaped(text));
        self
    }

    /// Begins a page: all that stands before the first thing to be read.
    pub(super) fn begin(title: &str) -> Self {
        let mut html = Self::default();
        html.raw(BEGINNING).raw(&format!(
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n"
        ));
        html.element("title", title);
        html.raw("\n<style>\n")
            .raw(STYLE)
            .raw("</style>\n</head>\n<body>\n<main>\n");
        html
    }

    /// Adds a part of the page with a title.
    pub(super) fn section(&mut self, title: &str, content: impl FnOnce(&mut Self)) {
        let id = title.to_lowercase().replace(' ', "-");
        self.raw(&format!("<section aria-labelledby=\"{id}\">\n"));
        self.element(&format!("h2 id=\"{id}\""), title).raw("\n");
        content(self);
        self.raw("</section>\n");
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The class of an ink.
pub(super) const fn class(ink: Ink) -> &'static str {
    match ink {
        Ink::Good => "good",
        Ink::Warn => "warn",
        Ink::Bad => "bad",
        Ink::Plain | Ink::Quiet | Ink::Strong => "",
    }
}

/// Text as it may stand in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let mut html = Html::default();
        html.element("td class=\"n\"", "<b>&\"'\u{1b}[31m</b>");
        let want = "<td class=\"n\">&lt;b&gt;&amp;&quot;&#39;\u{fffd}[31m&lt;/b&gt;</td>";
        assert_eq!(html.finish(), want);
    }
}
