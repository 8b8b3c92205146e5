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

/// Columns that the last cell of a row is given before others are left out for it; what is longer
/// wraps at its own beginning.
const ROOM_FOR_LAST: usize = 30;

/// A column is not folded to less than this.
const NARROWEST: usize = 8;

/// Rows of cells. The last cell of a row wraps at its own beginning; in a row that ends early it
/// may reach over the columns behind it.
#[derive(Debug, Clone)]
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

    /// Leaves out columns, in this order, until the rest fits. Answers those that are gone.
    pub(crate) fn fit(&mut self, room: usize, order: &[usize]) -> Vec<usize> {
        let mut gone = Vec::new();
        for &column in order {
            if self.fits(room) {
                break;
            }
            // What is gone already has moved the rest to the left.
            let at = column - gone.iter().filter(|earlier| **earlier < column).count();
            self.align.remove(at);
            for row in self.rows.iter_mut().filter(|row| at < row.len()) {
                row.remove(at);
            }
            gone.push(column);
        }
        gone
    }

    /// True if no row needs more than this.
    pub(crate) fn fits(&self, room: usize) -> bool {
        self.needs() <= room
    }

    /// Leaves out columns, and where that is not enough folds this one and then leaves out less. Answers
    /// how many lines each row has.
    pub(crate) fn fit_or_fold(
        &mut self,
        room: usize,
        order: &[usize],
        column: usize,
    ) -> Vec<usize> {
        let mut folded = self.clone();
        let widest = self.widths().get(column).copied().unwrap_or(0);
        let gone = self.fit(room, order);
        // One long cell must not cost all the others their columns.
        let is_worth = widest > room / 3 && !gone.is_empty();
        if self.fits(room) && !is_worth {
            return vec![1; self.rows.len()];
        }
        // A long cell on a line of its own leaves room for more.
        let lines = folded.fold(room, column);
        let still_gone = folded.fit(room, order);
        if self.fits(room) && still_gone.len() >= gone.len() {
            return vec![1; self.rows.len()];
        }
        *self = folded;
        lines
    }

    /// Where the rows still do not fit: cells of this column that are too long for it get a line of
    /// their own, and the rest of the row follows below. Answers how many lines each row has.
    pub(crate) fn fold(&mut self, room: usize, column: usize) -> Vec<usize> {
        let over = self.needs().saturating_sub(room);
        let widest = self.widths().get(column).copied().unwrap_or(0);
        let most = widest.saturating_sub(over).max(NARROWEST);
        if over == 0 || widest <= most {
            return vec![1; self.rows.len()];
        }
        let mut lines = Vec::with_capacity(self.rows.len());
        for mut row in std::mem::take(&mut self.rows) {
            let long = row.get(column).is_some_and(|cell| width(&cell.text) > most);
            if long && column + 1 < row.len() {
                let rest = row.split_off(column + 1);
                let below = (0..=column).map(|_| Cell::plain(""));
                let below = below.chain(rest).collect();
                self.rows.extend([row, below]);
                lines.push(2);
            } else {
                self.rows.push(row);
                lines.push(1);
            }
        }
        lines
    }

    /// Columns from the edge to the end of the last one.
    fn needs(&self) -> usize {
        let mut widths = self.widths();
        if let Some(last) = widths.last_mut() {
            *last = (*last).min(ROOM_FOR_LAST);
        }
        let whole = widths.iter().sum::<usize>() + self.gap * widths.len().saturating_sub(1);
        // A row that ends early has the columns behind its last cell for it, and may need more.
        let early = self.rows.iter().filter(|row| row.len() < widths.len());
        let early = early.filter_map(|row| {
            let (last, before) = row.split_last().filter(|(_, before)| !before.is_empty())?;
            let begin: usize = widths.iter().take(before.len()).map(|w| w + self.gap).sum();
            Some(begin + width(&last.text).min(ROOM_FOR_LAST))
        });
        self.indent + early.fold(whole, usize::max)
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
    fn columns_are_left_out_in_order_until_the_rest_fits() {
        let rows = |room, order: &[usize]| {
            let mut table = Table::new(0, &[Align::Left; 4]).gap(1);
            table.row(["aaaa", "bbb", "cc", "d"].map(Cell::plain).into());
            table.row(["e", "f"].map(Cell::plain).into());
            let gone = table.fit(room, order);
            let context = context(80, false);
            let mut page = Page::new(&context);
            table.lines().iter().for_each(|line| page.line(line));
            (gone, page.finish())
        };
        assert_eq!(
            rows(13, &[0]),
            (vec![], "aaaa bbb cc d\ne    f\n".to_owned())
        );
        assert_eq!(
            rows(12, &[2, 0]),
            (vec![2], "aaaa bbb d\ne    f\n".to_owned())
        );
        assert_eq!(rows(8, &[2, 0]), (vec![2, 0], "bbb d\nf\n".to_owned()));
        assert_eq!(rows(8, &[0, 2]), (vec![0], "bbb cc d\nf\n".to_owned()));
        assert_eq!(rows(1, &[0, 2]), (vec![0, 2], "bbb d\nf\n".to_owned()));
    }

    #[test]
    fn a_cell_that_is_too_long_gets_a_line_of_its_own() {
        let shown = |room| {
            let mut table = Table::new(0, &[Align::Left; 3]).gap(1);
            table.row(["!", "a-very-long-name", "yes"].map(Cell::plain).into());
            table.row(["", "short", "no"].map(Cell::plain).into());
            let lines = table.fold(room, 1);
            let long = if room < 22 { 2 } else { 1 };
            assert_eq!(lines, [long, 1]);
            let context = context(80, false);
            let mut page = Page::new(&context);
            table.lines().iter().for_each(|line| page.line(line));
            page.finish()
        };
        let flat = "! a-very-long-name yes\n  short            no\n";
        assert_eq!(shown(22), flat);
        assert_eq!(shown(21), "! a-very-long-name\n        yes\n  short no\n");
        assert_eq!(shown(1), shown(21));
    }

    #[test]
    fn a_row_that_ends_early_has_room_for_its_last_cell() {
        let shown = |room| {
            let mut table = Table::new(0, &[Align::Left; 5]);
            let words = "until the end of the month, by its window";
            table.row(
                ["a-very-long-name", "not due", words]
                    .map(Cell::plain)
                    .into(),
            );
            table.row(["short", "done"].map(Cell::plain).into());
            let lines = table.fit_or_fold(room, &[], 0);
            let context = context(room, false);
            let mut page = Page::new(&context);
            table.lines().iter().for_each(|line| page.line(line));
            (lines, page.finish())
        };
        let (lines, text) = shown(59);
        assert_eq!(lines, [1, 1]);
        assert!(text.starts_with("a-very-long-name   not due   until the end"));
        let folded = "a-very-long-name\n        not due   until the end of the month, by\n\
                      \x20                 its window\nshort   done\n";
        assert_eq!(shown(51), (vec![2, 1], folded.to_owned()));
    }

    #[test]
    fn one_long_cell_does_not_cost_the_others_their_columns() {
        let long = "x".repeat(50);
        let shown = |name: &str| {
            let mut table = Table::new(0, &[Align::Left; 3]);
            let middle = "m".repeat(25);
            table.row([name, &middle, "end"].map(Cell::plain).into());
            table.row(["short", "done", "end"].map(Cell::plain).into());
            table.fit_or_fold(70, &[1], 0)
        };
        assert_eq!(shown(&long), [2, 1]);
        // With the column gone it fits, and nothing of it is long.
        let mut table = Table::new(0, &[Align::Left; 3]);
        let middle = "m".repeat(60);
        table.row(["name", &middle, "end"].map(Cell::plain).into());
        assert_eq!(table.fit_or_fold(60, &[1], 0), [1]);
        assert_eq!(table.align.len(), 2);
    }

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
