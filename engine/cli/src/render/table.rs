//! Rows in aligned columns, without lines around them.

use super::page::{GLUE, Ink, Line, width};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A cell: what it says and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) ink: Ink,
    pub(crate) text: String,
}

impl Cell {
    /// A cell without a meaning of its own.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::of(Ink::Plain, text)
    }

    /// A cell with a meaning.
    pub(crate) fn of(ink: Ink, text: impl Into<String>) -> Self {
        Self {
            ink,
            text: super::page::clean(&text.into()),
        }
    }
}

/// Rows of cells. The last cell of a row wraps at its own beginning; in a row that ends early it
/// may reach over the columns behind it.
#[derive(Debug)]
pub(crate) struct Table {
    indent: usize,
    align: Vec<Align>,
    gap: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(indent: usize, align: &[Align]) -> Self {
        Self {
            indent,
            align: align.to_vec(),
            gap: 3,
            rows: Vec::new(),
        }
    }

    /// With this many spaces between columns.
    #[must_use]
    pub(crate) const fn gap(mut self, gap: usize) -> Self {
        self.gap = gap;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The rows as lines, in order.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let widths = self.widths();
        self.rows
            .iter()
            .map(|row| self.line(row, &widths))
            .collect()
    }

    /// Where a column begins.
    pub(crate) fn begin(&self, column: usize) -> usize {
        self.indent
            + self
                .widths()
                .iter()
                .take(column)
                .map(|wide| wide + self.gap)
                .sum::<usize>()
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |column: usize| {
            let reaches_over =
                |row: &[Cell]| column + 1 == row.len() && row.len() < self.align.len();
            let rows = self.rows.iter().filter(|row| !reaches_over(row));
            let cells = rows.filter_map(|row| row.get(column));
            cells.map(|cell| width(&cell.text)).max().unwrap_or(0)
        };
        (0..self.align.len()).map(widest).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Line {
        let mut line = Line::indented(self.indent);
        let mut begin = self.indent;
        for (column, cell) in row.iter().enumerate() {
            let wide = widths.get(column).copied().unwrap_or(0);
            let right = self.align.get(column) == Some(&Align::Right);
            let at = if right {
                begin + wide.saturating_sub(width(&cell.text))
            } else {
                begin
            };
            line = line.column(at, 0);
            if column + 1 == row.len() {
                line = line.hang_here();
            }
            let text = if right {
                cell.text.replace(' ', &GLUE.to_string())
            } else {
                cell.text.clone()
            };
            line = line.ink(cell.ink, text);
            begin += wide + self.gap;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::{Page, tests::context};
    use super::*;

    #[test]
    fn columns_line_up_whatever_script_they_hold() {
        let mut table = Table::new(2, &[Align::Left, Align::Right, Align::Left]);
        for (name, left, last) in [
            ("shop", "89 d", "yes"),
            ("日本", "9 d", "no"),
            ("a-long-name", "", "-"),
        ] {
            table.row(vec![
                Cell::plain(name),
                Cell::plain(left),
                Cell::plain(last),
            ]);
        }
        let context = context(80, false);
        let mut page = Page::new(&context);
        for line in table.lines() {
            page.line(&line);
        }
        let want =
            "  shop          89 d   yes\n  日本           9 d   no\n  a-long-name          -\n";
        assert_eq!(page.finish(), want);
    }
}
