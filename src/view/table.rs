//! Aligned columns.

use super::style::{DIM, PLAIN, paint};
use super::text::{keep_end, width};
use anstyle::Style;

/// Columns between columns.
const GAP: usize = 2;
/// Fewest columns that a shrinking column keeps.
const SHRUNK: usize = 12;

/// One cell: plain text, and how it is painted.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// Returns a cell in this style; empty text becomes a dim `-`.
pub(crate) fn cell(style: Style, text: impl Into<String>) -> Cell {
    let text = text.into();
    if text.is_empty() {
        Cell {
            text: "-".into(),
            style: DIM,
        }
    } else {
        Cell { text, style }
    }
}

/// A table with a head, indented by two.
#[derive(Debug)]
pub(crate) struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
    numbers: &'static [&'static str],
    shrinks: &'static str,
    in_need: &'static [&'static str],
}

impl Table {
    /// Returns an empty table. Columns named in `numbers` are set to the right; the one named
    /// `shrinks` is cut where the terminal is too narrow.
    pub(crate) fn new(
        head: &'static [&'static str],
        numbers: &'static [&'static str],
        shrinks: &'static str,
    ) -> Self {
        Self {
            head,
            rows: Vec::new(),
            numbers,
            shrinks,
            in_need: &[],
        }
    }

    /// Leaves these columns out, the first one first, where the terminal is too narrow even so.
    pub(crate) fn without_in_need(mut self, columns: &'static [&'static str]) -> Self {
        self.in_need = columns;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Returns the table as text; columns in which every cell is empty are left out.
    pub(crate) fn render(&self, columns: Option<usize>) -> String {
        let mut used: Vec<usize> = (0..self.head.len())
            .filter(|&at| {
                self.rows
                    .iter()
                    .any(|row| row.get(at).is_some_and(|c| c.text != "-"))
            })
            .collect();
        let mut widths: Vec<usize> = used
            .iter()
            .map(|&at| {
                let cells = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(at))
                    .map(|c| width(&c.text));
                cells.chain([width(self.head[at])]).max().unwrap_or(0)
            })
            .collect();
        let whole = |widths: &[usize]| widths.iter().map(|w| w + GAP).sum::<usize>();
        let least = |used: &[usize], widths: &[usize]| {
            let shrinks = used.iter().position(|&at| self.head[at] == self.shrinks);
            let spare = shrinks.map_or(0, |at| widths[at].saturating_sub(SHRUNK));
            whole(widths) - spare
        };
        for name in self.in_need {
            let too_wide = columns.is_some_and(|columns| least(&used, &widths) > columns);
            if let (true, Some(at)) = (too_wide, used.iter().position(|&at| self.head[at] == *name))
            {
                used.remove(at);
                widths.remove(at);
            }
        }
        if let Some(excess) = columns.and_then(|c| whole(&widths).checked_sub(c))
            && let Some(at) = used.iter().position(|&at| self.head[at] == self.shrinks)
        {
            widths[at] = widths[at]
                .saturating_sub(excess)
                .max(SHRUNK.min(widths[at]));
        }
        let head: Vec<Cell> = self
            .head
            .iter()
            .map(|h| Cell {
                text: (*h).to_owned(),
                style: DIM,
            })
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            let mut blank = 0;
            for (&at, &wide) in used.iter().zip(&widths) {
                let empty = Cell {
                    text: String::new(),
                    style: PLAIN,
                };
                let cell = match row.get(at) {
                    // A remark that is not there needs no mark.
                    Some(cell) if !(cell.text == "-" && self.head[at].is_empty()) => cell,
                    _ => &empty,
                };
                let text = keep_end(&cell.text, wide);
                let free = wide - width(&text).min(wide);
                let right = self.numbers.contains(&self.head[at]);
                blank += GAP + if right { free } else { 0 };
                if text.is_empty() {
                    blank += free;
                    continue;
                }
                line.push_str(&" ".repeat(blank));
                line.push_str(&paint(cell.style, &text));
                blank = if right { 0 } else { free };
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn columns_are_aligned_empty_ones_left_out_and_one_shrinks() {
        let mut table = Table::new(&["NAME", "X", "FOLDER", "N"], &["N"], "FOLDER");
        let row = |a: &str, b: &str, n: &str| {
            vec![
                cell(PLAIN, a),
                cell(PLAIN, ""),
                cell(PLAIN, b),
                cell(PLAIN, n),
            ]
        };
        table.row(row("a", "~/src/世界/very/long", "7"));
        table.row(row("longer", "", "12"));
        assert_eq!(
            plain(&table.render(None)),
            "  NAME    FOLDER                 N\n  a       ~/src/世界/very/long   7\n  longer  -                     12\n"
        );
        let narrow = plain(&table.render(Some(28)));
        assert!(narrow.contains("…界/very/long"), "{narrow}");
        assert!(narrow.lines().all(|line| width(line) <= 28), "{narrow}");
    }
}
