//! HTML that grows piece by piece. What is text stays text, whatever stands in it.

use std::fmt::Write as _;

use crate::render::page::clean;

/// A piece of a page.
#[derive(Debug, Default)]
pub(in crate::render) struct Html(String);

impl Html {
    /// Adds markup of our own.
    pub(in crate::render) fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text.
    pub(in crate::render) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&escaped(text));
        self
    }

    /// Adds an element with nothing but text in it; `open` is its name, perhaps with attributes.
    pub(in crate::render) fn element(&mut self, open: &str, text: &str) -> &mut Self {
        let name = open.split(' ').next().unwrap_or(open);
        // Writing to a string does not fail.
        let _written = write!(self.0, "<{open}>{}</{name}>", escaped(text));
        self
    }

    /// The whole.
    pub(in crate::render) fn finish(self) -> String {
        self.0
    }
}

/// Text as it may stand in an element or in a quoted attribute.
pub(in crate::render) fn escaped(text: &str) -> String {
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
